"""Languages that compare the last two letters: are they equal, do they differ, is one beyond the other?

Let the last two letters tell the state (``definite_window``). Then a token is a relation: it may come next after these
pairs (letter before, letter now) and not after those, ``<bos>`` being a letter before. Three kinds of relation are
known by *codes*, whole numbers for letters, however many letters there are:

- *equal*: the codes of both letters are the same; *different*: they are not. The relation, or what is left of it, is an
  equivalence.
- *beyond*: the code of the letter before is at most a second code of the letter now. The letters that may come now, by
  the letter before, are a chain of sets. A relation that depends on one of both letters only is such a one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..alphabet import BOS
from ..dfa import Dfa
from .locality import definite_window


@dataclass(frozen=True)
class Comparison:
    """After which two letters a token may come next.

    Attributes:
        kind: "equal" and "different": the codes are, or are not, the same; "beyond": ``before`` is at most ``now``.
        before: the code of each letter, and of ``<bos>``, as the one before.
        now: the code of each letter as the present one; the same as ``before`` but for "beyond".
        at_start: whether the token may come after ``<bos>``.
    """

    kind: Literal["equal", "different", "beyond"]
    before: Mapping[str, int]
    now: Mapping[str, int]
    at_start: bool

    def holds(self, before: str | None, now: str) -> bool:
        """Whether the token may come after these two; None for nothing before ``<bos>``."""
        if before is None:
            return self.at_start
        if self.kind == "beyond":
            return self.before[before] <= self.now[now]
        return (self.before[before] == self.now[now]) == (self.kind == "equal")


def comparisons(dfa: Dfa) -> Mapping[str, Comparison] | None:
    """What each token asks of the last two letters, or None if some token asks for something else.

    O(states * letters + tokens * letters^2) in arrays.

    >>> from scancraft import parse_regex
    >>> {token: found.kind for token, found in comparisons(parse_regex("(a|b|c)*(aa|bb|cc)")).items()}
    {'a': 'beyond', 'b': 'beyond', 'c': 'beyond', '<eos>': 'equal'}
    """
    if (definite_window(dfa) or 3) > 2:
        return None
    table = dfa.semiautomaton.array
    after = table[np.append(table[0], 0)]  # the state after two letters; in the last row after <bos> and one
    found: dict[bytes, Comparison] = {}
    told = {}
    for token in dfa.tokens:
        may = np.array([token in dfa.allowed(q) for q in range(dfa.n_states)])
        if (key := may.tobytes()) not in found:
            comparison = _compared(may[after], dfa.alphabet, at_start=bool(may[0]))
            if comparison is None:
                return None
            found[key] = comparison
        told[token] = found[key]
    return told


def _compared(may: NDArray[np.bool_], alphabet: tuple[str, ...], *, at_start: bool) -> Comparison | None:
    """A relation of one of the kinds: shape (letters and ``<bos>`` before, letters now)."""
    symbols = (*alphabet, BOS)
    sizes, ranks = np.unique(-may.sum(axis=1), return_inverse=True)
    chain = np.array([may[ranks == rank][0] for rank in range(len(sizes))])  # the largest set first
    if (chain[ranks] == may).all() and (chain[1:] <= chain[:-1]).all():
        return Comparison("beyond", _codes(symbols, ranks), _codes(alphabet, chain.sum(axis=0) - 1), at_start)
    for kind, same in (("equal", may), ("different", ~may)):
        square = same[:-1]
        codes = np.argmax(square, axis=1)  # the first letter that each is equal to
        if not (square == (codes[:, None] == codes)).all():
            continue
        first = np.flatnonzero(same[-1])
        if not (same[-1] == np.isin(codes, codes[first[:1]])).all():
            continue
        known, numbers = np.unique(codes, return_inverse=True)
        bos = numbers[first[0]] if len(first) else len(known)
        before = _codes(symbols, np.append(numbers, bos))
        now = {symbol: before[symbol] for symbol in alphabet}
        return Comparison("equal" if kind == "equal" else "different", before, now, at_start)
    return None


def _codes(symbols: tuple[str, ...], codes: NDArray[Any]) -> dict[str, int]:
    return dict(zip(symbols, codes.tolist(), strict=True))
