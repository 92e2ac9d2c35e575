"""Nested languages in three blocks: the depth; what the level at each depth remembers; what may come next.

Block 1 counts the depth d. Block 2 holds for each depth l what a level there remembers (``memories``): it is
overwritten by an event when d = l after it, and shown when d = l; so a level that waits for one inside it stays as it
is. Block 3 puts together what is shown. Where events are two symbols, one more block before these says which came. The
tents that compare d with l, and the three copies of each latch, are those of ``circuits.bounded_dyck``. O(h * memories)
channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ....automata.alphabet import BOS, EOS
from ....automata.budget import DEFAULT_BUDGET, Budget
from ....automata.nested.language import NestedLanguage
from ...plan.windows import windows
from ..circuit import Circuit, CircuitBlock, CircuitChannel, Latch, indicator, tent
from ..counting import FLOAT_BITS, counting_block
from ..forms import ALWAYS, ONE, Form, plus, times
from ..latching import latch_errors
from ..levels import letter_feature
from .memories import Event, LevelMemory, LevelMemoryError, level_memories

DEPTH, OPEN = "depth", "depth >= 1"


def nested_circuit(language: NestedLanguage, *, all_words: bool = False, budget: Budget = DEFAULT_BUDGET) -> Circuit:
    """Three blocks for live prefixes, or four if events are two symbols; one more, the error latch, for all words.

    Raises:
        LevelMemoryError: the control of a level needs more than one block.
        BudgetExceededError: the search for memories is too long.
    """
    return LevelCircuit(language, level_memories(language, budget)).circuit(all_words=all_words)


class LevelCircuit:
    """The circuit of a language whose levels have these memories."""

    def __init__(self, language: NestedLanguage, memories: Sequence[LevelMemory]) -> None:
        self.language, self.memories = language, memories
        self.letters = {letter_feature(symbol): symbol for symbol in (*language.alphabet, BOS)}
        self.here: Form = dict.fromkeys(self.letters, 1)  # 1 at every letter, 0 where none was read
        # Memories that the same events overwrite share the feature that says so.
        self.written = list(dict.fromkeys(frozenset(memory.writes) for memory in memories))

    def circuit(self, *, all_words: bool) -> Circuit:
        """The circuit."""
        language = self.language
        rows, row_block = self._rows()
        rooms = sorted(set(language.deepest.values()))
        verdicts: dict[str, Form] = {}
        for token in (*language.alphabet, EOS):
            verdicts[token] = plus(ALWAYS, *(times(-1, {name: 1}) for name, tokens in rows.items() if token in tokens))
            if token in language.opens:
                verdicts[token] = plus(verdicts[token], {_deep(language.deepest[token]): 1})
            if token == EOS:
                verdicts[token] = plus(verdicts[token], {OPEN: 1})
            if token in language.returns:
                verdicts[token] = plus(verdicts[token], self.here, {OPEN: -1})
        shown = [self._top(m, label) for m, label in self._labels()]
        events = [name for name, _ in self._features()]
        circuit = Circuit(
            kind="nested",
            construction=f"nested words: a depth counter and {len(shown)} latches per depth",
            alphabet=language.alphabet,
            features=(*self.letters, *events, DEPTH, *shown, *map(_deep, rooms), *([OPEN] * (1 not in rooms)), *rows),
            tokens={symbol: self._token(symbol) for symbol in (*language.alphabet, BOS)},
            blocks=(*self._events(), self._counting(), self._levels(rooms, all_words=all_words), row_block),
            verdicts=verdicts,
            contract="live-prefixes",
            limits={DEPTH: _limits(language.depth)},
            reach={} if all_words else {DEPTH: language.depth},
            letters=self.letters,
        )
        if not all_words:
            return circuit
        letters: dict[str, Form] = {symbol: {name: 1} for name, symbol in self.letters.items() if symbol != BOS}
        return latch_errors(circuit, letters, letter_feature(BOS), at_most_one=False)

    # -- names ---------------------------------------------------------------------------------------------------------

    def _labels(self) -> list[tuple[int, int]]:
        return [(m, label) for m, memory in enumerate(self.memories) for label in range(1, memory.size)]

    @staticmethod
    def _fires(n: int) -> str:
        return f"memory {n} is overwritten"

    def _value(self, m: int, label: int) -> str:
        return f"event into {self.memories[m].meaning(label)} ({m})"

    def _top(self, m: int, label: int) -> str:
        return f"level in {self.memories[m].meaning(label)} ({m})"

    # -- blocks --------------------------------------------------------------------------------------------------------

    def _features(self) -> Iterator[tuple[str, frozenset[Event]]]:
        """The features that say that an event came, with the events."""
        for n, events in enumerate(self.written):
            yield self._fires(n), events
        for m, label in self._labels():
            writes = self.memories[m].writes
            yield self._value(m, label), frozenset(event for event, written in writes.items() if written == label)

    def _token(self, symbol: str) -> Form:
        """The features that a symbol sets by itself."""
        known = {
            name: 1 for name, events in self._features() for e in events if e.symbol == symbol and e.before is None
        }
        return {letter_feature(symbol): 1, **known}

    def _events(self) -> Iterator[CircuitBlock]:
        """A block for the events that are two symbols, if there are any."""
        channels = [channel for name, events in self._features() for channel in self._windows(name, events)]
        if channels:
            yield CircuitBlock("the last two symbols", tuple(channels))

    def _counting(self) -> CircuitBlock:
        """The depth."""
        opens = {letter_feature(symbol): 1 for symbol in self.language.opens}
        closes = {letter_feature(symbol): 1 for symbol in sorted(self.language.returns)}
        inside = {name: 1 for name, symbol in self.letters.items() if symbol != BOS}
        kinds = [CircuitChannel("opening", opens), CircuitChannel("closing", closes)]
        return counting_block("depth", inside, letter_feature(BOS), kinds, {DEPTH: (0, [1, -1])})

    def _windows(self, name: str, events: frozenset[Event]) -> Iterator[CircuitChannel]:
        """Channels that write a feature where one of these events of two symbols comes."""
        before: dict[str, set[str]] = {}
        for event in events:
            if event.before is not None:
                before.setdefault(event.symbol, set()).add(event.before)
        together: dict[frozenset[str], set[str]] = {}
        for symbol, found in before.items():
            together.setdefault(frozenset(found), set()).add(symbol)
        for lasts, symbols in together.items():
            pieces = windows({0: frozenset(symbols), 1: lasts}, self.language.alphabet)
            if pieces is None:
                raise LevelMemoryError(f"{name}: a window of two symbols that one channel cannot see")
            for piece in pieces:
                reads = {letter_feature(a): weight for a, weight in piece.letters.items()}
                for excess in range(piece.channels):
                    yield CircuitChannel(
                        f"excess of: {name}" if excess else name,
                        reads,
                        piece.taps,
                        1 - piece.theta - excess,
                        skip=1,
                        gate=ALWAYS,
                        writes={name: -1 if excess else 1},
                    )

    def _levels(self, rooms: Sequence[int], *, all_words: bool) -> CircuitBlock:
        """What the level at each depth remembers, shown at its depth."""
        h = self.language.depth
        channels = [CircuitChannel("always 1", bias=1)]
        for least in sorted({1, *rooms}):
            channels += indicator(_deep(least), {DEPTH: 1}, least, gate=ALWAYS, writes=_deep(least))
        ramps: list[range] = []
        last = h + 1 if all_words else h - 1
        for n in range(len(self.written)):
            ramps.append(range(len(channels), len(channels) + last + 2))
            for m in range(-1, last + 1):
                reads = {DEPTH: 1, self._fires(n): h + 1}
                channels.append(CircuitChannel(f"{self._fires(n)}: depth above {m}", reads, bias=-(h + 1) - m))
        for depth in range(h + 1):
            for m, label in self._labels():
                kind = self.written.index(frozenset(self.memories[m].writes))
                fires = tent(ramps[kind], depth + 1)
                name = f"the level at depth {depth} is in {self.memories[m].meaning(label)} ({m})"
                for excess, weight in ((-1, 1), (0, -2), (1, 1)):
                    if depth + excess >= h and not all_words:
                        continue  # max(0, d - depth - excess) = 0 for d <= h
                    channels.append(
                        CircuitChannel(
                            f"{name}, times max(0, depth - {depth + excess})",
                            {self._value(m, label): 1},
                            memory=Latch(name, fires, -1),
                            gate={DEPTH: 1, ONE: -(depth + excess)},
                            writes={self._top(m, label): weight},
                        )
                    )
        return CircuitBlock("a level per depth", tuple(channels))

    def _rows(self) -> tuple[Mapping[str, frozenset[str]], CircuitBlock]:
        """Features that say what the level's state allows, each with the tokens; and the block that writes them."""
        language = self.language
        occur = {state for levels in language.reachable for states in levels.values() for state in states}
        vectors: dict[tuple[int, ...], str] = {}
        for state in language.states:
            if state in occur:
                vectors.setdefault(tuple(memory.labels[state] for memory in self.memories), state)
        rows: dict[frozenset[str], str] = {}
        channels = []
        for vector, state in vectors.items():
            tokens = frozenset(
                {
                    *language.steps.get(state, ()),
                    *language.closes.get(state, ()),
                    *[EOS] * (state in language.accepting),
                }
            )
            name = rows.setdefault(tokens, f"state {state} or like it")
            literals = [self._literal(m, label) for m, label in enumerate(vector)]
            reads = plus(self.here, *literals)
            channels.append(
                CircuitChannel(f"state {state}", reads, bias=-len(literals), skip=1, gate=ALWAYS, writes={name: 1})
            )
        return {name: tokens for tokens, name in rows.items()}, CircuitBlock("what may come next", tuple(channels))

    def _literal(self, m: int, label: int) -> Form:
        """A form that is 1 where the level on top has the label."""
        if label:
            return {self._top(m, label): 1}
        return plus(self.here, *({self._top(m, other): -1} for other in range(1, self.memories[m].size)))


def _deep(least: int) -> str:
    return OPEN if least == 1 else f"depth >= {least}"


def _limits(h: int) -> dict[str, int]:
    """The largest |depth| at which everything is exact, as for bounded Dyck languages (``circuits.bounded_dyck``)."""
    summed = 2**24 // (2 * h + 4) - h
    found = {dtype: min(summed, 2**bits - 2 * (h + 2)) for dtype, bits in FLOAT_BITS.items()}
    return {dtype: limit for dtype, limit in found.items() if limit >= h}
