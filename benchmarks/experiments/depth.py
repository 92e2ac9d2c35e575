"""Blocks and parameters of plans beside those of cascades, in one run.

    python benchmarks/run.py depth                              every group, with all seeds
    python benchmarks/run.py depth --groups small subregular --seeds 5 --rows
    python benchmarks/run.py depth --groups named --certify     certify what is chosen, too

Groups: the star-free languages of the suite and their neighbours; all star-free languages of at most 3 states over 2
letters; random ones (order-preserving and reset cascades, 4 to 12 states); random subregular ones. Each language is
compiled by its cascade and by the plans that are found; the model is the one of fewest parameters, then fewest blocks.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import product
from statistics import median
from time import process_time

from page.table import Column, Json, table
from timings.compile_table import FULL, named_languages
from timings.measure import Tick, each, progress
from timings.random_dfas import star_free_dfas
from timings.subregular import subregular_languages

import scancraft
from scancraft.automata.budget import Budget
from scancraft.automata.decide.aperiodic import star_free_witness
from scancraft.automata.dfa import Dfa
from scancraft.automata.errors import ScancraftError

SUBREGULAR_SEEDS = 40
BUDGET = Budget(seconds=60.0)


def small_languages(states: int = 3) -> Iterator[tuple[str, Dfa]]:
    """Every star-free language over a and b with at most so many states, once."""
    seen: set[Dfa] = set()
    for n in range(1, states + 1):
        for targets in product(range(n), repeat=2 * n):
            for accepting in range(2**n):
                rows = [targets[2 * q : 2 * q + 2] for q in range(n)]
                dfa = Dfa.from_table("ab", rows, 0, [q for q in range(n) if accepting >> q & 1])
                if dfa not in seen and star_free_witness(dfa) is None:
                    yield f"small {len(seen)}", dfa
                seen.add(dfa)


def languages(group: str, seeds: int | None) -> Iterator[tuple[str, str, Dfa]]:
    """Name, the line of the table that it counts in, and language."""
    if group == "named":
        yield from ((name, "named", dfa) for name, _, dfa in named_languages(FULL.most_states))
    elif group == "small":
        yield from ((name, "at most 3 states over 2 letters", dfa) for name, dfa in small_languages())
    elif group == "random":
        for name, generator, n, dfa in star_free_dfas(FULL.states, FULL.seeds if seeds is None else seeds):
            yield name, f"{generator}, {n} states", dfa
    else:
        yield from subregular_languages(SUBREGULAR_SEEDS if seeds is None else seeds)


GROUPS = ("named", "small", "random", "subregular")


def measured(name: str, line: str, dfa: Dfa, certify: bool) -> Json:
    """The sizes of a language; those of plans are None where none was found."""
    row: Json = {"language": name, "line": line, "states": dfa.n_states}
    ways = (("cascade", "cascade", "size"), ("plan", "plan", "size"), ("shallow", "plan", "depth"))
    models = {}
    for key, construction, optimise in ways:
        started = process_time()
        make = partial(scancraft.compile, dfa, budget=BUDGET, construction=construction, optimise=optimise)
        try:
            models[key] = make()
            weights = models[key].weights
            row |= {f"{key} blocks": weights.shape.n_layers, f"{key} parameters": weights.n_parameters}
        except ScancraftError:
            row |= {f"{key} blocks": None, f"{key} parameters": None}
        row[f"{key} seconds"] = round(process_time() - started, 3)
    known = [key for key in ("cascade", "plan") if row[f"{key} blocks"] is not None]
    chosen = min(known, key=lambda key: (row[f"{key} parameters"], row[f"{key} blocks"]))
    row |= {"chosen": chosen, "blocks": row[f"{chosen} blocks"], "parameters": row[f"{chosen} parameters"]}
    if certify:
        certificate = scancraft.certify(models[chosen])
        row["certificate"] = f"{certificate.verdict} {getattr(certificate, 'scope', '')}".strip()
    return row


def summary(line: str, rows: Sequence[Json]) -> Json:
    """One line of the table."""
    both = [row for row in rows if row["cascade blocks"] is not None and row["plan blocks"] is not None]
    return {
        "languages": line,
        "how many": len(rows),
        "plans": sum(row["plan blocks"] is not None for row in rows),
        "chosen": sum(row["chosen"] == "plan" for row in rows),
        "blocks of cascades": sum(row["cascade blocks"] or 0 for row in rows),
        "blocks chosen": sum(row["blocks"] for row in rows),
        "fewest blocks": sum(min(row["shallow blocks"] or row["blocks"], row["blocks"]) for row in rows),
        "median": median(row["blocks"] for row in rows),
        "most": max(row["blocks"] for row in rows),
        "in one": sum(min(row["shallow blocks"] or row["blocks"], row["blocks"]) == 1 for row in rows),
        "parameters of cascades": sum(row["cascade parameters"] or 0 for row in rows),
        "parameters chosen": sum(row["parameters"] for row in rows),
        "time of plans / cascades": round(
            median(row["plan seconds"] / max(row["cascade seconds"], 1e-3) for row in both), 1
        )
        if both
        else None,
    }


def measure(groups: Sequence[str], seeds: int | None, certify: bool, tick: Tick) -> list[Json]:
    """Every row."""
    chosen = [entry for group in groups for entry in languages(group, seeds)]
    return [measured(name, line, dfa, certify) for name, line, dfa in each(chosen, tick)]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", nargs="*", default=GROUPS, choices=GROUPS, help="which languages")
    parser.add_argument("--seeds", type=int, help="random languages per generator and size, or per kind")
    parser.add_argument("--certify", action="store_true", help="certify the chosen models")
    parser.add_argument("--rows", action="store_true", help="print every language, too")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON and no tables")
    options = parser.parse_args(arguments)
    with progress("depth") as tick:
        rows = measure(options.groups, options.seeds, options.certify, tick)
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    if options.rows:
        print(table(rows, [Column(key, key) for key in rows[0] if key != "line"]), end="\n\n")
    lines = list(dict.fromkeys(row["line"] for row in rows))
    totals = [summary(line, [row for row in rows if row["line"] == line]) for line in lines]
    totals.append(summary("all", rows))
    print(table(totals, [Column(key, key) for key in totals[0]]))


if __name__ == "__main__":
    main()
