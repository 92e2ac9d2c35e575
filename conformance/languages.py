"""Compiled languages as cases: every target has them. What is owed is the circuit's, judged by the acceptor."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from ..automata.alphabet import class_token
from ..automata.errors import ScancraftError
from ..automata.languages import columns_of, truth_of
from ..automata.named import named
from ..automata.words.draw import arbitrary
from ..automata.words.mixtures import live_word_of
from ..compiler.circuits.forms import value_of
from ..compiler.compile import compile as compile_language
from ..compiler.constructions import dyck
from ..compiler.targets import TARGETS
from .case import Case, Expected, Floats, Ints, Source
from .probes.kinds import KINDS
from .probes.kinds.kind import CONSTANT
from .probes.probe import BOS

REGULAR = {"D-2": "(a(ab)*b)*", "last-letter": "(a|b)*a(a|b)", "blocks": "a*b*c*a*"}
SIGNED = {"parity": "(b*ab*a)*b*", "length-mod-4": "((a|b)(a|b)(a|b)(a|b))*"}
"""For kinds with gates of -1."""
CLASSES = {"classes": "corridor of 5", "classes beside": "depth to 3"}
"""Machines with outputs, by their names."""
OUT = ("out_proj.weight", "o_proj.weight", "down_proj.weight")
"""What writes to the residual stream, in a block."""


@cache
def language_cases(kind: str, quick: bool) -> tuple[Case, ...]:
    """The compiled languages of a kind; none if this scancraft has no such target."""
    of = KINDS.get(kind)
    target = (of.target if of else "") or kind
    if target not in TARGETS:
        return ()
    signed = TARGETS[target].gates != "nonnegative" and target == kind
    chosen = list((SIGNED | REGULAR if signed else REGULAR).items())[: 2 if quick else None]

    def made(name: str, compiled: Any) -> Case:
        return _case(name, replace(compiled, weights=of.dress(compiled.weights)) if of else compiled)

    found = [
        made(f"language {name}", compile_language(regex, target=target, construction="cascade"))
        for name, regex in chosen
    ]
    if not quick:
        found += [
            made(f"language {name}", compile_language(named(machine), target=target, construction="cascade"))
            for name, machine in CLASSES.items()
        ]
        found.append(made("plan D-2", compile_language(REGULAR["D-2"], target=target, construction="plan")))
        with suppress(ScancraftError):  # of a target that has no such construction
            found.append(made("language Dyck-2,3", dyck(2, 3, target=target)))
    return tuple(found)


def _words_over(compiled: Any, rows: int, length: int) -> Ints:
    """Half of the rows are random, half live: they can be completed up to their last letter."""
    rng = np.random.default_rng(rows + length)
    tokens, alphabet = compiled.manifest.tokens, compiled.language.alphabet
    found = []
    for row in range(rows):
        live = row % 2 == 0 or compiled.manifest.contract == "live-prefixes"
        word = live_word_of(compiled.language, length - 1, rng) if live else arbitrary(alphabet, length - 1, rng)
        found.append([tokens[BOS], *(tokens[s] for s in word)])
    return np.array(found, dtype=np.int64)


def _case(name: str, compiled: Any) -> Case:
    """Logits are 16 - 32 times the circuit's verdicts, from its run in integers; their signs are the acceptor's.

    The streams are those of the truncated circuits (under "live-prefixes" these end too early to tell).
    """
    circuit, manifest, shape = compiled.circuit, compiled.manifest, compiled.weights.shape
    rows = {class_token(name): row for name, row in manifest.outputs.items()}
    tokens, truth = {**manifest.tokens, **rows}, truth_of(compiled.language)
    symbols, owing = {i: t for t, i in tokens.items()}, columns_of(truth)
    judged = [token for token in owing if token in circuit.verdicts]
    place = {dimension.name: number for number, dimension in reversed(list(enumerate(manifest.residual)))}
    constants = [number for number, dimension in enumerate(manifest.residual) if dimension.kind == "constant"]
    vocabulary = shape.tensors()["lm_head.weight"][0]
    stages = range(len(circuit.blocks) + 1)
    told = circuit.contract == "all-words" and len(circuit.blocks) == shape.n_layers  # no layers between its blocks
    parts = [replace(circuit, blocks=circuit.blocks[:i]) for i in stages] if told else []

    @cache
    def one(word: tuple[int, ...]) -> tuple[Floats, Floats]:
        if symbols.get(word[0]) != BOS or BOS in (symbols.get(token) for token in word[1:]):
            raise ValueError("a word of a language begins with <bos>, and has no other")
        letters = tuple(symbols[token] for token in word[1:])
        logits = np.full((len(word), vocabulary), -16.0)
        streams = np.zeros((len(parts), len(word), len(manifest.residual)))
        streams[:, :, constants] = CONSTANT
        for stream, part in zip(streams, parts, strict=True):
            for row, (features, _) in zip(stream, part.run(letters), strict=True):
                row[[place[feature] for feature in features]] = list(features.values())
        for row, (features, _) in zip(logits, circuit.run(letters), strict=True):
            for token, form in circuit.verdicts.items():
                row[tokens[token]] = 16.0 - 32.0 * value_of(form, features)
        owed = truth.next_masks(*truth.encode([letters]))[0][:, [owing[token] for token in judged]]
        said = logits[:, [tokens[token] for token in judged]] > 0
        assert np.array_equal(said, owed), "the circuit is not right about the language"
        return logits, streams

    def expect(ids: Ints) -> Expected:
        logits, streams = zip(*(one(tuple(map(int, row))) for row in ids), strict=True)
        return Expected(np.stack(logits), tuple(np.stack(streams, axis=1)) if parts else None)

    columns = {
        i: (Source(shape.n_layers, None, _about(token, classes=rows), "the compiled language"),)
        for token, i in tokens.items()
    }
    return Case(
        name,
        manifest.construction,
        _words_over(compiled, 4, 30),
        compiled.save,
        expect,
        columns,
        _dimensions(compiled),
        tuple(symbols.get(i, f"unused {i}") for i in range(vocabulary)),
        modes=("full", "step", "cached", "continued", "padded", "interleaved"),
        d_conv=shape.d_conv,
        n_blocks=shape.n_layers,
    )


def _about(token: str, classes: Collection[str]) -> str:
    return f"whether {token} is the class" if token in classes else f"whether {token} may come next"


def _dimensions(compiled: Any) -> dict[int, tuple[Source, ...]]:
    """Which channels write each dimension, from out_proj and the manifest's labels."""
    found: dict[int, list[Source]] = {}
    for number, block in enumerate(compiled.manifest.blocks):
        parts = [t for name, t in compiled.weights.block(number).items() if name.endswith(OUT)]
        out = np.concatenate(parts, axis=1)
        for channel in block.channels:
            source = Source(number, channel.index, channel.meaning, channel.role)
            for dimension in np.flatnonzero(out[:, channel.index]):
                found.setdefault(int(dimension), []).append(source)
    return {dimension: tuple(sources) for dimension, sources in found.items()}
