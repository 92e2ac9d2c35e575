"""The keys that may stand in a ``config.json``, each with its type, its range and, where it matters, its value.

``models.checkpoints.closed`` says why.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..classes import ARCHITECTURES
from ..mamba2 import UNLIMITED


@dataclass(frozen=True)
class Rule:
    """What a value must be.

    Attributes:
        holds: whether a value, as JSON gives it, is one.
        words: the same in words.
    """

    holds: Callable[[Any], bool]
    words: str


def whole(low: int, high: int) -> Rule:
    """An int (no bool) in a range."""
    return Rule(lambda v: type(v) is int and low <= v <= high, f"a whole number from {low:,} to {high:,}")


def number(low: float, high: float) -> Rule:
    """A finite number in a range."""
    return Rule(
        lambda v: type(v) in (int, float) and math.isfinite(v) and low <= v <= high, f"a number from {low} to {high}"
    )


def one_of(*values: Any) -> Rule:
    """One of some values, of the same type."""
    known = " or ".join(map(repr, values))
    return Rule(lambda v: any(type(v) is type(value) and v == value for value in values), known)


def either(*rules: Rule) -> Rule:
    """What one of them allows."""
    return Rule(lambda v: any(rule.holds(v) for rule in rules), " or ".join(rule.words for rule in rules))


def _step_limit(value: Any) -> bool:
    numbers = isinstance(value, list) and len(value) == 2 and all(type(v) in (int, float) for v in value)
    return numbers and 0 <= value[0] <= value[1] and math.isfinite(value[0])


FLAG, NONE = one_of(False, True), one_of(None)
TEXT = Rule(lambda v: isinstance(v, str) and len(v) <= 1000, "a text")
ID = either(NONE, whole(0, 1 << 24))
IDS = Rule(lambda v: isinstance(v, list) and all(type(i) is int and i >= 0 for i in v), "a list of token ids")
INITIAL, RATE = number(0, 1e6), number(2.0**-126, 1e6)
EPSILON = number(2.0**-126, 1)
AUTO = one_of("auto")

GENERIC: dict[str, Rule] = {
    "model_type": Rule(lambda v: isinstance(v, str) and v in ARCHITECTURES, "a known kind of model"),
    "architectures": either(NONE, Rule(lambda v: isinstance(v, list) and len(v) == 1, "a list of one class")),
    "transformers_version": TEXT,
    "_name_or_path": TEXT,
    "dtype": either(NONE, one_of("float32", "bfloat16", "float16", "float64")),
    "output_hidden_states": one_of(False),
    "output_attentions": one_of(False),
    "return_dict": one_of(True),
    "chunk_size_feed_forward": one_of(0),
    "is_encoder_decoder": one_of(False),
    "problem_type": NONE,
    "id2label": one_of({"0": "LABEL_0", "1": "LABEL_1"}),
    "label2id": one_of({"LABEL_0": 0, "LABEL_1": 1}),
    "use_cache": FLAG,
    "tie_word_embeddings": FLAG,
    "pad_token_id": ID,
    "bos_token_id": ID,
    "eos_token_id": either(ID, IDS),
}
"""Keys of every configuration."""

BLOCKS: dict[str, Rule] = {
    "vocab_size": whole(1, 1 << 24),
    "hidden_size": whole(1, 1 << 20),
    "num_hidden_layers": whole(1, 10_000),
    "expand": whole(1, 1 << 10),
    "state_size": whole(1, 1 << 20),
    "conv_kernel": whole(1, 1 << 10),
    "time_step_rank": either(whole(1, 1 << 20), AUTO),
    "hidden_act": one_of("silu", "swish", "gelu", "relu", "tanh", "sigmoid", "linear"),
    "layer_norm_epsilon": number(0, 1),
    "residual_in_fp32": FLAG,
    "use_bias": FLAG,
    "use_conv_bias": FLAG,
    # Only of weights that are drawn anew; but this one changes those that are loaded, so it must be off.
    "rescale_prenorm_residual": one_of(False),
    "initializer_range": INITIAL,
    "time_step_min": RATE,  # transformers takes logarithms of these two
    "time_step_max": RATE,
    "time_step_floor": INITIAL,
}
"""Keys of every kind of Mamba."""

MAMBA: dict[str, Rule] = {
    "intermediate_size": whole(1, 1 << 30),
    "time_step_scale": INITIAL,
    "time_step_init_scheme": one_of("random", "constant"),
    # Ways to train, and to compile: neither changes what a trained model computes.
    "use_mambapy": FLAG,
    "use_associative_scan": FLAG,
}
MAMBA2: dict[str, Rule] = {
    "num_heads": whole(1, 1 << 20),
    "head_dim": whole(1, 1 << 20),
    "n_groups": whole(1, 1 << 20),
    "chunk_size": whole(1, 1 << 16),
    "intermediate_size": whole(1, 1 << 30),
    "time_step_limit": Rule(_step_limit, "two numbers, [low, high]"),
}
FALCON: dict[str, Rule] = {"mixer_rms_eps": number(0, 1)}

LAYERS = ("linear_attention", "full_attention")
OLMO_SIZES = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads"),
    *("linear_num_key_heads", "linear_num_value_heads", "linear_key_head_dim", "linear_value_head_dim"),
)
OLMO: dict[str, Rule] = {
    **dict.fromkeys(OLMO_SIZES, whole(1, 1 << 24)),
    "num_hidden_layers": BLOCKS["num_hidden_layers"],
    "hidden_act": BLOCKS["hidden_act"],
    "rms_norm_eps": number(0, 1),
    "layer_types": Rule(
        lambda v: isinstance(v, list) and all(kind in LAYERS for kind in v), f"a list of {' and '.join(LAYERS)}"
    ),
    "linear_conv_kernel_dim": BLOCKS["conv_kernel"],
    "linear_allow_neg_eigval": FLAG,
    "attention_bias": FLAG,
    "attention_dropout": number(0, 1),  # while training
    "max_position_embeddings": whole(1, 1 << 30),
    "rope_parameters": either(NONE, one_of(*({"rope_type": "default", "rope_theta": at} for at in (None, 1e4, 5e5)))),
    # Only of weights that are drawn anew.
    "initializer_range": number(0, 1),
    **dict.fromkeys(("linear_a_log_min", "linear_a_log_max"), INITIAL),
    **dict.fromkeys(("linear_dt_min", "linear_dt_max", "linear_dt_init_floor"), RATE),
}
"""Keys of OLMo Hybrid."""

KEYS: dict[str, dict[str, Rule]] = {
    "mamba": GENERIC | BLOCKS | MAMBA,
    "signed_mamba": GENERIC | BLOCKS | MAMBA,
    "longhorn": GENERIC | BLOCKS | MAMBA,
    "falcon_mamba": GENERIC | BLOCKS | MAMBA | FALCON,
    "mamba2": GENERIC | BLOCKS | MAMBA2,
    "olmo_hybrid": GENERIC | OLMO,
}
"""Every key that may stand in ``config.json``, by model type."""


def _like(value: Any) -> Rule:
    """Values that are like the default of a class that we do not know."""
    kinds = {bool: FLAG, int: whole(-(1 << 30), 1 << 30), float: number(-1e30, 1e30), str: TEXT}
    return kinds.get(type(value)) or one_of(value)


def keys_of(kind: str) -> dict[str, Rule]:
    """The keys that may stand in the ``config.json`` of a kind of model; registered kinds are asked for theirs."""
    if kind in KEYS:
        return KEYS[kind]
    config, _ = ARCHITECTURES[kind].classes()
    known = BLOCKS | MAMBA | MAMBA2 | FALCON
    return {key: known.get(key) or _like(value) for key, value in config().to_dict().items()} | GENERIC


OURS: dict[str, Rule] = {
    "architectures": Rule(lambda v: isinstance(v, list) and len(v) == 1, "a list of one class"),
    "dtype": one_of("float32", "bfloat16", "float64"),
    "hidden_act": one_of("silu"),
    "layer_norm_epsilon": EPSILON,
    "mixer_rms_eps": EPSILON,
    "rms_norm_eps": EPSILON,
    "use_bias": one_of(False),
    "use_conv_bias": one_of(True),
    "tie_word_embeddings": one_of(False),
    "time_step_rank": whole(1, 1 << 20),
    "n_groups": one_of(1),
    "time_step_limit": one_of([0.0, math.inf], list(UNLIMITED)),
    "pad_token_id": whole(0, 1 << 24),
    "bos_token_id": whole(0, 1 << 24),
    "eos_token_id": whole(0, 1 << 24),
}
"""What a checkpoint with a manifest is held to besides; an absent key has the class's default."""

