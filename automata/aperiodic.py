"""Star-free or not, with a witness, and without enumerating the transition monoid.

A regular language is star-free iff no word permutes states of its minimal DFA non-trivially (Schützenberger 1965,
McNaughton and Papert 1971). Deciding that is PSPACE-complete (Cho and Huynh 1991), hence the budgets.

The search, from cheap to dear:

1. *Short words.* The first thousand elements of the monoid, by length of word: most witnesses turn up here, and
   then the word is a shortest one.
2. *Pairs.* The states of a permuted cycle lie in one strongly connected component C, so each component is searched
   alone, letters that leave it being undefined. If w has a cycle of length 2m then w^m swaps two states; so every
   even period shows as a class of mutually reachable pairs that a loop turns over. O(k n^2).
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
from functools import cached_property
from itertools import combinations, pairwise
from math import comb
from operator import itemgetter

from .alphabet import format_word, is_spaced
from .budget import DEFAULT_BUDGET, Budget, Meter
from .dfa import Dfa
from .errors import BudgetExceededError, ScancraftError
from .images import ImageGraph, explore, letter_columns, members, strong_components
from .semiautomaton import Semiautomaton

SHORT_WORDS = 1_000
"""How many monoid elements step 1 looks at, as long as they have together ..."""

SHORT_WORDS_ENTRIES = 2_000_000
"""... at most this many entries."""

SHORTENING = 50_000
"""How many tuples of states may be visited in looking for a shorter witness."""

Letters = tuple[int, ...]
Columns = Sequence[Sequence[int]]


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
        complete, loop = _try_short_words(columns, semiautomaton.n_states, short_words)
        if loop is not None:
            return _replayed(semiautomaton, loop)
        if complete:
            return None
    unsettled = []
    for part in _parts(semiautomaton):
        pairs, loop = part.subsets(2), None
        if pairs > budget.items:
            unsettled.append((part, 2))
            continue
        try:
            # Few image sets decide faster than many pairs: Dyck languages as DFAs, for one.
            loop = part.permuted_image(replace(clock, budget=replace(budget, items=pairs // 10)), 2)
        except BudgetExceededError:
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


@dataclass(frozen=True)
class _Loop:
    """Letters that move ``state`` round a cycle of length >= 2."""

    letters: Letters
    state: int


@dataclass(frozen=True)
class _Part:
    """A strongly connected component with its own numbering; letters that leave it are undefined (-1)."""

    states: tuple[int, ...]
    columns: tuple[tuple[int, ...], ...]

    def subsets(self, size: int) -> int:
        """How many subsets of ``size`` states there are."""
        return comb(len(self.states), size)

    def permuted_subset(self, size: int, meter: Meter) -> _Loop | None:
        """A loop that permutes some set of ``size`` states; decides whether there is one."""
        masks = (sum(1 << q for q in chosen) for chosen in combinations(range(len(self.states)), size))
        return self._permuted(explore(self.columns, masks, meter, size), meter)

    def permuted_image(self, meter: Meter, smallest: int) -> _Loop | None:
        """A loop that permutes some image set of at least ``smallest`` states; decides whether there is one."""
        everything = (1 << len(self.states)) - 1
        return self._permuted(explore(self.columns, [everything], meter, smallest), meter)

    def permuted_odd_subset(self, clock: Meter) -> tuple[bool, _Loop | None]:
        """Step 4 for the odd primes whose subsets fit the budget: (whether that was all of them, a loop)."""
        complete = True
        for r in _odd_primes(len(self.states)):
            if self.subsets(r) > clock.budget.items:
                complete = False
                continue
            try:
                loop = self.permuted_subset(r, replace(clock, what=f"subsets of {r} states"))
            except BudgetExceededError:  # out of time
                return False, None
            if loop is not None:
                return True, loop
        return complete, None

    def _permuted(self, graph: ImageGraph, meter: Meter) -> _Loop | None:
        """The shortest loop found in the graph's first class that has one, in the automaton's numbering."""
        found = _disagreement(graph, self.columns, meter)
        if found is None:
            return None
        loop = _shorter(self.columns, *found)
        return _Loop(loop.letters, self.states[loop.state])


def _parts(semiautomaton: Semiautomaton) -> list[_Part]:
    """The components of at least two states, small ones first. O(k * n)."""
    component = strong_components(semiautomaton.table)
    groups: dict[int, list[int]] = {}
    for q, c in enumerate(component):
        groups.setdefault(c, []).append(q)
    parts = []
    for states in sorted((g for g in groups.values() if len(g) > 1), key=len):
        local = {q: i for i, q in enumerate(states)}
        columns = (tuple(local.get(c[q], -1) for q in states) for c in letter_columns(semiautomaton))
        parts.append(_Part(tuple(states), tuple(columns)))
    return parts


def _odd_primes(limit: int) -> list[int]:
    """The odd primes up to ``limit``, by trial division."""
    primes: list[int] = []
    for n in range(3, limit + 1, 2):
        if all(n % p for p in primes):
            primes.append(n)
    return primes


# -- step 1: short words -------------------------------------------------------------------------------------------


def _try_short_words(columns: Columns, n_states: int, limit: int) -> tuple[bool, _Loop | None]:
    """Look at up to ``limit`` monoid elements by length of word: (whether those were all, a loop). O(n * limit)."""
    identity = tuple(range(n_states))
    queue: list[tuple[tuple[int, ...], Letters]] = [(identity, ())]
    seen = {identity}
    for action, word in queue:
        for a, column in enumerate(columns):
            product = tuple([column[q] for q in action])
            if product in seen:
                continue
            state = _moved_state(product)
            if state is not None:
                return False, _Loop((*word, a), state)
            if len(seen) >= limit:
                return False, None
            seen.add(product)
            queue.append((product, (*word, a)))
    return True, None


def _moved_state(action: Sequence[int]) -> int | None:
    """A state on a cycle of length >= 2 of a map, or None. O(n)."""
    seen_from = [-1] * len(action)
    for start in range(len(action)):
        q = start
        while seen_from[q] < 0:
            seen_from[q] = start
            q = action[q]
        if seen_from[q] == start and action[q] != q:
            return q
    return None


# -- steps 2 to 4: classes of sets ---------------------------------------------------------------------------------


def _disagreement(graph: ImageGraph, columns: Columns, meter: Meter) -> tuple[_Loop, list[int]] | None:
    """A loop that permutes some set of the graph non-trivially, with the masks of its class; None if there is none.

    O(k * n) per set. Sets of one class have one size, since images never grow, and edges of a class are bijections.
    """
    component = strong_components(graph.successor)
    done = [False] * len(graph)
    for root, mask in enumerate(graph.sets):
        if done[root]:
            continue
        done[root] = True
        label = {root: members(mask)}
        came: dict[int, tuple[int, int]] = {}
        queue = [root]
        for position, i in enumerate(queue):
            if position % 64 == 0:
                meter.check_time()
            along = itemgetter(*label[i])  # of two or more states: a map from a letter's column to a tuple
            for a, j in enumerate(graph.successor[i]):
                if j < 0 or component[j] != component[root]:
                    continue
                carried = along(columns[a])
                if j not in label:
                    label[j], came[j], done[j] = carried, (i, a), True
                    queue.append(j)
                elif label[j] != carried:
                    # root -> i -a-> j -> root and root -> j -> root differ, so they are not both the identity.
                    back = _way(graph, component, j, root)
                    for letters in ((*_branch(came, i), a, *back), (*_branch(came, j), *back)):
                        moved = next((q for q in label[root] if _run(columns, q, letters) != q), None)
                        if moved is not None:
                            alike = [m for m, c in zip(graph.sets, component, strict=True) if c == component[root]]
                            return _Loop(letters, moved), alike
    return None


def _branch(came: dict[int, tuple[int, int]], node: int) -> Letters:
    """The letters along the spanning tree from the root to ``node``."""
    letters = []
    while node in came:
        node, a = came[node]
        letters.append(a)
    return tuple(reversed(letters))


def _way(graph: ImageGraph, component: list[int], start: int, goal: int) -> Letters:
    """Shortest letters from one set to another of its class."""
    came: dict[int, tuple[int, int]] = {}
    queue = [start]
    for i in queue:
        if i == goal:
            break
        for a, j in enumerate(graph.successor[i]):
            if j >= 0 and component[j] == component[goal] and j not in came and j != start:
                came[j] = (i, a)
                queue.append(j)
    return _branch(came, goal)


def _run(columns: Columns, state: int, letters: Iterable[int]) -> int:
    """The state after the letters; they must be defined along the way."""
    for a in letters:
        state = columns[a][state]
    return state


# -- short witnesses -----------------------------------------------------------------------------------------------


def _shorter(columns: Columns, loop: _Loop, masks: list[int]) -> _Loop:
    """The shortest of ``loop`` and the loops that breadth-first search finds, visiting at most SHORTENING tuples.

    Searched are the loop's own cycle, cut to each prime factor of its period, and then, where ``masks`` (the class
    the loop was found in) are pairs, all of these.
    """
    cycle = [loop.state]
    while (q := _run(columns, cycle[-1], loop.letters)) != loop.state:
        cycle.append(q)
    period = len(cycle)
    factors = [r for r in (2, *_odd_primes(period)) if period % r == 0]
    starts = [tuple(cycle[:: period // r]) for r in factors]
    if masks[0].bit_count() == 2:
        starts += [members(mask) for mask in masks]
    allowance = SHORTENING
    for start in starts:
        visited, found = _shortest_loop(columns, start, len(loop.letters) - 1, allowance)
        loop = found or loop
        allowance -= visited
        if allowance <= 0:
            break
    return loop


def _shortest_loop(columns: Columns, start: tuple[int, ...], longest: int, allowance: int) -> tuple[int, _Loop | None]:
    """(Tuples visited, a shortest loop that permutes the states of ``start`` non-trivially, if one is in reach).

    Args:
        columns: letters, possibly partial.
        start: distinct states.
        longest: loops with more letters are of no interest.
        allowance: how many tuples may be visited.
    """
    goal = frozenset(start)
    seen = {start}
    layer: list[tuple[tuple[int, ...], Letters]] = [(start, ())]
    for _ in range(longest):
        if not layer:
            break
        onward = []
        for states, letters in layer:
            for a, column in enumerate(columns):
                image = tuple([column[q] for q in states])
                if image in seen:
                    continue
                distinct = frozenset(image)
                if len(distinct) < len(start) or -1 in distinct:
                    continue
                if distinct == goal:
                    moved = next(p for p, q in zip(start, image, strict=True) if p != q)
                    return len(seen), _Loop((*letters, a), moved)
                if len(seen) >= allowance:
                    return len(seen), None
                seen.add(image)
                onward.append((image, (*letters, a)))
        layer = onward
    return len(seen), None


def _replayed(semiautomaton: Semiautomaton, loop: _Loop) -> Permutation:
    """The witness that a loop stands for, built by running it.

    A word v^j that moves a state round a cycle may be cut to v, which then moves it round a cycle as well.
    """
    word = tuple(semiautomaton.alphabet[a] for a in _primitive_root(loop.letters))
    states = [loop.state]
    while (q := semiautomaton.run(states[-1], word)) not in states:
        states.append(q)
    permutation = Permutation(word, tuple(states))
    if not permutation.check(semiautomaton):
        raise AssertionError(f"the search returned {loop}, which permutes nothing; please report this")
    return permutation


def _primitive_root(letters: Letters) -> Letters:
    """The shortest v with letters = v^j."""
    n = len(letters)
    return next(letters[:d] for d in range(1, n + 1) if n % d == 0 and letters[:d] * (n // d) == letters)


# -- languages -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Witness:
    """Why a language is not star-free.

    Args:
        word: permutes ``states`` in their order, the last to the first.
        states: numbers of at least two distinct states of the minimal DFA.
        names: their names.
        access: a shortest word from the initial state to ``states[0]``; no other of the states is nearer.
        distinguish: a shortest word that is accepted from exactly one of ``states[0]`` and ``states[1]``.
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

    def check(self, dfa: Dfa) -> bool:
        """Replay everything this value claims on a language. O((period + 1) * |word| + |access| + ...)."""
        return (
            Permutation(self.word, self.states).check(dfa.semiautomaton)
            and {*self.access, *self.distinguish} <= set(dfa.alphabet)
            and self.names == tuple(dfa.names[q] for q in self.states)
            and dfa.run(self.access) == self.states[0]
            and dfa.accepts((*self.access, *self.distinguish))
            != dfa.accepts((*self.access, *self.word, *self.distinguish))
        )


