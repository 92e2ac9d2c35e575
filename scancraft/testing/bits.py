"""Whether a Mamba gives the same bits in every way of running it; public through :mod:`scancraft.testing`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from ..automata.alphabet import BOS, EOS, PAD, Word, format_word
from ..compiler.checkpoints import opened
from ..compiler.language_model import LanguageModel
from ..models.run.caching import continued

DTYPES = (torch.float32, torch.bfloat16)


def assert_same_bits(
    target: LanguageModel | str | PathLike[str],
    words: Sequence[Word],
    *,
    dtypes: Sequence[torch.dtype] = DTYPES,
) -> int:
    """Assert that the logits after every prefix are the same numbers in whatever way the model is run.

    The reference is the first of ``dtypes``, one word at a time, all tokens in one call. Compared with it, by
    ``torch.equal`` (so that -0 equals 0), are, in each of ``dtypes``: the same; token by token with the cache; all
    words in one batch with an attention mask, padded on the right; and padded on the left.

    Args:
        target: what ``scancraft.compile`` returned, or a checkpoint (directory).
        words: over the language's alphabet.
        dtypes: of the weights.

    Returns:
        how many pairs of logit vectors were compared.

    Raises:
        AssertionError: two differ; names which, after which prefix of which word, on which token.
        ReadoutError: a symbol that has no token.
    """
    source: LanguageModel = opened(target)
    readout = source.readout
    sequences = [readout.encode(word) for word in words]
    reference: list[Tensor] = []
    compared = 0
    for dtype in dtypes:
        model = source.model(dtype)
        with torch.inference_mode():
            for way, results in _ways(model, sequences, readout.pad):
                reference = reference or results
                for word, right, found in zip(words, reference, results, strict=True):
                    if not torch.equal(right, found):
                        _fail(f"{_name(dtypes[0])} {ONE_SHOT}", f"{_name(dtype)} {way}", source, word, right, found)
                    compared += len(right)
    return compared


ONE_SHOT = "one word at a time"


def _ways(model: Any, sequences: list[list[int]], pad: int) -> Iterator[tuple[str, list[Tensor]]]:
    """Each way of running, with the logits of each sequence in it, shape (tokens, vocabulary), float32."""
    yield ONE_SHOT, [model(torch.tensor([ids])).logits[0].float() for ids in sequences]
    yield "token by token", [_stepped(model, ids) for ids in sequences]
    if sequences:
        yield "in a right-padded batch", _batched(model, sequences, pad, left=False)
        yield "in a left-padded batch", _batched(model, sequences, pad, left=True)


def _stepped(model: Any, ids: list[int]) -> Tensor:
    cache, logits = None, []
    for token in ids:
        output, cache = continued(model, torch.tensor([[token]]), cache)
        logits.append(output.logits[0, 0].float())
    return torch.stack(logits)


def _batched(model: Any, sequences: list[list[int]], pad: int, *, left: bool) -> list[Tensor]:
    longest = max(map(len, sequences))
    ids = torch.full((len(sequences), longest), pad)
    mask = torch.zeros_like(ids)
    spans = [slice(longest - len(s), longest) if left else slice(0, len(s)) for s in sequences]
    for row, (sequence, span) in enumerate(zip(sequences, spans, strict=True)):
        ids[row, span] = torch.tensor(sequence)
        mask[row, span] = 1
    logits = model(ids, attention_mask=mask).logits.float()
    return [logits[row, span] for row, span in enumerate(spans)]


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _fail(one: str, other: str, source: LanguageModel, word: Word, right: Tensor, found: Tensor) -> None:
    """Raise for the first difference."""
    position, token = ((right != found) | right.isnan() | found.isnan()).nonzero()[0].tolist()
    readout, alphabet = source.readout, source.language.alphabet
    names = {i: symbol for symbol, i in readout.tokens.items()}
    names |= {i: name for i, name in ((readout.bos, BOS), (readout.accept, EOS), (readout.pad, PAD)) if i is not None}
    name = names.get(token, "a padding row of the vocabulary")
    raise AssertionError(
        f"the logits differ between {one} and {other}: word {format_word(word, alphabet)!r}, "
        f"position {position} (after {format_word(word[:position], alphabet)!r}), token {name} (id {token}): "
        f"{right[position, token].item()!r} and {found[position, token].item()!r}"
    )
