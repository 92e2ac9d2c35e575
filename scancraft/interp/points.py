"""Names of activations: module paths of ``transformers``, and shorter ones in the style of TransformerLens.

A module's path names its output, and the path with ``.input`` its input. What no module of ``transformers`` computes by
itself has a path as if one did: ``backbone.layers.0.mixer.ssm_state``. The short names::

    hook_embed                        the embedding of the tokens
    blocks.0.hook_resid_pre           the residual stream before block 0, and
    blocks.0.hook_resid_post          after it
    blocks.0.norm.hook_out            what the block reads
    blocks.0.mixer.hook_in_proj       the convolution's input, and the gate before silu
    blocks.0.mixer.hook_conv          x, after the convolution and silu
    blocks.0.mixer.hook_x_proj        dt, B and C (not in Mamba-2)
    blocks.0.mixer.hook_dt            Delta, after softplus
    blocks.0.mixer.hook_B, hook_C     as they are used
    blocks.0.mixer.hook_ssm_state     h, shape (batch, time, channels, d_state); heads and head_dim in Mamba-2
    blocks.0.mixer.hook_y             C h + D x
    blocks.0.mixer.hook_gated         what out_proj reads
    blocks.0.mixer.hook_out           what the block adds to the stream
    ln_final.hook_out                 what the head reads
    unembed.hook_out                  the logits

TransformerLens calls them so where it has them (its ``hook_conv`` comes before silu); there a patch of a state changes
one output only, here the recurrence goes on from it.
"""

from __future__ import annotations

import re
from difflib import get_close_matches

from .errors import HookPointError

INSIDE = ("conv", "dt", "B", "C", "ssm_state", "y")
"""What lies between the modules of a mixer."""

_WHOLE = {
    "hook_embed": "backbone.embeddings",
    "ln_final.hook_out": "backbone.norm_f",
    "unembed.hook_out": "lm_head",
}
_BLOCK = {
    "hook_resid_pre": ".input",
    "hook_resid_post": "",
    "norm.hook_out": ".norm",
    "mixer.hook_in_proj": ".mixer.in_proj",
    "mixer.hook_x_proj": ".mixer.x_proj",
    "mixer.hook_gated": ".mixer.out_proj.input",
    "mixer.hook_out": ".mixer",
} | {f"mixer.hook_{name}": f".mixer.{name}" for name in INSIDE}
_SHORT = re.compile(r"blocks\.(\d+)\.(.+)")


def path_of(name: str) -> str:
    """The path that a short name stands for; other names as they are.

    >>> path_of("blocks.0.mixer.hook_gated")
    'backbone.layers.0.mixer.out_proj.input'
    """
    if (match := _SHORT.fullmatch(name)) and match[2] in _BLOCK:
        return f"backbone.layers.{match[1]}{_BLOCK[match[2]]}"
    return _WHOLE.get(name, name)


def short_names(blocks: int) -> tuple[str, ...]:
    """All short names of a model with so many blocks."""
    return (*_WHOLE, *(f"blocks.{n}.{name}" for n in range(blocks) for name in _BLOCK))


def unknown(name: str, known: tuple[str, ...]) -> HookPointError:
    """The error for a name that is none of those known."""
    near = get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]}?" if near else "; scancraft.interp.points lists them"
    return HookPointError(f"there is no hook point {name}{hint}")
