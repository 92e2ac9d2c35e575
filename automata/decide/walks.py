"""Does a language count? The live part of a DFA as a walk in Z^d: integer potentials of its states.

A *walk* gives every live state q a place psi(q) in Z^d, all of them different, and every letter a a step delta(a), so
that psi(q.a) = psi(q) + delta(a) on all transitions between live states. Then d integrators know the state of every
live prefix, however many states there are: D_n walks on 0..n.

*When there is one.* Along a path the steps add up to a linear form of its Parikh vector, which says how often each
letter occurs; so a choice of steps is a walk iff the form vanishes on the cycles of the undirected graph and tells the
Parikh vectors phi(q) of one path to each state apart. The forms that vanish on the cycles are an integer kernel, and
all of them together tell apart whatever any of them does. Where two states p and q stay together, phi(p) - phi(q) is a
rational combination of cycles, and some multiple m of it an integer one: a *circulation*, which is the witness. With m
= 1 the two differ in nothing that any counter in any abelian group can see; with the least m above 1 the counter would
have to be one modulo m, which is a group and no integrator.

A language that is a walk is star-free: if a word takes live states round a cycle, its step is 0, and so they are one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import product
from math import gcd, lcm

from ..budget import DEFAULT_BUDGET, Budget, Meter
from ..dfa import Dfa
from ..errors import ScancraftError

Vector = tuple[int, ...]
Edge = tuple[int, int]
"""A transition: the state that it leaves, and the letter's number."""

COEFFICIENTS = (0, 1, -1, 2, -2, 3, -3, 4, -4)
"""Tried, when potentials are put together to fewer."""
MOST_COMBINATIONS = 2_000


@dataclass(frozen=True)
class Walk:
    """The live part of a DFA as a walk in Z^d.

    Attributes:
        places: for each live state its place; the initial state is at the origin.
        steps: for each letter, by its number, the step that it makes; None for a letter that no live prefix ends with.
    """

    places: Mapping[int, Vector]
    steps: tuple[Vector | None, ...]

    @cached_property
    def dimension(self) -> int:
        """d."""
        return len(next(iter(self.places.values()), ()))

    def check(self, dfa: Dfa) -> bool:
        """Whether it is one: the live states at different places, the initial one at 0, and every step right."""
        at = self.places
        moves = [(q, a, t) for q in dfa.live for a, t in enumerate(dfa.table[q]) if t in dfa.live]
        return (
            set(at) == dfa.live
            and len(self.steps) == len(dfa.alphabet)
            and len(set(at.values())) == len(at)
            and all(x == 0 for x in at.get(0, ()))
            and all((step := self.steps[a]) is not None and at[t] == _plus(at[q], step) for q, a, t in moves)
        )

    def seen(self, forms: Sequence[Vector]) -> Walk:
        """The walk in fewer or other dimensions: what each of some linear forms is at the places."""

        return self._through(lambda vector: tuple(_applied(form, vector) for form in forms))

    def picked(self, signs: Mapping[int, int]) -> Walk:
        """The walk in some of its dimensions, each turned round where its sign is -1."""
        return self._through(lambda vector: tuple([sign * vector[n] for n, sign in signs.items()]))

    def _through(self, image: Callable[[Vector], Vector]) -> Walk:
        places = {q: image(place) for q, place in self.places.items()}
        return Walk(places, tuple(None if step is None else image(step) for step in self.steps))

    @cached_property
    def injective(self) -> bool:
        """Whether no two states are at one place."""
        return len(set(self.places.values())) == len(self.places)


@dataclass(frozen=True)
class NoWalk:
    """Why the live part of a DFA is no walk: two live states that every choice of steps puts at one place.

    Attributes:
        words: a word to each of them.
        multiple: m >= 1, the least there is; above 1 the states differ in a group only.
        circulation: how often each live transition is taken, backwards if negative; as much leads into every state as
            out of it, and each letter is taken m * (how much more often it occurs in the first word).
    """

    words: tuple[tuple[str, ...], tuple[str, ...]]
    multiple: int
    circulation: Mapping[Edge, int]

    def check(self, dfa: Dfa) -> bool:
        """Replay: m (psi(p) - psi(q)) = 0 follows, so p and q are at one place in every walk."""
        p, q = (dfa.run(word) for word in self.words)
        balance = dict.fromkeys(range(dfa.n_states), 0)
        taken = dict.fromkeys(range(len(dfa.alphabet)), 0)
        for (source, letter), times in self.circulation.items():
            target = dfa.table[source][letter]
            if source not in dfa.live or target not in dfa.live:
                return False
            balance[source] -= times
            balance[target] += times
            taken[letter] += times
        first, second = self.words
        wanted = {a: self.multiple * (first.count(s) - second.count(s)) for a, s in enumerate(dfa.alphabet)}
        live = p != q and {p, q} <= dfa.live and self.multiple >= 1
        return live and not any(balance.values()) and taken == wanted

    def __str__(self) -> str:
        first, second = (" ".join(word) or "the empty word" for word in self.words)
        where = f"modulo {self.multiple}" if self.multiple > 1 else "in no counter at all"
        return f"the states after {first} and after {second} differ {where}"


