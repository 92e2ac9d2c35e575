"""What a block computes, a line per formula, over any arithmetic: floats, intervals (``models.arithmetic``) or others.

Arrays have the time first and the features last; what lies between (a batch, or nothing) is up to whoever calls. A
block reads a stretch of time after what it remembers of earlier ones, and returns what it remembers then.

    r       residual stream, d_model numbers
    u, z    input of the convolution, and gate of the output; d_inner numbers
    x       activated convolution
    dt      bottleneck of the step size;  B, C   what is written where, and read from where
    h       SSM state: d_state numbers for each channel

Sources: Gu and Dao 2023, arXiv 2312.00752 (Mamba); Zuo et al. 2024, arXiv 2410.05355 (Falcon-Mamba); Grazzi et al.
2024, arXiv 2411.12537 (signs); Dao and Gu 2024, arXiv 2405.21060 (Mamba-2). ``models.delta_net`` has Gated DeltaNet.
These blocks say what the formulas are, and ``scancraft train`` trains through them. Where the bits of one
implementation are what is judged, its own module is run (``models.run.stepper``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")

Seen = Callable[[str, Any], Any]
"""Shown a named array of a scan ("step" and "y" of all times, "state" at each in turn); what it returns is used."""


class Arithmetic(Protocol[T]):
    """Numbers of some kind, in arrays ``T`` that can be sliced, added and multiplied entry by entry (broadcast)."""

    def linear(self, weight: T, x: T, bias: T | None = None) -> T:
        """X W^T + b, over the last axis."""
        ...

    def rms(self, v: T, epsilon: float) -> T:
        """V / sqrt(mean(v^2) + epsilon), over the last axis."""
        ...

    def silu(self, v: T) -> T:
        """V / (1 + e^-v)."""
        ...

    def softplus(self, v: T) -> T:
        """log(1 + e^v)."""
        ...

    def exp(self, v: T) -> T:
        """e^v."""
        ...

    def tanh(self, v: T) -> T:
        """The hyperbolic tangent."""
        ...

    def sigmoid(self, v: T) -> T:
        """1 / (1 + e^-v)."""
        ...

    def unit(self, v: T, epsilon: float) -> T:
        """V / sqrt(sum(v^2) + epsilon), over the last axis."""
        ...

    def dot(self, a: T, b: T) -> T:
        """The sum of the products, over the last axis."""
        ...

    def join(self, *parts: T) -> T:
        """Arrays one after the other in time."""
        ...

    def steps(self, v: T) -> Sequence[T]:
        """What an array is at each time."""
        ...

    def stack(self, steps: Sequence[T]) -> T:
        """The array that is this at each time."""
        ...

    def remembered(self, delta: T, rate: T, written: Callable[[T], T], sign: T | None, state: T, seen: Seen) -> T:
        """All h <- sign e^(-delta rate) h + written(delta), from a state on, shape (time, ...).

        Args:
            delta: with ones for axes that the state has and Delta has not.
            rate: -A.
            written: Delta B x, from Delta.
            sign: of the gates; None if they have none.
            state: before the first time.
            seen: is shown each state, and may replace it.
        """
        ...


@dataclass(frozen=True)
class Memory(Generic[T]):
    """What a block remembers.

    Attributes:
        inputs: the last inputs of the convolution, shape (taps - 1, ..., channels), oldest first.
        state: h, shape (..., channels, d_state); (..., heads, head_dim, d_state) in Mamba-2.
    """

    inputs: T
    state: T


def mamba(
    a: Arithmetic[Any], w: Mapping[str, Any], r: Any, memory: Memory[Any], epsilon: float
) -> tuple[Any, Memory[Any]]:
    """A block of Mamba, of Falcon-Mamba (with ``rms_epsilon`` among the weights), or signed (with ``sign_proj``).

    Args:
        a: the arithmetic.
        w: the parameters by their names inside the block.
        r: the residual stream, shape (time, ..., d_model).
        memory: what came before.
        epsilon: of the norm.

    Returns:
        The residual stream after the block, and what it remembers.
    """
    channels, states = w["mixer.A_log"].shape
    u_z = a.linear(w["mixer.in_proj.weight"], a.rms(r, epsilon) * w["norm.weight"])
    u, z = u_z[..., :channels], u_z[..., channels:]
    x, inputs = convolved(a, w["mixer.conv1d.weight"], w["mixer.conv1d.bias"], u, memory.inputs)
    selected = a.linear(w["mixer.x_proj.weight"], x)
    dt, b, c = selected[..., : -2 * states], selected[..., -2 * states : -states], selected[..., -states:]
    if "rms_epsilon" in w:
        dt, b, c = (a.rms(v, w["rms_epsilon"]) for v in (dt, b, c))
    step = a.linear(w["mixer.dt_proj.weight"], dt, w["mixer.dt_proj.bias"])
    turn = None
    if "mixer.sign_proj.weight" in w:
        turn = a.linear(w["mixer.sign_proj.weight"], dt, w["mixer.sign_proj.bias"])
    y, h = selective_scan(a, w, x, Selected(step, b, c, turn), memory.state)
    return r + a.linear(w["mixer.out_proj.weight"], y * a.silu(z)), Memory(inputs, h)


@dataclass(frozen=True)
class Selected(Generic[T]):
    """What a block has selected by its input.

    Attributes:
        step: Delta before softplus, shape (time, ..., channels); (time, ..., heads) in Mamba-2.
        b: shape (time, ..., d_state).
        c: shape (time, ..., d_state).
        turn: of a signed block: the sign of the gate before tanh, shape (time, ..., channels).
    """

    step: T
    b: T
    c: T
    turn: T | None = None


def as_it_is(_: str, value: Any) -> Any:
    """Nobody looks."""
    return value


def selective_scan(
    a: Arithmetic[Any], w: Mapping[str, Any], x: Any, selected: Selected[Any], state: Any, seen: Seen = as_it_is
) -> tuple[Any, Any]:
    """From the activated convolution x to y = C h + D x, before the gate of the output, and the last state.

    Args:
        a: the arithmetic.
        w: the parameters by their names inside the block.
        x: shape (time, ..., channels).
        selected: what the block has selected.
        state: h before the first time, shape (..., channels, d_state).
        seen: is shown Delta, each state and y, and may replace them.
    """
    delta, rate = seen("step", a.softplus(selected.step)), a.exp(w["mixer.A_log"])
    sign = None if selected.turn is None else a.tanh(selected.turn)[..., None]

    def written(step: Any) -> Any:
        return step * selected.b[..., None, :] * x[..., None]

    h = a.remembered(delta[..., None], rate, written, sign, state, seen)
    return seen("y", a.dot(h, selected.c[..., None, :]) + w["mixer.D"] * x), h[-1]


def mamba2(
    a: Arithmetic[Any], w: Mapping[str, Any], r: Any, memory: Memory[Any], epsilon: float
) -> tuple[Any, Memory[Any]]:
    """A block of Mamba-2 with one group of B and C; arguments and result as those of :func:`mamba`."""
    heads, inner = w["mixer.A_log"].shape[0], w["mixer.norm.weight"].shape[0]
    states, size = memory.state.shape[-1], inner // heads
    projected = a.linear(w["mixer.in_proj.weight"], a.rms(r, epsilon) * w["norm.weight"])
    z, xbc, dt = projected[..., :inner], projected[..., inner:-heads], projected[..., -heads:]
    seen_xbc, inputs = convolved(a, w["mixer.conv1d.weight"], w["mixer.conv1d.bias"], xbc, memory.inputs)
    x, b, c = seen_xbc[..., :inner], seen_xbc[..., inner:-states], seen_xbc[..., -states:]
    x = x.reshape(*x.shape[:-1], heads, size)
    y, h = selective_scan_of_heads(a, w, x, Selected(dt + w["mixer.dt_bias"], b, c), memory.state)
    gated = y.reshape(z.shape) * a.silu(z)
    out = a.linear(w["mixer.out_proj.weight"], a.rms(gated, epsilon) * w["mixer.norm.weight"])
    return r + out, Memory(inputs, h)


def selective_scan_of_heads(
    a: Arithmetic[Any], w: Mapping[str, Any], x: Any, selected: Selected[Any], state: Any, seen: Seen = as_it_is
) -> tuple[Any, Any]:
    """The same of Mamba-2: x has shape (time, ..., heads, head_dim), and so has y."""
    delta, rate = seen("step", a.softplus(selected.step)), a.exp(w["mixer.A_log"])

    def written(step: Any) -> Any:
        return step * x[..., None] * selected.b[..., None, None, :]

    h = a.remembered(delta[..., None, None], rate[..., None, None], written, None, state, seen)
    return seen("y", a.dot(h, selected.c[..., None, None, :]) + w["mixer.D"][..., None] * x), h[-1]


def convolved(a: Arithmetic[Any], taps: Any, bias: Any, u: Any, past: Any) -> tuple[Any, Any]:
    """silu of the taps' sum (and a bias, if there is one), and the last inputs.

    Args:
        a: the arithmetic.
        taps: shape (channels, 1, taps).
        bias: shape (channels,), or None.
        u: shape (time, ..., channels).
        past: the inputs before, shape (taps - 1, ..., channels).
    """
    wide, time, count = a.join(past, u), u.shape[0], taps.shape[-1]
    total = taps[:, 0, 0] * wide[:time]
    total = total if bias is None else bias + total
    for k in range(1, count):
        total = total + taps[:, 0, k] * wide[k : k + time]
    return a.silu(total), wide[time:]
