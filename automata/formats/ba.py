"""RABIT's BA format: first the initial state, then lines ``symbol,source->target``, then the accepting states.

Without an initial state the source of the first transition is initial; without accepting states all are. Read over
finite words, as ``RABIT -finite`` does.
"""

from __future__ import annotations

import re

from ..dfa import Dfa
from ..errors import LanguageFormatError
from .nfa import Move, Nfa
from .reading import AS_WRITTEN, Options, lines_of, wrong

_STATE = re.compile(r"\s*\[[^][,\"{}]*\]\s*")


def looks_like_ba(text: str) -> bool:
    """Whether one of the first two lines is a transition and the other a state, or both are states in brackets."""
    first = ""
    for i, (_, line) in enumerate(lines_of(text)):
        if _arrow(line) is not None:
            return True
        if i == 1 and _STATE.fullmatch(first) and _STATE.fullmatch(line):
            return True
        first = line
        if i == 1 or re.search(r"[,\s\"{}]|->", line.strip()):
            return False
    return False


def read_ba(text: str, options: Options = AS_WRITTEN) -> Nfa:
    """Read an automaton; see the module.

    Raises:
        LanguageFormatError: a transition after an accepting state, two initial states, or no line.
        AlphabetError: a symbol that cannot be used.
    """
    before: list[str] = []
    after: list[str] = []
    moves: list[Move] = []
    for number, line in lines_of(text):
        arrow = _arrow(line)
        if arrow is None:
            (after if moves or before else before).append(line.strip())
        elif len(after) > 0:
            raise wrong(number, "a transition after an accepting state; list accepting states at the end")
        else:
            symbol, source, target = arrow
            moves.append((source.strip(), symbol if symbol.isspace() else symbol.strip(), target.strip()))
    if not before and not moves:
        raise LanguageFormatError("there is no line; an automaton has an initial state")
    initial = before[0] if before else moves[0][0]
    every = dict.fromkeys([initial, *(q for source, _, target in moves for q in (source, target))])
    return Nfa.of([initial], after or every, moves, states=every)


def _arrow(line: str) -> tuple[str, str, str] | None:
    """Symbol, source and target of a line that is a transition."""
    before, arrow, target = line.rpartition("->")
    symbol, comma, source = before.rpartition(",")
    return (symbol, source, target) if arrow and comma else None


def write_ba(dfa: Dfa) -> str:
    """The complete minimal DFA; without an accepting state one is added that nothing leads to.

    Raises:
        LanguageFormatError: a symbol with a line break, or with blanks around it.
    """
    for symbol in dfa.alphabet:
        if re.search(r"[\r\n]|,[^,]*->", symbol) or (symbol.strip() != symbol and not symbol.isspace()):
            raise LanguageFormatError(f"the symbol {symbol!r} cannot stand in a BA file; write another format")
    lines = ["[0]"]
    for q, row in enumerate(dfa.table):
        lines += [f"{symbol},[{q}]->[{target}]" for symbol, target in zip(dfa.alphabet, row, strict=True)]
    lines += [f"[{q}]" for q in sorted(dfa.accepting)] or [f"[{dfa.n_states}]"]
    return "\n".join([*lines, ""])
