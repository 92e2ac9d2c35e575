"""Holonomy decomposition: a DFA as a cascade of set-reset levels, and the rules that each level follows (theorem 4).

May import :mod:`scancraft.automata`.
"""
