"""The ways in and out: JSON, Python dicts, networkx graphs, and the automata of other libraries.

None of the foreign libraries is imported to recognise its objects; they are told by the module of their class.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .alphabet import check_alphabet
from .dfa import Dfa
from .errors import AlphabetError, LanguageFormatError

if TYPE_CHECKING:
    import networkx as nx

KEYS = ("alphabet", "initial", "accepting", "transitions")
"""The keys of the JSON format, all of them needed."""

Delta = dict[Hashable, dict[str, Hashable]]
"""A partial transition function."""


# -- JSON ------------------------------------------------------------------------------------------------------------


def from_json(text_or_mapping: str | Mapping[str, object]) -> Dfa:
    """Read the JSON format, as text or already parsed.

    The format is ``{"alphabet": ["a", ...], "initial": "q0", "accepting": ["q1", ...],
    "transitions": {"q0": {"a": "q1", ...}, ...}}``. A missing transition means rejection. Every name that occurs
    anywhere is a state. The names are kept as :attr:`Dfa.names`; a rejecting state that has to be added is called
    ``dead``, or ``dead'`` and so on where that name is taken. O(states * letters), and minimisation.

    Raises:
        LanguageFormatError: not JSON, a duplicate, missing or unknown key, a name that is not a string, a transition
            on a symbol outside the alphabet.
        AlphabetError: a symbol that cannot be used.

    >>> from_json('{"alphabet": ["a"], "initial": "p", "accepting": ["p"], "transitions": {}}').names
    ('p', 'dead')
    """
    if isinstance(text_or_mapping, str):
        try:
            # The last of two equal keys would win silently; a hook sees them both.
            data = json.loads(text_or_mapping, object_pairs_hook=_no_duplicates)
        except json.JSONDecodeError as error:
            raise LanguageFormatError(
                f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}; correct the text there"
            ) from None
        except (RecursionError, ValueError) as error:
            raise LanguageFormatError(f"not a usable JSON text: {error}") from None
    else:
        data = text_or_mapping
    if not isinstance(data, Mapping):
        raise LanguageFormatError(f"the JSON value is {_kind(data)}; give an object with the keys {', '.join(KEYS)}")
    unknown = [key for key in data if key not in KEYS]
    missing = [key for key in KEYS if key not in data]
    if unknown or missing:
        parts = [f"unknown keys {unknown}"] * bool(unknown) + [f"missing keys {missing}"] * bool(missing)
        raise LanguageFormatError(f"the description has {' and '.join(parts)}; the keys are exactly {', '.join(KEYS)}")
    alphabet, accepting, rows = data["alphabet"], data["accepting"], data["transitions"]
    if not isinstance(alphabet, (list, tuple)):
        raise LanguageFormatError(f'"alphabet" is {_kind(alphabet)}; give a list of strings')
    if isinstance(accepting, str) or not isinstance(accepting, Collection) or isinstance(accepting, Mapping):
        raise LanguageFormatError(f'"accepting" is {_kind(accepting)}; give a list of state names')
    if not isinstance(rows, Mapping):
        raise LanguageFormatError(f'"transitions" is {_kind(rows)}; give an object from state to {{symbol: state}}')
    _need_string(data["initial"], '"initial"')
    for i, name in enumerate(accepting):
        _need_string(name, f'entry {i} of "accepting"')
    for source, row in rows.items():
        _need_string(source, 'a key of "transitions"')
        if not isinstance(row, Mapping):
            raise LanguageFormatError(f"the transitions of state {source!r} are {_kind(row)}; give {{symbol: state}}")
        for symbol, target in row.items():
            _need_string(target, f"the target of state {source!r} on symbol {symbol!r}")
    return _assemble({q: dict(row) for q, row in rows.items()}, data["initial"], accepting, alphabet)


def load_json(path: str | os.PathLike[str]) -> Dfa:
    """Read a JSON file (UTF-8).

    Raises:
        LanguageFormatError: the file cannot be read, or see :func:`from_json`; the message names the file.
        AlphabetError: a symbol that cannot be used.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise LanguageFormatError(f"{os.fspath(path)}: cannot be read ({error.strerror}); check the path") from None
    except UnicodeDecodeError as error:
        raise LanguageFormatError(f"{os.fspath(path)}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    try:
        return from_json(text)
    except (LanguageFormatError, AlphabetError) as error:
        raise type(error)(f"{os.fspath(path)}: {error}") from None


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


def save_json(dfa: Dfa, path: str | os.PathLike[str]) -> None:
    """Write the JSON format: to a temporary name beside ``path``, then renamed, so that no half file is ever seen.

    Raises:
        OSError: the file cannot be written.
    """
    target = Path(path)
    text = json.dumps(to_json_dict(dfa), indent=2, ensure_ascii=False) + "\n"
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        # A lone surrogate has no UTF-8; written with a backslash it is a valid JSON escape.
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise LanguageFormatError(f"the key {key!r} occurs twice in one JSON object; keep one of them")
        found[key] = value
    return found


def _need_string(name: object, where: str) -> None:
    if not isinstance(name, str):
        raise LanguageFormatError(f"{where} is {_kind(name)}, {name!r}; names of states are strings")


def _kind(value: object) -> str:
    """What a value is, in the words of JSON where it has one."""
    words = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    words |= {list: "a list", tuple: "a list", dict: "an object"}
    return words.get(type(value), f"a {type(value).__name__}")


# -- Python dicts ----------------------------------------------------------------------------------------------------


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
    if not isinstance(transitions, Mapping):
        raise LanguageFormatError(f"the transitions are {_kind(transitions)}; give a dict {{state: {{symbol: state}}}}")
    delta: Delta = {}
    if all(isinstance(row, Mapping) for row in transitions.values()):
        delta = {q: dict(row) for q, row in transitions.items()}
    else:
        for key, target in transitions.items():
            if isinstance(target, Mapping) or not (isinstance(key, tuple) and len(key) == 2):
                raise LanguageFormatError(
                    f"the entry {key!r}: {target!r} of the transitions fits neither form; "
                    "give {state: {symbol: state}} or {(state, symbol): state} throughout"
                )
            delta.setdefault(key[0], {})[key[1]] = target
    if isinstance(accepting, str) or not isinstance(accepting, Iterable):
        raise LanguageFormatError(f"the accepting states are {_kind(accepting)}; give a list or set of states")
    if alphabet is None:
        alphabet = _sorted_symbols(symbol for row in delta.values() for symbol in row)
    return _assemble(delta, initial, accepting, alphabet)


def _sorted_symbols(symbols: Iterable[str]) -> tuple[str, ...]:
    """The set of symbols in order; checked first, because values of different types cannot be sorted."""
    return tuple(sorted(check_alphabet(dict.fromkeys(symbols))))


def _assemble(delta: Delta, initial: Hashable, accepting: Iterable[Hashable], alphabet: Sequence[str]) -> Dfa:
    """Complete a partial table. States are numbered in the order in which the description first names them."""
    symbols = check_alphabet(alphabet)
    known = set(symbols)
    goals = list(accepting)
    for value, where in [(initial, "the initial state"), *((q, "an accepting state") for q in goals)]:
        _need_hashable(value, where)
    number: dict[Hashable, int] = {}
    for source, row in [(initial, {}), *delta.items()]:
        number.setdefault(source, len(number))
        for symbol, target in row.items():
            if symbol not in known:
                raise LanguageFormatError(
                    f"state {source!r} has a transition on {symbol!r}, which is not in the alphabet "
                    f"{{{', '.join(symbols)}}}; add the symbol or drop the transition"
                )
            _need_hashable(target, f"the target of state {source!r} on symbol {symbol!r}")
    # States that have no row of their own come after those that have, so that a listing keeps its order.
    for row in delta.values():
        for symbol in symbols:
            if symbol in row:
                number.setdefault(row[symbol], len(number))
    for q in sorted((q for q in set(goals) if q not in number), key=_name):
        number[q] = len(number)
    names = _unique_names([_name(q) for q in number])
    dead = len(number)
    table = [[number[row[s]] if s in row else dead for s in symbols] for row in (delta.get(q, {}) for q in number)]
    if any(dead in row for row in table):
        table.append([dead] * len(symbols))
        names = _unique_names([*names, "dead"])
    return Dfa.from_table(symbols, table, number[initial], [number[q] for q in goals], names)


def _need_hashable(state: object, where: str) -> None:
    try:
        hash(state)
    except TypeError:
        raise LanguageFormatError(
            f"{where} is {_kind(state)}, {state!r}; give one hashable state (a nondeterministic automaton has to be "
            "made deterministic first)"
        ) from None


def _name(state: object) -> str:
    """``str``, except that sets are written in sorted order: their own order depends on the hash seed."""
    if isinstance(state, (set, frozenset)):
        return "{" + ", ".join(sorted(map(_name, state))) + "}"
    if type(state) is tuple:
        return "(" + ", ".join(map(_name, state)) + ")"
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


# -- networkx --------------------------------------------------------------------------------------------------------


def from_networkx(
    graph: nx.DiGraph[Any] | nx.MultiDiGraph[Any],
    initial: Hashable,
    accepting: Iterable[Hashable],
    symbol: str = "symbol",
    alphabet: Sequence[str] | None = None,
) -> Dfa:
    """From a directed (multi)graph: nodes are states, edges are transitions.

    Args:
        graph: a ``DiGraph`` or ``MultiDiGraph``.
        initial: the node that is the initial state.
        accepting: the nodes that are accepting.
        symbol: the edge attribute that holds the symbol; a list, tuple or set there stands for several symbols.
        alphabet: the symbols in order; by default those that occur, sorted.

    Raises:
        LanguageFormatError: an undirected graph, an edge without a symbol, a node that is not there, or two edges
            from one state on one symbol.
        AlphabetError: a symbol that cannot be used.
    """
    if not graph.is_directed():
        raise LanguageFormatError("the graph is undirected; give a networkx DiGraph or MultiDiGraph")
    if isinstance(accepting, str) or not isinstance(accepting, Iterable):
        raise LanguageFormatError(f"the accepting states are {_kind(accepting)}; give a list or set of nodes")
    goals = list(accepting)
    for node in (initial, *goals):
        _need_hashable(node, "an initial or accepting state")
        if node not in graph:
            raise LanguageFormatError(f"state {node!r} is not a node of the graph; name initial and accepting nodes")
    delta: Delta = {node: {} for node in graph.nodes}
    for source, target, data in graph.edges(data=True):
        if symbol not in data:
            raise LanguageFormatError(
                f"the edge from {source!r} to {target!r} has no attribute {symbol!r}; put its symbol there"
            )
        value = data[symbol]
        several = list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]
        for letter in several:
            if not isinstance(letter, str):
                raise LanguageFormatError(
                    f"the edge from {source!r} to {target!r} has the symbol {letter!r}, {_kind(letter)}; "
                    "name symbols by strings"
                )
            _add_move(delta, source, letter, target)
    if alphabet is None:
        alphabet = _sorted_symbols(letter for row in delta.values() for letter in row)
    return _assemble(delta, initial, goals, alphabet)


