"""What a certificate speaks of besides words one by one: wider formats, batches with padding, generation, the runner.

Attacks that once succeeded, each with the right answer: a model that is right where it was looked at, and certified.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from attacks import loaded
from forgery import accepted, certified, edit_json, edit_weights, promote, rejected, set_at
from safetensors.torch import load_file, save_file

import scancraft
from scancraft.automata.counters.families import equal_blocks
from scancraft.certify.certify import Certificate, Open
from scancraft.certify.checker.certificate import check_certificate
from scancraft.generating import generate
from scancraft.models.errors import CheckpointError, CounterRangeError

Forge = Callable[[str], Path]
KINDS = ("mamba", "mamba2", "falcon_mamba", "signed_mamba")


def scores(place: Path, word: str, dtype: torch.dtype | str = "auto", before: int = 0) -> list[float]:
    """Those of the tokens of a word's letters a and b and of the end, after some tokens of padding and the word."""
    tokens = json.loads((place / "scancraft.json").read_text())["tokens"]
    ids = torch.tensor([[*[tokens["<pad>"]] * before, tokens["<bos>"], *(tokens[s] for s in word)]])
    mask = torch.ones_like(ids)
    mask[:, :before] = 0
    with torch.no_grad():
        logits = loaded(place, dtype)(ids, attention_mask=mask).logits[0, -1]
    return [float(logits[tokens[name]]) for name in ("a", "b", "<eos>")]


# -- formats ---------------------------------------------------------------------------------------------------------


def cancelling(place: Path) -> None:
    """a*b with large scores that cancel: in bfloat16 -2032 + 2048, in float32 what rounds to these."""
    scancraft.compile("a*b", place, construction="plan")
    weights = load_file(place / "model.safetensors")
    head, norm = weights["lm_head.weight"], weights["backbone.norm_f.weight"]
    constant = int(weights["backbone.embeddings.weight"].abs().sum(dim=0).argmax())
    head[head == -16] = -2032 - 3.96
    head[head == 32] = 2048 - 3.96
    norm[constant] *= 1 + 0.99 * 2.0**-8
    norm[norm != norm[constant]] *= 1 - 0.99 * 2.0**-9
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})


def test_weights_that_the_stated_format_does_not_hold(tmp_path: Path) -> None:
    """In bfloat16 it is right, and the scope would speak of float32, in which transformers loads other numbers."""
    place = tmp_path / "m"
    cancelling(place)
    assert scores(place, "", torch.bfloat16) == [16.0, 16.0, -2032.0]
    assert scores(place, "", torch.float32)[0] < 0
    found = scancraft.certify(place, dtype=torch.bfloat16)
    assert isinstance(found, Open)
    assert "numbers that bfloat16 does not hold" in found.reason
    checkpoint = scancraft.load(place)
    model = checkpoint.model(torch.bfloat16)  # of the model in memory it can be said, and saved beside the other one
    saved = scancraft.certify(model, checkpoint.language, readout=checkpoint.readout)
    assert isinstance(saved, Certificate)
    assert saved.scope == "every-implementation"
    saved.save(place)
    rejected(place, "has numbers that bfloat16 does not hold")


def test_weights_in_float64_that_float32_does_not_hold(forge: Forge) -> None:
    place = forge("regular")
    weights = {name: tensor.double() for name, tensor in load_file(place / "model.safetensors").items()}
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    accepted(place)
    weights["lm_head.weight"] *= 1 + 2.0**-40
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    rejected(place, "lm_head.weight has numbers that float32 does not hold")
    assert isinstance(scancraft.certify(place), Open)


def test_weights_that_some_take_for_0(tmp_path: Path) -> None:
    """Subnormal ones, where a processor is told to flush them: the scores are 0, which is not above the threshold."""
    place = tmp_path / "m"
    scancraft.compile("a*b", place, construction="plan")
    certified(place)

    def edit(weights: Any) -> None:
        weights["backbone.norm_f.weight"] *= 2.0**70
        weights["lm_head.weight"] *= 2.0**-133

    edit_weights(place, edit)
    assert scores(place, "a")[:2] == [2.0**-59, 2.0**-59]
    if torch.set_flush_denormal(True):
        try:
            assert scores(place, "a")[:2] == [0.0, 0.0]
        finally:
            torch.set_flush_denormal(False)
    rejected(place, "lm_head.weight: a subnormal number")
    found = scancraft.certify(place)
    assert isinstance(found, Certificate)
    assert found.scope == "step"


