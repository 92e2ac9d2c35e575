"""What decides which model is built from a directory: a closed set of files, configuration keys and tensors.

``from_pretrained`` follows much that a directory may hold: other weights or another configuration that ``config.json``
names, adapters, shards, code, flags that change weights after loading. Whoever judges a checkpoint by what it *looked
at* can be deceived by what it did not. So a directory is only accepted if everything in it is known here, each
configuration key with its type, its range and, where it changes what is computed, its value; and if the weights are
exactly the tensors that the configuration implies. Whatever else there is is named and refused, and nothing is
allocated before. The keys are those that ``save_pretrained`` of ``transformers`` 5.17 to 5.24 writes.

Checkpoints with a manifest (``scancraft.json``) are held to what ``compile`` writes; models from elsewhere, which
``refute`` takes, may use all that their classes offer. Kinds that other packages register (``models.classes``) may
use what their configuration class knows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..classes import ARCHITECTURES
from ..errors import CheckpointError
from ..olmo_hybrid import OLMO_HYBRID, OlmoHybridShape
from .files import parse_json, read_json
from .keys import GENERATION_KEYS, KEYS, LEGACY, NEEDED, NEEDED_OF_OURS, OURS, Rule, keys_of

CONFIG, WEIGHTS, GENERATION, MANIFEST = "config.json", "model.safetensors", "generation_config.json", "scancraft.json"
TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
CERTIFICATE, CERTIFICATE_EVIDENCE = "certificate.json", "certificate.safetensors"
ORIGINAL, ORIGINAL_FILES = "mamba_ssm", ("config.json", "pytorch_model.bin")
TRAINING = "training.json"
READOUT = "readout.json"

MODEL_FILES = frozenset({CONFIG, WEIGHTS, GENERATION, TOKENIZER, TOKENIZER_CONFIG, "special_tokens_map.json"})
"""What ``save_pretrained`` of a model and a tokenizer writes; transformers reads them."""

OUR_FILES = frozenset({MANIFEST, CERTIFICATE, CERTIFICATE_EVIDENCE, TRAINING})
"""What scancraft writes beside them; only scancraft reads them."""

NOT_READ = frozenset({"README.md", "LICENSE", ".gitattributes", ".gitignore", ".git", ".cache"})
"""What people and the Hub put into such a directory; nothing reads them."""

FOREIGN_FILES = frozenset(
    {
        *("vocab.json", "merges.txt", "added_tokens.json", "tokenizer.model", "chat_template.jinja"),  # of tokenizers
        READOUT,  # which tokens a language is spoken in, for scancraft
        *("trainer_state.json", "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth"),  # of a Trainer
    }
)
"""What else stands beside models from elsewhere; ``from_pretrained`` of a model does not read them."""

UNFINISHED = re.compile(r"\.(certificate\.(json|safetensors))\.[^.]*")
"""A certificate that another process is just writing (``files.replace_file``)."""

LARGEST_HEADER = 100_000_000
"""Bytes of the header of a safetensors file; the format's own limit."""


def check_directory(directory: Path) -> dict[str, Any]:
    """The configuration in a directory, of which everything is known. Reads no tensor's numbers.

    O(size of the JSON files and of the header of the weights).

    Raises:
        CheckpointError: a file, a key or a tensor is missing, is not known, or is not what it must be.
    """
    ours = (directory / MANIFEST).exists()
    _check_files(directory, ours)
    config = {key: _decoded(value) for key, value in _object(directory / CONFIG).items()}
    _check_configuration(directory / CONFIG, config, ours)
    if (directory / GENERATION).is_file():
        generation = _object(directory / GENERATION)
        _check_keys(directory / GENERATION, generation, GENERATION_KEYS)
        for key in ("bos_token_id", "eos_token_id", "pad_token_id") if ours else ():
            if generation.get(key) != config[key]:
                raise CheckpointError(
                    f"{directory / GENERATION} has {key} {_short(generation.get(key))}, {CONFIG} {config[key]}"
                )
    if (directory / TOKENIZER_CONFIG).is_file() and "auto_map" in _object(directory / TOKENIZER_CONFIG):
        raise CheckpointError(f"{directory / TOKENIZER_CONFIG} has auto_map, which asks for code from the checkpoint")
    _check_tensors(directory / WEIGHTS, config)
    return config