def _add_move(delta: Delta, source: Hashable, symbol: str, target: Hashable) -> None:
    """Add a transition to a table; two different targets are an error."""
    known = delta.setdefault(source, {}).setdefault(symbol, target)
    if known != target:
        raise LanguageFormatError(
            f"nondeterministic: state {source!r} goes to both {known!r} and {target!r} on symbol {symbol!r}; "
            "make the automaton deterministic first"
        )


def to_networkx(dfa: Dfa) -> nx.MultiDiGraph[str]:
    """The complete minimal DFA as a graph that :func:`as_dfa` reads back.

    Nodes are the names of the states, with the attribute ``accepting``; every edge carries one ``symbol``; the graph
    has the attributes ``initial``, ``accepting`` and ``alphabet``.
    """
    import networkx as nx

    data = to_json_dict(dfa)
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph(**{key: data[key] for key in ("initial", "accepting", "alphabet")})
    for name in data["transitions"]:
        graph.add_node(name, accepting=name in data["accepting"])
    for source, row in data["transitions"].items():
        for symbol, target in row.items():
            graph.add_edge(source, target, symbol=symbol)
    return graph


# -- other libraries -------------------------------------------------------------------------------------------------


def from_automata_lib(dfa: Any) -> Dfa:
    """From a ``DFA`` of automata-lib, complete or partial. The alphabet is sorted.

    Raises:
        LanguageFormatError: an object of another class.
        AlphabetError: a symbol that cannot be used.
    """
    if not _is_a(dfa, "automata.fa", "DFA"):
        raise LanguageFormatError(
            f"{_class(dfa)} is not a DFA of automata-lib; make it one first (DFA.from_nfa for an NFA)"
        )
    delta = {q: dict(row) for q, row in dfa.transitions.items()}
    return _from_unordered(delta, dfa.initial_state, dfa.final_states, dfa.input_symbols)


