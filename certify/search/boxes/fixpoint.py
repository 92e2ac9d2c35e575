"""The least boxes that a graph of draws does not leave, with loops in closed form.

An edge draws an entry of the state from h to a h + (1 - a) v. The greatest value at each node is the greatest, over the
edges that lead there, of what they make of the greatest value where they come from: a system of maxima of linear forms.
It is solved by policy iteration: let each node choose one edge, solve the linear system of the choices, choose again.
A system of choices is a graph in which each node has one predecessor, so that it is solved by composing each node's
chain with itself, twice as long each time: a gate of 0.9999 takes ten more doublings than one of 0.9, and no more
rounds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ....models.arithmetic import Interval
from ....models.enclosures import Drive
from .graph import BoxGraph, Ints

Numbers = NDArray[np.float64]

ROUNDS = 200
"""Of choosing; a round that changes nothing ends it."""
DOUBLINGS = 60
COLUMNS = 256
"""Entries that are worked on together."""
LARGEST_GATE = 1 - 2.0**-40


def least_boxes(graph: BoxGraph, drive: Drive) -> Interval:
    """The boxes of all entries at each node.

    Args:
        graph: nodes and edges.
        drive: how each edge draws each entry, shapes (edges, entries).

    Returns:
        Shape (nodes, entries).
    """
    ways = _incoming(graph)
    entries = drive.gate.shape[1]
    low, high = np.zeros((len(graph), entries)), np.zeros((len(graph), entries))
    for at in range(0, entries, COLUMNS):
        some = slice(at, at + COLUMNS)
        gates = [np.minimum(gate[:, some], LARGEST_GATE) for gate in (drive.gate.low, drive.gate.high)]
        high[:, some] = _greatest(graph.source, ways, gates, drive.target.high[:, some])
        low[:, some] = -_greatest(graph.source, ways, gates, -drive.target.low[:, some])
    return Interval(low, high)


def _incoming(graph: BoxGraph) -> Ints:
    """The edges that lead to each node, shape (nodes, most); places that are left over hold the first again."""
    order = np.argsort(graph.target, kind="stable")
    starts = np.searchsorted(graph.target[order], np.arange(len(graph) + 1))
    most = int(np.diff(starts).max())
    places = starts[:-1, None] + np.arange(most)
    return np.asarray(order[np.where(places < starts[1:, None], places, starts[:-1, None])])


def _greatest(source: Ints, ways: Ints, gates: list[Numbers], aim: Numbers) -> Numbers:
    """The greatest value at each node, shape (nodes, entries)."""
    nodes, entries = len(ways), aim.shape[1]
    endless = ~np.isfinite(aim + gates[0] + gates[1]).all(axis=0)  # what adds up has no bound
    aim, gates = np.where(endless, 0.0, aim), [np.where(endless, 0.0, gate) for gate in gates]
    columns = np.arange(entries)
    value = np.zeros((nodes + 1, entries))  # the last one: what there is before the first token
    before = np.where(source < 0, nodes, source)
    for _ in range(ROUNDS):
        came = value[before]
        gate = np.where(came > aim, gates[1], gates[0])
        made = gate * came + (1 - gate) * aim
        choice = np.argmax(made[ways], axis=1)
        edge = ways[np.arange(nodes)[:, None], choice]
        factor, add = gate[edge, columns], ((1 - gate) * aim)[edge, columns]
        new = _solved(before[edge], factor, add)
        if (new[:nodes] <= value[:nodes] + 2.0**-44 * np.abs(value[:nodes]).max(initial=0.0)).all() and _:
            break
        value = new
    return np.where(endless, np.inf, value[:nodes])


def _solved(previous: Ints, factor: Numbers, add: Numbers) -> Numbers:
    """The values x with x = factor * x[previous] + add; one more row at the end, which is 0."""
    last = np.zeros((1, factor.shape[1]))
    factor, add = np.concatenate([factor, last]), np.concatenate([add, last])
    previous = np.concatenate([previous, np.full(last.shape, len(previous))])
    for _ in range(DOUBLINGS):
        add = factor * np.take_along_axis(add, previous, 0) + add
        factor = factor * np.take_along_axis(factor, previous, 0)
        if factor.max(initial=0.0) < 2.0**-60:
            break
        previous = np.take_along_axis(previous, previous, 0)
    return np.asarray(add)
