"""What all languages have in common: an alphabet, members, and a vectorised ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .acceptor import Acceptor, Codes, Index
from .alphabet import Word
from .bounded_dyck import BoundedDyck, StackAcceptor
from .combination import Combination, CombinationAcceptor, combination_from_json, combination_to_json, combined
from .counters.acceptor import CounterAcceptor
from .counters.machine import CounterMachine, counter_machine_from_json, counter_machine_to_json
from .dfa import Dfa
from .errors import BracketLanguageError, LanguageFormatError
from .formats.formats import as_dfa, from_json, naming, to_json_dict
from .formats.registry import load_description
from .regex.regex import parse_regex

Language = Dfa | Combination | BoundedDyck | CounterMachine
"""A regular language, a combination of some or a bounded Dyck language (regular, but without their DFAs), or a counter
language."""

KINDS = ("dfa", "combination", "bounded_dyck", "counter_machine")
"""The keys that say in JSON what kind of language it is."""


@runtime_checkable
class Truth(Protocol):
    """Ground truth for one language, over batches of words."""

    @property
    def alphabet(self) -> tuple[str, ...]:
        """The symbols in the order of the letter numbers."""
        ...

    def encode(self, words: Sequence[Word]) -> tuple[Codes, Index]:
        """Letter numbers of shape (words, longest), padded with 0, and the lengths of the words.

        Raises:
            UnknownSymbolError: a symbol outside the alphabet.
        """
        ...

    def next_masks(self, codes: ArrayLike, lengths: ArrayLike) -> NDArray[np.bool_]:
        """Which symbols may come next after every prefix, and whether it may end: shape (words, longest + 1, k + 1).

        All false after a prefix that nothing completes; meaningless behind the end of a word.
        """
        ...


def truth_of(language: Language) -> Truth:
    """The vectorised ground truth of a language."""
    if isinstance(language, BoundedDyck):
        return StackAcceptor(language)
    if isinstance(language, CounterMachine):
        return CounterAcceptor(language)
    if isinstance(language, Combination):
        return CombinationAcceptor(language)
    return Acceptor.of(language)


def as_language(value: Any) -> Language:
    """A language from anything that describes one: see ``as_dfa``; also the JSON of counter machines, and what
    :func:`language_to_json` gives.

    Raises:
        ScancraftError: the description cannot be read.
    """
    if isinstance(value, Language):
        return value
    if isinstance(value, Path):
        data = load_description(value)
        with naming(value):
            return as_language(data if isinstance(data, (Mapping, Dfa)) else from_json(data))
    if isinstance(value, Mapping) and len(value) == 1 and set(value) <= set(KINDS):
        return language_from_json(value)
    if isinstance(value, Mapping) and "counters" in value:
        return counter_machine_from_json(value)
    if isinstance(value, Mapping) and "brackets" in value:
        return _bounded_dyck(value)
    return as_dfa(value)


def _bounded_dyck(value: Mapping[str, Any]) -> BoundedDyck:
    """``{"brackets": [["(", ")"], ...], "depth": h}``."""
    good = isinstance(value, Mapping) and set(value) == {"brackets", "depth"}
    pairs = value["brackets"] if good else None
    if not isinstance(pairs, (list, tuple)) or not all(isinstance(p, (list, tuple)) and len(p) == 2 for p in pairs):
        raise BracketLanguageError('a bounded Dyck language is {"brackets": [["(", ")"], ...], "depth": h}')
    return BoundedDyck(len(pairs), value["depth"], tuple((p[0], p[1]) for p in pairs))


def language_to_json(language: Language) -> dict[str, Any]:
    """One key that says what kind of language it is (one of ``KINDS``), and its JSON."""
    if isinstance(language, BoundedDyck):
        return {"bounded_dyck": {"brackets": [list(p) for p in language.brackets], "depth": language.depth}}
    if isinstance(language, CounterMachine):
        return {"counter_machine": counter_machine_to_json(language)}
    if isinstance(language, Combination):
        return {"combination": combination_to_json(language)}
    return {"dfa": to_json_dict(language)}


def language_from_json(data: Mapping[str, Any]) -> Language:
    """The inverse of :func:`language_to_json`; keys that name no kind are ignored.

    Raises:
        ScancraftError: not just one known kind, or its description is malformed.
    """
    if len(named := [kind for kind in KINDS if kind in data]) > 1:
        raise LanguageFormatError(f"{' and '.join(named)} stand for two languages; give one")
    if "dfa" in data:
        return from_json(data["dfa"])
    if "bounded_dyck" in data:
        return _bounded_dyck(data["bounded_dyck"])
    if "counter_machine" in data:
        return counter_machine_from_json(data["counter_machine"])
    if "combination" in data:
        return combination_from_json(data["combination"])
    raise LanguageFormatError(f"the keys {sorted(data)} name no kind of language: {', '.join(KINDS)}")


def all_of(languages: Sequence[Any]) -> Combination:
    """The words that are in each of the languages, not multiplied out: compiled side by side.

    Args:
        languages: whatever :func:`as_language` reads, if regular. Their alphabets may differ: a regular expression is
            read over the symbols of all, an automaton has no words with symbols that it does not know.

    Raises:
        LanguageFormatError: there is none, or one is not given as a regular language.

    >>> all_of(["(a|b)*a", "(ab|ba|a)*"]).accepts("aba")
    True
    """
    return combined("all", _regular(languages))


def any_of(languages: Sequence[Any]) -> Combination:
    """The words that are in at least one of the languages; see :func:`all_of`."""
    return combined("any", _regular(languages))


def none_of(languages: Sequence[Any]) -> Combination:
    """The words over the languages' symbols that are in none of them; see :func:`all_of`."""
    return combined("not", [any_of(languages)])


def _regular(values: Sequence[Any]) -> list[Dfa | Combination]:
    """The languages, expressions over the symbols of all."""
    found = [as_language(value) for value in values]
    symbols = sorted({symbol for language in found for symbol in language.alphabet})
    languages: list[Dfa | Combination] = []
    for value, language in zip(values, found, strict=True):
        known = need_regular(language)
        languages.append(parse_regex(value, symbols) if isinstance(value, str) else known)
    return languages


def need_regular(language: Language) -> Dfa | Combination:
    """The language; :class:`LanguageFormatError` if it is not given as a regular one."""
    if isinstance(language, (Dfa, Combination)):
        return language
    raise LanguageFormatError(
        f"a {type(language).__name__} is not given as a regular language; give a DFA, a regular expression or a file"
    )
