r"""Graphviz DOT as LearnLib, AALpy, the automata wiki, automata-lib and pyformlang write it.

States are nodes; accepting is what has the shape ``doublecircle`` or two ``peripheries``. The initial state is the one
that an edge without label leads to from a node that is no state (of shape ``none`` or ``point``, or invisible, or
called ``__start0``), or that has ``is_start=True``. An edge reads its label, one symbol; a line break in a label
(``\n``) parts several, and so does a comma in the drawings of automata-lib. ``ε``, ``ɛ``, ``λ`` and ``epsilon`` are the
empty word.

Labels ``a / 1`` are, if no state accepts, those of a Mealy machine, and ``q|1`` in a record that of a state of a Moore
machine; which outputs accept has to be said (``Options.accepting_outputs``). The attribute ``symbol`` of an edge, which
we write where a label would be read otherwise, is a symbol with Python's escapes; so is ``output`` of a node a class.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

from lark import Lark, Token, Tree, UnexpectedInput

from ..deterministic import Deterministic
from ..dfa import Dfa
from ..errors import LanguageFormatError
from ..moore import Moore
from .nfa import Move, Nfa
from .outputs import mealy_of_moves, moore_of_moves
from .reading import AS_WRITTEN, Options, accepted_by_output, accepting_states, check_moves

EPSILONS = frozenset({"ε", "ɛ", "λ", "epsilon"})

_STARTS = re.compile(r"_*(start|init)\w*\Z", re.IGNORECASE)
_NO_STATE = frozenset({"none", "point", "plaintext", "plain"})
_LOOKS = re.compile(r"(\s|//[^\n]*\n|/\*.*?\*/|#[^\n]*\n)*+(strict\s+)?(di)?graph\b", re.IGNORECASE | re.DOTALL)
_LISTED = re.compile(r"\w+(\s*,\s*\w+)+")
"""A label that may be a list of symbols."""
_IN_RECORDS = re.compile(r"[|{}<>]")
"""What means something in the label of a record, unless a backslash stands before it."""
_PLAIN = re.compile(r"[^\s\"\\/,|<>{}]+\Z")


def looks_like_dot(text: str) -> bool:
    """Whether it begins as a graph does."""
    return _LOOKS.match(text) is not None


@dataclass(frozen=True)
class _Graph:
    """What a file says: the attributes of its nodes, and its edges with theirs."""

    nodes: dict[str, dict[str, str]] = field(default_factory=dict)
    edges: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)


def read_dot(text: str, options: Options = AS_WRITTEN) -> Nfa:
    """Read an automaton; see the module.

    Raises:
        LanguageFormatError: not DOT, an undirected graph, no initial state or no label where one has to be, or outputs
            that were not asked for.
        AlphabetError: a symbol that cannot be used.
    """
    found = _read(text)
    moves, initial, accepting = found.moves, found.initial, found.accepting
    if found.mealy:
        moves, initial, accepting = accepted_by_output(found.mealy, initial, options)
    if found.outputs:
        accepting = accepting_states(found.outputs, options)
    return Nfa.of(initial, accepting, moves, states=found.states)


def read_dot_machine(text: str) -> Moore | None:
    """The machine with outputs that is drawn, Moore's or Mealy's; None if it is an acceptor.

    Raises:
        LanguageFormatError: as for :func:`read_dot`, or for :func:`~.outputs.moore_of_moves`.
        AlphabetError: a symbol or an output that cannot be used.
    """
    found = _read(text)
    if not (found.mealy or found.outputs):
        return None
    if found.mealy:
        return mealy_of_moves(found.initial, found.mealy)
    return moore_of_moves(found.initial, found.moves, found.outputs)


@dataclass(frozen=True)
class _Drawn:
    """What a graph says as an automaton.

    Attributes:
        states: in order.
        initial: where words begin.
        accepting: the states that are drawn so.
        moves: the transitions.
        mealy: source, symbol, output and target of each, if it is a Mealy machine.
        outputs: of each state, if it is a Moore machine.
    """

    states: list[str]
    initial: list[str]
    accepting: list[str]
    moves: list[Move]
    mealy: list[tuple[str, str, str, str]]
    outputs: dict[str, str]


def _read(text: str) -> _Drawn:
    graph = _parsed(text)
    starts, initial = _starts(graph)
    states = [name for name in graph.nodes if name not in starts]
    accepting = [q for q in states if _accepts(graph.nodes[q])]
    moves: list[Move] = []
    mealy: list[tuple[str, str, str, str]] = []
    commas = any(source in starts and data.get("tooltip", "").startswith("->") for source, _, data in graph.edges)
    for source, target, data in graph.edges:
        if source in starts:
            continue
        for symbol, exactly in _symbols(source, target, data, commas):
            moves.append((source, symbol, target))
            if not exactly and symbol is not None and (parts := _split_output(symbol)) is not None:
                mealy.append((source, *parts, target))
    # An acceptor may have labels with a "/" as well; but one of them has none, or some state accepts.
    given = mealy if len(mealy) == len(moves) and not accepting else []
    outputs = {q: output for q in states if (output := _record_output(graph.nodes[q])) is not None}
    return _Drawn(states, initial, accepting, moves, given, outputs if len(outputs) == len(states) else {})


# -- what the graph means --------------------------------------------------------------------------------------------


def _starts(graph: _Graph) -> tuple[set[str], list[str]]:
    """The nodes that only mark where to begin, and the initial states."""
    entered = {target for _, target, _ in graph.edges}
    labelled = {source for source, _, data in graph.edges if data.get("label", "").strip() or "symbol" in data}
    marks: set[str] = set()
    for name, data in graph.nodes.items():
        shape = data.get("shape", "").lower()
        unseen = shape in _NO_STATE or "invis" in data.get("style", "")
        if name not in entered and name not in labelled and (unseen or (_STARTS.match(name) and "label" in data)):
            marks.add(name)
    named = [name for name, data in graph.nodes.items() if data.get("is_start", "").lower() == "true"]
    named += [target for source, target, _ in graph.edges if source in marks]
    if not named:
        raise LanguageFormatError(
            'no node is marked as the initial state; mark it as in: __start0 [shape=none label=""]; __start0 -> s0;'
        )
    return marks, list(dict.fromkeys(named))


def _accepts(data: dict[str, str]) -> bool:
    return (
        data.get("shape", "").lower() in ("doublecircle", "doubleoctagon")
        or data.get("peripheries", "") == "2"
        or data.get("is_final", "").lower() == "true"
    )


def _record_output(data: dict[str, str]) -> str | None:
    """The output of a state of a Moore machine, an attribute of this name or in the label, ``q|1``; or None."""
    if "output" in data:
        return _unescaped("output", data)
    _, bar, output = data.get("label", "").strip("{} ").partition("|")
    return output.strip() if bar and data.get("shape", "").lower() in ("record", "mrecord") else None


def _unescaped(key: str, data: dict[str, str]) -> str:
    """An attribute of ours, in which Python's escapes are read."""
    try:
        return data[key].encode("ascii", "backslashreplace").decode("unicode_escape")
    except UnicodeDecodeError:
        raise LanguageFormatError(f"the {key} {data[key]!r} has a broken escape") from None


