"""Checkpoints with links, pipes and devices for files, with other tokenizers, and with headers that lie."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import invoke, refused
from safetensors.torch import load
from transformers import AutoModelForCausalLM, AutoTokenizer

import scancraft
from scancraft.certify.checker.certificate import check_certificate
from scancraft.models.checkpoints.closed import MODEL_FILES, OUR_FILES
from scancraft.models.errors import CheckpointError

READ = sorted((MODEL_FILES | OUR_FILES) - {"training.json"})


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("honest") / "m"
    scancraft.compile("(a(ab)*b)*", place)
    scancraft.certify(place).save(place)  # type: ignore[union-attr]
    assert check_certificate(place).accepted
    return place


@pytest.fixture
def copy(honest: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(honest, tmp_path / "copy"))


# -- links, pipes, devices -------------------------------------------------------------------------------------------


def pipe(path: Path) -> None:
    os.mkfifo(path)


SPECIAL: dict[str, Callable[[Path], object]] = {
    "a device without an end": lambda path: path.symlink_to("/dev/zero"),
    "a pipe that nobody writes to": pipe,
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a link to a directory": lambda path: path.symlink_to("/"),
}


@pytest.mark.parametrize("what", SPECIAL)
@pytest.mark.parametrize("name", READ)
def test_what_is_no_regular_file_is_not_read(name: str, what: str, copy: Path) -> None:
    (copy / name).unlink(missing_ok=True)
    SPECIAL[what](copy / name)
    if name not in ("certificate.json", "certificate.safetensors"):
        with pytest.raises(CheckpointError):
            scancraft.load(copy).check_tokenizer()
    assert not check_certificate(copy).accepted


@pytest.mark.parametrize("what", SPECIAL)
def test_the_copy_for_mamba_ssm_neither(what: str, copy: Path) -> None:
    (copy / "mamba_ssm" / "pytorch_model.bin").unlink()
    SPECIAL[what](copy / "mamba_ssm" / "pytorch_model.bin")
    with pytest.raises(CheckpointError):
        scancraft.load(copy)
    assert not check_certificate(copy).accepted


def test_a_link_to_another_directory_for_the_copy(copy: Path) -> None:
    shutil.rmtree(copy / "mamba_ssm")
    (copy / "mamba_ssm").symlink_to("/")
    with pytest.raises(CheckpointError, match="no part of a checkpoint"):
        scancraft.load(copy)
    assert not check_certificate(copy).accepted


def test_what_a_link_leads_to_is_what_is_judged(copy: Path, tmp_path: Path) -> None:
    """The Hub's cache links to files; a link that leads elsewhere later is another file, and is read again."""
    shutil.copy(copy / "model.safetensors", tmp_path / "a")
    weights = (tmp_path / "a").read_bytes()
    (copy / "model.safetensors").unlink()
    (copy / "model.safetensors").symlink_to(tmp_path / "a")
    assert check_certificate(copy).accepted
    (tmp_path / "b").write_bytes(weights[:-1] + bytes([weights[-1] ^ 64]))
    (copy / "model.safetensors").unlink()
    (copy / "model.safetensors").symlink_to(tmp_path / "b")
    assert not check_certificate(copy).accepted
    scancraft.compile("a*", copy)  # the directory is replaced, what links lead to stays
    assert (tmp_path / "b").read_bytes() != weights == (tmp_path / "a").read_bytes()


# -- tokenizers ------------------------------------------------------------------------------------------------------


def edited(name: str, change: Callable[[Any], object]) -> Callable[[Path], None]:
    def edit(place: Path) -> None:
        content = json.loads((place / name).read_text())
        change(content)
        (place / name).write_text(json.dumps(content))

    return edit


def token(content: str, number: int) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    return {"id": number, "content": content, **flags}


