"""The shape of a Falcon-Mamba language model: Mamba with norms on dt, B and C.

Per block, as in ``models.mamba``, but

    dt, B, C = split(x_proj x);  dt, B, C <- rms(dt), rms(B), rms(C);  Delta = softplus(dt_proj dt + b_dt)

with rms(v) = v / sqrt(mean(v^2) + epsilon), which has no weights (Zuo et al. 2024, arXiv 2410.05355). Parameters carry
the names of ``transformers``' ``FalconMambaForCausalLM``, which are those of ``MambaForCausalLM``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .mamba import MambaShape
from .weights import NamedTensors

FALCON_MAMBA = "falcon_mamba"


@dataclass(frozen=True)
class FalconMambaShape(MambaShape):
    """Sizes of a Falcon-Mamba language model: those of a Mamba without signs."""

    @property
    def model_type(self) -> str:
        """The ``model_type`` of ``config.json``."""
        return FALCON_MAMBA

    @property
    def architecture(self) -> str:
        """The name of the class that runs such weights."""
        return "FalconMambaForCausalLM"

    def transformers_config(self, *, pad: int, bos: int, eos: int) -> dict[str, Any]:
        """The ``config.json`` of ``FalconMambaForCausalLM``."""
        return super().transformers_config(pad=pad, bos=bos, eos=eos) | {"mixer_rms_eps": 1e-06}


@dataclass(frozen=True, eq=False)
class FalconMambaWeights(NamedTensors):
    """Parameters of a Falcon-Mamba language model, float32, by name; the arrays are read-only.

    Raises:
        ValueError: names or shapes differ from what ``shape`` says.
    """

    shape: FalconMambaShape

    def __str__(self) -> str:
        s = self.shape
        return (
            f"Falcon-Mamba: {s.n_layers} blocks, d_model {s.d_model}, d_inner {s.d_inner}, d_state {s.d_state}, "
            f"d_conv {s.d_conv}, dt_rank {s.dt_rank}, {self.n_parameters:,} parameters, {self.n_nonzero:,} not zero"
        )
