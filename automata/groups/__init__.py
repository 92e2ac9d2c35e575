"""Permutation groups: order, solvability, names.

May import only :mod:`scancraft.automata`.
"""
