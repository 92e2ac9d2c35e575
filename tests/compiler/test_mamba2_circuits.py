"""The paper's own constructions in the target mamba2: against independent acceptors, and against themselves."""

from __future__ import annotations

import json
import logging
import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from against_truth import assert_right, at_chunk, logits, promised, short_words, tokens
from forgery import accepted, certified, edit_json, rejected, set_at

import scancraft
from scancraft import Budget, Constructed, Counter, CounterMachine, CounterRangeError, Step
from scancraft.automata.counters.families import boolean, dyck_1, equal_blocks, shuffle
from scancraft.certify.checker.parts import tensors_digest
from scancraft.compiler.constructions import counters, dyck, flip_flop
from scancraft.compiler.manifest import CounterLabel
from scancraft.compiler.targets import TargetError
from scancraft.models.errors import CheckpointError, ReadoutError
from scancraft.models.run.model_runner import ModelRunner
from scancraft.models.run.runner import Runner, Watch

TARGET = "mamba2"
PAD, BOS, EOS, FIRST = 0, 1, 2, 3
CONTRACTS = ("live-prefixes", "all-words")
BEGINS = CounterMachine(  # begins with 3, adds 2 and -1
    ("a", "b"),
    (Counter("n", initial=3, signed=True), Counter("m")),
    "q",
    {"q": {"a": Step("q", {"n": 2, "m": 1}), "b": Step("q", {"n": -1})}},
    {"q": {"n": "zero"}},
)
logging.getLogger("transformers").setLevel(logging.ERROR)

CASES: dict[str, Callable[..., Constructed]] = {
    "flip-flop": flip_flop,
    "Dyck 2,2": partial(dyck, 2, 2),
    "a^n b^n": partial(counters, equal_blocks("ab")),
    "Shuffle-2": partial(counters, shuffle(2)),
    "begins": partial(counters, BEGINS),
}


def test_a_deep_one() -> None:
    """Eight kinds of brackets to depth ten: the DFA would have more than 10^9 states."""
    constructed = dyck(8, 10, target=TARGET)
    words = [tuple(scancraft.live_word_of(constructed.language, 120, np.random.default_rng(i))) for i in range(4)]
    model, ids = constructed.model(), tokens(constructed, words)
    found = logits(at_chunk(model, 16), ids)
    assert assert_right(constructed, words, found) == 4 * 121
    packed = logits(at_chunk(model, 32), ids.reshape(1, -1)).reshape(found.shape)
    assert torch.equal(packed, found)


@pytest.mark.parametrize("language", [equal_blocks("abc"), boolean(3), shuffle(3)], ids=["abc", "boolean", "shuffle"])
def test_streams_hold_what_the_circuit_computes(language: CounterMachine) -> None:
    """Every feature of the circuit, counters included, is the integer that ``Circuit.run`` has, at the end."""
    constructed = counters(language, target=TARGET)
    words = random.Random(0).sample(short_words(language.alphabet, 300), 15)
    model, seen = constructed.model(), []
    hook = model.backbone.layers[-1].register_forward_hook(lambda _m, _i, out: seen.append(out))
    logits(at_chunk(model, 3), tokens(constructed, words))
    hook.remove()
    names = [dimension.name for dimension in constructed.manifest.residual]
    for row, word in zip(seen[0], words, strict=True):
        for t, (features, _) in enumerate(constructed.circuit.run(word)):
            for name, value in features.items():
                assert row[t, names.index(name)] == value, (word[:t], name)


def test_at_most_two_blocks_for_each() -> None:
    for build in CASES.values():
        for contract in CONTRACTS:
            made = build(contract=contract, target=TARGET)
            circuit, labels = made.circuit, made.manifest.blocks
            of = [title for title in (block.title for block in circuit.blocks) for _ in range(2)]
            assert len(circuit.blocks) <= len(labels) <= len(of)
            left = iter(of)  # in order, each block of the circuit has one label or two
            assert all(any(title in label.title for title in left) for label in labels)


def test_flip_flop_in_bfloat16_and_counters_only_in_float32(tmp_path: Path) -> None:
    constructed = flip_flop(target=TARGET)
    words = short_words(constructed.language.alphabet, 130)
    ids = tokens(constructed, words)
    full = logits(constructed.model(), ids)
    for dtype in (torch.bfloat16, torch.float64):
        assert torch.equal(logits(constructed.model(dtype), ids), full)
    place = dyck(2, 3, target=TARGET).save(tmp_path / "m")
    with pytest.raises(CheckpointError, match="not counted exactly in bfloat16, only in float32"):
        scancraft.load(place).runner(torch.bfloat16)