class NotStarFreeError(ScancraftError):
    """A language is not star-free, so no Mamba models it; carries the :class:`Witness`."""

    def __init__(self, witness: Witness, alphabet: Sequence[str]) -> None:
        super().__init__(witness, alphabet)  # both, so that the error survives pickling
        self.witness, self.alphabet = witness, tuple(alphabet)

    @cached_property
    def _message(self) -> str:
        names = [*self.witness.names, self.witness.names[0]]
        if len(names) > 14:
            names = [*names[:6], "...", *names[-6:]]
        return (
            f"the language is not star-free: the word {self._show(self.witness.word)} permutes the states "
            f"{' -> '.join(names)} with period {self.witness.period} (the first is reached by "
            f"{self._show(self.witness.access)}); Theorem 4 of Sarrof, Veitsman and Hahn (NeurIPS 2024) makes it "
            "impossible for Mamba: a NONNEGATIVE SSM at finite precision predictively models a regular language "
            "iff it is star-free. Give a star-free language instead"
        )

    def _show(self, word: tuple[str, ...]) -> str:
        if len(word) <= 60:
            return f'"{format_word(word, self.alphabet)}"'
        space = " " if is_spaced(self.alphabet) else ""
        return f'"{format_word(word[:40], self.alphabet)}{space}..." ({len(word):,} symbols)'

    def __str__(self) -> str:
        return self._message

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


