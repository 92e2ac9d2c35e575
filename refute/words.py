"""Words that a model without negative gates cannot follow: x w^n y, for a language that is not star-free."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..automata.alphabet import EOS
from ..automata.decide.aperiodic import Witness
from ..automata.dfa import Dfa
from ..models.readout import Readout

Observed = Literal["accepts", "allowed"]
"""What of a model's answer is compared: whether the word may end, or all tokens that may come next."""

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


class Judge:
    """The right answers of a language, as far as a readout sees and its contract covers them."""

    def __init__(self, dfa: Dfa, readout: Readout) -> None:
        self.dfa, self.readout = dfa, readout

    def allowed(self, state: int) -> frozenset[str]:
        """The tokens of the readout that may come next in a state, ``<eos>`` included."""
        symbols = self.dfa.next_symbols(state) if self.readout.next_index else frozenset[str]()
        ends = self.readout.accept is not None and state in self.dfa.accepting
        return symbols | ({EOS} if ends else frozenset())

    def answer(self, state: int, observed: Observed) -> frozenset[str] | None:
        """The right answer in a state; None if the contract does not cover it."""
        if self.readout.contract == "live-prefixes" and state not in self.dfa.live:
            return None
        return visible(self.allowed(state), observed)

    def telling(self, states: Sequence[int]) -> tuple[tuple[str, ...], Observed] | None:
        """A short y after which the answers in two of these states differ, and what has to be looked at.

        Acceptance is tried first. A shortest y is found for the first two states, else for other neighbours.
        """
        kinds: list[Observed] = [] if self.readout.accept is None else ["accepts"]
        for observed in [*kinds, "allowed"] if self.readout.next_index else kinds:
            for pair in zip(states, (*states[1:], states[0]), strict=True):
                y = self._distinguish(pair, lambda p, q, o=observed: self._differ(p, q, o))  # type: ignore[misc]
                if y is not None:
                    return y, observed
        return None

    def _differ(self, p: int, q: int, observed: Observed) -> bool:
        first, second = self.answer(p, observed), self.answer(q, observed)
        return first is not None and second is not None and first != second

    def _distinguish(self, pair: tuple[int, int], differ: Callable[[int, int], bool]) -> tuple[str, ...] | None:
        """A shortest word after which two states differ, or None. O(letters * states^2)."""
        table, alphabet = self.dfa.semiautomaton.table, self.dfa.alphabet
        came: dict[tuple[int, int], tuple[tuple[int, int], str] | None] = {pair: None}
        queue = [pair]
        for p, q in queue:
            if differ(p, q):
                word: list[str] = []
                step = came[p, q]
                while step is not None:
                    word.append(step[1])
                    step = came[step[0]]
                return tuple(reversed(word))
            for symbol, p2, q2 in zip(alphabet, table[p], table[q], strict=True):
                if p2 != q2 and (p2, q2) not in came:
                    came[p2, q2] = ((p, q), symbol)
                    queue.append((p2, q2))
        return None


def visible(allowed: frozenset[str], observed: Observed) -> frozenset[str]:
    """What is compared of the tokens that may come next."""
    return allowed & {EOS} if observed == "accepts" else allowed


def questions(dfa: Dfa, witness: Witness, readout: Readout) -> Iterator[Question]:
    """That of the witness, then others, by length of w; no two w are rotations of one another, none is a power.

    O(words examined * states), and O(letters * states^2) for each question.
    """
    return islice(_all_questions(dfa, witness, Judge(dfa, readout)), CANDIDATES)


def _all_questions(dfa: Dfa, witness: Witness, judge: Judge) -> Iterator[Question]:
    seen: set[tuple[str, ...]] = set()
    for w, cycle in _permuting(dfa, witness):
        turned = min(w[i:] + w[:i] for i in range(len(w)))
        if turned not in seen and (question := _ask(judge, w, cycle)) is not None:
            seen.add(turned)
            yield question


def _permuting(dfa: Dfa, witness: Witness) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
    """Words and cycles of states that they move round."""
    yield witness.word, witness.states
    table: NDArray[np.int64] = np.array(dfa.semiautomaton.table, dtype=np.int64)
    left = min(EXAMINED, EXAMINED_STATES // dfa.n_states)
    maps: list[tuple[tuple[int, ...], NDArray[np.int64]]] = [((), np.arange(dfa.n_states))]
    while maps:
        longer = []
        for (word, image), letter in product(maps, range(len(dfa.alphabet))):
            left -= 1
            if left < 0:
                return
            after = table[image, letter]
            if len(np.unique(after)) > 1:  # a reset permutes nothing, and no longer word does
                longer.append(((*word, letter), after))
                if _is_primitive((*word, letter)):
                    symbols = tuple(dfa.alphabet[a] for a in (*word, letter))
                    for cycle in _cycles(after)[:1]:
                        yield symbols, cycle
        maps = longer


def _is_primitive(word: tuple[int, ...]) -> bool:
    """Whether a word is no power of a shorter one."""
    n = len(word)
    return not any(n % d == 0 and word[:d] * (n // d) == word for d in range(1, n))


def _cycles(image: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """The cycles of two or more states."""
    targets: list[int] = image.tolist()
    colour = [0] * len(targets)
    found = []
    for start in range(len(targets)):
        path, q = [], start
        while colour[q] == 0:
            colour[q] = start + 1
            path.append(q)
            q = targets[q]
        if colour[q] == start + 1 and q in path and len(cycle := path[path.index(q) :]) > 1:
            found.append(tuple(cycle))
    return found


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
    told = judge.telling(states)
    if told is None:
        return None
    y, observed = told
    after = [dfa.semiautomaton.run(q, y) for q in states]
    return Question(x, w, y, states, observed, tuple(judge.answer(q, observed) for q in after))
