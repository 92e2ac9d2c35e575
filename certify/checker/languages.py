"""The languages of certificates, read from JSON and checked without the code that made them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from .formulas import Formula, read_formula
from .parts import Bools, Ints, need

TESTS = {"zero": {0}, "nonzero": {-1, 1}, "positive": {1}, "negative": {-1}}
SIGNS = (-1, 0, 1)
MOST_WAYS = 1 << 14
"""That the signs can change in one transition."""
MOST_PAIRS = 1_000_000
"""States that stand side by side, before a comparison gives up."""
NONE: Ints = np.zeros(0, dtype=np.int64)
MOST_UPDATES = 1_000_000
"""Of ranks, before the search for a ranking gives up."""

Node = tuple[int, tuple[int, ...]]
"""A control state and the signs of the counters."""
Moves = list[list[tuple[Node, tuple[int, ...]]]]
"""Per letter: where it may lead, with the largest change of each counter's size on the way."""


class Language(NamedTuple):
    """A language by its automaton; state 0 is initial.

    Attributes:
        symbols: the alphabet.
        table: per state and letter the next state.
        accepting: per state.
        live: per state, whether an accepting one can be reached.
        classes: those of a machine with outputs.
        outputs: the number of the class of each state, if there are classes.
        predicts: whether it is said what may come next.
    """

    symbols: list[str]
    table: Ints
    accepting: Bools
    live: Bools
    classes: tuple[str, ...] = ()
    outputs: Ints = NONE
    predicts: bool = True

    @property
    def value(self) -> dict[str, object]:
        """What is hashed."""
        accepting = np.flatnonzero(self.accepting).tolist()
        return {"alphabet": self.symbols, "table": self.table.tolist(), "accepting": accepting}

    def allowed(self) -> Bools:
        """Per state: each next symbol, then the end of the word, then each class."""
        following = np.concatenate([self.live[self.table], self.accepting[:, None]], axis=1)
        if not self.classes:
            return following
        return np.concatenate([following, self.outputs[:, None] == np.arange(len(self.classes))], axis=1)

    def only(self, letters: list[int]) -> Language:
        """The words over some of the letters; states keep their numbers."""
        return self._replace(symbols=[self.symbols[a] for a in letters], table=self.table[:, letters])


def read_dfa(given: dict[str, Any]) -> Language:
    """Read a complete DFA whose states are listed in the order in which breadth-first search meets them."""
    symbols, states, rows = given["alphabet"], given["states"], given["transitions"]
    number = {q: n for n, q in enumerate(states)}
    need(len(number) == len(states) and set(rows) == set(states), "language: states and transitions differ")
    need(len(set(symbols)) == len(symbols), "language: a symbol occurs twice")
    need(all(set(row) == set(symbols) for row in rows.values()), "language: a state lacks transitions")
    table = np.array([[number[rows[q][s]] for s in symbols] for q in states], dtype=np.int64)
    found, met = [0], {0}
    for q in found:
        new = [t for t in dict.fromkeys(table[q].tolist()) if t not in met]
        found += new
        met.update(new)
    need(given["initial"] == states[0] and found == list(range(len(states))), "language: not in canonical order")
    ends = set(given["accepting"])
    need(ends <= set(states), "language: an accepting state is no state")
    accepting = np.array([q in ends for q in states])
    return Language(list(symbols), table, accepting, _live(table, accepting))


def read_moore(given: Any) -> Language:
    """Read a machine with outputs in the JSON format of ``automata/formats/outputs.py``, just as it is written there.

    Where it does not say which words may end, all may, and nothing is to be read of that.
    """
    predicts = "accepting" in given
    keys = {"alphabet", "initial", "classes", "outputs", "transitions"} | ({"accepting"} if predicts else set())
    need(type(given) is dict and set(given) == keys, "language: unknown keys")
    symbols, classes, rows, outputs = (given[key] for key in ("alphabet", "classes", "transitions", "outputs"))
    need(type(symbols) is list and type(classes) is list, "language: symbols or classes are no list")
    need(
        all(type(text) is str for text in (*symbols, *classes, given["initial"])), "language: names that are no strings"
    )
    need(len(set(classes)) == len(classes) > 1, "language: a class occurs twice, or there is one only")
    states = [given["initial"]]
    met = set(states)
    for state in states:
        need(state in rows and set(rows[state]) == set(symbols), f"language: state {state!r} lacks transitions")
        new = [t for t in dict.fromkeys(rows[state][s] for s in symbols) if t not in met]
        states += new
        met.update(new)
    ends = given.get("accepting", states)
    language = read_dfa({**given, "states": states, "accepting": ends})
    need(set(outputs) == set(states), "language: outputs of other states")
    number = {name: n for n, name in enumerate(classes)}
    need(all(type(o) is str and o in number for o in outputs.values()), "language: an output that is no class")
    found = np.array([number[outputs[q]] for q in states], dtype=np.int64)
    return language._replace(classes=tuple(classes), outputs=found, predicts=predicts)


