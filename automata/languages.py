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
from .counters.acceptor import CounterAcceptor
from .counters.machine import CounterMachine, counter_machine_from_json, counter_machine_to_json
from .dfa import Dfa
from .errors import BracketLanguageError, LanguageFormatError
from .formats.formats import as_dfa, from_json, naming, read_json, to_json_dict

Language = Dfa | BoundedDyck | CounterMachine
"""A regular language, a bounded Dyck language (regular, but without its DFA), or a counter language."""


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
    return Acceptor.of(language)


def as_language(value: Any) -> Language:
    """A language from anything that describes one: see ``as_dfa``; also the JSON of counter machines, and what
    :func:`language_to_json` gives.

    Raises:
        ScancraftError: the description cannot be read.
    """
    if isinstance(value, (Dfa, BoundedDyck, CounterMachine)):
        return value
    if isinstance(value, Path):
        data = read_json(value)
        with naming(value):
            return as_language(data if isinstance(data, Mapping) else from_json(data))
    if isinstance(value, Mapping) and len(value) == 1 and set(value) <= {"dfa", "bounded_dyck", "counter_machine"}:
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
    """One key that says what kind of language it is (``dfa``, ``bounded_dyck``, ``counter_machine``), and its JSON."""
    if isinstance(language, BoundedDyck):
        return {"bounded_dyck": {"brackets": [list(p) for p in language.brackets], "depth": language.depth}}
    if isinstance(language, CounterMachine):
        return {"counter_machine": counter_machine_to_json(language)}
    return {"dfa": to_json_dict(language)}


def language_from_json(data: Mapping[str, Any]) -> Language:
    """The inverse of :func:`language_to_json`; further keys are ignored.

    Raises:
        ScancraftError: no known kind, or its description is malformed.
    """
    if "dfa" in data:
        return from_json(data["dfa"])
    if "bounded_dyck" in data:
        return _bounded_dyck(data["bounded_dyck"])
    if "counter_machine" in data:
        return counter_machine_from_json(data["counter_machine"])
    raise LanguageFormatError(f"the keys {sorted(data)} name no kind of language: dfa, bounded_dyck, counter_machine")
