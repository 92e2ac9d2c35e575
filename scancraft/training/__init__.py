"""A small Mamba trained for comparison.

May import everything below the face.
"""
