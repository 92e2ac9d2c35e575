"""Small checkpoints, each about one operation of a block, whose outputs are known exactly.

May import :mod:`scancraft.models` and the cases of :mod:`scancraft.conformance`.
"""
