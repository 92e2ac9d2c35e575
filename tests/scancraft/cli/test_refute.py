"""The command line of refutations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import invoke, refused

import scancraft

KEYS = ["verdict", "x", "w", "y", "period", "N", "word"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Mamba as transformers saves it."""
    from transformers import MambaConfig, MambaForCausalLM

    place = tmp_path_factory.mktemp("refute") / "plain"
    quick = {"time_step_min": 0.5, "time_step_max": 2.0, "state_size": 4}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: Any = MambaForCausalLM(MambaConfig(vocab_size=8, hidden_size=16, num_hidden_layers=2, **quick))
    model.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def all_words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiled checkpoint of a star-free language over a and b."""
    return scancraft.compile("(a|b)*").save(tmp_path_factory.mktemp("refute") / "all")


def test_a_plain_checkpoint(plain: Path, tmp_path: Path) -> None:
    result = invoke("refute", plain, "--language", "Parity", "-o", tmp_path / "parity.json")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("refuted: for every n >= ")
    assert "w = '1'" in result.stdout
    assert "the shortest wrong word seen is" in result.stdout
    assert f"refutation written to {tmp_path / 'parity.json'}" in result.stderr
    saved = json.loads((tmp_path / "parity.json").read_text(encoding="utf-8"))
    assert list(saved)[:7] == KEYS
    assert [path.name for path in tmp_path.iterdir()] == ["parity.json"]
    for more in ([], ["--language", "Parity"], ["--regex", "(0*10*1)*0*"]):
        result = invoke("refute", plain, "--check", tmp_path / "parity.json", *more)
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith("the refutation holds (")
    result = invoke("refute", plain, "--check", tmp_path / "parity.json", "--language", "Tomita-5", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["verdict"] == "rejected"
    saved["state"] = "0" * 64
    (tmp_path / "parity.json").write_text(json.dumps(saved), encoding="utf-8")
    result = invoke("refute", plain, "--check", tmp_path / "parity.json")
    assert result.exit_code == 1
    assert result.stdout.startswith("the refutation does not hold: the state after x w^N")


def test_json_and_token_options(plain: Path) -> None:
    options = ["--tokens", "a=4,b=6", "--bos", "none", "--accept", "0", "--contract", "live-prefixes"]
    result = invoke("refute", plain, "--regex", "(aa|b)*", *options, "--dtype", "float64", "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert list(content)[:7] == KEYS
    expected = {"tokens": {"a": 4, "b": 6}, "bos": None, "accept": 0, "contract": "live-prefixes"}
    assert expected.items() <= content["readout"].items()
    assert content["dtype"] == "float64"
    assert content["x"]  # the model has no state before its first token


def test_a_compiled_checkpoint(all_words: Path, tmp_path: Path) -> None:
    result = invoke("refute", all_words, "--regex", "(aa|b)*", "--json", "-o", tmp_path / "found.json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["w"] == ["a"]
    assert json.loads(result.stdout) == json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    result = invoke("refute", all_words, "--check", tmp_path / "found.json", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["accepted"] is True
    given = {"alphabet": ["a", "b"], "initial": "q", "accepting": ["q"]}
    table = {"q": {"a": "r", "b": "q"}, "r": {"a": "q", "b": "r"}}
    (tmp_path / "even.json").write_text(json.dumps({**given, "transitions": table}), encoding="utf-8")
    result = invoke("refute", all_words, "--language", tmp_path / "even.json")
    assert result.exit_code == 0, result.output
    result = invoke("refute", all_words, "--language", "Parity")
    assert "names the symbols" in refused(result)
    result = invoke("refute", all_words, "--language", "Parity", "--tokens", "0=3,1=4")
    assert result.exit_code == 0, result.output


def test_not_applicable(all_words: Path) -> None:
    result = invoke("refute", all_words)
    assert result.exit_code == 1
    assert result.stdout.startswith("not applicable: the language is star-free")
    assert "certify says: certified" in result.stdout
    result = invoke("refute", all_words, "--json")
    assert result.exit_code == 1
    content = json.loads(result.stdout)
    assert [content[key] for key in KEYS] == ["not applicable", *[None] * 6]
    assert content["certify"]["verdict"] == "certified"


def test_a_counterexample(all_words: Path, tmp_path: Path) -> None:
    saved = tmp_path / "word.json"
    result = invoke("refute", all_words, "--regex", "(ab)*", "-o", saved)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("wrong on '': the model allows")
    assert "counterexample written to" in result.stderr
    content = json.loads(saved.read_text(encoding="utf-8"))
    assert [content[key] for key in KEYS] == ["counterexample", *[None] * 5, []]
    result = invoke("refute", all_words, "--check", saved)
    assert result.exit_code == 0, result.output
    assert "the refutation holds" in result.stdout
    saved.write_text(json.dumps({**content, "word": ["b"]}), encoding="utf-8")
    assert invoke("refute", all_words, "--check", saved).exit_code == 1


def test_undecided(plain: Path, tmp_path: Path) -> None:
    result = invoke("refute", plain, "--language", "Parity", "--budget", "5", "-o", tmp_path / "none.json")
    assert result.exit_code == 3
    assert result.stdout.startswith("undecided: no state has repeated")
    assert "nothing to save" in result.stderr
    assert not (tmp_path / "none.json").exists()
    result = invoke("refute", plain, "--language", "Parity", "--seconds", "0", "--json")
    assert result.exit_code == 3
    content = json.loads(result.stdout)
    assert list(content)[:7] == KEYS
    assert [content[key] for key in KEYS[:6]] == ["undecided", *[None] * 5]


def test_what_is_refused(plain: Path, all_words: Path, tmp_path: Path) -> None:
    assert "names no language" in refused(invoke("refute", plain))
    assert "names no language" in refused(invoke("refute", plain, "--bos", "1"))
    assert "exactly one" in refused(invoke("refute", plain, "--language", "Parity", "--regex", "a"))
    assert "No such file or directory" in refused(invoke("refute", tmp_path / "no", "--language", "Parity"))
    assert "no-such" in refused(invoke("refute", plain, "--language", "no-such"))
    assert "none.json" in refused(invoke("refute", plain, "--language", tmp_path / "none.json"))
    for wrong in ("a", "a=", "=3", "a=3,a=4", "a=x", ""):
        assert "of the form a=3,b=4" in refused(invoke("refute", plain, "--regex", "(aa)*", "--tokens", wrong))
    assert "share a token id" in refused(invoke("refute", plain, "--regex", "(aa)*", "--tokens", "a=1"))
    assert "no token id" in refused(invoke("refute", plain, "--regex", "(aa)*", "--bos", "x"))
    assert "token 99" in refused(invoke("refute", plain, "--regex", "(aa)*", "--tokens", "a=99"))
    assert "none.json does not exist" in refused(invoke("refute", plain, "--check", tmp_path / "none.json"))
    assert "drop the rest" in refused(invoke("refute", plain, "--check", tmp_path / "none.json", "--bos", "1"))
    (tmp_path / "other.json").write_text('{"verdict": "refuted", "schema_version": 2}', encoding="utf-8")
    assert "misses the keys" in refused(invoke("refute", plain, "--check", tmp_path / "other.json"))
    result = invoke("refute", all_words, "--language", "no-such", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"] == "UnknownLanguage"
