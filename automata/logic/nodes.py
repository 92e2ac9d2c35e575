"""Building past formulas in normal form: equal nodes once, the obvious simplified, ``!`` and ``Y`` pushed inside.

``!`` stands before ``S`` and ``Y`` only. ``Y`` stands before letters and before ``S`` only, and one ``Y`` at most
before an ``S``: it commutes with conjunctions, disjunctions and ``S``, and Y !x = Y letter & !Y x. So what a ``Y``
asks for is a letter a few steps back, or what a memory held one step back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..alphabet import BOS
from .past import And, Letters, Node, Not, Or, PastLtl, Since, Yesterday, children


class Nodes:
    """Nodes over an alphabet, as they are made. Every method gives the number of a node that means what it says."""

    def __init__(self, alphabet: Sequence[str]) -> None:
        self.alphabet = tuple(alphabet)
        self.inside = frozenset(alphabet)
        self.everywhere = self.inside | {BOS}
        self.nodes: list[Node] = []
        self._numbers: dict[Node, int] = {}
        self._earlier: dict[int, int] = {}
        self._opposite: dict[int, int] = {}

    def language(self, root: int) -> PastLtl:
        """The language of a node: with the nodes that it needs only, in the order in which they were made."""
        needed, todo = {root}, [root]
        while todo:
            new = set(children(self.nodes[todo.pop()])) - needed
            needed |= new
            todo += new
        number = {old: new for new, old in enumerate(sorted(needed))}
        return PastLtl(self.alphabet, tuple(_renumbered(self.nodes[old], number) for old in sorted(needed)))

    def copied(self, language: PastLtl) -> int:
        """The formula of another language over these symbols, in this normal form."""
        numbers: list[int] = []
        for node in language.nodes:
            match node:
                case Letters(symbols):
                    numbers.append(self.letters(symbols))
                case Not(of):
                    numbers.append(self.negated(numbers[of]))
                case And(of):
                    numbers.append(self.all(numbers[i] for i in of))
                case Or(of):
                    numbers.append(self.any(numbers[i] for i in of))
                case Yesterday(of):
                    numbers.append(self.yesterday(numbers[of]))
                case Since(hold, start):
                    numbers.append(self.since(numbers[hold], numbers[start]))
        return numbers[-1]

    # -- nodes ---------------------------------------------------------------------------------------------------------

    def letters(self, symbols: Iterable[str]) -> int:
        """The letter is one of these, of which ``<bos>`` may be one."""
        return self._number(Letters(frozenset(symbols)))

    @property
    def true(self) -> int:
        """True everywhere, at ``<bos>`` too."""
        return self.letters(self.everywhere)

    @property
    def false(self) -> int:
        """False everywhere."""
        return self.letters(())

    @property
    def here(self) -> int:
        """There is a letter: true but at ``<bos>``."""
        return self.letters(self.inside)

    @property
    def first(self) -> int:
        """This is the first letter."""
        return self.all([self.here, self.negated(self.yesterday(self.here))])

    def negated(self, of: int) -> int:
        """The negation."""
        match self.nodes[of]:
            case Letters(symbols):
                return self.letters(self.everywhere - symbols)
            case Not(inner):
                return inner
            case Yesterday() | Since():
                return self._number(Not(of))
        if of not in self._opposite:
            self._opposite[of] = self._negated(of)
        return self._opposite[of]

    def all(self, parts: Iterable[int]) -> int:
        """The conjunction."""
        return self._joined(And, parts)

    def any(self, parts: Iterable[int]) -> int:
        """The disjunction."""
        return self._joined(Or, parts)

    def since(self, hold: int, start: int) -> int:
        """``hold S start``."""
        hold, start = self._inner(hold), self._inner(start)
        if start in (self.false, self.here):
            return start
        if hold == self.false:
            return self.all([self.here, start])
        if hold == self.here and start == self.first:
            return self.here
        match self.nodes[hold], self.nodes[start]:
            case Letters(kept), Letters(begun) if kept <= begun:
                return start
        return self._number(Since(hold, start))

    def once(self, start: int) -> int:
        """``O start``."""
        return self.since(self.here, start)

    def yesterday(self, of: int) -> int:
        """``Y of``. O(nodes that it is pushed through)."""
        if of not in self._earlier:
            for number in self._pushed(of):
                if number not in self._earlier:
                    self._earlier[number] = self._yesterday(number)
        return self._earlier[of]

    # -- how they are made ---------------------------------------------------------------------------------------------

    def _number(self, node: Node) -> int:
        if node not in self._numbers:
            self._numbers[node] = len(self.nodes)
            self.nodes.append(node)
        return self._numbers[node]

    def _inner(self, number: int) -> int:
        """A node inside the word: what letters say of ``<bos>`` is left out."""
        node = self.nodes[number]
        return self.letters(node.symbols & self.inside) if isinstance(node, Letters) else number

    def _back(self, number: int) -> tuple[int, frozenset[str]] | None:
        """How many steps back which letters are asked for, if nothing else is."""
        back, node = 0, self.nodes[number]
        while isinstance(node, Yesterday):
            back, node = back + 1, self.nodes[node.of]
        return (back, node.symbols) if isinstance(node, Letters) else None

    def _negated(self, of: int) -> int:
        """The negation of a conjunction or disjunction, and of those in it: with the parts negated."""
        todo = [of]
        while todo:
            node = self.nodes[todo[-1]]
            inner = [i for i in children(node) if isinstance(self.nodes[i], And | Or) and i not in self._opposite]
            if inner:
                todo += inner
                continue
            number = todo.pop()
            parts = [self._opposite[i] if i in self._opposite else self.negated(i) for i in children(node)]
            self._opposite[number] = self._joined(Or if isinstance(node, And) else And, parts)
        return self._opposite[of]

    def _joined(self, kind: type[And | Or], parts: Iterable[int]) -> int:
        """A conjunction or disjunction: flat, letters at one place together, each part once."""
        conjunction = kind is And
        neutral, final = (self.true, self.false) if conjunction else (self.false, self.true)
        sets: dict[int, frozenset[str]] = {}
        others: dict[int, None] = {}
        for number in self._flat(kind, parts):
            if (found := self._back(number)) is None:
                others[number] = None
                continue
            back, symbols = found
            known = sets.get(back, symbols)
            sets[back] = known & symbols if conjunction else known | symbols
        farthest = max(sets, default=0)
        if conjunction:  # a letter further back says that there is one here
            sets = {back: s for back, s in sets.items() if back == farthest or s != self.inside}
        else:
            nearest = min((back for back, symbols in sets.items() if symbols == self.inside), default=farthest)
            sets = {back: symbols for back, symbols in sets.items() if back <= nearest}
        placed: list[int] = [self._letters_back(back, symbols) for back, symbols in sorted(sets.items())]
        merged = [number for number in dict.fromkeys((*placed, *others)) if number != neutral]
        if final in merged or any(self._numbers.get(Not(number)) in others for number in others):
            return final
        if not merged:
            return neutral
        return merged[0] if len(merged) == 1 else self._number(kind(tuple(merged)))

    def _flat(self, kind: type[And | Or], parts: Iterable[int]) -> list[int]:
        """The parts, and for those of the same kind their parts: one level deep, since those are flat."""
        flat: list[int] = []
        for number in parts:
            node = self.nodes[number]
            flat += node.of if isinstance(node, kind) else [number]
        return flat

    def _letters_back(self, back: int, symbols: frozenset[str]) -> int:
        number = self.letters(symbols)
        for _ in range(back):
            number = self.yesterday(number)
        return number

    def _pushed(self, of: int) -> list[int]:
        """The nodes that ``Y`` has to be pushed to, so that it is before this one: in the order in which to do it."""
        needed, todo = {of}, [of]
        while todo:
            node = self.nodes[todo.pop()]
            new: set[int] = set()
            if isinstance(node, And | Or | Not):
                new = {*children(node)}
            elif isinstance(node, Yesterday) and isinstance(inner := self.nodes[node.of], Since):
                new = {inner.hold, inner.start}
            new -= needed
            needed |= new
            todo += new
        return sorted(needed)

    def _yesterday(self, number: int) -> int:
        """``Y`` before a node whose parts have it already."""
        match self.nodes[number]:
            case Letters(symbols):
                inside = symbols & self.inside
                return self._number(Yesterday(self.letters(inside))) if inside else self.false
            case And(of):
                return self.all(self._earlier[i] for i in of)
            case Or(of):
                return self.any(self._earlier[i] for i in of)
            case Not(of):
                return self.all([self._number(Yesterday(self.here)), self.negated(self._earlier[of])])
            case Yesterday(of):
                match self.nodes[of]:
                    case Since(hold, start):
                        return self.yesterday(self.since(self._earlier[hold], self._earlier[start]))
                return self._number(Yesterday(number))
            case Since():
                return self._number(Yesterday(number))


def _renumbered(node: Node, number: dict[int, int]) -> Node:
    match node:
        case Not(of):
            return Not(number[of])
        case And(of):
            return And(tuple(number[i] for i in of))
        case Or(of):
            return Or(tuple(number[i] for i in of))
        case Yesterday(of):
            return Yesterday(number[of])
        case Since(hold, start):
            return Since(number[hold], number[start])
        case Letters():
            return node
