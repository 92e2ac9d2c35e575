"""Languages of past formulas, read from JSON and evaluated without the code that made or compiled them.

A formula is a list of nodes, each over earlier ones; a word is in the language iff the last node holds at its end, the
empty word iff it holds at ``<bos>``:

    letters A        the letter is in A; ``<bos>`` may be one of A
    not, and, or     as usual
    Y i              node i held one step earlier, at a letter: false at ``<bos>`` and at the first letter
    S i j            false at ``<bos>``; else j holds, or i holds and S i j held one step earlier
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from .parts import Bools, Ints, need

BOS = "<bos>"
MOST_NODES = 1 << 14
SHOWN = 3
"""Letters of a set that are named."""
WORDS, LENGTH = 256, 16
"""Words on which subformulas are compared, before it is proved that they are equal."""
MOST_SEEN = 1 << 26
MOST_SETS = 32
"""Of letters, that those words of one S are drawn from."""
LONGEST = 80
"""Characters of a subformula, before its parts are called by their numbers."""


class Node(NamedTuple):
    """A subformula.

    Attributes:
        operator: "letters", "not", "and", "or", "Y" or "S".
        parts: the numbers of what it is applied to.
        letters: of "letters" which ones; ``<bos>`` comes after the last.
    """

    operator: str
    parts: tuple[int, ...] = ()
    letters: tuple[int, ...] = ()


class Formula:
    """A language by a past formula.

    Args:
        symbols: the alphabet.
        nodes: the formula and its subformulas, each after those that it refers to.
    """

    def __init__(self, symbols: list[str], nodes: list[Node]) -> None:
        self.symbols, self.nodes = symbols, nodes

    @cached_property
    def _sets(self) -> dict[int, Bools]:
        """Of each set of letters, which letters are in it, ``<bos>`` after the last."""
        sets = {
            n: np.zeros(len(self.symbols) + 1, dtype=bool) for n, x in enumerate(self.nodes) if x.operator == "letters"
        }
        for n, members in sets.items():
            members[list(self.nodes[n].letters)] = True
        return sets

    def step(self, earlier: Bools, letters: Ints) -> Bools:
        """Which nodes hold at letters, or at ``<bos>``, from which held one step earlier: shape (rows, nodes).

        Nothing is looked up in what held at ``<bos>``, so that it is given as what held nowhere.
        """
        now = np.zeros((len(letters), len(self.nodes)), dtype=bool)
        reads = letters != len(self.symbols)
        for n, node in enumerate(self.nodes):
            parts = now[:, list(node.parts)]
            match node.operator:
                case "letters":
                    now[:, n] = self._sets[n][letters]
                case "not":
                    now[:, n] = ~parts[:, 0]
                case "and":
                    now[:, n] = parts.all(axis=1)
                case "or":
                    now[:, n] = parts.any(axis=1)
                case "Y":
                    now[:, n] = earlier[:, node.parts[0]]
                case _:
                    now[:, n] = reads & (parts[:, 1] | (parts[:, 0] & earlier[:, n]))
        return now

    def start(self, rows: int = 1) -> Bools:
        """Which nodes hold at ``<bos>``, shape (rows, nodes)."""
        return self.step(np.zeros((rows, len(self.nodes)), dtype=bool), np.full(rows, len(self.symbols)))

    def after(self, codes: Ints) -> Bools:
        """Which nodes hold after each prefix of words of letter numbers: shape (words, length + 1, nodes)."""
        found, earlier = [self.start(len(codes))], np.zeros((len(codes), len(self.nodes)), dtype=bool)
        for letters in codes.T:
            earlier = self.step(earlier, letters)
            found.append(earlier)
        return np.stack(found, axis=1)

    @property
    def recalled(self) -> list[int]:
        """The nodes of which it matters whether they held one step earlier."""
        nodes = enumerate(self.nodes)
        return sorted(
            {n if node.operator == "S" else node.parts[0] for n, node in nodes if node.operator in ("S", "Y")}
        )

    @cached_property
    def texts(self) -> list[str]:
        """Each subformula as people write it; long parts, and what is long all the same, are called #number."""
        texts: list[str] = []
        for number, node in enumerate(self.nodes):
            whole = [texts[n] for n in node.parts]
            brief = [t if len(t) <= LONGEST // 8 else f"#{n}" for n, t in zip(node.parts, whole, strict=True)]
            both = (self._text(node, whole), self._text(node, brief))
            texts.append(next((text for text in both if len(text) <= LONGEST), f"#{number}"))
        return texts

    def _text(self, node: Node, parts: list[str]) -> str:
        parts = [f"({text})" if " " in text else text for text in parts]
        match node.operator:
            case "letters":
                inside = [a for a in node.letters if a < len(self.symbols)]
                outside = sorted(set(range(len(self.symbols))) - set(inside)) if len(inside) > SHOWN else inside
                some, sign = (outside, "!") if len(outside) < len(inside) else (inside, "")
                names = [repr(self.symbols[a]) for a in some[:SHOWN]] + ["..."] * (len(some) > SHOWN)
                return f"{sign}{{{', '.join(names)}}}" if some or not sign else "true"
            case "not":
                return f"!{parts[0]}"
            case "Y":
                return f"Y {parts[0]}"
            case "S":
                return f"{parts[0]} S {parts[1]}"
            case operator:
                return (" & " if operator == "and" else " | ").join(parts)


def sampled(letters: int, words: int, length: int) -> Ints:
    """Some words of letter numbers, shape (words, length); without letters empty ones."""
    return np.random.default_rng(0).integers(0, max(letters, 1), (words, length if letters else 0))


def telling(formula: Formula) -> Ints:
    """Words that tell subformulas apart: some of any letters, and for each S some of letters that it speaks of.

    Returns:
        Letter numbers, shape (words, 16). There are fewer for each S where there are many, so that looking at all nodes
        after all prefixes is no more than ``MOST_SEEN`` bits or so.
    """
    draw, found = np.random.default_rng(0), [sampled(len(formula.symbols), WORDS, LENGTH)]
    since = sum(node.operator == "S" for node in formula.nodes)
    words = min(64, MOST_SEEN // (1 + LENGTH) // (len(formula.nodes) * max(since, 1)))
    few = {n: np.flatnonzero(_fewer(members[:-1])) for n, members in formula._sets.items()}
    below: list[list[int]] = []
    for n, node in enumerate(formula.nodes):
        mine = {m for part in node.parts for m in below[part]} | ({n} & few.keys())
        below.append(sorted(mine)[-MOST_SETS:])
        sets = [few[m] for m in below[n] if len(few[m])]
        if node.operator == "S" and sets:
            drawn = np.array([draw.choice(letters, (words, LENGTH)) for letters in sets])
            which = draw.integers(0, len(sets), (1, words, LENGTH))
            found.append(np.take_along_axis(drawn, which, axis=0)[0])
    return np.concatenate(found)


def _fewer(members: Bools) -> Bools:
    """A set of letters, or all others if these are fewer."""
    return members if 2 * members.sum() <= len(members) else ~members


def read_formula(given: Any) -> Formula:
    """Read the JSON format of ``automata/logic/past.py``, likewise."""
    need(type(given) is dict and set(given) == {"alphabet", "nodes"}, "language: unknown keys")
    symbols, listed = given["alphabet"], given["nodes"]
    need(type(symbols) is list and all(type(s) is str and s for s in symbols), "language: malformed alphabet")
    need(len({*symbols, BOS}) == len(symbols) + 1, "language: a symbol occurs twice")
    need(type(listed) is list and 0 < len(listed) <= MOST_NODES, "language: no nodes, or too many")
    number = {symbol: n for n, symbol in enumerate([*symbols, BOS])}
    nodes = []
    for n, entry in enumerate(listed):
        need(type(entry) is list and entry and type(entry[0]) is str, f"language: node {n} is malformed")
        operator, *parts = entry
        if operator in ("letters", "and", "or"):
            need(len(parts) == 1 and type(parts[0]) is list, f"language: node {n} is malformed")
            parts = parts[0]
        if operator == "letters":
            need(all(type(s) is str and s in number for s in parts), f"language: node {n} has an unknown letter")
            nodes.append(Node(operator, (), tuple(sorted({number[s] for s in parts}))))
            continue
        arity = {"not": 1, "Y": 1, "S": 2, "and": max(1, len(parts)), "or": max(1, len(parts))}
        need(operator in arity and len(parts) == arity[operator], f"language: node {n} is malformed")
        need(all(type(i) is int and 0 <= i < n for i in parts), f"language: node {n} does not refer to earlier ones")
        nodes.append(Node(operator, tuple(parts)))
    return Formula(symbols, nodes)
