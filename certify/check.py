"""Comparing a model with a language, on words: what was tried, and the shortest disagreement.

This is evidence on the words tried, not a proof. Ground truth is the language's vectorised acceptor, which shares no
code with the compiler.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt16
from numpy.typing import NDArray

from ..automata.alphabet import Word, format_word, read_tokens, said_and_right
from ..automata.cards import brief, card
from ..automata.languages import Language, Recognised, Truth, as_language, columns_of, truth_of
from ..automata.words.mixtures import mixture_of
from ..compiler.checkpoints import Checkpoint, opened
from ..compiler.language_model import LanguageModel
from ..models.errors import ReadoutError
from ..models.readout import Readout
from ..models.run.batches import Model, batches, prefix_scores
from .binding import check_readout

Progress = Callable[[int, int], None]
"""Called with (words done, words in all)."""


@dataclass(frozen=True)
class Disagreement:
    """A prefix after which the model is wrong.

    Attributes:
        prefix: the symbols read.
        model: the tokens that the model allows next (``<eos>``: it accepts), and the class that it says, as a token.
        right: the tokens that the language allows, and the right class.
    """

    prefix: tuple[str, ...]
    model: frozenset[str]
    right: frozenset[str]

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {"word": list(self.prefix), "model": sorted(self.model), "right": sorted(self.right)}

    def __str__(self) -> str:
        word = format_word(self.prefix, self.prefix)
        return f"{word!r}: {said_and_right(self.model, self.right)}"


@dataclass(frozen=True)
class CheckReport:
    """What a check found. ``agrees`` speaks of the words tried, and of no others.

    Attributes:
        words: words tried.
        prefixes: positions compared, over all words.
        wrong: positions at which some token was judged wrongly.
        shortest: a disagreement on a shortest prefix.
        longest_word: length of the longest word tried.
        exhaustive_to: every word up to this length was tried; -1 if that was not asked for.
        seconds: wall-clock time.
    """

    words: int
    prefixes: int
    wrong: int
    shortest: Disagreement | None
    longest_word: int
    exhaustive_to: int
    seconds: float

    @property
    def agrees(self) -> bool:
        """Whether no disagreement was found."""
        return self.wrong == 0

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "verdict": "agrees" if self.agrees else "disagreement",
            "words": self.words,
            "prefixes": self.prefixes,
            "wrong": self.wrong,
            "exhaustive_to": self.exhaustive_to,
            "longest_word": self.longest_word,
            "disagreement": None if self.shortest is None else self.shortest.as_json(),
            "seconds": round(self.seconds, 3),
        }

    def __repr__(self) -> str:
        return f"<CheckReport: {brief(str(self), 120)}>"

    def _repr_html_(self) -> str:
        title = "no disagreement on the words tried" if self.agrees else f"{self.wrong:,} wrong prefixes"
        facts: dict[str, object] = {"words": self.words, "prefixes": self.prefixes, "longest word": self.longest_word}
        if self.exhaustive_to >= 0:
            facts["all words up to length"] = self.exhaustive_to
        return card(title, facts | {"a shortest one": self.shortest}, verdict="holds" if self.agrees else "fails")

    def __str__(self) -> str:
        extent = f"{self.words:,} words, {self.prefixes:,} prefixes"
        if self.exhaustive_to >= 0:
            extent += f", every word up to length {self.exhaustive_to}"
        extent += f", longest {self.longest_word}"
        if self.shortest is None:
            return f"no disagreement on the words tried ({extent})"
        prefixes = "prefix" if self.wrong == 1 else "prefixes"
        return f"{self.wrong:,} wrong {prefixes} ({extent}); a shortest one is {self.shortest}"


def check(
    target: Any,
    language: Any = None,
    *,
    readout: Readout | None = None,
    words: int = 400,
    max_length: int = 200,
    short: int = 20_000,
    seed: int = 0,
    progress: Progress | None = None,
) -> CheckReport:
    """Compare a model with a language at every prefix of sampled words and of all short words.

    Args:
        target: a checkpoint or its directory, what ``scancraft.compile`` returned, or a model (then give ``language``
            and ``readout``).
        language: whatever ``as_language`` reads; by default the checkpoint's own.
        readout: how the model is bound to the language; by default the checkpoint's own.
        words: how many words to sample: half members, a quarter one-symbol edits of members, a quarter arbitrary.
        max_length: of the sampled words.
        short: try all words up to the greatest length at which there are at most this many of them (and up to
            ``max_length``); 0 for none.
        seed: of the sampling.
        progress: called now and then with (words done, words in all).

    Raises:
        ReadoutError: no readout for a model, or one over other symbols than the language's.
        CheckpointError: the directory cannot be loaded, or its tokenizer is not that of its manifest.
    """
    source = opened(target)
    if isinstance(source, LanguageModel):
        if isinstance(source, Checkpoint):
            source.check_tokenizer()
        model, readout = source.runner(), readout or source.readout
        wanted = source.language if language is None else as_language(language)
    else:
        if language is None or readout is None:
            raise ReadoutError("give the language and a Readout with a model; only checkpoints bring their own")
        model, wanted = target, as_language(language)
    if isinstance(wanted, Recognised) and readout.next_index and not wanted.is_union:
        wanted = wanted.dfa()  # which alone knows what may come next
    rng = np.random.default_rng(seed)
    sampled = mixture_of(wanted, words, 0, max_length, rng) if words else []
    depth = exhaustive_depth(len(wanted.alphabet), short, max_length)
    return compare(model, wanted, readout, sampled, exhaustive_to=depth, progress=progress)


def exhaustive_depth(letters: int, limit: int, longest: int) -> int:
    """The greatest length up to which there are at most ``limit`` words (and at most ``longest``); -1 for none."""
    depth, count = -1, 0
    while depth < longest and count + letters ** (depth + 1) <= limit:
        depth += 1
        count += letters**depth
        if letters == 0:
            break
    return depth


def all_codes(letters: int, length: int) -> UInt16[NDArray[np.uint16], "words length"]:
    """All words of one length as letter numbers, shape (letters ** length, length)."""
    number = np.arange(letters**length)[:, None]
    powers = letters ** np.arange(length - 1, -1, -1, dtype=np.int64)
    return (number // powers % max(letters, 1)).astype(np.uint16)


def compare(
    model: Model,
    language: Language,
    readout: Readout,
    words: Sequence[Word] = (),
    *,
    exhaustive_to: int = -1,
    progress: Progress | None = None,
) -> CheckReport:
    """Compare at every prefix of ``words``, and of all words up to length ``exhaustive_to``.

    Honours the readout's contract: under "live-prefixes" dead prefixes are not compared.
    """
    started = time.perf_counter()
    check_readout(readout, language)
    judge = _Judge(model, truth_of(language), readout)
    letters = len(language.alphabet)
    exhaustive = sum(letters**n for n in range(exhaustive_to + 1))
    total = len(words) + exhaustive
    done = 0

    def report(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(min(done, total), total)

    if exhaustive_to >= 0:
        # All words of the greatest length have all shorter ones as prefixes.
        codes = all_codes(letters, exhaustive_to)
        judge.run(codes, np.full(len(codes), exhaustive_to), report)
        done = exhaustive
    if words:
        codes, lengths = judge.truth.encode(words)
        judge.run(codes, lengths, report)
    longest = max([exhaustive_to, *map(len, words)], default=0)
    return CheckReport(
        total, judge.prefixes, judge.wrong, judge.shortest, longest, exhaustive_to, time.perf_counter() - started
    )


class _Judge:
    """Runs batches and remembers the shortest disagreement."""

    def __init__(self, model: Model, truth: Truth, readout: Readout) -> None:
        self.model, self.readout, self.alphabet, self.truth = model, readout, truth.alphabet, truth
        follow, end = bool(readout.next_index), readout.accept is not None
        self.names = read_tokens(truth.alphabet, follow=follow, end=end, classes=readout.classes)
        self.columns = [columns_of(truth)[name] for name in self.names]
        self.prefixes = self.wrong = 0
        self.shortest: Disagreement | None = None

    def run(self, codes: NDArray[Any], lengths: NDArray[Any], report: Callable[[int], None]) -> None:
        """Compare one set of words, batch by batch."""
        for rows in batches(lengths, columns=len(self.readout.columns(self.alphabet))):
            longest = int(lengths[rows].max(initial=0))
            self._batch(codes[rows][:, :longest], lengths[rows])
            report(len(rows))

    def _batch(self, codes: NDArray[Any], lengths: NDArray[Any]) -> None:
        scores = prefix_scores(self.model, self.readout, codes, lengths, self.alphabet)
        said = self.readout.says(scores).numpy()
        right_all = self.truth.next_masks(codes, lengths)
        every = self.columns == list(range(right_all.shape[-1]))
        right = right_all if every else right_all[..., self.columns]
        compared = np.arange(right.shape[1]) <= lengths[:, None]
        if self.readout.bos is None:
            compared[:, 0] = False
        if self.readout.contract == "live-prefixes":
            compared &= right_all[..., : len(self.alphabet) + 1].any(axis=-1)
        wrong = (said != right).any(axis=-1) & compared
        self.prefixes += int(compared.sum())
        self.wrong += int(wrong.sum())
        if wrong.any():
            self._remember(wrong, codes, said, right)

    def _remember(self, wrong: Any, codes: Any, said: Any, right: Any) -> None:
        position = int(np.flatnonzero(wrong.any(axis=0))[0])
        if self.shortest is not None and len(self.shortest.prefix) <= position:
            return
        row = int(np.flatnonzero(wrong[:, position])[0])
        self.shortest = Disagreement(
            tuple(self.alphabet[c] for c in codes[row, :position]),
            frozenset(n for n, yes in zip(self.names, said[row, position], strict=True) if yes),
            frozenset(n for n, yes in zip(self.names, right[row, position], strict=True) if yes),
        )
