"""Exact sums: whether any order of summation in float32 gives the same number, and formats that hold it.

Everything is computed in float64. A term is the product of two 24-bit numbers, so float64 holds it exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Format:
    """A floating-point format: significant bits, largest finite and smallest normal number."""

    bits: int
    largest: float
    smallest: float


ACCUMULATOR = Format(24, 2.0**128 - 2.0**104, 2.0**-126)
FORMATS = {
    torch.float32: ACCUMULATOR,
    torch.bfloat16: Format(8, 2.0**128 - 2.0**120, 2.0**-126),
    torch.float16: Format(11, 65504.0, 2.0**-14),
}


@dataclass(frozen=True)
class Obligation:
    """One obligation and what became of it.

    Attributes:
        name: which.
        holds: whether it was found to hold everywhere.
        checked: how many instances were looked at.
        detail: the first instance that fails, or the tightest bound.
    """

    name: str
    holds: bool
    checked: int
    detail: str

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {"name": self.name, "holds": self.holds, "checked": self.checked, "detail": self.detail}


class Ledger:
    """Collects instances of the obligations over blocks."""

    NAMES = ("gates", "sums", "functions", "rmsnorm")

    def __init__(self) -> None:
        self.checked = dict.fromkeys(self.NAMES, 0)
        self.failure: dict[str, str] = {}
        self.tightest = 0.0

    def note(self, name: str, good: NDArray[np.bool_], where: str) -> None:
        """Record instances; keep the first place where one fails."""
        self.checked[name] += int(good.size)
        if not good.all() and name not in self.failure:
            self.failure[name] = f"{where}: {int((~good).sum())} of {good.size} fail"

    def obligations(self) -> tuple[Obligation, ...]:
        """All of them, in a fixed order."""
        details = dict.fromkeys(self.NAMES, "")
        details["sums"] = f"largest sum |t| / (2^{ACCUMULATOR.bits} q) = {self.tightest:.3g}"
        return tuple(
            Obligation(n, n not in self.failure, self.checked[n], self.failure.get(n, details[n])) for n in self.NAMES
        )


def lowest_bit(values: Array) -> Array:
    """The largest power of two that divides each number, 0 for 0 (float64, exact)."""
    mantissa, exponent = np.frexp(values)
    whole = (mantissa * 2.0**53).astype(np.int64)
    result: Array = np.ldexp((whole & -whole).astype(np.float64), exponent - 53)
    return result


def check_sum(ledger: Ledger, weight: Array, inputs: Array, extra: Array | None, stored: Format, where: str) -> Array:
    """The sums inputs @ weight.T (+ extra), with the obligation that no order of summation rounds.

    Args:
        ledger: where to record.
        weight: shape (outputs, n).
        inputs: shape (rows, n).
        extra: one more term per output (a bias), shape (outputs,); None for none.
        stored: the format that the result is stored in.
        where: for the message.
    """
    first, row = distinct_rows(inputs)
    columns = np.ascontiguousarray(inputs[first].T)
    positive = np.zeros((len(weight), len(first)))
    negative = np.zeros_like(positive)
    quantum = np.full_like(positive, np.inf)
    weight_bit, input_bit = lowest_bit(weight), lowest_bit(columns)
    unit_of = np.where(input_bit > 0, input_bit, np.inf)
    # Compiled weights are mostly zero: go through the non-zero ones, not the matrix.
    for o, i in zip(*np.nonzero(weight), strict=True):
        term = weight[o, i] * columns[i]
        positive[o] += np.maximum(term, 0.0)
        negative[o] -= np.minimum(term, 0.0)
        np.minimum(quantum[o], weight_bit[o, i] * unit_of[i], out=quantum[o])
    if extra is not None:
        term = np.broadcast_to(extra[:, None], positive.shape)
        positive, negative = positive + np.maximum(term, 0.0), negative - np.minimum(term, 0.0)
        unit = lowest_bit(term)
        quantum = np.minimum(quantum, np.where(unit > 0, unit, np.inf))
    total = _settle(ledger, positive, negative, quantum, stored, where)
    result: Array = np.ascontiguousarray(total[:, row].T)
    return result


def distinct_rows(rows: Array) -> tuple[list[int], list[int]]:
    """The first position of each distinct row, and for each row which of them it is."""
    number: dict[bytes, int] = {}
    which = [number.setdefault(row.tobytes(), len(number)) for row in rows]
    first = [-1] * len(number)
    for position, n in reversed(list(enumerate(which))):
        first[n] = position
    return first, which


def check_terms(ledger: Ledger, terms: Array, stored: Format, where: str) -> Array:
    """The sums of ``terms`` over the last axis, with the obligation that no order of summation rounds."""
    unit = lowest_bit(terms)
    quantum = np.where(unit > 0, unit, np.inf).min(axis=-1)
    positive, negative = np.maximum(terms, 0.0).sum(axis=-1), -np.minimum(terms, 0.0).sum(axis=-1)
    return _settle(ledger, positive, negative, quantum, stored, where)


def _settle(ledger: Ledger, positive: Array, negative: Array, quantum: Array, stored: Format, where: str) -> Array:
    """The sums. Every partial sum is a multiple of the quantum between -``negative`` and ``positive``.

    So there is no overflow, no subnormal and no rounding.
    """
    total, size = np.asarray(positive - negative), np.maximum(positive, negative)
    limit = np.where(np.isfinite(quantum), quantum, 1.0) * 2.0**ACCUMULATOR.bits
    ledger.tightest = max(ledger.tightest, float((size / limit).max(initial=0.0)))
    in_range = (size <= ACCUMULATOR.largest) & (quantum >= ACCUMULATOR.smallest)
    ledger.note("sums", (size <= limit) & in_range & fits(total, stored), where)
    return total


def fits(values: Array, stored: Format) -> NDArray[np.bool_]:
    """Whether a format holds each number exactly, as zero or a normal number."""
    good: NDArray[np.bool_] = np.ones(values.shape, dtype=np.bool_)
    some = values != 0
    chosen = values[some]
    size = np.abs(chosen)
    in_range = (size >= stored.smallest) & (size <= stored.largest)
    good[some] = in_range & (size <= lowest_bit(chosen) * (2.0**stored.bits - 1))
    return good
