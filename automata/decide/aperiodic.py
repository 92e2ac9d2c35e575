"""Star-free or not, with a witness, and without enumerating the transition monoid.

A regular language is star-free iff no word permutes states of its minimal DFA non-trivially (Schützenberger 1965,
McNaughton and Papert 1971). Deciding that is PSPACE-complete (Cho and Huynh 1991), hence the budgets.

The search, from cheap to dear:

1. *Short words.* The first thousand elements of the monoid, by length of word: most witnesses turn up here, and
   then the word is a shortest one.
2. *Pairs.* The states of a permuted cycle lie in one strongly connected component C, so each component is searched
   alone, letters that leave it being undefined. If w has a cycle of length 2m then w^m swaps two states; so every
   even period shows as a class of mutually reachable pairs that a loop turns over. And if w has any cycle, then the
   pairs of neighbours on it are in one such class; where no class has pairs in a circle, nothing is permuted, as in a
   cascade of set-reset automata, or where letters preserve an order. O(k n^2).
3. *Image sets.* If w permutes q_0, ..., q_(p-1) then for large N the image P of C under w^N contains them and P.w = P.
   Hence it is enough to know, for every class of mutually reachable image sets of C, that all loops act as the
   identity. Give a root of the class the identity labelling, carry it along a spanning tree, and compare along every
   edge of the class: O(k n) per image set. An edge that disagrees closes two loops at the root with different
   actions, and one of them is a non-trivial permutation.
4. *Subsets of r states*, r prime, when there are too many image sets: the same comparison on all sets of r states
   finds every period divisible by r. Done for every odd prime r <= |C|, it decides as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from ..alphabet import shown_cycle, shown_word
from ..budget import DEFAULT_BUDGET, Budget
from ..deterministic import Deterministic
from ..errors import BudgetExceededError, ScancraftError
from ..images import letter_columns
from ..languages import as_automaton
from ..search import shortest
from ..semiautomaton import Semiautomaton
from .locality import definite_window
from .permutations import Letters, Loop, components, try_short_words

SHORT_WORDS = 1_000
"""How many monoid elements step 1 looks at, as long as they have together ..."""

SHORT_WORDS_ENTRIES = 2_000_000
"""... at most this many entries."""


# -- semiautomata --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Permutation:
    """A word that permutes states: ``states[i] . word == states[(i + 1) % period]``, all distinct, period >= 2."""

    word: tuple[str, ...]
    states: tuple[int, ...]

    @property
    def period(self) -> int:
        """The number of states that the word moves round."""
        return len(self.states)

    def check(self, semiautomaton: Semiautomaton) -> bool:
        """Replay: whether the word does to the states what this value says. O(period * |word|)."""
        return (
            self.period >= 2
            and len(set(self.states)) == self.period
            and all(0 <= q < semiautomaton.n_states for q in self.states)
            and set(self.word) <= set(semiautomaton.alphabet)
            and all(semiautomaton.run(p, self.word) == q for p, q in pairwise((*self.states, self.states[0])))
        )


def find_permutation(
    semiautomaton: Semiautomaton, budget: Budget = DEFAULT_BUDGET, *, short_words: int = SHORT_WORDS
) -> Permutation | None:
    """A word that permutes some states non-trivially, or None if there is none (the semiautomaton is aperiodic).

    The word is a shortest one if step 1 of the module's search finds it, and otherwise shortened as far as is cheap.

    Args:
        semiautomaton: any complete semiautomaton; states need not be reachable or distinguishable.
        budget: how many image sets, pairs of states, and subsets of each other size may be created per strongly
            connected component. Time is counted over the whole search.
        short_words: how many monoid elements to look at first; 0 for none.

    Raises:
        BudgetExceededError: too many image sets (or too much time) and no witness found otherwise.

    Cost: O(k * n * (n + image sets)) for n states and k letters; there can be 2^n image sets.

    >>> find_permutation(Semiautomaton(("0", "1"), ((0, 1), (1, 0))))
    Permutation(word=('1',), states=(0, 1))
    """
    clock = budget.meter("image sets")  # never ticked itself: its copies share the time it started
    columns = letter_columns(semiautomaton)
    short_words = min(short_words, SHORT_WORDS_ENTRIES // semiautomaton.n_states)
    if short_words > 0:
        complete, loop = try_short_words(columns, semiautomaton.n_states, short_words, clock)
        if loop is not None:
            return _replayed(semiautomaton, loop)
        if complete:
            return None
    unsettled = []
    for part in components(semiautomaton):
        pairs, loop = part.subsets(2), None
        if pairs > budget.items:
            unsettled.append((part, 2))
            continue
        try:
            # Few image sets decide faster than many pairs: Dyck languages as DFAs, for one.
            loop = part.permuted_image(replace(clock, budget=replace(budget, items=pairs // 10)), 2)
        except BudgetExceededError:
            if part.turns_nothing():
                continue
            loop = part.permuted_subset(2, replace(clock, what="pairs of states"))
            # From here on no loop has an even period, so only three or more states can be permuted.
            unsettled.append((part, 3))
        if loop is not None:
            return _replayed(semiautomaton, loop)
    undecided: BudgetExceededError | None = None
    for part, smallest in unsettled:
        try:
            loop = part.permuted_image(replace(clock), smallest)
        except BudgetExceededError as error:
            complete, loop = part.permuted_odd_subset(clock) if smallest == 3 else (False, None)
            if not complete and undecided is None:
                undecided = error
        if loop is not None:
            return _replayed(semiautomaton, loop)
    if undecided is not None:
        raise undecided
    return None


def _replayed(semiautomaton: Semiautomaton, loop: Loop) -> Permutation:
    """The witness that a loop stands for, built by running it.

    A word v^j that moves a state round a cycle may be cut to v, which then moves it round a cycle as well.
    """
    word = tuple(semiautomaton.alphabet[a] for a in primitive_root(loop.letters))
    states = [loop.state]
    while (q := semiautomaton.run(states[-1], word)) not in states:
        states.append(q)
    permutation = Permutation(word, tuple(states))
    if not permutation.check(semiautomaton):
        raise AssertionError(f"the search returned {loop}, which permutes nothing; please report this")
    return permutation


def primitive_root(letters: Letters) -> Letters:
    """The shortest v with letters = v^j."""
    n = len(letters)
    return next(letters[:d] for d in range(1, n + 1) if n % d == 0 and letters[:d] * (n // d) == letters)


@dataclass(frozen=True)
class Witness:
    """Why a language is not star-free.

    Args:
        word: permutes ``states`` in their order, the last to the first.
        states: numbers of at least two distinct states of the minimal DFA.
        names: their names.
        access: a shortest word from the initial state to ``states[0]``; no other of the states is nearer.
        distinguish: a shortest word that is accepted from exactly one of ``states[0]`` and ``states[1]``; of a machine
            with outputs, one that has different classes from there.
    """

    word: tuple[str, ...]
    states: tuple[int, ...]
    names: tuple[str, ...]
    access: tuple[str, ...]
    distinguish: tuple[str, ...]

    @property
    def period(self) -> int:
        """How many times the word is read until a state returns."""
        return len(self.states)

    def check(self, dfa: Deterministic) -> bool:
        """Replay everything this value claims on a language. O((period + 1) * |word| + |access| + ...)."""
        return (
            Permutation(self.word, self.states).check(dfa.semiautomaton)
            and {*self.access, *self.distinguish} <= set(dfa.alphabet)
            and self.names == tuple(dfa.names[q] for q in self.states)
            and dfa.run(self.access) == self.states[0]
            and dfa.answer(dfa.run((*self.access, *self.distinguish)))
            != dfa.answer(dfa.run((*self.access, *self.word, *self.distinguish)))
        )


class NotStarFreeError(ScancraftError):
    """A language is not star-free, so no Mamba models it; carries the :class:`Witness`."""

    def __init__(self, witness: Witness, alphabet: Sequence[str]) -> None:
        super().__init__(witness, alphabet)  # both, so that the error survives pickling
        self.witness, self.alphabet = witness, tuple(alphabet)

    def __str__(self) -> str:
        witness = self.witness
        return (
            f"the language is not star-free: {shown_cycle(witness.word, witness.names, self.alphabet)} (the first is "
            f"reached by {shown_word(witness.access, self.alphabet)}); Theorem 4 of Sarrof, Veitsman and Hahn (NeurIPS "
            "2024) makes it impossible for Mamba: a NONNEGATIVE SSM at finite precision predictively models a regular "
            "language iff it is star-free. Give a star-free language instead"
        )

    def as_json(self) -> dict[str, object]:
        """The witness in full, under the keys that the command line documents."""
        return {
            "error": "not star-free",
            "message": str(self),
            "word": list(self.witness.word),
            "states": list(self.witness.names),
            "period": self.witness.period,
            "access": list(self.witness.access),
        }


def star_free_witness(language: Any, budget: Budget = DEFAULT_BUDGET) -> Witness | None:
    """Why the language is not star-free, or None if it is star-free. Cost as for :func:`find_permutation`.

    Args:
        language: whatever :func:`~..languages.as_dfa` reads, or a machine with outputs.
        budget: see :func:`find_permutation`.

    Raises:
        NotRegularError: a counter language.
        BudgetExceededError: undecided within the budget.

    >>> from scancraft import Dfa
    >>> witness = star_free_witness(Dfa.from_table(("0", "1"), [[0, 1], [1, 0]], 0, [0]))
    >>> witness.word, witness.states, witness.access, witness.distinguish
    (('1',), (0, 1), (), ())
    """
    dfa = as_automaton(language, budget).distinct  # letters that act alike are looked at once
    if definite_window(dfa) is not None:
        return None  # a word that permuted states would, repeated, lead them all to one
    permutation = find_permutation(dfa.semiautomaton, budget)
    return None if permutation is None else witness_of(dfa, permutation)


def witness_of(dfa: Deterministic, permutation: Permutation) -> Witness:
    """A permutation of states of a minimal DFA, with how to get to them and how to tell two of them apart. O(k n^2)."""
    access = dfa.path(0, set(permutation.states).__contains__)
    if access is None:
        raise AssertionError("a state of a minimal DFA is not reachable; please report this")
    turn = permutation.states.index(dfa.run(access))
    states = permutation.states[turn:] + permutation.states[:turn]
    names = tuple(dfa.names[q] for q in states)
    return Witness(permutation.word, states, names, access, _distinguish(dfa, states[0], states[1]))


def require_star_free(dfa: Deterministic, budget: Budget = DEFAULT_BUDGET) -> None:
    """Do nothing if the language is star-free. Cost as for :func:`find_permutation`.

    Raises:
        NotStarFreeError: it is not; the error carries the witness.
        BudgetExceededError: undecided within the budget.
    """
    witness = star_free_witness(dfa, budget)
    if witness is not None:
        raise NotStarFreeError(witness, dfa.alphabet)


def _distinguish(dfa: Deterministic, p: int, q: int) -> tuple[str, ...]:
    """A shortest word after which two different states of a minimal automaton answer differently. O(k * n^2)."""
    table = dfa.table

    def moves(pair: tuple[int, int]) -> Iterable[tuple[str, tuple[int, int]]]:
        return zip(dfa.alphabet, zip(table[pair[0]], table[pair[1]], strict=True), strict=True)

    word = shortest((p, q), moves, lambda pair: dfa.answer(pair[0]) != dfa.answer(pair[1]))
    if word is None:
        raise AssertionError("two states of a minimal DFA are equivalent; please report this")
    return word
