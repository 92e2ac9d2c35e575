"""From a DFA to plans: which memories, in which block, until a threshold tells what may come next.

May import :mod:`scancraft.automata` and :mod:`scancraft.compiler.plan`.
"""
