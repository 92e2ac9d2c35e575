"""The text form of VATA (``.vtf``) and mata (``.mata``): ``@NFA-explicit``, and lines ``source symbol target``.

``%Initial`` and ``%Final`` list states, ``%Alphabet`` (if it lists any) symbols, ``%States`` states; other keys say
nothing that is needed. Names with blanks stand in double quotes. Symbols that are formulas (``@NFA-bits``) and
alternating automata are refused.
"""

from __future__ import annotations

import re

from ..dfa import Dfa
from ..errors import LanguageFormatError
from .nfa import Move, Nfa
from .reading import AS_WRITTEN, Options, lines_of, wrong

_TOKEN = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|(#.*)|([^\s"#]+))')
_LOOKS = re.compile(r"(\s|#[^\n]*(\n|\Z))*+@[A-Za-z]")


def looks_like_mata(text: str) -> bool:
    """Whether the first line that is no comment begins with ``@``."""
    return _LOOKS.match(text) is not None


def read_mata(text: str, options: Options = AS_WRITTEN) -> Nfa:
    """Read an automaton; see the module.

    Raises:
        LanguageFormatError: another kind of section, more than one, or a line of another form.
        AlphabetError: a symbol that cannot be used.
    """
    kind: str | None = None
    listed: dict[str, list[str]] = {"Initial": [], "Final": [], "States": [], "Alphabet": []}
    moves: list[Move] = []
    for number, line in lines_of(text):
        fields = _tokens(number, line)
        if not fields:
            continue
        if fields[0].startswith("@") and line.lstrip()[:1] == "@":
            if kind is not None:
                raise wrong(number, "a second automaton; give a file with one")
            kind = fields[0][1:]
            if kind.upper() not in ("NFA", "NFA-EXPLICIT"):
                raise wrong(number, f"a section @{kind[:40]}; automata with explicit letters are read: @NFA-explicit")
        elif kind is None:
            raise wrong(number, "the file does not begin with @NFA-explicit")
        elif line.lstrip()[:1] == "%":
            key = fields[0][1:].partition("-")[0]
            if key in ("Initial", "Final") and "&" in fields:
                raise wrong(number, "an alternating automaton (a conjunction of states) is not read")
            listed.setdefault(key, []).extend(f for f in fields[1:] if f != "|")
        elif len(fields) != 3:
            raise wrong(number, f"{len(fields)} fields; a transition is: source symbol target")
        else:
            moves.append((fields[0], fields[1], fields[2]))
    if kind is None:
        raise LanguageFormatError("the file does not begin with @NFA-explicit")
    occurring = sorted({symbol for _, symbol, _ in moves if symbol is not None})
    alphabet = list(dict.fromkeys([*listed["Alphabet"], *occurring]))
    return Nfa.of(listed["Initial"], listed["Final"], moves, states=listed["States"], alphabet=alphabet)


def _tokens(number: int, line: str) -> list[str]:
    found, position, line = [], 0, line.rstrip()
    while position < len(line):
        match = _TOKEN.match(line, position)
        if match is None:
            raise wrong(number, "a double quote is not closed")
        if match[1] is not None:
            found.append(re.sub(r"\\(.)", r"\1", match[1]))
        elif match[3] is not None:
            found.append(match[3])
        position = match.end()
    return found


def write_mata(dfa: Dfa) -> str:
    """The complete minimal DFA.

    Raises:
        LanguageFormatError: a symbol with a line break or another control character.
    """
    for symbol in dfa.alphabet:
        if not symbol.isprintable():
            raise LanguageFormatError(f"the symbol {symbol!r} cannot stand in a mata file; write another format")
    names = [_quoted(symbol) for symbol in dfa.alphabet]
    final = " ".join(f"q{q}" for q in sorted(dfa.accepting))
    lines = ["@NFA-explicit", " ".join(["%Alphabet-enum", *names]), "%Initial q0", f"%Final {final}".rstrip()]
    for q, row in enumerate(dfa.table):
        lines += [f"q{q} {name} q{target}" for name, target in zip(names, row, strict=True)]
    return "\n".join([*lines, ""])


def _quoted(symbol: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_]+", symbol):
        return symbol
    return '"' + symbol.replace("\\", "\\\\").replace('"', '\\"') + '"'
