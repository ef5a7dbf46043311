"""Parts for studies in hospitals: clinical tables, raters, blinded clips, checklists, live assessment, marker tracks.

It imports the core; nothing but `cli` imports it.
"""
