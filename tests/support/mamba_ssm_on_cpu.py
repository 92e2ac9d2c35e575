"""``mamba_ssm`` for ``scancraft conformance`` without a GPU: its Python, with torch stand-ins for its extensions.

    PYTHONPATH=tests/support scancraft conformance mamba_ssm_on_cpu:load

What is real and what is not: ``selective_scan_stand_in``. Each function takes a checkpoint directory:

- ``load``: the fused path; for Mamba-2 checkpoints (``--kind mamba2``) see ``load_triton``;
- ``load_unfused``: separate kernels;
- ``load_without_convolution``: as if ``causal_conv1d`` were not installed, with ``nn.Conv1d``;
- ``load_triton``: the fused path, with the Triton kernels (norm, and the single step) interpreted instead of the
  package's own torch references in their place. A hundred times as slow: choose cases, or ``--quick``. Mamba-2's blocks
  have their scan in Triton and always need it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from selective_scan_stand_in import mamba_ssm_on_cpu, on_cpu
from torch import Tensor

from scancraft.automata.errors import MissingExtraError
from scancraft.conformance.implementations.mamba_ssm import _MambaSsm


class _OnCpu:
    """``mamba_ssm``'s model, inside ``on_cpu`` for as long as it runs."""

    def __init__(self, directory: Path, *, fused: bool, convolution: bool, triton: bool) -> None:
        try:
            mamba_ssm_on_cpu()
        except pytest.skip.Exception as reason:
            raise MissingExtraError(str(reason)) from reason
        self.settings = {"convolution": convolution, "triton": triton}
        with on_cpu(**self.settings):
            self.inner = _MambaSsm(directory, fused=fused)

    def __call__(self, ids: Tensor) -> Tensor:
        with on_cpu(**self.settings):
            return self.inner(ids)

    def prefill(self, ids: Tensor) -> tuple[Tensor, Any]:
        with on_cpu(**self.settings):
            return self.inner.prefill(ids)

    def step(self, ids: Tensor, cache: Any) -> tuple[Tensor, Any]:
        with on_cpu(**self.settings):
            return self.inner.step(ids, cache)


_STAND_IN = "the published package with torch stand-ins for selective_scan_cuda and causal_conv1d"
_REFERENCES = "its own torch references for its Triton kernels"


def load(directory: Path) -> Any:
    return _OnCpu(directory, fused=True, convolution=True, triton=False)


def load_unfused(directory: Path) -> Any:
    return _OnCpu(directory, fused=False, convolution=True, triton=False)


def load_without_convolution(directory: Path) -> Any:
    return _OnCpu(directory, fused=False, convolution=False, triton=False)


def load_triton(directory: Path) -> Any:
    return _OnCpu(directory, fused=True, convolution=True, triton=True)


load.note = f"{_STAND_IN}; fused; {_REFERENCES}"  # type: ignore[attr-defined]
load_unfused.note = f"{_STAND_IN}; separate kernels; {_REFERENCES}"  # type: ignore[attr-defined]
load_without_convolution.note = (  # type: ignore[attr-defined]
    f"the published package with a torch stand-in for selective_scan_cuda, without causal_conv1d; {_REFERENCES}"
)
load_triton.note = f"{_STAND_IN}; fused; its Triton kernels interpreted"  # type: ignore[attr-defined]
