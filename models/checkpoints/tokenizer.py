"""A tokenizer for the words of one language, as ``AutoTokenizer`` loads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors

WHITESPACE = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680"
    + "".join(map(chr, range(0x2000, 0x200B)))
    + "\u2028\u2029\u202f\u205f\u3000"
)
"""What ``str.isspace`` says is whitespace."""


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
