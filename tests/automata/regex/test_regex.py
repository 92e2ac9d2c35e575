"""Regular expressions against Python's ``re``, against a naive matcher on sets of words, and their errors."""

import dataclasses
import itertools
import re
import string

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scancraft import Budget, BudgetExceededError, Dfa, parse_regex
from scancraft.automata.errors import AlphabetError, RegexSyntaxError, UnknownSymbolError
from scancraft.automata.families import d_n
from scancraft.automata.regex.parser import parse_ast
from scancraft.automata.regex.tree import (
    Alternation,
    AnySymbol,
    CharClass,
    Complement,
    Concat,
    Empty,
    Epsilon,
    Intersection,
    Range,
    Regex,
    Repeat,
    Shorthand,
    Symbol,
)


def all_words(alphabet, up_to):
    return [w for n in range(up_to + 1) for w in itertools.product(alphabet, repeat=n)]


def language(dfa, up_to):
    return {w for w in all_words(dfa.alphabet, up_to) if dfa.accepts(w)}


# -- ordinary operators against Python's re: the same text goes to both ------------------------------------------

LETTERS = "ab1_-"
ATOMS = ["a", "b", "1", "_", "[ab]", "[^a]", "[a-b]", "[^b-c1]", "[-a]", "[a-]", "[^-1]", ".", "()"]
ATOMS += [r"\d", r"\w", r"\D", r"\W", r"[\da]", r"[^\d]", r"[^\wb]", r"[\D1]", r"[\W_]", r"\_", r"[\-1]"]
REPEATS = ["*", "+", "?", "{2}", "{0}", "{1,}", "{2,}", "{0,}", "{,2}", "{0,2}", "{1,3}", "{0,0}"]


def python_expressions():
    """Expressions with the syntax that is common to both, with few needless parentheses."""
    group = st.deferred(lambda: alternation).map(lambda r: f"({r})")
    atom = st.one_of(st.sampled_from(ATOMS), group)
    # Without parentheses Python takes a second postfix operator for "lazy" or "possessive".
    repeated = st.tuples(atom, st.one_of(st.just(""), st.sampled_from(REPEATS))).map("".join)
    concat = st.lists(repeated, min_size=1, max_size=3).map("".join)
    alternation = st.lists(concat, min_size=1, max_size=3).map("|".join)
    return alternation


@settings(max_examples=62, deadline=None)
@given(python_expressions().filter(lambda r: len(r) < 60))
@example("(()|a){2,}")
@example("((a|())*b?)*")
@example("((a+)+)+")
def test_agrees_with_re(text):
    pattern = re.compile(text, re.ASCII)
    dfa = parse_regex(text, LETTERS)
    for word in all_words(LETTERS, 4):
        assert dfa.accepts(word) == (pattern.fullmatch("".join(word)) is not None), word


# -- all operators against a naive matcher: terms of the test's own, evaluated as sets of short words -------------

SYMBOLS = ("a", "push")
BOUND = 5
UNIVERSE = frozenset(all_words(SYMBOLS, BOUND))
ONE = st.sampled_from(
    [
        ("a", frozenset({("a",)})),
        ("'push'", frozenset({("push",)})),
        ('"push"', frozenset({("push",)})),
        ("'a'", frozenset({("a",)})),
        ("()", frozenset({()})),
        ("ε", frozenset({()})),
        ("[]", frozenset()),
        ("∅", frozenset()),
        (".", frozenset({("a",), ("push",)})),
        ("[a'push']", frozenset({("a",), ("push",)})),
        ("[^a]", frozenset({("push",)})),
        ("[^'push']", frozenset({("a",)})),
        ("[^]", frozenset({("a",), ("push",)})),
        ("[a-z]", frozenset({("a",)})),
        (r"\w", frozenset({("a",)})),
        (r"\W", frozenset({("push",)})),
        (r"\d", frozenset()),
    ]
)


def cat(first, second):
    return frozenset(u + v for u in first for v in second if len(u) + len(v) <= BOUND)


