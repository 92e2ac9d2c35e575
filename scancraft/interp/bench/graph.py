"""The nodes of a Mamba and the edges between them: what may carry something, whether it matters or not.

In Mamba and Falcon-Mamba Delta reads the x of the block's channels, in Mamba-2 the residual stream, one Delta for each
head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from jaxtyping import Float64
from torch import Tensor

from ...models.arithmetic import Floats
from ...models.classes import model_type_of

Port = Literal["input", "gate", "step", "memory", "logit"]


@dataclass(frozen=True, order=True)
class Node:
    """The embedding (kind "embedding"), a channel of a block, a head of a block, or the logit of a token (``index``).

    Attributes:
        kind: which of them.
        block: of a channel or a head; else -1.
        index: of a channel, a head or a token; else 0.
    """

    kind: Literal["embedding", "channel", "head", "logit"]
    block: int = -1
    index: int = 0

    def __str__(self) -> str:
        if self.kind in ("channel", "head"):
            return f"{self.block}.{'head ' * (self.kind == 'head')}{self.index}"
        return "embedding" if self.kind == "embedding" else f"logit {self.index}"


@dataclass(frozen=True, order=True)
class Edge:
    """What one node gives another one.

    Attributes:
        source: the embedding, or a channel: what it writes on the residual stream; for the port "step" its x.
        target: a channel of a later block (of Mamba-2 a head, too), or a logit.
        port: where it arrives: "input" (of the convolution), "gate" (before silu), "step" (Delta before softplus: of
            another channel or the same one of the same block; of Mamba-2 of a head, through the residual stream),
            "memory" (of the channel itself: the state of the step before), or "logit".
    """

    source: Node
    target: Node
    port: Port

    def __str__(self) -> str:
        return f"{self.source} -> {self.target} ({self.port})"


EMBEDDING = Node("embedding")


class Graph:
    """The graph of a model, and by how much each edge multiplies what its source holds.

    A target's port is linear in what sources hold: between them are only the residual stream, a norm, which in compiled
    models divides every vector by the same number, and linear maps.

    Args:
        model: of Mamba, Falcon-Mamba or Mamba-2.
        tokens: whose logits are read.
        scale: what each block's norm, and the last one, multiply by, weights left out: (blocks + 1) numbers.
        step_scale: of Falcon-Mamba: what the norm of dt multiplies by, for each block.
    """

    def __init__(
        self, model: Any, tokens: Sequence[int], scale: Sequence[float], step_scale: Sequence[float] = ()
    ) -> None:
        self.tokens, self.heads = tuple(tokens), model_type_of(model) == "mamba2"
        self._step_scale = tuple(step_scale)
        layers = list(model.backbone.layers)
        self.mixers = [layer.mixer for layer in layers]
        self.inner = int(self.mixers[0].intermediate_size)
        norms = [*(layer.norm for layer in layers), model.backbone.norm_f]
        heads = [*(mixer.in_proj.weight for mixer in self.mixers), model.lm_head.weight[list(tokens)]]
        self._reads = [_wide(h) * _wide(n.weight) * s for h, n, s in zip(heads, norms, scale, strict=True)]
        self._writes = [_wide(mixer.out_proj.weight) for mixer in self.mixers]

    @property
    def blocks(self) -> int:
        """How many there are."""
        return len(self.mixers)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """All channels."""
        return tuple(Node("channel", b, n) for b in range(self.blocks) for n in range(self.inner))

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """Everything that may carry something by the shape of the model."""
        found = []
        for block in range(self.blocks + 1):
            sources = [EMBEDDING, *(n for n in self.nodes if n.block < block)]
            for target, port in self.ports(block):
                found += [Edge(source, target, port) for source in sources]
        for node in self.nodes:
            if not self.heads:
                found += [Edge(Node("channel", node.block, n), node, "step") for n in range(self.inner)]
            found.append(Edge(node, node, "memory"))
        return tuple(found)

    def ports(self, block: int) -> dict[tuple[Node, Port], int]:
        """What reads the stream before a block, and in which row of its matrix; or of lm_head, after the last block.

        Of Mamba-2 what reads B and C is left out: they are constants.
        """
        if block == self.blocks:
            return {(Node("logit", index=token), "logit"): row for row, token in enumerate(self.tokens)}
        channels = [Node("channel", block, n) for n in range(self.inner)]
        order: tuple[Port, Port] = ("gate", "input") if self.heads else ("input", "gate")
        rows: dict[tuple[Node, Port], int] = {}
        for port in order:
            rows |= {(node, port): len(rows) + n for n, node in enumerate(channels)}
        if self.heads:
            count = int(self.mixers[block].num_heads)
            first = len(self._reads[block]) - count
            rows |= {(Node("head", block, n), "step"): first + n for n in range(count)}
        return rows

    def from_embedding(self, block: int, embedded: Tensor) -> Float64[Tensor, "... rows"]:
        """What embeddings give each row of a block's matrix (or of lm_head's, behind the last one)."""
        return embedded.double() @ self._reads[block].T

    def factors(self, source: int, block: int) -> Float64[Tensor, "rows channels"]:
        """What each row of a block's matrix gets per 1 that is held by channels of an earlier one."""
        return self._reads[block] @ self._writes[source]

    def step_factors(self, block: int) -> Float64[Tensor, "channels channels"]:
        """What each channel's Delta gets, before softplus, per 1 of the x of channels of the same block."""
        mixer = self.mixers[block]
        scale = self._step_scale[block] if self._step_scale else 1.0
        return _wide(mixer.dt_proj.weight) @ _wide(mixer.x_proj.weight[: mixer.time_step_rank]) * scale


def _wide(parameter: Any) -> Float64[Tensor, ...]:
    found: Tensor = parameter.detach().double()
    return found


def dt_of(mixer: Any, selected: Tensor) -> Tensor:
    """What dt_proj reads, given what x_proj put out: the first part, which Falcon-Mamba norms."""
    dt = selected[..., : mixer.time_step_rank]
    return Floats().rms(dt, mixer.rms_eps) if hasattr(mixer, "rms_eps") else dt


def scales(streams: Sequence[Tensor], normed: Sequence[Tensor], weights: Sequence[Tensor]) -> list[float]:
    """What norms multiply by, given what went in and came out, shape (..., d_model) each.

    The largest entry of the first vector tells; whether all vectors are multiplied by the same is for the caller.
    """
    found = []
    for stream, out, weight in zip(streams, normed, weights, strict=True):
        row, result = stream.reshape(-1, stream.shape[-1])[0].double(), out.reshape(-1, out.shape[-1])[0].double()
        at = int(torch.argmax(row.abs()))
        found.append(float(result[at] / weight.double()[at] / row[at]))
    return found
