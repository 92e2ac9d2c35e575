"""Replays a refutation from its file: no search, and no code in common with what found it.

May import the base exception only.
"""
