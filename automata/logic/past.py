"""Languages of past formulas in a normal form: letters, Boolean operators, ``Y`` (yesterday) and ``S`` (since).

A :class:`PastLtl` is the words at whose last position a formula holds. The formula is a list of nodes, each of which
refers to earlier ones by number; the last one is the formula. The value of a node at a position depends on the letter
there and on the values of nodes there and one position earlier:

    letters A        the letter is in A; at ``<bos>``, the position before the first, whether ``<bos>`` is in A
    not, and, or     as usual
    Y i              false at ``<bos>`` and at the first position; else the value of i one position earlier
    S i j            false at ``<bos>``; else j holds here, or i holds here and S i j held one position earlier

So the language is read with one bit per ``Y`` and per ``S``, and the empty word is judged at ``<bos>``. Its automaton
may have as many states as there are combinations of these bits; nothing here builds it but :meth:`PastLtl.dfa`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..acceptor import Acceptor, Bools, Codes, Index
from ..alphabet import BOS, Word, check_alphabet, check_word, class_name
from ..budget import DEFAULT_BUDGET, Budget
from ..cards import brief
from ..dfa import Dfa
from ..errors import LanguageFormatError
from ..letters import Quotient, named_classes
from ..search import numbered
from ..told import Told
from .tree import Atom


@dataclass(frozen=True)
class Letters:
    """The letter here is one of these; ``<bos>`` is one."""

    symbols: frozenset[str]


@dataclass(frozen=True)
class Not:
    """The negation of a node."""

    of: int


@dataclass(frozen=True)
class And:
    """The conjunction of nodes."""

    of: tuple[int, ...]


@dataclass(frozen=True)
class Or:
    """The disjunction of nodes."""

    of: tuple[int, ...]


@dataclass(frozen=True)
class Yesterday:
    """A node held one position earlier, which was one of the word."""

    of: int


@dataclass(frozen=True)
class Since:
    """Some time, now perhaps, ``start`` held, and ``hold`` has held ever since (it need not then)."""

    hold: int
    start: int


LARGE = 256
"""A combination of bits counts once more against a budget for so many steps of nodes that it takes."""

Node = Letters | Not | And | Or | Yesterday | Since


class Moment(NamedTuple):
    """What a past formula knows after a token.

    Attributes:
        values: for each node whether it holds.
        begins: whether the token was ``<bos>``.
    """

    values: tuple[bool, ...]
    begins: bool


def children(node: Node) -> tuple[int, ...]:
    """The nodes that a node refers to."""
    match node:
        case Not(of) | Yesterday(of):
            return (of,)
        case And(of) | Or(of):
            return of
        case Since(hold, start):
            return (hold, start)
        case Letters():
            return ()


@dataclass(frozen=True)
class PastLtl(Told):
    """The words at whose last position a past formula holds; see the module's docstring.

    Attributes:
        alphabet: the symbols.
        nodes: the formula and its subformulas, each after those that it refers to; the last one is the formula.

    Raises:
        LanguageFormatError: no nodes, a node that refers to itself or a later one, or that is applied to nothing; or
            letters that are not in the alphabet.
        AlphabetError: an unusable symbol.
    """

    alphabet: tuple[str, ...]
    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        known = {*check_alphabet(self.alphabet), BOS}
        if not self.nodes:
            raise LanguageFormatError("a past formula has no nodes; give at least one")
        for number, node in enumerate(self.nodes):
            if isinstance(node, Letters):
                if not node.symbols <= known:
                    strange = min(node.symbols - known)
                    raise LanguageFormatError(f"node {number} has the letter {strange!r}, which is not in the alphabet")
            elif not children(node):
                raise LanguageFormatError(f"node {number} is applied to nothing")
            elif not all(0 <= child < number for child in children(node)):
                raise LanguageFormatError(f"node {number} refers to itself, to a later node, or to none")

    # -- on words ------------------------------------------------------------------------------------------------------

    def step(self, before: Moment | None, symbol: str = BOS) -> Moment:
        """The values of all nodes after one more symbol, or at ``<bos>`` where ``before`` is None. O(size)."""
        letter = BOS if before is None else symbol
        begins = before is None or before.begins
        earlier = () if before is None else before.values
        now: list[bool] = []
        for number, node in enumerate(self.nodes):
            match node:
                case Letters(symbols):
                    now.append(letter in symbols)
                case Not(of):
                    now.append(not now[of])
                case And(of):
                    now.append(all(now[i] for i in of))
                case Or(of):
                    now.append(any(now[i] for i in of))
                case Yesterday(of):
                    now.append(not begins and earlier[of])
                case Since(hold, start):
                    now.append(before is not None and (now[start] or (now[hold] and earlier[number])))
        return Moment(tuple(now), before is None)

    def run(self, word: Word) -> Iterator[Moment]:
        """The values of all nodes after every prefix, the empty one first.

        Raises:
            UnknownSymbolError: a symbol outside the alphabet.
        """
        check_word(word, self.alphabet)
        moment = self.step(None)
        yield moment
        for symbol in word:
            moment = self.step(moment, symbol)
            yield moment

    def accepts(self, word: Word) -> bool:
        """Whether ``word`` is in the language. O(length * size)."""
        *_, moment = self.run(word)
        return moment.values[-1]

    __contains__ = accepts

    @property
    def is_union(self) -> bool:
        """Whether it is known at once what may come next, as in unions of automata: it is not."""
        return False

    def dfa(self, budget: Budget = DEFAULT_BUDGET) -> Dfa:
        """The minimal DFA. O(reachable combinations of bits * letters that the formula tells apart * size).

        Raises:
            BudgetExceededError: more combinations than the budget allows.
        """
        remembered = {n for n, node in enumerate(self.nodes) if isinstance(node, Since)}
        remembered |= {node.of for node in self.nodes if isinstance(node, Yesterday)}

        def state(moment: Moment) -> tuple[Moment, bool]:
            kept = tuple(value and n in remembered for n, value in enumerate(moment.values))
            return moment._replace(values=kept), moment.values[-1]

        meter = budget.meter("combinations of bits")
        extra = len(self.nodes) * len(self.kinds) // LARGE

        def successors(node: tuple[Moment, bool]) -> list[tuple[Moment, bool]]:
            meter.tick(extra)
            return [state(self.step(node[0], kind[0])) for kind in self.kinds]

        found, table = numbered(state(self.step(None)), successors, meter)
        column = {symbol: number for number, kind in enumerate(self.kinds) for symbol in kind}
        rows = [[row[column[symbol]] for symbol in self.alphabet] for row in table]
        return Dfa.from_table(self.alphabet, rows, 0, [n for n, (_, accepting) in enumerate(found) if accepting])

    @cached_property
    def kinds(self) -> tuple[tuple[str, ...], ...]:
        """The letters, those together that the formula does not tell apart."""
        sets = [node.symbols for node in self.nodes if isinstance(node, Letters)]
        found: dict[tuple[bool, ...], list[str]] = {}
        for symbol in self.alphabet:
            found.setdefault(tuple(symbol in letters for letters in sets), []).append(symbol)
        return tuple(map(tuple, found.values()))

    @cached_property
    def quotient(self) -> Quotient[PastLtl]:
        """The formula over classes of letters that it does not tell apart; its nodes keep their numbers."""
        members = named_classes(self.kinds)

        def over_classes(node: Node) -> Node:
            if not isinstance(node, Letters):
                return node
            names = {name for name, letters in members.items() if letters[0] in node.symbols}
            return Letters(frozenset(names | (node.symbols & {BOS})))

        return Quotient(self.alphabet, PastLtl(tuple(members), tuple(map(over_classes, self.nodes))), members)

    # -- for people ----------------------------------------------------------------------------------------------------

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Each node as a formula; where one would be long, its parts are called ``#number``."""
        texts: list[str] = []
        for node in self.nodes:
            text = self._text(node, texts)
            texts.append(text if len(text) <= 80 else self._text(node, [_short(n, t) for n, t in enumerate(texts)]))
        return tuple(texts)

    def _text(self, node: Node, texts: Sequence[str]) -> str:
        def inner(number: int) -> str:
            text = texts[number]
            return f"({text})" if " " in text else text

        match node:
            case Letters(symbols):
                return self._letters(symbols)
            case Not(of):
                return f"!{inner(of)}"
            case And(of):
                return " & ".join(map(inner, of))
            case Or(of):
                return " | ".join(map(inner, of))
            case Yesterday(of):
                return f"Y {inner(of)}"
            case Since(hold, start):
                held = self.nodes[hold]
                always = isinstance(held, Letters) and set(self.alphabet) <= held.symbols
                return f"O {inner(start)}" if always else f"{inner(hold)} S {inner(start)}"

    def _letters(self, symbols: frozenset[str]) -> str:
        others = tuple(symbol for symbol in self.alphabet if symbol not in symbols)
        own = tuple(symbol for symbol in self.alphabet if symbol in symbols)
        if not others:
            return "true" if BOS in symbols else "letter"
        if len(others) < len(own):
            return f"!{_named(others)}"
        if not own:
            return BOS if BOS in symbols else "false"
        return f"{_named(own)} | {BOS}" if BOS in symbols else _named(own)

    def __repr__(self) -> str:
        return f"<PastLtl: {brief(str(self))}>"

    def __str__(self) -> str:
        return self.texts[-1]


