"""Seeded languages of the classes of MLRegTest, by definitions of our own, over 4, 16 and 64 letters.

The classes are those of van der Poel, Lambert, Kostyszyn, Gao, Verma, Andersen, Chau, Peterson, St. Clair, Fodor,
Shibata and Heinz, *MLRegTest: A Benchmark for the Machine Learning of Regular Languages* (JMLR 25 (283), 2024), whose
languages are not copied. A *literal* looks at one thing in a word: how often a factor occurs (letters side by side,
perhaps at the beginning or at the end only), or whether a subsequence does (letters with others between them). Each of
its places is a set of letters; it has at most k, the beginning or the end being one. A language of the lower classes is
the set of words whose literals have one of the accepted combinations of values; ``CLASSES`` says which literals and
which combinations. A *tier* is a part of the alphabet: all other letters are left out of the word first.

A name is that of MLRegTest's files, ``letters.tier.class.k.t.number``; of Zp and Reg k is the modulus, and t the
greatest count that matters.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count, product
from typing import Any, Literal, NamedTuple

import numpy as np

from scancraft.automata.dfa import Dfa
from scancraft.automata.search import numbered

LETTERS = string.ascii_lowercase + string.ascii_uppercase + string.digits + "+/"
ALPHABETS = (4, 16, 64)
WIDTHS = (2, 4, 6)
THRESHOLDS = (2, 3, 5)
MODULI = (2, 3, 5, 7)
MOST_STATES = 450
MOST_NODES = 3_000
"""Larger draws are drawn again: of the minimal DFA, and of what it is made from."""

LARGE = (16, 16, "SP", 6, 1, 51)
"""A draw of 406 states, as many as the language of MLRegTest has that was hardest to compile."""

CLASSES = {
    "SL": "strictly local: none of some factors occurs",
    "coSL": "complement of strictly local: at least one of some factors occurs",
    "TSL": "SL on a tier",
    "TcoSL": "coSL on a tier",
    "SP": "strictly piecewise: none of some subsequences occurs",
    "coSP": "complement of strictly piecewise: at least one of some subsequences occurs",
    "LT": "locally testable: a Boolean function of which of some factors occur",
    "TLT": "LT on a tier",
    "PLT": "piecewise locally testable: a Boolean function of which of some factors and subsequences occur",
    "LTT": "locally threshold testable: a function of how often some factors occur, counted up to t",
    "TLTT": "LTT on a tier",
    "PT": "piecewise testable: a Boolean function of which of some subsequences occur",
    "SF": "star-free: all that stands between marker letters is a word of an LT, PT or PLT language",
    "Zp": "modulo a prime: how many letters of a set a word has, modulo k",
    "Reg": "regular and not star-free, nor a group's: a Zp language combined with a PT or LT language by and, or, xor",
}
"""The classes from the bottom, and what a language in each says of its words."""

STAR_FREE = tuple(name for name in CLASSES if name not in ("Zp", "Reg"))
WITH_TIER = ("TSL", "TcoSL", "TLT", "TLTT")
WITH_THRESHOLD = ("LTT", "TLTT")

Kind = Literal["factor", "first", "last", "subsequence"]
"""Anywhere, at the beginning, at the end; with others between the letters."""


@dataclass(frozen=True)
class Glance:
    """A literal: its value is how often it occurs, counted up to ``most``."""

    kind: Kind
    places: tuple[frozenset[str], ...]
    most: int = 1

    def begin(self) -> tuple[int, int]:
        """The places that the next letter may take, as bits (of a subsequence: how many are taken); the count."""
        return (0 if self.kind == "subsequence" else 1), 0

    def step(self, state: tuple[int, int], letter: str) -> tuple[int, int]:
        """After one letter more."""
        open_at, seen = state
        if self.kind == "subsequence":
            if not seen and letter in self.places[open_at]:
                open_at += 1
            return (0, 1) if seen or open_at == len(self.places) else (open_at, 0)
        if seen == self.most and self.kind != "last":
            return 0, seen
        after = sum(2 << i for i, place in enumerate(self.places) if open_at >> i & 1 and letter in place)
        hit = after >> len(self.places)
        after &= (1 << len(self.places)) - 1
        if self.kind == "last":
            return after | 1, hit
        return after | (self.kind == "factor"), min(seen + hit, self.most)


@dataclass(frozen=True)
class Testable:
    """The words whose literals, looked at on a tier, have accepted values."""

    alphabet: str
    tier: str
    literals: tuple[Glance, ...]
    accepted: frozenset[tuple[int, ...]]

    def begin(self) -> Any:
        return tuple(literal.begin() for literal in self.literals)

    def step(self, state: Any, letter: str) -> Any:
        if state in (True, False) or letter not in self.tier:
            return state
        after = tuple(literal.step(at, letter) for literal, at in zip(self.literals, state, strict=True))
        return self._settled.get(tuple(seen for _, seen in after), after)

    def accepts_at(self, state: Any) -> bool:
        return bool(state) if state in (True, False) else tuple(seen for _, seen in state) in self.accepted

    @cached_property
    def _settled(self) -> dict[tuple[int, ...], bool]:
        """Values after which all that can come are accepted, or none: counts never fall, but for those at the end."""
        if any(literal.kind == "last" for literal in self.literals):
            return {}
        values = list(product(*(range(literal.most + 1) for literal in self.literals)))
        found = {}
        for value in values:
            later = {w in self.accepted for w in values if all(a <= b for a, b in zip(value, w, strict=True))}
            if len(later) == 1:
                found[value] = later.pop()
        return found


@dataclass(frozen=True)
class Between:
    """The words whose pieces between markers are all in a language over the other letters."""

    alphabet: str
    markers: str
    piece: Testable

    def begin(self) -> Any:
        return self.piece.begin()

    def step(self, state: Any, letter: str) -> Any:
        if state is None:
            return None
        if letter not in self.markers:
            return self.piece.step(state, letter)
        return self.piece.begin() if self.piece.accepts_at(state) else None

    def accepts_at(self, state: Any) -> bool:
        return state is not None and self.piece.accepts_at(state)


@dataclass(frozen=True)
class Counting:
    """The words whose number of letters of a set has one of some remainders."""

    alphabet: str
    counted: str
    modulus: int
    remainders: frozenset[int]

    def begin(self) -> Any:
        return 0

    def step(self, state: Any, letter: str) -> Any:
        return (state + (letter in self.counted)) % self.modulus

    def accepts_at(self, state: Any) -> bool:
        return state in self.remainders


@dataclass(frozen=True)
class Both:
    """Two languages combined by "and", "or" or "xor"."""

    alphabet: str
    first: Counting
    second: Testable
    how: str

    def begin(self) -> Any:
        return self.first.begin(), self.second.begin()

    def step(self, state: Any, letter: str) -> Any:
        return self.first.step(state[0], letter), self.second.step(state[1], letter)

    def accepts_at(self, state: Any) -> bool:
        a, b = self.first.accepts_at(state[0]), self.second.accepts_at(state[1])
        return {"and": a and b, "or": a or b, "xor": a != b}[self.how]


Definition = Testable | Between | Counting | Both


class Name(NamedTuple):
    """What a file's name says."""

    letters: int
    tier: int
    kind: str
    k: int
    t: int
    number: int

    def __str__(self) -> str:
        return f"{self.letters:02}.{self.tier:02}.{self.kind}.{self.k}.{self.t}.{self.number}"


