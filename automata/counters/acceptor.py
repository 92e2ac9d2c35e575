"""Ground truth for counter languages: control states by table look-up, counters by cumulative sums, in NumPy.

Built from the machine's definition alone; shares no code with the compiler.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..acceptor import Acceptor, Codes, Index
from ..alphabet import Word
from .machine import TESTS, CounterMachine


class CounterAcceptor:
    """Runs batches of words through a counter machine. O(symbols * (counters + letters)), no loop over time.

    Attributes:
        control: its states are the machine's, in their order, and then the dead one, the only one that rejects.
    """

    def __init__(self, machine: CounterMachine) -> None:
        self.machine, self.alphabet = machine, machine.alphabet
        states = machine.states
        number = {q: n for n, q in enumerate(states)}
        n, k, m = len(states), len(self.alphabet), len(machine.counters)
        # The state after the last is the dead one, where every letter leads back and no test holds.
        table = np.full((n + 1, k), n)
        self._add = np.zeros((n + 1, k, m), dtype=np.int64)
        # _holds[q, a, i, sign + 1]: whether the test of counter i that letter a makes in q holds of that sign.
        self._holds = np.zeros((n + 1, k + 1, m, 3), dtype=np.bool_)
        for q in states:
            for a, symbol in enumerate(self.alphabet):
                step = machine.transitions.get(q, {}).get(symbol)
                if step is None:
                    continue
                table[number[q], a] = number[step.to]
                for i, counter in enumerate(machine.counters):
                    self._add[number[q], a, i] = step.add.get(counter.name, 0)
                    self._holds[number[q], a, i] = _signs(step.when.get(counter.name))
            if q in machine.accepting:
                for i, counter in enumerate(machine.counters):
                    self._holds[number[q], k, i] = _signs(machine.accepting[q].get(counter.name))
        self.control = Acceptor(self.alphabet, table, 0, range(n))
        self._initial = np.array([c.initial for c in machine.counters], dtype=np.int64)

    def encode(self, words: Sequence[Word]) -> tuple[Codes, Index]:
        """Letter numbers, padded with 0, and the lengths; :class:`UnknownSymbolError` for a foreign symbol."""
        return self.control.encode(words)

    def values(self, codes: ArrayLike, lengths: ArrayLike) -> NDArray[np.int64]:
        """What every counter holds after every prefix; shape (words, longest + 1, counters). Meaningless once dead."""
        letters = np.asarray(codes).astype(np.intp)
        states = self.control.states(letters, lengths).astype(np.intp)
        moves = self._add[states[:, :-1], letters]
        start = np.broadcast_to(self._initial, (len(letters), 1, len(self._initial)))
        return np.concatenate([start, moves], axis=1).cumsum(axis=1)

    def next_masks(self, codes: ArrayLike, lengths: ArrayLike) -> NDArray[np.bool_]:
        """Which symbols may come next after every prefix, then whether the word may end: (words, longest + 1, k + 1).

        All false after a dead prefix; what stands behind the end of a word is meaningless.
        """
        letters = np.asarray(codes).astype(np.intp)
        states = self.control.states(letters, lengths).astype(np.intp)
        signs = np.sign(self.values(letters, lengths)) + 1
        mask = np.ones((*states.shape, len(self.alphabet) + 1), dtype=np.bool_)
        for i in range(signs.shape[-1]):
            mask &= self._holds[states, :, i, signs[..., i]]
        read = np.take_along_axis(mask[:, :-1], letters[..., None], axis=2)[..., 0]
        dead = np.logical_or.accumulate(~read, axis=1)
        mask[:, 1:][dead] = False
        return mask


def _signs(test: str | None) -> NDArray[np.bool_]:
    """Of the signs -1, 0, 1, under which a test holds; no test always holds."""
    return np.array([test is None or sign in TESTS[test] for sign in (-1, 0, 1)])
