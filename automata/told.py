"""What a person called a language: it goes along with the value, and changes nothing else about it."""

from __future__ import annotations

from copy import copy
from typing import Literal, Self

Kind = Literal["regex", "ltl", "suite", "file"]


class Told:
    """A language that may know how a person named it; languages are equal or not whatever they are called.

    Attributes:
        source: the kind of name (an expression, a formula, a name of the suite, a file) and the name; None if it has
            none. Whatever is made of the language has none.
    """

    source: tuple[Kind, str] | None = None

    def told(self, kind: Kind, name: str) -> Self:
        """The same value with a name."""
        twin = copy(self)
        object.__setattr__(twin, "source", (kind, name))  # values are frozen
        return twin
