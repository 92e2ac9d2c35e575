"""``scancraft.refute``: show that a Mamba is wrong on infinitely many words of a language that is not star-free.

What a refutation asserts, and why one always exists in principle, is told in docs/refutation.md.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from . import __version__
from ._refuting_models import resolve, weights_digest
from ._refuting_search import Note, Search, Trajectories, Verdict
from ._refuting_words import Judge, questions
from .automata.aperiodic import Witness, star_free_witness
from .automata.bounded_dyck import BoundedDyck
from .automata.budget import Budget
from .automata.counters import CounterMachine
from .automata.dfa import Dfa
from .automata.errors import BudgetExceededError, ScancraftError
from .automata.languages import Language, language_to_json
from .certifying import Certificate, Open, Refuted, certify
from .compiled import CompiledModel
from .models._files import replace_file, write_json
from .models._threads import one_thread
from .models.errors import CheckpointError, ReadoutError
from .models.mamba import MODEL_TYPES, SIGNED_MAMBA, model_type_of
from .models.readout import Readout
from .models.settle import FastStep, digest

__all__ = ["REFUTE_BUDGET", "NotApplicable", "Refutation", "Trajectories", "Unsettled", "refute"]

REFUTE_BUDGET = Budget(items=20_000_000, seconds=120.0)
"""Tokens read, and seconds."""

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Refutation:
    """A model is wrong after x w^n y for infinitely many n.

    The state after x w^n has the period ``state_period`` from n = ``start`` on, hence so have the model's answers after
    x w^n y, while the right ones have the period ``period``. For n >= ``start`` the model is wrong if n modulo
    ``joint_period`` is one of ``offsets``.

    Attributes:
        content: what :meth:`as_json` says, under the keys of docs/refutation.md.
    """

    content: dict[str, Any]

    verdict = "refuted"

    @property
    def x(self) -> tuple[str, ...]:
        """Leads to the states that w permutes."""
        return tuple(self.content["x"])

    @property
    def w(self) -> tuple[str, ...]:
        """Permutes states of the minimal DFA."""
        return tuple(self.content["w"])

    @property
    def y(self) -> tuple[str, ...]:
        """Tells the states apart."""
        return tuple(self.content["y"])

    @property
    def period(self) -> int:
        """Of the language on x w^n y."""
        return int(self.content["period"])

    @property
    def start(self) -> int:
        """N: from here on the state after x w^n is periodic."""
        return int(self.content["N"])

    @property
    def state_period(self) -> int:
        """Of the recurrent state, in readings of w."""
        return int(self.content["state_period"])

    @property
    def joint_period(self) -> int:
        """The least common multiple of both periods."""
        return int(self.content["joint_period"])

    @property
    def offsets(self) -> tuple[int, ...]:
        """The residues of n, modulo ``joint_period``, at which the model is wrong from N on."""
        return tuple(self.content["offsets"])

    @property
    def word(self) -> tuple[str, ...]:
        """One word on which the model is wrong, the shortest seen."""
        return tuple(self.content["word"])

    @property
    def seconds(self) -> float:
        """How long it took, loading not counted."""
        return float(self.content["seconds"])

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return dict(self.content)

    def save(self, path: str | PathLike[str]) -> None:
        """Write it as JSON, for the checker.

        Raises:
            CheckpointError: the file cannot be written.
        """
        try:
            with replace_file(Path(path)) as fresh:
                write_json(fresh, self.content)
        except OSError as error:
            raise CheckpointError(f"cannot write {path}: {error.strerror}") from None

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Refutation:
        """Read what :meth:`save` wrote; nothing is verified (``refutation_checker`` does that).

        Raises:
            CheckpointError: it is something else.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path} is not readable JSON ({error})") from None
        if not isinstance(content, dict) or content.get("verdict") != cls.verdict:
            raise CheckpointError(f"{path} is no refutation; give what `scancraft refute --out` wrote")
        missing = [key for key in KEYS if key not in content]
        if missing:
            raise CheckpointError(f"{path} misses the keys {missing}; refute the model again")
        return cls(content)


KEYS = (
    *("verdict", "x", "w", "y", "period", "N", "word", "state_period", "joint_period", "offsets", "observed"),
    *("answers", "model", "right", "state", "claim", "dtype", "batch", "threads", "step", "implementation"),
    *("readout", "language", "weights", "leaps", "tokens_read", "seconds", "schema_version"),
)


