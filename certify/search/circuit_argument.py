"""What the arguments for counters and for slots have in common: blocks in exact arithmetic, and one that counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...automata.alphabet import EOS
from ...automata.bounded_dyck import BoundedDyck
from ...automata.budget import Budget
from ...automata.counters.machine import CounterMachine
from ...models.readout import Readout
from ...models.run.stepper import Stepper
from .explore import Stage, WordGraph
from .obligations import (
    ACCUMULATOR,
    Array,
    Inputs,
    Ledger,
    Obligation,
    as_array,
    check_head,
    check_inputs,
    check_output,
    rms_norm,
)
from .prove import BATCH

Bools = NDArray[np.bool_]
Note = Callable[[str], None]


@dataclass(frozen=True)
class CircuitProof:
    """What a certificate of a counter language or a bounded Dyck language rests on.

    Attributes:
        method: "counters" or "slots".
        stages: the control's blocks, explored.
        inputs: the word graph that the first block reads.
        cases: how many read-outs were looked at.
        margin: the smallest |score| while the word lives.
        limits: for each counter, the |value| up to which the claim holds.
        obligations: all of them hold.
        places: the entries (block, channel, state) that hold each counter.
    """

    method: str
    stages: tuple[Stage, ...]
    inputs: WordGraph
    cases: int
    margin: float
    limits: Mapping[str, int]
    obligations: tuple[Obligation, ...]
    places: Mapping[str, tuple[tuple[int, int, int], ...]] = field(default_factory=dict)

    scope = "every-implementation"


class NotProvedError(Exception):
    """A step of the argument fails on these weights."""


def need(condition: Any, reason: str) -> None:
    """Raise :class:`NotProvedError` unless a condition holds."""
    if not condition:
        raise NotProvedError(reason)


@dataclass(frozen=True)
class Counted:
    """After the counting block: base(node) + sum of axes[i] * counter i."""

    base: Array
    axes: Array

    def at(self, nodes: Any, values: Any) -> Array:
        """The vectors of nodes with given counters."""
        result: Array = self.base[nodes] + np.asarray(values, dtype=np.float64) @ self.axes
        return result


class Argument:
    """A model, a language, and the obligations that have been looked at.

    Args:
        model: a ``transformers`` ``MambaForCausalLM``.
        language: the language.
        readout: how they are bound.
        budget: of the search in the control.
        note: told now and then what is going on.
    """

    def __init__(
        self, model: Any, language: CounterMachine | BoundedDyck, readout: Readout, budget: Budget, note: Note
    ) -> None:
        self.model, self.language, self.readout, self.budget, self.note = model, language, readout, budget, note
        self.stepper = Stepper(model, BATCH)
        self.blocks = self.stepper.blocks
        self.ledger = Ledger()
        self.extremes: list[Array] = []
        self.places: list[list[tuple[int, int]]] = []
        self.letters = language.alphabet
        self.bos = len(self.letters)
        self.columns = readout.columns(self.letters)
        self.names = [*(self.letters if readout.next_index else ()), *(() if readout.accept is None else (EOS,))]
        need(readout.threshold == 0, "the readout's threshold is not 0")

    def embedded(self) -> torch.Tensor:
        """The embedding of each letter, then of ``<bos>``."""
        ids = [*(self.readout.tokens[s] for s in self.letters), self.readout.bos]
        return self.stepper.embed(torch.tensor(ids, dtype=torch.long))

    def now_only(self, block: Any, name: str) -> None:
        """The block's convolution reads the present only."""
        weight = as_array(block.mixer.conv1d.weight)[:, 0, :-1]
        need((weight == 0).all(), f"{name} reads the past, which this argument does not cover")

    def inputs(self, block: Any, vectors: Array, name: str) -> Inputs:
        """What the inputs of a block that sees the present only decide."""
        past = np.zeros((len(vectors), block.mixer.intermediate_size, block.mixer.conv_kernel_size))
        return check_inputs(self.ledger, block, vectors, past, name)

    def count(
        self,
        block: Any,
        vectors: Array,
        is_bos: Bools,
        changes: Array,
    ) -> Counted:
        """Step 2 of the argument. ``changes`` has a column per counter."""
        name = "the counting block"
        self.now_only(block, name)
        inputs = self.inputs(block, vectors, name)
        written = (inputs.write != 0).any(axis=0)
        overwritten = ~inputs.held.any(axis=0) & written
        counts = inputs.held[~is_bos].all(axis=0) & ~inputs.held[is_bos].any(axis=0) & written & ~overwritten
        need((overwritten | counts | ~written).all(), f"{name}: an entry is held here and overwritten there")
        need((inputs.write[:, counts] % 1 == 0).all(), f"{name}: an entry counts what is no integer")
        known = ~np.isnan(changes[:, 0])
        which = np.full(written.shape, -1)
        like: dict[bytes, int] = {}
        for c, n in np.argwhere(counts):
            found = [i for i in range(changes.shape[1]) if (inputs.write[known, c, n] == changes[known, i]).all()]
            need(found, f"{name}: channel {c} counts something else than a counter of the language")
            # Counters that are always equal can have an entry each.
            key = inputs.write[:, c, n].tobytes()
            which[c, n] = found[like.get(key, 0) % len(found)]
            like[key] = like.get(key, 0) + 1
        self.places = [[(int(c), int(n)) for c, n in np.argwhere(which == i)] for i in range(changes.shape[1])]
        for i in range(changes.shape[1]):
            alike = inputs.write[:, which == i]
            need((alike == alike[:, :1]).all(), f"{name}: entries of counter {i} differ once a word has died")
        reads = np.stack([(which == i).any(axis=1) for i in range(changes.shape[1])])
        need((reads.sum(axis=0) <= 1).all(), f"{name}: a channel reads two counters")
        out = as_array(block.mixer.out_proj.weight)
        shown = inputs.gate[:, :, None] * inputs.c_read[:, None, :]  # k, before out_proj
        axes = []
        for i in range(changes.shape[1]):
            axis = (shown * (which == i)).sum(axis=2) @ out.T
            need((axis == axis[0]).all(), f"{name}: counter {i} is not shown alike at all letters")
            axes.append(axis[0])
        need(((np.array(axes) != 0).sum(axis=0) <= 1).all(), f"{name}: two counters are shown in one feature")
        present = np.where(overwritten, inputs.write, 0.0)
        base = vectors + ((shown * present).sum(axis=2) + inputs.skip * inputs.gate) @ out.T
        for extreme in self.extremes:
            values = np.where(which >= 0, np.append(extreme, 0.0)[which], present)
            found_out = check_output(self.ledger, block, vectors, inputs, values, name)
            self.holds()
            need((found_out == base + extreme @ np.array(axes)).all(), f"{name}: the sum of its parts is another")
        return Counted(base, np.array(axes))

    def holds(self) -> None:
        """Every obligation that was looked at holds so far."""
        for obligation, where in self.ledger.failure.items():
            need(False, f"obligation {obligation} fails: {where}")

    def slopes(self, norm: Any, weight: Array, counted: Counted) -> Array:
        """How each row of a weight depends on each counter, shape (counters, rows); the norm is linear here."""
        base = counted.base[:1]
        inner = normed(norm, np.concatenate([base, base + counted.axes]))
        result: Array = (inner[1:] - inner[:1]) @ weight.T
        return result

    def unseen(self, norm: Any, weight: Array, counted: Counted, name: str) -> None:
        """A weight behind a norm does not read the raw counters."""
        need((self.slopes(norm, weight, counted) == 0).all(), f"{name} reads a raw counter")

    def verdicts(self, vectors: Array, right: Bools) -> float:
        """The scores of cases have the right signs; the smallest size of any."""
        scores = check_head(self.ledger, self.model, vectors)[:, self.columns]
        self.holds()
        wrong = ((scores > 0) != right).any(axis=1)
        count = f"{int(wrong.sum())} of {len(wrong)}"
        need(not wrong.any(), f"{count} read-outs are not what this description of the language demands")
        return float(np.abs(scores).min())

    def obligations(self) -> tuple[Obligation, ...]:
        """All of them; each must hold."""
        found = self.ledger.obligations()
        for o in found:
            need(o.holds, f"obligation {o.name} fails: {o.detail}")
        return found


def normed(norm: Any, vectors: Array) -> Array:
    """RMSNorm in exact arithmetic; its obligations are checked where the vectors go through a block."""
    return rms_norm(Ledger(), norm, vectors, ACCUMULATOR, "")
