"""Languages over characters, compiled for the tokens of a tokenizer, with its ids, to stand beside another model.

A token acts as all the characters that it spells, in a row (``automata.spelled``). Special tokens are no symbols and
never allowed, but for the one that ends a text, which is ``<eos>``. ``<bos>`` and ``<pad>`` are the tokenizer's own if
it has such, else rows behind its vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from typing import TypeVar

import numpy as np
from msgspec.structs import replace as changed

from ..automata.alphabet import BOS, EOS, PAD, SPECIAL_TOKENS
from ..automata.budget import DEFAULT_BUDGET, Budget
from ..automata.dfa import Dfa
from ..automata.spelled import Units, by_tokens
from ..models.checkpoints.vocabulary import Vocabulary, read_vocabulary
from .compiled import CompiledModel
from .manifest import Sizes
from .targets.tokens import rounded_up

EMBEDDING, HEAD = "backbone.embeddings.weight", "lm_head.weight"

Model = TypeVar("Model", bound=CompiledModel)


def tokenized(
    dfa: Dfa,
    tokenizer: str | PathLike[str],
    *,
    eos: str | None = None,
    units: Units = "characters",
    budget: Budget = DEFAULT_BUDGET,
) -> tuple[Dfa, dict[str, int]]:
    """A language over the tokens that spell its words, and the id of each token, special ones included.

    Args:
        dfa: over single characters.
        tokenizer: a ``tokenizer.json``, or its directory, where the special tokens are named, too.
        eos: the token that ends a text, where the files do not say.
        units: whether the language is about characters or about bytes (:func:`~..automata.spelled.by_tokens`).
        budget: how many transitions there may be.

    Raises:
        TokenizerError: the file is none, or of a kind that is not supported.
        AlphabetError: a symbol is no character.
        EmptyLanguageError: no tokens spell a word of the language.
        BudgetExceededError: too many transitions.
    """
    vocabulary = read_vocabulary(tokenizer, eos)
    names = _names(vocabulary)
    over = by_tokens(dfa, {names[number]: text for number, text in vocabulary.spelt.items()}, units, budget)
    ids = {PAD: vocabulary.pad, BOS: vocabulary.bos, EOS: vocabulary.eos}
    free = vocabulary.size
    for special in (BOS, PAD):
        if ids[special] is None:
            ids[special], free = free, free + 1
    known = {special: number for special, number in ids.items() if number is not None}
    return over, known | {names[number]: number for number in vocabulary.spelt}


def _names(vocabulary: Vocabulary) -> dict[int, str]:
    """What tokens are called as symbols: as in the vocabulary, but for the few that symbols cannot be called."""
    taken = set(vocabulary.names.values())
    found = {}
    for number in vocabulary.spelt:
        name = vocabulary.names[number]
        if not name or any(special in name for special in SPECIAL_TOKENS):
            name = f"<token {number}>"
            assert name not in taken, "two tokens of one name"
        found[number] = name
    return found


def renumbered(model: Model, ids: Mapping[str, int]) -> Model:
    """The model with other token ids. O(size of the new embedding).

    Rows of no token are those of ``<pad>``: nothing happens where it is read, and it may never come.

    Args:
        model: compiled, without classes of outputs.
        ids: of every token, special ones included; as many rows as they need, rounded up as always.
    """
    weights, old = model.weights, model.manifest.tokens
    rows = rounded_up(1 + max(ids.values()))
    tensors = dict(weights.tensors)
    here, there = [old[token] for token in ids], list(ids.values())
    for name in (EMBEDDING, HEAD):
        tensors[name] = np.repeat(weights.tensors[name][[old[PAD]]], rows, axis=0)
        tensors[name][there] = weights.tensors[name][here]
    wider = replace(weights, shape=replace(weights.shape, vocab_size=rows), tensors=tensors)
    manifest = changed(model.manifest, tokens=dict(ids), shape=Sizes(**wider.sizes()))
    return replace(model, weights=wider, manifest=manifest)
