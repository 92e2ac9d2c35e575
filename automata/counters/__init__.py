"""Counter machines: a star-free control that adds to counters and tests them for zero; their acceptor and families.

May import only :mod:`scancraft.automata`.
"""