def parse_name(text: str) -> Name | None:
    """The name of a file, without folder and suffix; None if it is none of MLRegTest's."""
    found = re.fullmatch(r"(\d+)\.(\d+)\.([A-Za-z]+)\.(\d+)\.(\d+)\.(\d+)", text)
    if found is None or found[3] not in CLASSES:
        return None
    return Name(int(found[1]), int(found[2]), found[3], int(found[4]), int(found[5]), int(found[6]))


@dataclass(frozen=True)
class Drawn:
    """A language, its name and what it says."""

    name: Name
    definition: Definition
    dfa: Dfa


def automaton(definition: Definition) -> Dfa | None:
    """The minimal DFA; None if it is too large."""

    class TooLargeError(Exception):
        pass

    made = count()

    def successors(state: Any) -> list[Any]:
        if next(made) >= MOST_NODES:
            raise TooLargeError
        return [definition.step(state, letter) for letter in definition.alphabet]

    try:
        states, table = numbered(definition.begin(), successors)
    except TooLargeError:
        return None
    goals = [q for q, state in enumerate(states) if definition.accepts_at(state)]
    dfa = Dfa.from_table(definition.alphabet, table, 0, goals)
    return dfa if dfa.n_states <= MOST_STATES else None


# -- draws -----------------------------------------------------------------------------------------------------------


