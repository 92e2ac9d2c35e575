"""Many turns of a counting model at once, for the checker of refutations.

The states are S + t D for t = 0, 1, ..., M. Every entry of them is a range, and one turn is taken with these ranges, in
the arithmetic of certificates (``certify.checker.arithmetic``): at every value of the ranges, hence at every t, no
operation may round, and each function must be evaluated where it is the identity or a constant. If, besides, no product
has two factors that change, then what the turn makes of the state is affine in t. An affine function is known by two of
its values: so a second run, with the numbers at t = 0 and at t = 1, shows that it is S + (t + 1) D.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...certify.checker.arithmetic import ACCUMULATOR, FORMATS, Obligations, Range, beside, choose, exactly, times
from ...certify.checker.blocks import project, read, select, settle
from ...certify.checker.parts import Bools, RejectedError, array, need


def why_not_a_line(
    model: Any, word: Sequence[int], before: NDArray[np.float64], after: NDArray[np.float64], turns: int
) -> str:
    """Why it is not proved that so many turns from ``before`` on each add what the first one adds; "" if it is.

    Args:
        model: a ``transformers`` ``MambaForCausalLM``.
        word: the tokens of a turn.
        before: the complete state, shape (numbers,).
        after: that one turn later.
        turns: M, at least 1.

    O(word * weights that are not zero).
    """
    change = after - before
    ends = np.sort([before, before + turns * change], axis=0)
    unit = np.minimum(exactly(before).unit, exactly(change).unit)
    kind = model.config.model_type
    try:
        need(kind == "mamba", f"turns of a {kind} are not looked at")
        _turn(model, word, Range(ends[:1], ends[1:], unit[None]))
        found = _turn(model, word, exactly([before, after])).lo
    except RejectedError as error:
        return str(error)
    wrong = np.flatnonzero((found != [after, after + change]).any(axis=0))
    return f"entry {wrong[0]} of the state does not go on as it began" if len(wrong) else ""


def _turn(model: Any, word: Sequence[int], states: Range) -> Range:
    """The states after a word; shape (rows, numbers)."""
    dtype = str(model.lm_head.weight.dtype).removeprefix("torch.")
    need(dtype in FORMATS, f"turns in {dtype} are not looked at")
    blocks, rows = list(model.backbone.layers), len(states.lo)
    at = np.cumsum([n for b in blocks for n in _sizes(b.mixer)])[:-1]
    parts = [states.map(lambda a, i=i: a[:, i]) for i in np.split(np.arange(states.lo.shape[1]), at)]
    embedding, o = model.get_input_embeddings().weight, Obligations(dtype)
    for token in word:
        stream = exactly(embedding[token]).map(lambda a: np.tile(a, (rows, 1)))
        for i, block in enumerate(blocks):
            past, ssm = parts[2 * i : 2 * i + 2]
            stream, parts[2 * i], parts[2 * i + 1] = _step(o, block, stream, past, ssm, f"block {i}")
    return beside(parts, 1)


def _sizes(mixer: Any) -> tuple[int, int]:
    """Numbers in a block's window of the convolution, and in its SSM state."""
    return mixer.intermediate_size * mixer.conv_kernel_size, mixer.intermediate_size * mixer.ssm_state_size


def _step(o: Obligations, block: Any, stream: Range, past: Range, ssm: Range, where: str) -> tuple[Range, Range, Range]:
    """One step of one block whose entries may count: the stream, the window and the states afterwards.

    Inputs of the convolution that only taps of weight 0 will meet again are 0.
    """
    mixer, rows = block.mixer, len(stream.lo)
    need(mixer.activation in ("silu", "swish"), f"{where}: the activation is {mixer.activation}")
    u, z = project(o, block, stream, where)
    taps = array(mixer.conv1d.weight)[:, 0, :] != 0
    past, ssm = (part.map(lambda a: a.reshape(rows, len(taps), -1)) for part in (past, ssm))
    window = beside([past.map(lambda a: a[:, :, 1:]), u.map(lambda a: a[:, :, None])], 2)
    s, gate = select(o, block, window, where), o.silu(z, f"{where} gate branch")
    pair = beside([part.map(lambda a: a[..., None]) for part in (choose(s.held, ssm), s.write)], 3)
    sums = o.add(pair.map(lambda a: a.reshape(rows, -1)), np.arange(ssm.lo[0].size) * 2, f"{where} state")
    new = sums.map(lambda a: a.reshape(ssm.lo.shape))
    o.fits(new, f"{where} state", ACCUMULATOR)
    o.fits(new, f"{where} state")
    delta, x, shut = (_moves(part) for part in (s.delta, s.x, gate))
    b, c = (_moves(part).any(axis=1, keepdims=True) for part in (s.b, s.c))
    held = _moves(new).any(axis=2)
    two = (delta & x) | (delta & b) | (b & x) | (held & c) | ((held | c | x) & shut)
    need(not two.any(), f"{where}: a product has two factors that change")
    out = read(o, mixer, new, s.c, times(s.x, exactly(mixer.D)), gate, where)
    met = np.pad(np.cumsum(taps, axis=1)[:, :-1] > 0, ((0, 0), (1, 0)))
    kept, new = (part.map(lambda a: a.reshape(rows, -1)) for part in (choose(met[None], window), new))
    return settle(o, block, out, stream, where), kept, new


def _moves(numbers: Range) -> Bools:
    """Where a range holds more than one number."""
    return np.asarray(numbers.lo != numbers.hi)
