"""Every way to name a language, in every function that takes one; and strings that may mean two things."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from command_line import answer, invoke

import scancraft
from scancraft.automata.bare import bare, misread
from scancraft.automata.errors import (
    AlphabetError,
    AmbiguousLanguageError,
    NotRegularError,
    ScancraftError,
    UnknownSymbolError,
)
from scancraft.automata.families import parity
from scancraft.automata.formats.formats import to_json_dict, to_networkx
from scancraft.automata.languages import as_dfa, as_language, language_to_json
from scancraft.automata.named import LANGUAGES, named
from scancraft.automata.regex.combinations import regex
from scancraft.automata.words.mixtures import live_word_of, members_of, mixture_of
from scancraft.blocks_needed import depth
from scancraft.compiler.constructions import walk

D2 = "(a(ab)*b)*"


def ways_in(tmp_path: Path) -> dict[str, Any]:
    """The language D-2, in every form."""
    dfa = as_dfa(D2)
    path = tmp_path / "d2.json"
    path.write_text(json.dumps(to_json_dict(dfa)))
    graph = to_networkx(dfa)
    assert isinstance(graph, nx.MultiDiGraph)
    return {
        "bare": D2,
        "regex": scancraft.regex(D2),
        "named": scancraft.named("D-2"),
        "path": path,
        "json": to_json_dict(dfa),
        "tagged json": language_to_json(dfa),
        "dfa": dfa,
        "graph": graph,
        "suite": scancraft.suite_language("D-2"),
        "compiled": scancraft.compile(D2),
        "product": scancraft.all_of([D2, "~(ba)"]),
    }


FUNCTIONS: dict[str, Callable[[Any], object]] = {
    "as_dfa": as_dfa,
    "classify": lambda x: scancraft.classify(x).gates,
    "star_free_witness": scancraft.star_free_witness,
    "members_of": lambda x: members_of(x, 5, 0, 6, np.random.default_rng(1)),
    "mixture_of": lambda x: mixture_of(x, 5, 0, 6, np.random.default_rng(1)),
    "live_word_of": lambda x: live_word_of(x, 5, np.random.default_rng(1)),
    "depth": lambda x: depth(x).at_most,
    "compile": lambda x: scancraft.compile(x, construction="cascade").weights.n_parameters,
    "walk": lambda x: walk(x).weights.n_parameters,
    "and": lambda x: as_dfa("(ab)*") & x,
    "sub": lambda x: x - as_dfa("(ab)*"),
    "add": lambda x: x + as_dfa("(ab)*"),
    "compare": lambda x: as_dfa("(ab)*") <= x,
    "all_of": lambda x: scancraft.all_of([x, "(ab)*"]).dfa(),
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_function_takes_every_form(function: str, tmp_path: Path) -> None:
    ways = ways_in(tmp_path)
    call = FUNCTIONS[function]
    wanted = call(ways["dfa"])
    for name, value in ways.items():
        assert call(value) == wanted, name


def test_models_are_judged_by_every_form(tmp_path: Path) -> None:
    compiled = scancraft.compile(D2, tmp_path / "out")
    other = scancraft.compile("(ab)*")
    for name, value in ways_in(tmp_path).items():
        assert scancraft.certify(compiled, value).verdict == "certified", name
        assert scancraft.check(compiled, value, words=10, short=50).agrees, name
        assert not scancraft.check(other, value, words=10, short=50).agrees, name
        assert scancraft.certify(other, value).verdict == "counterexample", name
    loaded = scancraft.load(tmp_path / "out")
    for target in (compiled, loaded, tmp_path / "out"):
        assert scancraft.check(target, words=10, short=50).agrees
        assert scancraft.certify(target).verdict == "certified"
    for value in (parity(), "0*(10*10*)*", scancraft.named("parity"), scancraft.suite_language("Parity")):
        found = scancraft.refute(scancraft.compile("[01]*"), value)
        assert found.verdict == "refuted"


def test_a_combination_is_checked_by_what_may_come_next_too() -> None:
    """Its parts do not know that; the product does."""
    both = scancraft.all_of(["(a|b)*a", "~(aa)"])
    assert scancraft.check(scancraft.compile(both.dfa()), both, words=10, short=100).agrees


def test_operators_read_expressions_over_their_own_symbols() -> None:
    dfa = as_dfa("(a|b)*")
    assert dfa & "~(ab)" == as_dfa("~(ab)")
    assert dfa - "a*" == as_dfa("(a|b)*b(a|b)*")
    assert "a*" + (dfa & "b") == as_dfa("a*b")
    assert "a*" | (dfa & "b*") == as_dfa("a*|b*")
    assert "(a|b)*" - (dfa & "a*") == dfa - "a*"
    assert ("a*" ^ dfa) == dfa - "a*"
    assert dfa >= "a*"
    assert dfa > "a*"
    assert not dfa > "(a|b)*"
    assert not dfa < "a*"
    assert (dfa & "a*") < "(a|b)*"
    assert "a*" <= dfa
    with pytest.raises(UnknownSymbolError):
        _ = dfa & "c"
    with pytest.raises(AlphabetError):
        _ = dfa & regex("c")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("D-2", 'D-2 is a language of the suite: scancraft.named("D-2"); as an expression: scancraft.regex("D-2")'),
        ("parity", 'scancraft.named("Parity")'),
        ("a^n b^n", 'scancraft.named("a^n b^n")'),
        ("Dyck_{8,10}", 'scancraft.named("Dyck_{8,10}")'),
        ("out/d2", 'out/d2 looks like a path: pathlib.Path("out/d2"); as an expression: scancraft.regex("out/d2")'),
        ("even.json", 'pathlib.Path("even.json")'),
        ("a.jff", 'pathlib.Path("a.jff")'),
        ("D-5", "D-5 has '-', which is seldom in expressions, and is no language of the suite"),
        ("Tomita_7", "'_'"),
        ("(push pop)*", "symbols of several characters stand in quotes"),
    ],
)
def test_strings_that_may_mean_two_things_are_refused(text: str, said: str) -> None:
    for read in (
        as_language,
        scancraft.classify,
        scancraft.compile,
        lambda t: members_of(t, 1, 0, 3, np.random.default_rng(0)),
    ):
        with pytest.raises(AmbiguousLanguageError) as caught:
            read(text)
        assert said in str(caught.value)
        assert str(caught.value).endswith(f"scancraft.regex({json.dumps(text)})")


@pytest.mark.parametrize(
    "text",
    [
        "(aa)*",
        "( a a )*",
        "aa*bb*cc*dd*ee*",
        r"a\-b",
        "'push-it' 'out/x.json'",
        "[a-c]*",
        "a{2,3}",
        "aaa bbb",
        "~[] 000 ~[]",
    ],
)
def test_other_strings_are_expressions(text: str) -> None:
    assert bare(text) == regex(text)


@pytest.mark.parametrize("text", ["the cat", "~/[a-z]+", "'[a-z]'", '"a|b"'])
def test_expressions_that_somebody_may_have_meant_otherwise(text: str) -> None:
    result = invoke("decide", "--regex", text)
    assert (result.exit_code, result.stderr) == (
        0,
        f"scancraft: warning: {misread(text)}; --dialect python reads expressions as Python does\n",
    )


@pytest.mark.parametrize("text", ["a b", "aaa bbb", "~(ab)", "'push' 'pop'", "'push'", "'a'|'b'", "[a-z]"])
def test_expressions_that_mean_one_thing(text: str) -> None:
    assert misread(text) is None
    assert invoke("decide", "--regex", text).stderr == ""


def test_brackets_named_on_the_command_line() -> None:
    found = answer(invoke("decide", "--dyck", "2,3", "--alphabet", "< > [ ]", "--json"))
    assert found["states"] == 16
    assert invoke("decide", "--dyck", "2,3", "--alphabet", "< >").exit_code == 2


def test_names() -> None:
    assert as_dfa(named(" d - 2 ")) == as_dfa(D2)
    assert len(LANGUAGES) == 30
    with pytest.raises(scancraft.ScancraftError, match=r"no language of the suite is called 'D-5'; there are .*D-12"):
        named("D-5")


def test_what_is_not_regular_is_refused_where_a_dfa_is_needed() -> None:
    for call in (as_dfa, scancraft.classify, scancraft.star_free_witness, depth, walk, lambda x: scancraft.all_of([x])):
        with pytest.raises(NotRegularError, match="CounterMachine"):
            call(named("Dyck-1"))
    with pytest.raises(scancraft.BudgetExceededError):
        as_dfa(named("Dyck_{8,10}"))


def test_a_directory_is_no_language(tmp_path: Path) -> None:
    with pytest.raises(scancraft.ScancraftError, match=r"is a directory; .*scancraft.load"):
        as_language(tmp_path)


def test_a_transition_to_a_state_that_is_named_nowhere_else_is_refused() -> None:
    machine = {"alphabet": ["a"], "initial": "even", "accepting": ["even"], "transitions": {"even": {"a": "od"}}}
    with pytest.raises(scancraft.ScancraftError) as caught:
        as_language(machine)
    assert str(caught.value) == (
        "state 'even' goes on 'a' to 'od', which is named nowhere else; correct the name or give the state a row in "
        '"transitions", say {"od": {}}'
    )
    machine["transitions"] = {"even": {"a": "od"}, "od": {}}
    assert as_dfa(machine).n_states == 2


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"initial": ' + "[" * 100_000, "'" + "[a" * 50_000, "[" + "\\]" * 50_000]
)
def test_strings_that_are_no_expressions_are_refused_at_once(text: str) -> None:
    """A pattern that looked for the end of a class from each of its beginnings took minutes."""
    with pytest.raises(ScancraftError):
        bare(text)
