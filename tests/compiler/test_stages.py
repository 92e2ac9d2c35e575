"""Each stage of the compiler on its own: what it promises, and that its checks can fail."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from examples import dfa
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import few_words, may_follow, states_along

from scancraft.automata.dfa import Dfa
from scancraft.automata.families import ascending_runs, d_n, order_preserving, tomita
from scancraft.automata.semiautomaton import Semiautomaton
from scancraft.compiler.cascade.cascade import Cascade, decompose
from scancraft.compiler.cascade.cubes import START, Cube, Demands, cover
from scancraft.compiler.cascade.holonomy import holonomy
from scancraft.compiler.cascade.rules import RuleTable, tabulate
from scancraft.compiler.cascade.thresholds import Contexts, recognise
from scancraft.compiler.circuits.circuit import Circuit
from scancraft.compiler.circuits.levels import cascade_circuit
from scancraft.compiler.targets import Options, TargetError
from scancraft.compiler.targets import target as target_named
from scancraft.compiler.targets.layout import narrowest_stream
from scancraft.compiler.targets.mamba import dt_rows
from scancraft.models.weights import ModelWeights
from scancraft.testing import any_words, star_free_dfas


def rotation(n: int) -> Semiautomaton:
    return Semiautomaton(("r",), tuple(((q + 1) % n,) for q in range(n)))


EXAMPLES = {name: dfa(name) for name in ("D-1", "D-3", "Tomita-4", "Tomita-7", "O_4", "all words")}


@pytest.fixture(params=EXAMPLES)
def language(request: pytest.FixtureRequest) -> Dfa:
    return EXAMPLES[request.param]


def pipeline(dfa: Dfa) -> tuple[Cascade, RuleTable, Circuit]:
    cascade = decompose(dfa)
    rules = tabulate(cascade)
    return cascade, rules, cascade_circuit(rules, dfa)


def states_of(circuit: Circuit, word: Sequence[str]) -> list[int]:
    """The state that the active slot stands for at the end, after each prefix."""
    found = []
    for features, _ in circuit.run(word):
        (active,) = (n for n, slot in enumerate(circuit.slots) if features[slot])
        found.append(circuit.states[active])
    return found


# -- holonomy: every definition, by brute force ----------------------------------------------------------------


def brute_force(semiautomaton: Semiautomaton) -> tuple[set[frozenset[int]], dict[frozenset[int], int]]:
    """Image sets and heights straight from the definition, on frozensets."""
    n, k = semiautomaton.n_states, semiautomaton.n_letters
    sets = {frozenset(range(n)), *(frozenset([q]) for q in range(n))}
    queue = list(sets)
    reach: dict[frozenset[int], set[frozenset[int]]] = {}
    for p in queue:
        for a in range(k):
            image = frozenset(semiautomaton.table[q][a] for q in p)
            if image not in sets:
                sets.add(image)
                queue.append(image)
    for p in sets:
        seen, stack = {p}, [p]
        while stack:
            r = stack.pop()
            for a in range(k):
                image = frozenset(semiautomaton.table[q][a] for q in r)
                if image not in seen:
                    seen.add(image)
                    stack.append(image)
        reach[p] = seen

    def below(p: frozenset[int], r: frozenset[int]) -> bool:
        return any(p <= image for image in reach[r])

    height: dict[frozenset[int], int] = {}
    pending = sorted(sets, key=len)
    while pending:
        for p in pending:
            lower_sets = [r for r in sets if below(r, p) and not below(p, r)]
            if len(p) == 1:
                height[p] = 0
            elif all(r in height for r in lower_sets):
                height[p] = 1 + max((height[r] for r in lower_sets), default=0)
        pending = [p for p in pending if p not in height]
    return sets, height


def test_holonomy_follows_the_definitions(language: Dfa) -> None:
    parts = holonomy(language.semiautomaton)
    sets, height = brute_force(language.semiautomaton)
    found = [frozenset(parts.members(p)) for p in range(len(parts.sets))]
    assert set(found) == sets
    assert len(found) == len(sets)
    assert {p: parts.height[i] for i, p in enumerate(found)} == height
    for i, p in enumerate(found):
        proper = [r for r in sets if r < p]
        maximal = {r for r in proper if not any(r < other for other in proper)}
        assert {found[t] for t in parts.tiles[i]} == (maximal if len(p) > 1 else set())
        for a in range(len(language.alphabet)):
            assert found[parts.successor[i][a]] == {language.semiautomaton.table[q][a] for q in p}


def test_tile_labels_agree_along_letters_inside_an_orbit(language: Dfa) -> None:
    parts = holonomy(language.semiautomaton)
    inside = 0
    for p, row in enumerate(parts.successor):
        for a, target in enumerate(row):
            if parts.orbit[p] == parts.orbit[target]:
                inside += 1
                assert tuple(parts.successor[t][a] for t in parts.tiles[p]) == parts.tiles[target]
    assert inside > 0


def test_holonomy_refuses_a_permutation() -> None:
    with pytest.raises(ValueError, match="not aperiodic"):
        holonomy(rotation(3))


# -- cascade, rules, circuit: each runs the language on its own ------------------------------------------------


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(star_free_dfas(8), st.data())
def test_every_stage_runs_like_the_language(dfa: Dfa, data: st.DataObject) -> None:
    """And has at most as many blocks as the holonomy has levels; what the rules say is proved triple by triple."""
    cascade, rules, circuit = pipeline(dfa)
    assert rules.verify() >= sum(len(level.triples) for level in rules.levels)
    assert len(circuit.blocks) <= cascade.height
    assert lower(circuit).shape.n_layers <= max(cascade.height, 1)
    for word in [*few_words(dfa.alphabet, 60), *(data.draw(any_words(dfa, max_length=30)) for _ in range(3))]:
        truth = states_along(dfa, word)
        assert [cascade.state(c) for c in cascade.run(word)] == truth
        assert cascade.accepts(word) == dfa.accepts(word)
        assert rules.run(word) == truth
        assert states_of(circuit, word) == truth
        assert [answer for _, answer in circuit.run(word)] == [frozenset(may_follow(dfa, q)) for q in truth]


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(star_free_dfas(6))
def test_the_height_is_that_of_the_definition(dfa: Dfa) -> None:
    cascade = decompose(dfa)
    assert cascade.height == brute_force(dfa.semiautomaton)[1][frozenset(range(dfa.n_states))]


@pytest.mark.parametrize(("dfa", "height"), [(d_n(n), n + 1) for n in (0, 1, 2, 3, 5)] + [(ascending_runs(), 6)])
def test_known_heights(dfa: Dfa, height: int) -> None:
    assert decompose(dfa).height == height


def with_level(table: RuleTable, number: int, **changes: Any) -> RuleTable:
    levels = list(table.levels)
    levels[number] = replace(levels[number], **changes)
    return replace(table, levels=tuple(levels))


def broken_tables(table: RuleTable) -> Iterator[RuleTable]:
    """A triple that is missed, a rule that is dropped, another label for one."""
    for number, level in enumerate(table.levels):
        yield with_level(table, number, triples=level.triples[1:])
        labels = {rule.label for rule in level.rules}
        for i, rule in enumerate(level.rules):
            before, after = level.rules[:i], level.rules[i + 1 :]
            thresholds = level.thresholds[:i] + level.thresholds[i + 1 :]
            yield with_level(table, number, rules=before + after, thresholds=thresholds)
            for label in sorted(labels - {rule.label}):
                yield with_level(table, number, rules=(*before, replace(rule, label=label), *after))


@pytest.mark.parametrize("name", ["D-2", "D-4", "Tomita-4", "Tomita-7"])
def test_the_proof_fails_for_every_broken_rule(name: str) -> None:
    tables = list(broken_tables(pipeline(dfa(name))[1]))
    assert len(tables) >= 9
    for broken in tables:
        with pytest.raises((AssertionError, IndexError)):
            broken.verify()


def test_a_literal_that_shrinks_is_noticed_where_it_matters() -> None:
    """It may hold a letter that never occurs there."""
    rules, caught = pipeline(d_n(3))[1], 0
    for number, level in enumerate(rules.levels):
        rule = level.rules[0]
        thinner = replace(rule, letters=frozenset(sorted(rule.letters)[1:]))
        try:
            with_level(rules, number, rules=(thinner, *level.rules[1:])).verify()
        except (AssertionError, KeyError):
            caught += 1
    assert caught > 0


@settings(max_examples=15, deadline=None, derandomize=True, database=None)
@given(star_free_dfas(6))
def test_what_is_proved_runs_right(dfa: Dfa) -> None:
    """Whatever is done to the rules: where the proof goes through, they still compute the language's states."""
    for broken in list(broken_tables(pipeline(dfa)[1]))[:8]:
        try:
            broken.verify()
        except (AssertionError, IndexError, KeyError):
            continue
        for word in few_words(dfa.alphabet, 60):
            assert broken.run(word) == states_along(dfa, word)


