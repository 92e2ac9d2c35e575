"""What the tokens of a ``tokenizers`` file spell, where each spells the same wherever it stands.

Read are tokenizers that decode by joining what tokens spell: byte-level ones (GPT-2, Llama 3, Qwen), whose characters
stand for bytes, and those with a mark for blanks (SentencePiece: Llama 2, T5, Gemma), with ``<0x0A>`` for bytes that
have no token. Others put blanks between tokens as they please (WordPiece, words, ``</w>``), and are refused. That texts
are what is said here is tried: the tokenizer itself decodes every token, in rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from ..errors import CheckpointError
from .files import read_json

FILE, SETTINGS, MAP = "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"
MARK = "\u2581"
ROW = 64
"""Tokens that are decoded together."""
BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class TokenizerError(CheckpointError):
    """A tokenizer whose tokens do not spell by themselves, or whose files cannot be used."""


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a tokenizer.

    Attributes:
        spelt: what each token that is no special one spells, by its id.
        names: how they are called, by their ids.
        eos: the id of the token that ends a text.
        bos: of one that begins a text, if it has one of its own.
        pad: of one that fills texts up, if it has one of its own.
        size: one more than the largest id.
    """

    spelt: Mapping[int, bytes]
    names: Mapping[int, str]
    eos: int
    bos: int | None
    pad: int | None
    size: int


def read_vocabulary(place: str | PathLike[str], eos: str | None = None) -> Vocabulary:
    """Read ``tokenizer.json``, and beside it the names of the special tokens.

    Args:
        place: the file, or the directory that holds it.
        eos: the token that ends a text, where the files do not say.

    Raises:
        TokenizerError: there is no such file, it is of a kind that is not supported, or does not say what ends a text.
    """
    path = Path(place) / FILE if Path(place).is_dir() else Path(place)
    if not path.is_file():
        raise TokenizerError(f"{path} is no file; give a {FILE}, or the directory of one")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain exceptions
        raise TokenizerError(f"{path} is no tokenizer that `tokenizers` reads: {error!s:.200}") from error
    about = read_json(path)
    special = {token["content"]: token["id"] for token in about.get("added_tokens", ()) if token.get("special")}
    added = {token["content"] for token in about.get("added_tokens", ())}
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    spell = _speller(about, path)
    names = {number: token for token, number in sorted(vocabulary.items(), key=lambda item: item[1])}
    spelt = {
        number: token.encode() if token in added else spell(token)
        for number, token in names.items()
        if token not in special
    }
    _try(tokenizer, spelt, path)
    said = _special(path.parent)
    end = _id("eos", eos or said.get("eos_token"), vocabulary, path)
    if end is None:
        known = ", ".join(sorted(special)) or "none"
        raise TokenizerError(
            f"{path.parent} does not say which token ends a text (special ones: {known}); give its name"
        )
    spelt.pop(end, None)
    own: dict[str, int | None] = {}
    for name in ("bos", "pad"):
        number = _id(name, said.get(f"{name}_token"), vocabulary, path)
        fresh = number is not None and number not in spelt and number not in (end, *own.values())
        own[name] = number if fresh else None
    return Vocabulary(spelt, names, end, own["bos"], own["pad"], 1 + max(names))


def _id(name: str, token: str | None, vocabulary: Mapping[str, int], path: Path) -> int | None:
    if token is not None and token not in vocabulary:
        raise TokenizerError(f"{path} has no token {token!r}, which is said to be the {name} token")
    return None if token is None else vocabulary[token]


def _special(directory: Path) -> dict[str, str]:
    """The names of special tokens, as the files beside the tokenizer say them."""
    said: dict[str, str] = {}
    for name in (MAP, SETTINGS):
        if (directory / name).is_file():
            for key, value in read_json(directory / name).items():
                content = value.get("content") if isinstance(value, dict) else value
                if key in ("bos_token", "eos_token", "pad_token") and isinstance(content, str):
                    said[key] = content
    return said


def _steps(part: Any) -> list[dict[str, Any]]:
    """A decoder as the list of its steps."""
    if part is None:
        return []
    return [step for inner in part["decoders"] for step in _steps(inner)] if part["type"] == "Sequence" else [part]


def _speller(about: Mapping[str, Any], path: Path) -> Callable[[str], bytes]:
    """What a token that was not added spells, as a function.

    Raises:
        TokenizerError: that depends on where it stands.
    """
    steps = _steps(about.get("decoder"))
    kinds = {step["type"] for step in steps}
    if kinds == {"ByteLevel"}:
        letters = {letter: byte for byte, letter in _byte_letters().items()}

        def spell_bytes(token: str) -> bytes:
            if not set(token) <= letters.keys():
                raise TokenizerError(f"{path}: token {token!r} is not written in characters that stand for bytes")
            return bytes(letters[ch] for ch in token)

        return spell_bytes
    if kinds and kinds <= {"Metaspace", "Replace", "ByteFallback", "Fuse", "Strip"}:
        mark = next((step["replacement"] for step in steps if step["type"] == "Metaspace"), MARK)
        fallback = "ByteFallback" in kinds

        def spell(token: str) -> bytes:
            byte = BYTE.fullmatch(token) if fallback else None
            return bytes([int(byte[1], 16)]) if byte else token.replace(mark, " ").encode()

        return spell
    shown = ", ".join(sorted(kinds)) or "none"
    raise TokenizerError(
        f"{path} has a decoder ({shown}; model {about.get('model', {}).get('type')}) with which the text of a token "
        "depends on those beside it; supported are byte-level tokenizers and those that mark blanks (ByteLevel; "
        "Metaspace, or Replace with ByteFallback)"
    )


def _byte_letters() -> dict[int, str]:
    """The characters that stand for bytes in byte-level vocabularies (GPT-2): printable ones for themselves."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(0x100 + n) for n, byte in enumerate(others)}


def _try(tokenizer: Tokenizer, spelt: Mapping[int, bytes], path: Path) -> None:
    """Compare with what the tokenizer decodes.

    A blank at the very beginning, which some leave out, and bytes that are no text by themselves do not count.

    Raises:
        TokenizerError: it decodes to another text.
    """
    numbers = list(spelt)
    for start in range(0, len(numbers), ROW):
        row = numbers[start : start + ROW]
        said = tokenizer.decode(row, skip_special_tokens=False)
        text = b"".join(spelt[number] for number in row).decode("utf-8", "replace")
        said, text = (part.replace("\ufffd", "").removeprefix(" ") for part in (said, text))
        if said.lstrip(" ") != text.lstrip(" "):
            raise TokenizerError(f"{path}: tokens {row[0]} to {row[-1]} decode to {said!r:.80}, not to {text!r:.80}")
