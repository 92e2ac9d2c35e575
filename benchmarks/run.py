"""Run the benchmarks, from the root of a checkout:

    python benchmarks/run.py                     everything, written to docs/benchmarks.json and docs/benchmarks.md
    python benchmarks/run.py --only compile,agree
    python benchmarks/run.py --only refute --raw out/raw     keep every row that the tables summarise, too
    python benchmarks/run.py --quick             a smoke run on small sizes, shown and not written
    python benchmarks/run.py --page              docs/benchmarks.md again, from docs/benchmarks.json alone
    python benchmarks/run.py COMMAND --help      the commands that write no section of the page

Sections that are not run keep what docs/benchmarks.json says of them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests" / "support"))

SECTIONS = {
    "compile": "timings.compile_table",
    "depth": "experiments.depth",
    "agree": "experiments.agreement",
    "decide": "timings.decide",
    "acceptor": "timings.acceptor",
    "certify": "experiments.certificates",
    "checker": "timings.checker",
    "scale": "timings.scale",
    "mutation": "experiments.mutation",
    "attack": "experiments.attack",
    "suite": "experiments.suite",
    "trained": "experiments.trained",
    "verdicts": "experiments.trained_verdicts",
    "until": "experiments.until",
    "peers": "experiments.peers",
    "bounded_dyck": "experiments.bounded_dyck",
    "walks": "experiments.walks",
    "mlregtest": "experiments.mlregtest",
    "documents": "experiments.documents",
    "scan": "timings.scan",
    "signed": "experiments.signed",
    "groups": "experiments.groups",
    "refute": "experiments.refute",
    "conformance": "experiments.conformance",
    "fuzz": "experiments.fuzz",
}
COMMANDS = {
    "attack": "experiments.attack",
    "before_after": "timings.before_after",
    "boxes": "experiments.boxes",
    "depth": "experiments.depth",
    "fuzz": "experiments.fuzz",
    "gate_table": "experiments.gate_table",
    "gpu": "timings.gpu",
    "guarantees": "experiments.guarantees",
    "mlregtest": "experiments.mlregtest",
    "precision": "experiments.precision",
    "refute": "experiments.refute",
    "scale": "timings.scale",
    "sizes": "experiments.sizes",
    "trained": "experiments.trained_verdicts",
}


def sections() -> dict[str, Any]:
    """The modules of the page, in its order."""
    return {name: import_module(module) for name, module in SECTIONS.items()}


def commit() -> str:
    """The commit that is checked out; "+": with changes that are not committed."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return (git("rev-parse", "--short=7", "HEAD") or "unknown") + ("+" if git("status", "--porcelain", "-uno") else "")


def run_section(name: str, quick: bool, tick: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """One section as JSON (the command, the commit, the machine, the sizes, the summary), and its raw rows."""
    module = import_module(SECTIONS[name])
    size = module.QUICK if quick else module.FULL
    found = module.measure(size, tick)
    return section_of(f"--only {name}" + (" --quick" if quick else ""), size, found.summary), found.raw


def section_of(arguments: str, size: Any, summary: dict[str, Any]) -> dict[str, Any]:
    """What a command found, as JSON."""
    from timings import measure

    section = {
        "command": f"python benchmarks/run.py {arguments}",
        "commit": commit(),
        "environment": measure.environment(),
        "size": asdict(size),
        "result": summary,
    }
    plain: dict[str, Any] = json.loads(json.dumps(section))
    return plain


def write_section(out: Path, name: str, arguments: str, size: Any, summary: dict[str, Any]) -> None:
    """Put what a command found into docs/benchmarks.json, and render the page."""
    from page import render

    render.write(out, render.read(out) | {name: section_of(arguments, size, summary)}, sections())


def main(arguments: Sequence[str] | None = None) -> int | None:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in COMMANDS:
        code: int | None = import_module(COMMANDS[given[0]]).main(given[1:])
        return code
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f"commands: {', '.join(COMMANDS)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, separated by commas")
    parser.add_argument("--quick", action="store_true", help="small sizes; print the tables instead of writing them")
    parser.add_argument("--page", action="store_true", help="measure nothing; render the page again")
    parser.add_argument("--raw", type=Path, metavar="DIR", help="write the rows behind each summary to DIR")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="folder of benchmarks.json and benchmarks.md")
    options = parser.parse_args(given)
    chosen = options.only.split(",")
    if unknown := sorted(set(chosen) - set(SECTIONS)):
        parser.error(f"there is no section {', '.join(unknown)}; choose from {', '.join(SECTIONS)}")
    measured(options, [] if options.page else chosen)
    return None


def measured(options: argparse.Namespace, chosen: Sequence[str]) -> None:
    """Run sections; write what is known after each of them."""
    import torch
    from page import pictures, render
    from timings.measure import progress

    torch.set_num_threads(1)
    known = {} if options.quick else render.read(options.out)
    if not chosen:
        render.write(options.out, known, sections())
    for name in chosen:
        with progress(name) as tick:
            known[name], raw = run_section(name, options.quick, tick)
        if options.raw is not None:
            render.write_raw(options.raw / f"{name}.json", known[name] | {"raw": raw})
        if not options.quick:
            render.write(options.out, known, sections())
            pictures.draw(options.out, name, known, raw)
    if options.quick:
        print(render.markdown(known, sections()))


if __name__ == "__main__":
    sys.exit(main())
