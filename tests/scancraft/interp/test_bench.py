"""Ground truth is true: found again by other means, the same in other bases, and nothing for what is dead."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from functools import cache as remembered
from pathlib import Path

import numpy as np
import pytest
import torch
from against_truth import short_chunks
from examples import dfa
from hypothesis import given
from hypothesis import strategies as st

import scancraft
from scancraft import interp
from scancraft.compiler.compiled import CompiledModel
from scancraft.interp import bench
from scancraft.interp.bench.score import _score, scored


@remembered
def base() -> CompiledModel:
    return scancraft.compile("b*a(a|b)*", construction="plan")


@remembered
def truth(construction: str = "plan", target: str = "mamba") -> tuple[CompiledModel, bench.Graph, bench.Truth]:
    compiled = short_chunks(scancraft.compile(dfa("D-2"), construction=construction, target=target))  # type: ignore[arg-type]
    return compiled, *bench.truth_of(compiled)


def short_words(compiled: CompiledModel, length: int) -> torch.Tensor:
    words = itertools.product(compiled.language.alphabet, repeat=length)
    return torch.tensor([compiled.readout.encode(word) for word in words])


TARGETS = ("mamba", "falcon_mamba", "mamba2")


@pytest.mark.parametrize(
    ("construction", "target"), [("plan", "mamba"), ("cascade", "mamba"), ("plan", "falcon_mamba"), ("plan", "mamba2")]
)
def test_patches_on_words_find_the_same_edges(construction: str, target: str) -> None:
    """By whole forward passes with patches, at every position of every word of length 5: an edge that is found matters.

    Of the edges that read the stream or a memory all that matter are found, too; the test shares no code with the truth
    but the names.
    """
    compiled, graph, known = truth(construction, target)
    model, ids = compiled.model(), short_words(compiled, 5)
    heads = getattr(model.config, "num_heads", 0)
    cache = interp.run_with_cache(model, ids)
    columns = list(graph.tokens)
    positive = cache.logits[..., columns] > 0
    weights = {name: value.double() for name, value in model.state_dict().items()}

    def carried(edge: bench.Edge) -> tuple[str, torch.Tensor, int] | None:
        """The point, what the edge adds there, shape (words, time), and the column."""
        b = edge.target.block
        if edge.port not in ("input", "gate") and edge.target.kind != "head":
            return None
        # in_proj of Mamba: x, then z; of Mamba-2: z, x, B, C, and Delta of every head.
        row = edge.target.index + (graph.inner if (edge.port == "gate") != bool(heads) else 0)
        if edge.target.kind == "head":
            row = len(weights[f"backbone.layers.{b}.mixer.in_proj.weight"]) - heads + edge.target.index
        prefix = f"backbone.layers.{b}."
        # Of a normed vector features are as they were, so the weights say at once what is read of what is written.
        reads = weights[f"{prefix}mixer.in_proj.weight"][row] * (weights[f"{prefix}norm.weight"] != 0)
        if edge.source.kind == "embedding":
            written = cache["hook_embed"].double()
            constants = [n for n, d in enumerate(compiled.manifest.residual) if d.kind == "constant"]
            written[..., constants] = 0.0
        else:
            held = cache[f"blocks.{edge.source.block}.mixer.hook_gated"][..., edge.source.index].double()
            column = weights[f"backbone.layers.{edge.source.block}.mixer.out_proj.weight"][:, edge.source.index]
            written = held[..., None] * column
        return f"{prefix}mixer.in_proj", written @ reads, row

    found = set()
    for edge in graph.edges:
        place = carried(edge)
        if place is None:
            continue
        point, values, row = place
        for value, position in itertools.product(values.unique().tolist(), range(ids.shape[1])):
            now = cache[point][:, position, row].double() + value - values[:, position]
            if torch.equal(now, cache[point][:, position, row].double()):
                continue
            run = interp.patch(model, ids, interp.Patch(point, now.float()[:, None], position, row))
            if not torch.equal(run[..., columns] > 0, positive):
                found.add(edge)
                break
    wanted = {edge for edge in known.edges if edge.port in ("input", "gate") or edge.target.kind == "head"}
    assert len(wanted) > 15
    assert any(edge.target.kind == "head" for edge in wanted) == (target == "mamba2")
    assert found == wanted


@pytest.mark.parametrize("construction", ["plan", "cascade"])
def test_what_matters_is_in_the_circuit(construction: str) -> None:
    """Edges are among those that the circuit has, before any tensor: who writes a feature, who reads it, who fires."""
    compiled, _, known = truth(construction)
    circuit = compiled.circuit
    ids = dict(compiled.manifest.tokens)
    embedded = {name for form in circuit.tokens.values() for name in form}
    allowed = set()
    for b, block in enumerate(circuit.blocks):
        for c, channel in enumerate(block.channels):
            node = bench.Node("channel", b, c)
            for port, form in (("input", channel.reads), ("gate", channel.gate)):
                if embedded & set(form):
                    allowed.add(bench.Edge(bench.Node("embedding"), node, port))  # type: ignore[arg-type]
                for source, other in enumerate(itertools.chain.from_iterable(x.channels for x in circuit.blocks[:b])):
                    if set(other.writes) & set(form):
                        numbers = [(n, m) for n, x in enumerate(circuit.blocks[:b]) for m in range(len(x.channels))]
                        allowed.add(bench.Edge(bench.Node("channel", *numbers[source]), node, port))  # type: ignore[arg-type]
            if channel.memory is not None:
                allowed.add(bench.Edge(node, node, "memory"))
        for c, shown in block.shown:
            for form in shown.register.writes.values():
                allowed |= {bench.Edge(bench.Node("channel", b, n), bench.Node("channel", b, c), "step") for n in form}
        for token, form in circuit.verdicts.items():
            logit = bench.Node("logit", index=ids[token])
            if embedded & set(form):
                allowed.add(bench.Edge(bench.Node("embedding"), logit, "logit"))
            for c, channel in enumerate(block.channels):
                if set(channel.writes) & set(form):
                    allowed.add(bench.Edge(bench.Node("channel", b, c), logit, "logit"))
    assert known.edges <= allowed
    assert len(known.edges) > 0.5 * len(allowed)


def test_a_rotation_changes_no_edge() -> None:
    compiled, graph, known = truth("cascade")
    same = {"permute": False, "split": 0, "decoys": 0, "spread": False}
    turned = interp.variant(compiled, noise=0.4, **same)  # type: ignore[arg-type]
    assert turned.weights.shape.d_inner == graph.inner
    other_graph, other = bench.truth_of(turned)
    assert other_graph.edges == graph.edges
    assert (other.edges, other.nodes, other.contexts) == (known.edges, known.nodes, known.contexts)


def test_a_planted_dead_channel_does_not_matter_and_a_split_one_does() -> None:
    found = interp.variant(base(), split=1, decoys=3, seed=5)
    graph, known = bench.truth_of(found)
    dead = {bench.Node("channel", c.block, c.index) for c in interp.labels_of(found).channels if "decoy" in c.meaning}
    assert len(dead) == 3 * len(found.manifest.blocks)
    assert not dead & known.nodes
    assert not any(edge.source in dead or edge.target in dead for edge in known.edges)
    assert dead < set(graph.nodes)
    # Something reads the planted channels' neighbours, so the test can fail.
    assert known.nodes


def test_a_probe_is_taken_in_by_decoys_and_patching_is_not() -> None:
    found = interp.variant(scancraft.compile(dfa("D-2"), construction="cascade"), decoys=3, split=0, seed=1)
    graph, known = bench.truth_of(found)
    task = bench.task_of(found, graph)
    dead = {bench.Node("channel", c.block, c.index) for c in interp.labels_of(found).channels if "decoy" in c.meaning}
    probed = bench.linear_probe(task)
    assert max(probed[node] for node in dead) > np.median([probed[node] for node in known.nodes])
    patched = bench.activation_patching(task)
    moved = {edge.source for edge, score in patched.items() if score > 0} | {
        edge.target for edge, score in patched.items() if score > 0
    }
    assert not moved & dead
    assert moved


@pytest.mark.parametrize("target", TARGETS)
def test_methods_score_models_of_every_target(target: str) -> None:
    compiled, graph, known = truth("cascade", target)
    assert len({edge.target.kind for edge in graph.edges}) == (3 if target == "mamba2" else 2)
    task = bench.task_of(compiled, graph)
    for name, method in bench.METHODS.items():
        found = _score(name, method, task, known.edges, known.nodes)
        assert found.auroc > 0.6, (name, found)
    # What patching finds to move a logit's sign on these words does matter.
    patched = bench.activation_patching(task)
    logits = {edge for edge, score in patched.items() if edge.port == "logit" and score > 0}
    assert logits & known.edges


def test_a_variant_of_falcon_mamba_has_a_truth_too() -> None:
    compiled, _, known = truth("cascade", "falcon_mamba")
    turned = interp.variant(compiled, permute=False, split=0, decoys=0, spread=False)
    assert bench.truth_of(turned)[1].edges == known.edges


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_scores_are_what_their_definitions_say(rows: list[tuple[int, bool]]) -> None:
    right = [n for n, (_, good) in enumerate(rows) if good]
    if len(right) in (0, len(rows)):
        with pytest.raises(interp.BenchError, match="nothing to rank"):
            scored({0: 1.0}, range(len(rows)), right)
        return
    found = scored(dict(enumerate(float(v) for v, _ in rows)), range(len(rows)), right)
    pairs = [(a, b) for a, good in rows if good for b, bad in rows if not bad]
    assert found.auroc == pytest.approx(np.mean([(a > b) + (a == b) / 2 for a, b in pairs]))
    precision = [
        sum(g for v, g in rows if v >= value) / sum(v >= value for v, _ in rows) for value, good in rows if good
    ]
    assert found.average_precision == pytest.approx(np.mean(precision))


def test_scores_that_cannot_be_used() -> None:
    compiled, _, _ = truth()
    methods: Mapping[str, tuple[object, str]] = {
        "nothing": ({}, "not scores"),
        "stranger": ({bench.Node("channel", 9, 9): 1.0}, "none of the model's nodes"),
        "infinite": ({bench.Node("channel", 0, 0): float("inf")}, "no finite number"),
    }
    graph, known = bench.truth_of(base())
    task = bench.task_of(base(), graph)
    for name, (scores, message) in methods.items():
        with pytest.raises(interp.BenchError, match=message):
            _score(name, lambda _, s=scores: s, task, known.edges, known.nodes)  # type: ignore[misc]
    counted = scancraft.compile(scancraft.suite_language("Dyck-1").language)
    for model in (counted, scancraft.compile(dfa("Parity")), scancraft.dyck(2, 2)):
        with pytest.raises(interp.BenchError, match="targets mamba, falcon_mamba, mamba2"):
            bench.truth_of(model)
    with pytest.raises(scancraft.BudgetExceededError):
        bench.truth_of(compiled, scancraft.Budget(items=10))


def test_a_leaderboard_is_added_to(tmp_path: Path) -> None:
    board = tmp_path / "board.json"
    results = bench.bench(base(), {"probe": bench.linear_probe}, language="one a")
    assert bench.add(board, results) == tuple(results)
    assert bench.add(board, results) == tuple(results)  # the same again is no second entry
    other = bench.bench(interp.variant(base()), {"probe": bench.linear_probe}, language="one a", variant="variant")
    assert bench.add(board, other) == (*results, *other) == bench.read(board)
    assert json.loads(board.read_text())["schema_version"] == 1
    for text, message in (("{}", "no leaderboard"), ('{"schema_version": 2, "results": []}', "schema_version 2")):
        board.write_text(text)
        with pytest.raises(interp.BenchError, match=message):
            bench.add(board, results)
        assert board.read_text() == text
