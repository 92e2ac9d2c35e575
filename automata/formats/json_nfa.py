"""Automata as other JSON writes them: lists of targets, and the triples of PySimpleAutomata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import LanguageFormatError
from .nfa import Move, Nfa
from .tables import kind

TRIPLES = ({"alphabet", "states", "accepting_states", "transitions"}, ("initial_state", "initial_states"))
"""The keys of PySimpleAutomata: all of the first, and one of the second."""


def nfa_from_json(data: Mapping[str, Any]) -> Nfa | None:
    """The automaton, if the value has one of these forms; else None.

    One is that of :func:`from_json` with a list in the place of a target, or of the initial state; there the symbol
    ``""`` is epsilon. The other has the keys ``TRIPLES``, and transitions ``[source, symbol, target]``.

    Raises:
        LanguageFormatError: a name that is not a string, a state that is not declared, a symbol outside the alphabet.
        AlphabetError: a symbol that cannot be used.
    """
    if set(data) in [TRIPLES[0] | {key} for key in TRIPLES[1]]:
        return _from_triples(data)
    if set(data) != {"alphabet", "initial", "accepting", "transitions"} or not isinstance(data["transitions"], Mapping):
        return None
    rows = [row for row in data["transitions"].values() if isinstance(row, Mapping)]
    if not isinstance(data["initial"], list) and not any("" in row or list in map(type, row.values()) for row in rows):
        return None
    moves: list[Move] = []
    for source, row in data["transitions"].items():
        if not isinstance(row, Mapping):
            raise LanguageFormatError(f"the transitions of state {source!r} are {kind(row)}; give {{symbol: states}}")
        for symbol, targets in row.items():
            where = f"a target of state {source!r} on symbol {symbol!r}"
            moves += [(source, symbol or None, q) for q in _strings(_listed(targets), where)]
    initial = _strings(_listed(data["initial"]), 'an entry of "initial"')
    accepting = _strings(data["accepting"], 'an entry of "accepting"')
    states = dict.fromkeys([*initial, *data["transitions"], *accepting])
    return _checked(_strings(data["alphabet"], "a symbol"), states, initial, accepting, moves)


def _from_triples(data: Mapping[str, Any]) -> Nfa:
    key = next(key for key in TRIPLES[1] if key in data)
    initial = _strings(_listed(data[key]), f'an entry of "{key}"')
    states = _strings(data["states"], 'an entry of "states"')
    moves: list[Move] = []
    triples = data["transitions"]
    if not isinstance(triples, list):
        raise LanguageFormatError(f'"transitions" is {kind(triples)}; give a list of [source, symbol, target]')
    for i, triple in enumerate(triples):
        if not isinstance(triple, list) or len(triple) != 3:
            raise LanguageFormatError(f'entry {i} of "transitions" is no [source, symbol, target]')
        source, symbol, target = _strings(triple, f'a part of entry {i} of "transitions"')
        moves.append((source, symbol or None, target))
    accepting = _strings(data["accepting_states"], 'an entry of "accepting_states"')
    return _checked(_strings(data["alphabet"], "a symbol"), dict.fromkeys(states), initial, accepting, moves)


def _checked(
    alphabet: list[str], states: Mapping[str, None], initial: list[str], accepting: list[str], moves: list[Move]
) -> Nfa:
    for name in (*initial, *accepting, *(q for source, _, target in moves for q in (source, target))):
        if name not in states:
            raise LanguageFormatError(f"the state {name!r} is not declared; correct the name, or give it a row")
    return Nfa.of(initial, accepting, moves, states=states, alphabet=alphabet)


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _strings(values: Any, where: str) -> list[str]:
    if not isinstance(values, list):
        raise LanguageFormatError(f"{kind(values)} stands where a list should ({where})")
    for value in values:
        if not isinstance(value, str):
            raise LanguageFormatError(f"{where} is {kind(value)}, {value!r}; names are strings")
    return values
