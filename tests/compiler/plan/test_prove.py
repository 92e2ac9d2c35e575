"""Proofs of plans: right ones pass, whatever is changed in one is found, and ill-formed ones are refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from plans import BEGIN, BY_HAND, holds, language_of, letter, plans, with_memory

from scancraft.automata.alphabet import BOS, EOS
from scancraft.automata.budget import Budget
from scancraft.automata.dfa import Dfa
from scancraft.automata.errors import BudgetExceededError
from scancraft.compiler.plan.plan import Event, Memory, Plan, PlanBlock
from scancraft.compiler.plan.prove import prove
from scancraft.compiler.plan.separate import separated
from scancraft.compiler.plan.wellformed import PlanError, check_plan

AB = ("a", "b")
NODES = {"last_is_b": 2, "ascending": 5, "subsequence": 4, "last_of_three": 5}


def examples(count: int) -> settings:
    return settings(max_examples=count, deadline=None, derandomize=True, database=None)


def right(dfa: Dfa, word: tuple[str, ...]) -> frozenset[str]:
    q = dfa.run(word)
    return dfa.next_symbols(q) | ({EOS} if q in dfa.accepting else frozenset())


def is_right(plan: Plan, dfa: Dfa, longest: int) -> bool:
    """Whether the plan, run on words, says what the language says, on all words of a length."""
    for word in product(plan.alphabet, repeat=longest):
        try:
            if list(plan.run(word)) != [right(dfa, word[:n]) for n in range(longest + 1)]:
                return False
        except AssertionError:
            return False
    return True


@pytest.mark.parametrize("name", BY_HAND)
def test_a_plan_of_a_language_is_proved(name: str) -> None:
    plan, expression = BY_HAND[name]()
    dfa = language_of(expression, plan.alphabet)
    assert is_right(plan, dfa, 6)
    assert prove(plan, dfa) == NODES[name]
    assert prove(separated(plan), dfa) == NODES[name]


def changed(plan: Plan) -> Iterator[Plan]:
    """The plan with one event, literal or weight less, another one more, or another label."""
    for memory in plan.memories:
        for label, events in memory.writes.items():
            for n, event in enumerate(events):
                rest = (*events[:n], *events[n + 1 :])
                shorter = [(*rest, event[1:])] if len(event) > 1 else []
                other = next(other for other in memory.writes if other != label)
                swapped = {**memory.writes, label: rest, other: (*memory.writes[other], event)}
                for writes in (*({**memory.writes, label: found} for found in (rest, *shorter)), swapped):
                    yield with_memory(plan, replace(memory, writes=writes))
    for token, form in plan.verdicts.items():
        for event in form:
            for weight in (0, -form[event]):
                yield replace(plan, verdicts={**plan.verdicts, token: {**form, event: weight}})
        yield replace(plan, verdicts={**plan.verdicts, token: {**form, (letter("a"),): 1}})


@pytest.mark.parametrize("name", BY_HAND)
def test_whatever_is_changed_is_found(name: str) -> None:
    plan, expression = BY_HAND[name]()
    dfa, found = language_of(expression, plan.alphabet), 0
    for other in changed(plan):
        try:
            prove(other, dfa)
        except PlanError:
            found += 1
            continue
        assert is_right(other, dfa, 6)
    assert found >= 3


def test_the_message_names_a_word_that_shows_it() -> None:
    plan, _ = BY_HAND["ascending"]()
    with pytest.raises(PlanError, match="after <bos> b: the plan allows <eos> b, the language <eos>"):
        prove(plan, language_of("a*b?", AB))


def test_only_live_prefixes_are_looked_at_under_that_contract() -> None:
    """Without a memory of what went wrong the last letter tells what may come next, on live prefixes."""
    verdicts = {"a": {(letter("b"),): 1}, "b": {}, EOS: {}}
    plan = Plan(AB, (), verdicts, "live-prefixes")
    dfa = language_of("a*b*", AB)
    assert prove(plan, dfa) == 2
    with pytest.raises(PlanError, match="after <bos> b a: the plan allows"):
        prove(replace(plan, contract="all-words"), dfa)
    assert prove(plan, Dfa.empty(AB)) == 0


def test_a_budget_is_kept() -> None:
    plan, expression = BY_HAND["last_of_three"]()
    with pytest.raises(BudgetExceededError, match="nodes of the plan"):
        prove(plan, language_of(expression, plan.alphabet), Budget(3))


def one_memory(*events: Event, reset: Event = BEGIN) -> Plan:
    memory = Memory("m", {0: "no", 1: "yes"}, {0: (reset,), 1: events})
    return Plan(AB, (PlanBlock("", (memory,)),), {"a": {}, "b": {}, EOS: {(holds("m", 1),): 1}})


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (one_memory((letter("c"),)), "unknown symbol"),
        (one_memory((letter("a", 1),)), "may see what came before <bos>"),
        (one_memory((letter("a", bos=True), letter("a", 1))), "may see what came before <bos>"),
        (one_memory((letter("a"), letter("a", 2))), "may see what came before <bos>"),
        (one_memory((letter("a"), letter("b"))), "two literals are about the same"),
        (one_memory((letter("a", 7),)), "a letter 7 steps ago"),
        (one_memory((letter("a"), holds("m", 1, back=1))), "no earlier block has a memory m"),
        (one_memory((letter("a"), holds("n", 1))), "no earlier block has a memory n"),
        (replace(one_memory(), verdicts={"a": {}, "b": {}}), "the verdicts are not those"),
        (replace(one_memory(), verdicts={"a": {}, "b": {}, EOS: {(holds("m", 2),): 1}}), "never written"),
        (replace(one_memory(), verdicts={"a": {}, "b": {}, EOS: {(holds("m", 1, back=1),): 1}}), "before <bos>"),
        (replace(one_memory(), blocks=one_memory().blocks * 2), "two memories are called m"),
    ],
)
def test_ill_formed_plans_are_refused(plan: Plan, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        check_plan(plan)
    with pytest.raises(PlanError, match=message):
        prove(plan, language_of("(a|b)*", AB))


def test_conflicts_and_memories_that_nobody_writes_are_found() -> None:
    everything = language_of("(a|b)*", AB)
    twice = Memory("m", {0: "", 1: ""}, {0: (BEGIN, (letter("a"),)), 1: ((letter("ab"),),)})
    verdicts = {"a": {}, "b": {}, EOS: {}}
    with pytest.raises(PlanError, match="after <bos> a: two labels of m are written at once"):
        prove(Plan(AB, (PlanBlock("", (twice,)),), verdicts), everything)
    with pytest.raises(PlanError, match="after <bos>: m is not written at <bos>"):
        prove(one_memory((letter("b"),), reset=(letter("a"),)), everything)


@examples(60)
@given(plans())
def test_random_plans_are_well_formed(plan: Plan) -> None:
    check_plan(plan)


@examples(60)
@given(plans(most_blocks=2))
def test_separated_events_exclude_each_other_and_change_nothing(plan: Plan) -> None:
    apart = separated(plan)
    check_plan(apart)
    for word in product(plan.alphabet, repeat=4):
        assert list(apart.run(word)) == list(plan.run(word))
        moment = None
        for token in (BOS, *word):
            moment = apart.step(moment, token)
            for memory in apart.memories:
                for events in memory.writes.values():
                    assert sum(map(moment.holds, events)) <= 1
