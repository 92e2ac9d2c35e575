"""Copying (Jelassi et al. 2024, "Repeat After Me", arXiv 2402.01032) as a language: w # w, for words w up to a length.

Its DFA has a state for each word w that is still to be copied, so about K^n of them, and is built for who asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log2
from string import ascii_lowercase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..alphabet import EOS, Word, check_alphabet, check_word
from ..budget import DEFAULT_BUDGET, Budget
from ..dfa import Dfa
from ..errors import CopyingLanguageError
from ..search import numbered
from ..told import Told


@dataclass(frozen=True)
class Copying(Told):
    """The words w # w with at most ``longest`` letters in w.

    Args:
        letters: the K letters that w may have.
        longest: n, at least 1.
        separator: what comes between; no letter.

    Raises:
        CopyingLanguageError: no letters, n below 1, or the separator is a letter.
        AlphabetError: a symbol that cannot be used, or one that occurs twice.

    >>> Copying("ab", 3).accepts("ab#ab"), Copying("ab", 3).accepts("ab#ba"), Copying("ab", 3).accepts("abab#abab")
    (True, False, False)
    """

    letters: tuple[str, ...]
    longest: int
    separator: str = "#"

    def __post_init__(self) -> None:
        object.__setattr__(self, "letters", tuple(self.letters))
        if not self.letters:
            raise CopyingLanguageError("there is no letter to copy; give at least one")
        if type(self.longest) is not int or self.longest < 1:
            raise CopyingLanguageError(
                f"words cannot have up to {self.longest!r} letters; give a whole number of at least 1"
            )
        if self.separator in self.letters:
            raise CopyingLanguageError(f"the separator {self.separator!r} is also a letter; give another one")
        check_alphabet(self.alphabet)

    @property
    def alphabet(self) -> tuple[str, ...]:
        """The letters, then the separator."""
        return (*self.letters, self.separator)

    @property
    def name(self) -> str:
        """K and n."""
        return f"copying over {len(self.letters)} letters, at most {self.longest} of them"

    @property
    def code_bits(self) -> int:
        """Bits that tell one of K letters: ceil(log2 K)."""
        return (len(self.letters) - 1).bit_length()

    @property
    def lower_bound(self) -> float:
        """n log2 K: no recurrent model with fewer bits of state copies all words of n letters, for after the separator
        there is a state for each of the K^n words, or two of them are continued alike."""
        return self.longest * log2(len(self.letters))

    @property
    def n_states(self) -> int:
        """States of the minimal complete DFA: of w so far, of what is still to come of it, and of dead words."""
        words = sum(int(len(self.letters) ** i) for i in range(self.longest + 1))
        return 2 * words + 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The automaton that knows no letters, only how many there are: per state and symbol the next state.

        State p <= n: p letters came, and no separator; then, for each m up to n, the separator after m letters and
        j = 0..m letters more; the last state is dead.
        """
        n, dead = self.longest, (self.longest + 1) * (self.longest + 4) // 2
        table = np.full((dead + 1, len(self.alphabet)), dead, dtype=np.int64)
        separated = np.cumsum([n + 1, *range(1, n + 1)])
        table[:n, :-1] = np.arange(1, n + 1)[:, None]
        table[: n + 1, -1] = separated
        for m, start in enumerate(separated.tolist()):
            table[start : start + m, :-1] = np.arange(start + 1, start + m + 1)[:, None]
        return table

    def rest(self, word: Word) -> tuple[bool, tuple[str, ...]] | None:
        """After a prefix: whether the separator has come, and w so far, or what is still to come of it; None if dead.

        Raises:
            UnknownSymbolError: a symbol that is not in the alphabet.
        """
        check_word(word, self.alphabet)
        symbols = tuple(word)
        if self.separator not in symbols:
            return (False, symbols) if len(symbols) <= self.longest else None
        middle = symbols.index(self.separator)
        first, second = symbols[:middle], symbols[middle + 1 :]
        if len(first) > self.longest or first[: len(second)] != second:
            return None
        return True, first[len(second) :]

    def allowed(self, word: Word) -> frozenset[str]:
        """The symbols that may come after a prefix, ``<eos>`` among them if it may end there."""
        match self.rest(word):
            case None:
                return frozenset()
            case False, first:
                return frozenset({self.separator, *(self.letters if len(first) < self.longest else ())})
            case True, ():
                return frozenset({EOS})
            case _, still:
                return frozenset({still[0]})

    def accepts(self, word: Word) -> bool:
        """Whether the word is in the language; :class:`UnknownSymbolError` for a foreign symbol."""
        return self.rest(word) == (True, ())

    __contains__ = accepts

    def dfa(self, budget: Budget = DEFAULT_BUDGET) -> Dfa:
        """The minimal DFA, with about 2 K^n states, named by what they know.

        Raises:
            BudgetExceededError: more states than the budget allows.
        """
        meter = budget.meter("states")

        def step(state: tuple[bool, tuple[str, ...]] | None, symbol: str) -> tuple[bool, tuple[str, ...]] | None:
            if state is None:
                return None
            copied, word = state
            if copied:
                return (True, word[1:]) if word[:1] == (symbol,) else None
            if symbol == self.separator:
                return True, word
            return (False, (*word, symbol)) if len(word) < self.longest else None

        start: tuple[bool, tuple[str, ...]] | None = (False, ())
        states, table = numbered(start, lambda state: [step(state, s) for s in self.alphabet], meter)
        names = ["dead" if q is None else f"{'to come' if q[0] else 'so far'}: {''.join(q[1]) or '-'}" for q in states]
        accepting = [n for n, state in enumerate(states) if state == (True, ())]
        return Dfa.from_table(self.alphabet, table, 0, accepting, names, meter)

    def __str__(self) -> str:
        shown = " ".join(self.letters[:16]) + (" ..." if len(self.letters) > 16 else "")
        return f"w {self.separator} w: a word over {shown} of at most {self.longest} letters, and its copy"


def copying(letters: int | str | tuple[str, ...], longest: int, separator: str = "#") -> Copying:
    """The language of words and their copies.

    Args:
        letters: K, or the letters themselves; for a number a, b, c and so on, or x1, x2, x3 past 26.
        longest: n, the most letters of a word.
        separator: what comes between.

    Raises:
        CopyingLanguageError: no letters, n below 1, or the separator is a letter.
        AlphabetError: a symbol that cannot be used, or one that occurs twice.

    >>> print(copying(2, 3))
    w # w: a word over a b of at most 3 letters, and its copy
    """
    if isinstance(letters, int):
        few = tuple(ascii_lowercase[:letters]) if letters > 0 else ()
        letters = few if letters <= len(ascii_lowercase) else tuple(f"x{i + 1}" for i in range(letters))
    return Copying(tuple(letters), longest, separator)


def copying_to_json(language: Copying) -> dict[str, Any]:
    """``{"letters": ["a", "b"], "longest": 8, "separator": "#"}``."""
    return {"letters": list(language.letters), "longest": language.longest, "separator": language.separator}


def copying_from_json(data: Any) -> Copying:
    """The inverse of :func:`copying_to_json`.

    Raises:
        CopyingLanguageError: another format.
    """
    good = isinstance(data, Mapping) and set(data) == {"letters", "longest", "separator"}
    letters = data["letters"] if good else None
    if not isinstance(letters, (list, tuple)) or not all(isinstance(s, str) for s in (*letters, data["separator"])):
        raise CopyingLanguageError('copying is {"letters": ["a", "b"], "longest": n, "separator": "#"}')
    return Copying(tuple(letters), data["longest"], data["separator"])