@dataclass(frozen=True)
class NotApplicable:
    """The theorem excludes nothing here.

    Attributes:
        reason: why.
        certified: what ``scancraft.certify`` says of the model instead.
        seconds: how long it took.
    """

    reason: str
    certified: Certificate | Refuted | Open
    seconds: float

    verdict = "not applicable"

    def as_json(self) -> dict[str, object]:
        """For machines."""
        empty: dict[str, object] = dict.fromkeys(("x", "w", "y", "period", "N", "word"))
        found = {"reason": self.reason, "certify": self.certified.as_json(), "seconds": round(self.seconds, 3)}
        return {"verdict": self.verdict, **empty, **found}


@dataclass(frozen=True)
class Unsettled:
    """Undecided: nothing was proved about infinitely many words within the budget.

    Attributes:
        reason: what still changed, for each w that was tried.
        word: a word on which the model is wrong all the same, if one was seen.
        model: the tokens that the model allows after it.
        right: the tokens that the language allows.
        tokens_read: how many tokens were read.
        seconds: how long it took.
    """

    reason: str
    word: tuple[str, ...] | None
    model: frozenset[str]
    right: frozenset[str]
    tokens_read: int
    seconds: float

    verdict = "undecided"

    def as_json(self) -> dict[str, object]:
        """For machines."""
        empty: dict[str, object] = dict.fromkeys(("x", "w", "y", "period", "N"))
        seen = self.word is not None
        return {
            "verdict": self.verdict,
            **empty,
            "word": list(self.word) if self.word is not None else None,
            "model": sorted(self.model) if seen else None,
            "right": sorted(self.right) if seen else None,
            "reason": self.reason,
            "tokens_read": self.tokens_read,
            "seconds": round(self.seconds, 3),
        }


def refute(
    target: Any,
    language: Any = None,
    readout: Readout | None = None,
    *,
    budget: Budget = REFUTE_BUDGET,
    dtype: torch.dtype | None = None,
    note: Note = lambda _: None,
    trajectories: Trajectories | None = None,
) -> Refutation | NotApplicable | Unsettled:
    """Show that a model is wrong on infinitely many words of a language that is not star-free.

    Args:
        target: a checkpoint directory (ours, or any that ``transformers`` loads as a ``MambaForCausalLM``), what
            ``scancraft.compile`` returned, or a ``MambaForCausalLM`` (then give ``language`` and ``readout``).
        language: anything that ``as_language`` reads; by default the checkpoint's own.
        readout: how the model is bound to the language; by default the checkpoint's own, and for a directory without
            any the tokens as scancraft numbers them: ``<bos>`` 1, ``<eos>`` 2, the symbols from 3 on. Its contract is
            honoured: under "live-prefixes" only words are counted that can still be completed.
        budget: tokens to read, and seconds.
        dtype: run a checkpoint in this dtype; by default ours in float32, others in their own. A model in memory is
            taken as it is.
        note: told now and then what is going on.
        trajectories: what is known of the model from earlier calls; it must have been made of ``target``, a model in
            memory.

    Returns:
        :class:`Refutation`; :class:`NotApplicable` if the language is star-free or not regular, or the model's gates
        may be negative, with what ``certify`` says; :class:`Unsettled` if the budget is spent.

    Raises:
        ReadoutError: no language or readout, or one that does not fit.
        CheckpointError: the directory cannot be loaded.
        WeightsError: a weight is NaN or infinite.

    Cost: some ten thousand steps of the model for weights as ``transformers`` draws them, more for trained ones.

    >>> import scancraft
    >>> from scancraft.refuting import refute
    >>> found = refute(scancraft.compile("(a|b)*"), "(aa|b)*")
    >>> found.w, found.period, found.word
    (('a',), 2, ('a',))
    """
    started = time.perf_counter()
    model, wanted, bound = resolve(target, language, readout, dtype)
    training = model.training
    model.eval()
    try:
        with one_thread():
            try:
                witness = _witness(model, wanted)
            except BudgetExceededError as error:
                reason = f"whether the language is star-free: {error}"
                return Unsettled(reason, None, frozenset(), frozenset(), 0, time.perf_counter() - started)
            if isinstance(witness, str):
                note("certifying instead")
                certified = _certified(target if language is None else model, wanted, bound, dtype, note)
                return NotApplicable(witness, certified, time.perf_counter() - started)
            assert isinstance(wanted, Dfa)
            known = Trajectories(model) if trajectories is None else trajectories
            if known.model is not model:
                raise ScancraftError("the trajectories are of another model; leave them out, or give that model")
            search = Search(known, bound, wanted.alphabet, budget.meter("tokens"), note)
            before = known.step.tokens_read
            asked = questions(wanted, witness, bound)
            first = next(asked, None)
            if first is None:
                raise ReadoutError(
                    "nothing that the readout sees, and its contract promises, tells apart the states that a word "
                    "permutes; give it accept, or the contract all-words"
                )
            try:
                verdict = search.run(chain([first], asked))
                limit = "no word is left to try"
            except BudgetExceededError as error:
                verdict, limit = None, f"past {error.reached:,g} {error.what}, the budget being {error.limit:,g}"
            tokens_read = known.step.tokens_read - before
            if verdict is None:
                return _unsettled(search, wanted, limit, tokens_read, time.perf_counter() - started)
            content = _content(verdict, known, wanted, bound, tokens_read)
            return Refutation({**content, "seconds": round(time.perf_counter() - started, 3)})
    finally:
        model.train(training)


