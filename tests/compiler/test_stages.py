"""Each stage of the compiler on its own: what it promises, and that its checks can fail."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scancraft.automata.dfa import Dfa
from scancraft.automata.families import d_n, order_preserving, tomita
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


def rotation(n: int) -> Semiautomaton:
    return Semiautomaton(("r",), tuple(((q + 1) % n,) for q in range(n)))


EXAMPLES = {
    "D-1": d_n(1),
    "D-3": d_n(3),
    "tomita-4": tomita(4),
    "tomita-7": tomita(7),
    "O_4": Dfa(order_preserving(4), 0, frozenset([0])),
    "one state": Dfa.universal(("a", "b")),
}


@pytest.fixture(params=EXAMPLES.values(), ids=EXAMPLES.keys())
def language(request: pytest.FixtureRequest) -> Dfa:
    dfa: Dfa = request.param
    return dfa


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


def test_every_stage_runs_every_short_word(language: Dfa) -> None:
    cascade, rules, circuit = pipeline(language)
    for length in range(7 if len(language.alphabet) == 2 else 5):
        for word in itertools.product(language.alphabet, repeat=length):
            truth = [language.run(word[:i]) for i in range(length + 1)]
            assert [cascade.state(c) for c in cascade.run(word)] == truth
            assert cascade.accepts(word) == language.accepts(word)
            assert rules.run(word) == truth
            assert states_of(circuit, word) == truth


def test_blocks_stay_within_the_height(language: Dfa) -> None:
    cascade, _, circuit = pipeline(language)
    assert len(circuit.blocks) <= cascade.height
    assert lower(circuit).shape.n_layers <= max(cascade.height, 1)


def test_rules_are_proved_triple_by_triple(language: Dfa) -> None:
    _, rules, _ = pipeline(language)
    assert rules.verify() >= sum(len(level.triples) for level in rules.levels)


@pytest.mark.parametrize("fault", ["drop a rule", "wrong label", "miss a triple", "shrink a literal"])
def test_the_proof_of_the_rules_can_fail(fault: str) -> None:
    _, rules, _ = pipeline(d_n(3))
    caught = tried = 0
    for i, level in enumerate(rules.levels):
        if fault == "miss a triple":
            broken = replace(level, triples=level.triples[1:])
        else:
            rule = level.rules[0]
            if fault == "drop a rule":
                changed: tuple[Cube, ...] = level.rules[1:]
            elif fault == "wrong label":
                changed = (replace(rule, label=1 - rule.label), *level.rules[1:])
            else:
                changed = (replace(rule, letters=frozenset(sorted(rule.letters)[1:])), *level.rules[1:])
            broken = replace(level, rules=changed)
        tried += 1
        try:
            replace(rules, levels=(*rules.levels[:i], broken, *rules.levels[i + 1 :])).verify()
        except (AssertionError, KeyError):
            caught += 1
    # A literal may hold a letter that never occurs there; the other faults always matter.
    assert caught == tried > 0 if fault != "shrink a literal" else 0 < caught <= tried


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
    import torch

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
    flags = "aa*bb*cc*dd*ee*"
    assert lower(pipeline(d_n(12))[2]).n_parameters <= 175_000
    assert lower(pipeline(Dfa(order_preserving(5), 0, frozenset([0])))[2]).n_parameters <= 65_000
    from scancraft.automata.regex.regex import parse_regex

    assert lower(pipeline(parse_regex(flags))[2]).n_parameters <= 25_500
