"""Whether weights survive in a number format: what is refused before a model of that dtype is built.

A compiled model is exact in a dtype if every parameter is a number of that dtype and every reachable activation and sum
is, too. The second is argued by the construction (``docs/precision.md``) and proved per model by a certificate; the
first is looked at here, and is what fails in float16, whose numbers end at 65504 and at 2^-24: the constant 2^40 of the
norms becomes infinite and the 2^-30 of a latch becomes 0. The same rounding to bfloat16 changes nothing, since every
parameter has at most 8 significant bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..automata.errors import ScancraftError

FORMATS: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
}
"""The dtypes that models are built in, by the names that checkpoints and the command line use."""


class PrecisionError(ScancraftError):
    """A model was asked for in a dtype that cannot hold its weights."""


@dataclass(frozen=True)
class Rounded:
    """A parameter that a dtype cannot hold.

    Attributes:
        name: of the tensor.
        index: of the first entry that changes.
        value: what it is.
        becomes: what the dtype makes of it.
        entries: how many entries of the tensor change.
    """

    name: str
    index: tuple[int, ...]
    value: float
    becomes: float
    entries: int


def rounded_parameters(tensors: Mapping[str, Any], dtype: torch.dtype) -> Iterator[Rounded]:
    """The parameters (arrays or torch tensors) that change in ``dtype``. O(number of weights); -0.0 counts as 0."""
    for name, tensor in tensors.items():
        exact = (
            torch.as_tensor(np.array(tensor)).double() if isinstance(tensor, np.ndarray) else tensor.detach().double()
        )
        narrow = exact.to(dtype).double()
        different = (narrow != exact).nonzero()
        if len(different):
            index = tuple(int(i) for i in different[0])
            yield Rounded(name, index, float(exact[index]), float(narrow[index]), len(different))


def check_precision(tensors: Mapping[str, Any], dtype: torch.dtype) -> None:
    """Refuse weights that ``dtype`` cannot hold. O(number of weights).

    Raises:
        PrecisionError: a parameter would be rounded; says which, and what to do.
    """
    found = next(rounded_parameters(tensors, dtype), None)
    if found is None:
        return
    name = str(dtype).removeprefix("torch.")
    place = f"{found.name}[{', '.join(map(str, found.index))}]"
    remedy = (
        'compile it for float16 (`scancraft compile --dtype float16`, compile(..., dtype="float16")), which cascades '
        "allow and the constructions with counters or latches do not, or use float32 or bfloat16"
        if dtype == torch.float16
        else "use float32"
    )
    raise PrecisionError(
        f"{name} cannot hold the weights: {place} = {found.value:g} would become {found.becomes:g}, so the model would "
        f"answer wrongly; {remedy}"
    )
