"""Which token is which symbol: special tokens first, then the alphabet, then padding rows up to a multiple of 8."""

from __future__ import annotations

from collections.abc import Sequence

from ...automata.alphabet import SPECIAL_TOKENS

VOCABULARY_MULTIPLE = 8
"""``mamba_ssm`` rounds its vocabulary up to a multiple of 8."""


def token_ids(alphabet: Sequence[str]) -> dict[str, int]:
    """Token ids: ``<pad>`` 0, ``<bos>`` 1, ``<eos>`` 2, then the symbols in the order of the alphabet.

    >>> token_ids(("a", "b"))
    {'<pad>': 0, '<bos>': 1, '<eos>': 2, 'a': 3, 'b': 4}
    """
    return {token: i for i, token in enumerate((*SPECIAL_TOKENS, *alphabet))}


def class_rows(alphabet: Sequence[str], classes: Sequence[str]) -> dict[str, int]:
    """The rows of the head that score the classes of a machine with outputs: those after the tokens.

    >>> class_rows(("a", "b"), ("even", "odd"))
    {'even': 5, 'odd': 6}
    """
    return {name: n for n, name in enumerate(classes, len(SPECIAL_TOKENS) + len(alphabet))}


def vocabulary_size(alphabet: Sequence[str], classes: Sequence[str] = ()) -> int:
    """Rows of the embedding: all tokens, and rows for the classes, rounded up."""
    return rounded_up(len(SPECIAL_TOKENS) + len(alphabet) + len(classes))


def rounded_up(count: int) -> int:
    """Rows for so many tokens."""
    return -(-count // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE
