"""How often a model is right on some words: whole strings, and single positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .automata.acceptor import MooreRunner
from .automata.alphabet import Word, read_tokens
from .automata.languages import Truth, columns_of
from .models.readout import Readout
from .models.run.batches import Model, batches, prefix_scores


@dataclass(frozen=True)
class Accuracy:
    """What was counted.

    Attributes:
        words: strings tried.
        right_words: of these, right after every prefix that was compared.
        positions: prefixes compared.
        right_positions: of these, right.
        longest: the length of the longest string.
    """

    words: int
    right_words: int
    positions: int
    right_positions: int
    longest: int

    @property
    def strings(self) -> float:
        """Strings right, in %."""
        return 100 * self.right_words / max(1, self.words)

    @property
    def prefixes(self) -> float:
        """Positions right, in %."""
        return 100 * self.right_positions / max(1, self.positions)


def accuracy(model: Model, truth: Truth, readout: Readout, words: Sequence[Word]) -> Accuracy:
    """Compare the predicted set of next tokens, and the class, with the truth, after every prefix of every word.

    Under the contract "live-prefixes" prefixes that nothing completes are not compared. O(symbols), in batches.

    Args:
        model: anything that the readout understands.
        truth: the language's ground truth.
        readout: how the model is bound to the language; only what it names is compared.
        words: what to try.

    Raises:
        UnknownSymbolError: a word over other symbols.
        ReadoutError: the readout names other symbols than the language.
    """
    readout.check_alphabet(truth.alphabet, truth.class_names if isinstance(truth, MooreRunner) else ())
    follow, end = bool(readout.next_index), readout.accept is not None
    place = columns_of(truth)
    columns = [place[t] for t in read_tokens(truth.alphabet, follow=follow, end=end, classes=readout.classes)]
    codes, lengths = truth.encode(words)
    right_words = positions = right_positions = 0
    for rows in batches(lengths, columns=len(readout.columns(truth.alphabet))):
        longest = int(lengths[rows].max(initial=0))
        some = codes[rows, :longest]
        said = readout.says(prefix_scores(model, readout, some, lengths[rows], truth.alphabet)).numpy()
        right_all = truth.next_masks(some, lengths[rows])
        right = right_all[..., columns]
        compared = np.arange(longest + 1) <= lengths[rows, None]
        if readout.contract == "live-prefixes":
            compared &= right_all[..., : len(truth.alphabet) + 1].any(axis=-1)
        good = (said == right).all(axis=-1) | ~compared
        right_words += int(good.all(axis=1).sum())
        positions += int(compared.sum())
        right_positions += int((good & compared).sum())
    return Accuracy(len(words), right_words, positions, right_positions, int(lengths.max(initial=0)))
