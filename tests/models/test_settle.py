"""The fast single-token step has the bits of transformers' own, and the loop finds where the state repeats."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_mambas import VOCABULARY, quick_mamba, random_mamba

import scancraft
from scancraft.models.errors import ReadoutError
from scancraft.models.run import fast_block as _fast_block
from scancraft.models.run import single_step
from scancraft.models.run.fast_block import CONV_RULES, FastBlock, conv_rule, convolved, padded
from scancraft.models.run.settle import Loop, Moving
from scancraft.models.run.single_step import DTYPES, FastStep, OwnStep, aligned, digest, stepper

configs = st.fixed_dictionaries(
    {
        "num_hidden_layers": st.integers(1, 4),
        "hidden_size": st.integers(16, 64),
        "state_size": st.integers(1, 16),
        "conv_kernel": st.integers(2, 4),
        "expand": st.integers(1, 3),
        "use_bias": st.booleans(),
        "use_conv_bias": st.booleans(),
        "residual_in_fp32": st.booleans(),
        "tie_word_embeddings": st.booleans(),
        "hidden_act": st.sampled_from(["silu", "silu", "silu", "gelu"]),
    }
)


class Own:
    """transformers' forward pass with its cache, written down again for this test."""

    def __init__(self, model: Any) -> None:
        self.model, self.cache, self.logits = model, None, torch.empty(0)

    @torch.no_grad()
    def read(self, token: int) -> None:
        out = self.model(torch.tensor([[token]]), cache_params=self.cache, use_cache=True)
        self.cache, self.logits = out.cache_params, out.logits[0, 0].float()

    def numbers(self) -> np.ndarray[Any, Any]:
        assert self.cache is not None
        parts: list[Any] = []
        for layer in self.cache.layers:
            parts += [layer.conv_states[0].double().flatten(), layer.recurrent_states[0].double().flatten()]
        return torch.cat(parts).numpy() + 0.0


@given(
    config=configs,
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 10_000),
    tokens=st.lists(st.integers(0, VOCABULARY - 1), min_size=6, max_size=14),
    scale=st.sampled_from([1.0, 1.0, 4.0, 0.01]),
)
@settings(max_examples=40, deadline=None)
def test_every_bit_is_that_of_transformers(
    config: dict[str, Any], dtype: torch.dtype, seed: int, tokens: list[int], scale: float
) -> None:
    model = random_mamba(seed, dtype, **config)
    with torch.no_grad():
        model.backbone.embeddings.weight *= scale
        for block in model.backbone.layers:
            block.mixer.in_proj.weight *= scale
    fast, own = FastStep(model), Own(model)
    for number, token in enumerate(tokens):
        own.read(token)
        if number:
            fast.read(token)
            assert np.array_equal(fast.numbers(), own.numbers())
        else:
            fast.start(token)
        assert torch.equal(fast.logits(), own.logits)
    assert fast.tokens_read == len(tokens)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("taps", [2, 3, 4])
def test_the_fast_step_is_the_one_that_is_used(dtype: torch.dtype, taps: int) -> None:
    step = stepper(random_mamba(1, dtype, conv_kernel=taps, use_bias=True))
    assert isinstance(step, FastStep)
    assert all(block.conv != "own" for block in step.blocks)


@given(seed=st.integers(0, 1000), rule=st.sampled_from(CONV_RULES), channels=st.integers(1, 70))
@settings(max_examples=30, deadline=None)
def test_torchs_own_convolution_may_always_be_used(seed: int, rule: str, channels: int) -> None:
    model = random_mamba(seed, hidden_size=channels, expand=1, num_hidden_layers=1)
    mixer = model.backbone.layers[0].mixer
    chosen = conv_rule(model.backbone.layers[0])
    ring = torch.zeros(4, padded(channels))
    block = FastBlock(model.backbone.layers[0], torch.zeros(1, channels, 16), ring, rule)  # type: ignore[arg-type]
    column = torch.empty(channels, 2)[:, 1]
    operations = block._convolve(3, column)
    generator = torch.Generator().manual_seed(seed)
    wrong = 0
    for _ in range(20):
        window = torch.randn(channels, 4, generator=generator)
        ring[:, :channels] = window.t()
        with torch.no_grad():
            for operation in operations:
                operation()
            whole = torch.cat([torch.zeros(channels, 1), window], dim=1)[None]
            wrong += int((column != convolved(mixer, whole)).sum())
    if rule in ("own", chosen):
        assert wrong == 0


