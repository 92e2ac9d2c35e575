"""Which tower for which group: the search for few levels.

For the labels 0 .. n - 1 and the permutations ("events") that letters do, the cheapest of

- *reflections*, one level: each event exchanges two labels, and the pairs have two sides (``.reflections``);
- *blocks*: the events permute blocks of labels, and, given the block, the labels in it: one tower on another. So a
  2-group takes a bit at each level;
- *by turns*, two levels, for three labels: a bit tells whether the labels below stand for tiles as they are or with 1
  and 2 exchanged. Each event turns the bit over or not such that what is left to do to the label below is to keep it
  or to exchange 0 with another one: t1 = (0 1) or t2 = (0 2), never (1 2). A rotation is one of them, then (1 2);
- *a count*, where all events are one cycle or its inverse: let exchanges t_1 .. t_m do what m steps of the cycle do. A
  counter modulo m, a tower of its own, knows how many steps j were done since it was 0, and the label below has carried
  out t_1 .. t_j of them, one at a step; what is missing is the same whenever the counter is at j;
- *linear parts apart*, where the group is solvable and no blocks exist: it is one of affine maps x -> g x + v of a
  vector space (Galois). The tower above holds the product of the linear parts g, and a label below y with x = g y: what
  is left to do to it is a translation, and translations have blocks;
- *a pipeline* (``.pipeline``): one level, but many blocks of a circuit; for any group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...automata.budget import Budget
from ...automata.groups.names import group_name
from ...automata.groups.permutation_group import PermutationGroup, prime_factors
from ...automata.groups.stabiliser_chain import Perm, inverse, product
from .pipeline import GroupTooLargeError, pipeline_of
from .reflections import are_reflections, ball, carried_out, factors, pair_of, sides
from .towers import Stage, Tower, single, stacked, together

MOST_SYSTEMS = 3
"""Of systems of blocks with different numbers of blocks, so many are tried, those of few blocks first."""


MOST_SHOWN = 6
"""Exchanges that are listed for people."""

LEAST_OF_PIPELINES = 6
"""A pipeline takes more blocks than this, so it is not looked at beside a tower of no more."""


class NotTwoGroupError(ValueError):
    """A group of tiles is not a 2-group, so bits that letters swap do not suffice."""


class TowerSearch:
    """Towers under one budget; equal questions are answered once.

    Args:
        budget: how many nodes, and products of permutations, may be made, and how long.
        bits: whether each level must be a bit or a mere choice, as gates of -1 have it.
    """

    def __init__(self, budget: Budget, *, bits: bool = False) -> None:
        self.budget, self.bits = budget, bits
        self.meter = budget.meter("nodes of towers")
        self._known: dict[tuple[int, tuple[Perm, ...]], Tower] = {}

    def tower(self, n: int, events: Sequence[Perm]) -> Tower:
        """The cheapest tower that was found, for events that are not the identity.

        Raises:
            NotTwoGroupError: only bits are allowed, and they do not suffice.
            BudgetExceededError: the search got too large.
        """
        key = n, tuple(sorted(set(events)))
        if key not in self._known:
            self._known[key] = self._built(*key)
            self.meter.tick(len(self._known[key].children))
        return self._known[key]

    def _built(self, n: int, events: tuple[Perm, ...]) -> Tower:
        if not events or n == 1:
            return single(n, events, Stage("choice", 1, "no letter permutes the labels"))
        if are_reflections(events) and (n == 2 or not self.bits):
            return single(n, events, Stage("reflections", 1, _exchanges(n, events)))
        group = PermutationGroup(n, events, self.meter)
        if not group.is_transitive():
            return self._orbits(n, events, group)
        found = list(self._ways(n, events, group))
        if not self.bits and n > 3 and (not found or min(tower.cost for tower in found)[0] > LEAST_OF_PIPELINES):
            try:
                pipeline = pipeline_of(n, events, self.budget)
                name = group_name(group) or "a group"
                why = (
                    f"{name} (order {group.order:,}) permutes {n} labels, not by exchanges across two sides: {pipeline}"
                )
                found.append(single(n, events, Stage("pipeline", pipeline.period + 5, why)))
            except GroupTooLargeError:
                if not found:
                    raise
        if not found:
            raise NotTwoGroupError("the tiles of an image set are permuted by a group that is not a 2-group")
        return min(found, key=lambda tower: tower.cost)

    def _orbits(self, n: int, events: tuple[Perm, ...], group: PermutationGroup) -> Tower:
        inside = {point for orbit in group.orbits for point in orbit}
        orbits = sorted([*group.orbits, *((point,) for point in range(n) if point not in inside)])
        parts = []
        for orbit in orbits:
            number = {point: i for i, point in enumerate(orbit)}
            perms = [tuple(number[event[point]] for point in orbit) for event in events]
            tower = self.tower(len(orbit), [perm for perm in perms if perm != tuple(range(len(orbit)))])
            of_tower = {perm: i for i, perm in enumerate(tower.events)}
            parts.append((orbit, tower, [of_tower.get(perm) for perm in perms]))
        return together(n, events, parts)

    def _ways(self, n: int, events: tuple[Perm, ...], group: PermutationGroup) -> Iterator[Tower]:
        """Towers of a transitive group."""
        systems = self._systems(group)
        for blocks in systems:
            try:
                yield self._by_blocks(events, blocks)
            except (NotTwoGroupError, GroupTooLargeError):
                continue
        if self.bits:
            return
        if n == 3:
            yield self._by_turns(events)
        if len({min(event, inverse(event)) for event in events}) == 1 and max(prime_factors(n)) > 3:
            yield from self._counted(n, events[0], events)
        if not systems and n > 3 and not group.is_abelian() and group.is_solvable():
            try:
                yield self._linear_apart(n, events, group)
            except GroupTooLargeError:
                return

    def _systems(self, group: PermutationGroup) -> list[tuple[tuple[int, ...], ...]]:
        """Systems of blocks that the group permutes with no blocks of blocks, of different numbers of blocks."""
        found: dict[int, tuple[tuple[int, ...], ...]] = {}
        seen = set()
        for classes in group.partitions():
            if len(classes) == 1 or classes in seen:
                continue
            seen.add(classes)
            while (further := group.on_blocks(classes).blocks()) is not None:
                classes = tuple(tuple(sorted(p for b in block for p in classes[b])) for block in further)
            found.setdefault(len(classes), classes)
        return [found[number] for number in sorted(found)][:MOST_SYSTEMS]

    def _by_blocks(self, events: tuple[Perm, ...], blocks: tuple[tuple[int, ...], ...]) -> Tower:
        number = {point: i for i, block in enumerate(blocks) for point in block}
        on_blocks = [tuple(number[event[block[0]]] for block in blocks) for event in events]
        top = self.tower(len(blocks), [perm for perm in on_blocks if perm != tuple(range(len(blocks)))])
        of_top = {perm: i for i, perm in enumerate(top.events)}
        # Names inside blocks are carried along events, so that many of these change no name.
        contexts = {0: blocks[0]}
        for here in (queue := [0]):
            for event, perm in zip(events, on_blocks, strict=True):
                if perm[here] not in contexts:
                    contexts[perm[here]] = tuple(event[point] for point in contexts[here])
                    queue.append(perm[here])
        return stacked(events, top, [of_top.get(perm) for perm in on_blocks], contexts, self.tower)

    def _by_turns(self, events: tuple[Perm, ...]) -> Tower:
        """Three labels: which events turn the bit over is settled by what they do (the module's docstring)."""
        turned: Perm = (0, 2, 1)
        plain = {(0, 1, 2), (1, 0, 2), (2, 1, 0)}
        top = single(
            2,
            [(1, 0)],
            Stage(
                "reflections",
                1,
                "a bit that says how the 3 labels below are meant: then letters exchange 0 with another",
            ),
        )
        of_top = [None if event in plain else 0 for event in events]
        return stacked(events, top, of_top, {0: (0, 1, 2), 1: turned}, self.tower)

    def _counted(self, n: int, cycle: Perm, events: tuple[Perm, ...]) -> Iterator[Tower]:
        """One cycle through all labels, or its inverse: by counters modulo numbers that have towers."""
        power = cycle
        for m in range(2, 2 * n):
            power = product(power, cycle)
            forward = min((factors(power, side) for side in sides(n)), key=len)
            if max(prime_factors(m)) > 3 or not 0 < len(forward) <= m:
                continue
            contexts = {j: self._after(n, cycle, forward[:j], j) for j in range(m)}
            top = _because(self._counter(m), f"a count modulo {m}, since letters move {n} labels round")
            steps = {cycle: top.events.index(_rotation(m, 1)), inverse(cycle): top.events.index(_rotation(m, m - 1))}
            yield stacked(events, top, [steps[event] for event in events], contexts, self.tower)

    def _counter(self, m: int) -> Tower:
        return self.tower(m, [_rotation(m, 1), _rotation(m, m - 1)])

    @staticmethod
    def _after(n: int, cycle: Perm, done: Sequence[tuple[int, int]], steps: int) -> Perm:
        """The tile of each label once the count is at ``steps``, and these exchanges are done.

        Label y was y0, with ``done`` carried out y0 = its preimage; and the tile is y0 after so many steps.
        """
        tile = inverse(carried_out(n, done))
        for _ in range(steps):
            tile = product(tile, cycle)
        return tile

    def _linear_apart(self, n: int, events: tuple[Perm, ...], group: PermutationGroup) -> Tower:
        """A solvable group without blocks: products of linear parts above, translations below."""
        residue = group
        while not (smaller := residue.derived()).order == 1:
            residue = smaller
        shift = {perm[0]: perm for perm in ball(n, residue.generators, n)}  # the translation that takes 0 to each
        linear = [product(event, inverse(shift[event[0]])) for event in events]
        products = list(ball(n, [perm for perm in linear if perm != tuple(range(n))], group.order))
        number = {perm: i for i, perm in enumerate(products)}
        on_products = [tuple(number[product(perm, g)] for perm in products) for g in linear]
        self.meter.tick(len(products))
        top = self.tower(len(products), [perm for perm in on_products if perm != tuple(range(len(products)))])
        top = _because(top, f"the {len(products)} linear parts of affine maps of {n} labels")
        of_top = {perm: i for i, perm in enumerate(top.events)}
        contexts = dict(enumerate(products))
        return stacked(events, top, [of_top.get(perm) for perm in on_products], contexts, self.tower)


def _rotation(m: int, step: int) -> Perm:
    return tuple((i + step) % m for i in range(m))


def _because(tower: Tower, why: str) -> Tower:
    """The tower with a reason for it in front of those of its stages."""
    return replace(tower, stages=tuple(replace(stage, why=f"{why}: {stage.why}") for stage in tower.stages))


def _exchanges(n: int, events: Sequence[Perm]) -> str:
    pairs = sorted(pair for event in events if (pair := pair_of(event)) is not None)
    shown = ", ".join(f"{i} with {j}" for i, j in pairs[:MOST_SHOWN]) + ", ..." * (len(pairs) > MOST_SHOWN)
    return f"letters exchange two of {n} labels, {shown}"
