"""Languages of one pattern (``automata.decide.locality``), three letters a block: no state is ever looked at.

Block 1 writes, for each set of letters, whether one came a step ago, and two steps ago. From block 2 on each block
carries the match three places further: "the first n sets are met now" is "the first n - 3 were met three steps ago",
seen by the convolution's oldest tap, times a gate that is 1 where the last three letters are in the next three sets.
Matches take two features in turn, and a block clears the one that it writes. Where the pattern may be anywhere, one
more block remembers that it was met, until ``<bos>``. A pattern of n letters takes 1 + ceil(n / 3) blocks, or 2 +
ceil(n / 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ...automata.alphabet import BOS, EOS
from ...automata.decide.locality import Pattern
from ...automata.dfa import Dfa
from .circuit import Circuit, CircuitBlock, CircuitChannel, Register, Shown
from .forms import ALWAYS, ONE, Form, plus
from .levels import letter_feature

STEP = 3
"""Letters that a block goes on: what a convolution of four taps sees before the present one."""

FOUND = "found"


def pattern_circuit(dfa: Dfa, pattern: Pattern) -> Circuit:
    """A language as the circuit of its pattern. O(letters of the pattern * alphabet)."""
    letters = {letter_feature(symbol): symbol for symbol in (*dfa.alphabet, BOS)}
    earlier = {
        (back, symbols): f"{back} before: one of set {number}"
        for back in range(1, STEP)
        for number, symbols in enumerate(dict.fromkeys(pattern.sets))
    }
    ends = [*range(len(pattern.sets), 0, -STEP), 0][::-1]
    matches = [f"match {n % 2}" for n in range(len(ends))]
    blocks = [_letters_before(earlier)]
    for number, (start, end) in enumerate(pairwise(ends), start=1):
        gate = _all_of(pattern.sets[start:end], earlier)
        blocks.append(_onward(start, end, gate, matches[number - 1], matches[number], clear=number > 2))
    met = matches[-1]
    if pattern.where == "anywhere":
        blocks.append(_remembered(met))
        met = FOUND
    somewhere = dict.fromkeys(letters, -1)
    return Circuit(
        kind="pattern",
        construction=f"{pattern}, {STEP} letters a block",
        alphabet=dfa.alphabet,
        features=(*letters, *earlier.values(), *dict.fromkeys(matches[1:]), *([FOUND] if met == FOUND else [])),
        tokens={symbol: {letter: 1} for letter, symbol in letters.items()},
        blocks=tuple(blocks),
        verdicts={symbol: plus({ONE: 1}, somewhere) for symbol in dfa.alphabet} | {EOS: {ONE: 1, met: -1}},
        contract="all-words",
        letters=letters,
    )


def _any_of(symbols: frozenset[str]) -> Form:
    return {letter_feature(symbol): 1 for symbol in sorted(symbols)}


def _all_of(sets: Sequence[frozenset[str]], earlier: dict[tuple[int, frozenset[str]], str]) -> Form:
    """1 where the last letters are in these sets, else at most 0."""
    before = {earlier[back, symbols]: 1 for back, symbols in enumerate(reversed(sets[:-1]), start=1)}
    return plus(_any_of(sets[-1]), before, {ONE: 1 - len(sets)})


def _letters_before(earlier: dict[tuple[int, frozenset[str]], str]) -> CircuitBlock:
    channels = [
        CircuitChannel(name, _any_of(symbols), (1, *[0] * back), skip=1, gate=ALWAYS, writes={name: 1})
        for (back, symbols), name in earlier.items()
    ]
    return CircuitBlock("the letters before", tuple(channels))


def _onward(start: int, end: int, gate: Form, old: str, new: str, *, clear: bool) -> CircuitBlock:
    """The match of the first ``end`` sets, from that of the first ``start`` ones."""
    meaning = f"the first {end} sets are met"
    if start:
        step = CircuitChannel(meaning, {old: 1}, (1, *[0] * (end - start)), skip=1, gate=gate, writes={new: 1})
    else:
        step = CircuitChannel(meaning, bias=1, skip=1, gate=gate, writes={new: 1})
    channels = [step]
    if clear:
        channels.append(CircuitChannel(f"{new} cleared", {new: 1}, skip=1, gate=ALWAYS, writes={new: -1}))
    return CircuitBlock(f"sets {start + 1} to {end} of the pattern", tuple(channels))


def _remembered(met: str) -> CircuitBlock:
    writes = {0: {0: 1}, 1: {1: 1}}
    register = Register("pattern", writes, meanings={0: "not met so far", 1: "met"})
    shown = CircuitChannel("the pattern was met", bias=1, memory=Shown(register, 1), gate=ALWAYS, writes={FOUND: 1})
    channels = (
        CircuitChannel(f"{BOS} comes", {letter_feature(BOS): 1}),
        CircuitChannel("the pattern is met", {met: 1}),
        shown,
    )
    return CircuitBlock("whether the pattern was met", channels)