def power(words, least, most):
    """Words of ``least`` to ``most`` factors; beyond BOUND further copies only those with an empty factor matter."""
    now = frozenset({()})
    for _ in range(least):
        now = cat(now, words)
    out = now
    for _ in range(BOUND + 1 if most is None else most - least):
        now = cat(now, words)
        out |= now
    return out


def render(term):
    """Text, binding strength (as documented: | & concatenation ~ postfix) and short words of a term."""
    kind, *rest = term
    if kind == "one":
        return rest[0][0], 5, rest[0][1]
    parts = [render(t) for t in rest[0]]
    own = ["alt", "and", "cat", "not", "rep"].index(kind)
    needed = own if kind == "not" else own + 1
    texts = [text if binding >= needed else f"( {text} )" for text, binding, _ in parts]
    words = [w for *_, w in parts]
    if kind == "alt":
        return " | ".join(texts), own, frozenset().union(*words)
    if kind == "and":
        return " & ".join(texts), own, frozenset.intersection(*words)
    if kind == "cat":
        total = frozenset({()})
        for w in words:
            total = cat(total, w)
        return "".join(texts), own, total
    if kind == "not":
        return "~" + texts[0], own, UNIVERSE - words[0]
    operator, least, most = rest[1]
    return texts[0] + operator, own, power(words[0], least, most)


POSTFIX = [("*", 0, None), ("+", 1, None), ("?", 0, 1), ("{2}", 2, 2), ("{2,}", 2, None), ("{ ,2 }", 0, 2)]
POSTFIX += [("{1,3}", 1, 3), ("{0}", 0, 0), ("{0,}", 0, None)]


def terms(leaves=8):
    some = lambda inner: st.lists(inner, min_size=2, max_size=3)  # noqa: E731
    return st.recursive(
        ONE.map(lambda one: ("one", one)),
        lambda inner: st.one_of(
            st.tuples(st.sampled_from(["alt", "and", "cat", "cat"]), some(inner)),
            st.tuples(st.just("not"), inner.map(lambda t: [t])),
            st.tuples(st.just("rep"), inner.map(lambda t: [t]), st.sampled_from(POSTFIX)),
        ),
        max_leaves=leaves,
    )


@settings(max_examples=62, deadline=None)
@given(terms())
def test_agrees_with_sets_of_words(term):
    text, _, words = render(term)
    assert language(parse_regex(text, SYMBOLS), BOUND) == words, text


# -- printing ----------------------------------------------------------------------------------------------------


def shape(node):
    """The structure of a tree as nested tuples, without the tree's own notion of equality."""
    if isinstance(node, tuple):
        return tuple(shape(n) for n in node)
    if not dataclasses.is_dataclass(node):
        return node
    return (type(node).__name__, *(shape(getattr(node, f.name)) for f in dataclasses.fields(node)))


def trees():
    odd = st.sampled_from([*"|&~*+?{}()[].\\'\"^$-,:;a0zε∅é\x00", "push", "it's", 'a"b', "a\\b", "\\d", "[x]", "0,1"])
    names = st.one_of(odd, st.text(st.characters(exclude_categories=["Zs", "Zl", "Zp", "Cc", "Cs"]), min_size=1))
    # Hypothesis also draws strings that it has seen in the code under test, "<bos>" among them.
    symbols = names.filter(lambda name: not re.search("<(bos|eos|pad)>", name)).map(Symbol)
    single = st.one_of(st.sampled_from(string.printable.strip()), st.sampled_from("éε∅"))
    ranges = st.tuples(single, single).map(lambda ends: Range(min(ends), max(ends)))
    shorthands = st.sampled_from("dwDW").map(Shorthand)
    items = st.lists(st.one_of(symbols, ranges, shorthands), min_size=1, max_size=4).map(tuple)
    classes = st.one_of(st.builds(CharClass, items, st.booleans()), st.just(CharClass((), True)))
    constants = st.sampled_from([Empty(), Epsilon(), AnySymbol()])
    bounds = st.tuples(st.integers(0, 3), st.one_of(st.none(), st.integers(0, 3)))
    return st.recursive(
        st.one_of(symbols, classes, shorthands, constants),
        lambda inner: st.one_of(
            st.builds(
                lambda kind, parts: kind(tuple(parts)),
                st.sampled_from([Alternation, Intersection, Concat]),
                st.lists(inner, min_size=2, max_size=3),
            ),
            inner.map(Complement),
            st.builds(lambda r, b: Repeat(r, b[0], None if b[1] is None else sum(b)), inner, bounds),
        ),
        max_leaves=10,
    )


