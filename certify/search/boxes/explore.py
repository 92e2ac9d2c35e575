"""One run of a model over all edges of a graph at once, in enclosures; what it remembers are boxes at the nodes.

The blocks are those of ``models.block``. Where they take what was before, the arithmetic gives them what is known of it
at the node that each edge comes from: the hull of the last inputs of the convolution, and the least boxes of the state.
Block by block that is all there is to solve, since no block sees a later one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....models import block as blocks
from ....models.arithmetic import Interval
from ....models.block import Memory
from ....models.classes import ARCHITECTURES, model_type_of
from ....models.enclosures import FUNCTION, STEP_OF_CHUNK, SUM, TINY, Drive, Enclosures, Form, most, plain, widened
from ....models.mamba2 import MAMBA2
from .fixpoint import least_boxes
from .graph import BoxGraph

Numbers = NDArray[np.float64]

ROOM, LEAST_ROOM = 2.0**-22, 2.0**20 * TINY
"""By how much boxes are made wider, relative to the greatest number of a column, and at least, so that a checker that
computes in another order finds them closed."""


@dataclass(frozen=True)
class BlockBoxes:
    """What a block may remember at each node.

    Attributes:
        inputs: of the convolution, oldest first, shape (nodes, taps - 1, channels).
        states: shape (nodes, ...), the rest as the model's state.
        size: of all terms of an entry together, their absolute values added up, at most; shape of the state.
        error: what rounding may have done to an entry, at most; shape of the state.
    """

    inputs: Interval
    states: Interval
    size: Numbers
    error: Numbers


@dataclass(frozen=True)
class Explored:
    """What a run found.

    Attributes:
        blocks: the boxes of each block.
        scores: that matter, at the end of each edge, shape (edges, columns).
    """

    blocks: tuple[BlockBoxes, ...]
    scores: Interval


class OnGraph(Enclosures):
    """Enclosures at all edges of a graph; ``found`` holds the boxes of the block that was run."""

    def __init__(self, graph: BoxGraph) -> None:
        self.graph = graph
        self.inputs: Interval | None = None
        self.found: BlockBoxes | None = None
        self.hidden: Numbers | None = None
        """Of Mamba-2: t = Delta |A| at a token that a mask hides, shape (heads, 1, 1)."""

    def join(self, *parts: Any) -> Interval:
        """The last inputs at the node that each edge comes from, then its own."""
        past, u = parts
        now = plain(u)[0]
        room = ROOM * most(now).max(axis=0) + LEAST_ROOM
        kept = [self._hull(widened(now, room))]
        for _ in range(past.shape[0] - 1):
            kept.append(self._hull(self._before(kept[-1])))
        self.inputs = Interval(*(np.stack([getattr(k, end) for k in reversed(kept)], 1) for end in ("low", "high")))
        wide = [*(self._before(k) for k in reversed(kept[: past.shape[0]])), now]
        joined = self.stack(wide)
        return widened(joined, most(joined) * SUM * (len(wide) + 4))

    def remembered(self, delta: Any, rate: Any, written: Any, sign: Any, state: Any, seen: Any) -> Any:
        """The state at the end of each edge, from the least boxes."""
        drive = self.drive(delta, rate, written)
        if self.hidden is not None:
            longest = np.maximum((plain(delta) * plain(rate)).high.max(axis=(0, 1)), self.hidden)
            drive = drive._replace(lost=drive.lost + 2 * STEP_OF_CHUNK * longest * drive.gate.high)
        edges, shape = len(self.graph.source), drive.target.shape[2:]
        flat = (np.broadcast_to(v, drive.target.shape).reshape(edges, -1) for v in (drive.gate.low, drive.gate.high))
        drive = Drive(
            Interval(*flat),
            drive.target.reshape(edges, -1),
            np.broadcast_to(drive.lost, drive.target.shape).reshape(edges, -1),
        )
        size, error = bounds(drive)
        boxes = least_boxes(self.graph, drive)
        boxes = widened(boxes, ROOM * np.maximum(most(boxes), 0.0).max(axis=0) + LEAST_ROOM)
        assert self.inputs is not None
        at_nodes = boxes.reshape(len(boxes.low), *shape)
        self.found = BlockBoxes(self.inputs, at_nodes, size.reshape(shape), error.reshape(shape))
        after = widened(drive.drawn(self._before(boxes)), error + FUNCTION * size)
        return after.reshape(1, edges, *shape)

    def _before(self, at_nodes: Interval) -> Interval:
        """What is known at the node that each edge comes from; before ``<bos>`` everything is 0."""
        start = (self.graph.source < 0).reshape(-1, *[1] * (at_nodes.low.ndim - 1))
        return Interval(*(np.where(start, 0.0, end[self.graph.source]) for end in (at_nodes.low, at_nodes.high)))

    def _hull(self, at_edges: Interval) -> Interval:
        """What is known at each node of what the edges that lead there may bring."""
        low = np.full((len(self.graph), *at_edges.shape[1:]), np.inf)
        high = np.full(low.shape, -np.inf)
        np.minimum.at(low, self.graph.target, at_edges.low)
        np.maximum.at(high, self.graph.target, at_edges.high)
        return Interval(low, high)


def bounds(drive: Drive) -> tuple[Numbers, Numbers]:
    """The size and the error of each entry, at all edges: what no edge leads out of. Infinite if there is none."""
    gate, aim = drive.gate.high, most(drive.target).max(axis=0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        left = 1 - gate - drive.lost
        share = np.where(left > 0, (1 - gate) / left, np.inf).max(axis=0)
        size = (share * (aim + TINY) + np.where(left > 0, TINY / left, np.inf).max(axis=0)) * (1 + 2.0**-20)
        error = np.where(gate < 1, (drive.lost * size + TINY) / (1 - gate), np.inf).max(axis=0) * (1 + 2.0**-20)
    return size, error


def weights_of(model: Any) -> list[dict[str, Any]]:
    """The parameters of each block by their names in it, as ``models.block`` takes them."""
    found = []
    for layer in model.backbone.layers:
        own: dict[str, Any] = {n: Interval.of(p.detach().double().numpy()) for n, p in layer.named_parameters()}
        if "rms_epsilon" not in own and hasattr(model.config, "mixer_rms_eps"):
            own["rms_epsilon"] = model.config.mixer_rms_eps
        found.append(own)
    return found


def explore(model: Any, graph: BoxGraph, tokens: Sequence[int], columns: Sequence[int]) -> Explored:
    """Boxes and scores.

    Args:
        model: a Mamba, Falcon-Mamba or Mamba-2.
        graph: what is told apart.
        tokens: of each letter, then of ``<bos>``.
        columns: the scores that matter.
    """
    kind = blocks.mamba2 if model_type_of(model) == MAMBA2 else blocks.mamba
    embedding = model.backbone.embeddings.weight.detach().double().numpy()[list(tokens)]
    stream: Any = Form.of(Interval.of(embedding[graph.letter][None]))
    a, found = OnGraph(graph), []
    for layer, own in zip(model.backbone.layers, weights_of(model), strict=True):
        (channels, taps), shape = ARCHITECTURES[model.config.model_type].memory(layer.mixer)
        if kind is blocks.mamba2:
            bias, rate = (own[f"mixer.{name}"].low[:, None, None] for name in ("dt_bias", "A_log"))
            a.hidden = np.logaddexp(0.0, bias) * np.exp(rate)
        empty = Memory(Interval.of(np.zeros((taps - 1, channels))), Interval.of(np.zeros(shape)))
        stream, _ = kind(a, own, stream, empty, model.config.layer_norm_epsilon)
        assert a.found is not None
        found.append(a.found)
    weight, head = model.backbone.norm_f.weight, model.lm_head.weight.detach().double().numpy()[list(columns)]
    normed = a.rms(stream, model.config.layer_norm_epsilon) * Interval.of(weight.detach().double().numpy())
    return Explored(tuple(found), plain(a.linear(Interval.of(head), normed))[0])
