"""What all of the checker uses: rejections, files read with suspicion, and digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ...automata.errors import ScancraftError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


LARGEST_JSON = 1 << 28
"""Bytes of a JSON file."""


class RejectedError(ScancraftError):
    """A certificate, or evidence for one, does not prove what it claims."""


class ObligationError(RejectedError):
    """An obligation fails, so that what is proved holds for one implementation only.

    Args:
        name: which.
        where: the first place, with how many instances fail.
    """

    def __init__(self, name: str, where: str) -> None:
        super().__init__(f"obligation {name}: {where}")
        self.name, self.where = name, where


def reject(reason: str) -> NoReturn:
    """Raise :class:`RejectedError`."""
    raise RejectedError(reason)


def need(condition: object, reason: str) -> None:
    """Raise :class:`RejectedError` unless the condition holds."""
    if not condition:
        reject(reason)


def first(bad: Any) -> int:
    """The first position that is True, for a message; -1 if there is none."""
    return next(iter(np.flatnonzero(bad).tolist()), -1)


def same(a: Any, b: Any) -> bool:
    """Whether two values are the same JSON: ``true``, ``1`` and ``1.0``, which Python takes for equal, are not."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


def array(tensor: Any) -> Floats:
    """A parameter in float64."""
    values = tensor.detach().double().numpy() if isinstance(tensor, Tensor) else tensor
    return np.asarray(values, dtype=np.float64)


def bias_of(module: Any, size: int) -> Floats:
    """The bias of a module, zeros if it has none."""
    return np.zeros(size) if module.bias is None else array(module.bias)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object in which no key occurs twice; anything else is a rejection that names the file."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        need(len(dict(pairs)) == len(pairs), f"{path.name}: a key occurs twice in one object")
        return dict(pairs)

    need(path.is_file(), f"{path.name} is missing")
    need(path.stat().st_size <= LARGEST_JSON, f"{path.name} is larger than {LARGEST_JSON:,} bytes")
    try:
        value = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=unique)
    except (OSError, ValueError, RecursionError) as error:
        raise RejectedError(f"{path.name} cannot be read: {error}") from error
    need(isinstance(value, dict), f"{path.name} is no JSON object")
    return dict(value)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file; a file that is none is a rejection."""
    need(path.is_file(), f"{path.name} is missing")
    try:
        return load_file(path)
    except (OSError, ValueError, SafetensorError) as error:
        raise RejectedError(f"{path.name} cannot be read: {error}") from error


# -- digests ------------------------------------------------------------------------------------------------------


def text_digest(value: object, *, ordered: bool = False) -> str:
    """sha256 of canonical JSON; the keys of objects are sorted unless they are in a given order."""
    return hashlib.sha256(json.dumps(value, sort_keys=not ordered, separators=(",", ":")).encode()).hexdigest()


def content_digest(content: Mapping[str, Any]) -> str:
    """sha256 of the text of a certificate without the digest itself (``sha256.content``)."""
    return text_digest({**content, "sha256": {k: v for k, v in content["sha256"].items() if k != "content"}})


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """sha256 of named tensors: name, shape and numbers, little-endian, in the order of the names.

    Numbers are float32 or int64; but in evidence that has float64 they are that.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        kind, wide = ("<f4", torch.float32) if tensor.is_floating_point() else ("<i8", torch.int64)
        if tensor.dtype == torch.float64:
            kind, wide = "<f8", torch.float64
        numbers = tensor.detach().cpu().to(wide).numpy().astype(kind)
        digest.update(f"{name}{list(numbers.shape)}".encode() + numbers.tobytes())
    return digest.hexdigest()
