"""Selective scans: of Mamba, whole and by steps, and of Mamba-2's heads, in chunks and by steps.

A probe's integers are scaled by powers of two only: x and D by T 2^-fine and another power and sign for each channel, B
and C by powers and signs that cancel, the gate by T = 1024. Delta is 0 or 32 and more, so that softplus, silu and exp
are exact (``probes.kinds``), and A of what forgets is -1, -2 or -3, so that sums of Delta A are exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...models.arithmetic import Floats as FloatArithmetic
from ...models.block import Selected, selective_scan
from ..case import Floats, Ints
from ..probes.kinds import KINDS
from ..probes.kinds.kind import KEEPS, Kind, T
from ..probes.kinds.mamba2 import FILLER, heads_of
from ..probes.posed import Posed
from ..probes.probe import NEVER, ONE, Block, Channel, Probe, Terms, terms
from ..probes.sets import longer_probes, simple_probes
from .operation import Called, Operation, OperationCase, case_of, filled

HEADS = 8
Cache = tuple[Tensor, Any]
"""The ids read so far, and the state."""


@dataclass(frozen=True)
class Way:
    """How a scan is called.

    Attributes:
        gate: with z.
        skip: with D.
        bias: with the bias of Delta apart; else it is in Delta.
        softplus: Delta comes before softplus; else as it is.
        groups: of channels or heads, each with its own B and C; 0: B and C have no axis of groups.
        constant: B and C do not depend on time, but on the channel.
        chunk: positions per chunk.
    """

    gate: bool = True
    skip: bool = True
    bias: bool = True
    softplus: bool = True
    groups: int = 0
    constant: bool = False
    chunk: int = 64


@dataclass(frozen=True, eq=False)
class Numbers:
    """Arguments of a scan, float32, with the time second; of heads, x and z have an axis more. None: not given.

    ``raw`` is Delta before softplus, with its bias.
    """

    x: Tensor
    delta: Tensor
    a: Tensor
    b: Tensor
    c: Tensor
    d: Tensor | None
    z: Tensor | None
    bias: Tensor | None
    raw: Tensor


@dataclass(frozen=True, eq=False)
class Scan:
    """The one block of a probe as a scan.

    Attributes:
        probe: the program.
        way: how the function is called.
        head_dim: channels per head; 0: there are no heads.
    """

    probe: Probe
    way: Way = Way()
    head_dim: int = 0

    @cached_property
    def channels(self) -> tuple[Channel, ...]:
        """With unused ones: full heads, or a multiple of 8. Every group has them all."""
        (block,) = self.probe.blocks
        if self.head_dim:
            full = [filled(head, self.head_dim) for head in heads_of(block, self.head_dim)]
            full += [(FILLER,) * self.head_dim] * (-len(full) % HEADS)
            once = tuple(channel for head in full for channel in head)
        else:
            once = filled(block.channels, 8)
        return once * max(1, self.way.groups)

    @cached_property
    def block(self) -> Block:
        """The block with these channels."""
        return replace(self.probe.blocks[0], channels=self.channels)

    def terms(self, ids: Ints) -> Terms:
        """What the block computes, in integers."""
        return terms(self.block, self.probe.embedding()[ids], self.probe)

    @cached_property
    def _scale(self) -> Floats:
        """Of each channel, that of Delta."""
        return np.array([T * 2.0**-channel.fine for channel in self.channels], dtype=np.float64)

    @cached_property
    def _apart(self) -> Floats:
        """By how much B differs between groups, or channels."""
        n = len(self.channels)
        if self.way.constant:
            return np.asarray(2.0 ** (np.arange(n) % 2))
        return np.asarray(2.0 ** (np.arange(n) * max(1, self.way.groups) // n))

    def owed(self, ids: Ints) -> Floats:
        """The outputs, shape (batch, time, channels), float64."""
        found = self.terms(ids)
        skip = np.array([channel.skip for channel in self.channels]) if self.way.skip else 0
        y = (found.y * self._apart + found.x * skip) * self._scale * uneven(len(self.channels))
        return np.asarray(y * T * np.maximum(found.gate, 0) if self.way.gate else y)

    def numbers(self, ids: Ints, before: int = 0) -> Numbers:
        """The arguments at tokens of shape (batch, time), without those of the first ``before`` of them."""
        found, way, p = self.terms(ids), self.way, self.head_dim
        by_head = slice(None, None, p or 1)
        first = self.channels[by_head]
        scale = self._scale[by_head]
        constant = np.array([(channel.delta or NEVER).get(ONE, 0) for channel in first]) * scale
        raw = found.delta[..., by_head] * scale
        delta = (raw - constant if way.bias else raw) if way.softplus else np.maximum(raw, 0)
        signs = uneven(self.probe.d_state, 2)
        b, c = found.b * signs, found.c / signs
        a = np.array([[-math.exp(KEEPS) if e in channel.keeps else -1.0 - i % 3 for e in range(self.probe.d_state)]
                      for i, channel in enumerate(first)])  # fmt: skip
        if way.constant:
            b, c = b[0, 0] * self._apart[:, None], np.repeat(c[0, :1], len(first), axis=0)
        elif way.groups:
            b, c = (np.stack([v * f**g for g in range(way.groups)], axis=2) for v, f in ((b, 2.0), (c, 1.0)))

        def wide(v: Any) -> Tensor:
            t = tensor(v[:, before:])
            return t.reshape(*t.shape[:2], -1, p) if p else t

        return Numbers(
            wide(found.x * uneven(len(self.channels))),
            tensor(delta[:, before:]),
            tensor(a[:, 0] if p else a),
            tensor(b if way.constant else b[:, before:]),
            tensor(c if way.constant else c[:, before:]),
            tensor(np.array([channel.skip for channel in first]) * scale) if way.skip else None,
            wide(found.gate * T) if way.gate else None,
            tensor(constant) if way.bias and way.softplus else None,
            tensor(raw[:, before:]),
        )


def uneven(n: int, stride: int = 1) -> Floats:
    """Powers of two of both signs."""
    return np.asarray((-1.0) ** (np.arange(n) // stride) * 2.0 ** (np.arange(n) % 3 - 1))


def tensor(values: Any) -> Tensor:
    """As float32; all of them are exact in it."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