def _live(table: Ints, accepting: Bools) -> Bools:
    """Per state, whether an accepting one can be reached: walking back from those. O(transitions)."""
    order = np.argsort(table.reshape(-1), kind="stable")
    starts = np.searchsorted(table.reshape(-1)[order], np.arange(len(table) + 1))
    sources = order // max(1, table.shape[1])
    live = accepting.copy()
    todo = np.flatnonzero(live).tolist()
    while todo:
        q = todo.pop()
        for p in sources[starts[q] : starts[q + 1]].tolist():
            if not live[p]:
                live[p] = True
                todo.append(p)
    return live


def same_language(language: Language, other: dict[str, Any]) -> None:
    """Walk all tables from their initial states; where one of the manifest's has no transition, None is its dead state.

    Args:
        language: the certificate's.
        other: the manifest's: a DFA, a combination of some, which are walked side by side, or a past formula.
    """
    if "past_ltl" in other:
        _same_as_formula(language, read_formula(other["past_ltl"]))
        return
    tree = other["combination"] if "combination" in other else {"all": [{"dfa": other["dfa"]}]}
    leaves = _leaves(tree)
    for leaf in leaves:
        need(sorted(leaf["alphabet"]) == sorted(language.symbols), "language: scancraft.json has other symbols")
    finals = [set(leaf["accepting"]) for leaf in leaves]
    start: tuple[int, tuple[str | None, ...]] = (0, tuple(leaf["initial"] for leaf in leaves))
    pairs, todo = {start}, [start]
    for p, states in todo:
        ends = iter([q in final for final, q in zip(finals, states, strict=True)])
        agree = language.accepting[p] == _answer(tree, ends)
        need(agree, f"language: scancraft.json differs; its {states} answers to state {p} of the certificate")
        for a, symbol in enumerate(language.symbols):
            after = (leaf["transitions"].get(q, {}).get(symbol) for leaf, q in zip(leaves, states, strict=True))
            pair = (int(language.table[p, a]), tuple(after))
            if pair not in pairs:
                need(len(pairs) < MOST_PAIRS, f"language: more than {MOST_PAIRS:,} states side by side")
                pairs.add(pair)
                todo.append(pair)


def _same_as_formula(language: Language, formula: Formula) -> None:
    """The same with what a formula has to remember in the place of a state."""
    need(sorted(formula.symbols) == sorted(language.symbols), "language: scancraft.json has other symbols")
    letters = np.array([formula.symbols.index(s) for s in language.symbols], dtype=np.int64)
    begins, recalled = formula.start()[0], formula.recalled
    need(begins[-1] == language.accepting[0], "language: scancraft.json differs on the empty word")
    todo = [(0, np.zeros_like(begins))]
    pairs = {(0, todo[0][1].tobytes())}
    for p, earlier in todo:
        now = formula.step(np.tile(earlier, (len(letters), 1)), letters)
        for q, values in zip(language.table[p].tolist(), now, strict=True):
            need(
                values[-1] == language.accepting[q], f"language: scancraft.json differs in state {q} of the certificate"
            )
            kept = np.zeros_like(values)
            kept[recalled] = values[recalled]
            if (q, kept.tobytes()) not in pairs:
                need(len(pairs) < MOST_PAIRS, f"language: more than {MOST_PAIRS:,} states side by side")
                pairs.add((q, kept.tobytes()))
                todo.append((q, kept))


def _parts(tree: Any) -> tuple[str, list[Any]]:
    need(type(tree) is dict and len(tree) == 1, "language: a combination is one operator and its parts")
    ((operator, parts),) = tree.items()
    need(operator in ("all", "any", "not") and type(parts) is list and parts, "language: an unknown combination")
    need(operator != "not" or len(parts) == 1, "language: the complement of more than one")
    return operator, parts


def _leaves(tree: Any) -> list[dict[str, Any]]:
    """The automata of a combination, from left to right."""
    return [
        leaf
        for part in _parts(tree)[1]
        for leaf in ([part["dfa"]] if type(part) is dict and set(part) == {"dfa"} else _leaves(part))
    ]


