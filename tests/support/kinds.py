"""One checkpoint of every kind, as ``scancraft compile`` is told to make it, with its language by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

EOS = "<eos>"
DEAD: frozenset[str] = frozenset()
LIVE, ALL = "live-prefixes", "all-words"
EXACT = 2**24

TWO_FOR_ONE: dict[str, Any] = {  # a owes two bs; x ends the word once all are paid
    "alphabet": ["a", "b", "x"],
    "counters": ["owed"],
    "initial": "p",
    "transitions": {
        "p": {
            "a": {"to": "p", "add": {"owed": 2}},
            "b": {"to": "p", "add": {"owed": -1}, "when": {"owed": "positive"}},
            "x": {"to": "end", "when": {"owed": "zero"}},
        }
    },
    "accepting": {"end": {}},
}
GIANT: dict[str, Any] = {  # four as are exact in float32, a fifth is not
    "alphabet": ["a", "b"],
    "counters": ["debt"],
    "initial": "q",
    "transitions": {
        "q": {
            "a": {"to": "q", "add": {"debt": 2**22}},
            "b": {"to": "q", "add": {"debt": -1}, "when": {"debt": "positive"}},
        }
    },
    "accepting": {"q": {"debt": "zero"}},
}
SWAPPING: dict[str, Any] = {  # a permutes the control states
    "alphabet": ["a"],
    "counters": ["n"],
    "initial": "p",
    "transitions": {"p": {"a": {"to": "q", "add": {"n": 1}}}, "q": {"a": {"to": "p", "add": {"n": 1}}}},
    "accepting": {"p": {}, "q": {}},
}
BRACKETS: dict[str, Any] = {"brackets": [["(", ")"]], "depth": 3}

Built = Callable[[str], tuple[Path, dict[str, Any]]]
"""From a name in :data:`KINDS` to the checkpoint, and what ``compile --json`` said."""

# -- the languages, without scancraft: what may come after a prefix ---------------------------------------------------


def after_flip_flop(word: Sequence[str]) -> frozenset[str]:
    """An instruction or the end after bits, a bit after an instruction."""
    stored, pending = "", ""
    for symbol in word:
        if pending:
            if symbol not in "01" or (pending == "r" and symbol != stored):
                return DEAD
            stored, pending = symbol if pending == "w" else stored, ""
        elif symbol in ("w", "r", "i") and (stored or symbol == "w"):
            pending = symbol
        else:
            return DEAD
    if pending:
        return frozenset(stored if pending == "r" else "01")
    return frozenset({*("wri" if stored else "w"), EOS})


def after_brackets(word: Sequence[str], pairs: Sequence[str] = ("()", "[]"), deepest: int = 3) -> frozenset[str]:
    """Balanced, and not deeper than that."""
    stack: list[str] = []
    opened = {pair[0]: pair[1] for pair in pairs}
    for symbol in word:
        if symbol in opened:
            stack.append(opened[symbol])
            if len(stack) > deepest:
                return DEAD
        elif not stack or stack.pop() != symbol:
            return DEAD
    return frozenset({*(opened if len(stack) < deepest else ()), stack[-1] if stack else EOS})


def after_blocks(word: Sequence[str]) -> frozenset[str]:
    """a^n b^n with n >= 1."""
    a, b = word.count("a"), word.count("b")
    if "".join(word) != "a" * a + "b" * b or b > a:
        return DEAD
    if not b:
        return frozenset("ab" if a else "a")
    return frozenset({"b" if b < a else EOS})


def after_two_for_one(word: Sequence[str]) -> frozenset[str]:
    """What :data:`TWO_FOR_ONE` says."""
    owed = 0
    for place, symbol in enumerate(word):
        if symbol == "x":
            return frozenset({EOS}) if owed == 0 and place == len(word) - 1 else DEAD
        owed += 2 if symbol == "a" else -1
        if owed < 0:
            return DEAD
    return frozenset("ab" if owed else "ax")


def short_words(alphabet: Sequence[str], most: int) -> list[tuple[str, ...]]:
    """All words of the greatest length at which there are at most so many; their prefixes are the shorter ones."""
    length = 1
    while len(alphabet) ** (length + 1) <= most:
        length += 1
    return list(product(alphabet, repeat=length))


# -- the kinds --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """How a checkpoint is compiled, and what must come of it.

    Attributes:
        args: of ``scancraft compile``; a dict stands for a file that holds it.
        after: the language.
        contract: what is promised.
        blocks: Mamba blocks.
        theorem: that the construction names; "" for the general compiler.
        facts: others that ``--json`` must tell.
    """

    args: tuple[Any, ...]
    after: Callable[[Sequence[str]], frozenset[str]]
    contract: str
    blocks: int
    theorem: str
    facts: dict[str, object]

    @property
    def general(self) -> bool:
        """Whether the general compiler makes it."""
        return not self.theorem


_DEBT, _OWED = {"counter b due": EXACT}, {"counter owed": EXACT}
_DYCK_1, _D_2 = partial(after_brackets, pairs=("()",), deepest=10**9), partial(after_brackets, pairs=("ab",), deepest=2)
CASCADE = ("--construction", "cascade")
_BOTH = {"exact_to": {"depth": 1677718}, "lower_bound_bits": 3.0}
KINDS: dict[str, Kind] = {
    name: Kind(args, after, contract, blocks, f"theorem {theorem}" if theorem else "", facts)
    for name, args, after, contract, blocks, theorem, facts in (
        ("D-2", ("--regex", "(a(ab)*b)*", *CASCADE), _D_2, ALL, 3, 0, {"states": 4, "image_sets": 10, "height": 3}),
        ("flip-flop", ("--named", "FLIP-flop"), after_flip_flop, ALL, 2, 1, {"memories": 5}),
        ("flip-flop, live", ("--named", " flip - Flop ", "--contract", LIVE), after_flip_flop, LIVE, 1, 1, {}),
        (
            "flip-flop, general",
            ("--named", "Flip-flop", "--general", *CASCADE),
            after_flip_flop,
            ALL,
            4,
            0,
            {"states": 9},
        ),
        ("dyck", ("--dyck", "2,3"), after_brackets, LIVE, 2, 6, {"memories": 7, "lower_bound_bits": 3.0}),
        ("dyck, all", ("--dyck", " 2 , 3 ", "--contract", ALL), after_brackets, ALL, 3, 6, _BOTH),
        ("dyck, general", ("--dyck", "2,3", "--general", *CASCADE), after_brackets, ALL, 4, 0, {"states": 16}),
        ("Dyck-1", ("--named", "dyck-1"), _DYCK_1, ALL, 3, 5, {"exact_to": {"counter depth": EXACT}, "memories": 3}),
        ("a^n b^n", ("--named", "  A^N   b^n"), after_blocks, ALL, 6, 5, {"exact_to": _DEBT}),
        ("a^n b^n, live", ("--named", "a^nb^n", "--contract", LIVE), after_blocks, LIVE, 5, 5, {"exact_to": _DEBT}),
        ("file", (TWO_FOR_ONE,), after_two_for_one, ALL, 6, 5, {"exact_to": _OWED}),
        ("file, live", (TWO_FOR_ONE, "--contract", LIVE), after_two_for_one, LIVE, 5, 5, {"exact_to": _OWED}),
    )
}
OWN = [name for name, kind in KINDS.items() if not kind.general]
"""The paper's own constructions."""
