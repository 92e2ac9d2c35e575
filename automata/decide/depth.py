"""How many blocks of latches a language needs: a lower bound, by two words that fewer blocks cannot tell apart.

The bound speaks of *latch models*: stacks of blocks in which everything but the recurrence looks at the last ``window``
positions of the block's input, and every gate is 0 or 1, where a gate of 1 comes with no write. (A compiled Mamba is
one unless it counts; ``window`` is d_conv. Precision, widths and the functions in between do not matter.) What such a
channel holds was written when its gate was last 0. So a block knows, besides its window, no more than *which of its
windows came last, which before that, and so on*: the order of last occurrences.

*Lemma.* Let class 0 of a prefix be its last token; let event i be the class i - 1 of the last ``window`` prefixes, and
class i the order of last occurrences of events i. Whatever a latch model knows after block d is a function of class d.
*Proof.* By induction the input of block i is a function of class i - 1, hence its window one of event i; gate and
write are functions of the window; the state is that of the last window with gate 0, which the order tells. QED.

Class d of a longer prefix is a function of class d and the letters that were added. So a language has a latch model of
d blocks only if the state of its minimal DFA is a function of class d, and two words of one class that lead to
different states refute it: a witness that is checked by reading both.

For one block no orders need be listed. Fix a *context*, the last ``window`` - 1 tokens, and call loop a word that leads
from it to itself. If the state is a function of the order, then loops x, y satisfy x x = x and x y x = y x on the
states that can stand there: right regular bands know no more than the order of last occurrences. The converse is proved
for windows of one letter, and was checked by enumeration for more (docs/walkthroughs/how_many_blocks.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, product

import numpy as np
from numpy.typing import NDArray

from ..alphabet import BOS, shown_word
from ..budget import DEFAULT_BUDGET, Budget, Meter
from ..deterministic import Deterministic
from ..dfa import Dfa
from ..errors import BudgetExceededError
from ..search import shortest

NOTHING = -1
"""What stands before ``<bos>`` in a window."""

Event = tuple[int, ...]
Word = tuple[int, ...]


@dataclass
class OrderClasses:
    """Classes of prefixes as numbers, level by level; made as words are read.

    Args:
        window: how many positions a block sees, at least 1.
    """

    window: int
    _numbers: dict[tuple[int, tuple[Event, ...]], int] = field(default_factory=dict)
    _orders: list[tuple[Event, ...]] = field(default_factory=list)

    def step(self, level: int, before: int, token: int) -> int:
        """The class of a prefix that is one token longer. O(level * length of the order).

        Args:
            level: which class.
            before: the class of the prefix at this level, ``NOTHING`` if there was none.
            token: the token's number; tokens are their own class 0.
        """
        if level == 0:
            return token
        order = () if before == NOTHING else self._orders[before]
        past = order[0] if order else (NOTHING,) * self.window
        event = (self.step(level - 1, past[0], token), *past)[: self.window]
        return self._number(level, (event, *(e for e in order if e != event)))

    def _number(self, level: int, order: tuple[Event, ...]) -> int:
        number = self._numbers.setdefault((level, order), len(self._orders))
        if number == len(self._orders):
            self._orders.append(order)
        return number

    def of(self, level: int, tokens: Sequence[int]) -> int:
        """The class of a whole prefix, ``<bos>`` included."""
        found = NOTHING
        for token in tokens:
            found = self.step(level, found, token)
        return found


@dataclass(frozen=True)
class DepthWitness:
    """Two words that no latch model of ``depth`` blocks tells apart, though different tokens may follow them.

    Attributes:
        depth: the number of blocks that do not suffice.
        window: how many positions each of them sees.
        words: the two words.
        differ: a token that may follow one of them only.
    """

    depth: int
    window: int
    words: tuple[tuple[str, ...], tuple[str, ...]]
    differ: str

    def check(self, dfa: Dfa) -> bool:
        """Read both words: whether their classes are the same and what may follow is not. O(depth * length^2)."""
        classes, alphabet = OrderClasses(self.window), (*dfa.alphabet, BOS)
        tokens = [[len(dfa.alphabet), *map(alphabet.index, word)] for word in self.words]
        same = len({classes.of(self.depth, prefix) for prefix in tokens}) == 1
        return same and len({self.differ in dfa.allowed(dfa.run(word)) for word in self.words}) == 2

    def live(self, dfa: Dfa) -> bool:
        """Whether both words are prefixes of words of the language, so that the bound is about live prefixes too."""
        return all(dfa.run(word) in dfa.live for word in self.words)

    def __str__(self) -> str:
        alphabet = sorted({s for word in self.words for s in word})
        first, second = (shown_word(word, alphabet) for word in self.words)
        return (
            f"{self.depth} block{'s' * (self.depth > 1)} of latches that see {self.window} letters at a time cannot "
            f"tell {first} from {second}, and {self.differ} may follow only one of them"
        )


def collision(dfa: Dfa, depth: int, window: int, budget: Budget = DEFAULT_BUDGET) -> DepthWitness | None:
    """Two words of one class that lead to different states, shortest first; None if there are none.

    Breadth first over pairs (class, state). O(pairs * letters * depth * length of an order); there are at most
    exponentially many in the number of windows for one block, and a tower of that for more.

    Raises:
        BudgetExceededError: more pairs than the budget allows, and none in conflict.
    """
    classes, meter = OrderClasses(window), budget.meter("classes of prefixes")
    bos = len(dfa.alphabet)
    start = classes.of(depth, [bos])
    word_to: dict[int, tuple[int, ...]] = {start: ()}
    state_of, queue = {start: dfa.initial}, [start]
    for found in queue:
        for a, target in enumerate(dfa.table[state_of[found]]):
            after, word = classes.step(depth, found, a), (*word_to[found], a)
            if after not in state_of:
                meter.tick()
                state_of[after], word_to[after] = target, word
                queue.append(after)
            elif state_of[after] != target:
                return _witness(dfa, depth, window, word_to[after], word)
    return None


def _witness(dfa: Dfa, depth: int, window: int, first: Sequence[int], second: Sequence[int]) -> DepthWitness:
    """The witness of two words that lead to different states: both prolonged until what may follow differs."""
    words = [tuple(dfa.alphabet[a] for a in word) for word in (first, second)]

    def moves(pair: tuple[int, int]) -> Iterator[tuple[str, tuple[int, int]]]:
        return ((s, (dfa.table[pair[0]][a], dfa.table[pair[1]][a])) for a, s in enumerate(dfa.alphabet))

    def differ(pair: tuple[int, int]) -> bool:
        return dfa.allowed(pair[0]) != dfa.allowed(pair[1])

    suffix = shortest((dfa.run(words[0]), dfa.run(words[1])), moves, differ)
    assert suffix is not None, "two states of a minimal DFA that no word tells apart"
    first_word, second_word = ((*word, *suffix) for word in words)
    tokens = dfa.allowed(dfa.run(first_word)) ^ dfa.allowed(dfa.run(second_word))
    return DepthWitness(depth, window, (first_word, second_word), min(tokens))


def one_block(dfa: Dfa, window: int, budget: Budget = DEFAULT_BUDGET) -> DepthWitness | None:
    """Two words that show that the state is no function of the order of last occurrences of windows; else None.

    Per context c, the loops at c are enumerated as maps of the states that can stand at c, each with a shortest word;
    the identities x x = x and x y x = y x are compared on all of them. O(k^window * maps^2 * n), with at most n^n maps.

    Raises:
        BudgetExceededError: more maps than the budget allows.
    """
    meter = budget.meter("maps of contexts")
    for context, reached in _fibres(dfa, window).items():
        if (found := _violation(dfa, context, tuple(reached), window, meter)) is not None:
            state, x, y = found
            # u y x and u x y x; y is empty where x x = x fails. Both end in the context, and the first x brings no
            # window that the last x does not bring again: the orders are the same.
            return _witness(dfa, 1, window, (*reached[state], *y, *x), (*reached[state], *x, *y, *x))
    return None


MOST_SHORT = 100_000
"""How many images of states under two short loops are compared."""


def two_blocks(dfa: Deterministic, window: int) -> bool:
    """Whether loops of one or two letters show that one block does not do, for windows of one or two letters.

    The identity of :func:`one_block`, without its words and for few loops, so that it costs next to nothing: True is a
    proof, False says nothing.
    """
    letters = dfa.semiautomaton.array.T
    k, n = letters.shape
    states = np.arange(n)
    if window == 1:
        loops = [letters, letters[:, letters].reshape(-1, n)]
        return any(_breaks(maps, states) for maps in (loops[0], np.vstack(loops)) if len(maps) ** 2 * n <= MOST_SHORT)
    if window != 2 or k**3 * n > MOST_SHORT:
        return False
    return any(_breaks(np.vstack([last[None], last[letters]]), np.unique(last)) for last in letters)


def _breaks(loops: NDArray[np.intp], states: NDArray[np.intp]) -> bool:
    """Whether x y x differs from y x at one of these states, for loops x and y, or no y."""
    before = np.vstack([np.arange(loops.shape[1])[None], loops])
    both = loops[:, before]  # of x, y and a state: where y x leads
    again = np.take_along_axis(both, loops[:, None, :], axis=2)
    return bool((both[:, :, states] != again[:, :, states]).any())


def _fibres(dfa: Dfa, window: int) -> dict[Word, dict[int, Word]]:
    """For each context, the last ``window`` - 1 letters, the states that can stand there, each with a shortest word."""
    start: tuple[Word, int] = ((), dfa.initial)
    word_to: dict[tuple[Word, int], Word] = {start: ()}
    fibres: dict[Word, dict[int, Word]] = {}
    for context, state in (queue := [start]):
        if len(context) == window - 1:
            fibres.setdefault(context, {})[state] = word_to[context, state]
        for a, target in enumerate(dfa.table[state]):
            after = ((*context, a)[max(0, len(context) + 2 - window) :], target)
            if after not in word_to:
                word_to[after] = (*word_to[context, state], a)
                queue.append(after)
    return fibres


def _violation(
    dfa: Dfa, context: Word, fibre: tuple[int, ...], window: int, meter: Meter
) -> tuple[int, Word, Word] | None:
    """A state and loops x, y at the context with state . x y x != state . y x (y empty: state . x x != state . x)."""
    identity = (context, fibre)
    word_to: dict[tuple[Word, tuple[int, ...]], Word] = {identity: ()}
    queue = [identity]
    for here, states in queue:
        for a in range(len(dfa.alphabet)):
            after = ((*here, a)[len(here) + 2 - window :], tuple(dfa.table[q][a] for q in states))
            if after not in word_to:
                meter.tick()
                word_to[after] = (*word_to[here, states], a)
                queue.append(after)
    loops = [states for here, states in queue if here == context]
    place = {state: n for n, state in enumerate(fibre)}
    maps = np.array([[place[q] for q in states] for states in loops])
    for number, x in enumerate(maps):
        meter.check_time()
        rows, columns = np.nonzero(x[maps[:, x]] != x[maps])  # row y, column q: q . x y x against q . y x
        if len(rows):
            words = [word_to[context, loops[n]] for n in (number, rows[0])]
            return fibre[columns[0]], words[0], words[1]
    return None


def pumped(dfa: Dfa, depth: int, window: int, budget: Budget = DEFAULT_BUDGET) -> DepthWitness | None:
    """Two words u x^m and u x^(m+1) of one class that lead to different states, x short; None if none was found.

    Powers are where aperiodic automata go deep: their classes stop changing, at a power that grows with the depth.
    """
    meter = budget.meter("powers of words")
    words_to = {state: word for _, found in _fibres(dfa, 1).items() for state, word in found.items()}
    classes, bos = OrderClasses(window), len(dfa.alphabet)
    try:
        for x in _words(len(dfa.alphabet)):
            for state, u in words_to.items():
                path = [state]
                while (after := _run(dfa, path[-1], x)) != path[-1] and len(path) <= dfa.n_states:
                    path.append(after)
                meter.tick(len(path))
                m = len(path) - 2  # the last power that differs from the next one
                if m < depth or len(path) > dfa.n_states:
                    continue
                first, second = (*u, *x * m), (*u, *x * (m + 1))
                if classes.of(depth, (bos, *first)) == classes.of(depth, (bos, *second)):
                    return _witness(dfa, depth, window, first, second)
    except BudgetExceededError:
        return None
    return None


def _words(letters: int) -> Iterator[Word]:
    """All words but the empty one, shortest first, for ever."""
    return (word for length in count(1) for word in product(range(letters), repeat=length))


def _run(dfa: Dfa, state: int, word: Word) -> int:
    for a in word:
        state = dfa.table[state][a]
    return state


SEARCHED = 20_000
"""How many classes, and how many powers, :func:`lower_bound` looks at per number of blocks."""

DEEPEST = 200
"""More blocks are not asked about. With a window of one letter, no number of blocks tells "a" from "aa"."""


def lower_bound(dfa: Dfa, window: int, budget: Budget = DEFAULT_BUDGET) -> DepthWitness | None:
    """The witness for the greatest number of blocks that was found not to suffice; None if one block might.

    One block is tested (:func:`one_block`, as far as the budget goes), more are searched: a bound, not the truth.
    """
    clock = budget.meter("maps of contexts")
    few = replace(budget, items=min(budget.items, SEARCHED))
    best = None
    for depth in range(1, DEEPEST + 1):
        try:
            clock.check_time()
            found = one_block(dfa, window, few) if depth == 1 else collision(dfa, depth, window, few)
        except BudgetExceededError:
            found = pumped(dfa, depth, window, few)
        if found is None:
            break
        best = found
    return best
