"""Random words of nested languages: walks that never lose sight of the end. Not uniform."""

from __future__ import annotations

from functools import cached_property
from math import inf

from ..nested.language import NestedLanguage
from .draw import Rng, Symbols, Walks, generator_of

Lengths = list[dict[str, float]]
"""For each depth and state of a level, a number of symbols until it is closed, the closing symbol included."""


class NestedWords(Walks):
    """Members of a nested language.

    A walk towards a target length only takes symbols after which the word can still be ended within it, and, as long as
    there are such, after which it need not end before it; all such symbols with the same probability.
    """

    def __init__(self, language: NestedLanguage) -> None:
        self.language = language

    @cached_property
    def _fewest(self) -> Lengths:
        return _lengths(self.language, longest=False)

    @cached_property
    def _most(self) -> Lengths:
        return _lengths(self.language, longest=True)

    def walk(self, target: int, rng: Rng) -> Symbols | None:
        """A member of at most this length; None if the shortest one is longer. O(target * (depth + symbols))."""
        generator, language = generator_of(rng), self.language
        stack, word = [language.root], list[str]()
        if self._fewest[0][language.root] > target:
            return None
        for place, u in enumerate(generator.random(target).tolist()):
            rest, depth, state = target - place - 1, len(stack) - 1, stack[-1]
            around = list(enumerate(stack[:-1]))
            fewest, most = (sum(known[d][q] for d, q in around) for known in (self._fewest, self._most))
            options: list[tuple[str, float]] = []  # the symbols that may come, and how many may come after them at most
            for symbol, after in language.steps.get(state, {}).items():
                now = [(depth, after)]
                if symbol in language.opens:
                    now.append((depth + 1, language.opens[symbol]))
                if (
                    all(q in self._fewest[d] for d, q in now)
                    and fewest + sum(self._fewest[d][q] for d, q in now) <= rest
                ):
                    options.append((symbol, most + sum(self._most[d][q] for d, q in now)))
            if depth and fewest <= rest:
                options += [(symbol, most) for symbol in sorted(language.closes.get(state, ()))]
            if not options:
                break
            far = [option for option in options if option[1] >= rest] or options
            symbol, _ = far[int(u * len(far))]
            word.append(symbol)
            if symbol in language.returns:
                stack.pop()
                continue
            stack[-1] = language.steps[state][symbol]
            if symbol in language.opens:
                stack.append(language.opens[symbol])
        return tuple(word)

    def distance(self, length: int) -> int:
        """However many levels a live word has open, so many symbols end it."""
        return sum(int(max(found.values(), default=0)) for found in self._fewest)


def _lengths(language: NestedLanguage, *, longest: bool) -> Lengths:
    """The fewest symbols, or the most (``inf`` where there is no end to them). O(depth * states * steps)."""
    found: Lengths = [{} for _ in range(language.depth + 2)]
    for depth in range(language.depth, -1, -1):
        closing = [state for state, symbols in language.closes.items() if symbols]
        ends: dict[str, float] = dict.fromkeys(closing, 1) if depth else dict.fromkeys(language.accepting, 0)
        rounds, changed = 0, True
        while changed:
            rounds, changed = rounds + 1, False
            for state, row in language.steps.items():
                for symbol, target in row.items():
                    first = language.opens.get(symbol)
                    inside = 0 if first is None else found[depth + 1].get(first)
                    if inside is None or target not in ends:
                        continue
                    length, known = 1 + inside + ends[target], ends.get(state)
                    if known is None or (length > known if longest else length < known):
                        # What still grows after a round for each state goes round in a circle.
                        ends[state] = inf if longest and rounds > len(language.states) else length
                        changed = True
        found[depth] = ends
    return found
