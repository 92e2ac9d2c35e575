"""``shape="standard"``: the same numbers in the sizes that runtimes have built in."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

import scancraft
from scancraft.compiler.targets import TargetError

WAYS = [("D-2", "mamba"), ("D-2", "mamba2"), ("D-2", "falcon_mamba"), ("Parity", "signed_mamba"), ("Dyck-1", "mamba")]


@pytest.mark.parametrize(("name", "target"), WAYS)
def test_no_logit_changes(name: str, target: str) -> None:
    small = scancraft.compile(scancraft.named(name), target=target)
    wide = scancraft.compile(scancraft.named(name), target=target, shape="standard")
    shape = wide.weights.shape
    assert shape.d_model >= 64
    assert shape.d_conv == 4
    assert shape.vocab_size == small.weights.shape.vocab_size
    if target != "mamba2":
        assert shape.expand == 2
    if target != "falcon_mamba":
        assert shape.d_state == (128 if target == "mamba2" else 16)
    draw = random.Random(1)
    ids = torch.tensor([[1, *(draw.randrange(3, shape.vocab_size) for _ in range(31))] for _ in range(4)])
    with torch.inference_mode():
        assert torch.equal(wide.model()(ids).logits, small.model()(ids).logits)


@pytest.mark.parametrize("target", ["mamba", "mamba2"])
def test_multiples_as_asked(target: str, tmp_path: Path) -> None:
    small = scancraft.compile(scancraft.named("D-2"), target=target)
    wide = small.standard(vocabulary=64, width=128)
    assert wide.weights.shape.vocab_size == 64
    assert wide.weights.shape.d_model % 128 == 0
    draw, tokens = random.Random(2), small.weights.shape.vocab_size
    ids = torch.tensor([[1, *(draw.randrange(3, tokens) for _ in range(31))] for _ in range(4)])
    with torch.inference_mode():
        told, right = wide.model()(ids).logits, small.model()(ids).logits
    assert torch.equal(told[..., :tokens], right)
    assert torch.equal(told[..., tokens:], right[..., [0]].expand(4, 32, 64 - tokens))
    if target == "mamba":
        wide.save(tmp_path / "m")
        assert scancraft.certify(tmp_path / "m").scope == "every-implementation"


@pytest.mark.parametrize("sizes", [{"width": 48}, {"width": 0}, {"vocabulary": 0}])
def test_multiples_that_there_are_not(sizes: dict[str, int]) -> None:
    with pytest.raises(TargetError, match="give a power of two"):
        scancraft.compile(scancraft.named("D-2")).standard(**sizes)


def test_it_is_certified_for_every_implementation(tmp_path: Path) -> None:
    scancraft.compile(scancraft.named("D-2"), tmp_path / "d2", shape="standard")
    found = scancraft.certify(tmp_path / "d2")
    assert found.verdict == "certified"
    assert found.scope == "every-implementation"
    manifest = scancraft.load(tmp_path / "d2").manifest
    assert len(manifest.residual) == 64
    assert manifest.residual[-1].kind == "unused"


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    for place in ("a", "b"):
        scancraft.compile(scancraft.named("D-2"), tmp_path / place, shape="standard")
    for name in ("config.json", "model.safetensors", "scancraft.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"shape": "square"}, "unknown shape 'square'"),
        ({"shape": "standard", "dtype": "float16"}, "leave no room for padding"),
        ({"shape": "standard", "target": "longhorn"}, "no standard shape for longhorn"),
    ],
)
def test_what_there_is_not(choice: dict[str, str], message: str) -> None:
    with pytest.raises(scancraft.ScancraftError, match=message) as told:
        scancraft.compile(scancraft.named("D-2"), **choice)  # type: ignore[arg-type]
    assert isinstance(told.value, TargetError) or "unknown" in message
