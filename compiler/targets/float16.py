"""Weights for float16: the one constant that does not fit, made smaller.

The norms' constant F = 2^40 is infinite in float16. All else in a compiled cascade fits: weights and activations are at
most 16 T = 2^14 in magnitude (``compiler.thresholds``: a condition's form is at most 16), and the least ones, 2^-18
(B's row of x_proj), are subnormal there and exact. Why F = 2^14 is enough: a cascade's residual stream holds two ones,
the letter and the state's slot, whatever the token. RMSNorm adds squares in float32; F^2 = 2^28 has half a unit in the
last place of 16, so the two ones and epsilon are absorbed in whatever order they are added. 2^13 would do (half a unit
of 4), 2^12 would not; with 2^14 the normalised features 2^-14 are normal numbers of float16.

Such weights hold in float32, bfloat16 and (transformers' norms being float32) float64 models as well. The paper's own
constructions do not fit: a latch has B = 2^-20 and a row of 2^-30, a counter 2^84.
"""

from __future__ import annotations

import numpy as np

from ...models.mamba import MambaWeights, Tensor
from ...models.precision import FORMATS, PrecisionError, check_precision

CONSTANT_EXPONENT = 14
"""F = 2^14 in float16."""


def fit(weights: MambaWeights, dtype: str) -> MambaWeights:
    """The same model with a constant in its norms that ``dtype`` holds. O(number of weights).

    Args:
        weights: of a compiled model.
        dtype: "float32", "bfloat16" or "float64", which change nothing, or "float16".

    Raises:
        PrecisionError: an unknown dtype, or one that cannot hold these weights.
    """
    check_dtype(dtype)
    fitted = _with_constant(weights, CONSTANT_EXPONENT) if dtype == "float16" else weights
    check_precision(fitted.tensors, FORMATS[dtype])
    return fitted


def check_dtype(dtype: str) -> None:
    """Raise :class:`PrecisionError` unless models are built in a dtype of this name."""
    if dtype not in FORMATS:
        raise PrecisionError(f"there is no dtype {dtype!r} for models; use one of {', '.join(FORMATS)}")


def _with_constant(weights: MambaWeights, exponent: int) -> MambaWeights:
    """The constants of the stream made 2^exponent, and the norms' weights on all other dimensions to match."""
    embedding = weights.tensors["backbone.embeddings.weight"]
    greatest = float(embedding.max(initial=0.0))
    constant = (embedding == greatest).all(axis=0)
    factor = greatest / 2.0**exponent
    tensors: dict[str, Tensor] = {}
    for name, tensor in weights.tensors.items():
        if name == "backbone.embeddings.weight":
            tensors[name] = np.where(constant, tensor / np.float32(factor), tensor).astype(np.float32)
        elif name.endswith((".norm.weight", "norm_f.weight")):
            tensors[name] = np.where(constant, tensor, tensor / np.float32(factor)).astype(np.float32)
        else:
            tensors[name] = tensor.copy()
    return MambaWeights(weights.shape, tensors)
