"""What a model says of words: after each prefix, whether it is accepted, and which tokens may come next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..automata.acceptor import Bools
from ..automata.alphabet import EOS, format_word, shown_text
from ..automata.languages import truth_of
from ..models.errors import ReadoutError
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
        accepted: whether each prefix is accepted, shape (1 + length,), the empty prefix first; shape (0,) if the model
            does not say.
        following: whether each symbol may come next, shape (1 + length, symbols), or (1 + length, 0) if the model does
            not say.
        classes: of a machine with outputs: the class of each prefix, None where two scores are greatest; else empty.
    """

    word: tuple[str, ...]
    alphabet: tuple[str, ...]
    accepted: Bools
    following: Bools
    classes: tuple[str | None, ...] = ()

    @property
    def foretells(self) -> bool:
        """Whether anything is said of the end of the word and of what may come next."""
        return len(self.accepted) > 0

    def tokens(self, position: int) -> list[str]:
        """The tokens that may come next after so many symbols, ``<eos>`` last."""
        following = self.following[position]
        found = [s for s, yes in zip(self.alphabet, following, strict=True) if yes] if len(following) else []
        return [*found, EOS] if self.foretells and self.accepted[position] else found

    def as_json(self) -> dict[str, object]:
        """For machines; ``next`` holds ``<eos>`` where the prefix is accepted."""
        prefixes: list[dict[str, object]] = [{"symbol": symbol} for symbol in (None, *self.word)]
        whole: dict[str, object] = {"word": list(self.word)}
        if self.foretells:
            whole["accepted"] = self.accepts
            for t, prefix in enumerate(prefixes):
                prefix |= {"accepted": bool(self.accepted[t]), "next": self.tokens(t)}
        if self.classes:
            whole["class"] = self.output
            for prefix, name in zip(prefixes, self.classes, strict=True):
                prefix["class"] = name
        return whole | {"prefixes": prefixes}

    @property
    def accepts(self) -> bool:
        """Whether the word is accepted.

        Raises:
            ReadoutError: the model does not say.
        """
        self._need_foresight()
        return bool(self.accepted[-1])

    @property
    def allowed(self) -> frozenset[str]:
        """The tokens that may come next after the word; errors as for :attr:`accepts`."""
        self._need_foresight()
        return frozenset(self.tokens(-1))

    def _need_foresight(self) -> None:
        if not self.foretells:
            raise ReadoutError("this model says the class of a word, and not whether it may end; ask for its output")

    @property
    def output(self) -> str | None:
        """The class of the word; None if two scores are greatest.

        Raises:
            ReadoutError: the model is of no machine with outputs.
        """
        if not self.classes:
            raise ReadoutError("this model says whether a word may end, and has no outputs; ask whether it accepts")
        return self.classes[-1]

    def __repr__(self) -> str:
        return f"<Verdicts: {self}>"

    def __str__(self) -> str:
        """One line: the word, shortened, and whether it is accepted, or its class."""
        shown = shown_text(format_word(self.word, self.alphabet)) or "(the empty word)"
        if len(shown) > TITLE:
            shown = f"{shown[: TITLE - 20]} … {shown[-15:]} ({len(self.word):,} symbols)"
        said = ["accepted" if self.accepted[-1] else "rejected"] if self.foretells else []
        said += ["no class" if self.output is None else f"class {shown_text(self.output)}"] if self.classes else []
        return f"{shown}: {', '.join(said)}"


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
    follow, names = len(alphabet) if readout.next_index else 0, (*readout.classes,)
    found: dict[int, Verdicts] = {}
    for rows in batches(lengths, columns=len(readout.columns(alphabet))):
        scores = prefix_scores(model, readout, codes[rows], lengths[rows], alphabet)
        said = readout.says(scores).numpy()
        for row, yes in zip(rows.tolist(), said, strict=True):
            length = int(lengths[row])
            yes = yes[: length + 1].copy()
            if readout.contract == "live-prefixes":
                ruled_out = ~yes[np.arange(length), codes[row, :length]]
                dead = np.concatenate([[False], np.logical_or.accumulate(ruled_out)])
                yes[dead] = False
            own = yes[:, yes.shape[1] - len(names) :]
            classes = [names[int(line.argmax())] if line.any() else None for line in own] if names else []
            accepted = yes[:, follow] if readout.accept is not None else np.zeros(0, dtype=bool)
            found[row] = Verdicts(tuple(words[row]), alphabet, accepted, yes[:, :follow], tuple(classes))
    return [found[row] for row in range(len(words))]