def _check_files(directory: Path, ours: bool) -> None:
    known = MODEL_FILES | OUR_FILES | NOT_READ | (frozenset() if ours else FOREIGN_FILES)
    try:
        names = sorted(entry.name for entry in directory.iterdir())
        inside = sorted(p.name for p in (directory / ORIGINAL).iterdir()) if (directory / ORIGINAL).is_dir() else []
    except OSError as error:
        raise CheckpointError(f"{directory} cannot be read: {error.strerror}") from error
    for name in names:
        if name in (known - NOT_READ) and not (directory / name).is_file():
            raise CheckpointError(f"{directory / name} is not a regular file")
        if name not in known and not UNFINISHED.fullmatch(name) and not (name == ORIGINAL and inside):
            raise CheckpointError(_stray(directory, name))
    for name in inside:
        if name not in ORIGINAL_FILES or not (directory / ORIGINAL / name).is_file():
            raise CheckpointError(_stray(directory, f"{ORIGINAL}/{name}"))
    if CONFIG not in names:
        raise CheckpointError(f"{directory / CONFIG} is missing; give a directory that holds a model")


def _stray(directory: Path, name: str) -> str:
    return (
        f"{directory} holds {name!r}, which is no part of a checkpoint; it could change what transformers loads: move "
        "it elsewhere"
    )


