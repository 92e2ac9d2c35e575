"""The paper's own constructions: right on all short words, the same bits everywhere, packed, small."""

from __future__ import annotations

import random
from functools import partial
from math import ceil, log2

import pytest
import torch
from against_truth import short_words
from examples import as_many

import scancraft
from scancraft import BoundedDyck, BudgetExceededError, Counter, CounterMachine, CounterRangeError, Step
from scancraft.accuracy import accuracy
from scancraft.automata.alphabet import BOS
from scancraft.automata.bounded_dyck import bracket_pairs
from scancraft.automata.counters.families import dyck_1, equal_blocks
from scancraft.automata.errors import AlphabetError, BracketLanguageError, CounterLanguageError, UnknownSymbolError
from scancraft.automata.families import dyck as dyck_dfa
from scancraft.automata.families import flip_flop as flip_flop_dfa
from scancraft.automata.languages import truth_of
from scancraft.automata.words.brackets import live_bracket_word
from scancraft.compiler.circuits.counting import control_of
from scancraft.compiler.circuits.forms import plus, show
from scancraft.compiler.constructions import counters, dyck, flip_flop
from scancraft.compiler.targets import TargetError
from scancraft.models.errors import CheckpointError, ReadoutError
from scancraft.models.precision import PrecisionError

CONTRACTS = ("live-prefixes", "all-words")
SPLIT = CounterMachine(  # a adds 1 or 2 on the way into q, depending on where it comes from
    ("a", "b", "x"),
    (Counter("n"),),
    "p",
    {
        "p": {"a": Step("q", {"n": 1}), "x": Step("r")},
        "q": {"b": Step("q", {"n": -1}, {"n": "positive"})},
        "r": {"a": Step("q", {"n": 2})},
    },
    {"q": {"n": "zero"}},
)


# -- sizes ------------------------------------------------------------------------------------------------------------


def test_flip_flop_is_smaller_than_what_the_general_compiler_makes() -> None:
    general = scancraft.compile(flip_flop_dfa(), construction="cascade")
    assert general.weights.shape.n_layers == 4
    assert flip_flop().weights.shape.n_layers == 2
    assert flip_flop(contract="live-prefixes").weights.shape.n_layers == 1
    assert flip_flop().weights.n_parameters < general.weights.n_parameters
    assert flip_flop(contract="live-prefixes").circuit.memories == 1


@pytest.mark.parametrize("kinds", [1, 2, 3, 4, 7, 8, 16, 63, 64])
@pytest.mark.parametrize("depth", [1, 2, 5, 10, 32])
def test_bounded_dyck_has_two_blocks_and_the_memories_of_theorem_6(kinds: int, depth: int) -> None:
    constructed = dyck(kinds, depth)
    assert constructed.weights.shape.n_layers == 2
    assert constructed.circuit.memories == depth * ceil(log2(kinds + 1)) + 1
    assert constructed.manifest.memories == constructed.circuit.memories >= BoundedDyck(kinds, depth).lower_bound
    memories, entries = constructed.circuit.memories, constructed.manifest.state_entries
    assert memories <= entries.used <= min(3 * memories, entries.allocated)
    assert dyck(kinds, depth, contract="all-words").weights.shape.n_layers == 3


@pytest.mark.parametrize(("kinds", "depth"), [(8, 10), (64, 32), (5, 1), (1, 32)])
def test_large_bounded_dyck_on_deep_words(kinds: int, depth: int) -> None:
    """Random walks that touch the floor and the ceiling, beside the stack; no DFA (8 and 10 have 1.2 * 10^9 states)."""
    language = BoundedDyck(kinds, depth)
    rng = random.Random(3)
    words = [live_bracket_word(language, 300, rng, opening=bias) for bias in (0.3, 0.5, 0.8, 0.95)]
    for contract in CONTRACTS:
        constructed = dyck(kinds, depth, contract=contract)  # type: ignore[arg-type]
        tried = list(words)
        if contract == "all-words":
            for word in words:
                for _ in range(5):
                    place = rng.randrange(len(word))
                    tried.append((*word[:place], rng.choice(language.alphabet), *word[place + 1 :]))
        found = accuracy(constructed.runner(), truth_of(language), constructed.readout, tried)
        assert found.right_positions == found.positions >= 1200
    assert dyck_dfa(2, 3).n_states == BoundedDyck(2, 3).n_states
    assert BoundedDyck(8, 10).n_states == 1_227_133_514


def test_a_split_control_keeps_apart_what_was_added() -> None:
    control = control_of(SPLIT)
    assert control.names.count("q") == 2
    assert SPLIT.accepts("xabb")
    assert not SPLIT.accepts("xab")


# -- bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("contract", CONTRACTS)
def test_exact_at_the_bound_and_refused_past_it(contract: str) -> None:
    machine = CounterMachine(
        ("a", "b"),
        (Counter("c"),),
        "q",
        {"q": {"a": Step("q", {"c": 2**22}), "b": Step("q", {"c": -1}, {"c": "positive"})}},
        {"q": {"c": "zero"}},
    )
    constructed = counters(machine, contract=contract)  # type: ignore[arg-type]
    (counter,) = constructed.manifest.counters
    assert counter.limits == {"float32": 2**24}  # one step passes what bfloat16 holds
    with pytest.raises(CheckpointError, match="not counted exactly in bfloat16"):
        constructed.runner(torch.bfloat16)
    runner, readout = constructed.runner(), constructed.readout
    at_most = "aaaa" + "b" * 40
    assert accuracy(runner, truth_of(machine), readout, [at_most]).strings == 100
    with pytest.raises(CounterRangeError, match="counter c"):
        runner(torch.tensor([readout.encode("aaaaa")]))
    stream = runner.stream(batch=1)
    for token in readout.encode("aaaa"):
        stream.step(torch.tensor([token]))
    with pytest.raises(CounterRangeError, match="counter c"):
        stream.step(torch.tensor([readout.tokens["a"]]))


