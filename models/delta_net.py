"""What a Gated DeltaNet layer of OLMo Hybrid computes, a line per formula, over any arithmetic (``models.block``).

    q, k, v   query, key and value of each head: three convolutions of the normed stream, and silu
    S         what a head remembers: value_dim vectors of the keys' dimension, shape (..., heads, value_dim, d_state)

    S <- alpha S,   S <- S + beta (v - S k) k^T,   o = S q

so S <- alpha S (I - beta k k^T) + beta v k^T, with alpha in (0, 1) and beta in (0, 2). A key has length one, so beta =
1 forgets what stood under it, and beta = 2 is a reflection. (``transformers`` keeps the transposed matrix.)

Sources: Yang, Kautz and Hatamizadeh 2024, arXiv 2412.06464; Grazzi et al. 2024, arXiv 2411.12537 (beta up to 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .block import Arithmetic, Memory, Seen, as_it_is, convolved

LENGTH_EPSILON, NORM_EPSILON = 1e-06, 1e-05
"""Of the length of keys and queries, and of the norm of what a head puts out; both are fixed in the class."""


def olmo_hybrid(
    a: Arithmetic[Any], w: Mapping[str, Any], r: Any, memory: Memory[Any], epsilon: float, seen: Seen = as_it_is
) -> tuple[Any, Memory[Any]]:
    """A Gated DeltaNet layer, and the SwiGLU behind it.

    Args:
        a: the arithmetic.
        w: the parameters by their names inside the block.
        r: the residual stream, shape (time, ..., d_model).
        memory: what came before: the last inputs of the convolutions of q, k and v, as a tuple, and S.
        epsilon: of the norms of the stream.
        seen: is shown alpha, beta, S after each step and o, and may replace them.

    Returns:
        The residual stream after the block, and what it remembers.
    """
    mixed, after = gated_delta_net(a, w, a.rms(r, epsilon) * w["input_layernorm.weight"], memory, seen)
    r = r + mixed
    return r + swiglu(a, w, a.rms(r, epsilon) * w["post_attention_layernorm.weight"]), after


def gated_delta_net(
    a: Arithmetic[Any], w: Mapping[str, Any], u: Any, memory: Memory[Any], seen: Seen = as_it_is
) -> tuple[Any, Memory[Any]]:
    """What a layer's heads add to the stream, from the normed stream u, shape (time, ..., d_model); see above."""
    heads, size = w["linear_attn.A_log"].shape[0], w["linear_attn.o_norm.weight"].shape[0]
    keys = memory.state.shape[-1]
    q, k, v, inputs = _convolved(a, w, u, memory.inputs)
    query, key = (a.unit(x.reshape(*x.shape[:-1], heads, keys), LENGTH_EPSILON) for x in (q, k))
    value = v.reshape(*v.shape[:-1], heads, size)
    beta = seen("beta", 2.0 * a.sigmoid(a.linear(w["linear_attn.b_proj.weight"], u)))
    step = a.softplus(a.linear(w["linear_attn.a_proj.weight"], u) + w["linear_attn.dt_bias"])
    alpha = seen("alpha", a.exp(-1 * (a.exp(w["linear_attn.A_log"]) * step)))
    o, state = delta_rule(a, alpha, beta, key, value, keys**-0.5 * query, memory.state, seen)
    gate = a.linear(w["linear_attn.g_proj.weight"], u)
    gated = a.rms(o, NORM_EPSILON) * w["linear_attn.o_norm.weight"] * a.silu(gate.reshape(o.shape))
    return a.linear(w["linear_attn.o_proj.weight"], gated.reshape(gate.shape)), Memory(inputs, state)


def delta_rule(
    a: Arithmetic[Any], alpha: Any, beta: Any, key: Any, value: Any, query: Any, state: Any, seen: Seen = as_it_is
) -> tuple[Any, Any]:
    """The recurrence.

    Args:
        a: the arithmetic.
        alpha: shape (time, ..., heads).
        beta: of that shape.
        key: shape (time, ..., heads, d_state).
        value: shape (time, ..., heads, value_dim).
        query: as key.
        state: S before the first step.
        seen: as of :func:`olmo_hybrid`.

    Returns:
        o, shape (time, ..., heads, value_dim), and S after the last step.
    """
    read = []
    for gate, rate, k, v, q in zip(*map(a.steps, (alpha, beta, key, value, query)), strict=True):
        state = gate[..., None, None] * state
        change = rate[..., None] * (v + -1 * a.dot(state, k[..., None, :]))
        state = seen("state", state + change[..., None] * k[..., None, :])
        read.append(a.dot(state, q[..., None, :]))
    return seen("o", a.stack(read)), state


def swiglu(a: Arithmetic[Any], w: Mapping[str, Any], u: Any) -> Any:
    """What the units add to the stream, from the normed stream."""
    product = a.silu(a.linear(w["mlp.gate_proj.weight"], u)) * a.linear(w["mlp.up_proj.weight"], u)
    return a.linear(w["mlp.down_proj.weight"], product)


def _convolved(a: Arithmetic[Any], w: Mapping[str, Any], u: Any, past: Any) -> tuple[Any, Any, Any, Any]:
    """q, k and v, and the last inputs of their convolutions."""
    found, inputs, first = [], [], 0
    for name, before in zip("qkv", past, strict=True):
        weight = w[f"linear_attn.{name}_proj.weight"]
        taps = w["linear_attn.conv1d.weight"][first : first + weight.shape[0]]
        x, after = convolved(a, taps, None, a.linear(weight, u), before)
        found.append(x)
        inputs.append(after)
        first += weight.shape[0]
    q, k, v = found
    return q, k, v, tuple(inputs)
