"""Sessions: what the driver speaks to. Sequences are opened, fed, forked, rolled back and closed; logits come back.

An engine is a :class:`Session` itself. A model that is a callable with methods (:class:`Model`) becomes one through
:class:`ModelSession`, with what its methods allow; a full forward is one sequence that is fed once and not kept.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeGuard

import numpy as np
import torch
from torch import Tensor

from .case import Floats

Layout = Literal["even", "single", "left", "right", "packed", "mixed"]
"""How the rows of one call lie: a rectangle; one token each, by the way that decodes; padded on a side; packed in one
row; or in whatever way an engine batches requests of different lengths."""
Rows = Sequence[tuple[Any, tuple[int, ...]]]
"""Sequences and the tokens that each gets."""
Words = tuple[tuple[int, ...], ...]


class Session(ABC):
    """An engine that holds sequences, each with a state of its own.

    ``offers`` names what it can do, in the words of :data:`~scancraft.conformance.trials.NEEDS`; modes that need
    anything else are skipped. Only ``open``, ``feed`` and ``close`` are called of a session that offers nothing.
    ``last_only``: whether ``feed`` may give the logits of the last tokens of a row instead of all.
    """

    offers: frozenset[str] = frozenset()
    last_only: bool = False

    @abstractmethod
    def open(self) -> Any:
        """A new sequence, without tokens."""

    @abstractmethod
    def feed(self, rows: Rows, layout: Layout, keep: bool) -> Sequence[Any]:
        """Give sequences their next tokens, all at once.

        Args:
            rows: each sequence at most once.
            layout: how they lie.
            keep: whether the sequences go on. If not, no state need be kept.

        Returns:
            For each row, logits of shape (tokens, vocabulary).
        """

    def fork(self, sequence: Any) -> Any:
        """A second sequence in the same state; the two go on apart."""
        raise NotImplementedError

    def roll_back(self, sequence: Any, tokens: int) -> None:
        """Undo the last tokens."""
        raise NotImplementedError

    def save(self, sequence: Any) -> Any:
        """The state, to be kept outside."""
        raise NotImplementedError

    def restore(self, saved: Any) -> Any:
        """A new sequence in a saved state."""
        raise NotImplementedError

    def snapshots(self, rows: Rows) -> Sequence[tuple[int, Any]]:
        """Feed rows packed; for each a position inside it and a sequence in the state of what came before."""
        raise NotImplementedError

    @abstractmethod
    def close(self, sequence: Any) -> None:
        """The sequence is not needed any more."""


class Model(Protocol):
    """What a conformance test calls of a model that is no session. Only ``__call__`` is needed; other methods open
    further modes.

    ``prefill(ids) -> (logits, cache)``; ``step(ids, cache) -> (logits, cache)``, with ids of shape (batch, 1);
    ``extend(ids, cache) -> (logits, cache)``, the same for several tokens; ``padded(ids, mask) -> logits``;
    ``padded_prefill(ids, mask) -> (logits, cache)``; ``packed(ids, lengths) -> logits``, with ids of shape (1, sum of
    lengths); ``packed_extend(ids, lengths, caches) -> logits``, the same from one cache of ``prefill`` per document;
    ``snapshots(ids, lengths) -> [(position, cache)]``: for each packed document a position inside it and the cache of
    what came before, for ``step``; ``fork(cache) -> cache``; ``roll_back(cache, tokens) -> cache``; ``save(cache) ->
    anything`` and ``restore(saved) -> cache``; ``hidden(ids) -> [stream]``: the residual stream before the first block
    and after each, each of shape (batch, time, d_model), by which a difference is located more closely.
    """

    def __call__(self, ids: Tensor, /) -> Any:
        """Logits of shape (batch, time, vocabulary)."""
        ...


METHODS = (
    *("prefill", "step", "extend", "padded", "padded_prefill", "packed", "packed_extend", "snapshots"),
    *("fork", "roll_back", "save", "restore"),
)
"""What a model can offer."""


@dataclass(eq=False)
class Batch:
    """Sequences that a model keeps in one cache; they stay together, in this order."""

    sequences: tuple[_Sequence, ...]
    cache: Any


@dataclass(eq=False)
class _Sequence:
    batch: Batch | None = None


class ModelSession(Session):
    """A model's methods as a session. Sequences that were first fed together must be fed together."""

    last_only = False

    def __init__(self, model: Any) -> None:
        self.model = model
        self.offers = frozenset(name for name in METHODS if has(model, name))
        self.hidden = model.hidden if has(model, "hidden") else None

    def open(self) -> _Sequence:
        """A new sequence."""
        return _Sequence()

    def close(self, sequence: _Sequence) -> None:
        """Forget its cache."""
        sequence.batch = None

    def feed(self, rows: Rows, layout: Layout, keep: bool) -> list[Floats]:
        """By the method that the layout and what came before ask for."""
        sequences, words = tuple(s for s, _ in rows), tuple(w for _, w in rows)
        batch: Batch | None = sequences[0].batch
        if layout == "packed":
            return self._packed(sequences, words, batch is None)
        if layout in ("left", "right"):
            return self._padded(sequences, words, layout == "left", keep)
        ids = torch.tensor(words, dtype=torch.int64)
        if batch is None:
            if not keep:
                return per_word(self.model(ids))
            logits, cache = self.model.prefill(ids)
        else:
            if batch.sequences != sequences:
                raise ValueError("sequences of one batch are fed together")
            logits, cache = (self.model.step if layout == "single" else self.model.extend)(ids, batch.cache)
        self._hold(sequences, cache)
        return per_word(logits)

    def _hold(self, sequences: tuple[_Sequence, ...], cache: Any) -> None:
        batch = Batch(sequences, cache)
        for sequence in sequences:
            sequence.batch = batch

    def _packed(
        self, sequences: tuple[_Sequence, ...], words: tuple[tuple[int, ...], ...], fresh: bool
    ) -> list[Floats]:
        ids, lengths = flat(words)
        if fresh:
            logits = self.model.packed(ids, lengths)
        else:
            logits = self.model.packed_extend(ids, lengths, [_cache(sequence) for sequence in sequences])
        return np.split(per_word(logits)[0], np.cumsum(lengths)[:-1])

    def _padded(self, sequences: tuple[_Sequence, ...], words: Words, left: bool, keep: bool) -> list[Floats]:
        longest = max(map(len, words))
        ids, mask = torch.zeros(len(words), longest, dtype=torch.int64), torch.zeros(len(words), longest).long()
        spans = [slice(longest - len(word), longest) if left else slice(0, len(word)) for word in words]
        for row, (word, span) in enumerate(zip(words, spans, strict=True)):
            ids[row, span] = torch.tensor(word)
            mask[row, span] = 1
        if keep:
            logits, cache = self.model.padded_prefill(ids, mask)
            self._hold(sequences, cache)
        else:
            logits = self.model.padded(ids, mask)
        return [part[span] for part, span in zip(per_word(logits), spans, strict=True)]

    def fork(self, sequence: _Sequence) -> _Sequence:
        """By the model's ``fork``."""
        return self._alone(self.model.fork(_cache(sequence)))

    def roll_back(self, sequence: _Sequence, tokens: int) -> None:
        """By the model's ``roll_back``."""
        self._hold((sequence,), self.model.roll_back(_cache(sequence), tokens))

    def save(self, sequence: _Sequence) -> Any:
        """By the model's ``save``."""
        return self.model.save(_cache(sequence))

    def restore(self, saved: Any) -> _Sequence:
        """By the model's ``restore``."""
        return self._alone(self.model.restore(saved))

    def snapshots(self, rows: Rows) -> list[tuple[int, _Sequence]]:
        """By the model's ``snapshots``."""
        ids, lengths = flat(tuple(word for _, word in rows))
        return [(position, self._alone(cache)) for position, cache in self.model.snapshots(ids, lengths)]

    def _alone(self, cache: Any) -> _Sequence:
        sequence = _Sequence()
        self._hold((sequence,), cache)
        return sequence


def session_of(loaded: Any) -> Session:
    """What ``load`` gave, as a session."""
    return loaded if is_session(loaded) else ModelSession(loaded)


def is_session(loaded: Any) -> TypeGuard[Session]:
    """Whether it is one already."""
    return all(has(loaded, name) for name in ("open", "feed", "close"))


def has(model: Any, name: str) -> bool:
    """Whether the model has a method; a property that raises is none."""
    try:
        return callable(getattr(model, name))
    except Exception:
        return False


def _cache(sequence: _Sequence) -> Any:
    if sequence.batch is None:
        raise ValueError("the sequence has no state yet")
    return sequence.batch.cache


def flat(words: Words) -> tuple[Tensor, list[int]]:
    """Words one after the other in a row, and their lengths."""
    return torch.tensor((tuple(t for word in words for t in word),), dtype=torch.int64), [len(w) for w in words]


def per_word(logits: Any) -> list[Floats]:
    """Logits of shape (batch, time, vocabulary), whatever the library, as float64 per word."""
    if isinstance(logits, Tensor):
        logits = logits.detach().to("cpu", torch.float64).numpy()
    return list(np.asarray(logits, dtype=np.float64))
