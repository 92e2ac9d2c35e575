"""Many turns of a counting model at once, in rational arithmetic, for the checker of refutations.

A number that depends on the turn t = 0, 1, ..., M as a + b t is a :class:`Line`. ``why_not_a_line`` runs one turn on a
state of lines and demands, for every t at once, that no operation rounds and that each function is evaluated where it
is the identity or a constant; then it compares the lines of the state afterwards with those of the next t.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ...automata.errors import ScancraftError

BITS = {"float32": 24, "bfloat16": 8, "float16": 11}
LARGEST = {"float32": 2**128 - 2**104, "bfloat16": 2**128 - 2**120, "float16": 65504}
SMALLEST = {"float32": Fraction(1, 2**126), "bfloat16": Fraction(1, 2**126), "float16": Fraction(1, 2**14)}
IDENTITY, VANISHES = 64, -1024
"""From 64 on silu and softplus are the identity; from -1024 down they and exp are 0; in every format."""
ONE = Fraction(1, 2**30)
"""exp is 1 between minus this and 0."""


class NotALineError(ScancraftError):
    """Something rounds, or bends."""


@dataclass(frozen=True, slots=True)
class Line:
    """a + b t."""

    a: Fraction
    b: Fraction = Fraction(0)

    def __bool__(self) -> bool:
        return bool(self.a or self.b)


ZERO = Line(Fraction(0))


def why_not_a_line(
    model: Any, word: Sequence[int], before: NDArray[np.float64], after: NDArray[np.float64], turns: int
) -> str:
    """Why it is not proved that so many turns from ``before`` on each add what the first one adds; "" if it is.

    Args:
        model: a ``transformers`` ``MambaForCausalLM``.
        word: the tokens of a turn.
        before: the complete state.
        after: that one turn later.
        turns: M, at least 1.

    O(word * weights that are not zero) rational operations.
    """
    state = [Line(Fraction(a), Fraction(b) - Fraction(a)) for a, b in zip(before.tolist(), after.tolist(), strict=True)]
    try:
        return _Turn(model, turns).run(word, state)
    except NotALineError as error:
        return str(error)


class _Turn:
    def __init__(self, model: Any, turns: int) -> None:
        self.model, self.last = model, Fraction(turns)
        dtype = str(model.lm_head.weight.dtype).removeprefix("torch.")
        if dtype not in BITS:
            raise NotALineError(f"turns in {dtype} are not looked at")
        self.dtype, self.where = dtype, ""
        self.weights = {name: tensor.detach().double().tolist() for name, tensor in model.state_dict().items()}

    def run(self, word: Sequence[int], state: list[Line]) -> str:
        blocks = list(self.model.backbone.layers)
        parts, at = [], 0
        for block in blocks:
            channels = block.mixer.intermediate_size
            for width in (block.mixer.conv_kernel_size, block.mixer.ssm_state_size):
                parts.append([state[at + c * width : at + (c + 1) * width] for c in range(channels)])
                at += channels * width
        for token in word:
            stream = [Line(Fraction(v)) for v in self.weights["backbone.embeddings.weight"][token]]
            for i, block in enumerate(blocks):
                stream, parts[2 * i], parts[2 * i + 1] = self.block(i, block, stream, parts[2 * i], parts[2 * i + 1])
        found = [line for part in parts for row in part for line in row]
        wrong = [k for k, (new, old) in enumerate(zip(found, state, strict=True)) if new != Line(old.a + old.b, old.b)]
        return f"entry {wrong[0]} of the state does not go on as it began" if wrong else ""

    def block(
        self, i: int, block: Any, stream: list[Line], past: list[list[Line]], states: list[list[Line]]
    ) -> tuple[list[Line], list[list[Line]], list[list[Line]]]:
        """One step of one block: the stream, the inputs of the convolution, and the SSM state, afterwards.

        Inputs of the convolution that only taps of weight 0 will meet again are 0.
        """
        self.where = f"block {i}"
        w = {n.removeprefix(f"backbone.layers.{i}."): v for n, v in self.weights.items() if f"layers.{i}." in n}
        m = block.mixer
        if m.activation not in ("silu", "swish"):
            self.fail(f"the activation is {m.activation}")
        channels, n, rank = m.intermediate_size, m.ssm_state_size, m.time_step_rank
        normed = self.norm(block.norm.variance_epsilon, w["norm.weight"], stream)
        projected = self.linear(w["mixer.in_proj.weight"], normed, w.get("mixer.in_proj.bias"))
        window = [[*row[1:], u] for row, u in zip(past, projected, strict=False)]
        bias = w.get("mixer.conv1d.bias") or [0.0] * channels
        x = []
        for row, (taps,), extra in zip(window, w["mixer.conv1d.weight"], bias, strict=True):
            terms = [self.times(Fraction(t), line) for t, line in zip(taps, row, strict=True)]
            x.append(self.silu_of_sum([*terms, Line(Fraction(extra))]))
        selected = self.linear(w["mixer.x_proj.weight"], x, None)
        b, c = selected[rank : rank + n], selected[rank + n :]
        steered = self.linear(w["mixer.dt_proj.weight"], selected[:rank], None)
        new, out = [], []
        for k in range(channels):
            delta = self.softplus(self.sum([steered[k], Line(Fraction(w["mixer.dt_proj.bias"][k]))]))
            row = []
            for j in range(n):
                gate = self.gate(delta, w["mixer.A_log"][k][j])
                write = self.write(delta, b[j], x[k])
                row.append(self.fits(self.sum([states[k][j], write]) if gate else write))
            new.append(row)
            read = self.sum([self.product(h, s) for h, s in zip(row, c, strict=True)])
            shown = self.sum([read, self.fits(self.times(Fraction(w["mixer.D"][k]), x[k]))])
            for line in row:
                self.fits(line, self.dtype)  # the state is rounded to the dtype where it is read
            out.append(self.fits(self.product(shown, self.silu(projected[channels + k])), self.dtype))
        mixed = self.linear(w["mixer.out_proj.weight"], out, w.get("mixer.out_proj.bias"))
        kept = "float32" if block.residual_in_fp32 else self.dtype
        met = [[any(taps[:k]) for k in range(len(taps))] for (taps,) in w["mixer.conv1d.weight"]]
        window = [[u if m else ZERO for u, m in zip(*rows, strict=True)] for rows in zip(window, met, strict=True)]
        return [self.sum([r, o], kept) for r, o in zip(stream, mixed, strict=True)], window, new

    # -- what must hold ------------------------------------------------------------------------------------------

    def fail(self, why: str) -> NoReturn:
        raise NotALineError(f"{self.where}: {why}")

    def ends(self, line: Line) -> tuple[Fraction, Fraction]:
        """The least and the greatest value."""
        values = (line.a, line.a + line.b * self.last)
        return min(values), max(values)

    def fits(self, line: Line, dtype: str = "float32") -> Line:
        """The same line, which a format holds exactly at every t."""
        if line:
            low, high = self.ends(line)
            size, unit = max(-low, high), _unit((line,))
            if size > min(unit * 2 ** BITS[dtype], LARGEST[dtype]) or unit < SMALLEST[dtype]:
                self.fail(f"up to {float(size):g} in steps of {float(unit):g} does not fit {dtype}")
        return line

    def sum(self, terms: Iterable[Line], dtype: str | None = None) -> Line:
        """A sum that no order of summation rounds."""
        some = [term for term in terms if term]
        if some:
            unit = _unit(some)
            for t in (Fraction(0), self.last):  # the positive and the negative part are convex in t
                values = [term.a + term.b * t for term in some]
                positive = sum((v for v in values if v > 0), Fraction(0))
                negative = -sum((v for v in values if v < 0), Fraction(0))
                if max(positive, negative) > unit * 2**24:
                    self.fail(f"a sum of up to {float(max(positive, negative)):g} in steps of {float(unit):g} rounds")
            if unit < SMALLEST["float32"]:
                self.fail("a sum underflows")
        total = Line(sum((t.a for t in some), Fraction(0)), sum((t.b for t in some), Fraction(0)))
        return self.fits(total, dtype or self.dtype)

    def times(self, factor: Fraction, line: Line) -> Line:
        return Line(factor * line.a, factor * line.b) if factor else ZERO

    def product(self, p: Line, q: Line) -> Line:
        """A product of which at most one factor changes."""
        if p.b and q.b:
            self.fail("a product has two factors that change")
        return self.times(q.a, p) if not q.b else self.times(p.a, q)

    def linear(self, weight: list[list[float]], x: list[Line], bias: list[float] | None) -> list[Line]:
        found = []
        for k, row in enumerate(weight):
            terms = [self.times(Fraction(v), line) for v, line in zip(row, x, strict=True) if v and line]
            found.append(self.sum([*terms, *([Line(Fraction(bias[k]))] if bias else [])]))
        return found

    def norm(self, epsilon: float, weight: list[float], stream: list[Line]) -> list[Line]:
        """RMSNorm, where a few equal squares that stay the same make up the mean, which is a power of four."""
        sizes = [max(-low, high) for low, high in map(self.ends, stream)]
        top = max(sizes)
        big = [k for k, size in enumerate(sizes) if size == top]
        if any(stream[k].b for k in big):
            self.fail("the largest entries of the stream change")
        if stream != [self.fits(line, self.dtype) for line in stream]:
            raise AssertionError
        rest = sum((size**2 for k, size in enumerate(sizes) if k not in big), Fraction(0))
        width = len(stream)
        mean = top**2 * len(big) / width
        root = Fraction(2) ** (math.frexp(float(top))[1] - 1)
        while root**2 < mean:
            root *= 2
        while root**2 > mean:
            root /= 2
        counts = (len(big) & (len(big) - 1), width & (width - 1))
        if not top or root**2 != mean or any(counts) or (rest + Fraction(epsilon) * width) * 2**25 > top**2:
            self.fail("RMSNorm is no power of two")
        if not Fraction(1, 2**126) <= mean <= top**2 * len(big) <= 2**127:
            self.fail("RMSNorm leaves the range of float32")
        scaled = [self.fits(self.times(1 / root, line), self.dtype) for line in stream]
        return [self.fits(self.times(Fraction(v), s), self.dtype) for v, s in zip(weight, scaled, strict=True)]

    def silu_of_sum(self, terms: list[Line]) -> Line:
        """silu of a sum, which may round if it vanishes in any case."""
        ends = [self.ends(term) for term in terms]
        if all(high <= 0 for _, high in ends) and any(high <= VANISHES for _, high in ends):
            return ZERO
        return self.silu(self.sum(terms))

    def silu(self, x: Line) -> Line:
        low, high = self.ends(x)
        if low >= IDENTITY:
            return x
        if high > VANISHES and x:
            self.fail(f"silu between {float(low):g} and {float(high):g}")
        return ZERO

    def softplus(self, x: Line) -> Line | None:
        """softplus; None where it is some number that is not known exactly."""
        low, high = self.ends(x)
        if low >= IDENTITY:
            return x
        return ZERO if high <= VANISHES else None

    def gate(self, delta: Line | None, log_rate: float) -> bool:
        """Whether exp(-Delta exp(log_rate)) is 1; else it is 0."""
        if log_rate <= VANISHES or delta == ZERO:
            if log_rate > 64:
                self.fail("A_log is too large")
            return True
        if delta is None or not -64 <= log_rate <= 64:
            self.fail("a gate is neither 0 nor 1")
        low, high = self.ends(delta)
        rate = Fraction(math.exp(log_rate))  # good to many digits; the margins below are wider
        if high * rate * 2 <= ONE:
            return True
        if low * rate < -VANISHES + 1:
            self.fail("a gate is neither 0 nor 1")
        return False

    def write(self, delta: Line | None, b: Line, x: Line) -> Line:
        """Delta B x, multiplied in any order."""
        if not b or not x or delta == ZERO:
            return ZERO
        if delta is None:
            self.fail("Delta is not known exactly")
        for pair in ((delta, b), (delta, x), (b, x)):
            self.fits(self.product(*pair))
        return self.fits(self.product(self.product(delta, b), x))


def _unit(lines: Iterable[Line]) -> Fraction:
    """The largest power of two that divides the lines at all t; they are not all zero, and dyadic."""
    numbers = [v for line in lines for v in (line.a, line.b) if v]
    common = max(v.denominator for v in numbers)
    if common & (common - 1):
        raise NotALineError("a number is not a float")
    lowest = math.gcd(*(int(v * common) for v in numbers))
    return Fraction(lowest & -lowest, common)
