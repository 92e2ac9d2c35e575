"""HOA, the Hanoi format of omega-automata, read over finite words (http://adl.github.io/hoaf/).

The finite-word reading: a word is accepted if some run over it ends in a state of the accepting set of the condition
``Inf(0)`` (of ``t``: in any state, of ``f``: in none). It is a convention of this project, the usual one for LTLf; what
the automaton says about infinite words is another matter. Acceptance has to be on states.

A letter is a valuation of the atomic propositions, written as a conjunction, ``a&!b``: 2^n letters for n propositions
(``t`` for none). The header ``one-letter-at-a-time:``, which is ours, says that exactly one proposition holds at a
time; then the letters are the propositions. So can any DFA be written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedInput, v_args

from ..dfa import Dfa
from ..errors import LanguageFormatError
from .nfa import Move, Nfa
from .reading import AS_WRITTEN, Options, check_moves

MOST_PROPOSITIONS = 12
"""So that there are at most 4,096 letters."""

ONE_HOT = "one-letter-at-a-time:"

_TOKEN = re.compile(
    r'\s+|/\*[\s\S]*?\*/|(?P<token>"(?:[^"\\]|\\[\s\S])*"|--[A-Z]+--|@?[a-zA-Z_][0-9a-zA-Z_-]*:?|[0-9]+|[][{}()!&|])'
)
_LOOKS = re.compile(r"(\s|/\*[\s\S]*?\*/)*+HOA:")

_LABEL = """
?start: either
?either: both | either "|" both -> either
?both: one | both "&" one -> both
?one: "!" one -> without | "(" either ")"
    | INT -> proposition | ANAME -> alias | "t" -> true | "f" -> false
