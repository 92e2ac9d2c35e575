"""Searches of graphs: what can be reached, numbered breadth first; what leads to a goal; shortest words to one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from .budget import Meter

Node = TypeVar("Node", bound=Hashable)
Label = TypeVar("Label")


def numbered(
    start: Node, successors: Callable[[Node], Iterable[Node]], meter: Meter | None = None
) -> tuple[list[Node], list[list[int]]]:
    """What can be reached from a node, in the order of discovery, and for each the numbers of its successors.

    Raises:
        BudgetExceededError: more nodes than the meter allows.

    >>> numbered(0, lambda n: [(n + 1) % 3, 0])
    ([0, 1, 2], [[1, 0], [2, 0], [0, 0]])
    """
    number, queue, table = {start: 0}, [start], []
    for node in queue:
        row = []
        for target in successors(node):
            if target not in number:
                if meter is not None:
                    meter.tick()
                number[target] = len(queue)
                queue.append(target)
            row.append(number[target])
        table.append(row)
    return queue, table


def leading_to(goals: Iterable[Node], edges: Iterable[tuple[Node, Node]]) -> set[Node]:
    """The nodes from which edges (source, target) lead to a goal, the goals among them. O(nodes + edges)."""
    before: dict[Node, list[Node]] = {}
    for source, target in edges:
        before.setdefault(target, []).append(source)
    found = set(goals)
    stack = list(found)
    while stack:
        for node in before.get(stack.pop(), ()):
            if node not in found:
                found.add(node)
                stack.append(node)
    return found


def shortest(
    start: Node, moves: Callable[[Node], Iterable[tuple[Label, Node]]], goal: Callable[[Node], bool]
) -> tuple[Label, ...] | None:
    """The labels on a shortest way to a node that satisfies ``goal``, or None. O(nodes + moves).

    Of several shortest ways the one whose labels come first in the order of the moves.
    """
    came: dict[Node, tuple[Node, Label] | None] = {start: None}
    queue = [start]
    for node in queue:
        if goal(node):
            labels: list[Label] = []
            step = came[node]
            while step is not None:
                labels.append(step[1])
                step = came[step[0]]
            return tuple(reversed(labels))
        for label, target in moves(node):
            if target not in came:
                came[target] = (node, label)
                queue.append(target)
    return None
