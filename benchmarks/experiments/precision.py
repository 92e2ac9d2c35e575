"""Which number formats hold the suite's compiled models bit for bit: the table of docs/precision.md.

    python benchmarks/experiments/precision.py            measures and rewrites the table between the page's markers
    python benchmarks/experiments/precision.py --show     prints it

Words: all of a length up to which there are at most 130, or 100 members where the promise covers live prefixes only.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
from timings.measure import stepped

import scancraft
from scancraft.automata.decide.aperiodic import NotStarFreeError
from scancraft.automata.errors import ScancraftError
from scancraft.automata.languages import truth_of
from scancraft.automata.words.mixtures import members_of
from scancraft.compiler.compile import CompiledModel
from scancraft.compiler.targets.float16 import fit
from scancraft.models.precision import FORMATS, PrecisionError, check_precision
from scancraft.suite.languages import LANGUAGES

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "precision.md"
BEGIN, END = "<!-- table: python benchmarks/experiments/precision.py -->", "<!-- end of table -->"
COLUMNS = ("float32", "bfloat16", "float64", "float16", "float16, fitted")


def words_of(compiled: CompiledModel) -> list[tuple[str, ...]]:
    alphabet = compiled.language.alphabet
    if compiled.readout.contract == "live-prefixes":
        return members_of(compiled.language, 100, 0, 24, np.random.default_rng(0))
    longest = 1
    while sum(len(alphabet) ** k for k in range(longest + 2)) <= 130:
        longest += 1
    return [word for n in range(longest + 1) for word in product(alphabet, repeat=n)]


def outcome(compiled: CompiledModel, dtype: str, fitted: bool) -> str:
    """What a format does to a model: "exact" (full, step and, where it takes the format, the runner), or why not."""
    try:
        source = replace(compiled, weights=fit(compiled.weights, dtype)) if fitted else compiled
        check_precision(source.weights.tensors, FORMATS[dtype])
    except PrecisionError:
        return "refused"
    readout, words = compiled.readout, words_of(compiled)
    longest = max(map(len, words))
    ids = torch.tensor([readout.encode(w) + [readout.pad] * (longest - len(w)) for w in words])
    truth = truth_of(compiled.language)
    masks = torch.from_numpy(np.asarray(truth.next_masks(*truth.encode(words))))
    inside = torch.arange(longest + 1) <= torch.tensor([len(w) for w in words])[:, None]
    model = source.model(FORMATS[dtype])
    with torch.inference_mode():
        want = compiled.model()(ids).logits
        found = [model(ids).logits, stepped(model, ids)]
        try:
            found.append(source.runner(FORMATS[dtype])(ids))
        except ScancraftError:
            pass  # the runner counts in some formats only, and says so
    columns = readout.columns(compiled.language.alphabet)
    for logits in found:
        if not torch.equal((logits[..., columns] > readout.threshold)[inside], masks[inside]):
            return "WRONG"
        if not torch.equal(logits.float()[inside], want[inside]):
            return "signs right"
    limits = sorted({int(c["limits"][dtype]) for c in compiled.manifest.get("counters", []) if dtype in c["limits"]})
    return f"exact, counters to {limits[0]:,}" if limits else "exact"


def table(count: int = len(LANGUAGES)) -> list[str]:
    """The table as lines of Markdown."""
    lines = [f"| language | construction | {' | '.join(COLUMNS)} |", f"|---|---|{'---|' * len(COLUMNS)}"]
    for language in LANGUAGES:
        try:
            compiled = scancraft.compile(language.language, gates="nonnegative")
        except NotStarFreeError:
            continue
        if len(lines) == count + 2:
            break
        cells = [outcome(compiled, column.partition(",")[0], "fitted" in column) for column in COLUMNS]
        kind = str(compiled.manifest["construction"]).partition(" (")[0].partition(",")[0].partition(":")[0]
        name = language.name.replace("*", r"\*").replace("_", r"\_")
        lines.append(f"| {name} | {kind} | {' | '.join(cells)} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", action="store_true", help="print the table instead of writing it")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    lines = table()
    if options.show:
        print("\n".join(lines))
        return
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    partial = PAGE.with_suffix(".part")
    partial.write_text(before + "\n".join([BEGIN, *lines, END]) + after, encoding="utf-8")
    partial.replace(PAGE)


if __name__ == "__main__":
    main()
