"""A plan: blocks of memories, each overwritten by events that a block can see, and a read-out that is a threshold.

What a block can see is a conjunction (:data:`Event`) of two kinds of literals: which letter came now or a few steps ago
(:class:`Letter`), and which label a memory of an *earlier* block holds, after this letter or before it
(:class:`Holds`). A :class:`Memory` holds one of a few labels; an event overwrites it, and where no event is seen it is
kept. So a memory is a flip-flop with several values, any number of them stand side by side in a block, and stacked
blocks are a cascade. Nothing else is in a plan: no weights, no widths. :meth:`Plan.run` carries it out on words,
``compiler.plan.prove`` proves it against a DFA, and ``compiler.plan.circuits`` writes it as a circuit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from ...automata.alphabet import BOS, Word, check_word, verdict_of
from ...automata.cards import brief, card, folded, picture, table
from ...automata.pictures.layers import Node, flow_svg
from ...automata.pictures.svg import Pictured


@dataclass(frozen=True)
class Letter:
    """The letter ``back`` steps ago is one of ``symbols``; ``<bos>`` counts as one, and nothing came before it."""

    symbols: frozenset[str]
    back: int = 0

    def __str__(self) -> str:
        return f"letter{_ago(self.back)} in {{{' '.join(sorted(self.symbols))}}}"


@dataclass(frozen=True)
class Holds:
    """A memory holds one of ``labels``: after this letter (``back`` = 0), or before it (``back`` = 1)."""

    memory: str
    labels: frozenset[int]
    back: int = 0

    def __str__(self) -> str:
        labels = " or ".join(map(str, sorted(self.labels)))
        return f"{self.memory}{' before' if self.back else ''} = {labels}"


About = tuple[str, int]
"""What a literal is about: the letter ("") or a memory, and how long ago."""


def about(literal: Letter | Holds) -> About:
    """What a literal is about."""
    return (literal.memory if isinstance(literal, Holds) else "", literal.back)


def values(literal: Letter | Holds) -> frozenset[Any]:
    """The letters or labels that it asks for."""
    return literal.labels if isinstance(literal, Holds) else literal.symbols


Event = tuple[Letter | Holds, ...]
"""A conjunction of literals, no two about the same letter or memory at the same time. The empty one always holds.

