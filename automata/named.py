"""The languages that have a name: those of the suite, by the names that the literature gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from .bounded_dyck import BoundedDyck
from .counters.families import boolean, dyck_1, equal_blocks, shuffle
from .counters.machine import CounterMachine
from .dfa import Dfa
from .errors import UnknownLanguageError
from .families import SUITE
from .machines import MACHINES
from .moore import Moore
from .nested.documents import json_documents
from .nested.language import NestedLanguage

Named = Dfa | BoundedDyck | CounterMachine

LANGUAGES: Mapping[str, Callable[[], Named]] = {
    **{language.name: language.build for language in SUITE},
    "Dyck-1": dyck_1,
    **{f"Shuffle-{k}": partial(shuffle, k) for k in (2, 4, 6)},
    **{f"Boolean-{n}": partial(boolean, n) for n in (3, 5)},
    **{" ".join(f"{s}^n" for s in alphabet): partial(equal_blocks, alphabet) for alphabet in ("ab", "abc", "abcd")},
    **{f"Dyck_{{8,{h}}}": partial(BoundedDyck, 8, h) for h in (5, 10)},
}
"""What makes each of them, by its name."""

BEYOND: Mapping[str, Callable[[], Moore | NestedLanguage]] = {
    **MACHINES,
    **{f"JSON-{h}": partial(json_documents, h) for h in (3, 5, 10)},
}
"""The same for those that are not of the suite: machines with outputs, and JSON over tokens."""


def _plain(name: str) -> str:
    return "".join(name.split()).lower()


_NAMES = {_plain(name): name for name in (*LANGUAGES, *BEYOND)}


def name_of(text: str) -> str | None:
    """The name that a text is, though with other spaces or in another case; None if it is none."""
    return _NAMES.get(_plain(text))


def known_name(text: str) -> str:
    """:func:`name_of`, or an error.

    Raises:
        UnknownLanguageError: no language of the suite has this name; the message lists the names.
    """
    found = name_of(text)
    if found is None or found not in LANGUAGES:
        known = ", ".join(LANGUAGES if found else (*LANGUAGES, *BEYOND))
        raise UnknownLanguageError(f"no language of the suite is called {text!r}; there are {known}")
    return found


def language_of_suite(name: str) -> Named:
    """The language of the suite that has this name; errors as for :func:`named`."""
    known = known_name(name)
    return LANGUAGES[known]().told("suite", known)


def named(name: str) -> Named | Moore | NestedLanguage:
    """The language of the suite, or beyond it, that has this name (spaces and case do not matter).

    Raises:
        UnknownLanguageError: there is none; the message lists the names.

    >>> named("d-12").n_states, named("sum mod 4").output("1231")
    (14, '3')
    """
    known = name_of(name)
    if known is not None and known in BEYOND:
        return BEYOND[known]().told("suite", known)
    return language_of_suite(name)
