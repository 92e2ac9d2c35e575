"""How large the model of a plan will be, before it is lowered: features, channels, parameters of the target mamba.

An estimate, to choose among plans and to leave those that would be larger than the cascade; ``compiler.plan.circuits``
says how a plan becomes channels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..plan import Event, Holds, Letter, Memory, Plan

NARROWEST = 16


@dataclass(frozen=True)
class Cost:
    """Estimated sizes.

    Attributes:
        blocks: of the model.
        features: in the residual stream, the constants left out.
        channels: of the widest block.
        rank: different writing forms of the block with most.
        parameters: of the target mamba.
    """

    blocks: int
    features: int
    channels: int
    rank: int
    parameters: int


def cost(plan: Plan) -> Cost:
    """The estimate. O(size of the plan)."""
    blocks = max(1, len(plan.blocks))
    late = [event for block in plan.blocks[1:] for memory in block.memories for event in _events(memory)]
    verdicts = [event for form in plan.verdicts.values() for event in form]
    twice = {literal.memory for event in late for literal in event if isinstance(literal, Holds) and literal.back}
    older = {
        literal for event in (*late, *verdicts) for literal in event if isinstance(literal, Letter) and literal.back
    }
    products = {event for event in verdicts if len(event) > 1}
    features = len(plan.alphabet) + 1 + len(older) + len(products)
    widest = rank = 0
    for number, block in enumerate(plan.blocks):
        channels, forms = 1, 0
        for memory in block.memories:
            copies = 2 if memory.name in twice else 1
            shown = _shown(memory)
            features += copies * shown
            forms += copies * shown
            channels += copies * (shown + sum(_channels(event, first=number == 0) for event in _events(memory)))
        channels += len(older) if number == 0 else 0
        channels += len(products) if number == blocks - 1 else 0
        widest, rank = max(widest, channels), max(rank, forms)
    return Cost(blocks, features, widest, rank, _parameters(plan, blocks, features, widest, rank))


def _events(memory: Memory) -> Iterable[Event]:
    for events in memory.writes.values():
        yield from events


def _shown(memory: Memory) -> int:
    """How many labels are shown."""
    return 1 if len(memory.writes) == 2 else len(memory.writes)


def _channels(event: Event, *, first: bool) -> int:
    """How many channels recognise an event."""
    letters = {literal.back: literal.symbols for literal in event if isinstance(literal, Letter)}
    return 2 if first and 1 in letters and letters.get(0, frozenset()) < letters[1] else 1


def _parameters(plan: Plan, blocks: int, features: int, channels: int, rank: int) -> int:
    """Of a Mamba with one state per channel and one constant feature at least."""
    width = NARROWEST
    while features + (1 if width.bit_length() % 2 else 2) > width:
        width *= 2
    inner = max(1, -(-channels // width)) * width
    rank = max(1, rank)
    conv = max(2, plan.window)
    block = 3 * width * inner + inner * (conv + 1) + inner * (rank + 2) + inner * (rank + 1) + 2 * inner + width
    vocabulary = len(plan.alphabet) + 3
    return blocks * block + width * (2 * vocabulary + 1)