def test_a_step_with_other_bits_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_mamba(2)
    right = conv_rule(model.backbone.layers[0])
    wrong = "separate" if right == "fused" else "fused"
    monkeypatch.setattr(single_step, "conv_rule", lambda block: wrong)
    assert isinstance(stepper(model), OwnStep)


def test_the_convolution_falls_back_to_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    block = random_mamba(3).backbone.layers[0]
    expected = conv_rule(block)
    monkeypatch.setattr(_fast_block, "CONV_RULES", tuple(rule for rule in CONV_RULES if rule != expected))
    assert conv_rule(block) == "own"


def test_other_models_are_refused() -> None:
    from transformers import Mamba2Config, Mamba2ForCausalLM

    with pytest.raises(ReadoutError, match="MambaForCausalLM"):
        FastStep(torch.nn.Linear(2, 2))
    other = Mamba2ForCausalLM(
        Mamba2Config(vocab_size=8, hidden_size=16, num_heads=4, head_dim=8, num_hidden_layers=1, state_size=4)
    )
    with pytest.raises(ReadoutError, match="Mamba2ForCausalLM"):
        FastStep(other)
    mixed = random_mamba(0)
    mixed.lm_head.to(torch.float64)
    with pytest.raises(ReadoutError, match="float32, float64"):
        FastStep(mixed)
    assert isinstance(stepper(mixed), OwnStep)


@given(
    seed=st.integers(0, 1000),
    word=st.lists(st.integers(3, 5), min_size=1, max_size=4),
    dtype=st.sampled_from([torch.float32, torch.float32, torch.bfloat16]),
    blocks=st.integers(1, 3),
)
@settings(max_examples=12, deadline=None)
def test_a_loop_has_the_states_of_plain_reading(seed: int, word: list[int], dtype: torch.dtype, blocks: int) -> None:
    model = quick_mamba(seed, dtype, num_hidden_layers=blocks, state_size=4)
    looping, plain = FastStep(model), FastStep(model)
    looping.start(1)
    plain.start(1)
    loop = Loop(looping, word)
    states = [plain.numbers()]
    rng = np.random.default_rng(seed)
    while loop.settled is None:
        loop.turn()
        for token in word:
            plain.read(token)
        states.append(plain.numbers())
        assert np.array_equal(looping.numbers(), states[-1])
        assert torch.equal(loop.logits(), plain.logits())
        if rng.random() < 0.1:
            loop.peek([3, 4])
        assert loop.turns < 5000
    first, period = loop.settled
    assert period == 1
    assert digest(states[first]) == digest(states[first + 1])
    assert first > 0
    # Nothing changes afterwards: the plain step confirms it, and a further turn does nothing.
    for token in word:
        plain.read(token)
    assert np.array_equal(plain.numbers(), states[-1])
    loop.turn()
    assert loop.turns == len(states) - 1


def test_peeking_reads_on_from_the_end_of_a_turn() -> None:
    model = quick_mamba(5)
    step, own = FastStep(model), Own(model)
    step.start(1)
    loop = Loop(step, (3, 4))
    for _ in range(7):
        loop.turn()
    for token in (1, *(3, 4) * 7, 5, 6):
        own.read(token)
    state = step.numbers()
    assert torch.equal(loop.peek((5, 6)), own.logits)
    assert np.array_equal(step.numbers(), state)


class Counting:
    """A step whose state is a number: up to ``before``, then round a cycle of ``period``."""

    def __init__(self, before: int, period: int) -> None:
        self.before, self.period, self.value, self.tokens_read = before, period, 0, 0

    def read(self, token: int) -> None:
        self.value += 1
        if self.value == self.before + self.period:
            self.value = self.before

    def numbers(self) -> np.ndarray[Any, Any]:
        return np.array([float(self.value)])


