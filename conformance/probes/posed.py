"""A probe with the words on which it is tried; as a case, its integers are the answers owed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...models.checkpoints.checkpoint import write_checkpoint
from ..case import NO_BLOCK, Case, Expected, Source
from .kinds.kind import Lowered, Residual
from .probe import BOS, EOS, ONE, PAD, Ints, Program, evaluate

APART = ("full", "step", "cached", "interleaved", "continued", "padded")
"""Modes without packed documents: for words with a number that is not exact, which may occur but once."""
CHUNKS = ("full", "cached", "continued", "packed", "packed-continued", "snapshots")
"""Modes that take long words at once."""


@dataclass(frozen=True)
class Posed:
    """A probe and words.

    Args:
        name, exercises, words, modes, splits: as in :class:`Case`.
        probe: the program.
    """

    name: str
    exercises: str
    probe: Program
    words: Ints
    modes: tuple[str, ...] | None = None
    splits: tuple[int, ...] | None = None

    def case(self, lower: Callable[[Any], Lowered]) -> Case:
        """The case, in the weights of a kind of block."""
        probe, residual = self.probe, Residual.of(self.probe)
        lowered = lower(probe)
        writers, layers = _writers(probe, lowered), lowered.weights.shape.n_layers
        after = Source(layers, None, "a logit that is constant", "final norm and lm_head")
        columns: dict[int, tuple[Source, ...]] = dict.fromkeys(range(probe.vocabulary), (after,))
        columns |= {j: writers[feature] for j, feature in enumerate(probe.features) if j}
        symbols = {i: t for t, i in probe.ids.items()}

        def expect(ids: Ints) -> Expected:
            values = evaluate(probe, ids)
            if not probe.exact:
                return Expected(values.logits.astype(np.float64))
            streams = [residual.wide(probe, stream) for stream in values.streams]
            streams += streams[-1:] * (layers + 1 - len(streams))  # layers behind the program add nothing
            return Expected(values.logits.astype(np.float64), tuple(streams))

        return Case(
            self.name,
            self.exercises,
            self.words,
            lambda directory: self._write(directory, lowered),
            expect,
            columns,
            {residual.place[feature]: sources for feature, sources in writers.items()},
            tuple(symbols.get(i, f"unused {i}") for i in range(probe.vocabulary)),
            probe.meanings,
            self.modes,
            self.splits,
            probe.d_conv,
            layers,
        )

    def _write(self, directory: Path, lowered: Lowered) -> None:
        residual = Residual.of(self.probe)
        labels = ["constant" if i < residual.constants else "unused" for i in range(residual.d_model)]
        for feature, dimension in residual.place.items():
            labels[dimension] = "constant" if feature == ONE else feature
        blocks = [
            {"channels": [{"index": i, "role": c.exercises, "meaning": c.meaning} for i, c in enumerate(channels)]}
            for channels in lowered.channels
        ]
        manifest = {
            "schema_version": 1,
            "contract": "probe",
            "construction": f"conformance probe {self.name}: {self.exercises}",
            "tokens": self.probe.ids,
            "special_tokens": {"bos": BOS, "eos": EOS, "pad": PAD},
            "labels": {"residual": labels, "blocks": blocks},
        }
        write_checkpoint(directory, lowered.weights, manifest, bos=BOS, eos=EOS, pad=PAD, spaced=True)


def _writers(probe: Program, lowered: Lowered) -> dict[str, tuple[Source, ...]]:
    """For each feature the token or the channels that write it, the earliest block first."""
    found: dict[str, list[Source]] = {feature: [] for feature in probe.features}
    for feature in dict.fromkeys(feature for form in probe.tokens.values() for feature in form):
        found[feature].append(Source(NO_BLOCK, None, f"feature {feature} of the token", "embedding"))
    for number, channels in enumerate(lowered.channels):
        for index, channel in enumerate(channels):
            for feature in channel.written:
                found[feature].append(Source(number, index, channel.meaning, channel.exercises))
    return {feature: tuple(sources) for feature, sources in found.items()}


def random_words(probe: Program, rows: int, length: int, seed: int, weights: Mapping[str, int] | None = None) -> Ints:
    """Token ids of shape (rows, length): every token of the probe, some more often, but no ``<pad>`` or ``<eos>``."""
    rng = np.random.default_rng(seed)
    tokens = [t for t in probe.ids if t not in (PAD, EOS)]
    p = np.array([float((weights or {}).get(t, 1)) for t in tokens])
    chosen = rng.choice(len(tokens), size=(rows, length), p=p / p.sum())
    return np.array([probe.ids[t] for t in tokens], dtype=np.int64)[chosen]
