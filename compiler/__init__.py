"""Language to weights, a pipeline of passes from one frozen, printable value to the next.

language -> cascade -> rules -> circuit -> weights, or language -> plan -> circuit -> weights. May import
:mod:`scancraft.automata` and :mod:`scancraft.models`.
"""
