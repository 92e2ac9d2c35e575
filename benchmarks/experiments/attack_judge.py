"""Whether an accepted model is right: as ``transformers`` builds it, in every way to run it that a certificate covers.

Building a model takes longer than running it. So models that differ in nothing but the numbers of their weights share
the module that ``from_pretrained`` built for the first of them, and a model that was seen before is not run again.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attacks import CERTIFICATE, UNREAD, WEIGHTS, Files, bound, dtype_of, loaded, write
from safetensors.torch import load
from timings.measure import stepped
from torch import Tensor

from scancraft.automata.alphabet import read_tokens
from scancraft.automata.languages import columns_of, truth_of
from scancraft.certify.check import all_codes, exhaustive_depth
from scancraft.models.readout import Readout
from scancraft.models.run.batches import Model

WIDER = (torch.bfloat16, torch.float16, torch.float32, torch.float64)
PADDING = 3


@dataclass(frozen=True)
class Questions:
    """Words, and what is right after each of their prefixes.

    Attributes:
        ids: shape (words, 1 + length), with ``<bos>``.
        columns: of the logits.
        right: shape (words, 1 + length, columns).
        asked: whether the certificate speaks of a prefix, shape (words, 1 + length).
    """

    ids: Tensor
    columns: list[int]
    right: Tensor
    asked: Tensor


@dataclass(frozen=True)
class Verdict:
    """``trouble``: how it is wrong, "" if nothing was seen; ``margin``: the least |score - threshold|; words run."""

    trouble: str
    margin: float
    words: int


def questions(content: Mapping[str, Any], words: int, length: int, rng: random.Random) -> Questions:
    """All words up to the length at which there are at most ``words``, each continued: some repeat, some are random."""
    language, readout = bound(content)
    alphabet = language.alphabet
    depth = exhaustive_depth(len(alphabet), words, length)
    starts = all_codes(len(alphabet), depth)
    codes = np.array([_continued(row.tolist(), len(alphabet), length, rng) for row in starts], dtype=np.uint16)
    lengths = np.full(len(codes), length)
    masks = truth_of(language).next_masks(codes, lengths)
    columns = columns_of(truth_of(language))
    read = read_tokens(
        alphabet, follow=bool(readout.next_index), end=readout.accept is not None, classes=readout.classes
    )
    shown = [columns[token] for token in read]
    tokens = np.array([readout.tokens[s] for s in alphabet])
    ids = np.concatenate([np.full((len(codes), 1), readout.bos), tokens[codes]], axis=1)
    asked = masks[..., : len(alphabet) + 1].any(axis=-1) | (readout.contract == "all-words")
    right = torch.from_numpy(np.ascontiguousarray(masks[..., shown]))
    return Questions(torch.from_numpy(ids), readout.columns(alphabet), right, torch.from_numpy(asked))


def _continued(start: list[int], letters: int, length: int, rng: random.Random) -> list[int]:
    kind = rng.randrange(3)
    if kind == 0:  # x w w w ...
        at = rng.randrange(len(start))
        return (start + start[at:] * length)[:length]
    if kind == 1:  # x y^n z^n ...
        y, z = (rng.randrange(letters) for _ in range(2))
        half = (length - len(start)) // 2
        return (start + [y] * half + [z] * length)[:length]
    return (start + [rng.randrange(letters) for _ in range(length)])[:length]


class Judge:
    """Runs models that a checker accepted.

    Args:
        folder: a place of its own.
        words: tried on each model, and ``length`` of each.
    """

    def __init__(self, folder: Path, words: int, length: int) -> None:
        self.folder, self.words, self.length = folder, words, length
        self.modules: dict[tuple[str, str], Any] = {}
        self.asked: dict[str, Questions] = {}
        self.known: dict[str, Verdict] = {}
        self.runs = 0

    def model(self, files: Files, dtype: torch.dtype | str, use: str = "") -> Any:
        """What ``from_pretrained`` builds from the files, in a dtype ("auto": as ``config.json`` says).

        Raises:
            Exception: whatever transformers raises where it cannot.
        """
        weights = load(files[WEIGHTS])
        shapes = sorted((name, str(t.dtype), tuple(t.shape)) for name, t in weights.items())
        key = (f"{_outside(files)} {shapes}", f"{dtype}{use}")
        if key in self.modules:
            self.modules[key].load_state_dict(weights, strict=True)
            return self.modules[key]
        write(files, self.folder)
        with redirect_stderr(StringIO()), redirect_stdout(StringIO()):
            built = loaded(self.folder, dtype)
        if len(self.modules) > 400:
            self.modules.clear()
        self.modules[key] = built
        return built

    def __call__(self, files: Files) -> Verdict:
        """What is wrong with the model in these files, if anything is."""
        content = json.loads(files[CERTIFICATE])
        claim = json.dumps([content[key] for key in ("language", "readout", "contract", "dtype")])
        key = hashlib.sha256(f"{_outside(files)}{claim}".encode() + files[WEIGHTS]).hexdigest()
        if key in self.known:
            return Verdict(self.known[key].trouble, self.known[key].margin, 0)
        self.runs += 1
        thorough = self.runs % 100 == 0
        about = f"{claim} {thorough}"
        if about not in self.asked:
            most, length = (2_000, 24) if thorough else (self.words, self.length)
            self.asked[about] = questions(content, most, length, random.Random(self.runs))
        found = self._asked(files, content, self.asked[about])
        self.known[key] = found
        return found

    @torch.no_grad()
    def _asked(self, files: Files, content: Mapping[str, Any], about: Questions) -> Verdict:
        readout, margin, words = bound(content)[1], 1e9, 0
        for name, way in self.ways(files, content, readout):
            scores = way(about.ids)[..., about.columns].float()
            words += len(about.ids)
            off = _distances(scores, readout)
            wrong = ((readout.says(scores) != about.right) | ~scores.isfinite()).any(dim=-1) & about.asked
            margin = min(margin, float(off[about.asked].nan_to_num(0.0).min()))
            if wrong.any():
                row, at = wrong.nonzero()[0].tolist()
                ids = about.ids[row, : at + 1].tolist()
                return Verdict(f"{name}, after tokens {ids}: scores {scores[row, at].tolist()}", margin, words)
        return Verdict("", margin, words)

    def ways(self, files: Files, content: Mapping[str, Any], readout: Readout) -> Iterator[tuple[str, Model]]:
        """Functions from token ids to logits: each implementation, format and shape that the scope covers."""
        stated = dtype_of(content)
        for dtype in WIDER:
            if dtype == stated or (dtype.itemsize > stated.itemsize):
                model = self.model(files, dtype)
                yield f"{dtype}", lambda ids, model=model: model(ids).logits
        usual = self.model(files, "auto")
        if usual.dtype.itemsize >= stated.itemsize and usual.dtype != torch.float16:
            yield "one token at a time", lambda ids: stepped(usual, ids)
        model = self.model(files, stated)
        yield "padded", lambda ids: _padded(model, ids, readout.pad)
        other = self.model(files, stated, " permuted")
        other.load_state_dict(permuted(other))
        yield "other order of summation", lambda ids: other(ids).logits


def _distances(scores: Tensor, readout: Readout) -> Tensor:
    """|score - threshold| of each token, and by how much the greatest score of a class is ahead of the next."""
    tokens, classes = scores.split([scores.shape[-1] - len(readout.classes), len(readout.classes)], dim=-1)
    lead = -classes.sort(dim=-1, descending=True).values[..., :2].diff(dim=-1)
    return torch.cat([(tokens - readout.threshold).abs(), lead], dim=-1)


def _outside(files: Files) -> str:
    """What decides how the model is built, but for the numbers of its weights."""
    digest = hashlib.sha256()
    for name in sorted(files.keys() - UNREAD):
        digest.update(name.encode() + b"\0" + hashlib.sha256(files[name]).digest())
    return digest.hexdigest()


def _padded(model: Any, ids: Tensor, pad: int) -> Tensor:
    """With some tokens of padding, in every other row before the word and after it in the rest."""
    padding = torch.full((len(ids), PADDING), pad)
    ones, zeros = torch.ones_like(ids), torch.zeros_like(padding)
    before = torch.arange(len(ids)) % 2 == 0
    rows = torch.where(before[:, None], torch.cat([padding, ids], 1), torch.cat([ids, padding], 1))
    mask = torch.where(before[:, None], torch.cat([zeros, ones], 1), torch.cat([ones, zeros], 1))
    logits = model(rows, attention_mask=mask).logits
    return torch.where(before[:, None, None], logits[:, PADDING:], logits[:, :-PADDING])


READERS = (
    *("embeddings", "embed_tokens", "in_proj", "lm_head"),
    *(f"{name}_proj" for name in ("q", "k", "v", "g", "a", "b", "gate", "up")),
)
"""Parameters whose columns are the dimensions of the residual stream; of :data:`WRITERS` the rows are."""

WRITERS = ("out_proj", "o_proj", "down_proj", "norm_f", ".norm", "layernorm")


def permuted(model: Any) -> dict[str, Tensor]:
    """The weights with the dimensions of the residual stream in another order, and with it the orders of summation."""
    order = torch.randperm(model.config.hidden_size, generator=torch.Generator().manual_seed(1))
    changed = {}
    for name, tensor in model.state_dict().items():
        columns = name.endswith(tuple(f"{reader}.weight" for reader in READERS))
        rows = name.endswith(tuple(f"{writer}.weight" for writer in WRITERS))
        if columns:
            tensor = tensor[:, order]
        elif rows and ".mixer.norm" not in name:
            tensor = tensor[order]
        changed[name] = tensor.clone()
    return changed
