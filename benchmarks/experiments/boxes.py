"""Certificates box by box, held against words: random models that forget fast, with languages they happen to model.

python benchmarks/run.py boxes                            34 models of each kind and number of blocks, 100,000 words
python benchmarks/run.py boxes --models 5 --words 1000    fewer
python benchmarks/run.py boxes --json FILE                keep a line per model, and go on where FILE ends

A language says what the model says after its last letters, so that most are wrong somewhere. Of what is certified every
score at every prefix of random words and of x w^n y (2,016 letters) must have the right sign, and be no nearer to 0
than the certificate says, in two implementations (transformers' and, for Mamba, scancraft's runner). One that is not
ends the campaign with exit code 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from definite import READOUT, definite, random_model
from page.table import Column, Json, table

import scancraft
from scancraft import Budget
from scancraft.automata.languages import as_language, truth_of
from scancraft.models.run.batches import prefix_scores
from scancraft.models.run.runner import Runner

KINDS = ("mamba", "falcon_mamba", "mamba2")
BUDGET = Budget(items=800)
WINDOWS = (2, 3, 4)
"""How many last letters the languages look at."""
LENGTH, LOOP = 24, 2000
"""Of random words, and of those that pump a loop."""
COLUMNS = (
    *("kind", "blocks", "models", "languages", "certified", "wrong", "undecided", "words"),
    Column("errors", "errors"),
)


def languages(model: Any) -> Iterator[tuple[int, Any]]:
    """Those of the model that are neither empty nor everything, each once."""
    seen = set()
    for window in WINDOWS:
        language = as_language(definite(model, window))
        if language.n_states > 1 and language not in seen:
            seen.add(language)
            yield window, language


def tried(model: Any, language: Any, margin: float, words: int, rng: np.random.Generator) -> int:
    """At how many prefixes of random words a score has a wrong sign, or is too near to 0."""
    truth, wrong = truth_of(language), 0
    implementations = [model, *([Runner(model)] if model.config.model_type == "mamba" else [])]
    for batch in batches(words, rng):
        lengths = np.full(len(batch), batch.shape[1])
        right = truth.next_masks(batch, lengths)[..., [len(language.alphabet)]]
        for implementation in implementations:
            scores = prefix_scores(implementation, READOUT, batch, lengths, language.alphabet).numpy()
            wrong += int(((scores > 0) != right).sum() + (np.abs(scores) < margin).sum())
    return wrong


def batches(words: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Random words, and for every 2,000 of them a long one: a loop, with something before it and after it."""
    for at in range(0, words, 1000):
        yield rng.integers(0, 2, (min(1000, words - at), LENGTH)).astype(np.uint16)
    long = []
    for _ in range(max(1, words // 2000)):
        loop = np.tile(rng.integers(0, 2, int(rng.integers(1, 5))), LOOP)[:LOOP]
        x, y = rng.integers(0, 2, (2, 8))
        long.append(np.concatenate([x, loop, y]).astype(np.uint16))
    yield np.stack(long)


def rows(
    kinds: Sequence[str], blocks: Sequence[int], models: int, words: int, done: set[tuple[str, int, int]]
) -> Iterator[Json]:
    """A line for each model that is not done."""
    for kind in kinds:
        for layers in blocks:
            for seed in range(models):
                if (kind, layers, seed) not in done:
                    yield row(kind, layers, seed, words)


def row(kind: str, layers: int, seed: int, words: int) -> Json:
    """What is said of one model's languages, and what words say of that."""
    model, rng = random_model(kind, seed, layers), np.random.default_rng(seed)
    found: Json = {"kind": kind, "blocks": layers, "seed": seed, "words": 0, "errors": 0, "margins": []}
    verdicts = []
    started = time.perf_counter()
    for _, language in languages(model):
        verdict = scancraft.certify(model, language, readout=READOUT, budget=BUDGET)
        verdicts.append(verdict.verdict)
        if isinstance(verdict, scancraft.Certificate):
            found["errors"] += tried(model, language, verdict.margin, words, rng)
            found["words"] += words
            found["margins"].append(verdict.margin)
    return found | {"verdicts": verdicts, "seconds": round(time.perf_counter() - started, 2)}


def summary(lines: Sequence[Json]) -> list[Json]:
    """A line for each kind and number of blocks."""
    out = []
    for kind, blocks in sorted({(line["kind"], line["blocks"]) for line in lines}):
        some = [line for line in lines if (line["kind"], line["blocks"]) == (kind, blocks)]
        verdicts = [v for line in some for v in line["verdicts"]]
        counts = {
            name: verdicts.count(v)
            for name, v in (("certified", "certified"), ("wrong", "counterexample"), ("undecided", "undecided"))
        }
        sums = {name: sum(line[name] for line in some) for name in ("words", "errors")}
        out.append({"kind": kind, "blocks": blocks, "models": len(some), "languages": len(verdicts), **counts, **sums})
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=34, help="random models of each kind and number of blocks")
    parser.add_argument("--words", type=int, default=100_000, help="for each language that is certified")
    parser.add_argument("--kinds", nargs="*", default=KINDS, choices=KINDS)
    parser.add_argument("--blocks", nargs="*", type=int, default=(1, 2))
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="a line of JSON per model; those that are there are not run again"
    )
    options = parser.parse_args(sys.argv[2:] if arguments is None else list(arguments))
    torch.set_num_threads(1)
    kept = options.json.read_text().splitlines() if options.json is not None and options.json.exists() else []
    lines = [json.loads(line) for line in kept]
    done = {(line["kind"], line["blocks"], line["seed"]) for line in lines}
    for line in rows(options.kinds, options.blocks, options.models, options.words, done):
        lines.append(line)
        if options.json is not None:
            with options.json.open("a") as file:
                file.write(json.dumps(line) + "\n")
        if line["errors"]:
            sys.exit(f"a certified model is wrong: {line}")
    print(table(summary(lines), COLUMNS))


if __name__ == "__main__":
    main()
