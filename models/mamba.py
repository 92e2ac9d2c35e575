"""The shapes of Mamba language models, plain, signed, Falcon's and Longhorn's, and the names of their parameters.

``models.block.mamba`` has the formulas. A *signed* block multiplies the gate by a sign that depends on the input, so
that a state can be turned over (``models.signed_mamba``); Falcon-Mamba norms dt, B and C, without weights; Longhorn
forgets by its keys, not by a rate of its own (``models.longhorn``). Parameters
carry the names of ``transformers``' ``MambaForCausalLM``, which are those of ``FalconMambaForCausalLM``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .classes import ARCHITECTURES
from .classes import model_type_of as model_type_of
from .weights import ModelShape, ModelWeights
from .weights import Tensor as Tensor

MAMBA, SIGNED_MAMBA, FALCON_MAMBA, LONGHORN = "mamba", "signed_mamba", "falcon_mamba", "longhorn"
MODEL_TYPES = {kind: ARCHITECTURES[kind].implementation for kind in (MAMBA, SIGNED_MAMBA)}
"""The classes that run ``MambaWeights``, by the ``model_type`` of ``config.json``."""


@dataclass(frozen=True)
class MambaShape(ModelShape):
    """Sizes of a Mamba language model.

    Args:
        dt_rank: width of the bottleneck before Delta (``time_step_rank``).
        signed: whether the gates have signs.
    """

    dt_rank: int = 1
    signed: bool = False

    @property
    def model_type(self) -> str:
        """The ``model_type`` of ``config.json``."""
        return SIGNED_MAMBA if self.signed else MAMBA

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

    def own_config(self) -> dict[str, Any]:
        """See the base class."""
        return {"intermediate_size": self.d_inner, "time_step_rank": self.dt_rank}

    def mamba_ssm_layer(self) -> dict[str, Any] | None:
        """The arguments of ``mamba_ssm``'s Mamba; None if the gates have signs, which it does not know."""
        sizes = {"d_state": self.d_state, "d_conv": self.d_conv, "expand": self.expand, "dt_rank": self.dt_rank}
        return None if self.signed else {"layer": "Mamba1", **sizes}


@dataclass(frozen=True, eq=False, repr=False)
class MambaWeights(ModelWeights):
    """Parameters of a Mamba language model, signed or not."""

    shape: MambaShape


@dataclass(frozen=True)
class FalconMambaShape(MambaShape):
    """Sizes of a Falcon-Mamba language model: those of a Mamba without signs. Its weights are ``ModelWeights``."""

    @property
    def model_type(self) -> str:
        """The ``model_type`` of ``config.json``."""
        return FALCON_MAMBA

    def own_config(self) -> dict[str, Any]:
        """See the base class."""
        return super().own_config() | {"mixer_rms_eps": 1e-06}

    def mamba_ssm_layer(self) -> None:
        """``mamba_ssm`` has no such blocks."""


@dataclass(frozen=True)
class LonghornShape(MambaShape):
    """Sizes of a Longhorn model: those of a Mamba, of which it has all parameters but A_log."""

    @property
    def model_type(self) -> str:
        """The ``model_type`` of ``config.json``."""
        return LONGHORN

    def block_tensors(self) -> dict[str, tuple[int, ...]]:
        """Names (inside one block) and shapes of its parameters."""
        return {name: size for name, size in super().block_tensors().items() if name != "mixer.A_log"}

    def mamba_ssm_layer(self) -> None:
        """``mamba_ssm`` has no such blocks."""