def _symbols(source: str, target: str, data: dict[str, str], commas: bool) -> Iterator[tuple[str | None, bool]]:
    """What an edge reads, and whether it is to be taken as it is."""
    if "symbol" in data:
        yield _unescaped("symbol", data), True
        return
    found = [
        part.strip() for line in data.get("label", "").split("\n") for part in (line.split(",") if commas else [line])
    ]
    found = [part for part in found if part]
    if not found:
        raise LanguageFormatError(f"the edge from {source!r} to {target!r} has no label; write its symbol there, or ε")
    for part in found:
        if _LISTED.fullmatch(part):
            raise LanguageFormatError(
                f"the label {part!r} of the edge from {source!r} to {target!r} may be one or several; draw an edge "
                f"for each, or give the edge the attribute symbol={part!r}"
            )
        yield (None if part in EPSILONS else part), False


def _split_output(label: str) -> tuple[str, str] | None:
    """Input and output of a label ``a / 1`` or ``a/1``."""
    for between in (" / ", "/"):
        before, found, after = label.partition(between)
        if found and before.strip() and after.strip():
            return before.strip(), after.strip()
    return None


# -- the text --------------------------------------------------------------------------------------------------------


@cache
def _parser() -> Lark:
    return Lark.open("dot.lark", rel_to=__file__, parser="lalr")


def _parsed(text: str) -> _Graph:
    try:
        tree = _parser().parse("\n" + text)  # the line break lets a "#" line come first
    except UnexpectedInput as error:
        place = f"line {error.line - 1}, column {error.column}" if error.line and error.line > 0 else "the end"
        raise LanguageFormatError(f"not a graph in DOT: something else is expected at {place}") from None
    graph = _Graph()
    head = [token for token in tree.children if isinstance(token, Token) and token.type in ("GRAPH", "DIGRAPH")]
    if head[0].type == "GRAPH":
        raise LanguageFormatError("the graph is undirected; write digraph and ->")
    scopes: list[tuple[Iterator[object], dict[str, str], dict[str, str]]] = [(iter(tree.children), {}, {})]
    while scopes:
        statements, of_nodes, of_edges = scopes[-1]
        for statement in statements:
            if not isinstance(statement, Tree):
                continue
            if statement.data == "attributes":
                kind, given = statement.children[0], _attributes(statement)
                {"NODE": of_nodes, "EDGE": of_edges}.get(getattr(kind, "type", ""), {}).update(given)
            elif statement.data == "node":
                _node(graph, statement.children[0], of_nodes).update(_attributes(statement))
            elif statement.data == "subgraph":
                scopes.append((iter(statement.children), dict(of_nodes), dict(of_edges)))
                break
            elif statement.data == "edge":
                inner = [part for part in statement.children if isinstance(part, Tree) and part.data == "subgraph"]
                _edge(graph, statement, of_nodes, of_edges)
                if inner:
                    scopes += [(iter(part.children), dict(of_nodes), dict(of_edges)) for part in inner]
                    break
        else:
            scopes.pop()
    return graph


