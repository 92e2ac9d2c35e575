"""The benchmarks run in their quick mode, and the page they write can be rendered again from its JSON."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
import torch

FOLDER = Path(__file__).resolve().parent.parent.parent / "benchmarks"
MODULES = sorted(path.stem for path in FOLDER.glob("*.py"))


@pytest.fixture(scope="module")
def modules() -> Iterator[dict[str, Any]]:
    """The benchmarks' modules by name; they are scripts in a folder and belong to no package."""
    hidden = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    sys.path.insert(0, str(FOLDER))
    try:
        yield {name: import_module(name) for name in MODULES}
    finally:
        sys.path.remove(str(FOLDER))
        for name in MODULES:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)


@pytest.fixture(scope="module")
def sections(modules: dict[str, Any]) -> dict[str, Any]:
    return {name: modules["run"].run_section(name, True, lambda *_: None) for name in modules["run"].SECTIONS}


def test_a_benchmark_for_each_target(modules: dict[str, Any]) -> None:
    assert set(modules["run"].SECTIONS) == {
        *("compile", "agree", "decide", "acceptor", "certify", "checker", "mutation"),
        *("suite", "trained", "bounded_dyck", "scan", "signed", "refute", "conformance"),
    }


def test_compile_rows(sections: dict[str, Any]) -> None:
    result = sections["compile"]["result"]
    assert {row["name"] for row in result["languages"]} >= {"Tomita-1", "D-4", "O_4"}
    for row in result["languages"]:
        assert row["blocks"] == max(row["height"], 1)
        assert 0 < row["nonzero"] < row["parameters"]
        assert row["flip_flops"] <= row["flip_flops_unshared"]
        assert row["seconds"] > 0
    # O_4: all binom(7, 3) monotone maps of a chain of 4 points, and all its non-empty sets are image sets.
    o_4 = next(row for row in result["languages"] if row["name"] == "O_4")
    assert (o_4["states"], o_4["letters"], o_4["monoid"], o_4["image_sets"]) == (4, 6, 35, 15)
    assert all(row["compiled"] == row["drawn"] for row in result["random"])


def test_agreement_rows(sections: dict[str, Any]) -> None:
    size, rows = sections["agree"]["size"], sections["agree"]["result"]["languages"]
    assert rows
    for row in rows:
        assert row["sampled"]["words"] == size["words"]
        assert row["long"]["prefixes"] == size["long_length"] + 1
        letters, depth = row["letters"], row["short"]["longest"]
        assert row["short"]["words"] == sum(letters**n for n in range(depth + 1)) <= size["short_words"]
        assert all(row[part]["wrong"] == 0 for part in ("short", "sampled", "long"))
        assert all(row["bits"][b] is True for b in ("bfloat16", "step", "batch", "right_padding", "left_padding"))


def test_disagreements_and_unequal_bits_are_seen(modules: dict[str, Any]) -> None:
    agreement = modules["agreement"]
    compiled = agreement.scancraft.compile(agreement.o_n(3))
    model = compiled.model()
    words = [torch.tensor(compiled.readout.encode(word)) for word in (("u1",), ("u1", "u2", "d1"), ())]
    with torch.no_grad():
        reference = agreement._batch(model, words, 0)
        assert [len(row) for row in reference] == [2, 4, 1]
        assert agreement._same(reference, reference)
        model.lm_head.weight.mul_(-1)
        assert not agreement._same(agreement._batch(model, words, 0), reference)
        report = agreement.compare(model, compiled.dfa, compiled.readout, exhaustive_to=2)
        assert agreement._extent(report).wrong == report.prefixes
        samples = [("u1",), ("d1", "d2")]
        assert not agreement._equal_in_batches([compiled.model(), model], compiled.readout, samples)


def test_decision_rows(sections: dict[str, Any]) -> None:
    result = sections["decide"]["result"]
    assert all(row["star_free"] for row in result["decisions"])
    every = next(row for row in result["random"] if row["generator"] == "all")
    assert every["dfas"] == sections["decide"]["size"]["dfas"]
    assert 0 < every["star_free"] < every["dfas"]
    assert every["median_ms"] <= every["p95_ms"] <= every["most_ms"]
    assert [row["name"] for row in result["cascades"]] == ["D-5", "Dyck_{2,2}", "O_4"]


def test_acceptor_rows(sections: dict[str, Any]) -> None:
    rows = sections["acceptor"]["result"]["rates"]
    assert len({(row["language"], row["task"]) for row in rows}) == len(rows) == 12
    ways = ("numbers_loop", "strings_loop", "dfa", "first", "acceptor")
    assert all(row[way] > 0 for row in rows for way in ways)
    assert sections["acceptor"]["result"]["dead"].keys() == {row["language"] for row in rows}


def test_the_acceptor_is_compared_like_with_like(modules: dict[str, Any], sections: dict[str, Any]) -> None:
    section = json.loads(json.dumps(sections["acceptor"]))
    for row in section["result"]["rates"]:
        row.update(numbers_loop=1.0, strings_loop=0.5, dfa=0.25, acceptor=20.0)
    section["result"]["rates"][0]["acceptor"] = 60.0
    targets = modules["render"].acceptor_targets(section)
    lowest = [row[2].partition(" times")[0] for row in targets]
    assert lowest == ["20.0", "40.0", "80.0", "20.0"]
    assert [row[3] for row in targets] == ["**no**", "**no**", "yes", "**no**"]
    assert "to 60.0 times" in targets[0][2]


