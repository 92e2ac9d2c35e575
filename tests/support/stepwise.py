"""A checkpoint's own model, one token at a time: the state, the residual stream and the logits after each token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch


@torch.no_grad()
def trace(model: Any, tokens: Sequence[int]) -> list[dict[str, Any]]:
    """What ``transformers``' own forward pass with its cache leaves behind.

    Args:
        model: a causal language model of state-space blocks.
        tokens: what it reads.

    Returns:
        Per token ``windows`` and ``states`` (inputs of the convolution, and the SSM state, flattened, block by block),
        ``streams`` (the residual stream into the first block and after each), ``gated`` (what the output projection of
        each block is given) and ``logits``.
    """
    streams: list[Any] = []
    gated: list[Any] = []
    layers = list(model.backbone.layers)

    def into(_module: Any, arguments: tuple[Any, ...]) -> None:
        streams.append(arguments[0])

    def after(_module: Any, _arguments: Any, result: Any) -> None:
        streams.append(result[0] if isinstance(result, tuple) else result)

    def projected(_module: Any, arguments: tuple[Any, ...]) -> None:
        gated.append(arguments[0])

    hooks = [layers[0].register_forward_pre_hook(into), *(layer.register_forward_hook(after) for layer in layers)]
    hooks += [layer.mixer.out_proj.register_forward_pre_hook(projected) for layer in layers]
    cache, found = None, []
    for token in tokens:
        streams.clear()
        gated.clear()
        out = model(torch.tensor([[token]]), cache_params=cache, use_cache=True)
        cache = out.cache_params
        found.append(
            {
                "windows": [_numbers(layer.conv_states[0]) for layer in cache.layers],
                "states": [_numbers(layer.recurrent_states[0]) for layer in cache.layers],
                "streams": [_numbers(stream) for stream in streams],
                "gated": [_numbers(values) for values in gated],
                "logits": _numbers(out.logits),
            }
        )
    for hook in hooks:
        hook.remove()
    return found


@torch.no_grad()
def stepped(model: Any, ids: torch.Tensor, pieces: Sequence[int] = ()) -> torch.Tensor:
    """The logits, with the cache continued after pieces of these lengths, then token by token."""
    cache, parts, at = None, [], 0
    for size in [*pieces, *[1] * (ids.shape[1] - sum(pieces))]:
        out = model(ids[:, at : at + size], cache_params=cache, use_cache=True)
        cache, at = out.cache_params, at + size
        parts.append(out.logits)
    return torch.cat(parts, dim=1)


def _numbers(tensor: Any) -> list[float]:
    """Flattened, with -0.0 as +0.0, which JSON cannot tell apart."""
    flat: list[float] = (tensor.float().numpy().ravel() + np.float32(0)).tolist()
    return flat
