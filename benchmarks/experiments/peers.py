"""The same language by other compilers: Dyck-1, what may come next after every prefix, up to a length and past it.

They run in an environment of their own, which is made once, from the root of a checkout:

    python -m venv out/peers
    out/peers/bin/pip install torch==2.13.0 'torchwright[hf]==0.2.0' firebrand==0.0.1 transformers==5.23.0
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from page.table import Column, Json, code, table, whole
from page.targets import Target, every
from timings.measure import Measured, Tick, best_of

import scancraft
from scancraft.automata.words.mixtures import mixture_of
from scancraft.suite.languages import suite_language

HERE = Path(__file__).resolve().parent
PYTHON = HERE.parent.parent / "out" / "peers" / "bin" / "python"
ANSWERS = {
    frozenset(): "none",
    frozenset({"(", ")"}): "open or close",
    frozenset({"(", "<eos>"}): "open or end",
}
KINDS = ("short", "at the limit", "past it")


@dataclass(frozen=True)
class Size:
    """What is compiled and tried."""

    limits: tuple[int, ...] = (50, 512)  # lengths that the transformers are compiled for
    short: int = 8  # every word up to this length
    words: int = 30  # of the length of the limit, and as many of twice that
    peers: tuple[str, ...] = ("torchwright", "firebrand")


FULL = Size()
QUICK = Size(limits=(10,), short=3, words=2, peers=())


def measure(size: Size, tick: Tick) -> Measured:
    if size.peers and not PYTHON.is_file():
        raise SystemExit(f"{PYTHON} is missing; make it as {Path(__file__).name} says:\n{__doc__}")
    rows = []
    for n, limit in enumerate(size.limits):
        words = _words(limit, size)
        for name in ("scancraft", *size.peers):
            tick(n, len(size.limits), f"{name}, {limit}")
            rows.append({"limit": limit, "by": name} | _row(name, limit, words))
    return Measured({"rows": rows}, {"rows": rows})


def _words(limit: int, size: Size) -> dict[str, list[str]]:
    """By kind: all short words; members, near misses and arbitrary words of the limit's length, and of twice that."""
    language, rng = suite_language("Dyck-1").language, np.random.default_rng(0)
    return {
        "short": ["".join(w) for n in range(size.short + 1) for w in product("()", repeat=n)],
        "at the limit": ["".join(w) for w in mixture_of(language, size.words, limit - 1, limit, rng)],
        "past it": ["".join(w) for w in mixture_of(language, size.words, 2 * limit - 1, 2 * limit, rng)],
    }


def _row(name: str, limit: int, words: dict[str, list[str]]) -> Json:
    flat = [word for kind in KINDS for word in words[kind]]
    found = _ours(flat) if name == "scancraft" else _theirs(name, limit, flat)
    answers = iter(found.pop("answers"))
    right = {}
    for kind in KINDS:
        told = [next(answers) for _ in words[kind]]
        hits = sum(_right(word) == answer for word, answer in zip(words[kind], told, strict=True))
        right[kind] = "refused" if told.count(None) == len(told) else hits / len(told)
    return found | right


def _right(word: str) -> list[str]:
    """The right answer after every prefix, by the definition."""
    depth, alive = 0, True
    told = ["open or end"]
    for symbol in word:
        depth += 1 if symbol == "(" else -1
        alive = alive and depth >= 0
        told.append("none" if not alive else "open or close" if depth else "open or end")
    return told


def _ours(words: list[str]) -> Json:
    language = suite_language("Dyck-1").language
    seconds, compiled = best_of(5, lambda: scancraft.compile(language))
    runner, tokens = compiled.runner(), compiled.manifest.tokens
    answers, spent = [], 0.0
    for word in words:
        started = time.perf_counter()
        logits = runner(torch.tensor([[tokens["<bos>"], *(tokens[c] for c in word)]]))[0]
        spent += time.perf_counter() - started
        shown = {c: (logits[:, tokens[c]] > 0).tolist() for c in ("(", ")", "<eos>")}
        answers.append([ANSWERS.get(frozenset(c for c in shown if shown[c][n]), "?") for n in range(len(word) + 1)])
    return {
        "parameters": compiled.weights.n_parameters,
        "layers": compiled.weights.shape.n_layers,
        "seconds": seconds,
        "model": "MambaForCausalLM",
        "dtype": "float32",
        "version": "this commit",
        "per_symbol": spent / sum(map(len, words)),
        "answers": answers,
    }


def _theirs(name: str, limit: int, words: list[str]) -> Json:
    command = [str(PYTHON), str(HERE / "peers_worker.py"), name, str(limit)]
    done = subprocess.run(command, input=json.dumps(words), capture_output=True, text=True, check=True)
    found: Json = json.loads(done.stdout.splitlines()[-1])
    return found


# -- the page --------------------------------------------------------------------------------------------------------


def _share(value: object) -> str:
    return value if isinstance(value, str) else f"{100 * float(value):.3g}%"  # type: ignore[arg-type]


COLUMNS = (
    *(Column("length compiled for", "limit", whole), Column("by", show=code), "version", Column("runs as", "model")),
    *("dtype", Column("layers"), Column("parameters", show=whole), Column("compiled in s", "seconds")),
    Column("short words right", "short", _share),
    Column("words of that length", "at the limit", _share),
    Column("twice as long", "past it", _share),
    Column("µs per symbol", "per_symbol", lambda seconds: f"{1e6 * seconds:,.0f}"),
)


def targets(size: Json, result: Json) -> list[Target]:
    ours = [row[kind] for row in result["rows"] if row["by"] == "scancraft" for kind in KINDS]
    return [every("Dyck-1 beside other compilers: scancraft right, past their limits too", ours.count(1.0), len(ours))]


def parts(size: Json, result: Json) -> Json:
    return {"rows": table(result["rows"], COLUMNS)}
