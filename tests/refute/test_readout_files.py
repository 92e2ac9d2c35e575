"""``readout.json``: how a model from elsewhere says which tokens a language is spoken in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import invoke

import scancraft
from scancraft import Readout
from scancraft.models.errors import CheckpointError
from scancraft.refute.models import own_binding


def test_a_model_from_elsewhere_says_how_it_is_read(tmp_path: Path) -> None:
    place = tmp_path / "model"
    scancraft.compile("(ab)*", tmp_path / "ours").model().save_pretrained(place)
    told = {"tokens": {"a": 3, "b": 4}, "bos": 1, "accept": 2}
    (place / "readout.json").write_text(json.dumps(told))
    right = invoke("certify", place, "--regex", "(ab)*", "--json")
    assert (right.exit_code, json.loads(right.stdout)["readout"]["tokens"]) == (0, {"a": 3, "b": 4})
    assert not (place / "certificate.json").exists()
    tried = invoke("check", place, "--regex", "(ab)*", "--words", "5", "--short", "30", "--json")
    assert (tried.exit_code, json.loads(tried.stdout)["verdict"]) == (0, "agrees")
    assert invoke("check", place, "--regex", "(ba)*", "--words", "5", "--short", "30").exit_code == 1
    (place / "readout.json").write_text(json.dumps(told | {"tokens": {"a": 4, "b": 3}}))
    wrong = invoke("certify", place, "--regex", "(ab)*", "--json")
    assert (wrong.exit_code, json.loads(wrong.stdout)["word"]) == (1, [])
    assert own_binding(place) == (None, Readout({"a": 4, "b": 3}, bos=1, accept=2))
    assert all("names no language" in invoke(command, place).output for command in ("certify", "check"))
    # Beside a manifest, which says it already, such a file is refused.
    (tmp_path / "ours" / "readout.json").write_text(json.dumps(told))
    assert "readout.json" in invoke("certify", tmp_path / "ours").output


@pytest.mark.parametrize(
    "told",
    [
        [],
        {"bos": 1},
        {"tokens": {"a": 3}, "head": "other"},
        {"tokens": {"a": True}},
        {"tokens": ["a"]},
        {"tokens": {"a": 3}, "bos": 3},
        {"tokens": {"a": 3}, "bos": 1.0},
        {"tokens": {"a": 3}, "threshold": "0"},
        {"tokens": {"a": 3}, "contract": "none"},
        {"tokens": {"a": -3}},
    ],
)
def test_readouts_that_are_none(told: object, tmp_path: Path) -> None:
    (tmp_path / "readout.json").write_text(json.dumps(told))
    with pytest.raises(CheckpointError, match=r"readout\.json: "):
        own_binding(tmp_path)
