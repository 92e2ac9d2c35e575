"""Transition tables with names for states, possibly partial: to a DFA and back, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from ..alphabet import check_alphabet
from ..dfa import Dfa
from ..errors import LanguageFormatError

Delta = dict[Hashable, dict[str, Hashable]]
"""A partial transition function."""


def assemble(delta: Delta, initial: Hashable, accepting: Iterable[Hashable], alphabet: Sequence[str]) -> Dfa:
    """Complete a partial table. States are numbered in the order in which the description first names them."""
    symbols = check_alphabet(alphabet)
    known = set(symbols)
    goals = list(accepting)
    for value, where in [(initial, "the initial state"), *((q, "an accepting state") for q in goals)]:
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
    for q in sorted((q for q in set(goals) if q not in number), key=state_name):
        number[q] = len(number)
    names = _unique_names([state_name(q) for q in number])
    dead = len(number)
    table = [[number[row[s]] if s in row else dead for s in symbols] for row in (delta.get(q, {}) for q in number)]
    if any(dead in row for row in table):
        table.append([dead] * len(symbols))
        names = _unique_names([*names, "dead"])
    return Dfa.from_table(symbols, table, number[initial], [number[q] for q in goals], names)


def to_json_dict(dfa: Dfa) -> dict[str, Any]:
    """The JSON format as a Python value: every state with all its transitions. Reading it back gives ``dfa``.

    Names that occur twice are told apart by primes.
    """
    names = _unique_names(dfa.names)
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


def _unique_names(names: Iterable[str]) -> list[str]:
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
