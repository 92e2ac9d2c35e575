"""What ``config.json`` may say: every key that decides what is computed, with its type and range.

Numbers and switches of another type are refused, even where Python would take them (true for 1, 2.0 for 2): another
library may not. So is every key that is not named here: it could change the model in a way that nothing here looks at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .blocks_mamba2 import LONGEST_CHUNK
from .parts import need

Test = Callable[[Any], bool]
LARGEST_SIZE = 1 << 24
"""Of anything that is counted; transformers allocates as much."""


def _size(value: Any) -> bool:
    return type(value) is int and 1 <= value <= LARGEST_SIZE


def _number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < float("inf")


def _switch(value: Any) -> bool:
    return type(value) is bool


def _token(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value <= LARGEST_SIZE)


def _text(value: Any) -> bool:
    return type(value) is str


def _only(*known: Any) -> Test:
    return lambda value: any(type(value) is type(k) and value == k for k in known)


ARCHITECTURES = {
    "mamba": "MambaForCausalLM",
    "signed_mamba": "SignedMambaForCausalLM",
    "falcon_mamba": "FalconMambaForCausalLM",
    "mamba2": "Mamba2ForCausalLM",
}
COMMON: dict[str, Test] = {
    "architectures": lambda value: type(value) is list and len(value) == 1 and _text(value[0]),
    "model_type": _text,
    "dtype": _only("float32", "bfloat16", "float64"),  # what transformers loads the model in, unless it is told
    "transformers_version": _text,
    **dict.fromkeys(("vocab_size", "hidden_size", "state_size", "num_hidden_layers", "conv_kernel"), _size),
    "expand": lambda value: _number(value) and 0 < value <= LARGEST_SIZE,
    "hidden_act": _only("silu"),
    "layer_norm_epsilon": lambda value: _number(value) and 2.0**-126 <= value <= 2.0**120,
    **dict.fromkeys(("residual_in_fp32", "use_bias", "use_conv_bias", "use_cache"), _switch),
    **dict.fromkeys(("tie_word_embeddings", "rescale_prenorm_residual"), _only(False)),
    **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), _token),
    "initializer_range": _number,
    **dict.fromkeys(("time_step_scale", "time_step_min", "time_step_max", "time_step_floor"), _number),
}
OF_MAMBA: dict[str, Test] = {
    "intermediate_size": _size,
    "time_step_rank": _size,
    **dict.fromkeys(("use_mambapy", "use_associative_scan"), _switch),
    "time_step_init_scheme": _only("random", "constant"),
}
KEYS: dict[str, dict[str, Test]] = {
    "mamba": COMMON | OF_MAMBA,
    "signed_mamba": COMMON | OF_MAMBA,
    "falcon_mamba": COMMON | OF_MAMBA | {"mixer_rms_eps": COMMON["layer_norm_epsilon"]},
    "mamba2": COMMON
    | dict.fromkeys(("num_heads", "head_dim", "n_groups", "time_step_rank"), _size)
    | {
        "chunk_size": lambda value: _size(value) and value <= LONGEST_CHUNK,
        "rms_norm": _only(True),
        "time_step_limit": lambda value: type(value) is list and len(value) == 2 and all(map(_bound, value)),
    },
}
"""Per model type: each key that may occur, and which values it may have."""


def _bound(value: Any) -> bool:
    return type(value) in (int, float) and value == value


def check_configuration(config: dict[str, Any]) -> None:
    """Reject a configuration with a key that is not known, or a value of another type or out of range."""
    kind = config.get("model_type")
    need(
        type(kind) is str and kind in KEYS, f"config.json: the model_type {kind!r} is unknown; known: {', '.join(KEYS)}"
    )
    known = KEYS[str(kind)]
    for key, value in config.items():
        need(key in known, f"config.json: unknown key {key!r}")
        need(known[key](value), f"config.json: {key} is {value!r:.100}, which is not allowed")
    for key in ("dtype", "architectures"):
        need(key in config, f"config.json lacks {key}: transformers would choose it by something else")
    need(config["architectures"] == [ARCHITECTURES[str(kind)]], "config.json: architectures names another class")
    need("tie_word_embeddings" in config, "config.json: it does not say that embeddings and lm_head are not tied")
