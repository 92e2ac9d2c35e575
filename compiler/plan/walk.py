"""Steps of a plan, fast enough for all of its moments: all events of a memory are looked at together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .conjunctions import Conjunctions
from .plan import Event, Moment, Plan, about, values
from .wellformed import need


class Cases:
    """Which of some events hold.

    Attributes:
        events: in order.
        seen: for each mask of events that held together the numbers of these.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = tuple(events)
        self.seen: dict[int, tuple[int, ...]] = {}
        self._conjunctions = Conjunctions([{about(literal): values(literal) for literal in event} for event in events])

    def holding(self, moment: Moment) -> tuple[int, ...]:
        """The numbers of the events that hold."""
        mask = self._conjunctions.holding(moment.value)
        if (found := self.seen.get(mask)) is None:
            found = self.seen[mask] = tuple(n for n in range(len(self.events)) if mask >> n & 1)
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
