"""The table of gates in docs/abstract_ssm.md, computed; from the root of a checkout:

python benchmarks/run.py gate_table            rewrite the table in the page
python benchmarks/run.py gate_table --check    exit with 1 if the page has another one
python benchmarks/run.py gate_table --print    show it
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from page.marked import between, rewrite
from page.render import DOCS
from page.table import Column, Json, code, table

from scancraft.models.abstract.families import FAMILIES, Consequence, GateFamily
from scancraft.models.abstract.properties import Verdict

BEGIN, END = "<!-- gates: begin (python benchmarks/run.py gate_table) -->", "<!-- gates: end -->"
PROPERTIES = ("NONNEGATIVE", "TIME-INVARIANT", "FIXED-PHASE")

SHORT = {
    Consequence.STAR_FREE: "no PARITY, at most star-free (thms. 2, 4)",
    Consequence.NO_PARITY: "no PARITY, by the paper's appendix (time-invariant)",
    Consequence.NOT_EXCLUDED_FIXED_PHASE: "neither theorem applies; all inputs turn an entry by one angle",
    Consequence.NOT_EXCLUDED: "PARITY not excluded",
    Consequence.UNDECIDED: "undecided",
}


def answer(verdict: Verdict) -> str:
    return {True: "yes", False: "no", None: "undecided"}[verdict.holds]


def opposite(verdict: Verdict) -> str:
    return {True: "no", False: "yes", None: "undecided"}[verdict.holds]


def row(family: GateFamily) -> Json:
    """A family's verdicts and, for the second table, why each is what it is."""
    found = {
        "architecture": family.name,
        "gate": code(str(family.gate)),
        "inputs": ", ".join(map(str, family.inputs)) or "-",
        "consequence": SHORT[family.consequence()],
        "source": family.source + (f"; {family.note}" if family.note else ""),
    }
    for name, verdict in zip(PROPERTIES, family.verdicts, strict=True):
        found |= {name: answer(verdict), f"why {name}": f"{answer(verdict)}: {verdict.reason}"}
    return found | {"phase varies": opposite(family.verdicts[2])}


def render() -> str:
    """The table and the evidence, as they stand between the markers."""
    rows = [row(family) for family in FAMILIES]
    head = ("architecture", "gate", "inputs", *PROPERTIES[:2], "phase varies", "consequence", "source")
    verdicts = table(rows, [Column(name, name) for name in head])
    why = table(rows, ("architecture", *(Column(name, f"why {name}") for name in PROPERTIES)))
    return f"{verdicts}\n\nWhat decided it (a prime marks the second input):\n\n{why}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    parser.add_argument("--print", action="store_true", dest="show", help="show, and write nothing")
    parser.add_argument("--page", type=Path, default=DOCS / "abstract_ssm.md", help="the page")
    options = parser.parse_args(arguments)
    fresh = render()
    if options.show:
        print(fresh)
    elif not options.check:
        rewrite(options.page, BEGIN, END, fresh)
    elif between(options.page, BEGIN, END) != fresh:
        sys.exit(f"{options.page} is out of date; run python benchmarks/run.py gate_table")
