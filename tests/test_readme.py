"""The README's code does what it says."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scancraft.cli.app import app
from scancraft.models.errors import DeadPromptError

README = Path(__file__).parent.parent / "README.md"


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_python_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    first, words, dead, model, inside, own = blocks("python")
    exec(first, names)
    assert capsys.readouterr().out.strip().endswith("['b']")
    exec(words, names)
    with pytest.raises(DeadPromptError, match="nothing can follow the prompt"):
        exec(dead, names)
    capsys.readouterr()
    exec(model, names)
    assert "no disagreement on the words tried" in capsys.readouterr().out
    exec(inside, names)
    assert "(0, " in capsys.readouterr().out
    # "A Mamba of your own": one with other token ids.
    import torch

    compiled = names["model"]

    class Renamed(torch.nn.Module):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            table = torch.tensor([0, 1, 2, 0, 0, 3, 4])
            logits: torch.Tensor = compiled(table[ids]).logits  # type: ignore[operator]
            return torch.cat([logits[..., :3], logits[..., :2], logits[..., 3:5]], dim=-1)

    exec(own, names | {"my_model": Renamed()})


def test_the_python_of_the_constructions_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = README.parent / "docs" / "constructions.md"
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        exec(block, names)
    assert (tmp_path / "out" / "equal" / "model.safetensors").is_file()


def test_shell_lines_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [line for block in blocks("console") for line in block.splitlines()]
    commands = [shlex.split(line[2:], comments=True) for line in lines if line.startswith("$ scancraft ")]
    quick = [command for command in commands if "out/learned" not in " ".join(command)]  # training takes longer
    assert len(quick) >= 5
    for command in quick:
        result = CliRunner().invoke(app, command[1:])
        expected = 2 if "out/parity" in command else 1 if command[1] == "decide" else 0
        assert result.exit_code == expected, (command, result.output)


def test_the_error_in_the_readme_is_the_real_one(tmp_path: Path) -> None:
    text = re.sub(r"\s+", " ", README.read_text(encoding="utf-8"))
    result = CliRunner().invoke(
        app, ["compile", "--regex", "(0*10*1)*0*", "--gates", "nonnegative", "-o", str(tmp_path / "x")]
    )
    assert re.sub(r"\s+", " ", result.stderr).strip() in text


def test_the_figures_in_the_readme_are_measured_ones() -> None:
    import json

    rows = json.loads((README.parent / "docs" / "benchmarks.json").read_text(encoding="utf-8"))
    known = json.dumps(rows)
    for figure in re.findall(r"\| (\d+) \| ([\d,]+) \| [\d.]+ s \|", README.read_text(encoding="utf-8")):
        assert figure[1].replace(",", "") in known, figure


def test_the_sizes_beside_the_cascades_are_those_of_today() -> None:
    import scancraft
    from scancraft.automata import families

    languages = {
        "D-2": families.d_n(2),
        "D-12": families.d_n(12),
        "aa*bb*cc*dd*ee*": families.ascending_runs(),
        "Tomita-7": families.tomita(7),
        "(a|b)*d(b|c)*": families.one_divider(),
        "Flip-flop": families.flip_flop(),
    }
    table = README.read_text(encoding="utf-8").partition("| by default |")[2].partition("A *walk*")[0]
    found = re.findall(r"^\| (.*?) \| (\d+), ([\d,]+) \| (\d+), ([\d,]+) \|", table, flags=re.MULTILINE)
    assert {name.replace("\\", "") for name, *_ in found} == set(languages)
    for name, *told in found:
        language = languages[name.replace("\\", "")]
        models = [scancraft.compile(language, construction="cascade"), scancraft.compile(language)]
        sizes = [(model.weights.shape.n_layers, model.weights.n_parameters) for model in models]
        assert told == [f"{number:,}" for size in sizes for number in size], name


def test_the_pictures_are_what_the_commands_draw(tmp_path: Path) -> None:
    import matplotlib

    pinned = re.search(r"^matplotlib==(\S+)$", (README.parent / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    if pinned is None or matplotlib.__version__ != pinned[1]:
        pytest.skip(f"other versions of matplotlib draw other bytes (this is {matplotlib.__version__})")
    checkpoint = str(tmp_path / "d2")
    runner = CliRunner()
    command = ["compile", "--regex", "(a(ab)*b)*", "--construction", "cascade", "-o", checkpoint]
    assert runner.invoke(app, command).exit_code == 0
    for name, options in {"d2_cascade": [], "d2_memories": ["--of", "memories", "--word", "aabbaba"]}.items():
        drawn = tmp_path / f"{name}.svg"
        assert runner.invoke(app, ["explain", checkpoint, "--picture", str(drawn), *options]).exit_code == 0
        assert f"docs/{name}.svg" in README.read_text(encoding="utf-8")
        assert drawn.read_bytes() == (README.parent / "docs" / f"{name}.svg").read_bytes()


def test_the_table_beside_training_holds_measured_figures() -> None:
    import json

    found = json.loads((README.parent / "docs" / "benchmarks.json").read_text(encoding="utf-8"))
    suite = {row["name"]: row for row in found["suite"]["result"]["rows"]}
    trained = {row["name"]: row for row in found["trained"]["result"]["rows"]}
    text = README.read_text(encoding="utf-8")
    for name, label, row in (
        ("D-12", "101-200", "D-12 (brackets at most 12 deep), strings of length 101-200 right"),
        ("Dyck-1", "101-150", "Dyck-1, strings of length 101-150 right"),
        ("a^n b^n", "202-1198", "a^n b^n, strings of length 202-1198 right"),
    ):
        ours = suite[name]["accuracy"][label]
        theirs = next(part["strings"] for part in trained[name]["accuracy"] if part["label"] == label)
        span = suite[name]["published"][label]
        told = f"{span['least']:g} to {span['greatest']:g}%"
        assert f"| {row} | {ours:g}% | {theirs:.2f}% | {told} | |" in text
    sizes = suite["Dyck-1"]["parameters"], trained["Dyck-1"]["sizes"]["parameters"]
    assert f"| Dyck-1: parameters | {sizes[0]:,} | {sizes[1]:,} | |" in text
    assert f"| Dyck-1: time to make | {suite['Dyck-1']['seconds']:.3f} s | " in text


def test_the_table_beside_other_compilers_holds_measured_figures() -> None:
    found = json.loads((README.parent / "docs" / "benchmarks.json").read_text(encoding="utf-8"))["peers"]["result"]
    ours, graphs, machines = (
        next(row for row in found["rows"] if (row["by"], row["limit"]) == (name, 512))
        for name in ("scancraft", "torchwright", "firebrand")
    )
    text = README.read_text(encoding="utf-8")

    def right(row: dict[str, object]) -> str:
        shares = [
            share if isinstance(share, str) else f"{100 * share:g}%" for share in (row["at the limit"], row["past it"])
        ]
        return " / ".join(shares)

    assert f"512 right / 1,024 | {right(ours)} | | | | {right(graphs)} | {right(machines)} |" in text
    assert re.search(rf"Dyck-1: parameters .* {graphs['parameters']:,} \| {machines['parameters']:,} \|\n", text)
    assert re.search(rf"time to make .* {graphs['seconds']:.1f} s \| {machines['seconds']:.2f} s \|\n", text)


def test_the_fewest_blocks_are_those_that_are_found() -> None:
    """Each row of the table, by the command that stands above it."""
    text = README.read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (.+?) \| ([\d, ]+) \| [\d, ]+ \| ([\d, ]+) \| (walk|plan) \| (\d+) \|$", text, flags=re.MULTILINE
    )
    assert len(rows) == 6
    for name, cascade, fewest, way, least in rows:
        plain = name.replace("\\", "")
        option = "--named" if "-" in plain else "--regex"
        result = CliRunner().invoke(app, ["depth", option, plain, "--json"])
        assert result.exit_code == 0, result.output
        facts = json.loads(result.stdout)
        sizes = {s["construction"]: f"{s['blocks']}, {s['parameters']:,}" for s in facts["alternatives"][::-1]}
        assert f"{facts['at_most']}, {facts['parameters']:,}" == sizes[way] == fewest
        assert sizes["cascade"] == cascade
        assert facts["at_least"] == int(least)
