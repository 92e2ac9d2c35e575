"""Blocks and parameters: cascades, what is chosen by default, and as few blocks as can be found, in one run.

    python benchmarks/run.py --only depth                       the section of the page
    python benchmarks/run.py depth --groups small subregular --seeds 5 --rows
    python benchmarks/run.py depth --groups named --certify     certify the models, too
    python benchmarks/run.py depth --groups small --certify --write docs    the section, of these groups only

Groups: the star-free languages of the suite and their neighbours; all star-free languages of at most 3 states over 2
letters; random ones (order-preserving and reset cascades, 4 to 12 states); random subregular ones. Each language is
compiled by its cascade, by default (of a cascade and plans the fewest parameters, then fewest blocks), and with
``optimise="depth"`` (of a cascade, plans and walks the fewest blocks).
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from random import Random
from statistics import median
from time import process_time
from typing import Any

import torch
from page.table import Column, Json, code, table
from page.targets import Target, every
from run import write_section
from timings.compile_table import FULL as COMPILED
from timings.compile_table import named_languages
from timings.measure import Measured, Tick, best_of, each, progress
from timings.random_dfas import star_free_dfas
from timings.subregular import subregular_languages

import scancraft
from scancraft.automata.budget import Budget
from scancraft.automata.decide.aperiodic import star_free_witness
from scancraft.automata.dfa import Dfa
from scancraft.automata.errors import ScancraftError
from scancraft.automata.words.mixtures import live_word_of

BUDGET = Budget(seconds=60.0)
GROUPS = ("named", "small", "random", "subregular")
WAYS: dict[str, dict[str, Any]] = {
    "cascade": {"construction": "cascade"},
    "chosen": {},
    "fewest": {"optimise": "depth"},
}
"""How each language is compiled."""


@dataclass(frozen=True)
class Size:
    """What is compiled."""

    groups: tuple[str, ...] = GROUPS
    most_states: int = 20  # of named languages
    small_states: int = 3  # of all languages over two letters
    states: tuple[int, ...] = COMPILED.states  # of random languages
    seeds: int = COMPILED.seeds  # random languages per generator and number of states
    subregular_seeds: int = 40  # subregular languages per kind
    length: int = 10_000  # of the word that the runner reads
    certify: bool = True


FULL = Size()
QUICK = Size(("named",), most_states=3, length=100)


def all_small_languages(states: int = 3) -> Iterator[Dfa]:
    """Every language over a and b with at most so many states, once, those with few states first."""
    seen: set[Dfa] = set()
    for n in range(1, states + 1):
        for targets in product(range(n), repeat=2 * n):
            for accepting in range(2**n):
                rows = [targets[2 * q : 2 * q + 2] for q in range(n)]
                dfa = Dfa.from_table("ab", rows, 0, [q for q in range(n) if accepting >> q & 1])
                if dfa not in seen:
                    seen.add(dfa)
                    yield dfa


def small_languages(states: int = 3) -> Iterator[tuple[str, Dfa]]:
    """Those that are star-free."""
    for n, dfa in enumerate(all_small_languages(states)):
        if star_free_witness(dfa) is None:
            yield f"small {n}", dfa


def languages(group: str, size: Size) -> Iterator[tuple[str, str, Dfa]]:
    """Name, the line of the table that it counts in, and language."""
    if group == "named":
        yield from ((name, "named", dfa) for name, _, dfa in named_languages(size.most_states))
    elif group == "small":
        line = f"all of at most {size.small_states} states over 2 letters"
        yield from ((name, line, dfa) for name, dfa in small_languages(size.small_states))
    elif group == "random":
        for name, generator, n, dfa in star_free_dfas(size.states, size.seeds):
            yield name, f"{generator}, {n} states", dfa
    else:
        yield from subregular_languages(size.subregular_seeds)


def measured(name: str, line: str, dfa: Dfa, size: Size) -> Json:
    """The sizes of a language; None where it could not be compiled in this way. Seconds are of the processor."""
    row: Json = {"name": name, "line": line, "states": dfa.n_states}
    models = {}
    for way, options in WAYS.items():
        started = process_time()
        try:
            model = models[way] = scancraft.compile(dfa, budget=BUDGET, **options)
            sizes: list[Any] = [model.weights.shape.n_layers, model.weights.n_parameters, model.circuit.kind]
        except ScancraftError:
            sizes = [None, None, None]
        seconds = process_time() - started
        row |= dict(zip((f"{way} {key}" for key in ("blocks", "parameters", "by")), sizes, strict=True))
        row[f"{way} seconds"] = seconds
    if size.certify:
        row["scope"] = {way: _scope(models[way]) for way in ("chosen", "fewest") if way in models}
    if line == "named" and "cascade" in models:
        row["prefill"] = {way: _prefill(models[way], dfa, size.length) for way in ("cascade", "chosen", "fewest")}
    return row


def _scope(model: Any) -> str:
    found = scancraft.certify(model)
    return found.scope if isinstance(found, scancraft.Certificate) else found.verdict


def _prefill(model: Any, dfa: Dfa, length: int) -> float:
    """Seconds that the runner takes for one word of live letters, the best of three."""
    word = live_word_of(dfa, length, Random(0))
    ids = torch.tensor([model.readout.encode(word)])
    runner = model.runner()
    return best_of(3, partial(runner, ids))[0]


def summary(line: str, rows: Sequence[Json]) -> Json:
    """One line of the table."""
    both = [row for row in rows if row["cascade blocks"] is not None]
    fewest = [row["fewest blocks"] for row in rows]
    scopes = [scope for row in rows for scope in row.get("scope", {}).values()]
    return {
        "languages": line,
        "count": len(rows),
        "cascades": len(both),
        "cascade_blocks": sum(row["cascade blocks"] for row in both),
        "chosen_blocks": sum(row["chosen blocks"] for row in both),
        "fewest_blocks": sum(row["fewest blocks"] for row in both),
        "median": median(fewest),
        "most": max(fewest),
        "in_one": fewest.count(1),
        "cascade_parameters": sum(row["cascade parameters"] for row in both),
        "chosen_parameters": sum(row["chosen parameters"] for row in both),
        "larger": sum(row["chosen parameters"] > row["cascade parameters"] for row in both),
        "certified": scopes.count("every-implementation"),
        "certificates": len(scopes),
        "ratio": median(row["chosen seconds"] / max(row["cascade seconds"], 1e-4) for row in both) if both else None,
    }


def measure(size: Size, tick: Tick, processes: int = 1) -> Measured:
    chosen = [entry for group in size.groups for entry in languages(group, size)]
    if processes > 1:
        with get_context("fork").Pool(processes) as pool:
            found = pool.imap(partial(_measured, size), chosen)
            rows = [next(found) for _ in each(chosen, tick)]
    else:
        rows = [measured(name, line, dfa, size) for name, line, dfa in each(chosen, tick)]
    return Measured(summaries(rows), {"rows": rows})


def _measured(size: Size, entry: tuple[str, str, Dfa]) -> Json:
    return measured(*entry, size)


def summaries(rows: Sequence[Json]) -> Json:
    """What the page says: a row per line, a row for all, and the named languages one by one."""
    lines = [
        summary(line, [row for row in rows if row["line"] == line]) for line in dict.fromkeys(r["line"] for r in rows)
    ]
    return {"lines": lines, "all": summary("all", rows), "named": [row for row in rows if row["line"] == "named"]}


# -- the page --------------------------------------------------------------------------------------------------------

LINES = (
    *("languages", "count"),
    Column("blocks of cascades", "cascade_blocks"),
    Column("chosen", "chosen_blocks"),
    Column("fewest", "fewest_blocks"),
    Column("median of fewest", "median"),
    *("most", Column("in one block", "in_one")),
    Column("parameters of cascades", "cascade_parameters"),
    Column("chosen ", "chosen_parameters"),
    Column("certified", lambda row: f"{row['certified']:,} of {row['certificates']:,}"),
    Column("compile time, chosen / cascade", "ratio"),
)
NAMED = (
    Column("language", "name", code),
    "states",
    *(
        Column(f"{way}: {key}" if key == "blocks" else key + " " * n, f"{way} {key}")
        for n, way in enumerate(WAYS)
        for key in ("blocks", "parameters")
    ),
    Column("by", "fewest by"),
    Column("prefill of cascades, ms", lambda row: 1000 * row["prefill"]["cascade"]),
    Column("chosen, times as fast", lambda row: row["prefill"]["cascade"] / row["prefill"]["chosen"]),
    Column("fewest, times as fast", lambda row: row["prefill"]["cascade"] / row["prefill"]["fewest"]),
)


def targets(size: Json, result: Json) -> list[Target]:
    lines = {line["languages"]: line for line in result["lines"]}
    total = result["all"]
    found = [every("models of the fewest blocks and by default, certified", total["certified"], total["certificates"])]
    random = [line for name, line in lines.items() if name.endswith(" states")]
    if random:
        blocks = [sum(line[key] for line in random) for key in ("cascade_blocks", "fewest_blocks")]
        found.append(
            Target(
                "blocks of random languages, at most half of the cascades'",
                f"{blocks[0] // 2:,}",
                f"{blocks[1]:,}",
                2 * blocks[1] <= blocks[0],
            )
        )
    for name, line in lines.items():
        if name.startswith("all of at most"):
            one = f"{line['in_one']} in one block, most {line['most']}"
            met = line["in_one"] >= 147 and line["most"] <= 2
            found.append(
                Target(
                    f"languages of at most 3 states over 2 letters ({line['count']})", "147 in one, most 2", one, met
                )
            )
        if name in ("strictly local", "strictly piecewise", "locally testable", "tier-based", "piecewise testable"):
            most = f"median {line['median']:g}, most {line['most']}"
            met = line["median"] <= 2 and line["most"] <= 4  # piecewise testable: no longer than the subsequences are
            found.append(Target(f"blocks of {line['count']} {name} languages", "median 2, most 4", most, met))
    worst = sum(line["larger"] for line in result["lines"])
    found.append(Target("languages that are larger by default than their cascades", "0", str(worst), worst == 0))
    return found


def parts(size: Json, result: Json) -> Json:
    lines = [*result["lines"], result["all"]]
    return {"lines": table(lines, LINES), "named": table(result["named"], NAMED)}


# -- the command -----------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", nargs="*", default=GROUPS, choices=GROUPS, help="which languages")
    parser.add_argument("--seeds", type=int, help="random languages per generator and size, or per kind")
    parser.add_argument("--certify", action="store_true", help="certify the models, too")
    parser.add_argument("--processes", type=int, default=1, help="that measure at once (default 1)")
    parser.add_argument("--rows", action="store_true", help="print every language, too")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON and no tables")
    parser.add_argument("--most-states", type=int, default=FULL.most_states, help="of named languages")
    parser.add_argument("--write", type=Path, metavar="DOCS", help="put the figures into benchmarks.json there")
    given = sys.argv[2:] if arguments is None else list(arguments)
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    size = replace(FULL, groups=tuple(options.groups), most_states=options.most_states, certify=options.certify)
    if options.seeds is not None:
        size = replace(size, seeds=options.seeds, subregular_seeds=options.seeds)
    with progress("depth") as tick:
        found = measure(size, tick, options.processes)
    rows = found.raw["rows"]
    if options.write is not None:
        told = shlex.join(word for word in given if word not in ("--write", str(options.write)))
        write_section(options.write, "depth", f"depth {told}", size, found.summary)
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    if options.rows:
        flat = ("name", "states", *(f"{way} {key}" for way in WAYS for key in ("blocks", "parameters", "seconds")))
        print(table(rows, [Column(key, key) for key in flat]), end="\n\n")
    print(table([*found.summary["lines"], found.summary["all"]], LINES))


if __name__ == "__main__":
    main()
