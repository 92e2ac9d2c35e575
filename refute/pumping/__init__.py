"""Long counterexamples: x w^n y over the loops of an automaton, judged at n = infinity first.

May import what refute may.
"""