@settings(max_examples=100, deadline=None)
@given(trees())
def test_printing_round_trip(tree):
    again = parse_ast(str(tree))
    assert shape(again) == shape(tree)
    assert again == tree
    assert hash(again) == hash(tree)
    assert eval(repr(tree)) == tree


@settings(max_examples=25, deadline=None)
@given(trees(), trees())
def test_equality_is_equality_of_structure(one, two):
    assert (one == two) == (shape(one) == shape(two))
    assert one != "a"


@settings(max_examples=125, deadline=None)
@given(st.text(st.sampled_from("ab1|&~*+?{},()[].\\'\"^$- ε∅dw"), max_size=14))
def test_any_text_parses_or_is_refused_with_its_place(text):
    try:
        tree = parse_ast(text)
    except (RegexSyntaxError, AlphabetError) as error:
        first, window, caret = str(error).split("\n")
        position = int(re.search(r"\(at position (\d+)\)$", first)[1])
        assert 0 <= position <= len(text)
        assert window == "    " + text
        assert caret == " " * (4 + position) + "^"
    else:
        assert shape(parse_ast(str(tree))) == shape(tree)


@settings(max_examples=25, deadline=None)
@given(trees(), st.randoms(use_true_random=False))
def test_white_space_means_nothing_outside_quotes(tree, random):
    tokens = re.findall(r"\\.|'(?:[^'\\]|\\.)*'|[0-9]+(?=[,}])|.", str(tree), re.DOTALL)
    spaced = "".join(token + random.choice(["", " ", "\n", "\t "]) for token in tokens)
    assert shape(parse_ast(spaced)) == shape(tree)


# -- alphabets ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "alphabet"),
    [
        ("ba|c", "abc"),
        ("b'push'[x-z0]", ("0", "b", "push", "x", "y", "z")),
        (r"\d", string.digits),
        (r"[\wé]", tuple(sorted([*string.ascii_letters, *string.digits, "_", "é"]))),
        ("[^ab]*a", "ab"),
        (r"a\D\W.~b", "ab"),
        ("()", ""),
        ("[]", ""),
    ],
)
def test_the_alphabet_is_what_the_expression_names(text, alphabet):
    assert parse_regex(text).alphabet == tuple(alphabet)


def test_a_given_alphabet_keeps_its_order_and_bounds_ranges():
    assert parse_regex("[a-z]|\\d", ("z", "push", "b", "7")).alphabet == ("z", "push", "b", "7")
    assert parse_regex("[a-z]", "ab?") == parse_regex("a|b", "ab?")
    assert parse_regex("[a-z]", "01").is_empty()
    assert parse_regex(r"\d", ("a", "10")).is_empty()
    assert parse_regex(r"\w|\W", ("a", "?", "aa")) == parse_regex(".", ("a", "?", "aa"))
    assert parse_regex("~∅", "ab") == Dfa.universal("ab")
    assert parse_regex("∅", "ab") == Dfa.empty("ab")
    assert parse_regex("()", "ab") == Dfa.from_words("ab", [()])


@pytest.mark.parametrize("text", [".", "~()", "[^]", "~∅", r"\D*", r"\W", r"[\D]", "(.|())*"])
def test_an_expression_that_needs_an_alphabet_says_so(text):
    with pytest.raises(AlphabetError, match="give an alphabet"):
        parse_regex(text)
    assert parse_regex(text, "ab").alphabet == ("a", "b")


@pytest.mark.parametrize("text", ["ac", "[ac]", "[^c]", "~c", "a{0}|c{0}", "a&c"])
def test_a_symbol_outside_the_alphabet_is_refused(text):
    with pytest.raises(UnknownSymbolError, match=r"'c'.*\{a, b\}"):
        parse_regex(text, "ab")


