"""Regular expressions: text to tree to minimal DFA.

May import only :mod:`scancraft.automata`.
"""
