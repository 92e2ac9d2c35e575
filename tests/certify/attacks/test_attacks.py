"""Attacks on certificates that once succeeded, each with the right answer: models that are wrong and were certified.

What they have in common is arithmetic that no obligation covered. Attacks by what ``config.json`` or the manifest says
(other weights, other dtypes, a counter at channel 4.5) are in ``test_forgeries.py``.
"""

from __future__ import annotations

import json
import math
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forgery import accepted, certified, edit_json, edit_weights, rejected, right, set_at
from safetensors.torch import load_file, save_file
from transformers import MambaForCausalLM

import scancraft
from scancraft.automata.families import d_n
from scancraft.certify.certify import Certificate, Open, Refuted
from scancraft.certify.checker.certificate import check_certificate
from scancraft.certify.checker.machine import Machine
from scancraft.models.errors import CheckpointError, ReadoutError

Forge = Callable[[str], Path]
EVERY = "every-implementation"


def test_a_forgotten_input_of_minus_infinity(forge: Forge) -> None:
    """relu hides it, a tap of weight 0 is forgotten, and the model computes 0 * -inf = NaN at the second token."""
    place = forge("regular")
    edit_json(place / "config.json", set_at("hidden_act", value="relu"))
    rejected(place, "config.json: hidden_act")
    with pytest.raises(CheckpointError, match="hidden_act"):
        scancraft.certify(place)
    checkpoint = scancraft.load(forge("regular"))
    model = checkpoint.model()
    with torch.no_grad():  # with silu, in a channel that nothing reads: NaN, at once
        mixer = model.backbone.layers[0].mixer
        read = mixer.out_proj.weight.any(dim=0) | mixer.x_proj.weight.any(dim=0)
        channel = int((~read).nonzero()[0])
        mixer.in_proj.weight[channel] = -3e38
        mixer.conv1d.weight[channel] = 0.0
        mixer.conv1d.weight[channel, 0, -1] = 1.0
    try:
        found = scancraft.certify(model, checkpoint.dfa, readout=checkpoint.readout)
    except scancraft.ScancraftError:
        return
    assert not isinstance(found, Certificate)


def test_states_that_are_forgotten_are_finite(forge: Forge) -> None:
    """The same where the activation is not looked at: an infinite input of the convolution ends the proof."""
    model = scancraft.load(forge("regular")).model()
    machine = Machine(model, 4)
    with torch.no_grad():
        model.backbone.layers[0].mixer.in_proj.weight[0] = -3e38
        model.backbone.layers[0].mixer.conv1d.weight[0] = 0.0
    with pytest.raises(scancraft.ScancraftError, match="not finite"):
        machine.step(0, 1, machine.embed([1]), None)


# -- dtypes ---------------------------------------------------------------------------------------------------------


def tiny(dfa: Any, place: Path, **settings: Any) -> tuple[dict[str, Any], dict[str, int]]:
    """A compiled checkpoint whose weights are to be replaced: its configuration, and the numbers of its tokens."""
    scancraft.compile(dfa, place, construction="cascade")
    config = json.loads((place / "config.json").read_text())
    config |= {"expand": 1, "state_size": 1, "conv_kernel": 2, "num_hidden_layers": 1, **settings}
    (place / "config.json").write_text(json.dumps(config))
    return config, json.loads((place / "scancraft.json").read_text())["tokens"]


def save(place: Path, embedding: Any, mixer: dict[str, Any], norms: tuple[Any, Any], head: Any) -> None:
    """Write the weights of one block."""
    tensors = {f"backbone.layers.0.mixer.{name}": tensor for name, tensor in mixer.items()}
    tensors |= {"backbone.embeddings.weight": embedding, "lm_head.weight": head}
    tensors |= {"backbone.layers.0.norm.weight": norms[0], "backbone.norm_f.weight": norms[1]}
    save_file({k: v.contiguous() for k, v in tensors.items()}, place / "model.safetensors", metadata={"format": "pt"})


