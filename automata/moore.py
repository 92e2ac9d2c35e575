"""Machines with outputs: a class after every word, instead of, or beside, what may come next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from .alphabet import EOS, Word, class_token
from .cards import brief, card, folded, picture, table
from .deterministic import Deterministic
from .dfa import Dfa
from .errors import AlphabetError, LanguageFormatError
from .pictures.dfa import MOST_STATES, dfa_svg
from .pictures.svg import Pictured
from .search import numbered
from .semiautomaton import Semiautomaton
from .told import Told

MOST_CLASSES = 10_000


@dataclass(frozen=True, eq=False)
class Moore(Deterministic, Pictured, Told):
    """A Moore machine: a complete deterministic automaton with an output, its *class*, in every state.

    Whatever machine is given, the value holds the canonical one with the same classes after all words: unreachable
    states dropped, equivalent states merged, states numbered breadth first from the initial state 0. Two values are
    equal iff they have the same alphabet and the same classes (in any order) and say the same after each word.

    Args:
        semiautomaton: states and transitions (complete).
        initial: number of the initial state.
        outputs: the class of each state.
        accepting: the states in which a word may end, if ``predicts``; else all.
        names: a name for each state, for people; by default the number.
        classes: all classes in order, those included that no word has; by default those that occur.
        predicts: whether the machine also says what may come next.

    Raises:
        LanguageFormatError: a number out of range, as many outputs or names as there are no states, fewer than two
            classes or very many, or an output that is no class.
        AlphabetError: a class that cannot be used, or a symbol that is called as a class is among tokens.

    >>> parity = Moore.from_table(("0", "1"), [[0, 1], [1, 0]], ["even", "odd"])
    >>> parity.output("0110"), parity.trace("10")
    ('even', ('even', 'odd', 'odd'))
    """

    semiautomaton: Semiautomaton
    initial: int
    outputs: tuple[str, ...]
    accepting: frozenset[int] = frozenset()
    names: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    predicts: bool = False

    def __post_init__(self) -> None:
        states = range(self.semiautomaton.n_states)
        if len(self.outputs) != len(states):
            raise LanguageFormatError(f"{len(self.outputs)} outputs for {len(states)} states; give one per state")
        object.__setattr__(self, "accepting", frozenset(self.accepting if self.predicts else states))
        object.__setattr__(self, "classes", tuple(self.classes or dict.fromkeys(self.outputs)))
        _check_classes(self.classes, self.outputs, self.alphabet)
        origin = self._canonical([(self.outputs[q], q in self.accepting) for q in states])
        object.__setattr__(self, "outputs", tuple(self.outputs[q] for q in origin))

    @classmethod
    def from_table(
        cls,
        alphabet: Sequence[str],
        table: Sequence[Sequence[int]],
        outputs: Sequence[str],
        initial: int = 0,
        accepting: Iterable[int] | None = None,
        names: Sequence[str] = (),
        classes: Sequence[str] = (),
    ) -> Moore:
        """From a complete table of state numbers, ``table[q][a]``, and the class of each state.

        With ``accepting`` the machine also says what may come next.
        """
        automaton = Semiautomaton(tuple(alphabet), tuple(tuple(row) for row in table))
        ends, predicts = frozenset(accepting or ()), accepting is not None
        return cls(automaton, initial, tuple(outputs), ends, tuple(names), tuple(classes), predicts)

    def _over(self, semiautomaton: Semiautomaton) -> Moore:
        return replace(self, semiautomaton=semiautomaton)

    # -- what it says ----------------------------------------------------------------------------------------------

    def output(self, word: Word) -> str:
        """The class after ``word``; :class:`UnknownSymbolError` for a foreign symbol."""
        return self.outputs[self.run(word)]

    def trace(self, word: Word) -> tuple[str, ...]:
        """The class after each prefix of ``word``, the empty one first."""
        states = [0]
        for symbol in word:
            states.append(self.table[states[-1]][self.semiautomaton.index_of(symbol)])
        return tuple(self.outputs[q] for q in states)

    @property
    def tokens(self) -> tuple[str, ...]:
        """The classes, as tokens; before them the symbols and ``<eos>`` if it says what may come next."""
        following = (*self.alphabet, EOS) if self.predicts else ()
        return (*following, *map(class_token, self.classes))

    def allowed(self, state: int) -> frozenset[str]:
        """The class of the state, as a token, and what may come next if the machine says that."""
        return (self._following(state) if self.predicts else frozenset()) | {class_token(self.outputs[state])}

    def answer(self, state: int) -> tuple[str, bool]:
        """The class, and whether the word may end."""
        return self.outputs[state], state in self.accepting

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the states, each with the class."""
        return tuple(f"{name} / {output}" for name, output in zip(self.names, self.outputs, strict=True))

    @property
    def ends(self) -> frozenset[int]:
        """The states in which a word may end, if the machine says that; else none."""
        return self.accepting if self.predicts else frozenset()

    @cached_property
    def domain(self) -> Dfa:
        """The words that may end: all of them if the machine does not say."""
        return Dfa(self.semiautomaton, 0, self.accepting, self.names)

    def language(self, *classes: str) -> Dfa:
        """The words that have one of these classes."""
        return Dfa(self.semiautomaton, 0, frozenset(q for q, o in enumerate(self.outputs) if o in classes), self.names)

    # -- values ----------------------------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Moore):
            return NotImplemented
        same = set(self.alphabet) == set(other.alphabet) and set(self.classes) == set(other.classes)
        if not same or self.predicts != other.predicts:
            return False
        columns = [other.semiautomaton.index_of(symbol) for symbol in self.alphabet]
        pairs, _ = numbered(
            (0, 0), lambda pq: zip(self.table[pq[0]], (other.table[pq[1]][c] for c in columns), strict=True)
        )
        return all(self.answer(p) == other.answer(q) for p, q in pairs)

    def __hash__(self) -> int:
        return hash((frozenset(self.alphabet), frozenset(self.classes), self.n_states))

    def __repr__(self) -> str:
        return (
            f"<Moore: {self.n_states} states over {{{brief(', '.join(self.alphabet))}}}, {len(self.classes)} classes>"
        )

    def _repr_html_(self) -> str:
        heads = ("state", *self.alphabet, "class")
        rows = (
            (self.names[q], *(self.names[t] for t in row), output)
            for q, (row, output) in enumerate(zip(self.table, self.outputs, strict=True))
        )
        facts = {"alphabet": " ".join(self.alphabet), "initial": self.names[0], "classes": " ".join(self.classes)}
        shown = (picture(self.svg()), folded("transitions", table(heads, rows)))
        return card(f"Moore machine, {self.n_states:,} states", facts, *shown)

    def svg(self) -> str | None:
        """The states, each with its class, and transitions; None if there are more than two dozen states."""
        if self.n_states > MOST_STATES:
            return None
        drawn = _Drawn(self.alphabet, self.table, self.labels, self.initial, self.ends, self.dead)
        return dfa_svg(drawn, f"Moore machine with {self.n_states} state{'s' * (self.n_states != 1)}")

    def __str__(self) -> str:
        lines = [f"Moore machine over {{{', '.join(self.alphabet)}}}, {self.n_states} states, initial 0"]
        for q, row in enumerate(self.table):
            mark = "*" if self.predicts and q in self.accepting else " "
            moves = "  ".join(f"{s}->{t}" for s, t in zip(self.alphabet, row, strict=True))
            label = "" if self.names[q] == str(q) else f"  [{self.names[q]}]"
            lines.append(f" {mark}{q:>4} / {self.outputs[q]}: {moves}{label}")
        return "\n".join(lines)