def _named(symbols: tuple[str, ...]) -> str:
    return str(Atom(symbols[0])) if len(symbols) == 1 else class_name(symbols)


def _short(number: int, text: str) -> str:
    return text if len(text) <= 12 else f"#{number}"


class PastAcceptor:
    """Ground truth: the values of all nodes for a batch of words, letter by letter."""

    def __init__(self, language: PastLtl) -> None:
        self.language = language
        self._codes = Acceptor(language.alphabet, [[0] * len(language.alphabet)], 0, ())

    @property
    def alphabet(self) -> tuple[str, ...]:
        """The symbols in the order of the letter numbers."""
        return self.language.alphabet

    def encode(self, words: Sequence[Word]) -> tuple[Codes, Index]:
        """See :meth:`Acceptor.encode`."""
        return self._codes.encode(words)

    def next_masks(self, codes: ArrayLike, lengths: ArrayLike) -> NDArray[np.bool_]:
        """Whether every prefix may end, in the last column of shape (words, longest + 1, k + 1); the others are false.

        O(words * longest * nodes).
        """
        letters = np.asarray(codes, dtype=np.intp)
        words, longest = letters.shape
        masks = np.zeros((words, longest + 1, len(self.alphabet) + 1), dtype=np.bool_)
        values = self.begin((words,))
        masks[:, 0, -1] = values[-1]
        for i in range(longest):
            values = self.step(letters[:, i], values, first=i == 0)
            masks[:, i + 1, -1] = values[-1]
        return masks

    def begin(self, shape: tuple[int, ...]) -> list[Bools]:
        """The values of all nodes at ``<bos>``, each of this shape."""
        nothing = np.zeros(shape, dtype=np.bool_)
        return self._all(lambda node: np.full(shape, BOS in node.symbols), None, nothing)

    def step(self, letters: Index, before: Sequence[Bools], *, first: bool) -> list[Bools]:
        """The values of all nodes after one more letter.

        Args:
            letters: letter numbers.
            before: the values before them, of a shape that is broadcast with that of ``letters``.
            first: whether those are the values at ``<bos>``.
        """
        shape = np.broadcast_shapes(letters.shape, before[0].shape)

        def here(node: Letters) -> Bools:
            asked = np.array([symbol in node.symbols for symbol in self.alphabet], dtype=np.bool_)
            return np.broadcast_to(asked[letters], shape)

        return self._all(here, before, np.zeros(shape, dtype=np.bool_), first=first)

    def _all(
        self,
        here: Callable[[Letters], Bools],
        before: Sequence[Bools] | None,
        nothing: Bools,
        *,
        first: bool = False,
    ) -> list[Bools]:
        """The values of all nodes; ``nothing`` is false everywhere."""
        now: list[Bools] = []
        for number, node in enumerate(self.language.nodes):
            match node:
                case Letters():
                    now.append(here(node))
                case Not(of):
                    now.append(~now[of])
                case And(of):
                    now.append(np.logical_and.reduce([now[i] for i in of]))
                case Or(of):
                    now.append(np.logical_or.reduce([now[i] for i in of]))
                case Yesterday(of):
                    now.append(nothing if before is None or first else before[of] | nothing)
                case Since(hold, start):
                    now.append(nothing if before is None else now[start] | (now[hold] & before[number]))
        return now


