"""The exceptions of scancraft: one type per cause, all under :class:`ScancraftError`.

A message says what was wrong, where, and what to do about it; the command line prints it as one line and
exits with ``exit_code``.
"""

from __future__ import annotations


class ScancraftError(Exception):
    """Base of every error that scancraft raises on purpose.

    ``exit_code`` is what the command line returns: 2 for bad input, 3 for "undecided".
    """

    exit_code = 2

    def as_json(self) -> dict[str, object]:
        """The facts of the error, as the command line prints them under ``--json``."""
        return {"error": self.title, "message": str(self)}

    @property
    def title(self) -> str:
        """A short name of the cause."""
        return type(self).__name__.removesuffix("Error")


class AlphabetError(ScancraftError):
    """An alphabet or one of its symbols cannot be used."""


class UnknownSymbolError(ScancraftError):
    """A word or expression uses a symbol that is not in the alphabet."""


class RegexSyntaxError(ScancraftError):
    """A regular expression cannot be parsed."""


class LtlSyntaxError(ScancraftError):
    """A formula of temporal logic cannot be parsed, or mixes past and future in a way that has no meaning here."""


class LanguageFormatError(ScancraftError):
    """A description of an automaton (JSON, table, graph, foreign object) is malformed."""


class BudgetExceededError(ScancraftError):
    """A search grew past the budget that the caller set; nothing was decided.

    Attributes:
        what: the thing that was being counted ("image sets", "subset states", "seconds", ...).
        reached: how many there were when the search stopped.
        limit: the budget.
    """

    exit_code = 3

    def __init__(self, what: str, reached: float, limit: float) -> None:
        self.what, self.reached, self.limit = what, reached, limit
        super().__init__(
            f"undecided: the search reached {reached:,g} {what}, past its budget of {limit:,g}; "
            "raise the budget or simplify the language"
        )

    def __reduce__(self) -> tuple[type[BudgetExceededError], tuple[str, float, float]]:
        return type(self), (self.what, self.reached, self.limit)

    def as_json(self) -> dict[str, object]:
        """See the base class."""
        facts = {"what": self.what, "reached": self.reached, "limit": self.limit}
        return {"error": "budget exceeded", "message": str(self), **facts}


class MissingExtraError(ScancraftError, ImportError):
    """A part of scancraft needs a package that is not installed."""


class EmptyLanguageError(ScancraftError):
    """A word of the empty language (or of one length that has none) was asked for."""


class CounterLanguageError(ScancraftError):
    """A counter machine is malformed, uses a test that is not allowed, or has configurations that lead nowhere."""


class BracketLanguageError(ScancraftError):
    """A bounded Dyck language that does not exist, or brackets that cannot be used."""


class CopyingLanguageError(ScancraftError):
    """Copying of no letters, of words of no letters, or with a separator that is a letter."""


class UnknownLanguageError(ScancraftError):
    """No language of the suite has this name."""


class AmbiguousLanguageError(ScancraftError):
    """A bare string may be meant as something else than a regular expression; the message says how to say which."""


class NotRegularError(ScancraftError):
    """A language that has no DFA was given where a regular one is needed."""