def _witness(model: Any, language: Language) -> Witness | str:
    """Why no model without negative gates follows the language; or, in words, why the theorem says nothing here."""
    if isinstance(language, BoundedDyck):
        return "a bounded Dyck language is star-free, so the theorem excludes no Mamba"
    if isinstance(language, CounterMachine):
        return "a counter language is not given as a regular language, and the theorem is about regular ones"
    witness = star_free_witness(language)
    if witness is None:
        return "the language is star-free, so the theorem excludes no Mamba"
    if model_type_of(model) == SIGNED_MAMBA:
        return "the model's gates may be negative, and the theorem is about nonnegative ones"
    return witness


def _certified(
    target: Any, language: Language, readout: Readout, dtype: torch.dtype | None, note: Note
) -> Certificate | Refuted | Open:
    """What ``certify`` says; what it cannot look at is undecided."""
    try:
        if isinstance(target, (str, PathLike, CompiledModel)):
            return certify(target, readout=readout, dtype=dtype, note=note)
        return certify(target, language, readout=readout, note=note)
    except ScancraftError as error:
        return Open(str(error), 0.0)


def _unsettled(search: Search, dfa: Dfa, limit: str, tokens_read: int, seconds: float) -> Unsettled:
    tried = [f"w = {w!r}: {reason}" for w, reason in search.reasons.items()]
    more = [f"and {len(tried) - 3} more"] if len(tried) > 3 else []
    reason = "; ".join([f"no state has repeated ({limit})", *tried[:3], *more])
    if search.wrong is None:
        return Unsettled(reason, None, frozenset(), frozenset(), tokens_read, seconds)
    word = search.wrong.word
    right = Judge(dfa, search.readout).allowed(dfa.run(word))
    return Unsettled(reason, word, search.wrong.model, right, tokens_read, seconds)


def _content(
    verdict: Verdict, trajectories: Trajectories, dfa: Dfa, readout: Readout, tokens_read: int
) -> dict[str, Any]:
    """The JSON of a refutation: docs/refutation.md says what the keys mean."""
    import transformers

    question, trajectory, model = verdict.question, verdict.trajectory, trajectories.model
    assert trajectory.settled is not None
    assert trajectory.state is not None
    start, period = trajectory.settled
    what = "whether the word may end" if question.observed == "accepts" else "which tokens may come next"
    offsets = ", ".join(map(str, verdict.offsets))
    return {
        "verdict": Refutation.verdict,
        "x": list(question.x),
        "w": list(question.w),
        "y": list(question.y),
        "period": question.period,
        "N": start,
        "word": list(verdict.wrong.word),
        "state_period": period,
        "joint_period": verdict.joint,
        "offsets": list(verdict.offsets),
        "claim": (
            f"for every n >= {start}, the model is wrong after x w^n y about {what}, if n modulo {verdict.joint} is "
            f"one of: {offsets}"
        ),
        "observed": question.observed,
        "answers": [sorted(answer) for answer in verdict.answers],
        "model": sorted(verdict.wrong.model),
        "right": sorted(Judge(dfa, readout).allowed(dfa.run(verdict.wrong.word))),
        "state": digest(trajectory.state),
        "dtype": str(trajectories.model.lm_head.weight.dtype).removeprefix("torch."),
        "batch": 1,
        "threads": 1,
        "step": "fast, bit for bit" if isinstance(trajectories.step, FastStep) else "transformers' own",
        "implementation": {
            "model": MODEL_TYPES[model.config.model_type],
            "transformers": transformers.__version__,
            "torch": torch.__version__,
            "scancraft": __version__,
            "device": str(next(model.parameters()).device),
        },
        "readout": {
            "tokens": dict(readout.tokens),
            "bos": readout.bos,
            "accept": readout.accept,
            "next_symbol": dict(readout.next_index),
            "threshold": readout.threshold,
            "contract": readout.contract,
        },
        "language": language_to_json(dfa),
        "weights": weights_digest(model),
        "leaps": [leap.as_json() for leap in trajectory.leaps],
        "tokens_read": tokens_read,
        "schema_version": SCHEMA_VERSION,
    }
