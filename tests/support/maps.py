"""Maps of points to points as tuples, composed from left to right, by naive code: an oracle for groups and monoids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Map = tuple[int, ...]


def cyc(degree: int, *cycles: Sequence[int]) -> Map:
    """The permutation with these cycles."""
    perm = list(range(degree))
    for cycle in cycles:
        for a, b in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
            perm[a] = b
    return tuple(perm)


def then(p: Map, q: Map) -> Map:
    """First p, then q."""
    return tuple(q[i] for i in p)


def closed(generators: Iterable[Map], degree: int, limit: int = 10**9) -> list[Map]:
    """All products, the identity first; none if they are more than the limit."""
    generators, queue = list(generators), [tuple(range(degree))]
    seen = set(queue)
    for p in queue:
        for g in generators:
            if (product := then(p, g)) not in seen:
                seen.add(product)
                queue.append(product)
        if len(queue) > limit:
            return []
    return queue