class _Drawn(NamedTuple):
    """What is drawn: names tell the classes, and nothing accepts where nothing is said of that."""

    alphabet: tuple[str, ...]
    table: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]
    initial: int
    accepting: frozenset[int]
    dead: int | None


def _check_classes(classes: Sequence[str], outputs: Sequence[str], alphabet: Sequence[str]) -> None:
    for name in classes:
        if not isinstance(name, str) or not name:
            raise AlphabetError(f"class {name!r} is no string with characters; name classes by strings")
        if any("\ud800" <= ch <= "\udfff" for ch in name):
            raise AlphabetError(f"class {name!r} holds half of a surrogate pair, which no file can store; rename it")
        if class_token(name) in alphabet:
            raise AlphabetError(
                f"symbol {class_token(name)!r} is what the class {name!r} is called; rename one of both"
            )
    if len(set(classes)) != len(classes):
        twice = next(name for i, name in enumerate(classes) if name in classes[:i])
        raise LanguageFormatError(f"class {twice!r} occurs twice among the classes")
    if unknown := [name for name in dict.fromkeys(outputs) if name not in set(classes)]:
        raise LanguageFormatError(f"output {unknown[0]!r} is none of the classes {', '.join(map(repr, classes[:10]))}")
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise LanguageFormatError(
            f"{len(classes)} classes; a machine tells at least two apart (name those that never occur, too: classes), "
            f"and at most {MOST_CLASSES:,}"
        )
