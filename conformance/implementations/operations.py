"""Operations that packages have: of transformers and mambapy in torch, and kernels of mamba_ssm and causal_conv1d."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import silu, softplus

from ...automata.errors import MissingExtraError
from ...models.exports.extra import extra
from ..operations import OPERATIONS
from .base import Implementation, Load

MAMBA = "transformers.models.mamba.modeling_mamba"
MAMBA2 = "transformers.models.mamba2.modeling_mamba2"
TRANSFORMERS = (
    ("selective_scan", MAMBA, "mamba_selective_scan", ("two groups", "constant B and C")),
    ("selective_state_update", MAMBA, "mamba_selective_state_update", ()),
    ("selective_state_update_of_heads", MAMBA2, "mamba2_selective_state_update", ()),
    ("mamba_chunk_scan_combined", MAMBA2, "mamba2_chunk_scan", ("with z",)),
    ("causal_conv1d", MAMBA, "causal_conv1d_fn", ()),
    ("causal_conv1d_update", MAMBA, "causal_conv1d_update", ()),
)
"""The operation, its module and name, and what of mamba_ssm's signature it does not have."""
KERNELS = (
    ("selective_scan", "mamba_ssm.ops.selective_scan_interface", "selective_scan_fn"),
    ("selective_state_update", "mamba_ssm.ops.triton.selective_state_update", "selective_state_update"),
    ("selective_state_update_of_heads", "mamba_ssm.ops.triton.selective_state_update", "selective_state_update"),
    ("mamba_chunk_scan_combined", "mamba_ssm.ops.triton.ssd_combined", "mamba_chunk_scan_combined"),
    ("causal_conv1d", "causal_conv1d", "causal_conv1d_fn"),
    ("causal_conv1d_update", "causal_conv1d", "causal_conv1d_update"),
)


def _imported(module: str, name: str, _: Path) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


def _on_a_gpu(module: str, name: str, _: Path) -> Callable[..., Any]:
    found = partial(getattr(extra(module, module.partition(".")[0], "cuda"), name))
    if not torch.cuda.is_available():
        raise MissingExtraError(f"{module.partition('.')[0]}'s kernels run on a GPU, and there is none here")
    found.device = "cuda"  # type: ignore[attr-defined]
    return found


def _of_mambapy(_: Path) -> Callable[..., Any]:
    block = extra("mambapy.mamba", "mambapy", "mambapy").MambaBlock

    def scan(
        u: Tensor,
        delta: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        D: Tensor | None = None,
        z: Tensor | None = None,
        delta_bias: Tensor | None = None,
        delta_softplus: bool = False,
    ) -> Tensor:
        """Its ``MambaBlock.selective_scan``, which takes Delta as it is, D always, and no gate."""
        step = delta if delta_bias is None else delta + delta_bias[:, None]
        step = softplus(step) if delta_softplus else step
        skip = torch.zeros(u.shape[1]) if D is None else D
        y = block.selective_scan(None, *(v.transpose(1, 2) for v in (u, step)), A, B.mT, C.mT, skip).transpose(1, 2)
        found: Tensor = y if z is None else y * silu(z)
        return found

    return scan


@cache
def _without(operation: str, lacking: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(case.name for case in OPERATIONS[operation].cases(False) if not case.name.endswith(lacking))


def _known() -> Iterator[Implementation]:
    for operation, module, name, lacking in TRANSFORMERS:
        note = f"without {', '.join(lacking)}, which it does not have" if lacking else ""
        some = _without(operation, lacking) if lacking else None
        load = partial(_imported, module, name)
        yield _implementation("transformers", operation, load, some, note)
    lacking = ("two groups", "constant B and C")
    some = _without("selective_scan", lacking)
    yield _implementation("mambapy", "selective_scan", _of_mambapy, some)
    for operation, module, name in KERNELS:
        yield _implementation(module.partition(".")[0], operation, partial(_on_a_gpu, module, name))


def _implementation(
    package: str, operation: str, load: Load, cases: tuple[str, ...] | None = None, note: str = ""
) -> Implementation:
    modes = OPERATIONS[operation].modes
    return Implementation(f"{package}.{operation}", load, operation, modes, cases, note=note)


IMPLEMENTATIONS = tuple(_known())
