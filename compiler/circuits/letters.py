"""From a circuit over classes of letters to one over the letters: each has the embedding and the verdict of its class.

Nothing else of a circuit speaks of letters: its features are of classes, and so are its blocks.
"""

from __future__ import annotations

from dataclasses import replace

from ...automata.alphabet import BOS
from ...automata.letters import Quotient
from .circuit import Circuit


def over_letters(circuit: Circuit, classes: Quotient[object]) -> Circuit:
    """The circuit over all letters. O(letters).

    Args:
        circuit: over the names of the classes.
        classes: the letters of each.
    """
    if classes.trivial:
        return circuit
    name_of = {symbol: name for name, letters in classes.members.items() for symbol in letters}
    told = {token: classes.members.get(token, (token,)) for token in circuit.verdicts}
    return replace(
        circuit,
        alphabet=classes.alphabet,
        tokens={symbol: circuit.tokens[name_of.get(symbol, symbol)] for symbol in (*classes.alphabet, BOS)},
        verdicts={symbol: form for token, form in circuit.verdicts.items() for symbol in told[token]},
    )
