"""Automata that are a few registers side by side: one block, and one more where a read-out is no conjunction.

A *congruence* is a partition of the states such that each letter takes classes into classes; the classes are then an
automaton by themselves. If each letter keeps all of them, takes all to one, or exchanges two, and no circle of
exchanges has odd length (``circuits.memories.signs``), one register holds the class. A register with the same labels
that begins with another one holds another class, of another congruence. Several together hold the state if they tell
all states apart: so S_5, whose letters are exchanges of one point with others, needs no more than where four of the
points are, though its automaton has 120 states.

Congruences are looked for as the least ones in which two states are one, in which all letters but one stay in the class
of the initial state (the stabiliser of a point), and as joins of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from networkx.utils import UnionFind

from ...automata.alphabet import BOS, EOS
from ...automata.budget import Budget, Meter
from ...automata.deterministic import Deterministic
from ...automata.errors import BudgetExceededError
from .circuit import Circuit, CircuitBlock, CircuitChannel
from .forms import ALWAYS, ONE, Form, plus
from .levels import letter_feature
from .memories import Channels, Pair, Register, Shown, signs

STEPS = 300_000
"""So many pairs of states are merged in the search, if the budget allows more."""

Row = tuple[int, ...]


@dataclass(frozen=True)
class Held:
    """What a register holds.

    Attributes:
        of: its label in each state; the state 0 is the initial one.
        acts: for each letter, and each label, the label after it.
    """

    of: Row
    acts: tuple[Row, ...]

    @property
    def labels(self) -> range:
        """All labels."""
        return range(len(self.acts[0]) if self.acts else 1)

    @property
    def swaps(self) -> dict[Pair, list[int]]:
        """For each two labels the letters that exchange them."""
        found: dict[Pair, list[int]] = {}
        for a, act in enumerate(self.acts):
            if not self._writes(act) and (pair := moved(act)):
                found.setdefault((pair[0], pair[1]), []).append(a)
        return found

    @property
    def writes(self) -> dict[int, list[int]]:
        """For each label the letters that write it."""
        found: dict[int, list[int]] = {}
        for a, act in enumerate(self.acts):
            if self._writes(act):
                found.setdefault(act[0], []).append(a)
        return found

    @property
    def simple(self) -> bool:
        """Whether a register can do that: it keeps its label, exchanges two, or is written."""
        exchanged = (act for act in self.acts if not self._writes(act) and moved(act))
        return (
            len(self.labels) > 1
            and all(len(pair := moved(act)) == 2 and [act[i] for i in pair] == pair[::-1] for act in exchanged)
            and signs(self.labels, self.swaps) is not None
        )

    def _writes(self, act: Row) -> bool:
        return len(set(act)) == 1

    def begun(self, label: int, table: Sequence[Row]) -> Held | None:
        """The same from another label on; None if that is no function of the state. O(states * letters)."""
        of, waiting = {0: label}, [0]
        while waiting:
            state = waiting.pop()
            for act, after in zip(self.acts, table[state], strict=True):
                if after not in of:
                    of[after] = act[of[state]]
                    waiting.append(after)
                if of[after] != act[of[state]]:
                    return None
        return replace(self, of=tuple(of[q] for q in range(len(table))))


def moved(act: Row) -> list[int]:
    """The labels that do not stay."""
    return [i for i, after in enumerate(act) if after != i]


def registers(dfa: Deterministic, budget: Budget) -> tuple[Held, ...]:
    """A few registers that together hold the state, none of which can be left out; none where none are found.

    Args:
        dfa: the language.
        budget: how many pairs of states may be merged; a search that is cut short goes on with what it has.
    """
    table = dfa.table
    found: dict[Row, Held] = {}
    for classes in _congruences(table, replace(budget, items=min(budget.items, STEPS)).meter("pairs of states")):
        held = _quotient(classes, table)
        if held.simple:
            for label in held.labels:
                if (other := held.begun(label, table)) is not None:
                    found.setdefault(_numbered(other.of), other)
    chosen: list[Held] = []
    while len(seen := _together(chosen, dfa.n_states)) < dfa.n_states:
        best = max(found.values(), key=lambda held: len(_together([*chosen, held], dfa.n_states)), default=None)
        if best is None or len(_together([*chosen, best], dfa.n_states)) == len(seen):
            return ()
        chosen.append(best)
    for held in tuple(chosen):
        if len(_together(rest := [x for x in chosen if x is not held], dfa.n_states)) == dfa.n_states:
            chosen = rest
    return tuple(chosen)


def beside_circuit(dfa: Deterministic, budget: Budget) -> Circuit | None:
    """A language as a circuit of several registers side by side; None if there are no such registers, or one does.

    Args:
        dfa: the language.
        budget: see :func:`registers`.
    """
    chosen = registers(dfa, budget)
    if len(chosen) < 2:
        return None
    letters = {letter_feature(symbol): symbol for symbol in (*dfa.alphabet, BOS)}
    bos = len(letters) - 1
    named = [(_register(f"register {n}", held, bos), held) for n, held in enumerate(chosen)]
    reader = _Reader([held.of for held in chosen])
    allowed = [dfa.allowed(q) for q in range(dfa.n_states)]
    verdicts = {token: reader.verdict([token in tokens for tokens in allowed]) for token in dfa.tokens}
    shown = [
        CircuitChannel(
            f"[{register.name} = {label}]",
            bias=1,
            memory=Shown(register, label),
            gate=ALWAYS,
            writes={label_feature(n, label): 1},
        )
        for n, (register, held) in enumerate(named)
        for label in held.labels
        if (n, label) in reader.read
    ]
    blocks = [CircuitBlock("registers side by side", (*(CircuitChannel(x, {x: 1}) for x in letters), *shown))]
    if reader.states:
        blocks.append(CircuitBlock("which state it is", tuple(reader.channels())))
    return Circuit(
        kind="plan",
        construction=f"{len(chosen)} registers side by side, whose labels letters exchange or write (docs/groups.md)",
        alphabet=dfa.alphabet,
        features=(
            *letters,
            *(label_feature(*read) for read in sorted(reader.read)),
            *map(state_feature, reader.states),
        ),
        tokens={symbol: {name: 1} for name, symbol in letters.items()},
        blocks=tuple(blocks),
        verdicts=verdicts,
        contract="all-words" if EOS in dfa.tokens else "outputs",
        letters=letters,
        classes=dfa.classes,
    )


def label_feature(register: int, label: int) -> str:
    """The feature that says that a register holds a label."""
    return f"register {register} holds {label}"


def state_feature(state: int) -> str:
    """The feature that says that the automaton is in a state."""
    return f"state {state}"


class _Reader:
    """What has to be known of the registers, and of states where that is not enough.

    Attributes:
        of: for each register its label in each state.
        read: the registers and labels that are looked at.
        states: the states that a block of its own tells.
    """

    def __init__(self, of: Sequence[Row]) -> None:
        self.of, self.read, self.states = of, set[tuple[int, int]](), list[int]()

    def verdict(self, holds: Sequence[bool]) -> Form:
        """A form that is at most 0 in the states where something holds, and else 1 or more."""
        if not any(holds):
            return ALWAYS
        for told in (True, False):
            states = [q for q, held in enumerate(holds) if held is told]
            if (box := self._box(states)) is not None:
                misses = [self._outside(n, labels) for n, labels in box.items()]
                if told:
                    return plus(*misses)
                return plus({ONE: 1}, *({name: -weight for name, weight in miss.items()} for miss in misses))
        few = min(([q for q, held in enumerate(holds) if held is told] for told in (True, False)), key=len)
        self.states += [q for q in few if q not in self.states]
        self.read |= {(n, of[q]) for q in few for n, of in enumerate(self.of)}
        sign = -1 if holds[few[0]] else 1
        return plus({ONE: 1} if sign < 0 else {}, {state_feature(q): sign for q in few})

    def channels(self) -> Iterator[CircuitChannel]:
        """One for each state that is told: 1 where all registers hold what they do there."""
        for q in self.states:
            reads = {label_feature(n, of[q]): 1 for n, of in enumerate(self.of)}
            name = state_feature(q)
            yield CircuitChannel(name, reads, bias=1 - len(reads), skip=1, gate=ALWAYS, writes={name: 1})

    def _box(self, states: Sequence[int]) -> dict[int, set[int]] | None:
        """For some registers the labels that they hold in these states, and in no others do all; None if not so."""
        labels = [{of[q] for q in states} for of in self.of]
        inside = sum(
            all(of[q] in held for of, held in zip(self.of, labels, strict=True)) for q in range(len(self.of[0]))
        )
        if inside > len(states):
            return None
        return {n: held for n, (of, held) in enumerate(zip(self.of, labels, strict=True)) if held != set(of)}

    def _outside(self, n: int, labels: set[int]) -> Form:
        """1 where a register holds none of the labels, else 0."""
        others = set(self.of[n]) - labels
        few = min(labels, others, key=len)
        self.read |= {(n, label) for label in few}
        sign = 1 if few is others else -1
        return plus({ONE: 1} if sign < 0 else {}, {label_feature(n, label): sign for label in few})


def _register(name: str, held: Held, bos: int) -> Register:
    """A register whose events are letters, seen by the channels of their numbers."""
    writes: dict[int, Channels] = {label: dict.fromkeys(letters, 1) for label, letters in held.writes.items()}
    start = held.of[0]
    writes[start] = {**writes.get(start, {}), bos: 1}
    return Register(name, writes, {pair: dict.fromkeys(letters, 1) for pair, letters in held.swaps.items()})


# -- congruences -------------------------------------------------------------------------------------------------------


def _congruences(table: Sequence[Row], meter: Meter) -> Iterator[Row]:
    """Congruences, each once, until the meter is full: the class of each state."""
    n = len(table)
    first = table[0]
    seeds: list[list[Pair]] = [
        [(0, after) for other, after in enumerate(first) if other != letter] for letter in range(len(first))
    ]
    known: dict[Row, None] = {}
    try:
        for pairs in (*seeds, *([pair] for pair in combinations(range(n), 2))):
            if (classes := _least(table, pairs, meter)) not in known:
                known[classes] = None
                yield classes
        for one, other in combinations(tuple(known), 2):
            pairs = [(q, of.index(of[q])) for of in (one, other) for q in range(n)]
            if (classes := _least(table, pairs, meter)) not in known:
                known[classes] = None
                yield classes
    except BudgetExceededError:
        return


def _least(table: Sequence[Row], pairs: Iterable[Pair], meter: Meter) -> Row:
    """The least congruence in which the states of each pair are one."""
    one: UnionFind[int] = UnionFind(range(len(table)))
    waiting = list(pairs)
    while waiting:
        p, q = waiting.pop()
        meter.tick()
        if one[p] != one[q]:
            one.union(p, q)
            waiting += zip(table[p], table[q], strict=True)
    return _numbered(tuple(one[q] for q in range(len(table))))


def _numbered(of: Row) -> Row:
    """The same partition, its classes numbered in the order in which they come."""
    number: dict[int, int] = {}
    return tuple(number.setdefault(label, len(number)) for label in of)


def _quotient(of: Row, table: Sequence[Row]) -> Held:
    """The classes of a congruence as an automaton."""
    rows: Mapping[int, Row] = {label: tuple(of[q] for q in row) for label, row in zip(of, table, strict=True)}
    return Held(of, tuple(zip(*(rows[label] for label in range(len(rows))), strict=True)))


def _together(chosen: Sequence[Held], n_states: int) -> set[Row]:
    """What some registers hold in each state."""
    return {tuple(held.of[q] for held in chosen) for q in range(n_states)}
