"""The shapes of Qwen3-Next and Qwen3.5 (the language model alone), whose layers are Gated DeltaNets with beta to 1.

They differ from OLMo Hybrid (``models.olmo_hybrid``) in how projections lie in their matrices, in norms of the stream,
whose weight is what is stored plus 1, in that several heads of values may share one of keys, and in a layer of
attention whose norms come first. Layers of attention are zero here too, and every SwiGLU is a plain one. Nothing is
compiled to these shapes; :func:`dressed` gives them the weights of an OLMo Hybrid.

Source: ``Qwen3NextForCausalLM`` and ``Qwen3_5ForCausalLM`` of ``transformers`` 5.23.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .olmo_hybrid import OlmoHybridShape
from .weights import ModelWeights, Tensor

ROPE_THETA = 10_000.0
NORMS = ("input_layernorm.weight", "post_attention_layernorm.weight")


@dataclass(frozen=True)
class Qwen3Shape(OlmoHybridShape):
    """What both have.

    Args:
        key_heads: heads of keys, each for as many heads of values.
    """

    key_heads: int = 1

    def projections(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of what reads the stream in a Gated DeltaNet layer."""
        raise NotImplementedError

    def block_tensors(self) -> dict[str, tuple[int, ...]]:
        """See the base class."""
        d, keys, values = self.d_model, self.key_heads * self.d_state, self.heads * self.value_dim
        return {
            "linear_attn.A_log": (self.heads,),
            "linear_attn.dt_bias": (self.heads,),
            **self.projections(),
            "linear_attn.conv1d.weight": (2 * keys + values, 1, self.d_conv),
            "linear_attn.norm.weight": (self.value_dim,),
            "linear_attn.out_proj.weight": (d, values),
            **self._swiglu(),
            **dict.fromkeys(NORMS, (d,)),
        }

    def attention_tensors(self) -> dict[str, tuple[int, ...]]:
        """See the base class."""
        d = self.d_model
        one = d // self.attention_heads
        return {
            "self_attn.q_proj.weight": (2 * d, d),
            "self_attn.k_proj.weight": (one, d),
            "self_attn.v_proj.weight": (one, d),
            "self_attn.o_proj.weight": (d, d),
            "self_attn.q_norm.weight": (one,),
            "self_attn.k_norm.weight": (one,),
            **self._swiglu(),
            **dict.fromkeys(NORMS, (d,)),
        }

    def own_config(self) -> dict[str, Any]:
        """See the base class."""
        config = super().own_config()
        del config["linear_allow_neg_eigval"]
        return config | {
            "linear_num_key_heads": self.key_heads,
            "head_dim": self.d_model // self.attention_heads,
            "full_attention_interval": self.n_layers,
            "partial_rotary_factor": 0.5,
            "rope_theta": ROPE_THETA,
            "rope_parameters": {"rope_type": "default", "rope_theta": ROPE_THETA, "partial_rotary_factor": 0.5},
        }


@dataclass(frozen=True)
class Qwen3NextShape(Qwen3Shape):
    """Sizes of a Qwen3-Next language model without experts."""

    @property
    def model_type(self) -> str:
        """See the base class."""
        return "qwen3_next"

    @property
    def architecture(self) -> str:
        """See the base class."""
        return "Qwen3NextForCausalLM"

    def projections(self) -> dict[str, tuple[int, ...]]:
        """See the base class."""
        keys, values = self.key_heads * self.d_state, self.heads * self.value_dim
        return {
            "linear_attn.in_proj_qkvz.weight": (2 * keys + 2 * values, self.d_model),
            "linear_attn.in_proj_ba.weight": (2 * self.heads, self.d_model),
        }

    def own_config(self) -> dict[str, Any]:
        """See the base class."""
        return super().own_config() | {
            "mlp_only_layers": list(range(self.n_layers)),
            "num_experts": 0,
            "num_experts_per_tok": 0,
            "decoder_sparse_step": 1,
            "moe_intermediate_size": self.units,
            "shared_expert_intermediate_size": self.units,
            "norm_topk_prob": True,
        }


