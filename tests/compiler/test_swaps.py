"""Languages with 2-groups: halves of tiles, swap levels, and the signed models that come of them."""

from __future__ import annotations

import itertools
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import answer, invoke, refused
from hypothesis import given, settings
from hypothesis import strategies as st
from maps import closed, then
from monoid import transition_monoid
from oracle import may_follow, states_along

import scancraft
from scancraft import Compiled, Dfa, GateClassError, NotStarFreeError
from scancraft.automata.budget import Budget
from scancraft.automata.families import SUITE
from scancraft.certify.certify import Refuted
from scancraft.certify.check import compare
from scancraft.certify.checker.certificate import check_certificate
from scancraft.compiler.cascade.cascade import decompose
from scancraft.compiler.cascade.rules import tabulate
from scancraft.compiler.cascade.tower_search import NotTwoGroupError, TowerSearch
from scancraft.compiler.circuits.levels import cascade_circuit
from scancraft.compiler.targets.gates import UnknownGatesError
from scancraft.models.mamba import MambaWeights

NAMED = {entry.name: entry.build() for entry in SUITE}
SIGNED = ("Parity", "Tomita-3", "Tomita-5", "(aa)*", "(aaaa)*", "(abab)*")


# -- trees of halves ---------------------------------------------------------------------------------------------


@st.composite
def groups(draw: st.DrawFn) -> tuple[int, list[tuple[int, ...]]]:
    """Permutation groups on at most 6 points, half of them inside the 2-group of a binary tree on 8 points."""
    if draw(st.booleans()):
        n = draw(st.integers(1, 6))
        return n, [tuple(p) for p in draw(st.lists(st.permutations(range(n)), max_size=2))]
    generators = []
    for _ in range(draw(st.integers(0, 3))):
        flips = draw(st.lists(st.booleans(), min_size=7, max_size=7))  # one per inner node of the tree, in heap order

        def moved(point: int, flips: list[bool] = flips) -> int:
            node, image = 1, 0
            for depth in (2, 1, 0):
                bit = point >> depth & 1
                image = image << 1 | (bit ^ flips[node - 1])
                node = 2 * node + bit
            return image

        generators.append(tuple(moved(p) for p in range(8)))
    names = draw(st.permutations(range(8)))
    back = {name: p for p, name in enumerate(names)}
    return 8, [tuple(names[g[back[p]]] for p in range(8)) for g in generators]


@given(groups())
@settings(max_examples=120, deadline=None)
def test_towers_of_bits_exist_for_exactly_the_2_groups(case: tuple[int, list[tuple[int, ...]]]) -> None:
    n, generators = case
    identity = tuple(range(n))
    order = len(closed(generators, n))
    if order & (order - 1):
        with pytest.raises(NotTwoGroupError):
            TowerSearch(Budget(), bits=True).tower(n, [g for g in generators if g != identity])
        return
    tower = TowerSearch(Budget(), bits=True).tower(n, [g for g in generators if g != identity])
    tower.check()
    for node, children in enumerate(tower.children):
        kind = tower.stages[tower.rank[node] - 1].kind if children else None
        assert kind != "pipeline"
        turns = {tower.turn(event, node) for event in range(len(tower.events))} - {tuple(range(len(children)))}
        assert turns <= {(1, 0)}
        assert len(children) in (0, 2) or not turns


# -- the pipeline --------------------------------------------------------------------------------------------------


@st.composite
def cascades_of_bits(draw: st.DrawFn) -> Dfa:
    """Automata on up to 3 bits; each letter keeps, swaps or sets a bit, depending on the bits above it."""
    bits, letters = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    states = list(itertools.product((0, 1), repeat=bits))
    actions = {
        (prefix, a): draw(st.sampled_from("kss01"))
        for level in range(bits)
        for prefix in itertools.product((0, 1), repeat=level)
        for a in range(letters)
    }

    def after(state: tuple[int, ...], a: int) -> tuple[int, ...]:
        new = {"k": lambda bit: bit, "s": lambda bit: 1 - bit, "0": lambda _: 0, "1": lambda _: 1}
        return tuple(new[actions[state[:i], a]](bit) for i, bit in enumerate(state))

    table = [[states.index(after(q, a)) for a in range(letters)] for q in states]
    accepting = draw(st.lists(st.booleans(), min_size=len(states), max_size=len(states)))
    initial = draw(st.integers(0, len(states) - 1))
    return Dfa.from_table("abc"[:letters], table, initial, [q for q, yes in enumerate(accepting) if yes])


