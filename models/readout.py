"""How a model is bound to a language: which token is which symbol, and what its logits mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from .errors import ReadoutError

Contract = Literal["all-words", "live-prefixes"]
CONTRACTS: tuple[Contract, ...] = ("all-words", "live-prefixes")


def logits_of(output: Any) -> Tensor:
    """The default head: ``output.logits``, or the output itself if it is a tensor (or a tuple that starts with one)."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, tuple) and output and isinstance(output[0], Tensor):
        return output[0]
    logits = getattr(output, "logits", None)
    if not isinstance(logits, Tensor):
        raise ReadoutError(
            f"the model returned {type(output).__name__}, which has no .logits; "
            "give Readout(head=...) a function from the model's output to scores of shape (batch, time, n)"
        )
    return logits


@dataclass(frozen=True)
class Readout:
    """Binds a model to a language; everything that compares the two takes one.

    A symbol "may come next" after a prefix iff its score is above ``threshold``; the word so far is accepted iff the
    score of ``accept`` is.

    Args:
        tokens: from each symbol to its input token id.
        bos: the token that starts every sequence; None if the model wants none (then the empty prefix has no
            position of its own and is not compared).
        accept: the index, in the last axis of the scores, that means "the word may end here"; None if the model
            does not say.
        next_symbol: from each symbol to the index of its "may come next" score; by default its token id. An
            empty mapping if the model only recognises.
        pad: the token that fills up shorter words.
        head: from the model's output to scores of shape (batch, time, n); by default the logits.
        threshold: scores above it mean yes.
        contract: "all-words" if the promise covers every word, "live-prefixes" if only prefixes that can still be
            completed.
        classes: of a machine with outputs: from each class to the index of its score. The model says the class whose
            score is greater than those of all others, and none if two are greatest.

    Raises:
        ReadoutError: two symbols share a token, or two classes a score, an index is negative, or the contract is
            unknown.

    >>> Readout(tokens={"a": 3, "b": 4}, bos=1, accept=2).encode(("a", "b"))
    [1, 3, 4]
    """

    tokens: Mapping[str, int]
    bos: int | None
    accept: int | None
    next_symbol: Mapping[str, int] | None = None
    pad: int = 0
    head: Callable[[Any], Tensor] = field(default=logits_of)
    threshold: float = 0.0
    contract: Contract = "all-words"
    classes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", MappingProxyType(dict(self.tokens)))
        named = self.tokens if self.next_symbol is None else self.next_symbol
        object.__setattr__(self, "next_symbol", MappingProxyType(dict(named)))
        object.__setattr__(self, "classes", MappingProxyType(dict(self.classes)))
        ids = [*self.tokens.values(), *([] if self.bos is None else [self.bos])]
        if len(set(ids)) != len(ids):
            raise ReadoutError("two symbols (or a symbol and <bos>) share a token id; give each its own")
        scores = [*named.values(), *([] if self.accept is None else [self.accept])]
        if len({*self.classes.values(), *scores}) < len(self.classes) + len(set(scores)):
            raise ReadoutError("a class shares its score with another one, or with a token; give each its own")
        if min([*ids, *scores, *self.classes.values(), self.pad], default=0) < 0:
            raise ReadoutError("token ids and score indices must not be negative")
        if self.contract not in CONTRACTS:
            raise ReadoutError(f"contract {self.contract!r} is unknown; use one of {', '.join(CONTRACTS)}")

    @property
    def next_index(self) -> Mapping[str, int]:
        """From each symbol to the index of its "may come next" score."""
        assert self.next_symbol is not None
        return self.next_symbol

    def check_alphabet(self, alphabet: Iterable[str], classes: Iterable[str] = (), *, predicts: bool = True) -> None:
        """Raise :class:`ReadoutError` unless the readout names exactly these symbols and classes.

        Args:
            alphabet: the symbols.
            classes: those of a machine with outputs.
            predicts: whether anything is said of what may come next.
        """
        wanted, named = set(alphabet), set(self.tokens)
        if wanted != named:
            raise ReadoutError(
                f"the readout names the symbols {sorted(named)}, the language has {sorted(wanted)}; "
                "give a readout (or a language) over the same symbols"
            )
        if self.next_index and set(self.next_index) != wanted:
            raise ReadoutError(
                f"next_symbol names {sorted(self.next_index)}, the language has {sorted(wanted)}; name all or none"
            )
        if set(self.classes) != (needed := set(classes)):
            raise ReadoutError(
                f"the readout names the classes {sorted(self.classes)}, the machine has {sorted(needed)}; "
                "give the index of the score of each (classes={...})"
            )
        if not predicts and (self.next_index or self.accept is not None):
            raise ReadoutError(
                "the machine does not say what may come next; give a readout with accept=None and next_symbol={}"
            )

    def encode(self, word: Sequence[str]) -> list[int]:
        """The token ids of a word, ``bos`` first; :class:`ReadoutError` for a symbol without a token."""
        try:
            ids = [self.tokens[symbol] for symbol in word]
        except KeyError as error:
            raise ReadoutError(
                f"symbol {error.args[0]!r} has no token; the readout names {sorted(self.tokens)}"
            ) from None
        return ids if self.bos is None else [self.bos, *ids]

    def columns(self, alphabet: Sequence[str]) -> list[int]:
        """Score indices of the symbols of ``alphabet`` (if the model predicts), then ``accept`` (if it has one), then
        classes."""
        symbols = [self.next_index[s] for s in alphabet] if self.next_index else []
        return [*symbols, *([] if self.accept is None else [self.accept]), *self.classes.values()]

    def says(self, scores: Tensor) -> Tensor:
        """What the model says of each column, from scores of shape (..., columns): bool, of the same shape.

        That of a token is above the threshold; that of a class is the greatest of all classes, and the only one.
        """
        first = scores.shape[-1] - len(self.classes)
        said = scores > self.threshold
        if self.classes:
            greatest = scores[..., first:] == scores[..., first:].amax(dim=-1, keepdim=True)
            said[..., first:] = greatest & (greatest.sum(dim=-1, keepdim=True) == 1)
        return said

    def scores(self, output: Any, alphabet: Sequence[str]) -> Tensor:
        """The scores that matter, shape (batch, time, len(columns)).

        Raises:
            ReadoutError: an index is past the end of the scores, or they hold a NaN.
        """
        scores = self.head(output)
        columns = self.columns(alphabet)
        if scores.ndim != 3 or max(columns, default=0) >= scores.shape[-1]:
            raise ReadoutError(
                f"the scores have shape {tuple(scores.shape)}; "
                f"the readout needs (batch, time, n) with n > {max(columns, default=0)}"
            )
        chosen = scores[..., columns]
        if torch.isnan(chosen).any():
            raise ReadoutError("the model's scores contain NaN; look at its weights")
        return chosen