def test_names_of_counters_do_not_collide_with_those_of_tests() -> None:
    """A counter called like the test of another one once shared its feature, and the model was wrong."""
    step_b = Step("q", {"x": -1, "x > 0": 1}, {"x": "positive"})
    machine = CounterMachine(
        ("a", "b"),
        (Counter("x"), Counter("x > 0")),
        "q",
        {"q": {"a": Step("q", {"x": 1}), "b": step_b}},
        {"q": {"x": "zero"}},
    )
    for contract in CONTRACTS:
        constructed = counters(machine, contract=contract)  # type: ignore[arg-type]
        words = short_words(machine.alphabet, 500)
        assert accuracy(constructed.runner(), truth_of(machine), constructed.readout, words).strings == 100


def test_steps_that_bfloat16_rounds_are_refused_there() -> None:
    """257 has nine bits."""
    row = {"a": Step("q", {"x": 257}), "b": Step("q", {"x": -1}, {"x": "positive"})}
    constructed = counters(CounterMachine(("a", "b"), (Counter("x"),), "q", {"q": row}, {"q": {"x": "zero"}}))
    with pytest.raises(CheckpointError, match="not counted exactly in bfloat16"):
        constructed.runner(torch.bfloat16)


def test_counters_that_leave_no_room_for_each_other_are_refused() -> None:
    big = dict.fromkeys("xyz", 2**23 - 1)
    with pytest.raises(CounterLanguageError, match="beside the others"):
        counters(CounterMachine(("a",), tuple(map(Counter, "xyz")), "q", {"q": {"a": Step("q", big)}}, {"q": {}}))


def test_deep_brackets_are_refused_where_they_are_not_exact() -> None:
    deep = dyck(1, 260)
    word = "(" * 260 + ")" * 260
    assert accuracy(deep.runner(), truth_of(deep.language), deep.readout, [word]).strings == 100
    with pytest.raises(CheckpointError, match="not counted exactly in bfloat16"):
        deep.runner(torch.bfloat16)
    with pytest.raises(BudgetExceededError, match="parameters"):
        dyck(1, 20_000)
    near = dyck(1, 250)
    word = "(" * 250 + ")" * 250
    assert accuracy(near.runner(torch.bfloat16), truth_of(near.language), near.readout, [word]).strings == 100


def test_bfloat16_counts_to_256() -> None:
    constructed = counters(dyck_1())
    assert constructed.manifest.counters[0].limits == {"float32": 2**24, "bfloat16": 2**8}
    runner, readout = constructed.runner(torch.bfloat16), constructed.readout
    word = "(" * 256 + ")" * 256
    assert accuracy(runner, truth_of(dyck_1()), readout, [word]).strings == 100
    with pytest.raises(CounterRangeError):
        runner(torch.tensor([readout.encode("(" * 257)]))
    with pytest.raises(PrecisionError, match="float16 cannot hold the weights"):
        constructed.runner(torch.float16)


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kinds", "depth"), [(0, 3), (3, 0), (-1, 2), (2, -1), (1.5, 2)])
def test_bounded_dyck_that_does_not_exist(kinds: int, depth: int) -> None:
    with pytest.raises(BracketLanguageError, match="at least 1"):
        dyck(kinds, depth)


def test_brackets_that_cannot_be_used() -> None:
    with pytest.raises(BracketLanguageError, match="one pair per kind"):
        BoundedDyck(2, 2, (("(", ")"),))
    with pytest.raises(AlphabetError, match="twice"):
        BoundedDyck(2, 2, (("(", ")"), ("(", "]")))
    with pytest.raises(UnknownSymbolError):
        BoundedDyck(2, 2).accepts("(]x")
    named = dyck(2, 2, brackets=(("begin", "end"), ("do", "od")))
    word = ("begin", "do", "od", "end")
    assert accuracy(named.runner(), truth_of(named.language), named.readout, [word]).strings == 100
    assert bracket_pairs(5)[4] == ("(5", ")5")


def test_unknown_contracts_are_refused() -> None:
    for make in (flip_flop, partial(dyck, 2, 2), partial(counters, as_many()), partial(scancraft.compile, "(ab)*")):
        with pytest.raises(ReadoutError, match="contract 'most-words' is unknown"):
            make(contract="most-words")  # type: ignore[operator]
    with pytest.raises(TargetError, match="d_conv"):
        flip_flop(d_conv=5)


# -- printing ---------------------------------------------------------------------------------------------------------


def test_every_stage_prints() -> None:
    text = str(counters(equal_blocks("ab")).circuit)
    for part in (
        "level 1 of the cascade",
        "signs of the counters",
        "error latch",
        "counter b due",
        "may come next iff",
    ):
        assert part in text
    assert show(plus({"1": 2, "x": -1}, {"x": 1, "y": 3})) == "2 + 3 [y]"
    assert show({}) == "0"
    assert "memories" in str(dyck(2, 2))
    assert "Dyck_{2,2}" in str(BoundedDyck(2, 2))
    assert "theorem 5" in counters(dyck_1()).manifest.construction
    features, _ = next(iter(flip_flop().circuit.run("")))
    assert features[f"letter {BOS}"] == 1
