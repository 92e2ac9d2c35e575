"""Compiled weights in the classes of the package ``mamba_ssm``: ``MambaLMHeadModel`` and single ``Mamba`` blocks.

Models of the target mamba2 load as well, with ``Mamba2`` blocks, whose scan is Triton's on every device.

The package is imported when a function here is called. On a GPU its classes run the CUDA selective scan, causal-conv1d,
and one fused function for a whole block where both are there; without a GPU they do not run at all (the tests bring a
stand-in for the extensions, ``tests/support/selective_scan_stand_in.py``).

A forward pass has two ways through a block: the fused one, and the one with separate kernels, which is taken too
whenever states are wanted. Continuing takes one token at a time: the package refuses more.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...automata.errors import MissingExtraError
from ..errors import CheckpointError, ReadoutError
from ..mamba import MambaWeights
from ..weights import ModelWeights
from .closed import ORIGINAL

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
"""What the kernels take. (float64 they refuse.)"""


def _package(name: str = "mamba_ssm") -> Any:
    """A module of the package.

    Raises:
        MissingExtraError: it, or an extension that it needs, is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"mamba_ssm cannot be imported ({error}); on a machine with an NVIDIA GPU: pip install 'scancraft[cuda]'"
        ) from error


def load_mamba_ssm(
    directory: Path, *, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu", fused: bool = True
) -> Any:
    """The ``MambaLMHeadModel`` of a checkpoint that ``scancraft compile`` wrote, by the package's own loader.

    Args:
        directory: the checkpoint, its folder ``mamba_ssm``, or what ``scancraft export --to mamba_ssm`` wrote.
        dtype: of the parameters; the package keeps A_log and D in float32.
        device: where to.
        fused: whether blocks may use the fused path. False: separate kernels.

    Raises:
        CheckpointError: there are no weights for mamba_ssm (a signed model has none), or they do not fit.
        MissingExtraError: mamba_ssm is not installed.
        ReadoutError: a dtype that its kernels do not take.
    """
    _check_dtype(dtype)
    place = directory / ORIGINAL if (directory / ORIGINAL).is_dir() else directory
    for needed in (place / "config.json", place / "pytorch_model.bin"):
        if not needed.is_file():
            raise CheckpointError(
                f"{needed} is missing; give a directory written by `scancraft compile` (models with signed gates, and "
                "of other targets than mamba, have no copy for mamba_ssm)"
            )
    package = _package()
    try:
        model: Any = package.MambaLMHeadModel.from_pretrained(str(place), device=str(device), dtype=dtype)
    except (RuntimeError, ValueError, TypeError, EOFError) as error:
        raise CheckpointError(f"{place} cannot be loaded: {error}; compile the language again") from error
    return _ready(model, fused)


def build_mamba_ssm(
    weights: ModelWeights,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    fused: bool = True,
) -> Any:
    """The same from weights in memory. See :func:`load_mamba_ssm`."""
    _check(weights, dtype)
    package, config = _package(), _package("mamba_ssm.models.config_mamba")
    settings = config.MambaConfig(**(weights.mamba_ssm_config() or {}))
    model: Any = package.MambaLMHeadModel(settings, device=str(device), dtype=dtype)
    model.load_state_dict({name: torch.from_numpy(np.array(t)) for name, t in weights.mamba_ssm_items()}, strict=True)
    return _ready(model, fused)


def build_block(
    weights: MambaWeights,
    layer: int,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    fused: bool = True,
) -> Any:
    """One block as a ``mamba_ssm.Mamba``: from normalised inputs (batch, time, d_model) to what the stream gains."""
    _check(weights, dtype)
    shape = weights.shape
    block: Any = _package().Mamba(
        shape.d_model,
        d_state=shape.d_state,
        d_conv=shape.d_conv,
        expand=shape.expand,
        dt_rank=shape.dt_rank,
        layer_idx=layer,
        use_fast_path=fused,
        device=str(device),
        dtype=dtype,
    )
    tensors = {n.removeprefix("mixer."): t for n, t in weights.block(layer).items() if n.startswith("mixer.")}
    block.load_state_dict({name: torch.from_numpy(np.array(t)) for name, t in tensors.items()}, strict=True)
    return block.eval()


def _check(weights: ModelWeights, dtype: torch.dtype) -> None:
    _check_dtype(dtype)
    if weights.shape.mamba_ssm_layer() is None:
        raise CheckpointError(
            "mamba_ssm has no blocks with signed gates or Falcon's norms; use the weights' own class (build_model)"
        )


def _check_dtype(dtype: torch.dtype) -> None:
    if dtype not in DTYPES:
        raise ReadoutError(
            f"the kernels of mamba_ssm take float32, bfloat16 and float16, not {dtype}; choose one of these"
        )


def _ready(model: Any, fused: bool) -> Any:
    for layer in model.backbone.layers:
        name = "use_mem_eff_path" if hasattr(layer.mixer, "use_mem_eff_path") else "use_fast_path"  # Mamba2, Mamba
        setattr(layer.mixer, name, fused)
    return model.eval()


class Session:
    """A sequence, or a batch of sequences of one length, that goes on token by token: a prefill, then steps.

    Args:
        model: a ``MambaLMHeadModel``.
        batch: rows.
        longest: tokens in all (mamba_ssm asks for it; Mamba's states do not depend on it).
    """

    def __init__(self, model: Any, batch: int = 1, longest: int = 1 << 30) -> None:
        self._model, self._batch = model, batch
        self._state = _package("mamba_ssm.utils.generation").InferenceParams(max_seqlen=longest, max_batch_size=batch)

    @property
    def tokens(self) -> int:
        """Tokens so far."""
        return int(self._state.seqlen_offset)

    def feed(self, ids: Tensor) -> Tensor:
        """Logits (batch, time, vocabulary) of more tokens (batch, time); the first call prefills, later ones step.

        Raises:
            ReadoutError: another number of rows, or no token.
        """
        if ids.dim() != 2 or ids.shape[0] != self._batch or ids.shape[1] == 0:
            raise ReadoutError(
                f"token ids have shape {tuple(ids.shape)}; this session takes ({self._batch}, at least 1)"
            )
        parts = [ids] if self.tokens == 0 else list(torch.split(ids, 1, dim=1))
        logits = []
        with torch.inference_mode():
            for part in parts:
                logits.append(self._model(part, inference_params=self._state).logits)
                self._state.seqlen_offset += part.shape[1]
        return torch.cat(logits, dim=1)
