"""The table of example languages for all tests: each with what is known about it, stated and not computed.

>>> [e.name for e in EXAMPLES if e.gates is GateClass.COMPLEX][:2]
['Tomita-6', '(aaa)*']
>>> star_free = dfas(star_free=True)                        # name -> Dfa, for pytest.mark.parametrize
>>> one = dfa("D-3"), machine("Dyck-1"), bounded("Dyck_{2,3}")

``tests/automata/test_examples.py`` shows that the table is right.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from scancraft import BoundedDyck, Counter, CounterMachine, Dfa, GateClass, Step
from scancraft.automata.counters.families import boolean, dyck_1, equal_blocks, shuffle
from scancraft.automata.families import SUITE, ascending_runs, d_n, mod_length, order_preserving
from scancraft.automata.languages import Language

NONNEGATIVE, SIGNED, COMPLEX, UNSOLVABLE = GateClass


@dataclass(frozen=True)
class Example:
    """A language, and what is known about it.

    Args:
        name: as in the literature where it has a name; unique in the table.
        language: a ``Dfa``, ``BoundedDyck`` or ``CounterMachine``.
        gates: the weakest gates that suffice (for a counter language: for its control; counters are on top of it).
        inside: some words of the language, as tuples of symbols.
        outside: some that are not in it.
        random: whether it was drawn (with a fixed seed), and has no meaning.
    """

    name: str
    language: Language
    gates: GateClass
    inside: tuple[tuple[str, ...], ...] = field(default=())
    outside: tuple[tuple[str, ...], ...] = field(default=())
    random: bool = False

    @property
    def star_free(self) -> bool:
        """Whether nonnegative gates suffice."""
        return self.gates is GateClass.NONNEGATIVE

    def __str__(self) -> str:
        return self.name


def _example(name: str, language: Language, gates: GateClass, inside: str = "", outside: str = "") -> Example:
    """Words are given as one string, separated by spaces; "-" is the empty word."""

    def words(text: str) -> tuple[tuple[str, ...], ...]:
        return tuple(() if word == "-" else tuple(word) for word in text.split())

    return Example(name, language, gates, words(inside), words(outside))


# -- groups on points ------------------------------------------------------------------------------------------------


def on_points(degree: int, *letters: Sequence[Sequence[int]]) -> Dfa:
    """Words over a, b, ... that take point 0 to point 0; a letter is a permutation of the points, by its cycles."""
    columns = []
    for cycles in letters:
        column = list(range(degree))
        for cycle in cycles:
            for source, target in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
                column[source] = target
        columns.append(column)
    return Dfa.from_table("abcdefgh"[: len(letters)], list(zip(*columns, strict=True)), 0, [0])


# -- drawn languages -------------------------------------------------------------------------------------------------


def random_dfa(states: int, letters: int, seed: int, *, monotone: bool = False) -> Dfa:
    """A minimal DFA with exactly so many states: the first draw with this seed that has them.

    Args:
        states: of the minimal complete DFA.
        letters: how many symbols, from a.
        seed: of the draws.
        monotone: letters that preserve the order of the states; products of such maps permute nothing, so that the
            language is star-free. Otherwise every entry of the table is uniform.
    """
    rng = random.Random(f"{states} {letters} {seed} {monotone}")
    while True:
        columns = [[rng.randrange(states) for _ in range(states)] for _ in range(letters)]
        if monotone:
            columns = [sorted(column) for column in columns]
        accepting = [q for q in range(states) if rng.random() < 0.5]
        initial = rng.randrange(states)
        dfa = Dfa.from_table("abcdefgh"[:letters], list(zip(*columns, strict=True)), initial, accepting)
        if dfa.n_states == states:
            return dfa


def _drawn() -> list[Example]:
    found = []
    for states, letters in ((3, 2), (4, 2), (4, 3), (6, 2), (8, 3)):
        name = f"monotone, {states} states, {letters} letters"
        found.append(Example(name, random_dfa(states, letters, 1, monotone=True), NONNEGATIVE, random=True))
    seeds: tuple[tuple[int, int, GateClass], ...] = (
        (2, 1, SIGNED),
        (3, 4, SIGNED),
        (4, 2, NONNEGATIVE),
        (4, 4, SIGNED),
        (5, 1, COMPLEX),
        (5, 5, SIGNED),
        (6, 7, NONNEGATIVE),
        (7, 1, SIGNED),
        (8, 2, UNSOLVABLE),
    )
    for states, seed, gates in seeds:
        language = random_dfa(states, 2, seed)
        found.append(Example(f"uniform, {states} states, seed {seed}", language, gates, random=True))
    return found


# -- counter machines ------------------------------------------------------------------------------------------------


def as_many() -> CounterMachine:
    """As many a as b, in any order: one signed counter."""
    row = {"a": Step("q", {"n": 1}), "b": Step("q", {"n": -1})}
    return CounterMachine(("a", "b"), (Counter("n", signed=True),), "q", {"q": row}, {"q": {"n": "zero"}})


def two_for_one() -> CounterMachine:
    """c, then a for +2 and b for -1 above zero, and d that ends at zero: no family of the suite."""
    row = {
        "a": Step("q", {"n": 2}),
        "b": Step("q", {"n": -1}, {"n": "positive"}),
        "d": Step("end", {}, {"n": "zero"}),
    }
    return CounterMachine(("a", "b", "c", "d"), ("n",), "0", {"0": {"c": Step("q")}, "q": row}, {"end": {}})


def busy() -> CounterMachine:
    """Control, initial values, several counters, signed ones, all four tests."""
    rows = {
        "p": {"a": Step("p", {"x": 3, "y": -2}), "b": Step("q", {"x": -1}, {"x": "positive"})},
        "q": {"b": Step("q", {"x": -1, "y": 1}, {"x": "nonzero"}), "c": Step("r", {"y": 1}, {"y": "negative"})},
        "r": {
            "c": Step("r", {"y": 1}, {"y": "negative"}),
            "b": Step("r", {"x": -1}, {"x": "positive"}),
            "a": Step("r", {"y": -1}, {"y": "positive"}),
        },
    }
    accepting = {"q": {"x": "zero"}, "r": {"x": "zero", "y": "zero"}}
    return CounterMachine("abc", (Counter("x", 2), Counter("y", -1, True)), "p", rows, accepting)


def twins() -> CounterMachine:
    """a^n b^n in any order with no more b than a: two counters that are always equal."""
    row = {"a": Step("q", {"m": 1, "n": 1}), "b": Step("q", {"m": -1, "n": -1}, {"m": "positive"})}
    return CounterMachine("ab", ("m", Counter("n", 0, True)), "q", {"q": row}, {"q": {"m": "zero"}})


def finite() -> CounterMachine:
    """{ab, aabb}, where the counter is of no use."""
    rows = {
        "0": {"a": Step("1", {"n": 1})},
        "1": {"a": Step("2", {"n": 1}), "b": Step("end", {"n": -1}, {"n": "positive"})},
        "2": {"b": Step("3", {"n": -1}, {"n": "positive"})},
        "3": {"b": Step("end")},
    }
    return CounterMachine(("a", "b"), (Counter("n"),), "0", rows, {"end": {}})


# -- the table -------------------------------------------------------------------------------------------------------

_SUITE_GATES = {
    **dict.fromkeys(("Parity", "Tomita-3", "Tomita-5", "(aa)*", "(aaaa)*", "(abab)*"), SIGNED),
    "Tomita-6": COMPLEX,
}

EXAMPLES: tuple[Example, ...] = (
    *(_example(named.name, named.build(), _SUITE_GATES.get(named.name, NONNEGATIVE)) for named in SUITE),
    # Small ones and extremes.
    _example("D-1", d_n(1), NONNEGATIVE, "- ab abab", "a b aabb"),
    _example("O_4", Dfa(order_preserving(4), 0, frozenset([0])), NONNEGATIVE, "-"),
    _example("aa*bb*cc*", ascending_runs("abc"), NONNEGATIVE, "abc aabbcc", "- ab acb"),
    _example("empty", Dfa.empty("ab"), NONNEGATIVE, "", "- a b"),
    _example("only the empty word", Dfa.from_words("ab", [()]), NONNEGATIVE, "-", "a b"),
    _example("all words", Dfa.universal("ab"), NONNEGATIVE, "- a ba"),
    _example("one word", Dfa.from_words("ab", ["abba"]), NONNEGATIVE, "abba", "- abb abbaa"),
    _example("finite", Dfa.from_words("abc", ["abc", "ca", ""]), NONNEGATIVE, "- abc ca", "a abca"),
    _example("all words, one letter", Dfa.universal("a"), NONNEGATIVE, "- a aa"),
    _example("empty, one letter", Dfa.empty("a"), NONNEGATIVE, "", "- a"),
    _example("all words, no letters", Dfa.universal(()), NONNEGATIVE, "-"),
    _example("empty, no letters", Dfa.empty(()), NONNEGATIVE, "", "-"),
    Example("long names", Dfa.from_words(("push", "pop"), [("push", "pop")]), NONNEGATIVE, (("push", "pop"),), ((),)),
    # Groups: the words that take a point to itself.
    _example("(aaa)*", mod_length(3), COMPLEX, "- aaa", "a aa"),
    _example("(aaaaaa)*", mod_length(6), COMPLEX, "- aaaaaa", "a aa aaa"),
    _example("Z8", mod_length(8), SIGNED, "-", "a aaaa"),
    _example("D4", on_points(4, [range(4)], [(0, 2)]), SIGNED, "- aaaa", "a b"),
    _example(
        "Q8", on_points(8, [(0, 1, 2, 3), (4, 5, 6, 7)], [(0, 4, 2, 6), (1, 7, 3, 5)]), SIGNED, "- aabb aaaa", "ab abab"
    ),
    _example("S3", on_points(3, [(0, 1)], [(1, 2)]), COMPLEX, "- b aa", "a ab"),
    _example("A4", on_points(4, [(0, 1, 2)], [(1, 2, 3)]), COMPLEX, "- b aaa", "a ab"),
    _example("S4", on_points(4, [range(4)], [(0, 1)]), COMPLEX, "- bb aaaa", "a b"),
    _example("A5", on_points(5, [(0, 1, 2)], [(2, 3, 4)]), UNSOLVABLE, "- b aaa", "a ab"),
    _example("S5", on_points(5, [range(5)], [(0, 1)]), UNSOLVABLE, "- bb", "a b"),
    _example("PSL(2,7)", on_points(7, [range(7)], [(1, 2), (3, 6)]), UNSOLVABLE, "- b", "a"),
    *_drawn(),
    # Bounded brackets: regular, but without their DFAs.
    _example("Dyck_{1,1}", BoundedDyck(1, 1), NONNEGATIVE, "- () ()()", "( ) (())"),
    _example("Dyck_{1,4}", BoundedDyck(1, 4), NONNEGATIVE, "- (((())))", "(((("),
    _example("Dyck_{2,3}", BoundedDyck(2, 3), NONNEGATIVE, "- ([]) [()]()", "(] ((([])))"),
    _example("Dyck_{5,2}", BoundedDyck(5, 2), NONNEGATIVE, "-"),
    _example("Dyck_{8,5}", BoundedDyck(8, 5), NONNEGATIVE, "-"),
    _example("Dyck_{8,10}", BoundedDyck(8, 10), NONNEGATIVE, "-"),
    # Counters, all with a star-free control.
    _example("Dyck-1", dyck_1(), NONNEGATIVE, "- () (())()", "( ) ())("),
    _example("Shuffle-2", shuffle(2), NONNEGATIVE, "- ([)]", "( (] )("),
    _example("Shuffle-4", shuffle(4), NONNEGATIVE, "- {([<)]}>", "{ }{"),
    _example("Shuffle-6", shuffle(6), NONNEGATIVE, "-"),
    _example("Boolean-3", boolean(3), NONNEGATIVE, "0 ~1 +01 >0~11", "- + 00"),
    _example("Boolean-5", boolean(5), NONNEGATIVE, "1 *0000 ^00000", "- *000"),
    _example("a^n b^n", equal_blocks("ab"), NONNEGATIVE, "ab aabb", "- a aab ba"),
    _example("a^n b^n c^n", equal_blocks("abc"), NONNEGATIVE, "abc aabbcc", "- ab abcc"),
    _example("a^n b^n c^n d^n", equal_blocks("abcd"), NONNEGATIVE, "abcd aabbccdd", "- abc"),
    _example("as many a as b", as_many(), NONNEGATIVE, "- ab bbaa", "a aab"),
    _example("two for one", two_for_one(), NONNEGATIVE, "cd cabbd", "- c cabd"),
    _example("busy", busy(), NONNEGATIVE, "", "- a"),
    _example("twins", twins(), NONNEGATIVE, "- ab aabb", "a ba"),
    _example("{ab, aabb} by counting", finite(), NONNEGATIVE, "ab aabb", "- aab aaabbb"),
)
"""All of them: the suite of the paper first."""

_BY_NAME = {example.name: example for example in EXAMPLES}


def example(name: str) -> Example:
    """The example of this name; ``KeyError`` if there is none."""
    return _BY_NAME[name]


def dfas(*, star_free: bool | None = None, states: int = 14, random: bool = True) -> dict[str, Dfa]:
    """The regular ones by name.

    Args:
        star_free: only those that are, or that are not.
        states: at most so many.
        random: the drawn ones too.
    """
    return {
        e.name: e.language
        for e in EXAMPLES
        if isinstance(e.language, Dfa)
        and e.language.n_states <= states
        and star_free in (None, e.star_free)
        and (random or not e.random)
    }


def machines() -> dict[str, CounterMachine]:
    """The counter languages by name."""
    return {e.name: e.language for e in EXAMPLES if isinstance(e.language, CounterMachine)}


def bounded_dycks() -> dict[str, BoundedDyck]:
    """The bounded Dyck languages by name."""
    return {e.name: e.language for e in EXAMPLES if isinstance(e.language, BoundedDyck)}


def dfa(name: str) -> Dfa:
    """A regular example by name."""
    return dfas()[name]


def machine(name: str) -> CounterMachine:
    """A counter language by name."""
    return machines()[name]


def bounded(name: str) -> BoundedDyck:
    """A bounded Dyck language by name."""
    return bounded_dycks()[name]
