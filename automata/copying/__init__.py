"""Copying as a language: words repeated behind a separator, up to a length; its ground truth.

It imports nothing of the models and the compiler. The words are drawn in ``automata/words/copying.py``.
"""
