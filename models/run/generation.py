"""Sampling words of the language with ``generate()``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor

from ..errors import DeadPromptError, ReadoutError
from .runner import Runner


class BesideLogitsProcessor(LogitsProcessor):
    """Lets another model with the same token ids say only what a language allows, after the prompt that it was given.

    A compiled model reads along what is generated; tokens that it does not allow, and such as it does not have, get a
    score of minus infinity. Rows that have ended with ``<eos>`` are left alone. For sampling, greedy and beam search.

    Args:
        runner: of the compiled model.
        bos: id of its ``<bos>``.
        eos: id of ``<eos>``, in both models.
        start: where, in the ids, the words of the language begin; by default at the first call, behind the prompt.

    Raises:
        DeadPromptError: while generating, if no token may come next: the language is empty, or what stands behind
            ``start`` is no prefix of a word.
    """

    def __init__(self, runner: Runner, *, bos: int, eos: int, start: int | None = None) -> None:
        self.runner, self.bos, self.eos, self.start = runner, bos, eos, start
        self._read: Tensor | None = None
        self._allowed: Tensor | None = None
        self._stream: Any = None

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Mask ``scores`` of shape (batch, vocabulary), given ``input_ids`` of shape (batch, time)."""
        if self.start is None:
            self.start = input_ids.shape[1]
        said = input_ids[:, self.start :].cpu()
        begun = torch.full((len(said), 1), self.bos, dtype=torch.int64)
        ids = torch.cat([begun, said], dim=1)
        known = self._read
        grown = known is not None and known.shape == ids[:, :-1].shape and torch.equal(known, ids[:, :-1])
        if not grown:  # the first call, or beams that were exchanged
            self._stream = self.runner.stream(len(ids))
        for column in ids[:, -1:].t() if grown else ids.t():
            self._allowed = self._stream.step(column) > 0
        self._read = ids
        assert self._allowed is not None, "at least <bos> was read"
        allowed = torch.zeros(scores.shape, dtype=torch.bool)
        width = min(scores.shape[1], self._allowed.shape[1])
        allowed[:, :width] = self._allowed[:, :width]
        ended = (said == self.eos).any(dim=1)
        stuck = ~allowed.any(dim=1) & ~ended
        if stuck.any():
            row = int(stuck.nonzero()[0, 0])
            raise DeadPromptError(
                f"nothing can follow in row {row} after token ids {said[row].tolist()}: they are no prefix of a word "
                "of the language, or it is empty"
            )
        return scores.masked_fill(~(allowed | ended[:, None]).to(scores.device), -torch.inf)


class LanguageLogitsProcessor(LogitsProcessor):
    """Masks every token whose logit is not positive, so that sampling stays inside the language.

    A compiled model's logits are positive exactly where a token may come next. Rows that have ended (their last token
    is ``<eos>``, or ``<pad>`` after it) are padded on.

    Args:
        eos: id of ``<eos>``.
        pad: id of ``<pad>``.
        bos: id of ``<bos>``; needed with ``model``.
        outputs: indices of scores that are no tokens, but classes of a machine with outputs: they are never sampled.
        model: look at every symbol of a prompt, and not only at what follows it. A model under the contract
            "live-prefixes" promises nothing once a symbol came that it had ruled out.

    Raises:
        DeadPromptError: while generating, if no token may come next, or (with ``model``) a symbol of the prompt could
            not come: the prompt is no prefix of any word, or the language is empty.
        ReadoutError: while generating, if a score is NaN or infinite.
    """

    def __init__(
        self, *, eos: int, pad: int, bos: int | None = None, model: Any = None, outputs: Sequence[int] = ()
    ) -> None:
        self.eos, self.pad, self.bos, self.model = eos, pad, bos, model
        self.outputs = list(outputs)
        self._known: Tensor | None = None

    @classmethod
    def for_model(cls, model: Any, outputs: Sequence[int] = ()) -> LanguageLogitsProcessor:
        """With the special tokens of the model's configuration; prompts are looked at symbol by symbol.

        Of a machine with outputs, ``outputs`` are the indices of its classes, as the manifest has them.

        Raises:
            ReadoutError: it has no configuration, so it is none of transformers'.
        """
        config = getattr(model, "config", None)
        if config is None:
            raise ReadoutError(f"{type(model).__name__} is no model of transformers; give what from_pretrained returns")
        ids = {name: int(getattr(config, f"{name}_token_id")) for name in ("eos", "pad", "bos")}
        return cls(**ids, model=model, outputs=outputs)

    def _check_prompt(self, input_ids: Tensor) -> None:
        """Raise :class:`DeadPromptError` for a symbol that could not come; once per prompt."""
        known, self._known = self._known, input_ids
        grown = known is not None and known.shape == input_ids[:, :-1].shape and torch.equal(known, input_ids[:, :-1])
        if self.model is None or grown or input_ids.shape[1] < 2:
            return
        with torch.no_grad():
            mask = (input_ids != self.pad).long()
            logits = self.model(input_ids, attention_mask=mask).logits
        came = torch.gather(logits[:, :-1], 2, input_ids[:, 1:, None])[..., 0]
        special = torch.tensor([self.pad, self.bos, self.eos], device=input_ids.device)
        wrong = (came <= 0) & ~torch.isin(input_ids[:, 1:], special)
        if wrong.any():
            row, place = (int(i) for i in wrong.nonzero()[0])
            raise DeadPromptError(
                f"nothing can follow the prompt in row {row} (token ids {input_ids[row].tolist()}): it is no prefix of "
                f"a word of the language, since token {int(input_ids[row, place + 1])} at position {place + 1} could "
                "not come; give the beginning of a word"
            )

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Mask ``scores`` of shape (batch, vocabulary), given ``input_ids`` of shape (batch, time)."""
        self._check_prompt(input_ids)
        if (scores.isnan() | (scores == torch.inf)).any():
            raise ReadoutError("the model's scores contain NaN or infinity; look at its weights")
        masked = scores.masked_fill(scores <= 0, -torch.inf)
        masked[:, [*self.outputs, *({self.pad, self.bos} - {self.eos, None})]] = -torch.inf
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
                "it is no prefix of a word of the language, or the language is empty; give the beginning of a word"
            )
        masked[ended] = -torch.inf
        masked[ended, self.pad] = 0.0
        return masked
