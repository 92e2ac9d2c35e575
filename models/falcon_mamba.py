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
from .weights import ModelWeights

FALCON_MAMBA = "falcon_mamba"


@dataclass(frozen=True)
class FalconMambaShape(MambaShape):
    """Sizes of a Falcon-Mamba language model: those of a Mamba without signs."""

    @property
    def model_type(self) -> str:
        """The ``model_type`` of ``config.json``."""
        return FALCON_MAMBA

    def own_config(self) -> dict[str, Any]:
        """See the base class."""
        return super().own_config() | {"mixer_rms_eps": 1e-06}

    def mamba_ssm_layer(self) -> None:
        """``mamba_ssm`` has no such blocks."""


@dataclass(frozen=True, eq=False)
class FalconMambaWeights(ModelWeights):
    """Parameters of a Falcon-Mamba language model."""

    shape: FalconMambaShape
