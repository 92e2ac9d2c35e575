"""Temporal logic over finite words: LTLf and past LTL, text to formula to language.

``tree`` has formulas as they are written, ``parser`` reads them, ``truth`` says by the textbook's semantics where they
hold; ``past`` has languages of past formulas in a normal form, which are compiled without an automaton.

May import only :mod:`scancraft.automata`.
"""
