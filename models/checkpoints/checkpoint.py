"""Standard checkpoints: what ``transformers`` and ``mamba_ssm`` load, beside a manifest that says what it means.

A model that ``mamba_ssm`` does not know (signed gates, Falcon-Mamba's norms) has no copy for it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from .closed import (
    CERTIFICATE,
    CERTIFICATE_EVIDENCE,
    CONFIG,
    GENERATION,
    MANIFEST,
    ORIGINAL,
    ORIGINAL_FILES,
    TOKENIZER,
    TOKENIZER_CONFIG,
    WEIGHTS,
    check_directory,
)
from .files import read_json, replace_directory, replace_file, write_json
from .kernels import without_gpu_kernels
from .tokenizer import build_tokenizer, tokenizer_config

WRITTEN = frozenset(
    {
        *(CONFIG, GENERATION, WEIGHTS, TOKENIZER, TOKENIZER_CONFIG, MANIFEST, CERTIFICATE, CERTIFICATE_EVIDENCE),
        *(f"{ORIGINAL}/{name}" for name in ORIGINAL_FILES),
    }
)
"""Every file that is written here; ``compile -o`` replaces a directory of nothing else."""


def write_checkpoint(
    directory: Path,
    weights: ModelWeights,
    manifest: Mapping[str, Any],
    *,
    bos: str,
    eos: str,
    pad: str,
    spaced: bool,
    spellings: Mapping[str, str] | None = None,
) -> None:
    """Write a complete checkpoint; equal input gives equal bytes.

    ``config.json``, ``generation_config.json``, ``model.safetensors``, the tokenizer, ``scancraft.json`` (the
    manifest), and, if ``mamba_ssm`` knows such models, the same weights as it reads them under ``mamba_ssm/``.

    Args:
        directory: where to.
        weights: of the model.
        manifest: with the ids of the tokens.
        bos, eos, pad: the special tokens.
        spaced: whether words are written with spaces between symbols; else every character is a symbol.
        spellings: from symbol to how it is written in a word, where that differs.

    Raises:
        CheckpointError: the directory is in the way or cannot be written.
    """
    tokens, written = manifest["tokens"], spellings or {}
    ids = {"pad": tokens[pad], "bos": tokens[bos], "eos": tokens[eos]}
    with replace_directory(directory, MANIFEST, WRITTEN) as place, _writing(directory):
        write_json(place / CONFIG, weights.config(**ids))
        write_json(place / GENERATION, {f"{name}_token_id": i for name, i in sorted(ids.items())})
        state = {name: torch.from_numpy(np.array(t)) for name, t in weights.tensors.items()}
        save_file(state, place / WEIGHTS, metadata={"format": "pt"})
        (place / WEIGHTS).chmod(0o644)  # safetensors makes it private to the user
        spelt = {written.get(token, token): number for token, number in tokens.items()}
        tokenizer = build_tokenizer(spelt, bos=bos, eos=eos, pad=pad, spaced=spaced)
        (place / TOKENIZER).write_text(tokenizer.to_str(pretty=True) + "\n", encoding="utf-8")
        write_json(place / TOKENIZER_CONFIG, tokenizer_config(bos=bos, eos=eos, pad=pad))
        write_json(place / MANIFEST, manifest)
        write_original(place / ORIGINAL, weights)


@contextmanager
def _writing(what: str | Path) -> Iterator[None]:
    """Turns what a full or read-only disk lets torch and safetensors raise into a :class:`CheckpointError`."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise CheckpointError(f"cannot write {what}: {reason}") from error


def write_original(place: Path, weights: ModelWeights) -> None:
    """The same weights in the format of ``mamba_ssm``, if it has such blocks."""
    config = weights.mamba_ssm_config()
    if config is None:
        return
    place.mkdir(exist_ok=True)
    write_json(place / "config.json", config)
    # mamba_ssm reads only this pickled format; the tensors in it are plain.
    torch.save({n: torch.from_numpy(np.array(t)) for n, t in weights.mamba_ssm_items()}, place / "pytorch_model.bin")


def write_certificate(directory: Path, content: Mapping[str, Any], evidence: Mapping[str, torch.Tensor]) -> None:
    """Write ``certificate.json`` and ``certificate.safetensors`` into a checkpoint directory, the first one last.

    Raises:
        CheckpointError: the directory cannot be written.
    """
    with _writing(f"the certificate into {directory}"):
        with replace_file(directory / CERTIFICATE_EVIDENCE) as place:
            save_file(dict(evidence), place)
        with replace_file(directory / CERTIFICATE) as place:
            write_json(place, content)


def copy_checkpoint(source: Path, target: Path) -> None:
    """Copy the files of a checkpoint that are ours, the certificate among them.

    Raises:
        CheckpointError: the target is in the way or cannot be written, or a file cannot be read.
    """
    with replace_directory(target, MANIFEST, WRITTEN) as place, _writing(target):
        for name in sorted(WRITTEN):
            if (source / name).is_file():
                (place / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(source / name, place / name)


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a checkpoint.

    Raises:
        CheckpointError: there is none, or it is not the JSON that we write.
    """
    path = directory / MANIFEST
    if not path.is_file():
        raise CheckpointError(f"{directory} holds no {MANIFEST}; give a directory written by `scancraft compile`")
    manifest = read_json(path)
    if not isinstance(manifest, dict) or type(manifest.get("schema_version")) is not int:
        raise CheckpointError(f"{path} is not a scancraft manifest (no schema_version); compile the language again")
    return manifest


def load_model(directory: Path, dtype: torch.dtype = torch.float32) -> Any:
    """The checkpoint as its model type says (a ``MambaForCausalLM``, a ``SignedMambaForCausalLM``, ...), in eval mode.

    Raises:
        CheckpointError: files are missing, truncated, or do not fit each other.
        WeightsError: a weight is NaN or infinite.
        PrecisionError: a weight would become infinite in float16.
    """
    path, weights = directory / CONFIG, directory / WEIGHTS
    settings = check_directory(directory)
    try:
        state = load_file(weights)
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{weights} cannot be loaded ({error}); compile the language again") from error
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{weights}: {name} holds a NaN or an infinity; compile the language again")
    config_class, model_class = model_classes(settings["model_type"])
    if dtype == torch.float16 and any(torch.isinf(tensor.half()).any() for tensor in state.values()):
        check_precision(state, dtype)
    try:
        model: Any = model_class(config_class.from_dict(settings))
        model.load_state_dict(state, strict=True)
    except Exception as error:  # what transformers raises on a configuration that it does not like is not documented
        raise CheckpointError(f"{path} describes no model with these weights ({error})") from error
    return without_gpu_kernels(model.to(dtype=dtype).eval())
