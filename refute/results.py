"""What ``scancraft.refute`` returns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Self

from ..automata.alphabet import format_word, said_and_right
from ..automata.cards import brief, card
from ..certify.certify import Certificate, Open, Refuted
from ..models.checkpoints.files import read_json, replace_file, write_json
from ..models.errors import CheckpointError
from .checker import counterexample
from .checker.claims import VERSION

KEYS = (
    *("verdict", "x", "w", "y", "period", "N", "word", "state_period", "joint_period", "offsets", "observed"),
    *("answers", "model", "right", "state", "claim", "dtype", "batch", "threads", "alignment", "implementation"),
    *("readout", "language", "weights", "leaps", "tokens_read", "seconds", "schema_version"),
)

SHOWN = 60
"""Symbols of a word that are printed."""


@dataclass(frozen=True)
class _Saved:
    """What is kept as JSON, for the checker.

    Attributes:
        content: that JSON.
    """

    content: dict[str, Any]

    verdict: ClassVar[str]
    version: ClassVar[int]
    keys: ClassVar[tuple[str, ...]]
    kind: ClassVar[str]

    @property
    def alphabet(self) -> tuple[str, ...]:
        """The symbols of its language.

        Raises:
            CheckpointError: it names no DFA.
        """
        about = self.content["language"]
        dfa = about.get("dfa", about.get("moore_machine")) if isinstance(about, dict) else None
        found = dfa.get("alphabet") if isinstance(dfa, dict) else None
        if not isinstance(found, (list, tuple)) or not all(isinstance(s, str) for s in found):
            raise CheckpointError(f"the {self.kind} names no DFA as its language; refute the model again")
        return tuple(found)

    def save(self, path: str | PathLike[str]) -> None:
        """Write it as JSON, for the checker.

        Raises:
            CheckpointError: the file cannot be written.
        """
        try:
            with replace_file(Path(path)) as fresh:
                write_json(fresh, self.content)
        except OSError as error:
            raise CheckpointError(f"cannot write {path}: {error.strerror}") from None

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read what :meth:`save` wrote; nothing is verified (``check_refutation`` does that).

        Raises:
            CheckpointError: it is something else.
        """
        content = read_json(Path(path))
        if not isinstance(content, dict) or content.get("verdict") != cls.verdict:
            raise CheckpointError(f"{path} is no {cls.kind}; give what `scancraft refute --out` wrote")
        if content.get("schema_version") != cls.version:
            raise CheckpointError(
                f"{path} has schema_version {content.get('schema_version')!r}, this version of scancraft reads "
                f"{cls.version}; refute the model again"
            )
        missing = [key for key in cls.keys if key not in content]
        if missing:
            raise CheckpointError(f"{path} misses the keys {missing}; refute the model again")
        return cls(content)

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return dict(self.content)