An event that looks back (``back`` >= 1) has a letter at each step since, none of which is ``<bos>``: it never sees
what came before this word, whatever lies in the same sequence.
"""


@dataclass(frozen=True)
class Memory:
    """A flip-flop with several values.

    Attributes:
        name: unique in the plan.
        meaning: for each label, what it says, for people.
        writes: for each label the events that overwrite the memory with it. On no prefix of any word do events of
            two labels hold; where none holds the label is kept. ``<bos>`` writes one.
    """

    name: str
    meaning: Mapping[int, str]
    writes: Mapping[int, tuple[Event, ...]]


@dataclass(frozen=True)
class PlanBlock:
    """What one block remembers; nothing, if it only computes what the read-out needs."""

    title: str
    memories: tuple[Memory, ...] = ()


@dataclass(frozen=True)
class Plan(Pictured):
    """A language as blocks of memories.

    Attributes:
        alphabet: the symbols.
        blocks: in order.
        verdicts: for each symbol and ``<eos>`` a sum of events, each with its weight: the token may come next iff the
            sum over those that hold is at most 0.
        contract: the words on which the verdicts are right; "recognise": on all words, and there is one on ``<eos>``
            only.
        classes: of a machine with outputs: its classes, which have verdicts, too, or alone.
    """

    alphabet: tuple[str, ...]
    blocks: tuple[PlanBlock, ...]
    verdicts: Mapping[str, Mapping[Event, int]]
    contract: Literal["all-words", "live-prefixes", "recognise"] = "all-words"
    classes: tuple[str, ...] = ()

    @cached_property
    def memories(self) -> tuple[Memory, ...]:
        """All memories, in the order of their blocks."""
        return tuple(memory for block in self.blocks for memory in block.memories)

    @cached_property
    def window(self) -> int:
        """How many of the last letters the plan looks at, the present one included."""
        events = [event for memory in self.memories for events in memory.writes.values() for event in events]
        events += [event for form in self.verdicts.values() for event in form]
        return 1 + max(
            (literal.back for event in events for literal in event if isinstance(literal, Letter)), default=0
        )

    def start(self) -> Moment:
        """The moment after ``<bos>``."""
        return self.step(None, BOS)

    def step(self, moment: Moment | None, token: str) -> Moment:
        """The moment after one more token. O(size of the plan).

        Raises:
            AssertionError: events of two labels hold, or a memory was never written (a bug in the search).
        """
        begins = token == BOS or moment is None
        letters = (token,) if begins or moment is None else (token, *moment.letters)[: self.window]
        before: Mapping[str, int] = {} if begins or moment is None else moment.labels
        labels: dict[str, int] = {}
        for block in self.blocks:
            seen = Moment(letters, dict(labels), before)  # a memory sees those of earlier blocks only
            for memory in block.memories:
                written = [label for label, events in memory.writes.items() if any(map(seen.holds, events))]
                assert len(written) <= 1, f"two labels of {memory.name} are written at once"
                assert written or memory.name in before, f"{memory.name} is not written at {BOS}"
                labels[memory.name] = written[0] if written else before[memory.name]
        return Moment(letters, labels, before)

    def allowed(self, moment: Moment) -> frozenset[str]:
        """The tokens that may come next."""
        return frozenset(
            token
            for token, form in self.verdicts.items()
            if sum(weight for event, weight in form.items() if moment.holds(event)) <= 0
        )

    def run(self, word: Word) -> Iterator[frozenset[str]]:
        """The tokens that may come next, per prefix, the empty one first. O(|word| * size of the plan)."""
        check_word(word, self.alphabet)
        moment: Moment | None = None
        for token in (BOS, *word):
            moment = self.step(moment, token)
            yield self.allowed(moment)

    def __repr__(self) -> str:
        symbols = brief(", ".join(self.alphabet))
        return f"<Plan: {len(self.memories)} memories in {len(self.blocks)} blocks over {{{symbols}}}>"

    def _repr_html_(self) -> str:
        rows = (
            (number, memory.name, label, memory.meaning[label], show_events(events))
            for number, block in enumerate(self.blocks, start=1)
            for memory in block.memories
            for label, events in memory.writes.items()
        )
        shown = table(("block", "memory", "becomes", "which says", "when"), rows)
        title = f"plan of {len(self.memories)} memories in {len(self.blocks)} blocks"
        facts = {"promises": self.contract, "letters seen": self.window}
        return card(title, facts, picture(self.svg()), folded("events", shown))

    def svg(self) -> str | None:
        """The memories block by block, and which look at which; None if there are too many."""
        layers = [[_node(memory) for memory in block.memories] for block in self.blocks]
        readout = Node(
            ("what may come next",), "", _looks_at(e for form in self.verdicts.values() for e in form), frozenset()
        )
        return flow_svg([*layers, [readout]], repr(self))

    def __str__(self) -> str:
        lines = []
        for number, block in enumerate(self.blocks, start=1):
            lines.append(f"block {number}: {block.title}")
            for memory in block.memories:
                lines.append(f"  {memory.name}")
                for label, events in memory.writes.items():
                    lines.append(f"    := {label} ({memory.meaning[label]}) when {show_events(events)}")
        for token, form in self.verdicts.items():
            terms = [f"{weight:+d} [{show_event(event)}]" for event, weight in form.items()]
            lines.append(f"{verdict_of(token, self.classes)} iff {' '.join(terms) or '0'} <= 0")
        return "\n".join(lines)


@dataclass(frozen=True)
class Moment:
    """What can be known after a token.

    Attributes:
        letters: the last letters, this one first; none from before ``<bos>``.
        labels: what the memories hold.
        before: what they held before the token; empty at ``<bos>``.
    """

    letters: tuple[str, ...]
    labels: Mapping[str, int]
    before: Mapping[str, int]

    def holds(self, event: Event) -> bool:
        """Whether all literals hold. A memory that is not known yet is one of a later block: a bug."""
        return all(self.value(about(literal)) in values(literal) for literal in event)

    def value(self, what: About) -> str | int | None:
        """A letter or a label, or None if there was none. KeyError for a memory that is not known yet."""
        memory, back = what
        if not memory:
            return self.letters[back] if back < len(self.letters) else None
        return self.before.get(memory) if back else self.labels[memory]


def _node(memory: Memory) -> Node:
    """For a picture."""
    said = "; ".join(
        f"{label}: {memory.meaning[label]}, when {show_events(events)}" for label, events in memory.writes.items()
    )
    reads = _looks_at(event for events in memory.writes.values() for event in events)
    return Node((memory.name, f"{len(memory.writes)} values"), "; ".join(said), reads, frozenset({memory.name}))


def _looks_at(events: Iterable[Event]) -> frozenset[str]:
    """The memories that events look at."""
    return frozenset(literal.memory for event in events for literal in event if isinstance(literal, Holds))


def show_event(event: Event) -> str:
    """An event for people."""
    return " and ".join(map(str, event)) or "always"


def show_events(events: tuple[Event, ...]) -> str:
    """Events for people."""
    return ", or ".join(map(show_event, events)) or "never"


def _ago(back: int) -> str:
    return {0: "", 1: " before"}.get(back, f" {back} before")
