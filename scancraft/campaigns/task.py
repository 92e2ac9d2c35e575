"""What is to be done with one file, and what came of it: two frozen values, which travel to workers and back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..automata.formats.registry import symbols_path
from ..compiler.alternatives import Optimise
from ..compiler.targets.gates import Gates

SCHEMA = 1
"""Of the rows."""

MODELS = "models"
"""The folder of the checkpoints, in that of the campaign."""

Outcome = Literal[
    "certified",
    "excluded",
    "disagreement",
    "unreadable",
    "uncompilable",
    "undecided",
    "out of time",
    "out of memory",
    "lost",
    "bug",
]

MEANINGS: dict[Outcome, str] = {
    "certified": "compiled, proved right on every word, and right on the words tried",
    "excluded": "no model of the gates allowed can be right (a witness says why): a decision, not a failure",
    "disagreement": "a word on which the model is wrong, or a certificate that the checker rejects",
    "unreadable": "the file is not there, or describes no language",
    "uncompilable": "the language cannot be compiled to what was asked for",
    "undecided": "a budget was spent before there was a model, or a proof",
    "out of time": "the seconds of the file were spent",
    "out of memory": "the memory of the worker was spent",
    "lost": "two workers died over the file",
    "bug": "an error of scancraft's own",
}

CODES: dict[Outcome, int] = {
    "certified": 0,
    "excluded": 0,
    "disagreement": 1,
    "bug": 70,
    "unreadable": 2,
    "uncompilable": 2,
    "undecided": 3,
    "out of time": 3,
    "out of memory": 3,
    "lost": 3,
}
"""The exit code for each, the gravest first: a campaign ends with that of its gravest outcome."""

SETTLED: frozenset[Outcome] = frozenset({"certified", "excluded", "disagreement", "uncompilable"})
"""Another run would find the same; the others may end otherwise with more time, or memory, or luck."""


@dataclass(frozen=True)
class Choices:
    """What is asked of every file; with its content they decide the result.

    Args:
        gates: the strongest gates that a model may use.
        optimise: what matters first, "depth" or "size"; None as for ``scancraft.compile``.
        target: the kind of model; None for the default.
        format: the format of the files to insist on; None to recognise each.
        items: how many things each search may create; None for its own default.
        words: how many words to sample for the check on words.
    """

    gates: Gates = "reflections"
    optimise: Optimise | None = None
    target: str | None = None
    format: str | None = None
    items: int | None = None
    words: int = 400


@dataclass(frozen=True)
class Task:
    """One file, and all that its result depends on.

    Args:
        file: as it was named.
        path: where it is, from the root.
        digest: of its content, of the symbol table beside it, of the choices and the version of scancraft (SHA-256).
        directory: of the campaign, from the root.
        choices: what is asked.
        seconds: of wall-clock time for this file; None for no limit.
    """

    file: str
    path: Path
    digest: str
    directory: Path
    choices: Choices
    seconds: float | None

    @property
    def model(self) -> str:
        """Where the checkpoint goes, from the directory: the file's name and what tells files of one name apart."""
        mark = hashlib.sha256(f"{self.file}\n{self.digest}".encode("utf-8", "backslashreplace")).hexdigest()[:12]
        stem = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in self.path.name)[:80]
        return f"{MODELS}/{stem.lstrip('.')}-{mark}"


@dataclass(frozen=True)
class Row:
    """What came of a file; None where it did not get so far.

    Attributes:
        file: as it was named.
        digest: see :class:`Task`; None if the file could not be read.
        outcome: a key of ``MEANINGS``.
        stage: the last that was begun: read, decide, compile, write, certify or check.
        states: of the minimal DFA.
        letters: of the alphabet.
        star_free: what was decided.
        gates: the weakest gates that suffice: nonnegative, signed, complex or unsolvable.
        construction: how it was compiled.
        blocks: of the model.
        d_model: width of its residual stream.
        parameters: how many numbers.
        scope: of the certificate: "every-implementation" or "step".
        margin: the smallest |score - threshold| at all reachable read-outs.
        words: tried against the language.
        prefixes: positions compared on them.
        wrong: positions at which the model was wrong.
        model: the checkpoint's folder, from that of the campaign.
        error: why it ended so: ``error`` and ``message``, and what else the cause has to say.
        seconds: wall-clock time of each stage.
        schema: the version of these keys.
    """

    file: str
    digest: str | None
    outcome: Outcome
    stage: str
    states: int | None = None
    letters: int | None = None
    star_free: bool | None = None
    gates: str | None = None
    construction: str | None = None
    blocks: int | None = None
    d_model: int | None = None
    parameters: int | None = None
    scope: str | None = None
    margin: float | None = None
    words: int | None = None
    prefixes: int | None = None
    wrong: int | None = None
    model: str | None = None
    error: dict[str, Any] | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    schema: int = SCHEMA

    def as_json(self) -> dict[str, Any]:
        """The facts, the version of the keys first."""
        return {"schema": self.schema, **asdict(self)}


def digest_of(path: Path, choices: Choices, version: str) -> str:
    """See :class:`Task`.

    Raises:
        OSError: the file cannot be read.
    """
    beside = symbols_path(path)
    parts = [path.read_bytes(), beside.read_bytes() if beside.is_file() else b""]
    parts.append(json.dumps({**asdict(choices), "version": version}, sort_keys=True).encode())
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
