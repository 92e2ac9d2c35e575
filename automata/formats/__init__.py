"""Languages in files and in other libraries' objects: JSON, networkx, automata-lib, pyformlang.

May import only :mod:`scancraft.automata`.
"""
