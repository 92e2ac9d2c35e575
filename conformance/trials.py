"""Trials: the ways in which a model can be given the same words, and what it answers.

A mode needs certain methods of the model (:data:`NEEDS`); one that has only ``__call__`` is tried in the mode "full".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from .case import Case, Floats

NEEDS: dict[str, tuple[str, ...]] = {
    "full": (),
    "step": ("prefill", "step"),
    "cached": ("prefill", "step"),
    "interleaved": ("prefill", "step"),
    "continued": ("prefill", "extend"),
    "padded": ("padded",),
    "packed": ("packed",),
    "packed-continued": ("prefill", "packed_extend"),
    "snapshots": ("snapshots", "step"),
}
"""By mode, the methods that a model must have for it."""

MODES = tuple(NEEDS)
MEANING = {
    "full": "all tokens at once",
    "step": "one token, then one at a time with the cache",
    "cached": "a prefill of several tokens, then one at a time with the cache",
    "interleaved": "two batches decoded in turns, each with its own cache",
    "continued": "a prefill, then several tokens at once with the cache",
    "padded": "words of different lengths in one batch, padded on either side, with an attention mask",
    "packed": "several documents in one row, each from an empty state",
    "packed-continued": "packed documents, each from the state of a prefill of its own",
    "snapshots": "packed documents, each continued from the state that was kept of its middle",
}
TAIL = 6
"""Tokens that are read after a split."""
FEW_STEPS = 48
"""Tokens of words that are decoded in turns: what only long words show, the mode "step" shows."""
FEW = 8
"""Up to so many splits are tried both with one word and with all, in one continuation and in several; else in turns."""


@dataclass(frozen=True)
class Trial:
    """Words given to a model in one way.

    Attributes:
        mode: one of :data:`MODES`.
        words: token ids; of one length unless the mode is "padded" or about packed documents.
        cuts: where the words are cut ("cached", "continued" and their like); in "cached" the rest comes one at a time.
        left: the side of the padding.
    """

    mode: str
    words: tuple[tuple[int, ...], ...]
    cuts: tuple[int, ...] = ()
    left: bool = False

    @property
    def tokens(self) -> int:
        """How many there are."""
        return sum(map(len, self.words))

    def __str__(self) -> str:
        cut = f", cut after {', '.join(map(str, self.cuts))}" if self.cuts else ""
        side = (", padded on the left" if self.left else ", padded on the right") if self.mode == "padded" else ""
        return f"{self.mode}: {len(self.words)} word{'s' * (len(self.words) > 1)}{cut}{side}"


def trials(case: Case, mode: str) -> Iterator[Trial]:
    """The trials of a case in one mode, the simplest first."""
    if case.modes is not None and mode not in case.modes:
        return
    rows = [tuple(int(t) for t in row) for row in case.words]
    length = len(rows[0])
    if mode == "full":
        yield Trial(mode, (rows[0],))
        if len(rows) > 1:
            yield Trial(mode, tuple(rows))
        if case.splits is not None and case.name == "lengths":
            yield from (Trial(mode, (rows[0][:n],)) for n in case.splits)
    elif mode == "step":
        yield Trial(mode, (rows[0],))
        yield Trial(mode, tuple(rows[1:] or rows))
    elif mode in ("cached", "continued"):
        splits = _splits(case, length)
        for number, cut in enumerate(splits):
            few = len(splits) <= FEW
            for batch in (rows[:1], rows) if few else ((rows[:1], rows)[number % 2],):
                words = tuple(row[: cut + TAIL] for row in batch)
                ways: list[tuple[int, ...]] = [(cut,)]
                if mode == "continued" and cut + 3 < len(words[0]):
                    ways.append((cut, cut + 1, cut + 3))
                for cuts in ways if few else ways[number // 2 % len(ways) :][:1]:
                    yield Trial(mode, words, cuts)
        if mode == "continued" and splits and splits[0] + TAIL < length:
            yield Trial(mode, tuple(rows), splits[:1])  # at once, more than a chunk holds
    elif mode == "interleaved":
        for cut in (1, 2, case.d_conv + 1):
            yield Trial(mode, tuple(row[:FEW_STEPS] for row in (rows[:2] * 2)[:2]), (cut,))
    elif mode == "padded":
        cycle = _uneven(rows, (length, 1, 3, length // 2, 2, length - 1, case.d_conv))
        for left in (False, True):
            yield Trial(mode, cycle[:2], left=left)
            yield Trial(mode, cycle, left=left)
    elif mode == "packed":
        yield Trial(mode, (rows[0],))
        yield Trial(mode, _uneven(rows, (5, 1, 2, 3, 4, length // 2, 1, length)))
        if case.splits is not None:
            yield Trial(mode, _uneven(rows, case.splits))
    elif mode == "packed-continued":
        for cut in (1, 2, 5, 9):
            words = _uneven(rows, (length, 12, 7, length // 2, cut + 1, 21))
            long_enough = tuple(word for word in words if len(word) > cut)
            if not long_enough:
                continue
            yield Trial(mode, long_enough[:1], (cut,))
            yield Trial(mode, long_enough, (cut,))
    elif mode == "snapshots":
        yield Trial(mode, (rows[0],))
        yield Trial(mode, _uneven(rows, (length, length // 2, length - 3, length // 3)))


def _uneven(rows: list[tuple[int, ...]], lengths: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    return tuple(rows[i % len(rows)][: max(1, n)] for i, n in enumerate(lengths))


def _splits(case: Case, length: int) -> tuple[int, ...]:
    wanted = case.splits if case.splits is not None else (*range(1, case.d_conv + 3), length // 2)
    return tuple(cut for cut in wanted if 0 < cut < length)


def expected(case: Case, trial: Trial) -> list[Floats]:
    """For every word, the logits owed, shape (time, vocabulary)."""
    if len({len(word) for word in trial.words}) == 1:
        return list(case.expect(np.array(trial.words, dtype=np.int64)).logits)
    return [case.expect(np.array([word], dtype=np.int64)).logits[0] for word in trial.words]


@torch.inference_mode()
def answers(model: Any, trial: Trial, pad: int = 0) -> list[tuple[int, Floats]]:
    """For every word, the first position that the model was asked about and its logits from there on."""
    if trial.mode == "snapshots":
        return _after_snapshots(model, trial.words)
    if trial.mode == "packed-continued":
        return _packed_continued(model, trial.words, trial.cuts[0])
    return [(0, logits) for logits in _everywhere(model, trial, pad)]


def _everywhere(model: Any, trial: Trial, pad: int) -> list[Floats]:
    """For every word, the logits at all its positions."""
    words = trial.words
    if trial.mode == "full":
        return _rows(model(_ids(words)))
    if trial.mode in ("step", "cached", "continued"):
        return _in_pieces(model, _ids(words), trial.cuts or (1,), singly=trial.mode != "continued")
    if trial.mode == "interleaved":
        return _interleaved(model, words, trial.cuts[0])
    if trial.mode == "padded":
        return _padded(model, words, trial.left, pad)
    flat, lengths = _flat(words)
    return np.split(_rows(model.packed(flat, lengths))[0], np.cumsum(lengths)[:-1])


def _in_pieces(model: Any, ids: torch.Tensor, cuts: tuple[int, ...], *, singly: bool) -> list[Floats]:
    """A prefill to the first cut, then one token at a time or all up to the next cut."""
    length = ids.shape[1]
    bounds = [*range(cuts[0], length + 1)] if singly else [*cuts, length]
    read = model.step if singly else model.extend
    logits, cache = model.prefill(ids[:, : cuts[0]])
    parts = [logits]
    for first, last in pairwise(bounds):
        logits, cache = read(ids[:, first:last], cache)
        parts.append(logits)
    return _joined(parts)


def _after_snapshots(model: Any, words: tuple[tuple[int, ...], ...]) -> list[tuple[int, Floats]]:
    flat, lengths = _flat(words)
    found = []
    kept = list(model.snapshots(flat, lengths))
    if len(words) > 1 and all(position == length for (position, _), length in zip(kept, lengths, strict=True)):
        raise ValueError("every snapshot is at the end of its document, so that nothing can be continued from it")
    for word, (position, cache) in zip(words, kept, strict=True):
        if not 0 <= position <= len(word):
            raise ValueError(f"a snapshot at position {position} of a document of {len(word)} tokens; give one inside")
        parts = []
        for token in word[position:]:
            logits, cache = model.step(_ids(((token,),)), cache)
            parts.append(_rows(logits)[0][0])
        found.append((position, np.array(parts)))
    return found


def _packed_continued(model: Any, words: tuple[tuple[int, ...], ...], cut: int) -> list[tuple[int, Floats]]:
    caches = [model.prefill(_ids((word[:cut],)))[1] for word in words]
    flat, lengths = _flat(tuple(word[cut:] for word in words))
    logits = _rows(model.packed_extend(flat, lengths, caches))[0]
    return [(cut, part) for part in np.split(logits, np.cumsum(lengths)[:-1])]


def _interleaved(model: Any, words: tuple[tuple[int, ...], ...], cut: int) -> list[Floats]:
    each = [_ids((word,)) for word in words]
    states = [model.prefill(ids[:, :cut]) for ids in each]
    parts = [[logits] for logits, _ in states]
    caches = [cache for _, cache in states]
    for t in range(cut, len(words[0])):
        for i, ids in enumerate(each):
            logits, caches[i] = model.step(ids[:, t : t + 1], caches[i])
            parts[i].append(logits)
    return [_joined(part)[0] for part in parts]


def _padded(model: Any, words: tuple[tuple[int, ...], ...], left: bool, pad: int) -> list[Floats]:
    longest = max(map(len, words))
    ids, mask = torch.full((len(words), longest), pad), torch.zeros(len(words), longest, dtype=torch.int64)
    spans = []
    for row, word in enumerate(words):
        span = slice(longest - len(word), longest) if left else slice(0, len(word))
        ids[row, span] = torch.tensor(word)
        mask[row, span] = 1
        spans.append(span)
    logits = _rows(model.padded(ids, mask))
    return [logits[row][span] for row, span in enumerate(spans)]


def _ids(words: tuple[tuple[int, ...], ...]) -> torch.Tensor:
    return torch.tensor(words, dtype=torch.int64)


def _flat(words: tuple[tuple[int, ...], ...]) -> tuple[torch.Tensor, list[int]]:
    """Words one after the other in a row, and their lengths."""
    return _ids((tuple(t for word in words for t in word),)), [len(word) for word in words]


def _rows(logits: Any) -> list[Floats]:
    """Logits of shape (batch, time, vocabulary), whatever the library, as float64 per word."""
    if isinstance(logits, torch.Tensor):
        logits = logits.detach().to("cpu", torch.float64).numpy()
    return list(np.asarray(logits, dtype=np.float64))


def _joined(parts: list[Any]) -> list[Floats]:
    """Logits of consecutive tokens, whatever the library, as float64 per word."""
    pieces = [_rows(part) for part in parts]
    if len(counts := sorted({len(piece) for piece in pieces})) != 1:
        raise ValueError(f"consecutive calls gave logits for {' and '.join(map(str, counts))} words")
    return [np.concatenate(rows) for rows in zip(*pieces, strict=True)]


def shorter(trial: Trial) -> Iterator[Trial]:
    """Smaller trials of the same mode: fewer words, then shorter ones, then earlier cuts."""
    if len(trial.words) > 1 and trial.mode != "interleaved":
        yield from (replace(trial, words=(word,)) for word in trial.words)
        yield from (replace(trial, words=trial.words[:i] + trial.words[i + 1 :]) for i in range(len(trial.words)))
    same = trial.mode in ("full", "step", "cached", "continued", "interleaved")
    longest = max(map(len, trial.words))
    size = longest // 2
    while size:
        for start in range(0, longest, size):
            if same:
                words = tuple(word[:start] + word[start + size :] for word in trial.words)
                cuts = tuple(c - max(0, min(c, start + size) - start) for c in trial.cuts)
                if words[0] and all(0 < c < len(words[0]) for c in cuts) and len(set(cuts)) == len(cuts):
                    yield replace(trial, words=words, cuts=cuts)
            else:
                for i, word in enumerate(trial.words):
                    cut = word[:start] + word[start + size :]
                    if len(cut) > max(trial.cuts, default=0) and len(cut) < len(word):
                        yield replace(trial, words=(*trial.words[:i], cut, *trial.words[i + 1 :]))
        size //= 2
