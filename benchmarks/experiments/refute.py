"""Refutations: random and trained Mambas against every language of the suite that is not star-free.

Each refutation is verified by the separate checker. An interrupted run goes on where it was
(``out/benchmarks/refute``). Without ``run.py``, from the root of a checkout:

    python benchmarks/experiments/refute.py --plot docs/refutation.svg     only the picture of docs/refutation.md
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from page.pictures import draw_curve
from page.table import Column, Json, code, table, whole
from page.targets import Target, none
from random_mambas import quick_mamba, random_mamba
from timings.measure import Measured, Tick, best_of

from scancraft.automata.budget import Budget
from scancraft.models.checkpoints.files import replace_file, write_json
from scancraft.models.readout import Readout
from scancraft.models.run.reader import Reader
from scancraft.models.run.stepper import Stepper
from scancraft.refute.checker.refutation import Replays, check_refutation
from scancraft.refute.refute import Refutation, Trajectories, refute
from scancraft.suite.languages import LANGUAGES, suite_language
from scancraft.training.training import Settings, train

SHARE = 0.99
"""The target: at least this share is refuted."""
NAMES = tuple(language.name for language in LANGUAGES if language.kind == "not star-free")
WIDTHS = (16, 24, 32, 48, 64)
WORK = Path(__file__).resolve().parent.parent.parent / "out" / "benchmarks" / "refute"
Task = tuple[str, int]
"""A kind of model, "random" or "trained", and its number."""
BOS, EOS, FIRST = 1, 2, 3
"""Tokens as ``scancraft train`` numbers them; the symbols of a language follow in order."""


@dataclass(frozen=True)
class Size:
    """How much is tried."""

    # how many models with ``transformers``' initial weights; the k-th has seed k, 1 + k mod 4 blocks, and
    # ``WIDTHS[k mod 5]`` for d_model
    random: int = 100
    forgetful: bool = False  # whether the random models forget fast, and so settle within some hundred steps
    # how many trained ones; the k-th learns ``NAMES[k mod 7]`` from seed k with 1 + k mod 3 blocks and d_model
    # 16 or 32
    trained: int = 20
    names: tuple[str, ...] = NAMES  # languages, of the suite
    train_steps: int = 400  # of the optimiser
    seconds: float = 300.0  # budget of each refutation
    jobs: int = 2  # processes
    picture_turns: int = 200_000  # how far the picture follows 1^n at most
    timed_widths: tuple[int, ...] = (16, 32, 64)  # d_model of the models whose step is timed
    timed_tokens: int = 400  # how many tokens they read


FULL = Size()
QUICK = Size(
    random=1,
    forgetful=True,
    trained=0,
    names=("Parity",),
    train_steps=2,
    jobs=1,
    picture_turns=500,
    timed_widths=(16,),
    timed_tokens=20,
)


def measure(size: Size, tick: Tick) -> Measured:
    started = time.perf_counter()
    rows, models = attempts(size, tick)
    seconds = time.perf_counter() - started
    pictured = curve(size)
    result = summary(rows, models) | {"steps": steps(size), "pictured": pictured["N"] is not None, "seconds": seconds}
    return Measured(result, {"rows": rows, "models": models, "curve": pictured})


def attempts(size: Size, tick: Tick) -> tuple[list[Json], list[Json]]:
    """A row per model and language, and facts of each model; what an interrupted run has done is not done again."""
    tasks = [("random", k) for k in range(size.random)] + [("trained", k) for k in range(size.trained)]
    work = WORK / hashlib.sha256(json.dumps(asdict(size)).encode()).hexdigest()[:12]
    work.mkdir(parents=True, exist_ok=True)
    paths = {task: work / f"{task[0]}-{task[1]}.json" for task in tasks}
    found = {task: json.loads(path.read_text(encoding="utf-8")) for task, path in paths.items() if path.is_file()}
    left = [task for task in tasks if task not in found]
    tick(len(found), len(tasks), "models")
    for task, result in _results(size, left):
        found[task] = result
        with replace_file(paths[task]) as fresh:
            write_json(fresh, result)
        tick(len(found), len(tasks), f"{task[0]} {task[1]}")
    shutil.rmtree(work)
    return [row for task in tasks for row in found[task]["rows"]], [found[task]["model"] for task in tasks]


def _results(size: Size, left: Sequence[Task]) -> Iterator[tuple[Task, Json]]:
    """What comes of the tasks, as they end."""
    if size.jobs <= 1:
        yield from ((task, _one(size, *task)) for task in left)
        return
    pool = ProcessPoolExecutor(size.jobs, mp_context=get_context("spawn"), initializer=_one_thread)
    try:
        # The trained ones, which take longest, first.
        waiting = {pool.submit(_one, size, *task): task for task in reversed(left)}
        for done in as_completed(waiting):
            yield waiting[done], done.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def summary(rows: list[Json], models: list[Json]) -> Json:
    """Groups of rows, and what is said of all of them."""
    names = list(dict.fromkeys(row["language"] for row in rows))
    groups = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        mine = [row for row in rows if row["kind"] == kind]
        groups += [_group(kind, name, [row for row in mine if row["language"] == name]) for name in names]
        groups.append(_group(kind, "all", mine))
    refuted = [row for row in rows if row["verdict"] == "refuted"]
    slowest = max(rows, key=lambda row: row["seconds"])
    learnt = [model["strings"] for model in models if model["kind"] == "trained"]
    return {
        "models": len(models),
        "languages": len(names),
        "learnt": [min(learnt), max(learnt)] if learnt else None,
        "groups": groups,
        "rows": len(rows),
        "refuted": len(refuted),
        "false": sum(not row["checked"] for row in refuted),
        "read_all": sum(row["tokens_read"] >= row["tokens"] for row in refuted),
        "checked_seconds": sum(row["checked_seconds"] for row in refuted),
        "slowest": {key: slowest[key] for key in ("kind", "model", "language", "seconds")},
        "undecided": [
            {key: row[key] for key in ("kind", "model", "language", "reason")}
            for row in rows
            if row["verdict"] == "undecided"
        ],
    }


def _group(kind: str, language: str, rows: list[Json]) -> Json:
    """Medians of the refuted ones; ``seconds``: of those that read all their tokens themselves."""
    refuted = [row for row in rows if row["verdict"] == "refuted"]
    alone = [row["seconds"] for row in refuted if row["tokens_read"] >= row["tokens"]]
    false = sum(not row["checked"] for row in refuted)
    group = {"kind": kind, "language": language, "refuted": len(refuted) - false, "false": false}
    group |= {"undecided": len(rows) - len(refuted), "longest_w": max((len(row["w"]) for row in refuted), default=None)}
    group |= {key: median(row[key] for row in refuted) if refuted else None for key in ("N", "tokens", "word")}
    return group | {"seconds": median(alone) if alone else None}


def _one_thread() -> None:
    torch.set_num_threads(1)


def _one(size: Size, kind: str, k: int) -> Json:
    """One model against all languages."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    if kind == "random":
        model, facts, contract = *random_model(k, size.forgetful), "all-words"
    else:
        model, facts, contract = *trained_model(k, size.train_steps), "live-prefixes"
    rows = []
    trajectories = Trajectories(model)
    replays: Replays = {}
    for name in size.names:
        language = suite_language(name).language
        symbols = {symbol: FIRST + i for i, symbol in enumerate(language.alphabet)}
        readout = Readout(symbols, bos=BOS, accept=EOS, contract=contract)  # type: ignore[arg-type]
        budget = Budget(items=10**9, seconds=size.seconds)
        verdict = refute(model, language, readout, budget=budget, trajectories=trajectories)
        row: Json = {"kind": kind, "model": k, "language": name, "verdict": verdict.verdict}
        row |= {"seconds": round(verdict.seconds, 4), "reason": getattr(verdict, "reason", None)}
        if isinstance(verdict, Refutation):
            content = verdict.content
            row |= {key: content[key] for key in ("x", "w", "y", "period", "N", "state_period", "tokens_read")}
            row |= {"tokens": len(verdict.x) + (verdict.start + verdict.state_period) * len(verdict.w)}
            row |= {"word": len(verdict.word), "leaps": len(content["leaps"])}
            checked = check_refutation(verdict, model, language, readout, replays=replays)
            row |= {"checked": checked.accepted, "checked_seconds": round(checked.seconds, 3), "why": checked.reason}
        rows.append(row)
    result: Json = json.loads(json.dumps({"model": facts, "rows": rows}))
    return result


