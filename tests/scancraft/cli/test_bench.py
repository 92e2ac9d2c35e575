"""``scancraft bench``: methods scored from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import answer, invoke, refused


def test_it_scores_methods_and_keeps_a_leaderboard(tmp_path: Path) -> None:
    board = tmp_path / "board.json"
    args = ("bench", "--regex", "b*a(a|b)*", "--method", "probe", "--leaderboard", board)
    (plain,) = answer(invoke(*args, "--json"))  # type: ignore[misc]
    assert (plain["method"], plain["language"], plain["variant"]) == ("probe", "b*a(a|b)*", "as compiled")
    assert plain["score"]["of"] == "nodes"
    assert 0 < plain["score"]["matter"] < plain["score"]["candidates"]
    text = invoke(*args, "--variant", "--noise", "0.3").stdout
    assert "variant, noise 0.3, seed 0, probe: AUROC 0." in text
    assert board.read_text().count('"method": "probe"') == 2


def test_it_takes_a_checkpoint_and_a_method_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert invoke("compile", "--regex", "b*a(a|b)*", "-o", tmp_path / "m").exit_code == 0
    (tmp_path / "mine.py").write_text("def same(task):\n    return {node: 0.0 for node in task.graph.nodes}\n")
    monkeypatch.chdir(tmp_path)
    (result,) = answer(invoke("bench", "m", "--method", "mine:same", "--json"))  # type: ignore[misc]
    assert result["score"]["auroc"] == 0.5
    assert result["score"]["missed"] == result["score"]["matter"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--regex", "a", "--method", "magic"), "no method magic"),
        (("--regex", "a", "--method", "nowhere_at_all:f"), "cannot be imported"),
        (("--named", "Dyck-1"), "do not count"),
        (("--regex", "a", "--variant", "--noise", "1"), "below 1"),
        ((), "no language is named"),
    ],
)
def test_what_it_refuses(args: tuple[str, ...], said: str) -> None:
    assert said in refused(invoke("bench", *args), 2)
