"""Trials carried out on a session, and what is owed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .case import Case, Floats
from .sessions import Layout, Session
from .trials import Trial


@dataclass(frozen=True)
class Answer:
    """What a session said of one word.

    Attributes:
        positions: of the tokens that it was asked about, in the order in which it was; several times if it was.
        logits: of shape (positions, vocabulary), if it is right.
    """

    positions: NDArray[np.int64]
    logits: Floats


Part = tuple[int, Any, int, int]
"""A word by its number, the sequence that reads it, and from where to where."""


class Transcript:
    """The words of a trial fed to a session, and its answers."""

    def __init__(self, session: Session, trial: Trial) -> None:
        self.session, self.words = session, trial.words
        self.heard: list[list[tuple[int, Floats]]] = [[] for _ in trial.words]

    def feed(self, parts: Iterable[Part], layout: Layout, keep: bool = True) -> None:
        """Feed parts of words at once."""
        some = list(parts)
        rows = [(sequence, self.words[word][first:last]) for word, sequence, first, last in some]
        for (word, _, first, last), logits in zip(some, self.told(rows, layout, keep), strict=True):
            late = self.session.last_only and 0 < len(logits) < last - first
            self.heard[word].append((last - len(logits) if late else first, logits))

    def told(self, rows: list[tuple[Any, tuple[int, ...]]], layout: Layout, keep: bool = True) -> list[Floats]:
        """What the session says to rows, which need not be of a word."""
        answer = [np.asarray(logits, dtype=np.float64) for logits in self.session.feed(rows, layout, keep)]
        if len(answer) != len(rows):
            raise ValueError(f"logits for {len(answer)} words, expected {len(rows)}; give (batch, time, vocabulary)")
        return answer

    def singly(self, word: int, sequence: Any, first: int) -> None:
        """The rest of a word, token by token."""
        for t in range(first, len(self.words[word])):
            self.feed([(word, sequence, t, t + 1)], "single")

    def opened(self, count: int | None = None) -> list[Any]:
        """New sequences, by default one for each word."""
        return [self.session.open() for _ in range(len(self.words) if count is None else count)]

    def closed(self, sequences: Iterable[Any]) -> None:
        """These are not needed any more."""
        for sequence in sequences:
            self.session.close(sequence)

    def answers(self) -> list[Answer]:
        """What was heard, by word."""
        return [_answer(pieces) for pieces in self.heard]


def _answer(pieces: list[tuple[int, Floats]]) -> Answer:
    if not pieces:
        return Answer(np.zeros(0, dtype=np.int64), np.zeros((0, 0)))
    positions = [np.arange(first, first + len(np.atleast_1d(logits))) for first, logits in pieces]
    return Answer(np.concatenate(positions), np.concatenate([logits for _, logits in pieces]))


@torch.inference_mode()
def answers(session: Session, trial: Trial) -> list[Answer]:
    """For every word, what the session says of it."""
    transcript = Transcript(session, trial)
    PLAYED[trial.mode](transcript, trial)
    return transcript.answers()


def expected(case: Case, trial: Trial) -> list[Floats]:
    """For every word, the logits owed, shape (time, vocabulary)."""
    if len({len(word) for word in trial.words}) == 1:
        return list(case.expect(np.array(trial.words, dtype=np.int64)).logits)
    return [case.expect(np.array([word], dtype=np.int64)).logits[0] for word in trial.words]


# -- the modes ---------------------------------------------------------------------------------------------------------


def _at_once(t: Transcript, trial: Trial) -> None:
    layouts: dict[str, Layout] = {"full": "even", "packed": "packed", "padded": "left" if trial.left else "right"}
    sequences = t.opened()
    parts = [(i, s, 0, len(trial.words[i])) for i, s in enumerate(sequences)]
    t.feed(parts, layouts[trial.mode], keep=False)
    t.closed(sequences)


def _in_pieces(t: Transcript, trial: Trial) -> None:
    """A prefill to the first cut, then one token at a time or all up to the next cut."""
    length, cuts = len(trial.words[0]), trial.cuts or (1,)
    singly = trial.mode != "continued"
    bounds = [*range(cuts[0], length + 1)] if singly else [*cuts, length]
    sequences = t.opened()
    t.feed([(i, s, 0, cuts[0]) for i, s in enumerate(sequences)], "even")
    for first, last in pairwise(bounds):
        t.feed([(i, s, first, last) for i, s in enumerate(sequences)], "single" if singly else "even")
    t.closed(sequences)


def _interleaved(t: Transcript, trial: Trial) -> None:
    (cut,), sequences = trial.cuts, t.opened()
    for i, s in enumerate(sequences):
        t.feed([(i, s, 0, cut)], "even")
    for position in range(cut, len(trial.words[0])):
        for i, s in enumerate(sequences):
            t.feed([(i, s, position, position + 1)], "single")
    t.closed(sequences)


def _padded_continued(t: Transcript, trial: Trial) -> None:
    (steps,), sequences = trial.cuts, t.opened()
    ends = [len(word) - steps for word in trial.words]
    t.feed([(i, s, 0, ends[i]) for i, s in enumerate(sequences)], "left" if trial.left else "right")
    for step in range(steps):
        t.feed([(i, s, ends[i] + step, ends[i] + step + 1) for i, s in enumerate(sequences)], "single")
    t.closed(sequences)


def _packed_continued(t: Transcript, trial: Trial) -> None:
    (cut,), sequences = trial.cuts, t.opened()
    for i, s in enumerate(sequences):
        t.told([(s, trial.words[i][:cut])], "even")
    t.feed([(i, s, cut, len(trial.words[i])) for i, s in enumerate(sequences)], "packed")
    t.closed(sequences)


def _snapshots(t: Transcript, trial: Trial) -> None:
    words, sequences = trial.words, t.opened()
    kept = list(t.session.snapshots(list(zip(sequences, words, strict=True))))
    if len(words) > 1 and all(position == len(word) for (position, _), word in zip(kept, words, strict=True)):
        raise ValueError("every snapshot is at the end of its document, so that nothing can be continued from it")
    for word, (position, sequence) in enumerate(kept):
        length = len(words[word])
        if not 0 <= position <= length:
            raise ValueError(f"a snapshot at position {position} of a document of {length} tokens; give one inside")
        t.singly(word, sequence, position)
    t.closed([*sequences, *(sequence for _, sequence in kept)])


def _forked(t: Transcript, trial: Trial) -> None:
    """Of each state two copies: one reads other tokens and is closed; the original and one copy go on in turns."""
    (cut,), sequences = trial.cuts, t.opened()
    copies, strays = [], []
    for i, s in enumerate(sequences):
        t.feed([(i, s, 0, cut)], "even")
        strays.append(t.session.fork(s))
        copies.append(t.session.fork(s))
    longest = max(map(len, trial.words))
    for step, position in enumerate(range(cut, longest)):
        for stray in strays if step < len(trial.others) else ():
            t.told([(stray, trial.others[step : step + 1])], "single")
        if position == longest - 1 or step == len(trial.others) - 1:
            t.closed(strays)
            strays = []
        for several in (sequences, copies):
            for i, s in enumerate(several):
                if position < len(trial.words[i]):
                    t.feed([(i, s, position, position + 1)], "single")
    t.closed([*sequences, *copies])


def _restored(t: Transcript, trial: Trial) -> None:
    (cut,), sequences = trial.cuts, t.opened()
    saved = []
    for i, s in enumerate(sequences):
        t.feed([(i, s, 0, cut)], "even")
        saved.append(t.session.save(s))
        for token in trial.others:  # what was saved is not what goes on
            t.told([(s, (token,))], "single")
    t.closed(sequences)
    (other,) = t.opened(1)
    t.told([(other, trial.others)], "even")
    again = [t.session.restore(state) for state in saved]
    for i, s in enumerate(again):
        t.singly(i, s, cut)
    t.closed([*again, other])


def _rolled_back(t: Transcript, trial: Trial) -> None:
    keep, *ends = trial.cuts
    sequences = t.opened()
    for i, s in enumerate(sequences):
        stream = trial.words[i][:keep] + trial.others
        first = 0
        for last in (*ends, len(stream)):
            if first < last:
                t.told([(s, stream[first:last])], "even")
            first = max(first, last)
        t.session.roll_back(s, len(trial.others))
    for i, s in enumerate(sequences):
        t.singly(i, s, keep)
    t.closed(sequences)


def _speculative(t: Transcript, trial: Trial) -> None:
    """Drafts that are right in 0, 1, ... of their tokens, in turns; then the words once more, whole, from nothing."""
    (cut, draft), sequences = trial.cuts, t.opened()
    at = [cut] * len(sequences)
    for i, s in enumerate(sequences):
        t.feed([(i, s, 0, cut)], "even")
    turn = 0
    while any(position < len(word) for position, word in zip(at, trial.words, strict=True)):
        for i, (s, word) in enumerate(zip(sequences, trial.words, strict=True)):
            right = min((turn + i) % (draft + 1), len(word) - at[i])
            wrong = trial.others[: draft - right]
            if at[i] == len(word) or not right + len(wrong):
                continue
            logits = t.told([(s, word[at[i] : at[i] + right] + wrong)], "even")[0]
            seen = len(logits) - len(wrong)  # a session may tell of the last tokens only
            t.heard[i].append((at[i] + right - seen, logits[:seen])) if seen > 0 else None
            if wrong:
                t.session.roll_back(s, len(wrong))
            at[i] += right
        turn += 1
    t.closed(sequences)
    for i, word in enumerate(trial.words):
        (again,) = t.opened(1)
        t.feed([(i, again, 0, len(word))], "even")
        t.closed([again])


def _prefix(t: Transcript, trial: Trial) -> None:
    """An earlier request; then the word whole, and again in pieces, each from nothing."""
    (cut,) = trial.cuts
    for i, word in enumerate(trial.words):
        (first,) = t.opened(1)
        t.told([(first, word[:cut] + trial.others)], "even")
        t.closed([first])
        (whole,) = t.opened(1)
        t.feed([(i, whole, 0, len(word))], "even")
        t.closed([whole])
    sequences = t.opened()
    for i, (s, word) in enumerate(zip(sequences, trial.words, strict=True)):
        t.feed([(i, s, 0, min(cut + 1, len(word)))], "even")
    for i, s in enumerate(sequences):
        t.singly(i, s, cut + 1)
    t.closed(sequences)


def _together(t: Transcript, trial: Trial) -> None:
    """A word joins in every turn, each twice; in "mixed" half of it in chunks, the rest token by token like all."""
    (chunk,) = trial.cuts
    waiting = [*range(len(trial.words))] * 2
    running: list[tuple[int, Any, int]] = []
    turn = 0
    while waiting or running:
        if waiting:
            running.insert(0 if turn % 2 else len(running), (waiting.pop(0), *t.opened(1), 0))
        parts, after = [], []
        for word, sequence, at in running:
            length = len(trial.words[word])
            last = min(at + (chunk if trial.mode == "mixed" and at < length // 2 else 1), length)
            if turn % 3 == 2 and word % 3 == 1 and len(running) > 1:
                last = at  # a request that waits for once
            else:
                parts.append((word, sequence, at, last))
            after.append((word, sequence, last))
        if parts:
            t.feed(parts, "mixed")
        t.closed(s for word, s, at in after if at == len(trial.words[word]))
        running = [r for r in after if r[2] < len(trial.words[r[0]])]
        running = running[1:] + running[:1]
        turn += 1


PLAYED: dict[str, Callable[[Transcript, Trial], None]] = {
    **dict.fromkeys(("full", "packed", "padded"), _at_once),
    **dict.fromkeys(("step", "cached", "continued"), _in_pieces),
    "interleaved": _interleaved,
    "padded-continued": _padded_continued,
    "packed-continued": _packed_continued,
    "snapshots": _snapshots,
    "forked": _forked,
    "restored": _restored,
    "rolled-back": _rolled_back,
    "speculative": _speculative,
    "prefix": _prefix,
    **dict.fromkeys(("batched", "mixed"), _together),
}
"""By mode, how a trial of it is carried out."""
