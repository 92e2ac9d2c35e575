"""Sampling words of the language with ``generate()``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor

from .errors import DeadPromptError


class LanguageLogitsProcessor(LogitsProcessor):
    """Masks every token whose logit is not positive, so that sampling stays inside the language.

    A compiled model's logits are positive exactly where a token may come next. Rows that have ended (their last token
    is ``<eos>``, or ``<pad>`` after it) are padded on.

    Args:
        eos: id of ``<eos>``.
        pad: id of ``<pad>``.

    Raises:
        DeadPromptError: while generating, if no token may come next: the prompt is no prefix of any word, or the
            language is empty.
    """

    def __init__(self, *, eos: int, pad: int) -> None:
        self.eos, self.pad = eos, pad

    @classmethod
    def for_model(cls, model: Any) -> LanguageLogitsProcessor:
        """With the special tokens of the model's configuration."""
        return cls(eos=int(model.config.eos_token_id), pad=int(model.config.pad_token_id))

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Mask ``scores`` of shape (batch, vocabulary), given ``input_ids`` of shape (batch, time)."""
        masked = scores.masked_fill(scores <= 0, -torch.inf)
        last = input_ids[:, -1]
        ended = (last == self.eos) | ((last == self.pad) & (input_ids == self.eos).any(dim=1))
        stuck = torch.isinf(masked).all(dim=1) & ~ended
        if stuck.any():
            row = int(stuck.nonzero()[0, 0])
            if torch.logsumexp(scores[row], dim=0).abs() < 1e-3:  # beam search normalises before it asks
                raise DeadPromptError(
                    "these scores are log-probabilities, as beam search hands them over, and all are negative; "
                    "use sampling or greedy search (num_beams=1)"
                )
            if last[row] == self.pad:
                raise DeadPromptError(f"the prompt in row {row} ends in <pad>; pad prompts on the left")
            raise DeadPromptError(
                f"nothing can follow the prompt in row {row} (token ids {input_ids[row].tolist()}): "
                "it is no prefix of a word of the language, or the language is empty"
            )
        masked[ended] = -torch.inf
        masked[ended, self.pad] = 0.0
        return masked