@given(cascades_of_bits(), st.data())
@settings(max_examples=50, deadline=None)
def test_every_stage_computes_the_states(dfa: Dfa, data: st.DataObject) -> None:
    cascade = decompose(dfa, groups="bits")
    rules = tabulate(cascade)
    assert rules.verify() > 0
    circuit = cascade_circuit(rules, dfa)
    for word in data.draw(st.lists(st.lists(st.sampled_from(dfa.alphabet), max_size=30), min_size=3, max_size=6)):
        right = states_along(dfa, word)
        assert [cascade.state(c) for c in cascade.run(word)] == right
        assert rules.run(word) == right
        assert [answer for _, answer in circuit.run(word)] == [frozenset(may_follow(dfa, q)) for q in right]


def small_languages(states: int) -> list[Dfa]:
    """Every language over {a, b} with a minimal DFA of exactly so many states."""
    found = {}
    for flat in itertools.product(range(states), repeat=2 * states):
        table = [flat[2 * q : 2 * q + 2] for q in range(states)]
        for accepting in itertools.product((False, True), repeat=states):
            dfa = Dfa.from_table("ab", table, 0, [q for q in range(states) if accepting[q]])
            if dfa.n_states == states:
                found[dfa] = None
    return list(found)


def periods(dfa: Dfa) -> set[int]:
    """The periods of all elements of the transition monoid, from its definition: m^i = m^(i+p)."""
    found = set()
    for element in transition_monoid(dfa.semiautomaton):
        power, seen = element.action, {}
        while power not in seen:
            seen[power] = len(seen)
            power = then(power, element.action)
        found.add(len(seen) - seen[power])
    return found


def expected_logits(dfa: Dfa, word: tuple[str, ...]) -> list[list[float]]:
    rows = []
    for state in states_along(dfa, word):
        allowed = [dfa.semiautomaton.table[state][a] in dfa.live for a in range(len(dfa.alphabet))]
        rows.append([16.0 if yes else -16.0 for yes in (*allowed, state in dfa.accepting)])
    return rows


def test_small_languages_from_the_monoid_to_the_logits() -> None:
    """All 24 with two states, every sixtieth with three: the class, and then exact logits on all words to length 6."""
    languages = small_languages(2) + small_languages(3)[::60]
    assert len(small_languages(2)) == 24
    for dfa in languages:
        odd = any(p & (p - 1) for p in periods(dfa))
        if odd:
            with pytest.raises(GateClassError):
                scancraft.compile(dfa, gates="signed")
            continue
        compiled = scancraft.compile(dfa, construction="cascade", gates="signed")
        signed = periods(dfa) != {1}
        assert compiled.weights.shape.signed == signed
        assert compiled.manifest.gates.kind == ("signed" if signed else "nonnegative")
        words = list(itertools.product("ab", repeat=6))
        ids = torch.tensor([compiled.readout.encode(word) for word in words])
        with torch.inference_mode():
            logits = compiled.model()(ids).logits[..., compiled.readout.columns(dfa.alphabet)]
        assert torch.equal(logits, torch.tensor([expected_logits(dfa, word) for word in words]))


def test_the_holonomy_of_a_star_free_language_is_as_before() -> None:
    for name, dfa in NAMED.items():
        if name not in SIGNED and name != "Tomita-6":
            assert decompose(dfa, groups="bits") == decompose(dfa)


def test_swaps_must_be_asked_for() -> None:
    with pytest.raises(NotStarFreeError):
        decompose(NAMED["Parity"])
    with pytest.raises(NotTwoGroupError):
        decompose(NAMED["Tomita-6"], groups="bits")


def test_counting_modulo_2_to_the_k_takes_k_blocks() -> None:
    for k in range(1, 6):
        n = 1 << k
        counter = Dfa.from_table("a", [[(q + 1) % n] for q in range(n)], 0, [0])
        compiled = scancraft.compile(counter, gates="signed")
        assert isinstance(compiled, Compiled)
        assert compiled.cascade.height == compiled.weights.shape.n_layers == k
        assert sorted(compiled.cascade.parts.swap_levels) == list(range(1, k + 1))
        report = compare(compiled.runner(), counter, compiled.readout, [("a",) * 200])
        assert (report.wrong, report.prefixes) == (0, 201)


def test_every_stage_prints_its_swaps() -> None:
    compiled = scancraft.compile(NAMED["Tomita-5"], gates="signed")
    assert isinstance(compiled, Compiled)
    assert "which letters can swap" in str(compiled.cascade)
    assert "blocks of tiles" in str(compiled.cascade.parts)
    assert "=>  swap" in str(compiled.rules)
    assert "memory swapped when letter in 1" in str(compiled.circuit)
    assert "Signed Mamba: 2 blocks" in str(compiled.weights)


