"""Which states of a DFA accept the same words, as a checker of refutations finds it out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ...automata.errors import ScancraftError
from ...certify.checker.languages import Language


class UndecidedError(ScancraftError):
    """The budget does not suffice to say whether a refutation shows what it claims."""

    exit_code = 3


@dataclass
class Work:
    """Counts transitions that are looked at; :class:`UndecidedError` where a budget of them, or the time, ends."""

    budget: int
    end: float
    looked: int = 0

    def __call__(self, transitions: int) -> None:
        """Before so many are looked at."""
        self.looked += transitions
        if self.looked > self.budget:
            raise UndecidedError(
                f"more than {self.looked:,} transitions of the DFA are to be looked at; the budget is {self.budget:,}"
            )
        if time.perf_counter() > self.end:
            raise UndecidedError(f"the time ended after {self.looked:,} transitions of the DFA")


def classes(language: Language, work: Callable[[int], None] = lambda _: None) -> list[int]:
    """Which states accept the same words, with the same outputs: the number of each one's class (Moore's refinement).

    O(transitions) for each round, of which there are at most as many as states; ``work`` is told of each before.
    """
    kinds: list[int] = language.accepting.astype(int).tolist()
    if language.classes:
        kinds = (len(language.classes) * language.accepting + language.outputs).tolist()
    while True:
        work(language.table.size)
        rows = [(kind, *(kinds[q] for q in row)) for kind, row in zip(kinds, language.table.tolist(), strict=True)]
        names = {row: i for i, row in enumerate(dict.fromkeys(rows))}
        if len(names) == len(set(kinds)):
            return kinds
        kinds = [names[row] for row in rows]
