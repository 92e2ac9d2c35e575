"""What the arguments about counters and brackets have in common: blocks after the control, and one that counts.

Inside a block the entries of the SSM state never see each other, and the output is linear in them; so each entry is
looked at on its own, and counters appear in the residual stream as base + sum of slope_i * c_i. What depends on a
counter is a range (``arithmetic``), and obligations are verified on all of it. What is derived is compared with the
model's own steps at some values, so that a mistake in a formula here does not go unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .arithmetic import ROWS, Obligations, Range, beside, epsilon_of, exactly, times
from .blocks import Selected, project, read, select, settle
from .closure import Graph, agree
from .machine import Machine
from .parts import Bools, Floats, Ints, array, first, need

MOST_NUMBERS = 1 << 25
"""In one array; what needs more is rejected."""
SAMPLED = 512
"""Rows at which the model's own steps are compared."""


NEVER = -1
"""Stands for a token that the language does not have."""


def and_never(allowed: Bools) -> Bools:
    """Which tokens are allowed, and one more that never is."""
    return np.pad(allowed, ((0, 0), (0, 1)))


def sample(rows: int) -> Ints:
    """Some row numbers, evenly spread: at most SAMPLED, and all if there are no more."""
    return np.unique(np.linspace(0, rows - 1, min(rows, SAMPLED)).astype(np.int64))


def by_rows(compute: Callable[[Range], tuple[Range, ...]], rows: Floats) -> list[Range]:
    """Ranges that are computed of known rows, a chunk at a time."""
    parts = [compute(exactly(rows[at : at + ROWS])) for at in range(0, len(rows), ROWS)]
    return [beside(list(part), 0) for part in zip(*parts, strict=True)]


class Unknowns(NamedTuple):
    """Unknown numbers that the residual vectors contain: counters, or entries of the error latch.

    A vector is a base plus the sum over unknowns of value * slope; value is a multiple of 2^unit in lo..hi.

    Attributes:
        slope: shape (unknowns, d_model).
        lo: shape (unknowns,), as ``hi`` and ``unit``.
    """

    slope: Floats
    lo: Floats
    hi: Floats
    unit: Ints

    def plus(self, other: Unknowns) -> Unknowns:
        """Both."""
        return Unknowns(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))

    def shares(self) -> Range:
        """What each unknown adds to a vector, shape (unknowns, d_model)."""
        return times(Range(self.lo[:, None], self.hi[:, None], self.unit[:, None]), exactly(self.slope))

    def around(self, base: Floats) -> Range:
        """Vectors with everything that the unknowns may add."""
        (lo, hi, unit), shares = exactly(base), self.shares()
        for i in range(len(self.lo)):
            lo, hi, unit = lo + shares.lo[i], hi + shares.hi[i], np.minimum(unit, shares.unit[i])
        return Range(lo, hi, unit)


class Normed(NamedTuple):
    """What a norm makes of vectors with unknowns in them."""

    base: Floats
    slope: Floats
    around: Range


def normed(o: Obligations, norm: Any, base: Floats, unknowns: Unknowns, where: str) -> Normed:
    """RMSNorm: the same power of two for all vectors, whatever the unknowns are."""
    stream = unknowns.around(base)
    exponents = o.scale(epsilon_of(norm), stream, f"{where} norm")
    need((exponents == exponents[0]).all(), f"{where}: the norm scales some vectors differently")
    factor, weight = float(np.ldexp(1.0, -int(exponents[0]))), array(norm.weight)
    scaled = times(stream, exactly(np.array([factor])))
    result = times(scaled, exactly(weight))
    for part in (stream, scaled, result):
        o.fits(part, f"{where} norm: rounding")
    return Normed(base * factor * weight, unknowns.slope * factor * weight, result)


class Case(NamedTuple):
    """Steps of a block, as they were derived.

    Attributes:
        vectors: that come in, shape (rows, d_model).
        past: the convolution's last input before, shape (rows, channels).
        before: the SSM states before, a row for each vector.
        after: those afterwards.
        out: the vectors that come out, shape (rows, d_model).
    """

    vectors: Floats
    past: Floats
    before: Floats
    after: Floats
    out: Floats


