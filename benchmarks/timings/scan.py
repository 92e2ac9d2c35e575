"""Tokens per second of the fast runner beside transformers' own path, on the same tokens in the same run."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from timings.measure import Tick, best_of
from torch import Tensor

import scancraft
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import d_n, flip_flop, tomita
from scancraft.automata.regex.regex import parse_regex
from scancraft.automata.words.mixtures import live_word_of
from scancraft.models.run.runner import Runner

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Size:
    """What is read: one long word, a batch of shorter ones, and one that transformers is not asked to read.

    Args:
        length: of the long word.
        words: in the batch.
        word_length: of each of them.
        longest: of the word that only the fast runner reads.
        repeats: runs of transformers of which the fastest counts.
        fast_repeats: runs of the fast runner.
        seed: of the sampling.
    """

    length: int = 10_000
    words: int = 1_000
    word_length: int = 100
    longest: int = 100_000
    repeats: int = 3
    fast_repeats: int = 10
    seed: int = 0


FULL = Size()
QUICK = Size(length=200, words=5, word_length=20, longest=1_000, repeats=1, fast_repeats=1)


@dataclass(frozen=True)
class Row:
    """One language in one dtype.

    Attributes:
        batch: words read at once; each is a word that can be completed at every prefix.
        length: tokens of each, ``<bos>`` included.
        transformers: seconds of ``MambaForCausalLM``, its cache off.
        runner: seconds of ``Runner``, without its construction.
        construction: seconds of that.
        ratio: how many times faster the runner is.
        equal: whether all logits are the same bits.
    """

    language: str
    dtype: str
    blocks: int
    batch: int
    length: int
    transformers: float
    runner: float
    construction: float
    ratio: float
    equal: bool


@dataclass(frozen=True)
class Longest:
    """The longest word, chunk by chunk in bounded memory and, on ``stepped`` tokens, one token at a time.

    Attributes:
        tokens_per_second: chunk by chunk.
        steps_per_second: one token at a time.
        equal: whether the steps give the bits of the chunks.
    """

    language: str
    length: int
    tokens_per_second: float
    stepped: int
    steps_per_second: float
    equal: bool


@dataclass(frozen=True)
class Result:
    """Every row, and the longest words."""

    rows: tuple[Row, ...]
    longest: tuple[Longest, ...]


def measure(size: Size, tick: Tick) -> Result:
    named = [
        ("D-12", d_n(12)),
        ("Flip-flop", flip_flop()),
        ("Tomita-4", tomita(4)),
        ("aa*bb*cc*dd*ee*", parse_regex("aa*bb*cc*dd*ee*")),
        ("D-2", d_n(2)),
    ]
    rows, longest = [], []
    for done, (name, dfa) in enumerate(named):
        tick(done, len(named), name)
        compiled, rng = scancraft.compile(dfa), Random(size.seed)
        for batch, length in ((1, size.length), (size.words, size.word_length)):
            ids = _words(compiled, dfa, batch, length, rng)
            rows += [_row(name, compiled, dtype, ids, size) for dtype in DTYPES]
        longest.append(_longest(name, compiled, _words(compiled, dfa, 1, size.longest, rng), size))
    return Result(tuple(rows), tuple(longest))


def _words(compiled: Any, dfa: Dfa, batch: int, length: int, rng: Random) -> Tensor:
    """Token ids of shape (batch, length), each row ``<bos>`` and a random word that stays live."""
    return torch.tensor([compiled.readout.encode(live_word_of(dfa, length - 1, rng)) for _ in range(batch)])


def _row(name: str, compiled: Any, dtype: str, ids: Tensor, size: Size) -> Row:
    model = compiled.model().to(DTYPES[dtype])
    with torch.inference_mode():
        slow, expected = best_of(size.repeats, lambda: model(ids, use_cache=False).logits)
    construction, runner = best_of(size.fast_repeats, lambda: Runner(model))
    fast, found = best_of(size.fast_repeats, lambda: runner(ids))
    same = torch.equal(found, expected)
    blocks = compiled.weights.shape.n_layers
    return Row(name, dtype, blocks, *ids.shape, slow, fast, construction, slow / fast, same)


def _longest(name: str, compiled: Any, ids: Tensor, size: Size) -> Longest:
    runner = Runner(compiled.weights)
    seconds, _ = best_of(size.repeats, lambda: sum(part.shape[1] for part in runner.chunks(ids)))
    stepped = min(size.word_length, ids.shape[1])
    step_seconds, last = best_of(size.repeats, lambda: _last_step(runner, ids[:, :stepped]))
    equal = torch.equal(last, runner(ids[:, :stepped])[:, -1])
    return Longest(name, ids.shape[1], ids.shape[1] / seconds, stepped, stepped / step_seconds, equal)


def _last_step(runner: Runner, ids: Tensor) -> Tensor:
    stream = runner.stream(len(ids))
    for tokens in ids.unbind(1):
        logits = stream.step(tokens)
    return logits
