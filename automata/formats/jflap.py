"""JFLAP's ``.jff``: a finite automaton, a Mealy or a Moore machine as XML.

An empty ``<read/>`` is epsilon; a longer one is read letter by letter, as JFLAP does, ``[a-z]`` being any of these.
JFLAP's letters are single characters. Documents with a type declaration, and so with entities of their own, are
refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers.expat import ExpatError, ParserCreate
from xml.sax.saxutils import escape, quoteattr

from ..alphabet import shown_text
from ..dfa import Dfa
from ..errors import LanguageFormatError
from ..moore import Moore
from .nfa import Move, Nfa
from .outputs import mealy_of_moves, moore_of_moves
from .reading import AS_WRITTEN, Options, accepted_by_output, accepting_states, check_moves

DEEPEST = 32
"""How deep elements may be nested; JFLAP needs five levels."""

_RANGE = re.compile(r"\[(.)-(.)\]\Z", re.DOTALL)
_XML_LETTER = re.compile("[\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]\\Z")


def looks_like_xml(text: str) -> bool:
    """Whether it begins with an angle bracket."""
    return text.lstrip()[:1] == "<"


def read_jflap(text: str, options: Options = AS_WRITTEN) -> Nfa:
    """Read an automaton; see the module.

    Raises:
        LanguageFormatError: no XML, one with a type declaration or nested too deeply, another kind of machine, a
            transition without ends, or outputs that were not asked for.
        AlphabetError: a symbol that cannot be used.
    """
    found = _parsed(text)
    if found.kind == "mealy":
        moves, initial, accepting = accepted_by_output(found.arcs, found.initial, options)
        names = (*found.states, *accepting)
        return Nfa.of(initial, accepting, _lettered(moves, names), states=found.states)
    ends = found.accepting if found.kind == "fa" else accepting_states(found.outputs, options)
    moves = [(source, read, target) for source, read, _, target in found.arcs]
    return Nfa.of(found.initial, ends, _lettered(moves, found.states), states=found.states)


def read_jflap_machine(text: str) -> Moore | None:
    """The machine with outputs of a file, Moore's or Mealy's; None if it has an acceptor.

    Raises:
        LanguageFormatError: as for :func:`read_jflap`, or for :func:`~.outputs.moore_of_moves`; or a transition that
            reads several letters in a row.
        AlphabetError: a symbol or an output that cannot be used.
    """
    found = _parsed(text)
    if found.kind == "fa":
        return None
    arcs = [(s, letter, out, t) for s, read, out, t in found.arcs for letter in _one_of(s, read)]
    if found.kind == "mealy":
        return mealy_of_moves(found.initial, arcs)
    return moore_of_moves(found.initial, [(s, letter, t) for s, letter, _, t in arcs], found.outputs)


def _one_of(source: str, reading: str) -> list[str]:
    """The letters that a transition reads one of."""
    if len(reading) > 1 and _RANGE.match(reading) is None:
        raise LanguageFormatError(f"a transition of state {source!r} reads {reading!r}, several letters in a row")
    return [symbol or "" for _, symbol, _ in _lettered([(source, reading, source)], ())]


@dataclass(frozen=True)
class _Parsed:
    """What a file says.

    Attributes:
        kind: "fa", "mealy" or "moore".
        states: in order.
        initial: where words begin.
        accepting: those that are marked so.
        outputs: of each state.
        arcs: source, what is read, output and target of each transition.
    """

    kind: str
    states: list[str]
    initial: list[str]
    accepting: list[str]
    outputs: dict[str, str]
    arcs: list[tuple[str, str, str, str]]


def _parsed(text: str) -> _Parsed:
    root = parse_xml(text)
    if root.tag != "structure":
        raise LanguageFormatError(f"the root element is <{root.tag[:40]}>; a JFLAP file has <structure>")
    kind = (root.findtext("type") or "").strip()
    if kind not in ("fa", "mealy", "moore"):
        raise LanguageFormatError(f"a JFLAP file of type {kind[:40]!r}; finite automata (fa), mealy and moore are read")
    body = root.find("automaton")
    body = root if body is None else body
    found = [(e.get("id"), e) for e in body.findall("state")]
    numbered = all(key is not None and key.isdigit() for key, _ in found)
    names = {key: f"q{key}" if numbered else key for key, _ in found if key is not None}
    if len(names) != len(found):
        raise LanguageFormatError("a state has no id, or one that another state has; give each its own")
    initial = [names[key] for key, e in found if key is not None and e.find("initial") is not None]
    if not initial:
        raise LanguageFormatError("no state is marked <initial/>; mark one")
    arcs = [
        (_end(e, "from", names), e.findtext("read") or "", e.findtext("transout") or "", _end(e, "to", names))
        for e in body.findall("transition")
    ]
    accepting = [names[key] for key, e in found if key is not None and e.find("final") is not None]
    outputs = {names[k]: e.findtext("output") or "" for k, e in found if k is not None}
    return _Parsed(kind, list(names.values()), initial, accepting, outputs, arcs)


def _end(transition: Element, tag: str, names: dict[str, str]) -> str:
    key = (transition.findtext(tag) or "").strip()
    if key not in names:
        raise LanguageFormatError(
            f"a transition has <{tag}>{shown_text(key[:40])}</{tag}>, which is the id of no state"
        )
    return names[key]


def _lettered(moves: list[Move], taken: Collection[str]) -> list[Move]:
    """Moves that read letters: longer readings get states in between, with names that no state has."""
    result: list[Move] = []
    mark = " "
    while any(mark in q for q in taken):
        mark += " "
    for number, (source, reading, target) in enumerate(moves):
        span = _RANGE.match(reading or "")
        if span is not None:
            if span[1] > span[2] or ord(span[2]) - ord(span[1]) > 10_000:
                raise LanguageFormatError(f"the range {reading!r} of a transition is empty or very large; write it out")
            check_moves(len(result) + ord(span[2]) - ord(span[1]))
            result += [(source, chr(code), target) for code in range(ord(span[1]), ord(span[2]) + 1)]
        elif not reading:
            result.append((source, None, target))
        else:
            between = [f"{source}{mark}{number}.{i}" for i in range(1, len(reading))]
            result += zip([source, *between], reading, [*between, target], strict=True)
    return result


def parse_xml(text: str) -> Element:
    """A document without a type declaration, no deeper than ``DEEPEST``.

    Raises:
        LanguageFormatError: it is none.
    """
    builder, parser, depth = TreeBuilder(), ParserCreate(), 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise LanguageFormatError(f"elements are nested deeper than {DEEPEST} levels; a JFLAP file needs five")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def declared(*_: object) -> None:
        raise LanguageFormatError(
            "the XML has a document type declaration (<!DOCTYPE ...>), where entities that grow without bound can be "
            "declared; a JFLAP file needs none, so remove it"
        )

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = builder.data, declared
    try:
        parser.Parse(text, True)
        return builder.close()
    except (ExpatError, UnicodeError) as error:
        raise LanguageFormatError(f"not XML: {error}; correct the text there") from None


def write_jflap(dfa: Dfa) -> str:
    """The complete minimal DFA, its states in a row.

    Raises:
        LanguageFormatError: a symbol that is not one character, or one that XML or JFLAP cannot hold.
    """
    for symbol in dfa.alphabet:
        if not _XML_LETTER.match(symbol):
            raise LanguageFormatError(
                f"the symbol {symbol!r} cannot stand in a JFLAP file, whose letters are single characters; "
                "write another format"
            )
    lines = ['<?xml version="1.0" encoding="UTF-8" standalone="no"?><!--Created with scancraft--><structure>']
    lines += ["\t<type>fa</type>", "\t<automaton>", "\t\t<!--The list of states.-->"]
    for q in range(dfa.n_states):
        marks = "<initial/>" * (q == 0) + "<final/>" * (q in dfa.accepting)
        lines.append(f'\t\t<state id="{q}" name={quoteattr(f"q{q}")}><x>{80 * q}.0</x><y>80.0</y>{marks}</state>')
    lines.append("\t\t<!--The list of transitions.-->")
    for q, row in enumerate(dfa.table):
        for symbol, target in zip(dfa.alphabet, row, strict=True):
            lines.append(f"\t\t<transition><from>{q}</from><to>{target}</to><read>{escape(symbol)}</read></transition>")
    return "\n".join([*lines, "\t</automaton>", "</structure>", ""])
