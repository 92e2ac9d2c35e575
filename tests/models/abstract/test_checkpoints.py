"""The properties of torch models, computed from their gate formulas.

Ground truth: the gates of the real modules, measured from what two states become in one step, and what is known of the
architectures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import sympy
import torch
from torch import nn

from scancraft.models.abstract.checkpoints import properties_of
from scancraft.models.abstract.errors import UnknownGateError
from scancraft.models.abstract.families import Consequence
from scancraft.models.abstract.functions import elementary
from scancraft.models.abstract.readers import A, BoundGate, D, Drive, reader_of
from scancraft.models.abstract.ssm import softplus
from scancraft.models.errors import WeightsError


def tiny(name: str, **more: Any) -> Any:
    """A small random model of transformers."""
    import transformers as hf

    torch.manual_seed(0)
    size = {"vocab_size": 8, "hidden_size": 16, "num_hidden_layers": 2}
    configs: dict[str, dict[str, Any]] = {
        "Mamba": {"state_size": 4, "time_step_rank": 3},
        "FalconMamba": {"state_size": 4, "time_step_rank": 3},
        "Mamba2": {"state_size": 4, "head_dim": 8, "num_heads": 4, "n_groups": 1, "chunk_size": 8},
        "Rwkv": {},
        "RecurrentGemma": {
            **{"num_hidden_layers": 3, "num_attention_heads": 2, "lru_width": 16, "intermediate_size": 32},
            **{"attention_window_size": 8, "num_key_value_heads": 1},
        },
    }
    config = getattr(hf, f"{name}Config")(**{**size, **configs[name], **more})
    return getattr(hf, f"{name}ForCausalLM")(config).eval()


def signed(**more: Any) -> Any:
    from scancraft.models.signed_mamba import SignedMambaConfig, SignedMambaForCausalLM

    torch.manual_seed(0)
    return SignedMambaForCausalLM(SignedMambaConfig(vocab_size=8, hidden_size=16, num_hidden_layers=2, **more)).eval()


def with_weights(model: nn.Module, suffix: str, change: Callable[[torch.Tensor], Any]) -> nn.Module:
    with torch.no_grad():
        changed = [change(t) for name, t in model.named_parameters() if name.endswith(suffix)]
    assert changed
    return model


def gate_by_formula(gate: BoundGate, seen: dict[sympy.Symbol, torch.Tensor]) -> torch.Tensor:
    """The bound formula, evaluated here by numpy, shape (batch, channels, states) at the last position."""
    symbols = [*gate.inputs, *gate.constants]
    values = [seen[s][:, -1, :, None].numpy() for s in gate.inputs]
    values += [t[None].numpy() for t in gate.constants.values()]
    return torch.as_tensor(sympy.lambdify(symbols, elementary(gate.formula), "numpy")(*values))


def mixers(model: nn.Module) -> list[tuple[nn.Module, BoundGate]]:
    found = []
    for module in model.modules():
        reader, doubt = reader_of(module, {})
        if reader is not None:
            assert doubt is None
            found.append((module, reader(module)))
    return found


@torch.no_grad()
def measured_gates(model: Any, tokens: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Per layer: the gates of the real step at the last token, from two states, and those of the formula."""
    from transformers import DynamicCache

    results = []
    for number, (_, gate) in enumerate(mixers(model)):
        after, seen = [], {}

        def keep(_: Any, args: Any, out: Any, gate: BoundGate = gate, seen: Any = seen) -> None:
            seen.update(gate.observed(args[0], out))

        for shift in (0.0, 1024.0):
            cache = DynamicCache(config=model.config)
            model(input_ids=tokens[:, :-1], cache_params=cache, use_cache=True)
            layer = cache.layers[number]
            layer.recurrent_states[0].fill_(shift)
            hook = gate.observe.register_forward_hook(keep)
            model(input_ids=tokens[:, -1:], cache_params=cache, use_cache=True)
            hook.remove()
            after.append(layer.recurrent_states[0].clone())
        results.append(((after[1] - after[0]) / 1024, gate_by_formula(gate, seen)))
    return results


@pytest.mark.parametrize("name", ["Mamba", "FalconMamba", "Mamba2", "signed"])
def test_the_formula_is_what_the_class_computes(name: str) -> None:
    model = signed(state_size=4, time_step_rank=3) if name == "signed" else tiny(name)
    with_weights(model, "in_proj.weight" if name == "Mamba2" else "dt_proj.weight", lambda t: t.normal_(0, 2))
    if name == "signed":
        with_weights(model, "sign_proj.weight", lambda t: t.normal_(0, 2))
        with_weights(model, "sign_proj.bias", lambda t: t.normal_())
    results = measured_gates(model, torch.randint(0, 8, (5, 6), generator=torch.Generator().manual_seed(3)))
    assert len(results) == 2
    for measured, formula in results:
        if name == "Mamba2":  # one gate per head
            formula = formula[:, :, None].expand(measured.shape)
        assert measured.shape == formula.shape
        assert torch.allclose(measured.double(), formula, atol=2e-6)
        assert formula.std() > 0.01
        assert (formula.min() < -0.01) == (name == "signed")


