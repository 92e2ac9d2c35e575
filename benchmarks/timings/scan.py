"""Tokens per second of the fast runner beside transformers' own path, on the same tokens in the same run."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from page.table import Column, Json, code, milli, table, whole
from page.targets import Target, every
from timings.measure import Measured, Tick, best_of, each
from torch import Tensor

import scancraft
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import d_n, flip_flop, tomita
from scancraft.automata.regex.regex import parse_regex
from scancraft.automata.words.mixtures import live_word_of
from scancraft.models.run.runner import Runner

RATIO = 20
"""The target: so many times as fast as transformers on one long word."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Size:
    """What is read: one long word, a batch of shorter ones, and one that transformers is not asked to read."""

    length: int = 10_000  # of the long word
    words: int = 1_000  # in the batch
    word_length: int = 100  # of each of them
    longest: int = 100_000  # of the word that only the fast runner reads
    repeats: int = 3  # runs of transformers of which the fastest counts
    fast_repeats: int = 10  # runs of the fast runner
    seed: int = 0  # of the sampling


FULL = Size()
QUICK = Size(length=200, words=5, word_length=20, longest=1_000, repeats=1, fast_repeats=1)


def measure(size: Size, tick: Tick) -> Measured:
    named = [
        ("D-12", d_n(12)),
        ("Flip-flop", flip_flop()),
        ("Tomita-4", tomita(4)),
        ("aa*bb*cc*dd*ee*", parse_regex("aa*bb*cc*dd*ee*")),
        ("D-2", d_n(2)),
    ]
    rows, longest = [], []
    for name, dfa in each(named, tick):
        compiled, rng = scancraft.compile(dfa), Random(size.seed)
        for batch, length in ((1, size.length), (size.words, size.word_length)):
            ids = _words(compiled, dfa, batch, length, rng)
            rows += [_row(name, compiled, dtype, ids, size) for dtype in DTYPES]
        longest.append(_longest(name, compiled, _words(compiled, dfa, 1, size.longest, rng), size))
    return Measured({"rows": rows, "longest": longest})


def _words(compiled: Any, dfa: Dfa, batch: int, length: int, rng: Random) -> Tensor:
    """Token ids of shape (batch, length), each row ``<bos>`` and a random word that stays live."""
    return torch.tensor([compiled.readout.encode(live_word_of(dfa, length - 1, rng)) for _ in range(batch)])


def _row(name: str, compiled: Any, dtype: str, ids: Tensor, size: Size) -> Json:
    """Transformers' cache is off; the runner is timed without its construction."""
    model = compiled.model().to(DTYPES[dtype])
    with torch.inference_mode():
        slow, expected = best_of(size.repeats, lambda: model(ids, use_cache=False).logits)
    construction, runner = best_of(size.fast_repeats, lambda: Runner(model))
    fast, found = best_of(size.fast_repeats, lambda: runner(ids))
    row = {"language": name, "dtype": dtype, "blocks": compiled.weights.shape.n_layers}
    row |= {"batch": ids.shape[0], "length": ids.shape[1]}
    row |= {"transformers": slow, "runner": fast, "construction": construction, "ratio": slow / fast}
    return row | {"equal": torch.equal(found, expected)}


def _longest(name: str, compiled: Any, ids: Tensor, size: Size) -> Json:
    """The longest word, chunk by chunk in bounded memory and, on ``stepped`` tokens, one token at a time."""
    runner = Runner(compiled.weights)
    length, stepped = ids.shape[1], min(size.word_length, ids.shape[1])
    seconds, _ = best_of(size.repeats, lambda: sum(part.shape[1] for part in runner.chunks(ids)))
    step_seconds, last = best_of(size.repeats, lambda: _last_step(runner, ids[:, :stepped]))
    row = {"language": name, "length": length, "tokens_per_second": length / seconds}
    row |= {"stepped": stepped, "steps_per_second": stepped / step_seconds}
    return row | {"equal": torch.equal(last, runner(ids[:, :stepped])[:, -1])}


def _last_step(runner: Runner, ids: Tensor) -> Tensor:
    stream = runner.stream(len(ids))
    for tokens in ids.unbind(1):
        logits = stream.step(tokens)
    return logits


# -- the page --------------------------------------------------------------------------------------------------------

ROWS = (
    Column("language", show=code),
    *("dtype", "blocks", "batch", "length"),
    *(Column(name, show=milli) for name in ("transformers", "runner", "construction")),
    *("ratio", "equal"),
)
LONGEST = (
    Column("language", show=code),
    "length",
    Column("tokens/s", "tokens_per_second", whole),
    Column("tokens/s, one at a time", "steps_per_second", whole),
    "equal",
)


def targets(size: Json, result: Json) -> list[Target]:
    rows = result["rows"]
    single = [row["ratio"] for row in rows if row["batch"] == 1]
    what = f"the runner against transformers' CPU path, length {size['length']:,}"
    told = f"{min(single):,.0f} to {max(single):,.0f} times"
    return [
        Target(what, f"{RATIO} times as fast", told, min(single) >= RATIO),
        every("logits of the two equal (torch.equal)", sum(row["equal"] for row in rows), len(rows)),
    ]


def parts(size: Json, result: Json) -> Json:
    return {"rows": table(result["rows"], ROWS), "longest": table(result["longest"], LONGEST)}
