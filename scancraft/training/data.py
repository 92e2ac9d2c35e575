"""What a trained model learns from: words of a language, cut into padded batches with their next-symbol sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..automata.alphabet import BOS, EOS, PAD, Word
from ..automata.errors import EmptyLanguageError
from ..automata.languages import Language, classes_of, truth_of
from ..automata.words.mixtures import members_of
from ..compiler.targets.tokens import class_rows, token_ids, vocabulary_size
from ..suite.languages import Bin
from ..suite.published_words import flip_flop_word


def members(language: Language, count: int, part: Bin, rng: np.random.Generator) -> Sequence[Word]:
    """So many members with lengths in a range, as the suite draws them.

    Raises:
        EmptyLanguageError: the language has no word of such a length.
    """
    if part.ignore is None:
        return members_of(language, count, part.shortest, part.longest, rng)
    # The flip-flop language, with this share of ignore instructions.
    if part.longest < 4 or part.longest % 2:
        raise EmptyLanguageError(f"no flip-flop word has length {part.longest}; give an even one of at least 4")
    return [flip_flop_word(rng, part.ignore, part.longest) for _ in range(count)]


class Batch(NamedTuple):
    """Words of similar length.

    Attributes:
        ids: token ids, ``<bos>`` first, right-padded with ``<pad>``; shape (words, 1 + longest), int64.
        targets: 1 where a token may come next, and at the class of the prefix, 0 elsewhere; shape (words, 1 + longest,
            vocabulary), float32.
        inside: 1 at the prefixes of each word that are compared, 0 elsewhere; shape (words, 1 + longest), float32.
    """

    ids: Tensor
    targets: Tensor
    inside: Tensor


class Examples:
    """Words of a language and the sets of tokens that may come next after each of their prefixes.

    Prefixes that nothing completes are not compared; members of the language have none.

    Raises:
        EmptyLanguageError: there are no words.
        UnknownSymbolError: a word holds a symbol that is not in the alphabet.
    """

    def __init__(self, language: Language, words: Sequence[Word]) -> None:
        if not words:
            raise EmptyLanguageError("there are no words to learn from; give a language and lengths that have some")
        self._truth = truth_of(language)
        self._codes, self.lengths = self._truth.encode(words)
        tokens = token_ids(language.alphabet)
        self._special = tokens[PAD], tokens[BOS]
        self._symbols = np.array([tokens[s] for s in language.alphabet], dtype=np.int64)
        classes = classes_of(language)
        self._columns = np.array([*self._symbols, tokens[EOS], *class_rows(language.alphabet, classes).values()])
        self._vocabulary = vocabulary_size(language.alphabet, classes)

    def __len__(self) -> int:
        return len(self.lengths)

    def stream(self, tokens: int, rng: np.random.Generator) -> Iterator[Batch]:
        """Batches for ever: see :meth:`epoch`."""
        while True:
            yield from self.epoch(tokens, rng)

    def epoch(self, tokens: int, rng: np.random.Generator) -> Iterator[Batch]:
        """All words once, in batches of similar length and at most so many padded tokens, in random order.

        Which words of a length go together is random as well. A word longer than ``tokens`` is a batch of its own.
        """
        order = np.lexsort((rng.random(len(self)), self.lengths))
        cuts, start = [], 0
        for end in range(1, len(self) + 1):
            if end == len(self) or (end + 1 - start) * (int(self.lengths[order[end]]) + 1) > tokens:
                cuts.append((start, end))
                start = end
        for i in rng.permutation(len(cuts)):
            yield self.batch(order[slice(*cuts[i])])

    def batch(self, rows: NDArray[np.intp]) -> Batch:
        """These words as one batch."""
        lengths = self.lengths[rows, None]
        longest = int(lengths.max(initial=0))
        codes, places = self._codes[rows, :longest], np.arange(longest + 1)
        allowed = self._truth.next_masks(codes, self.lengths[rows])
        pad, bos = self._special
        ids = np.full((len(rows), longest + 1), bos, dtype=np.int64)
        ids[:, 1:] = np.where(places[1:] <= lengths, self._symbols[codes], pad)
        targets = np.zeros((*ids.shape, self._vocabulary), dtype=np.float32)
        targets[..., self._columns] = allowed
        inside = (places <= lengths) & allowed.any(axis=-1)
        return Batch(torch.from_numpy(ids), torch.from_numpy(targets), torch.from_numpy(inside.astype(np.float32)))
