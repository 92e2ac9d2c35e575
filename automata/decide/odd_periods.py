"""Words that permute states with a period that is no power of two: what real gates in [-1, 1] cannot follow."""

from __future__ import annotations

from functools import partial

from ..budget import Meter
from ..deterministic import Deterministic
from ..images import letter_columns
from .aperiodic import SHORT_WORDS, SHORT_WORDS_ENTRIES, Permutation, Witness, witness_of
from .permutations import Columns, Letters, Loop, cycle_of, moved_state, shorter, try_short_words
from .permutators import Permutator


def odd_witness(dfa: Deterministic, found: Permutator, clock: Meter) -> Witness:
    """A word that permutes states with a period that has an odd prime divisor.

    Args:
        dfa: a language.
        found: one of the groups of its minimal DFA, not a 2-group.
        clock: its time is watched.

    Raises:
        BudgetExceededError: out of time.

    Cost: as for :func:`odd_loop`, and O(k n^2) for a word that tells two of the states apart.
    """
    columns = letter_columns(dfa.semiautomaton)
    loop = odd_loop(columns, found, clock)
    word = tuple(dfa.alphabet[a] for a in loop.letters)
    witness = witness_of(dfa, Permutation(word, tuple(cycle_of(columns, loop))))
    if not (has_odd_prime(witness.period) and witness.check(dfa)):
        raise AssertionError(f"the search returned {loop}, which has no odd period; please report this")
    return witness


def odd_loop(columns: Columns, permutator: Permutator, meter: Meter) -> Loop:
    """Letters that move a state round a cycle whose length has an odd prime divisor.

    The first elements of the monoid are looked at, by length of word; if none does it, the shortest product of the
    group's generators that does it is taken and shortened by a search of at most :data:`SHORTENING` tuples of states.

    Args:
        columns: the letters of a complete semiautomaton: one sequence of targets each.
        permutator: one of its groups, not a 2-group. By Cauchy's theorem it has an element of odd prime order.
        meter: its time is watched.

    Raises:
        BudgetExceededError: out of time.

    Cost: O(n) for each of the elements, products and tuples; as many products as the group has elements at worst.
    """
    n_states = len(columns[0])
    _, loop = try_short_words(columns, n_states, min(SHORT_WORDS, SHORT_WORDS_ENTRIES // n_states), meter, _odd_state)
    if loop is not None:
        return loop
    letters = _odd_product(permutator, meter)
    loops = (Loop(letters, q) for q in permutator.states)
    loop = next(loop for loop in loops if has_odd_prime(len(cycle_of(columns, loop))))
    return shorter(columns, loop, state_of=_odd_state)


def has_odd_prime(number: int) -> bool:
    """Whether a positive number is no power of two."""
    return number & (number - 1) != 0


_odd_state = partial(moved_state, wanted=has_odd_prime)


def _odd_product(permutator: Permutator, meter: Meter) -> Letters:
    """The first product of generators, by their number, whose order is no power of two."""
    group = permutator.group
    _, found = try_short_words(group.generators, group.degree, group.order, meter, _odd_state)
    if found is None:
        raise AssertionError("a group of words has no element of odd order; please report this")
    return tuple(letter for number in found.letters for letter in permutator.words[number])
