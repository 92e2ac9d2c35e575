"""Random words of any language: members, test mixtures, and long words that stay live.

Members have a length that is uniform over the lengths with words in a range, and are uniform among those of their
length; those of counter languages and nested ones are walked (:class:`~.walks.CompletedWalks`,
:class:`~.nested.NestedWords`). Equal seeds give equal words. A language is whatever ``as_language`` reads.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..bounded_dyck import BoundedDyck
from ..budget import Budget
from ..copying.language import Copying
from ..counters.machine import CounterMachine
from ..dfa import Dfa
from ..errors import BudgetExceededError, EmptyLanguageError
from ..languages import Language, Recognised, as_language
from ..logic.past import PastLtl
from ..moore import Moore
from ..nested.language import NestedLanguage
from .brackets import BracketWords, live_bracket_word
from .copying import Copies
from .draw import Rng, Symbols, Walks, arbitrary, check_range, edit_within, generator_of
from .nested import NestedWords
from .regular import RegularWords
from .steered import steered
from .walks import CompletedWalks

Walked = CounterMachine | NestedLanguage | Copying
"""Languages whose words are walked."""

SMALL = Budget(items=20_000)
"""Up to so many states the product of a combination is built, to draw words from it; past that they are found."""

TRIES = 50
"""How many words are tried per member that is wanted, where members are found."""


def members_of(language: Any, count: int, shortest: int, longest: int, rng: Rng) -> list[Symbols]:
    """Members with lengths from ``shortest`` to ``longest``, both included, independently drawn. O(count * longest).

    Raises:
        ValueError: no range, or a negative count.
        EmptyLanguageError: the language has no word in the range (and ``count`` is not 0), or no walk found one.
    """
    _check(count, shortest, longest)
    language = _words_of(as_language(language))
    if not count:
        return []
    generator = generator_of(rng)
    if isinstance(language, Recognised):
        try:
            return members_of(language.dfa(SMALL), count, shortest, longest, generator)
        except BudgetExceededError:
            return _found(language, count, shortest, longest, generator)
    if isinstance(language, Walked):
        return _walks(language).words(count, shortest, longest, generator)
    sampler: BracketWords | RegularWords
    if isinstance(language, BoundedDyck):
        sampler = BracketWords(language, longest)
    else:
        sampler = RegularWords(language, longest)
    lengths = sampler.lengths(shortest, longest)
    if not lengths:
        raise EmptyLanguageError(f"the language has no word with a length from {shortest} to {longest}; give others")
    return [sampler.word(lengths[int(generator.integers(len(lengths)))], generator) for _ in range(count)]


def mixture_of(language: Any, count: int, shortest: int, longest: int, rng: Rng) -> list[Symbols]:
    """Test words with lengths in a range: half members, a quarter one-symbol edits of members, the rest arbitrary.

    In this order; all lengths are in the range, those of edits too, and those of arbitrary words are uniform. Where the
    language has no word in the range, words that can be completed take the members' place, and where it has none of
    those, or a member has no edit in the range, arbitrary words.

    Raises:
        ValueError: no range, or a negative count.
        AlphabetError: the alphabet is empty, and the range begins past 0.
    """
    _check(count, shortest, longest)
    language = _words_of(as_language(language))
    generator = generator_of(rng)
    n_members, n_edits = count - count // 2, count // 4
    words: list[Symbols] = []
    try:
        drawn = members_of(language, n_members + n_edits, shortest, longest, generator)
    except EmptyLanguageError:
        drawn = _live_words(language, n_members + n_edits, shortest, longest, generator)
    words += drawn[:n_members]
    for member in drawn[n_members:]:
        edited = edit_within(member, language.alphabet, shortest, longest, generator)
        if edited is not None:
            words.append(edited)
    last = longest if language.alphabet else shortest
    while len(words) < count:
        words.append(arbitrary(language.alphabet, int(generator.integers(shortest, last + 1)), generator))
    return words


def _words_of(language: Language) -> Dfa | Recognised | BoundedDyck | Walked:
    """The language; of a machine with outputs the words that may end, which are all if it does not say."""
    return language.domain if isinstance(language, Moore) else language


def _found(language: Recognised, count: int, shortest: int, longest: int, rng: np.random.Generator) -> list[Symbols]:
    """Members of a language whose DFA is too large, found among candidates: for a combination members of its parts."""
    if isinstance(language, PastLtl):
        return steered(language, count, shortest, longest, rng)
    words: list[Symbols] = []
    for _ in range(TRIES * count):
        leaf = language.leaves[int(rng.integers(len(language.leaves)))]
        try:
            (word,) = members_of(leaf, 1, shortest, longest, rng)
        except EmptyLanguageError:
            word = arbitrary(language.alphabet, int(rng.integers(shortest, longest + 1)), rng)
        if language.accepts(word):
            words.append(word)
            if len(words) == count:
                return words
    raise EmptyLanguageError(f"no {count} words with a length from {shortest} to {longest} were found in the language")


def _live_words(language: Any, count: int, shortest: int, longest: int, rng: np.random.Generator) -> list[Symbols]:
    """Live words of uniform length: as far as they go, since a prefix of a live word is live."""
    words: list[Symbols] = []
    while len(words) < count and shortest <= longest:
        length = int(rng.integers(shortest, longest + 1))
        try:
            words.append(live_word_of(language, length, rng))
        except EmptyLanguageError:
            longest = length - 1
    return words


def live_word_of(language: Any, length: int, rng: Rng) -> Symbols:
    """A random word of exactly this length all of whose prefixes can be completed; it need not be a member.

    Of a regular language uniformly; of a bounded Dyck language depths walk up and down alike; of a counter language
    or a nested one it is the beginning of a member. Of a combination whose product is too large it is arbitrary.

    Raises:
        ValueError: a negative length.
        EmptyLanguageError: there is no such word, or no walk found one.
    """
    if length < 0:
        raise ValueError(f"length {length} is negative; give a length of 0 or more")
    language = _words_of(as_language(language))
    if isinstance(language, Recognised):
        try:
            return live_word_of(language.dfa(SMALL), length, rng)
        except BudgetExceededError:
            return arbitrary(language.alphabet, length, generator_of(rng))
    if isinstance(language, BoundedDyck):
        return live_bracket_word(language, length, rng)
    if isinstance(language, Walked):
        return _walks(language).live_word(length, rng)
    try:
        return RegularWords(Dfa(language.semiautomaton, language.initial, language.live), length).word(length, rng)
    except EmptyLanguageError:
        raise EmptyLanguageError(f"no word of length {length} has only prefixes that can be completed") from None


def _walks(language: Walked) -> Walks:
    if isinstance(language, Copying):
        return Copies(language)
    return NestedWords(language) if isinstance(language, NestedLanguage) else CompletedWalks(language)


def _check(count: int, shortest: int, longest: int) -> None:
    if count < 0:
        raise ValueError(f"{count} words cannot be drawn; give 0 or more")
    check_range(shortest, longest)
