"""Counters under x w^n: many turns at once, where each adds the same to every entry of the state, exactly.

An entry with gate 1 that a turn adds a constant to does not settle before float addition absorbs the constant, which
for a counter in float32 takes 2^24 turns. A *leap* goes over turns along which the states are S, S + D, ..., S + M D.
That they are is proved by the checker's own argument (``refute.checker.lines``); here a large M is looked for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..certify.checker.arithmetic import FORMATS, exactly
from .checker.lines import why_not_a_line

SHORTEST = 64
"""Turns that are worth a proof."""

LONGEST = 1 << 32


def longest_leap(model: Any, word: Sequence[int], state: NDArray[np.floating], following: NDArray[np.floating]) -> int:
    """How many turns from ``state`` on can be proved to add ``following - state`` each; 0 if fewer than SHORTEST.

    Args:
        model: a ``transformers`` ``MambaForCausalLM``.
        word: tokens.
        state: the complete state, as ``refute.checker.lines`` takes it.
        following: that after one more turn.

    The proof holds for fewer turns, too. It fails where an entry is as large as its significant bits allow, or a little
    before, so that a few proofs down from there are enough: O(log M), each O(word * weights that are not zero).
    """
    before, after = state.astype(np.float64), following.astype(np.float64)
    bits, *_ = FORMATS.get(str(model.lm_head.weight.dtype).removeprefix("torch."), (0,))
    moving = before != after
    if not bits or not moving.any():
        return 0

    def fails(turns: int) -> bool:
        return bool(why_not_a_line(model, word, before, after, turns))

    top = _turns_until_full(before[moving], (after - before)[moving], bits)
    if top < SHORTEST or fails(SHORTEST):
        return 0
    back = next(b for b in (2**k - 1 for k in count()) if top - b <= SHORTEST or not fails(top - b))
    good = max(top - back, SHORTEST)
    return int(good - 1 + bisect_left(range(good, top - back // 2 + 1), True, key=fails))


def _turns_until_full(values: NDArray[np.float64], change: NDArray[np.float64], bits: int) -> int:
    """After how many turns the first of some entries that count is 2^bits times its lowest bit."""
    unit = np.ldexp(1.0, np.minimum(exactly(values).unit, exactly(change).unit))
    turns = (np.where(change > 0, 1, -1) * -values + 2.0**bits * unit) / np.abs(change)
    return int(min(turns.min(), LONGEST))
