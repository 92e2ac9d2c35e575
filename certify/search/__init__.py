"""Finds evidence: explores what a model can reach and writes down what is claimed.

May import automata and models; nothing of the compiler, nothing of ``checker``.
"""
