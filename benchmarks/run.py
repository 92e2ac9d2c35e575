"""Run the benchmarks, from the root of a checkout:

    python benchmarks/run.py                     everything, written to docs/benchmarks.json and docs/benchmarks.md
    python benchmarks/run.py --only compile,agree
    python benchmarks/run.py --quick             a smoke run on small sizes, shown and not written

Sections that are not run keep what docs/benchmarks.json says of them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from experiments import agreement, bounded_dyck, certificates, conformance, mutation, refute, signed, suite, trained
from page import render
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from timings import acceptor, checker, compile_table, decide, measure, scan

SECTIONS: dict[str, ModuleType] = {
    "compile": compile_table,
    "agree": agreement,
    "decide": decide,
    "acceptor": acceptor,
    "certify": certificates,
    "checker": checker,
    "mutation": mutation,
    "suite": suite,
    "trained": trained,
    "bounded_dyck": bounded_dyck,
    "scan": scan,
    "signed": signed,
    "refute": refute,
    "conformance": conformance,
}


def run_section(name: str, quick: bool, tick: measure.Tick) -> dict[str, Any]:
    """One section as JSON: the command, the sizes, the machine, the rows."""
    module = SECTIONS[name]
    size = module.QUICK if quick else module.FULL
    result = module.measure(size, tick)
    section = {
        "command": f"python benchmarks/run.py --only {name}" + (" --quick" if quick else ""),
        "environment": asdict(measure.environment()),
        "size": asdict(size),
        "result": asdict(result),
    }
    plain: dict[str, Any] = json.loads(json.dumps(section))
    return plain


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, separated by commas")
    parser.add_argument("--quick", action="store_true", help="small sizes; print the tables instead of writing them")
    parser.add_argument("--out", type=Path, default=render.DOCS, help="folder of benchmarks.json and benchmarks.md")
    options = parser.parse_args(arguments)
    chosen = options.only.split(",")
    if unknown := sorted(set(chosen) - set(SECTIONS)):
        parser.error(f"there is no section {', '.join(unknown)}; choose from {', '.join(SECTIONS)}")
    torch.set_num_threads(1)
    path = options.out / render.JSON_NAME
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() and not options.quick else {}
    columns = (TextColumn("{task.fields[section]:12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.description}"), console=Console(stderr=True)) as progress:
        for name in chosen:
            bar = progress.add_task("", total=None, section=name)

            def tick(done: int, total: int, what: str, bar: Any = bar) -> None:
                progress.update(bar, completed=done, total=total, description=what)

            known[name] = run_section(name, options.quick, tick)
            total = progress.tasks[-1].total or 1
            progress.update(bar, total=total, completed=total, description="done")
            if not options.quick:
                render.write(options.out, {name: known[name] for name in SECTIONS if name in known})
    if options.quick:
        print(render.markdown(known))


if __name__ == "__main__":
    main()
