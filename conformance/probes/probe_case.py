"""A probe as a case: its integers as the answers owed, its weights as a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...models.weights import ModelWeights
from ..case import NO_BLOCK, Case, Expected, Source
from .probe import BOS, CONSTANT, EOS, ONE, PAD, Ints, Probe, evaluate, places, weights_of

Lower = Callable[[Probe], ModelWeights]


def probe_case(
    name: str,
    exercises: str,
    probe: Probe,
    words: Ints,
    modes: tuple[str, ...] | None = None,
    splits: tuple[int, ...] | None = None,
    lower: Lower = weights_of,
) -> Case:
    """A probe with words to try it on.

    Args:
        name, exercises, words, modes, splits: as in :class:`Case`.
        probe: the program.
        lower: to the weights of a kind of block, whose residual stream is laid out as ``places`` says.
    """
    features = probe.features
    d_model, constants, place = places(probe)
    writers: dict[str, list[Source]] = {f: [] for f in features}
    for form in probe.tokens.values():
        for feature in form:
            if not writers[feature]:
                writers[feature] = [Source(NO_BLOCK, None, f"feature {feature} of the token", "embedding")]
    for number, block in enumerate(probe.blocks):
        for index, channel in enumerate(block.channels):
            for feature in channel.writes:
                writers[feature].append(Source(number, index, channel.meaning, channel.exercises))
    after = Source(len(probe.blocks), None, "a logit that is constant", "final norm and lm_head")
    columns: dict[int, tuple[Source, ...]] = dict.fromkeys(range(probe.vocabulary), (after,))
    columns |= {j: tuple(writers[feature]) for j, feature in enumerate(features) if j}
    symbols = {i: t for t, i in probe.ids.items()}

    def expect(ids: Ints) -> Expected:
        values = evaluate(probe, ids)
        streams = []
        for stream in values.streams:
            wide = np.zeros((*ids.shape, d_model))
            wide[:, :, :constants] = CONSTANT * stream[:, :, :1]
            for i, feature in enumerate(features[1:], 1):
                wide[:, :, place[feature]] = stream[:, :, i] * probe.tiny.get(feature, 1.0)
            streams.append(wide)
        return Expected(values.logits.astype(np.float64), tuple(streams))

    return Case(
        name,
        exercises,
        words,
        lambda directory: _write_probe(directory, name, exercises, probe, lower),
        expect,
        columns,
        {place[feature]: tuple(sources) for feature, sources in writers.items()},
        tuple(symbols.get(i, f"unused {i}") for i in range(probe.vocabulary)),
        probe.meanings,
        modes,
        splits,
        probe.d_conv,
        len(probe.blocks),
    )


def _write_probe(directory: Path, name: str, exercises: str, probe: Probe, lower: Lower) -> None:
    from ...models.checkpoints.checkpoint import write_checkpoint

    d_model, constants, place = places(probe)
    labels = ["constant" if i < constants else "unused" for i in range(d_model)]
    for feature, dimension in place.items():
        labels[dimension] = "constant" if feature == ONE else feature
    manifest = {
        "schema_version": 1,
        "contract": "probe",
        "construction": f"conformance probe {name}: {exercises}",
        "tokens": probe.ids,
        "special_tokens": {"bos": BOS, "eos": EOS, "pad": PAD},
        "labels": {
            "residual": labels,
            "blocks": [
                {
                    "channels": [
                        {"index": i, "role": c.exercises, "meaning": c.meaning} for i, c in enumerate(block.channels)
                    ]
                }
                for block in probe.blocks
            ],
        },
    }
    write_checkpoint(directory, lower(probe), manifest, bos=BOS, eos=EOS, pad=PAD, spaced=True)