def _edge(graph: _Graph, statement: Tree[Token], of_nodes: dict[str, str], of_edges: dict[str, str]) -> None:
    ends = [part for part in statement.children if isinstance(part, Tree) and part.data in ("node_id", "subgraph")]
    groups = [[part] if part.data == "node_id" else list(part.find_data("node_id")) for part in ends]
    names = [list(dict.fromkeys(_name(part) for part in group)) for group in groups]
    for group in groups:
        for part in group:
            _node(graph, part, of_nodes)
    data = of_edges | _attributes(statement)
    for sources, targets in pairwise(names):
        check_moves(len(graph.edges) + len(sources) * len(targets))
        graph.edges.extend((source, target, data) for source in sources for target in targets)


def _node(graph: _Graph, part: object, defaults: dict[str, str]) -> dict[str, str]:
    assert isinstance(part, Tree)
    return graph.nodes.setdefault(_name(part), dict(defaults))


def _name(part: Tree[Token]) -> str:
    return _value(part.children[0])


def _attributes(statement: Tree[Token]) -> dict[str, str]:
    return {
        _value(attribute.children[0]): _value(attribute.children[1]) if len(attribute.children) > 1 else "true"
        for part in statement.children
        if isinstance(part, Tree) and part.data == "attribute_list"
        for attribute in part.children
        if isinstance(attribute, Tree)
    }


def _value(part: object) -> str:
    """What an identifier stands for, line breaks in labels included."""
    if isinstance(part, Tree):
        return "".join(map(_value, part.children))
    assert isinstance(part, Token)
    if part.type == "HTML":
        rows = re.sub(r"(?i)<br\s*/?>|</tr>", "\n", part[1:-1])
        return html.unescape(re.sub(r"<[^<>]*>", "", rows)).strip()
    if part.type != "QUOTED":
        return str(part)
    text = part[1:-1].replace("\\\n", "")
    return re.sub(r"\\([\s\S])", lambda found: {"n": "\n", "l": "\n", "r": "\n"}.get(found[1], _kept(found[1])), text)


def _kept(ch: str) -> str:
    """What a backslash and a character stand for in a label: quotes and backslashes lose it."""
    return ch if ch in '"\\' else "\\" + ch


# -- writing ---------------------------------------------------------------------------------------------------------


def write_dot_machine(machine: Moore) -> str:
    """A machine with outputs, as AALpy draws one of Moore's.

    Raises:
        LanguageFormatError: it says what may come next.
    """
    if machine.predicts:
        raise LanguageFormatError("the machine says what may come next, which such a drawing does not; write JSON")
    lines = ["digraph g {"]
    for q, (name, output) in enumerate(zip(machine.names, machine.outputs, strict=True)):
        plain = output.isprintable() and output == output.strip() and not set(name + output) & set("|{}<>\\")
        exact = "" if plain else f" output={_escaped(output)}"
        label = "|".join(_IN_RECORDS.sub(r"\\\g<0>", _quoted(part)[1:-1]) for part in (name, output))
        lines.append(f'  s{q} [shape=record label="{label}"{exact}];')
    return "\n".join([*lines, *_edges(machine), '  __start0 [label="" shape=none];', "  __start0 -> s0;", "}", ""])


def write_dot(dfa: Dfa) -> str:
    """The complete minimal DFA, as LearnLib draws one."""
    lines = ["digraph g {"]
    for q, name in enumerate(dfa.names):
        shape = "doublecircle" if q in dfa.accepting else "circle"
        lines.append(f"  s{q} [shape={shape} label={_quoted(name)}];")
    return "\n".join([*lines, *_edges(dfa), '  __start0 [label="" shape=none];', "  __start0 -> s0;", "}", ""])


def _edges(automaton: Deterministic) -> Iterator[str]:
    for q, row in enumerate(automaton.table):
        for symbol, target in zip(automaton.alphabet, row, strict=True):
            plain = _PLAIN.match(symbol) and symbol.isprintable() and symbol not in EPSILONS
            exact = "" if plain else f" symbol={_escaped(symbol)}"
            yield f"  s{q} -> s{target} [label={_quoted(symbol)}{exact}];"


def _quoted(text: str) -> str:
    shown = "".join(ch if ch.isprintable() else ch.encode("unicode_escape").decode("ascii") for ch in text)
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escaped(symbol: str) -> str:
    """A symbol for the attribute of that name: ASCII, with Python's escapes, whose backslashes DOT doubles."""
    ascii_only = symbol.encode("unicode_escape").decode("ascii")
    return '"' + ascii_only.replace("\\", "\\\\").replace('"', '\\"') + '"'
