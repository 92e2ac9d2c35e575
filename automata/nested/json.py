"""Nested languages as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import LanguageFormatError
from .language import NestedLanguage

KEYS = {"alphabet", "depth", "root", "opens", "steps", "closes", "accepting"}


def nested_to_json(language: NestedLanguage) -> dict[str, Any]:
    """The attributes of a :class:`NestedLanguage` as lists and mappings."""
    return {
        "alphabet": list(language.alphabet),
        "depth": language.depth,
        "root": language.root,
        "opens": dict(language.opens),
        "steps": {state: dict(row) for state, row in language.steps.items()},
        "closes": {state: sorted(symbols) for state, symbols in language.closes.items()},
        "accepting": sorted(language.accepting),
    }


def nested_from_json(data: Any) -> NestedLanguage:
    """The inverse of :func:`nested_to_json`; the alphabet may be left out.

    Raises:
        LanguageFormatError: it is malformed; the message says where.
    """
    if not isinstance(data, Mapping) or not KEYS - {"alphabet"} <= set(data) <= KEYS:
        raise LanguageFormatError(f"a nested language has the keys {', '.join(sorted(KEYS))} (alphabet is optional)")
    alphabet = data.get("alphabet")
    if not isinstance(data["root"], str):
        raise LanguageFormatError(f"'root' is {data['root']!r}; give the name of a state")
    if not isinstance(data["steps"], Mapping):
        raise LanguageFormatError("'steps' maps each state to a mapping from symbols to states")
    return NestedLanguage.of(
        data["depth"],
        data["root"],
        _names(data["opens"], "opens"),
        {_name(state, "steps"): _names(row, f"steps of {state!r}") for state, row in data["steps"].items()},
        {state: _list(symbols, f"closes of {state!r}") for state, symbols in _mapping(data["closes"]).items()},
        _list(data["accepting"], "accepting"),
        None if alphabet is None else _list(alphabet, "alphabet"),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise LanguageFormatError("'closes' maps states to lists of symbols")
    return {_name(state, "closes"): symbols for state, symbols in value.items()}


def _names(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise LanguageFormatError(f"{where!r} maps symbols to states")
    return {_name(symbol, where): _name(state, where) for symbol, state in value.items()}


def _list(value: Any, where: str) -> list[str]:
    if not isinstance(value, (list, tuple)):
        raise LanguageFormatError(f"{where!r} is a list of names")
    return [_name(entry, where) for entry in value]


def _name(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise LanguageFormatError(f"{value!r} in {where!r} is no name; give a string")
    return value
