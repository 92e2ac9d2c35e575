"""What can be said of trained models: certified, wrong on a word, or undecided; 60 models of ten star-free languages.

python benchmarks/run.py trained                                 every language, one and two blocks, three seeds
python benchmarks/run.py trained --names Tomita-4 --seeds 1      some of them
python benchmarks/run.py trained --json FILE                     keep a line per model, and go on where FILE ends

Each is trained for so many steps of d_model 16 (the weights follow from the seed), certified, and where that is
undecided searched for a counterexample, as ``scancraft certify`` does. What is certified is compared with the language
on words, too: one that disagrees ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from page.table import Column, Json, code, table

import scancraft
from scancraft.certify.check import check
from scancraft.refute.judging import certified_or_wrong
from scancraft.suite.languages import Bin
from scancraft.training.training import Settings, train

NAMES = (
    *("Tomita-1", "Tomita-2", "Tomita-4", "Tomita-7", "D-2", "D-3"),
    *("aa*bb*cc*dd*ee*", "{a,b}*d{b,c}*", "{0,1,2}*02*", "Flip-flop"),
)
LAYERS = (1, 2)
SECONDS = 60.0
"""For the certificate and the counterexample together."""
COLUMNS = (
    Column("language", "name", code),
    *("blocks", "models", "certified", "wrong", "undecided"),
    Column("seconds", "seconds"),
)


def row(name: str, layers: int, seed: int, steps: int) -> Json:
    """One model, and what is said of it."""
    language = scancraft.named(name)
    settings = Settings(layers=layers, d_model=16, words=3000, tokens=256, learning_rate=1e-2)
    made = train(
        language, seconds=1e9, seed=seed, settings=settings, bins=(Bin(1, 40),), max_steps=steps, test_words=200
    )
    started = time.perf_counter()
    budget = scancraft.Budget(items=2000, seconds=SECONDS)
    verdict = certified_or_wrong(made.model, language, readout=made.readout, budget=budget)
    seconds = round(time.perf_counter() - started, 2)
    agrees = verdict.verdict != "certified" or check(made.model, language, readout=made.readout).agrees
    known = {"verdict": verdict.verdict, "says": str(verdict), "seconds": seconds, "agrees": agrees}
    return {"name": name, "blocks": layers, "seed": seed, "strings": made.accuracy[0].strings, **known}


def summary(lines: Sequence[Json]) -> list[Json]:
    """A line for each language and number of blocks."""
    out = []
    for name, blocks in dict.fromkeys((line["name"], line["blocks"]) for line in lines):
        some = [line for line in lines if (line["name"], line["blocks"]) == (name, blocks)]
        verdicts = [line["verdict"] for line in some]
        certified, undecided = verdicts.count("certified"), verdicts.count("undecided")
        counts = {"certified": certified, "wrong": len(some) - certified - undecided, "undecided": undecided}
        seconds = median(line["seconds"] for line in some)
        out.append({"name": name, "blocks": blocks, "models": len(some), **counts, "seconds": seconds})
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="*", default=NAMES)
    parser.add_argument("--layers", nargs="*", type=int, default=LAYERS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=600, help="of training")
    parser.add_argument("--json", type=Path, metavar="FILE", help="a line per model; what is there is not run again")
    options = parser.parse_args(sys.argv[2:] if arguments is None else list(arguments))
    torch.set_num_threads(1)
    kept = options.json.read_text().splitlines() if options.json is not None and options.json.exists() else []
    lines = [json.loads(line) for line in kept]
    done = {(line["name"], line["blocks"], line["seed"]) for line in lines}
    wanted = [(n, layers, seed) for seed in range(options.seeds) for n in options.names for layers in options.layers]
    for name, layers, seed in wanted:
        if (name, layers, seed) in done:
            continue
        lines.append(row(name, layers, seed, options.steps))
        if options.json is not None:
            with options.json.open("a") as file:
                file.write(json.dumps(lines[-1]) + "\n")
        if not lines[-1]["agrees"]:
            sys.exit(f"a certified model is wrong: {lines[-1]}")
    print(table(summary(lines), COLUMNS))


if __name__ == "__main__":
    main()
