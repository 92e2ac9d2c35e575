"""The languages of certificates: read and judged without the code of ``automata``, and as it judges them."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from scancraft.automata.counters.machine import counter_machine_from_json
from scancraft.automata.errors import ScancraftError
from scancraft.certify.checker.languages import (
    _changes,
    completable,
    reachable,
    read_counter_machine,
)
from scancraft.certify.checker.nested import read_bounded_dyck, read_nested
from scancraft.certify.checker.parts import RejectedError


def test_changes_of_a_counter() -> None:
    for sign, add in product((-1, 0, 1), range(-7, 8)):
        values = {-1: range(-20, 0), 0: [0], 1: range(1, 21)}[sign]
        found: dict[int, int] = {}
        for c in values:
            after = int(np.sign(c + add))
            found[after] = max(found.get(after, -99), abs(c + add) - abs(c))
        assert dict(_changes(sign, add)) == found, (sign, add)


def test_agrees_with_the_compiler_on_which_machines_are_languages() -> None:
    """Random machines: what one of them reads and can complete, the other does."""
    rng = np.random.default_rng(5)
    verdicts = []
    for _ in range(400):
        names, states = ["m", "n"][: rng.integers(1, 3)], ["p", "q"]
        signed = {name: bool(rng.random() < 0.4) for name in names}
        tests = ["zero", "nonzero", "positive", "negative"]

        def some(p: float, names: list[str] = names, tests: list[str] = tests) -> dict[str, str]:
            return {
                name: str(rng.choice(tests[:3] if rng.random() < 0.9 else tests)) for name in names if rng.random() < p
            }

        rows: dict[str, Any] = {}
        for state in states:
            rows[state] = {}
            for symbol in "ab":
                if rng.random() < 0.8:
                    add = {name: int(rng.integers(-1, 3)) for name in names if rng.random() < 0.6}
                    when = some(0.3) | {n: "positive" for n, v in add.items() if v < 0 and rng.random() < 0.8}
                    rows[state][symbol] = {"to": str(rng.choice(states)), "add": add, "when": when}
        machine = {
            "alphabet": ["a", "b"],
            "counters": {n: {"initial": int(rng.integers(0, 2)), "signed": signed[n]} for n in names},
            "initial": "p",
            "transitions": rows,
            "accepting": {q: some(0.5) for q in states if rng.random() < 0.7},
        }
        try:
            counter_machine_from_json(machine)
            right = True
        except ScancraftError:
            right = False
        try:
            language = read_counter_machine(machine)
            cases = reachable(language)
            mine = cases is not None and completable(language, cases)
        except RejectedError:
            mine = False
        # A fault in a state that is never reached does not matter here.
        assert mine or not right, machine
        verdicts.append((mine, right))
    assert verdicts.count((True, True)) > 30
    assert verdicts.count((False, False)) > 30
    assert verdicts.count((True, False)) < 20


def test_reads_only_bounded_dyck_languages() -> None:
    good = {"brackets": [["(", ")"]], "depth": 2}
    read = read_bounded_dyck(good)
    assert (read.symbols, read.depth, read.adds.tolist()) == (["(", ")"], 2, [1, -1])
    for bad in (
        {**good, "depth": 0},
        {**good, "depth": 2.0},
        {**good, "brackets": []},
        {**good, "brackets": [["(", "("]]},
        {**good, "brackets": [["("]]},
        {**good, "kinds": 1},
    ):
        with pytest.raises(RejectedError):
            read_bounded_dyck(bad)


def test_reads_only_nested_languages() -> None:
    good: dict[str, Any] = {
        "alphabet": ["(", ")", "x"],
        "depth": 2,
        "root": "out",
        "opens": {"(": "in"},
        "steps": {"out": {"(": "out"}, "in": {"x": "in"}},
        "closes": {"in": [")"]},
        "accepting": ["out"],
    }
    read = read_nested(good)
    assert (read.adds.tolist(), read.depth, read.table.shape) == ([1, -1, 0], 2, (2, 3))
    for key, value in {
        "alphabet": ["(", ")", "x", "x"],
        "depth": True,
        "root": ["out"],
        "opens": {"(": 1},
        "steps": {"out": {"(": "out"}, "in": {")": "in"}},
        "closes": {"in": ["("]},
        "accepting": [0],
        "more": 1,
    }.items():
        with pytest.raises((RejectedError, TypeError)):
            read_nested({**good, key: value})
    for key in good:
        with pytest.raises((RejectedError, KeyError)):
            read_nested({k: v for k, v in good.items() if k != key})
