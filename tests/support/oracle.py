"""What languages and models say of words, by plain code: the ground truth of many tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import torch

from scancraft.automata.dfa import Dfa
from scancraft.models.readout import Readout

EOS = "<eos>"


def all_words(alphabet: Sequence[str], longest: int) -> Iterator[tuple[str, ...]]:
    """Every word up to a length, shortest first."""
    for length in range(longest + 1):
        yield from product(alphabet, repeat=length)


def few_words(alphabet: Sequence[str], most: int) -> list[tuple[str, ...]]:
    """All words up to the greatest length, at most 8, at which there are at most so many."""
    length = 0
    while length < 8 and sum(len(alphabet) ** n for n in range(length + 2)) <= most:
        length += 1
    return list(all_words(alphabet, length))


def states_along(dfa: Dfa, word: Sequence[str]) -> list[int]:
    """The state before each symbol and at the end, by walking the table."""
    states = [dfa.initial]
    for symbol in word:
        states.append(dfa.semiautomaton.table[states[-1]][dfa.alphabet.index(symbol)])
    return states


def may_follow(dfa: Dfa, state: int) -> set[str]:
    """The tokens that may come next: those after which acceptance can be reached, by forward search."""
    follow = {EOS} if state in dfa.accepting else set()
    for symbol, target in zip(dfa.alphabet, dfa.semiautomaton.table[state], strict=True):
        reached = [target]
        for q in reached:
            reached += [r for r in dict.fromkeys(dfa.semiautomaton.table[q]) if r not in reached]
        if not dfa.accepting.isdisjoint(reached):
            follow.add(symbol)
    return follow


def right(dfa: Dfa, readout: Readout, word: Sequence[str]) -> set[str]:
    """What the language allows after a word, of the tokens that a readout speaks of."""
    spoken = {*readout.next_index, *(() if readout.accept is None else (EOS,))}
    return may_follow(dfa, states_along(dfa, word)[-1]) & spoken


@torch.no_grad()
def last_scores(model: Any, readout: Readout, word: Sequence[str]) -> torch.Tensor:
    """What the model itself says after a word, in one pass."""
    scores: torch.Tensor = model(torch.tensor([readout.encode(word)])).logits[0, -1].float()
    return scores


def positive(scores: Any, readout: Readout) -> set[str]:
    """The tokens that scores after one prefix allow."""
    found = {s for s, column in readout.next_index.items() if scores[column] > readout.threshold}
    ends = readout.accept is not None and bool(scores[readout.accept] > readout.threshold)
    return found | ({EOS} if ends else set())


def said(model: Any, readout: Readout, word: Sequence[str]) -> set[str]:
    """The tokens that the model allows after a word."""
    return positive(last_scores(model, readout, word), readout)
