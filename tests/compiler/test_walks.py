"""Walks as circuits and as weights: small, and right on all short words and on long dead ones."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from against_truth import short_words
from examples import dfa, dfas
from walking import between, shuffled, walking

import scancraft
from scancraft import parse_regex
from scancraft.automata.alphabet import EOS, Word
from scancraft.automata.decide.walks import NoWalkError
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import d_n, tomita
from scancraft.certify.check import compare
from scancraft.compiler.circuits.circuit import Circuit
from scancraft.compiler.circuits.walks import AFTER_DEATH, counted
from scancraft.compiler.constructions import walk
from scancraft.models.errors import CounterRangeError

CONTRACTS = ("all-words", "live-prefixes")


LANGUAGES: dict[str, tuple[Dfa, int, int]] = {
    "D-1": (d_n(1), 1, 1),
    "D-2": (d_n(2), 2, 1),
    "D-12": (d_n(12), 2, 1),
    "ends": (between(5, (0, 5)), 3, 2),
    "every third": (between(6, (0, 3, 6)), 3, 2),
    "full": (between(4, (4,)), 2, 1),
    "two counters": (shuffled(2, 2), 2, 1),
    "diagonal": (shuffled(2, 2, diagonal=True), 2, 2),
    "leaps": (walking({"a": (2,), "b": (-1,), "c": (-3,)}, (7,), lambda place: place == (0,)), 2, 1),
    "dies inside": (Dfa.from_words("abc", ["ab", "bc"]), 2, 1),
    "dead letter": (Dfa.from_words("abz", ["aab"]), 2, 2),
    "Tomita-7": (tomita(7), 1, 1),
    "at most three": (parse_regex("b*(a?b*){3}"), 1, 1),
    "six runs of a": (parse_regex("b*(aa*bb*){0,6}a*"), 1, 1),
    "amounts of 1 and 2": (parse_regex("(a|bc?|cb?)*(d(e|f)*d?)?"), 1, 1),
}
"""Languages, and how many blocks they take for all words and on live prefixes."""


def disagreement(circuit: Circuit, language: Dfa, word: Word) -> int:
    """The first prefix at which the circuit is wrong, by its length; -1 if there is none."""
    state = 0
    for length, (_, allowed) in enumerate(circuit.run(word)):
        if length:
            state = language.table[state][language.alphabet.index(word[length - 1])]
        if circuit.contract == "live-prefixes" and state not in language.live:
            break
        if allowed != language.next_symbols(state) | ({EOS} if state in language.accepting else set()):
            return length
    return -1


def long_words(language: Dfa, count: int, length: int) -> list[tuple[str, ...]]:
    """Random words, and words that run off in one direction and come back."""
    rng = random.Random(0)
    words = [tuple(rng.choice(language.alphabet) for _ in range(length)) for _ in range(count)]
    return words + [(s,) * length + (t,) * (2 * length) for s in language.alphabet for t in language.alphabet]


@pytest.mark.parametrize("contract", CONTRACTS)
@pytest.mark.parametrize("name", LANGUAGES)
def test_circuits_are_right(name: str, contract: str) -> None:
    language, *blocks = LANGUAGES[name]
    circuit = counted(language, contract)  # type: ignore[arg-type]
    assert circuit is not None
    assert circuit.n_blocks == blocks[CONTRACTS.index(contract)]
    for word in (*short_words(language.alphabet, 300), *long_words(language, 4, 60)):
        assert disagreement(circuit, language, word) < 0, word


@pytest.mark.parametrize("name", dfas())
def test_every_example_that_walks(name: str) -> None:
    language = dfa(name)
    for contract in CONTRACTS:
        circuit = counted(language, contract)  # type: ignore[arg-type]
        if circuit is not None:
            assert circuit.n_blocks <= (3 if contract == "all-words" else 2)
            assert all(disagreement(circuit, language, w) < 0 for w in short_words(language.alphabet, 150))


@pytest.mark.parametrize("contract", CONTRACTS)
@pytest.mark.parametrize("name", LANGUAGES)
def test_weights_are_right(name: str, contract: str) -> None:
    language = LANGUAGES[name][0]
    compiled = walk(language, contract=contract)  # type: ignore[arg-type]
    model, words = compiled.model(), [*short_words(language.alphabet, 60), *long_words(language, 2, 40)]
    assert compare(model, language, compiled.readout, words).agrees
    assert compare(compiled.runner(), language, compiled.readout, words).agrees


@pytest.mark.parametrize("depth", [2, 64, 128])
def test_size_does_not_depend_on_the_depth(depth: int) -> None:
    for contract, blocks, parameters in (("all-words", 2, 2224), ("live-prefixes", 1, 1248)):
        weights = walk(d_n(depth), contract=contract).weights  # type: ignore[arg-type]
        assert (weights.shape.n_layers, weights.n_parameters) == (blocks, parameters)


def test_a_word_that_has_died_stays_dead_past_what_floats_count() -> None:
    compiled = walk(d_n(3))
    model = compiled.model()
    limit = 2.0**24
    with torch.no_grad():
        ids = torch.tensor([compiled.readout.encode(("b",))])
        cache = model(ids, use_cache=True).cache_params
        for count in (-limit, limit, 2.0**40, -(2.0**40), -1.0, 0.0, 3.0, 4.0):
            place = next((c.block, c.channel, c.state) for c in compiled.manifest.counters)
            cache.layers[place[0]].recurrent_states[0][0, place[1], place[2]] = count
            for symbol in "abab":
                token = torch.tensor([[compiled.readout.tokens[symbol]]])
                out = model(token, cache_params=cache, use_cache=True)
                assert (out.logits < 0).all()


def test_the_runner_stops_past_the_limit() -> None:
    compiled = walk(d_n(2))
    assert {limit for counter in compiled.manifest.counters for limit in counter.limits.values()} == {AFTER_DEATH}
    live = walk(d_n(2), contract="live-prefixes")
    assert live.manifest.counters[0].limits == {"float32": 1 << 24, "bfloat16": 1 << 8}
    with pytest.raises(CounterRangeError):
        live.runner(torch.bfloat16)(torch.tensor([live.readout.encode("a" * 300)]))


def test_what_is_no_walk_is_refused_with_a_reason() -> None:
    for name in ("Tomita-4", "(aa)*"):
        with pytest.raises(NoWalkError) as raised:
            walk(dfa(name))
        assert raised.value.witness is not None
        assert counted(dfa(name)) is None
    assert counted(Dfa.universal("ab")) is None
    assert counted(Dfa.empty("ab")) is None
    with pytest.raises(NoWalkError, match="needs no counter"):
        walk(Dfa.universal("ab"))


@pytest.mark.parametrize("optimise", ["depth", "size"])
def test_compile_takes_a_walk_where_something_is_to_be_optimised(optimise: Any, tmp_path: Path) -> None:
    compiled = scancraft.compile(d_n(12), tmp_path / "m", optimise=optimise)
    assert (compiled.manifest.kind, compiled.weights.shape.n_layers) == ("walk", 2)
    assert {size.construction for size in compiled.manifest.alternatives} >= {"walk", "cascade"}
    assert scancraft.load(tmp_path / "m").manifest == compiled.manifest
    assert str(compiled).startswith("14-state DFA -> a walk in Z")
    assert scancraft.compile(d_n(12)).manifest.kind != "walk"


def test_asking_for_a_walk_where_there_is_none() -> None:
    with pytest.raises(NoWalkError, match="no walk"):
        scancraft.compile("(a|b)*a", construction="walk")
