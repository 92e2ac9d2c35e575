"""Past formulas, method "subformula by subformula": every memory holds one subformula, and every number follows.

The claim is about all words, so about all that letters and memories can be at once, now and some steps ago: far too
much to list. But each number in the model depends on few of them (``variables``), and is a diagram.

By induction over the blocks, and inside a block over time: if each coordinate of the stream that comes in is its
diagram at every step, then so is everything that the block computes, each entry of its recurrent state included; for an
entry that remembers, what it does at a step is compared with the recursion of the subformula that it holds
(``recalled``). After the last block, the score of ``<eos>`` is compared with the formula.

Values of the variables that no word leads to are compared as well, unless that fails; then those are left out that
contradict what is known of the variables (:meth:`.Past.impossible`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .arithmetic import Obligations
from .closure import agree
from .formulas import Formula, sampled
from .machine import Machine
from .parts import Floats, Ints, array, need
from .recalled import Blocks, Memory
from .variables import FARTHEST, Past

WORDS, LENGTH = 8, 12
"""How many words, of which length, the model's own steps are compared on."""
FRAMES = 1000
"""Calls inside each other per memory: for each step back one of a few."""


class Found(NamedTuple):
    """What is proved: the memories, the smallest |score|, and how many scores there are."""

    memories: list[Memory]
    margin: float
    scores: int


def check_formula(o: Obligations, machine: Machine, formula: Formula, tokens: list[int], column: int) -> Found:
    """The score of a column is positive after every prefix of every word iff the formula holds there.

    Args:
        o: verifies.
        machine: the model.
        formula: the language.
        tokens: of each letter, then ``<bos>``.
        column: the score that says whether the word may end.
    """
    embedded = machine.embed(tokens).astype(np.float64)
    with _deep(sum(node.operator == "S" for node in formula.nodes)):
        past = Past(formula, _classes(formula, embedded))
        return _checked(o, machine, past, tokens, embedded, column)


def _classes(formula: Formula, embedded: Floats) -> Ints:
    """A number for each letter; letters with equal numbers have equal embeddings and are in the same sets."""
    known: dict[tuple[bytes, bytes], int] = {}
    sets = [np.isin(np.arange(len(embedded) - 1), node.letters) for node in formula.nodes if node.operator == "letters"]
    member = np.array(sets).T if sets else np.zeros((len(embedded) - 1, 0), dtype=bool)
    found = [
        known.setdefault((row.tobytes(), mine.tobytes()), len(known))
        for row, mine in zip(embedded[:-1] + 0.0, member, strict=True)
    ]
    return np.array(found, dtype=np.int64)


@contextmanager
def _deep(memories: int) -> Iterator[None]:
    """Diagrams are as deep as there are variables; functions that visit them call themselves as often."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(before + FRAMES * (memories + 1))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _checked(o: Obligations, machine: Machine, past: Past, tokens: list[int], embedded: Floats, column: int) -> Found:
    d, model = past.d, machine.model
    shown = np.append([int(np.argmax(past.classes == k)) for k in range(past.bos)], len(tokens) - 1)
    blocks = Blocks(o, machine, past)
    streams = [[past.letter(row) for row in embedded[shown].T]]
    for number in range(len(machine.blocks)):
        streams.append(blocks.step(number, streams[-1]))
    inside, around = blocks.normed(model.backbone.norm_f, streams[-1], "norm_f")
    o.linear(model.lm_head.weight, o.norm(model.backbone.norm_f, around, "norm_f"), "lm_head")
    score = d.total(array(model.lm_head.weight)[column], inside)
    right = past.equal(d.map(score, lambda v: float(v > 0)), past.truth[-1])
    need(right, "read-out: the score of <eos> is not positive just where the formula holds")
    values = d.values(score)
    _compare(machine, past, tokens, [*streams, [score]], column)
    return Found(blocks.memories, float(np.abs(values).min()), len(values))


def _compare(machine: Machine, past: Past, tokens: list[int], streams: list[list[int]], column: int) -> None:
    """The model's own steps on some words give what the diagrams say; nothing rests on it but trust in the formulas."""
    letters = len(tokens) - 1
    words = sampled(letters, WORDS, LENGTH)
    held = past.formula.after(words)
    states: list[Any] = [None] * len(machine.blocks)

    def value_of(level: int, word: int, t: int) -> int:
        k, ago = divmod(level, FARTHEST)
        if ago > t:
            return 0 if k else past.none
        if k:
            return int(held[word, t - ago, past.remembered[k - 1].node])
        return past.bos if ago == t else int(past.classes[words[word, t - ago - 1]])

    def says(functions: list[int], t: int) -> Floats:
        return np.array([[past.d.at(f, partial(value_of, word=w, t=t)) for f in functions] for w in range(WORDS)])

    for t in range(words.shape[1] + 1):
        vectors = machine.embed([tokens[a] for a in (words[:, t - 1].tolist() if t else [letters] * WORDS)])
        for number, stream in enumerate(streams[:-2]):
            agree(vectors == says(stream, t), f"block {number}: exact arithmetic gives other vectors")
            vectors, states[number] = machine.step(number, number + 1, vectors, states[number])
        agree(vectors == says(streams[-2], t), "norm_f: exact arithmetic gives other vectors")
        agree(machine.logits(vectors)[:, column] == says(streams[-1], t)[:, 0], "read-out: exact arithmetic differs")
