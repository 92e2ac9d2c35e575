"""What a conformance test consists of: a checkpoint, words, and what every implementation owes on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..automata.errors import ScancraftError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
NO_BLOCK = -1


class ConformanceError(ScancraftError):
    """A conformance test was asked for something that it does not have."""


@dataclass(frozen=True)
class Source:
    """Where a number comes from.

    Attributes:
        block: -1 for the embedding, the number of blocks for what comes after the last of them.
        channel: None where no channel is meant.
        meaning: of the channel, for people.
        exercises: the parameter or the rule that the channel is there to test.
    """

    block: int
    channel: int | None
    meaning: str
    exercises: str


@dataclass(frozen=True)
class Expected:
    """What every implementation owes on a batch, all of it exact.

    Attributes:
        logits: of shape (batch, time, vocabulary).
        streams: the residual stream before and after each block, each of shape (batch, time, d_model); None if unknown.
    """

    logits: Floats
    streams: tuple[Floats, ...] | None = None


@dataclass(frozen=True)
class Case:
    """A checkpoint and the words on which it is tried.

    Attributes:
        name: short.
        exercises: what it is there for.
        words: token ids, shape (rows, time).
        write: writes the checkpoint into a directory.
        expect: from token ids (batch, time) to what is owed.
        columns: for each logit column that can tell, where it comes from.
        dimensions: the same for dimensions of the residual stream; several channels may write one.
        symbols: what each token id is.
        token_meanings: for some tokens, what they make the model do.
        modes: the modes it is tried in; None: all.
        splits: lengths of the prefill; None: the usual ones.
        d_conv: taps.
        answers: what the numbers owed are called.
    """

    answers: ClassVar[str] = "logits"

    name: str
    exercises: str
    words: Ints
    write: Callable[[Path], object]
    expect: Callable[[Ints], Expected]
    columns: Mapping[int, tuple[Source, ...]]
    dimensions: Mapping[int, tuple[Source, ...]]
    symbols: tuple[str, ...]
    token_meanings: Mapping[str, str] = field(default_factory=dict)
    modes: tuple[str, ...] | None = None
    splits: tuple[int, ...] | None = None
    d_conv: int = 2
    n_blocks: int = 1
