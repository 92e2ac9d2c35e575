"""Lists of events: whether they begin where the model begins, are closed, and hold only what the model does.

The invariant is that of docs/certificates.md: a stage's list of *events* (input node, own state, output vector) that
contains what ``<bos>`` does and, with every event, what each letter that can come next makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .arithmetic import LARGEST_SUM, ROWS, Obligations, exactly
from .languages import Language
from .machine import Machine
from .parts import Bools, Ints, ObligationError, first, need, reject


class Graph(NamedTuple):
    """Nodes (letter, DFA state, row of ``vectors``); ``pairs``: sorted codes n * len(nodes) + m of "m can follow n"."""

    nodes: Ints
    vectors: Any
    pairs: Ints


class Steps(NamedTuple):
    """Distinct steps of a stage: input vectors, own states before and after, output vectors."""

    vectors: Any
    before: Any
    after: Any
    out: Any


class Closed(NamedTuple):
    """What the stages prove.

    Attributes:
        graph: after the last one.
        counts: what they list.
        starts: of each stage its first and last block, and the vector of ``<bos>``.
        failure: the obligation that failed, if any.
    """

    graph: Graph
    counts: dict[str, int]
    starts: list[tuple[int, int, Any]]
    failure: ObligationError | None


def check_shapes(tensors: Mapping[str, Tensor], stages: int) -> dict[str, Any]:
    """The tensors as arrays, if they are just those of so many stages, with the right types and shapes."""
    columns = {"blocks": None, "nodes": 3, "events": 3, "transitions": 2, "states": 0, "vectors": 0}
    expected = {"inputs": 0, "final.nodes": 3} | {f"stage{i}.{k}": c for i in range(stages) for k, c in columns.items()}
    need(set(tensors) == set(expected), f"evidence: missing or unknown {sorted(set(tensors) ^ set(expected))}")
    for name, width in expected.items():
        tensor = tensors[name]
        need(tensor.dtype == (torch.float32 if width == 0 else torch.int64), f"{name}: has dtype {tensor.dtype}")
        fits = (
            tensor.shape == (2,)
            if width is None
            else tensor.ndim == 2 and tensor.shape[1] in {width or tensor.shape[1]}
        )
        need(fits and (len(tensor) or name.endswith("transitions")), f"{name}: has shape {tuple(tensor.shape)}")
    return {name: tensor.numpy() + 0 for name, tensor in tensors.items()}  # + 0 turns -0.0 into +0.0


def _distinct(rows: Any, name: str, limits: tuple[int, ...] = ()) -> None:
    """No row twice, and, for integers, every column in range."""
    need(len({row.tobytes() for row in rows}) == len(rows), f"{name}: a row occurs twice")
    for column, limit in enumerate(limits):
        bad = (rows[:, column] < 0) | (rows[:, column] >= limit)
        need(not bad.any(), f"{name}: column {column} has a number outside 0..{limit - 1}")


def first_graph(
    arrays: dict[str, Any], name: str, language: Language, live_only: bool, embedded: Any, *, until_death: bool = False
) -> Graph:
    """The word graph of a language, if ``name`` and ``inputs`` are its nodes and the model's embeddings.

    It is that of live prefixes, or of those and the first dead ones, or of all.
    """
    nodes, inputs, bos = arrays[name], arrays["inputs"], len(language.symbols)
    _distinct(nodes, name, (bos + 1, len(language.table), bos + 1))
    need((nodes[:, 0] == nodes[:, 2]).all(), f"{name}: a node has another letter's vector")
    need(nodes[0].tolist() == [bos, 0, bos], f"{name}: node 0 is not <bos> in the initial state")
    used = np.unique(nodes[:, 0])
    need(inputs.shape == embedded.shape, f"inputs: has shape {inputs.shape}, the embeddings {embedded.shape}")
    need(np.array_equal(inputs[used], embedded[used]), "inputs: a row is not the model's embedding")
    number = {(letter, truth): n for n, (letter, truth, _) in enumerate(nodes.tolist())}
    pairs = []
    for n, (_, truth, _) in enumerate(nodes.tolist()):
        if until_death and not language.live[truth]:
            continue
        for letter, target in enumerate(language.table[truth].tolist()):
            if live_only and not language.live[target]:
                continue
            follower = number.get((letter, target))
            if follower is None:
                reject(f"{name}: nothing for letter {letter} after node {n}")
            pairs.append(n * len(nodes) + follower)
    return Graph(nodes, inputs, np.array(sorted(pairs), dtype=np.int64))


def check_stages(
    arrays: dict[str, Any], stages: int, graph: Graph, language: Language, machine: Machine, o: Obligations | None
) -> Closed:
    """All stages in turn; with ``o`` every distinct step in exact arithmetic, too, until an obligation fails."""
    counts = {"stages": stages, "events": 0, "transitions": 0, "own_states": 0}
    starts, failure, end = [], None, 0
    for i in range(stages):
        begin, last = arrays[f"stage{i}.blocks"].tolist()
        need(begin == end < last <= len(machine.blocks), f"stage {i}: blocks {begin}..{last} do not follow block {end}")
        end = last
        starts.append((begin, last, graph.vectors[graph.nodes[:1, 2]]))
        graph, steps = _check_stage(i, i + 1 == stages, arrays, graph, language, machine)
        if o is not None and failure is None:
            try:
                _check_obligations(o, i, machine, begin, last, steps)
            except ObligationError as error:
                failure = error
        for key, part in (("events", "events"), ("transitions", "transitions"), ("own_states", "states")):
            counts[key] += len(arrays[f"stage{i}.{part}"])
    return Closed(graph, counts, starts, failure)


def _check_stage(
    i: int, final: bool, arrays: dict[str, Any], graph: Graph, language: Language, machine: Machine
) -> tuple[Graph, Steps]:
    """Closure and correctness of one stage; the graph that the next stage must read, and the distinct steps."""
    begin, last = arrays[f"stage{i}.blocks"].tolist()
    events, transitions, states, vectors = (
        arrays[f"stage{i}.{key}"] for key in ("events", "transitions", "states", "vectors")
    )
    count = len(graph.nodes)
    need(states.shape[1] == (last - begin) * machine.size, f"stage{i}.states: rows of the wrong length")
    need(vectors.shape[1] == graph.vectors.shape[1], f"stage{i}.vectors: rows of the wrong length")
    _distinct(states, f"stage{i}.states")
    _distinct(vectors, f"stage{i}.vectors")
    _distinct(events, f"stage{i}.events", (count, len(states), len(vectors)))
    _distinct(transitions, f"stage{i}.transitions", (len(events), len(events)))

    out, own = machine.step(begin, last, graph.vectors[graph.nodes[:1, 2]], None)
    good = events[0, 0] == 0 and np.array_equal(own[0], states[events[0, 1]])
    need(good and np.array_equal(out[0], vectors[events[0, 2]]), f"stage {i}: event 0 is not what <bos> does")
    source, target = transitions.T
    node = events[target, 0]
    bad = ~np.isin(events[source, 0] * count + node, graph.pairs)
    need(not bad.any(), f"stage {i}: transition {first(bad)} reads a node that cannot come next")
    # Closed: the listed (event, next node) are allowed and distinct, so they are all of them iff there are enough.
    ways = np.bincount(graph.pairs // count, minlength=count)
    listed = np.bincount(np.unique(source * count + node) // count, minlength=len(events))
    bad = listed != ways[events[:, 0]]
    need(not bad.any(), f"stage {i}: the list is not closed: event {first(bad)} lacks a transition")

    _, which, step = np.unique(
        graph.nodes[node, 2] * len(states) + events[source, 1], return_index=True, return_inverse=True
    )
    bad = (events[target, 1:] != events[target[which], 1:][step.reshape(-1)]).any(axis=1)
    need(not bad.any(), f"stage {i}: transition {first(bad)} contradicts another one of the same step")
    steps = Steps(
        np.concatenate([graph.vectors[graph.nodes[:1, 2]], graph.vectors[graph.nodes[node[which], 2]]]),
        np.concatenate([np.zeros_like(own), states[events[source[which], 1]]]),
        np.concatenate([own, states[events[target[which], 1]]]),
        np.concatenate([out, vectors[events[target[which], 2]]]),
    )
    if len(which):
        out, own = machine.step(begin, last, steps.vectors[1:], steps.before[1:])
        bad = (out != steps.out[1:]).any(axis=1) | (own != steps.after[1:]).any(axis=1)
        need(not bad.any(), f"stage {i}: transition {which[max(first(bad), 0)]} is not what the model's step gives")

    name = "final.nodes" if final else f"stage{i + 1}.nodes"
    following = arrays[name]
    _distinct(following, name, (len(language.symbols) + 1, len(language.table), len(vectors)))
    scale = np.array([len(language.table) * len(vectors), len(vectors), 1])
    wanted = np.concatenate([graph.nodes[events[:, 0], :2], events[:, 2:]], axis=1) @ scale
    order = np.argsort(following @ scale)
    place = np.searchsorted((following @ scale)[order], wanted)
    output = order[np.minimum(place, len(order) - 1)]
    bad = (following @ scale)[output] != wanted
    need(not bad.any(), f"{name}: nothing for event {first(bad)} of stage {i}")
    need(output[0] == 0, f"{name}: node 0 is not that of event 0")
    pairs = np.unique(output[source] * len(following) + output[target])
    return Graph(following, vectors, pairs), steps


def _check_obligations(o: Obligations, i: int, machine: Machine, begin: int, last: int, steps: Steps) -> None:
    """Every distinct step of a stage in exact arithmetic, which must give the model's own numbers."""
    blocks = range(begin, last)
    owns = [slice((n - begin) * machine.size, (n - begin + 1) * machine.size) for n in blocks]
    sums = [_exact_differences(steps.after[:, own][:, machine.conv :], machine.states) for own in owns]
    seen: list[list[Any]] = [[] for _ in blocks]
    for at in range(0, len(steps.vectors), ROWS):
        vectors, before, after, out = (part[at : at + ROWS] for part in steps)
        stream = exactly(vectors)
        for number, own, exact, all_steps in zip(blocks, owns, sums, seen, strict=True):
            past, ssm = np.split(before[:, own], [machine.conv], axis=1)
            stream, window, new = machine.kind.step(
                o,
                machine.blocks[number],
                stream,
                exactly(past.reshape(-1, *machine.shape)),
                exactly(ssm.reshape(len(ssm), *machine.states)),
                f"block {number}",
                exact,
                *([all_steps] if machine.kind.together else []),
            )
            kept = window.lo.reshape(len(past), -1) * machine.kept[number]
            found = np.concatenate([kept, new.lo.reshape(len(past), -1)], axis=1)
            agree(found == after[:, own], f"stage {i}: exact arithmetic gives other states in block {number}")
        agree(stream.lo == out, f"stage {i}: exact arithmetic gives other vectors")
    if machine.kind.together:
        for number, all_steps in zip(blocks, seen, strict=True):
            machine.kind.together(o, all_steps, f"block {number}")


def _exact_differences(states: Any, shape: tuple[int, ...]) -> Bools:
    """Per entry of the SSM state whether the numbers that it holds, and 0, have differences that no format rounds."""
    held = exactly(states)
    spread = np.maximum(held.lo.max(axis=0), 0.0) - np.minimum(held.lo.min(axis=0), 0.0)
    unit = np.minimum(held.unit.min(axis=0), 0)
    return np.asarray(spread <= np.ldexp(LARGEST_SUM, unit)).reshape(shape)


def agree(same: Any, reason: str) -> None:
    """Exact arithmetic and the model's step give the same; if not, nothing holds of other implementations."""
    if not np.all(same):
        raise ObligationError("sums", reason)
