"""What all targets have in common: the constants, the norm of the residual stream, embeddings and read-outs.

The residual stream is the same in every target (``compiler.layout``): constants, letters, slots. Each token's embedding
puts F = 2^40 on the constants, and RMSNorm is then an exact identity:

- F lies in n dimensions of d_model = n 4^j. The mean of squares is F^2 / 4^j exactly, since the squares of the other
  features (at most a few) and epsilon are absorbed by rounding; its root is a power of two, and the weight 2^(40-j)
  returns each feature bit for bit.

A target (``compiler.targets``) adds the blocks.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...automata.alphabet import BOS
from ...automata.dfa import Dfa
from ...models.mamba import Tensor
from ..circuits.circuit import ONE, Circuit, Form
from ..circuits.program import Program
from .layout import Stream, narrowest_stream
from .tokens import token_ids, vocabulary_size

T = 2.0**10
"""The "off" magnitude: silu(-T) and softplus(-T) are 0."""
V = 2.0**6
"""The "on" value of Delta."""
A_LOG = 3.0
LOGIT = 16.0
CONSTANT_EXPONENT = 40


def norm_weight(stream: Stream) -> Tensor:
    """The weight of every RMSNorm: it gives each feature back bit for bit, and 1 on the constants."""
    weight = np.zeros(stream.d_model, dtype=np.float32)
    weight[: stream.used] = 2.0 ** (CONSTANT_EXPONENT - stream.exponent)
    weight[: stream.n_constants] = 2.0**-stream.exponent
    return weight


def program_embedding(program: Program, stream: Stream) -> Tensor:
    """Every row has the constant; letters and ``<bos>`` have their feature and slot 0, the set of all states.

    ``<pad>``, ``<eos>`` and the rows that only round the vocabulary up have nothing else: all features vanish there, so
    no condition holds, every memory is kept, and every logit is negative.
    """
    weight = _constants(program.dfa.alphabet, stream)
    ids = token_ids(program.dfa.alphabet)
    for number, token in enumerate((*program.dfa.alphabet, "<bos>")):
        weight[ids[token], stream.letter(number)] = 1.0
        weight[ids[token], stream.slot(0)] = 1.0
    return weight


def program_head(program: Program, stream: Stream) -> Tensor:
    """Logit +16 if the token may come next, else -16: a constant -16, and +32 on the slots of states that allow it."""
    dfa, ids = program.dfa, token_ids(program.dfa.alphabet)
    assert isinstance(dfa, Dfa), "only languages have a read-out"
    weight = np.zeros((vocabulary_size(dfa.alphabet), stream.d_model), dtype=np.float32)
    weight[:, 0] = -LOGIT
    for slot, state in program.readout.items():
        for symbol in dfa.next_symbols(state):
            weight[ids[symbol], stream.slot(slot)] = 2 * LOGIT
        if state in dfa.accepting:
            weight[ids["<eos>"], stream.slot(slot)] = 2 * LOGIT
    return weight


def circuit_stream(circuit: Circuit) -> Stream:
    """Where the features lie: one dimension each, in order, after the constants.

    With a control its letters and slots come first, so that its level blocks find them where they expect them.
    """
    letters = len(circuit.alphabet) if circuit.control is not None else 0
    return narrowest_stream(letters, len(circuit.features) - letters - 1)


def circuit_places(circuit: Circuit) -> dict[str, int]:
    """The dimension of each feature of a circuit, and of the constant."""
    stream = circuit_stream(circuit)
    return {name: stream.n_constants + n for n, name in enumerate(circuit.features)} | {ONE: 0}


def circuit_embedding(circuit: Circuit) -> Tensor:
    """Every row has the constant; symbols and ``<bos>`` have their features, all other rows nothing else."""
    place, ids = circuit_places(circuit), token_ids(circuit.alphabet)
    weight = _constants(circuit.alphabet, circuit_stream(circuit))
    for token in (*circuit.alphabet, BOS):
        for name, value in circuit.tokens[token].items():
            weight[ids[token], place[name]] = value
    return weight


def circuit_head(circuit: Circuit) -> Tensor:
    """The logit of a token is 16 - 32 * verdict; -16 for all others."""
    weight = np.zeros((vocabulary_size(circuit.alphabet), circuit_stream(circuit).d_model), dtype=np.float32)
    weight[:, 0] = -LOGIT
    place, ids = circuit_places(circuit), token_ids(circuit.alphabet)
    for token, verdict in circuit.verdicts.items():
        weight[ids[token], 0] = LOGIT
        add_form(weight[ids[token]], place, verdict, -2 * LOGIT)
    return weight


def add_form(row: Tensor, place: Mapping[str, int], form: Form, scale: float) -> None:
    """Add a linear form of features to a row of a matrix, in place."""
    for name, value in form.items():
        row[place[name]] += scale * value


def _constants(alphabet: tuple[str, ...], stream: Stream) -> Tensor:
    weight = np.zeros((vocabulary_size(alphabet), stream.d_model), dtype=np.float32)
    weight[:, : stream.n_constants] = 2.0**CONSTANT_EXPONENT
    return weight
