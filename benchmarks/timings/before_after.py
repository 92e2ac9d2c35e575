"""Compile and certify times at two commits, side by side in one run; from the root of a checkout:

    python benchmarks/run.py before_after                        717f634 beside this checkout, some minutes
    python benchmarks/run.py before_after --before v1 --after v2 --states 4 8 12 --seeds 20
    python benchmarks/run.py before_after --only certify --json out/before_after.json

Seconds are those that the processor worked (each process has one thread), so that other work on the machine counts
little. The languages are those of the tables of docs/benchmarks.md: the named ones of "Compiling" (all are compiled,
those of the suite certified), and random ones by generator and states. Each is measured in both, in turn, as often as
asked; the ratio of a row is that of the medians, and a group of random languages has the median and the greatest of its
ratios.

Exit code: 0 if no table as a whole (the ratio of the sums of its medians, and the median of its ratios) is slower than
the limit allows, else 1.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from page.render import write_raw
from page.table import Column, Json, code, short, table
from timings.commits import Ask, worker
from timings.compile_table import named_languages
from timings.measure import progress
from timings.random_dfas import star_free_dfas

from scancraft.automata.dfa import Dfa

BEFORE = "717f634"
"""The commit before issue 13."""
WORKS = ("compile", "certify")


def as_data(dfa: Dfa) -> Json:
    """A DFA as ``worker.py`` reads it."""
    table = [list(row) for row in dfa.semiautomaton.table]
    return {"dfa": [list(dfa.alphabet), table, dfa.initial, sorted(dfa.accepting)]}


def rows(works: Sequence[str], most_states: int, states: Sequence[int], seeds: int) -> Iterator[Json]:
    """What is measured: the work, the group of the table, the language's name, and the language."""
    for work in works:
        for name, suite, dfa in named_languages(most_states):
            if suite or work == "compile":
                yield {"work": work, "group": "named", "name": name, "language": as_data(dfa)}
        for name, generator, n, dfa in star_free_dfas(states, seeds):
            yield {"work": work, "group": f"{generator}, {n} states", "name": name, "language": as_data(dfa)}


def measure(chosen: Sequence[Json], before: Ask, after: Ask, repeats: int, name: str) -> list[Json]:
    """Medians of both and their ratio, for each row; who goes first alternates."""
    measured = []
    with progress(name) as tick:
        for done, row in enumerate(chosen):
            tick(done, len(chosen), f"{row['work']} {row['group']} {row['name']}")
            times: tuple[list[float], list[float]] = ([], [])
            for k in range(repeats + 1):
                for i in (0, 1) if k % 2 else (1, 0):
                    times[i].append((before, after)[i](work=row["work"], language=row["language"]))
            # The first of each is the warm-up: imports, caches.
            medians = {"before": median(times[0][1:]), "after": median(times[1][1:])}
            facts = {key: row[key] for key in ("work", "group", "name")}
            measured.append(facts | medians | {"ratio": medians["after"] / medians["before"]})
    return measured


def tables(measured: Sequence[Json]) -> list[Json]:
    """Of each table (a work, with named or random languages) the sums of its medians, and its ratios."""
    found = []
    for work in dict.fromkeys(row["work"] for row in measured):
        for named in (True, False):
            mine = [row for row in measured if row["work"] == work and (row["group"] == "named") == named]
            if mine:
                sums = {key: sum(row[key] for row in mine) for key in ("before", "after")}
                line = {"table": f"{work}, {'named' if named else 'random'}", "rows": len(mine), **sums}
                line |= {"ratio": sums["after"] / sums["before"]}
                found.append(line | {"median": median(row["ratio"] for row in mine)} | _extremes(mine))
    return found


def lines(measured: Sequence[Json]) -> Iterator[Json]:
    """The lines to show: each named language, and each group of random ones."""
    for work, group in dict.fromkeys((row["work"], row["group"]) for row in measured):
        mine = [row for row in measured if (row["work"], row["group"]) == (work, group)]
        if group == "named":
            yield from ({"work": work, "what": code(row["name"]), "most": row["ratio"]} | row for row in mine)
        else:
            medians = {key: median(row[key] for row in mine) for key in ("before", "after", "ratio")}
            yield {"work": work, "what": f"{group}: {len(mine)}", **medians, **_extremes(mine)}


def _extremes(rows: Sequence[Json]) -> Json:
    return {"most": max(row["ratio"] for row in rows)}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", default=BEFORE, help=f"a commit (default {BEFORE})")
    parser.add_argument("--after", help="a commit; the checkout as it is by default")
    parser.add_argument("--only", nargs="+", choices=WORKS, default=WORKS, help="compile, certify (default: both)")
    parser.add_argument("--most-states", type=int, default=20, help="of the named languages (default 20)")
    parser.add_argument(
        "--states", type=int, nargs="*", default=[4, 8, 12], help="of random languages (default 4 8 12)"
    )
    parser.add_argument("--seeds", type=int, default=4, help="random languages per generator and states (default 4)")
    parser.add_argument("--repeats", type=int, default=5, help="runs in each, after a first that does not count")
    parser.add_argument("--limit", type=float, default=1.2, help="the ratio allowed (default 1.2)")
    parser.add_argument("--json", type=Path, help="write every row to this file")
    options = parser.parse_args(arguments)
    chosen = list(rows(options.only, options.most_states, options.states, options.seeds))
    with worker(options.before) as before, worker(options.after) as after:
        measured = measure(chosen, before, after, options.repeats, "before/after")
    summary = tables(measured)
    limit = Column("ratio", target=lambda ratio: ratio <= options.limit)
    middle = Column("median ratio", "median", target=lambda ratio: ratio <= options.limit)
    most = Column("greatest ratio", "most")
    print(
        f"Processor seconds at {options.before} and {options.after or 'this checkout'}, medians of {options.repeats}.\n"
    )
    print(table(lines(measured), ("work", "what", "before", "after", limit, most)), end="\n\n")
    print(table(summary, ("table", "rows", "before", "after", limit, middle, most)))
    slower = [row["table"] for row in summary if max(row["ratio"], row["median"]) > options.limit]
    if slower:
        print(f"\nslower than {short(options.limit)} times: {', '.join(slower)}")
    if options.json is not None:
        facts: dict[str, Any] = {"before": options.before, "after": options.after, "repeats": options.repeats}
        write_raw(options.json, facts | {"tables": summary, "rows": measured})
    return 1 if slower else 0
