"""A tokenizer for the words of one language, as ``AutoTokenizer`` loads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors

from .files import read_json

WHITESPACE = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680"
    + "".join(map(chr, range(0x2000, 0x200B)))
    + "\u2028\u2029\u202f\u205f\u3000"
)
"""What ``str.isspace`` says is whitespace."""


CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""What transformers calls the class that only reads ``tokenizer.json``."""

ADDED = frozenset({"backend", "is_local", "local_files_only", "model_max_length"})
"""Settings that transformers adds and that change no token."""


def build_tokenizer(tokens: Mapping[str, int], *, bos: str, eos: str, pad: str, spaced: bool) -> Tokenizer:
    """A word-level tokenizer that prepends ``bos``, adds no ``eos``, and refuses unknown symbols.

    Args:
        tokens: from token, as it is written in a word, to id, special tokens included.
        bos: the token that starts every sequence.
        eos: the end-of-string token.
        pad: the padding token.
        spaced: whether words are written with spaces between symbols, which hold none; else every character is a
            symbol, and whitespace that is none means nothing.
    """
    # The unknown token is none of these and has no id: unknown symbols are refused, not replaced.
    tokenizer = Tokenizer(models.WordLevel(vocab=dict(tokens), unk_token="unknown symbol "))
    if spaced:
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    else:
        meaningless = "".join(f"\\x{{{ord(ch):04x}}}" for ch in WHITESPACE if ch not in tokens)
        steps = [pre_tokenizers.Split(Regex(f"[{meaningless}]"), behavior="removed")] if meaningless else []
        steps.append(pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated"))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
        tokenizer.decoder = decoders.Fuse()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokens[bos])]
    )
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in (pad, bos, eos)])
    return tokenizer


def why_another(directory: Path, tokenizer: Tokenizer, *, bos: str, eos: str, pad: str) -> str:
    """What in a directory makes ``AutoTokenizer`` load another tokenizer than the given one; "" if nothing does.

    The tokenizer itself must be the same in every part (normaliser, added tokens, post-processor, ...), and the
    settings beside it those that are written here, or that transformers adds when it saves them again.
    """
    if Tokenizer.from_file(str(directory / "tokenizer.json")).to_str() != tokenizer.to_str():
        return "tokenizer.json is not that of the manifest's tokens"
    named = {"bos_token": bos, "eos_token": eos, "pad_token": pad}
    settings = read_json(directory / "tokenizer_config.json")
    wanted = tokenizer_config(bos=bos, eos=eos, pad=pad)
    for key, value in settings.items():
        if key not in ADDED and (key not in wanted or wanted[key] != value):
            if key != "tokenizer_class" or value not in CLASSES:
                return f"tokenizer_config.json: {key} is {value!r:.60}"
    if missing := sorted(wanted.keys() - settings.keys()):
        return f"tokenizer_config.json lacks {missing[0]}"
    if (path := directory / "special_tokens_map.json").exists():
        for key, value in read_json(path).items():
            if (value.get("content") if isinstance(value, dict) else value) != named.get(key, ""):
                return f"special_tokens_map.json: {key} is {value!r:.60}"
    return ""


def tokenizer_config(*, bos: str, eos: str, pad: str) -> dict[str, Any]:
    """The ``tokenizer_config.json`` beside it."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": bos,
        "eos_token": eos,
        "pad_token": pad,
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        "padding_side": "left",
        # Words are at liberty to spell a special token with single-character symbols; it is then no special token.
        "split_special_tokens": True,
    }
