"""One entry of a state, along a cycle of inputs that is repeated for ever."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from operator import mul
from typing import Literal

from .numbers import rounded

Kind = Literal["constant", "cycles", "grows", "converges", "undecided"]


@dataclass(frozen=True)
class EntryFate:
    """What becomes of one entry of the state, sampled after every w.

    Attributes:
        kind: see :mod:`.settling`.
        samples: how many w it takes until it holds (for "undecided": how many were tried).
        period: in w; 1 for "constant", more for "cycles", 0 for the others.
        values: the samples of one period; empty for the others.
    """

    kind: Kind
    samples: int
    period: int = 0
    values: tuple[Fraction, ...] = ()

    @property
    def repeats(self) -> bool:
        """Whether it is constant or cycles."""
        return bool(self.values)

    def __str__(self) -> str:
        if self.kind == "undecided":
            return f"undecided after n = {self.samples}" if self.samples else "undecided: a layer below does not repeat"
        values = f", period {self.period}: {', '.join(map(str, self.values))}" if self.values else ""
        return f"{self.kind} from n = {self.samples}{values}"


@dataclass(frozen=True)
class Loop:
    """The affine maps h -> a h + b of one entry along one cycle of the input, each rounded.

    Attributes:
        steps: a and b, rounded.
        unit: the length of w, which divides that of the cycle: the input repeats after several w.
        bits: fractional bits; None for no rounding.
    """

    steps: tuple[tuple[Fraction, Fraction], ...]
    unit: int
    bits: int | None

    def fate(self, h: Fraction, budget: int) -> EntryFate:
        """What becomes of h; ``samples`` is counted from here. O(budget * unit) operations."""
        products = list(accumulate((a for a, _ in self.steps), mul))
        if products[-1] < 0:
            # The square of the map has a positive product; what grows under it grows under the map.
            return Loop(self.steps * 2, self.unit, self.bits).fate(h, budget)
        whole, passes = products[-1], len(self.steps) // self.unit
        constant, error = self._affine()
        # Each partial product of gates times the shift is a multiple of 2^-p, which rounding commutes with: two samples
        # that agree modulo the shift are followed by steps that agree, and if they differ, the difference adds up.
        shift = math.lcm(*(a.denominator for a in products)) if whole == 1 and self.bits is not None else None
        seen: dict[tuple[int, Fraction], int] = {}
        residues: dict[Fraction, int] = {}
        path: list[Fraction] = []
        for n in range(budget * passes + 1):
            if (n % passes, h) in seen:
                return _repeating(path, seen[n % passes, h])
            if n % passes == 0:
                # How far it moves, rounding aside; the further it goes that way, the further (whole - 1 >= 0).
                if whole >= 1 and abs((whole - 1) * h + constant) > error:
                    return EntryFate("grows", n)
                if shift is not None and residues.setdefault(h % shift, n) != n:
                    return EntryFate("grows", residues[h % shift])
                if self.bits is None and 0 < whole < 1 and h != constant / (1 - whole):
                    return EntryFate("converges", n)
            seen[n % passes, h] = n
            path.append(h)
            start = n % passes * self.unit
            for a, b in self.steps[start : start + self.unit]:
                h = rounded(a * h + b, self.bits)
        return EntryFate("undecided", budget)

    def _affine(self) -> tuple[Fraction, Fraction]:
        """C of the map without rounding, and a bound on what rounding changes in one cycle."""
        constant, error = Fraction(0), Fraction(0)
        half = Fraction(0) if self.bits is None else Fraction(1, 2 << self.bits)
        for a, b in self.steps:
            constant = a * constant + b
            # A whole gate maps multiples of 2^-p to such, and so do the (rounded) writes: nothing is rounded.
            error = abs(a) * error + (half if a.denominator > 1 else 0)
        return constant, error


def _repeating(path: list[Fraction], start: int) -> EntryFate:
    """The fate of samples that repeat from ``start`` on."""
    found = path[start:]
    period = next(p for p in range(1, len(found) + 1) if len(found) % p == 0 and found[p:] + found[:p] == found)
    return EntryFate("constant" if period == 1 else "cycles", start, period, tuple(found[:period]))
