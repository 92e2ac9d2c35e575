"""What a trained model learns from: words of a language, cut into padded batches with their next-symbol sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .automata.alphabet import BOS, EOS, PAD, Word
from .automata.dfa import Dfa
from .automata.errors import EmptyLanguageError
from .automata.languages import Language, truth_of
from .automata.sampling import UniformSampler
from .compiler.tokens import token_ids, vocabulary_size

Draw = Callable[[int, int, int, np.random.Generator], Sequence[Word]]
"""Called with (count, shortest, longest, generator); gives so many members with lengths in that range."""


class Batch(NamedTuple):
    """Words of similar length.

    Attributes:
        ids: token ids, ``<bos>`` first, right-padded with ``<pad>``; shape (words, 1 + longest), int64.
        targets: 1 where a token may come next, 0 elsewhere; shape (words, 1 + longest, vocabulary), float32.
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
        self.truth = truth_of(language)
        self.codes, self.lengths = self.truth.encode(words)
        tokens = token_ids(language.alphabet)
        self._special = tokens[PAD], tokens[BOS]
        self._symbols = np.array([tokens[s] for s in language.alphabet], dtype=np.int64)
        self._columns = np.array([*self._symbols, tokens[EOS]])
        self._vocabulary = vocabulary_size(language.alphabet)

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
        lengths = self.lengths[rows]
        longest = int(lengths.max(initial=0))
        codes = self.codes[rows, :longest]
        allowed = self.truth.next_masks(codes, lengths)
        pad, bos = self._special
        ids = np.full((len(rows), longest + 1), bos, dtype=np.int64)
        ids[:, 1:] = np.where(np.arange(longest) < lengths[:, None], self._symbols[codes], pad)
        targets = np.zeros((*ids.shape, self._vocabulary), dtype=np.float32)
        targets[..., self._columns] = allowed
        inside = (np.arange(longest + 1) <= lengths[:, None]) & allowed.any(axis=-1)
        return Batch(torch.from_numpy(ids), torch.from_numpy(targets), torch.from_numpy(inside.astype(np.float32)))


def members_of(language: Language, count: int, shortest: int, longest: int, rng: np.random.Generator) -> list[Word]:
    """Members whose lengths are uniform over those in the range that have words, each uniform among its length.

    Raises:
        EmptyLanguageError: no member has such a length.
    """
    assert isinstance(language, Dfa)
    sampler = UniformSampler(language, longest)
    lengths = [length for length in sampler.lengths() if length >= shortest]
    if not lengths:
        raise EmptyLanguageError(f"the language has no word of a length in {shortest}..{longest}; give other lengths")
    return [sampler.word(lengths[int(i)], rng) for i in rng.integers(len(lengths), size=count)]
