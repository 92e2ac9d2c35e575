"""What a model says of words: after each prefix, whether it is accepted, and which tokens may come next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..automata.acceptor import Bools
from ..automata.alphabet import EOS, format_word, shown_text
from ..automata.languages import truth_of
from ..models.run.batches import Model, batches, prefix_scores
from .language_model import LanguageModel

TITLE = 60
"""Characters of a word that are shown in one piece."""


@dataclass(frozen=True)
class Verdicts:
    """What a model says of one word.

    Attributes:
        word: the word.
        alphabet: the symbols.
        accepted: whether each prefix is accepted, shape (1 + length,), the empty prefix first.
        following: whether each symbol may come next, shape (1 + length, symbols), or (1 + length, 0) if the model does
            not say.
    """

    word: tuple[str, ...]
    alphabet: tuple[str, ...]
    accepted: Bools
    following: Bools

    def tokens(self, position: int) -> list[str]:
        """The tokens that may come next after so many symbols, ``<eos>`` last."""
        following = self.following[position]
        found = [s for s, yes in zip(self.alphabet, following, strict=True) if yes] if len(following) else []
        return [*found, EOS] if self.accepted[position] else found

    def as_json(self) -> dict[str, object]:
        """For machines; ``next`` holds ``<eos>`` where the prefix is accepted."""
        prefixes = [
            {"symbol": symbol, "accepted": bool(self.accepted[t]), "next": self.tokens(t)}
            for t, symbol in enumerate((None, *self.word))
        ]
        return {"word": list(self.word), "accepted": bool(self.accepted[-1]), "prefixes": prefixes}

    @property
    def accepts(self) -> bool:
        """Whether the word is accepted."""
        return bool(self.accepted[-1])

    @property
    def allowed(self) -> frozenset[str]:
        """The tokens that may come next after the word."""
        return frozenset(self.tokens(-1))

    def __repr__(self) -> str:
        return f"<Verdicts: {self}>"

    def __str__(self) -> str:
        """One line: the word, shortened, and whether it is accepted."""
        shown = shown_text(format_word(self.word, self.alphabet)) or "(the empty word)"
        if len(shown) > TITLE:
            shown = f"{shown[: TITLE - 20]} … {shown[-15:]} ({len(self.word):,} symbols)"
        return f"{shown}: {'accepted' if self.accepted[-1] else 'rejected'}"


def verdicts(source: LanguageModel, words: Sequence[tuple[str, ...]], runner: Model | None = None) -> list[Verdicts]:
    """Run a model over words. The language is used only to number the symbols.

    Under the contract "live-prefixes" a model may say anything once a symbol came that it had ruled out; from there on
    the verdict is "rejected", with nothing to come.

    Args:
        source: the model.
        words: as symbols.
        runner: of the model, if there is one already.

    Raises:
        ScancraftError: the model cannot be loaded, or its scores cannot be read.
    """
    model = source.runner() if runner is None else runner
    alphabet, readout = source.language.alphabet, source.readout
    codes, lengths = truth_of(source.language).encode(words)
    found: dict[int, Verdicts] = {}
    for rows in batches(lengths):
        scores = prefix_scores(model, readout, codes[rows], lengths[rows], alphabet)
        said = (scores > readout.threshold).numpy()
        for row, yes in zip(rows.tolist(), said, strict=True):
            length = int(lengths[row])
            yes = yes[: length + 1].copy()
            if readout.contract == "live-prefixes":
                ruled_out = ~yes[np.arange(length), codes[row, :length]]
                dead = np.concatenate([[False], np.logical_or.accumulate(ruled_out)])
                yes[dead] = False
            found[row] = Verdicts(tuple(words[row]), alphabet, yes[:, -1], yes[:, :-1])
    return [found[row] for row in range(len(words))]
