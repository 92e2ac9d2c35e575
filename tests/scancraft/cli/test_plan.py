"""Plans on the command line: the choice of them, what ``explain`` says, and what is done with their checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import answer, invoke, refused, tampered

from scancraft.compiler.checkpoints import load

D2 = ("--regex", "(a(ab)*b)*")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A plan's checkpoint, certified, and what the command printed."""
    place = tmp_path_factory.mktemp("plans") / "d2"
    return place, answer(
        invoke("compile", *D2, "-o", place, "--optimise", "depth", "--target", "falcon_mamba", "--certify", "--json")
    )


def test_compile_takes_the_shallower_one_and_says_what_else_there_was(made: tuple[Path, Any]) -> None:
    place, facts = made
    manifest = load(place).manifest
    assert (manifest.kind, manifest.optimise) == ("plan", "depth")
    assert facts["blocks"] == min(size["blocks"] for size in facts["alternatives"]) < facts["height"] == 3
    assert {size["construction"] for size in facts["alternatives"]} == {"cascade", "plan"}
    assert (facts["verdict"], facts["scope"]) == ("certified", "every-implementation")
    assert manifest.gates is not None
    assert manifest.levels == ()


def test_a_cascade_can_be_asked_for(tmp_path: Path) -> None:
    facts = answer(invoke("compile", *D2, "-o", tmp_path / "x", "--construction", "cascade", "--json"))
    assert (facts["blocks"], facts["height"], "plan" in facts) == (3, 3, False)
    assert [size["construction"] for size in facts["alternatives"]] == ["cascade"]
    assert "compiled by its cascade" in refused(invoke("explain", tmp_path / "x", "--stage", "plan"))


def test_no_plan_turns_a_memory_over(tmp_path: Path) -> None:
    result = invoke("compile", "--regex", "(aa)*", "-o", tmp_path / "x", "--construction", "plan")
    assert "of star-free languages only" in refused(result)


def test_explain_argues_from_the_language_alone(made: tuple[Path, Any], tmp_path: Path) -> None:
    place, _ = made
    shown = invoke("explain", place, "--stage", "plan").stdout
    assert shown.startswith("A language of 4 states over {a b}.\nClaim: after every prefix of every word,")
    assert "is overwritten by what came last of the following" in shown
    assert "Why that is right:" in shown
    lie = "[bold]<script>alert(1)</script>[/bold]"

    def lying(manifest: dict[str, Any]) -> None:
        for block in manifest["blocks"]:
            block["title"] = lie
            for memory in block["memories"]:
                memory["meanings"] = dict.fromkeys(memory["meanings"], lie)

    copy = tampered(place, tmp_path, lying)
    again = invoke("explain", copy, "--stage", "plan")
    assert again.stdout == shown
    assert "compiles the language otherwise" in again.stderr
    assert (
        lie in invoke("explain", copy).stdout.replace("\n", "").replace(" ", "")
        or lie[:6] in invoke("explain", copy).stdout
    )


def test_explain_shows_the_memories_with_their_meanings(made: tuple[Path, Any]) -> None:
    place, _ = made
    facts = answer(invoke("explain", place, "--json"))
    assert facts["states"] == 4
    memories = [memory for block in facts["blocks"] for memory in block["memories"]]
    assert memories
    for memory in memories:
        assert set(memory["meanings"]) == set(map(str, memory["values"]))
    for stage in ("language", "dfa", "cascade", "rules", "program", "circuit", "weights"):
        assert answer(invoke("explain", place, "--stage", stage, "--json"))["text"]


def test_the_other_commands_take_it(made: tuple[Path, Any], tmp_path: Path) -> None:
    place, _ = made
    assert invoke("check", place).exit_code == 0
    assert invoke("run", place, "abaabb", "--json").exit_code == 0
    for drawn in (("--of", "weights"), ("--of", "memories", "--word", "aabb"), ()):
        assert invoke("explain", place, "--picture", tmp_path / "x.svg", *drawn).exit_code == 0
    assert invoke("explain", place, "--html", tmp_path / "x.html").exit_code == 0
    page = (tmp_path / "x.html").read_text()
    assert json.loads((place / "scancraft.json").read_text())["kind"] == "plan"
    assert "meanings" in page


@pytest.mark.parametrize("name", ["--optimise", "--construction"])
def test_unknown_choices_are_refused(name: str, tmp_path: Path) -> None:
    result = invoke("compile", *D2, "-o", tmp_path / "x", name, "speed")
    assert result.exit_code == 2
    assert "speed" in result.stderr