# -- models --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_suite_is_certified_and_right_at_length_20_000(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    dfa = NAMED[name]
    place = scancraft.compile(dfa, target="signed_mamba").save(tmp_path / "model")
    verdict = scancraft.certify(place, dtype=dtype)
    assert isinstance(verdict, scancraft.Certificate)
    assert verdict.scope == "every-implementation"
    verdict.save(place)
    checked = check_certificate(place)
    assert (checked.accepted, checked.scope) == (True, "every-implementation"), checked.reason
    report = scancraft.check(place, words=50)
    assert report.agrees
    checkpoint = scancraft.load(place)
    word = scancraft.live_word_of(dfa, 20_000, np.random.default_rng(1))
    long = compare(checkpoint.runner(dtype), dfa, checkpoint.readout, [word])
    assert (long.wrong, long.prefixes) == (0, 20_001)


def mutated(compiled: Compiled, edit: Any) -> Compiled:
    tensors = {name: np.array(t) for name, t in compiled.weights.tensors.items()}
    edit(tensors)
    return replace(compiled, weights=MambaWeights(compiled.weights.shape, tensors))


def scaled(name: str, factor: float) -> Any:
    def edit(tensors: dict[str, Any]) -> None:
        tensors[f"backbone.layers.0.mixer.{name}"] *= factor

    return edit


@pytest.mark.parametrize(
    "edit", [scaled("sign_proj.weight", 0.0), scaled("sign_proj.weight", 0.5), scaled("sign_proj.bias", -1.0)]
)
def test_wrong_signs_are_refuted(edit: Any) -> None:
    compiled = scancraft.compile(NAMED["Parity"], gates="signed")
    assert isinstance(compiled, Compiled)
    wrong = mutated(compiled, edit)
    verdict = scancraft.certify(wrong)
    assert isinstance(verdict, Refuted)
    assert not compare(wrong.model(), wrong.dfa, wrong.readout, [verdict.word]).agrees


# -- gates ---------------------------------------------------------------------------------------------------------


def test_the_weakest_gates_that_suffice() -> None:
    for name, dfa in NAMED.items():
        if name == "Tomita-6":
            with pytest.raises(GateClassError, match="complex") as caught:
                scancraft.compile(dfa, gates="signed")
            again = pickle.loads(pickle.dumps(caught.value))
            assert (again.gates, again.reason, str(again)) == ("complex", caught.value.reason, str(caught.value))
            assert again.witness.check(dfa)
            assert again.witness.period == 3
            continue
        compiled = scancraft.compile(dfa, gates="signed")
        assert isinstance(compiled, Compiled)
        signed = name in SIGNED
        assert compiled.classification.star_free is not signed
        assert compiled.model().config.model_type == ("signed_mamba" if signed else "mamba")
        if signed:
            with pytest.raises(NotStarFreeError, match="Theorem 4"):
                scancraft.compile(dfa, gates="nonnegative")


def test_gates_that_no_target_has() -> None:
    gates: Any = "complex"
    with pytest.raises(UnknownGatesError, match="use one of nonnegative, signed"):
        scancraft.compile(NAMED["Parity"], gates=gates)


def test_a_simple_group_is_named() -> None:
    cycle, triple = (1, 2, 3, 4, 0), (1, 2, 0, 3, 4)
    alternating = Dfa.from_table("ab", [[cycle[q], triple[q]] for q in range(5)], 0, [0])
    with pytest.raises(GateClassError, match="A5") as caught:
        scancraft.compile(alternating, target="signed_mamba")
    assert caught.value.gates == "unsolvable"


def test_the_commands_on_a_signed_model(tmp_path: Path) -> None:
    place = tmp_path / "parity"
    facts = answer(invoke("compile", "--named", "Parity", "-o", place, "--gates", "signed", "--certify", "--json"))
    assert (facts["gates"], facts["verdict"], facts["scope"]) == ("signed", "certified", "every-implementation")
    assert "2-groups" in facts["reason"]
    assert json.loads((place / "config.json").read_text())["model_type"] == "signed_mamba"
    assert not (place / "mamba_ssm").exists()
    for command in (("certify", place, "--check"), ("check", place), ("explain", place), ("generate", place, "-n", 3)):
        assert invoke(*command).exit_code == 0, command
    assert "swap" in invoke("explain", place, "--stage", "rules").stdout
    message = refused(invoke("compile", "--named", "Parity", "-o", place, "--gates", "nonnegative"))
    assert "Theorem 4" in message
    error = answer(invoke("compile", "--named", "Tomita-6", "--gates", "signed", "-o", tmp_path / "x", "--json"), 2)
    assert (error["gates"], error["word"], error["period"]) == ("complex", ["0"], 3)
