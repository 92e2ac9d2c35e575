"""The read-out of a plan: which events are features already, and what the last block multiplies for the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import gcd

from .plan import Event, Holds, Letter, Memory, Plan, show_event
from .wellformed import need


@dataclass(frozen=True)
class Product:
    """What a channel of the last block writes: 1 where all of it holds, else 0.

    Attributes:
        gate: literals about features that are known before the block.
        shown: a label of a memory of the block: its name, how long ago, the label.
        older: in block 1, literals about letters before this one.
    """

    gate: Event
    shown: tuple[str, int, int] | None = None
    older: Event = ()

    def __str__(self) -> str:
        holds = () if self.shown is None else (Holds(self.shown[0], frozenset({self.shown[2]}), self.shown[1]),)
        return show_event((*holds, *self.gate, *self.older))


Term = tuple[int, Event | Product]
"""How often it counts, and an event of one literal at most, read as a form of features; or a product."""


class Readout:
    """The verdicts of a plan as sums of terms.

    Attributes:
        verdicts: for each token its terms.
    """

    def __init__(self, plan: Plan) -> None:
        self._last = plan.blocks[-1].memories if plan.blocks else ()
        self._own: Mapping[str, Memory] = {memory.name: memory for memory in self._last}
        self._blocks = len(plan.blocks)
        self.verdicts = {
            token: [(w * times, term) for event, w in form.items() for times, term in self._terms(event)]
            for token, form in plan.verdicts.items()
        }

    def columns(self) -> dict[Product, dict[str, int]]:
        """How often each product counts in the verdict of each token."""
        found: dict[Product, dict[str, int]] = {}
        for token, terms in self.verdicts.items():
            for weight, term in terms:
                if isinstance(term, Product):
                    column = found.setdefault(term, {})
                    column[token] = column.get(token, 0) + weight
        return {product: {t: w for t, w in column.items() if w} for product, column in found.items()}

    def literals(self) -> Iterator[Letter | Holds]:
        """What is read as a feature, or as a form of features."""
        for terms in self.verdicts.values():
            for _, term in terms:
                yield from term.gate if isinstance(term, Product) else term

    def _terms(self, event: Event) -> Iterator[Term]:
        """An event as a sum of terms.

        Raises:
            PlanError: it is no such sum.
        """
        own = [literal for literal in event if isinstance(literal, Holds) and literal.memory in self._own]
        rest = tuple(literal for literal in event if literal not in own)
        where = f"the read-out asks for [{show_event(event)}]"
        need(len(own) <= 1, f"{where}: two memories of the last block; it takes one block more")
        if not own:
            yield from self._known(rest, where)
            return
        (holds,) = own
        need(self._blocks > 1 or all(literal.back == 0 for literal in rest), f"{where}: a memory and an older letter")
        labels = frozenset(self._own[holds.memory].writes)
        others = labels - holds.labels
        if len(holds.labels) <= len(others) + (len(rest) > 1):
            for label in sorted(holds.labels):
                yield 1, Product(rest, (holds.memory, holds.back, label))
            return
        # What is left of the rest where the other labels are taken away.
        yield from self._known(rest, where)
        for label in sorted(others):
            yield -1, Product(rest, (holds.memory, holds.back, label))

    def _known(self, event: Event, where: str) -> Iterator[Term]:
        """An event that no memory of the last block has a part in."""
        older = tuple(literal for literal in event if isinstance(literal, Letter) and literal.back)
        if len(event) <= 1 and not (older and self._blocks == 1):
            need(self._blocks or not older, f"{where}: no block has the letters before this one")
            yield 1, event
            return
        need(self._blocks, f"{where}: no block can say it")
        if self._blocks > 1:
            yield 1, Product(event)
        else:
            yield 1, Product(tuple(literal for literal in event if literal not in older), older=older)


@dataclass(frozen=True)
class Shared:
    """Features that products are added to.

    Attributes:
        written: for each product the features, and how often it is added to each.
        read: for each token the form of these features that is the sum of its products.
    """

    written: Mapping[Product, Mapping[str, int]]
    read: Mapping[str, Mapping[str, int]]

    @property
    def names(self) -> tuple[str, ...]:
        """The features, each once."""
        return tuple(dict.fromkeys(name for column in self.written.values() for name in column))


def shared(readout: Readout) -> Shared:
    """The fewest features of two ways: products that count alike, up to a factor, share one; or tokens do."""
    columns = {product: column for product, column in readout.columns().items() if column}
    kinds: dict[tuple[tuple[str, int], ...], list[Product]] = {}
    for product, column in columns.items():
        kinds.setdefault(_reduced(column)[0], []).append(product)
    rows: dict[tuple[int, ...], list[str]] = {}
    for token in readout.verdicts:
        if any(row := tuple(column.get(token, 0) for column in columns.values())):
            rows.setdefault(row, []).append(token)
    if len(rows) < len(kinds):
        names = {group[0]: f"against {' '.join(group)}" for group in rows.values()}
        return Shared(
            {p: {names[t]: w for t, w in column.items() if t in names} for p, column in columns.items()},
            {token: {names[group[0]]: 1} for group in rows.values() for token in group},
        )
    texts = [" or ".join(map(str, group[:2])) + " or ..." * (len(group) > 2) for group in kinds.values()]
    name_of = {
        kind: f"{text} ({n})" if texts.count(text) > 1 else text
        for n, (kind, text) in enumerate(zip(kinds, texts, strict=True))
    }
    read: dict[str, dict[str, int]] = {}
    for kind, name in name_of.items():
        for token, weight in kind:
            read.setdefault(token, {})[name] = weight
    reduced = {product: _reduced(column) for product, column in columns.items()}
    return Shared({product: {name_of[kind]: factor} for product, (kind, factor) in reduced.items()}, read)


def _reduced(column: Mapping[str, int]) -> tuple[tuple[tuple[str, int], ...], int]:
    """A column without the factor that its entries have in common, and the factor."""
    entries = sorted(column.items())
    factor = gcd(*column.values()) * (1 if entries[0][1] > 0 else -1)
    return tuple((token, weight // factor) for token, weight in entries), factor
