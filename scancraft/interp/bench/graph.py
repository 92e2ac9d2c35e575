"""The nodes of a Mamba and the edges between them: what may carry something, whether it matters or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from jaxtyping import Float64
from torch import Tensor

Port = Literal["input", "gate", "step", "memory", "logit"]


@dataclass(frozen=True, order=True)
class Node:
    """The embedding (kind "embedding"), a channel of a block, or the logit of a token (``index``).

    Attributes:
        kind: which of them.
        block: of a channel; else -1.
        index: of a channel or a token; else 0.
    """

    kind: Literal["embedding", "channel", "logit"]
    block: int = -1
    index: int = 0

    def __str__(self) -> str:
        if self.kind == "channel":
            return f"{self.block}.{self.index}"
        return "embedding" if self.kind == "embedding" else f"logit {self.index}"


@dataclass(frozen=True, order=True)
class Edge:
    """What one node gives another one.

    Attributes:
        source: the embedding, or a channel: what it writes on the residual stream; for the port "step" its x.
        target: a channel of a later block, or a logit.
        port: where it arrives: "input" (of the convolution), "gate" (before silu), "step" (Delta before softplus, of
            another channel or the same one of the same block), "memory" (of the channel itself: the state of the step
            before), or "logit".
    """

    source: Node
    target: Node
    port: Port

    def __str__(self) -> str:
        return f"{self.source} -> {self.target} ({self.port})"


EMBEDDING = Node("embedding")


class Graph:
    """The graph of a ``MambaForCausalLM``, and by how much each edge multiplies what its source holds.

    A target's port is linear in what sources hold: between them are only the residual stream, a norm, which in compiled
    models divides every vector by the same number, and linear maps.

    Args:
        model: the model.
        tokens: whose logits are read.
        scale: what each block's norm, and the last one, multiply by, weights left out: (blocks + 1) numbers.
    """

    def __init__(self, model: Any, tokens: Sequence[int], scale: Sequence[float]) -> None:
        self.tokens = tuple(tokens)
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
            for target, port in self._ports(block):
                found += [Edge(source, target, port) for source in sources]
        for node in self.nodes:
            found += [Edge(Node("channel", node.block, n), node, "step") for n in range(self.inner)]
            found.append(Edge(node, node, "memory"))
        return tuple(found)

    def _ports(self, block: int) -> list[tuple[Node, Port]]:
        """What reads the stream before a block, row by row of its matrix; or of the head, after the last block."""
        if block == self.blocks:
            return [(Node("logit", index=token), "logit") for token in self.tokens]
        channels = [Node("channel", block, n) for n in range(self.inner)]
        return [*((c, "input") for c in channels), *((c, "gate") for c in channels)]

    def from_embedding(self, block: int, embedded: Tensor) -> Float64[Tensor, "... ports"]:
        """What embeddings give each port of a block (or of the head, behind the last one)."""
        return embedded.double() @ self._reads[block].T

    def factors(self, source: int, block: int) -> Float64[Tensor, "ports channels"]:
        """What each port of a block gets per 1 that is held by channels of an earlier one."""
        return self._reads[block] @ self._writes[source]

    def step_factors(self, block: int) -> Float64[Tensor, "channels channels"]:
        """What each channel's Delta gets, before softplus, per 1 of the x of channels of the same block."""
        mixer = self.mixers[block]
        return _wide(mixer.dt_proj.weight) @ _wide(mixer.x_proj.weight[: mixer.time_step_rank])

    def ports(self, block: int) -> list[tuple[Node, Port]]:
        """The ports in the order of :meth:`factors`."""
        return self._ports(block)


def _wide(parameter: Any) -> Float64[Tensor, ...]:
    found: Tensor = parameter.detach().double()
    return found


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
