"""What the numbers of a model for a past formula depend on, and what is known of it.

There is a variable for

- the class of the letter o steps ago; ``<bos>`` and "before ``<bos>``" are two more classes;
- whether the k-th subformula of the form S held o steps ago.

Functions of them are diagrams (``diagrams``).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .diagrams import Diagrams
from .formulas import Formula, telling
from .parts import Floats, Ints, need

FARTHEST = 256
"""Steps back that any number may look."""
ROUNDS = 3
"""How often what is known of variables may bring in others."""


class Recursion(NamedTuple):
    """An S: it begins to hold, is kept if it held, or else does not hold.

    Attributes:
        node: the subformula.
        keep: when it is kept; only at letters, and never where it begins.
        begin: when it begins; only at letters.
        truth: whether it holds.
    """

    node: int
    keep: int
    begin: int
    truth: int


class Past:
    """The variables, and the truth of every subformula over them.

    Args:
        formula: the language.
        classes: of each letter its class; ``<bos>`` is the number after the last class.
    """

    def __init__(self, formula: Formula, classes: Ints) -> None:
        self.formula, self.classes, self.d = formula, classes, Diagrams()
        self.bos = int(classes.max(initial=-1)) + 1
        self.none = self.bos + 1
        self.remembered: list[Recursion] = []
        """All S. Of the k-th the variable (k + 1) * FARTHEST + o says if it held o steps ago.

        Those of which it is known that they hold at the same time have one variable.
        """
        self._seen = formula.after(telling(formula))
        self._alike: dict[bytes, list[int]] = {}
        self.truth: list[int] = []
        for n, node in enumerate(formula.nodes):
            parts = [self.truth[part] for part in node.parts]
            match node.operator:
                case "letters":
                    here = np.zeros(self.bos + 1)
                    here[np.append(classes, self.bos)[list(node.letters)]] = 1.0
                    self.truth.append(self.letter(here))
                case "not":
                    self.truth.append(self.d.negation(parts[0]))
                case "and" | "or":
                    found = self.d.one if node.operator == "and" else self.d.zero
                    for part in parts:
                        found = (self.d.times if node.operator == "and" else self.d.either)(found, part)
                    self.truth.append(found)
                case "Y":
                    self.truth.append(self.d.times(self.reads(1), self.moved(parts[0], 1)))
                case _:
                    self.truth.append(self._since(n, *node.parts))

    def _since(self, node: int, hold: int, start: int) -> int:
        """The truth of an S: its own variable, unless it is proved to be what the sample says that it may be."""
        d, seen = self.d, self._seen[:, 1:, node]
        begin = d.times(self.reads(0), self.truth[start])
        keep = d.times(d.times(self.reads(0), self.truth[hold]), d.negation(self.truth[start]))
        own = d.times(self.reads(0), d.node((len(self.remembered) + 1) * FARTHEST, [d.zero, d.one]))
        alike = self._alike.setdefault(seen.tobytes(), [])
        guesses = [*([self.reads(0)] if seen.all() else []), *alike]
        guesses += [begin] if np.array_equal(seen, self._seen[:, 1:, start]) else []
        truth = next((f for f in guesses if self._is_fixed(f, keep, begin)), own)
        if truth == own:
            alike.append(own)
        self.remembered.append(Recursion(node, keep, begin, truth))
        return truth

    def _is_fixed(self, f: int, keep: int, begin: int) -> bool:
        """Whether a function that is false before the first letter obeys a recursion, and so is what it defines."""
        follows = self.d.plus(begin, self.d.times(keep, self.moved(f, 1)))
        return self.equal(follows, f)

    def was(self, k: int, ago: int) -> int:
        """Whether the k-th S held so many steps ago."""
        return self.moved(self.remembered[k].truth, ago)

    def letter(self, values: Floats) -> int:
        """A number for each class of letters, and for ``<bos>``, now."""
        return self.d.numbers(0, [*values, values[-1]])

    def reads(self, ago: int) -> int:
        """Whether a letter was read so many steps ago."""
        return self.d.numbers(ago, np.arange(self.none + 1) < self.bos)

    def begun(self, ago: int) -> int:
        """Whether it was a letter or ``<bos>``."""
        return self.d.numbers(ago, np.arange(self.none + 1) <= self.bos)

    def moved(self, f: int, ago: int) -> int:
        """A function of what was so many steps earlier."""
        far = max((level % FARTHEST for level in self.d.levels(f)), default=0)
        need(far + ago < FARTHEST, f"numbers depend on what was over {FARTHEST} steps ago")
        return self.d.moved(f, ago)

    def follows(self, k: int, ago: int) -> int:
        """What the k-th is by its recursion, so many steps ago, from what it was before that."""
        keep, begin = (self.moved(f, ago) for f in self.remembered[k][1:3])
        return self.d.plus(begin, self.d.times(keep, self.was(k, ago + 1)))

    def impossible(self, condition: int, rounds: int = ROUNDS) -> bool:
        """Whether a condition contradicts what is known of the variables that it depends on.

        That is the order of letters, ``<bos>`` and nothing, and the recursion of each S. Incomplete, but right.

        Args:
            condition: a truth value.
            rounds: how often recursions are looked at, each time of the variables that were brought in before.
        """
        used: set[int] = set()
        for left in range(rounds, -1, -1):
            last = max((level % FARTHEST for level in self.d.levels(condition)), default=0)
            condition = self.d.times(condition, self._order(last))
            if condition == self.d.zero or not left:
                break
            new = self.d.levels(condition) - used
            used |= new
            for level in sorted(new):
                k, ago = divmod(level, FARTHEST)
                if k and ago + 1 < FARTHEST:
                    wrong = self.d.differs(self.was(k - 1, ago), self.follows(k - 1, ago))
                    condition = self.d.times(condition, self.d.negation(wrong))
        return condition == self.d.zero

    def _order(self, last: int) -> int:
        """Whether letters, then ``<bos>``, then nothing stand there, from now back to so many steps ago."""
        found, d = self.begun(last), self.d
        # What may stand before a letter, before <bos> and before nothing.
        after = d.numbers(last, np.arange(self.none + 1) == self.none)
        for ago in range(last - 1, -1, -1):
            nothing = d.node(ago, [*[d.zero] * (self.bos + 1), after])
            found, after = d.node(ago, [*[found] * self.bos, after, d.zero]), nothing
        return found

    def equal(self, f: int, g: int, rounds: int = ROUNDS) -> bool:
        """Whether two functions are the same after every prefix of every word; False may be wrong."""
        return f == g or self.impossible(self.d.differs(f, g), rounds)

    def possible(self, f: int) -> int:
        """A function without the numbers that it has nowhere but where its variables contradict each other."""
        values = self.d.values(f).tolist()
        never = {v for v in values if self.impossible(self.d.map(f, v.__eq__))}
        other = next((v for v in values if v not in never), 0.0)
        return self.d.map(f, {v: other if v in never else v for v in values}.__getitem__)
