"""Trials: the ways in which a model or an engine can be given the same words.

A mode needs certain abilities (:data:`NEEDS`); what has only ``__call__`` is tried in the mode "full". How a trial is
carried out is in ``playing``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from .case import Case

NEEDS: dict[str, tuple[str, ...]] = {
    "full": (),
    "step": ("prefill", "step"),
    "cached": ("prefill", "step"),
    "interleaved": ("prefill", "step"),
    "continued": ("prefill", "extend"),
    "padded": ("padded",),
    "padded-continued": ("padded_prefill", "step"),
    "packed": ("packed",),
    "packed-continued": ("prefill", "packed_extend"),
    "snapshots": ("snapshots", "step"),
    "forked": ("prefill", "step", "fork"),
    "restored": ("prefill", "step", "save", "restore"),
    "rolled-back": ("prefill", "step", "extend", "roll_back"),
    "speculative": ("prefill", "extend", "roll_back"),
    "prefix": ("prefill", "step"),
    "batched": ("prefill", "step", "together"),
    "mixed": ("prefill", "step", "extend", "together"),
}
"""By mode, the methods that a model must have for it, or what a session must offer."""

MODES = tuple(NEEDS)
MEANING = {
    "full": "all tokens at once",
    "step": "one token, then one at a time with the cache",
    "cached": "a prefill of several tokens, then one at a time with the cache",
    "interleaved": "two batches decoded in turns, each with its own cache",
    "continued": "a prefill, then several tokens at once with the cache",
    "padded": "words of different lengths in one batch, padded on either side, with an attention mask",
    "padded-continued": "a prefill padded on either side, then one token at a time from its cache",
    "packed": "several documents in one row, each from an empty state",
    "packed-continued": "packed documents, each from the state of a prefill of its own",
    "snapshots": "packed documents, each continued from the state that was kept of its middle",
    "forked": "a state copied twice; one copy reads other tokens, the rest go on",
    "restored": "a state saved, its sequence closed, others run, and a new sequence from what was saved",
    "rolled-back": "tokens undone: some of the last call, all of it, or of several calls",
    "speculative": "drafts of several tokens, of which some or none are accepted and the others undone",
    "prefix": "requests that begin like an earlier one, which was closed",
    "batched": "sequences that join and leave a batch, one token each, in changing order",
    "mixed": "chunks of prefills in one batch with sequences that decode",
}
TAIL = 6
"""Tokens that are read after a split."""
FEW_STEPS = 48
"""Tokens of words that are decoded in turns: what only long words show, the mode "step" shows."""
FEW = 8
"""Up to so many splits are tried both with one word and with all, in one continuation and in several; else in turns."""
ONE_LENGTH = ("full", "step", "cached", "continued", "interleaved")
"""Modes whose words are of one length."""
WITH_OTHERS = ("forked", "restored", "rolled-back", "speculative", "prefix")
"""Modes in which a sequence reads tokens that do not belong to its word."""


@dataclass(frozen=True)
class Trial:
    """Words given to a model in one way.

    Attributes:
        mode: one of :data:`MODES`.
        words: token ids; of one length in the modes :data:`ONE_LENGTH`.
        cuts: where the words are cut. "cached" and "continued": after so many tokens, in "cached" the rest comes one at
            a time. "padded-continued": so many tokens are read after the prefill. "speculative": the prefill, and the
            tokens of a draft. "rolled-back": what is kept, and then where the calls end that read the word to there
            and after it ``others``. "mixed": the tokens of a chunk.
        left: the side of the padding.
        others: tokens of no word: those that are undone, or that a fork or an earlier request reads.
    """

    mode: str
    words: tuple[tuple[int, ...], ...]
    cuts: tuple[int, ...] = ()
    left: bool = False
    others: tuple[int, ...] = ()

    @property
    def tokens(self) -> int:
        """How many there are."""
        return sum(map(len, self.words))

    def __str__(self) -> str:
        cut = f", cut after {', '.join(map(str, self.cuts))}" if self.cuts else ""
        side = (", padded on the left" if self.left else ", padded on the right") if "padded" in self.mode else ""
        others = f", {len(self.others)} other tokens" if self.others else ""
        return f"{self.mode}: {len(self.words)} word{'s' * (len(self.words) > 1)}{cut}{side}{others}"


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
        yield from _cut(case, mode, rows)
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
    else:
        yield from _served(case, mode, [row[:FEW_STEPS] for row in rows])


def _cut(case: Case, mode: str, rows: list[tuple[int, ...]]) -> Iterator[Trial]:
    length = len(rows[0])
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


def _served(case: Case, mode: str, rows: list[tuple[int, ...]]) -> Iterator[Trial]:
    """What engines do with requests. Words are no longer than :data:`FEW_STEPS`."""
    length, k = len(rows[0]), case.d_conv
    row, other = rows[0], rows[-1][::-1]
    if mode == "padded-continued":
        steps = min(3, length - 1)
        cycle = _uneven(rows, tuple(n + steps for n in (length - steps, 1, 3, length // 2, 2, k, k + 1)))
        for left in (False, True):
            yield Trial(mode, cycle[:2], (steps,), left)
            yield Trial(mode, cycle, (steps,), left)
    elif mode in ("forked", "restored", "prefix"):
        for number, cut in enumerate((1, 2, k, 8, length // 2)):
            if cut < length:
                yield Trial(mode, (rows[number % len(rows)],), (cut,), others=other[: 1 + 2 * (number % 3)])
        yield Trial(mode, tuple(rows[:4]), (min(5, length - 1),), others=other[:4])
    elif mode == "rolled-back":
        for number, cut in enumerate((1, 2, k, 5, length // 2, 9)):
            n = (1, 3, k + 1, 2)[number % 4]
            # Some of the last call, all of it, more than it, and some of the prefill.
            ways = ((max(1, cut - 2),), (cut,), (cut, cut + 1), (max(1, cut - 1), cut), ())
            for ends in ways:
                if 1 <= cut < length:
                    yield Trial(mode, (rows[number % len(rows)],), (cut, *ends), others=other[:n])
        yield Trial(mode, tuple(rows[:4]), (min(5, length - 1), min(4, length - 2)), others=other[:3])
    elif mode == "speculative":
        for number, draft in enumerate((1, 2, 3, 4, k + 1)):
            for cut in (1, k + 1):
                if cut < length:
                    yield Trial(mode, (rows[number % len(rows)],), (cut, draft), others=other[:draft])
        yield Trial(mode, tuple(rows[:4]), (1, 3), others=other[:3])
    else:
        cycle = _uneven(rows, (length, 3, length // 2, 1, 7, length - 1, k, 12))
        yield Trial(mode, (row,), (3,))
        for chunk in (1,) if mode == "batched" else (1, 2, 3, 5, 16):
            yield Trial(mode, cycle[:3], (chunk,))
            yield Trial(mode, cycle, (chunk,))


def _uneven(rows: list[tuple[int, ...]], lengths: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    return tuple(rows[i % len(rows)][: max(1, n)] for i, n in enumerate(lengths))


def _splits(case: Case, length: int) -> tuple[int, ...]:
    wanted = case.splits if case.splits is not None else (*range(1, case.d_conv + 3), length // 2)
    return tuple(cut for cut in wanted if 0 < cut < length)


def shorter(trial: Trial) -> Iterator[Trial]:
    """Smaller trials of the same mode: fewer words, then shorter ones, then earlier cuts, then fewer other tokens."""
    if len(trial.words) > 1 and trial.mode != "interleaved":
        yield from (replace(trial, words=(word,)) for word in trial.words)
        yield from (replace(trial, words=trial.words[:i] + trial.words[i + 1 :]) for i in range(len(trial.words)))
    longest = max(map(len, trial.words))
    size = longest // 2
    while size:
        for start in range(0, longest, size):
            if trial.mode in ONE_LENGTH:
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
    if trial.mode in WITH_OTHERS and len(trial.others) > 1:
        yield replace(trial, others=trial.others[: len(trial.others) // 2])
        yield replace(trial, others=trial.others[:-1])