class NoWalkError(ScancraftError):
    """A walk was asked for, and the live part of the language is none, or stands still.

    Args:
        reason: why.
    """

    def __init__(self, reason: NoWalk | None) -> None:
        said = "one live state needs no counter" if reason is None else str(reason)
        super().__init__(f"the live part of the language is no walk in Z^d: {said}; compile it without asking for one")
        self.witness = reason


def walk_of(dfa: Dfa, budget: Budget = DEFAULT_BUDGET) -> Walk | NoWalk:
    """The walk of a language's live part in the kernel's own dimensions, those that tell no states apart left out.

    :func:`fewer` goes down from there. O(transitions * letters^2), and a walk of the one live state in Z^0.

    Raises:
        BudgetExceededError: it takes more time than there is.

    >>> from scancraft.automata.families import d_n, parity
    >>> walk_of(d_n(3)).steps
    ((1,), (-1,))
    >>> print(walk_of(parity()))
    the states after 1 and after the empty word differ modulo 2
    """
    clock = budget.meter("cycles")
    tree = _tree(dfa)
    vectors = {q: _parikh(dfa, _path(tree, q)) for q in tree}
    cycles = _cycles(dfa, vectors, clock)
    used = sorted({a for q in dfa.live for a, t in enumerate(dfa.table[q]) if t in dfa.live})
    kernel = _kernel(list(cycles), used, len(dfa.alphabet), clock)
    steps = tuple(tuple(form[a] for form in kernel) if a in used else None for a in range(len(dfa.alphabet)))
    places = {q: tuple(_applied(form, vector) for form in kernel) for q, vector in vectors.items()}
    found = _upright(Walk(places, steps))
    if not found.injective:
        return _witness(dfa, tree, vectors, cycles, found, clock)
    keep = list(range(found.dimension))
    for n in range(found.dimension):
        clock.check_time()
        fewer_kept = [k for k in keep if k != n]
        if len({tuple([place[k] for k in fewer_kept]) for place in found.places.values()}) == len(found.places):
            keep = fewer_kept
    return found.picked(dict.fromkeys(keep, 1))


def fewer(walk: Walk, budget: Budget = DEFAULT_BUDGET) -> Iterator[Walk]:
    """The walk in Z instead of Z^d, by small combinations of its dimensions that tell the states apart."""
    if walk.dimension < 2:
        return
    clock, tried = budget.meter("combinations of dimensions"), 0
    for form in product(COEFFICIENTS, repeat=walk.dimension):
        tried += 1
        clock.check_time()
        if tried > MOST_COMBINATIONS:
            return
        leading = next((x for x in form if x), 0)
        if leading > 0 and (found := walk.seen([form])).injective:
            yield found


def _upright(walk: Walk) -> Walk:
    """The walk with every dimension turned so that more of it is positive."""
    sums = [sum(column) for column in zip(*walk.places.values(), strict=True)]
    return walk.picked({n: -1 if total < 0 else 1 for n, total in enumerate(sums)})


def _applied(form: Vector, vector: Vector) -> int:
    return sum(w * x for w, x in zip(form, vector, strict=True))


def _plus(a: Vector, b: Vector) -> Vector:
    return tuple(x + y for x, y in zip(a, b, strict=True))


# -- paths and cycles --------------------------------------------------------------------------------------------------


def _tree(dfa: Dfa) -> dict[int, Edge | None]:
    """For each live state the last transition of a shortest path to it; None for the initial state."""
    tree: dict[int, Edge | None] = {0: None} if 0 in dfa.live else {}
    queue = list(tree)
    for q in queue:
        for a, target in enumerate(dfa.table[q]):
            if target in dfa.live and target not in tree:
                tree[target] = q, a
                queue.append(target)
    return tree


def _path(tree: Mapping[int, Edge | None], state: int) -> list[Edge]:
    """The transitions of the tree that lead to a state."""
    path = []
    while (edge := tree[state]) is not None:
        path.append(edge)
        state = edge[0]
    return path[::-1]


def _parikh(dfa: Dfa, path: Sequence[Edge]) -> Vector:
    counts = [0] * len(dfa.alphabet)
    for _, a in path:
        counts[a] += 1
    return tuple(counts)


def _cycles(dfa: Dfa, vectors: Mapping[int, Vector], clock: Meter) -> dict[Vector, Edge]:
    """The Parikh vectors of the undirected cycles that single transitions close beside the tree, each once."""
    found: dict[Vector, Edge] = {}
    for q, vector in vectors.items():
        for a, target in enumerate(dfa.table[q]):
            if target in vectors:
                clock.check_time()
                pairs = enumerate(zip(vector, vectors[target], strict=True))
                cycle = tuple(x + (n == a) - y for n, (x, y) in pairs)
                if any(cycle):
                    found.setdefault(cycle, (q, a))
    return found


