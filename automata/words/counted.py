"""Random words of counter languages: uniform of a length where that is possible, completed walks where it is not.

The families of the suite have their own samplers, linear in the length; they are recognised whatever their symbols,
states and counters are called. Any other machine is counted exactly within a budget, and past it walked at random
(``counter_walks``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np

from ..alphabet import EOS
from ..budget import DEFAULT_BUDGET, Budget
from ..counters.families import ARITIES, boolean, equal_blocks, shuffle
from ..counters.machine import Configuration, CounterMachine
from ..errors import BudgetExceededError, EmptyLanguageError
from .balanced import expression, generator_of, interleaving, spell
from .uniform import Rng, Symbols, _below
from .walks import endless_walk

MOST_KINDS = 10
"""Shuffles of more kinds are not recognised: building one for comparison takes 2^kinds steps."""


class LengthSampler(Protocol):
    """Draws words of a given length uniformly from one language."""

    def lengths(self, shortest: int, longest: int) -> Sequence[int]:
        """The lengths in this range of which there are words."""
        ...

    def word(self, length: int, rng: Rng) -> Symbols:
        """A word of this length, uniformly; :class:`EmptyLanguageError` if there is none."""
        ...


# -- the families ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ShuffleWords:
    """Shuffle-k (Dyck-1 is Shuffle-1): the opening bracket of each pair stands before the closing one."""

    alphabet: tuple[str, ...]

    def lengths(self, shortest: int, longest: int) -> Sequence[int]:
        """The even ones."""
        return range(shortest + shortest % 2, longest + 1, 2)

    def word(self, length: int, rng: Rng) -> Symbols:
        """Uniformly; see :func:`interleaving`. O(kinds * length)."""
        _require(length, self.lengths(length, length))
        return spell(self.alphabet, interleaving(len(self.alphabet) // 2, length // 2, generator_of(rng)))

    def live_word(self, length: int, rng: Rng) -> Symbols:
        """A random walk: all letters that are allowed are equally likely. O(kinds * length)."""
        depths, word = [0] * (len(self.alphabet) // 2), []
        for u in generator_of(rng).random(length).tolist():
            letters = [*range(0, len(self.alphabet), 2), *[2 * kind + 1 for kind, depth in enumerate(depths) if depth]]
            letter = letters[int(u * len(letters))]
            depths[letter // 2] += 1 - 2 * (letter % 2)
            word.append(self.alphabet[letter])
        return tuple(word)


@dataclass(frozen=True)
class ExpressionWords:
    """Boolean-n: two values, then the operators of arities 1 to n."""

    alphabet: tuple[str, ...]

    def lengths(self, shortest: int, longest: int) -> Sequence[int]:
        """All from 1."""
        return range(max(shortest, 1), longest + 1)

    def word(self, length: int, rng: Rng) -> Symbols:
        """Uniformly; see :func:`expression`. O(length) expected."""
        _require(length, self.lengths(length, length))
        return prefix_expression(self.alphabet, [2.0, *[1.0] * (len(self.alphabet) - 2)], length, generator_of(rng))

    def live_word(self, length: int, rng: Rng) -> Symbols:
        """A random walk: all letters are equally likely, but those that would end the word too early. O(length)."""
        due, word = 1, []
        for rest, u in zip(range(length - 1, -1, -1), generator_of(rng).random(length).tolist(), strict=True):
            first = 2 if due == 1 and rest else 0
            letter = first + int(u * (len(self.alphabet) - first))
            due += max(letter - 1, 0) - 1
            word.append(self.alphabet[letter])
        return tuple(word)


@dataclass(frozen=True)
class BlockWords:
    """a^n b^n (c^n ...), n at least 1: one word of each length that has one."""

    alphabet: tuple[str, ...]

    def lengths(self, shortest: int, longest: int) -> Sequence[int]:
        """The positive multiples of the number of symbols."""
        k = len(self.alphabet)
        return range(k * max(1, -(-shortest // k)), longest + 1, k)

    def word(self, length: int, rng: Rng) -> Symbols:
        """The one word of this length."""
        _require(length, self.lengths(length, length))
        return tuple(symbol for symbol in self.alphabet for _ in range(length // len(self.alphabet)))

    def live_word(self, length: int, rng: Rng) -> Symbols:
        """A word of this length that can be completed, uniformly: only the number of its first symbol is free."""
        k, n = len(self.alphabet), length
        least = -(-n // k)
        block = least + _below(n - least + 1, rng)
        return tuple(self.alphabet[i // block] for i in range(n)) if n else ()


def prefix_expression(
    alphabet: Sequence[str], weights: Sequence[float], length: int, generator: np.random.Generator
) -> Symbols:
    """A random expression over two values, equally likely, and one operator of each arity from 1; see ``expression``.

    Args:
        alphabet: the two values, then the operators.
        weights: of both values together, then of each operator.
        length: at least 1.
        generator: where randomness comes from.
    """
    arities = expression(weights, length, generator)
    values = generator.integers(2, size=length)
    return spell(alphabet, np.where(arities == 0, values, arities + 1))


def _require(length: int, lengths: Sequence[int]) -> None:
    if length < 0:
        raise ValueError(f"length {length} is negative; give a length of 0 or more")
    if not lengths:
        raise EmptyLanguageError(f"the language has no word of length {length}; .lengths() lists those it has")


Family = ShuffleWords | ExpressionWords | BlockWords


def family_of(machine: CounterMachine) -> Family | None:
    """The sampler of the family that this machine belongs to, if any.

    The machine must be the one of ``counter_families`` up to the names of symbols, states and counters.
    """
    k, letters = len(machine.counters), len(machine.alphabet)
    shape = _shape(machine)
    if letters == 2 * k and k <= MOST_KINDS and shape == _shuffle_shape(k):
        return ShuffleWords(machine.alphabet)
    if k == 1 and 1 <= letters - 2 <= len(ARITIES) and shape == _boolean_shape(letters - 2):
        return ExpressionWords(machine.alphabet)
    if letters == k + 1 and k <= MOST_KINDS and shape == _blocks_shape(letters):
        return BlockWords(machine.alphabet)
    return None


Shape = tuple[object, ...]


def _shape(machine: CounterMachine) -> Shape:
    """The machine with numbers for names."""
    number = {q: i for i, q in enumerate(machine.states)}
    names = [c.name for c in machine.counters]
    rows = []
    for q in machine.states:
        row = machine.transitions.get(q, {})
        steps = [row.get(a) for a in machine.alphabet]
        tests = machine.accepting.get(q)
        moves = tuple(s and (number[s.to], *((s.add.get(c, 0), s.when.get(c)) for c in names)) for s in steps)
        rows.append((moves, None if tests is None else tuple(tests.get(c) for c in names)))
    return tuple((c.initial, c.signed) for c in machine.counters), tuple(rows)


@cache
def _shuffle_shape(kinds: int) -> Shape:
    return _shape(shuffle(kinds))


@cache
def _boolean_shape(operators: int) -> Shape:
    return _shape(boolean(operators))


@cache
def _blocks_shape(symbols: int) -> Shape:
    return _shape(equal_blocks("abcdefghijklmnopqrstuvwxyz"[:symbols]))


# -- exact counts ------------------------------------------------------------------------------------------------------


class CountedWords:
    """Draws words of a given length uniformly from any counter language, by counting in exact integers.

    A table of how many words of each length lead from each configuration to acceptance, for the configurations that
    can be reached in time. Each word of a length has exactly the same probability.

    Args:
        machine: the language.
        max_length: the largest length that will be asked for.
        budget: limit on the entries of the table, at most max_length * configurations: about states * max_length^(1 +
            counters). Time is that times the number of letters.
        live: count the words that can be completed in place of the members.

    Raises:
        BudgetExceededError: more entries.
    """

    def __init__(
        self, machine: CounterMachine, max_length: int, budget: Budget = DEFAULT_BUDGET, *, live: bool = False
    ) -> None:
        if max_length < 0:
            raise ValueError(f"max_length is {max_length}; give a length of 0 or more")
        self.machine, self.max_length = machine, max_length
        meter = budget.meter("entries of configurations and lengths")
        meter.tick(max_length + 1)
        first = {machine.start: 0}
        # The configurations in the order of their distance, and where each letter leads from those before the last.
        order, self._next = [machine.start], dict[Configuration, list[tuple[str, Configuration]]]()
        for c in order:
            if first[c] == max_length:
                break
            self._next[c] = [(a, after) for a in machine.alphabet if (after := machine.step(c, a)) is not None]
            for _, after in self._next[c]:
                if after not in first:
                    first[after] = first[c] + 1
                    meter.tick(max_length - first[after] + 1)
                    order.append(after)
        ends = [c for c in order if live or EOS in machine.allowed(c)]
        self._counts: list[dict[Configuration, int]] = [dict.fromkeys(ends, 1)]
        for length in range(1, max_length + 1):
            meter.check_time()
            shorter, counts = self._counts[-1], {}
            for c in order:
                if first[c] + length > max_length:
                    break
                total = sum([shorter.get(after, 0) for _, after in self._next[c]])
                if total:
                    counts[c] = total
            self._counts.append(counts)

    def count(self, length: int) -> int:
        """How many words of this length there are."""
        if not 0 <= length <= self.max_length:
            raise ValueError(f"length {length} is outside 0..{self.max_length}, the range of this sampler")
        return self._counts[length].get(self.machine.start, 0)

    def lengths(self, shortest: int, longest: int) -> Sequence[int]:
        """The lengths in this range of which there are words."""
        return [n for n in range(shortest, min(longest, self.max_length) + 1) if self.count(n)]

    def word(self, length: int, rng: Rng) -> Symbols:
        """A word of this length, uniformly. O(length * letters).

        Raises:
            EmptyLanguageError: there is none.
        """
        total = self.count(length)
        if not total:
            raise EmptyLanguageError(f"the language has no word of length {length}; .lengths() lists those it has")
        rank, c, word = _below(total, rng), self.machine.start, []
        for rest in range(length - 1, -1, -1):
            for symbol, after in self._next[c]:
                here = self._counts[rest].get(after, 0)
                if rank < here:
                    word.append(symbol)
                    c = after
                    break
                rank -= here
        return tuple(word)


# -- live words --------------------------------------------------------------------------------------------------------


def live_counter_word(machine: CounterMachine, length: int, rng: Rng, budget: Budget = DEFAULT_BUDGET) -> Symbols:
    """A word of exactly this length that can be completed, as can all its prefixes. O(length * letters).

    For a^n b^n and its kin uniform over all such words. For Dyck-1, Shuffle-k and Boolean-n a random walk: all letters
    after which a live word can go on for ever are equally likely, the last letter is any that is allowed. Other
    machines: uniform over all such words while ``budget`` allows to count them, else the walk.

    Raises:
        EmptyLanguageError: there is none.
        BudgetExceededError: neither is possible: too many configurations, and no live word is sure to go on for ever.
    """
    if length < 0:
        raise ValueError(f"length {length} is negative; give a length of 0 or more")
    family = family_of(machine)
    if family is not None:
        return family.live_word(length, rng)
    try:
        return CountedWords(machine, length, budget, live=True).word(length, rng)
    except EmptyLanguageError:
        raise EmptyLanguageError(f"no word of length {length} has only live prefixes") from None
    except BudgetExceededError:
        walked = endless_walk(machine, length, generator_of(rng))
        if walked is None:
            raise
        return walked
