"""The commands: what they print and write, what they compare, and when they fail."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def test_sections_on_the_command_line(run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, raw = tmp_path / "out", tmp_path / "raw"
    run.main(["--only", "decide", "--quick", "--out", str(out), "--raw", str(raw)])
    assert "## Deciding and decomposing" in capsys.readouterr().out
    assert not out.exists()
    assert len(json.loads((raw / "decide.json").read_text(encoding="utf-8"))["raw"]["random"]) == 20
    with pytest.raises(SystemExit):
        run.main(["--only", "nonsense"])
    assert "there is no section nonsense" in capsys.readouterr().err


def test_the_page_again(run: Any, tmp_path: Path) -> None:
    docs = ROOT / "docs"
    (tmp_path / "benchmarks.json").write_bytes((docs / "benchmarks.json").read_bytes())
    run.main(["--page", "--out", str(tmp_path)])
    for name in ("benchmarks.json", "benchmarks.md"):
        assert (tmp_path / name).read_bytes() == (docs / name).read_bytes()


def test_scripts_find_their_siblings() -> None:
    command = [sys.executable, "benchmarks/run.py", "gate_table", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_command_has_help(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for name in run.COMMANDS:
        with pytest.raises(SystemExit) as ended:
            run.main([name, "--help"])
        assert ended.value.code == 0
        assert "usage" in capsys.readouterr().out


def test_the_table_of_gates_is_what_is_computed(run: Any, tmp_path: Path) -> None:
    old = (ROOT / "docs" / "abstract_ssm.md").read_text(encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(old.replace("| Mamba | ", "| Momba | "), encoding="utf-8")
    with pytest.raises(SystemExit, match="out of date"):
        run.main(["gate_table", "--check", "--page", str(page)])
    run.main(["gate_table", "--page", str(page)])
    assert page.read_text(encoding="utf-8") == old
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]
    page.write_text("nothing", encoding="utf-8")
    with pytest.raises(SystemExit, match="two lines"):
        run.main(["gate_table", "--check", "--page", str(page)])


def test_precision(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run.main(["precision", "--show", "--count", "1"])
    *_, row = capsys.readouterr().out.splitlines()
    assert row in (ROOT / "docs" / "precision.md").read_text(encoding="utf-8")


def test_what_a_gpu_is_measured_with_on_a_cpu(run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run.main(["gpu", "--device", "cpu", "--quick", "--out", str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["cpu.json"]
    content: dict[str, Any] = json.loads((tmp_path / "cpu.json").read_text(encoding="utf-8"))
    assert content["environment"]["packages"]["torch"] == importlib.metadata.version("torch")
    sections = content["sections"]
    assert set(sections) == {"conformance", "suite", "long", "speed"}
    for name, section in sections.items():
        assert section["status"] == "run", (name, section)
        assert section["rows"], name
        assert section["right"] is (None if name == "speed" else True)
    rows = sections["speed"]["rows"]
    assert all(row["prefill_tokens_per_second"] > 0 for row in rows)
    weights = [row.get("weights") for row in rows]
    assert weights.count("compiled") == weights.count("random") > 0


def test_what_cannot_be_measured(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments, message in (
        (["--device", "cpu"], "give --out"),
        (["--device", "abacus"], "no device"),
        (["--only", "nothing"], "no section nothing"),
    ):
        with pytest.raises(SystemExit):
            run.main(["gpu", *arguments])
        assert message in capsys.readouterr().err
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert run.main(["gpu", "--out", "x"]) == 2
    assert "torch sees no GPU" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_two_commits_side_by_side(run: Any) -> None:
    """The same process twice, without git: only the order and the arithmetic are looked at."""
    before_after, commits = import_module("timings.before_after"), import_module("timings.commits")
    chosen = list(before_after.rows(["compile", "certify"], 2, [3], 1))
    assert {(row["work"], row["group"]) for row in chosen} == {
        (work, group)
        for work in ("compile", "certify")
        for group in ("named", "order-preserving, 3 states", "reset cascade, 3 states")
    }
    with commits.worker(None) as one:
        measured = before_after.measure(chosen[-1:], one, one, 1, "test")
        assert one(work="sizes", language={"suite": "D-4"}, target="mamba")[:2] == [4, 16]
        assert one(work="sizes", language={"suite": "Parity"}, target="mamba") is None
        with pytest.raises(RuntimeError, match="worker ended"):
            one(work="compile", language={"suite": "no such language"})
    assert measured[0]["ratio"] == pytest.approx(measured[0]["after"] / measured[0]["before"])


def test_what_is_slower_is_seen(run: Any) -> None:
    before_after = import_module("timings.before_after")
    facts = {"work": "compile", "before": 1.0}
    rows = [facts | {"group": "named", "name": f"{n}", "after": n, "ratio": n} for n in (1.0, 3.0)]
    rows += [facts | {"group": "reset cascade, 4 states", "name": f"seed {n}", "after": n, "ratio": n} for n in (1.0,)]
    named, random = before_after.tables(rows)
    assert (named["ratio"], named["median"], named["most"]) == (2.0, 2.0, 3.0)
    assert (random["table"], random["rows"], random["ratio"]) == ("compile, random", 1, 1.0)
    assert [line["what"] for line in before_after.lines(rows)] == ["`1.0`", "`3.0`", "reset cascade, 4 states: 1"]


def test_what_has_grown_is_seen(run: Any) -> None:
    sizes = import_module("experiments.sizes")
    before = {
        "L": {"mamba": [3, 16, 16, 1_000], "signed_mamba": None, "falcon_mamba": [3, 16, 16, 1_000], "mamba2": None}
    }
    after = {"L": {"mamba": [3, 16, 16, 1_010], "signed_mamba": [1, 1, 1, 1], "falcon_mamba": None, "mamba2": None}}
    assert [row["size"] for row in sizes.grown(before, after)] == ["refused"]
    after["L"]["mamba"] = [4, 16, 15, 1_011]
    assert [row["size"] for row in sizes.grown(before, after)] == ["blocks", "parameters", "refused"]
    result = sizes.compared(before, after)
    assert (result["models"], result["same"], len(result["grown"])) == (1, 0, 3)


def test_guarantees_on_little(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, mutation = tmp_path / "guarantees.json", import_module("experiments.mutation")
    monkeypatch.setattr(mutation, "FULL", mutation.QUICK)
    few = ["--states", "1", "--mutants", "20"]
    assert run.main(["guarantees", "--only", "small", "mutants", *few, "--json", str(path)]) == 0
    small, mutants = json.loads(path.read_text(encoding="utf-8"))["rows"]
    # Nothing and everything.
    assert (small["what"], small["measured"]) == ("small languages, at most 1 states: 2", "2 certified and checked")
    assert mutants["what"] == "mutants: 20"
    assert mutants["measured"].startswith("0 wrong, 0 unconfirmed")


def test_a_few_attacks_and_a_few_fuzzed_commands(run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["attack", "--count", "3", "--kinds", "mamba", "--out", str(tmp_path)]) == 0
    (count,) = json.loads(capsys.readouterr().out)["kinds"]
    assert count["attacks"] == 3
    assert run.main(["fuzz", "--count", "20", "--out", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["cases"] == 20
