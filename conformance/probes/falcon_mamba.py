"""Probes as weights of Falcon-Mamba, whose norms of dt, B and C are made divisions by powers of two.

rms(v) = v / sqrt(mean(v^2) + epsilon). A vector gets, beside the probe's entries, n constants of size G, in a width of
n 4^j (n is 1 or 2): the mean of squares is G^2 / 4^j as long as the others' squares and epsilon sum to less than 2^-25
G^2, and each entry comes out divided by G / 2^j, which is put right in what follows or in what came before. The G of
dt, B and C are different, so that a norm of two of them together is noticed, and no larger than they must be, so that
where a norm is missing the residual stream stays in range and the logits still tell which channel is wrong.

- *dt.* The rows are integers times T. dt_proj multiplies by G / 2^j.
- *B, C.* What should come out is written times G / 2^j into x_proj. It must be small beside G: B's unit is 2^-20
  anyhow; C gets the same unit, D too, and out_proj takes it back. Where B has its constants C is 0, so that what they
  write is never read; where C has its constants B is 0, so that nothing is read.

One probe is Falcon-Mamba's own: a token at which dt has no constants and is so small that epsilon decides.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ...models.falcon_mamba import FalconMambaShape, FalconMambaWeights
from ...models.mamba import Tensor
from ..case import Case
from .mamba import CONST, random_words
from .probe import BOS, FORGETS, ONE, Block, Channel, Form, Probe, T, dt_rows
from .probe import weights_of as plain_weights_of
from .probe_case import probe_case

G_DT, G_B, G_C = 2.0**26, 2.0**12, 2.0**10
C_UNIT = 2.0**-20
TINY = 2.0**-10
"""dt at the token that is small."""


@dataclass(frozen=True)
class Width:
    """n 4^j entries, of which n are constants for each of some vectors.

    Attributes:
        n: constants of one vector.
        j: the exponent.
    """

    n: int
    j: int

    @property
    def total(self) -> int:
        """Entries."""
        return self.n << 2 * self.j

    def divisor(self, constant: float) -> float:
        """What the norm divides by, if the constants are of this size."""
        return constant / 2.0**self.j


def width(entries: int, vectors: int) -> Width:
    """The narrowest with room for so many entries, and for the constants of so many vectors in places of their own."""
    j = 1
    while True:
        for n in (1, 2):
            if (found := Width(n, j)).total >= entries + vectors * n:
                return found
        j += 1


def weights_of(probe: Probe) -> FalconMambaWeights:
    """The probe as weights of a Falcon-Mamba. O(number of weights)."""
    plain = plain_weights_of(probe)
    rank, state = width(plain.shape.dt_rank, 1), width(plain.shape.d_state, 2)
    sizes = {field.name: getattr(plain.shape, field.name) for field in fields(plain.shape)}
    shape = FalconMambaShape(**sizes | {"dt_rank": rank.total, "d_state": state.total})
    tensors = {name: np.array(tensor) for name, tensor in plain.tensors.items()}
    for layer, block in enumerate(probe.blocks):
        prefix = f"backbone.layers.{layer}.mixer."
        own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        normed = _normed(own, block, plain.shape.dt_rank, plain.shape.d_state, rank, state)
        tensors |= {prefix + name: tensor for name, tensor in normed.items()}
    return FalconMambaWeights(shape, tensors)


def _normed(
    w: dict[str, Tensor], block: Block, rows: int, entries: int, rank: Width, state: Width
) -> dict[str, Tensor]:
    """The tensors of a Mamba block that norms change. A block without memories has dt, B and C zero."""
    channels = len(w["D"])
    x_proj = np.zeros((rank.total + 2 * state.total, channels), dtype=np.float32)
    dt_proj = np.zeros((channels, rank.total), dtype=np.float32)
    a_log = np.full((channels, state.total), FORGETS, dtype=np.float32)  # what B's constants write must not grow
    a_log[:, :entries] = w["A_log"]
    found = {"x_proj.weight": x_proj, "dt_proj.weight": dt_proj, "A_log": a_log}
    if all(channel.delta is None for channel in block.channels):
        return found
    one = next(i for i, c in enumerate(block.channels) if not c.reads and c.bias in (1, 2, 4))
    x = T * block.channels[one].bias
    b, c = rank.total, rank.total + state.total
    x_proj[:rows] = w["x_proj.weight"][:rows]
    x_proj[rank.total - rank.n : rank.total, one] = G_DT / x
    x_proj[b : b + entries] = w["x_proj.weight"][rows : rows + entries] * state.divisor(G_B)
    x_proj[b + entries : b + entries + state.n, one] = G_B / x
    x_proj[c : c + entries] = w["x_proj.weight"][rows + entries :] * (state.divisor(G_C) * C_UNIT)
    x_proj[c + entries + state.n : c + entries + 2 * state.n, one] = G_C / x
    dt_proj[:, :rows] = w["dt_proj.weight"] * rank.divisor(G_DT)
    return found | {"D": w["D"] * np.float32(C_UNIT), "out_proj.weight": w["out_proj.weight"] / np.float32(C_UNIT)}


def dt_epsilon() -> Probe:
    """Latches that a token may clear whose dt, alone, has no constants: it is (TINY, 0, 0, 0).

    The norm makes TINY = v = 2^-10 into v / sqrt(v^2 / 4 + eps): 0.878 with the configured 1e-6, 0.305 with 1e-5, 1.96
    with 1e-8. The weights clear one latch from 0.6 on and the other from 1.3 on (:func:`dt_epsilon_weights`).
    """
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "set": {"set": 1}, "tiny": {"tiny": 1}}
    conditions = (
        CONST,
        Channel("is set", "the latches are set", "in_proj", reads={"set": 1}),
        Channel("is tiny", "the token is tiny", "in_proj", reads={"tiny": 1}),
        Channel("not tiny", "any other token", "conv1d.bias", reads={"tiny": 1}, taps=(-1,), bias=1),
    )
    latches: tuple[tuple[str, str, Form], ...] = (
        ("cleared", "set, and no tiny token since", {"is set": 2, "is tiny": 2, ONE: -1}),
        ("not cleared", "set, ever", {"is set": 2, ONE: -1}),
    )
    memories = tuple(
        Channel(name, meaning, "epsilon of the norm of dt", {"set": 1}, delta=delta, writes={name: 1})
        for name, meaning, delta in latches
    )
    b = ({"one": 1},)
    return Probe(tokens, (Block((*conditions, *memories), b, b),), 2)


def dt_epsilon_weights(probe: Probe) -> FalconMambaWeights:
    """The weights of :func:`dt_epsilon`: the constant of dt is missing at "tiny", and both latches compare its norm."""
    lowered = weights_of(probe)
    tensors = {name: np.array(tensor) for name, tensor in lowered.tensors.items()}
    prefix = "backbone.layers.0.mixer."
    names = [channel.name for channel in probe.blocks[0].channels]
    x_proj, dt_proj = tensors[prefix + "x_proj.weight"], tensors[prefix + "dt_proj.weight"]
    rank, row = lowered.shape.dt_rank, dt_rows(probe)[0].index("is tiny")
    assert rank == 4
    x_proj[rank - 1, names.index("one")], x_proj[rank - 1, names.index("not tiny")] = 0.0, G_DT / T
    x_proj[row, names.index("is tiny")] = TINY / T
    for latch, threshold in (("cleared", 0.6), ("not cleared", 1.3)):
        dt_proj[names.index(latch), row] = T / threshold
    return FalconMambaWeights(lowered.shape, tensors)


def norms() -> Probe:
    """Memories that need the norms of B and C only, and memories that need that of dt too."""
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "a": {"a": 1, "v": 1}, "b": {"v": 2}}
    conditions = (CONST, Channel("is a", "the token is a", "in_proj", reads={"a": 1}))
    exercises = "the norms of B and C"
    memories = (
        Channel("now", "the value of this token", exercises, {"v": 1}, delta={ONE: 1}, writes={"now": 1}),
        Channel(
            "total",
            "the sum of all values",
            exercises,
            {"v": 1},
            delta={ONE: 1},
            keeps=frozenset({0, 1}),
            writes={"total": 1},
        ),
        Channel(
            "at a",
            "the value of the last a",
            "the norm of dt",
            {"v": 1},
            delta={"is a": 2, ONE: -1},
            writes={"at a": 1},
        ),
    )
    b: tuple[Form, ...] = ({"one": 1}, {"one": 2})
    c: tuple[Form, ...] = ({"one": 1}, {"is a": 1})
    return Probe(tokens, (Block((*conditions, *memories), b, c),), 2)


def cases(quick: bool) -> tuple[Case, ...]:
    """What only Falcon-Mamba has; its memories need it."""
    found = [("norms", "the norms of dt, B and C", norms(), weights_of)]
    found.append(("dt-epsilon", "epsilon of the norm of dt", dt_epsilon(), dt_epsilon_weights))
    return tuple(
        probe_case(name, exercises, probe, random_words(probe, 3, 16, 4), lower=lower)
        for name, exercises, probe, lower in found
    )
