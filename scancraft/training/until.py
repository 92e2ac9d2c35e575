"""Training until there is a proof: train, certify, learn from the counterexample and what is near it, and go on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from ..automata.alphabet import Word, format_word
from ..automata.budget import Budget
from ..automata.dfa import Dfa
from ..automata.languages import as_dfa
from ..certify.certify import Certificate, Open, Refuted
from ..models.run.threads import one_thread
from ..refute.judging import certified_or_wrong
from ..refute.results import Counterexample, Pattern
from ..suite.languages import Bin
from .run import DEFAULTS, Progress, Settings, TrainingError
from .training import Lesson, Trained

Verdict = Certificate | Counterexample | Refuted | Open
Note = Callable[[str], None]

FIRST, LATER = 0.25, 0.1
"""Shares of the time for the first round of training and for each later one."""

JUDGED = Budget(items=20_000, seconds=60.0)
"""For each verdict: events per stage, and seconds at most."""

NEAR = 48
"""Words from near a counterexample that are learned from, ..."""

SHARE = 0.1
"""... so often that they are this share of all words."""

LONGEST = 400
"""Letters of a word that is learned from: longer counterexamples are learned from by shorter words of their pattern."""

TAIL = 8
"""Letters, at most, after what is pumped or changed."""


@dataclass(frozen=True)
class Round:
    """One round.

    Attributes:
        steps: of the optimiser so far.
        loss: on held-out words, in nats per token.
        verdict: "certified", "counterexample" or "undecided".
        word: the wrong word, if there was one.
    """

    steps: int
    loss: float
    verdict: str
    word: Word | None

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {**asdict(self), "word": None if self.word is None else list(self.word)}

    def __str__(self) -> str:
        word = "" if self.word is None else f" of length {len(self.word):,}, {_cut(self.word)}"
        return f"{self.steps:,} steps, loss {self.loss:.4f}: {self.verdict}{word}"


@dataclass(frozen=True, eq=False)
class Pursuit:
    """A training that went on until its model was certified, or its budget was spent.

    Attributes:
        trained: the model as it was last.
        verdict: what is known of it.
        rounds: how it came about.
    """

    trained: Trained
    verdict: Verdict
    rounds: tuple[Round, ...]

    def as_json(self) -> dict[str, object]:
        """All numbers, for machines."""
        own = {"rounds": [one.as_json() for one in self.rounds], "verdict": self.verdict.as_json()}
        return self.trained.as_json() | own

    def __str__(self) -> str:
        rounds = [f"round {n}: {one}" for n, one in enumerate(self.rounds, 1)]
        return "\n".join([str(self.trained), *rounds, str(self.verdict)])


def train_until_certified(
    language: object,
    *,
    seconds: float = math.inf,
    round_steps: int | None = None,
    rounds: int = 100,
    bins: Sequence[Bin] = (Bin(1, 50),),
    seed: int = 0,
    settings: Settings = DEFAULTS,
    test_words: int = 500,
    judged: Budget = JUDGED,
    progress: Progress | None = None,
    note: Note = lambda _: None,
) -> Pursuit:
    """Train a Mamba on a regular language until ``certify`` proves it right, learning from what refutes it.

    Args:
        language: what to learn: whatever ``as_dfa`` reads.
        seconds: for everything together; the first round of training takes a quarter, later ones a tenth each.
        round_steps: steps of the first round, half as many in each later one; the weights then follow from the seed,
            and so does the verdict if ``judged`` has no seconds.
        rounds: at most so many.
        bins, seed, settings, test_words, progress: as ``train`` takes them.
        judged: of each verdict.
        note: told what is going on.

    Raises:
        TrainingError: neither seconds nor steps, or what ``train`` says.
        EmptyLanguageError: the language has no word to train on.
    """
    if not seconds > 0 or rounds < 1 or (round_steps is None and math.isinf(seconds)):
        raise TrainingError("give a budget: seconds above 0, or steps for each round, and at least one round")
    if round_steps is not None and round_steps < 1:
        raise TrainingError(f"round_steps is {round_steps}; give at least 1")
    started = time.perf_counter()
    dfa = as_dfa(language)
    lesson = Lesson(dfa, bins, seed, settings, test_words)
    rng = np.random.default_rng(seed)
    told: list[Round] = []
    while True:
        left = seconds - (time.perf_counter() - started)
        share = left if math.isinf(seconds) else min(left, seconds * (LATER if told else FIRST))
        steps = None if round_steps is None else round_steps if not told else -(-round_steps // 2)
        note(f"round {len(told) + 1}: training")
        with one_thread():
            lesson.run.go(lesson.batches(), share, steps, progress)
            lesson.run.look()
        note(f"round {len(told) + 1}: certifying")
        left = seconds - (time.perf_counter() - started)
        limit = judged if math.isinf(left) else replace(judged, seconds=max(1.0, min(judged.seconds or left, left)))
        readout = lesson.trained(seconds, ()).readout
        verdict = certified_or_wrong(lesson.run.model, dfa, readout=readout, budget=limit)
        word = None if isinstance(verdict, (Certificate, Open)) else verdict.word
        told.append(Round(lesson.run.steps, lesson.run.history[-1].loss, verdict.verdict, word))
        note(f"round {len(told)}: {told[-1]}")
        over = seconds - (time.perf_counter() - started) <= 0
        if isinstance(verdict, Certificate) or over or len(told) == rounds:
            break
        near = neighbours(dfa, verdict, rng)
        if near:
            lesson.learn_from(near, max(1, round(SHARE * settings.words / len(near))))
    with one_thread():
        accuracy = [*lesson.accuracy()]
    return Pursuit(lesson.trained(seconds, accuracy), verdict, tuple(told))


def neighbours(dfa: Dfa, verdict: Verdict, rng: np.random.Generator) -> list[Word]:
    """Words near what refutes a model or leaves it open: the word, its pattern at other n, edits, and random tails.

    Letters lead to live states only, as far as there are some.
    """
    pattern = verdict.pattern if isinstance(verdict, Counterexample) else None
    if isinstance(verdict, Open):
        words = [place.word for place in verdict.places[:TAIL]]
    else:
        words = [] if isinstance(verdict, Certificate) else [verdict.word]
    bases = [tuple(word) for word in words if len(word) <= LONGEST]
    bases += [] if pattern is None else _pumped(pattern)
    found = [_live(dfa, word) for word in bases]
    while bases and len(found) < NEAR:
        base = list(bases[int(rng.integers(len(bases)))])
        if base and rng.random() < 0.5:
            at = int(rng.integers(len(base)))
            base[at : at + int(rng.integers(2))] = [dfa.alphabet[int(rng.integers(len(dfa.alphabet)))]]
        found.append(_with_tail(dfa, _live(dfa, base), int(rng.integers(TAIL + 1)), rng))
    return found


def _pumped(pattern: Pattern) -> list[tuple[str, ...]]:
    """A pattern at n = 1, 2, 4, ... and at the greatest that is not too long."""
    most = max(1, (LONGEST - len(pattern.x) - len(pattern.y)) // len(pattern.w))
    turns = sorted({*(1 << e for e in range(most.bit_length())), most})
    return [(*pattern.x, *pattern.w * n, *pattern.y) for n in turns]


def _live(dfa: Dfa, word: Sequence[str]) -> Word:
    """A word up to where it dies."""
    state = 0
    for n, symbol in enumerate(word):
        state = dfa.semiautomaton.run(state, (symbol,))
        if state not in dfa.live:
            return tuple(word[:n])
    return tuple(word)


def _with_tail(dfa: Dfa, word: Word, length: int, rng: np.random.Generator) -> Word:
    """A word and some random letters after which it can still be completed."""
    letters, state = list(word), dfa.run(word)
    for _ in range(length):
        if not (live := sorted(dfa.next_symbols(state))):
            break
        letters.append(live[int(rng.integers(len(live)))])
        state = dfa.semiautomaton.run(state, letters[-1:])
    return tuple(letters)


def _cut(word: Word) -> str:
    shown = format_word(word[:40], word)
    return f"{shown!r}..." if len(word) > 40 else repr(shown)
