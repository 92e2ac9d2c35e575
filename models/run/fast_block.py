"""One Mamba block, one token at batch size 1, as lists of prepared operations, for ``models.single_step``.

The operations are those of ``transformers``' single-token step with a cache, in the same order, on tensors of the same
shapes and strides, so that each rounds alike; they write to buffers that are allocated once. numpy multiplies and adds
where both are float32 or float64 (one correctly rounded operation is the same in any library, and numpy's costs a third
of torch's); sums, matrix products and functions are torch's own.

Strides matter: torch evaluates ``silu`` of a strided tensor element by element and of a contiguous one in vectors, and
the two may differ in the last bit. Comments say where a buffer is strided for that reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Operation = Callable[[], object]
ConvRule = Literal["fused", "separate", "own"]
"""How the convolution's taps are summed: multiply-adds that round once, multiplications and additions, or torch's own
``conv1d`` (exact by definition, and ten times as slow)."""

CONV_RULES: tuple[ConvRule, ...] = ("fused", "separate", "own")

_NUMPY = (torch.float32, torch.float64)
_nn: Any = torch._C._nn  # where torch.nn.functional finds silu and softplus; these take out=


def padded(size: int) -> int:
    """A multiple of 64, so that vectors of any width leave no rest (which torch would round one by one)."""
    return -(-size // 64) * 64


@dataclass(eq=False, slots=True)
class Lane:
    """A block's operations for one place in a periodic word, with the results that they leave behind.

    Attributes:
        prepare: per position in the ring of the convolution's inputs: from the residual stream to gates and writes.
        keep: per position: puts the input of the convolution, as last prepared, into the ring.
        advance: the SSM state after the token.
        output: the residual stream after the block.
        stream: what goes in, seen as numpy bytes.
        gate: exp(Delta A), shape (d_inner, d_state), float32.
        write: Delta B x, likewise.
        seen: the bytes of the stream when it was last prepared; None for never.
        state: the bytes of the SSM state when the output was last computed from these gates; None for never.
    """

    prepare: tuple[tuple[Operation, ...], ...]
    keep: tuple[Operation, ...]
    advance: tuple[Operation, ...]
    output: tuple[Operation, ...]
    stream: NDArray[np.uint8]
    gate: NDArray[np.float32]
    write: NDArray[np.float32]
    seen: bytes | None = None
    state: bytes | None = None


class FastBlock:
    """A block's weights, and where its recurrent state lives.

    Args:
        block: a ``transformers`` ``MambaBlock`` on the CPU.
        h: the SSM state, shape (1, d_inner, d_state), float32.
        ring: the last inputs of the convolution, shape (taps, padded d_inner), float32 (float64 in a float64 model),
            zero beyond d_inner.
        conv: how to sum the taps.
    """

    def __init__(self, block: Any, h: Tensor, ring: Tensor, conv: ConvRule) -> None:
        mixer = block.mixer
        self.block, self.mixer, self.h, self.ring, self.conv = block, mixer, h, ring, conv
        self.dtype: torch.dtype = mixer.in_proj.weight.dtype
        self.channels, self.taps, self.states, self.rank = sizes(block)
        self.position = 0
        """The row of the ring that is written next, and so the oldest input."""
        self._rows = [ring[k, : self.channels] for k in range(self.taps)]
        weight = torch.zeros_like(ring)
        weight[:, : self.channels] = mixer.conv1d.weight.detach()[:, 0, :].t()
        bias = torch.zeros_like(ring[0])
        if mixer.conv1d.bias is not None:
            bias[: self.channels] = mixer.conv1d.bias.detach()
        self._taps, self._bias = [weight[k] for k in range(self.taps)], bias
        self._rate = -torch.exp(mixer.A_log.detach().float())

        self.h_bytes: Callable[[], bytes] = h.numpy().tobytes

    def lane(self, stream: Tensor, result: Tensor) -> Lane:
        """Operations that read ``stream`` and write ``result``, both of shape (1, d_model). Allocates buffers."""
        dtype, di, n, rank = self.dtype, self.channels, self.states, self.rank
        width = stream.shape[1]
        mixer = self.mixer

        def new(*shape: int, kind: torch.dtype = dtype) -> Tensor:
            return torch.empty(*shape, dtype=kind)

        # RMSNorm in float32, then the projection.
        head = _Operations()
        narrow = head.cast(stream, dtype)
        wide = head.cast(narrow, torch.float32)
        square, mean, normed = (torch.empty_like(wide), new(1, 1, kind=torch.float32), torch.empty_like(wide))
        head.multiply(wide, wide, square)
        head.call(torch.sum, square, -1, True, out=mean)
        numpy_mean = mean.numpy()
        head.call(np.divide, numpy_mean, np.float32(width), numpy_mean)
        head.call(np.add, numpy_mean, np.float32(self.block.norm.variance_epsilon), numpy_mean)
        head.call(torch.rsqrt, mean, out=mean)
        head.multiply(wide, mean, normed)
        normed = head.cast(normed, dtype)
        scaled = torch.empty_like(normed)
        head.multiply(self.block.norm.weight.detach()[None], normed, scaled)
        projected = new(1, 2 * di)
        head.linear(scaled, mixer.in_proj, projected)

        # Convolution; transformers keeps the last of two columns, so its activation sees a stride of 2.
        keep, convs = [], []
        column = new(di, 2)[:, 1]
        for position in range(self.taps):
            row = _Operations()
            row.put(projected[0, :di], self._rows[position])
            keep.append(row.only())
            convs.append((*row, *self._convolve(position, column)))
        tail = _Operations()
        x = new(1, di)
        tail.activate(mixer, column, x[0])

        # What the token selects: Delta, B and C; the gate exp(Delta A) and the write (Delta B) x, in float32.
        selected, delta, step = new(1, rank + 2 * n), new(1, di), new(1, di)
        tail.call(torch.mm, x, mixer.x_proj.weight.detach().t(), out=selected)
        tail.call(torch.mm, selected[:, :rank], mixer.dt_proj.weight.detach().t(), out=delta)
        tail.add(delta, mixer.dt_proj.bias.detach().float().to(dtype)[None], delta)
        tail.call(_nn.softplus, delta, out=step)
        wide_step = tail.cast(step, torch.float32)
        wide_b = tail.cast(selected[:, rank : rank + n], torch.float32)
        wide_x = tail.cast(x, torch.float32)
        gate, write = new(di, n, kind=torch.float32), new(di, n, kind=torch.float32)
        tail.multiply(wide_step.view(di, 1), self._rate, gate)
        tail.call(torch.exp, gate, out=gate)
        tail.multiply(wide_step.view(di, 1), wide_b, write)
        tail.multiply(write, wide_x.view(di, 1), write)
        skip, through = new(1, di), new(1, di)
        tail.multiply(x, mixer.D.detach()[None], skip)
        tail.call(_nn.silu, projected[:, di:], out=through)

        advance = _Operations()
        state = self.h.numpy()[0]
        advance.call(np.multiply, state, gate.numpy(), state)
        advance.call(np.add, state, write.numpy(), state)

        output = _Operations()
        h = output.cast(self.h, dtype)
        read = new(1, di, 1)
        flat, out = read.view(1, di), new(1, width)
        output.call(torch.bmm, h, selected[:, rank + n :].unsqueeze(-1), out=read)
        output.add(flat, skip, flat)
        output.multiply(flat, through, flat)
        output.linear(flat, mixer.out_proj, out)
        kept = output.cast(stream, torch.float32) if self.block.residual_in_fp32 else stream
        output.add(kept, out, result)
        return Lane(
            tuple((*head, *conv, *tail) for conv in convs),
            tuple(keep),
            tuple(advance),
            tuple(output),
            stream.view(torch.uint8).numpy(),
            gate.numpy(),
            write.numpy(),
        )

    def _convolve(self, position: int, column: Tensor) -> _Operations:
        """Sum the taps once the newest input is in row ``position``."""
        ops = _Operations()
        rows = [self.ring[(position + 1 + k) % self.taps] for k in range(self.taps)]  # the oldest first
        if self.conv == "own":
            window = torch.zeros(1, self.channels, self.taps + 1, dtype=self.dtype)
            for k, row in enumerate(rows):
                ops.put(row[: self.channels], window[0, :, 1 + k])
            ops.call(_own_conv, self.mixer, window, column)
            return ops
        total = torch.empty_like(self._bias)
        product = torch.empty_like(total)
        before = self._bias
        for tap, row in zip(self._taps, rows, strict=True):
            if self.conv == "fused":
                ops.call(torch.addcmul, before, tap, row, out=total)
            else:
                ops.multiply(tap, row, product)
                ops.add(before, product, total)
            before = total
        ops.put(total[: self.channels], column)
        return ops


class _Operations(list[Operation]):
    """Operations in order; each method adds one, chosen by dtypes once and for all."""

    def call(self, function: Callable[..., object], *arguments: Any, **names: Any) -> None:
        self.append(partial(function, *arguments, **names))

    def only(self) -> Operation:
        (operation,) = self
        return operation

    def multiply(self, a: Tensor, b: Tensor, out: Tensor) -> None:
        self._elementwise(np.multiply, torch.mul, a, b, out)

    def add(self, a: Tensor, b: Tensor, out: Tensor) -> None:
        self._elementwise(np.add, torch.add, a, b, out)

    def _elementwise(self, fast: Any, general: Any, a: Tensor, b: Tensor, out: Tensor) -> None:
        if a.dtype == b.dtype == out.dtype and out.dtype in _NUMPY:
            self.call(fast, a.numpy(), b.numpy(), out.numpy())
        else:
            self.call(general, a, b, out=out)

    def put(self, source: Tensor, target: Tensor) -> None:
        if source.dtype == target.dtype and target.dtype in _NUMPY:
            self.call(np.copyto, target.numpy(), source.numpy())
        else:
            self.call(target.copy_, source)

    def cast(self, source: Tensor, dtype: torch.dtype) -> Tensor:
        """The same numbers in another dtype; no operation if they are in it already."""
        if source.dtype == dtype:
            return source
        target = torch.empty(source.shape, dtype=dtype)
        self.put(source, target)
        return target

    def linear(self, x: Tensor, layer: Any, out: Tensor) -> None:
        weight = layer.weight.detach().t()
        if layer.bias is None:
            self.call(torch.mm, x, weight, out=out)
        else:
            self.call(torch.addmm, layer.bias.detach(), x, weight, out=out)

    def activate(self, mixer: Any, x: Tensor, out: Tensor) -> None:
        if mixer.activation in ("silu", "swish"):
            self.call(_nn.silu, x, out=out)
        else:
            self.call(_own_activation, mixer.act, x, out)


def _own_activation(act: Callable[[Tensor], Tensor], x: Tensor, out: Tensor) -> None:
    out.copy_(act(x[None, :, None])[0, :, 0])


def _own_conv(mixer: Any, window: Tensor, column: Tensor) -> None:
    column.copy_(convolved(mixer, window))


def convolved(mixer: Any, window: Tensor) -> Tensor:
    """What torch's own convolution gives for the newest input, shape (channels,); window (1, channels, taps + 1)."""
    conv = mixer.conv1d
    return torch.nn.functional.conv1d(window, conv.weight, conv.bias, groups=window.shape[1])[0, :, -1]


