"""Running a model: step by step from any state, a fast exact scan, generation.

May import only :mod:`scancraft.models` and the base exception.
"""
