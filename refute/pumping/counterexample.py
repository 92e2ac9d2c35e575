"""The search for a word on which a model is wrong: short words, random words, then x w^n y over the language's loops.

Whatever a search suggests is read with the model's own step, and the word in one shot as well; only that counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ...automata.alphabet import Word
from ...automata.budget import Budget, Meter
from ...automata.dfa import Dfa
from ...automata.errors import BudgetExceededError
from ...automata.languages import language_to_json
from ...automata.moore import Moore
from ...automata.words.mixtures import mixture_of
from ...certify.binding import dtype_name, implementation_of, readout_json
from ...certify.check import compare, exhaustive_depth
from ...certify.search.prove import Judge
from ...models.errors import ReadoutError
from ...models.mamba import MODEL_TYPES, model_type_of
from ...models.readout import Readout
from ...models.run.batches import Model
from ...models.run.model_runner import ModelRunner
from ...models.run.reader import Reader, StepError
from ...models.run.runner import Runner
from ...models.run.stepper import ALIGNMENT
from ..checker.claims import state_digest, weights_digest
from ..checker.counterexample import LONGEST_SHOT, PATTERN, VERSION, WAYS, pattern_claim
from ..results import Counterexample, Unsettled
from ..trajectories import Trajectories
from .following import Pumped
from .screen import Screen, Suspect
from .shorten import shortened

Note = Callable[[str], None]

SHORT = 20_000
"""All words are tried up to the greatest length at which there are at most so many."""

RANDOM, LONGEST = 400, 200
"""Random words, and their greatest length."""

READ = 8
"""Suspects that are read, those that seem to fail first."""

SETTLING = 1 << 18
"""Tokens that are read on to see whether a pattern goes on for ever."""


def find_counterexample(
    model: Any,
    language: Dfa | Moore,
    readout: Readout,
    budget: Budget,
    note: Note = lambda _: None,
    *,
    short: int = SHORT,
    known: Word | None = None,
) -> Counterexample | Unsettled:
    """A word on which a model is wrong, the shortest found, and a pattern x w^n y of such words where one is found.

    Args:
        model: of one of the classes that can be stepped, in eval mode; use under one thread of torch.
        language: a regular one.
        readout: how they are bound.
        budget: tokens to read, and seconds.
        note: told now and then what is going on.
        short: all words up to some length are tried, so many at most.
        known: a word on which the model is wrong, if there is one: then only patterns are looked for.
    """
    started = time.perf_counter()
    found = _Search(Trajectories(model), Judge(language, readout), budget.meter("tokens"), note)
    try:
        if known is None:
            found.run(short)
        else:
            found.confirmed(known)
            found.pump()
        limit = ""
    except BudgetExceededError as error:
        limit = f"; past {error.reached:,g} {error.what}, the budget being {error.limit:,g}"
    seconds = time.perf_counter() - started
    if found.word is None:
        reason = f"no counterexample was found: {', '.join(found.tried) or 'nothing was tried'}{limit}"
        return Unsettled(reason, None, frozenset(), frozenset(), found.meter.count, seconds)
    return Counterexample({**found.content(), "seconds": round(seconds, 3)})


@dataclass
class _Search:
    """One search; ``word`` and ``pattern`` are what was found so far."""

    lines: Trajectories
    judge: Judge
    meter: Meter
    note: Note
    tried: list[str] = field(default_factory=list)
    word: Word | None = None
    ways: tuple[str, ...] = ()
    pattern: Pumped | None = None

    def run(self, short: int) -> None:
        """All of it; raises :class:`BudgetExceededError` past the budget."""
        judge, model = self.judge, self.lines.model
        fast: Model = Runner(model) if model_type_of(model) in MODEL_TYPES else ModelRunner(model)
        depth = exhaustive_depth(len(judge.dfa.alphabet), short, LONGEST)
        self.note(f"all words up to length {depth}")
        self.meter.tick(len(judge.dfa.alphabet) ** max(depth, 0))
        seen = self._shortest(fast, [], depth)
        self.tried.append(f"every word up to length {depth}")
        if seen is not None and self.confirmed(seen):
            return
        self.note("random words")
        words = mixture_of(judge.dfa, RANDOM, 0, LONGEST, np.random.default_rng(0))
        self.meter.tick(sum(map(len, words)))
        seen = self._shortest(fast, words)
        self.tried.append(f"{len(words)} random words")
        if seen is not None:
            self.confirmed(shortened(fast, judge.dfa, judge.readout, seen, self.meter))
            self.confirmed(seen)
        self.pump()
        if self.word is not None:
            self.confirmed(shortened(fast, judge.dfa, judge.readout, self.word, self.meter))

    def _shortest(self, fast: Model, words: Sequence[Word], depth: int = -1) -> Word | None:
        """A shortest prefix of some words at which the model is wrong; none that this shows if a score is NaN."""
        try:
            found = compare(fast, self.judge.dfa, self.judge.readout, words, exhaustive_to=depth).shortest
        except ReadoutError as error:
            self.tried.append(str(error))
            return None
        return None if found is None else found.prefix

    # -- loops -----------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Look for x w^n y; the pattern that fails first is read until the state repeats, if that is not too far."""
        screen = Screen(self.lines, self.judge, self.meter)
        self.note("loops")
        suspects: list[Suspect] = []
        try:
            suspects.extend(screen.suspects())
        finally:
            overflow = f" ({screen.overflowed} of them overflow)" if screen.overflowed else ""
            self.tried.append(f"{screen.pairs} pairs of a word x and a loop w at n = infinity{overflow}")
        suspects.sort(key=lambda one: (one.length, one.x, one.w, one.y))
        for one in suspects[:READ]:
            if self.pattern is not None and one.length > 1.1 * self._length(self.pattern):
                break
            self._follow(one)
        if suspects and self.pattern is None:
            best = suspects[0]
            x, w, y = (self._spelled(part) for part in (best.x, best.w, best.y))
            self.tried.append(f"x = {x!r}, w = {w!r}, y = {y!r} seems to fail from about n = {best.turns:,.0f} on")
        if self.pattern is not None:
            pattern = self.pattern
            self.confirmed(self._word(pattern))
            while not pattern.ended and pattern.turns * len(pattern.w) < SETTLING:
                self.note(f"x w^n for n > {pattern.turns:,}")
                self._read(pattern)

    def _follow(self, one: Suspect) -> None:
        """Read a suspect as far as it should be wrong, and a little more."""
        if one.length > self.meter.budget.items - self.meter.count:
            return
        pumped = Pumped(self.lines, self.judge, *(self._spelled(part) for part in (one.x, one.w, one.y)))
        self.meter.tick(len(one.x))
        while not pumped.ended and pumped.first_wrong is None and pumped.turns <= 2 * one.turns:
            self.note(f"x w^n y for n > {pumped.turns:,}; it seems to fail at n = {one.turns:,.0f}")
            self._read(pumped)
        known = self.pattern
        if pumped.first_wrong is not None and (known is None or self._length(pumped) < self._length(known)):
            self.pattern = pumped

    def _read(self, pumped: Pumped) -> None:
        self.meter.tick(pumped.chunk)
        self.meter.check_time()
        pumped.read()

    def _spelled(self, letters: tuple[int, ...]) -> tuple[str, ...]:
        return tuple(self.judge.dfa.alphabet[a] for a in letters)

    @staticmethod
    def _length(pumped: Pumped) -> int:
        return len(pumped.x) + (pumped.first_wrong or 0) * len(pumped.w) + len(pumped.y)

    @staticmethod
    def _word(pumped: Pumped) -> Word:
        return (*pumped.x, *pumped.w * (pumped.first_wrong or 0), *pumped.y)

    # -- words -----------------------------------------------------------------------------------------------------

    def confirmed(self, word: Word) -> bool:
        """Whether the model's own step is wrong on a word; it is kept if it is the shortest such."""
        if self.word is not None and len(word) >= len(self.word):
            return False
        if self._said(word) in (None, self._right(word)):
            return False
        tokens = self.judge.readout.encode(word)
        ways = WAYS[0]
        if len(tokens) <= LONGEST_SHOT:
            with torch.inference_mode():
                scores = self.lines.model(torch.tensor([tokens]), use_cache=False).logits[0, -1]
            ways = WAYS[1] if self.judge.said(scores[self.judge.columns]) != self._right(word) else WAYS[0]
        self.word, self.ways = tuple(word), tuple(ways)
        return True

    def _right(self, word: Word) -> frozenset[str]:
        return self.judge.right[self.judge.dfa.run(word)]

    def _said(self, word: Word) -> frozenset[str] | None:
        """What the model allows after a word, token by token; None if a number is not finite."""
        tokens, batch = self.judge.readout.encode(word), self.lines.stepper.batch
        reader = Reader(self.lines.stepper, tokens[0])
        scores = reader.logits
        try:
            for at in range(1, len(tokens) - 1, batch):
                reader.read(tokens[at : min(at + batch, len(tokens) - 1)])
        except StepError:
            return None
        if len(tokens) > 1:
            scores = self.lines.logits(reader.state[None], [tokens[-1:]])[0]
        scores = scores[self.judge.columns]
        return self.judge.said(scores) if torch.isfinite(scores).all() else None

    # -- the file --------------------------------------------------------------------------------------------------

    def content(self) -> dict[str, Any]:
        """The JSON of a counterexample: docs/refutation.md says what the keys mean."""
        word, judge, model = self.word, self.judge, self.lines.model
        assert word is not None
        pumped, claim = self.pattern, "the model is wrong after the word"
        pattern: dict[str, Any] = dict.fromkeys(PATTERN)
        if pumped is not None and (first := pumped.wrong_from) is not None:
            repeats = pumped.settled
            pattern |= {"x": list(pumped.x), "w": list(pumped.w), "y": list(pumped.y), "period": 1, "N": repeats}
            pattern |= {"first": first, "read_to": pumped.turns}
            if repeats is not None:
                pattern["state"] = state_digest(pumped.state.double().numpy())
            claim = pattern_claim(first, pumped.turns, repeats)
        said = self._said(word)
        assert said is not None
        return {
            "verdict": Counterexample.verdict,
            **{key: pattern[key] for key in ("x", "w", "y", "period", "N")},
            "word": list(word),
            "length": len(word),
            "model": sorted(said),
            "right": sorted(self._right(word)),
            "ways": list(self.ways),
            **{key: pattern[key] for key in ("first", "read_to", "state")},
            "claim": claim,
            "dtype": dtype_name(model),
            "batch": self.lines.stepper.batch,
            "threads": 1,
            "alignment": ALIGNMENT,
            "implementation": implementation_of(model),
            "readout": {**readout_json(judge.readout), "contract": judge.readout.contract},
            "language": language_to_json(judge.dfa),
            "weights": weights_digest(model),
            "tokens_read": self.meter.count,
            "schema_version": VERSION,
        }
