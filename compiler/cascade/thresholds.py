"""Cubes as thresholds of one convolution channel.

A channel of a Mamba block sees one linear form u of the residual stream, at this step and (through conv tap -1) at
the step before: s = w0 u(t-1) + w1 u(t). We want s >= theta exactly when the cube holds. The set *before* the letter
is the residual stream one step earlier, so no second copy of each memory is needed; the price is that u(t-1) also
contains the previous letter's weight, and u(t) the weight of the set after.

Write phi for the weights on sets and psi for those on letters.

- No literal on the set before: w0 = 0, so s is exact and one channel is enough.
- Sets before X and sets after Y disjoint: phi = -2 on X and 1 on Y, psi = 1 on the letters, w = (-1, 2), theta = 5.
  The cube gives 2 + 2 + 2 = 6, less 1 if the previous letter is among the letters; one literal missing gives at
  most 4 (X missing: 2 + 2; Y missing: 2 + 2; letter missing: 2 + 2).
- Y inside X: phi = 3 on Y and 2 on the rest of X, psi = 1, w = (1, 3), theta = 14. The cube gives at least
  2 + 9 + 3; missing X gives at most 1 + 9 + 3, missing Y at most 3 + 6 + 3 + 1, a missing letter at most 3 + 9 + 1.

Where the letters are implied by the sets, psi can be dropped, and often s then takes a single value on the cube. If it
does not, a second channel subtracts the excess: relu(s - theta + 1) - relu(s - theta) = [s >= theta] on integers. Every
choice is *checked* on all contexts that can occur; the tables above only say which ones to try.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .cubes import START, Cube, Triple, among


@dataclass(frozen=True)
class Threshold:
    """A cube as an integer threshold: it holds iff ``taps . (u(t-1), u(t)) >= theta``.

    Attributes:
        sets: phi, the weight of each set in u.
        letters: psi, the weight of each letter in u.
        taps: the weights of u(t-1) and u(t).
        theta: the threshold.
        exact: whether s equals theta whenever the cube holds (one channel; else two).
    """

    sets: Mapping[int, int]
    letters: Mapping[int, int]
    taps: tuple[int, int]
    theta: int
    exact: bool

    @property
    def channels(self) -> int:
        """Convolution channels needed."""
        return 1 if self.exact else 2


class Contexts:
    """Everything a channel of a level can see: (set before, previous letter, letter, set after).

    At ``<bos>`` the past is anything: nothing at all, or the end of another word in the same sequence.

    Args:
        triples: the triples of the level.
        n_sets: sets are numbered below this.
        bos: the number of the letter ``<bos>``; letters are numbered up to it.
    """

    def __init__(self, triples: Iterable[Triple], n_sets: int, bos: int) -> None:
        triples = list(triples)
        arrivals: dict[int, set[int]] = {}
        for _, letter, after in triples:
            arrivals.setdefault(after, set()).add(letter)
        # A missing set or letter is the last row of the weight vectors, whose weight is 0.
        nothing, silence = n_sets, bos + 1
        rows = [(nothing, silence, bos, after) for before, letter, after in triples if letter == bos]
        starts = [after for _, letter, after in triples if letter == bos]
        for before, letter, after in triples:
            if before != START:
                rows += [(before, previous, letter, after) for previous in sorted(arrivals.get(before, ()))]
        for before, previous in sorted((p, a) for p, letters in arrivals.items() for a in letters):
            rows += [(before, previous, bos, start) for start in starts]
            rows.append((before, previous, silence, nothing))  # padding after a word
        self.rows: NDArray[np.intp] = np.array(rows, dtype=np.intp).reshape(-1, 4).T
        self.n_sets, self.bos = n_sets, bos

    def holds(self, cube: Cube) -> NDArray[np.bool_]:
        """Whether the cube holds, per context."""
        before, _, letter, after = self.rows
        result: NDArray[np.bool_] = among(cube.letters, self.bos + 2)[letter]
        if cube.before is not None:
            result &= among(cube.before, self.n_sets + 1)[before]
        if cube.after is not None:
            result &= among(cube.after, self.n_sets + 1)[after]
        return result

    def sums(self, phi: NDArray[np.int64], psi: NDArray[np.int64], taps: tuple[int, int]) -> NDArray[np.int64]:
        """s per context."""
        before, previous, letter, after = self.rows
        sums: NDArray[np.int64] = taps[0] * (phi[before] + psi[previous]) + taps[1] * (phi[after] + psi[letter])
        return sums


def recognise(cube: Cube, contexts: Contexts) -> Threshold | None:
    """The cheapest threshold that holds exactly on the cube, or None. O(contexts) per choice tried."""
    holds = contexts.holds(cube)
    if not holds.any():
        return None
    best: Threshold | None = None
    for phi_of, psi_weight, taps in _choices(cube):
        phi = np.zeros(contexts.n_sets + 1, dtype=np.int64)
        for number, weight in phi_of.items():
            phi[number] = weight
        psi = np.zeros(contexts.bos + 2, dtype=np.int64)
        psi[sorted(cube.letters)] = psi_weight
        sums = contexts.sums(phi, psi, taps)
        theta, top = int(sums[holds].min()), int(sums[holds].max())
        # theta >= 1 keeps the channel silent on padding, where s = 0.
        if theta < 1 or (sums[~holds] >= theta).any():
            continue
        found = Threshold(
            phi_of, dict.fromkeys(sorted(cube.letters), psi_weight) if psi_weight else {}, taps, theta, theta == top
        )
        if found.exact:
            return found
        best = best or found
    return best


def _choices(cube: Cube) -> Iterable[tuple[dict[int, int], int, tuple[int, int]]]:
    """(phi, weight of psi, taps) to try, those without letter noise first."""
    after = cube.after
    if cube.before is None:
        one = {} if after is None else dict.fromkeys(sorted(after), 1)
        if after is not None:
            yield one, 0, (0, 1)
            yield {}, 1, (0, 1)
        yield one, 1, (0, 1)
        return
    assert after is not None, "a literal on the set before needs one on the set after (see cubes._grow)"
    only, both = sorted(cube.before - after), sorted(after & cube.before)
    if both and not only:
        yield dict.fromkeys(both, 1), 0, (1, 1)
        yield dict.fromkeys(both, 2), 1, (1, 2)
    elif both:
        yield {**dict.fromkeys(only, 1), **dict.fromkeys(both, 2)}, 0, (1, 2)
        yield {**dict.fromkeys(only, 2), **dict.fromkeys(both, 3)}, 1, (1, 3)
    else:
        new = sorted(after)
        yield {**dict.fromkeys(only, -1), **dict.fromkeys(new, 1)}, 0, (-1, 1)
        yield {**dict.fromkeys(only, -1), **dict.fromkeys(new, 1)}, 1, (-1, 1)
        yield {**dict.fromkeys(only, -2), **dict.fromkeys(new, 1)}, 1, (-1, 2)
