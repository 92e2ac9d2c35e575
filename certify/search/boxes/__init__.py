"""Searches for boxes: ranges of the recurrent state that no word leaves, of models whose states are without number.

``graph`` (what is told apart of the past), ``fixpoint`` (the least boxes, loops in closed form), ``explore`` (one run
of the model over them), ``search`` (more of the past, where a score's sign is open).

May import automata and models, and the verdicts of ``search``; nothing of the compiler, nothing of ``checker``.
"""
