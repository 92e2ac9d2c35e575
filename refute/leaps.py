"""Counters under x w^n: many turns at once, where each adds the same to every entry of the state, exactly.

An entry with gate 1 that a turn adds a constant to does not settle before float addition absorbs the constant, which
for a counter in float32 takes 2^24 turns. A *leap* goes over turns along which the states are S, S + D, ..., S + M D.
That they are is proved by the checker's own argument (``refute.checker.lines``); here a large M is looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..certify.checker.arithmetic import FORMATS
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

    def holds(turns: int) -> bool:
        return not why_not_a_line(model, word, before, after, turns)

    top = _turns_until_full(before[moving], after[moving], bits)
    if top < SHORTEST or not holds(SHORTEST):
        return 0
    good, bad, back = SHORTEST, top + 1, 0
    while good < top - back:
        if holds(top - back):
            good = top - back
            break
        bad, back = top - back, 2 * back + 1
    return _last(holds, good, bad)


def _turns_until_full(values: NDArray[np.float64], after: NDArray[np.float64], bits: int) -> int:
    """After how many turns the first of some entries that count is 2^bits times its lowest bit."""
    change = after - values
    unit = np.minimum(_lowest_bit(values), _lowest_bit(change))
    turns = (np.where(change > 0, 1, -1) * -values + 2.0**bits * unit) / np.abs(change)
    return int(min(turns.min(), LONGEST))


def _lowest_bit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The value of the lowest bit of each number; infinite for 0."""
    mantissa, exponent = np.frexp(values)
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    lowest = np.ldexp((whole & -whole).astype(np.float64), exponent - 53)
    return np.where(values == 0, np.inf, lowest)


def _last(holds: Callable[[int], bool], good: int, bad: int) -> int:
    """The largest number below ``bad`` for which something holds that holds at ``good``, and below where it holds."""
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    return good
