"""Expressions in the dialects of Python's ``re`` (its own ``fullmatch`` is the truth), greenery and pyformlang."""

import itertools
import random
import re
import warnings

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pyformlang.regular_expression import Regex

from scancraft.automata.budget import Budget
from scancraft.automata.dfa import Dfa
from scancraft.automata.errors import AlphabetError, BudgetExceededError, RegexSyntaxError, UnknownSymbolError
from scancraft.automata.regex.dialects import Dialect, parse_in
from scancraft.automata.regex.python import parse_greenery, parse_python
from scancraft.automata.regex.regex import parse_regex

SYMBOLS = ("a", "b", "0", "\n", "_", "é", "٣", " ")
"""Letters, digits and white space, of ASCII and not."""

WORDS = ["".join(w) for n in range(4) for w in itertools.product(SYMBOLS[:4], repeat=n)]
WORDS += [*SYMBOLS[4:], *("".join(w) for w in itertools.product(SYMBOLS, repeat=2))]


def same(text: str, words: list[str] = WORDS) -> None:
    dfa, theirs = parse_regex(text, SYMBOLS, dialect="python"), re.compile(text)
    for word in words:
        assert dfa.accepts(word) == (theirs.fullmatch(word) is not None), (text, word)


ATOMS = st.sampled_from(
    [
        *(
            "a",
            "b",
            "0",
            "_",
            "é",
            " ",
            ".",
            r"\d",
            r"\w",
            r"\s",
            r"\D",
            r"\W",
            r"\S",
            r"\n",
            r"\x61",
            r"\u00e9",
            r"\N{SPACE}",
        ),
        *(r"\060", r"\141", "[ab]", "[^a]", "[^\\W\\d]", "[a-b0]", "[]a]", "[^]a]", "[a-]", "[\\s_-]", "[^x-z\\n]"),
        *(
            "[\\060-\\062]",
            "[\\b\\d]",
            "^",
            "$",
            r"\A",
            r"\Z",
            "",
            "(?#no)",
            "(?a:\\w)",
            "(?s:.)",
            "(?s-i:.)",
            "(?-s:.)",
        ),
    ]
)
REPEATS = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{,2}", "{1,}", "{1,2}", "{0,2}?", "{0}", "{,}"])


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = st.tuples(st.sampled_from(["(", "(?:", "(?s:", "(?a:"]), inner).map(lambda t: f"{t[0]}{t[1]})")
    return st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join),
        group,
        st.tuples(group, REPEATS).map("".join),
        st.tuples(st.sampled_from(["a", "b", ".", "[ab]", r"\w"]), REPEATS).map("".join),
    )


@settings(max_examples=600, deadline=None)
@given(text=st.recursive(ATOMS, larger, max_leaves=8))
def test_python_says_what_an_expression_means(text: str) -> None:
    same(text)


