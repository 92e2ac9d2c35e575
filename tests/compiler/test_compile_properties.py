"""Properties of the whole compiler, on drawn star-free languages and on extreme ones, with the real model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from examples import dfa as dfa_named
from hypothesis import given, settings
from hypothesis import strategies as st
from monoid import is_aperiodic_by_monoid
from oracle import few_words, may_follow, states_along

import scancraft
from scancraft import Compiled, Dfa, NotStarFreeError
from scancraft.automata import families
from scancraft.compiler.circuits.circuit import Circuit, CircuitChannel, Shown
from scancraft.compiler.circuits.levels import cascade_circuit
from scancraft.compiler.manifest import Manifest
from scancraft.compiler.targets import Options
from scancraft.compiler.targets import target as target_named
from scancraft.models.build import build_model
from scancraft.models.weights import ModelWeights
from scancraft.testing import any_words, assert_models_language, assert_same_bits, dfas, star_free_dfas

by_cascade = partial(scancraft.compile, construction="cascade")
PAD, BOS, EOS = 0, 1, 2
AB = ("a", "b")
LETTERS = "abcdefghijklmnopqrs"


def examples(count: int) -> settings:
    return settings(max_examples=count, deadline=None, derandomize=True, database=None)


@examples(12)
@given(star_free_dfas(7), st.sampled_from([(16, 4), (2, 3), (4, 2)]), st.data())
def test_the_model_models_the_language(dfa: Dfa, sizes: tuple[int, int], data: st.DataObject) -> None:
    compiled = by_cascade(dfa)
    report = assert_models_language(compiled, words=20, max_length=40, short=300)
    assert report.exhaustive_to >= 4
    some = data.draw(st.lists(any_words(dfa, max_length=10), min_size=2, max_size=4))
    assert_models_language(compiled, words=some, short=0)
    dtypes = (torch.float32, torch.bfloat16, torch.float64)
    assert assert_same_bits(compiled, some, dtypes=dtypes) == 12 * sum(len(word) + 1 for word in some)
    # Spare states and taps change nothing.
    wide = by_cascade(dfa, d_state=sizes[0], d_conv=sizes[1])
    assert (wide.model().config.state_size, wide.model().config.conv_kernel) == sizes
    # <bos> forgets everything: after it, each word gets the logits that it gets alone.
    encode = compiled.readout.encode
    gap = data.draw(st.sampled_from([[], [EOS], [PAD], [EOS, PAD, PAD, PAD]]))
    together, start = logits_of(compiled, [token for word in some for token in [*encode(word), *gap]]), 0
    for word in some:
        alone = logits_of(compiled, encode(word))
        assert torch.equal(together[start : start + len(alone)], alone)
        assert torch.equal(logits_of(wide, encode(word)), alone)
        start += len(alone) + len(gap)


@examples(40)
@given(dfas(5, max_letters=3))
def test_other_languages_are_refused_with_a_witness(dfa: Dfa) -> None:
    if is_aperiodic_by_monoid(dfa.semiautomaton):
        assert by_cascade(dfa).dfa == dfa
        return
    with pytest.raises(NotStarFreeError) as caught:
        by_cascade(dfa, gates="nonnegative")
    assert caught.value.witness.check(dfa)


# -- logits --------------------------------------------------------------------------------------------------------


def logits_of(compiled: Compiled, ids: Sequence[int], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    with torch.inference_mode():
        return compiled.model(dtype)(torch.tensor([ids])).logits[0].float()


def positive(logits: torch.Tensor) -> list[set[int]]:
    """The tokens with a positive logit, per position; a logit of exactly 0 is no answer at all."""
    assert (logits != 0).all()
    return [set(row.nonzero().flatten().tolist()) for row in logits > 0]


@examples(40)
@given(star_free_dfas(6), st.sampled_from([torch.float32, torch.bfloat16, torch.float64]), st.data())
def test_logits_are_right_for_the_whole_vocabulary(dfa: Dfa, dtype: torch.dtype, data: st.DataObject) -> None:
    """Positive exactly where a token may come next; so never for <bos>, <pad> and rows that fill the vocabulary up."""
    compiled = by_cascade(dfa)
    ids = {"<eos>": EOS} | {symbol: 3 + i for i, symbol in enumerate(dfa.alphabet)}
    assert dict(compiled.readout.tokens) | {"<eos>": compiled.readout.accept} == ids
    assert compiled.weights.shape.vocab_size % 8 == 0
    for word in data.draw(st.lists(any_words(dfa, max_length=10), min_size=1, max_size=4)):
        tail = data.draw(st.sampled_from([[], [EOS], [PAD], [EOS, PAD, PAD], [PAD] * 5]))
        logits = logits_of(compiled, [BOS, *(ids[s] for s in word), *tail], dtype)
        assert logits.shape[-1] == compiled.weights.shape.vocab_size
        right = [{ids[token] for token in may_follow(dfa, q)} for q in states_along(dfa, word)]
        assert positive(logits) == right + [set()] * len(tail)


@pytest.mark.parametrize("dfa", [families.ascending_runs(LETTERS), Dfa.universal(LETTERS)], ids=["sorted", "all words"])
def test_nineteen_letters(dfa: Dfa) -> None:
    compiled = by_cascade(dfa)
    compiled.rules.verify()
    assert assert_models_language(compiled, words=20, max_length=30, short=400).exhaustive_to >= 2
    assert assert_same_bits(compiled, [(), dfa.alphabet, *dfa.words(1)][:4]) > 0


def test_dead_for_ever_after() -> None:
    compiled = by_cascade("(ab)*")
    a, b = (compiled.readout.tokens[s] for s in AB)
    for dead in ([b], [a, a], [a, b, b]):
        logits = logits_of(compiled, [BOS, *dead, *[a, b] * 100])
        assert (logits[len(dead) :] < 0).all()
        assert (logits[: len(dead)] > 0).any(dim=1).all()


# -- the manifest and the files ------------------------------------------------------------------------------------


@examples(25)
@given(star_free_dfas(6, max_letters=4))
def test_the_manifest(dfa: Dfa) -> None:
    compiled = by_cascade(dfa)
    manifest = json.loads(json.dumps(compiled.manifest.to_json()))
    assert manifest["contract"] == "all-words"
    assert Manifest.from_json(manifest) == compiled.manifest
    assert manifest["tokens"] == {"<pad>": 0, "<bos>": 1, "<eos>": 2} | {s: 3 + i for i, s in enumerate(dfa.alphabet)}
    assert scancraft.as_dfa(manifest["language"]["dfa"]) == dfa
    assert len(manifest["blocks"]) == len(compiled.circuit.blocks)
    assert len(compiled.manifest.levels) == compiled.cascade.height
    shape = compiled.weights.shape
    assert len(manifest["residual"]) == manifest["shape"]["d_model"] == shape.d_model
    channels = [block["channels"] for block in manifest["blocks"]]
    assert all([c["index"] for c in block] == list(range(len(block))) for block in channels)
    assert all(len(block) <= shape.d_inner for block in channels)
    assert manifest["shape"]["parameters"] == sum(p.numel() for p in compiled.model().parameters())
    assert manifest["shape"]["nonzero"] == sum(int(p.count_nonzero()) for p in compiled.model().parameters())
    # A channel without a label does nothing: no weight of it but the "off" of its Delta.
    for layer, block in enumerate(channels):
        tensors = compiled.weights.block(layer)
        for name in ("mixer.conv1d.weight", "mixer.conv1d.bias", "mixer.D", "mixer.A_log", "mixer.dt_proj.weight"):
            assert not tensors[name][len(block) :].any()
        assert not tensors["mixer.out_proj.weight"][:, len(block) :].any()
        assert not tensors["mixer.x_proj.weight"][:, len(block) :].any()


@examples(10)
@given(dfa=star_free_dfas(6))
def test_a_checkpoint_is_what_was_compiled(tmp_path_factory: pytest.TempPathFactory, dfa: Dfa) -> None:
    place = tmp_path_factory.mktemp("checkpoint") / "out"
    compiled = by_cascade(dfa, place)
    checkpoint = scancraft.load(place)
    assert checkpoint.dfa == dfa
    assert checkpoint.manifest == compiled.manifest
    loaded = checkpoint.model().state_dict()
    built = compiled.model().state_dict()
    assert loaded.keys() == built.keys()
    assert all(torch.equal(loaded[name], built[name]) for name in built)
    original = torch.load(place / "mamba_ssm" / "pytorch_model.bin", weights_only=True)
    renamed = {name.replace("backbone.embedding.", "backbone.embeddings."): t for name, t in original.items()}
    assert renamed.keys() == built.keys()
    assert all(torch.equal(renamed[name], built[name]) for name in built)
    # Written again over itself, it is the same.
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    by_cascade(dfa, place)
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


# -- faults are caught ---------------------------------------------------------------------------------------------


def faulty_channels(channel: CircuitChannel) -> Iterator[CircuitChannel]:
    """A threshold one too high or too low, another label shown, a move dropped."""
    match channel.memory:
        case Shown(register, label):
            for other in register.labels:
                if other != label:
                    yield replace(channel, memory=Shown(register, other))
        case None if not channel.writes:
            yield from (replace(channel, bias=channel.bias + change) for change in (1, -1))
    if channel.writes:
        yield replace(channel, writes={})


def broken_circuits(circuit: Circuit) -> Iterator[Circuit]:
    """The circuit with one channel changed."""
    for number, block in enumerate(circuit.blocks):
        for c, channel in enumerate(block.channels):
            for faulty in faulty_channels(channel):
                changed = replace(block, channels=(*block.channels[:c], faulty, *block.channels[c + 1 :]))
                yield replace(circuit, blocks=(*circuit.blocks[:number], changed, *circuit.blocks[number + 1 :]))


def lowered(circuit: Circuit) -> ModelWeights:
    return target_named("mamba").lowered(circuit, Options()).weights


def model_of(circuit: Circuit) -> Any:
    return build_model(lowered(circuit), pad=PAD, bos=BOS, eos=EOS)


@pytest.mark.parametrize("name", ["D-2", "{a,b}*d{b,c}*"])
def test_wrong_circuits_are_found_in_their_weights(name: str) -> None:
    """A fault that changes what the circuit computes on short words is found in the weights made from it."""
    dfa = dfa_named(name)
    compiled = by_cascade(dfa)
    some = few_words(dfa.alphabet, 300)

    def is_wrong(circuit: Circuit) -> bool:
        right = ([frozenset(may_follow(dfa, q)) for q in states_along(dfa, word)] for word in some)
        said = (prefix_answers(circuit, word) for word in some)
        return any(found != answer[: len(found)] for found, answer in zip(said, right, strict=True))

    def is_found(circuit: Circuit) -> bool:
        try:
            assert_models_language(model_of(circuit), dfa, compiled.readout, words=0, short=300)
        except AssertionError:
            return True
        return False

    assert not is_wrong(compiled.circuit)
    assert not is_found(compiled.circuit)
    broken = list(broken_circuits(compiled.circuit))
    verdicts = [(is_wrong(circuit), is_found(circuit)) for circuit in broken]
    assert all(found for wrong, found in verdicts if wrong)
    assert sum(wrong for wrong, _ in verdicts) >= len(verdicts) / 2 >= 2


def prefix_answers(circuit: Circuit, word: Sequence[str]) -> list[frozenset[str]]:
    """What the circuit says after each prefix, up to where its own assertions stop it."""
    answers = []
    try:
        for _, answer in circuit.run(word):
            answers.append(answer)
    except AssertionError:
        pass  # a sum is not what it should be; the weights may still have the right sign
    except (ValueError, KeyError):
        answers.append(frozenset({"no state at all"}))
    return answers


def test_a_circuit_is_made_from_its_rules() -> None:
    compiled = by_cascade("(a(ab)*b)*")
    assert cascade_circuit(compiled.rules, compiled.dfa) == compiled.circuit
    weights: Any = lowered(compiled.circuit)
    for name, tensor in compiled.weights.tensors.items():
        assert (weights.tensors[name] == tensor).all()
