"""An attacker of certificates: edits that pass the checker are built upon, until a model is wrong or time is up.

    python benchmarks/run.py attack --count 10000 --kinds mamba,mamba2 --out out/attack

Each attack edits the files of a certified checkpoint (weights, configuration, manifest, certificate, evidence, or one
file more), forges what a forger can (every digest, the scope, and evidence made anew by an honest search of the edited
model), and asks the checker. What is accepted is loaded by ``transformers`` itself and run on all short words and on
longer ones that repeat (``attack_judge``): in one go, token by token, padded on either side, with another order of
summation, in the stated dtype and in wider ones, beside the acceptor of the language that the certificate names.

The search *optimises*: of the accepted models that are still right, those whose scores have come nearest to the
threshold, and those with most edits, are edited further. An edit is data (``tests/support/attacks.py``), so whatever is
found can be replayed.

``--out`` holds the state after every round, from which an interrupted run goes on; ``found.jsonl``, a line for each
false accept and each model that was accepted and cannot be loaded; and ``survivors.jsonl``, attacks that came far.
``--write docs`` puts the counts into docs/benchmarks.json.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from attacks import (
    CERTIFICATE,
    CONFIG,
    WEIGHTS,
    Files,
    Step,
    applied,
    believed,
    dtype_of,
    forged,
    read,
    repeated_embeddings,
    searched,
    write,
)
from experiments.attack_edits import edits
from experiments.attack_judge import Judge
from page.table import Column, Json, table
from page.targets import Target, none
from run import write_section
from timings.measure import Measured, Tick, progress

import scancraft
from scancraft.automata.counters.families import dyck_1, equal_blocks
from scancraft.automata.families import d_n, tomita
from scancraft.certify.certify import Certificate
from scancraft.certify.checker.certificate import check_certificate
from scancraft.suite.languages import Bin
from scancraft.training.training import Settings, train

KINDS = ("mamba", "signed_mamba", "mamba2", "falcon_mamba", "longhorn", "olmo_hybrid", "trained")
SMALL = Settings(d_model=8, words=500, tokens=256, learning_rate=2e-2, layers=1)
WANTED = 10_000
"""Attacks per kind."""


@dataclass(frozen=True)
class Size:
    """How much is tried.

    Args:
        attacks: per kind of model.
        kinds: of models.
        round: attacks after which the state is written down.
        pool: accepted models that are kept to be edited further, per language.
        words: run on an accepted model: all up to some length, continued ...
        length: ... to this length. One model in 100 is run on more and longer ones.
        seed: of the draws.
    """

    attacks: int = WANTED
    kinds: tuple[str, ...] = KINDS
    round: int = 200
    pool: int = 12
    words: int = 130
    length: int = 16
    seed: int = 0


FULL = Size()
QUICK = Size(attacks=8, kinds=("mamba",), round=4, words=60)


@dataclass
class Kind:
    """What became of the attacks on one kind of model so far.

    Attributes:
        rejected: by the checker.
        right: accepted, and right wherever it was run.
        models: different ones among those.
        unloadable: accepted, but transformers cannot load it (not counted as a false accept of a wrong model).
        false_accepts: accepted and wrong: the product is broken.
        false_certificates: of those, how many ``certify`` itself gave.
        deepest: edits of the accepted model with most.
        least_margin: the smallest |score - threshold| among accepted models.
        words: run on accepted models in all ways together.
        refusals: how often the checker rejected for what, by the first words of its reason.
    """

    kind: str
    attacks: int = 0
    rejected: int = 0
    right: int = 0
    models: int = 0
    unloadable: int = 0
    false_accepts: int = 0
    false_certificates: int = 0
    deepest: int = 0
    least_margin: float = 1e9
    words: int = 0
    seconds: float = 0.0
    refusals: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Attacked:
    """A certified checkpoint in memory: its files, the steps that led there, and how near it is to being wrong."""

    language: str
    files: Files
    steps: tuple[Step, ...] = ()
    margin: float = 1e9

    @property
    def depth(self) -> int:
        """Edits."""
        return sum(len(step.edits) for step in self.steps)


# -- what is attacked ------------------------------------------------------------------------------------------------


def languages(kind: str) -> dict[str, Any]:
    """Small languages of every method of certification that the kind has."""
    if kind == "trained":
        return {"(a|b)*a": "(a|b)*a", "a*b*": "a*b*"}
    if kind == "signed_mamba":
        return {"Parity": "(0*10*1)*0*", "(abab)*": "(abab)*", "a*b": "a*b"}
    if kind == "olmo_hybrid":
        groups = {"Parity": "(0*10*1)*0*", "(aaa)*": "(aaa)*", "sum mod 4": scancraft.named("sum mod 4")}
        return groups | {"a*b": "a*b", "(a(ab)*b)*": "(a(ab)*b)*"}
    regular = {"a*b": "a*b", "(ab)*": "(ab)*", "D-2": d_n(2), "Tomita-4": tomita(4)}
    if kind in ("mamba2", "longhorn"):
        return regular
    regular |= {
        "Dyck-1": dyck_1(),
        "a^n b^n": equal_blocks("ab"),
        "dyck": scancraft.BoundedDyck(2, 2),
        "lists": lists(),
    }
    past = {"response": "!(!b S a)", "late": "(a | Y b) S (c & O (b & Y a)) & !Y (c S b)"}
    return regular | {name: scancraft.ltl(text, "abc") for name, text in past.items()}


def lists() -> scancraft.NestedLanguage:
    """Lists of x, two deep."""
    steps = {"start": {"(": "end"}, "empty": {"x": "item", "(": "item"}, "item": {",": "comma"}}
    steps["comma"] = steps["empty"]
    return scancraft.NestedLanguage.of(2, "start", {"(": "empty"}, steps, {"empty": ")", "item": ")"}, ["end"])


def honest(kind: str, place: Path) -> list[Attacked]:
    """The honest models, certified, some of them in bfloat16, in which the weights are as they are in float32."""
    found = []
    for number, (name, language) in enumerate(languages(kind).items()):
        folder = place / "honest"
        shutil.rmtree(folder, ignore_errors=True)
        contract = "recognise" if isinstance(language, scancraft.PastLtl) else None
        if kind == "trained":  # Mambas, certified box by box
            train(language, seconds=1e6, settings=SMALL, bins=(Bin(1, 20),), max_steps=80, test_words=1).save(folder)
        else:
            scancraft.compile(language, folder, target=kind, contract=contract)
        if kind == "mamba2":  # words are longer than a chunk, and transformers pads to whole ones
            config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            config["chunk_size"] = (2, 4, 8, 16)[number % 4]
            (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")
        certificate = scancraft.certify(folder, dtype=torch.bfloat16 if number % 3 == 2 else None)
        assert isinstance(certificate, Certificate), f"{kind}, {name}: {certificate}"
        certificate.save(folder)
        checked = check_certificate(folder)
        assert checked.accepted, f"{kind}, {name}: {checked.reason}"
        found.append(Attacked(name, read(folder)))
    return found


# -- the search ------------------------------------------------------------------------------------------------------


class Search:
    """The attacks on one kind of model: counts, pools, and what was found.

    Args:
        kind: of model.
        size: how much is tried.
        place: an empty folder.
    """

    def __init__(self, kind: str, size: Size, place: Path) -> None:
        self.size, self.count, self.folder = size, Kind(kind), place / "attacked"
        self.judge = Judge(place / "judged", size.words, size.length)
        self.pools = {model.language: [model] for model in honest(kind, place)}
        self.found: list[str] = []
        self.survivors: list[str] = []

    def round(self, tick: Callable[[int, str], None]) -> None:
        """Some attacks; which ones depends on the seed, on how many there were, and on the pools."""
        count, started = self.count, time.perf_counter()
        rng = random.Random(f"{self.size.seed} {count.kind} {count.attacks}")
        last = min(count.attacks + self.size.round, self.size.attacks)
        while count.attacks < last:
            pool = self.pools[rng.choice(sorted(self.pools))]
            parent = pool[0] if rng.random() < 0.4 else rng.choice(pool)
            tick(count.attacks, f"{count.kind}: {parent.language}")
            self.attack(parent, rng)
        count.seconds += time.perf_counter() - started

    def attack(self, parent: Attacked, rng: random.Random) -> None:
        """One attack; a draw that changes nothing, or that makes the forger's own tools stumble, is none."""
        try:
            step = Step(tuple(edits(parent.files, rng)))
            files = applied(parent.files, step.edits)
            if files == parent.files:
                return
            weights = any(edit.file == WEIGHTS for edit in step.edits)
            files = repeated_embeddings(files) if weights else files
            files = forged(files)
        except (KeyError, TypeError, IndexError, ValueError, RuntimeError, OverflowError):
            return
        self.count.attacks += 1
        reason = ""
        if weights:
            step = replace(step, anew=rng.random() < 0.6)
            files, reason = self.with_evidence(files, step.anew)
        if not reason:
            write(files, self.folder)
            reason = check_certificate(self.folder).reason
        if reason:
            self.count.rejected += 1
            self.refused(parent, step, reason)
        else:
            self.accepted(parent, step, files)

    def with_evidence(self, files: Files, anew: bool) -> tuple[Files, str]:
        """With what the judge finds of edited weights, and why it rejects them, if it does.

        The judge is the checker's own, on the module that ``from_pretrained`` built, without reading the files again.
        What it believes is checked from the files as well.
        """
        try:
            model = self.judge.model(files, dtype_of(json.loads(files[CERTIFICATE])))
            if anew:
                files = searched(files, model) or files
            files, found = believed(files, model)
        except Exception as error:  # to whom checks a certificate all of them are rejections
            return files, f"{error}" or type(error).__name__
        return forged(files), found.failure

    def accepted(self, parent: Attacked, step: Step, files: Files) -> None:
        """What the checker accepted is run, and kept if it is right."""
        line = self.line(parent, step)
        try:
            verdict = self.judge(files)
        except Exception as error:
            self.count.unloadable += 1
            self.found.append(json.dumps({"unloadable": f"{type(error).__name__}: {error}"[:300], **line}))
            return
        self.count.words += verdict.words
        self.count.models += verdict.words > 0
        if verdict.trouble:
            write(files, self.folder)
            ours = isinstance(scancraft.certify(self.folder), Certificate)
            self.count.false_accepts += 1
            self.count.false_certificates += ours
            self.found.append(json.dumps({"wrong": verdict.trouble, "certified": ours, **line}))
            return
        self.count.right += 1
        kept = Attacked(parent.language, files, (*parent.steps, step), verdict.margin)
        self.count.deepest = max(self.count.deepest, kept.depth)
        self.count.least_margin = min(self.count.least_margin, verdict.margin)
        pool = self.pools[parent.language]
        pool.append(kept)
        # The honest model stays; then the least margins, then the most edits.
        pool[1:] = sorted(pool[1:], key=lambda m: (m.margin, -m.depth))[: self.size.pool]

    def refused(self, parent: Attacked, step: Step, reason: str) -> None:
        """Remember a few attacks for each kind of reason."""
        kind = re.sub(r"\d+|'[^']*'|\[[^\]]*\]", "#", reason)[:48]
        times = self.count.refusals.get(kind, 0)
        self.count.refusals[kind] = times + 1
        if times < 2:
            self.survivors.append(json.dumps({"refused": reason[:200], **self.line(parent, step)}))

    def line(self, parent: Attacked, step: Step) -> dict[str, Any]:
        """An attack as JSON."""
        steps = [asdict(s) for s in (*parent.steps, step)]
        return {"kind": self.count.kind, "language": parent.language, "steps": steps}

    # -- what is written down --------------------------------------------------------------------------------------

    def write(self, folder: Path) -> None:
        """The state, so that :meth:`read` can go on from it."""
        folder.mkdir(parents=True, exist_ok=True)
        pools = {
            name: [
                {
                    "files": {n: base64.b64encode(c).decode() for n, c in model.files.items()},
                    "steps": [asdict(step) for step in model.steps],
                    "margin": model.margin,
                }
                for model in pool
            ]
            for name, pool in self.pools.items()
        }
        for name, lines in (("found", self.found), ("survivors", self.survivors)):
            text = "".join(f"{line}\n" for line in lines)
            (folder / f"{self.count.kind}.{name}.jsonl").write_text(text, encoding="utf-8")
        state = {"count": asdict(self.count), "pools": pools}
        unfinished = folder / f"{self.count.kind}.json.part"
        unfinished.write_text(json.dumps(state), encoding="utf-8")
        unfinished.replace(folder / f"{self.count.kind}.json")

    def read(self, folder: Path) -> None:
        """Go on from a state, if there is one."""
        path = folder / f"{self.count.kind}.json"
        if not path.is_file():
            return
        state = json.loads(path.read_text(encoding="utf-8"))
        self.count = Kind(**state["count"])
        self.pools = {
            name: [
                Attacked(
                    name,
                    {n: base64.b64decode(c) for n, c in model["files"].items()},
                    tuple(map(Step.of, model["steps"])),
                    model["margin"],
                )
                for model in pool
            ]
            for name, pool in state["pools"].items()
        }
        for name, lines in (("found", self.found), ("survivors", self.survivors)):
            text = (folder / f"{self.count.kind}.{name}.jsonl").read_text(encoding="utf-8")
            lines += text.splitlines()


