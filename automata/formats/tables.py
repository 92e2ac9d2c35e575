"""Transition tables with names for states, possibly partial: to a DFA and back, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..alphabet import check_alphabet
from ..dfa import Dfa
from ..errors import LanguageFormatError

Delta = dict[Hashable, dict[str, Hashable]]
"""A partial transition function."""


class Numbered(NamedTuple):
    """A partial table by numbers.

    Attributes:
        alphabet: the symbols.
        number: of each state that is named anywhere.
        names: of the states, each once.
        rows: per state and symbol the number of the next state; None if there is no transition.
    """

    alphabet: tuple[str, ...]
    number: dict[Hashable, int]
    names: list[str]
    rows: list[list[int | None]]


def numbered_table(
    delta: Delta, initial: Hashable, others: Iterable[tuple[Hashable, str]], alphabet: Sequence[str]
) -> Numbered:
    """Number the states of a partial table in the order in which the description first names them.

    Args:
        delta: the table.
        initial: the initial state.
        others: states that are named elsewhere, each with where.
        alphabet: the symbols.

    Raises:
        LanguageFormatError: a transition on a symbol outside the alphabet, or a state that cannot be a key.
        AlphabetError: a symbol that cannot be used.
    """
    symbols = check_alphabet(alphabet)
    known = set(symbols)
    named = list(others)
    for value, where in [(initial, "the initial state"), *named]:
        need_hashable(value, where)
    number: dict[Hashable, int] = {}
    for source, row in [(initial, {}), *delta.items()]:
        number.setdefault(source, len(number))
        for symbol, target in row.items():
            if symbol not in known:
                raise LanguageFormatError(
                    f"state {source!r} has a transition on {symbol!r}, which is not in the alphabet "
                    f"{{{', '.join(symbols)}}}; add the symbol or drop the transition"
                )
            need_hashable(target, f"the target of state {source!r} on symbol {symbol!r}")
    # States that have no row of their own come after those that have, so that a listing keeps its order.
    for row in delta.values():
        for symbol in symbols:
            if symbol in row:
                number.setdefault(row[symbol], len(number))
    for q in sorted({q for q, _ in named} - number.keys(), key=state_name):
        number[q] = len(number)
    rows = [[number[row[s]] if s in row else None for s in symbols] for row in (delta.get(q, {}) for q in number)]
    return Numbered(symbols, number, unique_names([state_name(q) for q in number]), rows)


def assemble(delta: Delta, initial: Hashable, accepting: Iterable[Hashable], alphabet: Sequence[str]) -> Dfa:
    """Complete a partial table: see :func:`numbered_table` for the order of states and for errors."""
    goals = list(accepting)
    found = numbered_table(delta, initial, [(q, "an accepting state") for q in goals], alphabet)
    names, dead = found.names, len(found.rows)
    table = [[dead if target is None else target for target in row] for row in found.rows]
    if any(dead in row for row in table):
        table.append([dead] * len(found.alphabet))
        names = unique_names([*names, "dead"])
    return Dfa.from_table(found.alphabet, table, found.number[initial], [found.number[q] for q in goals], names)


def delta_of(transitions: Any) -> Delta:
    """A table as a person gives one: ``{state: {symbol: state}}`` or ``{(state, symbol): state}``.

    Raises:
        LanguageFormatError: neither.
    """
    if not isinstance(transitions, Mapping):
        raise LanguageFormatError(f"the transitions are {kind(transitions)}; give a dict {{state: {{symbol: state}}}}")
    if all(isinstance(row, Mapping) for row in transitions.values()):
        return {q: dict(row) for q, row in transitions.items()}
    delta: Delta = {}
    for key, target in transitions.items():
        if isinstance(target, Mapping) or not (isinstance(key, tuple) and len(key) == 2):
            raise LanguageFormatError(
                f"the entry {key!r}: {target!r} of the transitions fits neither form; "
                "give {state: {symbol: state}} or {(state, symbol): state} throughout"
            )
        delta.setdefault(key[0], {})[key[1]] = target
    return delta


def to_json_dict(dfa: Dfa) -> dict[str, Any]:
    """The JSON format as a Python value: every state with all its transitions. Reading it back gives ``dfa``.

    Names that occur twice are told apart by primes.
    """
    names = unique_names(dfa.names)
    rows = {
        names[q]: {symbol: names[target] for symbol, target in zip(dfa.alphabet, row, strict=True)}
        for q, row in enumerate(dfa.semiautomaton.table)
    }
    accepting = [names[q] for q in sorted(dfa.accepting)]
    return {"alphabet": list(dfa.alphabet), "initial": names[dfa.initial], "accepting": accepting, "transitions": rows}


def sorted_symbols(symbols: Iterable[str]) -> tuple[str, ...]:
    """The set of symbols in order; checked first, because values of different types cannot be sorted."""
    return tuple(sorted(check_alphabet(dict.fromkeys(symbols))))


def state_name(state: object) -> str:
    """``str``, except that sets are written in sorted order: their own order depends on the hash seed."""
    if isinstance(state, (set, frozenset)):
        return "{" + ", ".join(sorted(map(state_name, state))) + "}"
    if type(state) is tuple:
        return "(" + ", ".join(map(state_name, state)) + ")"
    return str(state)


def unique_names(names: Iterable[str]) -> list[str]:
    """The names, with primes added to the later ones of those that clash with a name before them."""
    taken: set[str] = set()
    result = []
    for name in names:
        while name in taken:
            name += "'"
        taken.add(name)
        result.append(name)
    return result


def need_hashable(state: object, where: str) -> None:
    """:class:`LanguageFormatError` for a state that cannot be a key; ``where`` says where it stands."""
    try:
        hash(state)
    except TypeError:
        raise LanguageFormatError(
            f"{where} is {kind(state)}, {state!r}; give one hashable state (a nondeterministic automaton has to be "
            "made deterministic first)"
        ) from None


def kind(value: object) -> str:
    """What a value is, in the words of JSON where it has one."""
    words = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    words |= {list: "a list", tuple: "a list", dict: "an object"}
    return words.get(type(value), f"a {type(value).__name__}")
