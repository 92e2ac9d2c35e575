"""Which number formats hold the suite's compiled models bit for bit: the table of docs/precision.md.

    python benchmarks/run.py precision            measures and rewrites the table between the page's markers
    python benchmarks/run.py precision --show     prints it

Words: all of a length up to which there are at most 130, or 100 members where the promise covers live prefixes only.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import torch
from page.marked import rewrite
from page.render import DOCS
from page.table import Column, Json, code, table
from timings.measure import stepped, suite_models

from scancraft.automata.errors import ScancraftError
from scancraft.automata.languages import truth_of
from scancraft.automata.words.mixtures import members_of
from scancraft.compiler.compiled import CompiledModel
from scancraft.compiler.targets.float16 import fit
from scancraft.models.precision import FORMATS, PrecisionError, check_precision
from scancraft.suite.languages import LANGUAGES

BEGIN, END = "<!-- table: python benchmarks/run.py precision -->", "<!-- end of table -->"
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
        source = replace(compiled, weights=fit(compiled.circuit, compiled.weights, dtype)) if fitted else compiled
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
    limits = sorted({c.limits[dtype] for c in compiled.manifest.counters if dtype in c.limits})
    return f"exact, counters to {limits[0]:,}" if limits else "exact"


def rows(count: int) -> Iterator[Json]:
    """The outcomes for the first languages of the suite that a Mamba models."""
    for name, compiled in suite_models(count):
        kind = compiled.manifest.construction.partition(" (")[0].partition(",")[0].partition(":")[0]
        found = {column: outcome(compiled, column.partition(",")[0], "fitted" in column) for column in COLUMNS}
        yield {"language": name, "construction": kind} | found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", action="store_true", help="print the table instead of writing it")
    parser.add_argument("--count", type=int, default=len(LANGUAGES), help="languages, from the start of the suite")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    columns = (Column("language", show=code), "construction", *(Column(name, name) for name in COLUMNS))
    text = table(rows(options.count), columns)
    if options.show:
        print(text)
    else:
        rewrite(DOCS / "precision.md", BEGIN, END, text)
