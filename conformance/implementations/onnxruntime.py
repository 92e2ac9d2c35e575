"""ONNX Runtime on the step that ``models.exports.onnx`` writes: every sequence has its states, rows step together."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ...models.exports.extra import extra
from ...models.exports.onnx import write_onnx
from ...models.exports.source import source_of
from ..case import Floats
from ..sessions import Layout, Rows, Session
from .base import Implementation


class _Sequence:
    def __init__(self, states: list[Any]) -> None:
        self.states = states


class OnnxRuntime(Session):
    """A step in ONNX Runtime, as a session; a state is a list of arrays of batch size 1."""

    offers = frozenset({"prefill", "step", "extend", "packed", "packed_extend", "together", "fork", "save", "restore"})
    last_only = False

    def __init__(self, path: Path) -> None:
        ort = extra("onnxruntime", "onnxruntime", "onnx")
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        settings.log_severity_level = 3
        self.session = ort.InferenceSession(path.read_bytes(), settings, providers=["CPUExecutionProvider"])
        ids, *states = self.session.get_inputs()
        self.names = [put.name for put in (ids, *states)]
        self.axes = [put.shape.index("batch") for put in states]
        self.sizes = [[1 if size == "batch" else size for size in put.shape] for put in states]

    def open(self) -> _Sequence:
        """A new sequence."""
        return _Sequence([np.zeros(size, dtype=np.float32) for size in self.sizes])

    def close(self, sequence: _Sequence) -> None:
        """Its state is not needed any more."""
        sequence.states = []

    def feed(self, rows: Rows, layout: Layout, keep: bool) -> list[Floats]:
        """The rows step together, as long as each has tokens."""
        answers: list[list[Floats]] = [[] for _ in rows]
        for t in range(max(len(word) for _, word in rows)):
            some = [(i, sequence, word[t]) for i, (sequence, word) in enumerate(rows) if t < len(word)]
            states = [
                np.concatenate(each, axis=axis)
                for axis, *each in zip(self.axes, *(sequence.states for _, sequence, _ in some), strict=True)
            ]
            ids = np.array([token for _, _, token in some], dtype=np.int64)
            logits, *after = self.session.run(None, dict(zip(self.names, [ids, *states], strict=True)))
            parts = [np.split(a, len(some), axis=axis) for a, axis in zip(after, self.axes, strict=True)]
            for place, (i, sequence, _) in enumerate(some):
                sequence.states = [part[place] for part in parts]
                answers[i].append(logits[place].astype(np.float64))
        return [np.array(lines) for lines in answers]

    def fork(self, sequence: _Sequence) -> _Sequence:
        """A copy of the state."""
        return _Sequence(list(sequence.states))

    def save(self, sequence: _Sequence) -> list[tuple[Any, bytes]]:
        """The state, by the runtime's own means."""
        return [(a.shape, a.tobytes()) for a in sequence.states]

    def restore(self, saved: list[tuple[Any, bytes]]) -> _Sequence:
        """From what was saved."""
        return _Sequence([np.frombuffer(held, dtype=np.float32).reshape(shape) for shape, held in saved])


def _load(directory: Path) -> OnnxRuntime:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        write_onnx(source_of(directory), path)
        return OnnxRuntime(path)


IMPLEMENTATIONS = (
    Implementation("onnxruntime", _load),
    Implementation("onnxruntime-mamba2", _load, "mamba2"),
    Implementation("onnxruntime-falcon-mamba", _load, "falcon_mamba"),
)
