"""What the sizes and weights of all kinds of models have in common, so that writing and loading them know no kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .classes import ARCHITECTURES

Tensor = NDArray[np.float32]


@dataclass(frozen=True)
class ModelShape(ABC):
    """Sizes of a language model of state-space layers.

    Args:
        d_model: width of the residual stream (``hidden_size``).
        n_layers: number of blocks (``num_hidden_layers``).
        vocab_size: rows of the embedding and of ``lm_head``.
        expand: d_inner = expand * d_model.
        d_state: states per channel (``state_size``).
        d_conv: taps of the convolution (``conv_kernel``).
    """

    d_model: int
    n_layers: int
    vocab_size: int
    expand: int = 1
    d_state: int = 1
    d_conv: int = 2

    embedding: ClassVar[str] = "backbone.embeddings.weight"
    """The name of the embedding's parameter."""
    layers: ClassVar[str] = "backbone.layers."
    """What the names of the blocks' parameters begin with."""
    last_norm: ClassVar[str] = "backbone.norm_f.weight"
    """The name of the parameter of the norm before ``lm_head``."""

    @property
    @abstractmethod
    def model_type(self) -> str:
        """The ``model_type`` of ``config.json``."""

    @abstractmethod
    def block_tensors(self) -> dict[str, tuple[int, ...]]:
        """Names (inside one block) and shapes of its parameters."""

    @abstractmethod
    def own_config(self) -> dict[str, Any]:
        """What ``config.json`` says of the sizes that only this kind has."""

    @abstractmethod
    def mamba_ssm_layer(self) -> dict[str, Any] | None:
        """The arguments of ``mamba_ssm``'s layers; None if that package has no such blocks."""

    @property
    def architecture(self) -> str:
        """The name of the class that runs such weights."""
        return ARCHITECTURES[self.model_type].model

    @property
    def d_inner(self) -> int:
        """Channels per block."""
        return self.expand * self.d_model

    @property
    def state_entries(self) -> int:
        """Numbers in the recurrent states of all blocks."""
        return self.n_layers * self.d_inner * self.d_state

    def layer_tensors(self, layer: int) -> dict[str, tuple[int, ...]]:
        """The same of one block, where not all are alike."""
        return self.block_tensors()

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all parameters."""
        shapes: dict[str, tuple[int, ...]] = {self.embedding: (self.vocab_size, self.d_model)}
        for layer in range(self.n_layers):
            shapes |= {f"{self.layers}{layer}.{name}": size for name, size in self.layer_tensors(layer).items()}
        shapes[self.last_norm] = (self.d_model,)
        shapes["lm_head.weight"] = (self.vocab_size, self.d_model)
        return shapes

    @property
    def n_parameters(self) -> int:
        """How many numbers the parameters have."""
        return sum(map(prod, self.tensors().values()))

    def transformers_config(self, *, pad: int, bos: int, eos: int) -> dict[str, Any]:
        """The ``config.json`` of the model's class, with the ids of the special tokens."""
        return {
            "architectures": [self.architecture],
            "model_type": self.model_type,
            "dtype": "float32",
            "vocab_size": self.vocab_size,
            "hidden_size": self.d_model,
            "expand": self.expand,
            "state_size": self.d_state,
            "conv_kernel": self.d_conv,
            **self.own_config(),
            "num_hidden_layers": self.n_layers,
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


@dataclass(frozen=True, eq=False, repr=False)
class ModelWeights:
    """Parameters of a language model, float32, by the names of its ``transformers`` class; the arrays are read-only.

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
        return self.shape.n_parameters

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
        prefix = f"{self.shape.layers}{layer}."
        return {n.removeprefix(prefix): t for n, t in self.tensors.items() if n.startswith(prefix)}

    def mamba_ssm_config(self) -> dict[str, Any] | None:
        """The ``config.json`` that ``mamba_ssm``'s ``MambaLMHeadModel`` reads; None if it has no such blocks."""
        layer = self.shape.mamba_ssm_layer()
        if layer is None:
            return None
        return {
            "d_model": self.shape.d_model,
            "d_intermediate": 0,
            "n_layer": self.shape.n_layers,
            "vocab_size": self.shape.vocab_size,
            "ssm_cfg": layer,
            "attn_layer_idx": [],
            "attn_cfg": {},
            "rms_norm": True,
            "residual_in_fp32": True,
            "fused_add_norm": True,
            "pad_vocab_size_multiple": 8,
            "tie_embeddings": False,
        }

    def mamba_ssm_items(self) -> Iterator[tuple[str, Tensor]]:
        """The parameters under the names of ``mamba_ssm``'s ``MambaLMHeadModel``."""
        for name, tensor in self.tensors.items():
            yield name.replace("backbone.embeddings.", "backbone.embedding."), tensor

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"

    def __str__(self) -> str:
        s, shown = self.shape, ("d_model", "d_inner", "d_state", "d_conv", "dt_rank", "n_heads")
        sizes = ", ".join(f"{name} {getattr(s, name)}" for name in shown if hasattr(s, name))
        return (
            f"{ARCHITECTURES[s.model_type].title}: {s.n_layers} blocks, {sizes}, {self.n_parameters:,} parameters, "
            f"{self.n_nonzero:,} not zero"
        )
