"""The signed Mamba block as a ``transformers`` model: Mamba whose gates are multiplied by an input-dependent sign.

    s = tanh(sign_proj dt + b_sign)
    h_{c,n} <- s_c exp(-Delta_c exp(A_log_{c,n})) h_{c,n} + Delta_c B_n x_c

Everything else is ``MambaForCausalLM`` (the formulas: ``models.mamba``), with two more parameters per block:
``mixer.sign_proj.weight`` (d_inner, dt_rank) and ``mixer.sign_proj.bias`` (d_inner,). Gates between -1 and 1 lift the
limit to star-free languages (Grazzi et al. 2024, arXiv 2411.12537): h <- -h on every 1 is PARITY.

The forward pass is plain torch, hence runs and trains anywhere, and takes O(batch * time * d_inner * (d_state +
d_model)) work. Numbers are rounded to the model's dtype where ``transformers``' Mamba rounds them in a full pass, in a
single step too. With a cache any number of tokens continue where the last ones ended (``transformers``' own CPU Mamba
goes on from a cache by single tokens only).

Importing this module registers both classes with ``AutoConfig`` and ``AutoModelForCausalLM``.

>>> model = SignedMambaForCausalLM(SignedMambaConfig(vocab_size=8, hidden_size=16, num_hidden_layers=1))
>>> model(input_ids=torch.tensor([[1, 2, 3]])).logits.shape
torch.Size([1, 3, 8])
"""

# transformers annotates its models in part only.
# mypy: disable-error-code="misc, no-any-return, no-untyped-call"

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad, softplus
from transformers import AutoConfig, AutoModelForCausalLM, MambaConfig, MambaForCausalLM, MambaModel
from transformers import initialization as init
from transformers.models.mamba.modeling_mamba import MambaBlock, MambaMixer, MambaPreTrainedModel, MambaRMSNorm

from .mamba import SIGNED_MAMBA

INITIAL_SIGN = 3.0
"""Initial b_sign. tanh(3) is 0.995: a fresh model is nearly a Mamba (the sign alone halves a state in 140 steps), and
the slope of tanh is still 0.01, so that signs can be learnt; at 64, where it is exact, the slope is zero."""

NOT_SPLIT = ["SignedMambaBlock", "SignedMambaMixer"]
"""Modules that must stay on one device."""


class SignedMambaConfig(MambaConfig):
    """The settings of ``transformers``' ``MambaConfig``, under a model type of its own."""

    model_type = SIGNED_MAMBA