def names(numbers: int = 2, alphabets: Sequence[int] = ALPHABETS, classes: Sequence[str] = ()) -> Iterator[Name]:
    """The names of a campaign: ``numbers`` of each class, alphabet and k; with thresholds half as many for each t."""
    for kind, letters in product(classes or CLASSES, alphabets):
        tier = max(2, letters * 5 // 8) if kind in WITH_TIER else letters
        if kind in ("Zp", "Reg"):
            for number in range(4 * numbers):
                yield Name(letters, tier, kind, MODULI[number % len(MODULI)], 1, number)
        elif kind == "SF":
            for number in range(4 * numbers):
                yield Name(letters, tier, kind, 2 + number % 2, 1, number)
        elif kind in WITH_THRESHOLD:
            for k, t, number in product(WIDTHS, THRESHOLDS, range((numbers + 1) // 2)):
                yield Name(letters, tier, kind, k, t, number)
        else:
            for k, number in product(WIDTHS, range(numbers)):
                yield Name(letters, tier, kind, k, 1, number)
            if numbers > 1 and (kind, letters) == ("SP", 16):
                yield Name(*LARGE)


def drawn(name: Name) -> Drawn:
    """The first draw with this name that is neither trivial nor too large. The name is the seed."""
    rng = np.random.default_rng([list(CLASSES).index(name.kind), *(n for n in name if isinstance(n, int))])
    for _ in count():
        definition = _DRAWS[name.kind](name, rng)
        dfa = automaton(definition)
        if dfa is not None and dfa.n_states > 1 and (name.kind != "Reg" or (cycles(dfa) and not permutes(dfa))):
            return Drawn(name, definition, dfa)
    raise AssertionError("unreachable")


def cycles(dfa: Dfa) -> bool:
    """Whether some letter moves some states round in a circle of more than one."""
    for letter in range(len(dfa.alphabet)):
        for start in range(dfa.n_states):
            at, seen = dfa.table[start][letter], [start]
            while at not in seen:
                seen.append(at)
                at = dfa.table[at][letter]
            if at == start and len(seen) > 1:
                return True
    return False


def permutes(dfa: Dfa) -> bool:
    """Whether every letter permutes the states, as in the automaton of a group."""
    return all(len({row[letter] for row in dfa.table}) == dfa.n_states for letter in range(len(dfa.alphabet)))


def _some(letters: str, rng: np.random.Generator, most: int) -> frozenset[str]:
    return frozenset(rng.choice(list(letters), int(rng.integers(1, most + 1)), replace=False).tolist())


def _places(letters: str, k: int, rng: np.random.Generator, exactly: bool) -> tuple[frozenset[str], ...]:
    """k places, or perhaps fewer; each has a letter, or up to an eighth of them."""
    n = k if exactly else int(rng.integers(min(2, k), k + 1))
    return tuple(_some(letters, rng, max(1, len(letters) // 8)) for _ in range(n))


def _literals(
    name: Name, letters: str, kinds: Sequence[Kind], n: int, rng: np.random.Generator, most: int = 1
) -> tuple[Glance, ...]:
    """The first has k places; the beginning and the end of a word count as one."""
    chosen = [kinds[int(rng.integers(len(kinds)))] for _ in range(n)]
    return tuple(
        Glance(
            kind, _places(letters, name.k - (kind in ("first", "last")), rng, i == 0), most if kind == "factor" else 1
        )
        for i, kind in enumerate(chosen)
    )


def _truth(literals: Sequence[Glance], rng: np.random.Generator) -> frozenset[tuple[int, ...]]:
    """A random function that every literal matters to, and every count of it up to the last."""
    values = list(product(*(range(literal.most + 1) for literal in literals)))
    while True:
        accepted = frozenset(value for value in values if rng.random() < 0.5)

        def matters(i: int, most: int, accepted: frozenset[tuple[int, ...]] = accepted) -> bool:
            last = (value for value in values if value[i] == most)
            return any((v in accepted) != ((*v[:i], most - 1, *v[i + 1 :]) in accepted) for v in last)

        if all(matters(i, literal.most) for i, literal in enumerate(literals)):
            return accepted


FACTORS: tuple[Kind, ...] = ("factor", "factor", "factor", "first", "last")
SUBSEQUENCES: tuple[Kind, ...] = ("subsequence",)


def _tier(name: Name, rng: np.random.Generator) -> tuple[str, str]:
    alphabet = LETTERS[: name.letters]
    chosen = set(rng.choice(list(alphabet), name.tier, replace=False).tolist())
    return alphabet, "".join(a for a in alphabet if a in chosen)


def _strict(kinds: Sequence[Kind], some: bool) -> Callable[[Name, np.random.Generator], Testable]:
    """One to four literals of which none, or (``some``) at least one, occurs."""

    def draw(name: Name, rng: np.random.Generator) -> Testable:
        alphabet, tier = _tier(name, rng)
        literals = _literals(name, tier, kinds, int(rng.integers(1, 5)), rng)
        none = frozenset({(0,) * len(literals)})
        every = frozenset(product((0, 1), repeat=len(literals)))
        return Testable(alphabet, tier, literals, every - none if some else none)

    return draw


def _testable(kinds: Sequence[Kind], most: int) -> Callable[[Name, np.random.Generator], Testable]:
    """A function of two to ``most`` literals."""

    def draw(name: Name, rng: np.random.Generator) -> Testable:
        alphabet, tier = _tier(name, rng)
        literals = _literals(name, tier, kinds, int(rng.integers(2, most + 1)), rng, name.t)
        return Testable(alphabet, tier, literals, _truth(literals, rng))

    return draw


def _between(name: Name, rng: np.random.Generator) -> Between:
    alphabet = LETTERS[: name.letters]
    markers = "".join(sorted(_some(alphabet, rng, max(1, name.letters // 8))))
    others = "".join(a for a in alphabet if a not in markers)
    kinds = (FACTORS, SUBSEQUENCES, FACTORS + SUBSEQUENCES)[int(rng.integers(3))]
    literals = _literals(name, others, kinds, 2, rng)
    return Between(alphabet, markers, Testable(alphabet, others, literals, _truth(literals, rng)))


def _counting(name: Name, rng: np.random.Generator) -> Counting:
    alphabet = LETTERS[: name.letters]
    counted = "".join(sorted(_some(alphabet, rng, max(1, name.letters // 2))))
    chosen = rng.choice(name.k, int(rng.integers(1, name.k)), replace=False).tolist()
    return Counting(alphabet, counted, name.k, frozenset(map(int, chosen)))


def _both(name: Name, rng: np.random.Generator) -> Both:
    alphabet = LETTERS[: name.letters]
    other = name._replace(k=2)
    second = (LOWER["PT"] if rng.random() < 0.5 else LOWER["LT"])(other, rng)
    return Both(alphabet, _counting(name, rng), second, ("and", "or", "xor")[int(rng.integers(3))])


LOWER: dict[str, Callable[[Name, np.random.Generator], Testable]] = {
    "SL": _strict(FACTORS, False),
    "coSL": _strict(FACTORS, True),
    "TSL": _strict(FACTORS, False),
    "TcoSL": _strict(FACTORS, True),
    "SP": _strict(SUBSEQUENCES, False),
    "coSP": _strict(SUBSEQUENCES, True),
    "LT": _testable(FACTORS, 3),
    "TLT": _testable(FACTORS, 3),
    "PLT": _testable(("factor", "subsequence"), 3),
    "LTT": _testable(("factor",), 2),
    "TLTT": _testable(("factor",), 2),
    "PT": _testable(SUBSEQUENCES, 4),
}
_DRAWS: dict[str, Callable[[Name, np.random.Generator], Definition]] = {
    **LOWER,
    "SF": _between,
    "Zp": _counting,
    "Reg": _both,
}
