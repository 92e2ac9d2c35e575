"""What the manifest of a Mamba-2 says of the residual stream, beside what the stream holds after every block."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray

import scancraft
import scancraft.testing
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import SUITE, d_n
from scancraft.automata.letters import quotient
from scancraft.compiler.circuits.circuit import Circuit, Shown
from scancraft.explain.page_data import page_data
from scancraft.explain.tables import weight_table

BOS, FIRST = 1, 3
STAR_FREE = {entry.name: entry.build() for entry in SUITE if entry.star_free}
Numbers = NDArray[np.float32]


@torch.no_grad()
def streams(model: Any, words: list[tuple[int, ...]]) -> list[Numbers]:
    """The residual stream after the embedding and after each block, each of shape (words, tokens, d_model)."""
    seen: list[Numbers] = []
    hooks = [model.backbone.embeddings.register_forward_hook(lambda _m, _i, out: seen.append(out.numpy().copy()))]
    for block in model.backbone.layers:
        hooks.append(block.register_forward_hook(lambda _m, _i, out: seen.append(out.numpy().copy())))
    model(torch.tensor([[BOS, *(FIRST + a for a in word)] for word in words]))
    for hook in hooks:
        hook.remove()
    assert len(seen) == len(model.backbone.layers) + 1
    return seen


def states_of(dfa: Dfa, words: list[tuple[int, ...]]) -> list[list[str]]:
    """The name of the state after each prefix."""
    found = []
    for word in words:
        state = dfa.initial
        row = [dfa.names[state]]
        for letter in word:
            state = dfa.semiautomaton.table[state][letter]
            row.append(dfa.names[state])
        found.append(row)
    return found


def assert_labels_hold(dfa: Dfa, words: list[tuple[int, ...]]) -> int:
    """Every dimension holds what its label says; returns how often an indicator was 1."""
    compiled: Any = scancraft.compile(dfa, target="mamba2", construction="cascade")
    manifest, model = compiled.manifest, compiled.model()
    if not manifest.blocks:
        return 0
    found, names = streams(model, words), [dimension.name for dimension in manifest.residual]
    truth = states_of(dfa, words)
    assert len(names) == found[0].shape[2]
    place = {name.partition(":")[0]: d for d, name in enumerate(names)}
    classes = quotient(dfa)  # letters that act alike are one
    letters = ["<bos>", *classes.dfa.alphabet]
    kinds = [next(k for k, some in enumerate(classes.members.values()) if a in some) for a in dfa.alphabet]
    shown = 0
    held: dict[int, NDArray[np.intp]] = {}  # what the memory of a level is, by what its indicators said last
    for number, labels in enumerate([None, *manifest.blocks]):
        stream = found[number]
        for d, name in enumerate(names):
            if name == "unused":
                assert not stream[:, :, d].any()
            elif name == "constant":
                assert (stream[:, :, d] == 2.0**40).all()
            elif name.startswith("letter "):
                here = letters.index(name.removeprefix("letter "))
                said = np.array([[here == 0, *(kinds[a] + 1 == here for a in word)] for word in words])
                assert np.array_equal(stream[:, :, d], said)
        slots = manifest.blocks[0].slots_before if labels is None else labels.slots_after
        active = stream[:, :, [place[f"slot {s}"] for s in slots]]
        assert np.array_equal(active.sum(axis=2), np.ones(active.shape[:2]))
        assert set(np.unique(active).tolist()) <= {0.0, 1.0}
        for s, name in slots.items():
            inside = {q for q in re.split(r"[{},|]", name) if q}
            for w, t in zip(*np.nonzero(stream[:, :, place[f"slot {s}"]]), strict=True):
                assert truth[w][t] in inside, (number, name)
        for d, dimension in enumerate(manifest.residual):
            if dimension.kind == "slot" and dimension.number not in slots:
                assert not stream[:, :, d].any(), (number, dimension)
        written = {} if labels is None else labels.indicators_after or {}
        values = {
            int(text.partition(" becomes ")[2].partition(",")[0]): stream[:, :, place[f"indicator {n}"]]
            for n, text in written.items()
        }
        shown += int(sum(v.sum() for v in values.values()))
        for d, dimension in enumerate(manifest.residual):
            if dimension.kind == "indicator" and dimension.number not in written:
                assert not stream[:, :, d].any(), (number, dimension)
        for value in values.values():
            assert set(np.unique(value).tolist()) <= {0.0, 1.0}
        if values:
            level = manifest.blocks[number - 1].level
            assert all(f"level {level} " in text for text in written.values())
            assert labels.slots_after == labels.slots_before
            assert np.array_equal(stream[:, :, place["slot 0"]], found[number - 1][:, :, place["slot 0"]])
            last = np.full(active.shape[:2], -1)
            now = np.full(len(words), -1)
            alone = said_alone(manifest, number - 1, stream, words)
            assert all((", where no" in written[n]) is (v in alone) for n, v in zip(written, values, strict=True))
            for t in range(active.shape[1]):
                for v, value in [*values.items(), *alone.items()]:
                    now = np.where(value[:, t] == 1, v, now)
                last[:, t] = now
            held[level] = last
    assert_memories(compiled.circuit, manifest, found, held)
    return shown


def said_alone(manifest: Any, block: int, stream: Numbers, words: list[tuple[int, ...]]) -> dict[int, Numbers]:
    """Where letters alone, or sets alone, overwrite the memory: by label, shape (words, tokens)."""
    found: dict[int, Numbers] = {}
    slot_of = {name: s for s, name in manifest.blocks[block].slots_before.items()}
    names = [dimension.name for dimension in manifest.residual]
    for condition in manifest.blocks[block].conditions:
        kind, _, rest = condition.when.partition(" in ")
        if " and " in rest or kind not in ("letter", "after"):
            continue
        wanted = [f"letter {x}" if kind == "letter" else f"slot {slot_of[x]}" for x in rest.split(" ")]
        here = stream[:, :, [names.index(name) for name in wanted]].sum(axis=2)
        found[condition.label] = found.get(condition.label, 0) + here
    return found


def assert_memories(circuit: Circuit, manifest: Any, found: list[Numbers], held: dict[int, NDArray[np.intp]]) -> None:
    """A level's second block moves what its first block's indicators, all on their own, say."""
    names = [dimension.name for dimension in manifest.residual]
    channels = {block.level.height: block.channels for block in circuit.blocks if block.level is not None}
    for number, block in enumerate(manifest.blocks):
        last = held.get(block.level)
        if block.finds_only or last is None:
            continue
        before, after = found[number], found[number + 1]
        for channel in channels[block.level]:
            if isinstance(channel.memory, Shown):
                (source,) = channel.gate
                (target,) = (name for name, weight in channel.writes.items() if weight > 0)
                here = before[:, :, names.index(source)] == 1
                moved = after[:, :, names.index(target)] == 1
                assert np.array_equal(moved[here], (last == channel.memory.label)[here])


def all_words(dfa: Dfa, most: int) -> list[tuple[int, ...]]:
    length = 1
    while len(dfa.alphabet) ** (length + 1) <= most and length < 9:
        length += 1
    return list(itertools.product(range(len(dfa.alphabet)), repeat=length))


@pytest.mark.parametrize("name", [n for n in STAR_FREE if n != "D-12"])
def test_every_dimension_holds_what_its_label_says(name: str) -> None:
    shown = assert_labels_hold(STAR_FREE[name], all_words(STAR_FREE[name], 600))
    one_block = scancraft.compile(STAR_FREE[name], target="mamba2", construction="cascade").weights.shape.n_layers == 1
    assert (shown > 0) is not one_block


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(scancraft.testing.star_free_dfas(max_states=5))
def test_labels_of_any_star_free_language(dfa: Dfa) -> None:
    if dfa.alphabet:
        assert_labels_hold(dfa, all_words(dfa, 100))


def test_a_wider_stream_has_its_own_labels() -> None:
    """With indicators the stream can be wider than the program alone needs."""
    wider = 0
    for n in range(3, 12):
        compiled: Any = scancraft.compile(d_n(n), target="mamba2", construction="cascade")
        labels = [dimension.kind for dimension in compiled.manifest.residual]
        assert len(labels) == compiled.weights.shape.d_model
        constants = (compiled.weights.tensors["backbone.embeddings.weight"][0] != 0).sum()
        assert labels.count("constant") == constants
        wider += (
            compiled.weights.shape.d_model > scancraft.compile(d_n(n), construction="cascade").weights.shape.d_model
        )
    assert wider > 0


def test_pages_and_pictures_tell_the_two_blocks_apart(tmp_path: Path) -> None:
    place = tmp_path / "d2"
    scancraft.compile(STAR_FREE["D-2"], place, target="mamba2", construction="cascade")
    checkpoint = scancraft.load(place)
    manifest = json.loads((place / "scancraft.json").read_text())
    pages = page_data(checkpoint)["blocks"]
    finding = [n for n, block in enumerate(manifest["blocks"]) if block.get("finds_only")]
    assert finding == [1, 3]
    for n, block in enumerate(pages):
        assert block["title"].startswith("conditions of ") is (n in finding)
        assert (block["slots_before"] == block["slots_after"]) is (n in finding)
    table = weight_table(checkpoint, 1)
    writes = next(group for group in table.groups if group.title.startswith("writes"))
    assert writes.columns == ("the memory of level 2 becomes 0", "the memory of level 2 becomes 1")
    steers = next(group for group in weight_table(checkpoint, 2).groups if group.title.startswith("Δ"))
    assert steers.columns[:2] == writes.columns
    assert "level 1" in "".join(weight_table(checkpoint, 3).groups[-1].columns)
