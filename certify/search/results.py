"""The verdicts of ``scancraft.certify``: a proof, a word that refutes, or neither."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...automata.alphabet import format_word, said_and_right
from ...automata.cards import brief, card, folded, table
from ...models.checkpoints.checkpoint import write_certificate

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Certificate:
    """A proof, for every word of every length, with what it rests on.

    Attributes:
        content: what ``certificate.json`` says: ``verdict``, ``claim``, ``method``, ``scope``, ``contract``,
            ``margin``, ``dtype``, ``batch``, ``implementation``, ``sha256``, ``readout``, ``language``, ``counts``,
            ``obligations``, for counters their ``limits``, and for formulas which subformula each of the ``memories``
            holds.
        evidence: the tensors of ``certificate.safetensors`` (``search.evidence``).
        seconds: how long it took, loading not counted.
    """

    content: dict[str, Any]
    evidence: dict[str, Tensor] = field(repr=False)
    seconds: float

    verdict = "certified"

    @property
    def scope(self) -> str:
        """ "every-implementation" or "step"."""
        return str(self.content["scope"])

    @property
    def margin(self) -> float:
        """The smallest |score - threshold|, and lead of a right class over all others, over all reachable read-outs."""
        return float(self.content["margin"])

    @property
    def _margin(self) -> str:
        what = "lead of the right class" if self.content["readout"].get("classes") else "|score|"
        return f"smallest {what} {self.margin:g}"

    def save(self, directory: str | PathLike[str]) -> None:
        """Write the certificate into a checkpoint directory."""
        write_certificate(Path(directory), self.content, self.evidence)

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {**self.content, "seconds": round(self.seconds, 3)}

    def __repr__(self) -> str:
        return f"<Certificate: certified, scope {self.scope}, {self._margin}, {self.content['dtype']}>"

    def _repr_html_(self) -> str:
        content = self.content
        facts = {"scope": self.scope, "claim": content["claim"], "method": content["method"], "dtype": content["dtype"]}
        limits = ", ".join(f"{name} {limit:,}" for name, limit in content.get("limits", {}).items())
        keys = [*content["obligations"][0]] if content["obligations"] else []
        rows = ([o.get(key, "") for key in keys] for o in content["obligations"])
        more = [folded(f"{len(content['obligations'])} obligations", table(keys, rows))] if keys else []
        if memories := content.get("memories"):
            held = ([m[key] for key in memories[0]] for m in memories)
            more.append(folded(f"{len(memories)} memories", table([*memories[0]], held)))
        return card("certified", facts | {"smallest |score|": self.margin, "limits": limits}, *more, verdict="holds")

    def __str__(self) -> str:
        content, counts = self.content, self.content["counts"]
        checked = [f"{counts['transitions']:,} transitions"] if counts["transitions"] else []
        if "nodes" in counts:
            checked.insert(0, f"{counts['nodes']:,} nodes")
        checked += [f"{counts['readouts']:,} cases"] if "limits" in content else []
        if "memories" in content:
            memories = "memory" if counts["memories"] == 1 else "memories"
            checked += [f"{counts['memories']:,} {memories}", f"{counts['readouts']:,} scores"]
        limits = ", ".join(f"{name} {limit:,}" for name, limit in content.get("limits", {}).items())
        held = sum(o["holds"] for o in content["obligations"])
        obligations = f"{held} of {len(content['obligations'])} obligations hold, " if content["obligations"] else ""
        return (
            f"certified, scope {self.scope}: {content['claim']}\n"
            f"{content['method']}: {' and '.join(checked)} checked, {self._margin}, "
            f"{obligations}{content['dtype']}, {self.seconds:.2f} s" + (f"\nlimits: {limits}" if limits else "")
        )


@dataclass(frozen=True)
class Refuted:
    """A word after which the model is wrong.

    Attributes:
        word: the symbols read.
        model: the tokens that the model allows next (``<eos>``: it accepts), and the class that it says, as a token.
        right: the tokens that the language allows, and the right class.
        shortest: whether every shorter word is known to be right.
        seconds: how long it took.
    """

    word: tuple[str, ...]
    model: frozenset[str]
    right: frozenset[str]
    shortest: bool
    seconds: float

    verdict = "counterexample"

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "verdict": self.verdict,
            "scope": None,
            "margin": None,
            "word": list(self.word),
            "model": sorted(self.model),
            "right": sorted(self.right),
            "shortest": self.shortest,
            "seconds": round(self.seconds, 3),
        }

    def __repr__(self) -> str:
        return f"<Refuted: {brief(str(self), 120)}>"

    def _repr_html_(self) -> str:
        facts = {
            "word": brief(format_word(self.word, self.word)) or "(the empty word)",
            "the model allows": " ".join(sorted(self.model)) or "nothing",
            "the language allows": " ".join(sorted(self.right)) or "nothing",
        }
        return card("a shortest counterexample" if self.shortest else "a counterexample", facts, verdict="fails")

    def __str__(self) -> str:
        kind = "a shortest counterexample" if self.shortest else "a counterexample (perhaps not a shortest one)"
        word = format_word(self.word, self.word)
        return f"{kind} is {word!r}: {said_and_right(self.model, self.right)}"


@dataclass(frozen=True)
class Place:
    """Where boxes leave it open whether a score has the right sign.

    Attributes:
        state: of the language.
        past: the last tokens of the words that are meant, all of whom are in one box.
        word: a shortest of these words.
        token: whose score it is.
        allowed: whether it is to be positive.
        low: the least that it may be.
        high: the greatest.
        widest: the entry of the recurrent state that is known least, relative to its size: block, and number.
        box: what it may be.
    """

    state: int
    past: tuple[str, ...]
    word: tuple[str, ...]
    token: str
    allowed: bool
    low: float
    high: float
    widest: tuple[int, int]
    box: tuple[float, float]

    def as_json(self) -> dict[str, object]:
        """For machines; None where a number is infinite."""
        return {**vars(self), "past": list(self.past), "word": list(self.word)} | {
            **{
                name: value if math.isfinite(value) else None
                for name, value in (("low", self.low), ("high", self.high))
            },
            "widest": {"block": self.widest[0], "entry": self.widest[1]},
            "box": [value if math.isfinite(value) else None for value in self.box],
        }

    def __str__(self) -> str:
        word, past = format_word(self.word, self.word), format_word(self.past, self.past)
        block, entry = self.widest
        return (
            f"in state {self.state} after ...{past} (say {word!r}) the score of {self.token!r} lies between "
            f"{self.low:.3g} and {self.high:.3g} and should be {'positive' if self.allowed else 'negative'}; "
            f"the widest box there is that of entry {entry} of block {block}, {self.box[0]:.3g} to {self.box[1]:.3g}"
        )


@dataclass(frozen=True)
class ScoreRange:
    """A score after all words that lead to one state and after which something is promised.

    Attributes:
        state: of the minimal DFA.
        token: whose score it is: a symbol, or ``<eos>``.
        allowed: whether it is to be positive.
        low: the least that it may be; minus infinity if nothing is known.
        high: the greatest.
        word: a shortest of the words after which it may be nearest to the wrong side.
    """

    state: int
    token: str
    allowed: bool
    low: float
    high: float
    word: tuple[str, ...]

    @property
    def lead(self) -> float:
        """By how much it is on its side, at least; not positive: its sign is open."""
        return self.low if self.allowed else -self.high

    def as_json(self) -> dict[str, object]:
        """For machines; None where a number is infinite."""
        ends = {name: end if math.isfinite(end) else None for name, end in (("low", self.low), ("high", self.high))}
        return {**vars(self), "word": list(self.word), **ends}

    def __str__(self) -> str:
        return (
            f"state {self.state}: {self.token!r} {'may' if self.allowed else 'may not'} come, score between "
            f"{self.low:.3g} and {self.high:.3g}, nearest to 0 after words like {format_word(self.word, self.word)!r}"
        )


@dataclass(frozen=True)
class Open:
    """Undecided: neither proved nor refuted within the budget.

    Attributes:
        reason: how far each attempt got.
        seconds: how long it took.
        places: where boxes leave the sign of a score open, the one that is known least first.
    """

    reason: str
    seconds: float
    places: tuple[Place, ...] = ()

    verdict = "undecided"

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "verdict": self.verdict,
            "scope": None,
            "margin": None,
            "word": None,
            "reason": self.reason,
            **({"open": [place.as_json() for place in self.places]} if self.places else {}),
            "seconds": round(self.seconds, 3),
        }

    def __repr__(self) -> str:
        return f"<Open: {brief(self.reason, 120)}>"

    def _repr_html_(self) -> str:
        return card("undecided", {"reason": self.reason, **self._first}, verdict="open")

    @property
    def _first(self) -> dict[str, object]:
        return {"open": str(self.places[0])} if self.places else {}

    def __str__(self) -> str:
        return "\n".join([f"undecided: {self.reason}", *(f"open: {text}" for text in self._first.values())])