# -- padding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_padding_token_that_becomes_infinite(kind: str, tmp_path: Path) -> None:
    """A large weight of a norm in a dimension that only ``<pad>`` uses: 0, the mask, times infinity is NaN."""
    place = tmp_path / "m"
    scancraft.compile("a*b", place, target=kind)
    honest = certified(place)
    tokens = json.loads((place / "scancraft.json").read_text())["tokens"]

    def edit(weights: Any) -> None:
        embedding = weights["backbone.embeddings.weight"]
        used = embedding[[tokens[name] for name in ("a", "b", "<bos>")]].any(dim=0)
        free = int((~used).nonzero()[-1])
        weights["backbone.layers.0.norm.weight"][free] = 3e38
        embedding[tokens["<pad>"]] = 0
        embedding[tokens["<pad>"], free] = 1

    edit_weights(place, edit)
    assert scores(place, "ab") == [-16.0, -16.0, 16.0]
    assert all(score != score for score in scores(place, "ab", before=2))  # NaN
    rejected(place, "size of a weight")
    found = scancraft.certify(place)
    assert isinstance(found, Certificate)
    assert found.scope == "step" != honest.scope
    found.save(place)
    accepted(place, "step")
    edit_json(place / "certificate.json", promote)
    rejected(place, "size of a weight")


def test_deltas_of_padding_are_in_the_sums_of_a_chunk(forge: Forge) -> None:
    """Mamba-2: where the mask hides a token Delta is what its bias makes of 0."""
    place = forge("mamba2")
    name = "backbone.layers.0.mixer."
    weights = load_file(place / "model.safetensors")
    heads = len(weights[name + "dt_bias"])
    constant = int(weights["backbone.embeddings.weight"].abs().sum(dim=0).argmax())
    embedded = float(weights["backbone.embeddings.weight"][3, constant])
    scale = float(weights["backbone.layers.0.norm.weight"][constant]) * embedded
    normed = scale / abs(embedded) * len(weights["backbone.layers.0.norm.weight"]) ** 0.5  # one square carries the mean

    def edit(bias: float) -> Callable[[Any], None]:
        def change(tensors: Any) -> None:
            tensors[name + "dt_bias"] += bias
            tensors[name + "in_proj.weight"][-heads:, constant] -= bias / normed

        return change

    edit_weights(place, edit(4096.0))  # 3072 at padding
    accepted(place)
    edit_weights(place, edit(4096.0))  # 7168
    assert scores(place, "ab", before=2) == scores(place, "ab")
    rejected(place, "sums over a chunk")


