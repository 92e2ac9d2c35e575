"""Everything that a GPU is wanted for, as one command; from the root of a checkout, with scancraft installed:

    python benchmarks/timings/gpu.py                                    (`make gpu`) writes docs/gpu/<device>.json
    python benchmarks/timings/gpu.py --device cpu --quick --out /tmp/x  the same code on small sizes, without a GPU
    python benchmarks/timings/gpu.py --only long,speed

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
import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Before torch and triton: Mamba-2's Triton kernels would multiply float32 in TF32, 11 bits (docs/mamba2.md).
os.environ.setdefault("TRITON_F32_DEFAULT", "ieee")

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from torch import Tensor

import scancraft
from scancraft.accuracy import accuracy
from scancraft.automata.acceptor import Acceptor
from scancraft.automata.decide.aperiodic import NotStarFreeError
from scancraft.automata.dfa import Dfa
from scancraft.automata.languages import truth_of
from scancraft.automata.words.mixtures import members_of, mixture_of
from scancraft.compiler.compile import CompiledModel
from scancraft.models.checkpoints.mamba_ssm import Session, build_mamba_ssm, load_mamba_ssm
from scancraft.suite.languages import LANGUAGES

DOCS = Path(__file__).resolve().parent.parent.parent / "docs" / "gpu"
PACKAGES = ("torch", "transformers", "triton", "mamba-ssm", "causal-conv1d", "kernels", "numpy", "scancraft")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Size:
    """How much.

    Args:
        words: per bin of the suite.
        far: length of the longest words of the suite here.
        long: tokens of the one prefill.
        languages: how many the suite and the long prefill take.
        prefill: tokens per row when timing a prefill.
        rows: rows then.
        steps: single tokens when timing steps.
        repeats: runs of which the fastest counts.
        quick: whether conformance takes its quick set.
    """

    words: int = 200
    far: int = 10_000
    long: int = 1_000_000
    languages: int = 23
    prefill: int = 65_536
    rows: int = 8
    steps: int = 256
    repeats: int = 5
    quick: bool = False
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


@dataclass(frozen=True)
class Engine:
    """A way to run compiled weights on the device.

    Attributes:
        name: of it.
        build: from a compiled model and a dtype to the model.
        session: from a model and a number of rows to a function from more token ids to logits.
        whole: whether one call may read a sequence of any length at once.
    """

    name: str
    build: Callable[[CompiledModel, torch.dtype], Any]
    session: Callable[[Any, int], Callable[[Tensor], Tensor]]
    whole: bool


def engines(device: torch.device) -> list[Engine]:
    """What can run here: transformers always, mamba_ssm where it is installed and there is a GPU."""

    def build(compiled: CompiledModel, dtype: torch.dtype) -> Any:
        return compiled.model(dtype).to(device)

    def session(model: Any, rows: int) -> Callable[[Tensor], Tensor]:
        state: dict[str, Any] = {}

        def feed(ids: Tensor) -> Tensor:
            out = model(ids, cache_params=state.get("cache"), use_cache=True)
            state["cache"] = out.cache_params
            logits: Tensor = out.logits
            return logits

        return feed

    found = [Engine("transformers", build, session, whole=False)]
    if why_no_mamba_ssm(device) is None:
        found.append(
            Engine(
                "mamba_ssm",
                lambda compiled, dtype: build_mamba_ssm(compiled.weights, dtype=dtype, device=device),
                lambda model, rows: Session(model, rows).feed,
                whole=True,
            )
        )
    return found


def why_no_mamba_ssm(device: torch.device) -> str | None:
    """What keeps mamba_ssm from running; None if nothing does."""
    missing = [name for name in ("mamba_ssm", "selective_scan_cuda", "triton", "einops") if find_spec(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    return None if device.type == "cuda" else "its kernels need an NVIDIA GPU"


def measure_conformance(size: Size, device: torch.device, say: Say) -> Section:
    """Bits of transformers and mamba_ssm against the expected ones."""
    from scancraft.conformance import conformance

    targets: dict[str, tuple[str, Any]] = {}
    for kind in ("mamba", "mamba2"):
        targets[f"transformers, {kind}"] = kind, lambda directory: _Transformers(directory, device)
        if why_no_mamba_ssm(device) is None:
            for fused in (True, False):
                name = f"mamba_ssm, {kind}, {'fused' if fused else 'separate kernels'}"
                targets[name] = kind, lambda directory, fused=fused: _MambaSsm(directory, device, fused)
    rows = []
    for name, (kind, load) in targets.items():
        say(f"conformance: {name}")
        chosen = [conformance.cases(kind, quick=True)[0].name] if size.quick else None
        report = conformance.run(load, kind=kind, quick=size.quick, only=chosen)
        rows.append(report.as_json() | {"implementation": name})
    return Section("run", right=all(row["passed"] for row in rows), rows=rows)


class _Transformers:
    """transformers' Mamba on the device, in the shape that ``scancraft.conformance`` drives."""

    def __init__(self, directory: Path, device: torch.device) -> None:
        from scancraft.models.checkpoints.checkpoint import load_model

        self.device, self.model = device, load_model(directory).to(device)

    def __call__(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.model(ids.to(self.device), use_cache=False).logits
        return logits.cpu()

    def prefill(self, ids: Tensor) -> tuple[Tensor, Any]:
        out = self.model(ids.to(self.device), use_cache=True)
        return out.logits.cpu(), out.cache_params

    def step(self, ids: Tensor, cache: Any) -> tuple[Tensor, Any]:
        out = self.model(ids.to(self.device), cache_params=cache, use_cache=True)
        return out.logits.cpu(), out.cache_params


class _MambaSsm:
    """mamba_ssm likewise."""

    def __init__(self, directory: Path, device: torch.device, fused: bool) -> None:
        self.device, self.model = device, load_mamba_ssm(directory, device=device, fused=fused)

    def __call__(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.model(ids.to(self.device)).logits
        return logits.cpu()

    def prefill(self, ids: Tensor) -> tuple[Tensor, Any]:
        session = Session(self.model, len(ids))
        return session.feed(ids.to(self.device)).cpu(), session

    def step(self, ids: Tensor, cache: Session) -> tuple[Tensor, Any]:
        return cache.feed(ids.to(self.device)).cpu(), cache


def suite_models(count: int) -> dict[str, CompiledModel]:
    """The suite's languages that a Mamba can model, in its order."""
    found: dict[str, CompiledModel] = {}
    for language in LANGUAGES:
        if len(found) == count:
            break
        try:
            found[language.name] = scancraft.compile(language.language, gates="nonnegative")
        except NotStarFreeError:
            continue
    return found


def measure_suite(size: Size, device: torch.device, say: Say) -> Section:
    """Accuracy with the models on the device: words up to 50 symbols, and of about the longest length."""
    rows = []
    for engine in engines(device):
        for name, compiled in suite_models(size.languages).items():
            say(f"suite: {name} in {engine.name}")
            model = engine.build(compiled, torch.float32)
            sample = members_of if compiled.readout.contract == "live-prefixes" else mixture_of
            far = size.far if engine.whole else min(size.far, 500)  # transformers' loop takes a kernel per token
            for shortest, longest, count in ((0, 50, size.words), (far - 20, far, max(2, size.words // 20))):
                words = sample(compiled.language, count, shortest, longest, np.random.default_rng(size.seed))
                found = accuracy(model, truth_of(compiled.language), compiled.readout, words)
                rows.append({"engine": engine.name, "language": name, **asdict(found)})
    return Section("run", right=all(row["words"] == row["right_words"] for row in rows), rows=rows)


def measure_long(size: Size, device: torch.device, say: Say) -> Section:
    """One prefill of many tokens: every verdict."""
    usable = [engine for engine in engines(device) if engine.whole or size.quick]
    if not usable:
        return Section("not run", f"mamba_ssm: {why_no_mamba_ssm(device)}; transformers' own loop is too slow for it")
    rows = []
    for name, compiled in suite_models(min(size.languages, LONG_LANGUAGES)).items():
        engine = usable[-1]
        say(f"long: {name} in {engine.name}")
        sample = members_of if compiled.readout.contract == "live-prefixes" else mixture_of
        (word,) = sample(compiled.language, 1, size.long - 20, size.long, np.random.default_rng(size.seed))
        model = engine.build(compiled, torch.float32)
        started = time.perf_counter()
        found = accuracy(model, truth_of(compiled.language), compiled.readout, [word])
        seconds = time.perf_counter() - started
        rows.append({"engine": engine.name, "language": name, "seconds": seconds, **asdict(found)})
    return Section("run", right=all(row["positions"] == row["right_positions"] for row in rows), rows=rows)


def measure_speed(size: Size, device: torch.device, say: Say) -> Section:
    """Tokens per second of compiled weights, of random ones of the same shape, and of the acceptor."""
    rows = []
    models = {name: c for name, c in suite_models(len(LANGUAGES)).items() if name in SPEED_LANGUAGES}
    for name, compiled in list(models.items())[: size.languages]:
        words = members_of(compiled.language, size.rows, size.prefill - 20, size.prefill, np.random.default_rng(0))
        ids = torch.tensor([compiled.readout.encode(w)[: size.prefill - 19] for w in words]).to(device)
        for engine in engines(device):
            say(f"speed: {name} in {engine.name}")
            for weights in ("compiled", "random"):
                model = engine.build(compiled, torch.float32)
                if weights == "random":
                    randomise(model, size.seed)
                row = {"language": name, "engine": engine.name, "weights": weights}
                rows.append(row | rates(engine, model, ids, size, device))
        assert isinstance(compiled.language, Dfa)
        acceptor = Acceptor.of(compiled.language)
        codes, lengths = acceptor.encode(words)
        per_second = rate(
            lambda a=acceptor, c=codes, n=lengths: a.next_masks(c, n),
            int(lengths.sum()),
            size.repeats,
            torch.device("cpu"),
        )
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


def environment(device: torch.device) -> dict[str, Any]:
    """The device and the versions of what is there; None for what is not."""
    found: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    facts: dict[str, Any] = {"device": device_name(device), "python": platform.python_version(), "packages": found}
    facts |= {"cuda": torch.version.cuda, "TRITON_F32_DEFAULT": os.environ["TRITON_F32_DEFAULT"]}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts |= {"capability": [properties.major, properties.minor], "memory": properties.total_memory}
    facts["mamba_ssm"] = why_no_mamba_ssm(device) or "run"
    return facts


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def write(folder: Path, name: str, content: dict[str, Any]) -> Path:
    """Write JSON under a temporary name, then rename it."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}.json"
    partial = place.with_suffix(f".{os.getpid()}.part")
    try:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        partial.replace(place)
    finally:
        partial.unlink(missing_ok=True)
    return place


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, separated by commas")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of the JSON file")
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
    if device.type == "cpu" and options.out == DOCS:
        parser.error("the figures of a CPU do not belong into docs/gpu: give --out")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    size = QUICK if options.quick else FULL
    content: dict[str, Any] = {"schema_version": 1, "environment": environment(device), "size": asdict(size)}
    content["sections"] = {name: asdict(Section("not run", "not asked for")) for name in SECTIONS}
    bar = Progress(SpinnerColumn(), TimeElapsedColumn(), TextColumn("{task.description}"), console=Console(stderr=True))
    with bar as progress:
        task = progress.add_task("")

        def say(what: str) -> None:
            progress.update(task, description=what)

        for name in chosen:
            try:
                section = SECTIONS[name](size, device, say)
            except Exception as error:  # one section's failure leaves the others their figures
                section = Section("failed", f"{type(error).__name__}: {error}", right=False)
            content["sections"][name] = asdict(section)
            place = write(options.out, device_name(device), content)
    for name in chosen:
        section_ = content["sections"][name]
        verdict = {True: "right", False: "WRONG", None: ""}[section_["right"]]
        print(f"{name}: {section_['status']} {section_['reason'] or verdict} ({len(section_['rows'])} rows)")
    print(place)
    return 1 if any(content["sections"][name]["right"] is False for name in chosen) else 0


if __name__ == "__main__":
    sys.exit(main())
