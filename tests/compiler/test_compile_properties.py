"""Properties of the whole compiler, on drawn star-free languages and on extreme ones, with the real model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from monoid import is_aperiodic_by_monoid, transition_monoid

import scancraft
from scancraft.automata import families
from scancraft.automata.budget import Budget
from scancraft.automata.decide.aperiodic import NotStarFreeError
from scancraft.automata.dfa import Dfa
from scancraft.automata.errors import BudgetExceededError
from scancraft.compiler.cascade.rules import RuleTable
from scancraft.compiler.circuits.circuit import Circuit, CircuitChannel, Shown
from scancraft.compiler.circuits.levels import cascade_circuit
from scancraft.compiler.compiled import Compiled
from scancraft.compiler.manifest import Manifest
from scancraft.compiler.targets import Options
from scancraft.compiler.targets import target as target_named
from scancraft.models.build import build_model
from scancraft.models.weights import ModelWeights
from scancraft.testing import any_words, assert_models_language, assert_same_bits, dfas, star_free_dfas

PAD, BOS, EOS = 0, 1, 2
AB = ("a", "b")
EXTREMES = {
    "empty language": Dfa.empty(AB),
    "only the empty word": Dfa.from_words(AB, [()]),
    "all words": Dfa.universal(AB),
    "empty language, no letters": Dfa.empty(()),
    "all words, no letters": Dfa.universal(()),
    "empty language, one letter": Dfa.empty("a"),
    "only the empty word, one letter": Dfa.from_words("a", [()]),
    "all words, one letter": Dfa.universal("a"),
    "one word": Dfa.from_words(AB, ["abba"]),
    "nineteen letters, sorted": families.ascending_runs("abcdefghijklmnopqrs"),
    "nineteen letters, all words": Dfa.universal("abcdefghijklmnopqrs"),
    "long names": Dfa.from_words(("push", "pop"), [("push", "pop")]),
}


def examples(count: int) -> settings:
    return settings(max_examples=count, deadline=None, derandomize=True, database=None)


def all_words(alphabet: Sequence[str], longest: int) -> Iterator[tuple[str, ...]]:
    for length in range(longest + 1):
        yield from product(alphabet, repeat=length)


def short_words(dfa: Dfa, most: int) -> list[tuple[str, ...]]:
    """All words up to the greatest length at which there are at most so many."""
    chosen: list[tuple[str, ...]] = []
    for length in range(9):
        layer = list(product(dfa.alphabet, repeat=length))
        if len(chosen) + len(layer) > most:
            break
        chosen += layer
    return chosen


# -- what the language says, from its table alone ------------------------------------------------------------------


def states_along(dfa: Dfa, word: Sequence[str]) -> list[int]:
    states, column = [0], {symbol: i for i, symbol in enumerate(dfa.alphabet)}
    for symbol in word:
        states.append(dfa.semiautomaton.table[states[-1]][column[symbol]])
    return states


def allowed(dfa: Dfa, state: int) -> set[str]:
    """The tokens that may come next: those after which acceptance can be reached, by forward search."""
    follow = {"<eos>"} if state in dfa.accepting else set()
    for symbol, target in zip(dfa.alphabet, dfa.semiautomaton.table[state], strict=True):
        seen, queue = {target}, [target]
        for q in queue:
            for r in dfa.semiautomaton.table[q]:
                if r not in seen:
                    seen.add(r)
                    queue.append(r)
        if seen & dfa.accepting:
            follow.add(symbol)
    return follow


def holonomy_height(dfa: Dfa) -> int | None:
    """H by the definition, from the whole transition monoid; None if that is large."""
    n = dfa.n_states
    try:
        actions = [element.action for element in transition_monoid(dfa.semiautomaton, Budget(400, None))]
    except BudgetExceededError:
        return None
    sets = {frozenset(action) for action in actions} | {frozenset([q]) for q in range(n)}
    below = {p: [r for r in sets if any(p <= {s[q] for q in r} for s in actions)] for p in sets}
    height = dict.fromkeys(sets, 0)
    for _ in sets:  # longest strict chains, by relaxation
        for p, above in below.items():
            for r in above:
                if p not in below[r] or r not in below[p]:
                    height[r] = max(height[r], height[p] + 1) if len(r) > 1 else 0
    return height[frozenset(range(n))]


# -- the stages ----------------------------------------------------------------------------------------------------


@examples(60)
@given(star_free_dfas(8), st.data())
def test_every_stage_runs_like_the_language(dfa: Dfa, data: st.DataObject) -> None:
    compiled = scancraft.compile(dfa)
    assert compiled.dfa == dfa
    assert compiled.rules.verify() >= len(compiled.rules.levels)
    assert len(compiled.circuit.blocks) <= compiled.cascade.height
    assert compiled.weights.shape.n_layers == max(1, len(compiled.circuit.blocks))
    for word in [*short_words(dfa, 60), *(data.draw(any_words(dfa, max_length=30)) for _ in range(3))]:
        right = states_along(dfa, word)
        assert [compiled.cascade.state(c) for c in compiled.cascade.run(word)] == right
        assert compiled.cascade.accepts(word) == (right[-1] in dfa.accepting)
        assert compiled.rules.run(word) == right
        assert [answer for _, answer in compiled.circuit.run(word)] == [frozenset(allowed(dfa, q)) for q in right]


@examples(40)
@given(star_free_dfas(6))
def test_blocks_are_at_most_the_holonomy_height(dfa: Dfa) -> None:
    height = holonomy_height(dfa)
    assume(height is not None)
    assert height is not None
    compiled = scancraft.compile(dfa)
    assert compiled.cascade.height == height
    assert compiled.weights.shape.n_layers <= max(height, 1)


@pytest.mark.parametrize(
    ("dfa", "height"), [(families.d_n(n), n + 1) for n in (0, 1, 2, 3, 5)] + [(families.ascending_runs(), 6)]
)
def test_known_heights(dfa: Dfa, height: int) -> None:
    assert scancraft.compile(dfa).cascade.height == height
    if dfa.n_states <= 5:
        assert holonomy_height(dfa) == height


@examples(40)
@given(star_free_dfas(7), st.data())
def test_the_model_models_the_language(dfa: Dfa, data: st.DataObject) -> None:
    compiled = scancraft.compile(dfa)
    report = assert_models_language(compiled, words=20, max_length=40, short=300)
    assert report.exhaustive_to >= 4
    assert_models_language(compiled, words=data.draw(st.lists(any_words(dfa), min_size=1, max_size=5)), short=0)


@examples(25)
@given(star_free_dfas(7), st.data())
def test_the_same_bits_in_every_way_of_running(dfa: Dfa, data: st.DataObject) -> None:
    compiled = scancraft.compile(dfa)
    some = data.draw(st.lists(any_words(dfa, max_length=10), min_size=2, max_size=4))
    dtypes = (torch.float32, torch.bfloat16, torch.float64)
    assert assert_same_bits(compiled, some, dtypes=dtypes) == 12 * sum(len(word) + 1 for word in some)


@examples(15)
@given(star_free_dfas(6), st.sampled_from([(16, 4), (2, 3), (4, 2)]), st.data())
def test_other_shapes(dfa: Dfa, shape: tuple[int, int], data: st.DataObject) -> None:
    d_state, d_conv = shape
    compiled = scancraft.compile(dfa, d_state=d_state, d_conv=d_conv)
    config = compiled.model().config
    assert (config.state_size, config.conv_kernel) == shape
    assert_models_language(compiled, words=10, max_length=20, short=100)
    some = data.draw(st.lists(any_words(dfa, max_length=8), min_size=2, max_size=3))
    assert_same_bits(compiled, some)
    # The spare states and taps change nothing: the same logits as the plain shape gives.
    plain, wide = scancraft.compile(dfa).model(), compiled.model()
    for word in some:
        ids = torch.tensor([compiled.readout.encode(word)])
        with torch.inference_mode():
            assert torch.equal(plain(ids).logits, wide(ids).logits)


@examples(40)
@given(dfas(5, max_letters=3))
def test_other_languages_are_refused_with_a_witness(dfa: Dfa) -> None:
    if is_aperiodic_by_monoid(dfa.semiautomaton):
        assert scancraft.compile(dfa).dfa == dfa
        return
    with pytest.raises(NotStarFreeError) as caught:
        scancraft.compile(dfa, gates="nonnegative")
    facts = caught.value.as_json()
    word, states, access = facts["word"], facts["states"], facts["access"]
    assert isinstance(word, list)
    assert isinstance(states, list)
    assert isinstance(access, list)
    assert facts["error"] == "not star-free"
    assert facts["period"] == len(states) == len(set(states)) >= 2
    numbers = [dfa.names.index(q) if isinstance(q, str) else q for q in states]
    assert states_along(dfa, access)[-1] == numbers[0]
    for source, target in zip(numbers, [*numbers[1:], numbers[0]], strict=True):
        state = source
        for symbol in word:
            state = dfa.semiautomaton.table[state][dfa.alphabet.index(symbol)]
        assert state == target


# -- logits --------------------------------------------------------------------------------------------------------


def logits_of(compiled: Compiled, ids: Sequence[int], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    with torch.inference_mode():
        return compiled.model(dtype)(torch.tensor([ids])).logits[0].float()


def positive(logits: torch.Tensor) -> list[set[int]]:
    """The tokens with a positive logit, per position; a logit of exactly 0 is no answer at all."""
    assert (logits != 0).all()
    return [set(row.nonzero().flatten().tolist()) for row in logits > 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_logits_are_right_for_the_whole_vocabulary(dtype: torch.dtype) -> None:
    """Positive exactly where a token may come next; so never for <bos>, <pad> and rows that fill the vocabulary up."""

    @examples(20)
    @given(star_free_dfas(6), st.data())
    def check(dfa: Dfa, data: st.DataObject) -> None:
        compiled = scancraft.compile(dfa)
        ids = {"<eos>": EOS} | {symbol: 3 + i for i, symbol in enumerate(dfa.alphabet)}
        assert dict(compiled.readout.tokens) | {"<eos>": compiled.readout.accept} == ids
        assert compiled.weights.shape.vocab_size % 8 == 0
        for word in data.draw(st.lists(any_words(dfa, max_length=10), min_size=1, max_size=4)):
            tail = data.draw(st.sampled_from([[], [EOS], [PAD], [EOS, PAD, PAD], [PAD] * 5]))
            logits = logits_of(compiled, [BOS, *(ids[s] for s in word), *tail], dtype)
            assert logits.shape[-1] == compiled.weights.shape.vocab_size
            right = [{ids[token] for token in allowed(dfa, q)} for q in states_along(dfa, word)]
            assert positive(logits) == right + [set()] * len(tail)

    check()


@examples(20)
@given(star_free_dfas(6), st.data())
def test_words_packed_into_one_sequence(dfa: Dfa, data: st.DataObject) -> None:
    """<bos> forgets everything: after it, each word gets the logits that it gets alone."""
    compiled = scancraft.compile(dfa)
    encode = compiled.readout.encode
    packed = data.draw(st.lists(any_words(dfa, max_length=8), min_size=2, max_size=4))
    gap = data.draw(st.sampled_from([[], [EOS], [PAD], [EOS, PAD, PAD, PAD]]))
    together = logits_of(compiled, [token for word in packed for token in [*encode(word), *gap]])
    start = 0
    for word in packed:
        alone = logits_of(compiled, encode(word))
        assert torch.equal(together[start : start + len(alone)], alone)
        start += len(alone) + len(gap)


@pytest.mark.parametrize("dfa", EXTREMES.values(), ids=EXTREMES.keys())
def test_extreme_languages(dfa: Dfa, tmp_path: Path) -> None:
    compiled = scancraft.compile(dfa, tmp_path / "out")
    compiled.rules.verify()
    assert compiled.weights.shape.n_layers <= max(compiled.cascade.height, 1)
    report = assert_models_language(tmp_path / "out", dfa, words=20, max_length=30, short=400)
    assert report.exhaustive_to >= (2 if dfa.alphabet else 0)
    some = [(), dfa.alphabet, *dfa.words(4 if len(dfa.alphabet) < 3 else 1)][:4]
    assert assert_same_bits(compiled, some) > 0
    for word in [*some, *short_words(dfa, 20)]:
        ids = {"<eos>": EOS} | {symbol: 3 + i for i, symbol in enumerate(dfa.alphabet)}
        right = [{ids[token] for token in allowed(dfa, q)} for q in states_along(dfa, word)]
        assert positive(logits_of(compiled, [BOS, *(ids[s] for s in word), PAD])) == [*right, set()]


def test_dead_for_ever_after() -> None:
    compiled = scancraft.compile("(ab)*")
    a, b = (compiled.readout.tokens[s] for s in AB)
    for dead in ([b], [a, a], [a, b, b]):
        logits = logits_of(compiled, [BOS, *dead, *[a, b] * 100])
        assert (logits[len(dead) :] < 0).all()
        assert (logits[: len(dead)] > 0).any(dim=1).all()


# -- the manifest and the files ------------------------------------------------------------------------------------


@examples(25)
@given(star_free_dfas(6, max_letters=4))
def test_the_manifest(dfa: Dfa) -> None:
    compiled = scancraft.compile(dfa)
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
    compiled = scancraft.compile(dfa, place)
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
    scancraft.compile(dfa, place)
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before


# -- faults are caught ---------------------------------------------------------------------------------------------


def without_rule(table: RuleTable, level: int, rule: int) -> RuleTable:
    old = table.levels[level]
    thinner = replace(
        old,
        rules=old.rules[:rule] + old.rules[rule + 1 :],
        thresholds=old.thresholds[:rule] + old.thresholds[rule + 1 :],
    )
    return replace(table, levels=(*table.levels[:level], thinner, *table.levels[level + 1 :]))


def relabelled(table: RuleTable, level: int, rule: int, label: int) -> RuleTable:
    old = table.levels[level]
    rules = (*old.rules[:rule], replace(old.rules[rule], label=label), *old.rules[rule + 1 :])
    return replace(table, levels=(*table.levels[:level], replace(old, rules=rules), *table.levels[level + 1 :]))


def broken_tables(table: RuleTable) -> Iterator[RuleTable]:
    """One rule dropped, or another label for it."""
    for level, content in enumerate(table.levels):
        labels = {rule.label for rule in content.rules}
        for number, rule in enumerate(content.rules):
            yield without_rule(table, level, number)
            yield from (relabelled(table, level, number, label) for label in sorted(labels - {rule.label}))


@pytest.mark.parametrize("dfa", [families.d_n(2), families.d_n(4), families.tomita(4), families.tomita(7)], ids=str)
def test_the_proof_fails_for_every_broken_rule(dfa: Dfa) -> None:
    tables = list(broken_tables(scancraft.compile(dfa).rules))
    assert len(tables) >= 6
    for broken in tables:
        with pytest.raises((AssertionError, IndexError)):
            broken.verify()


@examples(15)
@given(star_free_dfas(6))
def test_what_is_proved_runs_right(dfa: Dfa) -> None:
    """Whatever is done to the rules: where the proof goes through, they still compute the language's states."""
    for broken in list(broken_tables(scancraft.compile(dfa).rules))[:8]:
        try:
            broken.verify()
        except (AssertionError, IndexError):
            continue
        for word in short_words(dfa, 60):
            assert broken.run(word) == states_along(dfa, word)


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


@pytest.mark.parametrize("name", ["D-2", "Tomita-4", "Tomita-7", "{a,b}*d{b,c}*"])
def test_wrong_circuits_are_found_in_their_weights(name: str) -> None:
    """A fault that changes what the circuit computes on short words is found in the weights made from it."""
    (dfa,) = (language.build() for language in families.SUITE if language.name == name)
    compiled = scancraft.compile(dfa)
    some = short_words(dfa, 300)

    def is_wrong(circuit: Circuit) -> bool:
        right = ([frozenset(allowed(dfa, q)) for q in states_along(dfa, word)] for word in some)
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
    compiled = scancraft.compile("(a(ab)*b)*")
    assert cascade_circuit(compiled.rules, compiled.dfa) == compiled.circuit
    weights: Any = lowered(compiled.circuit)
    for name, tensor in compiled.weights.tensors.items():
        assert (weights.tensors[name] == tensor).all()
