"""Last events: memories that hold no class of states but which event came last.

Where no memory tells two states apart (``predicates``), one can still narrow down which states are possible. Take the
contexts with the most states. An event after which all states of such a context are possible has carried the states of
one such context onto those of another, one to one. Where there is a way back, too, it *keeps*. All others *write*:
after each of them fewer states are possible, and that stays so as long as only events that keep follow, since two ways
from one context to another have the same way back, and in a star-free language nothing turns in a circle. So each
context that is not entered one to one from one without a way back has fewer states after the block than before. Events
that enter others in this way may keep as well, if they agree on what they carry over, which is tried. This is a level
of the holonomy decomposition, of what is left to be known, with what is known already as letters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ....automata.budget import Meter
from ....automata.images import strong_components
from .knowledge import NOTHING, Draft
from .predicates import Arena, Design, Label, Separation, draft, labels_of, mask_of

MOST_LABELS = 2
"""Labels are merged down to so many where that is possible."""


def narrowing(arena: Arena, size: int, meter: Meter) -> Draft | None:
    """The memory that narrows down the contexts of at least ``size`` states; None if it would know nothing.

    Args:
        arena: what the block sees.
        size: at most that of the largest context for the argument above; for smaller ones it is worth a try.
        meter: counts what is searched.
    """
    seen = as_seen(arena)
    arena = seen.arena
    whole = {c: mask_of(fibre) for c, fibre in enumerate(seen.fibres) if len(fibre) >= size}
    tracked = {x: 0 for c in whole for x in seen.fibres[c]}
    if not tracked:
        return None
    kept, entering = _carrying(seen, whole)
    separation = Separation(tracked, frozenset(kept))
    written, places = labels_of(arena, separation)
    for events in entering:
        meter.tick()
        more = Separation(tracked, separation.kept | frozenset(events))
        tried, there = labels_of(arena, more)
        if not any(_spoilt(label, whole) for label in tried.values()):
            separation, written, places = more, tried, there
    groups = _merged(written, whole)
    if len(groups) < 2:
        return None
    return draft(arena, Design(separation, written, groups, places), meter)


@dataclass(frozen=True)
class Seen:
    """Nodes that differ only in a letter that is too old for the next event are one.

    Attributes:
        arena: with steps of such nodes.
        context: the context of each.
        states: its state.
        fibres: the nodes of each context.
    """

    arena: Arena
    context: tuple[int, ...]
    states: tuple[int, ...]
    fibres: tuple[tuple[int, ...], ...]


def as_seen(arena: Arena) -> Seen:
    """What a block's events can see of where they start."""
    knowledge = arena.knowledge
    contexts: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
    numbers: dict[tuple[int, int], int] = {}
    place = []
    for c, q in knowledge.nodes:
        known = knowledge.contexts[c]
        context = contexts.setdefault((known.letters[: arena.letters - 1], known.labels), len(contexts))
        place.append(numbers.setdefault((context, q), len(numbers)))
    fibres: list[list[int]] = [[] for _ in contexts]
    for node, (context, _) in enumerate(numbers):
        fibres[context].append(node)
    moves = (
        tuple(dict.fromkeys((s if s == NOTHING else place[s], place[t]) for s, t in of_event))
        for of_event in arena.moves
    )
    return Seen(
        replace(arena, moves=tuple(moves)),
        tuple(c for c, _ in numbers),
        tuple(q for _, q in numbers),
        tuple(map(tuple, fibres)),
    )


def _carrying(seen: Seen, whole: dict[int, int]) -> tuple[set[int], list[list[int]]]:
    """The events that carry all states of a context over with a way back; and the others, by where they lead.

    Args:
        seen: what the block sees.
        whole: the contexts that are looked at, with their nodes.
    """
    context = seen.context
    edges: dict[int, set[tuple[int, int]]] = {}
    for event, moves in enumerate(seen.arena.moves):
        image = seen.arena.images[event]
        full = {c for c in {context[target] for _, target in moves} if c in whole and not whole[c] & ~image}
        if full:
            pairs = ((source, context[target]) for source, target in moves)
            edges[event] = {(context[s] if s != NOTHING else NOTHING, c) for s, c in pairs if c in full}
    targets: list[list[int]] = [[] for _ in seen.fibres]
    for pairs_of in edges.values():
        for source, target in sorted(pairs_of):
            if source != NOTHING:
                targets[source].append(target)
    component = strong_components(targets)
    kept: set[int] = set()
    entering: dict[int, list[int]] = {}
    for event, pairs_of in edges.items():
        if all(s != NOTHING and component[s] == component[t] for s, t in pairs_of):
            kept.add(event)
        elif all(s != NOTHING for s, _ in pairs_of):
            entering.setdefault(component[min(t for _, t in pairs_of)], []).append(event)
    return kept, [events for _, events in sorted(entering.items())]


def _merged(written: dict[int, Label], whole: dict[int, int]) -> tuple[Label, ...]:
    """Labels put together, those of the largest sets first."""
    labels = sorted(
        dict.fromkeys(label for label in written.values() if label.held), key=lambda label: -label.held.bit_count()
    )
    groups: list[Label] = []
    for label in labels:
        if any(not label.held & ~group.held for group in groups):
            continue
        fitting = [n for n, group in enumerate(groups) if not _spoilt(group.joined(label), whole)]
        if fitting and len(groups) >= MOST_LABELS:
            n = max(fitting, key=lambda n: ((groups[n].held & label.held).bit_count(), -n))
            groups[n] = groups[n].joined(label)
        else:
            groups.append(label)
    return tuple(groups)


def _spoilt(label: Label, whole: dict[int, int]) -> bool:
    """Whether with the label held all states of some context are possible."""
    return any(not mask & ~label.held for mask in whole.values())
