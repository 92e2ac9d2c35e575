"""The flip-flop language by theorem 1 of Sarrof, Veitsman and Hahn (2024): what comes next depends on the last symbol
and on one remembered bit.

Block 1 is the theorem's memory: it is overwritten when the symbol before is w and the symbol now is a bit, read through
the two taps of the convolution; the gate shows it where the symbol now is r. That is all that live prefixes need.
Block 2 is the error latch, for the contract "all-words".
"""

from __future__ import annotations

from ...automata.alphabet import BOS, EOS
from .circuit import Circuit, CircuitBlock, CircuitChannel, Latch
from .forms import ONE, Form
from .latching import latch_errors
from .levels import letter_feature

SYMBOLS = ("w", "r", "i", "0", "1")
DUE = "a 1 is due"


def flip_flop_circuit(*, all_words: bool = True) -> Circuit:
    """One block for live prefixes, two for all words."""
    letter = {s: letter_feature(s) for s in (*SYMBOLS, BOS)}
    written = CircuitChannel(
        "w before and a bit now", {letter["w"]: 1, letter["0"]: -1, letter["1"]: -1}, taps=(1, -1), bias=-1
    )
    begins = CircuitChannel("<bos> now", {letter[BOS]: 1})
    memory = CircuitChannel(
        "the bit written last, shown after r",
        {letter["1"]: 1},
        memory=Latch("the bit written last", {1: 2, 2: 2}, -1),
        gate={letter["r"]: 1},
        writes={DUE: 1},
    )
    block = CircuitBlock("memory of the bit", (CircuitChannel("always 1", bias=1), written, begins, memory))
    after_bit = {letter["0"]: -1, letter["1"]: -1}
    first: Form = {ONE: 1, letter[BOS]: -1, **after_bit}
    later: Form = {ONE: 1, **after_bit}
    free = {letter["w"]: -1, letter["i"]: -1}
    circuit = Circuit(
        kind="flip-flop",
        construction="flip-flop, one memory (Sarrof, Veitsman, Hahn 2024, theorem 1)",
        alphabet=SYMBOLS,
        features=(*letter.values(), DUE),
        tokens={s: {name: 1} for s, name in letter.items()},
        blocks=(block,),
        verdicts={
            "w": first,
            "r": later,
            "i": later,
            "0": {ONE: 1, **free, letter["r"]: -1, DUE: 1},
            "1": {ONE: 1, **free, DUE: -1},
            EOS: first,
        },
        contract="live-prefixes",
        letters={feature: s for s, feature in letter.items()},
    )
    if not all_words:
        return circuit
    return latch_errors(circuit, {s: {letter[s]: 1} for s in SYMBOLS}, letter[BOS], at_most_one=True)
