"""Random machines with outputs for hypothesis, and a runner of them that reads nothing but their JSON."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from hypothesis import strategies as st

from scancraft import Moore


@st.composite
def moores(draw: st.DrawFn, *, states: int = 5, symbols: str = "abc", predicts: bool | None = False) -> Moore:
    """A machine with up to so many states over some of the symbols, with two to four classes."""
    n, k = draw(st.integers(1, states)), draw(st.integers(1, len(symbols)))
    number = st.integers(0, n - 1)
    table = draw(st.lists(st.lists(number, min_size=k, max_size=k), min_size=n, max_size=n))
    classes = [str(c) for c in range(draw(st.integers(2, 4)))]
    outputs = draw(st.lists(st.sampled_from(classes), min_size=n, max_size=n))
    asked = draw(st.booleans()) if predicts is None else predicts
    accepting = draw(st.sets(number)) if asked else None
    return Moore.from_table(symbols[:k], table, outputs, draw(number), accepting, classes=classes)


def said(content: dict[str, Any], word: tuple[str, ...]) -> str:
    """The class of a word, by the machine's JSON alone."""
    state = content["initial"]
    for symbol in word:
        state = content["transitions"][state][symbol]
    return str(content["outputs"][state])


def all_words(alphabet: tuple[str, ...], longest: int) -> Iterator[tuple[str, ...]]:
    """All words up to a length."""
    for length in range(longest + 1):
        yield from product(alphabet, repeat=length)