# -- how far it counts -------------------------------------------------------------------------------------------------


def in_state(model: Any, cache: Any, entry: CounterLabel, count: int) -> None:
    """Put a count into the cache, as if so many letters had been read."""
    layer = cache.layers[entry.block]
    channel, size = entry.channel, model.backbone.layers[0].mixer.head_dim
    layer.recurrent_states[0][:, channel // size, channel % size, entry.state] = float(count * entry.unit)


@pytest.mark.parametrize("name", ["Dyck 2,2", "a^n b^n", "Shuffle-2"])
def test_exact_to_the_very_limit(name: str) -> None:
    """As if a long sequence had come before: the state is set to what it would be, and a new word begins."""
    for contract in CONTRACTS:
        constructed = CASES[name](contract=contract, target=TARGET)
        entries = constructed.manifest.counters
        limit = entries[0].limits["float32"]
        words = short_words(constructed.language.alphabet, 70)
        spoken = promised(constructed, words)[1].all(dim=1).tolist()
        words = [word for word, yes in zip(words, spoken, strict=True) if yes]
        model, ids = constructed.model(), tokens(constructed, words)
        fresh = logits(model, ids)
        with torch.no_grad():
            cache = model(torch.full((len(ids), 1), PAD), use_cache=True).cache_params
            for entry in entries:
                in_state(model, cache, entry, limit - ids.shape[1])
            late = []
            for t in range(ids.shape[1]):
                late.append(model(ids[:, t : t + 1], cache_params=cache, use_cache=True).logits)
        assert torch.equal(torch.cat(late, 1), fresh), contract
        assert assert_right(constructed, words, fresh) > 0


@pytest.mark.parametrize(("kinds", "depth"), [(1, 3), (2, 2), (8, 10)])
def test_dead_words_may_be_deep_to_the_very_limit(kinds: int, depth: int) -> None:
    """As if so many brackets had been opened in this word: the same bits as the target mamba, which counts further."""
    here = dyck(kinds, depth, contract="all-words", target=TARGET)
    there = dyck(kinds, depth, contract="all-words")
    (opening, _), (counter,) = here.manifest.counters, there.manifest.counters
    limit = opening.limits["float32"]
    assert 3 * limit < counter.limits["float32"] * 4
    words = [random.Random(n).choices(here.language.alphabet, k=12) for n in range(6)]
    words += [[symbol] * 12 for symbol in here.language.alphabet[:2]]
    found = []
    for constructed in (here, there):
        model, ids = constructed.model(), tokens(constructed, words)
        with torch.no_grad():
            out = model(ids[:, :1], use_cache=True)
            cache, parts = out.cache_params, []
            if constructed is here:
                in_state(model, cache, opening, limit - 12)
            else:
                layer = cache.layers[counter.block]
                layer.recurrent_states[0][:, counter.channel, counter.state] = float(limit - 12)
            for t in range(1, ids.shape[1]):
                parts.append(model(ids[:, t : t + 1], cache_params=cache, use_cache=True).logits)
        found.append(torch.cat(parts, 1))
    assert torch.equal(found[0], found[1])
    assert not bool((found[0][..., EOS:] > 0).any())


def test_past_the_limit_the_runner_says_so() -> None:
    constructed = dyck(1, 3, target=TARGET)
    (opening, closing) = constructed.manifest.counters
    assert opening.unit == 2**15
    assert opening.limits == closing.limits == {"float32": 2**23 - 1}
    watch = Watch(opening.block, opening.channel, opening.state, 3, "openings", opening.unit)
    runner = ModelRunner(constructed.model(), watches=[watch])
    ids = tokens(constructed, [tuple("()()()"), tuple("()(())")])
    assert torch.equal(runner(ids), logits(constructed.model(), ids))
    twice = torch.cat([ids, ids], dim=1)  # a new word does not make the count smaller
    with pytest.raises(
        CounterRangeError, match="openings reaches 4 after 9 tokens of row 0, but is exact only up to 3"
    ):
        runner(twice)
    with pytest.raises(ReadoutError, match="in units of 32768"):
        Runner(dyck(1, 3).weights, watches=[watch])


def adding(amount: int) -> CounterMachine:
    """a adds so much, b takes 1 away."""
    steps = {"a": Step("q", {"n": amount}), "b": Step("q", {"n": -1}, {"n": "positive"})}
    return CounterMachine(("a", "b"), (Counter("n"),), "q", {"q": steps}, {"q": {"n": "zero"}})


def test_amounts_that_cannot_be_counted() -> None:
    for amount in (1, 5, 2**20, 2**22):
        limit = counters(adding(amount), target=TARGET).manifest.counters[0].limits["float32"]
        assert 1 <= limit <= 2**24 // amount
    with pytest.raises(TargetError, match="amounts are too large to be counted exactly in the target mamba2"):
        counters(adding(2**24), target=TARGET)
    assert counters(adding(2**24)).manifest.counters


def test_a_head_that_forgets_nothing() -> None:
    """A is exactly 0 there, in both formats, so that exp of any sum of Delta A is 1; and only there."""
    constructed = dyck(2, 3, target=TARGET)
    tensors = constructed.weights.tensors
    rates = {float(v) for n, t in tensors.items() if n.endswith("A_log") for v in t}
    assert rates == {0.0, -(2.0**13)}
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        assert torch.exp(torch.tensor(-(2.0**13), dtype=dtype)) == 0


# -- certificates and the command line ---------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["dyck", "counters"])
def test_counters_are_undecided_and_a_forged_certificate_is_rejected(what: str, tmp_path: Path) -> None:
    """One of the target mamba, with the digests of these weights: no argument covers them, whatever it says."""
    build = partial(dyck, 2, 2) if what == "dyck" else partial(counters, dyck_1())
    source, place = build(target="mamba").save(tmp_path / "a"), build(target=TARGET).save(tmp_path / "b")
    undecided = scancraft.certify(place, budget=Budget(seconds=1.0)).as_json()
    assert undecided["verdict"] == "undecided"
    assert "none yet for Mamba-2" in str(undecided["reason"])
    certified(source)
    accepted(source)
    for name in ("certificate.json", "certificate.safetensors"):
        shutil.copy(source / name, place)
    digest = tensors_digest(scancraft.load(place).model().state_dict())
    edit_json(place / "certificate.json", set_at("implementation", "model", value="transformers.Mamba2ForCausalLM"))
    edit_json(place / "certificate.json", set_at("sha256", "weights", value=digest))
    rejected(place, "no argument yet")


def test_a_wrong_one_is_still_refuted(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    place = counters(dyck_1(), target=TARGET).save(tmp_path / "m")
    tensors = load_file(place / "model.safetensors")
    tensors["backbone.layers.1.mixer.out_proj.weight"] = 0 * tensors["backbone.layers.1.mixer.out_proj.weight"]
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
    assert scancraft.certify(place).as_json()["verdict"] == "counterexample"


def test_the_other_format_has_the_same_numbers(tmp_path: Path) -> None:
    place = dyck(2, 3, target=TARGET).save(tmp_path / "m")
    config = json.loads((place / "mamba_ssm" / "config.json").read_text())
    assert config["ssm_cfg"]["layer"] == "Mamba2"
    state = torch.load(place / "mamba_ssm" / "pytorch_model.bin", weights_only=True)
    own = scancraft.load(place).model().state_dict()
    for name, tensor in own.items():
        assert torch.equal(state[name.replace("backbone.embeddings.", "backbone.embedding.")], tensor)


def test_a_checkpoint_must_list_what_is_counted(tmp_path: Path) -> None:
    place = counters(equal_blocks("ab"), target=TARGET).save(tmp_path / "m")
    path = place / "scancraft.json"
    manifest = json.loads(path.read_text())
    assert [entry["of"] for entry in manifest["counters"]] == [["counter b due"]] * 2
    for change in ({"of": []}, {"of": ["counter x"]}):
        broken = manifest | {"counters": [{**entry, **change} for entry in manifest["counters"]]}
        path.write_text(json.dumps(broken))
        with pytest.raises(CheckpointError, match="does not list each counter"):
            scancraft.load(place)
    path.write_text(json.dumps(manifest | {"counters": [{**e, "unit": 0} for e in manifest["counters"]]}))
    with pytest.raises(CheckpointError, match=r"Expected `int` >= 1 - at `\$.counters\[0\].unit`"):
        scancraft.load(place)
