"""A small checker of refutations: no search, and no code in common with the search.

A refutation (docs/refutation.md) claims that the recurrent state after x w^(N - 1) comes back after x w^N, and that the
answer after x w^n y, which is the same from there on, is wrong at certain n. Checking is simpler than finding: read
x w^N with the model's own step (``replay``), compare the states of the last two turns, ask for the answer, and walk
through the DFA. Where the search leapt over turns that count, they are computed for all n at once, in the arithmetic of
certificates (``lines``).

Trusted: this folder, what it uses of ``certify.checker``, ``transformers``' Mamba with its cache, torch, numpy, json.
Nothing that is read is.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from ...certify.checker.files import check_files
from ...certify.checker.languages import Language, read_dfa, read_moore, same_language
from ...certify.checker.parts import Floats, RejectedError, need, read_json
from .claims import DTYPES, VERSION, claim, state_digest, weights_digest
from .lines import why_not_a_line
from .refining import UndecidedError, Work, classes
from .replay import ROWS, Replay

Note = Callable[[str], None]
Replays = dict[tuple[object, ...], tuple[Floats, Floats]]
"""What was read: from (x, w, N, leaps) as tokens to the states after x w^(N - 1) and x w^N."""

MODELS = {"mamba": "transformers.MambaForCausalLM"}
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

BUDGET = 100_000_000
"""Tokens that a check reads at most, and transitions of the DFA that it looks at, unless it is told otherwise: a
refutation says itself how long it is."""


@dataclass(frozen=True)
class CheckedRefutation:
    """What became of a refutation.

    Attributes:
        accepted: whether everything that it claims was verified.
        reason: "" if so, else what failed, or what the budget does not suffice for.
        tokens: how many were read.
        seconds: how long it took.
        undecided: whether the budget ended before anything was found.
        claim: the sentence that was verified, "" if none was, like the rest.
        language: of which language, by its size and the sha256 of its DFA.
        readout: how the model was read.
    """

    accepted: bool
    reason: str
    tokens: int
    seconds: float
    undecided: bool = False
    claim: str = ""
    language: str = ""
    readout: str = ""

    def as_json(self) -> dict[str, object]:
        """For machines."""
        verdict = "refuted" if self.accepted else "undecided" if self.undecided else "rejected"
        return {"verdict": verdict, **vars(self), "seconds": round(self.seconds, 3)}

    def __str__(self) -> str:
        if self.accepted:
            return (
                f"the refutation holds ({self.tokens:,} tokens read again): {self.claim}\n"
                f"language: {self.language}\nreadout: {self.readout}"
            )
        return f"undecided: {self.reason}" if self.undecided else f"the refutation does not hold: {self.reason}"


def check_refutation(
    refutation: Any,
    model: Any,
    language: Any = None,
    readout: Any = None,
    *,
    replays: Replays | None = None,
    budget: int = BUDGET,
    seconds: float = math.inf,
    note: Note = lambda _: None,
) -> CheckedRefutation:
    """Verify everything that a refutation claims about a model.

    Args:
        refutation: a :class:`~scancraft.refute.refute.Refutation`, its JSON, or a file of it.
        model: the model, or the directory that it is in.
        language: the DFA that is meant, as anything with ``alphabet``, ``semiautomaton.table`` and ``accepting`` (a
            ``scancraft.Dfa``); by default the one that the refutation names.
        readout: how the model is bound to it; by default as the refutation says, with the threshold 0.
        replays: what other calls have read of the same model; calls add to it.
        budget: tokens that may be read, and transitions that may be looked at; past that, nothing is decided.
        seconds: likewise.
        note: told now and then what is going on.

    Whatever is wrong with the refutation or the model is a rejection with the reason, never an exception. Cost: the
    tokens of x w^N, and of the word, without those that were leapt over.
    """
    started = time.perf_counter()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    check = _Check({} if replays is None else replays, budget, started + seconds, note)
    reason, undecided, told = "", False, ("", "", "")
    try:
        with torch.no_grad():
            told = check.run(_content(refutation), model, language, readout)
    except UndecidedError as error:
        reason, undecided = str(error), True
    except RejectedError as error:
        reason = str(error)
    except Exception as error:  # files written by an adversary can fail in any way; all of them are rejections
        reason = f"malformed: {type(error).__name__}: {error}"
    finally:
        torch.set_num_threads(threads)
    return CheckedRefutation(not reason, reason, check.tokens, time.perf_counter() - started, undecided, *told)


def _content(refutation: Any) -> dict[str, Any]:
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


def _whole(value: Any, least: int, name: str) -> int:
    """A whole number that is large enough."""
    need(type(value) is int and value >= least, f"{name} is {value!r}, not a whole number of at least {least}")
    return int(value)


class _Check:
    """One check under way."""

    def __init__(self, replays: Replays, budget: int, end: float, note: Note) -> None:
        self.replays, self.budget, self.end, self.note = replays, budget, end, note
        self.tokens, self.work = 0, Work(budget, end)

    def run(self, content: dict[str, Any], model: Any, language: Any, readout: Any) -> tuple[str, str, str]:
        """The claim, the language and the readout; raises :class:`RejectedError` unless everything holds."""
        need(content["verdict"] == "refuted", f"the verdict is {content['verdict']!r}, so there is nothing to check")
        version = content["schema_version"]
        need(version == VERSION, f"schema_version is {version!r}, not {VERSION}; refute the model again")
        self.content = content
        self._open_model(model)
        self._read_language(language, readout)
        self._walk()
        self._answers(*self._settled())
        self._word()
        return content["claim"], self._about_language(), self._about_readout()

    def _about_language(self) -> str:
        symbols = " ".join(map(repr, self.language.symbols[:8])) + (" ..." if len(self.language.symbols) > 8 else "")
        kind = "Moore machine" if self.language.classes else "DFA"
        return f"a {kind} over {symbols}, sha256 {_digest(*self.content['language'].values())}"

    def _about_readout(self) -> str:
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
            from transformers import MambaConfig, MambaForCausalLM

            place = Path(model)
            check_files(place)
            config = read_json(place / "config.json")
            kind = config.get("model_type")
            need(kind in MODELS, f"{place} holds a {kind!r}, not a Mamba")
            stray = sorted(set(config) - set(MambaConfig().to_dict()) - OF_OLD)
            need(not stray, f"config.json: unknown key {stray[:1]}, which could change what transformers loads")
            loaded: Any = MambaForCausalLM.from_pretrained(str(place), dtype=getattr(torch, content["dtype"]))
            model = loaded.eval()
        kind = model.config.model_type
        need(MODELS.get(kind) == content["implementation"]["model"], f"this model is a {kind!r}, that one another")
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

    # -- the language --------------------------------------------------------------------------------------------

    def _walk(self) -> None:
        """x leads to a state, w moves it round a cycle of p, and after y the right answers differ."""
        content, symbols = self.content, self.language.symbols
        self.x, self.w, self.y = (list(content[key]) for key in "xwy")
        for word in (self.x, self.w, self.y, content["word"]):
            need(set(word) <= set(symbols), "a word has symbols outside the alphabet")
        need(self.w, "w is empty")
        need(self.x or self.given["bos"] is not None, "the model reads nothing before w")
        period = self.period = _whole(content["period"], 2, "period")
        kinds, state = classes(self.language, self.work), self._after(0, self.x)
        need(period <= len(kinds), f"w cannot have period {period}: there are {len(kinds)} states")
        cycle = []
        for _ in range(period):
            cycle.append(state)
            state = self._after(state, self.w)
        need(kinds[state] == kinds[cycle[0]], f"w does not bring the state after x back in {period} turns")
        need(len({kinds[q] for q in cycle}) == period, "w brings the state after x back in fewer turns")
        need(content["observed"] in ("accepts", "class", "allowed"), f"unknown observation {content['observed']!r}")
        self.right = [self._visible(self._allowed(self._after(q, self.y))) for q in cycle]
        self.covered = [self._is_covered(self._after(q, self.y)) for q in cycle]
        answers = {answer for answer, covered in zip(self.right, self.covered, strict=True) if covered}
        need(len(answers) > 1, "after x w^n y the right answer is the same for all n")

    def _after(self, state: int, word: Sequence[str]) -> int:
        """The state after a word."""
        for symbol in word:
            state = int(self.language.table[state, self.language.symbols.index(symbol)])
        return state

    def _allowed(self, state: int) -> frozenset[str]:
        """The tokens that the language allows, of those that the readout names."""
        return frozenset(name for name, _ in self.columns if self.allowed[state][name])

    def _is_covered(self, state: int) -> bool:
        return bool(self.given["contract"] == "all-words" or self.language.live[state])

    def _visible(self, allowed: frozenset[str]) -> frozenset[str]:
        only = {"accepts": frozenset({END}), "class": self.classes}.get(self.content["observed"])
        return allowed if only is None else allowed & only

    # -- the model -----------------------------------------------------------------------------------------------

    def _start(self, word: Sequence[str]) -> Replay:
        """Read a word from the beginning."""
        replay = Replay(self.model)
        tokens = [*([] if self.given["bos"] is None else [self.given["bos"]]), *self._encode(word)]
        replay.start(tokens[0])
        self.tokens += 1
        self._read(replay, tokens[1:])
        return replay

    def _encode(self, word: Sequence[str]) -> list[int]:
        return [self.given["tokens"][s] for s in word]

    def _read(self, replay: Replay, tokens: Sequence[int], times: int = 1) -> None:
        """Read tokens that many times, if the budget suffices for all of them.

        Raises:
            UndecidedError: it does not.
        """
        if self.tokens + len(tokens) * times > self.budget:
            needed = self.tokens + len(tokens) * times
            raise UndecidedError(f"more than {needed:,} tokens are to be read; the budget is {self.budget:,}")
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

    def _said(self, replay: Replay) -> frozenset[str]:
        """The tokens that the model allows, and the class whose score is greater than all others."""
        scores = replay.logits()
        chosen = [(name, float(scores[column])) for name, column in self.columns]
        need(all(math.isfinite(score) for _, score in chosen), "a score is infinite or NaN")
        best = sorted((score for name, score in chosen if name in self.classes), reverse=True)
        lead = math.inf if len(best) < 2 or best[0] == best[1] else best[0]
        least = {name: lead if name in self.classes else self.given["threshold"] for name, _ in chosen}
        return frozenset(n for n, score in chosen if score > least[n] or (n in self.classes and score == lead))

    def _settled(self) -> tuple[Replay, Floats]:
        """A replay, and the state after x w^N, once it is clear that it is that after x w^(N - 1), too."""
        content, x, w = self.content, self._encode(self.x), self._encode(self.w)
        start = _whole(content["N"], 1, "N")
        need(content["state_period"] == 1, f"state_period is {content['state_period']!r}, not 1")
        leaps = [(_whole(a, 0, "leap"), _whole(b, a + 2, "leap")) for a, b in content["leaps"]]
        ends = [0, *(n for leap in leaps for n in leap), start - 1]
        need(ends == sorted(ends), "the leaps are not in order, before N")
        key = (tuple(x), tuple(w), self.given["bos"], start, tuple(leaps))
        replay = self._start(self.x if key not in self.replays else self.x[:1])
        if key not in self.replays:
            turns = 0
            for first, last in leaps:
                self._read(replay, w, first - turns)
                self._leap(replay, w, last - first)
                turns = last
            self._read(replay, w, start - 1 - turns)
            before = replay.state
            self._read(replay, w)
            self.replays[key] = before, replay.state
        before, state = self.replays[key]
        need((before == state).all(), f"the state after x w^{start} is not that after x w^{start - 1}")
        need(state_digest(state) == content["state"], "the state after x w^N has another sha256")
        return replay, state

    def _leap(self, replay: Replay, w: list[int], turns: int) -> None:
        """Take many turns at once, if each of them adds what the next one adds."""
        before = replay.state
        self._read(replay, w)
        after = replay.state
        why = why_not_a_line(self.model, w, before, after, turns)
        need(not why, f"a leap is not proved: {why}")
        replay.state = before + turns * (after - before)

    def _answers(self, replay: Replay, state: Floats) -> None:
        """The model's answer from N on, and where it is wrong."""
        content = self.content
        replay.state = state
        # The scores belong to the last token: without y, to that of w, which is read from the state before it again.
        self._read(replay, self._encode(self.y or self.w))
        answer = self._said(replay)
        need([sorted(answer)] == content["answers"], "the model's answers are others")
        start, period = content["N"], self.period
        need(content["joint_period"] == period, f"joint_period is {content['joint_period']!r}, not {period}")
        wrong = [n for n in range(period) if self.covered[n] and self._visible(answer) != self.right[n]]
        need(wrong, "the model is right from N on")
        need(wrong == content["offsets"], f"the model is wrong at the offsets {wrong}")
        what = claim(start, content["observed"], period, wrong)
        need(content["claim"] == what, "the claim is worded otherwise than what was verified")

    def _word(self) -> None:
        """The model is wrong on one word that is given."""
        content = self.content
        word = list(content["word"])
        state = self._after(0, word)
        need(word or self.given["bos"] is not None, "the model says nothing of the empty word")
        said, right = self._said(self._start(word)), self._allowed(state)
        need(sorted(said) == content["model"], f"after the word the model allows {sorted(said)}")
        need(sorted(right) == content["right"], f"after the word the language allows {sorted(right)}")
        wrong = self._is_covered(state) and self._visible(said) != self._visible(right)
        need(wrong, "the model is right on the word")
