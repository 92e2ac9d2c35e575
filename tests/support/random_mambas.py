"""Random Mambas, for the tests of steps and of refutations."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from scancraft.models.classes import model_classes

VOCABULARY = 8
CONFIGS = st.fixed_dictionaries(
    {
        "num_hidden_layers": st.integers(1, 3),
        "hidden_size": st.integers(8, 40),
        "state_size": st.integers(1, 16),
        "conv_kernel": st.integers(2, 4),
        "expand": st.integers(1, 3),
        "use_bias": st.booleans(),
        "use_conv_bias": st.booleans(),
        "residual_in_fp32": st.booleans(),
        "tie_word_embeddings": st.booleans(),
        "hidden_act": st.sampled_from(["silu", "silu", "gelu"]),
    }
)
"""Settings of a small model of an odd shape."""


def random_mamba(seed: int, dtype: torch.dtype = torch.float32, **changes: Any) -> Any:
    """A model with transformers' own initialisation."""
    from transformers import MambaConfig, MambaForCausalLM

    given = {"vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 2, **changes}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MambaForCausalLM(MambaConfig(**given)).to(dtype).eval()


def quick_mamba(seed: int, dtype: torch.dtype = torch.float32, **changes: Any) -> Any:
    """One that forgets fast, so that it settles within some hundred steps."""
    return random_mamba(seed, dtype, **{"time_step_min": 0.5, "time_step_max": 2.0, **changes})


def small_mamba(seed: int, dtype: torch.dtype = torch.float32, **changes: Any) -> Any:
    """One that forgets fast and has four states per channel."""
    return quick_mamba(seed, dtype, **{"state_size": 4, **changes})


def loud_mamba(seed: int, *, signed: bool = False, **changes: Any) -> Any:
    """One with biases and A that are not all alike, and weights that tell a wrong formula from rounding."""
    torch.manual_seed(seed)
    settings = {"vocab_size": 11, "hidden_size": 12, "num_hidden_layers": 2, "time_step_rank": 2} | changes
    config_class, model_class = model_classes("signed_mamba" if signed else "mamba")
    model = model_class(config_class(**settings)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.endswith(
                ("A_log", "norm.weight", "norm_f.weight")
            ):  # the initial weights hardly move the logits
                parameter.add_(0.3 * torch.randn_like(parameter))
            if name.endswith("sign_proj.bias"):  # signs of both kinds
                parameter.copy_(torch.randn_like(parameter))
    return model
