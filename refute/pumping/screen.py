"""Which x w^n y a model gets wrong when n is large, and from about which n on: a search in closed form."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from ...automata.budget import Meter
from ...certify.search.prove import Judge
from ..trajectories import Trajectories
from .limits import Limit, limit_of
from .loops import Letters, Loops

HISTORY = 2
"""Letters before a loop that tell ways into it apart."""

WAYS = 128
LOOPS = 16
PAIRS = 1_024
"""How many x, how many w for each state, and how many of both together."""

BEYOND = 2
"""Letters that are read after a limit."""

AFTER = 1_024
"""Words after the limits of one batch, of each length; of more, so many are picked."""

EACH, TAKEN = 2, 32
"""Suspects for each x and w, and for each batch."""

DOUBLINGS = 27
"""From n = 1 on, where a suspect fails is looked for."""


@dataclass(frozen=True)
class Suspect:
    """Words x w^n y on which a model seems to be wrong for all large n.

    Attributes:
        x, w, y: letters; w leads the state after x back to itself.
        turns: about the least such n, infinite if it seems to be past 2^26.
    """

    x: Letters
    w: Letters
    y: Letters
    turns: float

    @property
    def length(self) -> float:
        """Of the word at that n."""
        return len(self.x) + self.turns * len(self.w) + len(self.y)


class Screen:
    """A search through the loops of one language.

    Args:
        lines: of the model.
        judge: of the language, and how the model is bound to it.
        meter: counts tokens.

    Attributes:
        pairs: x and w that were looked at.
        overflowed: how many of them led to numbers that are not finite.
    """

    def __init__(self, lines: Trajectories, judge: Judge, meter: Meter) -> None:
        self.lines, self.judge, self.meter = lines, judge, meter
        dfa, readout = judge.dfa, judge.readout
        live_only = readout.contract == "live-prefixes"
        self.covered = frozenset(dfa.live) if live_only else frozenset(range(dfa.n_states))
        self.table = dfa.table
        self.tokens = [readout.tokens[s] for s in dfa.alphabet]
        self.right = torch.tensor([[name in allowed for name in judge.names] for allowed in judge.right])
        self.pairs = self.overflowed = 0

    def suspects(self) -> Iterator[Suspect]:
        """Suspects, from short x and w to long ones.

        Raises:
            BudgetExceededError: past the budget.
        """
        found = Loops(self.judge.dfa, self.covered)
        states = self._states(found.ways_in(HISTORY, WAYS))
        at = {q: found.at(q, LOOPS) for q in {self._run(0, x) for x in states}}
        longest = self.lines.stepper.batch
        pairs = [(x, w) for x in states for w in at[self._run(0, x)] if len(w) <= longest]
        pairs.sort(key=lambda pair: (len(pair[1]), len(pair[0])))
        for _, group in groupby(pairs[:PAIRS], lambda pair: len(pair[1])):
            rest = list(group)
            while rest:
                some, rest = rest[:longest], rest[longest:]
                self.meter.tick(len(some) * len(some[0][1]))
                self.meter.check_time()
                self.pairs += len(some)
                start = torch.stack([states[x] for x, _ in some])
                words = [[self.tokens[a] for a in w] for _, w in some]
                yield from self._failing(some, limit_of(self.lines.stepper, start, words))

    def _run(self, state: int, word: Sequence[int]) -> int:
        for letter in word:
            state = self.table[state][letter]
        return state

    def _states(self, ways: Sequence[Letters]) -> dict[Letters, Tensor]:
        """The complete state after each x that the model can begin with; ways are closed under prefixes."""
        stepper, bos = self.lines.stepper, self.judge.readout.bos
        known: dict[Letters, Tensor] = {}
        if bos is not None:
            known[()] = self._begin([bos])[0]
        for length, group in groupby(ways, len):
            some = list(group)
            tokens = [self.tokens[x[-1]] for x in some if x]
            if length == 1 and bos is None:
                known.update(zip(some, self._begin(tokens), strict=True))
            elif length:
                self.meter.tick(len(some))
                rows = torch.stack([known[x[:-1]] for x in some])
                _, after = stepper.step(0, len(stepper.blocks), stepper.embed(torch.tensor(tokens)), rows)
                known.update(zip(some, after, strict=True))
        return known

    def _begin(self, tokens: Sequence[int]) -> Tensor:
        stepper = self.lines.stepper
        return stepper.start(0, len(stepper.blocks), stepper.embed(torch.tensor(tokens)))[1]

    def _read(self, rows: Tensor, letters: Sequence[int], states: Sequence[int]) -> tuple[Tensor, Tensor]:
        """One letter more on each row, into these states of the language: the states, and where the model is wrong."""
        self.meter.tick(len(letters))
        stream, after = self.lines.run(rows, [[self.tokens[a]] for a in letters])
        scores = self.lines.stepper.logits(stream)[:, self.judge.columns]
        finite = torch.isfinite(scores).all(dim=1)
        wrong = (self.judge.readout.says(scores) != self.right[list(states)]).any(dim=1)
        return after, wrong & finite

    def _failing(self, pairs: Sequence[tuple[Letters, Letters]], limit: Limit) -> Iterator[Suspect]:
        """What is wrong at the limit, on the way round the loop or up to a few letters after it."""
        finite = torch.isfinite(limit.states).all(dim=1)
        self.overflowed += int((~finite).sum())
        rows = torch.where(finite[:, None], limit.states, 0.0)
        wrong_after: list[tuple[int, Letters]] = []
        states = [self._run(0, x) for x, _ in pairs]
        length, now, at = len(pairs[0][1]), rows, list(states)
        for place in range(length):
            at = [self.table[q][w[place]] for q, (_, w) in zip(at, pairs, strict=True)]
            now, wrong = self._read(now, [w[place] for _, w in pairs], at)
            ends = [w[: place + 1] if place + 1 < length else () for _, w in pairs]
            wrong_after += [(i, ends[i]) for i in wrong.nonzero()[:, 0].tolist() if finite[i]]
        frontier: list[tuple[int, Letters, int]] = [(i, (), q) for i, q in enumerate(states) if finite[i]]
        from_rows = rows[[i for i, *_ in frontier]]
        for _ in range(BEYOND):
            more = [
                (parent, i, (*y, a), target)
                for parent, (i, y, q) in enumerate(frontier)
                for a, target in enumerate(self.table[q])
                if target in self.covered
            ]
            more = more[:: max(1, -(-len(more) // AFTER))]
            if not more:
                break
            parents = from_rows[[parent for parent, *_ in more]]
            from_rows, wrong = self._read(parents, [y[-1] for _, _, y, _ in more], [q for *_, q in more])
            frontier = [(i, y, q) for _, i, y, q in more]
            wrong_after += [frontier[k][:2] for k in wrong.nonzero()[:, 0].tolist()]
        wrong_after.sort(key=lambda found: (len(found[1]), found[0]))
        taken: dict[int, list[Letters]] = {}
        for i, y in wrong_after:
            if y not in (own := taken.setdefault(i, [])) and len(own) < EACH:
                own.append(y)
        listed = [(i, y) for i, own in taken.items() for y in own]
        yield from self._estimated(pairs, limit, listed[:: max(1, -(-len(listed) // TAKEN))])

    def _estimated(
        self, pairs: Sequence[tuple[Letters, Letters]], limit: Limit, found: Sequence[tuple[int, Letters]]
    ) -> Iterator[Suspect]:
        """From which n on each of them is wrong, by the closed form."""
        for _, group in groupby(sorted(found, key=lambda one: len(one[1])), lambda one: len(one[1])):
            some = list(group)
            powers = [[1 << e for e in range(DOUBLINGS)] for _ in some]
            coarse = self._turning(pairs, limit, some, powers)
            between = [_spread(int(end) // 2, int(end)) if 1 < end < math.inf else [1] for end in coarse]
            fine = self._turning(pairs, limit, some, between)
            for (i, y), rough, turns in zip(some, coarse, fine, strict=True):
                yield Suspect(*pairs[i], y, turns if turns < math.inf and rough < math.inf else rough)

    def _turning(
        self,
        pairs: Sequence[tuple[Letters, Letters]],
        limit: Limit,
        found: Sequence[tuple[int, Letters]],
        turns: Sequence[Sequence[int]],
    ) -> list[float]:
        """For each suspect the least of some ascending n from which on it is wrong at all of them; infinite if none."""
        flat = [(k, i, y, n) for k, ((i, y), own) in enumerate(zip(found, turns, strict=True)) for n in own]
        good: list[list[bool]] = [[] for _ in found]
        size = self.lines.stepper.batch
        for first in range(0, len(flat), size):
            some = flat[first : first + size]
            self.meter.check_time()
            rows = limit.at([i for _, i, _, _ in some], [n - 1 for *_, n in some])
            words = [(*pairs[i][1], *y) for _, i, y, _ in some]
            states = [self._run(0, pairs[i][0]) for _, i, _, _ in some]
            wrong = torch.zeros(len(some), dtype=torch.bool)
            for place in range(len(words[0])):
                states = [self.table[q][word[place]] for q, word in zip(states, words, strict=True)]
                rows, wrong = self._read(rows, [word[place] for word in words], states)
            for (k, *_), is_wrong in zip(some, wrong.tolist(), strict=True):
                good[k].append(is_wrong)
        ends = []
        for own, wrongs in zip(turns, good, strict=True):
            right = [n for n, is_wrong in enumerate(wrongs) if not is_wrong]
            after = right[-1] + 1 if right else 0
            ends.append(float(own[after]) if after < len(own) else math.inf)
        return ends


def _spread(low: int, high: int) -> list[int]:
    """Some whole numbers from one to another, ascending, both included."""
    step = max(1, (high - low) // 16)
    return sorted({*range(low, high, step), high})
