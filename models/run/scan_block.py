"""One Mamba block, signed or not, on packed tokens.

Tensors are (features, tokens), the tokens in the order of :class:`Layout`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import silu, softplus

from .chunked import Layout, scan
from .scan_parts import find_parts


@dataclass(frozen=True)
class Numbers:
    """Number formats and constants of a model.

    Attributes:
        weights: dtype of the weights and activations.
        residual: dtype of the residual stream between blocks.
        eps: of RMSNorm.
        d_model: width of the residual stream, the divisor of RMSNorm, however many dimensions are kept.
    """

    weights: torch.dtype
    residual: torch.dtype
    eps: float
    d_model: int

    @property
    def sums(self) -> torch.dtype:
        """dtype in which sums are taken before they are rounded to ``weights``: at least float32."""
        return torch.promote_types(self.weights, torch.float32)


@dataclass(frozen=True, eq=False)
class Carry:
    """What a block remembers between pieces.

    Attributes:
        inputs: the last inputs of the convolution, shape (channels, taps - 1, batch).
        states: shape (cells * spots, batch).
    """

    inputs: Tensor
    states: Tensor


class NormedProduct:
    """RMSNorm, then a matrix. Weights of the norm that are powers of two are multiplied into the matrix.

    That changes no bit of the result: a power of two moves the exponent of each product, before or after.

    Args:
        weight: of the norm.
        matrix: what comes after it.
        numbers: the model's number formats.
        seen: the dtype in which the norm sees the residual stream.
    """

    def __init__(self, weight: Tensor, matrix: Tensor, numbers: Numbers, seen: torch.dtype) -> None:
        product = weight * matrix
        mantissas = torch.frexp(weight.double()).mantissa.abs()
        exact = torch.equal(product.double(), weight.double() * matrix.double())
        foldable = exact and bool(((mantissas == 0.5) | (mantissas == 0)).all())
        self.weight = None if foldable else weight[:, None]
        self.matrix = product if foldable else matrix
        self.numbers, self.seen = numbers, seen

    def norm(self, stream: Tensor) -> Tensor:
        """What ``matrix`` is to be multiplied with, from the residual stream; dtype of the weights."""
        x = stream.to(self.seen).float()  # transformers norms in float32, whatever the dtype
        scale = x.square().sum(0).div_(self.numbers.d_model).add_(self.numbers.eps).rsqrt_()
        normed = (x * scale).to(self.seen)
        return (normed if self.weight is None else normed * self.weight).to(self.numbers.weights)


class Block:
    """One block, without the parts of it that do nothing (``models.run.scan_parts``).

    Args:
        weights: its parameters by their names inside the block, in the dtype of the model.
        live: which residual dimensions can differ from zero, shape (d_model,); the others are left out.
        watched: (channel, state) of the entries whose values are wanted; the block's states are then float64.
        numbers: the model's number formats.
    """

    def __init__(
        self, weights: Mapping[str, Tensor], live: Tensor, watched: Sequence[tuple[int, int]], numbers: Numbers
    ) -> None:
        w = {name.removeprefix("mixer."): tensor for name, tensor in weights.items()}
        parts = self.parts = find_parts(w, live, watched)
        self.numbers, first, out, n = numbers, parts.first, parts.out, parts.cells
        self.idle = not len(out) and not watched
        # A float64 scan does not round the counters, in whatever order chunks are put together.
        self.memory = torch.float64 if watched else numbers.sums

        channels, states = w["A_log"].shape
        entering = torch.cat([first, channels + out])
        enter = w["in_proj.weight"][:, live][entering]
        self.enter = NormedProduct(w["norm.weight"][live], enter, numbers, numbers.weights)
        self.enter_bias = w["in_proj.bias"][entering, None] if "in_proj.bias" in w else None
        self.leave = w["out_proj.weight"][live][:, out]
        self.leave_bias = w["out_proj.bias"][live, None] if "out_proj.bias" in w else None

        taps = w["conv1d.weight"][first, 0].to(numbers.sums)
        silent = (taps == 0).all(0).tolist()
        while len(silent) > 1 and silent[0]:  # leading taps that nothing uses
            silent, taps = silent[1:], taps[:, 1:]
        self.taps = taps[:, :, None, None].unbind(1)
        conv_bias = w["conv1d.bias"][first] if "conv1d.bias" in w else torch.zeros(len(first))
        self.conv_bias = conv_bias.to(numbers.sums)[:, None, None]

        rank = len(w["x_proj.weight"]) - 2 * states
        rows = torch.cat([torch.arange(rank), rank + parts.spots, rank + states + parts.spots])
        self.sizes = [rank, len(parts.spots), len(parts.spots)]
        self.project = torch.zeros(len(rows), len(first), dtype=numbers.weights)
        self.project[:, parts.heard_kinds] = w["x_proj.weight"][rows][:, parts.heard]
        cells = first[:n]
        self.to_delta, self.delta_bias = w["dt_proj.weight"][cells], w["dt_proj.bias"][cells, None]
        self.sign: tuple[Tensor, Tensor] | None = None
        if "sign_proj.weight" in w:
            self.sign = w["sign_proj.weight"][cells], w["sign_proj.bias"][cells, None]
        # transformers' Mamba takes these to float32, in a float64 model, too; the signed one does not narrow them.
        self.wide = torch.float32 if self.sign is None else numbers.sums
        self.A = -torch.exp(w["A_log"][cells][:, parts.spots].to(self.wide))[:, :, None]
        self.D = w["D"][first, None].to(self.wide)

    @property
    def past(self) -> int:
        """How many steps back the convolution looks."""
        return len(self.taps) - 1

    def start(self, batch: int) -> Carry:
        """What it remembers before the first token."""
        return Carry(
            torch.zeros(len(self.parts.first), self.past, batch, dtype=self.numbers.sums),
            torch.zeros(self.parts.cells * len(self.parts.spots), batch, dtype=self.memory),
        )

    def __call__(self, stream: Tensor, carry: Carry, layout: Layout) -> tuple[Tensor, Carry, Tensor]:
        """Run a piece.

        Args:
            stream: the residual stream, shape (live dimensions, tokens); destroyed.
            carry: what the block remembers.
            layout: the order of the tokens.

        Returns:
            The new residual stream, what the block remembers now, and the values of the watched entries, shape
            (watched, tokens), float64.
        """
        if self.idle:
            stream = stream if self.leave_bias is None else stream.add_(self.leave_bias)
            return stream, carry, torch.empty(0, layout.tokens)
        normed, n = self.enter.norm(stream), len(self.parts.first)
        x, inputs = self._inputs(normed, carry.inputs, layout)
        y, states, values = self._memory(x, carry.states, layout)
        gate = self.enter.matrix[n:] @ normed
        if self.enter_bias is not None:
            gate += self.enter_bias[n:]
        gate = silu(gate, inplace=True).mul_(y.index_select(0, self.parts.kinds))
        if self.leave_bias is None and stream.dtype == self.numbers.weights == self.numbers.sums:
            stream.addmm_(self.leave, gate)
        else:
            change = self.leave @ gate
            stream.add_(change if self.leave_bias is None else change.add_(self.leave_bias))
        return stream, Carry(inputs, states), values

    def _inputs(self, normed: Tensor, before: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
        """x of every kind, shape (kinds, tokens), and the last inputs of the convolution."""
        n, past, steps = len(self.parts.first), self.past, layout.steps
        # Before the first step of each chunk: the last ones of the chunk before it.
        window = torch.empty(n, past + steps, layout.width, dtype=self.numbers.sums)
        new = window[:, past:].flatten(1)
        if new.dtype == normed.dtype and self.enter_bias is None:
            torch.mm(self.enter.matrix[:n], normed, out=new)
        else:
            product = self.enter.matrix[:n] @ normed
            new.copy_(product if self.enter_bias is None else product.add_(self.enter_bias[:n]))
        inputs = before
        if past:
            chunked = window.view(n, past + steps, layout.chunks, layout.batch)
            chunked[:, :past, 0] = before
            chunked[:, :past, 1:] = chunked[:, steps : steps + past, :-1]
            places = [layout.place(layout.time - past + i) for i in range(past)]
            inputs = torch.stack([chunked[:, past + step, chunk] for step, chunk in places], dim=1)
        total = torch.addcmul(self.conv_bias, window[:, past:], self.taps[-1])
        for tap, weight in enumerate(self.taps[:-1]):
            total.addcmul_(window[:, tap : tap + steps], weight)
        return silu(total.to(self.numbers.weights), inplace=True).flatten(1), inputs

    def _memory(self, x: Tensor, before: Tensor, layout: Layout) -> tuple[Tensor, Tensor, Tensor]:
        """y of every kind, shape (kinds, tokens); the last states; the values of the watched entries.

        Args:
            x: of every kind, shape (kinds, tokens).
            before: the states before the piece.
            layout: the order of the tokens.
        """
        y, n, m, tokens = x * self.D, self.parts.cells, len(self.parts.spots), layout.tokens
        if n == 0:
            return y, before, before.new_empty(0, tokens)
        dt, B, C = torch.split(self.project @ x, self.sizes)
        delta = softplus((self.to_delta @ dt).add_(self.delta_bias))[:, None]
        writes = delta * B.to(self.wide) * x[:n, None].to(self.wide)
        gates = exp_(torch.mul(self.A, delta))
        if self.sign is not None:
            to_sign, bias = self.sign
            gates.mul_((to_sign @ dt).add_(bias).tanh_()[:, None])
        shape = (n * m, tokens)
        h = scan(gates.to(self.memory).view(shape), writes.to(self.memory).view(shape), before, layout)
        step, chunk = layout.place(layout.time - 1)
        states = h.view(n * m, layout.steps, layout.chunks, layout.batch)[:, step, chunk].clone()
        watched = self.parts.watched
        values = h[[cell * m + spot for cell, spot in watched]] if watched else before.new_empty(0, tokens)
        seen, C = h.to(self.numbers.weights).to(self.numbers.sums).view(n, m, tokens), C.to(self.numbers.sums)
        read = seen[:, 0] * C[0]
        for spot in range(1, m):
            read.addcmul_(seen[:, spot], C[spot])
        y[:n] += read.to(self.numbers.weights)
        return y, states, values


def exp_(exponents: Tensor) -> Tensor:
    """exp in place, of numbers that are often so low that it is 0. float32 or float64; the bits are those of exp.

    Where exp underflows, torch takes ten times as long; so there it gets a 0 and the result is multiplied with 0.
    """
    lowest = -104.0 if exponents.dtype == torch.float32 else -746.0  # exp of these is 0 already
    above = torch.gt(exponents, lowest, out=torch.empty_like(exponents))
    return torch.threshold_(exponents, lowest, 0.0).exp_().mul_(above)
