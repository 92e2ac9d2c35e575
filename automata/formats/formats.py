"""The ways in and out: JSON, Python dicts, networkx graphs, and the automata of other libraries."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from ..budget import DEFAULT_BUDGET, Budget
from ..dfa import Dfa
from ..errors import AlphabetError, BracketLanguageError, CounterLanguageError, LanguageFormatError
from ..moore import Moore
from .foreign import class_name, from_annotated_graph, is_a
from .foreign import from_aalpy as from_aalpy
from .foreign import from_automata_lib as from_automata_lib
from .foreign import from_networkx as from_networkx
from .foreign import from_pyformlang as from_pyformlang
from .foreign import to_networkx as to_networkx
from .json_nfa import nfa_from_json
from .reading import read_text
from .tables import assemble, delta_of, kind, sorted_symbols
from .tables import to_json_dict as to_json_dict

KEYS = ("alphabet", "initial", "accepting", "transitions")
"""The keys of the JSON format, all of them needed."""


# -- JSON ------------------------------------------------------------------------------------------------------------


def from_json(text_or_mapping: str | Mapping[str, object]) -> Dfa:
    """Read the JSON format, as text or already parsed.

    A list of states may stand in the place of a target, and of the initial state: then the automaton is determinised.

    The format is ``{"alphabet": ["a", ...], "initial": "q0", "accepting": ["q1", ...],
    "transitions": {"q0": {"a": "q1", ...}, ...}}``. A missing transition means rejection. A state has a row of its
    own, or is initial or accepting; a target that is none of these is taken for a misspelling. The names are kept as
    :attr:`Dfa.names`; a rejecting state that has to be added is called ``dead``, or ``dead'`` and so on where that name
    is taken. O(states * letters), and minimisation.

    Raises:
        LanguageFormatError: not JSON, a duplicate, missing or unknown key, a name that is not a string, a transition
            on a symbol outside the alphabet or to a state that is named nowhere else.
        AlphabetError: a symbol that cannot be used.

    >>> from_json('{"alphabet": ["a"], "initial": "p", "accepting": ["p"], "transitions": {}}').names
    ('p', 'dead')
    """
    data = parse_json_text(text_or_mapping) if isinstance(text_or_mapping, str) else text_or_mapping
    if not isinstance(data, Mapping):
        raise LanguageFormatError(f"the JSON value is {kind(data)}; give an object with the keys {', '.join(KEYS)}")
    nondeterministic = nfa_from_json(data)
    if nondeterministic is not None:
        return nondeterministic.dfa()
    unknown = [key for key in data if key not in KEYS]
    missing = [key for key in KEYS if key not in data]
    if unknown or missing:
        parts = [f"unknown keys {unknown}"] * bool(unknown) + [f"missing keys {missing}"] * bool(missing)
        raise LanguageFormatError(f"the description has {' and '.join(parts)}; the keys are exactly {', '.join(KEYS)}")
    alphabet, accepting, rows = data["alphabet"], data["accepting"], data["transitions"]
    if not isinstance(alphabet, (list, tuple)):
        raise LanguageFormatError(f'"alphabet" is {kind(alphabet)}; give a list of strings')
    if isinstance(accepting, str) or not isinstance(accepting, Collection) or isinstance(accepting, Mapping):
        raise LanguageFormatError(f'"accepting" is {kind(accepting)}; give a list of state names')
    if not isinstance(rows, Mapping):
        raise LanguageFormatError(f'"transitions" is {kind(rows)}; give an object from state to {{symbol: state}}')
    _need_string(data["initial"], '"initial"')
    for i, name in enumerate(accepting):
        _need_string(name, f'entry {i} of "accepting"')
    named = {data["initial"], *accepting, *rows}
    for source, row in rows.items():
        _need_string(source, 'a key of "transitions"')
        if not isinstance(row, Mapping):
            raise LanguageFormatError(f"the transitions of state {source!r} are {kind(row)}; give {{symbol: state}}")
        for symbol, target in row.items():
            _need_string(target, f"the target of state {source!r} on symbol {symbol!r}")
    found = assemble({q: dict(row) for q, row in rows.items()}, data["initial"], accepting, alphabet)
    for source, symbol, target in ((q, s, t) for q, row in rows.items() for s, t in row.items()):
        if target not in named:
            raise LanguageFormatError(
                f"state {source!r} goes on {symbol!r} to {target!r}, which is named nowhere else; correct the name "
                f'or give the state a row in "transitions", say {json.dumps({target: {}})}'
            )
    return found


def parse_json_text(text: str) -> Any:
    """The value of a JSON text; :class:`LanguageFormatError` if it is none, or has a key twice in one object."""
    try:
        # The last of two equal keys would win silently; a hook sees them both.
        return json.loads(text, object_pairs_hook=_no_duplicates)
    except json.JSONDecodeError as error:
        raise LanguageFormatError(
            f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}; correct the text there"
        ) from None
    except (RecursionError, ValueError) as error:
        raise LanguageFormatError(f"not a usable JSON text: {error}") from None


def read_json(path: str | os.PathLike[str]) -> Any:
    """The value in a JSON file (UTF-8).

    Raises:
        LanguageFormatError: the file cannot be read, or is not JSON without duplicate keys; the message names the file.
    """
    text = read_text(path)
    with naming(path):
        return parse_json_text(text)


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Put the name of a file before the message of whatever error its content causes."""
    try:
        yield
    except (LanguageFormatError, AlphabetError, CounterLanguageError, BracketLanguageError) as error:
        raise type(error)(f"{os.fspath(path)}: {error}") from None


