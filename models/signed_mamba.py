"""The signed Mamba block as a ``transformers`` model: Mamba whose gates are multiplied by an input-dependent sign.

    s = tanh(sign_proj dt + b_sign)
    h_{c,n} <- s_c exp(-Delta_c exp(A_log_{c,n})) h_{c,n} + Delta_c B_n x_c

Everything else is ``MambaForCausalLM`` (the formulas: ``models.mamba``), with two more parameters per block:
``mixer.sign_proj.weight`` (d_inner, dt_rank) and ``mixer.sign_proj.bias`` (d_inner,). Gates between -1 and 1 lift the
limit to star-free languages (Grazzi et al. 2024, arXiv 2411.12537): h <- -h on every 1 is PARITY.

How it runs, with and without a cache: ``models.own_mamba``.

Importing this module registers both classes with ``AutoConfig`` and ``AutoModelForCausalLM``.

>>> model = SignedMambaForCausalLM(SignedMambaConfig(vocab_size=8, hidden_size=16, num_hidden_layers=1))
>>> model(input_ids=torch.tensor([[1, 2, 3]])).logits.shape
torch.Size([1, 3, 8])
"""

# transformers annotates its models in part only.
# mypy: disable-error-code="misc, no-any-return, no-untyped-call"

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus
from transformers import AutoConfig, AutoModelForCausalLM, MambaConfig
from transformers import initialization as init

from .mamba import SIGNED_MAMBA
from .own_mamba import OwnMambaBlock, OwnMambaForCausalLM, OwnMambaMixer, OwnMambaModel

INITIAL_SIGN = 3.0
"""Initial b_sign. tanh(3) is 0.995: a fresh model is nearly a Mamba (the sign alone halves a state in 140 steps), and
the slope of tanh is still 0.01, so that signs can be learnt; at 64, where it is exact, the slope is zero."""

NOT_SPLIT = ["SignedMambaBlock", "SignedMambaMixer"]
"""Modules that must stay on one device."""


class SignedMambaConfig(MambaConfig):
    """The settings of ``transformers``' ``MambaConfig``, under a model type of its own."""

    model_type = SIGNED_MAMBA


class SignedMambaMixer(OwnMambaMixer):
    """What a signed block does between its norm and the residual stream."""

    def change_parameters(self) -> None:
        """See the base class."""
        self.sign_proj = nn.Linear(self.time_step_rank, self.intermediate_size, bias=True)

    @torch.no_grad()
    def init_mamba_weights(self) -> None:
        """Mamba's initial values; sign_proj like dt_proj, with a bias that makes every sign nearly +1."""
        super().init_mamba_weights()
        reach = float(self.time_step_rank) ** -0.5 * self.config.time_step_scale
        init.uniform_(self.sign_proj.weight, -reach, reach)
        init.constant_(self.sign_proj.bias, INITIAL_SIGN)

    def selected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the base class."""
        wide = torch.promote_types(x.dtype, torch.float32)
        dt, b, c = self.x_proj(x).split([self.time_step_rank, self.ssm_state_size, self.ssm_state_size], dim=-1)
        # Like transformers' Mamba: the product is rounded before the bias is added.
        delta = softplus(linear(dt, self.dt_proj.weight) + self.dt_proj.bias)
        sign = torch.tanh(linear(dt, self.sign_proj.weight) + self.sign_proj.bias)
        gates = sign[..., None] * torch.exp(delta[..., None] * -torch.exp(self.A_log.to(wide)))
        writes = delta[..., None] * b[:, :, None, :].to(wide) * x[..., None]
        return gates, writes, c


class SignedMambaBlock(OwnMambaBlock):
    """A signed block."""

    mixer_class = SignedMambaMixer


class SignedMambaModel(OwnMambaModel):
    """Embedding, signed blocks and the last norm; called as ``transformers``' ``MambaModel``."""

    config: SignedMambaConfig
    config_class = SignedMambaConfig
    block_class = SignedMambaBlock
    _no_split_modules = NOT_SPLIT


class SignedMambaForCausalLM(OwnMambaForCausalLM):
    """A language model of signed blocks; called, saved and loaded as ``transformers``' ``MambaForCausalLM``.

    Args:
        config: the settings.
    """

    config: SignedMambaConfig
    config_class = SignedMambaConfig
    backbone_class = SignedMambaModel
    _no_split_modules = NOT_SPLIT


AutoConfig.register(SIGNED_MAMBA, SignedMambaConfig, exist_ok=True)
AutoModelForCausalLM.register(SignedMambaConfig, SignedMambaForCausalLM, exist_ok=True)