def test_conformance_rows(modules: dict[str, Any], sections: dict[str, Any]) -> None:
    section = sections["conformance"]
    result = section["result"]
    assert {run["implementation"]: bool(run["missing"]) for run in result["runs"]} == {
        "transformers": False,
        "scancraft": False,
        "not there": True,
    }
    verdicts = {(mode["implementation"], mode["mode"]): mode["verdict"] for mode in result["modes"]}
    assert verdicts["transformers", "full"] == verdicts["scancraft", "full"] == "pass"
    assert verdicts["scancraft", "continued"] == "not tried"
    assert {fault["kind"] for fault in result["faults"]} == {"mamba", "signed_mamba", "falcon_mamba", "mamba2"}
    assert all(fault["found"] and fault["located"] for fault in result["faults"])
    render = modules["render_conformance"]
    assert [row[3] for row in render.conformance_targets(section)] == ["yes"] * 3
    broken = json.loads(json.dumps(section))
    broken["result"]["faults"][0].update(found=False, located=False, told="")
    assert next(row[3] for row in render.conformance_targets(broken)) == "**no**"
    page = "\n\n".join(render.conformance_body(broken))
    assert "survived" in page
    assert "no_such_module:load cannot be imported" in page


@pytest.mark.parametrize("letters", [2, 3])
def test_random_dfas_have_the_states_asked_for_and_repeat(modules: dict[str, Any], letters: int) -> None:
    random_dfas = modules["random_dfas"]
    for generator, states in product(random_dfas.GENERATORS, (3, 6)):
        dfa = random_dfas.random_dfa(generator, states, letters, 7)
        assert (dfa.n_states, len(dfa.alphabet)) == (states, letters)
        assert dfa.semiautomaton == random_dfas.random_dfa(generator, states, letters, 7).semiautomaton
        assert dfa != random_dfas.random_dfa(generator, states, letters, 8)


def test_star_free_generators_permute_nothing(modules: dict[str, Any]) -> None:
    """By definition: in the monoid, enumerated here, the powers of every element end in a fixed one."""
    random_dfas = modules["random_dfas"]
    for generator, seed in product(random_dfas.STAR_FREE, range(5)):
        columns = list(zip(*random_dfas.random_dfa(generator, 5, 2, seed).semiautomaton.table, strict=True))
        monoid = {tuple(range(5))}
        queue = list(monoid)
        for s in queue:
            for fresh in {tuple(column[q] for q in s) for column in columns} - monoid:
                monoid.add(fresh)
                queue.append(fresh)
        for s in monoid:
            power = s
            for _ in range(5):
                power = tuple(s[q] for q in power)
            assert tuple(s[q] for q in power) == power


def test_page_is_rendered_from_json_alone(
    modules: dict[str, Any], sections: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    render = modules["render"]
    named_full = {name: {**s, "command": s["command"].removesuffix(" --quick")} for name, s in sections.items()}
    render.write(tmp_path, named_full)
    page = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert render.markdown(json.loads((tmp_path / "benchmarks.json").read_text(encoding="utf-8"))) == page
    for section in named_full.values():
        assert f"`{section['command']}`" in page
    assert "## Targets" in page
    assert "## Targets" not in render.markdown(sections)
    lines = page.splitlines()
    for above, line in pairwise(lines):
        if above.startswith("|") and line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", above)) == len(re.findall(r"(?<!\\)\|", line))


def test_missed_targets_are_shown(modules: dict[str, Any], sections: dict[str, Any]) -> None:
    render = modules["render"]
    agree = json.loads(json.dumps(sections["agree"]))
    assert [row[3] for row in render.agree_targets(agree)] == ["yes", "yes"]
    agree["result"]["languages"][0]["sampled"]["wrong"] = 2
    agree["result"]["languages"][0]["bits"]["step"] = False
    assert [row[2:] for row in render.agree_targets(agree)] == [
        ("2", "**no**"),
        (f"{5 * len(agree['result']['languages']) - 1} of {5 * len(agree['result']['languages'])}", "**no**"),
    ]
    compiled = json.loads(json.dumps(sections["compile"]))
    for row in compiled["result"]["languages"]:
        row["seconds"] = 1.5
    assert render.compile_targets(compiled)[0][3] == "**no**"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (0.09996, "0.100"), (0.00123456, "0.00123"), (9.996, "10.0"), (123.4, "123"), (12345.6, "12,346")],
)
def test_three_digits(modules: dict[str, Any], number: float, text: str) -> None:
    assert modules["render"].short(number) == text


def test_command_line(modules: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    modules["run"].main(["--only", "acceptor", "--quick", "--out", str(tmp_path)])
    assert "## The ground-truth acceptor" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    with pytest.raises(SystemExit):
        modules["run"].main(["--only", "nonsense"])
    assert "there is no section nonsense" in capsys.readouterr().err