INT: /[0-9]+/
ANAME: /@[0-9a-zA-Z_-]+/
%ignore " "
"""


def looks_like_hoa(text: str) -> bool:
    """Whether it begins with the header ``HOA:``."""
    return _LOOKS.match(text) is not None


@v_args(inline=True)
class _Valuations(Transformer[Token, int]):
    """The value of a label: the letters that satisfy it, as a bitmask."""

    def __init__(self, everything: int, propositions: Sequence[int], aliases: dict[str, int]) -> None:
        super().__init__()
        self.everything, self.propositions, self.aliases = everything, propositions, aliases

    def either(self, first: int, second: int) -> int:
        return first | second

    def both(self, first: int, second: int) -> int:
        return first & second

    def without(self, inner: int) -> int:
        return self.everything & ~inner

    def true(self) -> int:
        return self.everything

    def false(self) -> int:
        return 0

    def proposition(self, token: Token) -> int:
        number = _number(token)
        if number >= len(self.propositions):
            raise LanguageFormatError(f"a label names the proposition {number}; there are {len(self.propositions)}")
        return self.propositions[number]

    def alias(self, token: Token) -> int:
        if str(token) not in self.aliases:
            raise LanguageFormatError(f"a label names the alias {token}, which is not defined before")
        return self.aliases[str(token)]


@dataclass
class _Header:
    """What stands before the body."""

    starts: list[list[str]] = field(default_factory=list)
    propositions: list[str] = field(default_factory=list)
    acceptance: list[str] = field(default_factory=list)
    aliases: list[list[str]] = field(default_factory=list)
    states: int | None = None
    one_hot: bool = False


def read_hoa(text: str, options: Options = AS_WRITTEN) -> Nfa:
    """Read an automaton; see the module.

    Raises:
        LanguageFormatError: not HOA, an alternating automaton, another acceptance condition, acceptance on
            transitions, or more than ``MOST_PROPOSITIONS`` propositions.
        AlphabetError: a symbol that cannot be used.
    """
    tokens = _tokens(text)
    if "--ABORT--" in tokens:
        raise LanguageFormatError("the automaton was aborted (--ABORT--); produce it again")
    if tokens.count("--BODY--") != 1 or tokens.count("--END--") != 1 or tokens[-1] != "--END--":
        raise LanguageFormatError("a file has one header, --BODY--, one body and --END--; give one automaton")
    middle = tokens.index("--BODY--")
    header = _header(tokens[:middle])
    letters, labels = _letters(header)
    accepting_set = _acceptance(header.acceptance)
    moves, accepting, named = _body(tokens[middle + 1 : -1], labels, letters, accepting_set)
    initial = []
    for start in header.starts:
        if len(start) != 1:
            raise LanguageFormatError("an alternating automaton (a conjunction of initial states) is not read")
        initial.append(f"{_number(start[0])}")
    return Nfa.of(initial, accepting, moves, states=named, alphabet=letters)


def _tokens(text: str) -> list[str]:
    found, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise LanguageFormatError(
                f"not HOA: unexpected {text[position]!r} in line {text.count(chr(10), 0, position) + 1}"
            )
        position = match.end()
        if match["token"] is not None:
            found.append(match["token"])
    return found


def _header(tokens: list[str]) -> _Header:
    header = _Header()
    items: list[list[str]] = []
    for token in tokens:
        if token.endswith(":") and token[0] != '"':
            items.append([token])
        elif items:
            items[-1].append(token)
    if not items or items[0] != ["HOA:", "v1"]:
        raise LanguageFormatError("the file does not begin with HOA: v1; other versions are not read")
    for name, *values in items[1:]:
        if name == "Start:":
            header.starts.append([v for v in values if v != "&"])
        elif name == "AP:":
            header.propositions = [v[1:-1].replace('\\"', '"').replace("\\\\", "\\") for v in values[1:]]
            if not values or _number(values[0]) != len(header.propositions) or any(v[0] != '"' for v in values[1:]):
                raise LanguageFormatError("the header AP: is not a number n and n propositions in double quotes")
        elif name == "Acceptance:":
            header.acceptance = values
        elif name == "Alias:" and len(values) > 1:
            header.aliases.append(values)
        elif name == ONE_HOT:
            header.one_hot = True
        elif name[0].isupper() and name not in ("States:", "Alias:"):
            raise LanguageFormatError(f"the header {name} changes the meaning of the automaton, and is not read")
    return header


def _letters(header: _Header) -> tuple[list[str], _Labels]:
    """The letters, and what labels mean over them."""
    names, n = header.propositions, len(header.propositions)
    if header.one_hot:
        letters, holds = names, [1 << i for i in range(n)]
    else:
        if n > MOST_PROPOSITIONS:
            raise LanguageFormatError(
                f"{n} propositions would be 2^{n} letters; at most {MOST_PROPOSITIONS} are read, so remove some"
            )
        rows = list(product((False, True), repeat=n))
        letters = ["&".join("!" * (not on) + name for on, name in zip(row, names, strict=True)) or "t" for row in rows]
        holds = [sum(1 << j for j, row in enumerate(rows) if row[i]) for i in range(n)]
    labels = _Labels(len(letters), holds)
    for name, *value in header.aliases:
        labels.aliases[name] = labels.value(value)
    return letters, labels


class _Labels:
    """Reads labels; the letters that satisfy one are a bitmask."""

    def __init__(self, n_letters: int, holds: Sequence[int]) -> None:
        self.aliases: dict[str, int] = {}
        self.everything = (1 << n_letters) - 1
        self._known: dict[str, int] = {}
        # With the transformer inside, the parser evaluates while it reads and builds no tree.
        self._parser = Lark(_LABEL, parser="lalr", transformer=_Valuations(self.everything, holds, self.aliases))

    def value(self, tokens: Sequence[str]) -> int:
        """The letters of a label between brackets."""
        text = " ".join(tokens)
        if text not in self._known:
            try:
                value: Any = self._parser.parse(text)
            except UnexpectedInput:
                raise LanguageFormatError(
                    f"the label [{text[:60]}] is no formula over numbers of propositions"
                ) from None
            self._known[text] = int(value)
        return self._known[text]


def _acceptance(tokens: list[str]) -> str:
    """The accepting set, "t" or "f"."""
    formula = "".join(tokens)
    if formula in ("0t", "0f"):
        return formula[1]
    if re.fullmatch(r"1Inf\(0\)", formula):
        return "0"
    raise LanguageFormatError(
        f"the acceptance condition {' '.join(tokens)[:60]!r} has no finite-word reading here; Inf(0), t and f have one"
    )


def _body(
    tokens: Sequence[str], labels: _Labels, letters: Sequence[str], accepting_set: str
) -> tuple[list[Move], list[str], list[str]]:
    """Moves, accepting states, and all states in order."""
    moves: list[Move] = []
    accepting: list[str] = []
    named: list[str] = []
    state_label: int | None = None
    implicit = 0
    i = 0

    def enclosed(opening: str, closing: str) -> list[str] | None:
        """The tokens between brackets here, if any; reading goes on behind them."""
        nonlocal i
        if i >= len(tokens) or tokens[i] != opening:
            return None
        try:
            end = tokens.index(closing, i)
        except ValueError:
            raise LanguageFormatError(f"a {opening!r} in the body is not closed") from None
        inner, i = list(tokens[i + 1 : end]), end + 1
        return inner

    def state() -> str:
        nonlocal i
        i += 1
        return f"{_number(tokens[i - 1] if i <= len(tokens) else 'the end')}"

    while i < len(tokens):
        if tokens[i] == "State:":
            i += 1
            label = enclosed("[", "]")
            state_label, implicit = (None if label is None else labels.value(label)), 0
            named.append(state())
            if i < len(tokens) and tokens[i][0] == '"':
                i += 1
            if accepting_set == "t" or accepting_set in (enclosed("{", "}") or ()):
                accepting.append(named[-1])
            elif i < len(tokens) and tokens[i] == "{":
                enclosed("{", "}")
            continue
        label = enclosed("[", "]")
        if not named:
            raise LanguageFormatError("the body does not begin with State:")
        target = state()
        if i < len(tokens) and tokens[i] == "&":
            raise LanguageFormatError("an alternating automaton (a conjunction of targets) is not read")
        if accepting_set == "0" and enclosed("{", "}"):
            raise LanguageFormatError("acceptance is on transitions; have the tool write it on states (autfilt -S)")
        enclosed("{", "}")
        if label is not None:
            mask = labels.value(label)
        elif state_label is not None:
            mask = state_label
        else:
            mask, implicit = 1 << implicit, implicit + 1  # edges without labels are for the letters in their order
            if implicit > len(letters):
                raise LanguageFormatError(f"state {named[-1]} has more edges without labels than there are letters")
        check_moves(len(moves) + mask.bit_count())
        moves += [(named[-1], letter, target) for j, letter in enumerate(letters) if mask >> j & 1]
    return moves, accepting, named


def _number(token: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", token):
        raise LanguageFormatError(f"{token[:40]!r} stands where a number should")
    return int(token)


def write_hoa(dfa: Dfa) -> str:
    """The complete minimal DFA; its letters are valuations if they are called so, else propositions, one at a time.

    Raises:
        LanguageFormatError: a symbol with a control character.
    """
    for symbol in dfa.alphabet:
        if not symbol.isprintable():
            raise LanguageFormatError(f"the symbol {symbol!r} cannot stand in an HOA file; write another format")
    propositions, labels, one_hot = _propositions(dfa.alphabet)
    names = " ".join('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in propositions)
    lines = ["HOA: v1", f"States: {dfa.n_states}", "Start: 0", f"AP: {len(propositions)} {names}".rstrip()]
    lines += [
        "acc-name: Buchi",
        "Acceptance: 1 Inf(0)",
        "properties: trans-labels explicit-labels state-acc deterministic complete",
    ]
    lines += [f"{ONE_HOT} t"] * one_hot + ["--BODY--"]
    for q, row in enumerate(dfa.table):
        lines.append(f"State: {q}" + " {0}" * (q in dfa.accepting))
        lines += [f"  [{label}] {target}" for label, target in zip(labels, row, strict=True)]
    return "\n".join([*lines, "--END--", ""])


def _propositions(alphabet: Sequence[str]) -> tuple[list[str], list[str], bool]:
    """The propositions, the label of each letter, and whether exactly one holds at a time."""
    first = alphabet[0].split("&") if alphabet else []
    names = [] if first in ([], ["t"]) else [literal.removeprefix("!") for literal in first]
    if len(alphabet) == 2 ** len(names) and len(names) <= MOST_PROPOSITIONS:
        number = (
            {"t": "t"}
            if not names
            else {
                "&".join("!" * (not on) + name for on, name in zip(row, names, strict=True)): "&".join(
                    "!" * (not on) + str(i) for i, on in enumerate(row)
                )
                for row in product((False, True), repeat=len(names))
            }
        )
        if set(number) == set(alphabet):
            return names, [number[letter] for letter in alphabet], False
    everything = range(len(alphabet))
    return list(alphabet), ["&".join("!" * (i != j) + str(i) for i in everything) for j in everything], True