@pytest.mark.parametrize(
    "text",
    [
        "^a*$",
        "(^a|b)(a|0$)",
        r"(?:^|a)b(?:$|\Z)",
        "a$\n",
        "(a$)?\n?",
        "($|a)*",
        "(^)*a($)*",
        "$^",
        "a^b",
        "(\\Z|b)a",
        "a$$\n",
        "a$\\Z\n",
        "(?s)a.b",
        "(?a)\\w*",
        "(?u)\\w*",
        "a{",
        "a{}",
        "a{,b}",
        "{a}",
        "a{1",
        "x*".replace("x", "b"),
        "}]",
        "(?P<name>a)(?P<other>b)",
        "a(?#comment)*",
        "a||b",
        "(|a)b",
        "()",
        "[[]|[a[]",
        r"\a?\f?\v?\t?\r?a",
        "[^\\S\n]",
    ],
)
def test_corners_of_pythons_dialect(text: str) -> None:
    """With the symbols that they name, where those are more than usual."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        theirs = re.compile(text)
    symbols = sorted({*"ab0\n", *(ch for ch in text if ch in "{},]}[x1"), *"\a\f\v\t\r"})
    dfa = parse_regex(text, symbols, dialect="python")
    for word in map("".join, itertools.chain(*(itertools.product(symbols, repeat=n) for n in range(4)))):
        assert dfa.accepts(word) == (theirs.fullmatch(word) is not None), word


PIECES = [
    "a",
    "b",
    "(",
    ")",
    "(?:",
    "*",
    "+",
    "?",
    "{2}",
    "{1,",
    "}",
    "[",
    "]",
    "^",
    "-",
    "|",
    "\\",
    "\\d",
    "\\1",
    "$",
    ".",
]
PIECES += ["(?", "(?P<x>", "(?i)", "(?s)", "(?#", "\\x6", "\\8", "\\Q", "[^", "(?=", "{2,1}", "0", "\\012", "[:", "{,"]


def test_what_python_refuses_is_refused() -> None:
    """5,000 random texts: both take it, and mean the same; or ours refuses what we do not support."""
    rng, ends = random.Random(3), {"same": 0, "neither": 0, "ours": 0}
    for _ in range(5_000):
        text = "".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 7)))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs = re.compile(text)
        except (re.error, OverflowError):
            with pytest.raises(RegexSyntaxError):
                parse_python(text)
            ends["neither"] += 1
            continue
        try:
            dfa = parse_regex(text, [chr(c) for c in range(128)], dialect="python")
        except RegexSyntaxError as error:
            refused = str(error)
        else:
            refused = ""
            for word in WORDS[:85]:
                if word.isascii():
                    assert dfa.accepts(word) == (theirs.fullmatch(word) is not None), (text, word)
        if refused:
            assert re.search("not supported|not regular|reference back", refused), (text, refused)
        ends["ours" if refused else "same"] += 1
    assert min(ends.values()) > 20, ends


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        (r"(a)\1", 3, r"\\1, a reference back, is not regular"),
        ("(?P<x>a)(?P=x)", 8, "a reference back, which is not regular"),
        ("a(?=b)", 1, "looking ahead is not supported"),
        ("a(?!b)", 1, "looking ahead is not supported"),
        ("(?<=b)a", 0, "looking behind is not supported"),
        ("(?<!b)a", 0, "looking behind is not supported"),
        ("(?>a)", 0, "an atomic group is not supported"),
        ("(a)(?(1)b|c)", 3, "a condition on a group"),
        ("aa*+", 3, "a possessive repetition is not supported"),
        (r"\ba", 0, "a border of words, is not supported"),
        ("(?i)a", 0, r"the flag 'i' \(ignoring case\) is not supported"),
        ("(?mx:a)", 0, r"the flag 'm' \(lines of their own\)"),
        ("a(?s)", 1, "stand at its beginning"),
        ("a**", 2, "a repetition of a repetition"),
        ("*a", 0, "there is nothing to repeat here"),
        ("^*", 1, "there is nothing to repeat here"),
        ("a{3,2}", 1, "has bounds out of order"),
        ("a{" + "9" * 5000 + "}", 1, "5000 digits"),
        ("(a", 0, r"this '\(' is not closed"),
        ("a)", 1, r"no '\(' is open here"),
        ("[a", 0, r"this '\[' is not closed"),
        ("[b-a]", 1, "b-a is no range"),
        (r"[\d-a]", 1, "is no range"),
        ("a\\", 1, "a backslash ends the expression"),
        (r"\q", 0, r"unknown escape \\q"),
        (r"\x6", 0, "2 hexadecimal digits"),
        (r"\U00110000", 0, "8 hexadecimal digits"),
        (r"\ud800", 0, "surrogate"),
        (r"\N{NO SUCH}", 0, "no character has this name"),
        (r"\777", 0, r"up to \\377"),
        ("(?P<x>a)(?P<x>b)", 8, "the group name 'x' is taken"),
        ("(?#a", 0, "this comment is not closed"),
        ("(?z)", 0, "the flag 'z' .unknown. is not supported"),
    ],
)
def test_what_is_not_supported_is_named_with_its_place(text: str, position: int, message: str) -> None:
    with pytest.raises(RegexSyntaxError, match=message) as caught:
        parse_python(text)
    assert f"(at position {position})" in str(caught.value)


def test_alphabets() -> None:
    """Given, or that of what is named; what a class leaves out need not be in it."""
    assert parse_regex("[^c]+", "ab", dialect="python") == parse_regex("[ab]+", "ab")
    assert parse_regex("[abc-z]+", "ab", dialect="python") == parse_regex("[ab]+", "ab")
    assert parse_regex("the cat", dialect="python").alphabet == tuple(" aceht")
    assert parse_regex("a.", dialect="python").alphabet == ("a",)
    assert parse_regex(r"\d", dialect="python").alphabet == tuple("0123456789")
    assert parse_regex("~/'&ε", dialect="python").accepts("~/'&ε")
    with pytest.raises(UnknownSymbolError, match="'c'"):
        parse_regex("c", "ab", dialect="python")
    with pytest.raises(AlphabetError, match="depends on the alphabet"):
        parse_regex(r"\D", dialect="python")
    with pytest.raises(RegexSyntaxError, match="there is no dialect 'perl'; the dialects are scancraft, python"):
        parse_in("perl", "a")


@pytest.mark.parametrize("dialect", ["scancraft", "python", "greenery"])
@pytest.mark.parametrize(
    "text", ["a{1000000000}", "(a{1000}){1000}", "((a{99}){99}){99}", "a{0,1000000000}", "(|a){1000000000}"]
)
def test_large_counts_are_refused_before_anything_is_built(dialect: str, text: str) -> None:
    if dialect == "scancraft":
        text = text.replace("(|a)", "a?")
    with pytest.raises(BudgetExceededError, match="NFA states"):
        parse_regex(text, budget=Budget(items=5_000), dialect=dialect)


def test_deep_nesting() -> None:
    assert parse_regex("(" * 20_000 + "a" + ")*" * 20_000, dialect="python") == parse_regex("a*")
    assert parse_regex("(" * 20_000 + "a" + ")" * 20_000, dialect="pyformlang") == parse_regex("a")


# -- greenery --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("^a$", r"\^a\$"),
        ("a.b", "a.b"),
        ("[]|a", "[]|a"),
        ("[^]b", ".b"),
        ("[^a]*", "[^a]*"),
        ("(?:ab|)+?", "(ab|())+"),
        ("(?P<x>a){2,3}", "a{2,3}"),
        (r"\x61\.\|", r"a\.\|"),
        (r"[\^\-\]]", r"[\^\-\]]"),
        (r"a{,3}", "a*aaaa|a{,3}".split("|")[1]),
        (r"'~&", r"\'\~\&"),
    ],
)
def test_greenerys_dialect(text: str, ours: str) -> None:
    symbols = [*"ab.|^-]$'~&\n"]
    assert parse_regex(text, symbols, dialect="greenery") == parse_regex(ours, symbols)


@pytest.mark.parametrize(
    "text", ["(?=a)", "(?s:a)", "a{", "a}", "a]", "[a-]", "[a^]", r"\A", r"\q", r"\1", "a**", "a{1,2", "[b-a]"]
)
def test_what_greenery_has_not(text: str) -> None:
    with pytest.raises(RegexSyntaxError, match="at position"):
        parse_greenery(text)


# -- pyformlang ------------------------------------------------------------------------------------------------------

TERMS = st.sampled_from(["a", "push", "epsilon", "$", r"\+", "é~", "x'y"])


def composed(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, st.sampled_from([" ", ".", " . ", "|", "+", " + "]), inner).map("".join),
        inner.map(lambda r: f"({r})"),
        inner.map(lambda r: f"({r})*"),
    )


@settings(max_examples=150, deadline=None)
@given(text=st.recursive(TERMS, composed, max_leaves=6))
def test_pyformlang_says_what_its_expressions_mean(text: str) -> None:
    ours, theirs = parse_regex(text, dialect="pyformlang"), Regex(text)
    assume(ours.alphabet)
    for n in range(4):
        for word in itertools.product(ours.alphabet, repeat=n):
            assert ours.accepts(word) == theirs.accepts(list(word)), (text, word)


def test_errors_in_pyformlangs_dialect() -> None:
    for text, position in (("a|", 2), ("(a", 2), ("a)", 1), ("*", 0), ("", 0), ("a\\b", 0), ("a b (", 5)):
        with pytest.raises(RegexSyntaxError, match=f"at position {position}"):
            parse_in("pyformlang", text)
    with pytest.raises(AlphabetError, match="special token"):
        parse_in("pyformlang", "<eos>")
    assert list(Dialect) == ["scancraft", "python", "greenery", "pyformlang"]
    assert parse_regex("ab", dialect="pyformlang") == Dfa.from_words(["ab"], [["ab"]])
