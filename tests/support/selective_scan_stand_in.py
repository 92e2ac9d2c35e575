"""A torch stand-in for the compiled extensions of ``mamba_ssm``, so that its Python and Triton code runs without a GPU.

What is real and what is not, once :func:`mamba_ssm_on_cpu` has returned the published package:

- real: every Python file of the package (``Mamba``, ``Mamba2``, ``MambaLMHeadModel``, ``Block``, ``InferenceParams``,
  the autograd functions, the loaders), and its Triton kernels (RMSNorm with the fused residual,
  ``selective_state_update``, Mamba-2's chunks), which Triton's own interpreter runs on numpy, program by program;
- stand-ins, written here: the extension ``selective_scan_cuda`` and the package ``causal_conv1d``. They follow the
  documented arithmetic of the CUDA kernels (float32 inside, rounded to the input's type at the end; softplus with the
  threshold 20; an associative scan in chunks of 2048 with a carried prefix), and refuse what the kernels refuse. They
  are no substitute for running the kernels: what a GPU does is measured on a GPU (``benchmarks/timings/gpu.py``).

Nothing outside the tests imports this file.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad, silu

SCAN, CONV = "selective_scan_cuda", "causal_conv1d"
FOLDER = Path(os.environ.get("SCANCRAFT_MAMBA_SSM", str(Path(sys.prefix) / "mamba_ssm")))
CHUNK = 2048  # tokens per chunk of the CUDA scan
HALF = (torch.float32, torch.float16, torch.bfloat16)


def mamba_ssm_on_cpu() -> Any:
    """The published package, imported with the stand-ins; skips the calling test module where it is not installed.

    It is looked for in the folder ``mamba_ssm`` of the virtual environment first (``pip install --target``). There
    nothing else sees it: transformers would call its functions, on a CPU too, if it could import them.
    """
    if torch.cuda.is_available():
        pytest.skip("torch sees a GPU: tests/models/test_gpu.py runs the real kernels there", allow_module_level=True)
    if SCAN in sys.modules:
        return sys.modules["mamba_ssm"]
    # transformers decides when its modules are first imported. They are what we compare with: they must not see the
    # stand-ins. (Nor may they import Triton before it is told to interpret.)
    sys.modules["mamba_ssm"] = None  # type: ignore[assignment]  # an import of it fails
    try:
        for name in ("mamba", "mamba2", "falcon_mamba"):
            importlib.import_module(f"transformers.models.{name}.modeling_{name}")
    finally:
        del sys.modules["mamba_ssm"]
    with mock.patch.object(sys, "path", [str(FOLDER), *sys.path]):
        missing = [name for name in ("mamba_ssm", "triton", "einops") if importlib.util.find_spec(name) is None]
        if missing:
            pytest.skip(f"needs {', '.join(missing)}, not installed (docs/gpu.md says how)", allow_module_level=True)
        return _imported()


def _imported() -> Any:
    sys.modules[SCAN] = scan_module()
    convolutions = convolution_modules()
    # Triton decides when a kernel is decorated, that is, on import. One configuration per kernel, so that nothing is
    # timed: there is no driver to time it with.
    settings = {"TRITON_INTERPRET": "1", "MAMBA_DETERMINISTIC": "1"}
    sys.modules.update(convolutions)
    try:
        with mock.patch.dict(os.environ, settings), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module("mamba_ssm")
    finally:
        for name in convolutions:  # transformers would take them for the real thing
            del sys.modules[name]


@contextlib.contextmanager
def on_cpu(*, convolution: bool = True, triton: bool = True) -> Iterator[None]:
    """Runs ``mamba_ssm`` on CPU tensors inside the block.

    Args:
        convolution: with ``causal_conv1d`` (the fused path), or as if it were not installed (``nn.Conv1d``).
        triton: with the Triton kernels, interpreted; or with the package's own torch references in their place (a
            hundred times as fast).
    """
    simple = importlib.import_module("mamba_ssm.modules.mamba_simple")
    norms = importlib.import_module("mamba_ssm.ops.triton.layer_norm")
    with contextlib.ExitStack() as stack:

        def replace(place: Any, **new: Any) -> None:
            for name, value in new.items():
                stack.enter_context(mock.patch.object(place, name, value))

        stack.enter_context(mock.patch.dict(os.environ, {"TRITON_INTERPRET": "1"}))
        # The kernels are launched "on the device of x": there is none to switch to.
        stack.enter_context(mock.patch.object(torch.cuda, "device", return_value=contextlib.nullcontext()))
        if not convolution:
            replace(simple, causal_conv1d_fn=None, causal_conv1d_update=None)
        if not triton:
            for name in ("block", "mixer_seq_simple"):
                folder = "models" if name == "mixer_seq_simple" else "modules"
                replace(importlib.import_module(f"mamba_ssm.{folder}.{name}"), layer_norm_fn=_reference_norm)
            replace(norms, rms_norm_fn=_reference_rms_norm)
            replace(simple, selective_state_update=None)
        yield


def _reference_norm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    residual: Tensor | None = None,
    eps: float = 1e-6,
    prenorm: bool = False,
    residual_in_fp32: bool = False,
    is_rms_norm: bool = False,
) -> Any:
    norms = importlib.import_module("mamba_ssm.ops.triton.layer_norm")
    reference = norms.rms_norm_ref if is_rms_norm else norms.layer_norm_ref
    y = reference(x, weight, bias, residual=residual, eps=eps, upcast=True)
    if not prenorm:
        return y
    wide = torch.float32 if residual_in_fp32 else x.dtype
    # The references return the sum in the input's type; the kernels keep the stream as ``residual_in_fp32`` says.
    return y, (x.to(wide) if residual is None else x.float() + residual.float()).to(wide)


def _reference_rms_norm(x: Tensor, weight: Tensor, bias: Tensor | None, **given: Any) -> Any:
    return _reference_norm(x, weight, bias, is_rms_norm=True, eps=given["eps"])


def scan_module() -> ModuleType:
    """A module with the interface of the extension ``selective_scan_cuda``."""
    module = ModuleType(SCAN)
    module.__doc__ = __doc__
    module.fwd, module.bwd = scan_forward, _no_gradient  # type: ignore[attr-defined]
    return module


def _no_gradient(*_: Any) -> Any:
    raise NotImplementedError("the stand-in for selective_scan_cuda has no backward pass")


def scan_forward(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    delta_softplus: bool,
) -> list[Tensor]:
    """The selective scan: out, the states at the ends of chunks, and, with a gate z, the gated output.

    u, delta and z have shape (batch, channels, time), B and C (batch, groups, states, time), A (channels, states). The
    second result has shape (batch, channels, chunks, 2 states): products of gates and states alternate.
    O(batch * channels * states * time * log(chunk)).
    """
    batch, channels, time = u.shape
    groups, states = B.shape[1], A.shape[1]
    if u.dtype not in HALF or any(t is not None and t.dtype != u.dtype for t in (delta, B, C, z)):
        raise RuntimeError("selective_scan_cuda.fwd: u, delta, B, C and z must share float32, float16 or bfloat16")
    if any(t is not None and t.dtype != torch.float32 for t in (A, D, delta_bias)):
        raise RuntimeError("selective_scan_cuda.fwd: A, D and delta_bias must be float32")
    if delta.shape != u.shape or B.shape != (batch, groups, states, time) or C.shape != B.shape or channels % groups:
        raise RuntimeError("selective_scan_cuda.fwd: shapes do not fit")
    if states > 256:
        raise RuntimeError("selective_scan_cuda only supports state dimension <= 256")
    x, step = u.float(), delta.float()
    if delta_bias is not None:
        step = step + delta_bias[:, None]
    if delta_softplus:
        step = torch.where(step <= 20.0, torch.log1p(torch.exp(step.clamp(max=20.0))), step)
    each = channels // groups
    enter = B.float().repeat_interleave(each, dim=1)
    leave = C.float().repeat_interleave(each, dim=1)
    out = torch.zeros_like(x) if D is None else D[:, None] * x
    carry = torch.zeros(batch, channels, states)
    product, ends = torch.ones(batch, channels, states), []
    for start in range(0, time, CHUNK):
        part = slice(start, min(start + CHUNK, time))
        gates = torch.exp(step[:, :, None, part] * A[:, :, None])
        writes = (step * x)[:, :, None, part] * enter[..., part]
        gates, writes = _scan(gates, writes)
        held = gates * carry[..., None] + writes
        out[..., part] += (held * leave[..., part]).sum(dim=2)
        carry, product = held[..., -1], product * gates[..., -1]
        ends.append(torch.stack([product, carry], dim=-1).flatten(-2))
    found = [out.to(u.dtype), torch.stack(ends, dim=2)]
    return found if z is None else [*found, (out * silu(z.float())).to(u.dtype)]


def _scan(gates: Tensor, writes: Tensor) -> tuple[Tensor, Tensor]:
    """All prefixes of (a, b) o (a', b') = (a a', a' b + b') along the last axis, by doubling the distance."""
    distance = 1
    while distance < gates.shape[-1]:
        earlier_a, earlier_b = gates[..., :-distance], writes[..., :-distance]
        later_a, later_b = gates[..., distance:], writes[..., distance:]
        writes = torch.cat([writes[..., :distance], later_a * earlier_b + later_b], dim=-1)
        gates = torch.cat([gates[..., :distance], earlier_a * later_a], dim=-1)
        distance *= 2
    return gates, writes


def convolution_modules() -> dict[str, ModuleType]:
    """``causal_conv1d`` and its modules, by name: the functions that ``mamba_ssm`` calls."""
    package, functions = ModuleType(CONV), ModuleType(f"{CONV}.cpp_functions")
    variants = ModuleType(f"{CONV}.causal_conv1d_varlen")
    package.causal_conv1d_fn, package.causal_conv1d_update = convolve, convolve_step  # type: ignore[attr-defined]
    functions.causal_conv1d_fwd_function = convolve_forward  # type: ignore[attr-defined]
    functions.causal_conv1d_bwd_function = _no_gradient  # type: ignore[attr-defined]
    functions.causal_conv1d_update_function = convolve_step  # type: ignore[attr-defined]
    variants.causal_conv1d_varlen_states = _no_gradient  # type: ignore[attr-defined]
    package.__path__, package.__doc__ = [], __doc__
    return {module.__name__: module for module in (package, functions, variants)}


def _check_taps(weight: Tensor) -> None:
    if not 2 <= weight.shape[1] <= 4:
        raise RuntimeError("causal_conv1d only supports width between 2 and 4")


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, seq_idx: None = None, activation: str | None = None
) -> Tensor:
    """``causal_conv1d_fn``: x (batch, channels, time), weight (channels, taps); float32 inside."""
    if seq_idx is not None:
        raise NotImplementedError("the stand-in for causal_conv1d takes no sequence ids")
    _check_taps(weight)
    padded = pad(x.float(), (weight.shape[1] - 1, 0))
    out = sum(weight.float()[:, [k]] * padded[..., k : k + x.shape[-1]] for k in range(weight.shape[1]))
    assert isinstance(out, Tensor)
    out = out if bias is None else out + bias.float()[:, None]
    return (out if activation is None else silu(out)).to(x.dtype)


def convolve_forward(
    x: Tensor, weight: Tensor, bias: Tensor | None, ids: None, initial: None, final: None, activate: bool
) -> Tensor:
    """``causal_conv1d_fwd_function``, as far as ``mamba_inner_fn`` uses it."""
    if ids is not None or initial is not None or final is not None:
        raise NotImplementedError("the stand-in for causal_conv1d takes no sequence ids and no states")
    return convolve(x, weight, bias, activation="silu" if activate else None)


def convolve_step(
    x: Tensor, state: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str | None = None
) -> Tensor:
    """``causal_conv1d_update``: a token x (batch, channels); the state (batch, channels, >= taps - 1) moves on."""
    _check_taps(weight)
    taps = weight.shape[1]
    window = torch.cat([state, x.to(state.dtype)[..., None]], dim=-1)
    state.copy_(window[..., -state.shape[-1] :])
    out = (window[..., -taps:].float() * weight.float()).sum(dim=-1)
    out = out if bias is None else out + bias.float()
    return (out if activation is None else silu(out)).to(x.dtype)
