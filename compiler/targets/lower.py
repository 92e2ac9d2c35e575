"""What all targets have in common: the constants, the norm of the residual stream, embeddings and read-outs.

Each token's embedding puts F = 2^40 (or more, where a circuit asks for it) on the constants of the residual stream
(``compiler.targets.layout``), and RMSNorm is then an exact identity:

- F lies in n dimensions of d_model = n 4^j. The mean of squares is F^2 / 4^j exactly, since the squares of the other
  features (at most a few) and epsilon are absorbed by rounding; its root is a power of two, and the weight 2^(40-j)
  returns each feature bit for bit (for F = 2^40).

A target adds the blocks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...automata.alphabet import class_token
from ...models.weights import Tensor
from ..circuits.circuit import Circuit
from ..circuits.forms import Form
from .layout import Stream
from .tokens import class_rows, token_ids, vocabulary_size

T = 2.0**10
"""The "off" magnitude: silu(-T) and softplus(-T) are 0."""
A_LOG = 3.0
LOGIT = 16.0

BlockTensors = dict[str, Tensor]
"""The parameters of one block, by their names inside it."""


def assembled(circuit: Circuit, stream: Stream, blocks: Sequence[BlockTensors]) -> dict[str, Tensor]:
    """All parameters of a model, in the order of its file; every norm is the same.

    Args:
        circuit: the language.
        stream: where the features lie.
        blocks: the parameters of each block, the norm before it left out.
    """
    norm = norm_weight(stream, circuit.constant)
    tensors: dict[str, Tensor] = {"backbone.embeddings.weight": embedding(circuit, stream)}
    for layer, block in enumerate(blocks):
        weights = block | {"norm.weight": norm.copy()}
        tensors |= {f"backbone.layers.{layer}.{name}": tensor for name, tensor in weights.items()}
    return tensors | {"backbone.norm_f.weight": norm.copy(), "lm_head.weight": head_weight(circuit, stream)}


def add_forms(matrix: Tensor, stream: Stream, forms: Sequence[Form], factor: float = 1.0) -> None:
    """Add forms of features to the first rows of a matrix over dimensions, in place, each times the factor."""
    place = stream.place
    entries = [(row, place[name], factor * n) for row, form in enumerate(forms) for name, n in form.items()]
    if entries:
        rows, dimensions, values = zip(*entries, strict=True)
        matrix[rows, dimensions] += np.array(values, dtype=np.float32)


def norm_weight(stream: Stream, constant: int) -> Tensor:
    """The weight of every RMSNorm: it gives each feature back bit for bit, and 1 on the constants."""
    weight = np.zeros(stream.d_model, dtype=np.float32)
    weight[: stream.used] = 2.0 ** (constant - stream.exponent)
    weight[: stream.n_constants] = 2.0**-stream.exponent
    return weight


def embedding(circuit: Circuit, stream: Stream) -> Tensor:
    """Every row has the constants; symbols and ``<bos>`` have their features.

    ``<pad>``, ``<eos>``, the rows of classes and those that only round the vocabulary up have nothing else: all
    features vanish there, so no condition holds, every memory is kept, and every logit is negative.
    """
    weight = np.zeros((vocabulary_size(circuit.alphabet, circuit.classes), stream.d_model), dtype=np.float32)
    weight[:, : stream.n_constants] = 2.0**circuit.constant
    add_forms(weight, stream, [circuit.tokens.get(token, {}) for token in token_ids(circuit.alphabet)])
    return weight


def head_weight(circuit: Circuit, stream: Stream) -> Tensor:
    """The logit of a token is 16 - 32 * verdict; -16 for all others."""
    weight = np.zeros((vocabulary_size(circuit.alphabet, circuit.classes), stream.d_model), dtype=np.float32)
    weight[:, 0] = -LOGIT
    rows = class_rows(circuit.alphabet, circuit.classes)
    ids = token_ids(circuit.alphabet) | {class_token(name): row for name, row in rows.items()}
    weight[[ids[token] for token in circuit.verdicts], 0] = LOGIT
    add_forms(weight, stream, [circuit.verdicts.get(token, {}) for token in ids], -2 * LOGIT)
    return weight
