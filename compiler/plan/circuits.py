"""From a plan to a circuit: one block for each of the plan's.

*Memories.* Each is a :class:`~scancraft.compiler.circuits.circuit.Register`. The events of block 1 see letters only:
windows, which are thresholds of one channel (``compiler.plan.windows``). From block 2 on an event is a conjunction of
features that are 0 or 1, one channel max(0, sum - (their number - 1)).

*What was before.* A memory that somebody reads as it was before the letter has a copy: a second register, whose
conditions have taps one step older. At ``<bos>`` such a copy may hold anything (the sequence may hold another word
before it), so it is shown at other letters only. The letters of the last few steps, as far as events of later blocks
look at them, are features that block 1 writes.

*Read-out.* A verdict is a sum of events. One of a single literal is a form of features. Another one is written by the
last block: a conjunction over features, times what at most one memory of the block itself shows. All that the last
block writes in this way is read by verdicts only, so what always counts alike shares a feature.

Where no letter is read, all features vanish: no condition holds, memories stay, and no token is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ...automata.alphabet import EOS
from ..circuits.circuit import NOW, Circuit, CircuitBlock, CircuitChannel, Register, Shown
from ..circuits.forms import ONE, Form, plus, times
from ..circuits.levels import letter_feature
from .features import Features, features_of
from .plan import Event, Letter, Memory, Plan, PlanBlock, show_event
from .readout import Product, Readout, shared
from .wellformed import FARTHEST, PlanError, check_plan, need
from .windows import windows

Added = Mapping[str, int]
"""Features, and how often a product is added to each."""


def fits(plan: Plan) -> str | None:
    """Why a plan cannot be written as a circuit, or None if it can. O(size of the circuit)."""
    try:
        plan_circuit(plan)
    except PlanError as error:
        return str(error)
    return None


def plan_circuit(plan: Plan) -> Circuit:
    """A plan as a circuit.

    Args:
        plan: one of whose events of one label no two hold at once (``compiler.plan.separate``).

    Raises:
        PlanError: an event that its block cannot see; the message says which and why.
    """
    check_plan(plan)
    readout = Readout(plan)
    by_later_blocks = [
        literal
        for block in plan.blocks[1:]
        for memory in block.memories
        for events in memory.writes.values()
        for event in events
        for literal in event
    ]
    features = features_of(plan, [*by_later_blocks, *readout.literals()])
    products = shared(readout)
    blocks = []
    for number, block in enumerate(plan.blocks):
        last = number == len(plan.blocks) - 1
        blocks.append(_Builder(features, number).block(block, products.written if last else {}))
    padding = plus({ONE: 1}, times(-1, features.somewhere))
    verdicts = {}
    for token, terms in readout.verdicts.items():
        known = (times(weight, features.conjunction(t)[0]) for weight, t in terms if not isinstance(t, Product))
        verdicts[token] = plus(padding, *known, products.read.get(token, {}))
    return Circuit(
        kind="plan",
        construction=f"plan of {len(plan.blocks)} block{'s' * (len(plan.blocks) != 1)} of memories",
        alphabet=plan.alphabet,
        features=(*features.names, *products.names),
        tokens={symbol: {name: 1} for name, symbol in features.letters.items()},
        blocks=tuple(blocks),
        verdicts=verdicts,
        contract=plan.contract if EOS in plan.verdicts else "outputs",
        classes=plan.classes,
        letters=features.letters,
    )


class _Builder:
    """The channels of a block, as they are added."""

    def __init__(self, features: Features, number: int) -> None:
        self.features, self.number = features, number
        self.channels: list[CircuitChannel] = []
        self._conditions: dict[tuple[Event, int], dict[int, int]] = {}

    def block(self, block: PlanBlock, products: Mapping[Product, Added]) -> CircuitBlock:
        """The block.

        Args:
            block: what it remembers.
            products: of the last block: what it multiplies, and to which features that is added.
        """
        shown = self.features.shown
        read = {*shown, *(product.shown[:2] for product in products if product.shown is not None)}
        registers = {
            (memory.name, back): self._register(memory, back)
            for memory in block.memories
            for back in (0, 1)
            if (memory.name, back) in read
        }
        for (name, back), register in registers.items():
            if (name, back) in shown:
                gate = self.features.inside if back else self.features.somewhere
                for labels, feature in shown[name, back].features.items():
                    for label in sorted(labels):
                        self._show(register, label, gate, {feature: 1})
        if not self.number:
            for (back, symbols), name in self.features.earlier.items():
                reads, taps = self.features.any_of(symbols), (1, *[0] * back)
                self._write(CircuitChannel(name, reads, taps), self.features.somewhere, {name: 1})
        for product, added in products.items():
            self._multiply(product, added, registers)
        return CircuitBlock(block.title, tuple(self.channels))

    def _register(self, memory: Memory, back: int) -> Register:
        """A memory (``back`` = 0), or the copy of it that is one letter late (1)."""
        writes: dict[int, dict[int, int]] = {}
        for label, events in memory.writes.items():
            writes[label] = {}
            for event in events:
                writes[label] |= self._condition(event, back, f"{memory.name} := {label}")
        name = f"{memory.name} before" if back else memory.name
        return Register(name, writes, meanings={label: memory.meaning[label] for label in sorted(writes)})

    def _condition(self, event: Event, late: int, effect: str) -> dict[int, int]:
        """The form over channels that is 1 where the event holds, or held one letter ago, else 0."""
        if (event, late) not in self._conditions:
            meaning = f"{effect} when {show_event(event)}{', one letter ago' * late}"
            form = {}
            for sign, channel in self._channels(meaning, event, late):
                form[len(self.channels)] = sign
                self.channels.append(channel)
            self._conditions[event, late] = form
        return self._conditions[event, late]

    def _channels(self, meaning: str, event: Event, late: int = 0) -> Iterator[tuple[int, CircuitChannel]]:
        """Channels whose x, with these signs, sum to 1 where the event holds, else to 0."""
        if self.number or all(literal.back == 0 for literal in event):
            reads, bias = self.features.conjunction(event)
            yield 1, CircuitChannel(meaning, reads, (1, 0) if late else NOW, bias)
            return
        pieces = windows({x.back: x.symbols for x in event if isinstance(x, Letter)}, self.features.alphabet)
        need(pieces, f"the window [{show_event(event)}] is no threshold, and block 1 sees thresholds only")
        for piece in pieces or ():
            reads, taps = {letter_feature(a): weight for a, weight in piece.letters.items()}, (*piece.taps, *[0] * late)
            need(len(taps) <= FARTHEST + 1, f"[{show_event(event)}] one letter ago is too far back")
            for excess in range(piece.channels):
                what = f"excess of: {meaning}" if excess else meaning
                yield (-1 if excess else 1), CircuitChannel(what, reads, taps, 1 - piece.theta - excess)

    def _multiply(self, product: Product, added: Added, registers: Mapping[tuple[str, int], Register]) -> None:
        """The channels of a product."""
        reads, bias = self.features.conjunction(product.gate)
        gate = plus(reads, {ONE: bias})
        if product.shown is not None:
            name, back, label = product.shown
            self._show(registers[name, back], label, gate, added)
        elif not product.older:
            self._write(CircuitChannel(str(product), bias=1), gate, added)
        else:
            for sign, channel in self._channels(str(product), product.older):
                self._write(channel, gate, times(sign, added))

    def _show(self, register: Register, label: int, gate: Form, writes: Added) -> None:
        meaning = f"[{register.name} = {label}]"
        self.channels.append(CircuitChannel(meaning, bias=1, memory=Shown(register, label), gate=gate, writes=writes))

    def _write(self, channel: CircuitChannel, gate: Form, writes: Added) -> None:
        self.channels.append(replace(channel, skip=1, gate=gate, writes=writes))