def test_the_formula_of_rg_lru_is_what_the_class_computes() -> None:
    model = tiny("RecurrentGemma")
    (module, gate), *_ = mixers(model)
    with_weights(module, "recurrent_gate_weight", lambda t: t.normal_(0, 2))
    (module, gate), *_ = mixers(model)
    activations, after = torch.randn(3, 1, 16), []
    for shift in (0.0, 1.0):
        module.recurrent_states = torch.full((3, 16), shift)  # type: ignore[assignment]
        with torch.no_grad():
            module(activations, torch.ones(1, 1, dtype=torch.long))
        after.append(module.recurrent_states)
    formula = gate_by_formula(gate, gate.observed(activations, None))[:, :, 0]
    assert torch.allclose((after[1] - after[0]).double(), formula, atol=2e-6)
    assert formula.std() > 0.01


def test_the_formula_of_rwkv_is_what_the_class_computes() -> None:
    """The numerator of two equal keys and values: e^k v (1 + exp(-exp(w)))."""
    (module, gate), *_ = mixers(tiny("Rwkv"))
    rwkv, decay, zeros = (
        import_module("transformers.models.rwkv.modeling_rwkv"),
        module.time_decay,
        torch.zeros(1, 2, 16),
    )
    _, state = rwkv.rwkv_linear_attention(decay, torch.zeros(16), zeros, zeros + 1, return_state=True)
    formula = torch.as_tensor(sympy.lambdify([*gate.constants], gate.formula, "numpy")(*gate.constants.values()))
    assert torch.allclose((state[0] * state[2].exp()).squeeze().double(), 1 + formula[:, 0], atol=1e-5)


@pytest.mark.parametrize("name", ["Mamba", "FalconMamba", "Mamba2"])
def test_models_of_transformers_are_nonnegative(name: str) -> None:
    model = tiny(name).train()
    found = properties_of(model)
    assert found.nonnegative
    assert found.time_invariant.holds is False
    assert found.time_invariant.counterexample is not None
    assert all(0 <= int(t) < 8 for word in found.time_invariant.counterexample.words for t in word)
    assert found.fixed_phase
    assert found.consequence is Consequence.STAR_FREE
    assert [layer.name for layer in found.layers] == ["backbone.layers.0.mixer", "backbone.layers.1.mixer"]
    assert "recurrent layers: 2" in str(found)
    assert all(
        module.training and not module._forward_hooks and not module._forward_pre_hooks for module in model.modules()
    )


def test_half_precision_clamped_steps_and_rwkv() -> None:
    assert properties_of(tiny("Mamba").to(torch.bfloat16)).nonnegative
    clamped = properties_of(tiny("Mamba2", time_step_limit=(0.5, 2.0)))
    assert clamped.nonnegative
    assert "Min(2, Max(1/2, softplus(d)))" in clamped.layers[0].formula
    rwkv = properties_of(tiny("Rwkv"))
    assert rwkv.nonnegative
    assert rwkv.time_invariant
    assert rwkv.consequence is Consequence.STAR_FREE


def test_a_mamba_without_selection_is_time_invariant() -> None:
    for suffix in ("dt_proj.weight", "x_proj.weight"):
        found = properties_of(with_weights(tiny("Mamba"), suffix, lambda t: t.zero_()))
        assert found.time_invariant, suffix
    model = tiny("Mamba")
    with_weights(model, "layers.1.mixer.dt_proj.weight", lambda t: t.zero_())
    assert properties_of(model).time_invariant.holds is False
    with_weights(model, "layers.0.mixer.dt_proj.weight", lambda t: t.zero_())
    assert properties_of(model).time_invariant


def test_hybrids_get_no_consequence() -> None:
    found = properties_of(tiny("RecurrentGemma"))
    assert found.nonnegative
    assert found.time_invariant.holds is False
    assert found.consequence is Consequence.UNDECIDED
    assert [other.split()[1] for other in found.others] == ["(RecurrentGemmaAttention)"]


