"""Models that are wrong late or at odd words, with the best certificate that a forger can make of an honest one.

The forger changes weights, makes evidence of what the changed model does, and mends the certificate and every digest.
Each attack is answered by one argument of the checker or by a few: with these switched off the forged certificate is
accepted.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from attacks import CERTIFICATE, EVIDENCE, MANIFEST, WEIGHTS, Files, believed, forged, loaded, read, save_tensors, write
from forgery import accepted, certified, rejected
from safetensors.torch import load

import scancraft
from scancraft import parse_regex
from scancraft.automata.budget import Budget
from scancraft.automata.counters.families import dyck_1, shuffle
from scancraft.automata.families import d_n
from scancraft.certify.check import compare
from scancraft.certify.checker import after_death, argument, closure, counters, judge, parts, slots
from scancraft.certify.checker.arithmetic import Obligations
from scancraft.certify.checker.parts import RejectedError
from scancraft.certify.search.evidence import evidence
from scancraft.certify.search.prove import BATCH, Candidate, Judge, until_death
from scancraft.compiler.constructions import walk
from scancraft.models.run.stepper import Stepper

ORIGINALS: dict[str, Callable[[Path], object]] = {
    "counters": lambda place: scancraft.compile(dyck_1(), place),
    "counters, four taps": lambda place: scancraft.compile(dyck_1(), place, d_conv=4),
    "two counters": lambda place: scancraft.compile(shuffle(2), place),
    "slots": lambda place: scancraft.dyck(2, 3, place),
    "walk": lambda place: walk(d_n(3), place),
    "walk, three taps": lambda place: walk(d_n(3), place, d_conv=3),
    "never decreasing": lambda place: walk(parse_regex("b*a?b*"), place, d_conv=3),
}

UNIT = 2.0**-10
"""What takes a gate branch of 1024 back to 1."""


class Block:
    """The parameters of one block by short names; features by their names in the manifest."""

    def __init__(self, weights: dict[str, torch.Tensor], number: int, features: list[str]) -> None:
        self.weights, self.number, self.features = weights, number, features

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.weights[f"backbone.layers.{self.number}.mixer.{name}"]

    def feature(self, name: str) -> int:
        """Where a feature lies in the stream."""
        return self.features.index(name)

    def reading(self, channel: int, feature: str, weight: float, bias: float = 0.0) -> None:
        """Let a channel's x be max(0, weight * feature + bias), in units of 1024, with an open gate."""
        d = len(self["D"])
        self["in_proj.weight"][channel, self.feature(feature)] = weight
        self["in_proj.weight"][d + channel, 0] = 1024.0
        self["conv1d.weight"][channel, 0, -1] = 1024.0
        self["conv1d.bias"][channel] = 1024.0 * bias

    def adding(self, channel: int, feature: str, weight: float) -> None:
        """Let a channel's x add to a feature: weight for each unit."""
        self["D"][channel] = UNIT
        self["out_proj.weight"][self.feature(feature), channel] = weight * UNIT


Attack = Callable[[Callable[[int], Block]], object]

DEPTH, ABOVE = "counter depth", "test 0: counter depth > 0"


def turned_back(block: Callable[[int], Block]) -> None:
    """The test of the counter is undone from 1,000 on."""
    block(1).reading(3, DEPTH, 1.0, -999.0)
    block(1).adding(3, ABOVE, -1.0)


def closed_gate(block: Callable[[int], Block]) -> None:
    """The gate branch of the test closes at 256."""
    for channel in (1, 2):
        block(1)["in_proj.weight"][len(block(1)["D"]) + channel, block(1).feature(DEPTH)] = -4.0


def late_write(block: Callable[[int], Block]) -> None:
    """Delta sees the counter: a state that undoes the test is written from 301 on."""
    signs = block(1)
    signs.reading(3, DEPTH, 0.0, 1.0)
    signs["x_proj.weight"][0, 1], signs["dt_proj.weight"][3, 0] = 1.0, 1.0
    signs["dt_proj.bias"][3] = -300.0 * 1024.0
    signs["x_proj.weight"][2, 0], signs["x_proj.weight"][3, 0] = 2.0**-30, UNIT
    signs["out_proj.weight"][signs.feature(ABOVE), 3] = -UNIT


