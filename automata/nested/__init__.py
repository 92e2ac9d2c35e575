"""Nested words of bounded depth: a control at each depth (visibly pushdown languages, Alur and Madhusudan 2004).

May import: the modules of ``automata`` beside it. No torch.
"""