def _object(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is no JSON object; compile the language again")
    return content


def _decoded(value: Any) -> Any:
    """Infinity, which transformers writes as an object of its own in a list of numbers, as a number."""
    if isinstance(value, list):
        return [math.inf if type(v) is dict and v == {"__float__": "Infinity"} else v for v in value]
    return value


def _check_configuration(path: Path, config: Mapping[str, Any], ours: bool) -> None:
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in ARCHITECTURES:
        raise CheckpointError(f"{path} has model_type {_short(kind)}; known are {', '.join(ARCHITECTURES)}")
    known = keys_of(kind)
    _check_keys(path, config, known | ({} if ours else LEGACY))
    if ours:
        _check_keys(path, {key: config[key] for key in OURS if key in config}, OURS)
    needed = NEEDED_OF_OURS if ours else NEEDED
    if missing := [key for key in needed if key in known and key not in config]:
        raise CheckpointError(f"{path} lacks {', '.join(missing)}")
    if config.get("architectures") not in (None, [ARCHITECTURES[kind].model]):
        raise CheckpointError(
            f"{path} has architectures {_short(config['architectures'])}, not {ARCHITECTURES[kind].model}"
        )
    if kind == OLMO_HYBRID:
        _check_layers(path, config, ours)
        return
    inner = config.get("expand", 1) * config.get("hidden_size", 1)
    if kind in KEYS and config.get("intermediate_size", inner) != inner:
        raise CheckpointError(
            f"{path} has intermediate_size {config['intermediate_size']}, not expand times hidden_size"
        )
    if kind == "mamba2" and config.get("num_heads", 0) * config.get("head_dim", 0) != inner:
        raise CheckpointError(f"{path}: num_heads times head_dim is not expand times hidden_size")


def _check_layers(path: Path, config: Mapping[str, Any], ours: bool) -> None:
    """Of OLMo Hybrid: the layers are as many as there are; of ours, nothing but sizes is up to the checkpoint."""
    if "intermediate_size" not in config:
        raise CheckpointError(f"{path} lacks intermediate_size")
    if len(config["layer_types"]) != config["num_hidden_layers"]:
        raise CheckpointError(f"{path} has {len(config['layer_types'])} layer_types, not num_hidden_layers")
    for key, value in OlmoHybridShape.of(config).own_config().items() if ours else ():
        if key in config and config[key] != value:
            raise CheckpointError(f"{path} has {key} {_short(config[key])}; in a compiled model it is {_short(value)}")


def _check_keys(path: Path, found: Mapping[str, Any], rules: Mapping[str, Rule]) -> None:
    for key, value in found.items():
        rule = rules.get(key)
        if rule is None:
            raise CheckpointError(
                f"{path} has the key {_short(key)}, which is not known and could change what transformers builds; "
                "remove it"
            )
        if not rule.holds(value):
            raise CheckpointError(f"{path} has {key} {_short(value)}; it must be {rule.words}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


# -- tensors ---------------------------------------------------------------------------------------------------------


def read_header(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Names, dtypes (F32, BF16, ...) and shapes of the tensors in a safetensors file.

    Raises:
        CheckpointError: it is not one.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            raw = file.read(length) if length <= LARGEST_HEADER else b""
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    if not raw or len(raw) != length:
        raise CheckpointError(f"{path} is no safetensors file, or is cut short; compile the language again")
    try:
        entries = dict(parse_json(raw.decode("utf-8")))
        entries.pop("__metadata__", None)
        return {str(name): (str(e["dtype"]), tuple(map(int, e["shape"]))) for name, e in entries.items()}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CheckpointError(f"{path} has a malformed header ({error}); compile the language again") from error


def expected_tensors(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the parameters that a configuration implies, which must be one that was checked."""
    if config["model_type"] == OLMO_HYBRID:
        shape = OlmoHybridShape.of(config)
        ours = all(config.get(key, value) == value for key, value in shape.own_config().items())
        return shape.tensors() if ours else _tensors_of_class(config)
    if config["model_type"] not in KEYS:
        return _tensors_of_class(config)
    d, n, taps = config["hidden_size"], config["state_size"], config["conv_kernel"]
    c = config["expand"] * d
    bias, conv_bias = config.get("use_bias", False), config.get("use_conv_bias", True)
    block: dict[str, tuple[int, ...]] = {"norm.weight": (d,), "mixer.out_proj.weight": (d, c)}
    if config["model_type"] == "mamba2":
        heads, channels = config["num_heads"], c + 2 * config.get("n_groups", 8) * n
        rows = c + channels + heads
        block |= dict.fromkeys(("mixer.dt_bias", "mixer.A_log", "mixer.D"), (heads,))
        block |= {"mixer.norm.weight": (c,)}
    else:
        given = config.get("time_step_rank", "auto")
        rank = math.ceil(d / 16) if given == "auto" else given
        rows, channels = 2 * c, c
        block |= {"mixer.x_proj.weight": (rank + 2 * n, c), "mixer.D": (c,)}
        block |= {} if config["model_type"] == "longhorn" else {"mixer.A_log": (c, n)}
        for name in ("dt_proj", *(["sign_proj"] if config["model_type"] == "signed_mamba" else [])):
            block |= {f"mixer.{name}.weight": (c, rank), f"mixer.{name}.bias": (c,)}
    block |= {"mixer.in_proj.weight": (rows, d), "mixer.conv1d.weight": (channels, 1, taps)}
    block |= {"mixer.in_proj.bias": (rows,), "mixer.out_proj.bias": (d,)} if bias else {}
    block |= {"mixer.conv1d.bias": (channels,)} if conv_bias else {}
    vocabulary = (config["vocab_size"], d)
    expected = {"backbone.embeddings.weight": vocabulary, "backbone.norm_f.weight": (d,), "lm_head.weight": vocabulary}
    for layer in range(config["num_hidden_layers"]):
        expected |= {f"backbone.layers.{layer}.{name}": shape for name, shape in block.items()}
    return expected


def _tensors_of_class(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The same of a registered kind of model: those of its class, for which no memory is taken."""
    import torch

    config_class, model_class = ARCHITECTURES[config["model_type"]].classes()
    try:
        with torch.device("meta"):
            model = model_class(config_class.from_dict(dict(config)))
    except Exception as error:  # of a class that we do not know
        raise CheckpointError(f"config.json describes no {model_class.__name__} ({error})") from error
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def _check_tensors(path: Path, config: Mapping[str, Any]) -> None:
    """Raise :class:`CheckpointError` unless a file holds exactly the tensors that the configuration implies."""
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; give a directory that holds a model")
    found = read_header(path)
    if config["num_hidden_layers"] > len(found):
        raise CheckpointError(
            f"{path} does not fit config.json: {len(found)} tensors for num_hidden_layers {config['num_hidden_layers']}"
        )
    expected = expected_tensors(config)
    alone = config["model_type"] in ("mamba2", OLMO_HYBRID)  # the default of these is not to tie
    tied = {"lm_head.weight"} if config.get("tie_word_embeddings", not alone) else set()
    for name in [*expected, *found]:
        if name not in found and name in tied:
            continue
        if name not in expected or name not in found:
            what = "is missing" if name in expected else "is not known"
            raise CheckpointError(f"{path} does not fit config.json: the tensor {_short(name)} {what}")
        if found[name][1] != expected[name]:
            raise CheckpointError(
                f"{path} does not fit config.json: {name} has shape {found[name][1]}, not {expected[name]}"
            )
    if "dtype" in config and (kinds := {kind for kind, _ in found.values()} - {"F32", "BF16", "F16", "F64"}):
        raise CheckpointError(f"{path} has tensors of dtype {', '.join(sorted(kinds))}; floats are needed")