class Layer:
    """One block. What is asked for is computed and its obligations are verified, or it is a rejection."""

    def __init__(self, o: Obligations, machine: Machine, number: int) -> None:
        self.o, self.machine, self.number = o, machine, number
        self.block, self.where = machine.blocks[number], f"block {number}"
        self.mixer = mixer = self.block.mixer
        self.channels, self.states = mixer.intermediate_size, mixer.ssm_state_size
        self.taps, self.in_proj = array(mixer.conv1d.weight)[:, 0, :], array(mixer.in_proj.weight)
        self.skip, self.out_proj = exactly(mixer.D), array(mixer.out_proj.weight)

    def need(self, condition: object, reason: str) -> None:
        """Reject unless the condition holds."""
        need(condition, f"{self.where}: {reason}")

    def inputs(self, vectors: Floats) -> tuple[Floats, Range]:
        """The convolution's inputs, and the gate branch."""

        def compute(rows: Range) -> tuple[Range, Range]:
            u, z = project(self.o, self.block, rows, self.where)
            return u, self.o.silu(z, f"{self.where} gate branch")

        u, gate = by_rows(compute, vectors)
        return u.lo, gate

    def look(self, vectors: Floats) -> tuple[Selected, Range]:
        """All that the block computes from known vectors, and the gate branch; it must see the present only."""
        self.need(not self.taps[:, :-1].any(), "the convolution sees the past")
        u, gate = self.inputs(vectors)
        return self.look_at(np.pad(u[:, :, None], ((0, 0), (0, 0), (self.taps.shape[1] - 1, 0)))), gate

    def look_at(self, windows: Floats) -> Selected:
        """The same from windows of the convolution; no gate is -1."""
        parts = []
        for at in range(0, len(windows), ROWS):
            parts.append(select(self.o, self.block, exactly(windows[at : at + ROWS]), self.where))
            minus = parts[-1].held & parts[-1].turned
            self.o.need("gates", ~minus, f"{self.where}: a gate of -1, which this argument does not cover")
        columns = zip(*parts, strict=True)
        joined: list[Any] = [beside(list(c), 0) if isinstance(c[0], Range) else np.concatenate(c) for c in columns]
        return Selected(*joined)

    def no_gate_of_one_with_a_write(self, view: Selected) -> None:
        """The first obligation, where nothing counts; what is written is stored."""
        self.o.need("gates", ~view.held | (view.write.lo == 0), f"{self.where}: a gate of 1 with a write")
        self.o.fits(view.write, f"{self.where} state")

    def added(self, view: Selected, gate: Range, state: Range) -> Range:
        """What the block adds to the vectors, for given states (rows, channels, states)."""
        return read(self.o, self.mixer, state, view.c, times(view.x, self.skip), gate, self.where)

    def share(self, view: Selected, gate: Range, entries: Ints) -> Floats:
        """By how much the vectors grow with the sum of some entries of the state, which hold the same number."""
        channel, state = np.divmod(entries, self.states)
        return np.asarray((gate.lo[:, channel] * view.c.lo[:, state]) @ self.out_proj[:, channel].T)

    def settles(self, out: Range, stream: Range) -> None:
        """Verify the residual sum of what is added, shape (rows, d_model), and the vectors that came in."""
        self.o.fits(out, f"{self.where} out_proj: rounding")
        for at in range(0, len(stream.lo), ROWS):
            parts = [part.map(lambda a, at=at: a[at : at + ROWS]) for part in (out, stream)]
            settle(self.o, self.block, parts[0], parts[1], self.where)

    def agree(self, *cases: Case) -> None:
        """Compare what was derived with some of the model's own steps of each case."""
        some = [Case(*(part[sample(len(case.vectors))] for part in case)) for case in cases]
        vectors, past, before, after, out = (np.concatenate(parts) for parts in zip(*some, strict=True))
        rows = len(vectors)
        window = np.zeros((rows, self.channels, self.taps.shape[1]))
        window[:, :, -1] = past
        states = np.concatenate([window.reshape(rows, -1), before.reshape(rows, -1)], axis=1).astype(np.float32)
        found, own = self.machine.step(self.number, self.number + 1, vectors.astype(np.float32), states)
        good = (found == out).all() and (own[:, window[0].size :] == after.reshape(rows, -1)).all()
        agree(good, f"{self.where}: exact arithmetic gives other numbers than the model's step")

    def nothing_past(self, vectors: Floats) -> Floats:
        """What the convolution has seen before, where it saw nothing."""
        return np.zeros((len(vectors), self.channels))


class Readouts:
    """The read-outs that were verified: every one has the right signs.

    Args:
        o: verifies.
        machine: the model.
        columns: the scores that matter.
        shown: the token of each, as a number: letters, then the end of the word; NEVER for one that is none of these.
    """

    def __init__(self, o: Obligations, machine: Machine, columns: list[int], shown: list[int]) -> None:
        self.o, self.machine, self.columns, self.shown = o, machine, columns, shown
        self.head = array(machine.model.lm_head.weight)
        self.count, self.margin = 0, float("inf")

    def scores(self, vectors: Floats) -> Floats:
        """All logits for known vectors."""
        norm = self.machine.model.backbone.norm_f
        return by_rows(lambda v: (self.o.linear(self.head, self.o.norm(norm, v, "norm_f"), "lm_head"),), vectors)[0].lo

    def check(self, scores: Floats, truth: Bools, vectors: Floats, where: Callable[[int], str]) -> None:
        """Compare signs with the truth, and the scores with those that the model gives for the vectors."""
        chosen = scores[:, self.columns]
        wrong = ((chosen > 0) != and_never(truth)[:, self.shown]).any(axis=1)
        if wrong.any():
            n = first(wrong)
            need(False, f"read-out {where(n)}: the model's scores are {chosen[n].tolist()}")
        some = sample(len(vectors))
        agree(self.machine.logits(vectors[some]) == scores[some], "read-out: exact arithmetic gives other scores")
        self.count += len(scores)
        self.margin = min(self.margin, float(np.abs(chosen).min(initial=np.inf)))