# -- types -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (("schema_version",), lambda v: True),
        (("readout", "threshold"), lambda v: False),
        (("readout", "threshold"), lambda v: 0),
        (("readout", "threshold"), lambda v: -0.0),
        (("readout", "bos"), lambda v: float(v)),
        (("readout", "bos"), lambda v: True),
        (("readout", "accept"), lambda v: float(v)),
        (("readout", "tokens"), lambda v: {name: float(n) for name, n in v.items()}),
        (("readout", "next_symbol"), lambda v: {name: float(n) for name, n in v.items()}),
        (("counts",), lambda v: {name: float(n) for name, n in v.items()}),
        (("counts", "stages"), lambda v: bool(v)),
        (("margin",), int),
    ],
)
def test_what_python_takes_for_equal_is_another_value(path: tuple[str, ...], change: Any, tmp_path: Path) -> None:
    """``false`` is no threshold of 0.0, ``1.0`` no token: another reader may take them for something else."""
    place = tmp_path / "m"
    scancraft.compile("a*", place, construction="plan")
    certified(place)

    def edit(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = change(content[path[-1]])

    edit_json(place / "certificate.json", edit)
    rejected(place, path[0])


# -- other files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["bos_token_id", "eos_token_id", "pad_token_id"])
@pytest.mark.parametrize("value", [3, None, [2], 2.0, True])
def test_generation_ends_at_the_token_that_ends_words(key: str, value: Any, forge: Forge) -> None:
    place = forge("regular")
    edit_json(place / "generation_config.json", set_at(key, value=value))
    rejected(place, "generation_config.json")
    with pytest.raises(CheckpointError, match="generation_config"):
        scancraft.load(place)


@pytest.mark.parametrize("which", ["all", "control"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64", "float16"])
def test_the_runner_trusts_no_limit_past_what_a_format_holds(which: str, dtype: str, forge: Forge) -> None:
    """A certificate is about one format, but the manifest names limits for others, by which scancraft's runner goes."""
    place = forge(which)

    def edit(content: Any) -> None:
        for counter in content["counters"]:
            counter["limits"][dtype] = 1 << 25

    edit_json(place / "scancraft.json", edit)
    rejected(place, "scancraft.json")
    with pytest.raises(CheckpointError, match="is exact up to"):
        scancraft.load(place)


@pytest.mark.parametrize(
    ("target", "lie", "reason"),
    [
        ("mamba", {"channel": 0}, "it says that counter 'b due' is at"),
        ("mamba", {"block": 0}, "it says that counter 'b due' is at"),
        ("falcon_mamba", {"unit": 1000}, "not counted in units of 1"),
    ],
)
def test_a_runner_that_is_made_to_watch_something_else(
    target: str, lie: dict[str, int], reason: str, tmp_path: Path
) -> None:
    """e9 and e10: past what bfloat16 holds it would answer, and say that a^300 b^300 is no word."""
    place = scancraft.compile(equal_blocks("ab"), target=target).save(tmp_path / "m")
    certified(place, dtype=torch.bfloat16)
    accepted(place)

    def allows_the_end(n: int) -> bool:
        checkpoint = scancraft.load(place)
        ids = [checkpoint.manifest.tokens[s] for s in ("<bos>", *"a" * n, *"b" * n)]
        logits = checkpoint.runner(torch.bfloat16)(torch.tensor([ids]))
        return bool(logits[0, -1, checkpoint.manifest.tokens["<eos>"]] > 0)

    assert allows_the_end(20)
    with pytest.raises(CounterRangeError, match="exact only up to 256"):
        allows_the_end(300)
    edit_json(place / "scancraft.json", lambda m: [counter.update(lie) for counter in m["counters"]])
    assert not allows_the_end(300), "the harm"
    rejected(place, reason)
    with pytest.raises(CheckpointError, match="compile the language again"):
        scancraft.certify(place, dtype=torch.bfloat16)


def test_a_manifest_that_names_two_languages(forge: Forge) -> None:
    """One for the checker, and one for all other commands."""
    place = forge("regular")

    def edit(content: Any) -> None:
        about = content["language"]
        about["combination"] = {"all": [{"dfa": about["dfa"]}]}
        about["dfa"] = {**about["dfa"], "accepting": []}

    edit_json(place / "scancraft.json", edit)
    rejected(place, "scancraft.json names two")
    with pytest.raises(scancraft.ScancraftError, match="dfa and combination stand for two languages"):
        scancraft.load(place)


def test_padding_that_is_a_letter(forge: Forge) -> None:
    place = forge("regular")

    def edit(content: Any) -> None:
        content["tokens"]["<pad>"] = next(n for n in content["tokens"].values() if n > 2)

    edit_json(place / "scancraft.json", edit)
    rejected(place, "tokens are not distinct")
    with pytest.raises(CheckpointError, match="one id"):
        scancraft.load(place)


@pytest.mark.parametrize("row", [0, 1, -1])
@pytest.mark.parametrize("which", ["regular", "all", "slots", "copies", "walk"])
def test_a_token_that_the_language_does_not_have(which: str, row: int, forge: Forge) -> None:
    """It is allowed where the word may not go on so: what is sampled from allowed tokens is no word."""
    place = forge(which)

    def edit(weights: Any) -> None:
        weights["lm_head.weight"][row] *= -1

    edit_weights(place, edit)
    rejected(place, "read-out")
    assert not isinstance(scancraft.certify(place, budget=scancraft.Budget(2_000, 2.0)), Certificate)


def test_generation_says_symbols_only(forge: Forge) -> None:
    place = forge("regular")

    def edit(weights: Any) -> None:
        weights["lm_head.weight"][[0, 1, -1]] *= -1

    edit_weights(place, edit)
    checkpoint = scancraft.load(place)
    drawn = generate(checkpoint.model(), checkpoint.readout, count=4, max_length=8)
    assert all(set(sample.word) <= set(checkpoint.language.alphabet) for sample in drawn)


@pytest.mark.parametrize("name", ["config.json", "scancraft.json", "certificate.json", "generation_config.json"])
def test_a_file_of_holes_is_not_read(name: str, forge: Forge) -> None:
    place = forge("regular")
    os.truncate(place / name, 1 << 40)
    rejected(place, f"{name} is larger than")
    if name != "certificate.json":
        with pytest.raises(CheckpointError, match="larger than"):
            scancraft.load(place)


def test_a_checker_of_bools_and_floats_still_takes_genuine_ones(forge: Forge) -> None:
    for which in ("regular", "all", "slots", "walk"):
        assert check_certificate(forge(which)).accepted
