"""Languages that compare the last two letters (``automata.decide.pairs``): one block without memory, few channels.

A letter's embedding holds its codes. A channel sees one at two taps, so that two channels know [code now > code
before], and two more [code now < code before]; the codes are equal iff neither holds. Codes beyond 255 are written in
digits, of which each is compared by itself: all numbers stay small enough for bfloat16. Where a letter has to be
*beyond* the one before, two channels say so if each letter has one code for both places; else the code of the letter
before is written, and the read-out takes that of the letter now away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...automata.alphabet import BOS
from ...automata.decide.pairs import Comparison
from ...automata.dfa import Dfa
from .circuit import PAST, Circuit, CircuitBlock, CircuitChannel, indicator
from .forms import ALWAYS, ONE, Form

DIGIT, DIGITS = 256, 2
"""Codes are written in so many digits at most, of this base."""

READ = "a token"
"""The feature of ``<bos>`` and every symbol: where it is 0 (padding), nothing may come next."""


def pairs_circuit(dfa: Dfa, told: Mapping[str, Comparison]) -> Circuit | None:
    """A language as a circuit, by its comparisons; None if codes are too large. O(letters * comparisons)."""
    different: list[Comparison] = []
    for comparison in told.values():
        if comparison not in different:
            different.append(comparison)
    parts = [_part(comparison, f"comparison {n}") for n, comparison in enumerate(different)]
    if any(part is None for part in parts):
        return None
    known = [part for part in parts if part is not None]
    return Circuit(
        kind="pattern",
        construction="a comparison of the last two letters",
        alphabet=dfa.alphabet,
        features=(READ, *dict.fromkeys(name for part in known for name in part.features)),
        tokens={
            symbol: {READ: 1, **{name: x for part in known for name, x in part.token(symbol).items() if x}}
            for symbol in (*dfa.alphabet, BOS)
        },
        blocks=(CircuitBlock("the last two letters", tuple(c for part in known for c in part.channels)),),
        verdicts={token: known[different.index(comparison)].verdict for token, comparison in told.items()},
        contract="all-words",
    )


@dataclass(frozen=True)
class _Part:
    """A comparison in a circuit.

    Attributes:
        features: its features, with what each letter, and ``<bos>``, sets them to.
        channels: of the block.
        verdict: at most 0 iff the comparison holds.
    """

    features: Mapping[str, Mapping[str, int]]
    channels: tuple[CircuitChannel, ...]
    verdict: Form

    def token(self, symbol: str) -> Form:
        """What the embedding of a letter sets."""
        return {name: values.get(symbol, 0) for name, values in self.features.items()}


def _part(comparison: Comparison, name: str) -> _Part | None:
    if comparison.kind == "beyond":
        return _beyond(comparison, name)
    return _equal(comparison, name)


def _beyond(comparison: Comparison, name: str) -> _Part | None:
    """[before - now >= 1] as 0 or 1, where one code does for both; else before - now itself.

    ``<bos>`` now has a code that no letter before exceeds, or that each does.
    """
    most = max(comparison.before.values())
    if most >= DIGIT:
        return None
    now = f"{name}: code"
    codes = {**comparison.now, BOS: most if comparison.at_start else -1}
    if not most:  # the letter before does not matter
        return _Part({now: codes}, (), {ONE: 1, READ: -1, now: -1})
    before = f"{name}: code as the letter before"
    shifts = {code - comparison.before[symbol] for symbol, code in comparison.now.items()}
    if len(shifts) == 1:  # one code for both, so that one block knows the answer
        features = {before: comparison.before, name: {BOS: -1 if comparison.at_start else 1}}
        meaning = "the letter before is beyond"
        found = indicator(meaning, {before: 1}, 1 + shifts.pop(), gate=ALWAYS, writes=name, taps=(1, -1))
        return _Part(features, tuple(found), {ONE: 1, READ: -1, name: 1})
    features = {before: comparison.before, now: codes, name: {}}
    channel = CircuitChannel("code of the letter before", {before: 1}, PAST, skip=1, gate=ALWAYS, writes={name: 1})
    return _Part(features, (channel,), {ONE: 1, READ: -1, name: 1, now: -1})


def _equal(comparison: Comparison, name: str) -> _Part | None:
    """No digit of the codes differs; or one does. At ``<bos>`` a number is added that outweighs what is found there."""
    largest = max(comparison.before.values())
    if largest >= DIGIT**DIGITS:
        return None
    features: dict[str, Mapping[str, int]] = {}
    channels: list[CircuitChannel] = []
    for place in range(DIGITS if largest >= DIGIT else 1):
        digit = f"{name}: digit {place} of the code"
        features[digit] = {symbol: code // DIGIT**place % DIGIT for symbol, code in comparison.before.items()}
        for sign, way in ((1, "above"), (-1, "below")):
            meaning = f"digit {place} is {way} that of the letter before"
            channels += indicator(meaning, {digit: 1}, 1, gate=ALWAYS, writes=name, taps=(-sign, sign))
    digits = len(features)
    equal = comparison.kind == "equal"
    features[name] = {BOS: 1 if equal != comparison.at_start else -digits}
    verdict = {ONE: 1, READ: -1, name: 1} if equal else {ONE: 1 + digits, READ: -digits, name: -1}
    return _Part(features, tuple(channels), verdict)