def _answer(tree: Any, ends: Iterator[bool]) -> bool:
    """Whether a combination accepts, from the answers of its automata, from left to right."""
    operator, parts = _parts(tree)
    found = [next(ends) if set(part) == {"dfa"} else _answer(part, ends) for part in parts]
    return not found[0] if operator == "not" else all(found) if operator == "all" else any(found)


class CounterLanguage(NamedTuple):
    """A counter machine as tables; the dead control state comes last, after ``live`` others.

    Attributes:
        symbols: the alphabet.
        names: of the counters.
        initial: value of each counter after the empty word.
        signed: whether it may be negative.
        live: control states but the dead one.
        table: per state and letter the next state; with a row for the dead state only if it can be reached.
        adds: per counter, state and letter what is added.
        exists: per state and token (letters, then the end of the word) whether there is a transition.
        tests: per state, token, counter and sign (-1, 0, 1) whether the test holds.
    """

    symbols: list[str]
    names: list[str]
    initial: Ints
    signed: Bools
    live: int
    table: Ints
    adds: Ints
    exists: Bools
    tests: Bools

    @property
    def control(self) -> Language:
        """The control as a language of all words that do not lead to the dead state."""
        alive = np.arange(len(self.table)) < self.live
        return Language(self.symbols, self.table, alive, alive)

    def allowed(self, states: Ints, signs: Ints) -> Bools:
        """Per case: each next symbol, then the end of the word."""
        good: Bools = self.exists[states]
        for i in range(len(self.names)):
            good = good & self.tests[states, :, i, signs[:, i] + 1]
        return good

    def alive(self, graph: dict[Node, Moves], states: Ints, signs: Ints) -> Bools:
        """Per case, whether a live word can be in it, as far as signs tell (``graph``: see :func:`reachable`)."""
        cases = zip(states.tolist(), map(tuple, signs.tolist()), strict=True)
        return np.array([case in graph for case in cases], dtype=bool)


def read_counter_machine(given: Any) -> CounterLanguage:
    """Read the JSON format of ``automata/counters/machine.py``; everything that is not exactly so is a rejection."""
    need(set(given) == {"alphabet", "counters", "initial", "transitions", "accepting"}, "language: unknown keys")
    symbols, counters, rows = given["alphabet"], given["counters"], given["transitions"]
    texts = [*symbols, *counters, given["initial"], *rows, *given["accepting"]]
    need(type(symbols) is list and all(type(s) is str for s in texts), "language: names that are no strings")
    need(len(set(symbols)) == len(symbols) and counters, "language: a symbol occurs twice, or there is no counter")
    for name, about in counters.items():
        good = set(about) == {"initial", "signed"} and type(about["initial"]) is int and type(about["signed"]) is bool
        need(good and (about["signed"] or about["initial"] >= 0), f"language: counter {name!r} is malformed")
    states = [given["initial"]]
    for state in states:
        row = rows.get(state, {})
        need(set(row) <= set(symbols), f"language: state {state!r} has a transition on an unknown symbol")
        states += [t for t in dict.fromkeys(row[a]["to"] for a in symbols if a in row) if t not in states]
    number = {state: n for n, state in enumerate(states)}
    k, live = len(counters), len(states)
    table = np.full((live + 1, len(symbols)), live, dtype=np.int64)
    adds = np.zeros((k, live + 1, len(symbols)), dtype=np.int64)
    exists = np.zeros((live + 1, len(symbols) + 1), dtype=bool)
    tests = np.ones((live + 1, len(symbols) + 1, k, 3), dtype=bool)

    def put(where: tuple[int, int], when: dict[str, str]) -> None:
        exists[where] = True
        need(set(when) <= set(counters), "language: a test of an unknown counter")
        for i, (name, about) in enumerate(counters.items()):
            if name in when:
                need(when[name] in TESTS, f"language: unknown test {when[name]!r}")
                need(about["signed"] or when[name] != "negative", f"language: counter {name!r} is never negative")
                tests[(*where, i)] = [sign in TESTS[when[name]] for sign in SIGNS]

    for state, q in number.items():
        if state in given["accepting"]:
            put((q, len(symbols)), given["accepting"][state])
        for a, symbol in enumerate(symbols):
            if symbol not in rows.get(state, {}):
                continue
            step = rows[state][symbol]
            need(set(step) == {"to", "add", "when"} and set(step["add"]) <= set(counters), "language: unknown keys")
            put((q, a), step["when"])
            table[q, a] = number[step["to"]]
            for i, (name, about) in enumerate(counters.items()):
                amount = step["add"].get(name, 0)
                need(type(amount) is int and abs(amount) <= 1 << 24, f"language: {amount!r} is added")
                guarded = amount == -1 and not tests[q, a, i, 1]
                need(about["signed"] or amount >= 0 or guarded, f"language: counter {name!r} could become negative")
                adds[i, q, a] = amount
    initial = [about["initial"] for about in counters.values()]
    need(all(abs(value) <= 1 << 24 for value in initial), "language: a counter begins too high")
    signed = np.array([about["signed"] for about in counters.values()])
    reached = live + 1 if (table[:live] == live).any() else live
    return CounterLanguage(
        list(symbols), list(counters), np.array(initial), signed, live, table[:reached], adds, exists, tests
    )


