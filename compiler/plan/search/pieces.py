"""Plans of languages that look at subsequences: a memory for each of some pieces, "these letters came in this order".

A *piece* is a row of sets of letters; a word has it if it has letters of these sets in this order, whatever stands
between them. A memory of a piece is set by a letter of its last set where the piece before it is there, and never
reset; so a piece of n sets is a memory of block n. A language is piecewise testable iff the pieces of a word, of some
finite set, tell what may come next (Simon 1975, *Piecewise testable events*).

Pieces are found from words. As long as two words have the same pieces and not the same may come next, one more is a
shortest piece that one of both has and the other has not: of letters that lead to the same state, along the states that
the piece itself leads to; or where that tells nothing, of single letters. Pieces that tell no two words apart any more
which others do not are left out again, and in the end pieces are merged that need not be told apart. Minimal DFAs
forget what a word had where it does not matter any more; pieces never do, so they need no more blocks than the longest
of them has sets, and one more where their values have to be combined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, combinations

from ....automata.budget import Budget, Meter
from ....automata.deterministic import Deterministic
from ....automata.errors import BudgetExceededError
from ..plan import Plan
from .blocks import Found
from .choose import written
from .knowledge import Draft, Drafts

AT_ONCE = 4
"""So many pairs of words are told apart before all words are looked at again."""

ITEMS = 400_000
"""So many pairs of pieces and states may be looked at, in all."""

MOST_PIECES = 60
"""More are given up: so many memories that are never reset have too many values together."""

Piece = tuple[frozenset[int], ...]
Letters = tuple[int, ...]
Pair = tuple[Letters, Letters]


def by_pieces(dfa: Deterministic, budget: Budget) -> Iterator[Plan]:
    """A plan of pieces, if the language is piecewise testable and few pieces do; else none.

    Args:
        dfa: the language.
        budget: how far the search may go.
    """
    meter = replace(budget, items=min(budget.items, ITEMS)).meter("nodes of pieces")
    examples, pieces = Examples(), list[Piece]()
    try:
        while conflicts := _conflicts(dfa, pieces, meter):
            for pair in conflicts:
                examples.pairs.append(pair)
                if examples.told_by(pieces):
                    continue
                if (found := _apart(dfa, *pair)) is None:
                    return
                pieces = list(dict.fromkeys([*pieces, *(found[: n + 1] for n in range(len(found)))]))
            pieces = _simplest(pieces, _without, examples.told_by)
            if len(pieces) > MOST_PIECES:
                return

        def good(fewer: list[Piece]) -> bool:
            return examples.told_by(fewer) and not _conflicts(dfa, fewer, meter)

        pieces = _simplest(pieces, lambda pieces: chain(_without(pieces), _merged(pieces)), good)
        yield written(dfa, _blocks(pieces, len(dfa.alphabet)), 1, budget, Found())
    except BudgetExceededError:
        return


class Examples:
    """Pairs of words that pieces have to tell apart."""

    def __init__(self) -> None:
        self.pairs: list[Pair] = []
        self._told: dict[Piece, tuple[int, int]] = {}  # how many pairs were looked at, and which it tells, as a mask

    def told_by(self, pieces: Iterable[Piece]) -> bool:
        """Whether each pair is told apart by one of some pieces."""
        told = 0
        for piece in pieces:
            looked, mask = self._told.get(piece, (0, 0))
            for n in range(looked, len(self.pairs)):
                mask |= _tells(piece, self.pairs[n]) << n
            self._told[piece] = len(self.pairs), mask
            told |= mask
        return told == (1 << len(self.pairs)) - 1


def _simplest(
    pieces: list[Piece],
    simpler: Callable[[list[Piece]], Iterable[list[Piece]]],
    good: Callable[[list[Piece]], bool],
) -> list[Piece]:
    """Pieces that nothing simpler is good in the place of."""
    while (better := next(filter(good, simpler(pieces)), None)) is not None:
        pieces = better
    return pieces


def _without(pieces: list[Piece]) -> Iterator[list[Piece]]:
    """Pieces but one that no other goes on from."""
    for piece in pieces:
        if all(other[:-1] != piece for other in pieces):
            yield [other for other in pieces if other != piece]


def _merged(pieces: list[Piece]) -> Iterator[list[Piece]]:
    """Pieces with two that differ in their last set, and all that goes on from these, as one."""
    for one, other in combinations(sorted(pieces, key=len), 2):
        if one[:-1] == other[:-1]:
            both, n = (*one[:-1], one[-1] | other[-1]), len(one)
            yield list(dict.fromkeys((*both, *p[n:]) if p[:n] in (one, other) else p for p in pieces))


def _conflicts(dfa: Deterministic, pieces: Sequence[Piece], meter: Meter) -> list[Pair]:
    """Shortest pairs of words with the same pieces after which not the same may come next. O(nodes * letters)."""
    place = {piece: n for n, piece in enumerate(pieces)}
    sets: list[list[tuple[int, int]]] = [[] for _ in dfa.alphabet]  # a piece's bit, and that of the piece it goes on
    for piece, n in place.items():
        for letter in piece[-1]:
            sets[letter].append((1 << n, 1 << place[piece[:-1]] if piece[:-1] else 0))
    allowed = [dfa.allowed(q) for q in range(dfa.n_states)]
    came: dict[tuple[int, int], tuple[tuple[int, int], int] | None] = {(0, dfa.initial): None}
    first: dict[int, tuple[int, int]] = {}
    found = []

    def word(node: tuple[int, int]) -> Letters:
        letters = []
        while (step := came[node]) is not None:
            node, letter = step
            letters.append(letter)
        return tuple(reversed(letters))

    nodes = list(came)
    for node in nodes:
        held, state = node
        one = first.setdefault(held, node)
        if allowed[one[1]] != allowed[state]:
            found.append((word(one), word(node)))
            if len(found) == AT_ONCE:
                break
        for letter, target in enumerate(dfa.table[state]):
            after = held
            for bit, needed in sets[letter]:
                if not needed & ~held:
                    after |= bit
            if (new := (after, target)) not in came:
                meter.tick()
                came[new] = node, letter
                nodes.append(new)
    return found


def _tells(piece: Piece, pair: Pair) -> bool:
    """Whether just one of two words has a piece."""
    one, other = pair
    return _has(one, piece) != _has(other, piece)


def _has(word: Letters, piece: Piece) -> bool:
    """Whether letters of the piece's sets stand in the word in this order. O(length)."""
    left = iter(word)
    return all(any(letter in letters for letter in left) for letters in piece)