def attacked(size: Size, state: Path, tick: Tick) -> list[Kind]:
    """All kinds in turn, a round each, from the state in a folder on."""
    with tempfile.TemporaryDirectory() as folder:
        searches = []
        for kind in size.kinds:
            (Path(folder) / kind).mkdir()
            searches.append(Search(kind, size, Path(folder) / kind))
            searches[-1].read(state)
        while unfinished := [s for s in searches if s.count.attacks < size.attacks]:
            for search in unfinished:
                search.round(lambda _, what: tick(sum(s.count.attacks for s in searches), _all(size), what))
                search.write(state)
        return [search.count for search in searches]


def _all(size: Size) -> int:
    return size.attacks * len(size.kinds)


def measure(size: Size, tick: Tick) -> Measured:
    with tempfile.TemporaryDirectory() as state:
        counts = attacked(size, Path(state), tick)
        found = [line for path in sorted(Path(state).glob("*.found.jsonl")) for line in path.read_text().splitlines()]
    return Measured(summary(counts), {"found": found})


def summary(counts: Sequence[Kind]) -> Json:
    """For docs/benchmarks.json: the most frequent reasons only."""
    kinds = []
    for count in counts:
        reasons = Counter(count.refusals).most_common(6)
        kinds.append(asdict(count) | {"reasons": len(count.refusals), "refusals": dict(reasons)})
    return {"kinds": kinds}


