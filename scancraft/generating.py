"""Words sampled from a model with ``generate()``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from .models.errors import ReadoutError
from .models.readout import Readout
from .models.run.generation import LanguageLogitsProcessor
from .models.run.model_runner import ModelRunner
from .models.run.runner import Runner

BATCH = 1024
"""Words sampled at once."""


@dataclass(frozen=True)
class Sample:
    """One generated sequence.

    Attributes:
        word: its symbols.
        complete: whether the model ended it with ``<eos>``; if not, ``word`` is a live prefix that was cut off at
            the length limit.
    """

    word: tuple[str, ...]
    complete: bool


def generate(
    model: Any,
    readout: Readout,
    count: int,
    *,
    prompt: tuple[str, ...] = (),
    max_length: int = 60,
    seed: int = 0,
    runner: Runner | ModelRunner | None = None,
) -> list[Sample]:
    """Sample words: at each step one of the tokens that may come next, uniformly.

    Args:
        model: a compiled model (``transformers``' ``MambaForCausalLM``).
        readout: how it is bound to the language.
        count: how many.
        prompt: symbols to begin with.
        max_length: symbols in all, the prompt included; a longer word is cut off and marked as incomplete.
        seed: of torch's random generator, which is left as it was.
        runner: reads the results again and refuses them if a counter left its range (``Checkpoint.runner()``).

    Raises:
        DeadPromptError: nothing can follow the prompt, or the language is empty.
        CounterRangeError: a counter left the range in which it is exact.
        ReadoutError: the readout lacks ``<bos>``, ``<eos>`` or the next symbols, which generation needs.
    """
    if readout.classes and readout.accept is None:
        raise ReadoutError("this model says classes, and not what may come next: nothing can be generated")
    if readout.bos is None or readout.accept is None:
        raise ReadoutError("generation needs a readout with a bos token and an accept index (<eos>)")
    if readout.tokens and not readout.next_index:
        raise ReadoutError(
            "this model only says whether a word may end (the contract recognise), not what may come next: nothing can "
            "be generated; compile the language with the contract all-words"
        )
    symbol = {token: s for s, token in readout.tokens.items()}
    others = set(range(model.config.vocab_size)) - {*symbol, readout.accept}
    processor = LanguageLogitsProcessor(
        eos=readout.accept, pad=readout.pad, bos=readout.bos, model=model, outputs=sorted(others)
    )
    samples = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for done in range(0, count, BATCH):
            ids = torch.tensor([readout.encode(prompt)] * min(BATCH, count - done), dtype=torch.long)
            out = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                max_new_tokens=max_length - len(prompt) + 1,  # one more for <eos>
                logits_processor=[processor],
                eos_token_id=readout.accept,
                pad_token_id=readout.pad,
            )
            if runner is not None:
                runner(out)
            for row in out[:, 1:].tolist():
                complete = readout.accept in row
                body = row[: row.index(readout.accept)] if complete else row
                samples.append(Sample(tuple(symbol[t] for t in body)[:max_length], complete))
    return samples
