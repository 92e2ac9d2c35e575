"""How the gates of known torch modules are read: their formula, bound to their parameters.

A reader looks at one mixer and says what its class computes as gate: a formula whose constants are the mixer's own
tensors and whose inputs are pre-activations, each with its bias and with the channels whose weights are not all zero.
It also says where the pre-activations can be observed while the model runs.

The formulas, as ``transformers`` 5.17 to 5.23 computes them:

- ``MambaMixer``, ``FalconMambaMixer``, ``JambaMambaMixer``: exp(-softplus(d) exp(A_log)), d = dt_proj(norm(x_proj x));
- ``SignedMambaMixer`` (:mod:`.signed_mamba`): the same times tanh(s), s = sign_proj(x_proj x);
- ``Mamba2Mixer``, ``BambaMixer``, ``Zamba2MambaMixer``, ``NemotronHMamba2Mixer``, ``GraniteMoeHybridMambaLayer``:
  exp(-Delta exp(A_log)), Delta = softplus(d) clamped to time_step_limit, d = in_proj x + dt_bias;
- ``RecurrentGemmaRglru``: exp(-8 sigmoid(r) softplus(recurrent_param)); 0 at position 0;
- ``RwkvSelfAttention``: exp(-exp(time_decay)), of numerator and denominator;
- ``MiniMaxLightningAttention``: exp(-slope_rate).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sympy
import torch
from sympy import Expr, Symbol, exp
from torch import Tensor, nn

from .functions import sigmoid, softplus

A, D, R, S, W, SLOPE, LAMBDA = sympy.symbols("A_log d r s w slope recurrent_param", real=True)

Observed = Callable[[Tensor, Any], dict[Symbol, Tensor]]
"""From what goes into a module and what comes out to pre-activations, (batch, time, channels), float64."""


@dataclass(frozen=True)
class Drive:
    """A pre-activation per channel.

    Attributes:
        driven: whether it depends on the input, bool, shape (channels,). False is certain: the weights are all zero.
        bias: its value where it does not, float64, shape (channels,).
    """

    driven: Tensor
    bias: Tensor


@dataclass(frozen=True)
class BoundGate:
    """The gate of one mixer.

    Attributes:
        family: what it is called.
        formula: the gate, in the symbols of ``inputs`` and ``constants``.
        inputs: the pre-activations.
        constants: float64 tensors of shape (channels, states).
        observe: the module whose first input and output tell the pre-activations.
        observed: how.
        skip: positions at the start of a sequence where the gate is another one.
    """

    family: str
    formula: Expr
    inputs: Mapping[Symbol, Drive]
    constants: Mapping[Symbol, Tensor]
    observe: nn.Module
    observed: Observed = field(default=lambda x, out: {})
    skip: int = 0


Reader = Callable[[Any], BoundGate]


def _wide(tensor: Any) -> Tensor:
    return tensor.detach().double().cpu()


def _bias_of(linear: nn.Linear) -> Tensor:
    return torch.zeros(linear.out_features, dtype=torch.float64) if linear.bias is None else _wide(linear.bias)


def _selective(mixer: Any, signed: bool = False) -> BoundGate:
    """Mamba and its relatives with a low-rank projection to Delta."""
    projections = {D: mixer.dt_proj, **({S: mixer.sign_proj} if signed else {})}
    rank = mixer.dt_proj.weight.shape[1]
    alive = (_wide(mixer.x_proj.weight[:rank]) != 0).any(1)
    norm = getattr(mixer, "dt_layernorm", None)
    low_bias = _bias_of(mixer.x_proj)[:rank]
    if norm is not None and low_bias.any():
        alive = torch.ones_like(alive)  # a norm of a constant and varying entries varies
    inputs = {
        symbol: Drive(((_wide(p.weight) != 0) & alive).any(1), _wide(p.weight) @ low_bias + _bias_of(p))
        for symbol, p in projections.items()
    }

    def observed(x: Tensor, out: Any) -> dict[Symbol, Tensor]:
        low = x.double() @ mixer.x_proj.weight[:rank].detach().double().T + _bias_of(mixer.x_proj)[:rank].to(x.device)
        if norm is not None:
            low = norm(low.to(x.dtype)).double()
        return {s: (low @ p.weight.detach().double().T).cpu() + _bias_of(p) for s, p in projections.items()}

    formula = exp(-softplus(D) * exp(A))
    return BoundGate(
        "signed Mamba (ours)" if signed else "Mamba",
        sympy.tanh(S) * formula if signed else formula,
        inputs,
        {A: _wide(mixer.A_log)},
        mixer.x_proj,
        observed,
    )


def _scalar(mixer: Any) -> BoundGate:
    """Mamba-2: one gate per head, Delta straight from in_proj."""
    heads = mixer.dt_bias.shape[0]
    low, high = (float(v) for v in mixer.time_step_limit)
    delta: Expr = softplus(D)
    if low > 0:
        delta = sympy.Max(delta, sympy.Rational(*low.as_integer_ratio()))
    if not math.isinf(high):
        delta = sympy.Min(delta, sympy.Rational(*high.as_integer_ratio()))
    bias = _wide(mixer.dt_bias) + _bias_of(mixer.in_proj)[-heads:]
    return BoundGate(
        "Mamba-2",
        exp(-delta * exp(A)),
        {D: Drive((_wide(mixer.in_proj.weight[-heads:]) != 0).any(1), bias)},
        {A: _wide(mixer.A_log)[:, None]},
        mixer.in_proj,
        lambda x, out: {D: out[..., -heads:].double().cpu() + _wide(mixer.dt_bias)},
    )


def _rg_lru(mixer: Any) -> BoundGate:
    weight, bias = _wide(mixer.recurrent_gate_weight), _wide(mixer.recurrent_gate_bias)

    def observed(x: Tensor, out: Any) -> dict[Symbol, Tensor]:
        heads = x.double().cpu().unflatten(-1, (weight.shape[0], weight.shape[1]))
        return {R: (torch.einsum("bthi,hij->bthj", heads, weight) + bias).flatten(-2)}

    return BoundGate(
        "RG-LRU (Griffin)",
        exp(-8 * sigmoid(R) * softplus(LAMBDA)),
        {R: Drive((weight != 0).any(1).flatten(), bias.flatten())},
        {LAMBDA: _wide(mixer.recurrent_param)[:, None]},
        mixer,
        observed,
        skip=1,
    )


def _wkv(mixer: Any) -> BoundGate:
    return BoundGate("RWKV-4", exp(-exp(W)), {}, {W: _wide(mixer.time_decay).flatten()[:, None]}, mixer)


def _lightning(mixer: Any) -> BoundGate:
    rate = _wide(mixer.slope_rate).flatten()[:, None]
    return BoundGate("RetNet without rotation", exp(-SLOPE), {}, {SLOPE: rate}, mixer)


def _transformers(name: str, classname: str) -> tuple[str, str]:
    return f"transformers.models.{name}.modeling_{name}", classname


READERS: dict[tuple[str, str], Reader] = {
    _transformers("mamba", "MambaMixer"): _selective,
    _transformers("falcon_mamba", "FalconMambaMixer"): _selective,
    _transformers("jamba", "JambaMambaMixer"): _selective,
    _transformers("mamba2", "Mamba2Mixer"): _scalar,
    _transformers("bamba", "BambaMixer"): _scalar,
    _transformers("zamba2", "Zamba2MambaMixer"): _scalar,
    _transformers("nemotron_h", "NemotronHMamba2Mixer"): _scalar,
    _transformers("granitemoehybrid", "GraniteMoeHybridMambaLayer"): _scalar,
    _transformers("recurrent_gemma", "RecurrentGemmaRglru"): _rg_lru,
    _transformers("rwkv", "RwkvSelfAttention"): _wkv,
    _transformers("minimax", "MiniMaxLightningAttention"): _lightning,
    ("scancraft.models.signed_mamba", "SignedMambaMixer"): lambda mixer: _selective(mixer, signed=True),
}
"""Readers by module and name of the class whose ``forward`` was read."""

HARMLESS = frozenset({"__init__", "__doc__", "__module__", "__qualname__", "extra_repr", "init_mamba_weights"})
"""What a subclass may define without computing anything else."""


def reader_of(module: nn.Module, given: Mapping[type, Reader]) -> tuple[Reader | None, str | None]:
    """The reader of a module, if it is a known mixer, and if it may compute something else, why.

    Args:
        module: any module.
        given: readers of the caller's own classes; they come first.
    """
    for place, cls in enumerate(type(module).__mro__):
        reader = given.get(cls) or READERS.get((cls.__module__, cls.__name__))
        if reader is None:
            continue
        changed = {
            name
            for below in type(module).__mro__[:place]
            for name, value in vars(below).items()
            if callable(value) and name not in HARMLESS
        }
        if "forward" in vars(module) and not hasattr(module, "_hf_hook"):
            changed.add("forward")
        if changed:
            return reader, f"{type(module).__name__} overrides {', '.join(sorted(changed))} of {cls.__name__}"
        return reader, None
    return None, None
