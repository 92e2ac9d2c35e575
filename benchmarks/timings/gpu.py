"""Everything that a GPU is wanted for, as one command; from the root of a checkout, with scancraft installed:

    python benchmarks/run.py gpu                                    (`make gpu`) writes docs/gpu/<device>.json
    python benchmarks/run.py gpu --device cpu --quick --out /tmp/x  the same code on small sizes, without a GPU
    python benchmarks/run.py gpu --only long,speed

It installs nothing: it finds what is there, runs that, and says of the rest why it was not run. Sections:

- conformance: ``scancraft.conformance`` on Mamba and Mamba-2 of transformers and of mamba_ssm (fused and not);
- suite: accuracy on the suite's languages with the models on the device;
- long: one prefill of 1,000,000 tokens for ten languages, every verdict compared with the language's acceptor;
- speed: tokens per second in prefill and in single steps, compiled weights beside random ones of the same shape, and
  the vectorised DFA acceptor on the CPU.

Exit code: 0 if all that was run is right, 1 if something differs, 2 for a device that is not there.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Before torch and triton: Mamba-2's Triton kernels would multiply float32 in TF32, 11 bits (docs/mamba2.md).
os.environ.setdefault("TRITON_F32_DEFAULT", "ieee")

import numpy as np
import torch
from page.render import DOCS, write_raw
from timings.measure import Json, environment, progress, suite_models
from torch import Tensor

from scancraft import conformance
from scancraft.accuracy import accuracy
from scancraft.automata.acceptor import Acceptor
from scancraft.automata.dfa import Dfa
from scancraft.automata.languages import truth_of
from scancraft.automata.words.mixtures import members_of, mixture_of
from scancraft.compiler.compiled import CompiledModel
from scancraft.models.checkpoints.checkpoint import load_model
from scancraft.models.checkpoints.files import replace_file
from scancraft.models.checkpoints.mamba_ssm import Session, build_mamba_ssm, load_mamba_ssm

OUT = DOCS / "gpu"
PACKAGES = ("torch", "transformers", "triton", "mamba-ssm", "causal-conv1d", "kernels", "numpy", "scancraft")
Words = Sequence[tuple[str, ...]]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Size:
    """How much."""

    words: int = 200  # per bin of the suite
    far: int = 10_000  # length of the longest words of the suite here
    long: int = 1_000_000  # tokens of the one prefill
    languages: int = 23  # how many the suite and the long prefill take
    prefill: int = 65_536  # tokens per row when timing a prefill
    rows: int = 8  # rows then
    steps: int = 256  # single tokens when timing steps
    repeats: int = 5  # runs of which the fastest counts
    quick: bool = False  # whether conformance takes its quick set
    seed: int = 0


FULL = Size()
QUICK = Size(words=8, far=40, long=300, languages=2, prefill=64, rows=2, steps=8, repeats=1, quick=True)
LONG_LANGUAGES = 10
SPEED_LANGUAGES = ("D-4", "D-12", "{a,b}*d{b,c}*")


@dataclass(frozen=True)
class Section:
    """What became of one section.

    Attributes:
        status: "run", or "not run".
        reason: why not.
        right: whether everything was; None where nothing is judged.
        rows: the figures.
    """

    status: str
    reason: str | None = None
    right: bool | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)


Feed = Callable[[Tensor], Tensor]
"""From more token ids, shape (rows, tokens), to their logits."""


@dataclass(frozen=True)
class Engine:
    """A way to run compiled weights on the device."""

    name: str
    build: Callable[[CompiledModel], Any]  # the model, in float32
    load: Callable[[Path], Any]  # the model of a checkpoint
    session: Callable[[Any, int], Feed]  # from a model and a number of rows
    whole: bool  # whether one call may read a sequence of any length at once


def engines(device: torch.device) -> list[Engine]:
    """What can run here: transformers always, mamba_ssm where it is installed and there is a GPU."""

    def session(model: Any, rows: int) -> Feed:
        state: Json = {}

        def feed(ids: Tensor) -> Tensor:
            out = model(ids, cache_params=state.get("cache"), use_cache=True)
            state["cache"] = out.cache_params
            logits: Tensor = out.logits
            return logits

        return feed

    found = [
        Engine(
            "transformers",
            lambda compiled: compiled.model().to(device),
            lambda place: load_model(place).to(device),
            session,
            whole=False,
        )
    ]
    if why_no_mamba_ssm(device) is None:
        found += [
            Engine(
                f"mamba_ssm, {'fused' if fused else 'separate kernels'}",
                lambda compiled: build_mamba_ssm(compiled.weights, dtype=torch.float32, device=device),
                partial(load_mamba_ssm, device=device, fused=fused),
                lambda model, rows: Session(model, rows).feed,
                whole=True,
            )
            for fused in (False, True)
        ]
    return found


def _installed(name: str) -> bool:
    """Whether a package is there; a module that something else put in its place is not one."""
    try:
        return find_spec(name) is not None
    except ValueError:
        return False


def why_no_mamba_ssm(device: torch.device) -> str | None:
    """What keeps mamba_ssm from running; None if nothing does."""
    missing = [name for name in ("mamba_ssm", "selective_scan_cuda", "triton", "einops") if not _installed(name)]
    if missing:
        return f"not installed: {', '.join(missing)}"
    return None if device.type == "cuda" else "its kernels need an NVIDIA GPU"


class OnDevice:
    """A checkpoint in an engine, in the shape that ``scancraft.conformance`` drives; what it returns is on the CPU."""

    def __init__(self, directory: Path, engine: Engine, device: torch.device) -> None:
        self.engine, self.device, self.model = engine, device, engine.load(directory)

    def __call__(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.model(ids.to(self.device)).logits
        return logits.cpu()

    def prefill(self, ids: Tensor) -> tuple[Tensor, Feed]:
        return self.step(ids, self.engine.session(self.model, len(ids)))

    def step(self, ids: Tensor, cache: Feed) -> tuple[Tensor, Feed]:
        return cache(ids.to(self.device)).cpu(), cache


def measure_conformance(size: Size, device: torch.device, say: Say) -> Section:
    """Bits of transformers and mamba_ssm against the expected ones."""
    rows = []
    for kind in ("mamba", "mamba2"):
        chosen = [conformance.cases(kind, quick=True)[0].name] if size.quick else None
        for engine in engines(device):
            say(f"conformance: {engine.name}, {kind}")
            load = partial(OnDevice, engine=engine, device=device)
            report = conformance.run(load, kind=kind, quick=size.quick, only=chosen)
            rows.append(report.as_json() | {"implementation": f"{engine.name}, {kind}"})
    return Section("run", right=all(row["passed"] for row in rows), rows=rows)


def fastest(device: torch.device) -> list[Engine]:
    """One engine per library, the fast one."""
    found = engines(device)
    return [found[0], *found[2:]]


def words_of(compiled: CompiledModel, count: int, longest: int, seed: int, shortest: int | None = None) -> Words:
    """Words that the model promises something about, at most 20 shorter than the longest unless told otherwise."""
    sample = members_of if compiled.readout.contract == "live-prefixes" else mixture_of
    least = longest - 20 if shortest is None else shortest
    return sample(compiled.language, count, least, longest, np.random.default_rng(seed))


def measure_suite(size: Size, device: torch.device, say: Say) -> Section:
    """Accuracy with the models on the device: words up to 50 symbols, and of about the longest length."""
    rows = []
    for engine in fastest(device):
        for name, compiled in suite_models(size.languages):
            say(f"suite: {name} in {engine.name}")
            model = engine.build(compiled)
            far = size.far if engine.whole else min(size.far, 500)  # transformers' loop takes a kernel per token
            short = words_of(compiled, size.words, 50, size.seed, shortest=0)
            for words in (short, words_of(compiled, max(2, size.words // 20), far, size.seed)):
                found = accuracy(model, truth_of(compiled.language), compiled.readout, words)
                rows.append({"engine": engine.name, "language": name, **asdict(found)})
    return Section("run", right=all(row["words"] == row["right_words"] for row in rows), rows=rows)


def measure_long(size: Size, device: torch.device, say: Say) -> Section:
    """One prefill of many tokens: every verdict."""
    usable = [engine for engine in fastest(device) if engine.whole or size.quick]
    if not usable:
        return Section("not run", f"mamba_ssm: {why_no_mamba_ssm(device)}; transformers' own loop is too slow for it")
    rows, engine = [], usable[-1]
    for name, compiled in suite_models(min(size.languages, LONG_LANGUAGES)):
        say(f"long: {name} in {engine.name}")
        words, model = words_of(compiled, 1, size.long, size.seed), engine.build(compiled)
        started = time.perf_counter()
        found = accuracy(model, truth_of(compiled.language), compiled.readout, words)
        seconds = time.perf_counter() - started
        rows.append({"engine": engine.name, "language": name, "seconds": seconds, **asdict(found)})
    return Section("run", right=all(row["positions"] == row["right_positions"] for row in rows), rows=rows)


def measure_speed(size: Size, device: torch.device, say: Say) -> Section:
    """Tokens per second of compiled weights, of random ones of the same shape, and of the acceptor."""
    rows = []
    models = [(name, compiled) for name, compiled in suite_models() if name in SPEED_LANGUAGES]
    for name, compiled in models[: size.languages]:
        words = members_of(compiled.language, size.rows, size.prefill - 20, size.prefill, np.random.default_rng(0))
        ids = torch.tensor([compiled.readout.encode(w)[: size.prefill - 19] for w in words]).to(device)
        for engine in fastest(device):
            say(f"speed: {name} in {engine.name}")
            for weights in ("compiled", "random"):
                model = engine.build(compiled)
                if weights == "random":
                    randomise(model, size.seed)
                row = {"language": name, "engine": engine.name, "weights": weights}
                rows.append(row | rates(engine, model, ids, size, device))
        assert isinstance(compiled.language, Dfa)
        acceptor = Acceptor.of(compiled.language)
        codes, lengths = acceptor.encode(words)
        work = partial(acceptor.next_masks, codes, lengths)
        per_second = rate(work, int(lengths.sum()), size.repeats, torch.device("cpu"))
        rows.append({"language": name, "engine": "DFA acceptor (CPU)", "prefill_tokens_per_second": per_second})
    return Section("run", rows=rows)


def rates(engine: Engine, model: Any, ids: Tensor, size: Size, device: torch.device) -> dict[str, Any]:
    """Tokens per second of one model, in one prefill and step by step."""
    # transformers' loop takes a kernel per token: it reads less at once.
    whole = ids if engine.whole else ids[:, :512]
    short = ids[:, : size.steps]
    return {
        "prefill_shape": list(whole.shape),
        "prefill_tokens_per_second": rate(lambda: model(whole), whole.numel(), size.repeats, device),
        "steps_shape": list(short.shape),
        "steps_tokens_per_second": rate(lambda: stepped(engine, model, short), short.numel(), size.repeats, device),
    }


def stepped(engine: Engine, model: Any, ids: Tensor) -> None:
    """Read token by token."""
    feed = engine.session(model, len(ids))
    for token in ids.split(1, dim=1):
        feed(token)


def randomise(model: Any, seed: int) -> None:
    """Ordinary random numbers in place of the compiled weights, with gates between 0 and 1."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            drawn = torch.randn(parameter.shape, generator=random) * 0.1
            parameter.copy_((drawn.abs() if name.endswith(("A_log", "norm.weight")) else drawn).to(parameter.device))


