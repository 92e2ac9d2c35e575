"""The targets: what there is, and Falcon-Mamba, whose models say bit for bit what the Mambas say."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from command_line import invoke
from transformers import AutoModelForCausalLM
from transformers.models.falcon_mamba.modeling_falcon_mamba import FalconMambaWeightlessRMSNorm

import scancraft
from scancraft.certify.check import check
from scancraft.certify.checker.arithmetic import Obligations, exactly
from scancraft.certify.checker.certificate import check_certificate
from scancraft.certify.checker.parts import ObligationError
from scancraft.compiler.targets import TARGETS, TargetError, UnknownTargetError, register, target
from scancraft.compiler.targets.falcon_mamba import narrowest, rank_of
from scancraft.models.errors import CounterRangeError, ReadoutError
from scancraft.models.run.model_runner import ModelRunner
from scancraft.models.run.runner import Watch
from scancraft.suite.languages import LANGUAGES

FALCON = "falcon_mamba"


# -- the registry ------------------------------------------------------------------------------------------------


def test_every_target_stands_in_a_module_of_its_name() -> None:
    folder = Path(sys.modules["scancraft.compiler.targets"].__path__[0])
    modules = {p.stem for p in folder.glob("*.py")} - {"__init__", "base"}
    assert {"mamba", "signed_mamba", FALCON} <= set(TARGETS) <= modules


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_lowers_to_its_own_model_type(name: str, tmp_path: Path) -> None:
    compiled = scancraft.compile("(a(ab)*b)*", tmp_path / "m", target=name)
    wanted = target(name)
    config_class, model_class = wanted.classes()
    assert compiled.weights.model_type == wanted.model_type == config_class.model_type
    assert type(compiled.model()) is model_class
    assert compiled.manifest.target == name
    assert compiled.manifest.gates.kind == wanted.gates
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert (config["model_type"], config["architectures"]) == (wanted.model_type, [model_class.__name__])
    assert type(scancraft.load(tmp_path / "m").model()) is model_class
    assert type(AutoModelForCausalLM.from_pretrained(tmp_path / "m")) is model_class
    assert check(tmp_path / "m", words=30, max_length=40, short=200).agrees


def test_unknown_targets_and_impossible_sizes_are_refused() -> None:
    with pytest.raises(UnknownTargetError, match=r"'rwkv' is unknown; use one of .*mamba"):
        scancraft.compile("a", target="rwkv")
    with pytest.raises(TargetError, match="signed gates, and only nonnegative"):
        scancraft.compile("a", target="signed_mamba", gates="nonnegative")
    with pytest.raises(TargetError, match="has no lowering of bounded Dyck"):
        scancraft.dyck(2, 3, target="signed_mamba")
    for sizes, message in (
        ({"d_state": 3}, "power of two in the target falcon_mamba"),
        ({"d_state": 0}, "d_state must be at least 1"),
        ({"d_conv": 5}, "d_conv must be 2, 3 or 4 in the target falcon_mamba"),
    ):
        with pytest.raises(TargetError, match=message):
            scancraft.compile("a*b", target=FALCON, **sizes)  # type: ignore[arg-type]


def test_no_two_targets_have_one_name() -> None:
    register(TARGETS[FALCON])
    with pytest.raises(TargetError, match="there is a target mamba already"):
        register(replace(TARGETS[FALCON], name="mamba"))


def test_the_default_is_as_it_was() -> None:
    assert scancraft.compile("(ab)*").manifest.target == "mamba"
    assert scancraft.compile("(aa)*").manifest.target == scancraft.compile("(aaa)*").manifest.target == "olmo_hybrid"
    assert scancraft.compile("(aa)*", gates="signed").manifest.target == "signed_mamba"
    assert scancraft.dyck(2, 3).manifest.target == "mamba"


# -- Falcon-Mamba ------------------------------------------------------------------------------------------------


def test_long_words_and_long_holds() -> None:
    no_factor = scancraft.parse_regex("~(~[] 000 ~[])", alphabet="01")
    compiled = scancraft.compile(no_factor, target=FALCON)
    rng = np.random.default_rng(0)
    word = tuple("01"[int(i)] for i in rng.random(3_000) < 0.75)
    with torch.no_grad():
        ids = torch.tensor([compiled.readout.encode(word), compiled.readout.encode(("1",) * 3_000)])
        expected = scancraft.compile(no_factor).runner()(ids)
        assert torch.equal(compiled.model()(ids).logits, expected)


def test_widths_of_norms() -> None:
    for rows in range(1, 200):
        rank = narrowest(rows)
        assert rank.rows >= rows
        assert rank.width == rank.n * 4**rank.j
        assert rank_of(rank.width) == rank
        assert rank.width == 4 or rank.width // 2 - (1 + (rank.n == 1)) < rows
    assert [rank_of(1 << k).width for k in range(10)] == [1 << k for k in range(10)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["D-4", "a^n b^n", "Dyck_{8,5}"])
def test_certified_for_every_implementation(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    language = next(s for s in LANGUAGES if s.name == name).language
    scancraft.compile(language, tmp_path / "m", target=FALCON)
    found = scancraft.certify(tmp_path / "m", dtype=dtype)
    assert (found.content["verdict"], found.content["scope"]) == ("certified", "every-implementation")
    assert found.content["implementation"]["model"] == "transformers.FalconMambaForCausalLM"
    found.save(tmp_path / "m")
    checked = check_certificate(tmp_path / "m")
    assert checked.accepted, checked.reason


@pytest.mark.parametrize(
    ("row", "holds"),
    [
        ([2.0**36, 1024.0, 0.0, 0.0], True),
        ([0.0, 0.0, 0.0, 0.0], True),
        ([0.0, 1024.0, 0.0, 0.0], True),
        ([3 * 2.0**36, 1024.0, 0.0, 0.0], False),  # the root is no power of two
        ([2.0**36, 2.0**36, 0.0, 0.0], False),  # a mean of half a square: no power of four
        ([2.0**36, 2.0**25, 0.0, 0.0], False),  # a square that does not vanish
        ([2.0**-9, 0.0, 0.0, 0.0], False),  # epsilon does not vanish
    ],
)
def test_a_norm_without_weights_is_exact_or_an_obligation_fails(row: list[float], holds: bool) -> None:
    values, norm = np.array([row, [2.0**36, 1.0, 2.0, 3.0]]), SimpleNamespace(eps=1e-6)
    if not holds:
        with pytest.raises(ObligationError):
            Obligations("float32").plain_norm(norm, exactly(values), "dt")
        return
    normed = Obligations("float32").plain_norm(norm, exactly(values), "dt").lo
    given_back = FalconMambaWeightlessRMSNorm(4)(torch.tensor(values, dtype=torch.float32))
    assert (given_back.double().numpy() == normed).all()


# -- the plain runner ----------------------------------------------------------------------------------------------


def test_the_plain_runner_watches_counters() -> None:
    compiled = scancraft.dyck(2, 3, target=FALCON)
    (counter,) = compiled.manifest.counters
    model = compiled.model()
    ids = torch.tensor([compiled.readout.encode(word) for word in ("((([", "()()")])
    at = {"block": counter.block, "channel": counter.channel, "state": counter.state}
    runner = ModelRunner(model, watches=[Watch(**at, limit=4, name="depth")])
    with torch.no_grad():
        assert torch.equal(runner(ids), model(ids).logits)
    with pytest.raises(CounterRangeError, match="depth reaches 4 after 5 tokens of row 0"):
        ModelRunner(model, watches=[Watch(**at, limit=3, name="depth")])(ids)
    with pytest.raises(ReadoutError, match="there is no state"):
        ModelRunner(model, watches=[Watch(**at | {"channel": 10_000}, limit=3, name="depth")])(ids)


@pytest.mark.parametrize("ids", [torch.zeros(3, dtype=torch.long), torch.zeros(1, 3), torch.full((1, 3), 8)], ids=str)
def test_ids_that_cannot_be(ids: torch.Tensor) -> None:
    runner = scancraft.compile("(ab)*", target=FALCON).runner()
    with pytest.raises(ReadoutError, match="token ids must"):
        runner(ids)
    assert runner(torch.zeros(2, 0, dtype=torch.long)).shape == (2, 0, 8)


# -- the command line ------------------------------------------------------------------------------------------------


def test_targets_are_listed() -> None:
    told = invoke("targets")
    assert told.exit_code == 0
    listed = json.loads(invoke("targets", "--json").stdout)
    assert [entry["name"] for entry in listed] == list(TARGETS)
    for entry in listed:
        assert entry["name"] in told.stdout
        assert entry == TARGETS[entry["name"]].as_json()


@pytest.mark.parametrize(
    ("target_name", "args", "code"),
    [
        (FALCON, ("--named", "a^n b^n"), 0),
        ("mamba2", ("--named", "Flip-flop"), 0),
        ("mamba2", ("--dyck", "2,3"), 3),
    ],
    ids=str,
)
def test_every_command(target_name: str, args: tuple[str, ...], code: int, tmp_path: Path) -> None:
    place = tmp_path / "m"
    told = json.loads(invoke("compile", *args, "--target", target_name, "-o", place, "--json").stdout)
    assert told["target"] == target_name
    assert invoke("check", place, "--words", 10, "--short", 30, "--max-length", 12).exit_code == 0
    assert invoke("certify", place, "--seconds", 120 if code == 0 else 1).exit_code == code
    if code == 0:
        assert invoke("certify", place, "--check").exit_code == 0
    for sample in json.loads(invoke("generate", place, "-n", 5, "--max-length", 20, "--json").stdout):
        if sample["complete"]:
            assert json.loads(invoke("run", place, "".join(sample["word"]), "--json").stdout)[0]["accepted"]
    assert invoke("explain", place).exit_code == 0
    weights = invoke("explain", place, "--stage", "weights")
    assert weights.exit_code == 0
    assert weights.stdout.startswith({FALCON: "Falcon-Mamba: ", "mamba2": "Mamba-2: "}[target_name])
    assert "otherwise" not in weights.stderr
    assert invoke("explain", place, "--html", tmp_path / "page.html").exit_code == 0


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    for args, message in (
        (("--regex", "a", "--target", "rwkv"), "is unknown"),
        (("--regex", "(aa)*", "--target", FALCON), "not star-free"),
        (("--dyck", "2,3", "--target", "signed_mamba"), "no lowering"),
    ):
        told = invoke("compile", *args, "-o", str(tmp_path / "m"))
        assert told.exit_code == 2
        assert message in told.stderr.replace("\n", " ")
