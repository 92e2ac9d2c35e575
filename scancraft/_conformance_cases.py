"""The conformance set: checkpoints with exact expected outputs, and the words on which they are tried.

There are two kinds. Probes (``_conformance_probes``) are for Mamba blocks and name a channel for every wrong logit.
Compiled languages exist for every target of the compiler; their expected outputs are the language's, from its acceptor
and from the block program run in integers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _conformance_probes as probes
from ._conformance_probe import BOS, CONSTANT, EOS, ONE, PAD, Ints, Probe, evaluate, places, weights_of
from .automata.errors import ScancraftError

Floats = NDArray[np.float64]
QUICK_LONG, FULL_LONG = 2_000, 200_000
NO_BLOCK = -1


class ConformanceError(ScancraftError):
    """A conformance test was asked for something that it does not have."""


@dataclass(frozen=True)
class Source:
    """Where a number comes from.

    Attributes:
        block: -1 for the embedding, the number of blocks for what comes after the last of them.
        channel: None where no channel is meant.
        meaning: of the channel, for people.
        exercises: the parameter or the rule that the channel is there to test.
    """

    block: int
    channel: int | None
    meaning: str
    exercises: str


@dataclass(frozen=True)
class Expected:
    """What every implementation owes on a batch, all of it exact.

    Attributes:
        logits: of shape (batch, time, vocabulary).
        streams: the residual stream before and after each block, each of shape (batch, time, d_model); None if unknown.
    """

    logits: Floats
    streams: tuple[Floats, ...] | None = None


@dataclass(frozen=True)
class Case:
    """A checkpoint and the words on which it is tried.

    Attributes:
        name: short.
        exercises: what it is there for.
        words: token ids, shape (rows, time).
        write: writes the checkpoint into a directory.
        expect: from token ids (batch, time) to what is owed.
        columns: for each logit column that can tell, where it comes from.
        dimensions: the same for dimensions of the residual stream; several channels may write one.
        symbols: what each token id is.
        token_meanings: for some tokens, what they make the model do.
        modes: the modes it is tried in; None: all.
        splits: lengths of the prefill; None: the usual ones.
        d_conv: taps.
    """

    name: str
    exercises: str
    words: Ints
    write: Callable[[Path], object]
    expect: Callable[[Ints], Expected]
    columns: Mapping[int, tuple[Source, ...]]
    dimensions: Mapping[int, tuple[Source, ...]]
    symbols: tuple[str, ...]
    token_meanings: Mapping[str, str] = field(default_factory=dict)
    modes: tuple[str, ...] | None = None
    splits: tuple[int, ...] | None = None
    d_conv: int = 2
    n_blocks: int = 1


def cases(kind: str = "mamba", *, quick: bool = False) -> tuple[Case, ...]:
    """The set for one kind of block, from the simple to the composed.

    Args:
        kind: "mamba", or another target of ``scancraft.compile`` (then only compiled languages).
        quick: a subset that takes seconds.

    Raises:
        ConformanceError: this scancraft has no such target.
    """
    found = (*_probe_cases(quick), *_language_cases(kind, quick)) if kind == "mamba" else _language_cases(kind, quick)
    if not found:
        raise ConformanceError(f"this scancraft cannot compile to {kind!r}; use a target that it has")
    return found


@cache
def _probe_cases(quick: bool) -> tuple[Case, ...]:
    found = [_probe("embedding", "embedding, norms, head", probes.embedding(), rows=4, length=12)]
    found.append(_probe("paths", "conv1d.bias, D, the gate and out_proj", probes.paths(), rows=2, length=8))
    found += [_taps(k) for k in (2, 3, 4)]
    found.append(_probe("gates", "in_proj halves, gate, D, out_proj", probes.gates(), rows=3, length=16))
    found.append(_registers())
    found.append(_probe("epsilon", "epsilon of RMSNorm", probes.epsilon(), rows=3, length=16))
    for n in (1, 2, 16) if quick else (1, 2, 3, 4, 8, 16, 64, 128):
        found.append(_state(n))
    found.append(_sums())
    found.append(_probe("stack", "three blocks in order, each with its own state", probes.stack(), rows=4, length=40))
    found.append(_boundaries(quick))
    found.append(_lengths(quick))
    found.append(_long(QUICK_LONG if quick else FULL_LONG))
    return tuple(found)


def _taps(k: int) -> Case:
    """Every word begins with an a, which all taps must find at the first steps."""
    probe = probes.taps(k)
    words = probes.random_words(probe, 4, 24, seed=k)
    words[:, 0] = probe.ids["a"]
    return _case(f"taps-{k}", f"conv1d, {k} taps", probe, words)


def _registers() -> Case:
    probe = probes.registers()
    return _probe("registers", "hold, overwrite, add; dt of rank 5; Delta, its bias and softplus", probe, 4, 40)


def _state(n: int) -> Case:
    """Words that write, hold and read every entry: after w1, after w2, and after both."""
    probe = probes.state(n)
    ids = probe.ids
    reads = [ids[f"r{i}"] for i in range(n)]
    rows = [
        [ids[BOS], ids[first], ids["-"], *reads, ids[second], *reversed(reads), ids["-"]]
        for first, second in (("w1", "w2"), ("w2", "w1"), ("w1", "w1"))
    ]
    words = np.array(rows, dtype=np.int64)
    modes = None if n <= 16 else ("full", "cached", "continued")
    splits = None if n <= 16 else (2, 3 + n // 2, 3 + n, 4 + n)
    return _case(f"state-{n}", f"every entry of d_state = {n}: A, B and C", probe, words, modes, splits)


def _sums() -> Case:
    probe = probes.sums()
    words = probes.random_words(probe, 2, 320, 5, {"++": 20, "-": 1, BOS: 0})
    return _case("sums", "precision of the state, of y and of the head (17 bits)", probe, words, splits=(300, 318))


def _boundaries(quick: bool) -> Case:
    """A register written once, at every position near the boundaries of chunks, and a sum that grows at every step."""
    probe = probes.registers(1)
    ids = probe.ids
    length = 140 if quick else 530
    near = {p + d for k in range(9) for p in range(2**k, length - 2, 2**k) if k >= 5 for d in (-1, 0, 1)}
    positions = sorted({*range(36), *near} & set(range(length - 1)))
    words = np.full((len(positions), length), ids["add"], dtype=np.int64)
    words[:, ::7] = ids["-"]
    words[np.arange(len(positions)), positions] = ids["0:=2"]
    words[: len(positions) // 2, 0::2] = ids["hold"]
    words[np.arange(len(positions)), positions] = ids["0:=2"]
    around = tuple(p + d for p in ((16, 32, 64, 128) if quick else (16, 32, 64, 128, 256, 512)) for d in (-1, 0, 1))
    return _case(
        "boundaries",
        "memory written just before, at and after positions that may be boundaries of chunks",
        probe,
        words,
        ("full", "cached", "continued", "packed", "packed-continued", "snapshots"),
        around,
    )


def _lengths(quick: bool) -> Case:
    """Sums that grow at every step, read at the end of words of many lengths (the splits)."""
    probe = probes.registers(2)
    tokens = {"add": 6, "0:=1": 2, "1:=2": 2, "-": 1, "hold": 1}
    words = probes.random_words(probe, 3, 70 if quick else 136, 11, {BOS: 0} | tokens)
    splits = tuple(range(1, 35)) if quick else (*range(1, 36), 63, 64, 65, 127, 128, 129)
    modes = ("full", "cached", "continued", "padded", "packed", "packed-continued", "snapshots", "interleaved")
    return _case("lengths", "prefills of every length, packed documents of every length", probe, words, modes, splits)


def _long(length: int) -> Case:
    probe = probes.registers(1)
    ids = probe.ids
    word = np.full((1, length), ids["-"], dtype=np.int64)
    word[0, 1:4] = ids["0:=2"], ids["add"], ids["hold"]
    word[0, 3:-1:2] = ids["hold"]
    word[0, [length // 2, -2]] = ids["add"]
    return _case("long-hold", f"memories held for {length:,} steps", probe, word, ("full",))


def _probe(name: str, exercises: str, probe: Probe, rows: int, length: int) -> Case:
    return _case(name, exercises, probe, probes.random_words(probe, rows, length, seed=len(name)))


def _case(
    name: str,
    exercises: str,
    probe: Probe,
    words: Ints,
    modes: tuple[str, ...] | None = None,
    splits: tuple[int, ...] | None = None,
) -> Case:
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
        lambda directory: _write_probe(directory, name, exercises, probe),
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


def _write_probe(directory: Path, name: str, exercises: str, probe: Probe) -> None:
    from .models.checkpoint import write_checkpoint

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
    write_checkpoint(directory, weights_of(probe), manifest, bos=BOS, eos=EOS, pad=PAD, spaced=True)


# -- compiled languages ------------------------------------------------------------------------------------------------

REGULAR = {"D-2": "(a(ab)*b)*", "last-letter": "(a|b)*a(a|b)", "blocks": "a*b*c*a*"}


@cache
def _language_cases(kind: str, quick: bool) -> tuple[Case, ...]:
    from .compiled import compile as compile_language
    from .compiler.targets import TARGETS
    from .constructions import dyck

    if kind not in TARGETS:
        return ()
    found = []
    for name, regex in list(REGULAR.items())[: 2 if quick else None]:
        found.append(_regular(f"language {name}", compile_language(regex, target=kind)))
    with_circuits: list[tuple[str, Any]] = [] if quick else [("Dyck-2,3", lambda: dyck(2, 3, target=kind))]
    for name, build in with_circuits:
        try:
            found.append(_circuit(f"language {name}", build()))
        except ScancraftError:
            continue  # the target has no such construction
    return tuple(found)


def _words_over(compiled: Any, rows: int, length: int) -> Ints:
    """Half of the rows are random, half live: they can be completed up to their last letter."""
    from .automata.sampling import arbitrary
    from .automata.suite_words import live_word_of

    rng = np.random.default_rng(rows + length)
    tokens, alphabet = compiled.manifest["tokens"], compiled.language.alphabet
    found = []
    for row in range(rows):
        live = row % 2 == 0 or compiled.manifest["contract"] == "live-prefixes"
        word = live_word_of(compiled.language, length - 1, rng) if live else arbitrary(alphabet, length - 1, rng)
        found.append([tokens[BOS], *(tokens[s] for s in word)])
    return np.array(found, dtype=np.int64)


def _regular(name: str, compiled: Any) -> Case:
    """Logits are the acceptor's (+16 what may come next, else -16); streams those of the truncated block programs."""
    program, dfa, tokens = compiled.program, compiled.dfa, compiled.manifest["tokens"]
    symbols = {i: t for t, i in tokens.items()}
    place: dict[str, int] = {}
    residual = compiled.manifest["labels"]["residual"]
    for dimension, label in enumerate(residual):
        place.setdefault(label, dimension)
    vocabulary = compiled.weights.shape.tensors()["lm_head.weight"][0]

    @cache
    def one(word: tuple[int, ...]) -> tuple[Floats, Floats]:
        if symbols.get(word[0]) != BOS:
            raise ValueError("a word of a language begins with <bos>")
        # Everything after the last <bos> is one word: <bos> overwrites every memory.
        starts = [i for i, token in enumerate(word) if symbols[token] == BOS] + [len(word)]
        logits, streams = (
            np.full((len(word), vocabulary), -16.0),
            np.zeros((len(program.blocks) + 1, len(word), len(residual))),
        )
        streams[:, :, [i for i, label in enumerate(residual) if label == "constant"]] = CONSTANT
        for first, last in pairwise(starts):
            letters = [symbols[token] for token in word[first + 1 : last]]
            state = dfa.initial
            for t in range(first, last):
                if t > first:
                    state = dfa.semiautomaton.run(state, (symbols[word[t]],))
                for symbol in dfa.next_symbols(state):
                    logits[t, tokens[symbol]] = 16.0
                if state in dfa.accepting:
                    logits[t, tokens[EOS]] = 16.0
                streams[:, t, place[f"letter {symbols[word[t]]}"]] = 1.0
            for i in range(len(program.blocks) + 1):
                for t, slot in enumerate(replace(program, blocks=program.blocks[:i]).slots(tuple(letters)), first):
                    streams[i, t, place[f"slot {slot}"]] = 1.0
        return logits, streams

    def expect(ids: Ints) -> Expected:
        rows = [one(tuple(int(t) for t in row)) for row in ids]
        streams = np.stack([row[1] for row in rows], axis=1)
        return Expected(np.stack([row[0] for row in rows]), tuple(streams))

    return _language(name, compiled, _words_over(compiled, 4, 30), expect)