@dataclass(frozen=True)
class Refutation(_Saved):
    """A model is wrong after x w^n y for infinitely many n.

    The state after x w^n has the period ``state_period`` from n = ``start`` on, hence so have the model's answers after
    x w^n y, while the right ones have the period ``period``. For n >= ``start`` the model is wrong if n modulo
    ``joint_period`` is one of ``offsets``.

    Attributes:
        content: what :meth:`as_json` says, under the keys of docs/refutation.md.
    """

    verdict = "refuted"
    version = VERSION
    keys = KEYS
    kind = "refutation"

    @property
    def x(self) -> tuple[str, ...]:
        """Leads to the states that w permutes."""
        return tuple(self.content["x"])

    @property
    def w(self) -> tuple[str, ...]:
        """Permutes states of the minimal DFA."""
        return tuple(self.content["w"])

    @property
    def y(self) -> tuple[str, ...]:
        """Tells the states apart."""
        return tuple(self.content["y"])

    @property
    def period(self) -> int:
        """Of the language on x w^n y."""
        return int(self.content["period"])

    @property
    def start(self) -> int:
        """N: from here on the state after x w^n is periodic."""
        return int(self.content["N"])

    @property
    def state_period(self) -> int:
        """Of the recurrent state, in readings of w."""
        return int(self.content["state_period"])

    @property
    def joint_period(self) -> int:
        """The least common multiple of both periods."""
        return int(self.content["joint_period"])

    @property
    def offsets(self) -> tuple[int, ...]:
        """The residues of n, modulo ``joint_period``, at which the model is wrong from N on."""
        return tuple(self.content["offsets"])

    @property
    def word(self) -> tuple[str, ...]:
        """One word on which the model is wrong, the shortest seen."""
        return tuple(self.content["word"])

    @property
    def seconds(self) -> float:
        """How long it took, loading not counted."""
        return float(self.content["seconds"])

    def __repr__(self) -> str:
        return f"<Refutation: {brief(self.content['claim'], 120)}>"

    def _repr_html_(self) -> str:
        facts = {
            "claim": self.content["claim"],
            "x": _shown(self.x),
            "w": _shown(self.w),
            "y": _shown(self.y),
            "from n =": self.start,
            "the state comes back after so many w": self.state_period,
            "the right answer has period": self.period,
            "a wrong word": _shown(self.word),
            "dtype": self.content["dtype"],
        }
        return card("refuted", facts, verdict="fails")

    def __str__(self) -> str:
        content = self.content
        back = "every w" if self.state_period == 1 else f"every {self.state_period} w"
        return (
            f"refuted: {content['claim']}\n"
            f"x = {_shown(self.x)}, w = {_shown(self.w)}, y = {_shown(self.y)}: after x w^{self.start} the "
            f"recurrent state comes back with {back}, and the right answer has period {self.period}\n"
            f"{_wrong(self.word, content['model'], content['right'])}\n"
            f"{content['dtype']}, in batches of {content['batch']}; {content['tokens_read']:,} tokens read, "
            f"{self.seconds:.2f} s"
        )


@dataclass(frozen=True)
class Pattern:
    """Words x w^n y on which a model is wrong, for all large n or for all that were read.

    Attributes:
        x: leads to a state of the minimal DFA that w leads back to itself.
        w: the loop.
        y: what follows.
        first: the model is wrong from n = ``first`` on ...
        read_to: ... up to here, word by word ...
        repeats: ... and for ever, since after x w^n the recurrent state is the same from this n on; None if that was
            not reached.
    """

    x: tuple[str, ...]
    w: tuple[str, ...]
    y: tuple[str, ...]
    first: int
    read_to: int
    repeats: int | None

    def __str__(self) -> str:
        words = f"x = {_shown(self.x)}, w = {_shown(self.w)}, y = {_shown(self.y)}"
        if self.repeats is None:
            return (
                f"wrong on x w^n y for every n from {self.first:,} to {self.read_to:,}, the last that was read: {words}"
            )
        same = f"the recurrent state after x w^n is the same from n = {self.repeats:,} on"
        return f"wrong on x w^n y for every n >= {self.first:,}: {words}; {same}"


@dataclass(frozen=True)
class Counterexample(_Saved):
    """A model is wrong on a word, and perhaps on x w^n y for all large n.

    Attributes:
        content: what :meth:`as_json` says, under the keys of docs/refutation.md.
    """

    verdict = counterexample.VERDICT
    version = counterexample.VERSION
    keys = counterexample.KEYS
    kind = "counterexample"

    @property
    def word(self) -> tuple[str, ...]:
        """The shortest wrong word found."""
        return tuple(self.content["word"])

    @property
    def pattern(self) -> Pattern | None:
        """More wrong words, if there was a pattern."""
        given = self.content
        if given["w"] is None:
            return None
        x, w, y = (tuple(given[key]) for key in "xwy")
        return Pattern(x, w, y, int(given["first"]), int(given["read_to"]), given["N"])

    @property
    def seconds(self) -> float:
        """How long it took, loading not counted."""
        return float(self.content["seconds"])

    def __repr__(self) -> str:
        return f"<Counterexample: {brief(str(self), 120)}>"

    def _repr_html_(self) -> str:
        facts = {
            "word": _shown(self.word),
            "the model allows": " ".join(self.content["model"]) or "nothing",
            "the language allows": " ".join(self.content["right"]) or "nothing",
            "pattern": self.pattern,
            "dtype": self.content["dtype"],
        }
        return card("a counterexample", facts, verdict="fails")

    def __str__(self) -> str:
        content = self.content
        size = f" ({len(self.word):,} symbols)" if SHOWN >= len(self.word) > 8 else ""
        lines = [f"wrong on {_shown(self.word)}{size}: {said_and_right(content['model'], content['right'])}"]
        lines += [] if self.pattern is None else [str(self.pattern)]
        ways = " and ".join(content["ways"])
        read = f"{content['tokens_read']:,} tokens read, {self.seconds:.2f} s"
        return "\n".join([*lines, f"{content['dtype']}, confirmed {ways}; {read}"])