def from_pyformlang(dfa: Any) -> Dfa:
    """From a ``DeterministicFiniteAutomaton`` of pyformlang; without a start state it is the empty language.

    Raises:
        LanguageFormatError: an object of another class.
        AlphabetError: a symbol that cannot be used.
    """
    if not _is_a(dfa, "pyformlang", "DeterministicFiniteAutomaton"):
        raise LanguageFormatError(
            f"{_class(dfa)} is not a DeterministicFiniteAutomaton of pyformlang; call its to_deterministic() first"
        )
    symbols = [symbol.value for symbol in dfa.symbols]
    starts = [state.value for state in dfa.start_states]
    if not starts:
        return Dfa.empty(_sorted_symbols(symbols))
    delta: Delta = {state.value: {} for state in dfa.states}
    for source, symbol, target in dfa:
        _add_move(delta, source.value, symbol.value, target.value)
    return _from_unordered(delta, starts[0], [state.value for state in dfa.final_states], symbols)


def _from_unordered(delta: Delta, initial: Hashable, accepting: Iterable[Hashable], symbols: Iterable[str]) -> Dfa:
    """Assemble a table whose own order depends on the hash seed: breadth first, and the alphabet sorted."""
    alphabet = _sorted_symbols(symbols)
    order = [initial]
    seen = {initial}
    for q in order:
        row = delta.get(q, {})
        for target in (row[s] for s in alphabet if s in row):
            if target not in seen:
                seen.add(target)
                order.append(target)
    order += sorted((q for q in delta if q not in seen), key=_name)
    return _assemble({q: delta.get(q, {}) for q in order}, initial, accepting, alphabet)


