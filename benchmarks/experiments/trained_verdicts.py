"""What can be said of trained models: certified, wrong on a word, or undecided; 60 models of ten star-free languages.

python benchmarks/run.py trained                                 every language, one and two blocks, three seeds
python benchmarks/run.py trained --names Tomita-4 --seeds 1      some of them
python benchmarks/run.py trained --json FILE                     keep a line per model, and go on where FILE ends
python benchmarks/run.py trained --keep DIR                      keep the models, and train none that is there
python benchmarks/run.py trained --keep DIR --only-train         no verdicts

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
from tempfile import TemporaryDirectory

import torch
from page.table import Column, Json, code, table

import scancraft
from scancraft.certify.check import check
from scancraft.models.checkpoints.closed import TRAINING
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
UNBOUNDED = 1e9
"""Seconds, where training ends after so many steps."""
COLUMNS = (
    Column("language", "name", code),
    *("blocks", "models", "certified", "wrong", "undecided"),
    Column("seconds", "seconds"),
)


def kept(place: Path, name: str, layers: int, seed: int, steps: int) -> Path:
    """The directory of one model, which is trained unless it is there."""
    directory = place / f"{name}, {layers} blocks, seed {seed}, {steps} steps"
    if not directory.exists():
        settings = Settings(layers=layers, d_model=16, words=3000, tokens=256, learning_rate=1e-2)
        made = train(
            scancraft.named(name),
            seconds=UNBOUNDED,
            seed=seed,
            settings=settings,
            bins=(Bin(1, 40),),
            max_steps=steps,
            test_words=200,
        )
        place.mkdir(parents=True, exist_ok=True)
        made.save(directory)
    return directory


def row(directory: Path) -> Json:
    """What is said of one model."""
    started = time.perf_counter()
    verdict = certified_or_wrong(directory, budget=scancraft.Budget(items=2000, seconds=SECONDS))
    seconds = round(time.perf_counter() - started, 2)
    agrees = verdict.verdict != "certified" or check(directory).agrees
    strings = json.loads((directory / TRAINING).read_text())["accuracy"][0]["strings"]
    known = {"verdict": verdict.verdict, "says": str(verdict), "seconds": seconds, "agrees": agrees}
    return {"strings": strings, **known}


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
    parser.add_argument("--keep", type=Path, metavar="DIR", help="of the models; what is there is not trained again")
    parser.add_argument("--only-train", action="store_true", help="leave the models in --keep, and judge none")
    options = parser.parse_args(sys.argv[2:] if arguments is None else list(arguments))
    if options.only_train and options.keep is None:
        parser.error("--only-train needs --keep DIR")
    torch.set_num_threads(1)
    known = options.json.read_text().splitlines() if options.json is not None and options.json.exists() else []
    lines = [json.loads(line) for line in known]
    done = {(line["name"], line["blocks"], line["seed"]) for line in lines}
    wanted = [(n, layers, seed) for seed in range(options.seeds) for n in options.names for layers in options.layers]
    with TemporaryDirectory() as scratch:
        for name, layers, seed in wanted:
            if (name, layers, seed) in done:
                continue
            directory = kept(options.keep or Path(scratch), name, layers, seed, options.steps)
            if options.only_train:
                continue
            lines.append({"name": name, "blocks": layers, "seed": seed, **row(directory)})
            if options.json is not None:
                with options.json.open("a") as file:
                    file.write(json.dumps(lines[-1]) + "\n")
            if not lines[-1]["agrees"]:
                sys.exit(f"a certified model is wrong: {lines[-1]}")
    if not options.only_train:
        print(table(summary(lines), COLUMNS))


if __name__ == "__main__":
    main()