def _kernel(cycles: Sequence[Vector], used: Sequence[int], letters: int, clock: Meter) -> list[Vector]:
    """An integer basis of the forms over the used letters that vanish on all cycles, with coprime entries."""
    rows: dict[int, list[Fraction]] = {}  # by the column in which the row is 1 and all others are 0
    for cycle in cycles:
        clock.check_time()
        row = [Fraction(cycle[a]) for a in used]
        for pivot, other in rows.items():
            if row[pivot]:
                row = [x - row[pivot] * y for x, y in zip(row, other, strict=True)]
        new = next((n for n, x in enumerate(row) if x), None)
        if new is None:
            continue
        row = [x / row[new] for x in row]
        for p, other in rows.items():
            if other[new]:
                clock.check_time()
                rows[p] = [x - other[new] * y for x, y in zip(other, row, strict=True)]
        rows[new] = row
    basis = []
    for free in (n for n in range(len(used)) if n not in rows):
        clock.check_time()
        form = [Fraction(int(n == free)) for n in range(len(used))]
        for pivot, row in rows.items():
            form[pivot] = -row[free]
        scale = lcm(*(x.denominator for x in form))
        whole = [int(x * scale) for x in form]
        common = gcd(*whole)
        entries = dict(zip(used, (x // common for x in whole), strict=True))
        basis.append(tuple(entries.get(a, 0) for a in range(letters)))
    return basis


# -- the witness -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Row:
    """A vector of the lattice of cycles, and the circulation that has it."""

    vector: Vector
    taken: Mapping[Edge, int]

    def combined(self, mine: int, other: _Row, times: int) -> _Row:
        vector = tuple(mine * x + times * y for x, y in zip(self.vector, other.vector, strict=True))
        taken = {
            e: n
            for e in {*self.taken, *other.taken}
            if (n := mine * self.taken.get(e, 0) + times * other.taken.get(e, 0))
        }
        return _Row(vector, taken)


def _lattice(rows: Sequence[_Row], clock: Meter) -> dict[int, _Row]:
    """A basis in echelon form, by the first place of each that is not 0 (Euclid's algorithm, column by column)."""
    basis: dict[int, _Row] = {}
    for row in rows:
        for place in range(len(row.vector)):
            clock.check_time()
            while place in basis and row.vector[place]:
                old = basis[place]
                if abs(old.vector[place]) > abs(row.vector[place]):
                    basis[place], row, old = row, old, row
                row = row.combined(1, old, -(row.vector[place] // old.vector[place]))
            if row.vector[place]:
                basis[place] = row
                break
    return basis


def _witness(
    dfa: Dfa,
    tree: Mapping[int, Edge | None],
    vectors: Mapping[int, Vector],
    cycles: Mapping[Vector, Edge],
    walk: Walk,
    clock: Meter,
) -> NoWalk:
    """Two states at one place, and the circulation that says so; of all pairs one with the least multiple."""

    def closed(cycle: Vector, edge: Edge) -> _Row:
        """The cycle that an edge closes, as a circulation."""
        source, letter = edge
        taken: dict[Edge, int] = {}
        back = _path(tree, dfa.table[source][letter])
        for e, sign in [*((e, 1) for e in (*_path(tree, source), edge)), *((e, -1) for e in back)]:
            taken[e] = taken.get(e, 0) + sign
        return _Row(cycle, {e: n for e, n in taken.items() if n})

    basis = _lattice([closed(cycle, edge) for cycle, edge in cycles.items()], clock)
    at: dict[Vector, list[int]] = {}
    for q, place in walk.places.items():
        at.setdefault(place, []).append(q)
    found = []
    for first, *others in at.values():
        for q in others:
            clock.check_time()
            apart = tuple(x - y for x, y in zip(vectors[q], vectors[first], strict=True))
            multiple, total = _combination(apart, basis)
            # The circulation of the cycles is a multiple of the difference of the two paths.
            found.append((multiple, q, first, total.taken))
    multiple, p, q, taken = min(found, key=lambda entry: entry[0])
    words = [tuple(dfa.alphabet[a] for _, a in _path(tree, state)) for state in (p, q)]
    return NoWalk((words[0], words[1]), multiple, taken)


def _combination(vector: Vector, basis: Mapping[int, _Row]) -> tuple[int, _Row]:
    """The least multiple of a vector that lies in the lattice, and its combination of cycles."""
    rest = [Fraction(x) for x in vector]
    shares: dict[int, Fraction] = {}
    for place in sorted(basis):
        row = basis[place].vector
        shares[place] = rest[place] / row[place]
        rest = [x - shares[place] * y for x, y in zip(rest, row, strict=True)]
    assert not any(rest), "the vector is no rational combination of cycles"
    multiple = lcm(*(share.denominator for share in shares.values()), 1)
    total = _Row((0,) * len(vector), {})
    for place, share in shares.items():
        total = total.combined(1, basis[place], int(share * multiple))
    return multiple, total