def random_model(k: int, forgetful: bool = False) -> tuple[Any, Json]:
    """A ``MambaForCausalLM`` with the weights that ``transformers`` draws from seed k."""
    blocks, d_model = 1 + k % 4, WIDTHS[k % 5]
    facts = {"kind": "random", "model": k, "blocks": blocks, "d_model": d_model}
    make = quick_mamba if forgetful else random_mamba
    return make(k, hidden_size=d_model, num_hidden_layers=blocks), facts


def trained_model(k: int, steps: int) -> tuple[Any, Json]:
    """A model that ``scancraft.training.training`` has trained for so many steps on a language that it cannot learn."""
    name, blocks, d_model = NAMES[k % len(NAMES)], 1 + k % 3, (32, 16)[k // 7 % 2]
    trained = train(
        suite_language(name).language,
        seconds=3600.0,
        max_steps=steps,
        seed=k,
        settings=Settings(layers=blocks, d_model=d_model, words=2000),
        test_words=200,
    )
    facts = {"kind": "trained", "model": k, "blocks": blocks, "d_model": d_model, "language": name}
    accuracy = trained.accuracy[0]
    return trained.model, facts | {"strings": accuracy.strings, "positions": accuracy.positions}


# -- speed -----------------------------------------------------------------------------------------------------------


def steps(size: Size) -> list[Json]:
    """How long a token takes, per block, in models of two blocks; best of some runs of ``timed_tokens``."""
    rows = []
    for dtype in (torch.float32, torch.bfloat16):
        for d_model in size.timed_widths:
            model = random_mamba(0, dtype, hidden_size=d_model)
            tokens = [FIRST + k * k % 3 for k in range(size.timed_tokens)]  # not periodic
            row: Json = {"dtype": str(dtype).removeprefix("torch."), "d_model": d_model}
            for name, work in (("read", _reading(model, tokens)), ("own", _own(model, tokens))):
                seconds, _ = best_of(5, work)
                row[name] = round(seconds / len(tokens) / 2 * 1e6, 1)
            rows.append(row)
    return rows


def _reading(model: Any, tokens: list[int]) -> Callable[[], None]:
    reader = Reader(Stepper(model), BOS)

    def work() -> None:
        for at in range(0, len(tokens), reader.stepper.batch):
            reader.read(tokens[at : at + reader.stepper.batch])

    return work


def _own(model: Any, tokens: list[int]) -> Callable[[], None]:
    @torch.no_grad()
    def work() -> None:
        cache = None
        for token in tokens:
            cache = model(torch.tensor([[token]]), cache_params=cache, use_cache=True).cache_params

    return work


# -- the picture -----------------------------------------------------------------------------------------------------

PICTURED = 7
"""Of the trained models: two blocks, trained on PARITY."""

ENTRIES = 4
LEVELS = 60


def curve(size: Size) -> Json:
    """What a trained model does on 1^n: :func:`settling`, and which ``model`` it is."""
    model, facts = trained_model(PICTURED, size.train_steps)
    return {"model": facts} | settling(model, size.picture_turns)


def settling(model: Any, turns: int) -> Json:
    """What a model does on 1^n: its state at about equal distances of log n, and its last answers.

    Returns:
        ``N`` only, None, if it has not settled after so many turns; else
        ``n``, then per n the largest ``change`` of an entry of the SSM states over a turn, and the values of some
        ``entries``, those that settle last; ``N``; and for the n around N (``near``) the ``score`` of ``<eos>``.
    """
    stepper = Stepper(model)
    reader, depth = Reader(stepper, BOS), len(stepper.blocks)
    one, read = stepper.embed(torch.full((stepper.batch,), FIRST + 1)), [FIRST + 1] * stepper.batch
    inner = torch.cat([torch.arange(stepper.block_size) >= stepper.conv_size] * depth)
    states, scores = [reader.state[inner].numpy()], [0.0]
    while len(states) < 2 or (states[-1] != states[-2]).any():
        if len(states) > turns:
            return {"N": None}
        rows = reader.read(read)
        states += list(rows[1:, inner].numpy())
        scores += stepper.logits(stepper.step(0, depth, one, rows[:-1])[0])[:, EOS].tolist()
    start = next(n for n in range(1, len(states)) if (states[n] == states[n - 1]).all())
    if start > turns:  # tokens are read a batch at a time
        return {"N": None}
    states += [states[-1]] * 9
    scores += [scores[-1]] * 9
    shown = sorted({round(start ** (i / LEVELS)) for i in range(LEVELS + 1)} | set(range(max(1, start - 8), start + 9)))
    near = [n for n in shown if abs(n - start) <= 8]
    last = np.array([states[n] for n in shown])
    places = np.argsort(-(last != last[-1]).sum(axis=0), kind="stable")
    chosen = places[:: max(1, len(places) // (3 * ENTRIES))][:ENTRIES].tolist()
    width = stepper.block_size - stepper.conv_size
    entries = [
        dict(zip(("channel", "state"), divmod(at % width, stepper.state_shape[-1]), strict=True))
        | {"block": at // width, "values": last[:, at].tolist()}
        for at in chosen
    ]
    return {
        "N": start,
        "n": shown,
        "change": [float(np.abs(states[n] - states[n - 1]).max()) for n in shown],
        "entries": entries,
        "near": near,
        "score": [scores[n] for n in near],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path, required=True, help="where to write the picture")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    draw_curve(curve(FULL), options.plot)


# -- the page --------------------------------------------------------------------------------------------------------

GROUPS = (
    Column("models", "kind"),
    Column("language", show=code),
    *("refuted", "undecided", Column("false", target=lambda count: count == 0)),
    *(Column("N", show=whole), Column("tokens", show=whole), "longest w"),
    *(Column("wrong word", "word", whole), "seconds"),
)
STEPS = ("dtype", "d_model", *(Column(name, show=whole) for name in ("read", "own")))
UNDECIDED = (Column("models", "kind"), "model", Column("language", show=code), "reason")


def targets(size: Json, result: Json) -> list[Target]:
    right, rows, false = result["refuted"] - result["false"], result["rows"], result["false"]
    what = f"checked refutations, {result['models']} foreign models, {result['languages']} languages"
    return [
        Target(what, f"at least {SHARE:.0%}", f"{right:,} of {rows:,}", right >= SHARE * rows),
        none("refutations that the checker rejects", false),
    ]


def parts(size: Json, result: Json) -> Json:
    undecided = table(result["undecided"], UNDECIDED)
    return {
        "learnt": "{:.0f} to {:.0f}".format(*result["learnt"]) if result["learnt"] else "-",
        "groups": table(result["groups"], GROUPS),
        "slowest": result["slowest"],
        "steps": table(result["steps"], STEPS),
        "undecided": f"Undecided:\n\n{undecided}" if result["undecided"] else "",
    }
