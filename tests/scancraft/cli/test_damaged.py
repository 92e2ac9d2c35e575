"""Checkpoints that were changed by hand: one line that says what is wrong, or a disagreement; never a crash."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import answer, copied, invoke, refused, tampered, written
from kinds import EOS, Built
from safetensors.torch import load_file, save_file

from scancraft.automata.errors import ScancraftError
from scancraft.certify.checker.certificate import check_certificate
from scancraft.compiler.checkpoints import load

Change = Callable[[dict[str, Any]], object]
MANIFESTS: dict[str, Change] = {
    "token list": lambda m: m.update(tokens=["a"]),
    "token beyond the model": lambda m: m["tokens"].update(a=99),
    "symbol gone": lambda m: m["tokens"].pop("a"),
    "special tokens": lambda m: m.update(special_tokens=5),
    "special token": lambda m: m.update(special_tokens={"bos": []}),
    "language": lambda m: m.update(language=5),
    "dfa": lambda m: m["language"].update(dfa={"alphabet": ["a", "b"]}),
}
"""Beside those of ``tests/compiler/test_manifest.py``."""


def first(**changes: Any) -> Change:
    return lambda m: m["counters"][0].update(changes)


COUNTERS: dict[str, Change] = {
    "none": lambda m: m.update(counters=None),
    "a number": lambda m: m.update(counters=5),
    "text": lambda m: m.update(counters="xy"),
    "numbers": lambda m: m.update(counters=[5]),
    "no name": lambda m: m["counters"][0].pop("name"),
    "channel": first(channel=999),
    "negative channel": first(channel=-1),
    "block": first(block=99),
    "negative block": first(block=-1),
    "state": first(state=1),
    "channel as text": first(channel="x"),
    "no limits": first(limits=None),
    "limits as a list": first(limits=["float32"]),
    "limit as text": first(limits={"float32": "many"}),
    "negative limit": first(limits={"float32": -1}),
    "limit of another dtype": first(limits={"bfloat16": 256}),
}


LANGUAGES: dict[str, Change] = {
    "none": lambda m: m.update(language=None),
    "no kind": lambda m: m["language"].pop("counter_machine"),
    "not an object": lambda m: m["language"].update(counter_machine=5),
    "a test": lambda m: m["language"]["counter_machine"]["transitions"]["p"]["b"].update(when={"owed": "=3"}),
    "a symbol more": lambda m: m["language"]["counter_machine"]["alphabet"].append("z"),
    "another alphabet": lambda m: m.update(language={"bounded_dyck": {"brackets": [["(", ")"]], "depth": 2}}),
    "a malformed Dyck": lambda m: m.update(language={"bounded_dyck": {"brackets": [["a", "b"]]}}),
    "Dyck as a list": lambda m: m.update(language={"dfa": ["a", "b"]}),
}


def _not_a_number(place: Path) -> None:
    tensors = load_file(place / "model.safetensors")
    tensors["lm_head.weight"][0, 0] = float("nan")
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})


def _truncate(place: Path) -> None:
    path = place / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _config(key: str, value: object) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        config = json.loads((place / "config.json").read_text())
        (place / "config.json").write_text(json.dumps({**config, key: value}))

    return change


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "NaN": (_not_a_number, "NaN"),
    "truncated": (_truncate, "model.safetensors"),
    "empty weights": (lambda p: (p / "model.safetensors").write_bytes(b""), "model.safetensors"),
    "no weights": (lambda p: (p / "model.safetensors").unlink(), "missing"),
    "no config": (lambda p: (p / "config.json").unlink(), "missing"),
    "no manifest": (lambda p: (p / "scancraft.json").unlink(), "holds no scancraft.json"),
    "manifest not JSON": (lambda p: (p / "scancraft.json").write_text("{"), "not readable JSON"),
    "config not JSON": (lambda p: (p / "config.json").write_text("{"), "config.json"),
    "config of another shape": (_config("hidden_size", 32), "not expand times hidden_size"),
    "config of nothing": (_config("hidden_size", "wide"), "config.json"),
    "config with no such function": (_config("hidden_act", "magic"), "config.json"),
}


def commands(place: Path, *names: str) -> list[Any]:
    args = {"check": ("--words", 2, "--short", 10), "run": ("ab",)}
    return [invoke(name, place, *args.get(name, ())) for name in names]


@pytest.mark.parametrize("case", MANIFESTS)
def test_tampered_manifests(case: str, d2: Path, tmp_path: Path) -> None:
    place = tampered(d2, tmp_path, MANIFESTS[case])
    with pytest.raises(ScancraftError):
        load(place).runner()
    for result in commands(place, "run", "check", "generate") if case == "symbol gone" else ():
        refused(result)


@pytest.mark.parametrize("case", FILES)
def test_damaged_files(case: str, d2: Path, tmp_path: Path) -> None:
    place = copied(d2, tmp_path)
    damage, message = FILES[case]
    damage(place)
    for result in commands(place, "run", "check", "generate", "certify") if case == "NaN" else commands(place, "run"):
        assert message in refused(result)


@pytest.mark.parametrize("case", COUNTERS)
def test_tampered_counters(case: str, built: Built, tmp_path: Path) -> None:
    """The proof does not rest on them, so certify may accept some; then its checker does."""
    place = tampered(built("file")[0], tmp_path, COUNTERS[case])
    with pytest.raises(ScancraftError):
        load(place).runner()
    assert invoke("certify", place).exit_code != 0 or check_certificate(place).accepted


@pytest.mark.parametrize("case", LANGUAGES)
def test_tampered_languages(case: str, built: Built, tmp_path: Path) -> None:
    place = tampered(built("file")[0], tmp_path, LANGUAGES[case])
    with pytest.raises(ScancraftError):
        load(place)
    for result in commands(place, "run", "check", "generate", "explain", "certify") if case == "none" else ():
        refused(result)
    assert not check_certificate(place).accepted


def test_a_wrong_token_map_is_a_disagreement(d2: Path, tmp_path: Path) -> None:
    place = tampered(d2, tmp_path, lambda m: m["tokens"].update(a=4, b=3))
    result = invoke("check", place, "--words", 2, "--short", 10)
    assert (result.exit_code, "tokenizer.json" in result.stderr) == (2, True)
    words = json.loads((place / "tokenizer.json").read_text())
    words["model"]["vocab"] |= {"a": 4, "b": 3}
    (place / "tokenizer.json").write_text(json.dumps(words))
    assert invoke("check", place, "--words", 2, "--short", 10).exit_code == 1


def test_a_manifest_that_names_another_language_is_a_disagreement(built: Built, tmp_path: Path) -> None:
    place = copied(built("file")[0], tmp_path)
    assert invoke("certify", place).exit_code == 0
    manifest = json.loads((place / "scancraft.json").read_text())
    manifest["language"]["counter_machine"]["accepting"]["p"] = {}
    written(place / "scancraft.json", manifest)
    found = answer(invoke("check", place, "--words", 4, "--short", 60, "--json"), 1)
    assert found["disagreement"] == {"word": [], "model": ["a", "x"], "right": [EOS, "a", "x"]}
    assert invoke("certify", "--check", place).exit_code == 1
    assert answer(invoke("certify", place, "--json"), 1)["word"] == []
    result = invoke("explain", place, "--stage", "circuit")
    assert (result.exit_code, "otherwise than the checkpoint" in result.stderr) == (0, True)


def test_a_swapped_tokenizer_and_a_changed_configuration_are_noticed(d2: Path, tmp_path: Path) -> None:
    for number, (file, change) in enumerate(
        (
            ("tokenizer.json", lambda t: t.replace('"a": 3', '"a": 4', 1).replace('"b": 4', '"b": 3', 1)),
            ("config.json", lambda t: t.replace('"dtype": "float32"', '"dtype": "float16"')),
            ("config.json", lambda t: t.replace('"tie_word_embeddings": false', '"tie_word_embeddings": true')),
            ("config.json", lambda t: t.replace('"pad_token_id": 0', '"pad_token_id": 3')),
        )
    ):
        place = copied(d2, tmp_path / str(number))
        before = (place / file).read_text()
        (place / file).write_text(change(before))
        assert (place / file).read_text() != before
        assert file in refused(invoke("check", place))


@pytest.mark.parametrize("key", ["residual", "blocks", "shape", "memories", "state_entries", "counters", "levels"])
def test_explain_needs_the_labels(key: str, built: Built, tmp_path: Path) -> None:
    for name in ("D-2", "a^n b^n"):
        place = tampered(built(name)[0], tmp_path / name, lambda m: m.update({key: "many"}))
        assert f"at `$.{key}`" in refused(invoke("explain", place))
