"""A ``transformers`` model as a runner: whole sequences in, logits out, counters watched.

``models.run.runner.Runner`` is for Mamba and its signed relative; this one serves every other kind of model, at
the speed of its own forward pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ..classes import model_type_of
from ..errors import CounterRangeError, ReadoutError
from ..olmo_hybrid import OLMO_HYBRID
from .caching import continued
from .runner import Watch

CHUNKS = {OLMO_HYBRID: 64}
"""Kinds of model that ``transformers`` runs in whole chunks of so many tokens, however few there are."""
CALL, STEP = 100, 3
"""What one more call of a model costs, and each of its tokens, in tokens of a chunk; measured."""
PIECE = 1 << 21
"""So many numbers at most go through a convolution of such a model at once, if there are several rows: more leave the
processor's caches, and a pass takes three times as long."""


class ModelRunner:
    """A causal language model of state-space layers that reads whole sequences.

    Without counters it takes one forward pass. With counters it goes token by token through the model's cache, since
    only then are all states seen: O(time) calls. Where a pass would fill up many short rows to whole chunks, each
    different prefix is read once, from the cache, instead: the same model, in the other of the two ways that it has.

    Args:
        model: a ``transformers`` model in eval mode whose cache has ``recurrent_states``, of shape (batch, channels,
            states) or the same in more dimensions.
        watches: counters; an error is raised where a value leaves its limit.

    Raises:
        ReadoutError: a watch on an entry that does not exist (found in the first call).
    """

    def __init__(self, model: Any, *, watches: Sequence[Watch] = ()) -> None:
        self.model, self.watches = model, tuple(watches)
        self.vocab_size = int(model.config.vocab_size)

    @torch.no_grad()
    def __call__(self, ids: Tensor) -> Tensor:
        """Logits at every position.

        Args:
            ids: token ids of shape (batch, time), int64.

        Returns:
            shape (batch, time, vocabulary), float32.

        Raises:
            ReadoutError: ids of another shape or type, or outside the vocabulary.
            CounterRangeError: a watched counter leaves its range.
        """
        if ids.dim() != 2 or ids.dtype != torch.int64:
            raise ReadoutError(f"token ids must be int64 of shape (batch, time), not {ids.dtype} {tuple(ids.shape)}")
        if ids.numel() == 0:
            return torch.empty(*ids.shape, self.vocab_size)
        if int(ids.min()) < 0 or int(ids.max()) >= self.vocab_size:
            raise ReadoutError(f"token ids must lie in 0 .. {self.vocab_size - 1}; these reach outside")
        if not self.watches:
            if (chunk := CHUNKS.get(model_type_of(self.model) or "")) is not None:
                rows, length = ids.shape
                prefixes = list(self._prefixes(ids))
                different = sum(len(tokens) for tokens, *_ in prefixes)
                padded = -(-length // chunk) * chunk
                if STEP * different + CALL * length <= rows * padded:
                    return self._each_prefix_once(prefixes)
                mixers = (getattr(layer, "linear_attn", None) for layer in self.model.base_model.layers)
                channels = max((mixer.conv_dim for mixer in mixers if mixer is not None), default=1)
                pieces = torch.split(ids, max(1, PIECE // (padded * channels)))
                return torch.cat([self.model(piece, use_cache=False).logits.float() for piece in pieces])
            logits: Tensor = self.model(ids, use_cache=False).logits.float()
            return logits
        cache, parts = None, []
        for time in range(ids.shape[1]):
            out, cache = continued(self.model, ids[:, time : time + 1], cache)
            parts.append(out.logits.float())
            self._look(cache, time)
        return torch.cat(parts, dim=1)

    def _prefixes(self, ids: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """For each position the different prefixes up to there: their last tokens, the numbers of the prefixes that
        are one token shorter, and which of them each row has."""
        which = torch.zeros(len(ids), dtype=torch.int64, device=ids.device)
        for column in ids.unbind(1):
            pairs, which = torch.unique(which * self.vocab_size + column, return_inverse=True)
            yield pairs % self.vocab_size, pairs // self.vocab_size, which

    def _each_prefix_once(self, prefixes: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
        """Logits at every position of every row, from a tree of prefixes; the cache follows its branches."""
        cache, parts = None, []
        for tokens, shorter, which in prefixes:
            if cache is not None:
                cache.reorder_cache(shorter)
            out, cache = continued(self.model, tokens[:, None], cache)
            parts.append(out.logits.float()[which])
        return torch.cat(parts, dim=1)

    def _look(self, cache: Any, time: int) -> None:
        """Raise if a counter has left its range, or cannot be told from one that has."""
        for watch in self.watches:
            try:
                states = cache.layers[watch.block].recurrent_states[0]
                values = states.reshape(len(states), -1, states.shape[-1])[:, watch.channel, watch.state]
            except IndexError:
                raise ReadoutError(
                    f"there is no state {watch.state} of channel {watch.channel} of block {watch.block} to watch as "
                    f"{watch.name}; give an entry that the model has"
                ) from None
            # A float that cannot hold the next integer would stay at the limit in silence.
            stuck = 2.0 / torch.finfo(values.dtype).eps <= watch.limit
            values = values.double() / watch.unit
            past = values.abs() > watch.limit - stuck
            if past.any():
                row = int(past.nonzero()[0, 0])
                raise CounterRangeError(
                    f"{watch.name} reaches {float(values[row]):.17g} after {time + 1} tokens of row {row}, but is "
                    f"exact only up to {watch.limit - stuck} in absolute value; use shorter words or a wider dtype"
                )
