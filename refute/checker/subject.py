"""What a claim about a model and a regular language is about, for the checkers of such claims: both, opened and read.

Trusted: this folder, what it uses of ``certify.checker``, ``transformers``' blocks with their cache, torch, numpy and
json. Nothing that is read is.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from ...certify.checker.files import check_files
from ...certify.checker.languages import Language, read_dfa, read_moore, same_language
from ...certify.checker.machine import KINDS, classes_of
from ...certify.checker.parts import Floats, RejectedError, need, read_json
from .claims import DTYPES, weights_digest
from .refining import UndecidedError, Work
from .replay import ROWS, Replay

Note = Callable[[str], None]

END = "<eos>"
MOORE = "moore_machine"
READOUT = {"tokens", "bos", "accept", "next_symbol", "threshold", "contract"}
PART = 4096
"""Tokens between notes."""


OF_OLD = {
    "d_model",
    "d_inner",
    "n_layer",
    "pad_vocab_size_multiple",
    "rms_norm",
    "fused_add_norm",
    "ssm_cfg",
    "torch_dtype",
}
"""Keys of configurations that older versions wrote."""


def content_of(refutation: Any) -> dict[str, Any]:
    """The JSON of a refutation."""
    if isinstance(refutation, (str, PathLike)):
        return dict(json.loads(Path(refutation).read_text(encoding="utf-8")))
    return json.loads(json.dumps(dict(refutation if isinstance(refutation, Mapping) else refutation.as_json())))  # type: ignore[no-any-return]


def _same_machine(own: Language, given: Any) -> bool:
    """Whether a machine with outputs, as a value, is the one that was read; both are numbered breadth first."""
    return (
        own.symbols == list(given.alphabet)
        and own.table.tolist() == [list(row) for row in given.semiautomaton.table]
        and [own.classes[n] for n in own.outputs] == list(given.outputs)
        and set(own.classes) == set(given.classes)
        and (own.predicts, set(own.accepting.nonzero()[0].tolist())) == (given.predicts, set(given.accepting))
    )


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def whole(value: Any, least: int, name: str) -> int:
    """A whole number that is large enough."""
    need(type(value) is int and value >= least, f"{name} is {value!r}, not a whole number of at least {least}")
    return int(value)


class Subject:
    """A model and a regular language that something is claimed about, with what has been read so far.

    Args:
        content: the JSON of the claim; its ``dtype``, ``batch``, ``threads``, ``alignment``, ``implementation``,
            ``weights``, ``language`` and ``readout`` say what it is about.
        budget: tokens that may be read, and transitions that may be looked at.
        end: the time at which the check has to end (``time.perf_counter``).
        note: told now and then how far it is.

    Attributes:
        model: once opened, like the others.
        language: as a table.
        columns: the tokens that the readout names, with their scores.
        tokens: how many were read.
    """

    def __init__(self, content: dict[str, Any], budget: int, end: float, note: Note) -> None:
        self.content, self.budget, self.end, self.note = content, budget, end, note
        self.tokens, self.work = 0, Work(budget, end)

    def run(self, model: Any, language: Any, readout: Any) -> tuple[str, str, str]:
        """What is claimed, of which language, by which readout; raises :class:`RejectedError` unless all of it holds.

        Raises:
            UndecidedError: the budget does not suffice.
        """
        raise NotImplementedError

    def open(self, model: Any, language: Any, readout: Any) -> None:
        """Open the model, and read the language and the readout; those that are meant, if they are given."""
        self._open_model(model)
        self._read_language(language, readout)

    def about_language(self) -> str:
        """The language by its symbols and a digest."""
        symbols = " ".join(map(repr, self.language.symbols[:8])) + (" ..." if len(self.language.symbols) > 8 else "")
        kind = "Moore machine" if self.language.classes else "DFA"
        return f"a {kind} over {symbols}, sha256 {_digest(*self.content['language'].values())}"

    def about_readout(self) -> str:
        """How the model is read, in words."""
        given = self.given
        begin = "no token first" if given["bos"] is None else f"token {given['bos']} first"
        end = "no score for the end" if given["accept"] is None else f"score {given['accept']} for the end"
        what = f"{given['contract']}, {begin}, {end}, threshold {given['threshold']:g}"
        return f"{what}, sha256 {_digest(given)}"

    # -- what is spoken of ---------------------------------------------------------------------------------------

    def _open_model(self, model: Any) -> None:
        """The model; a directory may hold known files only, and a configuration what its class knows."""
        content = self.content
        need(content["dtype"] in DTYPES, f"dtype {content['dtype']!r} is unknown")
        if isinstance(model, (str, PathLike)):
            place = Path(model)
            check_files(place)
            config = read_json(place / "config.json")
            kind = str(config.get("model_type"))
            need(kind in KINDS, f"{place} holds a {kind!r}, not a Mamba")
            config_class, model_class = classes_of(kind)
            stray = sorted(set(config) - set(config_class().to_dict()) - OF_OLD)
            need(not stray, f"config.json: unknown key {stray[:1]}, which could change what transformers loads")
            loaded: Any = model_class.from_pretrained(str(place), dtype=getattr(torch, content["dtype"]))
            model = loaded.eval()
        kind = model.config.model_type
        need(kind in KINDS, f"the model_type {kind!r} is unknown")
        need(KINDS[kind].name == content["implementation"]["model"], f"this model is a {kind!r}, that one another")
        need(weights_digest(model) == content["weights"], "the refutation is of other weights, or of another dtype")
        for key, value in (("batch", ROWS), ("threads", 1), ("alignment", 64)):
            need(content[key] == value, f"{key} is {content[key]!r}, not {value}")
        need(not model.training, "the model is in training mode; call model.eval()")
        if any(p.data_ptr() % 64 for p in model.parameters()):
            model = copy.deepcopy(model)
            for parameter in model.parameters():  # torch aligns what it allocates; files that are mapped often are not
                parameter.data = parameter.data.clone()
        self.model = model

    def _read_language(self, language: Any, readout: Any) -> None:
        ((kind, about),) = self.content["language"].items()
        need(kind in ("dfa", MOORE), f"the language is a {kind!r}")
        own_language = read_moore(about) if kind == MOORE else read_dfa({**about, "states": list(about["transitions"])})
        self.language = own_language
        if language is not None and own_language.classes:
            need(_same_machine(own_language, language), "the refutation is about another machine")
        elif language is not None:
            rows = [dict(zip(language.alphabet, row, strict=True)) for row in language.semiautomaton.table]
            meant = {"alphabet": language.alphabet, "initial": language.initial, "accepting": language.accepting}
            try:
                same_language(own_language, {"dfa": {**meant, "transitions": dict(enumerate(rows))}})
            except RejectedError as error:
                raise RejectedError("the refutation is about another language") from error
        given = self.content["readout"]
        if readout is not None:
            own = {
                "tokens": dict(readout.tokens),
                "bos": readout.bos,
                "accept": readout.accept,
                "next_symbol": dict(readout.next_symbol),
                "threshold": readout.threshold,
                "contract": readout.contract,
                **({"classes": dict(readout.classes)} if readout.classes else {}),
            }
            need(own == given, "the refutation is about another readout")
        else:
            threshold = given["threshold"]
            need(type(threshold) in (int, float) and threshold == 0, f"the threshold is {threshold!r}, not 0")
        keys = READOUT | ({"classes"} if own_language.classes else set())
        need(set(given) == keys, f"the readout lacks or has unknown keys {sorted(set(given) ^ keys)}")
        symbols, outputs = own_language.symbols, [f"<class:{name}>" for name in own_language.classes]
        need(set(outputs).isdisjoint(symbols), "a symbol is called like a class")
        self.classes = frozenset(outputs)
        rows = own_language.allowed().tolist()
        self.allowed = [dict(zip((*symbols, END, *outputs), row, strict=True)) for row in rows]
        need(set(given["tokens"]) == set(symbols), "the readout names other symbols than the language")
        need(set(given["next_symbol"]) in (set(), set(symbols)), "next_symbol names some symbols only")
        self.columns = [(s, given["next_symbol"][s]) for s in symbols if given["next_symbol"]]
        self.columns += [(END, given["accept"])] if given["accept"] is not None else []
        need(own_language.predicts or not self.columns, "the machine does not say what may come next")
        scored = given.get("classes", {})
        need(set(scored) == set(own_language.classes), "the readout names other classes than the machine")
        others = {column for _, column in self.columns}
        need(len({*scored.values(), *others}) == len(scored) + len(others), "a class shares its score")
        self.columns += [(token, scored[name]) for token, name in zip(outputs, own_language.classes, strict=True)]
        vocabulary, scores = self.model.get_input_embeddings().num_embeddings, self.model.lm_head.out_features
        ids = [*given["tokens"].values(), *([] if given["bos"] is None else [given["bos"]])]
        need(all(type(i) is int and 0 <= i < vocabulary for i in ids), "the readout names a token that there is not")
        need(all(type(i) is int and 0 <= i < scores for _, i in self.columns), "the readout names no such score")
        need(given["contract"] in ("all-words", "live-prefixes"), f"unknown contract {given['contract']!r}")
        self.given = given

    def after(self, state: int, word: Sequence[str]) -> int:
        """The state after a word."""
        for symbol in word:
            state = int(self.language.table[state, self.language.symbols.index(symbol)])
        return state

    def allowed_in(self, state: int) -> frozenset[str]:
        """The tokens that the language allows, of those that the readout names."""
        return frozenset(name for name, _ in self.columns if self.allowed[state][name])

    def is_covered(self, state: int) -> bool:
        """Whether the contract promises something there."""
        return bool(self.given["contract"] == "all-words" or self.language.live[state])

    # -- the model -----------------------------------------------------------------------------------------------

    def start(self, word: Sequence[str]) -> Replay:
        """Read a word from the beginning."""
        replay = Replay(self.model)
        tokens = [*([] if self.given["bos"] is None else [self.given["bos"]]), *self.encode(word)]
        replay.start(tokens[0])
        self.tokens += 1
        self.read(replay, tokens[1:])
        return replay

    def encode(self, word: Sequence[str]) -> list[int]:
        """The tokens of some symbols."""
        return [self.given["tokens"][s] for s in word]

    def read(self, replay: Replay, tokens: Sequence[int], times: int = 1) -> None:
        """Read tokens that many times, if the budget suffices for all of them.

        Raises:
            UndecidedError: it does not.
        """
        self.afford(len(tokens) * times)
        turns = max(1, ROWS // max(1, len(tokens)))  # as many as one call takes, which then begin alike
        while times > 0 and tokens:
            if time.perf_counter() > self.end:
                raise UndecidedError(f"the time ended after {self.tokens:,} tokens")
            part = list(tokens) * min(times, turns)
            replay.read(part)
            times -= turns
            self.tokens += len(part)
            if self.tokens // PART > (self.tokens - len(part)) // PART:
                self.note(f"{self.tokens:,} tokens read")

    def afford(self, tokens: int) -> None:
        """Before so many more tokens are read: :class:`UndecidedError` if the budget does not suffice."""
        if (needed := self.tokens + tokens) > self.budget:
            raise UndecidedError(f"more than {needed:,} tokens are to be read; the budget is {self.budget:,}")

    def said(self, replay: Replay) -> frozenset[str]:
        """The tokens that the model allows, and the class whose score is greater than all others."""
        return self.said_by(replay.logits())

    def said_by(self, scores: Floats) -> frozenset[str]:
        """The same of one row of scores, shape (vocabulary,)."""
        chosen = [(name, float(scores[column])) for name, column in self.columns]
        need(all(math.isfinite(score) for _, score in chosen), "a score is infinite or NaN")
        best = sorted((score for name, score in chosen if name in self.classes), reverse=True)
        lead = math.inf if len(best) < 2 or best[0] == best[1] else best[0]
        least = {name: lead if name in self.classes else self.given["threshold"] for name, _ in chosen}
        return frozenset(n for n, score in chosen if score > least[n] or (n in self.classes and score == lead))

    def check_word(self, visible: Callable[[frozenset[str]], frozenset[str]] = lambda told: told) -> None:
        """The model is wrong on one word that is given."""
        content = self.content
        word = list(content["word"])
        state = self.after(0, word)
        need(word or self.given["bos"] is not None, "the model says nothing of the empty word")
        said, right = self.said(self.start(word)), self.allowed_in(state)
        need(sorted(said) == content["model"], f"after the word the model allows {sorted(said)}")
        need(sorted(right) == content["right"], f"after the word the language allows {sorted(right)}")
        wrong = self.is_covered(state) and visible(said) != visible(right)
        need(wrong, "the model is right on the word")
