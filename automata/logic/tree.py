"""Formulas of linear temporal logic as they are written: constants, atoms, and operators applied to formulas."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

FUTURE_UNARY: Final = {"X": "next", "N": "weak next", "F": "eventually", "G": "always"}
FUTURE_BINARY: Final = {"U": "until", "R": "release", "W": "weak until", "M": "strong release"}
PAST_UNARY: Final = {"Y": "yesterday", "Z": "weak yesterday", "O": "once", "H": "historically"}
PAST_BINARY: Final = {"S": "since", "T": "triggered by"}
FUTURE: Final = FUTURE_UNARY | FUTURE_BINARY
PAST: Final = PAST_UNARY | PAST_BINARY
BOOLEAN: Final = {"!": "not", "&": "and", "|": "or", "->": "implies", "<->": "iff", "^": "xor"}
CONSTANTS: Final = ("true", "false", "first", "last")

DEEPEST: Final = 200
"""How deeply operators may stand inside each other."""

_PLAIN = re.compile(r"[^\WFGHMNORSTUWXYZ]\w*")
_WORDS: Final = {
    *CONSTANTS,
    *("tt", "ff", "not", "and", "or", "implies", "iff", "xor", "next", "weak_next", "eventually", "finally", "always"),
    *("globally", "until", "release", "releases", "weak_until", "strong_release", "yesterday", "weak_yesterday"),
    *("once", "historically", "since", "triggered", "triggers"),
}
"""What stands for something, and has to be quoted as a symbol."""
_ESCAPES: Final = {"\\": "\\\\", "'": "\\'", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


@dataclass(frozen=True)
class Constant:
    """``true``, ``false``, ``first`` (the first position of the word) or ``last`` (its last one)."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Atom:
    """A letter of the alphabet (it is the one at this position), or a proposition (the letter here has it)."""

    name: str

    def __str__(self) -> str:
        if _PLAIN.fullmatch(self.name) and self.name not in _WORDS:
            return self.name
        return "'" + "".join(_ESCAPES.get(ch, ch) for ch in self.name) + "'"


@dataclass(frozen=True)
class Operation:
    """An operator, one of ``BOOLEAN``, ``FUTURE``, ``PAST``, and what it is applied to.

    Attributes:
        operator: its sign.
        parts: two or more for ``&`` and ``|``, else one or two.
        column: where the operator stands in the text, from 1; 0 if there is none. It makes no difference to equality.
    """

    operator: str
    parts: tuple[Formula, ...]
    column: int = 0

    @cached_property
    def depth(self) -> int:
        """How deeply operators stand inside each other, this one included."""
        return 1 + max((part.depth for part in self.parts if isinstance(part, Operation)), default=0)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Operation) and (self.operator, self.parts) == (other.operator, other.parts)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.operator, self.parts))

    @cached_property
    def looks_ahead(self) -> bool:
        """Whether there is a future in it: a future operator, or ``last``."""
        return self.operator in FUTURE or any(map(looks_ahead, self.parts))

    def __str__(self) -> str:
        inner = [f"({p})" if isinstance(p, Operation) and len(p.parts) > 1 else str(p) for p in self.parts]
        if len(inner) == 1:
            return f"{self.operator}{' ' * self.operator.isalpha()}{inner[0]}"
        return f" {self.operator} ".join(inner)


Formula = Constant | Atom | Operation


def looks_ahead(formula: Formula) -> bool:
    """Whether there is a future in a formula."""
    return formula.looks_ahead if isinstance(formula, Operation) else formula == Constant("last")


def walk(formula: Formula) -> Iterator[Formula]:
    """The formula and all subformulas, each as often as it stands there, from left to right."""
    todo: list[Formula] = [formula]
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, Operation):
            todo += reversed(node.parts)
