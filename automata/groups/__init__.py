"""Permutation groups: order, solvability, composition factors.

May import only :mod:`scancraft.automata`.
"""