def _circuit(name: str, compiled: Any) -> Case:
    """Logits are 16 - 32 times the circuit's verdicts, from its run in integers."""
    circuit, tokens = compiled.circuit, compiled.manifest["tokens"]
    symbols = {i: t for t, i in tokens.items()}
    vocabulary = compiled.weights.shape.tensors()["lm_head.weight"][0]

    def expect(ids: Ints) -> Expected:
        logits = np.full((*ids.shape, vocabulary), -16.0)
        for row, word in enumerate(ids):
            if symbols.get(int(word[0])) != BOS or BOS in (symbols.get(int(t)) for t in word[1:]):
                raise ValueError("a word of a language begins with <bos>, and has no other")
            letters = tuple(symbols[int(t)] for t in word[1:])
            for t, (features, _) in enumerate(circuit.run(letters)):
                for token, form in circuit.verdicts.items():
                    logits[row, t, tokens[token]] = 16.0 - 32.0 * circuit.values(form, features)
        return Expected(logits)

    return _language(name, compiled, _words_over(compiled, 4, 30), expect)


def _language(name: str, compiled: Any, words: Ints, expect: Callable[[Ints], Expected]) -> Case:
    tokens = compiled.manifest["tokens"]
    symbols = {i: t for t, i in tokens.items()}
    shape = compiled.weights.shape
    columns = {
        i: (Source(shape.n_layers, None, f"whether {token} may come next", "the compiled language"),)
        for token, i in tokens.items()
    }
    return Case(
        name,
        f"{compiled.manifest['construction']}",
        words,
        compiled.save,
        expect,
        columns,
        _dimensions(compiled),
        tuple(symbols.get(i, f"unused {i}") for i in range(shape.tensors()["lm_head.weight"][0])),
        modes=("full", "step", "cached", "continued", "padded", "interleaved"),
        d_conv=shape.d_conv,
        n_blocks=shape.n_layers,
    )


def _dimensions(compiled: Any) -> dict[int, tuple[Source, ...]]:
    """Which channels write each dimension, from out_proj and the manifest's labels."""
    labels: Sequence[Mapping[str, Any]] = compiled.manifest["labels"]["blocks"]
    found: dict[int, list[Source]] = {}
    for number, block in enumerate(labels):
        out = compiled.weights.tensors[f"backbone.layers.{number}.mixer.out_proj.weight"]
        for channel in block["channels"]:
            index = channel["index"]
            if index < out.shape[1]:
                source = Source(number, index, channel["meaning"], channel["role"])
                for dimension in np.flatnonzero(out[:, index]):
                    found.setdefault(int(dimension), []).append(source)
    return {dimension: tuple(sources) for dimension, sources in found.items()}


def describe(kind: str = "mamba") -> str:
    """The set as JSON: names and what they exercise."""
    return json.dumps([{"case": c.name, "exercises": c.exercises} for c in cases(kind)], indent=2)
