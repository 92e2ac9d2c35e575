"""Events of one label made disjoint: a circuit adds up conditions, so no two of one label may hold at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import combinations
from typing import Any

from ...automata.alphabet import BOS
from ...automata.budget import DEFAULT_BUDGET, Budget
from .plan import About, Event, Holds, Letter, Memory, Plan, about, values
from .walk import Walk, Writer

Values = frozenset[Any]
"""Letters, or labels of a memory."""


def separated(plan: Plan, budget: Budget = DEFAULT_BUDGET) -> Plan:
    """The same plan, in which no two events of one label hold at once.

    Of two events that do the later one loses what the earlier one has: it becomes one event per literal of the earlier
    one, with this literal denied and those before it asked for. Only events that do hold at once after some word are
    changed; one visit of all nodes finds them.

    Args:
        plan: a well-formed plan.
        budget: how many nodes may be visited.

    Raises:
        PlanError: two labels of a memory are written at once.
        BudgetExceededError: there are more nodes.
    """
    plan = _with(plan, {memory.name: _joined(memory) for memory in plan.memories})
    if not any(map(_may_meet, plan.memories)):
        return plan
    writers = {writer.name: writer for block in _walked(plan, budget).blocks for writer in block}
    if not any(writer.together() for writer in writers.values()):
        return plan
    everything = _everything(plan)
    return _with(plan, {m.name: _apart(m, writers[m.name], everything) for m in plan.memories})


def _may_meet(memory: Memory) -> bool:
    """Whether two events of one label ask for nothing that excludes the other."""
    return any(
        not any(about(x) == about(y) and not values(x) & values(y) for x in one for y in other)
        for events in memory.writes.values()
        for one, other in combinations(events, 2)
    )


def _walked(plan: Plan, budget: Budget) -> Walk:
    """A walk that has seen all cases that occur after some word (that the plan allows, under "live-prefixes")."""
    walk, meter = Walk(plan), budget.meter("nodes of the plan")
    moments = [walk.step((), {}, BOS)]
    seen = set()
    for moment in moments:
        letters = moment.letters[: plan.window - 1]
        if (key := (letters, tuple(moment.labels.values()))) in seen:
            continue
        meter.tick()
        seen.add(key)
        allowed = walk.allowed(moment) if plan.contract == "live-prefixes" else plan.alphabet
        moments += [walk.step(letters, moment.labels, letter) for letter in plan.alphabet if letter in allowed]
    return walk


def _with(plan: Plan, memories: Mapping[str, Memory]) -> Plan:
    """The plan with its memories exchanged."""
    blocks = (replace(block, memories=tuple(memories[m.name] for m in block.memories)) for block in plan.blocks)
    return replace(plan, blocks=tuple(blocks))


def _joined(memory: Memory) -> Memory:
    """Events that consist of one literal about the same letter or memory are one event."""
    writes = {}
    for label, events in memory.writes.items():
        single: dict[About, Letter | Holds] = {}
        for event in events:
            if len(event) == 1:
                single[about(event[0])] = _either(single.get(about(event[0])), event[0])
        joined = ((literal,) for literal in single.values())
        writes[label] = (*joined, *dict.fromkeys(event for event in events if len(event) != 1))
    return replace(memory, writes=writes)


def _apart(memory: Memory, writer: Writer, everything: Mapping[str, Values]) -> Memory:
    """A memory whose events of one label exclude each other."""
    together, first, writes = writer.together(), 0, {}
    for label, events in memory.writes.items():
        found: list[Event] = []
        for n, event in enumerate(events):
            pieces = [event]
            for m in range(n):
                if (first + m, first + n) in together:
                    pieces = [rest for piece in pieces for rest in without(piece, events[m], everything)]
            found += pieces
        writes[label] = tuple(found)
        first += len(events)
    return replace(memory, writes=writes)


def without(event: Event, other: Event, everything: Mapping[str, Values]) -> Iterator[Event]:
    """Disjoint events that hold just where ``event`` holds and ``other`` does not.

    The literals of ``other`` are taken from the present letter back, so each is denied where there is a letter, or a
    memory, that it speaks of.

    Args:
        event: the event.
        other: what is taken from it.
        everything: for "" all letters, for each memory all labels.
    """
    asked = event
    for literal in sorted(other, key=lambda literal: (about(literal)[0] != "", literal.back)):
        denied = _both(asked, _of(literal, everything[about(literal)[0]] - values(literal)))
        if denied is not None:
            yield denied
        more = _both(asked, literal)
        if more is None:
            return
        asked = more


def _everything(plan: Plan) -> dict[str, Values]:
    labels = {memory.name: frozenset(memory.writes) for memory in plan.memories}
    return {"": frozenset({*plan.alphabet, BOS}), **labels}


def _of(literal: Letter | Holds, wanted: Values) -> Letter | Holds:
    """The literal with other letters or labels."""
    return replace(literal, labels=wanted) if isinstance(literal, Holds) else replace(literal, symbols=wanted)


def _either(first: Letter | Holds | None, second: Letter | Holds) -> Letter | Holds:
    return second if first is None else _of(first, values(first) | values(second))


def _both(event: Event, literal: Letter | Holds) -> Event | None:
    """The event with one more literal; None if that leaves nothing."""
    same = [other for other in event if about(other) == about(literal)]
    wanted = frozenset.intersection(values(literal), *map(values, same))
    rest = tuple(other for other in event if about(other) != about(literal))
    return (*rest, _of(literal, wanted)) if wanted else None
