"""How far a counting circuit counts exactly in Mamba-2 (``compiler.targets._mamba2_blocks``)."""

from __future__ import annotations

from bisect import bisect_left

from ..circuits.circuit import Circuit
from ..circuits.forms import ONE, Form
from ._mamba2_blocks import Frame, kinds_of, told_between

ANY = 8
"""No feature but counts and counters exceeds this; they are 0, 1, or sums of a few of these."""


def longest(frame: Frame) -> int:
    """How many letters of each kind that is counted a sequence may have; 0 if not even one is exact.

    All numbers are bounded as if each were as large as it can be: sums of integers by 2^24, the squares before the norm
    after the scan by what vanishes beside its constant. O(24 * size of the circuit).
    """
    return bisect_left(range(1, 2**24 + 1), True, key=lambda total: not _exact(frame, total))


def _exact(frame: Frame, total: int) -> bool:
    circuit, sizes = frame.circuit, _Sizes(frame.circuit, total)
    v, t = frame.scale.v, frame.scale.t
    # The norm of the stream takes squares of 2^55 in all.
    sums, squares = [sum(m * m for m in sizes.most.values()) / 2.0**31], [0.0]
    for block in circuit.blocks:
        if block.level is not None:
            continue  # ones and zeros: their squares and sums are below those of any latch
        x = [sum(map(abs, c.taps)) * sizes.of(c.reads) + abs(c.bias) for c in block.channels]
        sums += x
        if block.counters:
            squares.append(len(kinds_of(block)) * ((v**4 * t * total) ** 2 + (v * v * total) ** 2))
            for _, counter in block.counters:
                sums.append(total * sum(map(abs, counter.add.values())) + abs(counter.initial))
            continue
        finding = {c for _, latch in block.latches for c in latch.fires}
        sums += [sum(abs(w) * x[c] for c, w in latch.fires.items()) for _, latch in block.latches]
        squares.append(sum((t * v * x[c]) ** 2 for c in finding))
        main, up, down = 0.0, dict.fromkeys(circuit.features, 0), dict.fromkeys(circuit.features, 0)
        for n, channel in enumerate(block.channels):
            remembers = channel.memory is not None
            shown = x[n] * (1 if remembers else abs(channel.skip)) * sizes.of(channel.gate)
            main += (frame.x(channel) * frame.gate(channel.gate) * (v * v * t if remembers else 1.0) * shown) ** 2
            for name, weight in channel.writes.items():
                into = up if weight * (1 if remembers else channel.skip) > 0 else down
                into[name] += abs(weight) * shown
        sums += [*up.values(), *down.values()]  # every partial sum is between these
        squares.append(main)
    return max(sums) <= 2**24 and max(squares) <= 2.0 ** (2 * frame.scale.exponent - 25)


class _Sizes:
    """How large features and forms can be in a sequence with so many letters of each kind."""

    def __init__(self, circuit: Circuit, total: int) -> None:
        written = {name for block in circuit.blocks for channel in block.channels for name in channel.writes}
        self.most: dict[str, int] = dict.fromkeys(circuit.features, ANY) | {ONE: 1}
        self.most |= {f: 1 for form in circuit.tokens.values() for f, value in form.items() if abs(value) <= 1}
        self.most |= dict.fromkeys(written, ANY)
        self.alone = frozenset(circuit.letters), frozenset(circuit.slots)
        self.most |= dict.fromkeys((*circuit.letters, *circuit.slots), 1)
        for number, block in enumerate(circuit.blocks):
            if block.counters:
                self.most |= dict.fromkeys(told_between(number, block), total)
            for n, counter in block.counters:
                up, down = (sum(max(0, sign * a) for a in counter.add.values()) for sign in (1, -1))
                value = total * max(1, up, down) + abs(counter.initial)
                self.most |= {name: circuit.reach.get(name, value) for name in block.channels[n].writes}

    def of(self, form: Form) -> int:
        """A form; of one-hot features only one is there at a time."""
        rest = [f for f in form if not any(f in names for names in self.alone)]
        alone = (max((abs(form[f]) for f in form if f in names), default=0) for names in self.alone)
        return sum(abs(form[f]) * self.most[f] for f in rest) + sum(alone)
