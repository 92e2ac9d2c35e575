"""Boxes that the recurrent state of a model never leaves, whatever word it reads: an invariant, checked edge by edge.

The evidence lists *nodes*, each with a state of the language and a box for everything that the blocks remember, and for
each node and letter the node that follows. One pass shows that the boxes hold what ``<bos>`` leaves behind, that every
letter after which something is promised leads from the box of a node into the box of the next, and that the scores then
have the right signs. By induction over the word they have them always (docs/certificates.md).

A state h is known as h = k + e: k obeys the recurrence in real numbers with the Delta, B and x that the implementation
has computed and lies in the box; e is what rounding has done, in any order, and is at most ``error``; ``size`` bounds
the absolute values of all that was added up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .arithmetic import epsilon_of
from .languages import Language
from .parts import Floats, Ints, array, first, need
from .spans import (
    FUNCTION,
    MOST,
    MOST_IN_ALL,
    MOST_OF_TERMS,
    MOST_OF_WEIGHTS,
    OWN,
    STEP_OF_CHUNK,
    SUM,
    TINY,
    Drawn,
    Linear,
    Span,
    drawn,
    known,
    linear,
    norm_scale,
    plus,
    product,
    silu,
    softplus,
    within,
)

EDGES = 256
"""That are looked at together."""
LARGEST_LOG = 64.0
"""Of A_log, in absolute value."""
LONGEST_CHUNK = 256
"""Of Mamba-2: tokens whose Delta A are added up."""
MOST_NODES = 1 << 20
WIDEST = 1 << 12
"""Terms of a sum."""


class Box(NamedTuple):
    """What a block may remember at each node.

    Attributes:
        inputs: the last inputs of the convolution, oldest first, shape (nodes, taps - 1, channels).
        states: shape (nodes, ...).
        size: of an entry's terms at any time, shape of the state.
        error: what rounding has done to it.
    """

    inputs: Span
    states: Span
    size: Floats
    error: Floats


class Boxes(NamedTuple):
    """The evidence: nodes with their state of the language, what follows (-1: nothing is promised), and the boxes."""

    truth: Ints
    following: Ints
    blocks: list[Box]


def read_boxes(tensors: Mapping[str, Tensor], model: Any, letters: int) -> Boxes:
    """The tensors, if they are of the right names, types and shapes, finite, and with bounds in order."""
    layers = model.backbone.layers
    ends = [f"{part}.{end}" for part in ("inputs", "states") for end in ("low", "high")]
    names = {f"block{i}.{name}" for i in range(len(layers)) for name in (*ends, "size", "error")}
    need(set(tensors) == {"nodes", "following", *names}, "evidence: missing or unknown tensors")
    need(all(tensors[name].dtype == torch.float64 for name in names), "evidence: boxes that are not float64")
    need(all(torch.isfinite(tensors[name]).all() for name in names), "evidence: a number that is not finite")
    truth, following = tensors["nodes"], tensors["following"]
    need(truth.dtype == following.dtype == torch.int64, "evidence: nodes that are not int64")
    nodes = len(truth) if truth.ndim == 1 else 0
    need(1 <= nodes <= MOST_NODES and following.shape == (nodes, letters), "evidence: nodes of another shape")
    need(((following >= -1) & (following < nodes)).all(), "evidence: a node that is not there")
    blocks = []
    for i, layer in enumerate(layers):
        conv, shape = layer.mixer.conv1d.weight, _state_shape(layer.mixer)
        inputs, states = (
            Span(*(tensors[f"block{i}.{part}.{end}"].numpy() for end in ("low", "high")))
            for part in ("inputs", "states")
        )
        size, error = (tensors[f"block{i}.{name}"].numpy() for name in ("size", "error"))
        for span, expected in ((inputs, (nodes, conv.shape[-1] - 1, conv.shape[0])), (states, (nodes, *shape))):
            need(all(end.shape == expected for end in span), f"block {i}: boxes of another shape")
            need((span.lo <= span.hi).all(), f"block {i}: a box whose bounds are exchanged")
        need(size.shape == error.shape == shape, f"block {i}: bounds of another shape")
        need((size >= 0).all() and (error >= 0).all(), f"block {i}: a negative bound")
        blocks.append(Box(inputs, states, size, error))
    return Boxes(truth.numpy(), following.numpy(), blocks)


def _state_shape(mixer: Any) -> tuple[int, ...]:
    heads = (mixer.num_heads, mixer.head_dim) if hasattr(mixer, "num_heads") else (mixer.intermediate_size,)
    return (*heads, int(mixer.ssm_state_size))


class Edges(NamedTuple):
    """Some steps: the node before (-1: none, ``<bos>`` is read), the letter, and the node after."""

    source: Ints
    letter: Ints
    target: Ints


def _edges(boxes: Boxes, language: Language, all_words: bool) -> Edges:
    """Every step that the language allows; the list must say where each leads, and no other."""
    need(((boxes.truth >= 0) & (boxes.truth < len(language.table))).all(), "nodes: a state that is not there")
    need(boxes.truth[0] == 0, "nodes: node 0 is not in the initial state")
    need(all_words or language.live[0], "language: it is empty, so nothing is promised")
    then = language.table[boxes.truth]
    promised = np.ones_like(then, dtype=bool) if all_words else language.live[then]
    leads = boxes.following >= 0
    need((leads == promised).all(), "following: a step is missing, or one after which nothing is promised is there")
    need((boxes.truth[boxes.following[leads]] == then[leads]).all(), "following: a node of another state")
    source, letter = np.nonzero(leads)
    letters = then.shape[1]
    return Edges(
        *(
            np.concatenate(p).astype(np.int64)
            for p in (([-1], source), ([letters], letter), ([0], boxes.following[leads]))
        )
    )


def check_boxes(
    model: Any, boxes: Boxes, language: Language, all_words: bool, tokens: list[int], columns: list[int]
) -> tuple[Span, Ints]:
    """Reject unless the boxes are an invariant; the scores at the end of each edge, and the node that it leads to.

    Args:
        model: in float32.
        boxes: the evidence.
        language: over the letters of the evidence.
        all_words: whether something is promised after every word.
        tokens: of each letter, then of ``<bos>``.
        columns: the scores that matter.
    """
    for name, weight in model.state_dict().items():
        within(array(weight), MOST_OF_WEIGHTS, name)
        need(not ((weight != 0) & (weight.abs() < 2.0**-126)).any(), f"{name}: a subnormal number")
    edges = _edges(boxes, language, all_words)
    embedding, head = array(model.backbone.embeddings.weight)[tokens], array(model.lm_head.weight)[columns]
    need(model.lm_head.bias is None, "lm_head: a bias")
    widths = (embedding.shape[1], *(layer.mixer.in_proj.weight.shape[0] for layer in model.backbone.layers))
    need(max(widths) <= WIDEST, f"a width past {WIDEST:,}, where float64 rounds too much")
    final = model.backbone.norm_f
    blocks = [
        _Block(layer, box, number)
        for number, (layer, box) in enumerate(zip(model.backbone.layers, boxes.blocks, strict=True))
    ]
    scores: list[Span] = []
    # Of Mamba-2 the first time shows the longest steps, on which it depends how much is lost in any.
    for at in [*range(0, len(edges.source), EDGES)] * (2 if any(block.two for block in blocks) else 1):
        scores = scores if at else []
        some = Edges(*(column[at : at + EDGES] for column in edges))
        one = np.eye(embedding.shape[1])
        stream = linear(one, known(embedding[some.letter]))._replace(error=0.0)
        for block in blocks:
            stream = block.step(stream, some)
        scores.append(_normed(stream, epsilon_of(final), array(final.weight), head))
    found = Span(*(np.concatenate([getattr(s, end) for s in scores]) for end in ("lo", "hi")))
    need(np.isfinite(found.lo).all() and np.isfinite(found.hi).all(), "read-out: a score that may be infinite")
    return found, edges.target


def _normed(stream: Linear, epsilon: float, weight: Floats, matrix: Floats) -> Span:
    """A matrix times what a norm makes of a stream."""
    found = stream.through(matrix * weight)
    scaled = found._replace(error=found.error + FUNCTION).value(norm_scale(stream, epsilon))
    return scaled.wider(_underflow(matrix, weight))


def _underflow(matrix: Floats, weight: Floats) -> Floats:
    """What it makes of a matrix times weights times a norm that is multiplied out."""
    return np.asarray(TINY * (np.abs(matrix) @ (1 + np.abs(weight))))


def _plain_norm(values: Span, epsilon: float) -> Span:
    """A norm without weights."""
    scale = norm_scale(values, epsilon)
    return product(values, scale).wider(FUNCTION * values.most * scale.hi)


class _Block:
    """A block over some edges; it rejects what leaves its boxes."""

    def __init__(self, layer: Any, box: Box, number: int) -> None:
        self.layer, self.mixer, self.box, self.where = layer, layer.mixer, box, f"block {number}"
        mixer = self.mixer
        self.two = hasattr(mixer, "num_heads")
        need(mixer.in_proj.bias is None and mixer.out_proj.bias is None, f"{self.where}: a bias of a projection")
        need(mixer.conv1d.bias is not None, f"{self.where}: the convolution has no bias")
        need(not hasattr(mixer, "sign_proj"), f"{self.where}: signed gates")
        if self.two:
            limits = tuple(float(v) for v in mixer.time_step_limit)
            need(mixer.n_groups == 1 and limits == (0.0, float("inf")), f"{self.where}: groups, or limits of Delta")
            need(mixer.chunk_size <= LONGEST_CHUNK, f"{self.where}: chunks of more than {LONGEST_CHUNK} tokens")
        self.rates = array(mixer.A_log)
        need((np.abs(self.rates) <= LARGEST_LOG).all(), f"{self.where}: A_log is out of range")
        within(box.size, MOST_OF_WEIGHTS, f"{self.where}: the size of a state")
        self.longest: Floats = np.zeros(1)
        if self.two:  # where a mask hides a token Delta is what its bias makes of 0
            self.longest = softplus(known(array(mixer.dt_bias))).hi * np.exp(self.rates)

    def step(self, stream: Linear, edges: Edges) -> Linear:
        """The stream after the block."""
        mixer, channels = self.mixer, int(self.mixer.intermediate_size)
        norm = self.layer.norm
        entered = _normed(stream, epsilon_of(norm), array(norm.weight), array(mixer.in_proj.weight))
        within(entered.most, MOST_IN_ALL, f"{self.where}: what in_proj gives")
        if self.two:
            heads = int(mixer.num_heads)
            z, u, dt = entered.columns(0, channels), entered.columns(channels, -heads), entered.columns(-heads, None)
            x, c, draw = self._of_heads(self._convolved(u, edges), dt)
        else:
            u, z = entered.columns(0, channels), entered.columns(channels, None)
            x, c, draw = self._of_channels(self._convolved(u, edges))
        y = self._read(x, c, self._state(draw, edges))
        gated = product(y.map(lambda v: v.reshape(len(v), -1)), silu(z))
        within(gated.most, MOST_IN_ALL, f"{self.where}: what is gated")
        leave = array(mixer.out_proj.weight)
        if not self.two:
            return stream.plus(linear(leave, gated))
        weighted = linear(leave * array(mixer.norm.weight), gated)
        weighted = weighted._replace(error=weighted.error + FUNCTION)
        weighted = weighted.scaled(norm_scale(gated, epsilon_of(mixer.norm)))
        underflow = _underflow(leave, array(mixer.norm.weight))
        return stream.plus(weighted._replace(floor=weighted.floor + underflow))

    def _convolved(self, u: Span, edges: Edges) -> Span:
        """The activated convolution; the inputs must lie in the box of the node that is reached."""
        before = self._before(self.box.inputs, edges)
        window = Span(*(np.concatenate([b, n[:, None]], axis=1) for b, n in zip(before, u, strict=True)))
        box = self.box.inputs.map(lambda v: v[edges.target])
        self._holds(box, window.map(lambda v: v[:, 1:]), edges, "an input")
        taps = array(self.mixer.conv1d.weight)[:, 0, :].T
        terms, bias = product(window, known(taps)), array(self.mixer.conv1d.bias)
        size = terms.most.sum(axis=1) + np.abs(bias)
        within(size, MOST_OF_TERMS, f"{self.where}: the convolution")
        total = terms.map(lambda v: v.sum(axis=1) + bias).wider(size * SUM * (len(taps) + 3))
        return silu(total)

    def _of_channels(self, x: Span) -> tuple[Span, Span, Drawn]:
        """x and C, and how the state is drawn, of Mamba and Falcon-Mamba."""
        mixer, n = self.mixer, int(self.mixer.ssm_state_size)
        rank = int(mixer.time_step_rank)
        weight = array(mixer.x_proj.weight)
        small, b, c = (linear(weight[p], x) for p in (slice(0, rank), slice(rank, rank + n), slice(rank + n, None)))
        values = [b.value(), c.value()]
        within(small.value().most, MOST_IN_ALL, f"{self.where}: what dt_proj reads")
        if hasattr(mixer, "dt_layernorm"):  # Falcon-Mamba
            scale = norm_scale(small, epsilon_of(mixer.dt_layernorm))
            small = small.scaled(scale)._replace(error=small.error + FUNCTION + SUM)
            norms = (mixer.b_layernorm, mixer.c_layernorm)
            values = [_plain_norm(v, epsilon_of(norm)) for v, norm in zip(values, norms, strict=True)]
        bias = array(mixer.dt_proj.bias)
        step = small.through(array(mixer.dt_proj.weight)).plus(linear(bias[:, None], known(np.ones((len(x.lo), 1)))))
        wide, narrow = x.map(lambda v: v[:, :, None]), values[0].map(lambda v: v[:, None, :])
        delta = softplus(step.value()).map(lambda v: v[:, :, None])
        self._factors(x, *values, delta)
        draw = drawn(delta, self.rates, lambda pull: product(product(pull, narrow), wide))
        return x, values[1].map(lambda v: v[:, None, :]), draw

    def _of_heads(self, convolved: Span, dt: Span) -> tuple[Span, Span, Drawn]:
        """The same of Mamba-2."""
        mixer, n = self.mixer, int(self.mixer.ssm_state_size)
        channels, heads = int(mixer.intermediate_size), int(mixer.num_heads)
        x = convolved.map(lambda v: v[:, :channels].reshape(len(v), heads, -1))
        b, c = (
            part.map(lambda v: v[:, None, None, :])
            for part in (convolved.columns(channels, -n), convolved.columns(-n, None))
        )
        delta = softplus(plus(dt, known(array(mixer.dt_bias)))).map(lambda v: v[:, :, None, None])
        self._factors(x, b, c, delta)
        wide = x.map(lambda v: v[..., None])
        draw = drawn(delta, self.rates[:, None, None], lambda pull: product(product(pull, b), wide))
        self.longest = np.maximum(self.longest, delta.hi.max(axis=0).reshape(-1) * np.exp(self.rates))
        lost = STEP_OF_CHUNK * (1 + OWN) * self.longest[:, None, None] * draw.gate.hi
        return x, c, draw._replace(lost=draw.lost + lost)

    def _factors(self, *numbers: Span) -> None:
        """What is multiplied in any order is not large."""
        for span in numbers:
            within(span.most, MOST, f"{self.where}: x, B, C or Delta")

    def _state(self, draw: Drawn, edges: Edges) -> Span:
        """The state after the step, as it was rounded; it must lie in the box of the node that is reached."""
        after = draw.image(self._before(self.box.states, edges))
        self._holds(self.box.states.map(lambda v: v[edges.target]), after, edges, "an entry of the state")
        good = draw.keeps(self.box.size, self.box.error)
        need(good.all(), f"{self.where}: rounding may add up to more than its bound")
        return after.wider(self.box.error)

    def _read(self, x: Span, c: Span, state: Span) -> Span:
        """C h + D x, shape (rows, channels) or (rows, heads, head_dim)."""
        skip = array(self.mixer.D)
        seen, more = product(state, c), product(x, known(skip[:, None] if self.two else skip))
        n = seen.lo.shape[-1]
        size = (c.most * np.maximum(self.box.size, state.most)).sum(axis=-1) + more.most
        within(size, MOST_IN_ALL, f"{self.where}: what is read of the states")
        total = Span(seen.lo.sum(axis=-1) + more.lo, seen.hi.sum(axis=-1) + more.hi)
        return total.wider(size * (SUM * (n + 4) + FUNCTION))

    def _before(self, box: Span, edges: Edges) -> Span:
        """What is known where an edge begins: before ``<bos>`` everything is 0."""
        start = (edges.source < 0).reshape(-1, *[1] * (box.lo.ndim - 1))
        return box.map(lambda v: np.where(start, 0.0, v[edges.source]))

    def _holds(self, box: Span, found: Span, edges: Edges, what: str) -> None:
        inside = (box.lo <= found.lo) & (found.hi <= box.hi)
        bad = first(~inside.reshape(len(inside), -1).all(axis=1))
        if bad >= 0:
            edge = f"{edges.source[bad]} to {edges.target[bad]}"
            need(False, f"{self.where}: {what} may leave the box on the edge from node {edge}")
