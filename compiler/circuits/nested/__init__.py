"""Nested languages in three blocks: what a level has to remember, and the circuit with a copy of it for each depth.

May import: ``automata``, ``compiler.circuits``, ``compiler.plan.windows``.
"""
