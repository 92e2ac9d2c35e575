"""Finite languages, a letter a block: block n knows the state after n letters, in words that have just so many.

The states that n letters can lead to have numbers from 1 on, in binary features that are 0 wherever a word has another
length. A channel for each state and each one that follows it looks a step back, at the number of the first (a threshold
of its bits), times a gate that is 1 at the letters that lead to the second; it writes that one's number, and the tokens
that may come after it. Numbers take two sets of features in turn, and a block clears the one that it writes. Everything
else is dead: no number, and nothing that may come.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...automata.alphabet import BOS, EOS
from ...automata.dfa import Dfa
from .circuit import PAST, Circuit, CircuitBlock, CircuitChannel
from .forms import ALWAYS, ONE, Form
from .levels import letter_feature

Number = Mapping[int, int]
"""From states to their numbers."""


def unrolled_circuit(dfa: Dfa) -> Circuit:
    """A finite language as a circuit of as many blocks as its longest word has letters. O(length * transitions).

    Args:
        dfa: of a finite language that is not empty.
    """
    letters = {letter_feature(symbol): symbol for symbol in (*dfa.alphabet, BOS)}
    layers = _layers(dfa)
    bits = max(len(layer) for layer in layers).bit_length()
    names = [[f"bit {bit} of {turn}" for bit in range(bits)] for turn in ("even lengths", "odd lengths")]
    may = _groups(dfa)
    after = {q: {may[token]: 1 for token in dfa.allowed(q)} for q in dfa.live}
    blocks = [_block(dfa, length, layers[length - 1], layers[length], names, after) for length in range(1, len(layers))]
    return Circuit(
        kind="finite",
        construction=f"{len(blocks)} lengths of a finite language, a block each",
        alphabet=dfa.alphabet,
        features=(*letters, *names[0], *names[1], *dict.fromkeys(may.values())),
        tokens={symbol: {letter: 1} | (dict(after[0]) if symbol == BOS else {}) for letter, symbol in letters.items()},
        blocks=tuple(blocks),
        verdicts={token: {ONE: 1, may[token]: -1} if token in may else {ONE: 1} for token in (*dfa.alphabet, EOS)},
        contract="all-words",
        letters=letters,
    )


def _layers(dfa: Dfa) -> list[Number]:
    """The live states after each number of letters, numbered from 1 on."""
    layers: list[Number] = [{0: 1}]
    while True:
        found = sorted({t for q in layers[-1] for t in dfa.table[q] if t in dfa.live})
        if not found:
            return layers
        layers.append({q: number for number, q in enumerate(found, start=1)})


def _groups(dfa: Dfa) -> dict[str, str]:
    """For each token that ever comes the feature that says that it may; one for tokens that come after the same."""
    states: dict[str, list[int]] = {}
    for q in sorted(dfa.live):
        for token in dfa.allowed(q):
            states.setdefault(token, []).append(q)
    first: dict[tuple[int, ...], str] = {}
    return {
        token: first.setdefault(tuple(states[token]), f"{token} may come")
        for token in (*dfa.alphabet, EOS)
        if token in states
    }


def _block(
    dfa: Dfa, length: int, before: Number, now: Number, names: list[list[str]], after: Mapping[int, Form]
) -> CircuitBlock:
    old, new = names[(length - 1) % 2], names[length % 2]
    channels = []
    for q, number in before.items():
        by_target: dict[int, list[str]] = {}
        for symbol, target in zip(dfa.alphabet, dfa.table[q], strict=True):
            if target in now:
                by_target.setdefault(target, []).append(symbol)
        reads, bias = ({letter_feature(BOS): 1}, 0) if length == 1 else _is(number, old)
        for target, symbols in by_target.items():
            gate = {letter_feature(symbol): 1 for symbol in symbols}
            writes = {name: 1 for bit, name in enumerate(new) if now[target] >> bit & 1} | dict(after[target])
            meaning = f"to {dfa.names[target]} from {dfa.names[q]}"
            channels.append(CircuitChannel(meaning, reads, PAST, bias, skip=1, gate=gate, writes=writes))
    if length > 2:
        channels += [
            CircuitChannel(f"{name} cleared", {name: 1}, skip=1, gate=ALWAYS, writes={name: -1}) for name in new
        ]
    return CircuitBlock(f"words of {length} letter{'s' * (length > 1)}", tuple(channels))


def _is(number: int, names: list[str]) -> tuple[Form, int]:
    """A form and a bias whose sum is 1 where the bits are those of the number, at least 1, and else at most 0."""
    return {name: 1 if number >> bit & 1 else -1 for bit, name in enumerate(names)}, 1 - number.bit_count()
