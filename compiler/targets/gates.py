"""Which gates a compiled model may use, and what is said when none of them suffice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ...automata.decide.aperiodic import NotStarFreeError, Witness
from ...automata.errors import ScancraftError

Gates = Literal["nonnegative", "signed", "reflections"]
GATES: tuple[Gates, ...] = ("nonnegative", "signed", "reflections")
"""The gates that can be compiled to, weakest first: the classes of ``automata.classification`` that have a target."""


class UnknownGatesError(ScancraftError):
    """Gates were asked for that no target has."""


class GateClassError(NotStarFreeError):
    """A language needs gates that were not allowed; carries the :class:`Witness` that it is not star-free.

    Attributes:
        gates: the class of gates that it needs.
        reason: why no weaker class suffices.
    """

    def __init__(self, witness: Witness, alphabet: Sequence[str], gates: str, reason: str) -> None:
        super().__init__(witness, alphabet)
        self.args = (witness, alphabet, gates, reason)  # so that the error survives pickling
        self.gates, self.reason = gates, reason

    def __str__(self) -> str:
        needs = (
            "no diagonal gates suffice for the language at finite precision"
            if self.gates == "unsolvable"
            else f"the language needs {self.gates} gates"
        )
        return (
            f"{needs}, and the gates or the target that were asked for have none but real ones: {self.reason}. Ask for "
            "neither: then the language is compiled to OLMo Hybrid, whose reflections suffice"
        )

    def as_json(self) -> dict[str, object]:
        """See the base class; also the class of gates and the reason."""
        return {**super().as_json(), "gates": self.gates, "reason": self.reason}


def check_gates(gates: str) -> None:
    """Raise :class:`UnknownGatesError` unless there is a target with these gates."""
    if gates not in GATES:
        raise UnknownGatesError(f"gates {gates!r} are unknown; use one of {', '.join(GATES)}")
