"""Certificates of OLMo Hybrid: what is proved of reflections, also in chunks, and what is refused."""

from __future__ import annotations

import copy
import random
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forgery import accepted, certified, with_one_weight_changed

import scancraft
from scancraft.accuracy import accuracy
from scancraft.automata.languages import truth_of
from scancraft.certify.checker.arithmetic import Obligations
from scancraft.certify.checker.blocks_delta import LARGEST_CHUNK, Heads, check_chunks
from scancraft.certify.checker.configuration import check_configuration
from scancraft.certify.checker.judge import judge
from scancraft.certify.checker.parts import ObligationError, RejectedError

LANGUAGES = ["(b*ab*a)*b*", "(aa)*", "(abab)*", "(a(ab)*b)*"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_certified_for_every_implementation_and_chunk(language: str, tmp_path: Path) -> None:
    scancraft.compile(language, tmp_path, target="olmo_hybrid")
    for dtype in (torch.float32, torch.bfloat16):
        assert certified(tmp_path, dtype=dtype).scope == "every-implementation"
        accepted(tmp_path)


@cache
def parity() -> tuple[Any, Any]:
    compiled = scancraft.compile("(b*ab*a)*b*", target="olmo_hybrid")
    return compiled, scancraft.certify(compiled.model(), compiled.language, readout=compiled.readout)


def changed(name: str, place: tuple[int, ...], value: float) -> Any:
    model = copy.deepcopy(parity()[0].model())
    with torch.no_grad():
        model.get_parameter(name)[place] = value
    return model


def test_mutants_are_rejected_or_right() -> None:
    compiled, certificate = parity()
    words = [w for n in range(9) for w in product("ab", repeat=n)]
    words += scancraft.members_of(compiled.language, 40, 20, 90, random.Random(1))
    truth, kept = truth_of(compiled.language), 0
    for change, mutant in with_one_weight_changed(compiled.model(), 40, random.Random(4)):
        try:
            judge(certificate.content, mutant, certificate.evidence)
        except (RejectedError, ObligationError):
            continue
        kept += 1
        score = accuracy(mutant, truth, compiled.readout, words)
        assert score.right_positions == score.positions, change
    assert kept < 20


@pytest.mark.parametrize(
    ("name", "place", "value", "reason"),
    [
        ("model.layers.1.self_attn.v_proj.weight", (0, 0), 1.0, "attention whose"),
        ("model.layers.1.mlp.down_proj.weight", (0, 0), 1.0, "attention whose"),
        ("model.layers.0.linear_attn.A_log", (0,), 0.5, "A_log|alpha"),
        ("model.layers.0.linear_attn.dt_bias", (0,), 0.0, "model's step"),
    ],
)
def test_what_no_certificate_is_about(name: str, place: tuple[int, ...], value: float, reason: str) -> None:
    _, certificate = parity()
    with pytest.raises((RejectedError, ObligationError), match=reason):
        judge(certificate.content, changed(name, place, value), certificate.evidence)


# -- padding -----------------------------------------------------------------------------------------------------------


@cache
def with_an_idle_head() -> Any:
    """The same model with a second head that writes nothing and never forgets."""
    model = parity()[0].model()
    config = copy.deepcopy(model.config)
    config.linear_num_key_heads = config.linear_num_value_heads = 2
    wider = type(model)(config).eval()
    keys = config.linear_key_head_dim
    with torch.no_grad():
        for name, weight in wider.named_parameters():
            old, idle = model.get_parameter(name), -1024.0 if name.endswith("dt_bias") else 0.0
            weight.fill_(idle)
            if "conv1d" in name:
                parts = zip(weight.split([2 * keys, 2 * keys, 2]), old.split([keys, keys, 1]), strict=True)
            else:
                parts = [(weight, old)]
            for part, given in parts:
                part[tuple(slice(0, n) for n in given.shape)] = given
        wider.get_parameter("model.layers.0.linear_attn.b_proj.weight")[1, 0] = -2048
    return wider


def an_infinite_unit(model: Any) -> None:
    """In a dimension that only <pad> uses."""
    layer = model.model.layers[0]
    layer.mlp.gate_proj.weight[0, 15] = layer.mlp.up_proj.weight[0, 15] = 3e38
    layer.post_attention_layernorm.weight[15] = 1.0
    model.model.embed_tokens.weight[0] = torch.eye(16)[15]


def an_infinite_rate(model: Any) -> None:
    """What a_proj takes back at every token that is not hidden."""
    model.model.layers[0].linear_attn.dt_bias[1] = 2.0**126
    model.model.layers[0].linear_attn.a_proj.weight[1, 0] = -(2.0**127)


def an_infinite_exponential(model: Any) -> None:
    model.model.layers[0].linear_attn.dt_bias[1] = 64.0
    model.model.layers[0].linear_attn.A_log[1] = 88.0
    model.model.layers[0].linear_attn.a_proj.weight[1, 0] = -2048.0


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (an_infinite_unit, "where a mask hides the token"),
        (an_infinite_rate, "logarithms of a chunk"),
        (an_infinite_exponential, "A_log: exp"),
    ],
)
def test_tokens_that_a_mask_hides(edit: Any, reason: str) -> None:
    """Right on every word by itself, but in a batch with padding 0 times an infinity is NaN, at all tokens."""
    compiled, _ = parity()
    model = copy.deepcopy(with_an_idle_head())
    certificate = scancraft.certify(model, compiled.language, readout=compiled.readout)
    assert isinstance(certificate, scancraft.Certificate), certificate
    with torch.no_grad():
        edit(model)
        ids = torch.tensor([[0] * 7 + [1, 3], [1, 3] + [4] * 7])
        logits = model(ids, attention_mask=(ids > 0).long()).logits
        assert torch.equal(logits[1], model(ids[1:]).logits[0])
        assert logits[0, -1].isnan().all()
    with pytest.raises((RejectedError, ObligationError), match=reason):
        judge(certificate.content, model, certificate.evidence)


