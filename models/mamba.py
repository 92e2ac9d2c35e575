"""The shape of a Mamba language model and the names of its parameters.

Per block, with r the residual stream and x̂ = RMSNorm(r) * w:

    u   = conv1d(W_x x̂) + b_conv;  x = silu(u)                            d_inner channels
    dt, B, C = split(x_proj x);  Delta = softplus(dt_proj dt + b_dt)
    h_{c,n} <- exp(-Delta_c exp(A_log_{c,n})) h_{c,n} + Delta_c B_n x_c
    y_c = sum_n C_n h_{c,n} + D_c x_c;  r <- r + W_out (y * silu(W_z x̂))

(Gu and Dao 2023, arXiv 2312.00752.) Parameters carry the names of ``transformers``' ``MambaForCausalLM``.

A *signed* block multiplies the gate by a sign that depends on the input, so that a state can be turned over:

    s = tanh(sign_proj dt + b_sign)
    h_{c,n} <- s_c exp(-Delta_c exp(A_log_{c,n})) h_{c,n} + Delta_c B_n x_c

All else is the same (``models.signed_mamba``; negative gates: Grazzi et al. 2024, arXiv 2411.12537).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .classes import ARCHITECTURES
from .classes import model_type_of as model_type_of
from .weights import NamedTensors, common_config, original_config, tensors_of
from .weights import Tensor as Tensor

MAMBA, SIGNED_MAMBA = "mamba", "signed_mamba"
MODEL_TYPES = {kind: ARCHITECTURES[kind].implementation for kind in (MAMBA, SIGNED_MAMBA)}
"""The classes that run such weights, by the ``model_type`` of ``config.json``."""


@dataclass(frozen=True)
class MambaShape:
    """Sizes of a Mamba language model.

    Args:
        d_model: width of the residual stream (``hidden_size``).
        n_layers: number of blocks (``num_hidden_layers``).
        vocab_size: rows of the embedding and of ``lm_head``.
        expand: d_inner = expand * d_model.
        d_state: states per channel (``state_size``).
        d_conv: taps of the convolution (``conv_kernel``).
        dt_rank: width of the bottleneck before Delta (``time_step_rank``).
        signed: whether the gates have signs.
    """

    d_model: int
    n_layers: int
    vocab_size: int
    expand: int = 1
    d_state: int = 1
    d_conv: int = 2
    dt_rank: int = 1
    signed: bool = False

    @property
    def model_type(self) -> str:
        """The ``model_type`` of ``config.json``."""
        return SIGNED_MAMBA if self.signed else MAMBA

    @property
    def architecture(self) -> str:
        """The name of the class that runs such weights."""
        return MODEL_TYPES[self.model_type].rpartition(".")[2]

    @property
    def d_inner(self) -> int:
        """Channels per block."""
        return self.expand * self.d_model

    def block_tensors(self) -> dict[str, tuple[int, ...]]:
        """Names (inside one block) and shapes of its parameters."""
        d, c, n, r = self.d_model, self.d_inner, self.d_state, self.dt_rank
        sign = {"mixer.sign_proj.weight": (c, r), "mixer.sign_proj.bias": (c,)} if self.signed else {}
        return {
            "norm.weight": (d,),
            "mixer.in_proj.weight": (2 * c, d),
            "mixer.conv1d.weight": (c, 1, self.d_conv),
            "mixer.conv1d.bias": (c,),
            "mixer.x_proj.weight": (r + 2 * n, c),
            "mixer.dt_proj.weight": (c, r),
            "mixer.dt_proj.bias": (c,),
            **sign,
            "mixer.A_log": (c, n),
            "mixer.D": (c,),
            "mixer.out_proj.weight": (d, c),
        }

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of all parameters."""
        return tensors_of(self)

    def transformers_config(self, *, pad: int, bos: int, eos: int) -> dict[str, Any]:
        """The ``config.json`` of the model's class, with the ids of the special tokens."""
        return {
            "architectures": [self.architecture],
            "model_type": self.model_type,
            "dtype": "float32",
            "vocab_size": self.vocab_size,
            "hidden_size": self.d_model,
            "intermediate_size": self.d_inner,
            "expand": self.expand,
            "state_size": self.d_state,
            "conv_kernel": self.d_conv,
            "time_step_rank": self.dt_rank,
            "num_hidden_layers": self.n_layers,
            **common_config(pad=pad, bos=bos, eos=eos),
        }

    def mamba_ssm_config(self) -> dict[str, Any]:
        """The ``config.json`` that ``mamba_ssm``'s ``MambaLMHeadModel.from_pretrained`` reads.

        Raises:
            ValueError: the gates have signs, which that package does not know.
        """
        if self.signed:
            raise ValueError("mamba_ssm has no blocks with signed gates; run these weights with transformers")
        layer = {
            "layer": "Mamba1",
            "d_state": self.d_state,
            "d_conv": self.d_conv,
            "expand": self.expand,
            "dt_rank": self.dt_rank,
        }
        return original_config(self, layer)


@dataclass(frozen=True, eq=False)
class MambaWeights(NamedTensors):
    """Parameters of a Mamba language model, float32, by name; the arrays are read-only.

    Raises:
        ValueError: names or shapes differ from what ``shape`` says.
    """

    shape: MambaShape

    def mamba_ssm_config(self) -> dict[str, Any] | None:
        """The ``config.json`` that ``mamba_ssm`` reads; None if the gates have signs, which it does not know."""
        return None if self.shape.signed else self.shape.mamba_ssm_config()

    def __str__(self) -> str:
        s, kind = self.shape, "Signed Mamba" if self.shape.signed else "Mamba"
        return (
            f"{kind}: {s.n_layers} blocks, d_model {s.d_model}, d_inner {s.d_inner}, d_state {s.d_state}, "
            f"d_conv {s.d_conv}, dt_rank {s.dt_rank}, {self.n_parameters:,} parameters, {self.n_nonzero:,} not zero"
        )