# -- JSON --------------------------------------------------------------------------------------------------------------


def past_to_json(language: PastLtl) -> dict[str, Any]:
    """``{"alphabet": [...], "nodes": [...]}``, a node being one of

    ``["letters", [...]]``, ``["not", i]``, ``["and", [i, ...]]``, ``["or", [i, ...]]``, ``["Y", i]``, ``["S", i, j]``.
    """
    order = {symbol: number for number, symbol in enumerate((*language.alphabet, BOS))}

    def written(node: Node) -> list[Any]:
        match node:
            case Letters(symbols):
                return ["letters", sorted(symbols, key=order.__getitem__)]
            case Not(of):
                return ["not", of]
            case And(of):
                return ["and", list(of)]
            case Or(of):
                return ["or", list(of)]
            case Yesterday(of):
                return ["Y", of]
            case Since(hold, start):
                return ["S", hold, start]

    return {"alphabet": list(language.alphabet), "nodes": [written(node) for node in language.nodes]}


def past_from_json(data: Any) -> PastLtl:
    """The inverse of :func:`past_to_json`.

    Raises:
        LanguageFormatError: it is malformed; see :class:`PastLtl`, too.
    """
    if not isinstance(data, Mapping) or set(data) != {"alphabet", "nodes"}:
        raise LanguageFormatError('a past formula is {"alphabet": [...], "nodes": [...]}')
    alphabet, nodes = data["alphabet"], data["nodes"]
    if not isinstance(alphabet, (list, tuple)) or not isinstance(nodes, (list, tuple)):
        raise LanguageFormatError("the alphabet and the nodes of a past formula are lists")
    return PastLtl(check_alphabet(alphabet), tuple(_node(number, node) for number, node in enumerate(nodes)))


def _node(number: int, data: Any) -> Node:
    match data:
        case ["letters", [*symbols]] if all(isinstance(symbol, str) for symbol in symbols):
            return Letters(frozenset(symbols))
        case ["not", int(of)] if type(of) is int:
            return Not(of)
        case ["Y", int(of)] if type(of) is int:
            return Yesterday(of)
        case ["S", int(hold), int(start)] if type(hold) is int and type(start) is int:
            return Since(hold, start)
        case ["and", [*of]] if all(type(i) is int for i in of):
            return And(tuple(of))
        case ["or", [*of]] if all(type(i) is int for i in of):
            return Or(tuple(of))
    raise LanguageFormatError(
        f'node {number} of a past formula is malformed; it is one of ["letters", [...]], ["not", i], '
        '["and", [i, ...]], ["or", [i, ...]], ["Y", i], ["S", i, j]'
    )
