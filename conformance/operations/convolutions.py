"""Causal depthwise convolutions with silu or without, whole and by steps.

The lines of a probe's block (of x, B and C) are the channels. What a line reads is scaled by a power of two of either
sign, its taps by T = 1024 over the same, its bias by T: silu of T k is T k or, below 0, 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..case import Floats, Ints
from ..probes.kinds.kind import T
from ..probes.posed import Posed
from ..probes.probe import Channel, Probe, summed
from ..probes.sets import simple_probes
from .operation import Called, Operation, OperationCase, case_of, filled
from .scans import BY_STEPS, tensor, uneven

Cache = tuple[Tensor, Any]


@dataclass(frozen=True, eq=False)
class Convolved:
    """The lines of a probe's block as a convolution.

    Attributes:
        probe: the program.
        activation: "silu" or None.
        bias: whether there is one.
    """

    probe: Probe
    activation: str | None = "silu"
    bias: bool = True

    @cached_property
    def channels(self) -> tuple[Channel, ...]:
        """A line each, to a multiple of 8."""
        (block,) = self.probe.blocks
        lines = [*((channel.meaning, channel.x) for channel in block.channels)]
        if block.remembers:
            for part, of in (("B", block.b), ("C", block.c)):
                lines += [(f"{part}_{n}", line) for n, line in enumerate(of)]
        taps = f"conv1d.weight, {self.probe.d_conv} taps, and conv1d.bias"
        kept = [(meaning, line) for meaning, line in lines if self.bias or not line.bias]
        return filled((Channel(meaning, meaning, taps, line) for meaning, line in kept), 8)

    def _sums(self, ids: Ints) -> tuple[Ints, Ints]:
        return summed([channel.x for channel in self.channels], self.probe.embedding()[ids], self.probe)

    def owed(self, ids: Ints) -> Floats:
        """The outputs, shape (batch, time, channels), float64."""
        total = self._sums(ids)[1]
        return np.asarray(T * (np.maximum(total, 0) if self.activation else total))

    def inputs(self, ids: Ints) -> Tensor:
        """Shape (batch, time, channels), float32."""
        return tensor(self._sums(ids)[0] * uneven(len(self.channels)))

    @cached_property
    def weight(self) -> Tensor:
        """The taps, shape (channels, d_conv), float32."""
        found = np.zeros((len(self.channels), self.probe.d_conv))
        for row, channel in zip(found, self.channels, strict=True):
            row[self.probe.d_conv - len(channel.x.taps) :] = channel.x.taps
        return tensor(T * found / uneven(len(self.channels))[:, None])

    @cached_property
    def offset(self) -> Tensor | None:
        """The bias, shape (channels,), float32."""
        return tensor([T * channel.x.bias for channel in self.channels]) if self.bias else None


class _Convolving(Called):
    given: Convolved

    def arguments(self) -> tuple[Tensor | None, ...]:
        return self.on_device(self.given.weight), self.on_device(self.given.offset)

    def inputs(self, ids: Tensor) -> Tensor:
        """Shape (batch, channels, time), the channels next to each other, as the package wants it where there are
        states or documents."""
        return self.given.inputs(ids.numpy()).to(self.device).transpose(1, 2)


class _Convolution(_Convolving):
    """``causal_conv1d_fn``."""

    def __init__(self, function: Callable[..., Any], given: Convolved) -> None:
        super().__init__(function, given)
        if {"return_final_states", "initial_states"} <= self.names:
            self.prefill, self.step, self.extend = self._prefill, self._extend, self._extend
        if "seq_idx" in self.names:
            self.packed = self._packed

    def __call__(self, ids: Tensor) -> Tensor:
        out: Tensor = self._run(self.inputs(ids).contiguous())
        return out.transpose(1, 2)

    def _prefill(self, ids: Tensor) -> tuple[Tensor, Any]:
        out, state = self._run(self.inputs(ids), return_final_states=True)
        return out.transpose(1, 2), state

    def _extend(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        out, state = self._run(self.inputs(ids), initial_states=state, return_final_states=True)
        return out.transpose(1, 2), state

    def _packed(self, ids: Tensor, lengths: Sequence[int]) -> Tensor:
        which = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))[None].int()
        out: Tensor = self._run(self.inputs(ids), seq_idx=self.on_device(which))
        return out.transpose(1, 2)

    def _run(self, x: Tensor, **more: Any) -> Any:
        weight, bias = self.arguments()
        return self.function(x, weight, bias=bias, activation=self.given.activation, **more)


class _ConvolutionUpdate(_Convolving):
    """``causal_conv1d_update``: into the state that is given, of d_conv - 1 inputs."""

    def __call__(self, ids: Tensor) -> Tensor:
        return self.prefill(ids)[0]

    def prefill(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        size = (len(ids), len(self.given.channels), self.given.probe.d_conv - 1)
        return self.extend(ids, torch.zeros(size, device=self.device))

    def extend(self, ids: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        weight, bias = self.arguments()
        x = self.inputs(ids).contiguous()
        out: Tensor = self.function(x, state, weight, bias=bias, activation=self.given.activation)
        return out.transpose(1, 2), state

    step = extend

    def fork(self, state: Tensor) -> Tensor:
        return state.clone()


def _given(posed: Posed, activation: str | None = "silu", bias: bool = True) -> Convolved:
    assert isinstance(posed.probe, Probe)
    return Convolved(posed.probe, activation, bias)


def _cases(quick: bool) -> tuple[OperationCase, ...]:
    del quick
    posed = {p.name: p for p in simple_probes()}
    some = [p for name, p in posed.items() if name.startswith(("taps", "entries", "gates", "registers"))]
    odd = [
        case_of(posed[name], _given(posed[name], activation, bias), f"{name}, {what}")
        for what, activation, bias in (("without silu", None, True), ("without a bias", "silu", False))
        for name in ("taps-2", "taps-4")
    ]
    return (*(case_of(p, _given(p)) for p in some), *odd)


CONVOLUTION = Operation(
    "causal_conv1d_fn(x, weight, bias=None, seq_idx=None, initial_states=None, return_final_states=False, "
    "activation=None)",
    _Convolution,
    (*BY_STEPS, "packed"),
    _cases,
)
CONVOLUTION_UPDATE = Operation(
    "causal_conv1d_update(x, conv_state, weight, bias=None, activation=None), x of shape (batch, dim, seqlen)",
    _ConvolutionUpdate,
    (*BY_STEPS, "forked"),
    _cases,
)
