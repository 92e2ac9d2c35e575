"""The blocks of a model for a past formula, as diagrams: what each number is, whatever the letters and memories are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .arithmetic import Obligations, Range, epsilon_of, exactly, times
from .blocks import affine, gates, project, read, settle, tapped, written
from .machine import Machine
from .parts import Bools, ObligationError, array, bias_of, need
from .variables import ROUNDS, Past

LATEST = 1
"""Steps by which a memory may be late."""
MOST_NUMBERS = 3
"""Of those that an entry is overwritten with, so many are tried as what it holds."""

T = TypeVar("T")


class Memory(NamedTuple):
    """An entry of the recurrent state, which holds ``values[i]`` where the truth value of a subformula was i.

    Attributes:
        block: of the entry.
        channel: likewise.
        state: likewise.
        node: the subformula.
        late: how many steps ago.
        values: two numbers.
    """

    block: int
    channel: int
    state: int
    node: int
    late: int
    values: tuple[float, float]


class Match(NamedTuple):
    """A subformula that an entry was found to hold.

    Attributes:
        k: of those that are remembered the k-th.
        late: by how many steps.
        values: two numbers.
        after: what the entry holds after a step.
    """

    k: int
    late: int
    values: tuple[float, float]
    after: int


NOTHING = Match(-1, 0, (0.0, 0.0), -1)


class Blocks:
    """The model, block by block, as diagrams; obligations are verified on all their numbers, or it is a rejection."""

    def __init__(self, o: Obligations, machine: Machine, past: Past) -> None:
        self.o, self.machine, self.past, self.d = o, machine, past, past.d
        self.memories: list[Memory] = []

    def ranges(self, functions: Sequence[int]) -> Range:
        """The numbers that functions have, one row."""
        known = {f: exactly(self.d.values(f)) for f in set(functions)}
        bounds = {f: (r.lo[0], r.lo[-1], int(r.unit.min())) for f, r in known.items()}
        columns = [bounds[f] for f in functions]
        lo, hi, unit = (np.array([c[i] for c in columns])[None] for i in range(3))
        return Range(lo, hi, unit)

    def holds(self, functions: list[int], verify: Callable[[Range], T]) -> tuple[list[int], T]:
        """Verify an obligation at all numbers of some functions; what no word leads to counts only if it holds there.

        Args:
            functions: each the numbers of a channel.
            verify: gets a column for each, and in its rows all numbers that the function has.
        """
        try:
            return functions, verify(self._columns(functions))
        except ObligationError:
            functions = [self.past.possible(f) for f in functions]
            return functions, verify(self._columns(functions))

    def _columns(self, functions: list[int]) -> Range:
        values = [self.d.values(f) for f in functions]
        rows = max(map(len, values), default=1)
        return exactly(np.array([np.pad(v, (0, rows - len(v)), mode="edge") for v in values]).T)

    def rectified(self, functions: list[int], where: str) -> list[int]:
        """silu of numbers at which it is 0 or the identity."""
        functions, _ = self.holds(functions, lambda numbers: self.o.silu(numbers, where))
        return [self.d.map(f, lambda v: max(v, 0.0)) for f in functions]

    def forms(self, weight: Any, functions: Sequence[int], bias: Any = None) -> list[int]:
        """weight @ functions + bias."""
        rows = array(weight)
        if bias is not None:
            rows, functions = np.concatenate([rows, array(bias)[:, None]], axis=1), [*functions, self.d.one]
        known: dict[bytes, int] = {}
        for row in rows:
            if row.tobytes() not in known:
                known[row.tobytes()] = self.d.total(row, functions)
        return [known[row.tobytes()] for row in rows]

    def normed(self, norm: Any, stream: list[int], where: str) -> tuple[list[int], Range]:
        """RMSNorm, which divides by the same power of two whatever the variables are."""
        around = self.ranges(stream)
        exponent = int(self.o.scale(epsilon_of(norm), around, where)[0])
        factors = np.ldexp(array(norm.weight), -exponent)
        return [self.d.times(self.d.leaf(w), f) for w, f in zip(factors, stream, strict=True)], around

    def unweighted(self, norm: Any, functions: list[int], where: str) -> list[int]:
        """RMSNorm without weights, likewise; or all is 0."""
        around = self.ranges(functions)
        need(around.lo.any() or not around.hi.any(), f"{where}: all may be 0, or not")
        self.o.plain_norm(norm, around, where)
        exponent = int(self.o.scale(epsilon_of(norm), around, where)[0]) if around.lo.any() else 0
        return [self.d.times(self.d.leaf(np.ldexp(1.0, -exponent)), f) for f in functions]

    def step(self, number: int, stream: list[int]) -> list[int]:
        """The stream after a block, from the one before it."""
        o, d, past = self.o, self.d, self.past
        block, where = self.machine.blocks[number], f"block {number}"
        mixer, c = block.mixer, block.mixer.intermediate_size
        rank, n = mixer.time_step_rank, mixer.ssm_state_size
        inside, around = self.normed(block.norm, stream, f"{where} norm")
        u_range, _ = project(o, block, around, where)
        projected = self.forms(mixer.in_proj.weight, inside, mixer.in_proj.bias)
        u, z = projected[:c], projected[c:]

        taps = array(mixer.conv1d.weight)[:, 0, :]
        ago = np.arange(taps.shape[1])[::-1]
        u_range = u_range.map(lambda a: np.repeat(a[:, :, None], len(ago), axis=2))
        earlier = np.broadcast_to(ago > 0, u_range.lo.shape)  # before <bos> there was nothing
        seen = Range(
            np.where(earlier, np.minimum(u_range.lo, 0.0), u_range.lo),
            np.where(earlier, np.maximum(u_range.hi, 0.0), u_range.hi),
            u_range.unit,
        )
        tapped(o, mixer, seen, where)
        bias = bias_of(mixer.conv1d, c)
        convolved = []
        for channel in range(c):
            parts = [
                u[channel] if back == 0 else d.times(past.begun(back), past.moved(u[channel], back))
                for back, tap in zip(ago.tolist(), taps[channel], strict=True)
                if tap
            ]
            weights = np.array([*taps[channel][taps[channel] != 0], bias[channel]])
            convolved.append(d.total(weights, [*parts, d.one]))
        x = self.rectified(convolved, f"{where} conv1d")
        gate = self.rectified(z, f"{where} gate branch")

        x_range = self.ranges(x)
        o.linear(mixer.x_proj.weight, x_range, f"{where} x_proj")
        forms = self.forms(mixer.x_proj.weight, x)
        dt, b, read_by = forms[:rank], forms[rank : rank + n], forms[rank + n :]
        children = dict(mixer.named_children())
        if "dt_layernorm" in children:  # Falcon-Mamba
            dt, b, read_by = (
                self.unweighted(children[f"{name}_layernorm"], part, f"{where} norm of {name}")
                for name, part in (("dt", dt), ("b", b), ("c", read_by))
            )
        affine(o, mixer.dt_proj, self.ranges(dt), f"{where} dt_proj")
        steps = self.forms(mixer.dt_proj.weight, dt, mixer.dt_proj.bias)
        steps, _ = self.holds(steps, lambda numbers: o.softplus(numbers, f"{where} dt_proj"))
        delta = [d.map(f, lambda v: max(v, 0.0)) for f in steps]
        b_range, c_range = self.ranges(b), self.ranges(read_by)
        delta, held = self.holds(delta, lambda numbers: gates(o, mixer, numbers, where))
        written(o, self.ranges(delta), b_range, x_range, where)
        states = [
            self._state(number, channel, state, delta[channel], held[:, channel, state], b[state], x[channel])
            for channel in range(c)
            for state in range(n)
        ]
        state_range = self.ranges(states).map(lambda a: a.reshape(1, c, n))
        o.fits(state_range, f"{where} state")

        skip = array(mixer.D)
        out_range = read(o, mixer, state_range, c_range, times(x_range, exactly(skip)), self.ranges(gate), where)
        settle(o, block, out_range, self.ranges(stream), where)
        gated = []
        for channel in range(c):
            y = d.times(d.leaf(skip[channel]), x[channel])
            for state in range(n):
                y = d.plus(y, d.times(states[channel * n + state], read_by[state]))
            gated.append(d.times(y, gate[channel]))
        added = self.forms(mixer.out_proj.weight, gated, mixer.out_proj.bias)
        return [d.plus(f, g) for f, g in zip(stream, added, strict=True)]

    # -- memories --------------------------------------------------------------------------------------------------

    def _state(self, block: int, channel: int, state: int, delta: int, ones: Bools, b: int, x: int) -> int:
        """What an entry of the recurrent state holds after a step: nothing, what is written now, or a subformula.

        Args:
            block: of the entry, as ``channel`` and ``state``.
            delta: of the channel.
            ones: for each number that delta can have whether the gate is 1.
            b: of the state.
            x: of the channel.
        """
        d, where = self.d, f"block {block}, channel {channel}, state {state}"
        of = dict(zip(d.values(delta).tolist(), ones.tolist(), strict=False))
        held = d.map(delta, lambda v: float(of[v]))
        write = d.times(d.times(delta, b), x)
        adds = d.times(held, d.map(write, lambda v: float(v != 0)))
        self.o.need("gates", self.past.impossible(adds), f"{where}: a gate of 1 with a write")
        fresh = d.times(d.negation(held), write)
        if self.past.impossible(d.times(held, self.past.reads(0))) or self.past.equal(fresh, d.zero):
            return fresh  # a gate of 1 at <bos> keeps the 0 that was there
        kept = d.times(held, self.past.reads(0))
        k, late, values, after = next(self._held(kept, fresh), NOTHING)
        need(k >= 0, f"{where}: it holds no subformula of the language")
        self.memories.append(Memory(block, channel, state, self.past.remembered[k].node, late, values))
        return after

    def _held(self, kept: int, fresh: int) -> Iterator[Match]:
        """The subformulas that an entry holds.

        What it does at a letter must be what the recursion of the subformula does, if it held it before: it keeps what
        it held, or what was written at ``<bos>`` (0 if nothing was), or is overwritten.

        Args:
            kept: at which letters the gate is 1.
            fresh: what is written else, and at ``<bos>``.
        """
        past, d = self.past, self.d
        written = d.times(past.reads(0), d.negation(kept))
        at_bos = d.values(d.times(d.negation(past.reads(0)), fresh))
        begins = {d.times(written, d.map(fresh, v.__eq__)) for v in d.values(fresh).tolist()[:MOST_NUMBERS]}
        candidates = sorted(self.does, key=lambda c: (self.does[c][0] != kept) + (self.does[c][1] not in begins))
        for rounds, (late, k) in product((0, ROUNDS), candidates):  # those that take little work first
            before, now, held = past.was(k, late + 1), past.moved(past.follows(k, 0), late), past.was(k, late)
            low, high = (
                [v for v in d.values(d.times(d.times(written, where), fresh)).tolist() if v][:MOST_NUMBERS]
                for where in (d.negation(now), now)
            )
            for values in product(dict.fromkeys([*low, *at_bos.tolist()]), dict.fromkeys([*high, 0.0])):
                if values[0] == values[1]:
                    continue
                was, does = self._shown(before, values), self._shown(now, values)
                if d.choose(kept, was, fresh) == does:  # at <bos>, too
                    yield Match(k, late, values, self._shown(held, values))
                was = d.choose(past.reads(1), was, past.moved(fresh, 1))
                if past.equal(d.choose(kept, was, fresh), d.choose(past.reads(0), does, fresh), rounds):
                    yield Match(k, late, values, d.choose(past.reads(0), self._shown(held, values), fresh))

    def _shown(self, truth: int, values: tuple[float, float]) -> int:
        """Two numbers, by a truth value."""
        return self.d.choose(truth, self.d.leaf(values[1]), self.d.leaf(values[0]))

    @cached_property
    def does(self) -> dict[tuple[int, int], tuple[int, int]]:
        """For each delay and S when a memory of it keeps what it holds, and when it begins."""
        past = self.past

        def at_letters(f: int, late: int) -> int:
            return self.d.times(past.reads(0), past.moved(f, late))

        return {
            (late, k): (at_letters(one.keep, late), at_letters(one.begin, late))
            for late, (k, one) in product(range(LATEST + 1), enumerate(past.remembered))
        }
