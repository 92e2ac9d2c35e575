"""Languages that a count which never decreases tells (``automata.decide.tallies``): one block, one counter, no latch.

The counter's increments are windows of letters, each a threshold of one channel of the same block. A verdict is the
count less a bound, which depends on the last letter: a form of the counter's feature and the letters'.

Once a word has died the count is above every bound, and nothing is ever taken away from it: however it is rounded, it
stays there. Only the norms limit how far it may run, as for other walks (``compiler.circuits.walks``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from ...automata.alphabet import BOS, EOS
from ...automata.decide.tallies import Tally, Window
from ...automata.dfa import Dfa
from ..plan.windows import Window as Threshold
from ..plan.windows import windows
from .circuit import CONSTANT_EXPONENT, Circuit, CircuitChannel
from .counting import FLOAT_BITS, counting_block
from .forms import ALWAYS, ONE, Form
from .levels import letter_feature

AFTER_DEATH = 1 << 40
"""How far a counter may go once a word has died."""
WIDE_CONSTANT = 60
"""The exponent of the stream's constant: 2^60, whose square absorbs those of counters that far."""
COUNT = "count"
"""The counter's feature."""

Contract = Literal["all-words", "live-prefixes"]
Sets = tuple[frozenset[str], ...]
"""A row of sets of letters, those of a window, the oldest first."""


def tally_circuit(dfa: Dfa, tally: Tally, contract: Contract = "all-words") -> Circuit | None:
    """A language as a circuit, by a tally of it; None where its windows are no thresholds of one channel each."""
    classes: list[CircuitChannel] = []
    amounts: list[int] = []
    for amount in sorted(set(tally.amounts.values())):
        for sets in products(window for window, x in tally.amounts.items() if x == amount):
            for piece in (pieces := exact(sets, dfa.alphabet)) or ():
                reads = {letter_feature(symbol): weight for symbol, weight in piece.letters.items()}
                meaning = " ".join("{" + " ".join(sorted(letters)) + "}" for letters in sets)
                classes.append(CircuitChannel(f"{meaning} came", reads, piece.taps, 1 - piece.theta))
                amounts.append(amount)
            if pieces is None:
                return None
    letters = {letter_feature(symbol): symbol for symbol in (*dfa.alphabet, BOS)}
    inside = {name: 1 for name, symbol in letters.items() if symbol != BOS}
    # A window adds something; beyond that much the word is dead.
    highest = tally.highest + max(tally.amounts.values())
    exactly = {dtype: 1 << bits for dtype, bits in FLOAT_BITS.items() if 4 * highest + 4 <= 1 << bits}
    all_words = contract == "all-words"
    what = "letters" if tally.window == 1 else f"windows of {tally.window} letters"
    return Circuit(
        kind="walk",
        construction=f"a walk in Z: 1 counter of {what}, which never decreases",
        alphabet=dfa.alphabet,
        features=(*letters, COUNT),
        tokens={symbol: {name: 1} for name, symbol in letters.items()},
        blocks=(counting_block("counter", inside, letter_feature(BOS), classes, {COUNT: (0, amounts)}),),
        verdicts={token: _verdict(token, tally) for token in (*dfa.alphabet, EOS)},
        contract=contract,
        limits={COUNT: dict.fromkeys(exactly, AFTER_DEATH) if all_words else exactly},
        reach={} if all_words else {COUNT: tally.highest},
        letters=letters,
        constant=WIDE_CONSTANT if all_words else CONSTANT_EXPONENT,
    )


def _verdict(token: str, tally: Tally) -> Form:
    """1 without a letter, else the count less the bound."""
    bounds = {last: row.get(token, -1) for last, row in tally.bounds.items()}
    if max(bounds.values()) < 0:
        return ALWAYS
    return {ONE: 1, COUNT: 1, **{letter_feature(last): -1 - bound for last, bound in bounds.items() if bound != -1}}


# -- windows as channels -----------------------------------------------------------------------------------------------


def products(found: Iterable[Window]) -> list[Sets]:
    """Rows of sets that hold these windows, each of them once. As few as two ways of joining them give."""
    windows_ = list(found)
    longest = max(map(len, windows_))
    ways = [_joined([tuple(frozenset({a}) for a in w) for w in windows_], order) for order in _orders(longest)]
    return min(ways, key=len)


def _orders(longest: int) -> tuple[range, range]:
    """The steps back along which rows are joined, the oldest first or last."""
    return range(longest), range(longest - 1, -1, -1)


def _joined(rows: list[Sets], order: range) -> list[Sets]:
    """Rows that differ in one place only become one, place by place."""
    for back in order:
        together: dict[tuple[Sets, Sets], frozenset[str]] = {}
        rest = [row for row in rows if back >= len(row)]
        for row in rows:
            if back < len(row):
                at = len(row) - 1 - back
                key = row[:at], row[at + 1 :]
                together[key] = together.get(key, frozenset()) | row[at]
        rows = [*rest, *((*before, letters, *after) for (before, after), letters in together.items())]
    return rows


def exact(sets: Sets, alphabet: tuple[str, ...]) -> list[Threshold] | None:
    """Thresholds that are 1 where the row of sets is met, else 0, of one channel each; None if none are found.

    Where two sets overlap without being equal, a threshold may be more than 1; they are split then.
    """
    found = windows({len(sets) - 1 - n: letters for n, letters in enumerate(sets)}, alphabet)
    if found is not None and all(piece.exact for piece in found):
        return list(found)
    for i, one in enumerate(sets):
        for other in sets[:i] + sets[i + 1 :]:
            if (inside := one & other) and (outside := one - other):
                halves = [exact((*sets[:i], part, *sets[i + 1 :]), alphabet) for part in (inside, outside)]
                return None if None in halves else [piece for half in halves for piece in half or ()]
    return None
