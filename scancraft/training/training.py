"""Training a small Mamba on a language, as the baseline that compiled models are compared with.

After ``<bos>`` and after every prefix the target is the set of tokens that may come next (Bhattamishra, Ahuja and Goyal
2020, section 4; Sarrof, Veitsman and Hahn 2024, section 4): binary cross entropy over the vocabulary, averaged over the
prefixes of members. A string counts as right iff the predicted set is right after every prefix. Of a machine with
outputs the target is the class of the prefix, instead or besides; the class that is predicted has the greatest score.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..accuracy import accuracy
from ..automata.alphabet import BOS, EOS, PAD, Word, is_spaced, spellings
from ..automata.errors import EmptyLanguageError, ScancraftError
from ..automata.languages import Language, as_language, classes_of, language_to_json, predicts, truth_of
from ..compiler.checkpoints import default_readout
from ..compiler.manifest import SCHEMA_VERSION as MANIFEST_VERSION
from ..compiler.manifest import Dimension, Manifest, Sizes, SpecialTokens, StateEntries
from ..compiler.targets.tokens import class_rows, token_ids, vocabulary_size
from ..models.checkpoints.closed import (
    CERTIFICATE,
    CERTIFICATE_EVIDENCE,
    CONFIG,
    GENERATION,
    MANIFEST,
    TOKENIZER,
    TOKENIZER_CONFIG,
    TRAINING,
    WEIGHTS,
)
from ..models.checkpoints.files import replace_directory, write_json
from ..models.checkpoints.tokenizer import build_tokenizer, tokenizer_config
from ..models.mamba import MambaShape
from ..models.readout import Readout
from ..models.run.threads import one_thread
from ..suite.languages import Bin
from .data import Batch, Examples, members
from .forward import fast_logits, logits_in_pieces

RECORD = TRAINING
WRITTEN = frozenset(
    {
        *(CONFIG, GENERATION, WEIGHTS, TOKENIZER, TOKENIZER_CONFIG, RECORD),
        *(MANIFEST, CERTIFICATE, CERTIFICATE_EVIDENCE),
    }
)
SCHEMA_VERSION = 1

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


@dataclass(frozen=True)
class Moment:
    """How good the model was on held-out words of the training lengths at one moment; loss in nats per token."""

    seconds: float
    step: int
    loss: float
    strings: float
    positions: float


@dataclass(frozen=True)
class BinAccuracy:
    """Accuracy in % on fresh members of one range of lengths."""

    bin: Bin
    words: int
    strings: float
    positions: float

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return self.bin.as_json() | {"words": self.words, "strings": self.strings, "positions": self.positions}


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model and how it came about.

    Attributes:
        language: what it was trained on.
        model: a ``transformers`` ``MambaForCausalLM``, in eval mode.
        settings: how it was trained.
        seed: of the initial weights and the words. Equal seeds give equal ones; how many steps fit into the budget
            depends on the machine.
        bin: the lengths of training.
        budget: seconds that were allowed.
        seconds: wall-clock seconds of training, without the looks at the held-out words.
        steps: steps of the optimiser.
        history: accuracy on held-out words, from the start to the end.
        accuracy: on the bins, the training lengths first; after an interruption on those that had been tested.
        interrupted: whether Ctrl-C ended the training or the test.
    """

    language: Language
    model: Any
    settings: Settings
    seed: int
    bin: Bin
    budget: float
    seconds: float
    steps: int
    history: tuple[Moment, ...]
    accuracy: tuple[BinAccuracy, ...]
    interrupted: bool

    @property
    def readout(self) -> Readout:
        """How the model is bound to the language: it promises something about prefixes of members only."""
        return default_readout(self.language, "live-prefixes")

    @property
    def n_parameters(self) -> int:
        """How many numbers the model has."""
        return sum(math.prod(shape) for shape in self.settings.shape(self.language).tensors().values())

    @property
    def manifest(self) -> Manifest:
        """What ``scancraft.json`` says: the language, the tokens, and that prefixes of members are what it learned."""
        shape, alphabet = self.settings.shape(self.language), self.language.alphabet
        nonzero = sum(int(torch.count_nonzero(p)) for p in self.model.parameters())
        return Manifest(
            schema_version=MANIFEST_VERSION,
            kind="trained",
            target=shape.model_type,
            contract="live-prefixes" if predicts(self.language) else "outputs",
            construction=f"trained for {self.steps:,} steps, seed {self.seed}",
            language=language_to_json(self.language),
            tokens=token_ids(alphabet),
            special_tokens=SpecialTokens(BOS, EOS, PAD),
            outputs=class_rows(alphabet, classes_of(self.language)),
            shape=Sizes(shape.d_model, shape.d_inner, shape.n_layers, self.n_parameters, nonzero),
            residual=tuple(Dimension("learned", f"dimension {i}") for i in range(shape.d_model)),
            blocks=(),
            verdicts={},
            memories=0,
            state_entries=StateEntries(0, shape.n_layers * shape.d_inner * shape.d_state),
            constants={},
            counters=(),
        )

    def as_json(self) -> dict[str, object]:
        """All numbers, for machines."""
        from transformers import __version__ as transformers_version

        shape = self.settings.shape(self.language)
        return {
            "schema_version": SCHEMA_VERSION,
            "seed": self.seed,
            "budget": self.budget,
            "seconds": round(self.seconds, 3),
            "steps": self.steps,
            "interrupted": self.interrupted,
            "bin": self.bin.as_json(),
            "settings": asdict(self.settings),
            "sizes": asdict(shape) | {"parameters": self.n_parameters},
            "accuracy": [b.as_json() for b in self.accuracy],
            "history": [asdict(moment) for moment in self.history],
            "tokens": token_ids(self.language.alphabet),
            "versions": {"torch": torch.__version__, "transformers": transformers_version},
            "language": language_to_json(self.language),
        }

    def __repr__(self) -> str:
        return f"<Trained: {self}>"

    def __str__(self) -> str:
        blocks = "1 block" if self.settings.layers == 1 else f"{self.settings.layers} blocks"
        early = " (interrupted)" if self.interrupted else ""
        return (
            f"{blocks}, d_model {self.settings.d_model}, {self.n_parameters:,} parameters, {self.steps:,} steps in "
            f"{self.seconds:.1f} s{early}, seed {self.seed}, loss {self.history[-1].loss:.4f}"
        )

    def save(self, directory: str | PathLike[str]) -> None:
        """Write a checkpoint that ``transformers`` loads, with ``training.json`` and a manifest beside it.

        The manifest says what the model was trained to do, so that ``certify``, ``check`` and ``refute`` know.

        Raises:
            CheckpointError: the directory is in the way or cannot be written.
        """
        spelt, names = spellings(self.language.alphabet), {"bos": BOS, "eos": EOS, "pad": PAD}
        tokens = {spelt.get(token, token): i for token, i in token_ids(self.language.alphabet).items()}
        with replace_directory(Path(directory), RECORD, WRITTEN) as place:
            self.model.save_pretrained(place)
            (place / "model.safetensors").chmod(0o644)  # safetensors makes it private to the user
            tokenizer = build_tokenizer(tokens, spaced=is_spaced(self.language.alphabet), **names)
            (place / "tokenizer.json").write_text(tokenizer.to_str(pretty=True) + "\n", encoding="utf-8")
            write_json(place / "tokenizer_config.json", tokenizer_config(**names))
            write_json(place / RECORD, self.as_json())
            write_json(place / MANIFEST, self.manifest.to_json())


