"""Bounded Dyck languages in two blocks, by theorem 6 of Sarrof, Veitsman and Hahn (2024).

No stack is simulated. Block 1 counts the depth d. Block 2 keeps, per depth l, the code of the bracket opened last at
that depth, one memory per bit (codes are 1..K in ceil(log2(K + 1)) bits): it is overwritten when an opening bracket
leads to d = l, and shown when d = l. What is shown is the bracket on top of the stack. So h ceil(log2(K + 1)) + 1
memories do, against the h log2 K bits that any recurrent model needs (Hewitt et al. 2020).

With u = d for an opening bracket and d - (h + 1) for a closing one, and r_m = max(0, u - m), the overwrite condition
of slot l is the tent r_(l-1) - 2 r_l + r_(l+1) = [opening and d = l]. The gate of a block is one silu of one linear
form, so the tent [d = l] that shows a slot needs three copies of each memory, with gates max(0, d - l + 1), max(0, d -
l), max(0, d - l - 1) and weights 1, -2, 1. For live prefixes d <= h, and copies whose gate is then always 0 are left
out.
"""

from __future__ import annotations

from ...automata.alphabet import BOS, EOS
from ...automata.bounded_dyck import BoundedDyck
from .circuit import Circuit, CircuitBlock, CircuitChannel, Latch, indicator, tent
from .counting import FLOAT_BITS, counting_block
from .forms import ALWAYS, ONE, Form, plus
from .latching import latch_errors

OPENING, CLOSING, DEPTH, FULL, OPEN = "opening", "closing", "depth", "depth >= h", "depth >= 1"


def bounded_dyck_circuit(language: BoundedDyck, *, all_words: bool = False) -> Circuit:
    """Two blocks for live prefixes; a third, the error latch, for all words. O(h log K) channels."""
    bits, h = language.code_bits, language.depth
    code = [f"code bit {b}" for b in range(bits)]
    top = [f"top bit {b}" for b in range(bits)]
    brackets = (OPENING, CLOSING)
    tokens: dict[str, Form] = {BOS: {BOS: 1}}
    for kind, pair in enumerate(language.brackets, 1):
        for symbol, feature in zip(pair, brackets, strict=True):
            tokens[symbol] = {feature: 1} | {code[b]: 1 for b in range(bits) if kind >> b & 1}
    depth = counting_block(
        "depth",
        {OPENING: 1, CLOSING: 1},
        BOS,
        [CircuitChannel("opening", {OPENING: 1}), CircuitChannel("closing", {CLOSING: 1})],
        {DEPTH: (0, [1, -1])},
    )
    # Where no symbol was read (padding) everything is forbidden.
    read = {OPENING: -1, CLOSING: -1, BOS: -1}
    verdicts: dict[str, Form] = {}
    for kind, (opening, closing) in enumerate(language.brackets, 1):
        ones = {top[b]: -1 if kind >> b & 1 else 1 for b in range(bits)}
        verdicts[opening] = plus(ALWAYS, read, {FULL: 1})
        verdicts[closing] = plus(ones, {ONE: kind.bit_count()})
    verdicts[EOS] = plus(ALWAYS, read, {OPEN: 1})
    circuit = Circuit(
        kind="bounded Dyck",
        construction="bounded Dyck: a depth counter and one slot per depth (Sarrof, Veitsman, Hahn 2024, theorem 6)",
        alphabet=language.alphabet,
        features=(BOS, OPENING, CLOSING, *code, DEPTH, *top, FULL, OPEN),
        tokens=tokens,
        blocks=(depth, _slots(h, code, top, all_words=all_words)),
        verdicts=verdicts,
        contract="live-prefixes",
        limits={DEPTH: slot_limits(h, all_words=all_words)},
        reach={} if all_words else {DEPTH: h},
    )
    if not all_words:
        return circuit
    letters: dict[str, Form] = {}
    for kind, (opening, closing) in enumerate(language.brackets, 1):
        letters[opening] = {OPENING: 1}
        bit = {code[b]: 1 if kind >> b & 1 else -1 for b in range(bits)}
        letters[closing] = {CLOSING: 1, **bit, ONE: -kind.bit_count()}
    return latch_errors(circuit, letters, BOS, at_most_one=bits == 1)


def slot_limits(h: int, *, all_words: bool) -> dict[str, int]:
    """The largest |depth| at which everything promised is exact; dtypes in which it is not at depth h are left out.

    Numbers up to |d| + h + 1 are stored. Tents of the depth add up terms to 4 (|d| + h), and the h slots, of whose sum
    all but one vanish, terms to 2 h (|d| + 1) in all. Live prefixes have depths up to h; only dead words go further.
    """
    summed = 2**24 // (2 * h + 4) - h
    found = {}
    for dtype, bits in FLOAT_BITS.items():
        limit = min(summed, 2**bits - (h + 2))
        if limit >= h or (not all_words and h <= min(summed, 2**bits - 2)):
            found[dtype] = limit if all_words else max(limit, h)
    return found


def _slots(h: int, code: list[str], top: list[str], *, all_words: bool) -> CircuitBlock:
    channels = [CircuitChannel("always 1", bias=1)]
    for name, least in ((FULL, h), (OPEN, 1)):
        channels += indicator(name, {DEPTH: 1}, least, gate=ALWAYS, writes=name)
    first = len(channels)
    for m in range(h + 2 if all_words else h):
        channels.append(CircuitChannel(f"opening: depth above {m}", {DEPTH: 1, CLOSING: -(h + 1)}, bias=-m))
    ramps = range(first, len(channels))
    for slot in range(1, h + 1):
        fires = tent(ramps, slot)
        for b in range(len(code)):
            name = f"bit {b} of the bracket opened last at depth {slot}"
            memory = Latch(name, fires, -1)
            for excess, weight in ((-1, 1), (0, -2), (1, 1)):
                if slot + excess >= h and not all_words:
                    continue  # max(0, d - slot - excess) = 0 for d <= h
                channels.append(
                    CircuitChannel(
                        f"{name}, times max(0, depth - {slot + excess})",
                        {code[b]: 1},
                        memory=memory,
                        gate={DEPTH: 1, ONE: -(slot + excess)},
                        writes={top[b]: weight},
                    )
                )
    return CircuitBlock("a slot per depth", tuple(channels))
