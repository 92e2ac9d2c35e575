"""mlx-lm: each sequence with the cache of ``make_prompt_cache``; batches joined and split by the caches' methods."""

from __future__ import annotations

import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

from ...models.exports.extra import extra
from ...models.exports.mlx import HYBRIDS, write_mlx
from ...models.exports.source import source_of
from ..case import Floats
from ..sessions import Layout, Rows, Session
from .base import Implementation


class _Sequence:
    def __init__(self, cache: Any) -> None:
        self.cache = cache


class Mlx(Session):
    """A directory in mlx-lm, as a session."""

    offers = frozenset({"prefill", "step", "extend", "together", "fork", "save", "restore", "padded", "padded_prefill"})
    last_only = False

    def __init__(self, directory: Path) -> None:
        self.mx = extra("mlx.core", "mlx", "mlx")
        self.caches = extra("mlx_lm.models.cache", "mlx-lm", "mlx")
        utils = extra("mlx_lm.utils", "mlx-lm", "mlx")
        self.folder = tempfile.TemporaryDirectory()  # for states that are saved
        self.model, _ = utils.load_model(directory)

    def open(self) -> _Sequence:
        """A new sequence."""
        return _Sequence(self.caches.make_prompt_cache(self.model))

    def close(self, sequence: _Sequence) -> None:
        """Its state is not needed any more."""
        sequence.cache = None

    def feed(self, rows: Rows, layout: Layout, keep: bool) -> list[Floats]:
        """Rows of one length lie in one batch; padded ones as in ``mlx_lm.generate.BatchGenerator``."""
        if layout in ("left", "right"):
            return self._run(rows, layout)
        answers: dict[int, Floats] = {}
        for length in sorted({len(word) for _, word in rows}):
            some = [i for i, (_, word) in enumerate(rows) if len(word) == length]
            answers |= zip(some, self._run([rows[i] for i in some], layout), strict=True)
        return [answers[i] for i in range(len(rows))]

    def _run(self, rows: Rows, layout: Layout) -> list[Floats]:
        """One batch; the caches are joined, padded and split by their own methods."""
        alone = [sequence.cache for sequence, _ in rows]
        joined = alone[0]
        if len(rows) > 1:
            joined = [layers[0].merge(list(layers)) for layers in zip(*alone, strict=True)]
        lengths = [len(word) for _, word in rows]
        longest = max(lengths)
        room = [longest - length for length in lengths]
        before = room if layout == "left" else [0] * len(rows)
        ids = [[0] * b + list(word) + [0] * (r - b) for (_, word), b, r in zip(rows, before, room, strict=True)]
        for layer in joined if max(room) else ():
            if layout == "right":
                layer.prepare(lengths=lengths, right_padding=room)
            elif isinstance(layer, self.caches.ArraysCache):
                layer.left_padding = self.mx.array(room)
            else:  # of attention
                layer.prepare(left_padding=room)
        logits = self.model(self.mx.array(ids), cache=joined)
        for layer in joined if max(room) else ():
            layer.finalize()
        if len(rows) > 1:
            for number, (sequence, _) in enumerate(rows):
                sequence.cache = [layer.extract(number) for layer in joined]
        self.mx.eval(logits, [layer.state for sequence, _ in rows for layer in sequence.cache])
        told = np.array(logits.astype(self.mx.float32)).astype(np.float64)
        return [row[b : b + length] for row, b, length in zip(told, before, lengths, strict=True)]

    def fork(self, sequence: _Sequence) -> _Sequence:
        """A copy of the state."""
        return _Sequence(deepcopy(sequence.cache))

    def save(self, sequence: _Sequence) -> Path:
        """The state, by the runtime's own means."""
        path = Path(self.folder.name) / f"{id(sequence)}.safetensors"
        self.caches.save_prompt_cache(str(path), sequence.cache)
        return path

    def restore(self, saved: Path) -> _Sequence:
        """From what was saved."""
        return _Sequence(self.caches.load_prompt_cache(str(saved)))


def _hybrid(directory: Path) -> Mlx:
    """A model with layers of Gated DeltaNet, written as mlx-lm has it."""
    with tempfile.TemporaryDirectory() as folder:
        write_mlx(source_of(directory, HYBRIDS), Path(folder))
        return Mlx(Path(folder))  # which reads all the weights


IMPLEMENTATIONS = (
    Implementation("mlx", Mlx),
    Implementation("mlx-mamba2", Mlx, "mamba2"),
    Implementation("mlx-falcon-mamba", Mlx, "falcon_mamba"),
    Implementation("mlx-olmo-hybrid", _hybrid, "olmo_hybrid"),
    Implementation("mlx-qwen3-next", _hybrid, "qwen3_next"),
    Implementation("mlx-qwen3-5", _hybrid, "qwen3_5"),
)