NEEDED = (
    *("hidden_size", "num_hidden_layers", "vocab_size", "state_size", "conv_kernel", "expand"),
    *(key for key in OLMO if key.startswith("linear_num") or key.endswith(("_dim", "_heads"))),
    "layer_types",
)
"""Keys that must be there, in those kinds that have them: sizes, whose defaults nobody wants."""

NEEDED_OF_OURS = (
    *NEEDED,
    "architectures",
    "dtype",
    "tie_word_embeddings",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
)

LEGACY: dict[str, Rule] = {
    "torch_dtype": one_of("float32", "bfloat16", "float16", "float64"),
    **dict.fromkeys(("d_model", "d_inner", "n_layer", "pad_vocab_size_multiple"), whole(1, 1 << 30)),
    **dict.fromkeys(("rms_norm", "fused_add_norm"), FLAG),
    "ssm_cfg": one_of({}),
}
"""Keys of models that older versions saved; the classes look at the first one only."""

GENERATION_KEYS: dict[str, Rule] = {
    **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), either(ID, IDS)),
    **dict.fromkeys(
        ("_from_model_config", "use_cache", "do_sample", "output_attentions", "output_hidden_states"), FLAG
    ),
    "transformers_version": TEXT,
}
"""Of ``generation_config.json``."""
