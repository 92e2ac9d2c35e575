"""Decides: reads a checkpoint and its certificate from disk and accepts or rejects, without searching.

May import the base exception and the classes it loads; nothing of ``search`` and nothing of the compiler.
"""
