"""What a refutation says: its version, its sentence, and the digests that name a model and a state."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from ...certify.checker.parts import Floats

VERSION = 2
"""Of the file. Version 1 was about batches of one row."""
DTYPES = ("float32", "bfloat16", "float16", "float64")


def claim(start: int, observed: str, period: int, offsets: Sequence[int]) -> str:
    """The sentence that a refutation can support."""
    known = {"accepts": "whether the word may end", "class": "its class", "allowed": "which tokens may come next"}
    what = known[observed]
    return (
        f"for every n >= {start}, the model is wrong after x w^n y about {what}, if n modulo {period} is one of: "
        f"{', '.join(map(str, offsets))}"
    )


def state_digest(state: Floats) -> str:
    """The sha256 of a state: its numbers as little-endian float64, -0.0 as +0.0."""
    return hashlib.sha256((state + 0.0).astype("<f8").tobytes()).hexdigest()


def weights_digest(model: Any) -> str:
    """sha256 of the parameters: for each, by name, its name, dtype, shape, and numbers as little-endian float64."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        kind = str(tensor.dtype).removeprefix("torch.")
        digest.update(f"{name} {kind} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().double().contiguous().numpy().astype("<f8").tobytes())
    return digest.hexdigest()
