"""An OLMo Hybrid as the stepper sees models: a backbone of blocks with a mixer each, and a norm behind them.

Layers of attention are left out. Ours add nothing (``models.olmo_hybrid``); of others nothing is promised by what steps
them here, and the checker of certificates refuses them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..classes import model_type_of
from ..olmo_hybrid import OLMO_HYBRID


@dataclass(frozen=True)
class Layer:
    """A Gated DeltaNet layer, called as ``transformers`` calls a block of Mamba."""

    layer: Any

    @property
    def mixer(self) -> Any:
        """What has the convolution and the states."""
        return self.layer.linear_attn

    def __call__(self, hidden: Any, cache: Any) -> Any:
        """The residual stream after the layer."""
        return self.layer(hidden, past_key_values=cache)


@dataclass(frozen=True)
class Backbone:
    """What a model has beside its head.

    Attributes:
        embeddings: the embedding.
        layers: those with a recurrent state, in order.
        norm_f: the norm behind them.
    """

    embeddings: Any
    layers: list[Any]
    norm_f: Any


def backbone_of(model: Any) -> Any:
    """The backbone of a model of any kind that can be stepped."""
    if model_type_of(model) != OLMO_HYBRID:
        return model.backbone
    inner = model.model
    linear = [Layer(layer) for layer in inner.layers if hasattr(layer, "linear_attn")]
    return Backbone(inner.embed_tokens, linear, inner.norm)
