"""Compiled models against their languages, at every prefix, and against themselves, bit for bit.

Every model here is a ``transformers`` ``MambaForCausalLM``. Ground truth is the vectorised acceptor.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from page.table import Column, Json, code, table
from page.targets import Target, every, none
from timings.measure import Measured, Tick, each, o_n, star_free_suite

import scancraft
from scancraft.automata.alphabet import Word
from scancraft.automata.dfa import Dfa
from scancraft.automata.words.mixtures import live_word_of, mixture_of
from scancraft.certify.check import CheckReport, compare, exhaustive_depth
from scancraft.compiler.compiled import Compiled
from scancraft.testing import assert_same_bits


@dataclass(frozen=True)
class Size:
    """How much is tried."""

    most_states: int = 20  # languages with more states are left out
    short_length: int = 10  # all words up to this length
    short_words: int = 100_000  # ... as long as they are at most so many (else up to a smaller length)
    words: int = 1_000  # sampled words: half members, a quarter one-symbol edits of members, a quarter arbitrary
    length: int = 500  # their greatest length
    long_length: int = 100_000  # of the one long word that stays live, for infinite languages
    bit_words: int = 50  # sampled words on which logits are compared bit for bit, taken evenly from the samples
    seed: int = 0  # of the sampling


FULL = Size()
QUICK = Size(most_states=2, short_length=4, short_words=100, words=12, length=20, long_length=300, bit_words=4)


def measure(size: Size, tick: Tick) -> Measured:
    named = star_free_suite(size.most_states)
    if size.most_states >= 5:
        named.append(("O_5", o_n(5)))
    return Measured({"languages": [_language(name, dfa, size) for name, dfa in each(named, tick)]})


def _language(name: str, dfa: Dfa, size: Size) -> Json:
    """``long`` is None if the language is finite."""
    compiled = scancraft.compile(dfa)
    model, readout = compiled.model(), compiled.readout
    rng = np.random.default_rng(size.seed)
    sample = mixture_of(dfa, size.words, 0, size.length, rng)
    depth = exhaustive_depth(len(dfa.alphabet), size.short_words, size.short_length)
    row = {"name": name, "states": dfa.n_states, "letters": len(dfa.alphabet)}
    row |= {"blocks": compiled.weights.shape.n_layers}
    row |= {"short": extent(compare(model, dfa, readout, exhaustive_to=depth))}
    row |= {"sampled": extent(compare(model, dfa, readout, sample)), "long": None}
    if not dfa.is_finite():
        row["long"] = extent(compare(model, dfa, readout, [live_word_of(dfa, size.long_length, rng)]))
    few = sample[:: max(1, len(sample) // size.bit_words)][: size.bit_words]
    return row | {"bits": bits(compiled, few)}


def extent(report: CheckReport) -> Json:
    """What was compared with the ground truth; ``wrong`` counts prefixes."""
    words, longest, seconds = report.words, report.longest_word, report.seconds
    return {"words": words, "longest": longest, "prefixes": report.prefixes, "wrong": report.wrong, "seconds": seconds}


def bits(compiled: Compiled, words: Sequence[Word]) -> Json:
    """Pairs of logit vectors that ``scancraft.testing.assert_same_bits`` compared, and the first difference, or ""."""
    started, compared, difference = time.perf_counter(), None, ""
    try:
        compared = assert_same_bits(compiled, words)
    except AssertionError as error:
        difference = str(error)
    return {"compared": compared, "difference": difference, "seconds": time.perf_counter() - started}


# -- the page --------------------------------------------------------------------------------------------------------

PARTS = {"short": "all short", "sampled": "sampled", "long": "long"}
NAME = Column("language", "name", code)


def _part(part: str, key: str, head: str) -> Column:
    return Column(head, lambda row: row[part] and row[part][key], target=(lambda n: n == 0) if key == "wrong" else None)


def _columns(part: str, title: str) -> list[Column]:
    keys = {"words": f"{title}: words", "longest": "longest", "prefixes": "prefixes", "wrong": "wrong", "seconds": "s"}
    return [_part(part, key, head) for key, head in keys.items()]


WORDS = (NAME, "blocks", *(column for part, title in PARTS.items() for column in _columns(part, title)))
BITS = (
    NAME,
    Column("equal in every way", lambda row: not row["bits"]["difference"]),
    Column("vectors compared", lambda row: row["bits"]["compared"]),
    _part("bits", "seconds", "s"),
)


def targets(size: Json, result: Json) -> list[Target]:
    rows = result["languages"]
    parts = [row[part] for row in rows for part in PARTS if row[part]]
    prefixes = sum(part["prefixes"] for part in parts)
    wrong = sum(part["wrong"] for part in parts)
    same = sum(not row["bits"]["difference"] for row in rows)
    return [
        none(f"disagreements on {prefixes:,} prefixes of words of {len(rows)} languages", wrong),
        every("languages whose logits are the same bits in every way of running a model", same, len(rows)),
    ]


def parts(size: Json, result: Json) -> Json:
    rows = result["languages"]
    differences = [row["bits"]["difference"] for row in rows if row["bits"]["difference"]]
    return {"words": table(rows, WORDS), "bits": table(rows, BITS), "differences": "\n\n".join(differences)}
