"""The shape of a Mamba-2 language model and the names of its parameters.

``models.block.mamba2`` has the formulas. Two things differ from Mamba: Delta is a linear form of the present alone,
since no convolution comes before it, and there is a norm after the scan. Parameters carry the names of
``transformers``' ``Mamba2ForCausalLM``; ``mamba_ssm.Mamba2`` has the same ones. All heads share one group of B and C,
so that the norm is over all of d_inner, in which the implementations agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .weights import ModelShape

MAMBA2 = "mamba2"
UNLIMITED = (0.0, 2.0**127)
"""Limits of Delta that are none: strict JSON has no infinity, and torch's clamp takes this one in bfloat16 too."""


@dataclass(frozen=True)
class Mamba2Shape(ModelShape):
    """Sizes of a Mamba-2 language model.

    Args:
        n_heads: heads (``num_heads``); each has d_inner / n_heads channels.
        chunk_size: positions per chunk of the chunked algorithm; no number depends on it.
    """

    d_state: int = 4
    n_heads: int = 8
    chunk_size: int = 64

    @property
    def model_type(self) -> str:
        """The ``model_type`` of ``config.json``."""
        return MAMBA2

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

    def own_config(self) -> dict[str, Any]:
        """See the base class."""
        return {
            "num_heads": self.n_heads,
            "head_dim": self.head_dim,
            "n_groups": 1,
            "chunk_size": self.chunk_size,
            # transformers works these out or has them as defaults; mlx-lm insists on all three.
            "intermediate_size": self.d_inner,
            "time_step_limit": list(UNLIMITED),
            "time_step_rank": -(-self.d_model // 16),
        }

    def mamba_ssm_layer(self) -> dict[str, Any]:
        """The arguments of ``mamba_ssm``'s Mamba2."""
        return {
            "layer": "Mamba2",
            "d_state": self.d_state,
            "d_conv": self.d_conv,
            "expand": self.expand,
            "headdim": self.head_dim,
            "ngroups": 1,
            "chunk_size": self.chunk_size,
        }