def _is_a(value: object, module: str, name: str) -> bool:
    """Whether a class of this name from this package is among the classes of ``value``; imports nothing."""
    return any(c.__name__ == name and _within(c.__module__, module) for c in type(value).__mro__)


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def _class(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


# -- one door --------------------------------------------------------------------------------------------------------


def as_dfa(language: object) -> Dfa:
    """Whatever describes a regular language, as a :class:`Dfa`.

    Args:
        language: a ``Dfa``; a ``str``, which is a regular expression; a ``pathlib.Path``, which is a JSON file; a
            mapping in the JSON format; a networkx graph with the graph attributes ``initial`` and ``accepting`` (and
            ``alphabet``, if it has one); a DFA of automata-lib or pyformlang.

    Raises:
        LanguageFormatError: none of these, or one that is malformed.
        RegexSyntaxError: a string that is not a regular expression.
        AlphabetError: a symbol that cannot be used.
        BudgetExceededError: a regular expression whose automaton is too large.

    >>> as_dfa({"alphabet": ["a"], "initial": "p", "accepting": ["p"], "transitions": {"p": {"a": "p"}}}).accepts("aa")
    True
    """
    if isinstance(language, Dfa):
        return language
    if isinstance(language, str):
        from .regex import parse_regex

        return parse_regex(language)
    if isinstance(language, Path):
        return load_json(language)
    if isinstance(language, Mapping):
        return from_json(language)
    packages = {c.__module__.partition(".")[0] for c in type(language).__mro__}
    if "networkx" in packages and hasattr(language, "edges"):
        return _from_annotated_graph(language)
    if _is_a(language, "automata.fa", "FA"):
        return from_automata_lib(language)
    if "pyformlang" in packages:
        return from_pyformlang(language)
    _refuse(language)


def _from_annotated_graph(graph: Any) -> Dfa:
    missing = [key for key in ("initial", "accepting") if key not in graph.graph]
    if missing:
        raise LanguageFormatError(
            f"the graph has no graph attribute {' and no '.join(map(repr, missing))}; "
            "set graph.graph[...] or call from_networkx(graph, initial, accepting)"
        )
    facts = graph.graph
    return from_networkx(graph, facts["initial"], facts["accepting"], alphabet=facts.get("alphabet"))


def _refuse(language: object) -> NoReturn:
    raise LanguageFormatError(
        f"{_class(language)} does not describe a language here; give a regular expression, a pathlib.Path of a JSON "
        "file, a mapping in the JSON format, a networkx graph, or a DFA of scancraft, automata-lib or pyformlang"
    )