def check_place(directory: str | PathLike[str]) -> None:
    """Raise :class:`CheckpointError` if :meth:`Trained.save` could not write there; nothing is written."""
    with suppress(InterruptedError), replace_directory(Path(directory), RECORD, WRITTEN):
        raise InterruptedError  # leaves the directory as it was


def train(
    language: Any,
    *,
    seconds: float,
    bins: Sequence[Bin] = (Bin(1, 50),),
    seed: int = 0,
    settings: Settings = Settings(),
    max_steps: int | None = None,
    test_words: int = 500,
    progress: Progress | None = None,
    keep_interrupted: bool = False,
) -> Trained:
    """Train a Mamba on members of a language, on the CPU, and measure it on fresh ones.

    Args:
        language: what to learn: whatever ``as_language`` reads.
        seconds: wall-clock budget of the training (drawing the words and all tests come on top).
        bins: ranges of lengths: that of training, then others to test on (those without words are left out).
        seed: of the initial weights and of all words.
        settings: sizes of the model and of the training set, and the optimiser's numbers.
        max_steps: stop after so many steps; the schedule then follows the steps, and equal seeds give equal weights.
        test_words: members to test on per range of lengths.
        progress: called after every step.
        keep_interrupted: on Ctrl-C, return what was learned so far, without further tests, instead of raising.

    Raises:
        TrainingError: no time, no steps, no or impossible lengths, or the loss became infinite.
        EmptyLanguageError: the language has no word to train on.
    """
    language = as_language(language)
    if not 0 < seconds < math.inf:
        raise TrainingError(f"the budget is {seconds} seconds; give a number above 0")
    if max_steps is not None and max_steps < 1:
        raise TrainingError(f"max_steps is {max_steps}; give at least 1")
    if not bins or not all(0 <= b.shortest <= b.longest for b in bins):
        raise TrainingError("give at least one range of lengths, each with 0 <= shortest <= longest")
    data_rng, held_rng, order_rng, test_rng = np.random.default_rng(seed).spawn(4)
    examples = Examples(language, members(language, settings.words, bins[0], data_rng))
    held_out = members(language, HELD_OUT, bins[0], held_rng)
    tests = []
    for part in bins:
        with suppress(EmptyLanguageError):
            tests.append((part, members(language, test_words, part, test_rng)))
    run = _Run(language, _fresh_model(settings.shape(language), seed), settings, held_out)
    found: list[BinAccuracy] = []
    interrupted = False
    with one_thread():
        try:
            run.go(examples.stream(settings.tokens, order_rng), seconds, max_steps, progress)
            found.extend(BinAccuracy(part, len(words), *run.measured(words)) for part, words in tests)
        except KeyboardInterrupt:
            if not keep_interrupted:
                raise
            interrupted = True
        run.model.eval()
        run.look()
    return Trained(
        language=language,
        model=run.model,
        settings=settings,
        seed=seed,
        bin=bins[0],
        budget=seconds,
        seconds=run.seconds,
        steps=run.steps,
        history=tuple(run.history),
        accuracy=tuple(found),
        interrupted=interrupted,
    )


def _fresh_model(shape: MambaShape, seed: int) -> Any:
    """A model with ``transformers``' own initial weights; torch's generator is left as it was."""
    from transformers import MambaConfig, MambaForCausalLM

    tokens = token_ids(())
    config = MambaConfig(**shape.transformers_config(pad=tokens[PAD], bos=tokens[BOS], eos=tokens[EOS]))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MambaForCausalLM(config)


class _Run:
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
        """Step until the time or the steps are spent."""
        started = time.perf_counter()
        self.model.train()
        while True:
            self.seconds = time.perf_counter() - started
            done = self.seconds / seconds if max_steps is None else self.steps / max_steps
            if done >= 1 or self.seconds >= seconds:
                break
            if done >= len(self.history) / MOMENTS:
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
