"""A small checker of refutations and counterexamples: no search, and no code in common with the search.

A refutation (docs/refutation.md) claims that the recurrent state after x w^(N - 1) comes back after x w^N, and that the
answer after x w^n y, which is the same from there on, is wrong at certain n. Checking is simpler than finding: read
x w^N with the model's own step (``replay``), compare the states of the last two turns, ask for the answer, and walk
through the DFA. Where the search leapt over turns that count, they are computed for all n at once, in the arithmetic of
certificates (``lines``). Counterexamples are judged by ``counterexample``.

Trusted: this folder, what it uses of ``certify.checker``, ``transformers``' Mamba with its cache, torch, numpy, json.
Nothing that is read is.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import torch

from ...certify.checker.parts import Floats, RejectedError, need
from .claims import VERSION, claim, state_digest
from .counterexample import VERDICT, CounterexampleCheck
from .lines import why_not_a_line
from .refining import UndecidedError, classes
from .replay import Replay
from .subject import END, Note, Subject, content_of, whole

Replays = dict[tuple[object, ...], tuple[Floats, Floats]]
"""What was read: from (x, w, N, leaps) as tokens to the states after x w^(N - 1) and x w^N."""


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
    """Verify everything that a refutation, or a counterexample, claims about a model.

    Args:
        refutation: a :class:`~scancraft.refute.refute.Refutation` or
            :class:`~scancraft.refute.results.Counterexample`, its JSON, or a file of it.
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
    check = Subject({}, budget, started + seconds, note)
    reason, undecided, told = "", False, ("", "", "")
    try:
        with torch.no_grad():
            content = content_of(refutation)
            kind = CounterexampleCheck if content["verdict"] == VERDICT else _Check
            check = kind(content, budget, started + seconds, note)
            if isinstance(check, _Check):
                check.replays = {} if replays is None else replays
            told = check.run(model, language, readout)
    except UndecidedError as error:
        reason, undecided = str(error), True
    except RejectedError as error:
        reason = str(error)
    except Exception as error:  # files written by an adversary can fail in any way; all of them are rejections
        reason = f"malformed: {type(error).__name__}: {error}"
    finally:
        torch.set_num_threads(threads)
    return CheckedRefutation(not reason, reason, check.tokens, time.perf_counter() - started, undecided, *told)


class _Check(Subject):
    """One check under way."""

    replays: Replays

    def run(self, model: Any, language: Any, readout: Any) -> tuple[str, str, str]:
        """The claim, the language and the readout; raises :class:`RejectedError` unless everything holds."""
        content = self.content
        need(content["verdict"] == "refuted", f"the verdict is {content['verdict']!r}, so there is nothing to check")
        version = content["schema_version"]
        need(version == VERSION, f"schema_version is {version!r}, not {VERSION}; refute the model again")
        self.open(model, language, readout)
        self._walk()
        self._answers(*self._settled())
        self.check_word(self._visible)
        return content["claim"], self.about_language(), self.about_readout()

    # -- the language --------------------------------------------------------------------------------------------

    def _walk(self) -> None:
        """x leads to a state, w moves it round a cycle of p, and after y the right answers differ."""
        content, symbols = self.content, self.language.symbols
        self.x, self.w, self.y = (list(content[key]) for key in "xwy")
        for word in (self.x, self.w, self.y, content["word"]):
            need(set(word) <= set(symbols), "a word has symbols outside the alphabet")
        need(self.w, "w is empty")
        need(self.x or self.given["bos"] is not None, "the model reads nothing before w")
        period = self.period = whole(content["period"], 2, "period")
        kinds, state = classes(self.language, self.work), self.after(0, self.x)
        need(period <= len(kinds), f"w cannot have period {period}: there are {len(kinds)} states")
        cycle = []
        for _ in range(period):
            cycle.append(state)
            state = self.after(state, self.w)
        need(kinds[state] == kinds[cycle[0]], f"w does not bring the state after x back in {period} turns")
        need(len({kinds[q] for q in cycle}) == period, "w brings the state after x back in fewer turns")
        need(content["observed"] in ("accepts", "class", "allowed"), f"unknown observation {content['observed']!r}")
        self.right = [self._visible(self.allowed_in(self.after(q, self.y))) for q in cycle]
        self.covered = [self.is_covered(self.after(q, self.y)) for q in cycle]
        answers = {answer for answer, covered in zip(self.right, self.covered, strict=True) if covered}
        need(len(answers) > 1, "after x w^n y the right answer is the same for all n")

    def _visible(self, allowed: frozenset[str]) -> frozenset[str]:
        only = {"accepts": frozenset({END}), "class": self.classes}.get(self.content["observed"])
        return allowed if only is None else allowed & only

    def _settled(self) -> tuple[Replay, Floats]:
        """A replay, and the state after x w^N, once it is clear that it is that after x w^(N - 1), too."""
        content, x, w = self.content, self.encode(self.x), self.encode(self.w)
        start = whole(content["N"], 1, "N")
        need(content["state_period"] == 1, f"state_period is {content['state_period']!r}, not 1")
        leaps = [(whole(a, 0, "leap"), whole(b, a + 2, "leap")) for a, b in content["leaps"]]
        ends = [0, *(n for leap in leaps for n in leap), start - 1]
        need(ends == sorted(ends), "the leaps are not in order, before N")
        key = (tuple(x), tuple(w), self.given["bos"], start, tuple(leaps))
        replay = self.start(self.x if key not in self.replays else self.x[:1])
        if key not in self.replays:
            turns = 0
            for first, last in leaps:
                self.read(replay, w, first - turns)
                self._leap(replay, w, last - first)
                turns = last
            self.read(replay, w, start - 1 - turns)
            before = replay.state
            self.read(replay, w)
            self.replays[key] = before, replay.state
        before, state = self.replays[key]
        need((before == state).all(), f"the state after x w^{start} is not that after x w^{start - 1}")
        need(state_digest(state) == content["state"], "the state after x w^N has another sha256")
        return replay, state

    def _leap(self, replay: Replay, w: list[int], turns: int) -> None:
        """Take many turns at once, if each of them adds what the next one adds."""
        before = replay.state
        self.read(replay, w)
        after = replay.state
        why = why_not_a_line(self.model, w, before, after, turns)
        need(not why, f"a leap is not proved: {why}")
        replay.state = before + turns * (after - before)

    def _answers(self, replay: Replay, state: Floats) -> None:
        """The model's answer from N on, and where it is wrong."""
        content = self.content
        replay.state = state
        # The scores belong to the last token: without y, to that of w, which is read from the state before it again.
        self.read(replay, self.encode(self.y or self.w))
        answer = self.said(replay)
        need([sorted(answer)] == content["answers"], "the model's answers are others")
        start, period = content["N"], self.period
        need(content["joint_period"] == period, f"joint_period is {content['joint_period']!r}, not {period}")
        wrong = [n for n in range(period) if self.covered[n] and self._visible(answer) != self.right[n]]
        need(wrong, "the model is right from N on")
        need(wrong == content["offsets"], f"the model is wrong at the offsets {wrong}")
        what = claim(start, content["observed"], period, wrong)
        need(content["claim"] == what, "the claim is worded otherwise than what was verified")
