"""Directories that hold more, less or something else than a checkpoint: what transformers would build from them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import invoke, refused
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    FalconMambaConfig,
    FalconMambaForCausalLM,
    Mamba2Config,
    Mamba2ForCausalLM,
    MambaConfig,
    MambaForCausalLM,
)

import scancraft
from scancraft.certify.checker.certificate import check_certificate
from scancraft.models.checkpoints.closed import KEYS, check_directory, expected_tensors, read_header
from scancraft.models.classes import model_classes
from scancraft.models.errors import CheckpointError

LANGUAGE = "(a(ab)*b)*"
SMALL = {"vocab_size": 8, "hidden_size": 16, "num_hidden_layers": 2, "state_size": 4}


@pytest.fixture(scope="module", params=["mamba", "mamba2", "falcon_mamba"])
def plain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("plain") / request.param
    scancraft.compile(LANGUAGE, place, target=request.param)
    return place


@pytest.fixture
def copy(plain: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plain, tmp_path / "copy"))


@pytest.fixture(scope="module")
def mamba(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("mamba") / "m"
    scancraft.compile(LANGUAGE, place)
    scancraft.certify(place).save(place)  # type: ignore[union-attr]
    assert check_certificate(place).accepted
    return place


def configure(place: Path, **changes: Any) -> None:
    path = place / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not DROPPED}))


DROPPED = object()


def negated(place: Path, name: str) -> None:
    state = load_file(place / "model.safetensors")
    state["lm_head.weight"] = -state["lm_head.weight"]
    save_file(state, place / name, metadata={"format": "pt"})


def other_configuration(place: Path) -> None:
    shutil.copy(place / "config.json", place / "config.4.0.0.json")
    configure(place, configuration_files=["config.4.0.0.json"])


def renamed(place: Path) -> None:
    state = load_file(place / "model.safetensors")
    state["backbone.embedding.weight"] = state.pop("backbone.embeddings.weight")
    save_file(state, place / "model.safetensors", metadata={"format": "pt"})


def adapter(place: Path) -> None:
    (place / "adapter_config.json").write_text("{}")


def added(name: str) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(b"{}")

    return change


def keyed(**changes: Any) -> Callable[[Path], None]:
    return lambda place: configure(place, **changes)


def replaced(place: Path, name: str, **changes: Any) -> None:
    path = place / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


ATTACKS: dict[str, Callable[[Path], None]] = {
    "e36, other weights named": lambda p: (
        configure(p, transformers_weights="o.safetensors"),
        negated(p, "o.safetensors"),
    )[0],
    "e36, other weights only named": keyed(transformers_weights="model.safetensors"),
    "e1, other configuration": other_configuration,
    "e18, weights rescaled after loading": keyed(rescale_prenorm_residual=True),
    "e2, torch_dtype": keyed(dtype=DROPPED, torch_dtype="float16"),
    "dtype that rounds": keyed(dtype="float16"),
    "no dtype": keyed(dtype=DROPPED),
    "e4a, a shard that transformers prefers": lambda p: negated(p, "shard-00001-model-00001-of-00001.safetensors"),
    "shards": added("model.safetensors.index.json"),
    "e4b, a tensor's old name": renamed,
    "e14, an adapter": adapter,
    "a pickle": added("pytorch_model.bin"),
    "a pickle for mamba_ssm of another name": added("mamba_ssm/model.bin"),
    "code": keyed(auto_map={"AutoModelForCausalLM": "evil.M"}),
    "code for generation": added("custom_generate/generate.py"),
    "a module": added("evil.py"),
    "code for the tokenizer": lambda p: replaced(p, "tokenizer_config.json", auto_map={}),
    "generation": lambda p: replaced(p, "generation_config.json", suppress_tokens=[1]),
    "quantised": keyed(quantization_config={"quant_method": "fp8"}),
    "another class": keyed(architectures=["LlamaForCausalLM"]),
    "another kind": keyed(model_type="llama"),
    "an unknown key": keyed(layers_block_type=["attention"]),
    "a bool for a number": keyed(state_size=True),
    "a float for a whole number": keyed(conv_kernel=2.0),
    "e8, a negative epsilon": keyed(layer_norm_epsilon=-1e-9),
    "an epsilon that is no number": keyed(layer_norm_epsilon=float("nan")),
    "e3, another activation": keyed(hidden_act="relu"),
    "tied": keyed(tie_word_embeddings=True),
    "sizes of 10^9": keyed(hidden_size=10**9),
    "a vocabulary of 10^9": keyed(vocab_size=10**9),
    "100,000 layers": keyed(num_hidden_layers=100_000),
    "9,999 layers": keyed(num_hidden_layers=9_999),
    "another width": keyed(hidden_size=7),
    "deep": lambda p: (p / "config.json").write_text("[" * 100_000) and None,
    "not so deep": keyed(id2label=json.loads("[" * 200 + "]" * 200)),
    "6,000 digits": lambda p: (p / "config.json").write_text('{"vocab_size": ' + "9" * 6000 + "}") and None,
    "twice": lambda p: (p / "config.json").write_text('{"a": 1, "a": 2}') and None,
    "no UTF-8": lambda p: (p / "config.json").write_bytes(b"\xff\xfe") and None,
    "a deep manifest": lambda p: (p / "scancraft.json").write_text("[" * 100_000) and None,
    "6,000 digits in the manifest": lambda p: (p / "scancraft.json").write_text('{"x": ' + "9" * 6000 + "}") and None,
    "cut short": lambda p: os.truncate(p / "model.safetensors", 100),
    "empty weights": lambda p: os.truncate(p / "model.safetensors", 0),
    "a header of 10^18 bytes": lambda p: (p / "model.safetensors").write_bytes((10**18).to_bytes(8, "little")) and None,
    "no weights": lambda p: (p / "model.safetensors").unlink(),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_refused(attack: str, mamba: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(mamba, tmp_path / "copy"))
    ATTACKS[attack](place)
    with pytest.raises(CheckpointError):
        scancraft.load(place)
    with pytest.raises(CheckpointError):
        scancraft.certify(place)
    assert not check_certificate(place).accepted


@pytest.fixture(scope="module")
def mamba2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("mamba2") / "m"
    scancraft.compile(LANGUAGE, place, target="mamba2")
    scancraft.certify(place).save(place)  # type: ignore[union-attr]
    assert check_certificate(place).accepted
    return place


KEYS_OF_MAMBA2: dict[str, list[Any]] = {
    "time_step_limit": [[0.0, 512.0], [1e-9, 2.0**127], [0.0, 2.0**126], [0.0], [0.0, True], "Infinity", 2.0**127],
    "intermediate_size": [8, 1 << 20, -1, 16.0, True, "auto"],
    "time_step_rank": [0, 1.0, True, "auto"],
}


def test_what_is_compiled_says_all_that_runtimes_insist_on(mamba2: Path, tmp_path: Path) -> None:
    config = json.loads((mamba2 / "config.json").read_text())
    assert config["intermediate_size"] == config["expand"] * config["hidden_size"]
    assert config["time_step_limit"] == [0.0, 2.0**127]
    assert config["time_step_rank"] >= 1
    AutoModelForCausalLM.from_pretrained(mamba2).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["time_step_limit"] == [0.0, 2.0**127]


@pytest.mark.parametrize("key", KEYS_OF_MAMBA2)
def test_other_values_of_them_are_refused(key: str, mamba2: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(mamba2, tmp_path / "copy"))
    honest = json.loads((place / "config.json").read_text())[key]
    for value in KEYS_OF_MAMBA2[key]:
        if key == "intermediate_size" and type(value) is int and value == honest:
            continue
        configure(place, **{key: value})
        with pytest.raises(CheckpointError, match=key):
            scancraft.load(place)
        assert not check_certificate(place).accepted, value
    for value in (DROPPED, [0.0, float("inf")] if key == "time_step_limit" else honest):  # as older versions wrote
        configure(place, **{key: value})
        assert check_certificate(place).accepted


@pytest.mark.parametrize("command", ["check", "certify", "run", "explain", "generate"])
def test_every_command_says_so_in_one_line(command: str, mamba: Path, tmp_path: Path) -> None:
    place = Path(shutil.copytree(mamba, tmp_path / "copy"))
    configure(place, **{"rescale\x1b[2Jprenorm": True})
    message = refused(invoke(command, place))
    assert "x1b[2Jprenorm" in message
    assert "\x1b" not in message


def test_what_is_compiled_and_saved_again_is_known(copy: Path, tmp_path: Path) -> None:
    """By transformers itself, model and tokenizer; with what people put beside it."""
    config = check_directory(copy)
    assert expected_tensors(config) == {
        name: shape for name, (_, shape) in read_header(copy / "model.safetensors").items()
    }
    AutoModelForCausalLM.from_pretrained(copy).save_pretrained(copy)
    (copy / "README.md").write_text("about it")
    (copy / ".git").mkdir()
    assert scancraft.certify(copy).verdict == "certified"
    linked = tmp_path / "linked"
    linked.mkdir()
    for path in copy.iterdir():
        (linked / path.name).symlink_to(path)
    assert check_directory(linked).keys() == check_directory(copy).keys()


@pytest.mark.parametrize(
    ("config", "model"),
    [
        (MambaConfig(**SMALL), MambaForCausalLM),
        (MambaConfig(**SMALL, use_bias=True, tie_word_embeddings=False, time_step_rank=3), MambaForCausalLM),
        (Mamba2Config(**SMALL, num_heads=4, head_dim=8, n_groups=2, use_conv_bias=False), Mamba2ForCausalLM),
        (FalconMambaConfig(**SMALL), FalconMambaForCausalLM),
    ],
)
def test_models_from_elsewhere_are_known_too(config: Any, model: Any, tmp_path: Path) -> None:
    model(config).save_pretrained(tmp_path)
    found = check_directory(tmp_path)
    assert found["hidden_size"] == 16
    configure(tmp_path, torch_dtype="float32", rms_norm=True)  # as older versions wrote
    check_directory(tmp_path)
    adapter(tmp_path)
    with pytest.raises(CheckpointError, match="adapter_config"):
        check_directory(tmp_path)


@pytest.mark.parametrize("kind", KEYS)
def test_every_key_that_a_class_has_is_known(kind: str) -> None:
    config, _ = model_classes(kind)
    small = {**SMALL, "num_heads": 4, "head_dim": 8, "n_groups": 1} if kind == "mamba2" else SMALL
    if kind == "olmo_hybrid":  # whose default sizes are for wider models
        small = {**{key: n for key, n in SMALL.items() if key != "state_size"}, "num_attention_heads": 2}
    for key, value in json.loads(json.dumps(config(**small).to_dict())).items():
        assert KEYS[kind][key].holds(value), (key, value)


def test_no_code_from_a_checkpoint_runs(mamba: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "PWNED"),)

    place = Path(shutil.copytree(mamba, tmp_path / "copy"))
    even = tmp_path / "even.json"
    rows = {"e": {"a": "o", "b": "e"}, "o": {"a": "e", "b": "o"}}
    even.write_text(json.dumps({"alphabet": ["a", "b"], "initial": "e", "accepting": ["e"], "transitions": rows}))
    code = f"import os; os.mkdir({str(tmp_path / 'PWNED')!r})\nclass C: pass\nclass M: pass\n"
    configure(place, auto_map={"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"})
    (place / "evil.py").write_text(code)
    torch.save({"x": Evil()}, place / "pytorch_model.bin")
    torch.save({"x": Evil()}, place / "mamba_ssm" / "pytorch_model.bin")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for name in ("config.json", "evil.py", "pytorch_model.bin"):
        shutil.copy(place / name, foreign)
    for command in ("certify", "run", "check", "generate", "explain", "refute"):
        more = ["--language", even] if command == "refute" else []
        refused(invoke(command, place, *more))
    refused(invoke("refute", foreign, "--language", even))
    assert invoke("certify", "--check", place).exit_code == 1
    assert not (tmp_path / "PWNED").exists()
