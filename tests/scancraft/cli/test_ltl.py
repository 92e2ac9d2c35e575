"""Formulas of temporal logic on the command line."""

from __future__ import annotations

from pathlib import Path

from command_line import answer, invoke, refused


def test_a_past_formula_from_text_to_a_certified_model(tmp_path: Path) -> None:
    out = tmp_path / "out"
    text = "H(c -> O(a & Y b)) & !(a S c)"
    facts = answer(invoke("compile", "--ltl", text, "-o", out, "--contract", "recognise", "--certify", "--json"))
    assert (facts["contract"], facts["memories"], facts["verdict"]) == ("recognise", 3, "certified")
    said = answer(invoke("run", out, "bac", "c", "--json"))
    assert [word["accepted"] for word in said] == [False, False]
    assert answer(invoke("check", out, "--ltl", text, "--words", 50, "--json"))["verdict"] == "agrees"
    assert invoke("check", out, "--ltl", "O a", "--words", 50).exit_code == 1
    plan = invoke("explain", out, "--stage", "plan").stdout
    assert "each memory is 1 iff its formula holds" in plan
    assert "has no stage cascade" in refused(invoke("explain", out, "--stage", "cascade"))
    assert "past formula of" in invoke("explain", out).stdout


def test_a_future_formula_by_its_automaton(tmp_path: Path) -> None:
    out = tmp_path / "out"
    facts = answer(invoke("compile", "--ltl", "(a U b) U X c", "-o", out, "--json"))
    assert facts["states"] > 1
    assert answer(invoke("decide", "--ltl", "G(a -> F b)", "--alphabet", "a b c", "--json"))["star_free"] is True
    assert answer(invoke("decide", "--ltl", "a", "--alphabet", "a b", "--at", "last", "--json"))["states"] == 2
    assert answer(invoke("decide", "--ltl", "a", "--alphabet", "a b", "--at", "first", "--json"))["states"] == 3


def test_letters_as_sets_of_propositions(tmp_path: Path) -> None:
    out = tmp_path / "out"
    invoke("compile", "--ltl", "G(p -> F q)", "--propositions", "p,q,r", "-o", out)
    said = answer(invoke("run", out, "{p} {p,q} {r}", "{p,r}", "--json"))
    assert [word["accepted"] for word in said] == [True, False]
    assert answer(invoke("decide", "--ltl", "G(p -> F q)", "--propositions", "formula", "--json"))["states"] == 2
    many = " | ".join(f"p{i}" for i in range(20))
    facts = answer(invoke("compile", "--ltl", f"G(({many}) -> F q)", "--propositions", "formula", "-o", out, "--json"))
    assert facts["states"] == 2


def test_what_is_no_formula() -> None:
    for text, reason in {"a &": "expected a formula (at position 3)", "O F a": "inside 'once'"}.items():
        done = invoke("decide", "--ltl", text)
        assert (done.exit_code, reason in done.stderr, f"    {text}\n" in done.stderr) == (2, True, True)
    assert "go with --ltl" in refused(invoke("decide", "--regex", "a", "--propositions", "p"))
    assert "not in the alphabet" in refused(invoke("decide", "--ltl", "c", "--alphabet", "a b"))
    assert "not both" in refused(invoke("decide", "--ltl", "p", "--alphabet", "a b", "--propositions", "p"))
    assert "name two languages" in refused(invoke("decide", "--ltl", "p", "--regex", "a"))
    assert "--dialect goes with --regex" in refused(invoke("decide", "--ltl", "p", "--dialect", "python"))
    big = " & ".join(f"G(p{i} -> F q{i})" for i in range(9))
    assert "combinations of bits" in refused(invoke("decide", "--ltl", big, "--budget", "300"), 3)
