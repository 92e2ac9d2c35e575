"""The counter languages of the suite (Bhattamishra, Ahuja and Goyal 2020), each from its definition."""

from __future__ import annotations

from ..bounded_dyck import bracket_pairs
from ..errors import CounterLanguageError
from .machine import Counter, CounterMachine, Step

ARITIES = {"~": 1, "+": 2, ">": 3, "*": 4, "^": 5}
"""The operators of Boolean-n; 0 and 1 are its values."""


def shuffle(kinds: int) -> CounterMachine:
    """Shuffle-k: interleavings of k balanced words, each over its own pair of brackets. One counter per pair.

    The symbols are ``( ) [ ] { } < >`` for up to four pairs and ``(1 )1 (2 )2`` and so on for more, as in
    ``families.dyck``.

    Raises:
        CounterLanguageError: no pair.
    """
    if kinds < 1:
        raise CounterLanguageError(f"Shuffle-{kinds} does not exist; give at least one pair of brackets")
    pairs = bracket_pairs(kinds)
    names = ["depth"] if kinds == 1 else [f"depth {pair[0]}" for pair in pairs]
    row = {}
    for name, (opening, closing) in zip(names, pairs, strict=True):
        row[opening] = Step("q", {name: 1})
        row[closing] = Step("q", {name: -1}, {name: "positive"})
    symbols = tuple(symbol for pair in pairs for symbol in pair)
    counters = tuple(map(Counter, names))
    return CounterMachine(symbols, counters, "q", {"q": row}, {"q": dict.fromkeys(names, "zero")})


def dyck_1() -> CounterMachine:
    """Dyck-1: balanced words over ( and )."""
    return shuffle(1)


def boolean(operators: int) -> CounterMachine:
    """Boolean-n: prefix expressions over the values 0, 1 and the operators of arities 1 to n, ``~ + > * ^``.

    The counter says how many expressions are still to come; it begins at 1.

    Raises:
        CounterLanguageError: not between 1 and 5 operators.
    """
    if not 1 <= operators <= len(ARITIES):
        raise CounterLanguageError(f"Boolean-{operators} does not exist; give 1 to {len(ARITIES)} operators")
    arity = {"0": 0, "1": 0, **dict(list(ARITIES.items())[:operators])}
    row = {s: Step("q", {"due": n - 1}, {"due": "positive"}) for s, n in arity.items()}
    return CounterMachine(tuple(arity), (Counter("due", 1),), "q", {"q": row}, {"q": {"due": "zero"}})


def equal_blocks(alphabet: str) -> CounterMachine:
    """a^n b^n (c^n (d^n ...)), n at least 1: as many of each symbol, in order. One counter per symbol but the first.

    The state is the block that is being read; each further block counts its own counter down to zero.

    Raises:
        CounterLanguageError: fewer than two symbols.
    """
    if len(alphabet) < 2:
        raise CounterLanguageError(f"blocks of {alphabet!r} need no counter; give at least two symbols")
    first, rest = alphabet[0], alphabet[1:]
    names = [f"{s} due" for s in rest]
    transitions: dict[str, dict[str, Step]] = {"start": {first: Step(first, dict.fromkeys(names, 1))}}
    transitions[first] = {first: Step(first, dict.fromkeys(names, 1))}
    for place, (symbol, name) in enumerate(zip(rest, names, strict=True)):
        down = Step(symbol, {name: -1}, {name: "positive"})
        before = alphabet[place]
        # The block before must be complete; its counter then stands at zero (the first block has none).
        complete = {names[place - 1]: "zero"} if place else {}
        transitions[before][symbol] = Step(symbol, down.add, {**down.when, **complete})
        transitions[symbol] = {symbol: down}
    return CounterMachine(
        tuple(alphabet), tuple(map(Counter, names)), "start", transitions, {rest[-1]: {names[-1]: "zero"}}
    )
