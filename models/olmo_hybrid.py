"""The shape of an OLMo Hybrid language model, and the names of its parameters.

Its layers are Gated DeltaNet layers (``models.delta_net`` has the formulas), each with a SwiGLU behind it, and layers
of attention, of which the configuration demands at least one. Ours has one, the last, whose weights are all zero: the
norms of an attention layer come *after* attention and SwiGLU, a norm of zero is zero, and so the layer adds nothing to
the residual stream, at any length. Parameters carry the names of ``transformers``' ``OlmoHybridForCausalLM``; files on
the Hub have other names for some, and ``transformers`` reads both.

Source: Yang, Kautz and Hatamizadeh 2024, arXiv 2412.06464 (Gated DeltaNet); Grazzi et al. 2024, arXiv 2411.12537 (beta
up to 2, hence reflections).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from .weights import ModelShape

OLMO_HYBRID = "olmo_hybrid"
EPSILON = 1e-06
HEAD_OF_ATTENTION = 64
"""Dimensions of a head of the attention layer, if the model is so wide."""


@dataclass(frozen=True)
class OlmoHybridShape(ModelShape):
    """Sizes of an OLMo Hybrid language model.

    ``n_layers`` counts the attention layer; ``d_state`` is the dimension of keys and queries, ``expand`` says nothing.

    Args:
        heads: heads of the Gated DeltaNet layers, of keys as of values.
        value_dim: numbers that a head puts out.
        units: width of the SwiGLU.
    """

    d_conv: int = 4
    heads: int = 1
    value_dim: int = 1
    units: int = 1

    embedding: ClassVar[str] = "model.embed_tokens.weight"
    layers: ClassVar[str] = "model.layers."
    last_norm: ClassVar[str] = "model.norm.weight"

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> OlmoHybridShape:
        """The sizes in a ``config.json``; where one is missing, a KeyError."""
        return cls(
            d_model=config["hidden_size"],
            n_layers=config["num_hidden_layers"],
            vocab_size=config["vocab_size"],
            d_state=config["linear_key_head_dim"],
            d_conv=config["linear_conv_kernel_dim"],
            heads=config["linear_num_value_heads"],
            value_dim=config["linear_value_head_dim"],
            units=config["intermediate_size"],
        )

    @property
    def model_type(self) -> str:
        """The ``model_type`` of ``config.json``."""
        return OLMO_HYBRID

    @property
    def d_inner(self) -> int:
        """Channels per block: the numbers that heads put out, head by head, then the units of the SwiGLU."""
        return self.heads * self.value_dim + self.units

    @property
    def state_entries(self) -> int:
        """Numbers in the recurrent states of all blocks; a head's is a matrix."""
        return (self.n_layers - 1) * self.heads * self.value_dim * self.d_state

    @property
    def attention_heads(self) -> int:
        """Heads of queries in the attention layer; there is one of keys."""
        return max(1, self.d_model // HEAD_OF_ATTENTION)

    def block_tensors(self) -> dict[str, tuple[int, ...]]:
        """Names (inside one block) and shapes of the parameters of a Gated DeltaNet layer."""
        d, keys, values = self.d_model, self.heads * self.d_state, self.heads * self.value_dim
        return {
            "linear_attn.A_log": (self.heads,),
            "linear_attn.dt_bias": (self.heads,),
            **{f"linear_attn.{name}_proj.weight": (keys, d) for name in "qk"},
            **{f"linear_attn.{name}_proj.weight": (values, d) for name in "vg"},
            **{f"linear_attn.{name}_proj.weight": (self.heads, d) for name in "ab"},
            "linear_attn.conv1d.weight": (2 * keys + values, 1, self.d_conv),
            "linear_attn.o_norm.weight": (self.value_dim,),
            "linear_attn.o_proj.weight": (d, values),
            **self._swiglu(),
            "input_layernorm.weight": (d,),
            "post_attention_layernorm.weight": (d,),
        }

    def layer_tensors(self, layer: int) -> dict[str, tuple[int, ...]]:
        """See the base class; the last layer is the one of attention."""
        return self.block_tensors() if layer < self.n_layers - 1 else self.attention_tensors()

    def attention_tensors(self) -> dict[str, tuple[int, ...]]:
        """Names (inside the layer of attention) and shapes of its parameters."""
        d = self.d_model
        one = d // self.attention_heads
        return {
            "self_attn.q_proj.weight": (d, d),
            "self_attn.k_proj.weight": (one, d),
            "self_attn.v_proj.weight": (one, d),
            "self_attn.o_proj.weight": (d, d),
            "self_attn.q_norm.weight": (d,),
            "self_attn.k_norm.weight": (one,),
            **self._swiglu(),
            "post_attention_layernorm.weight": (d,),
            "post_feedforward_layernorm.weight": (d,),
        }

    def _swiglu(self) -> dict[str, tuple[int, ...]]:
        return {
            "mlp.gate_proj.weight": (self.units, self.d_model),
            "mlp.up_proj.weight": (self.units, self.d_model),
            "mlp.down_proj.weight": (self.d_model, self.units),
        }

    def own_config(self) -> dict[str, Any]:
        """See the base class."""
        return {
            "intermediate_size": self.units,
            "num_attention_heads": self.attention_heads,
            "num_key_value_heads": 1,
            "attention_bias": False,
            "attention_dropout": 0.0,
            "max_position_embeddings": 1 << 24,  # nothing depends on positions, so it limits nothing
            "layer_types": ["linear_attention"] * (self.n_layers - 1) + ["full_attention"],
            "linear_num_key_heads": self.heads,
            "linear_num_value_heads": self.heads,
            "linear_key_head_dim": self.d_state,
            "linear_value_head_dim": self.value_dim,
            "linear_conv_kernel_dim": self.d_conv,
            "linear_allow_neg_eigval": True,
        }

    def transformers_config(self, *, pad: int, bos: int, eos: int) -> dict[str, Any]:
        """The ``config.json`` of ``OlmoHybridForCausalLM``, with the ids of the special tokens."""
        return {
            "architectures": [self.architecture],
            "model_type": self.model_type,
            "dtype": "float32",
            "vocab_size": self.vocab_size,
            "hidden_size": self.d_model,
            "num_hidden_layers": self.n_layers,
            **self.own_config(),
            "hidden_act": "silu",
            "rms_norm_eps": EPSILON,
            "use_cache": True,
            "tie_word_embeddings": False,
            "pad_token_id": pad,
            "bos_token_id": bos,
            "eos_token_id": eos,
        }

    def mamba_ssm_layer(self) -> None:
        """``mamba_ssm`` has no such blocks."""
