"""Words that permute states with a period that is no power of two: what real gates in [-1, 1] cannot follow."""

from __future__ import annotations

from collections.abc import Sequence

from ._permutations import SHORTENING, Columns, Letters, Loop
from ._permutators import Permutator
from ._stabiliser_chain import Perm, product
from .aperiodic import SHORT_WORDS, SHORT_WORDS_ENTRIES, Witness
from .budget import Budget, Meter
from .dfa import Dfa
from .groups import prime_factors
from .images import letter_columns

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
    loop = odd_loop(letter_columns(dfa.semiautomaton), found, clock)
    word = tuple(dfa.alphabet[a] for a in loop.letters)
    states = [loop.state]
    while (q := dfa.semiautomaton.run(states[-1], word)) not in states:
        states.append(q)
    access = dfa.path(0, set(states).__contains__)
    if access is None:
        raise AssertionError("a state of a minimal DFA is not reachable; please report this")
    turn = states.index(dfa.run(access))
    states = states[turn:] + states[:turn]
    first, second = (Dfa(dfa.semiautomaton, q, dfa.accepting) for q in states[:2])
    pairs = Budget(dfa.n_states**2, None)
    distinguish = first.product(second, lambda one, other: one != other, pairs).shortest_word()
    witness = Witness(word, tuple(states), tuple(dfa.names[q] for q in states), access, distinguish)
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
    loop = _short_word(columns)
    if loop is not None:
        return loop
    letters = _odd_product(permutator, meter)
    state = next(q for q in permutator.states if has_odd_prime(len(_cycle(columns, q, letters))))
    return _shorter(columns, Loop(letters, state))


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


def _short_word(columns: Columns) -> Loop | None:
    """The first loop among the elements of the monoid, by length of word."""
    identity = tuple(range(len(columns[0])))
    limit = min(SHORT_WORDS, SHORT_WORDS_ENTRIES // len(identity))
    queue: list[tuple[Perm, Letters]] = [(identity, ())]
    seen = {identity}
    for action, word in queue:
        for a, column in enumerate(columns):
            after = product(action, column)
            if after in seen:
                continue
            state = _odd_state(after)
            if state is not None:
                return Loop((*word, a), state)
            if len(seen) >= limit:
                return None
            seen.add(after)
            queue.append((after, (*word, a)))
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


def _cycle(columns: Columns, state: int, letters: Letters) -> list[int]:
    """The states that come round when the letters are read again and again from a state on a cycle."""
    cycle = [state]
    while True:
        q = cycle[-1]
        for a in letters:
            q = columns[a][q]
        if q == state:
            return cycle
        cycle.append(q)


def _shorter(columns: Columns, loop: Loop) -> Loop:
    """The shortest of ``loop`` and the loops found by permuting r states of its cycle, for odd primes r."""
    cycle = _cycle(columns, loop.state, loop.letters)
    allowance = SHORTENING
    for r in sorted({p for p in prime_factors(len(cycle)) if p > 2}):
        visited, found = _shortest(columns, tuple(cycle[:: len(cycle) // r]), len(loop.letters) - 1, allowance)
        loop = found or loop
        allowance -= visited
        if allowance <= 0:
            break
    return loop


def _shortest(columns: Columns, start: tuple[int, ...], longest: int, allowance: int) -> tuple[int, Loop | None]:
    """(Tuples visited, a shortest loop that permutes the states of ``start`` so, if one is in reach)."""
    place = {q: i for i, q in enumerate(start)}
    seen = {start}
    layer: list[tuple[tuple[int, ...], Letters]] = [(start, ())]
    for _ in range(longest):
        onward = []
        for states, letters in layer:
            for a, column in enumerate(columns):
                image = product(states, column)
                if image in seen or len(set(image)) < len(start):
                    continue
                if place.keys() == set(image):
                    state = _odd_state([place[q] for q in image])
                    if state is not None:
                        return len(seen), Loop((*letters, a), start[state])
                if len(seen) >= allowance:
                    return len(seen), None
                seen.add(image)
                onward.append((image, (*letters, a)))
        layer = onward
    return len(seen), None
