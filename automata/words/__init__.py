"""Random words of a language: of regular languages and of bounded brackets uniform by length, of counter languages by
walks; mixtures near the language.

May import only :mod:`scancraft.automata`.
"""