TOKENIZER, SETTINGS = "tokenizer.json", "tokenizer_config.json"
OTHERS: dict[str, Callable[[Path], None]] = {
    "exchanged letters": edited(TOKENIZER, lambda t: t["model"]["vocab"].update(a=4, b=3)),
    "a token more": edited(TOKENIZER, lambda t: t["model"]["vocab"].update(c=5)),
    "an added token": edited(TOKENIZER, lambda t: t["added_tokens"].append(token("ab", 3))),
    "no special tokens": edited(TOKENIZER, lambda t: t.update(added_tokens=[])),
    "a normaliser": edited(
        TOKENIZER, lambda t: t.update(normalizer={"type": "Replace", "pattern": {"String": "a"}, "content": "b"})
    ),
    "a lower case": edited(TOKENIZER, lambda t: t.update(normalizer={"type": "Lowercase"})),
    "no <bos>": edited(TOKENIZER, lambda t: t.update(post_processor=None)),
    "an <eos> at the end": edited(
        TOKENIZER,
        lambda t: (
            t["post_processor"]["single"].append({"SpecialToken": {"id": "<eos>", "type_id": 0}}),
            t["post_processor"]["special_tokens"].update({"<eos>": {"id": "<eos>", "ids": [2], "tokens": ["<eos>"]}}),
        ),
    ),
    "another <bos>": edited(
        TOKENIZER, lambda t: t["post_processor"]["special_tokens"]["<bos>"].update(ids=[3], tokens=["a"])
    ),
    "no unknown token": edited(TOKENIZER, lambda t: t["model"].update(unk_token="a")),
    "cut short": edited(
        TOKENIZER,
        lambda t: t.update(truncation={"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}),
    ),
    "another model": edited(TOKENIZER, lambda t: t["model"].update(type="WordPiece")),
    "no JSON": lambda place: (place / TOKENIZER).write_text("{") and None,
    "missing": lambda place: (place / TOKENIZER).unlink(),
    "another class": edited(SETTINGS, lambda t: t.update(tokenizer_class="LlamaTokenizer")),
    "a class of its own": edited(SETTINGS, lambda t: t.update(tokenizer_class="Evil")),
    "code": edited(SETTINGS, lambda t: t.update(auto_map={"AutoTokenizer": ["evil.T", None]})),
    "another end": edited(SETTINGS, lambda t: t.update(eos_token="a")),
    "two names for one token": edited(SETTINGS, lambda t: t.update(eos_token="<bos>")),
    "padding on the right": edited(SETTINGS, lambda t: t.update(padding_side="right")),
    "special tokens in words": edited(SETTINGS, lambda t: t.update(split_special_tokens=False)),
    "a template": edited(SETTINGS, lambda t: t.update(chat_template="{{ 1 }}")),
    "tokens in the settings": edited(SETTINGS, lambda t: t.update(added_tokens_decoder={"3": token("x", 3)})),
    "an <eos> by the settings": edited(SETTINGS, lambda t: t.update(add_eos_token=True)),
    "a setting less": edited(SETTINGS, lambda t: t.pop("padding_side")),
    "another map": lambda place: (place / "special_tokens_map.json").write_text('{"eos_token": "a"}') and None,
    "more in a map": lambda place: (place / "special_tokens_map.json").write_text('{"cls_token": "a"}') and None,
}


@pytest.mark.parametrize("which", OTHERS)
def test_another_tokenizer_is_named(which: str, copy: Path) -> None:
    OTHERS[which](copy)
    with pytest.raises(CheckpointError):
        scancraft.load(copy).check_tokenizer()
    refused(invoke("check", copy, "--words", "5", "--short", "10"))


def test_what_transformers_saves_again_is_the_same_tokenizer(copy: Path) -> None:
    before = AutoTokenizer.from_pretrained(copy)
    before.save_pretrained(copy)
    (copy / "special_tokens_map.json").write_text(
        json.dumps({"bos_token": "<bos>", "eos_token": {"content": "<eos>", "special": True}, "pad_token": "<pad>"})
    )
    scancraft.load(copy).check_tokenizer()
    assert AutoTokenizer.from_pretrained(copy)("ab").input_ids == before("ab").input_ids == [1, 3, 4]
    assert invoke("check", copy, "--words", "5", "--short", "10").exit_code == 0


def test_a_certificate_does_not_speak_of_it(copy: Path) -> None:
    """As docs/threat_model.md says."""
    OTHERS["exchanged letters"](copy)
    assert check_certificate(copy).accepted


# -- headers of safetensors ------------------------------------------------------------------------------------------


def header(change: Callable[[dict[str, Any]], object], length: int | None = None) -> Callable[[Path], None]:
    """Change the header of the weights; ``length``: what it says of its own length."""

    def edit(place: Path) -> None:
        raw = (place / "model.safetensors").read_bytes()
        size = int.from_bytes(raw[:8], "little")
        entries = json.loads(raw[8 : 8 + size])
        change(entries)
        new = json.dumps(entries).encode()
        new += b" " * (-len(new) % 8)
        said = len(new) if length is None else length
        (place / "model.safetensors").write_bytes(said.to_bytes(8, "little") + new + raw[8 + size :])

    return edit


HEAD, EMBEDDING, LAYER = "lm_head.weight", "backbone.embeddings.weight", "backbone.layers.0.mixer.D"


def twice(place: Path) -> None:
    """One name with two places; a reader takes the first or the last."""
    raw = (place / "model.safetensors").read_bytes()
    size = int.from_bytes(raw[:8], "little")
    text = raw[8 : 8 + size].decode().rstrip()
    entry = json.dumps(json.loads(text)[EMBEDDING])
    new = f'{text[:-1]},"{HEAD}":{entry}}}'.encode()
    new += b" " * (-len(new) % 8)
    (place / "model.safetensors").write_bytes(len(new).to_bytes(8, "little") + new + raw[8 + size :])


HEADERS: dict[str, Callable[[Path], None]] = {
    "a tensor in the place of another": header(lambda h: h[HEAD].update(data_offsets=h[EMBEDDING]["data_offsets"])),
    "a name twice": twice,
    "a tensor more": header(lambda h: h.update({"backbone.more": dict(h[HEAD])})),
    "an empty one more": header(
        lambda h: h.update({"more": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}),
    ),
    "another shape": header(lambda h: h[HEAD].update(shape=h[HEAD]["shape"][::-1])),
    "another dtype of as many bytes": header(lambda h: h[HEAD].update(dtype="I32")),
    "unsigned": header(lambda h: h[HEAD].update(dtype="U32")),
    "an offset below 0": header(lambda h: h[HEAD].update(data_offsets=[-4, 0])),
    "an offset past the end": header(lambda h: h[HEAD].update(data_offsets=[1 << 40, 1 << 41])),
    "a shape of 2^70": header(lambda h: h[HEAD].update(shape=[1 << 35, 1 << 35])),
    "a shape that is true": header(lambda h: h[LAYER].update(shape=[True])),
    "a fraction of a shape": header(lambda h: h[LAYER].update(shape=[float(h[LAYER]["shape"][0]) + 0.5])),
    "a length too short": header(lambda h: None, length=16),
    "a length of 0": header(lambda h: None, length=0),
    "a length past the end": header(lambda h: None, length=10**6),
    "a length of 2^63": header(lambda h: None, length=1 << 63),
    "metadata of another framework": header(lambda h: h.update({"__metadata__": {"format": "mlx"}})),
    "metadata that is none": header(lambda h: h.update({"__metadata__": {"format": 5}})),
}


@pytest.mark.parametrize("which", HEADERS)
def test_headers_that_lie(which: str, copy: Path) -> None:
    honest = load((copy / "model.safetensors").read_bytes())
    HEADERS[which](copy)
    try:
        scancraft.load(copy).model()
        accepted = True
    except CheckpointError:
        accepted = False
    assert accepted <= (which == "metadata of another framework")
    if check_certificate(copy).accepted:  # only if it is the same model
        found = AutoModelForCausalLM.from_pretrained(copy).state_dict()
        assert found.keys() == honest.keys()
        assert all(found[name].equal(honest[name]) for name in honest)
        assert which == "metadata of another framework"