def test_a_residual_stream_in_bfloat16_is_rounded_once_more(tmp_path: Path) -> None:
    """The last norm gets bfloat16 vectors if ``residual_in_fp32`` is false; every word has the wrong sign then."""
    config, tokens = tiny("a*", tmp_path / "m", hidden_size=2, intermediate_size=2, time_step_rank=1)
    edit_json(tmp_path / "m" / "config.json", lambda c: c.update(residual_in_fp32=False, dtype="bfloat16"))
    generator, half = torch.Generator().manual_seed(0), torch.bfloat16

    def norm(x: Any, w: Any, *, wide: bool) -> Any:
        h = x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-5)
        return (w * (h if wide else h.to(half))).to(half)

    def head() -> tuple[Any, Any, Any]:
        """A vector, the weight of the norm, and a row that is positive in the one order and negative in the other."""
        while True:
            x, w = (torch.randn(2, generator=generator).to(half) for _ in range(2))
            a, b = norm(x, w, wide=True), norm(x, w, wide=False)
            turned = torch.tensor([a[1].float(), -a[0].float()])
            for sign in (1, -1):
                for size in (0.02, 0.01, 0.005, 0.002):
                    row = (sign * turned + size * a.float() / a.float().norm()).to(half)
                    if (row * a).float().sum() > 0 > (row * b).float().sum() and float(row @ a) > 0 > float(row @ b):
                        return x, w, row

    x, w, row = head()
    z, size = (lambda *shape: torch.zeros(*shape, dtype=half)), config["vocab_size"]
    mixer = {"in_proj.weight": z(4, 2), "conv1d.weight": z(2, 1, 2), "conv1d.bias": z(2), "x_proj.weight": z(3, 2)}
    mixer |= {"dt_proj.weight": z(2, 1), "dt_proj.bias": z(2), "A_log": z(2, 1), "D": z(2), "out_proj.weight": z(2, 2)}
    scores = z(size, 2)
    scores[tokens["a"]] = scores[tokens["<eos>"]] = row
    save(tmp_path / "m", x.expand(size, 2).clone(), mixer, (z(2) + 1, w), scores)
    model = MambaForCausalLM.from_pretrained(tmp_path / "m").eval()
    assert model(torch.tensor([[tokens["<bos>"]]])).logits[0, -1, tokens["a"]].item() < 0
    assert isinstance(scancraft.certify(tmp_path / "m", dtype=half), Refuted)
    # In float32, in which transformers does not load it, it is right: that is not what a certificate may speak of.
    found = scancraft.certify(tmp_path / "m")
    assert isinstance(found, Open)
    assert "config.json says bfloat16, in which transformers loads the model" in found.reason


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", ["mamba", "mamba2", "falcon_mamba", "signed_mamba"])
def test_the_machine_is_the_real_module(kind: str, dtype: torch.dtype, wide: bool) -> None:
    """Random weights, in which nothing is exact: its numbers are those of ``transformers``, token by token."""
    torch.manual_seed(3)
    base = (
        scancraft.compile("(0*10*1)*0*", target=kind)
        if kind == "signed_mamba"
        else scancraft.compile(d_n(2), target=kind, construction="cascade")
    )
    settings = base.model().config.to_dict() | {"residual_in_fp32": wide}
    if kind == "mamba2":
        settings["chunk_size"] = 1
    model = type(base.model())(type(base.model().config)(**settings))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model = model.to(dtype).eval()
    machine, depth, ids = Machine(model, 2), len(model.backbone.layers), [1, 3, 4, 3]
    states, cache = None, None
    for token in ids:
        with torch.no_grad():
            out = model(torch.tensor([[token], [token]]), cache_params=cache, use_cache=True)
        cache = out.cache_params
        vectors, states = machine.step(0, depth, machine.embed([token]), states)
        assert torch.equal(torch.tensor(machine.logits(vectors)), out.logits[:1, -1].float())


