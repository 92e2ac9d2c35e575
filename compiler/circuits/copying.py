"""Copying in two blocks, as long as words are live: ceil(log2 K) memories for each place of the word, and two more.

Block 1 counts: the letters before the separator from 0 on, those after it from -(n + 1) on, so its sign says which half
it is. Block 2 keeps the code of the letter at each place, a memory per bit: it is overwritten when a letter leads to
this count, and shown when after the separator the next letter's place is this one. The conditions are tents of the
count, as for bounded Dyck (``bounded_dyck``), of the same sign on one side of the separator and 0 on the other; three
copies of each memory make the tent that shows it. One memory more holds the length: it is overwritten with the count
at each letter before the separator. After that a letter is ruled out by

    n * (bits in which its code differs from what is shown) + 1 - (length - letters copied),

which is at most 0 iff nothing differs and a letter is still to come: so the codes 0..K-1 need none for "no letter".
"""

from __future__ import annotations

from ...automata.alphabet import BOS, EOS
from ...automata.copying.language import Copying
from .bounded_dyck import slot_limits
from .circuit import Circuit, CircuitBlock, CircuitChannel, Counter, Latch, indicator, tent
from .forms import ALWAYS, ONE, Form, plus, times

LETTER, MIDDLE, COUNT = "letter", "separator", "count"
AFTER, FULL, LENGTH = "after the separator", "n letters", "length"


def copying_circuit(language: Copying) -> Circuit:
    """Two blocks, for live prefixes. O(n log K) channels."""
    n, bits = language.longest, language.code_bits
    code = [f"code bit {b}" for b in range(bits)]
    shown = [f"bit {b} of the letter to come" for b in range(bits)]
    tokens: dict[str, Form] = {BOS: {BOS: 1}, language.separator: {MIDDLE: 1}}
    # The number of letters copied, less the length; 0 before the separator.
    missing: Form = {COUNT: 1, AFTER: n + 1, LENGTH: -1}
    # Where no symbol was read (padding) everything is forbidden.
    read = plus(ALWAYS, {LETTER: -1, MIDDLE: -1, BOS: -1})
    verdicts: dict[str, Form] = {}
    for number, letter in enumerate(language.letters):
        ones = [b for b in range(bits) if number >> b & 1]
        tokens[letter] = {LETTER: 1} | {code[b]: 1 for b in ones}
        differs = plus({shown[b]: -1 if b in ones else 1 for b in range(bits)}, {AFTER: len(ones)})
        verdicts[letter] = plus(read, {FULL: 1, AFTER: 1}, times(n, differs), missing)
    verdicts[language.separator] = plus(read, {AFTER: 1})
    verdicts[EOS] = plus(ALWAYS, {AFTER: -1}, times(-1, missing))
    return Circuit(
        kind="copying",
        construction="copying: a count and a slot per place (the task of Jelassi et al. 2024)",
        alphabet=language.alphabet,
        features=(BOS, LETTER, MIDDLE, *code, COUNT, *shown, AFTER, FULL, LENGTH),
        tokens=tokens,
        blocks=(_counting(n), _slots(n, code, shown)),
        verdicts=verdicts,
        contract="live-prefixes",
        limits={COUNT: slot_limits(n + 1, all_words=False)},
        reach={COUNT: n + 1},
    )


def _counting(n: int) -> CircuitBlock:
    begins, letter, middle = 1, 2, 3
    count = Counter(COUNT, 0, letter, begins, {letter: 1}, anew={middle: -(n + 1)})
    channels = (
        CircuitChannel("always 1", bias=1),
        CircuitChannel("<bos> or the separator", {BOS: 1, MIDDLE: 1}),
        CircuitChannel("a letter", {LETTER: 1}),
        CircuitChannel("the separator", {MIDDLE: 1}),
        CircuitChannel(COUNT, bias=1, memory=count, gate=ALWAYS, writes={COUNT: 1}),
    )
    return CircuitBlock("the count", channels)


def _slots(n: int, code: list[str], shown: list[str]) -> CircuitBlock:
    before: Form = {COUNT: 1}
    channels = [CircuitChannel("always 1", bias=1)]
    channels += indicator(AFTER, {COUNT: -1}, 1, gate=ALWAYS, writes=AFTER)
    channels += indicator(FULL, before, n, gate=ALWAYS, writes=FULL)
    first = len(channels)
    for m in range(max(2, n)):
        channels.append(CircuitChannel(f"letters before the separator, above {m}", before, bias=-m))
    ramps = range(first, len(channels))
    length = Latch(LENGTH, {first: 2, first + 1: -2}, -1)
    channels.append(CircuitChannel(LENGTH, before, memory=length, gate=ALWAYS, writes={LENGTH: 1}))
    for place in range(1, n + 1):
        fires = tent(ramps, place)
        for b in range(len(code)):
            name = f"bit {b} of letter {place}"
            memory = Latch(name, fires, -1)
            # After the separator -count is n + 1, n, ..., where the letters 1, 2, ... come next: it is n + 2 - place.
            for excess, weight in ((-1, 1), (0, -2), (1, 1)):
                above = n + 2 - place + excess
                if above < n + 1:  # else max(0, -count - above) = 0
                    meaning = f"{name}, times max(0, -count - {above})"
                    gate: Form = {COUNT: -1, ONE: -above}
                    channels.append(
                        CircuitChannel(meaning, {code[b]: 1}, memory=memory, gate=gate, writes={shown[b]: weight})
                    )
    return CircuitBlock("a slot per place", tuple(channels))
