"""A plan as an argument for people: what each memory means, what overwrites it, and why the read-out follows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import combinations

from ..automata.alphabet import BOS, EOS, class_token
from ..automata.deterministic import Deterministic
from ..automata.logic.past import PastLtl
from ..compiler.plan.plan import Event, Holds, Letter, Memory, Plan
from ..compiler.plan.prove import Node, joint

MOST_CASES = 40
"""Cases that are listed."""
MOST_DECIDING = 6
"""Events of a verdict, beside those about the letter, that are told apart; more are listed with their weights."""

Labels = Mapping[str, frozenset[int]]
"""The labels of each memory."""


def argument(plan: Plan, dfa: Deterministic) -> str:
    """The argument that a plan is right, with all cases that can occur, if they are few.

    Args:
        plan: the plan.
        dfa: the language, or the machine with outputs; the plan is proved against it once more.

    Raises:
        PlanError: it is no plan of the language.
    """
    nodes = joint(plan, dfa)
    return "\n".join([*_claim(plan, dfa), *_blocks(plan), *_readout(plan), *_cases(plan, dfa, nodes)])


def past_argument(plan: Plan, formula: PastLtl) -> str:
    """What each memory of a past formula holds, what overwrites it, and when a word may end."""
    letters = "the last letter" if plan.window == 1 else f"the last {plan.window} letters"
    claim = [
        f"The words at whose end this holds: {formula}.",
        f"Claim: after every prefix of every word each memory is 1 iff its formula holds, and {letters}"
        f"{_and_memories(plan)} tell whether the word may end.",
    ]
    return "\n".join([*claim, *_blocks(plan), *_readout(plan)])


def _claim(plan: Plan, dfa: Deterministic) -> Iterator[str]:
    several = "every word" if plan.contract == "all-words" else "every word that can still be completed"
    letters = "the last letter" if plan.window == 1 else f"the last {plan.window} letters"
    what = "machine with outputs" if plan.classes else "language"
    told = "what may come next" if EOS in plan.verdicts else "the class"
    told += " and the class" if plan.classes and EOS in plan.verdicts else ""
    yield f"A {what} of {counted(dfa.n_states, 'state')} over {{{' '.join(plan.alphabet)}}}."
    yield f"Claim: after every prefix of {several}, {letters}{_and_memories(plan)} tell {told}."


def _and_memories(plan: Plan) -> str:
    if not plan.memories:
        return " alone"
    there = sum(bool(block.memories) for block in plan.blocks)
    return f" and {counted(len(plan.memories), 'memory')} in {counted(there, 'block')}"


def _blocks(plan: Plan) -> Iterator[str]:
    for number, block in enumerate(plan.blocks, start=1):
        yield ""
        if not block.memories:
            yield f"Block {number} remembers nothing; it tells the read-out which events below come together."
            continue
        sees = "the last letters" if number == 1 else "the last letters and what the blocks above remember"
        yield f"Block {number} sees {sees}."
        for memory in block.memories:
            yield f"  {memory.name} is overwritten by what came last of the following; everything else leaves it alone."
            for label in sorted(memory.writes):
                yield f"    {memory.name} = {label}, {memory.meaning[label]}: when {_any(memory, label, plan)}."


def _any(memory: Memory, label: int, plan: Plan) -> str:
    texts = dict.fromkeys(event_text(event, plan.alphabet) for event in memory.writes[label])
    return ", or when ".join(texts) or "never"


def _readout(plan: Plan) -> Iterator[str]:
    yield ""
    yield "Read-out."
    labels = {memory.name: frozenset(memory.writes) for memory in plan.memories}
    same: dict[tuple[bool, tuple[str, ...]], list[str]] = {}
    named = {class_token(name): name for name in plan.classes}
    for token, form in plan.verdicts.items():
        key = (token in named, tuple(_conditions(form, plan.alphabet, labels)))
        same.setdefault(key, []).append(named.get(token, token))
    for (is_class, (first, *rest)), tokens in same.items():
        if is_class:
            yield f"  The class is {' or '.join(tokens)}{'' if rest else f' {first}.'}"
        elif not rest:
            only = f"{first} come next" if first in ("always", "never") else f"come next {first}"
            yield f"  {listed(tokens)} may {only}."
        else:
            yield f"  {listed(tokens)} may come next"
        if not rest:
            continue
        yield from (f"    {text}{';' if text != rest[-1] else '.'}" for text in (first, *rest))


def _conditions(form: Mapping[Event, int], alphabet: tuple[str, ...], labels: Labels) -> Iterator[str]:
    """When a sum of events is at most 0: for the letters that count alike, which of the other events decide."""
    counts = dict.fromkeys((*alphabet, BOS), form.get((), 0))
    others: dict[Event, int] = {}
    for event, weight in form.items():
        if len(event) == 1 and isinstance(event[0], Letter) and not event[0].back:
            for symbol in event[0].symbols:
                counts[symbol] += weight
        elif event and weight:
            others[event] = weight
    texts: dict[str, list[str]] = {}
    for symbol, count in counts.items():
        texts.setdefault(_decided(count, others, alphabet, labels), []).append(symbol)
    for text, symbols in texts.items():
        yield f"after {' or '.join(symbols)}: {text}" if len(texts) > 1 else text


def _decided(count: int, others: Mapping[Event, int], alphabet: tuple[str, ...], labels: Labels) -> str:
    """When ``count`` and the events that hold sum to at most 0.

    Each event counts for or against; so what decides are the least sets of events that must hold (those that count
    against the sum) or must not, such that the sum is small enough whatever the others do.
    """
    if len(others) > MOST_DECIDING:
        votes = [f"{weight:+d} where {event_text(event, alphabet)}" for event, weight in others.items()]
        return f"if this sums to at most {-count}: {'; '.join(votes)}"
    least: list[frozenset[Event]] = []
    for size in range(len(others) + 1):
        for some in map(frozenset, combinations(others, size)):
            worst = count + sum(w for event, w in others.items() if (event in some) == (w < 0))
            if worst <= 0 and not any(smaller <= some for smaller in least):
                least.append(some)
    if not least:
        return "never"
    if not least[0]:
        return "always"
    ways = [
        " and ".join(
            event_text(event, alphabet) if others[event] < 0 else _denied(event, alphabet, labels)
            for event in others
            if event in some
        )
        for some in least
    ]
    return f"if {', or if '.join(ways)}"


def _denied(event: Event, alphabet: tuple[str, ...], labels: Labels) -> str:
    if len(event) == 1 and isinstance(event[0], Holds):
        return event_text((replace(event[0], labels=labels[event[0].memory] - event[0].labels),), alphabet)
    return f"not ({event_text(event, alphabet)})"


def _cases(plan: Plan, dfa: Deterministic, nodes: list[Node]) -> Iterator[str]:
    """What is remembered in which states."""
    together: dict[tuple[int, ...], set[int]] = {}
    for state, _, labels in nodes:
        together.setdefault(labels, set()).add(state)
    yield ""
    yield (
        f"Why that is right: from {BOS} on, letter by letter, {counted(len(nodes), 'case')} can occur (a state of the "
        "automaton, the last letters, and what is remembered). In each of them the read-out was compared with the "
        "automaton."
    )
    if not plan.memories or len(together) > MOST_CASES:
        return
    for labels, states in sorted(together.items()):
        held = ", ".join(f"{memory.name} = {label}" for memory, label in zip(plan.memories, labels, strict=True))
        allowed = {dfa.allowed(q) for q in states}
        names = " or ".join(dfa.names[q] for q in sorted(states))
        if len(allowed) == 1:
            next_ = _right(plan, *allowed)
        else:
            next_ = "the last letters tell which, as far as it matters"
        yield f"  {held}: state {names}; {next_}."


def _right(plan: Plan, allowed: frozenset[str]) -> str:
    """What is right in a state."""
    classes = [f"the class is {name}" for name in plan.classes if class_token(name) in allowed]
    following = sorted(allowed - set(map(class_token, plan.classes)))
    told = [f"next may come {listed(following) or 'nothing'}"] if EOS in plan.verdicts else []
    return ", ".join([*told, *classes])


def event_text(event: Event, alphabet: tuple[str, ...]) -> str:
    """An event for people; that there is a letter at all is left out.

    >>> event_text((Letter(frozenset("ab")), Letter(frozenset("a"), 1), Holds("m", frozenset({1}))), ("a", "b"))
    'the letter before is a and m = 1'
    """
    texts = [_literal(literal, alphabet) for literal in event]
    return " and ".join(text for text in texts if text) or "anything comes"


def _literal(literal: Letter | Holds, alphabet: tuple[str, ...]) -> str:
    if isinstance(literal, Holds):
        labels = " or ".join(map(str, sorted(literal.labels)))
        return f"{literal.memory} {'was' if literal.back else '='} {labels}{' before' if literal.back else ''}"
    if literal.symbols >= set(alphabet):
        return "" if not literal.back or BOS in literal.symbols else f"{_which(literal.back)} is not {BOS}"
    inside = [symbol for symbol in (*alphabet, BOS) if symbol in literal.symbols]
    outside = [symbol for symbol in (*alphabet, BOS) if symbol not in literal.symbols]
    if len(outside) < len(inside):
        return f"{_which(literal.back)} is not {' or '.join(outside)}"
    return f"{_which(literal.back)} is {' or '.join(inside)}"


def _which(back: int) -> str:
    return {0: "the letter", 1: "the letter before"}.get(back, f"the letter {back} before")


def listed(tokens: Iterable[str]) -> str:
    """Some things with commas and an "and"."""
    *most, last = [*tokens] or [""]
    return f"{', '.join(most)} and {last}" if most else last


def counted(number: int, thing: str) -> str:
    """So many things.

    >>> counted(2, "memory")
    '2 memories'
    """
    plural = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{number:,} {thing if number == 1 else plural}"