def test_a_gate_that_is_one_in_float32_only(tmp_path: Path) -> None:
    """A held gate of exp(-2^-31): in float64 the state leaks, which the scope may not hide."""
    dfa = {"alphabet": ["a", "b"], "initial": "p", "accepting": ["p"], "transitions": {"p": {"a": "p"}}}
    place = tmp_path / "m"
    config, tok = tiny(dfa, place, hidden_size=4, intermediate_size=4, time_step_rank=2)
    z, k = torch.zeros, 2.0**22
    embedding = z(config["vocab_size"], 4)
    embedding[:, 0], embedding[tok["a"], 1], embedding[tok["b"], 2] = 2.0**40, 1, 1
    w, conv, x, dt, out, head = z(8, 4), z(4, 1, 2), z(4, 4), z(4, 2), z(4, 4), z(config["vocab_size"], 4)
    w[0, 2] = w[1, 1] = w[2, 0] = w[3, 0] = w[4, 0] = 64
    w[2, 1] = -64
    conv[:, 0, 1] = 1
    x[0, 1] = x[1, 2] = 1
    x[2, 3], x[3, 3] = 2.0**-62, 2.0**-6
    dt[0, 0], dt[0, 1], out[3, 0] = 1, 2.0**44, 2.0**-6
    mixer = {"in_proj.weight": w, "conv1d.weight": conv, "conv1d.bias": z(4), "x_proj.weight": x, "D": z(4)}
    mixer |= {"dt_proj.weight": dt, "dt_proj.bias": torch.tensor([0.0, -2048, -2048, -2048])}
    mixer |= {"A_log": torch.full((4, 1), math.log(2.0**-37)), "out_proj.weight": out}
    for name in ("a", "<eos>"):
        head[tok[name], 0], head[tok[name], 3] = k - 1, -k
    head[tok["b"], 0] = -1
    norm = torch.tensor([0.5, 2.0**39, 2.0**39, 0.0])
    save(place, embedding, mixer, (norm, torch.tensor([0.5, 0, 0, 2.0**39])), head)
    found = scancraft.certify(place)
    assert isinstance(found, Certificate)
    assert found.scope == "step"
    assert [o["name"] for o in found.content["obligations"] if not o["holds"]] == ["functions"]
    found.save(place)
    accepted(place, "step")
    entries = [{**entry, "holds": True} for entry in found.content["obligations"]]
    edit_json(place / "certificate.json", lambda c: c.update(scope=EVERY, obligations=entries))
    rejected(place, "gate: exp")


@pytest.mark.parametrize("epsilon", [-1e-5, 0.0, -(2.0**30), 2.0**60])
def test_an_epsilon_that_balances_what_is_not_absorbed(epsilon: float, forge: Forge) -> None:
    place = forge("regular")
    edit_json(place / "config.json", set_at("layer_norm_epsilon", value=epsilon))
    checked = rejected(place)
    assert "layer_norm_epsilon" in checked.reason or "rmsnorm" in checked.reason or "stage" in checked.reason
    with pytest.raises(CheckpointError, match="layer_norm_epsilon"):
        scancraft.certify(place)


# -- Mamba-2 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [4097, 65536, 0, -64, 64.0, True])
def test_chunks_past_the_length_for_which_sums_are_argued(size: Any, forge: Forge) -> None:
    place = forge("mamba2")
    edit_json(place / "config.json", set_at("chunk_size", value=size))
    rejected(place, "chunk_size")
    checkpoint = scancraft.load(forge("mamba2"))
    model = checkpoint.model()
    if type(size) is int:
        for block in model.backbone.layers:
            block.mixer.chunk_size = size
        with pytest.raises(ReadoutError, match="chunks of at most 4,096"):
            scancraft.certify(model, checkpoint.dfa, readout=checkpoint.readout)


def test_a_claim_about_bits_names_chunks_that_were_run(forge: Forge) -> None:
    """Where sums round, the first token's bits may depend on the chunk size: it is run as it is, or not certified."""
    model = scancraft.load(forge("mamba2")).model()
    machine = Machine(model, 256)
    machine.check_chunks(0, 1, machine.embed([1]))
    for block in model.backbone.layers:
        block.mixer.chunk_size = 65
    with pytest.raises(scancraft.ScancraftError, match="scope step: chunk_size is 65"):
        machine.check_chunks(0, 1, machine.embed([1]))


