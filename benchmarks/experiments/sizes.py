"""Sizes of compiled models beside those of a commit: blocks, d_model, d_inner and parameters, for every target.

    python benchmarks/run.py sizes                       this checkout beside the committed table (sizes.json)
    python benchmarks/run.py sizes --write COMMIT        make that table anew, from a commit
    python benchmarks/run.py sizes --seeds 3             fewer random languages

The languages are the suite's, flip-flop by theorem 1, and those of the tables of docs/benchmarks.md. Exit code: 0 if no
model has more blocks, a greater d_model or d_inner, or more than 1% more parameters, and none is refused that was not.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from page.render import dumps
from page.table import Column, Json, code, table
from timings.before_after import BEFORE, as_data
from timings.commits import Ask, worker
from timings.compile_table import FULL, named_languages
from timings.measure import Tick, each, progress
from timings.random_dfas import star_free_dfas

from scancraft.suite.languages import LANGUAGES

TABLE = Path(__file__).with_suffix(".json")
TARGETS = ("mamba", "signed_mamba", "falcon_mamba", "mamba2")
NAMES = ("blocks", "d_model", "d_inner", "parameters")
PARAMETERS = 1.01
"""Parameters may grow by this factor, nothing else may."""


def languages(states: Sequence[int] = FULL.states, seeds: int = FULL.seeds) -> Iterator[tuple[str, Json]]:
    """Name and language, as ``timings/worker.py`` reads it."""
    for language in LANGUAGES:
        yield language.name, {"suite": language.name}
    yield "Flip-flop, theorem 1", {"construction": "flip_flop"}
    for name, suite, dfa in named_languages(FULL.most_states):
        if not suite:
            yield name, as_data(dfa)
    yield from ((name, as_data(dfa)) for name, _, _, dfa in star_free_dfas(states, seeds))


def measure(chosen: Sequence[tuple[str, Json]], one: Ask, tick: Tick) -> Json:
    """By language and target the four sizes; None where the target refuses the language."""
    return {
        name: {target: one(work="sizes", language=language, target=target) for target in TARGETS}
        for name, language in each(chosen, tick)
    }


def grown(before: Json, after: Json) -> Iterator[Json]:
    """Every size that is larger than it may be."""
    for name, targets in after.items():
        for target, sizes in targets.items():
            old = before[name][target]
            if old is None:
                continue
            if sizes is None:
                yield {"language": code(name), "target": target, "size": "refused", "before": None, "after": None}
                continue
            for size, was, now in zip(NAMES, old, sizes, strict=True):
                if now > was * (PARAMETERS if size == "parameters" else 1):
                    yield {"language": code(name), "target": target, "size": size, "before": was, "after": now}


def compared(before: Json, after: Json) -> Json:
    """How many models were compared, how many became smaller or stayed, and what has grown."""
    pairs = [(before[n][t], after[n][t]) for n in after for t in TARGETS if before[n][t] and after[n][t]]
    return {
        "models": len(pairs),
        "same": sum(old == new for old, new in pairs),
        "parameters_before": sum(old[3] for old, _ in pairs),
        "parameters_after": sum(new[3] for _, new in pairs),
        "grown": list(grown(before, after)),
    }


def beside_the_table(states: Sequence[int], seeds: int, tick: Tick) -> Json:
    """The models of this checkout :func:`compared` with those of the committed table."""
    with worker(None) as one:
        found = measure(list(languages(states, seeds)), one, tick)
    return compared(json.loads(TABLE.read_text(encoding="utf-8"))["languages"], found)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", metavar="COMMIT", help=f"make the committed table from this commit ({BEFORE})")
    parser.add_argument("--states", type=int, nargs="*", default=FULL.states, help="of the random languages")
    parser.add_argument("--seeds", type=int, default=FULL.seeds, help="random languages per generator and states")
    options = parser.parse_args(arguments)
    with progress("sizes") as tick:
        if options.write:
            with worker(options.write) as one:
                found = measure(list(languages(options.states, options.seeds)), one, tick)
            content = {"commit": options.write, "sizes": NAMES, "languages": found}
            TABLE.write_text(dumps(content) + "\n", encoding="utf-8")
            return 0
        result = beside_the_table(options.states, options.seeds, tick)
    if result["grown"]:
        print(table(result["grown"], ("language", "target", "size", "before", "after")), end="\n\n")
    columns = [Column(key.replace("_", " "), key) for key in result]
    print(table([result | {"grown": len(result["grown"])}], columns))
    return 1 if result["grown"] else 0
