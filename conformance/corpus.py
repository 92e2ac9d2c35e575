"""The conformance set as files: checkpoints, words, and the logits owed on them, for projects that have no Python.

    corpus.json                   which cases there are
    KIND/CASE/config.json         the checkpoint, as transformers reads it
    KIND/CASE/model.safetensors
    KIND/CASE/expected.safetensors    words, int64 (rows, time); logits, float32 (rows, time, vocabulary)
    KIND/CASE/expected.json       what each logit says, and what each token is

A prefix of a word owes the beginning of its logits, so that prefills, steps and chunks are tried with the same files.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from ..models.checkpoints.files import write_json
from .case import Case, ConformanceError
from .cases import cases
from .probes.kinds import KINDS

FORMAT = 1
USUAL = tuple(kind for kind in KINDS if kind != "qwen3_5")
"""The kinds that are written unless others are asked for: Qwen3.5 has the programs of Qwen3-Next in another order."""
LONGEST, ROWS = 96, 8
"""Words are cut to so many tokens, and of the words of a case so many are kept, evenly spread."""


@dataclass(frozen=True)
class Corpus:
    """What was written.

    Attributes:
        directory: where.
        cases: how many, over all kinds.
        tokens: in their words.
        size: bytes.
    """

    directory: Path
    cases: int
    tokens: int
    size: int

    def as_json(self) -> dict[str, Any]:
        """The facts."""
        return asdict(self) | {"directory": str(self.directory)}

    def __str__(self) -> str:
        return f"{self.cases} checkpoints, {self.tokens:,} tokens, {self.size / 1e6:.1f} MB written to {self.directory}"


def write_corpus(directory: Path, kinds: Sequence[str] = USUAL) -> Corpus:
    """Write the quick set of some kinds of block. Equal versions write equal bytes.

    Args:
        directory: must not exist.
        kinds: targets of ``scancraft.compile``.

    Raises:
        ConformanceError: the directory exists or cannot be written, or there is no such kind.
    """
    if directory.exists():
        raise ConformanceError(f"{directory} exists; choose another directory")
    chosen = [(kind, case) for kind in kinds for case in cases(kind, quick=True)]
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    except OSError as error:
        raise ConformanceError(f"{directory} cannot be written ({error.strerror}); check the place") from error
    try:
        index = [_written(fresh, kind, case) for kind, case in chosen]
        write_json(fresh / "corpus.json", {"format": FORMAT, "cases": index})
        fresh.chmod(0o755)
        fresh.rename(directory)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    return Corpus(directory, len(index), sum(entry["rows"] * entry["time"] for entry in index), size)


def _written(corpus: Path, kind: str, case: Case) -> dict[str, Any]:
    place = corpus / kind / case.name.replace(" ", "-")
    place.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        case.write(Path(folder) / "case")
        for name in ("config.json", "model.safetensors"):
            shutil.copyfile(Path(folder) / "case" / name, place / name)
    words = case.words[np.unique(np.linspace(0, len(case.words) - 1, ROWS).round().astype(int)), :LONGEST]
    logits = case.expect(words).logits
    narrow = logits.astype(np.float32)
    assert np.array_equal(narrow, logits), "logits that are owed are float32"
    held: dict[str, np.ndarray[Any, Any]] = {
        "words": np.ascontiguousarray(words),
        "logits": np.ascontiguousarray(narrow),
    }
    save_file(held, place / "expected.safetensors")
    (place / "expected.safetensors").chmod(0o644)  # safetensors makes it private to the user
    columns = {str(column): [asdict(source) for source in found] for column, found in sorted(case.columns.items())}
    facts = {"case": case.name, "exercises": case.exercises}
    write_json(place / "expected.json", facts | {"tokens": list(case.symbols), "columns": columns})
    return {"kind": kind, **facts, "directory": f"{kind}/{place.name}", "rows": len(words), "time": words.shape[1]}
