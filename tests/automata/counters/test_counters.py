"""Counter machines: what they accept, what is refused, and their ground truth."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from examples import machine, machines
from random_machines import random_machines

import scancraft
from scancraft import Budget, BudgetExceededError, Counter, CounterMachine, Step
from scancraft.automata.alphabet import EOS
from scancraft.automata.counters.families import boolean, dyck_1, equal_blocks, shuffle
from scancraft.automata.counters.machine import counter_machine_from_json, counter_machine_to_json
from scancraft.automata.counters.trim import abstract_graph, sign_outcomes
from scancraft.automata.errors import CounterLanguageError, UnknownSymbolError
from scancraft.automata.languages import as_language, language_from_json, language_to_json, truth_of

NAMED = {"Dyck-1": 10, "Shuffle-2": 6, "Shuffle-4": 4, "Boolean-3": 5, "Boolean-5": 4, "a^n b^n": 12, "a^n b^n c^n": 9}
"""Families, and to what length all their words are tried."""


def words(alphabet: tuple[str, ...], longest: int) -> list[tuple[str, ...]]:
    return [w for n in range(longest + 1) for w in itertools.product(alphabet, repeat=n)]


@pytest.mark.parametrize("name", NAMED)
def test_the_next_symbols_are_those_that_some_word_goes_on_with(name: str) -> None:
    """By brute force, where a word of at most ``longest`` symbols tells; and what is allowed is really live."""
    named, longest = machine(name), NAMED[name]
    live = {w[:n] for w in words(named.alphabet, longest) if named.accepts(w) for n in range(len(w) + 1)}
    for w in words(named.alphabet, longest // 3):
        *_, last = named.run(w)
        allowed = named.allowed(last)
        for symbol in named.alphabet:
            if (*w, symbol) in live:
                assert symbol in allowed
        assert (EOS in allowed) == named.accepts(w)


@pytest.mark.parametrize("one", [*machines().values(), *random_machines(25, 1)], ids=str)
def test_the_vectorised_truth_is_the_machine(one: CounterMachine) -> None:
    truth = truth_of(one)
    tried = words(one.alphabet, {2: 8, 3: 5}.get(len(one.alphabet), 3 if len(one.alphabet) < 9 else 2))
    codes, lengths = truth.encode(tried)
    masks = truth.next_masks(codes, lengths)
    names = (*one.alphabet, EOS)
    for word, mask in zip(tried, masks, strict=True):
        for t, configuration in enumerate(one.run(word)):
            allowed = one.allowed(configuration)
            assert [name in allowed for name in names] == mask[t].tolist()


def test_live_configurations_can_be_completed() -> None:
    """What ``trim`` promises, by search: from every configuration of a short live word, some word is accepted."""
    for one in random_machines(25, 2):
        for word in words(one.alphabet, 4):
            *_, configuration = one.run(word)
            if configuration is None:
                continue
            queue, seen = [configuration], {configuration}
            while queue and not any(EOS in one.allowed(c) for c in queue):
                following = {one.step(c, a) for c in queue for a in one.allowed(c)} - seen
                queue = [c for c in following if c is not None and all(abs(v) < 40 for v in c[1])]
                seen |= following
            assert queue, (one, word)


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
    "test of a number": (
        changed("transitions", "B", "b", "when", value={"n": 3}),
        "the test 3 of counter",
    ),
    "stuck": (changed("accepting", "B", "n", value="nonzero"), "no word is accepted"),
    "a truth is no amount": (changed("transitions", "A", "a", "add", value={"n": True}), "give a whole number"),
    "counter": (changed("transitions", "B", "b", "add", value={"m": 1}), "no counter 'm'"),
    "symbol": (changed("transitions", "B", value={"c": {"to": "B"}}), "not in the alphabet"),
    "target": (changed("transitions", "B", "b", "to", value="C"), "leads to 'C'"),
    "amount": (changed("transitions", "A", "a", "add", value={"n": 1.5}), "give a whole number"),
    "choice": (changed("transitions", "A", "a", value=[{"to": "A"}, {"to": "B"}]), "tests cannot choose"),
    "no counters": (changed("counters", value=[]), "at least one counter"),
    "twice": (changed("counters", value=["n", "n"]), "share a name"),
    "no end": (changed("accepting", value={}), "no state accepts"),
    "hopeless": (changed("transitions", "B", value={}), "no word is accepted from"),
    "unknown key": ({**GOOD, "x": 1}, "exactly the keys"),
    "missing key": ({k: v for k, v in GOOD.items() if k != "initial"}, "exactly the keys"),
    "begins below": (changed("counters", value={"n": {"initial": -1}}), "declare it signed"),
    "kind": (changed("counters", value={"n": 3}), "counters: .* must be a mapping"),
    "text": (changed("counters", value="n"), "give a list of strings"),
    "signed": (changed("counters", value={"n": {"signed": 1}}), "true or false"),
    "step": (changed("transitions", "A", "a", value={"to": "A", "by": 1}), "state 'A' on 'a': .*'by'"),
    "row": (changed("transitions", "A", value=[]), "see scancraft.automata.counters.machine"),
    "end": (changed("accepting", "B", value=["n"]), "accepting: "),
}


@pytest.mark.parametrize("case", BAD)
def test_malformed_machines(case: str) -> None:
    data, message = BAD[case]
    with pytest.raises(CounterLanguageError, match=message):
        counter_machine_from_json(data)


def test_the_good_one_is_good() -> None:
    good = counter_machine_from_json(GOOD)
    assert good.accepts("aabb")
    assert not good.accepts("aab")
    assert counter_machine_from_json(counter_machine_to_json(good)) == good
    assert language_from_json(language_to_json(good)) == good
    assert as_language(GOOD) == good


def test_foreign_symbols() -> None:
    with pytest.raises(UnknownSymbolError):
        dyck_1().accepts("(x")
    with pytest.raises(UnknownSymbolError):
        truth_of(dyck_1()).encode(["(x"])


def test_machines_that_cannot_be_compiled() -> None:
    swap = {"a": Step("q", {"n": 1}), "b": Step("p", {"n": -1}, {"n": "positive"})}
    back = {"a": Step("p", {"n": 1}), "b": Step("q", {"n": -1}, {"n": "positive"})}
    swapping = CounterMachine(("a", "b"), (Counter("n"),), "p", {"p": swap, "q": back}, {"p": {}, "q": {}})
    with pytest.raises(CounterLanguageError, match="the control is not star-free: the word 'a' permutes"):
        scancraft.compile(swapping)
    large = CounterMachine(("a",), (Counter("n"),), "q", {"q": {"a": Step("q", {"n": 2**24 + 1})}}, {"q": {}})
    with pytest.raises(CounterLanguageError, match="float32 counts exactly"):
        scancraft.compile(large)


def test_the_search_for_signs_has_a_budget() -> None:
    with pytest.raises(BudgetExceededError):
        abstract_graph(shuffle(6), Budget(items=10))


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
