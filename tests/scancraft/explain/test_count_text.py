"""What counts, as an argument: the cases are those of the automaton, and a wrong circuit is noticed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from command_line import invoke, refused

import scancraft
from scancraft.automata.families import d_n, tomita
from scancraft.compiler.circuits.circuit import Circuit
from scancraft.compiler.circuits.forms import ONE
from scancraft.compiler.circuits.walks import counted
from scancraft.compiler.plan.wellformed import PlanError
from scancraft.explain.count_text import cases_of, counting_argument

GRID = {
    "alphabet": ["l", "r", "d", "u"],
    "initial": "00",
    "accepting": ["00"],
    "transitions": {
        f"{x}{y}": {
            a: f"{x + i}{y + j}"
            for a, (i, j) in {"l": (-1, 0), "r": (1, 0), "d": (0, -1), "u": (0, 1)}.items()
            if 0 <= x + i < 3 and 0 <= y + j < 2
        }
        for x in range(3)
        for y in range(2)
    },
}
"""A walk in two dimensions: the words that come back to the corner of a grid of three by two."""

LANGUAGES = {"D-1": d_n(1), "D-5": d_n(5), "Tomita-7": tomita(7), "grid": scancraft.as_language(GRID)}


def circuit_of(name: str, contract: str = "all-words") -> Circuit:
    found = counted(LANGUAGES[name], contract)  # type: ignore[arg-type]
    assert found is not None
    return found


@pytest.mark.parametrize("contract", ["all-words", "live-prefixes"])
@pytest.mark.parametrize("name", LANGUAGES)
def test_every_case_is_met_and_right(name: str, contract: str) -> None:
    dfa, circuit = LANGUAGES[name], circuit_of(name, contract)
    cases = cases_of(circuit, dfa)
    assert {case.state for case in cases.live} == dfa.live
    assert all(case.allowed == dfa.allowed(case.state) for case in cases.live)
    text = counting_argument(circuit, dfa)
    assert f"words in {len(dfa.live)} of them can still be completed" in text
    assert ("A word that has died stays dead because nothing" in text) is (contract == "all-words")


def test_what_is_said_of_a_corridor_and_of_a_grid() -> None:
    text = counting_argument(circuit_of("D-5"), LANGUAGES["D-5"])
    for line in ("count +1 after a.", "a may come where count is 0 to 4.", "The word may end where count is 0."):
        assert line in text
    text = counting_argument(circuit_of("grid"), LANGUAGES["grid"])
    assert "The word may end where (count 1, count 2) is (0, 0)." in text


def test_a_wrong_circuit_is_noticed() -> None:
    circuit = circuit_of("D-5")
    for token, form in circuit.verdicts.items():
        wrong = replace(circuit, verdicts={**circuit.verdicts, token: {**form, ONE: form.get(ONE, 0) + 1}})
        with pytest.raises(PlanError, match="the circuit allows"):
            counting_argument(wrong, LANGUAGES["D-5"])
    with pytest.raises(PlanError):
        counting_argument(circuit, d_n(6))
    with pytest.raises(scancraft.BudgetExceededError):
        counting_argument(circuit, LANGUAGES["D-5"], scancraft.Budget(3))


def test_on_the_command_line(tmp_path: Path) -> None:
    scancraft.compile(d_n(3), tmp_path / "d3", optimise="depth")
    circuit = counted(d_n(3))
    assert circuit is not None
    assert invoke("explain", tmp_path / "d3", "--stage", "plan").stdout == f"{counting_argument(circuit, d_n(3))}\n"
    # One whose walk is not what it is compiled to by default.
    scancraft.compile("(a(a(ab)*b)*b)*", tmp_path / "asked", construction="walk")
    done = invoke("explain", tmp_path / "asked", "--stage", "plan")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "a may come where count is 0 to 2." in done.stdout
    scancraft.compile(d_n(3), tmp_path / "cascade", construction="cascade")
    assert "compiled by its cascade" in refused(invoke("explain", tmp_path / "cascade", "--stage", "plan"))
