"""The commands, each a frozen dataclass whose fields are its options and whose `run` is a few lines over the library.

They import the library where they run, so that asking for help stays fast.
"""
