"""Is a model right? On words (check), for every length (certify), with a certificate that a separate checker accepts.

May import automata, models and compiler; ``checker`` and ``search`` import neither each other nor the compiler.
"""
