"""One entry of a state, along a cycle of inputs that is repeated for ever."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Literal

from .numbers import rounded

Kind = Literal["constant", "cycles", "grows", "converges", "undecided"]
Vector = tuple[Fraction, ...]


@dataclass(frozen=True)
class Loop:
    """The gates and writes of one entry along one cycle of the input: an affine map, rounded at every step.

    Attributes:
        gates: rounded.
        writes: likewise.
        bits: fractional bits; None for no rounding.
    """

    gates: Vector
    writes: Vector
    bits: int | None

    def map(self, h: Fraction) -> Fraction:
        """One cycle, rounded as the model is."""
        for a, b in zip(self.gates, self.writes, strict=True):
            h = rounded(a * h + b, self.bits)
        return h

    def finer(self, found: Vector, passes: int, unit: int) -> tuple[Vector, int]:
        """Samples after every w, of values found after every cycle of several w; and their least period."""
        values = []
        for h in found:
            values.append(h)
            for t in range(unit * (passes - 1)):
                h = rounded(self.gates[t] * h + self.writes[t], self.bits)
                if (t + 1) % unit == 0:
                    values.append(h)
        least = next(p for p in range(1, len(values) + 1) if len(values) % p == 0 and values[p:] + values[:p] == values)
        return tuple(values[:least]), least

    def fate(self, h: Fraction, budget: int) -> tuple[Kind, int, int, Vector]:
        """Kind, cycles until it holds, period in cycles, values of one period."""
        product = reduce(lambda a, b: a * b, self.gates)
        if product < 0:
            # The square of the map has a positive product; what grows under it grows under the map.
            twice = Loop(self.gates * 2, self.writes * 2, self.bits)
            kind, first, period, found = twice.fate(h, budget)
            if kind not in ("constant", "cycles"):
                return kind, 2 * first, 0, ()
            once = [g for value in found for g in (value, self.map(value))]
            period = next(p for p in range(1, len(once) + 1) if len(once) % p == 0 and once[p:] + once[:p] == once)
            return ("constant" if period == 1 else "cycles"), 2 * first, period, tuple(once[:period])
        constant, error = self._affine()
        shift = self._shift() if product == 1 else None
        seen: dict[Fraction, int] = {}
        residues: dict[Fraction, int] = {}
        path: list[Fraction] = []
        for n in range(budget + 1):
            if h in seen:
                start = seen[h]
                return ("constant" if n - start == 1 else "cycles"), start, n - start, tuple(path[start:])
            # How far it moves, rounding aside; the further it goes that way, the further (product - 1 >= 0).
            if product >= 1 and abs((product - 1) * h + constant) > error:
                return "grows", n, 0, ()
            if shift is not None:
                residue = h % shift
                if residue in residues:
                    return "grows", residues[residue], 0, ()
                residues[residue] = n
            if self.bits is None and product < 1 and h != constant / (1 - product) and product != 0:
                return "converges", n, 0, ()
            seen[h] = n
            path.append(h)
            h = self.map(h)
        return "undecided", budget, 0, ()

    def _affine(self) -> tuple[Fraction, Fraction]:
        """C of the map without rounding, and a bound on what rounding changes in one cycle."""
        constant, error = Fraction(0), Fraction(0)
        half = Fraction(0) if self.bits is None else Fraction(1, 2 << self.bits)
        for a, b in zip(self.gates, self.writes, strict=True):
            constant = a * constant + b
            # A whole gate maps multiples of 2^-p to such, and so do the (rounded) writes: nothing is rounded.
            error = abs(a) * error + (half if a.denominator > 1 else 0)
        return constant, error

    def _shift(self) -> Fraction | None:
        """A translation that the rounded map commutes with, if its product is 1; None without rounding.

        Each partial product of gates times the shift is a multiple of 2^-p, which rounding commutes with. So two
        samples that agree modulo the shift are followed by steps that agree, and if they differ, the difference adds
        up.
        """
        if self.bits is None:
            return None
        partial, denominators = Fraction(1), [1]
        for a in self.gates:
            partial *= a
            denominators.append(partial.denominator)
        return Fraction(math.lcm(*denominators))
