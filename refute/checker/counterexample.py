"""The checker of counterexamples: one word on which a model is wrong, and what is claimed of x w^n y for many n.

A pattern claims that the model is wrong after x w^n y for every n from ``first`` to ``read_to``; and, if it gives an N,
which is then ``read_to``, for every n from there on, too. Let x lead to a state q of the DFA with q.w = q, so that the
right answer after x w^n y is the same for all n. All n up to ``read_to`` are read. If the complete recurrent state
after x w^N is that after x w^(N - 1), it is so after every longer x w^n, because a step is a function of the state and
the token; and the answer after x w^n y, a function of that state (if y is empty, of the state after x w^(n - 1) and
the letters of w), is that for n = N.
"""

from __future__ import annotations

from typing import Any

import torch

from ...certify.checker.parts import Floats, need
from .claims import state_digest
from .replay import ROWS
from .subject import Subject, whole

VERDICT = "counterexample"
VERSION = 1
TOKEN_BY_TOKEN, ONE_SHOT = "token by token", "in one shot"
WAYS = ([TOKEN_BY_TOKEN], [TOKEN_BY_TOKEN, ONE_SHOT])
PATTERN = ("x", "w", "y", "period", "N", "first", "read_to", "state")
KEYS = (
    *("verdict", "x", "w", "y", "period", "N", "word", "length", "model", "right", "ways", "first", "read_to", "state"),
    *("claim", "dtype", "batch", "threads", "alignment", "implementation", "readout", "language", "weights"),
    *("tokens_read", "seconds", "schema_version"),
)
"""Of the file; those of ``PATTERN`` are null where no pattern is claimed."""
LONGEST_SHOT = 1 << 15
"""Tokens of a word that is read in one shot: memory grows with them."""


def pattern_claim(first: int, read_to: int, repeats: int | None) -> str:
    """The sentence that a pattern can support."""
    if repeats is None:
        return f"after x w^n y the model is wrong for every n from {first} to {read_to}, the last that was read"
    return f"after x w^n y the model is wrong for every n >= {first}"


class CounterexampleCheck(Subject):
    """One check under way."""

    def run(self, model: Any, language: Any, readout: Any) -> tuple[str, str, str]:
        """See the base class."""
        content = self.content
        version = content["schema_version"]
        need(version == VERSION, f"schema_version is {version!r}, not {VERSION}; refute the model again")
        self.open(model, language, readout)
        need(set(content["word"]) <= set(self.language.symbols), "the word has symbols outside the alphabet")
        need(content["length"] == len(content["word"]), "the word has another length")
        self.check_word()
        self._one_shot()
        what = "the model is wrong after the word"
        if any(content[key] is not None for key in PATTERN):
            what = self._pattern(content)
        need(content["claim"] == what, "the claim is worded otherwise than what was verified")
        return what, self.about_language(), self.about_readout()

    def _one_shot(self) -> None:
        """A forward pass of the whole word is wrong at its end, if that is claimed."""
        ways = self.content["ways"]
        need(ways in WAYS, f"the word was read in unknown ways {ways!r}")
        if ONE_SHOT not in ways:
            return
        word = list(self.content["word"])
        tokens = [*([] if self.given["bos"] is None else [self.given["bos"]]), *self.encode(word)]
        need(len(tokens) <= LONGEST_SHOT, f"a word of {len(tokens):,} tokens is not read in one shot")
        self.afford(len(tokens))
        self.tokens += len(tokens)
        scores: Floats = self.model(torch.tensor([tokens]), use_cache=False).logits[0, -1].float().numpy()
        right = self.allowed_in(self.after(0, word))
        need(self.said_by(scores) != right, "in one shot the model is right on the word")

    def _pattern(self, given: dict[str, Any]) -> str:
        """Read x w^n y for each n; return what that shows."""
        need(given["period"] == 1, f"period is {given['period']!r}, not 1")
        x, w, y = (list(given[key]) for key in "xwy")
        need({*x, *w, *y} <= set(self.language.symbols), "the pattern has symbols outside the alphabet")
        need(0 < len(w) <= ROWS, f"w has {len(w)} symbols, not 1 to {ROWS}")
        need(x or self.given["bos"] is not None, "the model reads nothing before w")
        first, last = whole(given["first"], 1, "first"), whole(given["read_to"], 1, "read_to")
        need(first <= last, "the pattern begins after its end")
        repeats = None if given["N"] is None else whole(given["N"], 1, "N")
        need(repeats in (None, last), "N is not where the reading ends")
        start = self.after(0, x)
        need(self.after(start, w) == start, "w does not bring the state after x back")
        end = self.after(start, y)
        need(self.is_covered(end), "the contract does not cover x w^n y")
        before, state = self._turns(x, w, y, (first, last), self.allowed_in(end))
        if repeats is not None:
            need((before == state).all(), f"the state after x w^{last} is not that after x w^{last - 1}")
            need(state_digest(state) == given["state"], "the state after x w^N has another sha256")
        else:
            need(given["state"] is None, "the state is given, but not where it repeats")
        return pattern_claim(first, last, repeats)

    def _turns(
        self, x: list[str], w: list[str], y: list[str], ends: tuple[int, int], right: frozenset[str]
    ) -> tuple[Floats, Floats]:
        """Read x w^n for n up to the last, comparing the answers after y from the first on; the last two states."""
        (first, last), turn, rest = ends, self.encode(w), self.encode(y)
        replay, per = self.start(x), ROWS // len(turn)
        self.afford(len(turn) * last)
        before = state = replay.state
        for done in range(0, last, per):
            self.read(replay, turn * min(per, last - done))
            rows, streams = replay.rows[len(turn) - 1 :: len(turn)], replay.ends[len(turn) - 1 :: len(turn)]
            before, state = [state, *rows][-2:]
            if done + len(rows) < first:
                continue
            if rest:
                self.afford(len(rest) * len(rows))
                self.tokens += len(rest) * len(rows)
                streams = replay.beyond(rows, rest)
            for n, row in enumerate(replay.machine.logits(streams), done + 1):
                need(n < first or self.said_by(row) != right, f"the model is right after x w^{n} y")
        return before, state
