"""Hypothesis strategies for languages, star-free ones by construction; public through :mod:`scancraft.testing`.

A language is star-free iff a cascade of identity-or-reset automata accepts it (Krohn and Rhodes 1965), and by
definition iff a star-free expression denotes it. Both are drawn directly, the one as DFAs and the other as text;
nothing is drawn and thrown away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from string import ascii_lowercase, ascii_uppercase
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from ..automata.alphabet import check_alphabet
from ..automata.dfa import Dfa
from ..automata.regex import tree

T = TypeVar("T")
Symbols = tuple[str, ...]
Coordinates = tuple[int, ...]
Table = Sequence[Sequence[int]]
Actions = Sequence[Sequence[int | None]]
"""What a level does, per state of the levels above and per letter: the value that it is reset to, or None (keep)."""

ROOM = 16
"""An automaton may have so many times ``max_states`` states before it is minimised."""

# -- alphabets -----------------------------------------------------------------------------------------------------


def over_alphabet(
    alphabet: Sequence[str] | None, max_letters: int, strategy: Callable[[Symbols], SearchStrategy[T]]
) -> SearchStrategy[T]:
    """What ``strategy`` gives for the alphabet, or for one of ``a``, ``b``, ... with 1 to ``max_letters`` letters."""
    if alphabet is not None:
        return strategy(check_alphabet(alphabet))
    names = (ascii_lowercase + ascii_uppercase)[:max_letters]
    if not 1 <= max_letters == len(names):
        raise ValueError(f"max_letters is {max_letters}; give 1 to 52, or name the symbols with alphabet=")
    return st.integers(1, max_letters).flatmap(lambda n: strategy(tuple(names[:n])))


def star_free_dfas(
    max_states: int = 8, *, alphabet: Sequence[str] | None = None, max_letters: int = 3
) -> SearchStrategy[Dfa]:
    """Star-free languages, as minimal DFAs: random accepting sets of random cascades of identity-or-reset automata.

    Every star-free language can be drawn, once ``max_states`` has room for one of its cascades: the automata on the way
    to it may have up to ``ROOM * max_states`` states before minimisation. Shrinks towards few letters, few states, and
    the empty language.

    Args:
        max_states: of the minimal DFA, its dead state included.
        alphabet: the symbols; by default ``a``, ``b``, ..., as many as are drawn.
        max_letters: how many, if ``alphabet`` is not given.
    """
    _check_states(max_states)
    return over_alphabet(alphabet, max_letters, lambda letters: cascade_dfas(letters, max_states))


def dfas(max_states: int = 6, *, alphabet: Sequence[str] | None = None, max_letters: int = 3) -> SearchStrategy[Dfa]:
    """Arbitrary regular languages, star-free or not, as minimal DFAs. Arguments as in :func:`star_free_dfas`."""
    _check_states(max_states)
    return over_alphabet(alphabet, max_letters, lambda letters: _tables(letters, max_states))


def star_free_expressions(alphabet: Sequence[str], *, max_leaves: int = 6) -> SearchStrategy[str]:
    """Star-free expressions in the syntax of ``parse_regex``: no ``*``, no ``+``, no unbounded repetition.

    Args:
        alphabet: the symbols. Give the same to ``parse_regex``: what ``~`` and ``.`` mean depends on them.
        max_leaves: about how many atoms an expression has at most.
    """
    return _expressions(check_alphabet(alphabet), max_leaves).map(str)


def _check_states(max_states: int) -> None:
    if max_states < 1:
        raise ValueError(f"max_states is {max_states}; give at least 1")


@st.composite
def _tables(draw: DrawFn, letters: Symbols, max_states: int) -> Dfa:
    # A transition leads to a state that has been met or to a new one, so that all are reachable.
    table: list[list[int]] = []
    met = 1
    while len(table) < met:
        row = []
        for _ in letters:
            row.append(draw(st.integers(0, min(met, max_states - 1))))
            met = max(met, row[-1] + 1)
        table.append(row)
    accepting = draw(_some(met))
    return Dfa.from_table(letters, table, 0, [q for q in range(met) if accepting[q]])


@lru_cache(maxsize=256)
def _bits(count: int) -> SearchStrategy[list[bool]]:
    """So many truth values, drawn eight at a time (hypothesis likes to copy draws, and would often make them equal)."""
    parts = st.tuples(*(st.integers(0, 2 ** min(8, count - i) - 1) for i in range(0, count, 8)))
    return parts.map(lambda numbers: [bool(numbers[i // 8] >> i % 8 & 1) for i in range(count)])


@lru_cache(maxsize=256)
def _some(count: int) -> SearchStrategy[list[bool]]:
    """So many truth values, not all equal (but a single one may be either)."""
    if not 2 <= count <= 8:
        return _bits(count)
    return st.integers(1, 2**count - 2).map(lambda number: [bool(number >> i & 1) for i in range(count)])


# -- cascades ------------------------------------------------------------------------------------------------------


def add_level(table: Table, coordinates: Sequence[Coordinates], actions: Actions) -> tuple[Table, list[Coordinates]]:
    """Put one more identity-or-reset level under a cascade, and keep what is reachable.

    Args:
        table: transitions of the cascade so far, initial state 0.
        coordinates: of its states.
        actions: what the new level does; it starts with value 0.

    Returns:
        the new transitions, initial state 0, and the coordinates of their states.
    """
    number = {(0, 0): 0}
    queue, grown = [(0, 0)], []
    for above, value in queue:
        row = []
        for target, action in zip(table[above], actions[above], strict=True):
            pair = (target, value if action is None else action)
            if pair not in number:
                number[pair] = len(queue)
                queue.append(pair)
            row.append(number[pair])
        grown.append(row)
    return grown, [(*coordinates[above], value) for above, value in queue]


@st.composite
def cascade_dfas(draw: DrawFn, letters: Symbols, max_states: int) -> Dfa:
    """Random accepting sets of random cascades.

    What a level does is drawn for each letter and each value of some of the levels above; acceptance, for each value of
    some of the levels. Levels are left away from the bottom until the minimal DFA is small enough: with none it has one
    state.
    """
    table: Table = [[0] * len(letters)]
    coordinates: Sequence[Coordinates] = [()]
    stages = [(table, coordinates)]
    for depth in range(draw(st.integers(0, max_states))):
        seen = draw(st.integers(0, 2**depth - 1))
        width = draw(st.one_of(st.just(2), st.integers(2, max(2, max_states))))
        # 0 keeps the value, v + 1 resets to v.
        row = st.tuples(*[st.integers(0, width)] * len(letters))
        rows: dict[Coordinates, list[int | None]] = {}
        for state in coordinates:
            key = _project(state, seen)
            if key not in rows:
                rows[key] = [None if code == 0 else code - 1 for code in draw(row)]
        table, coordinates = add_level(table, coordinates, [rows[_project(state, seen)] for state in coordinates])
        if len(table) > ROOM * max_states:
            break
        stages.append((table, coordinates))
    seen = ~draw(st.integers(0, max(0, 2 ** (len(stages) - 1) - 2)))
    bits = draw(_some(len({_project(state, seen) for state in stages[-1][1]})))
    while True:
        table, coordinates = stages.pop()
        keys = {key: i for i, key in enumerate(dict.fromkeys(_project(state, seen) for state in coordinates))}
        accepting = [q for q, state in enumerate(coordinates) if bits[keys[_project(state, seen)]]]
        dfa = Dfa.from_table(letters, table, 0, accepting)
        if dfa.n_states <= max_states:
            return dfa


def _project(coordinates: Coordinates, seen: int) -> Coordinates:
    return tuple(value for i, value in enumerate(coordinates) if seen >> i & 1)


# -- expressions ---------------------------------------------------------------------------------------------------


def _expressions(letters: Symbols, max_leaves: int) -> SearchStrategy[tree.Regex]:
    symbols = [tree.Symbol(a) for a in letters]
    atoms: list[SearchStrategy[tree.Regex]] = [st.sampled_from([tree.Empty(), tree.Epsilon(), *symbols])]
    if symbols:
        some = st.lists(st.sampled_from(symbols), min_size=1, max_size=len(symbols), unique_by=str).map(tuple)
        atoms += [st.just(tree.AnySymbol()), st.builds(tree.CharClass, some, st.booleans())]

    def extend(inner: SearchStrategy[tree.Regex]) -> SearchStrategy[tree.Regex]:
        pairs = st.tuples(inner, inner)
        bounds = st.tuples(st.integers(0, 2), st.integers(0, 2)).map(sorted)
        return st.one_of(
            pairs.map(tree.Alternation),
            pairs.map(tree.Concat),
            pairs.map(tree.Intersection),
            inner.map(tree.Complement),
            st.builds(lambda r, between: tree.Repeat(r, *between), inner, bounds),
        )

    return st.recursive(st.one_of(atoms), extend, max_leaves=max_leaves)
