"""The guarantees of the project in one command, with a summary; from the root of a checkout:

    python benchmarks/run.py guarantees                              everything, in full (hours: the refutations)
    python benchmarks/run.py guarantees --only suite sizes small     some of it
    python benchmarks/run.py guarantees --mutants 20 --refutations 14 --faults 10 --json out/guarantees.json

Parts: the suite, certified, checked and without a wrong position; mutants of compiled models, none certified wrongly;
faults planted in implementations, all found; refutations of foreign models, all checked; small languages, all certified
and checked; sizes of compiled models, none grown (``sizes.py``). Exit code: 0 if all that was run holds, else 1.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from experiments import conformance, mutation, refute, signed, sizes, suite
from page.render import write_raw
from page.table import Column, Json, table
from timings.measure import Tick, environment, progress

SUITE_SECONDS = 45
"""The suite is to be certified and checked within so many seconds, in two processes."""


def suite_part(options: argparse.Namespace, tick: Tick) -> Json:
    """Every language that a Mamba models; the time is that of ``scancraft suite --check``'s certificates."""
    size = replace(suite.FULL, words=options.words, far_words=min(options.words, suite.FULL.far_words))
    started = time.perf_counter()
    rows = suite.run_suite(
        suite.Options(size.words, size.far_words, farthest=False, check=True), suite.LANGUAGES, tick, jobs=size.jobs
    )
    seconds = time.perf_counter() - started
    positive = [row for row in rows if row.witness is None]
    good = sum(row.perfect and (row.certificate or {}).get("checked") is True for row in positive)
    told = f"{good} of {len(positive)} certified, checked and without a wrong position, in {seconds:.1f} s"
    target = f"all, within {SUITE_SECONDS} s"
    return {
        "what": "suite",
        "target": target,
        "measured": told,
        "met": good == len(positive) and seconds < SUITE_SECONDS,
    }


def mutants_part(options: argparse.Namespace, tick: Tick) -> Json:
    """Certified mutants are run on short words; refuted ones on the word that refutes them."""
    each = -(-options.mutants // len(mutation.languages(mutation.FULL)))
    size = replace(mutation.FULL, mutants=each, blocks=min(mutation.FULL.blocks, each // 4))
    total = mutation.measure(size, tick).summary["total"]
    told = f"{total['wrong']} wrong, {total['unconfirmed']} unconfirmed, {total['undecided']} undecided"
    share = total["undecided"] / total["mutants"]
    met = total["wrong"] == total["unconfirmed"] == 0 and share <= mutation.UNDECIDED
    target = f"none wrong, at most {mutation.UNDECIDED:.0%} undecided"
    return {"what": f"mutants: {total['mutants']:,}", "target": target, "measured": told, "met": met}


def faults_part(options: argparse.Namespace, tick: Tick) -> Json:
    """Faults planted in the plain implementations; ``--faults`` is per kind of block."""
    size = replace(conformance.FULL, subjects=(), mutants=options.faults, sound=False)
    total = conformance.measure(size, tick).summary["total"]
    told = f"{total['found']} found, {total['located']} located"
    met = total["found"] == total["located"] == total["faults"]
    return {"what": f"planted faults: {total['faults']}", "target": "all", "measured": told, "met": met}


def refutations_part(options: argparse.Namespace, tick: Tick) -> Json:
    """Five random models to one trained; each is refuted on every language."""
    models = -(-options.refutations // len(refute.NAMES))
    trained = models // 6
    rows, _ = refute.attempts(replace(refute.FULL, random=models - trained, trained=trained), tick)
    refuted = [row for row in rows if row["verdict"] == "refuted" and row["checked"]]
    told = f"{len(refuted)} refuted and checked"
    return {"what": f"refutations: {len(rows)}", "target": "all", "measured": told, "met": len(refuted) == len(rows)}


def small_part(options: argparse.Namespace, tick: Tick) -> Json:
    """Every language over two letters with at most so many states that is nonnegative or signed."""
    rows = signed.small(options.states, tick)
    compiled = [row for row in rows if row["compiled"]]
    good = sum(row["scope"] == "every-implementation" and row["accepted"] for row in compiled)
    what = f"small languages, at most {options.states} states: {len(compiled)}"
    return {"what": what, "target": "all", "measured": f"{good} certified and checked", "met": good == len(compiled)}


def sizes_part(options: argparse.Namespace, tick: Tick) -> Json:
    """Blocks, d_model, d_inner and parameters beside those of the committed table."""
    result = sizes.beside_the_table(sizes.FULL.states, options.seeds, tick)
    told = f"{len(result['grown'])} have grown, {result['same']} are the same"
    target = "no larger than before (parameters: by 1%)"
    return {
        "what": f"sizes of {result['models']:,} models",
        "target": target,
        "measured": told,
        "met": not result["grown"],
    }


PARTS: dict[str, Callable[[argparse.Namespace, Tick], Json]] = {
    "suite": suite_part,
    "small": small_part,
    "sizes": sizes_part,
    "faults": faults_part,
    "mutants": mutants_part,
    "refutations": refutations_part,
}


def run(options: argparse.Namespace) -> Iterator[Json]:
    """One line of the summary per part."""
    for name in options.only:
        started = time.perf_counter()
        with progress(name) as tick:
            row = PARTS[name](options, tick)
        yield {"part": name} | row | {"seconds": time.perf_counter() - started}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), help="parts; all by default")
    parser.add_argument("--words", type=int, default=suite.FULL.words, help="of the suite, per range of lengths")
    parser.add_argument("--mutants", type=int, default=4_000, help="over all languages")
    parser.add_argument("--faults", type=int, default=conformance.FULL.mutants, help="at most, per kind of block")
    parser.add_argument("--refutations", type=int, default=840, help="models times languages")
    parser.add_argument("--states", type=int, default=signed.FULL.states, help="of small languages, at most")
    parser.add_argument("--seeds", type=int, default=sizes.FULL.seeds, help="random languages per generator and states")
    parser.add_argument("--json", type=Path, help="write the summary to this file")
    options = parser.parse_args(arguments)
    rows = []
    for row in run(options):
        rows.append(row)
        print(f"{row['part']}: {row['measured']}{'' if row['met'] else ' -- NOT MET'}", flush=True)
        if options.json is not None:
            write_raw(options.json, {"environment": environment(), "rows": rows})
    print("\n" + table(rows, ("what", "target", "measured", Column("met"), "seconds")))
    return 0 if all(row["met"] for row in rows) else 1
