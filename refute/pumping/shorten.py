"""Words on which a model is wrong, made shorter."""

from __future__ import annotations

from ...automata.alphabet import Word
from ...automata.budget import Meter
from ...automata.languages import Language
from ...certify.check import compare
from ...models.readout import Readout
from ...models.run.batches import Model

TOKENS = 1 << 18
"""Of all words together that are tried at a time."""


def shortened(model: Model, language: Language, readout: Readout, word: Word, meter: Meter) -> Word:
    """A word on which the model is wrong, too, out of letters of this one, in their order.

    Stretches are left out while the model stays wrong: from half of the letters down to one, as long as all words
    of one size together have no more than ``TOKENS`` letters.

    Raises:
        BudgetExceededError: past the meter's budget.
    """
    size = len(word) // 2
    while size:
        tried = [(*word[:at], *word[at + size :]) for at in range(0, len(word), size)]
        if sum(map(len, tried)) > TOKENS:
            break
        meter.tick(sum(map(len, tried)))
        meter.check_time()
        found = compare(model, language, readout, tried).shortest
        if found is not None:
            word = found.prefix
            size = min(size, len(word) // 2)
        else:
            size //= 2
    return tuple(word)
