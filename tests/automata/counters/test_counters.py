"""Counter machines: what they accept, what is refused, and their ground truth."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from random_machines import random_machines

import scancraft
from scancraft.automata.alphabet import EOS
from scancraft.automata.budget import Budget
from scancraft.automata.counters.families import boolean, dyck_1, equal_blocks, shuffle
from scancraft.automata.counters.machine import (
    Counter,
    CounterMachine,
    Step,
    counter_machine_from_json,
    counter_machine_to_json,
)
from scancraft.automata.counters.trim import abstract_graph, sign_outcomes
from scancraft.automata.errors import BudgetExceededError, CounterLanguageError, UnknownSymbolError
from scancraft.automata.languages import as_language, language_from_json, language_to_json, truth_of


def words(alphabet: tuple[str, ...], longest: int) -> list[tuple[str, ...]]:
    return [w for n in range(longest + 1) for w in itertools.product(alphabet, repeat=n)]


# -- independent predicates -------------------------------------------------------------------------------------------


def shuffled(word: tuple[str, ...], pairs: tuple[str, ...]) -> bool:
    for opening, closing in pairs:
        depth = 0
        for symbol in word:
            depth += (symbol == opening) - (symbol == closing)
            if depth < 0:
                return False
        if depth:
            return False
    return True


def expression(word: tuple[str, ...], arity: dict[str, int]) -> bool:
    """Parse one prefix expression by recursion, and see whether it is the whole word."""

    def parse(start: int) -> int | None:
        if start >= len(word):
            return None
        after: int | None = start + 1
        for _ in range(arity[word[start]]):
            after = None if after is None else parse(after)
        return after

    return parse(0) == len(word)


def blocks(word: tuple[str, ...], alphabet: str) -> bool:
    n = len(word) // len(alphabet)
    return n >= 1 and "".join(word) == "".join(s * n for s in alphabet)


CASES: list[tuple[str, CounterMachine, Callable[[tuple[str, ...]], bool], int]] = [
    ("Dyck-1", dyck_1(), lambda w: shuffled(w, ("()",)), 12),
    ("Shuffle-2", shuffle(2), lambda w: shuffled(w, ("()", "[]")), 7),
    ("Shuffle-4", shuffle(4), lambda w: shuffled(w, ("()", "[]", "{}", "<>")), 4),
    ("Boolean-3", boolean(3), lambda w: expression(w, {"0": 0, "1": 0, "~": 1, "+": 2, ">": 3}), 6),
    (
        "Boolean-5",
        boolean(5),
        lambda w: expression(w, {"0": 0, "1": 0, "~": 1, "+": 2, ">": 3, "*": 4, "^": 5}),
        5,
    ),
    ("a^n b^n", equal_blocks("ab"), lambda w: blocks(w, "ab"), 12),
    ("a^n b^n c^n", equal_blocks("abc"), lambda w: blocks(w, "abc"), 9),
    ("a^n b^n c^n d^n", equal_blocks("abcd"), lambda w: blocks(w, "abcd"), 8),
]


@pytest.mark.parametrize(("name", "machine", "member", "longest"), CASES, ids=[c[0] for c in CASES])
def test_the_families_are_what_their_definitions_say(
    name: str, machine: CounterMachine, member: Callable[[tuple[str, ...]], bool], longest: int
) -> None:
    tried = words(machine.alphabet, longest)
    assert [machine.accepts(w) for w in tried] == [member(w) for w in tried]
    assert any(map(member, tried))


@pytest.mark.parametrize(("name", "machine", "member", "longest"), CASES, ids=[c[0] for c in CASES])
def test_the_next_symbols_are_those_that_some_word_goes_on_with(
    name: str, machine: CounterMachine, member: Callable[[tuple[str, ...]], bool], longest: int
) -> None:
    """By brute force, where a word of at most ``longest`` symbols tells; and what is allowed is really live."""
    members = {w for w in words(machine.alphabet, longest) if member(w)}
    live = {w[:n] for w in members for n in range(len(w) + 1)}
    for w in words(machine.alphabet, longest // 3):
        *_, last = machine.run(w)
        allowed = machine.allowed(last)
        for symbol in machine.alphabet:
            if (*w, symbol) in live:
                assert symbol in allowed
        assert (EOS in allowed) == member(w)


@pytest.mark.parametrize("machine", [*(c[1] for c in CASES), *random_machines(25, 1)], ids=str)
def test_the_vectorised_truth_is_the_machine(machine: CounterMachine) -> None:
    truth = truth_of(machine)
    tried = words(machine.alphabet, {2: 8, 3: 5}.get(len(machine.alphabet), 3))
    codes, lengths = truth.encode(tried)
    masks = truth.next_masks(codes, lengths)
    names = (*machine.alphabet, EOS)
    for word, mask in zip(tried, masks, strict=True):
        for t, configuration in enumerate(machine.run(word)):
            allowed = machine.allowed(configuration)
            assert [name in allowed for name in names] == mask[t].tolist()


def test_live_configurations_can_be_completed() -> None:
    """What ``trim`` promises, by search: from every configuration of a short live word, some word is accepted."""
    for machine in random_machines(25, 2):
        for word in words(machine.alphabet, 4):
            *_, configuration = machine.run(word)
            if configuration is None:
                continue
            queue, seen = [configuration], {configuration}
            while queue and not any(EOS in machine.allowed(c) for c in queue):
                following = {machine.step(c, a) for c in queue for a in machine.allowed(c)} - seen
                queue = [c for c in following if c is not None and all(abs(v) < 40 for v in c[1])]
                seen |= following
            assert queue, (machine, word)


@pytest.mark.parametrize("sign", [-1, 0, 1])
@pytest.mark.parametrize("add", range(-4, 5))
def test_outcomes_of_signs_are_tight(sign: int, add: int) -> None:
    found: dict[int, int] = {}
    for c in range(-30, 31):
        if (c > 0) - (c < 0) == sign:
            after = c + add
            s = (after > 0) - (after < 0)
            found[s] = max(found.get(s, -100), abs(after) - abs(c))
    assert sign_outcomes(sign, add) == found


# -- what is refused --------------------------------------------------------------------------------------------------

GOOD = {
    "alphabet": ["a", "b"],
    "counters": ["n"],
    "initial": "A",
    "transitions": {
        "A": {"a": {"to": "A", "add": {"n": 1}}, "b": {"to": "B", "add": {"n": -1}, "when": {"n": "positive"}}},
        "B": {"b": {"to": "B", "add": {"n": -1}, "when": {"n": "positive"}}},
    },
    "accepting": {"B": {"n": "zero"}},
}


def changed(*path: str, value: object) -> dict[str, object]:
    import copy

    data: dict[str, object] = copy.deepcopy(GOOD)  # type: ignore[arg-type]
    here = data
    for key in path[:-1]:
        here = here[key]  # type: ignore[assignment]
    here[path[-1]] = value
    return data


BAD = {
    "test": (changed("transitions", "B", "b", "when", value={"n": "=3"}), "can only be tested for zero"),
    "unguarded": (changed("transitions", "B", "b", "when", value={}), "without the test that it is positive"),
    "by two": (changed("transitions", "B", "b", "add", value={"n": -2}), "take 1 at a time"),
    "negative": (changed("accepting", "B", "n", value="negative"), "is not signed and never negative"),
    "counter": (changed("transitions", "B", "b", "add", value={"m": 1}), "no counter 'm'"),
    "symbol": (changed("transitions", "B", value={"c": {"to": "B"}}), "not in the alphabet"),
    "target": (changed("transitions", "B", "b", "to", value="C"), "leads to 'C'"),
    "amount": (changed("transitions", "A", "a", "add", value={"n": 1.5}), "whole numbers"),
    "choice": (changed("transitions", "A", "a", value=[{"to": "A"}, {"to": "B"}]), "tests cannot choose"),
    "no counters": (changed("counters", value=[]), "at least one counter"),
    "twice": (changed("counters", value=["n", "n"]), "share a name"),
    "no end": (changed("accepting", value={}), "no state accepts"),
    "hopeless": (changed("transitions", "B", value={}), "no word is accepted from"),
    "unknown key": ({**GOOD, "x": 1}, "unknown keys"),
    "missing key": ({k: v for k, v in GOOD.items() if k != "initial"}, "missing keys"),
    "begins below": (changed("counters", value={"n": {"initial": -1}}), "declare it signed"),
    "kind": (changed("counters", value={"n": 3}), "no object with the keys"),
}


@pytest.mark.parametrize("case", BAD)
def test_malformed_machines(case: str) -> None:
    data, message = BAD[case]
    with pytest.raises(CounterLanguageError, match=message):
        counter_machine_from_json(data)


def test_the_good_one_is_good() -> None:
    machine = counter_machine_from_json(GOOD)
    assert machine.accepts("aabb")
    assert not machine.accepts("aab")
    assert counter_machine_from_json(counter_machine_to_json(machine)) == machine
    assert language_from_json(language_to_json(machine)) == machine
    assert as_language(GOOD) == machine


def test_foreign_symbols() -> None:
    with pytest.raises(UnknownSymbolError):
        dyck_1().accepts("(x")
    with pytest.raises(UnknownSymbolError):
        truth_of(dyck_1()).encode(["(x"])


def test_a_control_that_is_not_star_free_is_refused_with_its_word() -> None:
    swap = {"a": Step("q", {"n": 1}), "b": Step("p", {"n": -1}, {"n": "positive"})}
    back = {"a": Step("p", {"n": 1}), "b": Step("q", {"n": -1}, {"n": "positive"})}
    machine = CounterMachine(("a", "b"), (Counter("n"),), "p", {"p": swap, "q": back}, {"p": {}, "q": {}})
    with pytest.raises(CounterLanguageError, match="the control is not star-free: the word 'a' permutes"):
        scancraft.compile(machine)


def test_amounts_past_float32_are_refused() -> None:
    step = Step("q", {"n": 2**24 + 1})
    machine = CounterMachine(("a",), (Counter("n"),), "q", {"q": {"a": step}}, {"q": {}})
    with pytest.raises(CounterLanguageError, match="float32 counts exactly"):
        scancraft.compile(machine)


def test_the_search_for_signs_has_a_budget() -> None:
    machine = shuffle(6)
    with pytest.raises(BudgetExceededError):
        abstract_graph(machine, Budget(items=10))


def test_families_that_do_not_exist() -> None:
    for make in (lambda: shuffle(0), lambda: boolean(6), lambda: boolean(0), lambda: equal_blocks("a")):
        with pytest.raises(CounterLanguageError):
            make()


def test_values_are_the_counters() -> None:
    truth = truth_of(equal_blocks("abc"))
    codes, lengths = truth.encode(["aabbcc"])
    values = truth.values(codes, lengths)  # type: ignore[attr-defined]
    assert values[0].tolist() == [[0, 0], [1, 1], [2, 2], [1, 2], [0, 2], [0, 1], [0, 0]]
    assert values.dtype == np.int64
