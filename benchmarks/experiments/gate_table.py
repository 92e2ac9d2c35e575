"""The table of gates in docs/abstract_ssm.md, computed; from the root of a checkout:

python benchmarks/experiments/gate_table.py            rewrite the table in the page
python benchmarks/experiments/gate_table.py --check    exit with 1 if the page has another one
python benchmarks/experiments/gate_table.py --print    show it
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from page.cells import code, table

from scancraft.models.abstract.families import FAMILIES, Consequence, GateFamily
from scancraft.models.abstract.properties import Verdict

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "abstract_ssm.md"
BEGIN = "<!-- gates: begin (benchmarks/experiments/gate_table.py) -->"
END = "<!-- gates: end -->"

SHORT = {
    Consequence.STAR_FREE: "no PARITY, at most star-free (thms. 2, 4)",
    Consequence.NO_PARITY: "no PARITY (time-invariant)",
    Consequence.NOT_EXCLUDED_FIXED_PHASE: "neither theorem applies; no input flips a state that another keeps",
    Consequence.NOT_EXCLUDED: "PARITY not excluded",
    Consequence.UNDECIDED: "undecided",
}


def answer(verdict: Verdict) -> str:
    return {True: "yes", False: "no", None: "undecided"}[verdict.holds]


def opposite(verdict: Verdict) -> str:
    return {True: "no", False: "yes", None: "undecided"}[verdict.holds]


def row(family: GateFamily) -> list[str]:
    return [
        family.name,
        code(str(family.gate)),
        ", ".join(map(str, family.inputs)) or "-",
        answer(family.nonnegative()),
        answer(family.time_invariant()),
        opposite(family.fixed_phase()),
        SHORT[family.consequence()],
        family.source + (f"; {family.note}" if family.note else ""),
    ]


def evidence(family: GateFamily) -> list[str]:
    """Why each verdict is what it is."""
    verdicts = (family.nonnegative(), family.time_invariant(), family.fixed_phase())
    return [family.name, *(f"{answer(v)}: {v.reason}" for v in verdicts)]


def render() -> str:
    """The table and the evidence, as they stand between the markers."""
    head = ["architecture", "gate", "inputs", "NONNEGATIVE", "TIME-INVARIANT", "phase varies", "consequence", "source"]
    verdicts = table(head, [row(family) for family in FAMILIES], "lllccclll")
    why = table(["architecture", "NONNEGATIVE", "TIME-INVARIANT", "FIXED-PHASE"], map(evidence, FAMILIES), "l")
    return f"{verdicts}\n\nWhat decided it (a prime marks the second input):\n\n{why}"


def split(page: str) -> tuple[str, str, str]:
    """The page before the table, the table, and the page after it."""
    before, begin, rest = page.partition(BEGIN)
    middle, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{PAGE} has no {BEGIN} ... {END}; put the two lines where the table belongs")
    return before, middle.strip("\n"), after


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    parser.add_argument("--print", action="store_true", dest="show", help="show, and write nothing")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page")
    options = parser.parse_args(arguments)
    fresh = render()
    if options.show:
        print(fresh)
        return
    before, stands, after = split(options.page.read_text(encoding="utf-8"))
    if options.check:
        if stands != fresh:
            sys.exit(f"{options.page} is out of date; run python benchmarks/experiments/gate_table.py")
        return
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=options.page.parent, delete=False) as file:
        file.write(f"{before}{BEGIN}\n{fresh}\n{END}{after}")
    Path(file.name).chmod(0o644)
    os.replace(file.name, options.page)


if __name__ == "__main__":
    main()