class _Scanned(Called):
    """What the scans share: the numbers of ids that come after others, on the device."""

    given: Scan

    def numbers(self, ids: Tensor, earlier: Tensor | None = None) -> Numbers:
        past = 0 if earlier is None else min(earlier.shape[1], self.given.probe.d_conv - 1)
        seen = ids if earlier is None else torch.cat([earlier[:, earlier.shape[1] - past :], ids], dim=1)
        found = self.given.numbers(seen.numpy(), past)
        return Numbers(**{name: self.on_device(value) for name, value in vars(found).items()})  # type: ignore[arg-type]


class _SelectiveScan(_Scanned):
    """``selective_scan_fn``. What follows a prefill is computed by the formula of ``models.block``."""

    def __init__(self, function: Callable[..., Any], given: Scan) -> None:
        super().__init__(function, given)
        if "return_last_state" in self.names:
            self.prefill = self._prefill

    def __call__(self, ids: Tensor) -> Tensor:
        out: Tensor = self._run(ids)
        return out.transpose(1, 2)

    def _prefill(self, ids: Tensor) -> tuple[Tensor, Cache]:
        out, state = self._run(ids, return_last_state=True)
        return out.transpose(1, 2), (ids, state.cpu())

    def step(self, ids: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        earlier, state = cache
        n = self.numbers(ids, earlier)
        assert n.d is not None
        assert n.z is not None
        x, raw, b, c, z = (v.cpu().transpose(0, 1) for v in (n.x, n.raw, n.b, n.c, n.z))
        arithmetic, w = FloatArithmetic(), {"mixer.A_log": torch.log(-n.a.cpu()), "mixer.D": n.d.cpu()}
        y, state = selective_scan(arithmetic, w, x, Selected(raw, b, c), state)
        return (y * arithmetic.silu(z)).transpose(0, 1), (torch.cat([earlier, ids], dim=1), state)

    def _run(self, ids: Tensor, **more: Any) -> Any:
        n, way = self.numbers(ids), self.given.way
        u, delta, z = (None if v is None else v.transpose(1, 2).contiguous() for v in (n.x, n.delta, n.z))
        b, c = (n.b, n.c) if way.constant else (torch.movedim(v, 1, -1).contiguous() for v in (n.b, n.c))
        settings = {"D": n.d, "z": z, "delta_bias": n.bias, "delta_softplus": way.softplus}
        return self.function(u, delta, n.a, b, c, **settings, **more)


class _StateUpdate(_Scanned):
    """``selective_state_update``: a token at a time, into the state that is given."""

    def __call__(self, ids: Tensor) -> Tensor:
        return self.prefill(ids)[0]

    def prefill(self, ids: Tensor) -> tuple[Tensor, Cache]:
        n = self.numbers(ids[:, :1])
        size = (*n.x.shape[2:], n.b.shape[-1])
        return self.extend(ids, (ids[:, :0], torch.zeros(len(ids), *size, device=self.device)))

    def extend(self, ids: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        earlier, state = cache
        n, p = self.numbers(ids, earlier), self.given.head_dim
        a, delta, d, bias, told = n.a, n.delta, n.d, n.bias, []
        if p:  # every channel has its head's, as views that repeat it
            a = n.a[:, None, None].expand(-1, p, n.b.shape[-1])
            delta = delta[..., None].expand(*delta.shape, p)
            d, bias = (None if v is None else v[:, None].expand(-1, p) for v in (d, bias))
        for t in range(ids.shape[1]):
            z = None if n.z is None else n.z[:, t]
            settings = {"D": d, "z": z, "dt_bias": bias, "dt_softplus": self.given.way.softplus}
            told.append(self.function(state, n.x[:, t], delta[:, t], a, n.b[:, t], n.c[:, t], **settings))
        out = torch.stack(told, dim=1)
        return out.flatten(2), (torch.cat([earlier, ids], dim=1), state)

    step = extend

    def fork(self, cache: Cache) -> Cache:
        return cache[0], cache[1].clone()


class _ChunkScan(_Scanned):
    """``mamba_chunk_scan_combined``: Mamba-2's heads, from a state or none, several documents in a row."""

    def __init__(self, function: Callable[..., Any], given: Scan) -> None:
        super().__init__(function, given)
        if "return_final_states" in self.names:
            self.prefill = self._prefill
            if "initial_states" in self.names:
                self.step = self.extend = self._extend
        if "seq_idx" in self.names:
            self.packed = self._packed

    def __call__(self, ids: Tensor) -> Tensor:
        out: Tensor = self._run(self.numbers(ids))
        return out.flatten(2)

    def _prefill(self, ids: Tensor) -> tuple[Tensor, Cache]:
        out, state = self._run(self.numbers(ids), return_final_states=True)
        return out.flatten(2), (ids, state)

    def _extend(self, ids: Tensor, cache: Cache) -> tuple[Tensor, Cache]:
        earlier, state = cache
        out, state = self._run(self.numbers(ids, earlier), return_final_states=True, initial_states=state)
        return out.flatten(2), (torch.cat([earlier, ids], dim=1), state)

    def _packed(self, ids: Tensor, lengths: Sequence[int]) -> Tensor:
        documents = [self.numbers(document) for document in torch.split(ids, list(lengths), dim=1)]
        row = {
            name: torch.cat([getattr(n, name) for n in documents], dim=1)
            for name in ("x", "delta", "b", "c", "raw", *(["z"] if self.given.way.gate else []))
        }
        which = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))[None].int()
        out: Tensor = self._run(replace(documents[0], **row), seq_idx=self.on_device(which))
        return out.flatten(2)

    def _run(self, n: Numbers, **more: Any) -> Any:
        way = self.given.way
        settings = {"D": n.d, "dt_bias": n.bias, "dt_softplus": way.softplus} | ({"z": n.z} if way.gate else {})
        return self.function(n.x, n.delta, n.a, n.b, n.c, way.chunk, **settings, **more)


