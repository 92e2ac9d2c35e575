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


def _initial(value: Any) -> bool:
    """For weights that are drawn anew, which none is."""
    return _number(value) and 0 <= value <= 1e6


def _rate(value: Any) -> bool:
    """The same, of which transformers takes the logarithm."""
    return _number(value) and 2.0**-126 <= value <= 1e6


def _epsilon(value: Any) -> bool:
    return _number(value) and 2.0**-126 <= value <= 1


def _switch(value: Any) -> bool:
    return type(value) is bool


def _token(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value <= LARGEST_SIZE)


def _text(value: Any) -> bool:
    return type(value) is str


def _only(*known: Any) -> Test:
    return lambda value: any(type(value) is type(k) and value == k for k in known)


def _unbounded(value: Any) -> bool:
    """The limits of Delta that are none."""
    return type(value) is list and len(value) == 2 and all(type(v) in (int, float) for v in value) and value in LIMITS


LIMITS = [[0, float("inf")], [0, 2.0**127]]


ARCHITECTURES = {
    "mamba": "MambaForCausalLM",
    "signed_mamba": "SignedMambaForCausalLM",
    "longhorn": "LonghornForCausalLM",
    "falcon_mamba": "FalconMambaForCausalLM",
    "mamba2": "Mamba2ForCausalLM",
    "olmo_hybrid": "OlmoHybridForCausalLM",
}
GENERIC: dict[str, Test] = {
    "architectures": lambda value: type(value) is list and len(value) == 1 and _text(value[0]),
    "model_type": _text,
    "dtype": _only("float32", "bfloat16", "float64"),  # what transformers loads the model in, unless it is told
    "transformers_version": _text,
    **dict.fromkeys(("vocab_size", "hidden_size", "num_hidden_layers"), _size),
    "hidden_act": _only("silu"),
    "use_cache": _switch,
    "tie_word_embeddings": _only(False),
    **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), _token),
    "initializer_range": _initial,
    # What every configuration of transformers can say, as it says it by default.
    "_name_or_path": lambda value: _text(value) and len(value) <= 1000,
    **dict.fromkeys(("output_hidden_states", "output_attentions", "is_encoder_decoder"), _only(False)),
    "return_dict": _only(True),
    "chunk_size_feed_forward": _only(0),
    "problem_type": _only(None),
    "id2label": _only({"0": "LABEL_0", "1": "LABEL_1"}),
    "label2id": _only({"LABEL_0": 0, "LABEL_1": 1}),
}
COMMON: dict[str, Test] = GENERIC | {
    **dict.fromkeys(("state_size", "conv_kernel"), _size),
    "expand": lambda value: _size(value) and value <= 1 << 10,
    "layer_norm_epsilon": _epsilon,
    "residual_in_fp32": _switch,
    **dict.fromkeys(("rescale_prenorm_residual", "use_bias"), _only(False)),
    "use_conv_bias": _only(True),
    "time_step_floor": _initial,
    **dict.fromkeys(("time_step_min", "time_step_max"), _rate),
}
LAYERS = ("linear_attention", "full_attention")
HEADS = ("linear_num_key_heads", "linear_num_value_heads", "linear_key_head_dim", "linear_value_head_dim")
OF_HYBRID: dict[str, Test] = {
    **dict.fromkeys((*HEADS, "intermediate_size", "num_attention_heads", "num_key_value_heads"), _size),
    "linear_conv_kernel_dim": lambda value: _size(value) and value <= 1 << 10,
    "linear_allow_neg_eigval": _switch,
    "layer_types": lambda value: type(value) is list and all(_text(kind) and kind in LAYERS for kind in value),
    "rms_norm_eps": _epsilon,
    "attention_bias": _only(False),
    "attention_dropout": lambda value: _number(value) and 0 <= value <= 1,  # while training
    "max_position_embeddings": _size,
    "rope_parameters": _only(None, *({"rope_type": "default", "rope_theta": at} for at in (None, 1e4, 5e5))),
    # Of weights that are drawn anew.
    **dict.fromkeys(("linear_a_log_min", "linear_a_log_max"), _initial),
    **dict.fromkeys(("linear_dt_min", "linear_dt_max", "linear_dt_init_floor"), _rate),
}
OF_MAMBA: dict[str, Test] = {
    "intermediate_size": _size,
    "time_step_rank": _size,
    "time_step_scale": _initial,
    **dict.fromkeys(("use_mambapy", "use_associative_scan"), _switch),
    "time_step_init_scheme": _only("random", "constant"),
}
KEYS: dict[str, dict[str, Test]] = {
    "mamba": COMMON | OF_MAMBA,
    "signed_mamba": COMMON | OF_MAMBA,
    "longhorn": COMMON | OF_MAMBA,
    "falcon_mamba": COMMON | OF_MAMBA | {"mixer_rms_eps": COMMON["layer_norm_epsilon"]},
    "mamba2": COMMON
    | dict.fromkeys(("num_heads", "head_dim", "n_groups", "time_step_rank", "intermediate_size"), _size)
    | {
        "chunk_size": lambda value: _size(value) and value <= LONGEST_CHUNK,
        "time_step_limit": _unbounded,
    },
    "olmo_hybrid": GENERIC | OF_HYBRID,
}
"""Per model type: each key that may occur, and which values it may have."""


