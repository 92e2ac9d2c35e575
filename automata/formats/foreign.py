"""Automata in the forms of other libraries: networkx graphs, and the DFAs of automata-lib and pyformlang.

None of these libraries is imported to recognise its objects; they are told by the module of their class.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..dfa import Dfa
from ..errors import LanguageFormatError
from ..search import numbered
from .tables import Delta, assemble, kind, need_hashable, sorted_symbols, state_name, to_json_dict

if TYPE_CHECKING:
    import networkx as nx


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
        raise LanguageFormatError(f"the accepting states are {kind(accepting)}; give a list or set of nodes")
    goals = list(accepting)
    for node in (initial, *goals):
        need_hashable(node, "an initial or accepting state")
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
                    f"the edge from {source!r} to {target!r} has the symbol {letter!r}, {kind(letter)}; "
                    "name symbols by strings"
                )
            _add_move(delta, source, letter, target)
    if alphabet is None:
        alphabet = sorted_symbols(letter for row in delta.values() for letter in row)
    return assemble(delta, initial, goals, alphabet)


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


def from_annotated_graph(graph: Any) -> Dfa:
    """The inverse of ``annotated_graph``; :class:`LanguageFormatError` for a graph that is not annotated so."""
    missing = [key for key in ("initial", "accepting") if key not in graph.graph]
    if missing:
        raise LanguageFormatError(
            f"the graph has no graph attribute {' and no '.join(map(repr, missing))}; "
            "set graph.graph[...] or call from_networkx(graph, initial, accepting)"
        )
    facts = graph.graph
    return from_networkx(graph, facts["initial"], facts["accepting"], alphabet=facts.get("alphabet"))


def from_automata_lib(dfa: Any) -> Dfa:
    """From a ``DFA`` of automata-lib, complete or partial. The alphabet is sorted.

    Raises:
        LanguageFormatError: an object of another class.
        AlphabetError: a symbol that cannot be used.
    """
    if not is_a(dfa, "automata.fa", "DFA"):
        raise LanguageFormatError(
            f"{class_name(dfa)} is not a DFA of automata-lib; make it one first (DFA.from_nfa for an NFA)"
        )
    delta = {q: dict(row) for q, row in dfa.transitions.items()}
    return _from_unordered(delta, dfa.initial_state, dfa.final_states, dfa.input_symbols)


def from_pyformlang(dfa: Any) -> Dfa:
    """From a ``DeterministicFiniteAutomaton`` of pyformlang; without a start state it is the empty language.

    Raises:
        LanguageFormatError: an object of another class.
        AlphabetError: a symbol that cannot be used.
    """
    if not is_a(dfa, "pyformlang", "DeterministicFiniteAutomaton"):
        raise LanguageFormatError(
            f"{class_name(dfa)} is not a DeterministicFiniteAutomaton of pyformlang; call its to_deterministic() first"
        )
    symbols = [symbol.value for symbol in dfa.symbols]
    starts = [state.value for state in dfa.start_states]
    if not starts:
        return _from_unordered({"": {}}, "", [], symbols)
    delta: Delta = {state.value: {} for state in dfa.states}
    for source, symbol, target in dfa:
        _add_move(delta, source.value, symbol.value, target.value)
    return _from_unordered(delta, starts[0], [state.value for state in dfa.final_states], symbols)


def _from_unordered(
    delta: dict[Hashable, dict[Any, Hashable]], initial: Hashable, accepting: Iterable[Hashable], symbols: Iterable[Any]
) -> Dfa:
    """Assemble a table whose own order depends on the hash seed: breadth first, and the alphabet sorted.

    If all symbols are integers they become their decimals, in the order of the numbers.
    """
    given = list(symbols)
    if all(type(symbol) is int for symbol in given):
        alphabet = tuple(map(str, sorted(given)))
        delta = {q: {str(symbol): target for symbol, target in row.items()} for q, row in delta.items()}
    else:
        alphabet = sorted_symbols(given)
    order, _ = numbered(initial, lambda q: [delta[q][s] for s in alphabet if s in delta.get(q, {})])
    seen = set(order)
    order += sorted((q for q in delta if q not in seen), key=state_name)
    return assemble({q: delta.get(q, {}) for q in order}, initial, accepting, alphabet)


def is_a(value: object, module: str, name: str) -> bool:
    """Whether a class of this name from this package is among the classes of ``value``; imports nothing."""
    return any(c.__name__ == name and _within(c.__module__, module) for c in type(value).__mro__)


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def class_name(value: object) -> str:
    """The full name of the class of a value, for messages."""
    return f"{type(value).__module__}.{type(value).__qualname__}"