@dataclass(frozen=True)
class Qwen35Shape(Qwen3Shape):
    """Sizes of a Qwen3.5 language model without experts."""

    @property
    def model_type(self) -> str:
        """See the base class."""
        return "qwen3_5_text"

    @property
    def architecture(self) -> str:
        """See the base class."""
        return "Qwen3_5ForCausalLM"

    def projections(self) -> dict[str, tuple[int, ...]]:
        """See the base class."""
        keys, values = self.key_heads * self.d_state, self.heads * self.value_dim
        return {
            "linear_attn.in_proj_qkv.weight": (2 * keys + values, self.d_model),
            "linear_attn.in_proj_z.weight": (values, self.d_model),
            "linear_attn.in_proj_b.weight": (self.heads, self.d_model),
            "linear_attn.in_proj_a.weight": (self.heads, self.d_model),
        }


def dressed(weights: ModelWeights, kind: type[Qwen3Shape]) -> ModelWeights:
    """The weights of an OLMo Hybrid as those of another model, except that beta is half of what it was.

    Heads of values share heads of keys where, in every layer, each two that are neighbours have one key and one query.
    """
    old = weights.shape
    assert isinstance(old, OlmoHybridShape)
    blocks = [weights.block(layer) for layer in range(old.n_layers - 1)]
    shared = 2 if old.heads % 2 == 0 and all(_in_pairs(block, old) for block in blocks) else 1
    sizes = {field.name: getattr(old, field.name) for field in fields(old)}
    shape = kind(**sizes, key_heads=old.heads // shared)
    tensors = {
        shape.embedding: weights.tensors[old.embedding],
        shape.last_norm: weights.tensors[old.last_norm] - np.float32(1),
        "lm_head.weight": weights.tensors["lm_head.weight"],
    }
    for layer, block in enumerate(blocks):
        tensors |= {f"{shape.layers}{layer}.{n}": t for n, t in _block(block, shape, shared).items()}
    for name, size in shape.layer_tensors(old.n_layers - 1).items():
        tensors[f"{shape.layers}{old.n_layers - 1}.{name}"] = np.zeros(size, dtype=np.float32)
    return ModelWeights(shape, tensors)


def _in_pairs(block: Mapping[str, Tensor], shape: OlmoHybridShape) -> bool:
    """Whether the heads of a layer, two by two, have one key and one query."""
    rows = [block[f"linear_attn.{name}_proj.weight"] for name in "qk"]
    rows += list(block["linear_attn.conv1d.weight"][: 2 * shape.heads * shape.d_state].reshape(2, -1, shape.d_conv))
    pairs = [part.reshape(shape.heads // 2, 2, -1) for part in rows]
    return all(np.array_equal(pair[:, 0], pair[:, 1]) for pair in pairs)


def _block(block: Mapping[str, Tensor], shape: Qwen3Shape, shared: int) -> dict[str, Tensor]:
    """A layer of an OLMo Hybrid in another dress."""
    k, heads, keys = shape.d_state, shape.key_heads, shape.heads * shape.d_state

    def by_head(rows: Tensor) -> Tensor:
        """Rows of keys or queries, of the first of the heads that share them; shape (key heads, d_state, ...)."""
        return rows.reshape(heads, shared, k, *rows.shape[1:])[:, 0]

    q, key, v, z, b, a = (block[f"linear_attn.{name}_proj.weight"] for name in ("q", "k", "v", "g", "b", "a"))
    taps = block["linear_attn.conv1d.weight"]
    parts = [by_head(taps[:keys]), by_head(taps[keys : 2 * keys]), taps[2 * keys :]]
    found = {name: block[name] for name in shape.block_tensors() if name in block}
    found |= {name: block[name] - np.float32(1) for name in NORMS}
    found["linear_attn.conv1d.weight"] = np.concatenate([part.reshape(-1, 1, shape.d_conv) for part in parts])
    found["linear_attn.norm.weight"] = block["linear_attn.o_norm.weight"]
    found["linear_attn.out_proj.weight"] = block["linear_attn.o_proj.weight"]
    d = shape.d_model
    if isinstance(shape, Qwen3NextShape):
        mixed = [by_head(q), by_head(key), v.reshape(heads, -1, d), z.reshape(heads, -1, d)]
        found["linear_attn.in_proj_qkvz.weight"] = np.concatenate(mixed, axis=1).reshape(-1, d)
        rates = [b.reshape(heads, -1, d), a.reshape(heads, -1, d)]
        found["linear_attn.in_proj_ba.weight"] = np.concatenate(rates, axis=1).reshape(-1, d)
    else:
        parts = [by_head(q).reshape(-1, d), by_head(key).reshape(-1, d), v]
        found["linear_attn.in_proj_qkv.weight"] = np.concatenate(parts)
        found |= {f"linear_attn.in_proj_{name}.weight": rows for name, rows in (("z", z), ("b", b), ("a", a))}
    return found
