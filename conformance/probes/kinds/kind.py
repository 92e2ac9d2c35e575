"""What a kind of block adds to the probes, and what lowering shares among the kinds: everything around the blocks.

A probe's integers are scaled by powers of two (the constants and the reasons are those of ``compiler.targets``), with
three differences that make more parameters matter: each norm has its own powers of two, undone where it is read; every
feature has a row of ``lm_head`` of its own, with a factor and an offset; and Delta of a write may be any power of two
from 32 to 1024.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....models.weights import ModelWeights, Tensor
from ...case import Case
from ..probe import ONE, Form, Probe, Program

T = 2.0**10
"""Of x: silu(1024) = 1024 and silu(-1024) = 0, softplus likewise, in float32."""
KEEPS = -50.0
"""A_log of what is never forgotten."""
CONSTANT = 2.0**40
"""The constant features, beside which all others vanish in the root mean square."""


@dataclass(frozen=True)
class Lowered:
    """A probe as weights.

    Attributes:
        weights: of the model.
        channels: for each block all of d_inner's channels in order, with what they are for: ``Channel`` of ``probe``,
            or what ``delta`` has in its place.
    """

    weights: ModelWeights
    channels: tuple[tuple[Any, ...], ...]

    def writable(self) -> dict[str, Tensor]:
        """Copies of the tensors, to be changed."""
        return {name: np.array(tensor) for name, tensor in self.weights.tensors.items()}


@dataclass(frozen=True)
class Kind:
    """How a kind of block gets its probes. Pairs are for the quick set and for the full one.

    Attributes:
        lower: a probe's integers to weights.
        states: d_state of the probes of single entries.
        apart: whether a channel may keep some entries of d_state and forget others.
        grid: memory is written around every multiple of this.
        hold: tokens of the word over which memories are held.
        prefill: tokens of the longest words that are tried in prefills; 0: only those of the other cases.
        own: cases of what only this kind has, given whether the set is the quick one.
        shared: whether it runs the probes of Mamba; if not, its own are all.
        target: the target of the compiler whose languages it is tried on; "": that of its own name.
        dress: how their weights become weights of this kind.
    """

    lower: Callable[[Any], Lowered]
    states: tuple[tuple[int, ...], tuple[int, ...]] = ((1, 2, 16), (1, 2, 3, 4, 8, 16, 64, 128))
    apart: bool = True
    grid: int = 32
    hold: tuple[int, int] = (2_000, 200_000)
    prefill: int = 2_100
    own: Callable[[bool], tuple[Case, ...]] = lambda quick: ()
    shared: bool = True
    target: str = ""
    dress: Callable[[ModelWeights], ModelWeights] = lambda weights: weights


def constants_of(width: int) -> tuple[int, int]:
    """n and j in width = n 4^j, for a power of two: n constants of size F make a root mean square of F / 2^j."""
    n = 1 if width.bit_length() % 2 else 2
    return n, ((width // n).bit_length() - 1) // 2


@dataclass(frozen=True)
class Residual:
    """The residual stream of a lowered probe.

    Attributes:
        d_model: its width.
        constants: the first dimensions, which hold ``CONSTANT``.
        place: the dimension of each feature.
    """

    d_model: int
    constants: int
    place: Mapping[str, int]

    @staticmethod
    def of(probe: Program) -> Residual:
        """The layout."""
        n, _ = constants_of(probe.d_model)
        place = {ONE: 0} | {name: n + i for i, name in enumerate(probe.features[1:])}
        return Residual(probe.d_model, n, place)

    def undo(self, layer: int) -> Tensor:
        """What each dimension of a norm's output must be multiplied by to be the features again."""
        extra: Tensor = (2.0 ** (1.0 - (np.arange(self.d_model) + layer) % 3)).astype(np.float32)
        return extra

    def gain(self) -> float:
        """The norm's weight on features, but for ``undo``: what division by the root mean square made small."""
        return CONSTANT / 2.0 ** constants_of(self.d_model)[1]

    def norm(self, layer: int) -> Tensor:
        """The weight of the norm before a block."""
        weight = np.full(self.d_model, self.gain(), dtype=np.float32)
        weight[: self.constants] /= CONSTANT
        found: Tensor = weight / self.undo(layer)
        return found

    def rows(self, forms: Sequence[Form], layer: int) -> Tensor:
        """Rows of a matrix that reads forms behind the norm of a block; shape (forms, d_model), float32."""
        rows = np.zeros((len(forms), self.d_model), dtype=np.float32)
        for row, form in zip(rows, forms, strict=True):
            for name, value in form.items():
                row[self.place[name]] = value
        return rows * self.undo(layer)

    def wide(self, probe: Program, stream: np.ndarray) -> np.ndarray:
        """Features of shape (..., features) as the residual stream, (..., d_model)."""
        found = np.zeros((*stream.shape[:-1], self.d_model))
        found[..., : self.constants] = CONSTANT * stream[..., :1]
        for i, feature in enumerate(probe.features[1:], 1):
            found[..., self.place[feature]] = stream[..., i] * probe.tiny.get(feature, 1.0)
        return found


def around_blocks(probe: Probe) -> dict[str, Tensor]:
    """Embedding, norms and head: the tensors that every kind has."""
    residual = Residual.of(probe)
    layers = len(probe.blocks)
    norms = {f"backbone.layers.{layer}.norm.weight": residual.norm(layer) for layer in range(layers)}
    return {
        "backbone.embeddings.weight": residual.wide(probe, probe.embedding()).astype(np.float32),
        **norms,
        "backbone.norm_f.weight": residual.norm(layers),
        "lm_head.weight": head_rows(probe, layers),
    }


def head_rows(probe: Program, norm: int) -> Tensor:
    """``lm_head`` behind the norm of this number."""
    head = [dict(zip(probe.features, (int(v) for v in column), strict=True)) for column in probe.head().T]
    return Residual.of(probe).rows(head, norm)


def in_blocks(blocks: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors of blocks by their names in the whole model."""
    return {f"backbone.layers.{layer}.{name}": t for layer, block in enumerate(blocks) for name, t in block.items()}
