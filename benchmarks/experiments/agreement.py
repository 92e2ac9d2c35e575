"""Compiled models against their languages, at every prefix, and against themselves, bit for bit.

Every model here is a ``transformers`` ``MambaForCausalLM``. Ground truth is the vectorised acceptor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from page import references
from timings.measure import Tick, best_of, o_n, stepped
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

import scancraft
from scancraft.automata.alphabet import Word
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import SUITE
from scancraft.automata.words.mixtures import live_word_of, mixture_of
from scancraft.certify.check import CheckReport, compare, exhaustive_depth
from scancraft.compiler.compile import Compiled
from scancraft.models.readout import Readout


@dataclass(frozen=True)
class Size:
    """How much is tried.

    Args:
        most_states: languages with more states are left out.
        short_length: all words up to this length ...
        short_words: ... as long as they are at most so many (else up to a smaller length).
        words: sampled words: half members, a quarter one-symbol edits of members, a quarter arbitrary.
        length: their greatest length.
        long_length: of the one long word that stays live, for infinite languages.
        bit_words: sampled words on which logits are compared bit for bit, taken evenly from the samples.
        seed: of the sampling.
    """

    most_states: int = 20
    short_length: int = references.EXHAUSTIVE_LENGTH
    short_words: int = references.EXHAUSTIVE_WORDS
    words: int = references.SAMPLED_WORDS
    length: int = references.SAMPLED_LENGTH
    long_length: int = references.LONG_LENGTH
    bit_words: int = 50
    seed: int = 0


FULL = Size()
QUICK = Size(most_states=3, short_length=4, short_words=100, words=12, length=20, long_length=300, bit_words=4)


@dataclass(frozen=True)
class Extent:
    """What was compared with the ground truth; ``wrong`` counts prefixes."""

    words: int
    longest: int
    prefixes: int
    wrong: int
    seconds: float


@dataclass(frozen=True)
class Bits:
    """Whether logits are ``torch.equal`` to those of float32, one word at a time, one-shot scan, no padding.

    Each but the first is checked in float32 and in bfloat16.

    Args:
        bfloat16: the same in bfloat16, and all sampled words in padded batches of either dtype.
        step: token by token with the cache.
        batch: a batch, shorter words padded on the right, no attention mask.
        right_padding: the same with the attention mask.
        left_padding: padded on the left, with the attention mask.
    """

    bfloat16: bool
    step: bool
    batch: bool
    right_padding: bool
    left_padding: bool
    seconds: float


@dataclass(frozen=True)
class Agreement:
    """One language; ``long`` is None if the language is finite."""

    name: str
    states: int
    letters: int
    blocks: int
    short: Extent
    sampled: Extent
    long: Extent | None
    bits: Bits


@dataclass(frozen=True)
class Result:
    languages: tuple[Agreement, ...]


def measure(size: Size, tick: Tick) -> Result:
    named = [(language.name, language.build()) for language in SUITE if language.star_free]
    named.append(("O_5", o_n(5)))
    named = [entry for entry in named if entry[1].n_states <= size.most_states]
    rows = []
    for done, (name, dfa) in enumerate(named):
        tick(done, len(named), name)
        rows.append(_language(name, dfa, size))
    return Result(tuple(rows))


def _language(name: str, dfa: Dfa, size: Size) -> Agreement:
    compiled = scancraft.compile(dfa)
    model, readout = compiled.model(), compiled.readout
    rng = np.random.default_rng(size.seed)
    sample = mixture_of(dfa, size.words, 0, size.length, rng)
    depth = exhaustive_depth(len(dfa.alphabet), size.short_words, size.short_length)
    short = _extent(compare(model, dfa, readout, exhaustive_to=depth))
    sampled = _extent(compare(model, dfa, readout, sample))
    long = None
    if not dfa.is_finite():
        long = _extent(compare(model, dfa, readout, [live_word_of(dfa, size.long_length, rng)]))
    blocks = compiled.weights.shape.n_layers
    bits = _bits(compiled, sample, size.bit_words)
    return Agreement(name, dfa.n_states, len(dfa.alphabet), blocks, short, sampled, long, bits)


def _extent(report: CheckReport) -> Extent:
    return Extent(report.words, report.longest_word, report.prefixes, report.wrong, report.seconds)


# -- bits ------------------------------------------------------------------------------------------------------------


def _bits(compiled: Compiled, sample: Sequence[Word], count: int) -> Bits:
    models = [compiled.model(dtype) for dtype in (torch.float32, torch.bfloat16)]
    few = sample[:: max(1, len(sample) // count)][:count]

    def compare_all() -> dict[str, bool]:
        words = [torch.tensor(compiled.readout.encode(word)) for word in few]
        reference, narrow = ([model(ids[None], use_cache=False).logits[0] for ids in words] for model in models)
        everything = _equal_in_batches(models, compiled.readout, sample)
        found = {"bfloat16": everything and _same(narrow, reference)}
        pad = compiled.readout.pad
        for name, run in (("step", _step), ("batch", _batch), ("right_padding", _right), ("left_padding", _left)):
            found[name] = all(_same(run(model, words, pad), reference) for model in models)
        return found

    with torch.inference_mode():
        seconds, found = best_of(1, compare_all)
    return Bits(**found, seconds=seconds)


def _same(logits: Sequence[Tensor], reference: Sequence[Tensor]) -> bool:
    return all(torch.equal(ours.float(), theirs) for ours, theirs in zip(logits, reference, strict=True))


def _equal_in_batches(models: Sequence[Any], readout: Readout, sample: Sequence[Word], rows: int = 125) -> bool:
    """Whether all models return the same logits, padding positions included, on batches of similar length."""
    encoded = sorted((torch.tensor(readout.encode(word)) for word in sample), key=len)
    for start in range(0, len(encoded), rows):
        ids = pad_sequence(encoded[start : start + rows], batch_first=True, padding_value=readout.pad)
        first, *others = (model(ids, use_cache=False).logits.float() for model in models)
        if not all(torch.equal(first, other) for other in others):
            return False
    return True


def _step(model: Any, words: Sequence[Tensor], pad: int) -> list[Tensor]:
    ids = pad_sequence(list(words), batch_first=True, padding_value=pad)
    logits = stepped(model, ids)
    return [row[: len(word)] for row, word in zip(logits, words, strict=True)]


def _batch(model: Any, words: Sequence[Tensor], pad: int) -> list[Tensor]:
    logits = model(pad_sequence(list(words), batch_first=True, padding_value=pad), use_cache=False).logits
    return [row[: len(word)] for row, word in zip(logits, words, strict=True)]


def _right(model: Any, words: Sequence[Tensor], pad: int) -> list[Tensor]:
    logits = _masked(model, words, pad, "right")
    return [row[: len(word)] for row, word in zip(logits, words, strict=True)]


def _left(model: Any, words: Sequence[Tensor], pad: int) -> list[Tensor]:
    logits = _masked(model, words, pad, "left")
    return [row[-len(word) :] for row, word in zip(logits, words, strict=True)]


def _masked(model: Any, words: Sequence[Tensor], pad: int, side: str) -> Tensor:
    ids = pad_sequence(list(words), batch_first=True, padding_value=pad, padding_side=side)
    ones = [torch.ones_like(word) for word in words]
    mask = pad_sequence(ones, batch_first=True, padding_value=0, padding_side=side)
    logits: Tensor = model(ids, attention_mask=mask, use_cache=False).logits
    return logits
