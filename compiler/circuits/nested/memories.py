"""What a level of a nested language has to remember: memories that each event overwrites or keeps.

An *event* of a level is a symbol that it reads: the one that opens it, one of its own, or one that closes a level
inside it; where that is not enough, together with the symbol before it. A memory gives a label to every state. It can
be held in one latch per depth if every event either keeps the label, whatever the state, or leads to one label,
whatever the state. For two states that have to be told apart it is decided event by event which of the two it is, by
a search with propagation: each decision makes some labels equal, and the two states' labels must stay different.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from ....automata.alphabet import BOS
from ....automata.budget import DEFAULT_BUDGET, Budget, Meter
from ....automata.errors import ScancraftError
from ....automata.nested.language import NestedLanguage

Pairs = frozenset[tuple[str, str]]
"""The states of a level before and after an event."""


class LevelMemoryError(ScancraftError):
    """Two states of a level that no memory of one block tells apart."""


@dataclass(frozen=True)
class Event:
    """What a level reads.

    Attributes:
        symbol: the symbol, or ``<bos>``.
        before: the symbol before it; None if that does not matter.
        begins: whether a level begins with it: whatever was remembered at its depth belongs to another level.
    """

    symbol: str
    before: str | None = None
    begins: bool = False

    def __str__(self) -> str:
        return self.symbol if self.before is None else f"{self.symbol} after {self.before}"


@dataclass(frozen=True)
class LevelMemory:
    """A memory of a level.

    Attributes:
        labels: for each state its label; 0 is the label that is left where no other is shown.
        writes: for each event that overwrites it the label; every other event keeps it.
    """

    labels: Mapping[str, int]
    writes: Mapping[Event, int]

    @property
    def size(self) -> int:
        """How many labels there are."""
        return 1 + max(self.labels.values())

    def coarser(self) -> Iterator[LevelMemory]:
        """The memory with two labels made one, in each way."""
        for low, high in combinations(range(self.size), 2):
            now = [low if label == high else label - (label > high) for label in range(self.size)]
            yield LevelMemory(
                {state: now[label] for state, label in self.labels.items()},
                {event: now[label] for event, label in self.writes.items()},
            )

    def meaning(self, label: int) -> str:
        """The states with a label, for people."""
        return " or ".join(state for state, of in self.labels.items() if of == label)


def level_memories(language: NestedLanguage, budget: Budget = DEFAULT_BUDGET) -> tuple[LevelMemory, ...]:
    """Memories that together tell what may come next; events of one symbol if that is enough, else of two.

    Raises:
        LevelMemoryError: two states are not told apart; the message names them and a word that leads to each.
        BudgetExceededError: more decisions than the budget allows.
    """
    meter = budget.meter("decisions about events of a level")
    apart = [pair for pair in combinations(_places(language), 2) if _row(language, pair[0]) != _row(language, pair[1])]
    missing = None
    for far in (False, True):
        found, missing = _greedy(events_of(language, far=far), apart, meter)
        if missing is None:
            return found
    assert missing is not None
    one, other = missing
    raise LevelMemoryError(
        f"the states {one!r} and {other!r} of a level are not told apart by the last symbols that overwrite a memory "
        "(one or two symbols of the level at a time); a control that needs more than one block is not compiled for "
        "nested languages. Give the level fewer states, or compile its automaton for a small depth (`.dfa()`)"
    )


def events_of(language: NestedLanguage, *, far: bool) -> dict[Event, Pairs]:
    """The events of a level, and what each does to its states. ``far``: with the symbol before.

    O(depth * steps * symbols).
    """
    came: dict[str, set[str]] = {}  # the last symbols with which a level comes into a state
    inside: dict[str, set[str]] = {}  # the states in which a level that a symbol opens is
    for levels in language.reachable:
        for opening, states in levels.items():
            inside.setdefault(opening, set()).update(states)
    closing = {c: {r for q in inside.get(c, ()) for r in language.closes.get(q, ())} for c in language.opens}
    everywhere = set().union(*inside.values())
    came.setdefault(language.root, set()).add(BOS)
    for symbol, first in language.opens.items():
        came.setdefault(first, set()).add(symbol)
    for state in everywhere:
        for symbol, target in language.steps.get(state, {}).items():
            came.setdefault(target, set()).update(closing[symbol] if symbol in language.opens else {symbol})
    found: dict[Event, set[tuple[str, str]]] = {Event(BOS, begins=True): {(language.root, language.root)}}
    for symbol, first in language.opens.items():
        found[Event(symbol, begins=True)] = {(first, first)}

    def add(symbol: str, before: Iterable[str], pair: tuple[str, str]) -> None:
        for last in before if far else (None,):
            found.setdefault(Event(symbol, last), set()).add(pair)

    for state in everywhere:
        for symbol, target in language.steps.get(state, {}).items():
            if symbol not in language.opens:
                add(symbol, came[state], (state, target))
                continue
            for end in inside.get(symbol, ()):
                for r in language.closes.get(end, ()):
                    add(r, came[end], (state, target))
    return {event: frozenset(pairs) for event, pairs in found.items()}


def _places(language: NestedLanguage) -> list[str]:
    """The states that occur."""
    occur = {state for levels in language.reachable for states in levels.values() for state in states}
    return [state for state in language.states if state in occur]


def _row(language: NestedLanguage, state: str) -> tuple[object, ...]:
    """What is known of what may come next from the state alone."""
    return (
        frozenset(language.steps.get(state, ())),
        language.closes.get(state, frozenset()),
        state in language.accepting,
    )


def _greedy(
    events: Mapping[Event, Pairs], apart: Sequence[tuple[str, str]], meter: Meter
) -> tuple[tuple[LevelMemory, ...], tuple[str, str] | None]:
    """Memories, one after the other for the first pair that is not told apart yet; and a pair that none tells apart."""
    memories: list[LevelMemory] = []
    for one, other in apart:
        if any(m.labels[one] != m.labels[other] for m in memories):
            continue
        found = _Decisions(events, one, other, meter).memory()
        if found is None:
            return tuple(memories), (one, other)
        memories.append(found)
    return tuple(_coarsened(memories, apart)), None


def _coarsened(memories: Sequence[LevelMemory], apart: Sequence[tuple[str, str]]) -> list[LevelMemory]:
    """The memories with labels made equal, as long as together they tell apart what has to be; one label is none."""
    found = list(memories)
    for n in range(len(found) - 1, -1, -1):
        while coarser := next(
            filter(lambda m: _tell([*found[:n], m, *found[n + 1 :]], apart), found[n].coarser()), None
        ):
            found[n] = coarser
    return [memory for memory in found if memory.size > 1]


def _tell(memories: Sequence[LevelMemory], apart: Sequence[tuple[str, str]]) -> bool:
    return all(any(m.labels[p] != m.labels[q] for m in memories) for p, q in apart)


class _Decisions:
    """Which events keep a memory and which overwrite it, so that two states have different labels.

    Events that do the same are decided together; what begins a level overwrites.
    """

    def __init__(self, events: Mapping[Event, Pairs], one: str, other: str, meter: Meter) -> None:
        self.events, self.one, self.other, self.meter = events, one, other, meter
        self.open = frozenset(pairs for event, pairs in events.items() if not event.begins)

    def memory(self) -> LevelMemory | None:
        """The memory, or None."""
        start = {state: state for pairs in self.events.values() for pair in pairs for state in pair}
        found = self._search(start, {})
        if found is None:
            return None
        parent, writes = found
        root = {state: _find(parent, state) for state in parent}
        written = {
            event: root[next(iter(pairs))[1]] for event, pairs in self.events.items() if event.begins or writes[pairs]
        }
        often = Counter(written.values())
        order = sorted(set(root.values()), key=lambda label: (-often[label], label))
        number = {label: n for n, label in enumerate(order)}
        return LevelMemory(
            {state: number[label] for state, label in root.items()},
            {event: number[label] for event, label in written.items()},
        )

    def _search(
        self, parent: dict[str, str], decided: dict[Pairs, bool]
    ) -> tuple[dict[str, str], dict[Pairs, bool]] | None:
        """Decide the rest; what is forced at once, then depth first what makes the most difference."""
        best: tuple[int, Pairs, list[tuple[bool, dict[str, str]]]] | None = None
        todo = sorted(self.open - decided.keys(), key=sorted)
        while todo:
            self.meter.tick()
            pairs = todo.pop()
            ways = [
                (written, merged)
                for written in (False, True)
                if (merged := self._merged(parent, pairs, written)) is not None
            ]
            if not ways:
                return None
            if len(ways) == 1:  # this makes labels equal, and may force others
                decided, parent, best = {**decided, pairs: ways[0][0]}, ways[0][1], None
                todo = sorted(self.open - decided.keys(), key=sorted)
                continue
            ways.sort(key=lambda way: (-_count(way[1]), way[0]))
            gain = _count(ways[0][1]) - _count(ways[1][1])
            if best is None or gain > best[0]:
                best = gain, pairs, ways
        if best is None:
            return parent, decided
        for written, merged in best[2]:
            found = self._search(merged, {**decided, best[1]: written})
            if found is not None:
                return found
        return None

    def _merged(self, parent: Mapping[str, str], pairs: Pairs, written: bool) -> dict[str, str] | None:
        """The labels that are equal if events overwrite the memory (or keep it); None if those of the two are."""
        now = dict(parent)
        targets = [after for _, after in pairs]
        for a, b in [(targets[0], after) for after in targets] if written else pairs:
            now[_find(now, a)] = _find(now, b)
        return None if _find(now, self.one) == _find(now, self.other) else now


def _find(parent: Mapping[str, str], state: str) -> str:
    while parent[state] != state:
        state = parent[state]
    return state


def _count(parent: Mapping[str, str]) -> int:
    """How many different labels there are."""
    return sum(state == of for state, of in parent.items())
