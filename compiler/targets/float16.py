"""Weights for float16: the constants that do not fit, made smaller.

- *The norms' constant* F = 2^40 is infinite in float16. Why F = 2^14 is enough: a cascade's residual stream holds two
  ones, the letter and the state's slot, whatever the token. RMSNorm adds squares in float32; F^2 = 2^28 has half a unit
  in the last place of 16, so the two ones and epsilon are absorbed in whatever order they are added. 2^13 would do
  (half a unit of 4), 2^12 would not; with 2^14 the normalised features 2^-14 are normal numbers of float16.
- *B's row* of x_proj, 2^-30, is 0 in float16. A memory may as well hold 2^10 times as much, if C is smaller by as much:
  both rows are then 2^-20, which is subnormal and exact.

All else in a compiled cascade fits: weights and activations are at most 16 T = 2^14 in magnitude
(``compiler.cascade.thresholds``: a condition's form is at most 16), and the least ones are 2^-20. Such weights hold in
float32, bfloat16 and (transformers' norms being float32) float64 models as well. The paper's own constructions are left
out: their residual streams hold more than two ones, and a counter takes 2^84.
"""

from __future__ import annotations

import numpy as np

from ...models.mamba import MambaWeights
from ...models.weights import ModelWeights, Tensor
from ..circuits.circuit import Circuit
from .lower import CONSTANT_EXPONENT

SMALL_EXPONENT = 14
"""F = 2^14 in float16."""
SHIFT = np.float32(2.0**10)
"""What a memory holds more."""


def fit(circuit: Circuit, weights: ModelWeights, dtype: str) -> ModelWeights:
    """The same model with constants that ``dtype`` holds. O(number of weights).

    Args:
        circuit: what was compiled.
        weights: its weights as a Mamba.
        dtype: "float32", "bfloat16" or "float64", which change nothing, or "float16".

    Raises:
        PrecisionError: an unknown dtype, or one that cannot hold these weights.
    """
    from ...models.precision import FORMATS, PrecisionError, check_precision  # imports torch

    check_dtype(dtype)
    if dtype == "float16":
        if circuit.kind != "cascade" or not isinstance(weights, MambaWeights):
            raise PrecisionError(
                f"float16 cannot hold the weights of {circuit.construction}: only cascades fit it; use float32 or "
                "bfloat16, or compile the language as a DFA, if it is one (`scancraft compile --general`)"
            )
        weights = _shifted(weights)
    check_precision(weights.tensors, FORMATS[dtype])
    return weights


def check_dtype(dtype: str) -> None:
    """Raise :class:`PrecisionError` unless models are built in a dtype of this name."""
    from ...models.precision import FORMATS, PrecisionError  # imports torch

    if dtype not in FORMATS:
        raise PrecisionError(f"there is no dtype {dtype!r} for models; use one of {', '.join(FORMATS)}")


def _shifted(weights: MambaWeights) -> MambaWeights:
    """The constants of the stream smaller, the norms' weights on all other dimensions to match, and B against C."""
    constant = (weights.tensors["backbone.embeddings.weight"] == 2.0**CONSTANT_EXPONENT).all(axis=0)
    factor = np.float32(2.0 ** (CONSTANT_EXPONENT - SMALL_EXPONENT))
    b, c = weights.shape.dt_rank, weights.shape.dt_rank + weights.shape.d_state
    tensors: dict[str, Tensor] = {}
    for name, tensor in weights.tensors.items():
        w = tensors[name] = tensor.copy()
        if name == "backbone.embeddings.weight":
            w[:, constant] /= factor
        elif name.endswith((".norm.weight", "norm_f.weight")):
            w[~constant] /= factor
        elif name.endswith("x_proj.weight"):
            w[b:c] *= SHIFT
            w[c:] /= SHIFT
    return MambaWeights(weights.shape, tensors)
