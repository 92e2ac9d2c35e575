"""The intermediate form: blocks of channels and memories over named features, and the constructions that yield it
(theorems 1, 4, 5, 6).

May import :mod:`scancraft.automata` and :mod:`scancraft.compiler.cascade`.
"""
