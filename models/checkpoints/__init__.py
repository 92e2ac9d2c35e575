"""Checkpoints as files: reading, writing, tokenizer, the mamba_ssm copy.

May import only :mod:`scancraft.models` and the base exception.
"""
