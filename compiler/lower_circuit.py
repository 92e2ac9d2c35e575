"""From a circuit to weights: the integers of ``compiler.circuit``, scaled by powers of two.

With T = 2^10 (the constants are those of ``compiler.lower``):

- *Channel.* The convolution gives T (taps . forms + bias); silu of it is T x, exactly: the identity from T on, 0 at 0,
  and
  -0.0 at -T and below, where the sigmoid underflows.
- *Latch.* Delta's pre-activation is T d. For d < 0 it is at most -T: Delta = 0, the gate is 1 and the write 0. For d
  >= 1 softplus is the identity; the gate exp(-T d e^3) underflows to 0 and the write Delta B (T x) = d x with B =
  2^-20.
- *Counter.* Delta = T at letters, and A_log = -50: exp(-T e^-50) = exp(-2^-62) rounds to 1 even in float64, so nothing
  is forgotten. B = 2^-20 * (what is added), so the write is exactly that. At ``<bos>`` Delta = 2^84 and the gate
  exp(-2^84 e^-50) < exp(-3000) underflows to 0, with B = 2^-94 * (the initial value). Where neither comes (``<pad>``,
  ``<eos>``) B = 0 and nothing changes. In the other counters' entries of d_state A_log = 3, so that the gate is 0 and
  only the present write is there.
- *Reading.* C = 1 and D x = skip * x; the gate branch is silu(T gate) = T max(0, gate); out_proj has writes / T.
- *Verdict.* The logit of a token is 16 - 32 * verdict.

RMSNorm is an exact identity as long as the squares of the features sum to less than 2^55 (``compiler.lower``), which
holds for a hundred counters up to 2^24 (a certificate checks it).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..automata.alphabet import BOS
from ..models.mamba import MambaShape, MambaWeights, Tensor
from .circuit import ONE, Circuit, CircuitBlock, Counter, Form, Latch
from .layout import Stream, narrowest_stream
from .lower import A_LOG, CONSTANT_EXPONENT, LOGIT, T, delta_rows, level_block, norm_weight
from .tokens import token_ids, vocabulary_size

A_LOG_COUNT = -50.0
DELTA_RESET = 2.0**84

Rows = tuple[tuple[tuple[int, float], ...], ...]
"""Linear forms over the channels of a block, one per row of dt."""


def circuit_stream(circuit: Circuit) -> Stream:
    """Where the features lie: one dimension each, in order, after the constants.

    With a control its letters and slots come first, so that its level blocks find them where they expect them.
    """
    letters = len(circuit.alphabet) if circuit.control is not None else 0
    return narrowest_stream(letters, len(circuit.features) - letters - 1)


def lower_circuit(circuit: Circuit, *, d_conv: int = 2) -> MambaWeights:
    """Write the circuit as weights. O(number of weights).

    Args:
        circuit: what to write.
        d_conv: taps of the convolution, 2 to 4; the last two are used.

    Raises:
        ValueError: ``d_conv`` out of range.
    """
    if not 2 <= d_conv <= 4:
        raise ValueError(f"d_conv must be 2, 3 or 4, not {d_conv}")
    stream = circuit_stream(circuit)
    place = {name: stream.n_constants + n for n, name in enumerate(circuit.features)} | {ONE: 0}
    levels = () if circuit.control is None else circuit.control.blocks
    widest = max([b.channels for b in levels] + [len(b.channels) for b in circuit.blocks])
    ranks = [len(delta_rows(b)) for b in levels] + [len(dt_rows(b)) for b in circuit.blocks]
    shape = MambaShape(
        d_model=stream.d_model,
        n_layers=circuit.n_blocks,
        vocab_size=vocabulary_size(circuit.alphabet),
        expand=-(-widest // stream.d_model),
        d_state=max(1, *(len(b.counters) for b in circuit.blocks)),
        d_conv=d_conv,
        dt_rank=max(1, *ranks),
    )
    norm = norm_weight(stream)
    tensors: dict[str, Tensor] = {"backbone.embeddings.weight": _embedding(circuit, place, stream, shape)}
    blocks = [level_block(b, stream, shape) for b in levels] + [_block(b, place, shape) for b in circuit.blocks]
    for layer, weights in enumerate(blocks):
        weights["norm.weight"] = norm.copy()
        tensors |= {f"backbone.layers.{layer}.{name}": weights[name] for name in shape.block_tensors()}
    tensors["backbone.norm_f.weight"] = norm.copy()
    tensors["lm_head.weight"] = _head(circuit, place, shape)
    return MambaWeights(shape, tensors)


def dt_rows(block: CircuitBlock) -> Rows:
    """The different linear forms that Deltas are made of."""
    rows: dict[tuple[tuple[int, float], ...], None] = {}
    for _, latch in block.latches:
        rows[_row(latch)] = None
    if block.counters:
        assert block.letter is not None
        assert block.bos is not None
        rows[((block.letter, 1.0),)] = None
        rows[((block.bos, 1.0),)] = None
    return tuple(rows)


def _row(latch: Latch) -> tuple[tuple[int, float], ...]:
    return tuple(sorted((c, float(w)) for c, w in latch.fires.items()))


def _embedding(circuit: Circuit, place: Mapping[str, int], stream: Stream, shape: MambaShape) -> Tensor:
    """Every row has the constant; symbols and ``<bos>`` have their features, all other rows nothing else."""
    weight = np.zeros((shape.vocab_size, shape.d_model), dtype=np.float32)
    weight[:, : stream.n_constants] = 2.0**CONSTANT_EXPONENT
    ids = token_ids(circuit.alphabet)
    for token in (*circuit.alphabet, BOS):
        for name, value in circuit.tokens[token].items():
            weight[ids[token], place[name]] = value
    return weight


def _head(circuit: Circuit, place: Mapping[str, int], shape: MambaShape) -> Tensor:
    weight = np.zeros((shape.vocab_size, shape.d_model), dtype=np.float32)
    weight[:, 0] = -LOGIT
    ids = token_ids(circuit.alphabet)
    for token, verdict in circuit.verdicts.items():
        weight[ids[token], 0] = LOGIT
        _add(weight[ids[token]], place, verdict, -2 * LOGIT)
    return weight


def _add(row: Tensor, place: Mapping[str, int], form: Form, scale: float) -> None:
    for name, value in form.items():
        row[place[name]] += scale * value


def _block(block: CircuitBlock, place: Mapping[str, int], shape: MambaShape) -> dict[str, Tensor]:
    """The parameters of one block, without the norm."""
    w = {name: np.zeros(size, dtype=np.float32) for name, size in shape.block_tensors().items()}
    w["mixer.dt_proj.bias"][:] = -T  # Delta = 0 unless a memory says otherwise
    rows = dt_rows(block)
    for c, channel in enumerate(block.channels):
        _add(w["mixer.in_proj.weight"][c], place, channel.reads, 1.0)
        _add(w["mixer.in_proj.weight"][shape.d_inner + c], place, channel.gate, T)
        w["mixer.conv1d.weight"][c, 0, -2:] = T * channel.taps[0], T * channel.taps[1]
        w["mixer.conv1d.bias"][c] = T * channel.bias
        w["mixer.D"][c] = channel.skip / T
        for name, value in channel.writes.items():
            w["mixer.out_proj.weight"][place[name], c] = value / T
    for number, row in enumerate(rows):
        for c, weight in row:
            w["mixer.x_proj.weight"][number, c] = weight
    for c, latch in block.latches:
        w["mixer.A_log"][c] = A_LOG
        w["mixer.dt_proj.weight"][c, rows.index(_row(latch))] = 1.0
        w["mixer.dt_proj.bias"][c] = T * latch.bias
    r, n = shape.dt_rank, shape.d_state
    b_rows, c_rows = w["mixer.x_proj.weight"][r : r + n], w["mixer.x_proj.weight"][r + n :]
    if block.latches:
        b_rows[0, block.one] = 2.0**-20 / T
        c_rows[0, block.one] = 1.0 / T
    for c, counter in block.counters:
        _set_counter(w, block, c, counter, rows)
        for source, amount in counter.add.items():
            b_rows[counter.index, source] = amount * 2.0**-20 / T
        b_rows[counter.index, block.bos] = counter.initial / DELTA_RESET / T / T
        c_rows[counter.index, block.one] = 1.0 / T
    return w


def _set_counter(w: dict[str, Tensor], block: CircuitBlock, c: int, counter: Counter, rows: Rows) -> None:
    assert not block.latches, "latches and counters of one block would share B"
    assert block.letter is not None
    assert block.bos is not None
    w["mixer.A_log"][c] = A_LOG
    w["mixer.A_log"][c, counter.index] = A_LOG_COUNT
    w["mixer.dt_proj.bias"][c] = 0.0
    w["mixer.dt_proj.weight"][c, rows.index(((block.letter, 1.0),))] = 1.0
    w["mixer.dt_proj.weight"][c, rows.index(((block.bos, 1.0),))] = DELTA_RESET / T
