"""llama.cpp through llama-cpp-python: each sequence in its own cell of the recurrent memory, any batch in one call.

Checkpoints are written as GGUF, in float32; Mamba and Falcon-Mamba in standard shape, since llama.cpp has no other.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ...models.exports.extra import extra
from ...models.exports.gguf import write_gguf
from ...models.exports.source import source_of
from ...models.padding import STANDARD, padded
from ..case import Floats
from ..sessions import Layout, Rows, Session
from .base import Implementation

SEQUENCES, BATCH = 200, 2048
"""Sequences at a time, and tokens per call of ``llama_decode``."""


class _Sequence:
    def __init__(self, number: int) -> None:
        self.number, self.length = number, 0


class LlamaCpp(Session):
    """A GGUF file in llama.cpp, as a session."""

    offers = frozenset({"prefill", "step", "extend", "packed", "packed_extend", "together", "fork", "save", "restore"})
    last_only = False

    def __init__(self, path: Path) -> None:
        self.lib = extra("llama_cpp.llama_cpp", "llama-cpp-python", "llama-cpp")
        self.silent = self.lib.llama_log_callback(lambda *_: None)
        self.lib.llama_log_set(self.silent, ctypes.c_void_p(0))
        self.lib.llama_backend_init()
        if libraries := os.environ.get("LLAMA_CPP_LIB_PATH"):
            # llama-cpp-python's variable for a build of one's own, which may load its kernels at run time.
            ctypes.CDLL(str(Path(libraries) / "libggml.so")).ggml_backend_load_all_from_path(libraries.encode())
        settings = self.lib.llama_model_default_params()
        settings.n_gpu_layers = 0
        self.model = self.lib.llama_model_load_from_file(str(path).encode(), settings)
        if not self.model:
            raise RuntimeError("llama.cpp does not load the GGUF file")
        sizes = self.lib.llama_context_default_params()
        sizes.n_ctx, sizes.n_batch, sizes.n_ubatch, sizes.n_seq_max = 1 << 18, BATCH, 512, SEQUENCES
        sizes.n_threads = sizes.n_threads_batch = 1
        self.context = self.lib.llama_init_from_model(self.model, sizes)
        if not self.context:
            raise RuntimeError("llama.cpp makes no context for the model")
        self.memory = self.lib.llama_get_memory(self.context)
        self.batch = self.lib.llama_batch_init(BATCH, 0, 1)
        self.vocabulary = self.lib.llama_vocab_n_tokens(self.lib.llama_model_get_vocab(self.model))
        self.free = list(range(SEQUENCES))

    def __del__(self) -> None:
        if getattr(self, "context", None):
            self.lib.llama_batch_free(self.batch)
            self.lib.llama_free(self.context)
        if getattr(self, "model", None):
            self.lib.llama_model_free(self.model)

    def open(self) -> _Sequence:
        """A new sequence."""
        return _Sequence(self.free.pop(0))

    def close(self, sequence: _Sequence) -> None:
        """Its state is not needed any more."""
        self.lib.llama_memory_seq_rm(self.memory, sequence.number, -1, -1)
        self.free.append(sequence.number)

    def feed(self, rows: Rows, layout: Layout, keep: bool) -> list[Floats]:
        """All rows in one batch of ``llama_decode``, as far as it takes so many tokens."""
        tokens = [(i, token) for i, (_, word) in enumerate(rows) for token in word]
        answers: list[list[Floats]] = [[] for _ in rows]
        for first in range(0, len(tokens), BATCH):
            some = tokens[first : first + BATCH]
            for place, (row, token) in enumerate(some):
                sequence = rows[row][0]
                self.batch.token[place], self.batch.pos[place] = token, sequence.length
                self.batch.n_seq_id[place], self.batch.seq_id[place][0] = 1, sequence.number
                self.batch.logits[place] = True
                sequence.length += 1
            self.batch.n_tokens = len(some)
            if code := self.lib.llama_decode(self.context, self.batch):
                raise RuntimeError(f"llama_decode gave {code}")
            pointer = self.lib.llama_get_logits(self.context)
            logits = np.ctypeslib.as_array(pointer, (len(some), self.vocabulary)).astype(np.float64)
            for (row, _), line in zip(some, logits, strict=True):
                answers[row].append(line)
        return [np.array(lines) for lines in answers]

    def fork(self, sequence: _Sequence) -> _Sequence:
        """A copy of the state."""
        other = self.open()
        self.lib.llama_memory_seq_cp(self.memory, sequence.number, other.number, -1, -1)
        other.length = sequence.length
        return other

    def save(self, sequence: _Sequence) -> tuple[int, Any]:
        """The state, by the runtime's own means."""
        size = self.lib.llama_state_seq_get_size(self.context, sequence.number)
        held = (ctypes.c_uint8 * size)()
        self.lib.llama_state_seq_get_data(self.context, held, size, sequence.number)
        return sequence.length, held

    def restore(self, saved: tuple[int, Any]) -> _Sequence:
        """From what was saved."""
        sequence = self.open()
        sequence.length, held = saved
        if not self.lib.llama_state_seq_set_data(self.context, held, len(held), sequence.number):
            raise RuntimeError("llama_state_seq_set_data took nothing")
        return sequence


def _load(directory: Path) -> LlamaCpp:
    source = source_of(directory)
    if source.kind != "mamba2":
        source = padded(source, STANDARD[source.kind])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        write_gguf(source, path)
        return LlamaCpp(path)


_PADDED = "GGUF in float32, in standard shape: d_model at least 64, expand 2, 4 taps, 16 states"
IMPLEMENTATIONS = (
    Implementation("llama.cpp", _load, note=_PADDED),
    Implementation("llama.cpp-mamba2", _load, "mamba2", note="GGUF in float32"),
    Implementation(
        "llama.cpp-falcon-mamba",
        _load,
        "falcon_mamba",
        note=_PADDED.replace(", 16 states", "") + ", its own states",
    ),
)
