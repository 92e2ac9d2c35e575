"""A circuit that counts as an argument for people: what is counted, what that rules out, and why it follows.

The cases that can occur before a word dies are walked through, and the circuit is run, in integers, on a word that
leads to each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from ..automata.alphabet import BOS, EOS
from ..automata.budget import DEFAULT_BUDGET, Budget
from ..automata.dfa import Dfa
from ..compiler.circuits.circuit import Circuit, Latch
from ..compiler.plan.wellformed import PlanError
from .plan_text import counted, listed

MOST_PLACES = 12
"""Counts that are listed where they are no range."""

Counts = tuple[int, ...]
Letters = tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """What can occur while a word can be completed: a state, the last letters, the counts, and what may come."""

    state: int
    last: Letters
    counts: Counts
    allowed: frozenset[str]


@dataclass(frozen=True)
class Cases:
    """All cases, how often a letter kills in one, and by how much the last letters of words change the counts."""

    live: tuple[Case, ...]
    deaths: int
    changes: Mapping[Letters, Counts]


def cases_of(circuit: Circuit, dfa: Dfa, budget: Budget = DEFAULT_BUDGET) -> Cases:
    """The cases of a circuit that counts, each compared with the automaton. O(cases * letters * length of a word).

    Raises:
        PlanError: the circuit is wrong in one of them.
        BudgetExceededError: there are more than the budget has items.
    """
    names, clock = tuple(circuit.limits), budget.meter("cases")
    memory = (circuit.window - 1) * circuit.n_blocks  # letters that blocks one after the other may look back at

    def after(word: Letters, state: int) -> Case:
        *_, (features, allowed) = circuit.run(word)
        if allowed != dfa.allowed(state):
            said = " ".join(word) or "nothing"
            raise PlanError(f"after {said} the circuit allows {listed(sorted(allowed))}; compile the language again")
        last = (BOS, *word)[-memory:] if memory else ()
        return Case(state, last, tuple(features[name] for name in names), allowed)

    start = after((), dfa.initial)
    words: dict[Case, Letters] = {start: ()}
    deaths, changes = 0, dict[Letters, Counts]()
    queue = [start]
    for case in queue:
        for letter, target in zip(dfa.alphabet, dfa.table[case.state], strict=True):
            clock.tick()
            found = after((*words[case], letter), target)
            if target not in dfa.live:
                deaths += 1
                continue
            step = tuple(new - old for new, old in zip(found.counts, case.counts, strict=True))
            changes[(*case.last, letter)] = step
            if found not in words:
                words[found] = (*words[case], letter)
                queue.append(found)
    return Cases(tuple(queue), deaths, changes)


def counting_argument(circuit: Circuit, dfa: Dfa, budget: Budget = DEFAULT_BUDGET) -> str:
    """The argument that a circuit of kind "walk" is right.

    Args:
        circuit: it.
        dfa: the language.
        budget: how many cases there may be.

    Raises:
        PlanError: it is no circuit of the language.
        BudgetExceededError: there are too many cases.
    """
    cases = cases_of(circuit, dfa, budget)
    window, steps = _steps(cases.changes)
    return "\n".join(
        [
            f"A language of {counted(dfa.n_states, 'state')} over {{{' '.join(dfa.alphabet)}}}; words in "
            f"{len(dfa.live)} of them can still be completed.",
            f"Claim: as long as a word can be completed, {listed(circuit.limits)}"
            f"{_and_letters(cases)} {_tell(circuit, cases)} what may come next"
            + ("; of a word that has died nothing may come any more." if circuit.contract == "all-words" else "."),
            *_blocks(circuit, window, steps),
            *_readout(circuit, cases),
            *_reason(circuit, cases),
        ]
    )


def _and_letters(cases: Cases) -> str:
    told: dict[Counts, set[frozenset[str]]] = {}
    for case in cases.live:
        told.setdefault(case.counts, set()).add(case.allowed)
    return " and the last letters" if any(len(several) > 1 for several in told.values()) else ""


def _tell(circuit: Circuit, cases: Cases) -> str:
    return "tells" if len(circuit.limits) == 1 and not _and_letters(cases) else "tell"


def _steps(changes: Mapping[Letters, Counts]) -> tuple[int, dict[Letters, Counts]]:
    """The fewest last letters that tell what is added, and what."""
    for window in range(1, 1 + max(map(len, changes), default=0)):
        told: dict[Letters, set[Counts]] = {}
        for letters, step in changes.items():
            told.setdefault(letters[-window:], set()).add(step)
        if all(len(several) == 1 for several in told.values()):
            return window, {letters: several.pop() for letters, several in told.items()}
    return 0, {}


def _blocks(circuit: Circuit, window: int, steps: Mapping[Letters, Counts]) -> Iterator[str]:
    yield ""
    yield f"Block 1 counts, from {BOS} on, where everything is 0."
    for n, name in enumerate(circuit.limits):
        by_step: dict[int, list[str]] = {}
        for letters, step in sorted(steps.items()):
            if step[n]:
                by_step.setdefault(step[n], []).append(" then ".join(letters[-window:]))
        for amount, when in sorted(by_step.items(), reverse=True):
            yield f"  {name} {amount:+d} after {' or '.join(when)}."
    for number, block in enumerate(circuit.blocks[1:], start=2):
        yield ""
        yield f"Block {number}: {block.title}."
        yield from (f"  {c.role}: {c.meaning}" for c in block.channels if c.role in ("feature", "latch"))


def _readout(circuit: Circuit, cases: Cases) -> Iterator[str]:
    yield ""
    yield "Read-out."
    lasts = sorted({case.last[-1:] for case in cases.live}) if _and_letters(cases) else [()]
    for token in circuit.verdicts:
        ways = {
            last: sorted({case.counts for case in cases.live if token in case.allowed and case.last[-1:] in ((), last)})
            if last
            else sorted({case.counts for case in cases.live if token in case.allowed})
            for last in lasts
        }
        same: dict[str, list[str]] = {}
        for last, counts in ways.items():
            same.setdefault(_where(tuple(circuit.limits), counts), []).append("".join(last))
        told = [
            text if len(same) == 1 else f"{text} after {' or '.join(letters)}"
            for text, letters in same.items()
            if len(same) == 1 or text != "never"
        ]
        yield f"  {'The word may end' if token == EOS else f'{token} may come'} {', or '.join(told)}."


def _where(names: tuple[str, ...], counts: list[Counts]) -> str:
    """Places, as ranges where there is one counter."""
    if not counts:
        return "never"
    if len(names) == 1:
        return f"where {names[0]} is {' or '.join(_ranges(count for (count,) in counts))}"
    if len(counts) > MOST_PLACES:
        return f"at {len(counts):,} places of ({', '.join(names)})"
    return f"where ({', '.join(names)}) is {' or '.join(map(str, counts))}"


def _ranges(numbers: Iterable[int]) -> Iterator[str]:
    """Whole numbers in a row as "from a to b"."""
    for _, some in groupby(enumerate(sorted(set(numbers))), lambda pair: pair[1] - pair[0]):
        row = [number for _, number in some]
        yield f"{row[0]}" if len(row) == 1 else f"{row[0]} to {row[-1]}"


def _reason(circuit: Circuit, cases: Cases) -> Iterator[str]:
    latches = [
        name for block in circuit.blocks for name, (memory, _) in block.memories.items() if isinstance(memory, Latch)
    ]
    yield ""
    yield (
        f"Why that is right: from {BOS} on, letter by letter, {counted(len(cases.live), 'case')} can occur while a "
        "word can be completed (a state of the automaton, the last letters, and the counts). In each of them the "
        "circuit was run on a word that leads there: it allows what the automaton allows; and where one letter more "
        f"kills the word, which {counted(cases.deaths, 'time')} it does, it allows nothing."
    )
    if circuit.contract != "all-words":
        yield "Nothing is promised of words that have died."
    elif latches:
        yield (
            f"A word that has died stays dead because nothing takes back {listed(f'“{name}”' for name in latches)}: "
            "so the circuit is built, and the certificate proves it of the weights, as far as the counters may run."
        )
    else:
        yield (
            "A word that has died stays dead because nothing is ever taken away from what was counted: so the circuit "
            "is built, and the certificate proves it of the weights, as far as the counter may run."
        )
