"""The first difference between a model and what it owes: where it is, what it means, and the shortest way to see it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch

from .case import Case, Expected, Source
from .playing import answers, expected
from .sessions import Session
from .trials import ONE_LENGTH, Trial, shorter

SHRINKING_SECONDS, SHRINKING_RUNS = 4.0, 300
NOT_A_NUMBER = "overflow in softplus, Delta or A"
AFTER_BLOCKS = "final norm and lm_head"
SHOWN_COLUMNS, SHOWN_TOKENS = 8, 24


@dataclass(frozen=True)
class Column:
    """A logit that is wrong: which, what it should be, and what it is."""

    name: str
    expected: float
    got: float


@dataclass(frozen=True)
class Difference:
    """The first difference of a model in one mode.

    Attributes:
        case: the checkpoint.
        case_exercises: what the checkpoint is there for.
        trial: the reproduction: the shortest words found that still show the same difference.
        word: which of them.
        position: of the token, counted from 0.
        symbol: that token, and what it makes the model do, if that is more than its name says.
        source: block, channel and meaning of the first number that differs.
        others: further channels that differ at the same token.
        found_by: "residual stream" (compared after every block), "logits" (a probe reads every channel out, so a wrong
            logit names it; of an operation "outputs"), or "exception".
        columns: the logits that differ at that token.
        error: what the model raised, if it did.
    """

    case: str
    case_exercises: str
    trial: Trial
    word: int
    position: int
    symbol: str
    source: Source
    others: tuple[Source, ...] = ()
    found_by: str = "logits"
    columns: tuple[Column, ...] = ()
    error: str | None = None
    symbols: tuple[str, ...] = field(default=(), repr=False)

    @property
    def reproduction(self) -> tuple[tuple[str, ...], ...]:
        """The words of the reproduction, as symbols."""
        return tuple(tuple(self.symbols[t] for t in word) for word in self.trial.words)

    def as_json(self) -> dict[str, Any]:
        """The facts; numbers that are not finite become strings."""
        return {
            "case": self.case,
            "case_exercises": self.case_exercises,
            "mode": self.trial.mode,
            "batch": len(self.trial.words),
            "word": self.word,
            "position": self.position,
            "symbol": self.symbol,
            **asdict(self.source),
            "found_by": self.found_by,
            "also": [asdict(source) for source in self.others],
            "logits": [
                {"column": c.name, "expected": c.expected, "got": c.got if np.isfinite(c.got) else str(c.got)}
                for c in self.columns
            ],
            "error": self.error,
            "reproduction": {
                "token_ids": [list(word) for word in self.trial.words],
                "symbols": [list(word) for word in self.reproduction],
                "cuts": list(self.trial.cuts),
                "others": list(self.trial.others),
                "padded_left": self.trial.left if "padded" in self.trial.mode else None,
            },
        }

    def __str__(self) -> str:
        source = self.source
        where = "the embedding" if source.block < 0 else f"block {source.block}"
        if source.channel is not None:
            where += f", channel {source.channel}"
        if source.exercises == AFTER_BLOCKS:
            where = "after the last block"
        lines = [
            f"case {self.case} ({self.case_exercises}), {self.trial}",
            f"first difference: word {self.word}, token {self.position} ({self.symbol}), {where}",
            f"which is: {source.meaning} (tests {source.exercises}; located by: {self.found_by})",
        ]
        if self.error is not None:
            lines.append(f"raised: {self.error}")
        if self.columns:
            shown = ", ".join(f"{c.name}: {c.got:g} for {c.expected:g}" for c in self.columns[:SHOWN_COLUMNS])
            answers = "outputs" if self.found_by == "outputs" else "logits"
            lines.append(f"{answers}: {shown}" + (", ..." if len(self.columns) > SHOWN_COLUMNS else ""))
        if self.others:
            also = "; ".join(f"{s.block}.{s.channel} {s.meaning}" for s in self.others[:4])
            lines.append(f"also: {also}" + ("; ..." if len(self.others) > 4 else ""))
        for number, word in enumerate(self.reproduction[:4]):
            text = " ".join(word[:SHOWN_TOKENS]) + (f" ... ({len(word):,} tokens)" if len(word) > SHOWN_TOKENS else "")
            lines.append(f"word {number}: {text}")
        return "\n".join(lines)


def difference(case: Case, trial: Trial, session: Session) -> Difference | None:
    """The first difference in a trial: at the earliest token that differs, the earliest block; None if none.

    An exception of the model is a difference too. One trial, two if it has ``hidden`` and differs.
    """
    owed = expected(case, trial)
    try:
        got = answers(session, trial)
    except (Exception, SystemExit) as error:  # whatever an implementation raises on valid input is its fault
        told = f"{type(error).__name__}: {error}".split("\n")[0][:300]
        nothing = Source(0, None, "nothing was computed", case.exercises)
        return replace(_at(case, trial, 0, 0, (nothing,)), found_by="exception", error=told)
    first: tuple[int, int, int] | None = None
    for number, (answer, right) in enumerate(zip(got, owed, strict=True)):
        logits, positions = answer.logits, answer.positions
        if not len(positions):
            continue
        width = right.shape[1]
        if logits.ndim != 2 or logits.shape[1] < width or not 0 <= positions.min() <= positions.max() < len(right):
            told = f"logits of shape {logits.shape} for one word, expected ({len(positions)}, {width})"
            wrong_shape = Source(case.n_blocks, None, told, AFTER_BLOCKS)
            return replace(_at(case, trial, number, 0, (wrong_shape,)), error=told)
        # Implementations may round the vocabulary up; rows that the checkpoint lacks are not looked at.
        wrong = np.flatnonzero((logits[:, :width] != right[positions]).any(axis=1))
        if len(wrong):
            place = int(wrong[positions[wrong].argmin()])
            first = min(first or (1 << 62, 0, 0), (int(positions[place]), number, place))
    if first is None:
        return None
    position, number, place = first
    now, right = got[number].logits[place], owed[number][position]
    where = [int(j) for j in np.flatnonzero(now[: len(right)] != right)]
    columns = tuple(Column(_column_name(case, j), float(right[j]), float(now[j])) for j in where)
    try:
        found = _by_streams(case, trial, session, number, position) if trial.mode == "full" else None
    except Exception:  # ``hidden`` is the implementation's own, and only says more closely where
        found = None
    by = "residual stream" if found else case.answers
    if found is None:
        found = _by_columns(case, where)
        if np.isnan(now).all() and case.n_blocks == 1:
            found = (Source(0, None, f"all {case.answers}, which are not a number", NOT_A_NUMBER), *found)
    return replace(_at(case, trial, number, position, found), found_by=by, columns=columns)


def _at(case: Case, trial: Trial, word: int, position: int, found: tuple[Source, ...]) -> Difference:
    """A difference at a token of a word, as far as the case tells it."""
    token = case.symbols[trial.words[word][position]]
    symbol = f"{token}: {case.token_meanings[token]}" if token in case.token_meanings else token
    facts = (case.name, case.exercises, trial, word, position, symbol, found[0], found[1:])
    return Difference(*facts, symbols=case.symbols)


def _column_name(case: Case, column: int) -> str:
    sources = case.columns.get(column)
    return sources[0].meaning if sources else f"column {column}"


def _by_columns(case: Case, columns: list[int]) -> tuple[Source, ...]:
    """The channels that wrong logits read, the earliest block first."""
    last = case.n_blocks
    found: dict[Source, None] = {}
    for column in columns:
        found |= dict.fromkeys(case.columns.get(column, ()))
    if not found:
        return (Source(last, None, "a logit that no token has", AFTER_BLOCKS),)
    real = [s for s in found if 0 <= s.block < last]
    constants = [s for s in found if s.block == last]
    if constants and len(columns) == len(case.columns):
        # Everything is wrong: what all logits share.
        return (Source(last, None, "all logits", AFTER_BLOCKS), *sorted(real, key=_order))
    return tuple(sorted(real, key=_order)) or tuple(sorted(found, key=_order))


def _order(source: Source) -> tuple[int, int]:
    return source.block, -1 if source.channel is None else source.channel


def _by_streams(case: Case, trial: Trial, session: Session, number: int, position: int) -> tuple[Source, ...] | None:
    """Compare the residual stream before and after every block at one token, if both sides tell it."""
    hidden = getattr(session, "hidden", None)
    if hidden is None:
        return None
    owed: Expected = case.expect(np.array(trial.words, dtype=np.int64)[:, : position + 1])
    if owed.streams is None:
        return None
    with torch.inference_mode():
        streams = hidden(torch.tensor(trial.words, dtype=torch.int64))
    if streams is None or len(streams) != len(owed.streams):
        return None
    for block, (right, stream) in enumerate(zip(owed.streams, streams, strict=True), -1):
        values = np.asarray(torch.as_tensor(stream).to("cpu", torch.float64))[number, position]
        if values.shape != right[number, position].shape:
            return None
        wrong = np.flatnonzero(values != right[number, position])
        if len(wrong):
            if block >= 0 and np.isnan(values).all():
                return (Source(block, None, "the whole residual stream, which is not a number", NOT_A_NUMBER),)
            if block < 0:
                return (Source(-1, None, "the residual stream before the first block", "embedding"),)
            sources: dict[Source, None] = {}
            for dimension in wrong:
                sources |= dict.fromkeys(s for s in case.dimensions.get(int(dimension), ()) if s.block == block)
            stray = Source(block, None, f"dimension {wrong[0]}, which no channel of this block writes", "out_proj")
            return tuple(sorted(sources, key=_order)) or (stray,)
    return (Source(case.n_blocks, None, "all blocks are right", AFTER_BLOCKS),)


def smallest(case: Case, found: Difference, session: Session) -> Difference:
    """The same difference (same block and channel) on a shorter trial: words left out, then tokens, greedily.

    At most some hundred runs of the model and some seconds.
    """
    best, runs, deadline = found, 0, time.monotonic() + SHRINKING_SECONDS
    if found.error is None:
        cut = _truncated(found)
        if cut is not None:
            best = _same(case, cut, session, found) or best
    progress = True
    while progress:
        progress = False
        for trial in shorter(best.trial):
            if runs >= SHRINKING_RUNS or time.monotonic() > deadline:
                return best
            runs += 1
            try:
                again = _same(case, trial, session, found)
            except (KeyError, AssertionError, ValueError):
                continue  # not a word that the case can judge
            if again is not None:
                best, progress = again, True
                break
    return best


def _same(case: Case, trial: Trial, session: Session, like: Difference) -> Difference | None:
    again = difference(case, trial, session)
    if again is None or again.source != like.source or (again.error is None) != (like.error is None):
        return None
    return again


def _truncated(found: Difference) -> Trial | None:
    """The trial cut off after the token at which it differs."""
    trial, end = found.trial, found.position + 1
    if trial.mode not in ONE_LENGTH and trial.mode != "packed-continued":
        words = tuple(w[:end] if i == found.word else w for i, w in enumerate(trial.words))
    else:
        words = tuple(word[:end] for word in trial.words)
    if words == trial.words or any(len(word) <= max(trial.cuts, default=0) for word in words):
        return None
    return replace(trial, words=words)
