"""Standard checkpoints: what ``transformers`` and ``mamba_ssm`` load, beside a manifest that says what it means.

A model that ``mamba_ssm`` does not know (signed gates, Falcon-Mamba's norms) has no copy for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..classes import model_classes
from ..errors import CheckpointError, WeightsError
from ..precision import check_precision
from ..weights import ModelWeights
from .files import replace_directory, replace_file, write_json
from .tokenizer import build_tokenizer, tokenizer_config

MANIFEST = "scancraft.json"
ORIGINAL = "mamba_ssm"
CERTIFICATE, CERTIFICATE_EVIDENCE = "certificate.json", "certificate.safetensors"


def write_checkpoint(
    directory: Path,
    weights: ModelWeights,
    manifest: Mapping[str, Any],
    *,
    bos: str,
    eos: str,
    pad: str,
    spaced: bool,
) -> None:
    """Write a complete checkpoint; equal input gives equal bytes.

    ``config.json``, ``generation_config.json``, ``model.safetensors``, the tokenizer, ``scancraft.json`` (the
    manifest), and, if ``mamba_ssm`` knows such models, the same weights as it reads them under ``mamba_ssm/``.

    Raises:
        CheckpointError: the directory is in the way or cannot be written.
    """
    tokens = manifest["tokens"]
    ids = {"pad": tokens[pad], "bos": tokens[bos], "eos": tokens[eos]}
    with replace_directory(directory, MANIFEST) as place:
        write_json(place / "config.json", weights.config(**ids))
        write_json(place / "generation_config.json", {f"{name}_token_id": i for name, i in sorted(ids.items())})
        state = {name: torch.from_numpy(np.array(t)) for name, t in weights.tensors.items()}
        save_file(state, place / "model.safetensors", metadata={"format": "pt"})
        (place / "model.safetensors").chmod(0o644)  # safetensors makes it private to the user
        tokenizer = build_tokenizer(tokens, bos=bos, eos=eos, pad=pad, spaced=spaced)
        (place / "tokenizer.json").write_text(tokenizer.to_str(pretty=True) + "\n", encoding="utf-8")
        write_json(place / "tokenizer_config.json", tokenizer_config(bos=bos, eos=eos, pad=pad))
        write_json(place / MANIFEST, manifest)
        _write_original(place / ORIGINAL, weights)


def _write_original(place: Path, weights: ModelWeights) -> None:
    """The same weights in the format of ``mamba_ssm``, if it has such blocks."""
    config = weights.mamba_ssm_config()
    if config is None:
        return
    place.mkdir()
    write_json(place / "config.json", config)
    # mamba_ssm reads only this pickled format; the tensors in it are plain.
    torch.save({n: torch.from_numpy(np.array(t)) for n, t in weights.mamba_ssm_items()}, place / "pytorch_model.bin")


def write_certificate(directory: Path, content: Mapping[str, Any], evidence: Mapping[str, torch.Tensor]) -> None:
    """Write ``certificate.json`` and ``certificate.safetensors`` into a checkpoint directory, the first one last.

    Raises:
        CheckpointError: the directory cannot be written.
    """
    try:
        with replace_file(directory / CERTIFICATE_EVIDENCE) as place:
            save_file(dict(evidence), place)
            place.chmod(0o644)
        with replace_file(directory / CERTIFICATE) as place:
            write_json(place, content)
    except OSError as error:
        raise CheckpointError(f"cannot write the certificate into {directory}: {error.strerror}") from error


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a checkpoint.

    Raises:
        CheckpointError: there is none, or it is not the JSON that we write.
    """
    path = directory / MANIFEST
    if not path.is_file():
        raise CheckpointError(f"{directory} holds no {MANIFEST}; give a directory written by `scancraft compile`")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is not readable JSON ({error}); compile the language again") from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("schema_version"), int):
        raise CheckpointError(f"{path} is not a scancraft manifest (no schema_version); compile the language again")
    return manifest


def _model_type(path: Path) -> str:
    """The model type that a ``config.json`` names, one of those that have a class (``models.classes``).

    Raises:
        CheckpointError: it names none of them, or is not JSON.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} describes no model ({error}); compile the language again") from error
    try:
        model_classes(str(found))
    except KeyError:
        raise CheckpointError(
            f"{path} has model_type {found!r}; neither scancraft nor transformers has such a language model: compile "
            "the language again"
        ) from None
    return str(found)


def load_model(directory: Path, dtype: torch.dtype = torch.float32) -> Any:
    """The checkpoint as its model type says (a ``MambaForCausalLM``, a ``SignedMambaForCausalLM``, ...), in eval mode.

    Raises:
        CheckpointError: files are missing, truncated, or do not fit each other.
        WeightsError: a weight is NaN or infinite.
        PrecisionError: a weight would become infinite in float16.
    """
    weights = directory / "model.safetensors"
    path = directory / "config.json"
    for needed in (path, weights):
        if not needed.is_file():
            raise CheckpointError(f"{needed} is missing; give a directory written by `scancraft compile`")
    try:
        state = load_file(weights)
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{weights} cannot be loaded ({error}); compile the language again") from error
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{weights}: {name} holds a NaN or an infinity; compile the language again")
    config_class, model_class = model_classes(_model_type(path))
    try:
        settings = config_class.from_pretrained(str(directory))
        with torch.device("meta"):  # takes no memory, whatever sizes the configuration asks for
            outline: Any = model_class(settings)
    except Exception as error:  # what transformers raises on a malformed configuration is not documented
        raise CheckpointError(f"{path} describes no model ({error}); compile the language again") from error
    config = outline.config
    stored = str(getattr(config, "dtype", None)).removeprefix("torch.")
    if config.tie_word_embeddings or stored not in ("None", "float32", "bfloat16", "float64"):
        raise CheckpointError(
            f"{path} has tie_word_embeddings {config.tie_word_embeddings} and dtype {stored}; "
            "these weights need untied embeddings and float32, bfloat16 or float64: compile the language again"
        )
    if dtype == torch.float16 and any(torch.isinf(tensor.half()).any() for tensor in state.values()):
        check_precision(state, dtype)
    try:
        outline.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        raise CheckpointError(f"{weights} does not fit config.json: {error}") from error
    model: Any = model_class(settings)
    model.load_state_dict(state, strict=True)
    return model.to(dtype=dtype).eval()
