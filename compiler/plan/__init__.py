"""Between a language and a circuit: which block remembers what, as a value that runs on words and is proved.

May import :mod:`scancraft.automata` and :mod:`scancraft.compiler.cascade`.
"""
