"""What a block computes, line by line; loading, saving and running checkpoints. Knows no languages.

Of :mod:`scancraft.automata` it may import the base exception only.
"""
