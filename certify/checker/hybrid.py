"""An OLMo Hybrid as what the checker knows: a backbone of blocks with a mixer each, and a norm behind them.

Its layers of attention are none: all their weights are zero, so what they add is the norm of zero, which is zero, at
any length and in any arithmetic, if the norms multiply it with something finite. They stand behind all others.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .arithmetic import epsilon_of
from .parts import array, need

LINEAR, ATTENTION = "linear_attention", "full_attention"
LARGEST = 2.0**100


class Layer:
    """A Gated DeltaNet layer, called as ``transformers`` calls a block of Mamba."""

    residual_in_fp32 = False

    def __init__(self, layer: Any) -> None:
        self.layer, self.mixer, self.mlp = layer, layer.linear_attn, layer.mlp
        self.input_layernorm = layer.input_layernorm
        self.post_attention_layernorm = layer.post_attention_layernorm

    def __call__(self, hidden: Any, cache: Any) -> Any:
        """The residual stream after the layer."""
        return self.layer(hidden, past_key_values=cache)


class Backbone(NamedTuple):
    """What a model has beside its head."""

    embeddings: Any
    layers: list[Layer]
    norm_f: Any


class Hybrid:
    """The model; a layer of attention that could add something is a rejection.

    Args:
        model: an ``OlmoHybridForCausalLM``.
    """

    def __init__(self, model: Any) -> None:
        inner = model.model
        kinds = list(model.config.layer_types)
        count = kinds.count(LINEAR)
        good = count > 0 and kinds == [LINEAR] * count + [ATTENTION] * (len(kinds) - count)
        need(good, "config.json: layer_types are not linear ones, and then attention")
        for number, layer in enumerate(inner.layers[count:], count):
            for name, weight in layer.named_parameters():
                idle = "norm" in name or not weight.any()
                need(idle, f"layer {number}: attention whose {name} is not zero, which no certificate is about")
            for name, norm in layer.named_modules():
                if "norm" in name:
                    most = np.abs(array(norm.weight)).max() / np.sqrt(epsilon_of(norm))
                    need(most <= LARGEST, f"layer {number}: a weight of {name} is past {LARGEST:g}")
        embedded = np.abs(array(inner.embed_tokens.weight)).max()
        need(embedded <= LARGEST, f"a token's embedding is past {LARGEST:g}")
        self.config, self.lm_head, self.state_dict = model.config, model.lm_head, model.state_dict
        self.backbone = Backbone(inner.embed_tokens, [Layer(layer) for layer in inner.layers[:count]], inner.norm)
