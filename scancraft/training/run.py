"""The steps of a training: a model, an optimiser with a schedule, and looks at held-out words on the way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..accuracy import accuracy
from ..automata.alphabet import BOS, EOS, PAD, Word
from ..automata.errors import ScancraftError
from ..automata.languages import Language, classes_of, truth_of
from ..compiler.checkpoints import default_readout
from ..compiler.targets.tokens import token_ids, vocabulary_size
from ..models.mamba import MambaShape
from .data import Batch, Examples
from .forward import fast_logits, logits_in_pieces

Progress = Callable[[float, int, float], None]
"""Called after every step with (seconds so far, steps so far, loss of the batch)."""

MOMENTS = 10
"""How many times the held-out words are looked at while training, beside the start."""

HELD_OUT = 64


class TrainingError(ScancraftError):
    """Settings that nothing can be trained with, or a training that diverged."""


@dataclass(frozen=True)
class Settings:
    """How a model is trained.

    Args:
        layers: blocks.
        d_model: width of the residual stream; the model has twice as many channels, 16 states each, 4 taps.
        words: size of the training set, which is drawn once.
        tokens: padded tokens per batch.
        learning_rate: of AdamW, at its peak.
        warm_up: share of the budget in which it rises from 0; a cosine takes it back to 0 at the end.
        weight_decay: of matrices other than ``A_log``.
        clip: largest norm of the gradient.

    Raises:
        TrainingError: a number that makes no sense.
    """

    layers: int = 2
    d_model: int = 32
    words: int = 10_000
    tokens: int = 512
    learning_rate: float = 5e-3
    warm_up: float = 0.05
    weight_decay: float = 0.01
    clip: float = 1.0

    def __post_init__(self) -> None:
        for name in ("layers", "d_model", "words", "tokens", "learning_rate", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise TrainingError(f"{name} is {getattr(self, name)}; give a number above 0")
        if not 0 <= self.warm_up < 1 or not 0 <= self.weight_decay < math.inf:
            raise TrainingError("warm_up must lie in 0..1 (1 excluded), and weight_decay must not be negative")

    def shape(self, language: Language) -> MambaShape:
        """The sizes of the model for a language."""
        return MambaShape(
            d_model=self.d_model,
            n_layers=self.layers,
            vocab_size=vocabulary_size(language.alphabet, classes_of(language)),
            expand=2,
            d_state=16,
            d_conv=4,
            dt_rank=-(-self.d_model // 16),
        )

    def rate(self, done: float) -> float:
        """The learning rate once a share ``done`` of the budget has passed."""
        if done < self.warm_up:
            return self.learning_rate * done / self.warm_up
        rest = (min(done, 1.0) - self.warm_up) / (1 - self.warm_up)
        return self.learning_rate * (1 + math.cos(math.pi * rest)) / 2


DEFAULTS = Settings()


@dataclass(frozen=True)
class Moment:
    """How good the model was on held-out words of the training lengths at one moment; loss in nats per token."""

    seconds: float
    step: int
    loss: float
    strings: float
    positions: float


def fresh_model(shape: MambaShape, seed: int) -> Any:
    """A model with ``transformers``' own initial weights; torch's generator is left as it was."""
    from transformers import MambaConfig, MambaForCausalLM

    tokens = token_ids(())
    config = MambaConfig(**shape.transformers_config(pad=tokens[PAD], bos=tokens[BOS], eos=tokens[EOS]))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MambaForCausalLM(config)


class Run:
    """A training under way."""

    def __init__(self, language: Language, model: Any, settings: Settings, held_out: Sequence[Word]) -> None:
        self.model, self.settings, self.held_out = model, settings, held_out
        self.truth, self.readout = truth_of(language), default_readout(language, "live-prefixes")
        examples = Examples(language, held_out)
        self.batch = examples.batch(np.arange(len(examples)))
        self.optimiser = _optimiser(model, settings)
        self.steps, self.seconds = 0, 0.0
        self.history: list[Moment] = []

    def go(self, batches: Iterator[Batch], seconds: float, max_steps: int | None, progress: Progress | None) -> None:
        """Step until the time or the steps of this call are spent, with a schedule of its own."""
        spent, first, known = self.seconds, self.steps, len(self.history)
        started = time.perf_counter() - spent
        self.model.train()
        while True:
            self.seconds = time.perf_counter() - started
            lasted = self.seconds - spent
            done = lasted / seconds if max_steps is None else (self.steps - first) / max_steps
            if done >= 1 or lasted >= seconds:
                break
            if done >= (len(self.history) - known) / MOMENTS:
                before = time.perf_counter()
                self.look()
                started += time.perf_counter() - before
            for group in self.optimiser.param_groups:
                group["lr"] = self.settings.rate(done)
            loss = self.step(next(batches))
            if progress is not None:
                progress(time.perf_counter() - started, self.steps, loss)
        self.model.eval()

    def step(self, batch: Batch) -> float:
        """One step of the optimiser; returns the loss before it."""
        self.optimiser.zero_grad()
        loss = _loss(fast_logits(self.model, batch.ids), batch)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {float(loss.detach())} after {self.steps} steps; give a smaller learning rate"
            )
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        self.optimiser.step()
        self.steps += 1
        return float(loss.detach())

    def look(self) -> None:
        """Add a moment to the history."""
        loss = float(_loss(logits_in_pieces(self.model, self.batch.ids), self.batch))
        self.history.append(Moment(round(self.seconds, 3), self.steps, loss, *self.measured(self.held_out)))

    def measured(self, words: Sequence[Word]) -> tuple[float, float]:
        """How often the model predicts the right set of next tokens: strings right and positions right, in %."""
        found = accuracy(partial(logits_in_pieces, self.model), self.truth, self.readout, words)
        return found.strings, found.prefixes


def _optimiser(model: Any, settings: Settings) -> torch.optim.Optimizer:
    """AdamW; vectors and ``A_log`` do not decay (as in Gu and Dao's code)."""
    named = dict(model.named_parameters())
    decaying = {name for name, p in named.items() if p.ndim >= 2 and not name.endswith("A_log")}
    groups = [
        {"params": [p for name, p in named.items() if name in decaying], "weight_decay": settings.weight_decay},
        {"params": [p for name, p in named.items() if name not in decaying], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def _loss(logits: Tensor, batch: Batch) -> Tensor:
    """Binary cross entropy, averaged over the tokens of the vocabulary and over the prefixes inside words."""
    each = functional.binary_cross_entropy_with_logits(logits, batch.targets, reduction="none").mean(dim=-1)
    return (each * batch.inside).sum() / batch.inside.sum()