# -- the cases ---------------------------------------------------------------------------------------------------------

SHORT = ("memory", "registers", "gates", "skips", "state-", "recall", "sums")
LONG = ("boundaries", "lengths", "long-hold", "long-prefill")
"""What the names of the probes begin with, in this order."""
Variant = tuple[str, str, Way]
"""A probe, what is different, and how it is called."""

PLAIN: tuple[Variant, ...] = (
    ("registers", "without D", Way(skip=False)),
    ("registers", "the bias in Delta", Way(bias=False)),
    ("registers", "Delta as it is", Way(bias=False, softplus=False)),
)
OF_SCANS: tuple[Variant, ...] = (
    ("registers", "without z", Way(gate=False)),
    *PLAIN,
    ("recall", "two groups", Way(groups=2)),
    ("memory", "constant B and C", Way(constant=True)),
)
GROUPED, UNGATED = Way(groups=1), Way(groups=1, gate=False)
OF_CHUNKS: tuple[Variant, ...] = (
    ("gates", "with z", GROUPED),
    ("registers", "with z", GROUPED),
    *((name, what, replace(way, gate=False, groups=1)) for name, what, way in PLAIN),
    ("recall", "two groups", Way(gate=False, groups=2)),
    ("registers", "a chunk of 256", replace(UNGATED, chunk=256)),
    *((name, "chunks of 16", replace(UNGATED, chunk=16)) for name in ("registers", "boundaries", "lengths")),
)
OF_HEADS: tuple[Variant, ...] = (
    ("registers", "without z", UNGATED),
    *((name, what, replace(way, groups=1)) for name, what, way in PLAIN),
    ("recall", "two groups", Way(groups=2)),
)


