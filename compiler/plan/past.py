"""From a past formula to a plan, without an automaton: a memory for each ``S``, a block for each level of nesting.

The memory of ``p S q`` becomes 1 where q holds, 0 where neither does, and is kept where only p holds. Memories of
earlier blocks stand in these conditions for the ``S`` inside p and q, and ``Y`` looks at what a memory held before the
letter, or at the letters of the last few steps. Conditions are disjoint events; where they would be many, a part of the
formula gets a memory of its own that is written at every letter, and so does a ``Y`` that looks too far back. Every
memory holds the value of one node of the formula, whose number is its name.

The verdict on the end of the word is one sum: of a conjunction the parts that fail, of a disjunction 1 less the parts
that hold. The size is linear in the formula but for what the events of one memory repeat of each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ...automata.alphabet import BOS, EOS
from ...automata.budget import DEFAULT_BUDGET, Budget, Meter
from ...automata.logic.past import And, Letters, Node, Not, Or, PastLtl, Since, Yesterday
from .cases import Cases
from .circuits import fits
from .plan import Event, Holds, Letter, Memory, Plan, PlanBlock
from .wellformed import FARTHEST
from .windows import windows

MOST_EVENTS = 32
"""How many events may write one label, before parts of the formula get memories of their own."""


def name_of(node: int) -> str:
    """The name of the memory that holds a node's value."""
    return f"node {node}"


def past_plan(language: PastLtl, budget: Budget = DEFAULT_BUDGET) -> Plan:
    """A past formula as a plan that recognises its words.

    Args:
        language: in the normal form of :class:`.Nodes`.
        budget: how many literals the events may have.

    Raises:
        BudgetExceededError: they have more.
    """
    builder = _Builder(language, budget)
    root = len(language.nodes) - 1
    form = builder.verdict(root)
    blocks = builder.blocks()
    for extra in (0, 1):
        plan = Plan(language.alphabet, (*blocks, *[PlanBlock("read-out")] * extra), {EOS: form}, "recognise")
        if extra or fits(plan) is None:
            return plan
    raise AssertionError("the second plan is returned")


@dataclass
class _Held:
    """A node that a memory holds: the events that write it, and the first block that can see them."""

    writes: Mapping[int, tuple[Event, ...]]
    block: int