class Blend(nn.Module):
    """Mixes positions under a name that says nothing."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden.cumsum(1)


class Wrapped(nn.Module):
    """A Mamba whose embedding goes through something else first."""

    def __init__(self, inner: Any, extra: nn.Module) -> None:
        super().__init__()
        self.inner, self.extra = inner, extra

    def forward(self, input_ids: torch.Tensor) -> Any:
        return self.inner(inputs_embeds=self.extra(self.inner.backbone.embeddings(input_ids)), use_cache=False)


class Positions(nn.Module):
    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden + torch.arange(hidden.shape[1])[None, :, None]


def test_other_ways_of_mixing_are_found_by_cutting() -> None:
    assert properties_of(Wrapped(tiny("Mamba"), nn.Identity())).consequence is Consequence.STAR_FREE
    mixed = properties_of(Wrapped(tiny("Mamba"), Blend()))
    assert mixed.consequence is Consequence.UNDECIDED
    assert any("something else mixes positions" in other for other in mixed.others)
    placed = properties_of(Wrapped(tiny("Mamba"), Positions()))
    assert placed.consequence is Consequence.UNDECIDED
    assert any("depends on the position" in other for other in placed.others)


def test_signed_models() -> None:
    fresh = properties_of(signed())
    assert fresh.nonnegative.holds is None  # no word tried flips a sign, and that proves nothing
    assert fresh.consequence is Consequence.UNDECIDED
    turning = with_weights(
        with_weights(signed(), "sign_proj.weight", lambda t: t.normal_()), "sign_proj.bias", torch.zero_
    )
    found = properties_of(turning)
    assert (found.nonnegative.holds, found.fixed_phase.holds) == (False, False)
    assert found.consequence is Consequence.NOT_EXCLUDED
    some = with_weights(
        signed(), "sign_proj.weight", lambda t: t[0].zero_()
    )  # channel 0 keeps its sign, by its weights
    assert properties_of(some).nonnegative.holds is None
    for value, kept in ((2.0, True), (-2.0, False)):
        model = with_weights(signed(), "sign_proj.weight", torch.zero_)
        found = properties_of(with_weights(model, "sign_proj.bias", lambda t, v=value: t.fill_(v)))  # type: ignore[misc]
        assert found.nonnegative.holds is kept


def negative_eigenvalues() -> Any:
    """A Mamba with a mixer of one's own, whose gate is 2 exp(Delta A) - 1; computed by hand, no kernel."""
    from transformers.models.mamba.modeling_mamba import MambaMixer

    class TwiceMinusOne(MambaMixer):
        def forward(self, hidden_states: torch.Tensor, **kwargs: Any) -> torch.Tensor:
            values, z = self.in_proj(hidden_states).chunk(2, -1)
            low, b, c = self.x_proj(values).split([self.time_step_rank, self.ssm_state_size, self.ssm_state_size], -1)
            delta = nn.functional.softplus(self.dt_proj(low))
            h = torch.zeros(*values[:, 0].shape, self.ssm_state_size)
            out = []
            for t in range(values.shape[1]):
                gate = 2 * torch.exp(-delta[:, t, :, None] * self.A_log.exp()) - 1
                h = gate * h + delta[:, t, :, None] * b[:, t, None] * values[:, t, :, None]
                out.append((h * c[:, t, None]).sum(-1))
            result: torch.Tensor = self.out_proj(torch.stack(out, 1) * nn.functional.silu(z))
            return result

    model = tiny("Mamba")
    for number, block in enumerate(model.backbone.layers):
        block.mixer = TwiceMinusOne(model.config, number)
    return with_weights(model, "dt_proj.bias", torch.zero_), TwiceMinusOne


def test_a_subclass_that_computes_something_else_is_not_taken_for_its_base() -> None:
    model, _ = negative_eigenvalues()
    found = properties_of(model)
    assert (found.nonnegative.holds, found.time_invariant.holds) == (None, None)
    assert "TwiceMinusOne overrides forward of MambaMixer" in found.nonnegative.reason
    assert found.consequence is Consequence.UNDECIDED
    patched = tiny("Mamba")
    mixer = patched.backbone.layers[0].mixer
    mixer.forward = lambda hidden, **kwargs: hidden
    assert properties_of(patched).nonnegative.holds is None


def test_own_formulas() -> None:
    model, mixer_class = negative_eigenvalues()

    def reader(mixer: Any) -> BoundGate:
        weight, bias = mixer.dt_proj.weight.detach().double(), mixer.dt_proj.bias.detach().double()
        return BoundGate(
            "Mamba, negative eigenvalues",
            2 * sympy.exp(-softplus(D) * sympy.exp(A)) - 1,
            {D: Drive((weight != 0).any(1), bias)},
            {A: mixer.A_log.detach().double()},
            mixer.dt_proj,
            lambda x, out: {D: out.double()},
        )

    found = properties_of(model, formulas={mixer_class: reader})
    assert (found.nonnegative.holds, found.fixed_phase.holds) == (False, False)
    assert found.consequence is Consequence.NOT_EXCLUDED
    assert found.nonnegative.counterexample is not None
    assert float(found.nonnegative.counterexample.gates[0]) < 0


def test_models_that_cannot_be_read() -> None:
    with pytest.raises(UnknownGateError, match="formulas="):
        properties_of(nn.Sequential(nn.Embedding(3, 4), nn.GRU(4, 4)))
    for suffix in ("A_log", "dt_proj.bias"):
        for value in (math.nan, math.inf):
            broken = with_weights(tiny("Mamba"), suffix, lambda t, v=value: t[0].fill_(v))  # type: ignore[misc]
            with pytest.raises(WeightsError, match="NaN or infinite"):
                properties_of(broken)