def _cases(
    of: Kind, names: tuple[str, ...], way: Way, variants: tuple[Variant, ...], heads: bool, quick: bool
) -> tuple[OperationCase, ...]:
    posed = {p.name: p for p in (*simple_probes(), *longer_probes(of, quick))}

    def given(p: Posed, called: Way) -> Scan:
        assert isinstance(p.probe, Probe)
        return Scan(p.probe, called, p.probe.head_dim if heads else 0)

    plain = [case_of(p, given(p, way)) for name in names for n, p in posed.items() if n.startswith(name)]
    odd = [
        case_of(posed[name], given(posed[name], called), f"{name}, {what}", None if "chunks" in what else ("full",))
        for name, what, called in variants
    ]
    return (*plain, *odd)


BY_STEPS = ("full", "step", "cached", "interleaved", "continued", "prefix")
SCAN = Operation(
    "selective_scan_fn(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, "
    "return_last_state=False)",
    _SelectiveScan,
    ("full", "step", "cached", "interleaved", "prefix"),
    lambda quick: _cases(KINDS["mamba"], (*SHORT, *LONG), Way(), OF_SCANS, False, quick),
)
STATE_UPDATE = Operation(
    "selective_state_update(state, x, dt, A, B, C, D=None, z=None, dt_bias=None, dt_softplus=False)",
    _StateUpdate,
    (*BY_STEPS, "forked"),
    lambda quick: _cases(KINDS["mamba"], SHORT, Way(), OF_SCANS[:4], False, quick),
)
STATE_UPDATE_OF_HEADS = Operation(
    "selective_state_update(state, x, dt, A, B, C, D=None, z=None, dt_bias=None, dt_softplus=False), with heads",
    _StateUpdate,
    (*BY_STEPS, "forked"),
    lambda quick: _cases(KINDS["mamba2"], SHORT, GROUPED, OF_HEADS, True, quick),
)
CHUNK_SCAN = Operation(
    "mamba_chunk_scan_combined(x, dt, A, B, C, chunk_size, D=None, z=None, dt_bias=None, initial_states=None, "
    "seq_idx=None, dt_softplus=False, return_final_states=False)",
    _ChunkScan,
    (*BY_STEPS, "packed"),
    lambda quick: _cases(KINDS["mamba2"], (*SHORT, *LONG), UNGATED, OF_CHUNKS, True, quick),
)