# -- can every live word be completed? -----------------------------------------------------------------------------


def reachable(language: CounterLanguage) -> dict[Node, Moves] | None:
    """Where a live word can lead, as (control state, signs), and where each transition may lead; None: too many."""
    start: Node = (0, tuple(np.sign(language.initial).tolist()))
    graph: dict[Node, Moves] = {}
    todo = [start]
    while todo:
        node = todo.pop()
        if node in graph:
            continue
        if len(graph) >= MOST_UPDATES // 10:
            return None
        graph[node] = _moves(language, node)
        todo += [target for ways in graph[node] for target, _ in ways]
    return graph


def completable(language: CounterLanguage, graph: dict[Node, Moves]) -> bool:
    """Whether a ranking shows that wherever a live word can lead some word is accepted.

    The rank r(q, signs) + sum_i w_i |c_i|, r >= 0, must fall with some transition that can be taken, wherever it may
    lead, until one accepts.
    """
    accepting = {node for node in graph if _allowed(language, node, len(language.symbols))}
    k = len(language.names)
    ones = (1,) * k
    others = [w for w in product(range(4), repeat=k) if w != ones] if k <= 4 else []
    return any(_ranked(graph, accepting, weights) for weights in (ones, *others))


def _allowed(language: CounterLanguage, node: Node, token: int) -> bool:
    return bool(language.allowed(np.array([node[0]]), np.array([node[1]]))[0, token])


def _moves(language: CounterLanguage, node: Node) -> Moves:
    found: Moves = []
    allowed = language.allowed(np.array([node[0]]), np.array([node[1]]))[0]
    for a in np.flatnonzero(allowed[:-1]).tolist():
        ways = [_changes(s, int(add)) for s, add in zip(node[1], language.adds[:, node[0], a], strict=True)]
        need(prod(len(way) for way in ways) <= MOST_WAYS, "language: a transition changes too many counters")
        target = int(language.table[node[0], a])
        leads = [((target, tuple(s for s, _ in way)), tuple(change for _, change in way)) for way in product(*ways)]
        found.append(leads)
    return found


def _changes(sign: int, add: int) -> list[tuple[int, int]]:
    """The signs that c + add can have, with the largest |c + add| - |c|, over all c of the given sign."""
    if sign < 0:
        return [(-s, change) for s, change in _changes(1, -add)]
    if sign == 0:
        return [((add > 0) - (add < 0), abs(add))]
    found = [(1, add)]  # of every c > -add
    if add < 0:
        found.append((0, add))  # c = -add
    if add < -1:
        found.append((-1, -add - 2))  # c < -add, and the change -add - 2 c is largest at c = 1
    return found


def _ranked(graph: dict[Node, Moves], accepting: set[Node], weights: tuple[int, ...]) -> bool:
    """Whether every node gets a finite rank: raised from 0 until each falls by a step, or past what is needed."""
    number = {node: n for n, node in enumerate(graph)}
    costs = [
        [
            [(number[t], 1 + sum(w * d for w, d in zip(weights, change, strict=True))) for t, change in ways]
            for ways in row
        ]
        for row in graph.values()
    ]
    most = (len(graph) + 1) * max([1, *(most for row in costs for ways in row for _, most in ways)])
    rank = [0] * len(graph)
    open_ = [n for node, n in number.items() if node not in accepting]
    updates, changed = 0, True
    while changed:
        changed = False
        for n in open_:
            best = min((max(rank[t] + more for t, more in ways) for ways in costs[n]), default=most + 1)
            if best > rank[n]:
                rank[n], changed, updates = best, True, updates + 1
                if best > most or updates > MOST_UPDATES:
                    return False
    return True