SPEAKS_OF = {
    "float32": ("float32", "float64"),
    "bfloat16": ("bfloat16", "float32", "float64"),
    "float16": ("float16", "float32", "float64"),
}
"""The formats that "the stated dtype or a wider one" means, by the stated one."""


def why_not_loaded(stated: str, scope: str, config: dict[str, Any]) -> str:
    """Why a certificate does not speak of the model in the format in which transformers loads it; "" if it does."""
    loaded = config.get("dtype", "float32")
    covered = (stated,) if scope == "step" else SPEAKS_OF[stated]
    if loaded in covered:
        return ""
    return f"dtype: {stated} (scope {scope}), but config.json says {loaded}, in which transformers loads the model"


ALWAYS = ("vocab_size", "hidden_size", "num_hidden_layers", "pad_token_id", "bos_token_id", "eos_token_id", "dtype")
SIZES = ("state_size", "conv_kernel", "expand")
SIZES_OF_HYBRID = (
    *HEADS,
    *("linear_conv_kernel_dim", "linear_allow_neg_eigval", "layer_types"),
    *("intermediate_size", "num_attention_heads", "num_key_value_heads"),
)
NEEDED = (*ALWAYS, "architectures", "tie_word_embeddings")
"""Keys whose absence would leave it to transformers what is built; of each kind its sizes, too."""


def decoded(config: dict[str, Any]) -> dict[str, Any]:
    """Infinity in a list, which ``save_pretrained`` writes as an object of its own, as a number."""
    infinity = {"__float__": "Infinity"}
    return {
        key: [float("inf") if type(v) is dict and v == infinity else v for v in value] if type(value) is list else value
        for key, value in config.items()
    }


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
    hybrid = kind == "olmo_hybrid"
    for key in (*NEEDED, *(SIZES_OF_HYBRID if hybrid else SIZES)):
        need(key in config, f"config.json lacks {key}: transformers would choose it by something else")
    need(config["architectures"] == [ARCHITECTURES[str(kind)]], "config.json: architectures names another class")
    if hybrid:
        layers = config["layer_types"]
        need(len(layers) == config["num_hidden_layers"], "config.json: layer_types are not num_hidden_layers")
        width, heads = config["hidden_size"], config["num_attention_heads"]
        whole = width % heads == 0 and heads % config["num_key_value_heads"] == 0
        turned = (config.get("rope_parameters") or {}).get("rope_theta") is not None
        need(whole and not (turned and width // heads % 2), "config.json: such heads of attention cannot be run")
        return
    inner = config["expand"] * config["hidden_size"]
    given = config.get("intermediate_size", inner)
    need(given == inner, f"config.json: intermediate_size is {given}, not expand times hidden_size")
