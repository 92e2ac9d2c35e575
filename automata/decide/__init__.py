"""Which gates does a language need? Star-free or not, 2-groups or not, each answer with a witness.

May import only :mod:`scancraft.automata`.
"""
