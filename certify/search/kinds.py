"""One letter of each kind: what a search explores, of letters that language and model treat alike bit for bit.

A letter's kind is its column of the DFA, its row of the embedding and its row of the head. In evidence letters are the
kinds, in the order of their first letters; that this suffices is the checker's argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...automata.dfa import Dfa
from ...automata.moore import Moore
from ...models.readout import Readout
from .results import Refuted


@dataclass(frozen=True)
class Kinds:
    """A language and a readout with the first letter of each kind only.

    Attributes:
        language: over these letters; states are those of the whole language.
        readout: of these letters.
        members: the letters of each kind, by the first one.
    """

    language: Dfa | Moore
    readout: Readout
    members: Mapping[str, tuple[str, ...]]

    def of_all(self, found: Refuted) -> Refuted:
        """What was found, with all letters of each kind in the place of the first."""

        def every(tokens: Iterable[str]) -> frozenset[str]:
            return frozenset(letter for token in tokens for letter in self.members.get(token, (token,)))

        return replace(found, model=every(found.model), right=every(found.right))


def kinds_of(model: Any, language: Dfa | Moore, readout: Readout) -> Kinds:
    """The kinds of letters. O(letters * (states + d_model))."""
    embedding = model.get_input_embeddings().weight.detach().double().cpu().numpy()
    head = model.lm_head.weight.detach().double().cpu().numpy()
    acts = language.semiautomaton.array.T.copy()
    scored = readout.next_index
    found: dict[tuple[bytes, ...], list[str]] = {}
    for a, symbol in enumerate(language.alphabet):
        rows = (acts[a], embedding[readout.tokens[symbol]], *([head[scored[symbol]]] if scored else []))
        found.setdefault(tuple(row.tobytes() for row in rows), []).append(symbol)
    members = {letters[0]: tuple(letters) for letters in found.values()}
    few = language.with_letters({symbol: symbol for symbol in members})
    tokens = {symbol: readout.tokens[symbol] for symbol in members}
    named = {symbol: scored[symbol] for symbol in members} if scored else {}
    return Kinds(few, replace(readout, tokens=tokens, next_symbol=named), members)
