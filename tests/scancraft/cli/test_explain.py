"""``scancraft explain``: tables, stages and pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import answer, invoke, refused
from kinds import EOS, KINDS, OWN, Built

import scancraft
from scancraft.compiler.checkpoints import load


@pytest.mark.parametrize("name", KINDS)
def test_explain_shows_every_part(name: str, built: Built) -> None:
    (place, compiled), kind = built(name), KINDS[name]
    facts = answer(invoke("explain", place, "--json"))
    shown = invoke("explain", place)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert facts["contract"] == kind.contract
    assert facts["alphabet"] == list(load(place).language.alphabet)
    assert list(facts["tokens"])[3:] == facts["alphabet"]
    assert len(facts["residual"]) == compiled["d_model"]
    assert [b["index"] for b in facts["blocks"]] == list(range(compiled["blocks"]))
    for block in facts["blocks"]:
        title = f"level {block['level']} of the cascade" if kind.general else block["title"]
        assert f"block {block['index']}: {title}" in shown.stdout
        for channel in block["channels"]:
            assert channel["meaning"][:60] in shown.stdout  # long ones are folded
    assert "read-out" in shown.stdout
    if kind.general:
        assert facts["states"] == compiled["states"] == len(set(facts["readout"].values()))
        return
    assert facts["construction"] == compiled["construction"]
    assert set(facts["verdicts"]) == {*facts["alphabet"], EOS}
    assert facts["shape"]["memories"] == compiled["memories"]
    assert {c["name"]: c["limits"]["float32"] for c in facts["counters"]} == compiled.get("exact_to", {})
    for text in (*facts["verdicts"].values(), *(f"{c['name']} is exact up to" for c in facts["counters"])):
        assert text in shown.stdout


def test_the_memories_of_a_cascade_are_its_sets_and_tiles(d2: Path) -> None:
    blocks = answer(invoke("explain", d2, "--json"))["blocks"]
    assert [b["level"] for b in blocks] == [3, 2, 1]
    sets = [{"set": "{0,1,2,3}", "tiles": {"0": "{0,1,2}", "1": "{1,2,3}"}}]
    assert blocks[0]["memory"] == {"values": [0, 1], "sets": sets}
    assert set(blocks[2]["slots_after"].values()) == {"{0}", "{1}", "{2}", "{3}"}


@pytest.mark.parametrize("name", ["D-2", *OWN])
def test_explain_one_block(name: str, built: Built) -> None:
    place, compiled = built(name)
    last = compiled["blocks"] - 1
    facts = answer(invoke("explain", place, "--json"))
    assert answer(invoke("explain", place, "--block", last, "--json"))["blocks"] == [facts["blocks"][last]]
    shown = invoke("explain", place, "--block", last)
    assert shown.exit_code == 0
    assert f"block {last}: " in shown.stdout
    assert not last or f"block {last - 1}: " not in shown.stdout
    assert "residual" not in shown.stdout
    assert "read-out" not in shown.stdout
    assert f"from 0 to {last}" in refused(invoke("explain", place, "--block", last + 1))
    assert "--block" in refused(invoke("explain", place, "--block", 0, "--stage", "circuit"))


def test_a_language_without_levels_is_explained(tmp_path: Path) -> None:
    assert invoke("compile", "--regex", "a*", "-o", tmp_path / "all").exit_code == 0
    shown = invoke("explain", tmp_path / "all")
    assert (shown.exit_code, "read-out" in shown.stdout) == (0, True)
    assert "no block 0" in refused(invoke("explain", tmp_path / "all", "--block", 0))


# -- stages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["dfa", "cascade", "rules", "weights"])
def test_explain_prints_a_stage_of_the_cascade(stage: str, d2: Path) -> None:
    text = str(getattr(scancraft.compile("(a(ab)*b)*", construction="cascade"), stage))
    result = invoke("explain", d2, "--stage", stage)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{text}\n", "")
    assert answer(invoke("explain", d2, "--stage", stage, "--json")) == {"stage": stage, "text": text}


@pytest.mark.parametrize("name", OWN)
def test_explain_prints_the_stages_that_there_are(name: str, built: Built, tmp_path: Path) -> None:
    place, compiled = built(name)
    # An empty standard error says in particular that the model is the one compiled again.
    texts = {s: answer(invoke("explain", place, "--stage", s, "--json"))["text"] for s in ("circuit", "weights")}
    assert compiled["construction"] in texts["circuit"]
    assert f"{compiled['parameters']:,} parameters" in texts["weights"]
    for stage in ("dfa", "cascade", "rules"):
        message = refused(invoke("explain", place, "--stage", stage))
        assert f"no stage {stage}; it has language, circuit, weights" in message
    target = tmp_path / "x.png"
    assert "no stage cascade" in refused(invoke("explain", place, "--picture", target))
    assert not target.exists()
