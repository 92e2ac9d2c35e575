"""What the weights of all kinds of models have in common, so that writing and loading them know no kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Tensor = NDArray[np.float32]


class ModelShape(Protocol):
    """Sizes of a language model of state-space layers."""

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        ...

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        ...

    @property
    def vocab_size(self) -> int:
        """Rows of the embedding and of ``lm_head``."""
        ...

    @property
    def d_inner(self) -> int:
        """Channels per block."""
        ...

    @property
    def d_state(self) -> int:
        """States per channel."""
        ...

    @property
    def d_conv(self) -> int:
        """Taps of the convolution."""
        ...

    @property
    def model_type(self) -> str:
        """The ``model_type`` of ``config.json``."""
        ...

    def block_tensors(self) -> dict[str, tuple[int, ...]]:
        """Names (inside one block) and shapes of its parameters."""
        ...

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all parameters."""
        ...

    def transformers_config(self, *, pad: int, bos: int, eos: int) -> dict[str, Any]:
        """The ``config.json`` of the model's class, with the ids of the special tokens."""
        ...


def tensors_of(shape: ModelShape) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all parameters, from those of one block."""
    shapes: dict[str, tuple[int, ...]] = {"backbone.embeddings.weight": (shape.vocab_size, shape.d_model)}
    for layer in range(shape.n_layers):
        shapes |= {f"backbone.layers.{layer}.{name}": size for name, size in shape.block_tensors().items()}
    shapes["backbone.norm_f.weight"] = (shape.d_model,)
    shapes["lm_head.weight"] = (shape.vocab_size, shape.d_model)
    return shapes


def common_config(*, pad: int, bos: int, eos: int) -> dict[str, Any]:
    """What every ``config.json`` ends with: how all our models compute, and the ids of the special tokens."""
    return {
        "hidden_act": "silu",
        "layer_norm_epsilon": 1e-05,
        "residual_in_fp32": True,
        "use_bias": False,
        "use_conv_bias": True,
        "use_cache": True,
        "tie_word_embeddings": False,
        "pad_token_id": pad,
        "bos_token_id": bos,
        "eos_token_id": eos,
    }


def original_config(shape: ModelShape, layer: Mapping[str, Any]) -> dict[str, Any]:
    """The ``config.json`` of ``mamba_ssm``'s ``MambaLMHeadModel``, with the arguments of its layers."""
    return {
        "d_model": shape.d_model,
        "d_intermediate": 0,
        "n_layer": shape.n_layers,
        "vocab_size": shape.vocab_size,
        "ssm_cfg": dict(layer),
        "attn_layer_idx": [],
        "attn_cfg": {},
        "rms_norm": True,
        "residual_in_fp32": True,
        "fused_add_norm": True,
        "pad_vocab_size_multiple": 8,
        "tie_embeddings": False,
    }


class ModelWeights(Protocol):
    """Parameters of a language model, float32, by the names of its ``transformers`` class."""

    @property
    def shape(self) -> ModelShape:
        """The sizes."""
        ...

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """The parameters, by name."""
        ...

    @property
    def model_type(self) -> str:
        """The ``model_type`` of ``config.json``."""
        ...

    @property
    def n_parameters(self) -> int:
        """How many numbers there are."""
        ...

    @property
    def n_nonzero(self) -> int:
        """How many of them are not zero."""
        ...

    def config(self, *, pad: int, bos: int, eos: int) -> dict[str, Any]:
        """The ``config.json`` of the model's class, with the ids of the special tokens."""
        ...

    def sizes(self) -> dict[str, int]:
        """``d_model``, ``d_inner``, ``num_hidden_layers``, ``parameters`` and ``nonzero``."""
        ...

    def mamba_ssm_config(self) -> dict[str, Any] | None:
        """The ``config.json`` that ``mamba_ssm`` reads; None if it has no such blocks."""
        ...

    def mamba_ssm_items(self) -> Iterator[tuple[str, Tensor]]:
        """The parameters under the names of ``mamba_ssm``'s ``MambaLMHeadModel``."""
        ...

    def __str__(self) -> str:
        """One line for people."""
        ...


@dataclass(frozen=True, eq=False)
class NamedTensors:
    """Parameters by name, checked against a shape; the arrays are read-only. A :class:`ModelWeights`.

    Raises:
        ValueError: names or shapes differ from what ``shape`` says.
    """

    shape: ModelShape
    tensors: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        expected = self.shape.tensors()
        if set(expected) != set(self.tensors):
            raise ValueError(f"parameters differ: {sorted(set(expected) ^ set(self.tensors))}")
        for name, shape in expected.items():
            if self.tensors[name].shape != shape:
                raise ValueError(f"{name} has shape {self.tensors[name].shape}, expected {shape}")
            self.tensors[name].setflags(write=False)

    @property
    def model_type(self) -> str:
        """The ``model_type`` of ``config.json``."""
        return self.shape.model_type

    @property
    def n_parameters(self) -> int:
        """How many numbers there are."""
        return sum(t.size for t in self.tensors.values())

    @property
    def n_nonzero(self) -> int:
        """How many of them are not zero."""
        return sum(int(np.count_nonzero(t)) for t in self.tensors.values())

    def config(self, *, pad: int, bos: int, eos: int) -> dict[str, Any]:
        """The ``config.json`` of the model's class, with the ids of the special tokens."""
        return self.shape.transformers_config(pad=pad, bos=bos, eos=eos)

    def sizes(self) -> dict[str, int]:
        """What a manifest says under ``shape``."""
        return {
            "d_model": self.shape.d_model,
            "d_inner": self.shape.d_inner,
            "num_hidden_layers": self.shape.n_layers,
            "parameters": self.n_parameters,
            "nonzero": self.n_nonzero,
        }

    def block(self, layer: int) -> dict[str, Tensor]:
        """The parameters of one block, by their names inside it."""
        prefix = f"backbone.layers.{layer}."
        return {n.removeprefix(prefix): t for n, t in self.tensors.items() if n.startswith(prefix)}

    def mamba_ssm_config(self) -> dict[str, Any] | None:
        """The ``config.json`` that ``mamba_ssm`` reads; None if it has no such blocks."""
        return None

    def mamba_ssm_items(self) -> Iterator[tuple[str, Tensor]]:
        """The same parameters under the names of ``mamba_ssm``'s ``MambaLMHeadModel``."""
        for name, tensor in self.tensors.items():
            yield name.replace("backbone.embeddings.", "backbone.embedding."), tensor
