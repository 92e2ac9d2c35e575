"""Windows of letters as thresholds of one convolution channel.

A channel sees one linear form u of the letter at its last few steps: s = w_0 u(now) + w_1 u(before) + .... An event
asks for a letter of S_j at step j. We want s >= theta exactly where it holds. All else being as it should be, s depends
on the letter at step j alone, so S_j must be those letters for which w_j u is large enough: an upper set of the order
that u gives to letters, or a lower set where w_j < 0. So the sets S_j, some of them complemented, form a *chain*; and
for a chain small weights do, which are searched and checked on all combinations of levels.

Two sets of which neither holds the other make a chain with one complement if they are disjoint; if they overlap, the
event is split into two, S - T and S & T in the place of S. So every window of two letters is a few channels. Windows
of three need not be: "abc" is none.

Where no letter is (before the first token, or padding) u is 0, and that must be in no S_j. Where s may exceed theta a
second channel takes the excess away: max(0, s - theta + 1) - max(0, s - theta) = [s >= theta].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, product

from ...automata.alphabet import BOS

Sets = Mapping[int, frozenset[str]]
"""For some steps back the letters that are asked for."""

SPACINGS, TAPS = (1, 2, 3), (1, 2, 3, 4)
"""Distances of neighbouring levels, and sizes of taps, to try."""
MOST_PIECES = 4


@dataclass(frozen=True)
class Window:
    """A window as a threshold.

    Attributes:
        letters: u, the weight of each letter; 0 for the others.
        taps: weights of u at the last steps, this one last.
        theta: the threshold.
        exact: whether s equals theta whenever the event holds (one channel; else two).
    """

    letters: Mapping[str, int]
    taps: tuple[int, ...]
    theta: int
    exact: bool

    @property
    def channels(self) -> int:
        """Channels needed."""
        return 1 if self.exact else 2


def windows(sets: Sets, alphabet: tuple[str, ...]) -> tuple[Window, ...] | None:
    """Disjoint windows that together hold where all of the sets are met, or None where none were found.

    Args:
        sets: at least one, none of them empty.
        alphabet: the symbols.
    """
    todo: list[tuple[Sets, ...]] = [(sets,)]
    for pieces in todo:  # those of fewer pieces come first
        found = [_window(piece, alphabet) for piece in pieces]
        if all(found):
            return tuple(window for window in found if window is not None)
        if len(pieces) == MOST_PIECES:
            continue
        at = found.index(None)
        todo += [(*pieces[:at], *halves, *pieces[at + 1 :]) for halves in _halves(pieces[at])]
    return None


def _halves(sets: Sets) -> Iterator[tuple[Sets, Sets]]:
    """Ways to split one of the sets by another one."""
    for j, k in product(sets, repeat=2):
        inside, outside = sets[j] & sets[k], sets[j] - sets[k]
        if j != k and inside and outside and sets[k] - sets[j]:
            yield {**sets, j: outside}, {**sets, j: inside}


def _window(sets: Sets, alphabet: tuple[str, ...]) -> Window | None:
    """One window, if some choice of complements makes the sets a chain."""
    symbols = {*alphabet, BOS}
    best: Window | None = None
    for signs in product((1, -1), repeat=len(sets)):
        signed = list(zip(sets.values(), signs, strict=True))
        upper = [frozenset(asked) if sign > 0 else frozenset({None, *symbols} - asked) for asked, sign in signed]
        chain = sorted(set(upper), key=len, reverse=True)
        if not all(small <= large for large, small in pairwise(chain)):
            continue
        level: dict[str | None, int] = {a: sum(a in part for part in chain) for a in (None, *symbols)}
        wanted = tuple((back, sign, 1 + chain.index(u)) for back, sign, u in zip(sets, signs, upper, strict=True))
        weights = _weights(wanted, tuple(sorted(set(level.values()))), level[None])
        if weights is not None and (best is None or weights[3] > best.exact):
            values, taps, theta, exact = weights
            best = Window({a: v for a in (*alphabet, BOS) if (v := values[level[a]])}, taps, theta, exact)
    return best


@cache
def _weights(
    wanted: tuple[tuple[int, int, int], ...], levels: tuple[int, ...], nothing: int
) -> tuple[dict[int, int], tuple[int, ...], int, bool] | None:
    """Weights for levels and taps, the threshold, and whether it is exact; None if no small ones do.

    Args:
        wanted: (steps back, sign, level): the letter must be at least of this level (below it, where the sign is -1).
        levels: those that occur.
        nothing: the level of no letter, which weighs 0.
    """
    best = None
    for spacing in product(SPACINGS, repeat=len(levels) - 1):
        place = {level: sum(spacing[:n]) for n, level in enumerate(levels)}
        values = {level: place[level] - place[nothing] for level in levels}
        for sizes in product(TAPS, repeat=len(wanted)):
            inside: set[int] = set()
            outside: set[int] = set()
            for letters in product(levels, repeat=len(wanted)):
                held = all((a >= least) == (sign > 0) for a, (_, sign, least) in zip(letters, wanted, strict=True))
                terms = zip(letters, wanted, sizes, strict=True)
                (inside if held else outside).add(sum(sign * size * values[a] for a, (_, sign, _), size in terms))
            theta = min(inside, default=0)
            if theta < 1 or max(outside) >= theta:
                continue
            taps = [0] * max(2, *(1 + back for back, _, _ in wanted))
            for (back, sign, _), size in zip(wanted, sizes, strict=True):
                taps[-1 - back] = sign * size
            found = values, tuple(taps), theta, len(inside) == 1
            if found[3]:
                return found
            best = best or found
    return best
