"""Models padded to the sizes that runtimes have built in, where that is exact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .weights import Tensor


@dataclass(frozen=True, eq=False)
class Source:
    """A model as its checkpoint has it.

    Attributes:
        config: of ``config.json``.
        tensors: the parameters, float32, by the names of the ``transformers`` class.
    """

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    @property
    def kind(self) -> str:
        """Its ``model_type``."""
        return str(self.config["model_type"])

    @property
    def d_model(self) -> int:
        """The width of the residual stream."""
        return int(self.config["hidden_size"])

    @property
    def d_inner(self) -> int:
        """Channels of a block."""
        return int(self.config["expand"] * self.config["hidden_size"])

    @property
    def n_layers(self) -> int:
        """Blocks."""
        return int(self.config["num_hidden_layers"])


OFF = -1024.0
"""Before softplus: a step of size 0."""


@dataclass(frozen=True)
class Shape:
    """Sizes that a runtime has built in; a model that has more keeps its own.

    Attributes:
        d_model: the least width of the residual stream.
        d_conv: taps.
        d_state: entries of a channel's state; Falcon-Mamba, whose B and C are normed, keeps its own.
        expand: d_inner over d_model; Mamba-2, whose d_inner is normed, keeps its own.
        vocabulary: the number of tokens becomes a multiple of this.
        width: the width of the residual stream becomes a multiple of this, a power of two.
    """

    d_model: int = 64
    d_conv: int = 4
    d_state: int = 16
    expand: int = 2
    vocabulary: int = 8
    width: int = 8


STANDARD = {"mamba": Shape(), "signed_mamba": Shape(), "falcon_mamba": Shape(), "mamba2": Shape(d_state=128)}
"""What runtimes have built in, by the ``model_type``."""


def padded(source: Source, shape: Shape) -> Source:
    """The same model in these sizes; every number that it computes is the same, but for powers of two. O(size).

    The residual stream grows by a power of four, 4^k: the mean of its squares falls by 4^k, so norms give 2^k times as
    much, and their weights are divided by 2^k; epsilon is divided by 4^k. Mamba-2's norm after the scan likewise, since
    d_inner grows by the same. Everything else that is added is zero: channels of which nothing is read and whose gate
    is silu(0) = 0, taps before the first, entries of a state that nothing writes to. (Where a gate is worked out it is
    1, or that of a neighbour, so that it is exact.) Tokens that are added are copies of ``<pad>``.
    """
    config, kind = dict(source.config), source.kind
    n, k = int(config["state_size"]), int(config["conv_kernel"])
    n_new, taps = n if kind == "falcon_mamba" else max(n, shape.d_state), max(k, shape.d_conv)
    keep_expand = kind == "mamba2"
    factor = 1
    assert shape.width.bit_count() == 1
    while (
        factor * source.d_model < shape.d_model
        or factor * source.d_model % shape.width
        or (not keep_expand and shape.expand * factor * source.d_model < source.d_inner)
    ):
        factor *= 4
    d = factor * source.d_model
    inner = factor * source.d_inner if keep_expand else shape.expand * d
    vocabulary = -(-int(config["vocab_size"]) // shape.vocabulary) * shape.vocabulary
    grown = _Grown(source, d, inner, n_new, taps, vocabulary, 2.0 ** -(factor.bit_length() // 2))
    tensors = {name: grown.tensor(tuple(name.split(".")[-3:]), t) for name, t in source.tensors.items()}
    config |= {"hidden_size": d, "expand": inner // d, "state_size": n_new, "conv_kernel": taps}
    config |= {"vocab_size": vocabulary, "layer_norm_epsilon": config.get("layer_norm_epsilon", 1e-5) / factor}
    config["intermediate_size"] = inner
    if kind == "mamba2":
        config["num_heads"] = inner // int(config["head_dim"])
    return replace(source, config=config, tensors=tensors)


@dataclass(frozen=True)
class _Grown:
    """The sizes to grow to, and what norms' weights are multiplied by."""

    source: Source
    d: int
    inner: int
    n: int
    taps: int
    vocabulary: int
    gain: float

    def tensor(self, name: tuple[str, ...], t: Tensor) -> Tensor:
        """A parameter in its new size, by the last three parts of its name."""
        old, c, n = self.source.config, self.source.d_inner, int(self.source.config["state_size"])
        mamba2 = self.source.kind == "mamba2"
        heads = self.inner // int(old["head_dim"]) if mamba2 else 0
        bc = [(n, self.n)] * 2
        channels = [(c, self.inner), *(bc if mamba2 else ())]
        match name:
            case "mixer", "norm", _:
                return _grow(t * np.float32(self.gain), 0, [(c, self.inner)])
            case _, "norm" | "norm_f", _:
                return _grow(t * np.float32(self.gain), 0, [(len(t), self.d)])
            case *_, "embeddings" | "lm_head", "weight":
                extra = np.repeat(t[[int(old["pad_token_id"])]], self.vocabulary - len(t), axis=0)
                return _grow(np.concatenate([t, extra]), 1, [(t.shape[1], self.d)])
            case *_, "in_proj", "weight":
                gates = [(int(old["num_heads"]), heads)] if mamba2 else []
                return _grow(_grow(t, 0, [(c, self.inner), *channels, *gates]), 1, [(t.shape[1], self.d)])
            case *_, "conv1d", "weight":
                wide = np.zeros((len(t), 1, self.taps), dtype=t.dtype)
                wide[:, :, self.taps - t.shape[2] :] = t
                return _grow(wide, 0, channels)
            case *_, "conv1d", "bias":
                return _grow(t, 0, channels)
            case *_, "x_proj", "weight":
                rank = len(t) - 2 * n
                return _grow(_grow(t, 0, [(rank, rank), *bc]), 1, [(c, self.inner)])
            case *_, "mixer", "A_log" if not mamba2:
                return _grow(
                    np.concatenate([t, np.repeat(t[:, -1:], self.n - n, axis=1)], axis=1), 0, [(c, self.inner)]
                )
            case *_, "dt_proj", "bias":
                return _grow(t, 0, [(c, self.inner)], OFF)
            case *_, "mixer", "dt_bias":
                return _grow(t, 0, [(len(t), heads)], OFF)
            case *_, "mixer", _:
                return _grow(t, 0, [(len(t), heads if mamba2 else self.inner)])
            case *_, "dt_proj" | "sign_proj", _:
                return _grow(t, 0, [(c, self.inner)])
            case _:  # out_proj
                return _grow(_grow(t, 0, [(t.shape[0], self.d)]), 1, [(c, self.inner)])


def _grow(t: Tensor, axis: int, parts: list[tuple[int, int]], filler: float = 0.0) -> Tensor:
    """Zeros (or something else) after each part of an axis, by their old and new sizes."""
    pieces, first = [], 0
    for old, new in parts:
        piece = np.take(t, np.arange(first, first + old), axis=axis)
        room = list(t.shape)
        room[axis] = new - old
        pieces += [piece, np.full(room, filler, dtype=t.dtype)]
        first += old
    return np.ascontiguousarray(np.concatenate(pieces, axis=axis))
