"""LTLf to a DFA by progression: after each letter, the formula that the rest of the word has to satisfy.

A state is a Boolean function of *obligations*, formulas that speak of the positions to come; a letter turns each into a
function of obligations again,

    next(p U q) = q | p & (p U q),     next(X f) = f if there is a letter,

and equal functions, as decision diagrams, are one state. Past formulas inside are run beside, bit by bit. The word may
end where the function holds when every obligation has its value on the empty word. The states are then minimised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from ..budget import DEFAULT_BUDGET, Budget
from ..dfa import Dfa
from ..diagrams import FALSE, TRUE, Diagrams
from ..search import numbered
from .boolean import combined
from .nodes import Nodes
from .past import Moment, PastLtl, Since, Yesterday
from .translate import past_number
from .tree import BOOLEAN, Constant, Formula, Operation, looks_ahead
from .truth import accepts

State = tuple[int | None, Moment]
"""What the rest has to satisfy, as a diagram (None: nothing was read yet), and what the past formulas know."""


def future_dfa(
    formula: Formula, alphabet: Sequence[str], letters: Mapping[str, Set[str]], budget: Budget = DEFAULT_BUDGET
) -> Dfa:
    """The words at whose first position a formula holds, as the minimal DFA.

    Args:
        formula: in it no future operator stands inside a past one.
        alphabet: the symbols.
        letters: for each atom the symbols of which it is true.
        budget: how many states.

    Raises:
        BudgetExceededError: more states than the budget allows.
    """
    progression = _Progression(formula, alphabet, letters, budget)
    past = progression.past
    start: State = (None, progression.kept(past.step(None)))
    found, table = numbered(
        start,
        lambda state: [progression.step(state, kind[0]) for kind in past.kinds],
        budget.meter("formulas that are left"),
    )
    column = {symbol: number for number, kind in enumerate(past.kinds) for symbol in kind}
    rows = [[row[column[symbol]] for symbol in alphabet] for row in table]
    at_once = accepts(formula, [], "first")
    ends = [n for n, (rest, _) in enumerate(found) if (at_once if rest is None else progression.may_end(rest))]
    return Dfa.from_table(alphabet, rows, 0, ends)


class _Progression:
    """The obligations of a formula, and what becomes of them."""

    def __init__(
        self, formula: Formula, alphabet: Sequence[str], letters: Mapping[str, Set[str]], budget: Budget
    ) -> None:
        self.formula = formula
        self.diagrams = Diagrams[Formula]({}, budget)
        nodes = Nodes(alphabet)
        self._number = {part: past_number(part, nodes, letters) for part in _past_parts(formula)}
        self.past = PastLtl(tuple(alphabet), tuple(nodes.nodes))
        bits = {n for n, node in enumerate(self.past.nodes) if isinstance(node, Since)}
        self._bits = bits | {node.of for node in self.past.nodes if isinstance(node, Yesterday)}
        self._next: dict[tuple[bool, ...], dict[Formula, int]] = {}
        self._steps: dict[tuple[int | None, tuple[bool, ...]], int] = {}

    def kept(self, moment: Moment) -> Moment:
        """What has to be remembered of a moment."""
        begins = moment.begins and bool(self._bits)
        return Moment(tuple(value and n in self._bits for n, value in enumerate(moment.values)), begins)

    def may_end(self, rest: int) -> bool:
        """Whether a function holds if there is no position to come."""
        d = self.diagrams
        return d.replaced(rest, dict.fromkeys(d.variables(rest), FALSE)) == TRUE

    def step(self, state: State, symbol: str) -> State:
        """The state after one more letter."""
        rest, before = state
        moment = self.past.step(before, symbol)
        key = rest, moment.values
        if key not in self._steps:
            here = self._next.setdefault(moment.values, {})
            if rest is None:
                self._steps[key] = self._here(self.formula, moment.values, here)
            else:
                asked = self.diagrams.variables(rest)
                by = {part: self._here(part, moment.values, here) for part in asked}
                self._steps[key] = self.diagrams.replaced(rest, by)
        return self._steps[key], self.kept(moment)

    def _here(self, formula: Formula, values: Sequence[bool], known: dict[Formula, int]) -> int:
        """What the positions to come have to satisfy so that a formula holds here."""
        if formula not in known:
            known[formula] = self._progressed(formula, values, known)
        return known[formula]

    def _progressed(self, formula: Formula, values: Sequence[bool], known: dict[Formula, int]) -> int:
        d = self.diagrams
        if formula in self._number:
            return TRUE if values[self._number[formula]] else FALSE
        if isinstance(formula, Constant):  # ``last``
            return d.negated(self._later(TRUTH))
        assert isinstance(formula, Operation)
        if formula.operator in "XN":
            inner = formula.parts[0]
            return self._later(inner) if formula.operator == "X" else d.negated(self._later(_not(inner)))
        parts = [self._here(part, values, known) for part in formula.parts]
        if formula.operator in BOOLEAN:
            return combined(formula.operator, parts, d)
        left, right = parts[0], parts[-1]
        match formula.operator:
            case "F":
                return d.any([left, self._later(formula)])
            case "U":
                return d.any([right, d.both(left, self._later(formula))])
            case "M":
                return d.both(right, d.any([left, self._later(formula)]))
        # What holds for want of positions: where there is one more, it has to hold there.
        later = d.negated(self._later(_not(formula)))
        match formula.operator:
            case "G":
                return d.both(left, later)
            case "W":
                return d.any([right, d.both(left, later)])
            case "R":
                return d.both(right, d.any([left, later]))
        raise AssertionError(f"{formula.operator} is no future operator")

    def _later(self, formula: Formula) -> int:
        """There is a next position, and the formula holds there."""
        if formula not in self.diagrams.domains:
            self.diagrams.add(formula, (False, True))
        return self.diagrams.literal(formula, [True])


TRUTH = Constant("true")


def _not(formula: Formula) -> Formula:
    return Operation("!", (formula,))


def _past_parts(formula: Formula) -> set[Formula]:
    """The largest parts without a future, and ``true``."""
    found: set[Formula] = {TRUTH}
    todo = [formula]
    while todo:
        part = todo.pop()
        if not looks_ahead(part):
            found.add(part)
        elif isinstance(part, Operation):
            todo += part.parts
    return found
