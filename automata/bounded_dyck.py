"""Bounded Dyck languages (Hewitt et al. 2020) as values: balanced words over K kinds of brackets, at most h deep.

The DFA has (K^(h+1) - 1) / (K - 1) + 1 states (1.2 * 10^9 for K = 8, h = 10), and is built for who asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil, log2

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .acceptor import Acceptor, Codes, Index
from .alphabet import EOS, Word, check_alphabet, check_word
from .budget import DEFAULT_BUDGET, Budget
from .dfa import Dfa
from .errors import BracketLanguageError
from .search import numbered
from .told import Told

Pair = tuple[str, str]


def bracket_pairs(kinds: int) -> tuple[Pair, ...]:
    """Opening and closing symbols: ``( ) [ ] { } < >`` for up to four kinds, ``(1 )1 (2 )2`` and so on for more."""
    if kinds <= 4:
        return tuple((pair[0], pair[1]) for pair in ("()", "[]", "{}", "<>")[:kinds])
    return tuple((f"({i}", f"){i}") for i in range(1, kinds + 1))


@dataclass(frozen=True)
class BoundedDyck(Told):
    """Dyck_{K,h}: balanced words over K kinds of brackets, nested at most h deep.

    Args:
        kinds: K, at least 1.
        depth: h, at least 1.
        brackets: the pairs of symbols; by default those of :func:`bracket_pairs`.

    Raises:
        BracketLanguageError: K or h below 1, or not K pairs.
        AlphabetError: a symbol that cannot be used, or one that occurs twice.

    >>> BoundedDyck(2, 2).accepts("([])"), BoundedDyck(2, 2).accepts("([)]"), BoundedDyck(2, 1).accepts("([])")
    (True, False, False)
    """

    kinds: int
    depth: int
    brackets: tuple[Pair, ...] = field(default=())

    def __post_init__(self) -> None:
        for name, value in (("number of kinds", self.kinds), ("depth", self.depth)):
            if type(value) is not int or value < 1:
                raise BracketLanguageError(
                    f"Dyck_{{{self.kinds},{self.depth}}} does not exist: the {name} cannot be {value!r}; "
                    "give a whole number of at least 1"
                )
        pairs = tuple((a, b) for a, b in self.brackets) or bracket_pairs(self.kinds)
        if len(pairs) != self.kinds:
            raise BracketLanguageError(f"{len(pairs)} pairs of brackets for {self.kinds} kinds; give one pair per kind")
        object.__setattr__(self, "brackets", pairs)
        check_alphabet(self.alphabet)

    @cached_property
    def alphabet(self) -> tuple[str, ...]:
        """The symbols: each opening bracket and its closing one, kind by kind."""
        return tuple(symbol for pair in self.brackets for symbol in pair)

    @property
    def name(self) -> str:
        """As in the literature."""
        return f"Dyck_{{{self.kinds},{self.depth}}}"

    @property
    def n_states(self) -> int:
        """States of the minimal complete DFA, the dead one included."""
        return sum(int(self.kinds**d) for d in range(self.depth + 1)) + 1

    @property
    def code_bits(self) -> int:
        """Bits that tell one of K brackets, or none: ceil(log2(K + 1))."""
        return ceil(log2(self.kinds + 1))

    @property
    def lower_bound(self) -> float:
        """h log2 K: bits that every recurrent model needs (Hewitt et al. 2020). For one kind of brackets that is 0,
        and says nothing: log2(h + 1) bits are needed then, for the depth."""
        return self.depth * log2(self.kinds)

    def run(self, word: Word) -> Iterator[tuple[int, ...] | None]:
        """The stack of open kinds after each prefix, the empty one first; None once the word has died.

        Raises:
            UnknownSymbolError: a bracket that is not in the alphabet.
        """
        check_word(word, self.alphabet)
        number = {symbol: n for n, symbol in enumerate(self.alphabet)}
        stack: tuple[int, ...] | None = ()
        yield stack
        for symbol in word:
            kind, closing = divmod(number[symbol], 2)
            if stack is None or (len(stack) == self.depth and not closing) or (closing and stack[-1:] != (kind,)):
                stack = None
            else:
                stack = stack[:-1] if closing else (*stack, kind)
            yield stack

    def allowed(self, stack: tuple[int, ...] | None) -> frozenset[str]:
        """The symbols that may come next, ``<eos>`` among them if the word may end."""
        if stack is None:
            return frozenset()
        found = {opening for opening, _ in self.brackets} if len(stack) < self.depth else set()
        found.add(self.brackets[stack[-1]][1] if stack else EOS)
        return frozenset(found)

    def accepts(self, word: Word) -> bool:
        """Whether the word is in the language; :class:`UnknownSymbolError` for a foreign bracket."""
        *_, last = self.run(word)
        return last == ()

    __contains__ = accepts

    def dfa(self, budget: Budget = DEFAULT_BUDGET) -> Dfa:
        """The minimal DFA: see :func:`stack_dfa`.

        Raises:
            BudgetExceededError: more states than the budget allows.
        """
        return stack_dfa(self.brackets, self.depth, budget)

    def __str__(self) -> str:
        shown = " ".join(self.alphabet[:16]) + (" ..." if self.kinds > 8 else "")
        return f"{self.name}: balanced over {shown}, at most {self.depth} deep"


def stack_dfa(pairs: Sequence[Pair], depth: int, budget: Budget = DEFAULT_BUDGET) -> Dfa:
    """Balanced words over pairs of brackets, at most ``depth`` deep, as a DFA whose states are stacks, named by them.

    Raises:
        BudgetExceededError: more states than the budget allows.
    """
    closer = dict(pairs)
    symbols = [symbol for pair in pairs for symbol in pair]

    def step(stack: tuple[str, ...] | None, symbol: str) -> tuple[str, ...] | None:
        if stack is None:
            return None
        if symbol in closer:
            return (*stack, symbol) if len(stack) < depth else None
        return stack[:-1] if stack and closer[stack[-1]] == symbol else None

    empty: tuple[str, ...] | None = ()
    meter = budget.meter("states")
    stacks, table = numbered(empty, lambda stack: [step(stack, s) for s in symbols], meter)
    names = ["dead" if stack is None else "".join(stack) or "-" for stack in stacks]
    return Dfa.from_table(symbols, table, 0, [0], names, meter)


class StackAcceptor:
    """Ground truth for bounded Dyck languages: an explicit stack, pushed and popped symbol by symbol. O(symbols)."""

    def __init__(self, language: BoundedDyck) -> None:
        self.language = language
        self.alphabet = language.alphabet
        k = len(self.alphabet)
        self._letters = Acceptor(self.alphabet, [[0] * k], 0, [0])

    def encode(self, words: Sequence[Word]) -> tuple[Codes, Index]:
        """Letter numbers, padded with 0, and the lengths; :class:`UnknownSymbolError` for a foreign bracket."""
        return self._letters.encode(words)

    def tops(self, codes: ArrayLike, lengths: ArrayLike) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The depth (-1 once dead) and the kind on top (-1 if none) after every prefix; shape (words, longest + 1)."""
        letters = np.asarray(codes)
        depths = np.full((len(letters), letters.shape[1] + 1), -1, dtype=np.int32)
        kinds = np.full_like(depths, -1)
        for word, depths_of_word, kinds_of_word in zip(letters.tolist(), depths, kinds, strict=True):
            stack, tops = [-1], [-1]  # -1 lies below the bottom: no closing bracket matches it
            heights = [0]
            for letter in word:
                if not letter & 1:
                    if len(stack) > self.language.depth:
                        break
                    stack.append(letter >> 1)
                elif stack.pop() != letter >> 1:
                    break
                heights.append(len(stack) - 1)
                tops.append(stack[-1])
            depths_of_word[: len(heights)], kinds_of_word[: len(tops)] = heights, tops
        return depths, kinds

    def next_masks(self, codes: ArrayLike, lengths: ArrayLike) -> NDArray[np.bool_]:
        """Which symbols may come next after every prefix, then whether the word may end: (words, longest + 1, k + 1).

        All false after a dead prefix; what stands behind the end of a word is meaningless.
        """
        depths, kinds = self.tops(codes, lengths)
        mask = np.zeros((*depths.shape, len(self.alphabet) + 1), dtype=np.bool_)
        mask[..., 0:-1:2] = ((depths >= 0) & (depths < self.language.depth))[..., None]
        mask[..., 1:-1:2] = kinds[..., None] == np.arange(self.language.kinds)
        mask[..., -1] = depths == 0
        return mask
