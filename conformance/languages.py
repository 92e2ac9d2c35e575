"""Compiled languages as cases: every target has them. Logits are owed to the language, from its acceptor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from ..automata.errors import ScancraftError
from ..automata.words.draw import arbitrary
from ..automata.words.mixtures import live_word_of
from ..compiler.circuits.circuit import value_of
from ..compiler.compile import compile as compile_language
from ..compiler.constructions import dyck
from ..compiler.targets import TARGETS
from .case import Case, Expected, Floats, Ints, Source
from .probes.kinds.kind import CONSTANT
from .probes.probe import BOS, EOS

REGULAR = {"D-2": "(a(ab)*b)*", "last-letter": "(a|b)*a(a|b)", "blocks": "a*b*c*a*"}
SIGNED = {"parity": "(b*ab*a)*b*", "length-mod-4": "((a|b)(a|b)(a|b)(a|b))*"}
"""For kinds with gates of -1."""


@cache
def language_cases(kind: str, quick: bool) -> tuple[Case, ...]:
    """The compiled languages of a kind; none if this scancraft has no such target."""
    if kind not in TARGETS:
        return ()
    found = []
    regular = SIGNED | REGULAR if TARGETS[kind].gates == "signed" else REGULAR
    for name, regex in list(regular.items())[: 2 if quick else None]:
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
    rng = np.random.default_rng(rows + length)
    tokens, alphabet = compiled.manifest.tokens, compiled.language.alphabet
    found = []
    for row in range(rows):
        live = row % 2 == 0 or compiled.manifest.contract == "live-prefixes"
        word = live_word_of(compiled.language, length - 1, rng) if live else arbitrary(alphabet, length - 1, rng)
        found.append([tokens[BOS], *(tokens[s] for s in word)])
    return np.array(found, dtype=np.int64)


def _regular(name: str, compiled: Any) -> Case:
    """Logits are the acceptor's (+16 what may come next, else -16); streams those of the truncated circuits."""
    circuit, dfa, tokens = compiled.circuit, compiled.dfa, compiled.manifest.tokens
    symbols = {i: t for t, i in tokens.items()}
    place: dict[str, int] = {}
    residual = compiled.manifest.residual
    for number, dimension in enumerate(residual):
        place.setdefault(dimension.name, number)
    vocabulary = compiled.weights.shape.tensors()["lm_head.weight"][0]

    @cache
    def one(word: tuple[int, ...]) -> tuple[Floats, Floats]:
        if symbols.get(word[0]) != BOS:
            raise ValueError("a word of a language begins with <bos>")
        # Everything after the last <bos> is one word: <bos> overwrites every memory.
        starts = [i for i, token in enumerate(word) if symbols[token] == BOS] + [len(word)]
        logits, streams = (
            np.full((len(word), vocabulary), -16.0),
            np.zeros((len(circuit.blocks) + 1, len(word), len(residual))),
        )
        streams[:, :, [i for i, dimension in enumerate(residual) if dimension.kind == "constant"]] = CONSTANT
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
            for i in range(len(circuit.blocks) + 1):
                truncated = replace(circuit, blocks=circuit.blocks[:i])
                for t, (features, _) in enumerate(truncated.run(tuple(letters)), first):
                    streams[i, t, [place[feature] for feature in features]] = list(features.values())
        return logits, streams

    def expect(ids: Ints) -> Expected:
        rows = [one(tuple(int(t) for t in row)) for row in ids]
        streams = np.stack([row[1] for row in rows], axis=1)
        return Expected(np.stack([row[0] for row in rows]), tuple(streams))

    return _language(name, compiled, _words_over(compiled, 4, 30), expect)


def _circuit(name: str, compiled: Any) -> Case:
    """Logits are 16 - 32 times the circuit's verdicts, from its run in integers."""
    circuit, tokens = compiled.circuit, compiled.manifest.tokens
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
                    logits[row, t, tokens[token]] = 16.0 - 32.0 * value_of(form, features)
        return Expected(logits)

    return _language(name, compiled, _words_over(compiled, 4, 30), expect)


def _language(name: str, compiled: Any, words: Ints, expect: Callable[[Ints], Expected]) -> Case:
    tokens = compiled.manifest.tokens
    symbols = {i: t for t, i in tokens.items()}
    shape = compiled.weights.shape
    columns = {
        i: (Source(shape.n_layers, None, f"whether {token} may come next", "the compiled language"),)
        for token, i in tokens.items()
    }
    return Case(
        name,
        f"{compiled.manifest.construction}",
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
    found: dict[int, list[Source]] = {}
    for number, block in enumerate(compiled.manifest.blocks):
        out = compiled.weights.tensors[f"backbone.layers.{number}.mixer.out_proj.weight"]
        for channel in block.channels:
            source = Source(number, channel.index, channel.meaning, channel.role)
            for dimension in np.flatnonzero(out[:, channel.index]):
                found.setdefault(int(dimension), []).append(source)
    return {dimension: tuple(sources) for dimension, sources in found.items()}
