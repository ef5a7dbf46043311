"""Layers that several networks share; each module says for which activation layout it is written."""
