"""Hypothesis strategies for words; public through :mod:`scancraft.testing`."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from ..automata.alphabet import check_alphabet
from ..automata.dfa import Dfa

Symbols = tuple[str, ...]
MAX_LENGTH = 12


def words(alphabet: Sequence[str], *, max_length: int = MAX_LENGTH) -> SearchStrategy[Symbols]:
    """Arbitrary words of length up to ``max_length``. Shrinks towards short words and the first symbols."""
    letters = check_alphabet(alphabet)
    if not letters:
        return st.just(())
    return st.lists(st.sampled_from(letters), max_size=max_length).map(tuple)


def members(dfa: Dfa, *, max_length: int = MAX_LENGTH) -> SearchStrategy[Symbols]:
    """Words of the language of length up to ``max_length``, each of which can be drawn.

    ``hypothesis.strategies.nothing()`` if there is none. Shrinks towards shortest words.
    """
    distance = _distances(dfa)
    if distance.get(0, max_length + 1) > max_length:
        return st.nothing()
    return _walks(dfa, distance, max_length)


def edits(dfa: Dfa, *, max_length: int = MAX_LENGTH) -> SearchStrategy[Symbols]:
    """Members (of length up to ``max_length``) with one symbol deleted, inserted or replaced by another.

    They may be in the language or not. ``hypothesis.strategies.nothing()`` if there is no member, or no symbol.
    """
    if not dfa.alphabet:
        return st.nothing()
    return members(dfa, max_length=max_length).flatmap(lambda word: _edits_of(word, dfa.alphabet))


def any_words(dfa: Dfa, *, max_length: int = MAX_LENGTH) -> SearchStrategy[Symbols]:
    """A mixture of :func:`words`, :func:`members` and :func:`edits`: what a model should be tried on."""
    return st.one_of(
        words(dfa.alphabet, max_length=max_length),
        members(dfa, max_length=max_length),
        edits(dfa, max_length=max_length),
    )


def _distances(dfa: Dfa) -> dict[int, int]:
    """From each live state to the length of a shortest word that leads to acceptance. O(states * letters * longest)."""
    distance = dict.fromkeys(dfa.accepting, 0)
    frontier, steps = set(dfa.accepting), 0
    while frontier:
        steps += 1
        rows = enumerate(dfa.semiautomaton.table)
        frontier = {q for q, row in rows if q not in distance and not frontier.isdisjoint(row)}
        distance |= dict.fromkeys(frontier, steps)
    return distance


@st.composite
def _walks(draw: DrawFn, dfa: Dfa, distance: dict[int, int], max_length: int) -> Symbols:
    """A walk that stops in the first accepting state after at least so many letters."""
    least = draw(st.integers(0, max_length))
    state = 0
    word: list[str] = []
    while len(word) < least or state not in dfa.accepting:
        room = max_length - len(word) - 1
        row = dfa.semiautomaton.table[state]
        options = [a for a, target in enumerate(row) if distance.get(target, room + 1) <= room]
        if not options:
            break  # accepting, since a longer word was always possible until now
        options.sort(key=lambda a, row=row: distance[row[a]])  # type: ignore[misc]
        # Something is drawn even if there is one option: a word with fewer draws would count as simpler.
        letter = options[draw(st.integers(0, max(1, len(options) - 1))) % len(options)]
        word.append(dfa.alphabet[letter])
        state = row[letter]
    return tuple(word)


@st.composite
def _edits_of(draw: DrawFn, word: Symbols, letters: Symbols) -> Symbols:
    kinds = ["delete"] * bool(word) + ["insert"] + ["replace"] * (bool(word) and len(letters) > 1)
    kind = draw(st.sampled_from(kinds))
    place = draw(st.integers(0, len(word) - (kind != "insert")))
    before, after = word[:place], word[place + (kind != "insert") :]
    if kind == "delete":
        return before + after
    return (*before, draw(st.sampled_from([a for a in letters if kind == "insert" or a != word[place]])), *after)
