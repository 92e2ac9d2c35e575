"""Does every letter preserve a linear order of the states? Then all words act as monotone maps of a chain.

Call two pairs of states *alike* if some letter takes one to the other, and *opposite* if it takes one to the other
turned round. In an order that all letters preserve, alike pairs are ordered alike, so it is enough to choose a
direction for each class; two opposite pairs in one class rule every order out. The directions are chosen one by one,
with what transitivity then implies, and taken back where that contradicts itself. Deciding is a betweenness problem in
general, so there is a budget; automata that have an order seldom have more than a few classes.

A monotone map permutes nothing, so a language whose minimal DFA has such an order is star-free.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..budget import DEFAULT_BUDGET, Budget, Meter

Table = Sequence[Sequence[int]]
"""Rows per state, with a target for each letter."""

Literal = tuple[int, int]
"""A class of pairs, and a direction: 1 as its first pair stands, -1 turned round."""


def preserved_order(table: Table, budget: Budget = DEFAULT_BUDGET) -> tuple[int, ...] | None:
    """The states from the least to the greatest in an order that every letter preserves; None if there is none.

    O(n^2 k) for the classes, and O(n^2) for each direction that is tried or implied.

    Args:
        table: n rows of k targets.
        budget: how many directions may be tried or implied.

    Raises:
        BudgetExceededError: undecided within the budget.

    >>> preserved_order([[1, 0], [2, 0], [2, 1]])
    (0, 1, 2)
    >>> preserved_order([[1], [0]])
    """
    meter = budget.meter("directions of pairs of states")
    classes = _classes(table, meter)
    if classes is None:
        return None
    n = len(table)
    below = [[0] * n for _ in range(n)]
    if not _directed(classes, below, {}, meter):
        return None
    return tuple(sorted(range(n), key=lambda q: sum(below[p][q] > 0 for p in range(n))))


def preserves(table: Table, order: Sequence[int]) -> bool:
    """Whether every letter preserves the order. O(n k)."""
    rank = {q: place for place, q in enumerate(order)}
    images = ([rank[table[q][a]] for q in order] for a in range(len(table[0])))
    return sorted(order) == list(range(len(table))) and all(image == sorted(image) for image in images)


def _classes(table: Table, meter: Meter) -> list[list[Literal]] | None:
    """For each ordered pair of states its class and direction; None if some class holds a pair both ways."""
    n = len(table)
    parent: dict[tuple[int, int], tuple[tuple[int, int], int]] = {}  # of pairs that are not their own

    def find(p: int, q: int) -> tuple[tuple[int, int], int]:
        pair, sign = ((p, q), 1) if p < q else ((q, p), -1)
        path = []
        while pair in parent:
            path.append((pair, sign))
            pair, turn = parent[pair]
            sign *= turn
        for earlier, before in path:
            parent[earlier] = pair, sign * before
        return pair, sign

    for p, q in _pairs(n, meter):
        for s, t in zip(table[p], table[q], strict=True):
            if s == t:
                continue
            (one, sign), (other, turn) = find(p, q), find(s, t)
            if one != other:
                parent[one] = other, sign * turn
            elif sign != turn:
                return None
    numbers: dict[tuple[int, int], int] = {}
    found = [[(-1, 0)] * n for _ in range(n)]
    for p, q in _pairs(n, meter):
        pair, sign = find(p, q)
        number = numbers.setdefault(pair, len(numbers))
        found[p][q], found[q][p] = (number, sign), (number, -sign)
    return found


def _pairs(n: int, meter: Meter) -> Iterator[tuple[int, int]]:
    """All p < q < n, while there is time."""
    for p in range(n):
        meter.check_time()
        for q in range(p + 1, n):
            yield p, q


def _directed(classes: list[list[Literal]], below: list[list[int]], chosen: dict[int, int], meter: Meter) -> bool:
    """Choose the directions that are left so that no pairs contradict each other; ``below`` and ``chosen`` say how.

    Args:
        classes: class and direction of each ordered pair.
        below: 1 where the first state is below the second, -1 above, 0 not known yet.
        chosen: the direction of each class.
        meter: counts directions.
    """
    n = len(classes)
    members: dict[int, list[tuple[int, int, int]]] = {}
    for p, q in _pairs(n, meter):
        members.setdefault(classes[p][q][0], []).append((p, q, classes[p][q][1]))

    def imply(number: int, direction: int, trail: list[int]) -> bool:
        """Give a class a direction, and all that follows theirs."""
        work = [(number, direction)]
        while work:
            number, direction = work.pop()
            if (known := chosen.get(number)) is not None:
                if known != direction:
                    return False
                continue
            meter.tick()
            chosen[number] = direction
            trail.append(number)
            for p, q, sign in members[number]:
                low, high = (p, q) if sign * direction > 0 else (q, p)
                below[low][high], below[high][low] = 1, -1
                for r in range(n):
                    if below[r][low] > 0 and r != high:
                        work.append(classes[r][high])
                    if below[high][r] > 0 and r != low:
                        work.append(classes[low][r])
        return True

    def undo(trail: list[int]) -> None:
        for number in trail:
            del chosen[number]
            for p, q, _ in members[number]:
                below[p][q] = below[q][p] = 0

    # Depth first; the first direction of the first class is free, since orders may be turned round.
    stack: list[tuple[int, list[int], list[int]]] = []  # a class, directions to try, what was implied
    while (open_class := next((c for c in members if c not in chosen), None)) is not None:
        stack.append((open_class, [1] if not stack else [-1, 1], []))
        while stack:
            number, directions, trail = stack[-1]
            undo(trail)
            trail.clear()
            if not directions:
                stack.pop()
                continue
            if imply(number, directions.pop(), trail):
                break
        if not stack:
            return False
    return True