# -- a block that counts -------------------------------------------------------------------------------------------


class Count(NamedTuple):
    """What the counters are: initial values and bounds of each, and what is added per control state and letter.

    Attributes:
        adds: shape (counters, states, letters).
        live: control states from this number on are dead.
    """

    initial: Ints
    lo: Ints
    hi: Ints
    adds: Ints
    live: int


class Counted(NamedTuple):
    """After a counting block: vectors at counters of 0, the counters in them, and the entries that hold each."""

    base: Floats
    counters: Unknowns
    owners: list[list[int]]


def check_counting(layer: Layer, graph: Graph, vectors: Floats, bos: int, count: Count) -> Counted:
    """Every entry of the state holds nothing, what is written now, or a counter; what comes out is affine in them."""
    layer.need((graph.nodes[1:, 0] != bos).all(), "<bos> occurs in two nodes")
    view, gate = layer.look(vectors)
    rows, k, shape = len(vectors), len(count.initial), view.held.shape
    held, write = view.held.reshape(rows, -1), view.write.lo.reshape(rows, -1)
    silent, fresh = (write == 0).all(axis=0), ~held.any(axis=0)
    counting = ~silent & ~fresh
    bad = counting & (held[0] | ~held[1:].all(axis=0))
    layer.need(not bad.any(), f"entry {first(bad)} is neither overwritten nor counts at every letter")
    bad = counting & (write != np.rint(write)).any(axis=0)
    layer.need(not bad.any(), f"entry {first(bad)} adds up what is no integer")

    owners = _owners(layer, graph, write, counting, count)
    lo = np.where(fresh, write, 0.0)
    now, hi, unit = exactly(lo), lo.copy(), exactly(lo).unit
    lo = lo.copy()
    slope = np.zeros((k, vectors.shape[1]))
    for i, entries in enumerate(owners):
        if entries:
            lo[:, entries], hi[:, entries], unit[:, entries] = count.lo[i], count.hi[i], 0
            shares = layer.share(view, gate, np.array(entries))
            layer.need((shares == shares[0]).all(), f"counter {i} is read differently at some nodes")
            slope[i] = shares[0]
    state = Range(lo, hi, unit).map(lambda a: a.reshape(shape))
    layer.o.fits(state, f"{layer.where} state")
    layer.added(view, gate, state)
    base = vectors + layer.added(view, gate, now.map(lambda a: a.reshape(shape))).lo
    counters = Unknowns(slope, count.lo.astype(float), count.hi.astype(float), np.zeros(k, dtype=np.int64))
    layer.settles(counters.around(base - vectors), exactly(vectors))

    before = np.where(counting, 1.0, 0.0) + np.zeros_like(write)
    after = np.where(held, before, 0.0) + write
    values = np.array([after[:, e[0]] if e else np.zeros(rows) for e in owners])
    layer.agree(Case(vectors, layer.nothing_past(vectors), before, after, base + values.T @ slope))
    return Counted(base, counters, owners)


def _owners(layer: Layer, graph: Graph, write: Floats, counting: Bools, count: Count) -> list[list[int]]:
    """Per counter the entries that hold it: on every step that the word survives they add what the counter does."""
    letters, states = graph.nodes[:, 0], graph.nodes[:, 1]
    source, target = np.divmod(graph.pairs, len(write))
    alive = states[target] < count.live
    source, target = source[alive], target[alive]
    added = count.adds[:, states[source], letters[target]]
    owners: list[list[int]] = [[] for _ in count.initial]
    like: dict[bytes, int] = {}
    for entry in np.flatnonzero(counting).tolist():
        adds = [
            write[0, entry] == n and (write[target, entry] == a).all()
            for n, a in zip(count.initial, added, strict=True)
        ]
        found = np.flatnonzero(adds).tolist()
        layer.need(found, f"entry {entry} adds up what no counter of the language does")
        # Counters that are always equal can have an entry each.
        key = write[:, entry].tobytes()
        i = found[like.get(key, 0) % len(found)]
        like[key] = like.get(key, 0) + 1
        layer.need(
            not owners[i] or (write[:, entry] == write[:, owners[i][0]]).all(),
            f"entries {owners[i][:1]} and {entry} hold one counter, but differ once the word has died",
        )
        owners[i].append(entry)
    return owners
