"""Machines with outputs that the literature sets as tasks, by name.

State tracking (Merrill, Petty and Sabharwal 2024, arXiv 2404.08819) asks for the element of a group that a word of
generators comes to; modular arithmetic without brackets and cycle navigation are tasks of Delétang et al. (ICLR 2023,
arXiv 2207.02098). Some need groups that no target has; ``decide`` says which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from .formats.outputs import moore
from .moore import Moore


def modular_sum(modulus: int) -> Moore:
    """The sum of the digits 0 to ``modulus`` - 1 read so far, modulo that."""
    digits = range(modulus)
    return moore({q: {str(d): (q + d) % modulus for d in digits} for q in digits}, 0, str, classes=[*map(str, digits)])


def cycle(places: int) -> Moore:
    """Cycle navigation: where on a cycle steps forth (+), back (-) and none (0) have led."""
    steps = {"+": 1, "-": -1, "0": 0}
    return moore({q: {s: (q + d) % places for s, d in steps.items()} for q in range(places)}, 0, str)


def corridor(places: int) -> Moore:
    """The same in a corridor, whose ends stop every step that would lead out."""
    steps, last = {"+": 1, "-": -1, "0": 0}, places - 1
    return moore({q: {s: min(max(q + d, 0), last) for s, d in steps.items()} for q in range(places)}, 0, str)


def two_switches() -> Moore:
    """The element of Z_2 x Z_2 that a word over its generators a, b comes to."""
    pairs = [(x, y) for x in (0, 1) for y in (0, 1)]
    return moore({(x, y): {"a": (1 - x, y), "b": (x, 1 - y)} for x, y in pairs}, (0, 0), str)


def majority(limit: int) -> Moore:
    """Whether more a than b came, or less, or as many; a lead of ``limit`` decides for good."""

    def after(lead: int, step: int) -> int:
        return lead if abs(lead) == limit else lead + step

    table = {n: {"a": after(n, 1), "b": after(n, -1)} for n in range(-limit, limit + 1)}
    return moore(table, 0, lambda n: "more a" if n > 0 else "more b" if n < 0 else "as many")


def last_letter() -> Moore:
    """The last letter that was read."""
    return moore({q: {"a": "a", "b": "b"} for q in ("none", "a", "b")}, "none", str)


def depth(limit: int) -> Moore:
    """How deep brackets are nested, up to a limit, beside what may come next; "wrong" after a word that is none."""
    table: dict[object, dict[str, object]] = {
        n: {"(": n + 1 if n < limit else "wrong", ")": n - 1 if n else "wrong"} for n in range(limit + 1)
    }
    return moore(table | {"wrong": {"(": "wrong", ")": "wrong"}}, 0, str, accepting=[0])


MACHINES: Mapping[str, Callable[[], Moore]] = {
    "parity output": partial(modular_sum, 2),
    "sum mod 4": partial(modular_sum, 4),
    "sum mod 5": partial(modular_sum, 5),
    "cycle of 5": partial(cycle, 5),
    "corridor of 5": partial(corridor, 5),
    "Z_2 x Z_2": two_switches,
    "majority to 3": partial(majority, 3),
    "last letter": last_letter,
    "depth to 3": partial(depth, 3),
}
"""What makes each of them."""