def test_stages_print_their_theorem() -> None:
    cascade, rules, circuit = pipeline(tomita(4))
    assert "level 3: memory of 2 values" in str(cascade)
    assert "=>  tile" in str(rules)
    assert "may come next iff 1 - [slot" in str(circuit)
    assert "height 3" in str(cascade.parts)


# -- cubes and thresholds --------------------------------------------------------------------------------------

SETS = st.integers(0, 4)


@st.composite
def demands(draw: st.DrawFn) -> Demands:
    bos = 2
    start = draw(SETS)
    body = draw(st.sets(st.tuples(SETS, st.integers(0, bos - 1), SETS), min_size=1, max_size=25))
    # As in a real level, every set before the letter was a set after some letter.
    body |= {(start, 0, before) for before, _, _ in body}
    triples = ((START, bos, start), *sorted(body))
    resets, keeps = {}, set()
    for triple in triples:
        kind = "reset" if triple[0] == START else draw(st.sampled_from(["reset", "keep", "free"]))
        if kind == "reset":
            resets[triple] = tuple(sorted(draw(st.sets(st.integers(0, 2), min_size=1))))
        elif kind == "keep":
            keeps.add(triple)
    return Demands(triples, resets, frozenset(keeps), bos)


@given(demands())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_a_cover_meets_every_demand_and_its_thresholds_are_right(wanted: Demands) -> None:
    contexts = Contexts(wanted.triples, 5, wanted.bos)
    known = {}

    def price(cube: Cube) -> int | None:
        known[cube] = recognise(cube, contexts)
        threshold = known[cube]
        return None if threshold is None else threshold.channels

    cubes = cover(wanted, price)
    for triple in wanted.triples:
        fired = [cube for cube in cubes if cube.fires(triple)]
        assert len(fired) <= 1
        if triple in wanted.resets:
            assert len(fired) == 1
            assert fired[0].label in wanted.resets[triple]
        if triple in wanted.keeps:
            assert not fired
    arrivals = {(after, letter) for _, letter, after in wanted.triples}
    for cube in cubes:
        threshold = known[cube]
        assert threshold is not None

        def total(before: int, previous: int, triple: tuple[int, int, int], t=threshold) -> int:  # type: ignore[no-untyped-def]
            w0, w1 = t.taps
            then = t.sets.get(before, 0) + t.letters.get(previous, 0)
            now = t.sets.get(triple[2], 0) + t.letters.get(triple[1], 0)
            return int(w0 * then + w1 * now)

        for triple in wanted.triples:
            pasts = [(p, a) for p, a in arrivals if p == triple[0]] if triple[0] != START else [(-9, -9), *arrivals]
            for before, previous in pasts:
                s = total(before, previous, triple)
                assert (s >= threshold.theta) == cube.fires(triple)
                if threshold.exact:
                    assert s <= threshold.theta
        for before, previous in [*arrivals, (-9, -9)]:  # padding: no set, no letter
            assert total(before, previous, (START, -9, -9)) < threshold.theta


