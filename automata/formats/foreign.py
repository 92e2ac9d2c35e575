"""Automata in the forms of other libraries: networkx graphs, automata-lib, pyformlang and AALpy.

None of these libraries is imported to recognise its objects; they are told by the module of their class.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..budget import DEFAULT_BUDGET, Budget
from ..dfa import Dfa
from ..errors import LanguageFormatError
from ..moore import Moore
from ..search import numbered
from .nfa import Nfa
from .outputs import mealy, moore
from .tables import Delta, assemble, kind, need_hashable, sorted_symbols, state_name, to_json_dict, unique_names

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


def from_automata_lib(automaton: Any, budget: Budget = DEFAULT_BUDGET) -> Dfa:
    """From a ``DFA`` of automata-lib, complete or partial, or an ``NFA``, which is determinised. Symbols are sorted.

    Raises:
        LanguageFormatError: an object of another class, or symbols of one name.
        AlphabetError: a symbol that cannot be used.
        BudgetExceededError: more subsets of states than the budget allows.
    """
    if is_a(automaton, "automata.fa", "DFA"):
        delta = {q: dict(row) for q, row in automaton.transitions.items()}
        return _from_unordered(delta, automaton.initial_state, automaton.final_states, automaton.input_symbols)
    if not is_a(automaton, "automata.fa", "NFA"):
        raise LanguageFormatError(f"{class_name(automaton)} is neither a DFA nor an NFA of automata-lib")
    moves = [
        (source, None if symbol == "" else symbol, target)
        for source, row in automaton.transitions.items()
        for symbol, targets in row.items()
        for target in targets
    ]
    ends = automaton.final_states
    return _determinised([automaton.initial_state], ends, moves, automaton.states, automaton.input_symbols, budget)


def from_pyformlang(automaton: Any, budget: Budget = DEFAULT_BUDGET) -> Dfa:
    """From a finite automaton of pyformlang; without a start state it is the empty language.

    Args:
        automaton: a ``DeterministicFiniteAutomaton``, or a ``NondeterministicFiniteAutomaton`` or ``EpsilonNFA``, which
            are determinised.
        budget: of the subset construction.

    Raises:
        LanguageFormatError: an object of another class, or symbols of one name.
        AlphabetError: a symbol that cannot be used.
        BudgetExceededError: more subsets of states than the budget allows.
    """
    if not is_a(automaton, "pyformlang", "FiniteAutomaton"):
        raise LanguageFormatError(f"{class_name(automaton)} is no finite automaton of pyformlang")
    symbols = [symbol.value for symbol in automaton.symbols]
    starts, ends = ([state.value for state in some] for some in (automaton.start_states, automaton.final_states))
    if not is_a(automaton, "pyformlang", "DeterministicFiniteAutomaton"):
        moves = [
            (source.value, None if is_a(symbol, "pyformlang", "Epsilon") else symbol.value, target.value)
            for source, symbol, target in automaton
        ]
        return _determinised(starts, ends, moves, [state.value for state in automaton.states], symbols, budget)
    if not starts:
        return _from_unordered({"": {}}, "", [], symbols)
    delta: Delta = {state.value: {} for state in automaton.states}
    for source, symbol, target in automaton:
        _add_move(delta, source.value, symbol.value, target.value)
    return _from_unordered(delta, starts[0], ends, symbols)


def from_aalpy(automaton: Any) -> Dfa | Moore:
    """From a ``Dfa``, ``MooreMachine`` or ``MealyMachine`` of AALpy; the empty word of a Mealy machine has the class
    ``start`` (see :func:`~.outputs.mealy`).

    Raises:
        LanguageFormatError: an object of another class; an input that has no transition, of a machine with outputs; or
            inputs, or outputs, of one name.
        AlphabetError: an input or output that cannot be used.
    """
    states = automaton.states
    rows: dict[Hashable, dict[Any, Any]] = {
        state.state_id: {symbol: target.state_id for symbol, target in state.transitions.items()} for state in states
    }
    initial, symbols = automaton.initial_state.state_id, {symbol for row in rows.values() for symbol in row}
    if is_a(automaton, "aalpy", "Dfa"):
        return _from_unordered(rows, initial, [state.state_id for state in states if state.is_accepting], symbols)
    names = _symbol_names(symbols)
    if is_a(automaton, "aalpy", "MooreMachine"):
        outputs = {state.state_id: state.output for state in states}
        return moore(_renamed(rows, names), initial, outputs, alphabet=tuple(names.values()))
    if is_a(automaton, "aalpy", "MealyMachine"):
        steps = {
            state.state_id: {a: (target, state.output_fun[a]) for a, target in rows[state.state_id].items()}
            for state in states
        }
        return mealy(_renamed(steps, names), initial, alphabet=tuple(names.values()))
    raise LanguageFormatError(f"{class_name(automaton)} is no Dfa, MooreMachine or MealyMachine of AALpy")


def _from_unordered(
    delta: dict[Hashable, dict[Any, Hashable]], initial: Hashable, accepting: Iterable[Hashable], symbols: Iterable[Any]
) -> Dfa:
    """Assemble a table whose own order depends on the hash seed: breadth first, and the alphabet sorted."""
    names = _symbol_names(symbols)
    delta, alphabet = _renamed(delta, names), tuple(names.values())
    order, _ = numbered(initial, lambda q: [delta[q][s] for s in alphabet if s in delta.get(q, {})])
    seen = set(order)
    order += sorted((q for q in delta if q not in seen), key=state_name)
    return assemble({q: delta.get(q, {}) for q in order}, initial, accepting, alphabet)


def _renamed(rows: Mapping[Hashable, Mapping[Any, Any]], names: Mapping[Any, str]) -> dict[Hashable, dict[Any, Any]]:
    return {q: {names.get(symbol, symbol): step for symbol, step in row.items()} for q, row in rows.items()}


def _symbol_names(symbols: Iterable[Any]) -> dict[Any, str]:
    """The name of each symbol, itself or its text, in the order of the alphabet: that of numbers, else of names.

    Raises:
        LanguageFormatError: two symbols of one name.
    """
    given = list(dict.fromkeys(symbols))
    integers = all(type(symbol) is int for symbol in given)
    names = {symbol: state_name(symbol) for symbol in sorted(given, key=None if integers else state_name)}
    if len(set(names.values())) < len(names):
        texts = list(names.values())
        twice = next(text for i, text in enumerate(texts) if text in texts[:i])
        raise LanguageFormatError(f"two different symbols are called {twice!r}; rename one of both")
    return names


def _determinised(
    starts: Iterable[Hashable],
    accepting: Iterable[Hashable],
    moves: Iterable[tuple[Hashable, Any, Hashable]],
    states: Iterable[Hashable],
    symbols: Iterable[Any],
    budget: Budget,
) -> Dfa:
    """The language of moves, of which None reads nothing."""
    names = _symbol_names(symbols)
    order = sorted(dict.fromkeys((*states, *starts, *accepting)), key=state_name)
    called = dict(zip(order, unique_names(map(state_name, order)), strict=True))
    found = {(called[p], None if a is None else names[a], called[q]) for p, a, q in moves}
    return Nfa.of(
        sorted(called[q] for q in starts),
        sorted(called[q] for q in accepting),
        sorted(found, key=lambda move: (move[0], move[1] is not None, move[1] or "", move[2])),
        states=called.values(),
        alphabet=tuple(names.values()),
    ).dfa(budget)


def is_a(value: object, module: str, name: str) -> bool:
    """Whether a class of this name from this package is among the classes of ``value``; imports nothing."""
    return any(c.__name__ == name and _within(c.__module__, module) for c in type(value).__mro__)


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def class_name(value: object) -> str:
    """The full name of the class of a value, for messages."""
    return f"{type(value).__module__}.{type(value).__qualname__}"