def read_itself(block: Callable[[int], Block]) -> None:
    """The score of the end grows by 1/16 with the counter."""
    block(0).weights["lm_head.weight"][2, block(0).feature(DEPTH)] = 1 / 16


def cleared_by_an_opening(block: Callable[[int], Block]) -> None:
    """The error latch is overwritten with 0 at every opening bracket, where it is 0 as long as the word lives."""
    latch = block(2)
    latch["in_proj.weight"][7, latch.feature("letter (")] = -1.0
    latch["x_proj.weight"][1, 3] = 4.0


def bos_again(number: int, bos: int, latches: tuple[int, ...]) -> Attack:
    """Through the tap farthest back ``<bos>`` clears the error latch once more, two or three steps after it came."""

    def edit(block: Callable[[int], Block]) -> None:
        for channel in (bos, *latches):
            block(number)["conv1d.weight"][channel, 0, 0] = 1024.0

    return edit


def two_together(block: Callable[[int], Block]) -> None:
    """A channel sees both counters: from a sum of 9 on it undoes the test of the first."""
    signs, channel = block(1), int((block(1)["D"] != 0).nonzero().max()) + 1
    tested = [f for f in signs.features if f.startswith("test ")]
    for name in (f for f in signs.features if f.startswith("counter ")):
        signs.reading(channel, name, 1.0, -8.0)
    signs.adding(channel, tested[0], -1.0)


def lower_slot(block: Callable[[int], Block]) -> None:
    """At depth 3 half of the first bit of depth 1 shows through."""
    block(1)["out_proj.weight"][block(1).feature("top bit 0"), 10] = 1.5 * UNIT


def overwritten_from_above(block: Callable[[int], Block]) -> None:
    """What is opened at depth 3 overwrites the slot of depth 1, too."""
    block(1)["x_proj.weight"][0, 7] = 4.0


def too_deep(block: Callable[[int], Block]) -> None:
    """The limit of the depth is seen one too late."""
    block(1)["conv1d.bias"][1] -= 1024.0
    block(1)["conv1d.bias"][2] -= 1024.0


def reopened(sign: float, ruled_out: str) -> Attack:
    """Far out, long after the word has died, a token is ruled out no more."""

    def edit(block: Callable[[int], Block]) -> None:
        block(1).reading(8, "count", sign, -40.0)
        block(1).adding(8, ruled_out, -64.0)

    return edit


def taken_back(block: Callable[[int], Block]) -> None:
    """The count falls where the two letters before this one were a: such a word has died a letter ago."""
    counting, channel, one = block(0), 10, UNIT
    counting["in_proj.weight"][channel, counting.feature("letter a")] = 1.0
    counting["conv1d.weight"][channel, 0, :2] = 1024.0
    counting["conv1d.bias"][channel] = -1024.0
    counting["x_proj.weight"][len(counting["dt_proj.weight"][0]), channel] = -(2.0**-20) * one


ATTACKS: dict[str, tuple[str, Attack, str, tuple[str, ...]]] = {
    "a test undone at 1,000": ("counters", turned_back, "(" * 1000, ("more than the sign of a counter",)),
    "a gate that closes at 256": (
        "counters",
        closed_gate,
        "(" * 300,
        ("the gate branch reads a counter", "other numbers than the model's step"),
    ),
    "a state written at 301": ("counters", late_write, "(" * 301, ("x_proj reads a channel that reads a counter",)),
    "a score that grows": ("counters", read_itself, "(" * 300, ("a score depends on a counter itself", "other scores")),
    "a latch that is cleared": (
        "counters",
        cleared_by_an_opening,
        ")(",
        ("with something that is not positive", "takes a step wrongly"),
    ),
    "a tap of four": ("counters, four taps", bos_again(2, 1, (4, 7)), ")((", ("sees more than the step before",)),
    "two counters together": (
        "two counters",
        two_together,
        "(((((((([",
        ("a channel reads several counters", "more than the sign of a counter"),
    ),
    "a slot shown from below": (
        "slots",
        lower_slot,
        "([[",
        ("a slot of depth 1 is read at other depths", "other numbers than the model's step"),
    ),
    "a slot overwritten from above": (
        "slots",
        overwritten_from_above,
        "([[]]",
        (
            "an entry is overwritten at two depths",
            "a slot of depth 3 is read at other depths",
            "other numbers than the model's step",
            "read-out input",
        ),
    ),
    "a bracket too deep": ("slots", too_deep, "(((", ("read-out input",)),
    "reopened far above": ("walk", reopened(1.0, "ruled out 0"), "a" * 60, ("read-out: after death",)),
    "reopened far below": ("walk", reopened(-1.0, "ruled out 1"), "b" * 60, ("read-out: after death",)),
    "a count that falls after death": ("never decreasing", taken_back, "aab", ("read-out: after death",)),
    "a tap of three after death": ("walk, three taps", bos_again(1, 4, (7,)), "ba", ("read-out: after death",)),
}
"""What is attacked, how, a word after which the model is wrong, and what the checker says: first this, then, were that
not asked, the next; and nothing more were all of it not asked."""

