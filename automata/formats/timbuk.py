"""Timbuk's form of a tree automaton, read as one on words: letters have one argument, constants start a word.

``x -> q`` makes ``q`` initial, ``a(q) -> r`` is a move. Letters with more arguments are trees, and refused.
"""

from __future__ import annotations

import re

from ..dfa import Dfa
from ..errors import LanguageFormatError
from .nfa import Move, Nfa
from .reading import AS_WRITTEN, Options, lines_of, wrong

_HEADINGS = (r"Ops\b", r"\bAutomaton\s+\S+\s+States\b", r"\bFinal\s+States\b", r"\bTransitions\b")
_RULE = re.compile(r"\s*([^\s(]+)\s*(?:\(([^()]*)\))?\s*->\s*(\S+)\s*")


def looks_like_timbuk(text: str) -> bool:
    """Whether it begins with ``Ops``."""
    return re.match(r"\s*Ops\b", text) is not None


def read_timbuk(text: str, options: Options = AS_WRITTEN) -> Nfa:
    """Read an automaton; see the module.

    Raises:
        LanguageFormatError: the sections Ops, Automaton, States, Final States and Transitions are not there, or a rule
            of another form.
        AlphabetError: a symbol that cannot be used.
    """
    parts = [""]
    rest = text.lstrip()
    for heading in _HEADINGS:  # one after the other: a single pattern would try all ways to find them
        found = re.compile(heading).search(rest)
        if found is None or (heading is _HEADINGS[0] and found.start()):
            raise LanguageFormatError(
                "the sections Ops, Automaton NAME, States, Final States, Transitions are not there"
            )
        parts[-1:] = [rest[: found.start()], ""]
        rest = rest[found.end() :]
    ranks = [item.rpartition(":") for item in parts[1].split()]
    unary = [name for name, _, rank in ranks if rank == "1"]
    states, final = ([_state(item) for item in part.split()] for part in parts[2:4])
    initial: list[str] = []
    moves: list[Move] = []
    before = text.count("\n", 0, len(text) - len(rest))
    for number, line in lines_of(rest):
        rule = _RULE.fullmatch(line)
        if rule is None:
            raise wrong(before + number, "no rule, which is: symbol(state) -> state, or: symbol -> state")
        sources = [_state(part.strip()) for part in (rule[2] or "").split(",") if part.strip()]
        if len(sources) > 1:
            raise wrong(before + number, f"{rule[1]!r} has {len(sources)} arguments: an automaton on trees, not words")
        if sources:
            moves.append((sources[0], rule[1], _state(rule[3])))
        else:
            initial.append(_state(rule[3]))
    alphabet = list(dict.fromkeys([*unary, *sorted({symbol for _, symbol, _ in moves if symbol is not None})]))
    return Nfa.of(initial, final, moves, states=states, alphabet=alphabet)


def _state(text: str) -> str:
    """A state without the rank that some tools put behind it."""
    return re.sub(r":[0-9]+\Z", "", text)


def write_timbuk(dfa: Dfa) -> str:
    """The complete minimal DFA.

    Raises:
        LanguageFormatError: a symbol with other characters than letters, digits, ``_`` and ``-``.
    """
    for symbol in dfa.alphabet:
        if not re.fullmatch(r"[^\W]+(-\w+)*", symbol):
            raise LanguageFormatError(f"the symbol {symbol!r} cannot stand in a Timbuk file; write another format")
    start = "start"
    while start in dfa.alphabet:
        start += "_"
    ops = " ".join([*(f"{symbol}:1" for symbol in dfa.alphabet), f"{start}:0"])
    lines = [f"Ops {ops}", "", "Automaton A", " ".join(["States", *(f"q{q}" for q in range(dfa.n_states))])]
    lines += [" ".join(["Final States", *(f"q{q}" for q in sorted(dfa.accepting))]), "Transitions", f"{start} -> q0"]
    for q, row in enumerate(dfa.table):
        lines += [f"{symbol}(q{q}) -> q{target}" for symbol, target in zip(dfa.alphabet, row, strict=True)]
    return "\n".join([*lines, ""])
