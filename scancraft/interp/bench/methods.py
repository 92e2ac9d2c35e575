"""Three methods to compare others with: a linear probe, activation patching, and attribution patching.

They see what any method sees (``task``): activations of the model, not what its parts mean.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import one_hot, softplus

from ..points import path_of
from ..run import Cache, Patch, gradients, patch, run_with_cache
from .graph import EMBEDDING, Edge, Graph, Node, dt_of
from .task import Method, Task


def linear_probe(task: Task) -> dict[Node, float]:
    """How well the state of the DFA can be read off a channel: R^2 of least squares from x, the states and the output.

    Alain and Bengio 2016, arXiv 1610.01644, with least squares for the classifier.
    """
    cache = run_with_cache(task.model, task.ids)
    wanted = one_hot(task.states).double().flatten(0, 1)
    wanted = wanted - wanted.mean(dim=0)
    found = {}
    for node in task.graph.nodes:
        mixer = f"blocks.{node.block}.mixer.hook_"
        parts = [cache[mixer + name][..., node.index, None] for name in ("conv", "gated")]
        seen = torch.cat([*parts, _state(cache, node)], dim=-1).double().flatten(0, 1)
        seen = seen - seen.mean(dim=0)
        left = wanted - seen @ torch.linalg.pinv(seen) @ wanted
        found[node] = 1 - float(left.square().sum() / wanted.square().sum())
    return found


def activation_patching(task: Task) -> dict[Edge, float]:
    """How far logits move if an edge carries, all along a word, what it does in another word of the task.

    Path patching: Goldowsky-Dill et al. 2023, arXiv 2304.05969. Edges that carry the same in both are not run.
    """
    clean, other = _two_runs(task)
    found = {}
    for edge in task.graph.edges:
        place = _patched(task.graph, edge, clean, other)
        if place is not None:
            moved = patch(task.model, clean.ids, place) - clean.logits
            found[edge] = float(moved[..., list(task.columns)].double().abs().mean())
    return found


def attribution_patching(task: Task) -> dict[Edge, float]:
    """The same to first order, all edges in one backward pass: gradient at the target times the change.

    Edge attribution patching: Syed, Rager and Conmy 2023, arXiv 2310.10348. The metric is the sum of the logits, each
    with the sign that is right for it.
    """
    clean, other = _two_runs(task)
    right = torch.where(task.allowed, 1.0, -1.0)
    slopes = gradients(task.model, clean.ids, lambda logits: (logits[..., list(task.columns)] * right).sum())
    found = {}
    for edge in task.graph.edges:
        place = _patched(task.graph, edge, clean, other)
        if place is not None:
            assert isinstance(place.value, Tensor)
            index = place.index if isinstance(place.index, tuple) else (place.index,)
            at = (slice(None), slice(None), *index)
            change = place.value - clean[place.point][at]
            found[edge] = float((slopes[place.point][at] * change).double().sum().abs())
    return found


METHODS: Mapping[str, Method] = {
    "probe": linear_probe,
    "patching": activation_patching,
    "attribution": attribution_patching,
}
"""By the names that the command line has for them."""


def _two_runs(task: Task) -> tuple[Cache, Cache]:
    """Each word, and another one in its place."""
    clean = run_with_cache(task.model, task.ids)
    return clean, run_with_cache(task.model, task.ids.roll(1, dims=0))


def _patched(graph: Graph, edge: Edge, clean: Cache, other: Cache) -> Patch | None:
    """The target's port with what the edge carries in the other run; None if that is the same."""
    if edge.port == "memory":
        point = f"blocks.{edge.target.block}.mixer.hook_ssm_state"
        new, size = _state(other, edge.target), clean[point].shape
        index = divmod(edge.target.index, size[3]) if graph.heads else (edge.target.index,)
        return None if torch.equal(new, _state(clean, edge.target)) else Patch(point, new, index=index)
    if edge.port == "step" and not graph.heads:
        change = _held(other, edge, "conv") - _held(clean, edge, "conv")
        change = change * float(graph.step_factors(edge.target.block)[edge.target.index, edge.source.index])
        return None if not change.any() else _step(graph, edge, clean, change)
    block = graph.blocks if edge.port == "logit" else edge.target.block
    change, column = _through_the_stream(graph, edge, block, clean, other)
    if not change.any():
        return None
    point = "unembed.hook_out" if edge.port == "logit" else f"blocks.{block}.mixer.hook_in_proj"
    value = clean[point][..., column].double() + change
    return Patch(point, value.to(clean.logits.dtype), index=(column,))


def _state(cache: Cache, node: Node) -> Tensor:
    """The state of a channel, shape (words, time, d_state)."""
    states = cache[f"blocks.{node.block}.mixer.hook_ssm_state"]
    return states.flatten(2, -2)[:, :, node.index]


def _held(cache: Cache, edge: Edge, name: str) -> Tensor:
    """What a channel holds, shape (words, time)."""
    return cache[f"blocks.{edge.source.block}.mixer.hook_{name}"][..., edge.source.index].double()


def _step(graph: Graph, edge: Edge, clean: Cache, change: Tensor) -> Patch:
    """Delta after a change before softplus."""
    mixer, n = graph.mixers[edge.target.block], edge.target.index
    point = f"blocks.{edge.target.block}.mixer.hook_dt"
    dt = dt_of(mixer, clean[f"blocks.{edge.target.block}.mixer.hook_x_proj"]).double()
    before = dt @ mixer.dt_proj.weight.detach()[n].double() + mixer.dt_proj.bias.detach()[n].double()
    return Patch(point, softplus(before + change).to(clean[point].dtype), index=(n,))


def _through_the_stream(graph: Graph, edge: Edge, block: int, clean: Cache, other: Cache) -> tuple[Tensor, int]:
    """By how much a port changes, shape (words, time), and which column of the reading matrix's output it is."""
    at = graph.ports(block)[edge.target, edge.port]
    row = edge.target.index if edge.port == "logit" else at
    if edge.source == EMBEDDING:
        embedded = other[path_of("hook_embed")] - clean[path_of("hook_embed")]
        return graph.from_embedding(block, embedded)[..., at], row
    factor = float(graph.factors(edge.source.block, block)[at, edge.source.index])
    return (_held(other, edge, "gated") - _held(clean, edge, "gated")) * factor, row
