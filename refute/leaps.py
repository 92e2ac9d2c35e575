"""Counters under x w^n: many turns at once, where each adds the same to every entry of the state, exactly.

An entry with gate 1 that a turn adds a constant to does not settle before float addition absorbs the constant, which
for a counter in float32 takes 2^24 turns. A *leap* proves that the states along the way are S, S + D, ..., S + M D.

Write t for the number of turns since S, and suppose that the state is affine in t. Then so is everything that a turn
computes, provided that each function stays in one piece of its domain, that no product has two factors that change
(the write Delta B x may), and that nothing is rounded. That is looked at in exact arithmetic at t = 0, 1, 2, M - 2,
M - 1 and M, with the obligations of ``compiler.obligations``, and carries over to the turns between:

- A sum of terms affine in t has positive and negative parts that are convex in t, so they are largest at an end. Of two
  neighbouring t, one has each term's least power of two.
- What is affine and beyond a bound at both ends is so between, hence in one piece of silu or softplus; and what is
  affine in each of two pieces, or a product of three affine factors, is not on one line at these six t otherwise: it
  would have too many zeros.
- RMSNorm divides by one power of two throughout if the largest entries of the stream stay the same.

At the end of the turn the state has to be S + (t + 1) D.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..certify.search.exact_sums import ACCUMULATOR, FORMATS, Array, Ledger, check_terms, lowest_bit
from ..certify.search.obligations import check_inputs, check_output
from ..models.run.single_step import Numbers

LONGEST = 1 << 32
"""Turns of one leap."""


@dataclass(frozen=True)
class Leap:
    """The states after x w^start, ..., x w^end are S, S + D, S + 2 D, ...; there are at least ``SHORTEST`` turns."""

    start: int
    end: int

    def as_json(self) -> list[int]:
        """For machines."""
        return [self.start, self.end]


SHORTEST = 64
ROWS = 6


def longest_leap(model: Any, word: Sequence[int], state: Numbers, following: Numbers) -> int:
    """How many turns from ``state`` on can be proved to add ``following - state`` each; 0 if fewer than SHORTEST.

    Args:
        model: a ``transformers`` ``MambaForCausalLM``.
        word: tokens.
        state: the complete state, as ``Step.numbers`` gives it.
        following: that after one more turn.

    O(log M) proofs, each of them O(word * size of the model).
    """
    if model.lm_head.weight.dtype not in FORMATS or not (state != following).any():
        return 0
    proof = _Proof(model, word, state, following - state)
    good, bad = 0, SHORTEST
    while bad <= LONGEST and proof.holds(bad):
        good, bad = bad, bad * 2
    while good and bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if proof.holds(middle) else (good, middle)
    return good


@dataclass(frozen=True)
class _Proof:
    model: Any
    word: Sequence[int]
    state: Numbers
    change: Numbers

    def holds(self, turns: int) -> bool:
        """Whether the next so many turns, at least 5, add ``change`` each."""
        times: Array = np.array([0.0, 1.0, 2.0, turns - 2.0, turns - 1.0, turns])[:, None]
        # The states between turns; those after the last one are not read any more.
        rows = self.state + times * self.change
        if not _affine(rows, times):
            return False
        parts, at = [], 0
        for block in self.model.backbone.layers:
            mixer = block.mixer
            shapes = [
                (mixer.intermediate_size, mixer.conv_kernel_size),
                (mixer.intermediate_size, mixer.ssm_state_size),
            ]
            for shape in shapes:
                size = shape[0] * shape[1]
                parts.append(rows[:, at : at + size].reshape(ROWS, *shape))
                at += size
        ledger = Ledger()
        for token in self.word:
            embedding = self.model.backbone.embeddings.weight[token].detach().double().numpy()
            stream: Array = np.broadcast_to(embedding, (ROWS, len(embedding)))
            for i, block in enumerate(self.model.backbone.layers):
                past, states = parts[2 * i : 2 * i + 2]
                found = _step(ledger, block, stream, past, states, times)
                if found is None or ledger.failure:
                    return False
                stream, parts[2 * i], parts[2 * i + 1] = found
        after = np.concatenate([part.reshape(ROWS, -1) for part in parts], axis=1)
        return bool((after == rows + self.change).all())


def _step(
    ledger: Ledger, block: Any, stream: Array, past: Array, states: Array, times: Array
) -> tuple[Array, Array, Array] | None:
    """One step of a block at the six times; None where something does not stay affine."""
    size = np.abs(stream)
    largest = size[0] == size[0].max()
    if not (stream[:, largest] == stream[:1, largest]).all() or (size.max(axis=1) != size[0].max()).any():
        return None
    with np.errstate(all="ignore"):
        inputs = check_inputs(ledger, block, stream, past, "leap")
        held = inputs.held
        constants = (held, inputs.c_read, inputs.gate)
        if ledger.failure or not all((rows == rows[:1]).all() for rows in constants):
            return None
        gated = np.where(held, states, 0.0)
        new = check_terms(ledger, np.stack([gated, inputs.write], axis=3), ACCUMULATOR, "leap state")
        out = check_output(ledger, block, stream, inputs, new, "leap")
    affine = all(_affine(rows.reshape(ROWS, -1), times) for rows in (inputs.window, inputs.x, inputs.write, new, out))
    return (out, inputs.window, new) if affine else None


def _affine(rows: Array, times: Array) -> bool:
    """Whether the rows lie on one line over ``times``, in steps that are normal float32."""
    step = rows[1:2] - rows[:1]
    units: NDArray[np.float64] = lowest_bit(np.concatenate([rows[:1], step]))
    normal = (units == 0) | (units >= ACCUMULATOR.smallest)
    return bool((rows == rows[:1] + times * step).all() and normal.all())