class SignedMambaMixer(MambaMixer):
    """What a signed block does between its norm and the residual stream.

    Args:
        config: the settings.
        layer_idx: the number of the block, which is its place in a cache.
        initialize_mixer_weights: draw initial weights, as in ``transformers``' mixer.
    """

    def __init__(self, config: SignedMambaConfig, layer_idx: int, initialize_mixer_weights: bool = True) -> None:
        super().__init__(config, layer_idx, initialize_mixer_weights=False)
        self.sign_proj = nn.Linear(self.time_step_rank, self.intermediate_size, bias=True)
        if initialize_mixer_weights and self.dt_proj.weight.device.type != "meta":
            self.init_mamba_weights()

    @torch.no_grad()
    def init_mamba_weights(self) -> None:
        """Mamba's initial values; sign_proj like dt_proj, with a bias that makes every sign nearly +1."""
        super().init_mamba_weights()
        reach = float(self.time_step_rank) ** -0.5 * self.config.time_step_scale
        init.uniform_(self.sign_proj.weight, -reach, reach)
        init.constant_(self.sign_proj.bias, INITIAL_SIGN)

    def forward(
        self,
        hidden_states: Tensor,
        cache_params: Any = None,
        attention_mask: Tensor | None = None,
        cache: Any = None,
        **kwargs: Any,
    ) -> Tensor:
        """The block's contribution to the residual stream, shape (batch, time, d_model), of the input's dtype.

        Args:
            hidden_states: normed residual stream, shape (batch, time, d_model).
            cache_params: a ``transformers`` cache; read if an earlier call filled it, and brought up to date.
            cache: the same, as ``transformers`` calls it from 5.24 on.
            attention_mask: shape (batch, at least time), 0 at padding; the last columns count. As in Mamba, padding
                writes nothing to a state, but the gate of an empty input acts on it, so pad on the left.
            kwargs: ignored.
        """
        cache = cache_params if cache is None else cache
        dtype, time = hidden_states.dtype, hidden_states.shape[1]
        mask = None if attention_mask is None else attention_mask[:, -time:, None].to(dtype)
        hidden = hidden_states if mask is None else hidden_states * mask
        u, z = self.in_proj(hidden).chunk(2, dim=-1)
        start = self._state(cache)  # before the convolution marks the cache as filled
        x = self.act(self._convolved(u, cache))
        x = x if mask is None else x * mask
        dt, b, c = self.x_proj(x).split([self.time_step_rank, self.ssm_state_size, self.ssm_state_size], dim=-1)
        # Like transformers' Mamba: the product is rounded before the bias is added.
        delta = softplus(linear(dt, self.dt_proj.weight) + self.dt_proj.bias)
        sign = torch.tanh(linear(dt, self.sign_proj.weight) + self.sign_proj.bias)
        wide = torch.promote_types(dtype, torch.float32)
        gates = sign[..., None] * torch.exp(delta[..., None] * -torch.exp(self.A_log.to(wide)))
        writes = delta[..., None] * b[:, :, None, :].to(wide) * x[..., None]
        states = _recurrence(gates, writes, start)
        if cache is not None:
            cache.update_recurrent_state(states[:, -1], self.layer_idx)
        read = torch.matmul(states.to(dtype), c[..., None])[..., 0]
        y = (read + x * self.D.to(wide)) * self.act(z)
        out: Tensor = self.out_proj(y.to(dtype))
        return out

    def _state(self, cache: Any) -> Tensor | None:
        """The SSM state in a cache, shape (batch, d_inner, d_state); None at the start of a sequence."""
        if cache is None or not cache.has_previous_state(self.layer_idx):
            return None
        # The cache is overwritten in place; gradients may still need what it held.
        state: Tensor = cache.layers[self.layer_idx].recurrent_states[0].clone()
        return state

    def _convolved(self, u: Tensor, cache: Any) -> Tensor:
        """The causal convolution of u, shape (batch, time, d_inner), after what a cache holds of earlier inputs."""
        time, window = u.shape[1], u.transpose(1, 2)
        if cache is not None:
            window = cache.update_conv_state(window, self.layer_idx, conv_kernel_size=self.conv_kernel_size)
        window = pad(window, (self.conv_kernel_size - 1, 0))
        out = nn.functional.conv1d(window, self.conv1d.weight, self.conv1d.bias, groups=self.intermediate_size)
        return out[..., -time:].transpose(1, 2)


def _recurrence(gates: Tensor, writes: Tensor, start: Tensor | None) -> Tensor:
    """All states of h <- g h + w, one step after another, shape (batch, time, d_inner, d_state).

    Args:
        gates: g, of that shape, float32 or float64.
        writes: w, likewise.
        start: the state before the first step, shape (batch, d_inner, d_state); None for zero.
    """
    state = torch.zeros_like(writes[:, 0]) if start is None else start.to(writes.dtype)
    states = []
    for gate, write in zip(gates.unbind(1), writes.unbind(1), strict=True):
        state = gate * state + write
        states.append(state)
    return torch.stack(states, dim=1)


class SignedMambaBlock(MambaBlock):
    """A signed block: norm, mixer, and the sum with the residual stream."""

    def __init__(self, config: SignedMambaConfig, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        self.mixer = SignedMambaMixer(config, layer_idx, initialize_mixer_weights=False)


class SignedMambaModel(MambaModel):
    """Embedding, signed blocks and the last norm; called as ``transformers``' ``MambaModel``."""

    config: SignedMambaConfig
    config_class = SignedMambaConfig
    _no_split_modules = NOT_SPLIT

    def __init__(self, config: SignedMambaConfig) -> None:
        MambaPreTrainedModel.__init__(self, config)  # MambaModel's own would build blocks of the other kind first
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(SignedMambaBlock(config, i) for i in range(config.num_hidden_layers))
        self.gradient_checkpointing = False
        self.norm_f = MambaRMSNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.post_init()


class SignedMambaForCausalLM(MambaForCausalLM):
    """A language model of signed blocks; called, saved and loaded as ``transformers``' ``MambaForCausalLM``.

    Args:
        config: the settings.
    """

    config: SignedMambaConfig
    config_class = SignedMambaConfig
    _no_split_modules = NOT_SPLIT

    def __init__(self, config: SignedMambaConfig) -> None:
        MambaPreTrainedModel.__init__(self, config)
        self.backbone = SignedMambaModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()


AutoConfig.register(SIGNED_MAMBA, SignedMambaConfig, exist_ok=True)
AutoModelForCausalLM.register(SignedMambaConfig, SignedMambaForCausalLM, exist_ok=True)
