"""Training a small Mamba on a language, as the baseline that compiled models are compared with.

After ``<bos>`` and after every prefix the target is the set of tokens that may come next (Bhattamishra, Ahuja and Goyal
2020, section 4; Sarrof, Veitsman and Hahn 2024, section 4): binary cross entropy over the vocabulary, averaged over the
prefixes of members. A string counts as right iff the predicted set is right after every prefix. Of a machine with
outputs the target is the class of the prefix, instead or besides; the class that is predicted has the greatest score.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..automata.alphabet import BOS, EOS, PAD, Word, is_spaced, spellings
from ..automata.errors import EmptyLanguageError
from ..automata.languages import Language, as_language, classes_of, language_to_json, predicts
from ..compiler.checkpoints import default_readout
from ..compiler.manifest import SCHEMA_VERSION as MANIFEST_VERSION
from ..compiler.manifest import Dimension, Manifest, Sizes, SpecialTokens, StateEntries
from ..compiler.targets.tokens import class_rows, token_ids
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
from ..models.readout import Readout
from ..models.run.threads import one_thread
from ..suite.languages import Bin
from .data import Batch, Examples, members
from .run import DEFAULTS, HELD_OUT, Moment, Progress, Run, fresh_model
from .run import Settings as Settings
from .run import TrainingError as TrainingError

RECORD = TRAINING
WRITTEN = frozenset(
    {
        *(CONFIG, GENERATION, WEIGHTS, TOKENIZER, TOKENIZER_CONFIG, RECORD),
        *(MANIFEST, CERTIFICATE, CERTIFICATE_EVIDENCE),
    }
)
SCHEMA_VERSION = 1


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
    settings: Settings = DEFAULTS,
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
    lesson = Lesson(language, bins, seed, settings, test_words)
    run = lesson.run
    found: list[BinAccuracy] = []
    interrupted = False
    with one_thread():
        try:
            run.go(lesson.batches(), seconds, max_steps, progress)
            found.extend(lesson.accuracy())
        except KeyboardInterrupt:
            if not keep_interrupted:
                raise
            interrupted = True
        run.model.eval()
        run.look()
    return lesson.trained(seconds, found, interrupted=interrupted)


class Lesson:
    """A model that is being trained, and the words that it learns from and is tested on.

    Args:
        language: what to learn.
        bins: ranges of lengths, as :func:`train` takes them.
        seed: of the initial weights and of all words.
        settings: of the training.
        test_words: members to test on per range of lengths.

    Attributes:
        run: the training.

    Raises:
        TrainingError: no or impossible lengths.
        EmptyLanguageError: the language has no word to train on.
    """

    def __init__(self, language: Language, bins: Sequence[Bin], seed: int, settings: Settings, test_words: int) -> None:
        if not bins or not all(0 <= b.shortest <= b.longest for b in bins):
            raise TrainingError("give at least one range of lengths, each with 0 <= shortest <= longest")
        self.language, self.settings, self.seed, self.bin = language, settings, seed, bins[0]
        data_rng, held_rng, self._order_rng, test_rng = np.random.default_rng(seed).spawn(4)
        self._words = [*members(language, settings.words, bins[0], data_rng)]
        held_out = members(language, HELD_OUT, bins[0], held_rng)
        self._tests = []
        for part in bins:
            with suppress(EmptyLanguageError):
                self._tests.append((part, members(language, test_words, part, test_rng)))
        self.run = Run(language, fresh_model(settings.shape(language), seed), settings, held_out)

    def batches(self) -> Iterator[Batch]:
        """Batches of the words that there are, for ever."""
        return Examples(self.language, self._words).stream(self.settings.tokens, self._order_rng)

    def learn_from(self, words: Sequence[Word], times: int) -> None:
        """Add words, each so many times, to what :meth:`batches` are made of from the next call on."""
        self._words += [word for word in words for _ in range(times)]

    def accuracy(self) -> Iterator[BinAccuracy]:
        """On the test words, range by range."""
        return (BinAccuracy(part, len(words), *self.run.measured(words)) for part, words in self._tests)

    def trained(self, budget: float, accuracy: Sequence[BinAccuracy], *, interrupted: bool = False) -> Trained:
        """What came of it."""
        return Trained(
            language=self.language,
            model=self.run.model,
            settings=self.settings,
            seed=self.seed,
            bin=self.bin,
            budget=budget,
            seconds=self.run.seconds,
            steps=self.run.steps,
            history=tuple(self.run.history),
            accuracy=tuple(accuracy),
            interrupted=interrupted,
        )
