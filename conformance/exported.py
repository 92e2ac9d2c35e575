"""Whether an exported model gives the bits of its checkpoint: both are run, where the other runtime is installed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..automata.errors import MissingExtraError, ScancraftError
from ..models.checkpoints.checkpoint import load_model
from ..models.checkpoints.mamba_ssm import load_mamba_ssm
from ..models.padding import Source
from .case import Floats
from .implementations.llama_cpp import LlamaCpp
from .implementations.mlx import Mlx
from .implementations.onnxruntime import OnnxRuntime
from .sessions import Session

WORDS, LENGTH, PREFILL, SEED = 16, 48, 7, 1
SESSIONS: dict[str, Callable[[Path], Session]] = {"gguf": LlamaCpp, "mlx": Mlx, "onnx": OnnxRuntime}
RUNTIMES = {"gguf": "llama.cpp", "mlx": "mlx-lm", "onnx": "ONNX Runtime", "mamba_ssm": "mamba_ssm"}


class ExportDiffersError(ScancraftError):
    """An exported model gave other bits than its checkpoint."""

    exit_code = 1


@dataclass(frozen=True)
class RoundTrip:
    """What came of running an export.

    Attributes:
        runtime: what it was run in.
        equal: whether all logits were equal, bit for bit; None if it was not run.
        reason: why it was not run.
        tokens: read by each side.
    """

    runtime: str
    equal: bool | None
    reason: str = ""
    tokens: int = 0

    def __str__(self) -> str:
        if self.equal is None:
            return f"not run: {self.reason}"
        verdict = "equal, bit for bit" if self.equal else "DIFFERENT"
        return f"run in {self.runtime}: logits {verdict}, at {self.tokens:,} tokens in a prefill and in steps"


def round_trip(source: Source, directory: Path, written: Path, to: str) -> RoundTrip:
    """Run random words through a checkpoint and through its export, in a prefill of some tokens and then in steps.

    Args:
        source: the checkpoint, as it lies in the directory.
        directory: it is run by ``transformers``.
        written: the export.
        to: its format.
    """
    draw = np.random.default_rng(SEED)
    words = draw.integers(0, int(source.config["vocab_size"]), (WORDS, LENGTH))
    words[:, 0] = int(source.config["bos_token_id"])
    ids = torch.from_numpy(words)
    with torch.inference_mode():
        right = load_model(directory)(ids, use_cache=False).logits.to(torch.float64).numpy()
        try:
            got = _by_mamba_ssm(written, ids) if to == "mamba_ssm" else _by_session(SESSIONS[to](written), words)
        except MissingExtraError as error:
            return RoundTrip(RUNTIMES[to], None, str(error))
    return RoundTrip(RUNTIMES[to], bool((got[..., : right.shape[-1]] == right).all()), tokens=words.size)


def _by_session(session: Session, words: np.ndarray[Any, np.dtype[np.int64]]) -> Floats:
    rows = [tuple(int(t) for t in word) for word in words]
    sequences, heard = [session.open() for _ in rows], []
    for first, last in pairwise((0, *range(PREFILL, LENGTH + 1))):
        fed = [(sequence, row[first:last]) for sequence, row in zip(sequences, rows, strict=True)]
        heard.append(session.feed(fed, "even" if first == 0 else "single", True))
    return np.array([np.concatenate([logits[i] for logits in heard]) for i in range(len(rows))])


def _by_mamba_ssm(written: Path, ids: torch.Tensor) -> Floats:
    if not torch.cuda.is_available():
        raise MissingExtraError("mamba_ssm's kernels run on a GPU, and there is none here")
    logits = load_mamba_ssm(written, device="cuda")(ids.to("cuda")).logits
    return np.asarray(logits.to("cpu", torch.float64).numpy())