def rate(work: Callable[[], Any], tokens: int, repeats: int, device: torch.device) -> float:
    """Tokens per second of the fastest run, after one that is not timed; a GPU is waited for."""
    best = float("inf")
    with torch.inference_mode():
        for number in range(repeats + 1):
            wait(device)
            started = time.perf_counter()
            work()
            wait(device)
            if number:
                best = min(best, time.perf_counter() - started)
    return round(tokens / best, 1)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


SECTIONS: dict[str, Callable[[Size, torch.device, Say], Section]] = {
    "conformance": measure_conformance,
    "suite": measure_suite,
    "long": measure_long,
    "speed": measure_speed,
}


def packages() -> Iterator[tuple[str, str | None]]:
    """The versions of what is there; None for what is not."""
    for package in PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            yield package, None


def facts(device: torch.device) -> Json:
    """The device and what is installed."""
    found = environment() | {"device": device_name(device), "packages": dict(packages())}
    found |= {"cuda": torch.version.cuda, "TRITON_F32_DEFAULT": os.environ["TRITON_F32_DEFAULT"]}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {"capability": [properties.major, properties.minor], "memory": properties.total_memory}
    return found | {"mamba_ssm": why_no_mamba_ssm(device) or "run"}


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, separated by commas")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the JSON file")
    options = parser.parse_args(arguments)
    chosen = options.only.split(",")
    if unknown := sorted(set(chosen) - set(SECTIONS)):
        parser.error(f"there is no section {', '.join(unknown)}; choose from {', '.join(SECTIONS)}")
    try:
        device = torch.device(options.device)
    except RuntimeError:
        parser.error(f"{options.device!r} is no device; use cuda, cuda:1 or cpu")
    if device.type not in ("cuda", "cpu"):
        parser.error(f"nothing is measured on {options.device!r}; use cuda, cuda:1 or cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count() > 0:
        parser.error(f"there is no {options.device}: torch sees {torch.cuda.device_count()} GPU(s)")
    if device.type == "cuda" and not torch.cuda.is_available():
        print(
            "torch sees no GPU: nothing was run. `--device cpu --quick --out DIR` tries the command itself.",
            file=sys.stderr,
        )
        return 2
    if device.type == "cpu" and options.out == OUT:
        parser.error("the figures of a CPU do not belong into docs/gpu: give --out")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    size = QUICK if options.quick else FULL
    content: Json = {"schema_version": 1, "environment": facts(device), "size": asdict(size)}
    content["sections"] = {name: asdict(Section("not run", "not asked for")) for name in SECTIONS}
    options.out.mkdir(parents=True, exist_ok=True)
    place = options.out / f"{re.sub('[^a-z0-9]+', '-', device_name(device).lower()).strip('-')}.json"
    for name in chosen:
        section = measured(name, size, device)
        content["sections"][name] = asdict(section)
        with replace_file(place) as fresh:
            write_raw(fresh, content)
        verdict = {True: "right", False: "WRONG", None: ""}[section.right]
        print(f"{name}: {section.status} {section.reason or verdict} ({len(section.rows)} rows)")
    print(place)
    return 1 if any(content["sections"][name]["right"] is False for name in chosen) else 0


def measured(name: str, size: Size, device: torch.device) -> Section:
    """What came of a section; its failure leaves the others their figures."""
    with progress(name) as tick:
        try:
            return SECTIONS[name](size, device, lambda what: tick(0, 1, what))
        except Exception as error:
            return Section("failed", f"{type(error).__name__}: {error}", right=False)