def test_a_cube_that_is_no_threshold_is_refused() -> None:
    # "set before is 0, whatever comes after" is not recognisable by one channel beside a letter (see thresholds.py).
    triples = (*itertools.product((0, 1), repeat=3), (START, 2, 0))
    contexts = Contexts(triples, 2, 2)
    assert recognise(Cube(frozenset([0]), frozenset([0]), frozenset([0, 1]), 0), contexts) is None


# -- lowering --------------------------------------------------------------------------------------------------


def lower(circuit: Circuit, **sizes: int) -> ModelWeights:
    return target_named("mamba").lowered(circuit, Options(**sizes)).weights


def test_weights_are_dyadic_and_exact_in_bfloat16(language: Dfa) -> None:
    weights = lower(pipeline(language)[2])
    for name, tensor in weights.tensors.items():
        as_torch = torch.from_numpy(np.array(tensor))
        assert torch.equal(as_torch.bfloat16().float(), as_torch), name


def test_width_follows_the_layout(language: Dfa) -> None:
    _, _, circuit = pipeline(language)
    stream = narrowest_stream(circuit.features)
    shape = lower(circuit).shape
    assert stream.d_model == stream.n_constants * 4**stream.exponent
    assert stream.used <= stream.d_model == shape.d_model
    assert all(len(block.channels) <= shape.d_inner for block in circuit.blocks)
    assert all(len(dt_rows(block)) <= shape.dt_rank for block in circuit.blocks)


@pytest.mark.parametrize(("d_state", "d_conv"), [(0, 2), (1, 1), (1, 5)])
def test_impossible_sizes_are_refused(d_state: int, d_conv: int) -> None:
    with pytest.raises(TargetError, match=r"d_(state|conv) must be"):
        lower(pipeline(d_n(1))[2], d_state=d_state, d_conv=d_conv)


def test_size_stays_below_the_figures_measured_before() -> None:
    # The theory's table, column "value + slots": what a simpler compiler needed.
    assert lower(pipeline(d_n(12))[2]).n_parameters <= 175_000
    assert lower(pipeline(Dfa(order_preserving(5), 0, frozenset([0])))[2]).n_parameters <= 65_000
    assert lower(pipeline(ascending_runs())[2]).n_parameters <= 25_500
