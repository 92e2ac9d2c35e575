"""Formulas are read, printed, and turned into past formulas and automata that agree with the textbook's semantics."""

from __future__ import annotations

import pytest
from formulas import LETTERS, future_formulas, mixed_formulas, past_formulas, traces, words
from hypothesis import given, settings
from hypothesis import strategies as st

import scancraft
from scancraft.automata.alphabet import BOS
from scancraft.automata.budget import Budget
from scancraft.automata.errors import (
    AlphabetError,
    BudgetExceededError,
    LanguageFormatError,
    LtlSyntaxError,
    UnknownSymbolError,
)
from scancraft.automata.languages import language_from_json, language_to_json, truth_of
from scancraft.automata.logic.future import future_dfa
from scancraft.automata.logic.ltl import ltl, parse_ltl
from scancraft.automata.logic.nodes import Nodes
from scancraft.automata.logic.parser import parse_formula
from scancraft.automata.logic.past import And, Letters, Not, PastLtl, Since, Yesterday
from scancraft.automata.logic.translate import NotPastError, past_ltl
from scancraft.automata.logic.tree import Atom, Constant, Formula, Operation
from scancraft.automata.logic.truth import accepts, holds

LETTER_SETS = {letter: frozenset({letter}) for letter in LETTERS}
WORDS = words(4)


def said(formula: Formula, at: str) -> list[bool]:
    return [accepts(formula, traces(word), at) for word in WORDS]


# -- text --------------------------------------------------------------------------------------------------------------


@given(past_formulas | future_formulas | mixed_formulas)
@settings(deadline=None)
def test_formulas_print_as_formulas_that_read_back(formula: Formula) -> None:
    assert parse_formula(str(formula)) == formula


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("G(p->Fq)", "G (p -> F q)"),
        ("GFa", "G F a"),
        ("[](p => <>q)", "G (p -> F q)"),
        ("X[!] a && WX b || ~c", "(X a & N b) | !c"),
        ("a U b U c", "a U (b U c)"),
        ("a -> b -> c", "a -> (b -> c)"),
        ("a <-> b <-> c", "(a <-> b) <-> c"),
        ("a | b & c ^ d", "(a | (b & c)) ^ d"),
        ("!a S b", "!a S b"),
        ("always (request implies eventually grant)", "G (request -> F grant)"),
        ("historically (not a or once b) and yesterday c", "H (!a | O b) & Y c"),
        ("'X' U \"(\" | '\\n'", "('X' U '(') | '\\n'"),
        ("tt & ff & first & last", "true & false & first & last"),
        ("a M b W c R d T e", "a M (b W (c R (d T e)))"),
        ("next a_1", "X a_1"),
    ],
)
def test_spellings(text: str, printed: str) -> None:
    assert str(parse_formula(text)) == printed
    assert parse_formula(printed) == parse_formula(text)


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("", 0, "the formula is empty"),
        ("a &", 3, "unexpected end of the formula: expected a formula"),
        ("(a", 2, "expected an operator between two formulas or ')'"),
        ("a)", 1, "no '(' is open here"),
        ("a b", 2, "expected an operator between two formulas or the end"),
        ("S a", 0, "S is an operator, for the symbol write 'S'"),
        ("a U", 3, "unexpected end"),
        ("'a", 0, "the quote ' is not closed"),
        ("a | ''", 4, "a quoted symbol is empty"),
        ("a # b", 2, "unexpected '#'"),
        ("+", 0, "for the symbol itself write '+'"),
        ("!" * 300 + "a", 99, "more than 200 deep"),
    ],
)
def test_errors_name_the_place(text: str, position: int, reason: str) -> None:
    with pytest.raises(LtlSyntaxError) as caught:
        parse_formula(text)
    assert reason in str(caught.value)
    assert f"(at position {position})" in str(caught.value)


def test_errors_of_languages() -> None:
    with pytest.raises(LtlSyntaxError, match=r"'eventually' inside 'once'.*\(at position 7\)"):
        ltl("a & O (F b)")
    with pytest.raises(LtlSyntaxError, match="'last' inside 'historically'"):
        ltl("H (a | last)")
    with pytest.raises(UnknownSymbolError, match="'c', which is not in the alphabet"):
        ltl("a U c", "ab")
    with pytest.raises(AlphabetError, match="names no letter"):
        ltl("G true")
    with pytest.raises(BudgetExceededError):
        parse_ltl(" & ".join(f"G(p{i} -> F q{i})" for i in range(12)), budget=Budget(items=500))