def test_memory_does_not_grow_with_the_chunks(forge: Forge) -> None:
    """A first token in chunks of 4,096 would take 256 rows * 8 heads * 4096^2 numbers."""
    place = forge("mamba2")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    edit_json(place / "config.json", set_at("chunk_size", value=4096))
    accepted(place)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 300_000


# -- for all values of a counter ------------------------------------------------------------------------------------


def sleeper(place: Path) -> None:
    """In the testing block of a^n b^n the excess channel, whose x is 0 for c <= 1, writes 1024 x for every c >= 2."""
    name = "backbone.layers.4.mixer."

    def edit(weights: Any) -> None:
        weights[name + "dt_proj.bias"][2] = 1024.0
        rank = weights[name + "dt_proj.weight"].shape[1]  # x_proj gives dt, then B, then C
        weights[name + "x_proj.weight"][rank, 0], weights[name + "x_proj.weight"][rank + 1, 0] = 2.0**-10, 2.0**-20

    edit_weights(place, edit)


def test_a_channel_that_wakes_at_two(forge: Forge) -> None:
    place = forge("control")
    sleeper(place)
    assert not right(place)
    rejected(place, "a state is written")
    assert not isinstance(scancraft.certify(place), Certificate)


@pytest.mark.parametrize("which", ["all", "control", "live"])
def test_whatever_wakes_late_is_not_accepted(which: str, forge: Forge) -> None:
    """Random small weights in the blocks that see counters: B, C, Delta, gate, and columns of out_proj."""
    place, rng = forge(which), np.random.default_rng(11)
    original = load_file(place / "model.safetensors")
    words, listed = (place / "certificate.json").read_bytes(), (place / "certificate.safetensors").read_bytes()
    depth = json.loads((place / "config.json").read_text())["num_hidden_layers"]
    seeing = depth - (1 if which == "live" else 2)
    for _ in range(12):
        changed = {key: t.clone() for key, t in original.items()}
        for part in rng.choice(["dt_proj.bias", "x_proj.weight", "x_proj.weight", "D", "in_proj.weight"], 3):
            tensor = changed[f"backbone.layers.{seeing}.mixer.{part}"]
            spot = tuple(int(rng.integers(size)) for size in tensor.shape)
            tensor[spot] = float(rng.choice([1024.0, 2.0**-10, -64.0, 64.0, 2.0**-20, 1.0]))
        (place / "certificate.json").write_bytes(words)
        (place / "certificate.safetensors").write_bytes(listed)
        edit_weights(place, lambda w, c=changed: w.update(c))  # type: ignore[misc]
        if check_certificate(place).accepted:
            assert right(place)


def test_no_number_beyond_the_clip_is_infinite(forge: Forge) -> None:
    """Where x is clipped to 0 the sum may round, but an infinity would make NaN of it."""
    model = scancraft.load(forge("all")).model()
    readout, language = scancraft.load(forge("all")).readout, scancraft.load(forge("all")).language
    with torch.no_grad():
        mixer = model.backbone.layers[1].mixer
        mixer.conv1d.weight[mixer.conv1d.weight[:, 0, -1] < 0] *= 2.0**90
        mixer.conv1d.weight[mixer.conv1d.weight[:, 0, -1] > 0] *= -(2.0**90)
    found = scancraft.certify(model, language, readout=readout)
    assert isinstance(found, Open | Refuted)


def test_genuine_counters_are_exact_in_float64_too(forge: Forge) -> None:
    place = forge("all")
    model = scancraft.load(place).model(torch.float64)
    ids = torch.tensor([[1, *[3] * 300, *[4] * 300]])
    assert float(model(ids).logits[0, -1, 2]) == 16.0
    certified(place)
    accepted(place)
