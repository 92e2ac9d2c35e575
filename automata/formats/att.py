"""OpenFST's text form of an acceptor (AT&T's, as MLRegTest, HFST and foma write it too), and its symbol tables.

A line is ``source target label``, ``source target label label`` (a transducer that changes nothing), either with a
weight behind it, or ``state`` or ``state weight`` for an accepting state; the first line's first state is the initial
one. Fields are separated by tabs, or by blanks where a line has no tab. Weights are not read, except that ``Infinity``
means "not there". Epsilon is ``0`` where every label is a number and there is no symbol table, the symbol with number 0
of a table, and ``<eps>``, ``<epsilon>`` and HFST's ``@0@`` and ``@_EPSILON_SYMBOL_@``.

A symbol table has lines ``symbol number``. It stands beside the file, under the same name with ``.syms``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from ..dfa import Dfa
from ..errors import LanguageFormatError
from .nfa import Move, Nfa
from .reading import AS_WRITTEN, Options, lines_of, wrong

EPSILONS = frozenset({"<eps>", "<epsilon>", "@0@", "@_EPSILON_SYMBOL_@"})
SPELT = {"@_SPACE_@": " ", "@_TAB_@": "\t"}
"""HFST's names of what separates fields."""

_NUMBER = re.compile(r"[0-9]{1,18}\Z")


def looks_like_att(text: str) -> bool:
    """Whether the first line is one of an acceptor whose states are numbers."""
    fields = next((_fields(line) for _, line in lines_of(text)), [])
    n_states = 1 if len(fields) < 3 else 2
    return 1 <= len(fields) <= 5 and all(map(_NUMBER.match, fields[:n_states]))


def read_att(text: str, options: Options = AS_WRITTEN) -> Nfa:
    """Read an acceptor; see the module.

    Raises:
        LanguageFormatError: a line of another form, a label that the symbol table lacks, or a transducer.
        AlphabetError: a symbol that cannot be used.
    """
    arcs: list[tuple[int, str, str, list[str]]] = []
    accepting: list[str] = []
    initial: str | None = None
    for number, line in lines_of(text):
        fields = _fields(line)
        if len(fields) > 5 or "" in fields:
            raise wrong(number, f"{len(fields)} fields; a line is: source target label, or: state")
        initial = fields[0] if initial is None else initial
        if len(fields) > 2:
            arcs.append((number, fields[0], fields[1], fields[2:]))
        elif len(fields) == 1 or not math.isinf(_weight(number, fields[1])):
            accepting.append(fields[0])
    if initial is None:
        raise LanguageFormatError("there is no line; an acceptor has an initial state")
    pairs = _pairs(arcs)
    table = options.symbols
    numbers = table is None and all(_NUMBER.match(fields[0]) for _, _, _, fields in arcs)
    names = frozenset() if table is None else frozenset(table.values())
    moves: list[Move] = []
    for number, source, target, fields in arcs:
        label, *rest = fields
        if pairs and not rest:
            raise wrong(number, "one label; in other lines labels stand in pairs")
        if pairs and rest[0] != label:
            raise wrong(number, f"a transducer, {label!r} becomes {rest[0]!r}; give an acceptor (fstproject makes one)")
        if math.isinf(_weight(number, rest[pairs])) if len(rest) > pairs else False:
            continue
        moves.append((source, _symbol(number, label, table, names, numbers), target))
    alphabet = None if table is None else [SPELT.get(s, s) for i, s in sorted(table.items()) if i and s not in EPSILONS]
    return Nfa.of([initial], accepting, moves, alphabet=alphabet)


def _fields(line: str) -> list[str]:
    return line.split("\t") if "\t" in line.strip() else line.split()


def _weight(number: int, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise wrong(number, f"the weight {text[:40]!r} is no number") from None


def _pairs(arcs: list[tuple[int, str, str, list[str]]]) -> bool:
    """Whether labels stand in pairs: a fourth field is a label if each equals the third or one is no number."""
    fourth = [(fields[0], fields[1]) for _, _, _, fields in arcs if len(fields) > 1]
    if not fourth or len(fourth) < len(arcs):
        return bool(fourth) and any(len(fields) > 2 for _, _, _, fields in arcs)
    if any(len(fields) > 2 for _, _, _, fields in arcs) or all(a == b for a, b in fourth):
        return True
    return not all(re.fullmatch(r"-?(\d+(\.\d*)?([eE][-+]?\d+)?|Infinity|inf)", b) for _, b in fourth)


def _symbol(
    number: int, label: str, table: Mapping[int, str] | None, names: frozenset[str], numbers: bool
) -> str | None:
    if label in EPSILONS or (numbers and int(label) == 0):
        return None
    if table is None:
        return SPELT.get(label, label)
    if label not in names:
        key = int(label) if _NUMBER.match(label) else -1
        if key not in table:
            raise wrong(number, f"the label {label!r} is not in the symbol table")
        label = table[key]
    if label in EPSILONS or table.get(0) == label:
        return None
    return SPELT.get(label, label)


def read_symbols(text: str) -> dict[int, str]:
    """A symbol table: lines ``symbol number``.

    Raises:
        LanguageFormatError: a line of another form, or a symbol or number that occurs twice.
    """
    table: dict[int, str] = {}
    names: set[str] = set()
    for number, line in lines_of(text):
        fields = _fields(line)
        if len(fields) != 2 or not _NUMBER.match(fields[1]) or not fields[0]:
            raise wrong(number, "no line of a symbol table, which is: symbol number")
        if int(fields[1]) in table or fields[0] in names:
            raise wrong(number, f"the symbol {fields[0]!r} or its number {fields[1]} occurs twice")
        table[int(fields[1])] = fields[0]
        names.add(fields[0])
    return table


def write_att(dfa: Dfa) -> str:
    """The complete minimal DFA, states numbered from the initial one, 0.

    Raises:
        LanguageFormatError: a symbol that the format cannot hold.
    """
    names = [_spelt(symbol) for symbol in dfa.alphabet]
    lines = [
        f"{q}\t{target}\t{name}" for q, row in enumerate(dfa.table) for name, target in zip(names, row, strict=True)
    ]
    # Without any letter the first line has to name the initial state all the same.
    final = [f"{q}" for q in sorted(dfa.accepting)] if lines or dfa.accepting else ["0\tInfinity"]
    return "".join(f"{line}\n" for line in lines + final)


def write_symbols(dfa: Dfa) -> str:
    """Its symbol table, epsilon first."""
    rows = ["<eps>", *map(_spelt, dfa.alphabet)]
    return "".join(f"{name}\t{number}\n" for number, name in enumerate(rows))


def _spelt(symbol: str) -> str:
    back = {value: name for name, value in SPELT.items()}
    if symbol in back:
        return back[symbol]
    if symbol in EPSILONS or symbol in SPELT or symbol.split() != [symbol]:
        raise LanguageFormatError(
            f"the symbol {symbol!r} means something else in an OpenFST text, or parts fields; write another format"
        )
    return symbol
