"""Plans beside cascades, and the seeded subregular languages."""

from __future__ import annotations

import json
from importlib import import_module
from itertools import islice
from typing import Any

import pytest


def test_languages_side_by_side(run: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    depth = import_module("experiments.depth")
    every = depth.subregular_languages
    monkeypatch.setattr(depth, "subregular_languages", lambda seeds: islice(every(seeds), 2, 5, 2))
    run.main(["depth", "--groups", "subregular", "--seeds", "1", "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 2
    for row in rows:
        assert row["chosen parameters"] <= row["cascade parameters"]
        assert row["fewest blocks"] <= row["chosen blocks"]


def test_subregular_languages_are_what_they_are_called(run: Any) -> None:
    from timings.subregular import KINDS, subregular

    assert [subregular(kind, 3) for kind in KINDS] == [subregular(kind, 3) for kind in KINDS]
    for seed in range(4):
        for kind in ("strictly local", "strictly piecewise", "tier-based"):
            dfa = subregular(kind, seed)
            assert dfa.live == dfa.accepting  # every prefix of a word is a word
        piecewise = subregular("piecewise testable", seed)
        for q, row in enumerate(piecewise.table):
            assert all(t == q or q not in reached(piecewise, t) for t in row)  # no way back


def reached(dfa: Any, start: int) -> set[int]:
    seen, queue = {start}, [start]
    for q in queue:
        fresh = set(dfa.table[q]) - seen
        seen |= fresh
        queue += sorted(fresh)
    return seen
