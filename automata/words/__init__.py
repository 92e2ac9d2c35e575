"""Random words of a language: uniform by length, balanced brackets, counter walks, mixtures near the language.

May import only :mod:`scancraft.automata`.
"""
