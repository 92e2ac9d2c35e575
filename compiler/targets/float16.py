"""Weights for float16: the constants that do not fit, made smaller.

- *The norms' constant* F = 2^40 is infinite in float16. Why F = 2^14 is enough: a cascade's residual stream holds two
  ones, the letter and the state's slot, whatever the token. RMSNorm adds squares in float32; F^2 = 2^28 has half a unit
  in the last place of 16, so the two ones and epsilon are absorbed in whatever order they are added. 2^13 would do
  (half a unit of 4), 2^12 would not; with 2^14 the normalised features 2^-14 are normal numbers of float16.
- *B's row* of x_proj, 2^-30, is 0 in float16. A memory may as well hold 2^10 times as much, if C is smaller by as much:
  both rows are then 2^-20, which is subnormal and exact.

A plan's stream holds more: the letter, a one for each memory that is shown, and what the read-out adds up. It fits
as long as the squares of all that stay below 16 (:func:`squares`), and no channel's form exceeds 63, since 64 T is
infinite.

All else in a compiled cascade fits: weights and activations are at most 16 T = 2^14 in magnitude
(``compiler.cascade.thresholds``: a condition's form is at most 16), and the least ones are 2^-20. Such weights hold in
float32, bfloat16 and (transformers' norms being float32) float64 models as well. The paper's own constructions are left
out: their residual streams hold more than two ones, and a counter takes 2^84.
"""

from __future__ import annotations

import numpy as np

from ...models.mamba import MambaWeights
from ...models.weights import ModelWeights, Tensor
from ..circuits.circuit import CONSTANT_EXPONENT, Circuit, CircuitChannel, Shown

SMALL_EXPONENT = 14
"""F = 2^14 in float16."""
MOST_SQUARES, MOST_IN_A_FORM = 16, 63
"""Of a plan: the squares of its features sum to less than this, and its channels' forms are at most that, times T."""
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
        if circuit.kind not in ("cascade", "plan") or not isinstance(weights, MambaWeights):
            raise PrecisionError(
                f"float16 cannot hold the weights of {circuit.construction}: only cascades and plans fit it; use "
                "float32 or bfloat16, or compile the language as a DFA, if it is one (`scancraft compile --general`)"
            )
        if circuit.kind == "plan" and (squares(circuit) >= MOST_SQUARES or _largest(circuit) > MOST_IN_A_FORM):
            raise PrecisionError("float16 cannot hold what this plan keeps side by side; use a cascade")
        weights = _shifted(weights)
    check_precision(weights.tensors, FORMATS[dtype])
    return weights


def squares(circuit: Circuit) -> int:
    """A bound on the sum of the squares of all features of a plan. O(size of the circuit).

    Of the letters one is there, and of the labels of a memory one is shown; other features are at most as large as all
    that is added to them.
    """
    writers: dict[str, list[CircuitChannel]] = {}
    for channel in (channel for block in circuit.blocks for channel in block.channels):
        for name in channel.writes:
            writers.setdefault(name, []).append(channel)
    labels: dict[str, dict[int, int]] = {}  # of each register: what the features that show only its label sum to
    total = 1
    for name, channels in writers.items():
        shown = {(c.memory.register.name, c.memory.label) for c in channels if isinstance(c.memory, Shown)}
        added = sum(abs(channel.writes[name]) for channel in channels) ** 2
        if len(shown) == len(channels) == 1:
            ((register, label),) = shown
            labels.setdefault(register, {}).setdefault(label, 0)
            labels[register][label] += added
        else:
            total += added
    return total + sum(max(sums.values()) for sums in labels.values())


def _largest(circuit: Circuit) -> int:
    """A bound on the forms of all channels of a plan, in units of T; features that are read are 0 or 1."""

    def most(channel: CircuitChannel) -> int:
        sizes = {name: abs(weight) for name, weight in channel.reads.items()}
        letter = max((size for name, size in sizes.items() if name in circuit.letters), default=0)
        form = letter + sum(size for name, size in sizes.items() if name not in circuit.letters)
        return sum(map(abs, channel.taps)) * form + abs(channel.bias)

    return max((most(channel) for block in circuit.blocks for channel in block.channels), default=0)


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