@dataclass
class _Builder:
    """The memories of a formula, as they turn out to be needed."""

    language: PastLtl
    budget: Budget
    meter: Meter = field(init=False)
    cases: Cases = field(init=False)
    held: dict[int, _Held] = field(default_factory=dict)
    _values: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        letters = frozenset((*self.language.alphabet, BOS))
        self.meter = self.budget.meter("literals of events")
        self.cases = Cases({("", back): letters for back in range(FARTHEST + 1)}, self.budget)
        self.inside = self.cases.literal(("", 0), self.language.alphabet)
        for number, node in enumerate(self.language.nodes):
            self._values[number] = self._value(number, node)

    def blocks(self) -> tuple[PlanBlock, ...]:
        """The blocks."""
        last = max((held.block for held in self.held.values()), default=0)
        return tuple(
            PlanBlock(
                f"since, level {block}",
                tuple(self._memory(n, held) for n, held in sorted(self.held.items()) if held.block == block),
            )
            for block in range(1, last + 1)
        )

    def verdict(self, number: int) -> dict[Event, int]:
        """A sum of events that is at most 0 iff a node holds."""
        form: dict[Event, int] = {}

        def add(events: Iterable[Event], weight: int) -> None:
            for event in events:
                form[event] = form.get(event, 0) + weight

        node, cases, holds = self.language.nodes[number], self.cases, True
        if isinstance(node, Not):
            node, holds = self.language.nodes[node.of], False
        if not isinstance(node, And | Or):
            add(cases.disjoint(cases.negated(self._values[number])), 1)
            return form
        # Each part, or its negation if the whole is negated; all of them if it is a conjunction then.
        parts = [self._values[i] if holds else cases.negated(self._values[i]) for i in node.of]
        if isinstance(node, And) is holds:
            for part in parts:
                add(cases.disjoint(cases.negated(part)), 1)
            return form
        form[()] = 1
        for part in parts:
            add(cases.disjoint(part), -1)
        return form

    # -- values --------------------------------------------------------------------------------------------------------

    def _value(self, number: int, node: Node) -> int:
        """A node as cases of letters and memories."""
        cases = self.cases
        match node:
            case Letters(symbols):
                return cases.literal(("", 0), symbols)
            case Not(of):
                return cases.negated(self._values[of])
            case And(of) | Or(of):
                return self._joined(node, of)
            case Yesterday(of):
                return self._yesterday(of)
            case Since(hold, start):
                self._hold(number, *self._since(hold, start))
                return cases.literal((name_of(number), 0), {1})

    def _joined(self, node: And | Or, of: tuple[int, ...]) -> int:
        """A conjunction or disjunction, whose parts have memories of their own if that takes too many events."""
        join = self.cases.all if isinstance(node, And) else self.cases.any
        for part in (None, *of):
            if part is not None:
                self._values[part] = self._own(part)
            found = join(self._values[i] for i in of)
            if self._few(found, len(of)):
                return found
        return found

    def _since(self, hold: int, start: int) -> tuple[int, int]:
        """Where the memory is written with 1, and where with 0."""
        cases = self.cases
        for part in (None, hold, start):
            if part is not None:
                self._values[part] = self._own(part)
            here, kept = self._values[start], self._values[hold]
            zero = cases.negated(cases.all([self.inside, cases.any([here, kept])]))
            one = cases.both(self.inside, here)
            if self._few(zero) and self._few(one):
                break
        return one, zero

    def _yesterday(self, of: int) -> int:
        """Where a node held one letter ago: of letters a look back, of what a memory holds what it held before."""
        back, node = 1, self.language.nodes[of]
        while isinstance(node, Yesterday):
            back, node = back + 1, self.language.nodes[node.of]
        if isinstance(node, Letters) and back <= FARTHEST:
            since = [self.cases.literal(("", b), self.language.alphabet) for b in range(back)]
            return self.cases.all([*since, self.cases.literal(("", back), node.symbols)])
        self._own(of)
        return self.cases.both(self.inside, self.cases.literal((name_of(of), 1), {1}))

    def _own(self, number: int) -> int:
        """The value of a node, from a memory of its own unless it is a literal of memories or letters."""
        if number not in self.held and not isinstance(self.language.nodes[number], Letters):
            value = self._values[number]
            self._hold(number, value, self.cases.negated(value))
        if number in self.held:
            return self.cases.literal((name_of(number), 0), {1})
        return self._values[number]

    def _few(self, value: int, parts: int = 0) -> bool:
        most = max(MOST_EVENTS, 2 * parts)
        return self.cases.ways(value) <= most and self.cases.ways(self.cases.negated(value)) <= most

    # -- memories ------------------------------------------------------------------------------------------------------

    def _hold(self, number: int, one: int, zero: int) -> None:
        """A memory for a node."""
        events = {0: tuple(self.cases.disjoint(zero)), 1: tuple(self.cases.disjoint(one))}
        self.meter.tick(sum(1 + len(event) for written in events.values() for event in written))
        looked = [literal for written in events.values() for event in written for literal in event]
        memories = {int(literal.memory.split()[1]) for literal in looked if isinstance(literal, Holds)}
        block = 1 + max((self.held[n].block for n in memories), default=0)
        if block == 1 and not all(map(self._seen, (*events[0], *events[1]))):
            block = 2
        self.held[number] = _Held(events, block)
        for back in (0, 1):
            self.cases.add((name_of(number), back), (0, 1))

    def _seen(self, event: Event) -> bool:
        """Whether block 1 sees an event of letters, now and one letter late."""
        sets = {literal.back: literal.symbols for literal in event if isinstance(literal, Letter)}
        if not sets or max(sets) == 0:
            return True
        return max(sets) < FARTHEST and windows(sets, self.language.alphabet) is not None

    def _memory(self, number: int, held: _Held) -> Memory:
        text = self.language.texts[number]
        return Memory(name_of(number), {0: f"not: {text}", 1: text}, held.writes)