@pytest.mark.parametrize(
    ("name", "value"),
    [("model.layers.1.post_attention_layernorm.weight", 2.0**110), ("model.embed_tokens.weight", 2.0**126)],
)
def test_numbers_that_attention_must_not_meet(name: str, value: float) -> None:
    """The norm of 0 is 0 times a weight times the root of 1 / epsilon, in any order."""
    _, certificate = parity()
    with pytest.raises((RejectedError, ObligationError), match="is past"):
        judge(certificate.content, changed(name, (0,), value), certificate.evidence)


@pytest.mark.parametrize(
    "change",
    [
        {"num_attention_heads": 3},
        {"num_attention_heads": 2, "num_key_value_heads": 4},
        {"num_attention_heads": 16, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}},
    ],
)
def test_heads_of_attention_that_cannot_be_run(change: dict[str, Any]) -> None:
    """Nothing here runs them, but transformers does, and raises what it raises."""
    config = {**parity()[0].weights.config(pad=0, bos=1, eos=2)}
    check_configuration(config)
    with pytest.raises(RejectedError, match="heads of attention"):
        check_configuration({**config, **change})


def heads(keys: list[list[float]], beta: float, value: float = 0.0) -> Heads:
    """Steps of one head that reflects in some keys, after one that writes under the first of them."""
    k = np.array([keys[0], *keys])[:, None]
    rows = len(k)
    alpha, rate = np.ones((rows, 1)), np.full((rows, 1), beta)
    alpha[0], rate[0] = 0.0, 1.0
    v = np.full((rows, 1, 1), value)
    v[0] = 2.0**20
    return Heads(alpha, rate, k, v, np.full_like(k, 0.25))


HALF = [0.5] * 4 + [0.0] * 12
SHIFTED = [0.0] * 2 + [0.5] * 4 + [0.0] * 10
ONE = [1.0] + [0.0] * 15
QUARTER = [0.25] * 16


def test_reflections_at_60_and_90_degrees_are_of_finite_order() -> None:
    check_chunks(Obligations("float32"), [heads([HALF, SHIFTED], 2.0)], "block 0")
    check_chunks(Obligations("float32"), [heads([HALF, ONE], 2.0)], "block 0")


def test_reflections_at_another_angle_are_not() -> None:
    """Their product turns by an angle whose cosine is rational, and has infinite order: Niven's theorem."""
    with pytest.raises((RejectedError, ObligationError)):
        check_chunks(Obligations("float32"), [heads([ONE, QUARTER], 2.0)], "block 0")


def test_what_is_written_again_and_again_adds_up() -> None:
    """A reflection with a value: the state grows, by 2 v k at each pair of steps in two keys."""
    with pytest.raises((RejectedError, ObligationError)):
        check_chunks(Obligations("float32"), [heads([HALF, ONE], 2.0, 1.0)], "block 0")


def test_sums_of_a_chunk_must_not_round() -> None:
    """A value that is no small multiple of a power of two: one step is exact, a sum over a chunk need not be."""
    steps = heads([HALF], 2.0)
    steps.value[0] = 2.0**20 + 1
    with pytest.raises(ObligationError, match="a chunk"):
        check_chunks(Obligations("float32"), [steps], "block 0")


def test_the_triangular_system_in_random_orders() -> None:
    """The bounds, against the thing itself: all numbers of the chunked form, for random sequences of steps."""
    rng = np.random.default_rng(1)
    steps = heads([HALF, SHIFTED], 2.0)
    for _ in range(20):
        chosen = rng.integers(len(steps.alpha), size=30)
        a, b, k, v = (part[chosen, 0] for part in (steps.alpha, steps.beta, steps.key, steps.value))
        decay = np.array([[np.prod(a[j + 1 : i + 1]) if j <= i else 0.0 for j in range(30)] for i in range(30)])
        system = np.tril(b[:, None] * (k @ k.T) * decay, -1)
        inverse = np.linalg.inv(np.eye(30) + system)
        assert set(np.unique(np.round(system, 9))) <= {0.0, 1.0, 2.0}  # Cartan integers
        assert np.abs(inverse).max() <= 2 + 1e-9
        assert np.allclose(inverse, np.round(inverse))
        assert np.abs(np.round(inverse) @ (b[:, None] * v)).max() <= 2**21
    assert LARGEST_CHUNK >= 64
