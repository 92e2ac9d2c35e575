"""Words that permute states with a period that is no power of two: what real gates in [-1, 1] cannot follow."""

from __future__ import annotations

from collections.abc import Sequence

from ..budget import Meter
from ..dfa import Dfa
from ..groups.permutation_group import prime_factors
from ..groups.stabiliser_chain import Perm, product
from ..images import letter_columns
from .aperiodic import SHORT_WORDS, SHORT_WORDS_ENTRIES, Permutation, Witness, witness_of
from .permutations import SHORTENING, Columns, Letters, Loop, cycle_of, shortest_of, try_short_words
from .permutators import Permutator

PRODUCTS_PER_LOOK = 64
"""How many products are formed between two looks at the clock."""


def odd_witness(dfa: Dfa, found: Permutator, clock: Meter) -> Witness:
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
    _, loop = try_short_words(columns, n_states, min(SHORT_WORDS, SHORT_WORDS_ENTRIES // n_states), _odd_state)
    if loop is not None:
        return loop
    letters = _odd_product(permutator, meter)
    loops = (Loop(letters, q) for q in permutator.states)
    return _shorter(columns, next(loop for loop in loops if has_odd_prime(len(cycle_of(columns, loop)))))


def has_odd_prime(number: int) -> bool:
    """Whether a positive number is no power of two."""
    return number & (number - 1) != 0


def _odd_state(action: Sequence[int]) -> int | None:
    """A state on a cycle of a map whose length is no power of two, or None. O(n)."""
    seen_from = [-1] * len(action)
    for start in range(len(action)):
        q = start
        while seen_from[q] < 0:
            seen_from[q] = start
            q = action[q]
        if seen_from[q] == start:
            first, length = q, 1
            while (q := action[q]) != first:
                length += 1
            if has_odd_prime(length):
                return first
    return None


def _odd_product(permutator: Permutator, meter: Meter) -> Letters:
    """The first product of generators, by their number, whose order is no power of two."""
    generators = tuple(zip(permutator.group.generators, permutator.words, strict=True))
    queue: list[tuple[Perm, Letters]] = [(tuple(range(permutator.group.degree)), ())]
    seen = {queue[0][0]}
    for number, (element, word) in enumerate(queue):
        if number % PRODUCTS_PER_LOOK == 0:
            meter.check_time()
        for generator, letters in generators:
            after = product(element, generator)
            if after not in seen:
                if _odd_state(after) is not None:
                    return (*word, *letters)
                seen.add(after)
                queue.append((after, (*word, *letters)))
    raise AssertionError("a group of words has no element of odd order; please report this")


def _shorter(columns: Columns, loop: Loop) -> Loop:
    """The shortest of ``loop`` and the loops found by permuting r states of its cycle, for odd primes r."""
    cycle = cycle_of(columns, loop)
    primes = sorted({p for p in prime_factors(len(cycle)) if p > 2})
    return shortest_of(columns, loop, (tuple(cycle[:: len(cycle) // r]) for r in primes), SHORTENING, _odd_state)
