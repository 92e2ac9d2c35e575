"""The README's code does what it says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scancraft.cli import app
from scancraft.models.errors import DeadPromptError

README = Path(__file__).parent.parent / "README.md"


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_python_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    first, words, dead, own = blocks("python")
    exec(first, names)
    assert capsys.readouterr().out.strip().endswith("['b']")
    exec(words, names)
    with pytest.raises(DeadPromptError, match="nothing can follow the prompt"):
        exec(dead, names)
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
    assert len(commands) >= 5
    for command in commands:
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
