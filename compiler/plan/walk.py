"""Steps of a plan, fast enough for all of its moments: what events say is remembered for each case they tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .plan import Event, Holds, Letter, Moment, Plan
from .wellformed import need


class Cases:
    """Which of some events hold; each is looked at once for every case of what they look at together.

    Attributes:
        events: in order.
        seen: the numbers of those that hold, for each case that occurred.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        literals = [literal for event in events for literal in event]
        self.events = tuple(events)
        self.seen: dict[tuple[object, ...], tuple[int, ...]] = {}
        self._letters = sorted({literal.back for literal in literals if isinstance(literal, Letter)})
        held = {(literal.memory, literal.back) for literal in literals if isinstance(literal, Holds)}
        self._now = sorted(memory for memory, back in held if not back)
        self._before = sorted(memory for memory, back in held if back)

    def holding(self, moment: Moment) -> tuple[int, ...]:
        """The numbers of the events that hold."""
        letters, far, labels, before = moment.letters, len(moment.letters), moment.labels, moment.before
        seen = [letters[back] if back < far else None for back in self._letters]
        case = (*seen, *[labels[name] for name in self._now], *[before.get(name) for name in self._before])
        if (found := self.seen.get(case)) is None:
            found = tuple(n for n, event in enumerate(self.events) if moment.holds(event))
            self.seen[case] = found
        return found


class Writer(Cases):
    """A memory: its events, each with the label that it writes."""

    def __init__(self, name: str, writes: Mapping[int, tuple[Event, ...]]) -> None:
        super().__init__([event for events in writes.values() for event in events])
        self.name = name
        self.labels = [label for label, events in writes.items() for _ in events]

    def label(self, moment: Moment) -> int:
        """What the memory holds after the token.

        Raises:
            PlanError: two labels are written at once, or none was ever.
        """
        written = {self.labels[n] for n in self.holding(moment)}
        need(len(written) <= 1, f"two labels of {self.name} are written at once")
        need(written or self.name in moment.before, f"{self.name} is not written at <bos>")
        return written.pop() if written else moment.before[self.name]

    def together(self) -> set[tuple[int, int]]:
        """Pairs of events of one label that held at once, the numbers in order."""
        return {(n, m) for held in self.seen.values() for n in held for m in held if n < m}


class Walk:
    """A plan that takes steps.

    Attributes:
        plan: the plan.
        names: of the memories, in order.
        blocks: the memories, block by block.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.names = tuple(memory.name for memory in plan.memories)
        self.blocks = [[Writer(memory.name, memory.writes) for memory in block.memories] for block in plan.blocks]
        forms: dict[tuple[tuple[Event, int], ...], list[str]] = {}
        for token, form in plan.verdicts.items():
            forms.setdefault(tuple(form.items()), []).append(token)
        self._verdicts = [
            (Cases([event for event, _ in form]), [weight for _, weight in form], frozenset(tokens))
            for form, tokens in forms.items()
        ]

    def step(self, letters: tuple[str, ...], before: Mapping[str, int], letter: str) -> Moment:
        """The moment after a letter.

        Args:
            letters: those before it, the last one first; none at ``<bos>``.
            before: what the memories hold before it; nothing at ``<bos>``.
            letter: the letter.

        Raises:
            PlanError: two labels of a memory are written at once, or none was ever.
        """
        labels: dict[str, int] = {}
        moment = Moment((letter, *letters), labels, before)
        for block in self.blocks:
            labels |= {writer.name: writer.label(moment) for writer in block}
        return moment

    def allowed(self, moment: Moment) -> frozenset[str]:
        """The tokens that may come next."""
        held = ((sum(weights[n] for n in cases.holding(moment)), tokens) for cases, weights, tokens in self._verdicts)
        return frozenset().union(*(tokens for value, tokens in held if value <= 0))
