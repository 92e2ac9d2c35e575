"""Last events: memories that hold no class of states but which event came last.

Where no memory tells two states apart (``predicates``), one can still narrow down which states are possible. Take the
contexts with the most states. An event after which all states of such a context are possible keeps: it has carried the
states of one such context onto those of another, one to one. All others write: after each of them fewer states are
possible, and as long as only events that keep follow, that stays so if nothing turns in a circle, which in star-free
languages nothing does. So after the block every context has fewer states than before, at most: with n states n - 1 such
blocks tell the state. This is a level of the holonomy decomposition, of what is left to be known, with what is known
already as letters. Labels may be merged as long as they do not make all states of such a context possible again.
"""

from __future__ import annotations

from ....automata.budget import Meter
from .knowledge import Draft
from .predicates import Arena, Design, Label, Separation, bits, draft, labels_of, mask_of

MOST_LABELS = 6
"""Labels are merged down to so many where that is possible."""


def narrowing(arena: Arena, size: int, meter: Meter) -> Draft | None:
    """The memory that narrows down the contexts of at least ``size`` states; None if it would know nothing.

    Args:
        arena: what the block sees.
        size: at most that of the largest context for the argument above; for smaller ones it is worth a try.
        meter: counts what is searched.
    """
    fibres = arena.knowledge.fibres
    whole = {c: mask_of(fibre) for c, fibre in enumerate(fibres) if len(fibre) >= size}
    tracked = {x: 0 for c in whole for x in fibres[c]}
    if not tracked:
        return None
    kept = set()
    for event, image in enumerate(arena.images):
        if any(not whole[c] & ~image for c in {arena.knowledge.nodes[x][0] for x in bits(image)} & whole.keys()):
            kept.add(event)
    separation = Separation(tracked, frozenset(kept))
    written, places = labels_of(arena, separation)
    groups = _merged(arena, written, whole)
    if len(groups) < 2:
        return None
    return draft(arena, Design(separation, written, groups, places, False), meter)


def _merged(arena: Arena, written: dict[int, Label], whole: dict[int, int]) -> tuple[Label, ...]:
    """Labels put together, those of the largest sets first."""
    labels = sorted(
        dict.fromkeys(label for label in written.values() if label.held), key=lambda label: -label.held.bit_count()
    )
    groups: list[Label] = []
    for label in labels:
        inside = [n for n, group in enumerate(groups) if not label.held & ~group.held]
        if inside:
            continue
        fitting = [n for n, group in enumerate(groups) if not _spoilt(arena, group, label, whole)]
        if fitting and len(groups) >= MOST_LABELS:
            n = max(fitting, key=lambda n: ((groups[n].held & label.held).bit_count(), -n))
            groups[n] = groups[n].joined(label)
        else:
            groups.append(label)
    return tuple(groups)


def _spoilt(arena: Arena, group: Label, label: Label, whole: dict[int, int]) -> bool:
    """Whether the two together make all states of a context possible."""
    both = group.held | label.held
    contexts = {arena.knowledge.nodes[x][0] for x in bits(label.held)}
    return any(c in whole and not whole[c] & ~both for c in contexts)