def sizes(block: Any) -> tuple[int, int, int, int]:
    """Channels, taps, states per channel, and the rank of Delta."""
    mixer = block.mixer
    return mixer.intermediate_size, mixer.conv_kernel_size, mixer.ssm_state_size, mixer.time_step_rank


TRIALS = 64


def conv_rule(block: Any) -> ConvRule:
    """The fastest way to sum the taps that agrees with torch's own convolution, bit for bit, on random inputs.

    Whether a product is rounded before it is added shows in one output in five, so that thousands of outputs decide.
    """
    channels, taps, states, _ = sizes(block)
    dtype = block.mixer.in_proj.weight.dtype
    random = torch.Generator().manual_seed(0)
    scales = 2.0 ** torch.tensor([-140, -20, -6, -1, 0, 1, 6, 20])[torch.arange(TRIALS) % 8]
    rounds = (torch.randn(TRIALS, channels, taps, generator=random) * scales[:, None, None]).to(dtype).nan_to_num()
    for rule in CONV_RULES:
        ring = torch.zeros(taps, padded(channels), dtype=ring_dtype(dtype))
        fast = FastBlock(block, torch.zeros(1, channels, states), ring, rule)
        column = torch.empty(channels, 2, dtype=dtype)[:, 1]
        operations = fast._convolve(taps - 1, column)  # row k then holds tap k
        agrees = True
        for window in rounds:
            ring[:, :channels] = window.t()
            for operation in operations:
                operation()
            whole = torch.cat([torch.zeros(channels, 1, dtype=dtype), window], dim=1)[None]
            agrees = agrees and torch.equal(column, convolved(block.mixer, whole))
        if agrees:
            return rule
    raise AssertionError("torch's convolution differs from itself; please report this")


def ring_dtype(dtype: torch.dtype) -> torch.dtype:
    """In which the inputs of the convolution are kept: products of two 16-bit floats are exact in float32."""
    return torch.promote_types(dtype, torch.float32)