def load_json(path: str | os.PathLike[str]) -> Dfa:
    """Read a JSON file (UTF-8).

    Raises:
        LanguageFormatError: the file cannot be read, or see :func:`from_json`; the message names the file.
        AlphabetError: a symbol that cannot be used.
    """
    data = read_json(path)
    with naming(path):
        return from_json(data)


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise LanguageFormatError(f"the key {key!r} occurs twice in one JSON object; keep one of them")
        found[key] = value
    return found


def _need_string(name: object, where: str) -> None:
    if not isinstance(name, str):
        raise LanguageFormatError(f"{where} is {kind(name)}, {name!r}; names of states are strings")


def from_dict(
    transitions: Mapping[Any, Any],
    initial: Hashable,
    accepting: Iterable[Hashable],
    alphabet: Sequence[str] | None = None,
) -> Dfa:
    """From a transition table as a Python dict.

    Args:
        transitions: ``{state: {symbol: state}}`` or ``{(state, symbol): state}``; states are any hashable values and
            are named by ``str``; what is missing means rejection.
        initial: the initial state.
        accepting: the accepting states.
        alphabet: the symbols in order; by default those that occur, sorted.

    Raises:
        LanguageFormatError: a table of another form, or a transition on a symbol outside the alphabet.
        AlphabetError: a symbol that cannot be used.

    >>> from_dict({0: {"a": 1}, 1: {"b": 0}}, initial=0, accepting=[0]).accepts("abab")
    True
    >>> from_dict({(0, "a"): 1, (1, "b"): 0}, 0, [0]) == from_dict({0: {"a": 1}, 1: {"b": 0}}, 0, [0])
    True
    """
    delta = delta_of(transitions)
    if isinstance(accepting, str) or not isinstance(accepting, Iterable):
        raise LanguageFormatError(f"the accepting states are {kind(accepting)}; give a list or set of states")
    if alphabet is None:
        alphabet = sorted_symbols(symbol for row in delta.values() for symbol in row)
    return assemble(delta, initial, accepting, alphabet)


def from_object(value: object, budget: Budget = DEFAULT_BUDGET) -> Dfa | Moore:
    """A mapping in the JSON format, a networkx graph with the graph attributes ``initial`` and ``accepting`` (and
    ``alphabet``, if it has one), or an automaton of automata-lib, pyformlang or AALpy; ``budget`` is for its subsets.

    Raises:
        LanguageFormatError: none of these, or one that is malformed.
        AlphabetError: a symbol that cannot be used.
        BudgetExceededError: more subsets of states than the budget allows.

    >>> from_object({"alphabet": ["a"], "initial": "p", "accepting": ["p"], "transitions": {"p": {"a": "p"}}}).n_states
    1
    """
    if isinstance(value, Mapping):
        return from_json(value)
    packages = {c.__module__.partition(".")[0] for c in type(value).__mro__}
    if "networkx" in packages and hasattr(value, "edges"):
        return from_annotated_graph(value)
    if is_a(value, "automata.fa", "FA"):
        return from_automata_lib(value, budget)
    if "pyformlang" in packages:
        return from_pyformlang(value, budget)
    if "aalpy" in packages and hasattr(value, "initial_state"):
        return from_aalpy(value)
    _refuse(value)


def _refuse(language: object) -> NoReturn:
    raise LanguageFormatError(
        f"{class_name(language)} does not describe a language here; give scancraft.regex(...), scancraft.named(...), a "
        "pathlib.Path of a JSON file, a mapping in the JSON format, a networkx graph, or an automaton of "
        "scancraft, automata-lib, pyformlang or AALpy"
    )
