"""What our own model classes have in common with ``transformers``' Mamba: all but how a state goes on.

A block reads its convolution as Mamba does; a subclass of :class:`OwnMambaMixer` says which gates, writes and read-outs
it selects. The forward pass is plain torch, hence runs and trains anywhere, and takes O(batch * time * d_inner *
(d_state + d_model)) work. Numbers are rounded to the model's dtype where ``transformers``' Mamba rounds them in a full
pass, in a single step too. With a cache any number of tokens continue where the last ones ended (``transformers``' own
CPU Mamba goes on from a cache by single tokens only).
"""

# transformers annotates its models in part only.
# mypy: disable-error-code="misc, no-any-return, no-untyped-call"

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import MambaForCausalLM, MambaModel
from transformers.models.mamba.modeling_mamba import MambaBlock, MambaMixer, MambaPreTrainedModel, MambaRMSNorm


class OwnMambaMixer(MambaMixer):
    """What a block does between its norm and the residual stream, given what it selects.

    Args:
        config: the settings.
        layer_idx: the number of the block, which is its place in a cache.
        initialize_mixer_weights: draw initial weights, as in ``transformers``' mixer.
    """

    def __init__(self, config: Any, layer_idx: int, initialize_mixer_weights: bool = True) -> None:
        super().__init__(config, layer_idx, initialize_mixer_weights=False)
        self.change_parameters()
        if initialize_mixer_weights and self.dt_proj.weight.device.type != "meta":
            self.init_mamba_weights()

    def change_parameters(self) -> None:
        """Add parameters that a Mamba has not, and drop those that this kind has not."""
        raise NotImplementedError

    def selected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gates and writes, shape (batch, time, d_inner, d_state), float32 at least, and what reads the state.

        Args:
            x: the activated convolution, shape (batch, time, d_inner).

        Returns:
            The gates, the writes, and C, shape (batch, time, d_state), of x's dtype.
        """
        raise NotImplementedError

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
        gates, writes, c = self.selected(x)
        states = recurrence(gates, writes, start)
        if cache is not None:
            cache.update_recurrent_state(states[:, -1], self.layer_idx)
        read = torch.matmul(states.to(dtype), c[..., None])[..., 0]
        y = (read + x * self.D.to(gates.dtype)) * self.act(z)
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


def recurrence(gates: Tensor, writes: Tensor, start: Tensor | None) -> Tensor:
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


class OwnMambaBlock(MambaBlock):
    """A block: norm, mixer, and the sum with the residual stream."""

    mixer_class: ClassVar[type[OwnMambaMixer]]

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        self.mixer = self.mixer_class(config, layer_idx, initialize_mixer_weights=False)


class OwnMambaModel(MambaModel):
    """Embedding, blocks and the last norm; called as ``transformers``' ``MambaModel``."""

    block_class: ClassVar[type[OwnMambaBlock]]

    def __init__(self, config: Any) -> None:
        MambaPreTrainedModel.__init__(self, config)  # MambaModel's own would build blocks of the other kind first
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(self.block_class(config, i) for i in range(config.num_hidden_layers))
        self.gradient_checkpointing = False
        self.norm_f = MambaRMSNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.post_init()


class OwnMambaForCausalLM(MambaForCausalLM):
    """A language model of such blocks; called, saved and loaded as ``transformers``' ``MambaForCausalLM``."""

    backbone_class: ClassVar[type[OwnMambaModel]]

    def __init__(self, config: Any) -> None:
        MambaPreTrainedModel.__init__(self, config)
        self.backbone = self.backbone_class(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()