def load_saved(path: str | PathLike[str]) -> Refutation | Counterexample:
    """Read what ``save`` of either wrote; nothing is verified.

    Raises:
        CheckpointError: it is something else.
    """
    content = read_json(Path(path))
    is_word = isinstance(content, dict) and content.get("verdict") == Counterexample.verdict
    return Counterexample.load(path) if is_word else Refutation.load(path)


@dataclass(frozen=True)
class NotApplicable:
    """The theorem excludes nothing here.

    Attributes:
        reason: why.
        certified: what ``scancraft.certify`` says of the model instead.
        seconds: how long it took.
    """

    reason: str
    certified: Certificate | Refuted | Open
    seconds: float

    verdict = "not applicable"

    def as_json(self) -> dict[str, object]:
        """For machines."""
        empty: dict[str, object] = dict.fromkeys(("x", "w", "y", "period", "N", "word"))
        found = {"reason": self.reason, "certify": self.certified.as_json(), "seconds": round(self.seconds, 3)}
        return {"verdict": self.verdict, **empty, **found}

    def __repr__(self) -> str:
        return f"<NotApplicable: {brief(self.reason, 120)}>"

    def _repr_html_(self) -> str:
        return card("not applicable", {"reason": self.reason, "certify says": self.certified}, verdict="open")

    def __str__(self) -> str:
        return f"not applicable: {self.reason}\ncertify says: {self.certified}"


@dataclass(frozen=True)
class Unsettled:
    """Undecided: nothing was proved about infinitely many words within the budget.

    Attributes:
        reason: what still changed, for each w that was tried.
        word: a word on which the model is wrong all the same, if one was seen.
        model: the tokens that the model allows after it.
        right: the tokens that the language allows.
        tokens_read: how many tokens were read.
        seconds: how long it took.
    """

    reason: str
    word: tuple[str, ...] | None
    model: frozenset[str]
    right: frozenset[str]
    tokens_read: int
    seconds: float

    verdict = "undecided"

    def as_json(self) -> dict[str, object]:
        """For machines."""
        empty: dict[str, object] = dict.fromkeys(("x", "w", "y", "period", "N"))
        seen = self.word is not None
        return {
            "verdict": self.verdict,
            **empty,
            "word": list(self.word) if self.word is not None else None,
            "model": sorted(self.model) if seen else None,
            "right": sorted(self.right) if seen else None,
            "reason": self.reason,
            "tokens_read": self.tokens_read,
            "seconds": round(self.seconds, 3),
        }

    def __repr__(self) -> str:
        return f"<Unsettled: {brief(self.reason, 120)}>"

    def _repr_html_(self) -> str:
        seen = None if self.word is None else _wrong(self.word, self.model, self.right)
        return card("undecided", {"reason": self.reason, "seen": seen}, verdict="open")

    def __str__(self) -> str:
        wrong = "" if self.word is None else f"\n{_wrong(self.word, self.model, self.right)}"
        return f"undecided: {self.reason}{wrong}"


def _wrong(word: Sequence[str], model: Iterable[str], right: Iterable[str]) -> str:
    return f"the shortest wrong word seen is {_shown(word)}: {said_and_right(model, right)}"


def _shown(word: Sequence[str]) -> str:
    """A word for people, cut off if it is long."""
    if len(word) <= SHOWN:
        return repr(format_word(word, word))
    return f"{format_word(word[:SHOWN], word)!r}... ({len(word):,} symbols)"