LIMIT, LIMIT_AFTER_DEATH = 1 << 12, 1 << 30
"""The forger claims no more: some sums would round at the honest limits."""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Honest checkpoints with their certificates."""
    made = tmp_path_factory.mktemp("originals")

    def of(name: str) -> Path:
        if not (made / name).exists():
            ORIGINALS[name](made / name)
            certified(made / name)
        return made / name

    return of


def attacked(files: Files, attack: Attack) -> Files:
    """The files with changed weights."""
    features = [entry["name"] for entry in json.loads(files["scancraft.json"])["residual"]]
    weights = load(files[WEIGHTS])
    attack(lambda number: Block(weights, number, features))
    return {**files, WEIGHTS: save_tensors(weights)}


def followed(files: Files, model: Any, place: Path) -> Files:
    """With evidence of what the model does up to the first dead prefixes, where the method has such evidence."""
    if json.loads(files[CERTIFICATE])["method"] != judge.UNTIL_DEATH:
        return files
    checkpoint = scancraft.load(place)
    found = until_death(Stepper(model, BATCH), Judge(checkpoint.dfa, checkpoint.readout), Budget(5_000))
    assert isinstance(found, Candidate), "wrong as long as the word lives, or at once when it dies"
    return {**files, EVIDENCE: save_tensors(evidence(found.stages, found.inputs))}


def modest(files: Files) -> Files:
    """The files with low limits of counters."""
    manifest, content = json.loads(files[MANIFEST]), json.loads(files[CERTIFICATE])
    limit = LIMIT_AFTER_DEATH if content["method"] == judge.UNTIL_DEATH else LIMIT
    for entry in manifest["counters"]:
        entry["limits"]["float32"] = limit
    content["limits"] = dict.fromkeys(content["limits"], limit)
    return {**files, MANIFEST: json.dumps(manifest).encode(), CERTIFICATE: json.dumps(content).encode()}


def without(patch: pytest.MonkeyPatch, *reasons: str) -> None:
    """Switch off what is answered with these reasons, wherever it is asked."""
    need, verify = parts.need, Obligations.need

    def weaker(condition: object, said: str) -> None:
        if not any(reason in said for reason in reasons):
            need(condition, said)

    def unverified(self: Obligations, name: str, good: Any, where: str) -> None:
        if not any(reason in where for reason in reasons):
            verify(self, name, good, where)

    def disagreeing(same: Any, reason: str) -> None:
        if not any(part in reason for part in reasons):
            closure.agree(same, reason)

    for module in (after_death, argument, counters, judge, slots):
        patch.setattr(module, "need", weaker)
    for module in (after_death, argument, judge):
        patch.setattr(module, "agree", disagreeing)
    patch.setattr(Obligations, "need", unverified)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_forged_model(name: str, original: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    which, attack, word, reasons = ATTACKS[name]
    checkpoint = scancraft.load(original(which))
    place = tmp_path / "m"
    files = modest(attacked(read(original(which)), attack))
    write(files, place)
    model = loaded(place)
    report = compare(model, checkpoint.language, checkpoint.readout, [tuple(word)])
    assert not report.agrees, "the model is right after all prefixes of the word"
    files = followed(files, model, place)
    for n, reason in enumerate(reasons):
        with monkeypatch.context() as patch:
            without(patch, *reasons[:n])
            with pytest.raises(RejectedError, match=reason):
                believed(files, model)
    with monkeypatch.context() as patch:
        without(patch, *reasons)
        write(forged(believed(files, model)[0]), place)
        accepted(place)
    rejected(place, reasons[0])