def star_free_witness(dfa: Dfa, budget: Budget = DEFAULT_BUDGET) -> Witness | None:
    """Why the language is not star-free, or None if it is star-free. Cost as for :func:`find_permutation`.

    Raises:
        BudgetExceededError: undecided within the budget.

    >>> witness = star_free_witness(Dfa.from_table(("0", "1"), [[0, 1], [1, 0]], 0, [0]))
    >>> witness.word, witness.states, witness.access, witness.distinguish
    (('1',), (0, 1), (), ())
    """
    permutation = find_permutation(dfa.semiautomaton, budget)
    if permutation is None:
        return None
    access = dfa.path(0, set(permutation.states).__contains__)
    if access is None:
        raise AssertionError("a state of a minimal DFA is not reachable; please report this")
    turn = permutation.states.index(dfa.run(access))
    states = permutation.states[turn:] + permutation.states[:turn]
    names = tuple(dfa.names[q] for q in states)
    return Witness(permutation.word, states, names, access, _distinguish(dfa, states[0], states[1]))


def require_star_free(dfa: Dfa, budget: Budget = DEFAULT_BUDGET) -> None:
    """Do nothing if the language is star-free. Cost as for :func:`find_permutation`.

    Raises:
        NotStarFreeError: it is not; the error carries the witness.
        BudgetExceededError: undecided within the budget.
    """
    witness = star_free_witness(dfa, budget)
    if witness is not None:
        raise NotStarFreeError(witness, dfa.alphabet)


def _distinguish(dfa: Dfa, p: int, q: int) -> tuple[str, ...]:
    """A shortest word accepted from exactly one of two different states of a minimal DFA. O(k * n^2)."""
    came: dict[tuple[int, int], tuple[tuple[int, int], str] | None] = {(p, q): None}
    queue = [(p, q)]
    for pair in queue:
        if (pair[0] in dfa.accepting) != (pair[1] in dfa.accepting):
            word: list[str] = []
            step = came[pair]
            while step is not None:
                word.append(step[1])
                step = came[step[0]]
            return tuple(reversed(word))
        rows = (dfa.semiautomaton.table[q] for q in pair)
        for symbol, target in zip(dfa.alphabet, zip(*rows, strict=True), strict=True):
            if target not in came:
                came[target] = (pair, symbol)
                queue.append(target)
    raise AssertionError("two states of a minimal DFA are equivalent; please report this")
