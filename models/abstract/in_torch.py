"""The abstract SSM on batches of words, in torch: the same definition as :mod:`.abstract`, in floats."""

# sympy is annotated in part only.
# mypy: disable-error-code="misc"

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from sympy import Expr
from torch import Tensor

from .errors import AbstractSsmError
from .functions import inputs, outputs, states
from .numbers import TORCH, compiled, rounded_tensor
from .ssm import AbstractSsm, SsmLayer


@dataclass(frozen=True)
class BatchRun:
    """A run on a batch.

    Attributes:
        output: z_t of the last layer, shape (batch, time, outputs).
        states: for each layer the state after the last symbol, shape (batch, size).
    """

    output: Tensor
    states: tuple[Tensor, ...]


def encode(model: AbstractSsm, words: Sequence[Sequence[str]]) -> Tensor:
    """Words of one length as symbol numbers, int64, shape (batch, time).

    Raises:
        AbstractSsmError: their lengths differ, or a symbol has no embedding.
    """
    number = {symbol: i for i, symbol in enumerate(model.alphabet)}
    if len({len(word) for word in words}) > 1:
        raise AbstractSsmError("words of a batch must be of one length; group them by length")
    try:
        return torch.tensor([[number[s] for s in word] for word in words], dtype=torch.long)
    except KeyError as error:
        raise AbstractSsmError(
            f"symbol {error.args[0]!r} has no embedding; the model knows {', '.join(model.alphabet)}"
        ) from None


@torch.no_grad()
def run_batch(
    model: AbstractSsm, tokens: Tensor, dtype: torch.dtype = torch.float64, fractional_bits: int | None = None
) -> BatchRun:
    """All outputs on a batch of words of one length, on the device of ``tokens``.

    O(batch * time * nodes of the expressions) operations, vectorised over the batch. The start symbol, if the model has
    one, is fed first and its output is not among those returned.

    Args:
        model: the model.
        tokens: symbol numbers as :func:`encode` gives them, shape (batch, time).
        dtype: float32 or float64. Values equal the exact ones where the dtype holds every intermediate.
        fractional_bits: round as in :meth:`.SsmLayer.step`.

    Raises:
        AbstractSsmError: ``tokens`` has another shape or unknown numbers, or an expression has no torch function.
    """
    if tokens.ndim != 2 or (tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < len(model.alphabet)):
        raise AbstractSsmError(
            f"tokens of shape {tuple(tokens.shape)} must have shape (batch, time) and lie in "
            f"0..{len(model.alphabet) - 1}"
        )
    batch, device = len(tokens), tokens.device
    table = torch.tensor(
        [[float(v) for v in vector] for vector in model.embedding.values()], dtype=dtype, device=device
    )
    now = [
        torch.tensor([float(v) for v in layer.initial], dtype=dtype, device=device).expand(batch, -1)
        for layer in model.layers
    ]
    if model.start is not None:
        first = torch.tensor([float(v) for v in model.start], dtype=dtype, device=device).expand(batch, -1)
        now, _ = _feed(model, now, first, fractional_bits)
    found = []
    for t in range(tokens.shape[1]):
        now, z = _feed(model, now, table[tokens[:, t]], fractional_bits)
        found.append(z)
    width = len(model.layers[-1].output)
    return BatchRun(torch.stack(found, 1) if found else table.new_zeros(batch, 0, width), tuple(now))


@torch.no_grad()
def scores(model: AbstractSsm, output: Tensor) -> tuple[Tensor | None, Tensor]:
    """The read-outs: accept, shape (...), or None; and those of ``model.allowed`` in order, shape (..., symbols).

    Args:
        model: the model.
        output: z, shape (..., outputs), as in :class:`BatchRun`.
    """
    at = dict(zip(outputs(output.shape[-1]), output.unbind(-1), strict=True))

    def value(expression: Expr) -> Tensor:
        return _column(compiled(expression, TORCH)(at), output[..., 0])

    columns = [value(e) for e in model.allowed.values()]
    accept = None if model.accept is None else value(model.accept)
    return accept, torch.stack(columns, -1) if columns else output[..., :0]


def _feed(
    model: AbstractSsm, now: Sequence[Tensor], x: Tensor, fractional_bits: int | None
) -> tuple[list[Tensor], Tensor]:
    after = []
    for layer, state in zip(model.layers, now, strict=True):
        state, x = _layer_step(layer, state, x, fractional_bits)
        after.append(state)
    return after, x


def _layer_step(layer: SsmLayer, state: Tensor, x: Tensor, fractional_bits: int | None) -> tuple[Tensor, Tensor]:
    like = x[:, 0] if layer.inputs else state[:, 0]
    at = dict(zip(inputs(layer.inputs), x.unbind(-1), strict=True))

    def values(expressions: Sequence[Expr]) -> Tensor:
        columns = [_column(compiled(e, TORCH)(at), like) for e in expressions]
        return rounded_tensor(torch.stack(columns, -1), fractional_bits)

    after = rounded_tensor(values(layer.gate) * state + values(layer.write), fractional_bits)
    at |= dict(zip(states(layer.size), after.unbind(-1), strict=True))
    return after, values(layer.output)


def _column(value: Tensor | float, like: Tensor) -> Tensor:
    """A value as one column of the batch: constants are spread over it."""
    return torch.as_tensor(value, dtype=like.dtype, device=like.device).expand_as(like)
