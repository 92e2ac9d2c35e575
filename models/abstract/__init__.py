"""The paper's general SSM as an executable form: exact numbers or p fractional bits, and its computed properties.

May import only :mod:`scancraft.models` and the base exception.
"""
