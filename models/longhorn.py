"""Longhorn (Liu et al. 2024, arXiv 2407.14207) as a ``transformers`` model: an SSM layer that learns online.

Each channel's state predicts the channel's input from a key, and each step of it is one of online regression, solved
in closed form:

    beta = sigmoid(dt_proj dt),  Delta_c = beta_c / (1 + beta_c |k|^2)
    h_{c,n} <- (1 - Delta_c k_n^2) h_{c,n} + Delta_c k_n x_c
    y_c = sum_n q_n h_{c,n} + D_c x_c

where dt, k, q = x_proj x. All else is Mamba's (``models.block``), with k in the place of B and q in that of C, and no
A_log: how fast a state forgets is decided by how large the key is. So the gates lie between 0 and 1, and a layer can do
what Mamba's can: star-free languages, by stacking. How it runs, with and without a cache: ``models.own_mamba``.

Importing this module registers both classes with ``AutoConfig`` and ``AutoModelForCausalLM``.

>>> model = LonghornForCausalLM(LonghornConfig(vocab_size=8, hidden_size=16, num_hidden_layers=1))
>>> model(input_ids=torch.tensor([[1, 2, 3]])).logits.shape
torch.Size([1, 3, 8])
"""

# transformers annotates its models in part only.
# mypy: disable-error-code="misc, no-any-return, no-untyped-call"

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear
from transformers import AutoConfig, AutoModelForCausalLM, MambaConfig
from transformers import initialization as init

from .mamba import LONGHORN
from .own_mamba import OwnMambaBlock, OwnMambaForCausalLM, OwnMambaMixer, OwnMambaModel

NOT_SPLIT = ["LonghornBlock", "LonghornMixer"]
"""Modules that must stay on one device."""


class LonghornConfig(MambaConfig):
    """The settings of ``transformers``' ``MambaConfig``, under a model type of its own."""

    model_type = LONGHORN


class LonghornMixer(OwnMambaMixer):
    """What a block does between its norm and the residual stream."""

    def change_parameters(self) -> None:
        """See the base class."""
        del self.A_log

    @torch.no_grad()
    def init_mamba_weights(self) -> None:
        """Initial values: Mamba's for D, small ones for dt_proj, and beta = 1/2."""
        reach = float(self.time_step_rank) ** -0.5 * self.config.time_step_scale
        init.uniform_(self.dt_proj.weight, -reach, reach)
        init.zeros_(self.dt_proj.bias)
        init.ones_(self.D)

    def selected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the base class."""
        wide = torch.promote_types(x.dtype, torch.float32)
        dt, k, q = self.x_proj(x).split([self.time_step_rank, self.ssm_state_size, self.ssm_state_size], dim=-1)
        beta = torch.sigmoid((linear(dt, self.dt_proj.weight) + self.dt_proj.bias).to(wide))
        key = k.to(wide)[:, :, None, :]
        delta = beta / (1 + beta * key.square().sum(-1))
        return 1 - delta[..., None] * key.square(), delta[..., None] * key * x.to(wide)[..., None], q


class LonghornBlock(OwnMambaBlock):
    """A block of Longhorn."""

    mixer_class = LonghornMixer


class LonghornModel(OwnMambaModel):
    """Embedding, blocks and the last norm; called as ``transformers``' ``MambaModel``."""

    config: LonghornConfig
    config_class = LonghornConfig
    block_class = LonghornBlock
    _no_split_modules = NOT_SPLIT


class LonghornForCausalLM(OwnMambaForCausalLM):
    """A language model of Longhorn blocks; called, saved and loaded as ``transformers``' ``MambaForCausalLM``.

    Args:
        config: the settings.
    """

    config: LonghornConfig
    config_class = LonghornConfig
    backbone_class = LonghornModel
    _no_split_modules = NOT_SPLIT


AutoConfig.register(LONGHORN, LonghornConfig, exist_ok=True)
AutoModelForCausalLM.register(LonghornConfig, LonghornForCausalLM, exist_ok=True)
