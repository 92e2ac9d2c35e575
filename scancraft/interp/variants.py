"""Variants of compiled models that look less compiled: the same language, provably, in weights that are harder to read.

Every change is exact in dyadic numbers, so that the certifier proves a variant as it does any model:

- *spread*: the residual stream's constant lies on four times as many dimensions, with random signs. (It is so large
  that nothing else fits beside it in a float32: the constant and the features cannot share a dimension.)
- *rotate*: the features are rotated by a product of Hadamard matrices (``interp.rotations``). RMSNorm divides all
  vectors by the same power of two, and its weight is one number on all features, so rotations pass through it.
- *permute*: the channels of every block in a random order.
- *split*: some channels are there twice, and whoever reads them takes a random dyadic share a of the one and 1 - a of
  the other.
- *decoys*: copies of channels that hold a memory, before a gate that never opens: they know, and do nothing.
- *noise*: (1) what is written has a random part in directions that no block reads; (2) what is read has one in
  directions that nothing is written in; (3) A_log is another number where only "large" matters; (4) the head reads a
  little of everything. Only the last moves logits, by at most :attr:`Variant.bound`, which is computed from all vectors
  that can reach the head (the evidence of the base's certificate lists them) and is a share of the smallest |score|.

A count up to 2^24 fills a float32: a share of it, or its sum with other features, would be rounded. So models that
count are spread and permuted, no more. (Decoys of an error latch are past what the certifier proves of counters.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float64
from msgspec.structs import replace as replaced
from numpy.typing import NDArray

from ..certify.certify import Certificate, certify
from ..compiler.compiled import CompiledModel
from ..compiler.manifest import (
    BlockLabel,
    ChannelLabel,
    Dimension,
    DirectionLabel,
    Holder,
    Manifest,
    MemoryLabel,
    Sizes,
    StateEntries,
)
from ..compiler.targets.layout import constants_of
from ..models.mamba import MambaShape
from ..models.weights import Tensor
from .errors import VariantError
from .rotations import rotation

Matrix = Float64[NDArray[np.float64], "rows columns"]

KINDS = ("mamba", "signed_mamba", "falcon_mamba")
ROUNDS = 3
SHARES = (-0.25, 0.25, 0.5, 0.75, 1.25)
"""What one half of a split channel is read with; the other half with the rest."""
NOISE = np.arange(-3, 4) / 4.0
"""What noise that moves nothing is drawn from."""
SHUT = -(2.0**10)
"""A gate branch at which silu underflows to 0 (``compiler.targets.lower.T``)."""


@dataclass(frozen=True)
class Variant(CompiledModel):
    """A compiled model in other weights; its manifest labels them (directions are vectors).

    Attributes:
        base: what it was made of.
        bound: by how much a logit may differ from the base's, at most, on any word of any length.
    """

    base: CompiledModel
    bound: float


@dataclass(frozen=True)
class _Stream:
    """Where things lie in the residual stream.

    Attributes:
        old: dimensions of the base: its features.
        constants: of the base.
        width: new d_model.
        hold: the new dimensions of the constant.
        signs: of the constant there.
        rest: the other dimensions.
        write: from features to the other dimensions, shape (rest, features).
        read: likewise, for those who read; write^T read = 1.
        unread: directions that nothing is written in, shape (rest, any).
    """

    old: tuple[int, ...]
    constants: int
    width: int
    hold: NDArray[np.int64]
    signs: NDArray[np.float64]
    rest: NDArray[np.int64]
    write: Matrix
    read: Matrix
    unread: Matrix

    def written(self, rows: Matrix) -> Matrix:
        """Vectors of the base, shape (rows, d_model), as those of the variant; constants with their value."""
        found = np.zeros((len(rows), self.width))
        found[:, self.rest] = rows[:, self.old] @ self.write.T
        found[:, self.hold] = rows[:, :1] * self.signs
        return found

    def reads(self, rows: Matrix, noise: Matrix) -> Matrix:
        """Linear forms of normed vectors of the base, as those of the variant, with noise that reads nothing."""
        found = np.zeros((len(rows), self.width))
        found[:, self.rest] = rows[:, self.old] @ self.read.T + noise @ self.unread.T
        # Each of the base's constants is 1 after a norm, and so is each of the variant's, but for the sign.
        found[:, self.hold] = rows[:, : self.constants].sum(axis=1, keepdims=True) * self.signs / len(self.hold)
        return found


def variant(
    compiled: CompiledModel,
    *,
    rotate: bool = True,
    spread: bool = True,
    permute: bool = True,
    split: int = 2,
    decoys: int = 2,
    noise: float = 0.0,
    seed: int = 0,
) -> Variant:
    """The same language model in weights that are harder to read. Equal arguments give equal weights.

    Args:
        compiled: of the kind Mamba, signed or not, or Falcon-Mamba.
        rotate: the features of the residual stream; not of a model that counts.
        spread: the constant of the residual stream.
        permute: the channels.
        split: how many channels of each block become two; none in a model that counts.
        decoys: how many channels of each block hold a memory and do nothing; none in a model that counts.
        noise: 0 for none; else the share of the smallest |score| that logits may move by, below 1.
        seed: of all that is drawn.

    Raises:
        VariantError: a model of another kind, or one that counts, of which something else is asked; a number out of
            range; with noise, a base that cannot be certified.
    """
    if compiled.weights.model_type not in KINDS:
        raise VariantError(
            f"there are no variants for {compiled.weights.model_type}, whose norm after the scan allows no more "
            "channels and no other sums: only of Mamba, signed Mamba and Falcon-Mamba"
        )
    if compiled.circuit.counts and (rotate or split or decoys or noise):
        raise VariantError(
            "a count fills a float32, so a model that counts cannot be rotated or split, and has no noise and no "
            "decoys that are proved to do nothing; give rotate=False, split=0, decoys=0, noise=0"
        )
    if not (0 <= noise < 1 and split >= 0 and decoys >= 0):
        raise VariantError("noise must be at least 0 and below 1, split and decoys at least 0")
    rng = np.random.default_rng(seed)
    stream = _stream(compiled.manifest, rng, rotate=rotate, spread=spread, noise=noise > 0)
    plans = [_channels(block, rng, split, decoys) for block in _labels(compiled)]
    shape = compiled.weights.shape
    assert isinstance(shape, MambaShape)
    widest = max(map(len, plans))
    shape = replace(shape, d_model=stream.width, expand=max(1, -(-widest // stream.width)))
    places = [_places(len(plan), shape.d_inner, rng, permute=permute) for plan in plans]
    tensors = compiled.weights.tensors
    found: dict[str, Any] = {"backbone.embeddings.weight": stream.written(_wide(tensors["backbone.embeddings.weight"]))}
    for layer, (plan, place) in enumerate(zip(plans, places, strict=True)):
        block = _block(compiled.weights.block(layer), plan, place, stream, shape, rng, noise=noise > 0)
        found |= {f"backbone.layers.{layer}.{name}": value for name, value in block.items()}
    found["backbone.norm_f.weight"] = _norm(tensors["backbone.norm_f.weight"], stream)
    head = _wide(tensors["lm_head.weight"])
    found["lm_head.weight"] = stream.reads(head, _drawn(rng, (len(head), stream.unread.shape[1]), noise > 0))
    bound = 0.0
    if noise:
        extra, bound = _moving(compiled, stream, len(head), noise, rng)
        found["lm_head.weight"][:, stream.rest] += extra
    weights = type(compiled.weights)(
        shape, {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in found.items()}
    )
    manifest = _manifest(compiled.manifest, stream, plans, places, weights)
    return Variant(weights, manifest, compiled.language, compiled.circuit, base=compiled, bound=bound)


def _wide(tensor: Tensor) -> Matrix:
    return tensor.astype(np.float64)


def _drawn(rng: np.random.Generator, shape: tuple[int, ...], wanted: bool) -> Matrix:
    return rng.choice(NOISE, shape) if wanted else np.zeros(shape)


# -- the residual stream -----------------------------------------------------------------------------------------------


def _stream(manifest: Manifest, rng: np.random.Generator, *, rotate: bool, spread: bool, noise: bool) -> _Stream:
    kinds = [d.kind for d in manifest.residual]
    if manifest.directions:
        raise VariantError("this is a variant already; make another one of its base")
    old = tuple(n for n, kind in enumerate(kinds) if kind not in ("constant", "unused"))
    constants = kinds.count("constant")
    width = len(kinds)
    room = 4 if noise else 0
    while width - constants_of(width) * (4 if spread else 1) < len(old) + room:
        width *= 2
    hold = constants_of(width) * (4 if spread else 1)
    order = rng.permutation(width) if rotate else np.arange(width)
    signs = rng.choice([-1.0, 1.0], hold) if spread else np.ones(hold)
    turned = rotation(width - hold, ROUNDS if rotate else 0, rng)
    features, others = turned[:, : len(old)], turned[:, len(old) :]
    half = others.shape[1] // 2
    mixed = features + others[:, :half] @ _drawn(rng, (half, len(old)), noise)
    return _Stream(old, constants, width, order[:hold], signs, order[hold:], mixed, features, others[:, half:])


def _norm(weight: Tensor, stream: _Stream) -> NDArray[np.float64]:
    """The weight of a norm: one number on the constant, one on all features.

    n constants among n 4^j dimensions make it divide by 2^j less than the constant.
    """
    scale = float(weight[stream.old[0]] / weight[0]) if stream.old else 1.0
    exponent = ((stream.width // len(stream.hold)).bit_length() - 1) // 2
    found = np.full(stream.width, scale * 2.0**-exponent)
    found[stream.hold] = 2.0**-exponent
    return found


def _moving(
    compiled: CompiledModel, stream: _Stream, rows: int, share: float, rng: np.random.Generator
) -> tuple[Matrix, float]:
    """What the head reads besides, and by how much that can move a logit.

    Raises:
        VariantError: the base cannot be certified.
    """
    proof = certify(compiled)
    if not isinstance(proof, Certificate):
        raise VariantError(f"noise needs a base that is certified; this one is not: {proof}")
    last = max(int(name[5:].partition(".")[0]) for name in proof.evidence if name.startswith("stage"))
    vectors = proof.evidence[f"stage{last}.vectors"].double().numpy()
    reached = vectors[:, stream.old] @ stream.write.T
    extra = rng.choice(NOISE, (rows, len(stream.rest)))
    largest = float(np.abs(reached @ extra.T).max(initial=0.0))
    factor = 2.0 ** np.floor(np.log2(share * proof.margin / largest)) if largest else 0.0
    return extra * factor, largest * factor


# -- channels ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _New:
    """A channel of the variant.

    Attributes:
        old: the base's channel that it is a copy of.
        half: of a split channel: 0 or 1.
        decoy: whether nothing of it is read.
    """

    old: int
    half: int | None = None
    decoy: bool = False


def _labels(compiled: CompiledModel) -> list[BlockLabel]:
    """The label of every block; an empty one where the one block of a model does nothing."""
    layers = compiled.weights.shape.n_layers
    return [*compiled.manifest.blocks, *(BlockLabel(n, "", ()) for n in range(len(compiled.manifest.blocks), layers))]


def _channels(block: BlockLabel, rng: np.random.Generator, split: int, decoys: int) -> list[_New]:
    used = [channel.index for channel in block.channels]
    if not used:
        return []
    twice = set(rng.choice(used, min(split, len(used)), replace=False).tolist())
    found = [_New(n, half) for n in used for half in ((0, 1) if n in twice else (None,))]
    holders = sorted({holder.index for memory in block.memories for holder in memory.channels}) or used
    return found + [_New(int(n), decoy=True) for n in rng.choice(holders, decoys)]


def _places(count: int, width: int, rng: np.random.Generator, *, permute: bool) -> list[int]:
    return [int(n) for n in (rng.permutation(width) if permute else range(width))][:count]


def _block(
    w: dict[str, Tensor],
    plan: Sequence[_New],
    place: Sequence[int],
    stream: _Stream,
    shape: MambaShape,
    rng: np.random.Generator,
    *,
    noise: bool,
) -> dict[str, Matrix]:
    """The parameters of a block."""
    found: dict[str, Any] = {name: np.zeros(size) for name, size in shape.block_tensors().items()}
    olds, inner, old_inner = [new.old for new in plan], shape.d_inner, len(w["mixer.D"])
    found["norm.weight"] = _norm(w["norm.weight"], stream)
    blank = int(np.flatnonzero(~np.isin(np.arange(old_inner), olds))[0]) if len(set(olds)) < old_inner else None
    for name in ("conv1d.weight", "conv1d.bias", "dt_proj.weight", "dt_proj.bias", "A_log", "D"):
        if blank is not None:  # channels that nobody uses are as they were
            found[f"mixer.{name}"][:] = w[f"mixer.{name}"][blank]
        found[f"mixer.{name}"][place] = w[f"mixer.{name}"][olds]
    if blank is None:
        free = np.setdiff1d(np.arange(inner), place)
        found["mixer.dt_proj.bias"][free] = SHUT
    for name in ("sign_proj.weight", "sign_proj.bias"):
        if f"mixer.{name}" in w:
            found[f"mixer.{name}"][:] = 0.0 if name.endswith("weight") else -SHUT
            found[f"mixer.{name}"][place] = w[f"mixer.{name}"][olds]
    inputs, gates = _wide(w["mixer.in_proj.weight"][:old_inner]), _wide(w["mixer.in_proj.weight"][old_inner:])
    reads, opens = np.zeros((inner, inputs.shape[1])), np.zeros((inner, inputs.shape[1]))
    reads[place], opens[place] = inputs[olds], gates[olds]
    x_proj, out_proj = _wide(w["mixer.x_proj.weight"]), _wide(w["mixer.out_proj.weight"].T)
    if out_proj[:, : stream.constants].any():
        raise VariantError("a block of the base writes on the constant of the residual stream")
    writes = np.zeros((inner, inputs.shape[1]))
    taken, given = (rng.choice(SHARES, (old_inner, width)) for width in (len(x_proj), inputs.shape[1]))
    for new, at in zip(plan, place, strict=True):
        if new.decoy:
            opens[at] = 0.0
            opens[at, 0] = SHUT
            writes[at] = out_proj[new.old]
            continue
        share = {None: (1.0, 1.0), 0: (taken[new.old], given[new.old]), 1: (1 - taken[new.old], 1 - given[new.old])}
        found["mixer.x_proj.weight"][:, at] = x_proj[:, new.old] * share[new.half][0]
        writes[at] = out_proj[new.old] * share[new.half][1]
    unread = stream.unread.shape[1]
    found["mixer.in_proj.weight"] = stream.reads(
        np.concatenate([reads, opens]), _drawn(rng, (2 * inner, unread), noise)
    )
    found["mixer.out_proj.weight"] = stream.written(writes).T
    if noise:
        large = found["mixer.A_log"] >= 0  # a gate is 0 or 1 whatever it is
        found["mixer.A_log"] += np.where(large, rng.integers(0, 16, found["mixer.A_log"].shape) / 16.0, 0.0)
    return found


# -- labels ------------------------------------------------------------------------------------------------------------


def _manifest(
    manifest: Manifest, stream: _Stream, plans: Sequence[Sequence[_New]], places: Sequence[Sequence[int]], weights: Any
) -> Manifest:
    hold = set(stream.hold.tolist())
    constant, mixed = Dimension("constant", "constant"), Dimension("mixed", "mixed")
    blocks = [_block_label(*parts) for parts in zip(manifest.blocks, plans, places, strict=False)]
    shape, used = weights.shape, sum(len(m.channels) for block in blocks for m in block.memories)
    return replaced(
        manifest,
        shape=Sizes(**weights.sizes()),
        residual=tuple(constant if n in hold else mixed for n in range(stream.width)),
        blocks=tuple(blocks),
        counters=tuple(
            replaced(counter, channel=at)
            for counter in manifest.counters
            for new, at in zip(plans[counter.block], places[counter.block], strict=True)
            if new.old == counter.channel and not new.decoy
        ),
        state_entries=StateEntries(used, shape.n_layers * shape.d_inner * shape.d_state),
        directions=_directions(manifest, stream),
    )


def _directions(manifest: Manifest, stream: _Stream) -> tuple[DirectionLabel, ...]:
    write, read = np.zeros((2, len(stream.old) + 1, stream.width))
    write[0, stream.hold], read[0, stream.hold] = stream.signs, stream.signs / len(stream.hold)
    write[1:, stream.rest], read[1:, stream.rest] = stream.write.T, stream.read.T
    old = [manifest.residual[n] for n in (0, *stream.old)]
    return tuple(
        DirectionLabel(d.kind, d.name, tuple(w.tolist()), tuple(r.tolist()), d.symbol, d.number)
        for d, w, r in zip(old, write, read, strict=True)
        if d.kind != "unused" and d.kind != "mixed" and d.kind != "learned"
    )


def _block_label(block: BlockLabel, plan: Sequence[_New], place: Sequence[int]) -> BlockLabel:
    old = {channel.index: channel for channel in block.channels}
    labels = [_channel_label(old[new.old], new, at) for new, at in zip(plan, place, strict=True)]
    where: dict[int, list[int]] = {n: [] for n in old}
    for new, at in zip(plan, place, strict=True):
        if not new.decoy:
            where[new.old].append(at)
    memories = tuple(_memory_label(memory, where) for memory in block.memories)
    return replaced(block, channels=tuple(sorted(labels, key=lambda c: c.index)), memories=memories)


def _channel_label(label: ChannelLabel, new: _New, at: int) -> ChannelLabel:
    if new.decoy:
        return ChannelLabel(at, "condition", f"decoy: a copy of [{label.meaning}] behind a gate that is shut")
    half = "" if new.half is None else " (one of two halves)"
    return ChannelLabel(at, label.role, label.meaning + half)


def _memory_label(memory: MemoryLabel, where: dict[int, list[int]]) -> MemoryLabel:
    holders = tuple(Holder(at, holder.label) for holder in memory.channels for at in where[holder.index])
    return replaced(memory, channels=holders)
