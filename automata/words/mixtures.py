"""Random words of any language: members, test mixtures, and long words that stay live.

Members have a length that is uniform over the lengths with words in a range, and are uniform among those of their
length; only counter languages outside the families of the suite are walked where they cannot be counted
(``counter_walks.CompletedWalks``). Equal seeds give equal words.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..bounded_dyck import BoundedDyck
from ..budget import DEFAULT_BUDGET, Budget
from ..counters.machine import CounterMachine
from ..dfa import Dfa
from ..errors import BudgetExceededError, EmptyLanguageError
from ..languages import Language
from .balanced import generator_of
from .brackets import BracketSampler, live_bracket_word
from .counted import CountedWords, LengthSampler, family_of, live_counter_word
from .halving import HalvingSampler
from .uniform import EXACT_LENGTH, Rng, Symbols, UniformSampler, arbitrary, live_word
from .walks import CompletedWalks

MOST_STATES = 64
"""Live states up to which long words of a regular language are drawn by halving."""


class _TabledWords:
    """A regular language, sampled by the table of ``UniformSampler``."""

    def __init__(self, dfa: Dfa, max_length: int) -> None:
        self._sampler = UniformSampler(dfa, max_length)
        self.word = self._sampler.word

    def lengths(self, shortest: int, longest: int) -> Sequence[int]:
        return [n for n in self._sampler.lengths() if shortest <= n <= longest]


def sampler_of(language: Language, max_length: int, budget: Budget = DEFAULT_BUDGET) -> LengthSampler | CompletedWalks:
    """What draws the members of a language up to a length: uniformly, unless it is a :class:`CompletedWalks`.

    Args:
        language: any language.
        max_length: the largest length that will be asked for.
        budget: for counting a counter language that is no family of the suite; past it, it is walked.
    """
    if isinstance(language, BoundedDyck):
        return BracketSampler(language, max_length)
    if not isinstance(language, CounterMachine):
        by_halving = max_length > EXACT_LENGTH and len(language.live) <= MOST_STATES
        return (HalvingSampler if by_halving else _TabledWords)(language, max_length)
    family = family_of(language)
    if family is not None:
        return family
    try:
        return CountedWords(language, max_length, budget)
    except BudgetExceededError:
        return CompletedWalks(language)


def members_of(
    language: Language, count: int, shortest: int, longest: int, rng: Rng, budget: Budget = DEFAULT_BUDGET
) -> list[Symbols]:
    """Members with lengths from ``shortest`` to ``longest``, both included, independently drawn.

    O(count * longest) for the families of the suite, after a table of O(longest * states * letters) for a DFA.

    Raises:
        ValueError: no range, or a negative count.
        EmptyLanguageError: the language has no word in the range (and ``count`` is not 0), or no walk found one.
    """
    _check(count, shortest, longest)
    return _draw(sampler_of(language, longest, budget), count, shortest, longest, generator_of(rng)) if count else []


def _draw(
    sampler: LengthSampler | CompletedWalks, count: int, shortest: int, longest: int, rng: np.random.Generator
) -> list[Symbols]:
    if isinstance(sampler, CompletedWalks):
        return sampler.words(count, shortest, longest, rng)
    lengths = sampler.lengths(shortest, longest)
    if not lengths:
        raise EmptyLanguageError(f"the language has no word with a length from {shortest} to {longest}")
    return [sampler.word(lengths[int(rng.integers(len(lengths)))], rng) for _ in range(count)]


def mixture_of(
    language: Language, count: int, shortest: int, longest: int, rng: Rng, budget: Budget = DEFAULT_BUDGET
) -> list[Symbols]:
    """Test words with lengths in a range: half members, a quarter one-symbol edits of members, the rest arbitrary.

    In this order; all lengths are in the range, those of edits too. The rules are those of ``sampling.mixture``. Where
    the language has no word in the range, words that can be completed take the members' place, and where it has none
    of those, or a member has no edit in the range, arbitrary words of uniform length.

    Raises:
        ValueError: no range, or a negative count.
        AlphabetError: the alphabet is empty, and the range begins past 0.
    """
    _check(count, shortest, longest)
    generator = generator_of(rng)
    n_members, n_edits = count - count // 2, count // 4
    words: list[Symbols] = []
    try:
        drawn = members_of(language, n_members + n_edits, shortest, longest, generator, budget)
    except EmptyLanguageError:
        drawn = _live_words(language, n_members + n_edits, shortest, longest, generator, budget)
    words += drawn[:n_members]
    for member in drawn[n_members:]:
        edited = edit_within(member, language.alphabet, shortest, longest, generator)
        if edited is not None:
            words.append(edited)
    last = longest if language.alphabet else shortest
    while len(words) < count:
        words.append(arbitrary(language.alphabet, int(generator.integers(shortest, last + 1)), generator))
    return words


def _live_words(
    language: Language, count: int, shortest: int, longest: int, rng: np.random.Generator, budget: Budget
) -> list[Symbols]:
    """Live words of uniform length: as far as they go, since a prefix of a live word is live."""
    words: list[Symbols] = []
    while len(words) < count and shortest <= longest:
        length = int(rng.integers(shortest, longest + 1))
        try:
            words.append(live_word_of(language, length, rng, budget))
        except EmptyLanguageError:
            longest = length - 1
        except BudgetExceededError:
            break
    return words


def edit_within(word: Symbols, alphabet: Sequence[str], shortest: int, longest: int, rng: Rng) -> Symbols | None:
    """A word at edit distance one with a length in the range: substitution, insertion or deletion of a symbol.

    The kinds that are possible are equally likely, places and symbols uniform; None where none is possible.
    """
    generator = generator_of(rng)
    kinds = []
    if word and any(symbol != word[0] for symbol in alphabet):
        kinds.append("substitute")
    if alphabet and len(word) < longest:
        kinds.append("insert")
    if len(word) > shortest:
        kinds.append("delete")
    if not kinds:
        return None
    kind = kinds[int(generator.integers(len(kinds)))]
    place = int(generator.integers(len(word) + (kind == "insert")))
    before, after = word[:place], word[place + (kind != "insert") :]
    if kind == "delete":
        return before + after
    symbols = [symbol for symbol in alphabet if kind == "insert" or symbol != word[place]]
    return (*before, symbols[int(generator.integers(len(symbols)))], *after)


def live_word_of(language: Language, length: int, rng: Rng, budget: Budget = DEFAULT_BUDGET) -> Symbols:
    """A random word of exactly this length all of whose prefixes can be completed; it need not be a member.

    See ``sampling.live_word``, ``live_bracket_word`` (depths walk up and down alike) and ``live_counter_word``.

    Raises:
        ValueError: a negative length.
        EmptyLanguageError: there is no such word.
    """
    if length < 0:
        raise ValueError(f"length {length} is negative; give a length of 0 or more")
    if isinstance(language, BoundedDyck):
        return live_bracket_word(language, length, rng)
    if isinstance(language, CounterMachine):
        return live_counter_word(language, length, rng, budget)
    return live_word(language, length, rng)


def _check(count: int, shortest: int, longest: int) -> None:
    if count < 0:
        raise ValueError(f"{count} words cannot be drawn; give 0 or more")
    if shortest < 0 or longest < shortest:
        raise ValueError(f"lengths {shortest} to {longest} are no range; give 0 <= shortest <= longest")