# -- meaning -----------------------------------------------------------------------------------------------------------


def test_the_ground_truth_on_cases_worked_out_by_hand() -> None:
    def on(text: str, word: str, position: int = 0) -> bool:
        return holds(parse_formula(text), traces(tuple(word)), position)

    assert on("a U b", "aab")
    assert not on("a U b", "aa")
    assert on("a W b", "aa")
    assert on("b R a", "aa")
    assert not on("b M a", "aa")
    assert on("b M a", "aa", 2) is False
    assert on("X a", "ba")
    assert not on("X a", "b")
    assert on("N a", "b")
    assert on("last", "b")
    assert not on("last", "ba")
    assert on("a S b", "baa", 2)
    assert not on("a S b", "bca", 2)
    assert on("Y b", "ba", 1)
    assert not on("Y true", "b", 0)
    assert on("Z a", "b")
    assert on("H (b | a)", "ba", 1)
    assert on("O b", "ba", 1)
    assert on("a T b", "bb", 1)
    assert on("first", "ba")
    assert not on("first", "ba", 1)
    for text, value in {"G a": True, "F a": False, "H a": True, "O a": False, "N a": True, "a": False}.items():
        assert on(text, "") is value, text
        assert on(text, "", -1) is value, text


@given(past_formulas)
@settings(max_examples=150, deadline=None)
def test_past_formulas_in_normal_form(formula: Formula) -> None:
    language = past_ltl(formula, LETTERS, LETTER_SETS, "last")
    wanted = said(formula, "last")
    assert [language.accepts(word) for word in WORDS] == wanted
    dfa = language.dfa()
    assert [dfa.accepts(word) for word in WORDS] == wanted
    truth = truth_of(language)
    codes, lengths = truth.encode(WORDS)
    masks = truth.next_masks(codes, lengths)
    assert [bool(masks[n, length, -1]) for n, length in enumerate(lengths)] == wanted
    nodes = Nodes(LETTERS)
    assert nodes.language(nodes.copied(language)) == language, "the normal form is one"
    assert language_from_json(language_to_json(language)) == language


@given(future_formulas)
@settings(max_examples=150, deadline=None)
def test_future_formulas_as_past_ones_and_as_automata(formula: Formula) -> None:
    wanted = said(formula, "first")
    dfa = future_dfa(formula, LETTERS, LETTER_SETS)
    assert [dfa.accepts(word) for word in WORDS] == wanted
    last = past_ltl(formula, LETTERS, LETTER_SETS, "last")
    assert [last.accepts(word) for word in WORDS] == said(formula, "last")
    try:
        language = past_ltl(formula, LETTERS, LETTER_SETS, "first", Budget(items=3_000))
    except (NotPastError, BudgetExceededError):
        return
    assert [language.accepts(word) for word in WORDS] == wanted


@given(mixed_formulas)
@settings(max_examples=100, deadline=None)
def test_a_past_inside_a_future(formula: Formula) -> None:
    wanted = said(formula, "first")
    dfa = future_dfa(formula, LETTERS, LETTER_SETS)
    assert [dfa.accepts(word) for word in WORDS] == wanted
    assert parse_ltl(str(formula), LETTERS, at="first") == dfa


@given(past_formulas, st.sampled_from(WORDS), st.integers(0, 3))
@settings(deadline=None)
def test_yesterday_is_pushed_to_letters_and_memories(formula: Formula, word: tuple[str, ...], times: int) -> None:
    for _ in range(times):
        formula = Operation("Y", (formula,))
    language = past_ltl(formula, LETTERS, LETTER_SETS, "last")
    assert language.accepts(word) == accepts(formula, traces(word), "last")
    for node in language.nodes:
        if isinstance(node, Yesterday):
            assert isinstance(language.nodes[node.of], Letters | Yesterday | Since)
            if isinstance(language.nodes[node.of], Yesterday):
                inner = language.nodes[node.of]
                assert not isinstance(language.nodes[inner.of], Since)  # type: ignore[union-attr]


