"""Words that a model without negative gates cannot follow: x w^n y, for a language that is not star-free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..automata.alphabet import EOS, class_token
from ..automata.decide.aperiodic import Witness, primitive_root
from ..automata.decide.permutations import Loop, cycle_of, moved_state
from ..automata.deterministic import Deterministic
from ..automata.images import letter_columns
from ..automata.search import shortest
from ..certify.search.prove import Judge

Observed = Literal["accepts", "class", "allowed"]
"""What of a model's answer is compared: whether the word may end, its class, or these and what may come next."""

CANDIDATES = 24
"""How many words w are offered."""

EXAMINED = 5_000
"""How many words are looked at to find them, with ..."""

EXAMINED_STATES = 4_000_000
"""... at most so many states in all."""


@dataclass(frozen=True)
class Question:
    """A family of words x w^n y on which the right answer never settles.

    Attributes:
        x: leads to ``states[0]``.
        w: takes each of ``states`` to the next, and the last to the first; there are at least two.
        y: after x w^n y the right answers are not the same for all n.
        states: of the minimal DFA.
        observed: what is compared there.
        right: the right answer after x w^n y for n = 0, 1, ... up to the period; None where the readout's contract
            promises nothing.
    """

    x: tuple[str, ...]
    w: tuple[str, ...]
    y: tuple[str, ...]
    states: tuple[int, ...]
    observed: Observed
    right: tuple[frozenset[str] | None, ...]

    @property
    def period(self) -> int:
        """After how many readings of w a state returns."""
        return len(self.states)

    def word(self, n: int) -> tuple[str, ...]:
        """x w^n y."""
        return self.x + self.w * n + self.y


def right_answer(judge: Judge, state: int, observed: Observed) -> frozenset[str] | None:
    """The right answer in a state, as far as the readout sees; None if its contract does not cover it."""
    if judge.readout.contract == "live-prefixes" and state not in judge.dfa.live:
        return None
    return visible(judge, judge.right[state], observed)


def telling(judge: Judge, states: Sequence[int]) -> tuple[tuple[str, ...], Observed] | None:
    """A short y after which the answers in two of these states differ, and what has to be looked at.

    Acceptance is tried first. A shortest y is found for the first two states, else for other neighbours.
    O(letters * states^2).
    """
    kinds: list[Observed] = [] if judge.readout.accept is None else ["accepts"]
    kinds += ["class"] if judge.readout.classes else []
    kinds += ["allowed"] if judge.readout.next_index else []
    table, alphabet = judge.dfa.table, judge.dfa.alphabet

    def moves(pair: tuple[int, int]) -> Iterator[tuple[str, tuple[int, int]]]:
        for symbol, p, q in zip(alphabet, table[pair[0]], table[pair[1]], strict=True):
            if p != q:
                yield symbol, (p, q)

    for observed, pair in product(kinds, zip(states, (*states[1:], states[0]), strict=True)):

        def differ(pair: tuple[int, int], observed: Observed = observed) -> bool:
            first, second = (right_answer(judge, q, observed) for q in pair)
            return None not in (first, second) and first != second

        if (y := shortest(pair, moves, differ)) is not None:
            return y, observed
    return None


def visible(judge: Judge, allowed: frozenset[str], observed: Observed) -> frozenset[str]:
    """What is compared of the tokens that may come next, and of the class."""
    if observed == "class":
        return allowed & set(map(class_token, judge.readout.classes))
    return allowed & {EOS} if observed == "accepts" else allowed


def questions(judge: Judge, witness: Witness) -> Iterator[Question]:
    """That of the witness, then others, by length of w; no two w are rotations of one another, none is a power.

    O(words examined * states), and O(letters * states^2) for each question.
    """
    return islice(_all_questions(judge, witness), CANDIDATES)


def _all_questions(judge: Judge, witness: Witness) -> Iterator[Question]:
    seen: set[tuple[str, ...]] = set()
    for w, cycle in _permuting(judge.dfa, witness):
        turned = min(w[i:] + w[:i] for i in range(len(w)))
        if turned not in seen and (question := _ask(judge, w, cycle)) is not None:
            seen.add(turned)
            yield question


def _permuting(dfa: Deterministic, witness: Witness) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
    """Words and cycles of states that they move round."""
    yield witness.word, witness.states
    table, columns = dfa.semiautomaton.array, letter_columns(dfa.semiautomaton)
    left = min(EXAMINED, EXAMINED_STATES // dfa.n_states)
    maps: list[tuple[tuple[int, ...], NDArray[np.intp]]] = [((), np.arange(dfa.n_states))]
    while maps:
        longer = []
        for (word, image), letter in product(maps, range(len(dfa.alphabet))):
            left -= 1
            if left < 0:
                return
            after = table[image, letter]
            if len(np.unique(after)) > 1:  # a reset permutes nothing, and no longer word does
                letters = (*word, letter)
                longer.append((letters, after))
                if primitive_root(letters) == letters and (state := moved_state(after.tolist())) is not None:
                    yield tuple(dfa.alphabet[a] for a in letters), tuple(cycle_of(columns, Loop(letters, state)))
        maps = longer


def _ask(judge: Judge, w: tuple[str, ...], cycle: tuple[int, ...]) -> Question | None:
    """A question about a word and the states that it moves round; None if nothing that is promised tells them apart."""
    dfa = judge.dfa
    x = dfa.path(0, set(cycle).__contains__)
    assert x is not None, "a state of a minimal DFA is not reachable; please report this"
    turn = cycle.index(dfa.run(x))
    if judge.readout.bos is None and not x:
        # The model has no state before the first token, so w is read once more.
        x, turn = w, (turn + 1) % len(cycle)
    states = cycle[turn:] + cycle[:turn]
    told = telling(judge, states)
    if told is None:
        return None
    y, observed = told
    after = [dfa.semiautomaton.run(q, y) for q in states]
    return Question(x, w, y, states, observed, tuple(right_answer(judge, q, observed) for q in after))