@given(before=st.integers(0, 60), period=st.integers(1, 40), length=st.integers(1, 5))
@settings(deadline=None)
def test_any_period_is_found(before: int, period: int, length: int) -> None:
    loop = Loop(Counting(before, period), [3] * length)  # type: ignore[arg-type]
    while loop.settled is None:
        loop.turn()
        assert loop.turns < 1000
    first, found = loop.settled
    plain = Counting(before, period)
    values = [plain.value]
    for _ in range(first + 2 * found):
        for _ in range(length):
            plain.read(3)
        values.append(plain.value)
    assert values[first] == values[first + found]
    assert len(set(values[first : first + found])) == found


def test_an_integrator_never_seems_to_settle() -> None:
    machine = scancraft.suite_language("Dyck-1").language
    compiled = scancraft.compile(machine)
    step = stepper(compiled.model())
    assert isinstance(step, FastStep)
    step.start(compiled.readout.bos or 1)
    loop = Loop(step, [compiled.readout.tokens["("]])
    for _ in range(10):
        loop.turn()
    outlook = loop.outlook()
    (counter,) = (entry for entry in outlook.moving if entry.block == loop.fixed)
    assert (counter.gate, counter.change) == (1.0, 1.0)
    assert outlook.turns == float("inf")
    both = [compiled.readout.tokens[s] for s in "()"]
    step.start(compiled.readout.bos or 1)
    loop = Loop(step, both)
    for _ in range(12):
        loop.turn()
    assert loop.settled is not None
    assert loop.settled[1] == 1


def test_the_outlook_is_about_right() -> None:
    step = FastStep(random_mamba(4, num_hidden_layers=1))
    step.start(1)
    loop = Loop(step, [3])
    for _ in range(200):
        loop.turn()
    expected = loop.turns + loop.outlook().turns
    while loop.settled is None:
        loop.turn()
    assert 0.5 < loop.settled[0] / expected < 2
    assert Moving(0, 0, 0, 0.5, 0.0, 1.0).turns == 1.0
    assert Moving(0, 0, 0, 0.5, float("nan"), 1.0).turns == float("inf")


def test_states_can_be_put_back() -> None:
    model = random_mamba(6, torch.bfloat16)
    fast, own = FastStep(model), OwnStep(model)
    for step in (fast, own):
        step.start(1)
        for token in (3, 4, 5):
            step.read(token)
    state, saved = own.numbers(), own.save()
    own.read(6)
    after, logits = own.numbers(), own.logits()
    fast.put(state)
    fast.read(6)
    assert np.array_equal(fast.numbers(), after)
    assert torch.equal(fast.logits(), logits)
    own.restore(saved)
    assert np.array_equal(own.numbers(), state)
    own.read(6)
    assert torch.equal(own.logits(), logits)


def test_weights_are_moved_to_where_products_round_alike() -> None:
    model = random_mamba(0)
    assert aligned(model) is model
    moved = copy.deepcopy(model)
    for parameter in moved.parameters():
        room = torch.empty(parameter.numel() + 2)
        parameter.data = room[2:].view(parameter.shape).copy_(parameter.data)  # eight bytes further
    assert all(p.data_ptr() % 64 == 8 for p in moved.parameters())
    right = aligned(moved)
    assert all(p.data_ptr() % 64 == 0 for p in right.parameters())
    steps = [stepper(m) for m in (model, right)]
    for step in steps:
        assert isinstance(step, FastStep)
        step.start(1)
        for token in (3, 4, 3, 5, 4) * 4:
            step.read(token)
    assert np.array_equal(steps[0].numbers(), steps[1].numbers())


def test_zeros_of_either_sign_are_the_same_state() -> None:
    assert digest(np.array([0.0, 1.0])) == digest(np.array([-0.0, 1.0])) != digest(np.array([0.0, 2.0]))