def test_bad_alphabets():
    with pytest.raises(AlphabetError, match="twice"):
        parse_regex("a", "aa")
    with pytest.raises(AlphabetError, match="surrogate"):
        parse_regex("[\ud000-\ue000]")


@pytest.mark.parametrize("text", ["\\ ", "' '", "[\\ ]", "[ ' ' ]"])
def test_a_blank_that_is_a_symbol(text):
    assert parse_ast(text).children == ()
    assert parse_regex(text) == Dfa.from_words([" "], [[" "]])
    assert parse_ast(str(parse_ast(f"a{text}\\t'\\n'[\\r\x80-\u2028]"))) == parse_ast(f"a{text}\\t\\n[\\r\x80-\u2028]")


# -- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 0, "the expression is empty; write () for the empty word"),
        ("  ", 2, "the expression is empty"),
        ("a||b", 2, "unexpected '|': expected an expression"),
        ("a|", 2, "unexpected end of the expression: expected an expression"),
        ("(a", 2, "unexpected end of the expression: expected ')'"),
        ("(a|(b)", 6, "expected ')'"),
        ("a)", 1, "no '(' is open here"),
        ("*a", 0, "unexpected '*': expected an expression"),
        ("ab~", 3, "expected an expression"),
        ("a & & b", 4, "unexpected '&': expected an expression"),
        ("a{", 2, "expected a number or ','"),
        ("a{x}", 2, "unexpected 'x': expected a number or ','"),
        ("a{,}", 3, "unexpected '}': expected a number"),
        ("a{2", 3, "expected ',' or '}'"),
        ("a{2,b}", 4, "expected a number or '}'"),
        ("a{3,2}", 2, "{3,2} has bounds out of order"),
        ("a{" + "9" * 5000 + "}", 2, "5000 digits"),
        ("b{0," + "9" * 21 + "}", 4, "21 digits"),
        ("a}", 1, "unexpected '}'"),
        ("a+?b", 2, "'?' after a repetition: in Python's re that is a lazy or possessive form"),
        ("a{2} ?b", 5, "'?' after a repetition"),
        ("a++a", 2, "'+' after a repetition: in Python's re"),
        ("a?+", 2, 'or say dialect="python"'),
        ("a]", 1, "unexpected ']'"),
        ("^a", 0, "no anchors"),
        ("a$", 1, "no anchors, the whole word has to match; for the symbol itself write \\$"),
        ("[a", 2, "expected a symbol or ']'"),
        ("[a[b]]", 2, "for the symbol itself write \\["),
        ("[a-c-e]", 4, "for the symbol itself write \\-"),
        ("[c-a]", 1, "runs backwards"),
        ("b['ab'-c]", 2, "a range runs between single characters"),
        ("[aε]", 2, "for the symbol itself write \\ε"),
        ("a\\s", 1, "unknown escape \\s"),
        ("a\\", 1, "unknown escape \\;"),
        ("[\\b]", 1, "unknown escape \\b"),
        ("a'b", 1, "the quote ' is not closed"),
        ('a"b', 1, 'the quote " is not closed'),
        ("a''", 1, "a quoted symbol is empty"),
        ("a'\\d'", 1, "unknown escape \\d in a quoted symbol"),
    ],
)
def test_syntax_errors(text, position, message):
    with pytest.raises(RegexSyntaxError) as caught:
        parse_ast(text)
    first, window, caret = str(caught.value).split("\n")
    assert message in first
    assert first.endswith(f"(at position {position})")
    assert window[len(caret) - 1 :] == "    "[len(caret) - 1 : 4] + text[position : position + 30]
    assert len(caret) == 5 + position


def test_the_window_moves_along_a_long_expression():
    with pytest.raises(RegexSyntaxError) as caught:
        parse_ast("ab\n" * 1000 + "|)" + "c" * 1000)
    first, window, caret = str(caught.value).split("\n")
    assert "position 3001" in first
    assert window[len(caret) - 1] == ")"
    assert len(window) < 80