# -- languages ---------------------------------------------------------------------------------------------------------


def test_where_a_formula_is_judged() -> None:
    assert ltl("a", "ab") == ltl("a", "ab", at="first")
    assert ltl("a", "ab").accepts("ab")
    assert not ltl("a", "ab", at="last").accepts("ab")
    assert ltl("O a").accepts(("a",))
    assert isinstance(ltl("O a"), PastLtl)
    assert parse_ltl("G(b -> O a)", "abc") == parse_ltl("H(b -> O a)", "abc")
    assert scancraft.ltl("a S b").accepts("aba")
    assert scancraft.parse_ltl("a S b").n_states == 2


def test_deep_formulas_take_no_longer_than_their_size() -> None:
    deep = "G F " * 60 + "a"
    assert parse_ltl(deep, "ab", at="last") == parse_ltl("a | !(a | b)", "ab", at="last")
    assert ltl("X " * 150 + "a", "ab").accepts("b" * 150 + "a")


def test_formulas_without_a_past_one_are_automata() -> None:
    language = ltl("(a U b) U X c")
    assert isinstance(language, scancraft.Dfa)
    assert [language.accepts(w) for w in WORDS] == said(parse_formula("(a U b) U X c"), "first")


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ((), "no nodes"),
        ((Not(0),), "node 0 refers to itself"),
        ((Letters(frozenset("a")), Yesterday(-1)), "node 1 refers to itself"),
        ((Letters(frozenset("x")),), "the letter 'x'"),
        ((And(()),), "node 0 is applied to nothing"),
    ],
)
def test_nodes_that_are_none(nodes: tuple[object, ...], reason: str) -> None:
    with pytest.raises(LanguageFormatError, match=reason):
        PastLtl(("a", "b"), nodes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [
        None,
        {"alphabet": ["a"]},
        {"alphabet": ["a"], "nodes": {}},
        {"alphabet": "a", "nodes": []},
        {"alphabet": ["a"], "nodes": [["letters", ["a"], 1]]},
        {"alphabet": ["a"], "nodes": [["letters", [1]]]},
        {"alphabet": ["a"], "nodes": [["letters", ["a"]], ["not", True]]},
        {"alphabet": ["a"], "nodes": [["letters", ["a"]], ["S", 0]]},
        {"alphabet": ["a"], "nodes": [["letters", ["a"]], ["and", [0, 1.0]]]},
        {"alphabet": ["a"], "nodes": ["letters"]},
        {"alphabet": ["a"], "nodes": [["X", 0]]},
    ],
)
def test_json_that_is_none(data: object) -> None:
    with pytest.raises(LanguageFormatError):
        language_from_json({"past_ltl": data})


def test_formulas_are_values_that_print() -> None:
    language = ltl("H(c -> O(a & Y b))")
    assert str(language) == "!(O (c & (!(O (a & (Y b))))))"
    assert language == ltl("!O(c & !O(a & Y b))")
    assert hash(language) == hash(ltl("H(c -> O(a & Y b))"))
    assert BOS not in str(language)
    assert Atom("a") != Constant("true")


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("p S q", "{{p},{p,q}} S {{q},{p,q}}"),
        ("p U q", "O ({{q},{p,q}} & (!(Y (O {{},{q}}))))"),
        ("!(!p S q)", "!({{},{q}} S {{q},{p,q}})"),
    ],
)
def test_sets_of_letters_stand_in_parentheses_with_what_follows(text: str, printed: str) -> None:
    assert str(ltl(text, propositions=["p", "q"])) == printed


@pytest.mark.parametrize("text", ["X " * 199 + "a", "a U " * 150 + "b", "(" * 60 + "F a" + " <-> X b)" * 60])
def test_long_formulas_take_few_steps(text: str) -> None:
    """What is asked twice of a part is worked out once: with two questions for each part there would be 2^199."""
    for at in ("first", "last"):
        assert scancraft.ltl(text, ["a", "b"], Budget(items=2_000), at=at).alphabet == ("a", "b")
