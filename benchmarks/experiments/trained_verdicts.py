"""What can be said of trained models: certified, wrong on a word, or undecided; 60 models of ten star-free languages.

python benchmarks/run.py trained                                 every language, one and two blocks, three seeds
python benchmarks/run.py trained --names Tomita-4 --seeds 1      some of them
python benchmarks/run.py trained --json FILE                     keep a line per model, and go on where FILE ends
python benchmarks/run.py trained --keep DIR                      keep the models, and train none that is there
python benchmarks/run.py trained --keep DIR --only-train         no verdicts

Each is trained for so many steps of d_model 16 (the weights follow from the seed) and judged as ``scancraft certify``
does. A verdict is checked: a certificate by its checker, and on words, too; a word by reading it once more. One that
is not accepted ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from page.table import Column, Json, code, table
from page.targets import Target, below, every
from run import write_section
from timings.measure import Measured, Tick, progress

import scancraft
from scancraft.certify.certify import Certificate, Refuted
from scancraft.certify.check import check, compare
from scancraft.certify.checker.certificate import check_certificate
from scancraft.compiler.checkpoints import opened
from scancraft.models.checkpoints.closed import TRAINING
from scancraft.refute.checker.refutation import check_refutation
from scancraft.refute.judging import certified_or_wrong
from scancraft.refute.results import Counterexample
from scancraft.suite.languages import Bin
from scancraft.training.training import Settings, train

NAMES = (
    *("Tomita-1", "Tomita-2", "Tomita-4", "Tomita-7", "D-2", "D-3"),
    *("aa*bb*cc*dd*ee*", "{a,b}*d{b,c}*", "{0,1,2}*02*", "Flip-flop"),
)
UNBOUNDED = 1e9
"""Seconds, where training ends after so many steps."""
WANTED = 0.85
"""The share of models of which something is to be said."""


@dataclass(frozen=True)
class Size:
    """What is trained, and how much time each verdict has."""

    names: tuple[str, ...] = NAMES  # star-free languages of the suite
    layers: tuple[int, ...] = (1, 2)  # blocks
    seeds: int = 3
    d_model: int = 16
    steps: int = 2_000  # of training
    words: int = 3_000  # that are learned from
    longest: int = 40  # letters of one
    events: int = 2_000  # of each verdict
    seconds: float = 60.0  # of each verdict, certificate and counterexample together


FULL = Size()
QUICK = Size(names=("Tomita-1",), layers=(1,), seeds=1, steps=3, words=200, longest=10)


def measure(size: Size, tick: Tick, keep: Path | None = None, lines: Path | None = None) -> Measured:
    """A line for each model.

    Args:
        size: which models.
        tick: told how far it is.
        keep: a folder for the models; what is there is not trained again.
        lines: a file of lines that are known, to which the others are added.
    """
    known = lines.read_text(encoding="utf-8").splitlines() if lines is not None and lines.exists() else []
    rows = {_key(row): row for row in map(json.loads, known)}
    with TemporaryDirectory() as scratch:
        for directory, key in models(size, tick, keep or Path(scratch)):
            if key not in rows:
                rows[key] = dict(zip(KEYS, key, strict=True)) | row(directory, size)
                if lines is not None:
                    with lines.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(rows[key]) + "\n")
    found = [rows[key] for key in wanted(size)]
    return Measured({"lines": summary(found), "all": overall(found)}, {"rows": found})


KEYS = ("name", "blocks", "seed")


def _key(row: Json) -> tuple[Any, ...]:
    return tuple(row[key] for key in KEYS)


def wanted(size: Size) -> list[tuple[str, int, int]]:
    """The models by language, number of blocks and seed."""
    return [(name, layers, seed) for name in size.names for layers in size.layers for seed in range(size.seeds)]


def models(size: Size, tick: Tick, place: Path) -> Iterable[tuple[Path, tuple[str, int, int]]]:
    """The directory of each model, which is trained unless it is there."""
    keys = wanted(size)
    for number, (name, layers, seed) in enumerate(keys):
        tick(number, len(keys), f"{name}, {layers} blocks")
        directory = place / f"{name}, {layers} blocks, seed {seed}, {size.steps} steps"
        if not directory.exists():
            settings = Settings(layers=layers, d_model=size.d_model, words=size.words, tokens=256, learning_rate=1e-2)
            made = train(
                scancraft.named(name),
                seconds=UNBOUNDED,
                seed=seed,
                settings=settings,
                bins=(Bin(1, size.longest),),
                max_steps=size.steps,
                test_words=200,
            )
            place.mkdir(parents=True, exist_ok=True)
            made.save(directory)
        yield directory, (name, layers, seed)


def row(directory: Path, size: Size) -> Json:
    """What is said of one model."""
    started, used = time.perf_counter(), time.process_time()
    verdict = certified_or_wrong(directory, budget=scancraft.Budget(items=size.events, seconds=size.seconds))
    seconds, used = time.perf_counter() - started, time.process_time() - used
    content = verdict.content if isinstance(verdict, Counterexample) else dict.fromkeys(("first", "N"))
    return {
        "strings": json.loads((directory / TRAINING).read_text())["accuracy"][0]["strings"],
        "verdict": verdict.verdict,
        "says": str(verdict),
        "margin": verdict.margin if isinstance(verdict, Certificate) else None,
        "length": len(verdict.word) if isinstance(verdict, Counterexample | Refuted) else None,
        "first": content["first"],
        "for ever": content["N"] is not None,
        "seconds": round(seconds, 2),
        "used": round(used, 2),
        "accepted": accepted(verdict, directory),
    }


def accepted(verdict: Any, directory: Path) -> bool | None:
    """Whether a verdict on a checkpoint stands when it is looked at once more; None where there is none.

    A certificate is written beside the model for its checker, and the model is compared with the language on words.
    """
    if isinstance(verdict, Certificate):
        verdict.save(directory)
        return bool(check_certificate(directory).accepted) and check(directory).agrees
    source = opened(directory)
    if isinstance(verdict, Counterexample):
        return bool(check_refutation(verdict, source.model()).accepted)
    if isinstance(verdict, Refuted):  # a short word, which needs no checker of its own
        return not compare(source.model(), source.language, source.readout, [verdict.word]).agrees
    return None


def overall(rows: Sequence[Json]) -> Json:
    """Of some models together."""
    verdicts = [row["verdict"] for row in rows]
    certified, undecided = verdicts.count("certified"), verdicts.count("undecided")
    decided = [row["accepted"] for row in rows if row["accepted"] is not None]
    return {
        "models": len(rows),
        "certified": certified,
        "wrong": len(rows) - certified - undecided,
        "undecided": undecided,
        "accepted": sum(decided),
        **{key: round(median(row[key] for row in rows), 2) for key in ("seconds", "used")},
        "most": max(row["seconds"] for row in rows),
        "margins": [row["margin"] for row in rows if row["margin"] is not None],
        "lengths": sorted(row["length"] for row in rows if row["length"] is not None),
        "for ever": sum(row["for ever"] for row in rows),
    }


def summary(rows: Sequence[Json]) -> list[Json]:
    """A line for each language and number of blocks."""
    groups: dict[tuple[str, int], list[Json]] = {}
    for one in rows:
        groups.setdefault((one["name"], one["blocks"]), []).append(one)
    return [{"name": name, "blocks": blocks, **overall(some)} for (name, blocks), some in groups.items()]


# -- the page --------------------------------------------------------------------------------------------------------


COLUMNS = (
    Column("language", "name", code),
    *("blocks", "models", "certified"),
    Column("least margin", lambda row: min(row["margins"], default=None)),
    "wrong",
    Column("at lengths", lambda row: ", ".join(f"{length:,}" for length in row["lengths"]) or None),
    Column("for ever", "for ever"),
    *("undecided", "seconds"),
)


def targets(size: Json, result: Json) -> list[Target]:
    found = result["all"]
    decided = found["models"] - found["undecided"]
    return [
        Target(
            "trained models that are certified or refuted by a word",
            f"at least {WANTED:.0%}",
            f"{decided:,} of {found['models']:,}",
            decided >= WANTED * found["models"],
        ),
        every("of these verdicts, accepted when looked at once more", found["accepted"], decided),
        below("verdict on a trained model, median", found["seconds"], 20, "s"),
    ]


def parts(size: Json, result: Json) -> Json:
    return {"rows": table(result["lines"], COLUMNS)}


# -- the command -----------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="*", default=NAMES)
    parser.add_argument("--layers", nargs="*", type=int, default=FULL.layers)
    parser.add_argument("--seeds", type=int, default=FULL.seeds)
    parser.add_argument("--steps", type=int, default=FULL.steps, help="of training")
    parser.add_argument("--json", type=Path, metavar="FILE", help="a line per model; what is there is not run again")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="of the models; what is there is not trained again")
    parser.add_argument("--only-train", action="store_true", help="leave the models in --keep, and judge none")
    parser.add_argument("--write", type=Path, metavar="DOCS", help="put the figures into benchmarks.json there")
    given = sys.argv[2:] if arguments is None else list(arguments)
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    size = replace(
        FULL, names=tuple(options.names), layers=tuple(options.layers), seeds=options.seeds, steps=options.steps
    )
    with progress("trained") as tick:
        if options.only_train:
            if options.keep is None:
                parser.error("--only-train goes with --keep DIR")
            print(sum(1 for _ in models(size, tick, options.keep)))
            return 0
        found = measure(size, tick, options.keep, options.json)
    if options.write is not None:
        own = [str(place) for place in (options.write, options.keep, options.json) if place is not None]
        told = shlex.join(word for word in given if word not in ("--write", "--keep", "--json", *own))
        write_section(options.write, "verdicts", f"trained {told}".strip(), size, found.summary)
    print(table([*found.summary["lines"], {"name": "all", "blocks": None, **found.summary["all"]}], COLUMNS))
    whole = found.summary["all"]
    return 0 if whole["accepted"] == whole["certified"] + whole["wrong"] else 1


if __name__ == "__main__":
    sys.exit(main())