@pytest.mark.parametrize("text", ["b'<bos>'", "b['x<pad>']"])
def test_unusable_symbols_are_refused_with_their_place(text):
    with pytest.raises(AlphabetError, match=r"position [12]"):
        parse_ast(text)


def test_nodes_check_their_arguments():
    a = Symbol("a")
    for make in [
        lambda: Repeat(a, 2, 1),
        lambda: Repeat(a, -1, None),
        lambda: Concat((a,)),
        lambda: Alternation(()),
        lambda: CharClass(()),
        lambda: Range("b", "a"),
        lambda: Range("ab", "c"),
        lambda: Shorthand("q"),
    ]:
        with pytest.raises(RegexSyntaxError):
            make()
    for name in ["", "\ud800", "<eos>"]:
        with pytest.raises(AlphabetError):
            Symbol(name)
    with pytest.raises(dataclasses.FrozenInstanceError):
        a.name = "b"


# -- budgets and size --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a{99999999999999999999}", "NFA states"),
        ("a{,99999999999999999999}", "NFA states"),
        ("a{99999999999999999999,}", "NFA states"),
        ("(){99999999999999999999}", "NFA states"),
        ("∅{1,99999999999999999999}", "NFA states"),
        ("(){0}{99999999999999999999}", "NFA states"),
        ("a{0}{99999999}{99999999}", "NFA states"),
        ("(a{1000}){1000}", "NFA states"),
        ("(~a){99999999}", "NFA states"),
        ("~(b*(a&a){99999999})", "NFA states"),
        ("(a|b)*a(a|b){30}", "subset states"),
        ("a((((a{20}){20}){20}){20}){20}", "NFA states"),
        ("(.{7})*&(.{11})*&(.{13})*&(.{17})*", "product states"),
        ("[!-\U0010ffff]", "symbols in ranges"),
    ],
)
def test_budgets(text, what):
    with pytest.raises(BudgetExceededError, match=what):
        parse_regex(text, None if what == "symbols in ranges" else "ab", Budget(items=2500))


def test_time_is_part_of_the_budget():
    with pytest.raises(BudgetExceededError, match="seconds"):
        parse_regex("a*", budget=Budget(seconds=0.0))


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("(" * 2000 + "a" + ")" * 2000, "a"),
        ("(a" * 600 + ")" * 600, "a{600}"),
        ("|".join(["ab", "b", "aba"] * 1667), "a?b|aba"),
        ("&".join(["(a|b)*", "a*"] * 200), "a*"),
        ("~" * 2001 + "a", "~a"),
        ("a" + "*" * 1500, "a*"),
        ("(" * 200 + "a" + ")+" * 200, "a+"),
        ("ab" * 1000, "(ab){1000}"),
    ],
    ids=lambda text: text[:12],
)
def test_long_and_deep_expressions(text, plain):
    assert parse_regex(text, "ab") == parse_regex(plain, "ab")


def test_deep_and_wide_trees_print_compare_and_hash():
    tree: Regex = Symbol("a")
    for _ in range(5000):
        tree = Complement(Repeat(Concat((tree, Symbol("b"))), 0, None))
    assert parse_ast(str(tree)) == tree
    assert hash(parse_ast(str(tree))) == hash(tree)
    assert tree != Complement(tree)
    assert sum(1 for _ in tree.walk()) == 5000 * 4 + 1
    wide = parse_ast("ab" * 10_000)
    assert isinstance(wide, Concat)
    assert len(wide.parts) == 20_000
    assert str(wide) == "ab" * 10_000
    assert parse_regex("(a" * 400 + "b)*" * 400) == d_n(400)


def test_a_repeated_complement_is_computed_once(monkeypatch):
    calls = []
    invert = Dfa.__invert__
    monkeypatch.setattr(Dfa, "__invert__", lambda dfa: (calls.append(dfa), invert(dfa))[1])
    dfa = parse_regex("(~(ab)){20}", "ab")
    assert len(calls) == 1
    assert dfa.accepts("ab")