def _apart(dfa: Deterministic, one: Letters, other: Letters) -> Piece | None:
    """A short piece that just one of two words has; None if they have the same subsequences."""
    for alike in (True, False):
        found = [piece for piece in (_piece(dfa, one, other, alike), _piece(dfa, other, one, alike)) if piece]
        if found:
            return min(found, key=len)
    return None


def _piece(dfa: Deterministic, one: Letters, other: Letters, alike: bool) -> Piece | None:
    """A shortest piece that the first word has and the second has not; O(states * length^2) places at most.

    Args:
        dfa: where letters lead.
        one: a word.
        other: another one.
        alike: whether letters that lead to the same state stand for each other, and only those count that lead on.
    """
    begin = (dfa.initial, 0, 0)
    known: dict[tuple[int, int, int], Piece] = {begin: ()}
    places = [begin]
    for place in places:
        state, here, there = place
        row = dfa.table[state]
        for letter in dict.fromkeys(one[here:]):
            if alike and row[letter] == state:
                continue
            letters = frozenset(a for a, q in enumerate(row) if q == row[letter]) if alike else frozenset({letter})
            piece = (*known[place], letters)
            if (beyond := _after(other, there, letters)) is None:
                return piece
            until = _after(one, here, letters)
            assert until is not None, "the letter is there"
            if (new := (row[letter], until, beyond)) not in known:
                known[new] = piece
                places.append(new)
    return None


def _after(word: Letters, start: int, letters: frozenset[int]) -> int | None:
    """The place behind the first of some letters."""
    return next((n + 1 for n in range(start, len(word)) if word[n] in letters), None)


def _blocks(pieces: Iterable[Piece], bos: int) -> Drafts:
    """A memory for each piece, in the block of its length."""
    ordered = sorted(pieces, key=lambda piece: (len(piece), [sorted(letters) for letters in piece]))
    number = {piece: n for n, piece in enumerate(ordered)}
    blocks: list[tuple[Draft, ...]] = []
    for length in range(1, len(ordered[-1]) + 1 if ordered else 1):
        block = [piece for piece in ordered if len(piece) == length]
        earlier = number[block[0]]

        def rule(
            letters: frozenset[int], held: int | None, earlier: int = earlier
        ) -> tuple[frozenset[int] | None, ...]:
            before = [frozenset({1}) if n == held else None for n in range(earlier)]
            return (letters, *[None] * earlier, *before)

        blocks.append(
            tuple(
                Draft(((rule(frozenset({bos}), None), 0), (rule(piece[-1], number.get(piece[:-1])), 1)), 2)
                for piece in block
            )
        )
    return tuple(blocks) or ((),)