# -- the page --------------------------------------------------------------------------------------------------------


def _none(count: int) -> bool:
    return count == 0


COUNTS = (
    "kind",
    "attacks",
    "rejected",
    Column("reasons", "reasons"),
    Column("accepted and right", "right"),
    Column("different models", "models"),
    "unloadable",
    Column("false accepts", target=_none),
    Column("false certificates", target=_none),
    Column("most edits", "deepest"),
    Column("least margin", lambda row: f"{row['least_margin']:.3g}"),
    Column("words run", "words"),
    Column("ms each", lambda row: 1000 * row["seconds"] / row["attacks"]),
)


def targets(size: Json, result: Json) -> list[Target]:
    kinds = result["kinds"]
    total, least = sum(row["attacks"] for row in kinds), min(row["attacks"] for row in kinds)
    false = sum(row["false_accepts"] for row in kinds)
    return [
        Target("attacks on each kind of model", f"{WANTED:,}", f"{least:,} at least", least >= WANTED),
        none(f"wrong models that the checker accepts, of {total:,} attacks", false),
    ]


def parts(size: Json, result: Json) -> Json:
    return {"counts": table(result["kinds"], COUNTS)}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=FULL.attacks, help="attacks per kind of model")
    parser.add_argument("--kinds", default=",".join(KINDS), help="kinds of models, separated by commas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out/attack"), help="folder for the state and what is found")
    parser.add_argument("--write", type=Path, metavar="DOCS", help="put the counts into benchmarks.json there")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    size = replace(FULL, attacks=options.count, kinds=tuple(options.kinds.split(",")), seed=options.seed)

    with progress("attack") as tick:
        counts = attacked(size, options.out, tick)
    if options.write is not None:
        write_section(
            options.write, "attack", f"attack --count {options.count} --seed {options.seed}", size, summary(counts)
        )
    print(json.dumps(summary(counts), indent=1))
    return 1 if any(count.false_accepts for count in counts) else 0
