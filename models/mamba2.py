"""The shape of a Mamba-2 language model and the names of its parameters.

Per block, with r the residual stream and x̂ = RMSNorm(r) * w, heads k of ``head_dim`` channels p, and n over
``d_state``:

    z, xBC, dt = split(W_in x̂);  x, B, C = split(silu(conv1d(xBC) + b_conv))
    Delta_k = softplus(dt_k + b_dt_k);  A_k = -exp(A_log_k)
    h_{k,p,n} <- exp(Delta_k A_k) h_{k,p,n} + Delta_k B_n x_{k,p}
    y_{k,p} = sum_n C_n h_{k,p,n} + D_k x_{k,p}
    r <- r + W_out (RMSNorm(y * silu(z)) * w_gated)

(Dao and Gu 2024, arXiv 2405.21060.) Two things differ from Mamba (``models.mamba``): Delta is a linear form of the
present alone, since no convolution comes before it, and there is a norm after the scan. Parameters carry the names of
``transformers``' ``Mamba2ForCausalLM``; ``mamba_ssm.Mamba2`` has the same ones. All heads share one group of B and C,
so that the norm is over all of d_inner, in which the implementations agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .weights import NamedTensors, common_config, original_config, tensors_of

MAMBA2 = "mamba2"


@dataclass(frozen=True)
class Mamba2Shape:
    """Sizes of a Mamba-2 language model.

    Args:
        d_model: width of the residual stream (``hidden_size``).
        n_layers: number of blocks (``num_hidden_layers``).
        vocab_size: rows of the embedding and of ``lm_head``.
        expand: d_inner = expand * d_model.
        n_heads: heads (``num_heads``); each has d_inner / n_heads channels.
        d_state: states per channel (``state_size``).
        d_conv: taps of the convolution (``conv_kernel``).
        chunk_size: positions per chunk of the chunked algorithm; no number depends on it.
    """

    d_model: int
    n_layers: int
    vocab_size: int
    expand: int = 1
    n_heads: int = 8
    d_state: int = 4
    d_conv: int = 2
    chunk_size: int = 64

    @property
    def model_type(self) -> str:
        """The ``model_type`` of ``config.json``."""
        return MAMBA2

    @property
    def d_inner(self) -> int:
        """Channels per block."""
        return self.expand * self.d_model

    @property
    def head_dim(self) -> int:
        """Channels per head."""
        return self.d_inner // self.n_heads

    @property
    def conv_dim(self) -> int:
        """Channels of the convolution: x, B and C."""
        return self.d_inner + 2 * self.d_state

    def block_tensors(self) -> dict[str, tuple[int, ...]]:
        """Names (inside one block) and shapes of its parameters."""
        d, c, k = self.d_model, self.d_inner, self.n_heads
        return {
            "norm.weight": (d,),
            "mixer.dt_bias": (k,),
            "mixer.A_log": (k,),
            "mixer.D": (k,),
            "mixer.in_proj.weight": (c + self.conv_dim + k, d),
            "mixer.conv1d.weight": (self.conv_dim, 1, self.d_conv),
            "mixer.conv1d.bias": (self.conv_dim,),
            "mixer.norm.weight": (c,),
            "mixer.out_proj.weight": (d, c),
        }

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all parameters."""
        return tensors_of(self)

    def transformers_config(self, *, pad: int, bos: int, eos: int) -> dict[str, Any]:
        """The ``config.json`` of ``Mamba2ForCausalLM``, with the ids of the special tokens."""
        return {
            "architectures": ["Mamba2ForCausalLM"],
            "model_type": self.model_type,
            "dtype": "float32",
            "vocab_size": self.vocab_size,
            "hidden_size": self.d_model,
            "expand": self.expand,
            "num_heads": self.n_heads,
            "head_dim": self.head_dim,
            "n_groups": 1,
            "state_size": self.d_state,
            "conv_kernel": self.d_conv,
            "chunk_size": self.chunk_size,
            "num_hidden_layers": self.n_layers,
            **common_config(pad=pad, bos=bos, eos=eos),
        }

    def mamba_ssm_config(self) -> dict[str, Any]:
        """The ``config.json`` that ``mamba_ssm``'s ``MambaLMHeadModel.from_pretrained`` reads."""
        layer = {
            "layer": "Mamba2",
            "d_state": self.d_state,
            "d_conv": self.d_conv,
            "expand": self.expand,
            "headdim": self.head_dim,
            "ngroups": 1,
            "chunk_size": self.chunk_size,
        }
        return original_config(self, layer)


@dataclass(frozen=True, eq=False)
class Mamba2Weights(NamedTensors):
    """Parameters of a Mamba-2 language model, float32, by name; the arrays are read-only.

    Raises:
        ValueError: names or shapes differ from what ``shape`` says.
    """

    shape: Mamba2Shape

    def mamba_ssm_config(self) -> dict[str, Any]:
        """The ``config.json`` that ``mamba_ssm``'s ``MambaLMHeadModel.from_pretrained`` reads."""
        return self.shape.mamba_ssm_config()

    def __str__(self) -> str:
        s = self.shape
        return (
            f"Mamba-2: {s.n_layers} blocks, d_model {s.d_model}, d_inner {s.d_inner}, {s.n_heads} heads of "
            f"{s.head_dim}, d_state {s.d_state}, d_conv {s.d_conv}, {self.n_parameters:,} parameters, "
            f"{self.n_nonzero:,} not zero"
        )
