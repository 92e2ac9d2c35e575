"""Models run without a GPU, whatever kernels for one are installed."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.models.olmo_hybrid import modeling_olmo_hybrid

import scancraft
from scancraft.models.checkpoints.kernels import CHUNKED, RECURRENT


@pytest.mark.skipif(torch.cuda.is_available(), reason="kernels for a GPU may be called")
def test_kernels_for_a_gpu_are_not_called_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scancraft.compile("(aa)*", tmp_path / "even", target="olmo_hybrid")
    for name in (CHUNKED, RECURRENT):
        own = getattr(modeling_olmo_hybrid, name)

        @wraps(own)
        def kernel(*_: Any, **__: Any) -> Any:
            raise RuntimeError("0 active drivers")  # as triton has it

        monkeypatch.setattr(modeling_olmo_hybrid, name, kernel)
    assert scancraft.load(tmp_path / "even").check(max_length=4).agrees
