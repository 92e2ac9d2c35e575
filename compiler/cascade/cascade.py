"""The cascade of a regular language: a chain of identity-or-reset automata, one per level; of groups, permutations too.

A state q is a chain Q = P_H > ... > P_0 = {q} of image sets; the coordinate of level i names the tile of P_i that
comes next. Under a letter a level either keeps its coordinate (P_i.a = P'_i, the new set at that level) or is
reset to a tile of P'_i that holds P_i.a. Where the chain already is below height i, the level says nothing.

A star-free language needs no more. If the language has groups, a letter that keeps the set may also permute the labels
of a level: of a bit, which it swaps (docs/signed.md), or of more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import ceil, log2
from typing import Protocol

from ...automata.alphabet import Word
from ...automata.budget import DEFAULT_BUDGET, Budget
from ...automata.cards import card, folded, picture, table
from ...automata.decide.aperiodic import require_star_free
from ...automata.deterministic import Deterministic
from ...automata.pictures.svg import Pictured
from ...automata.semiautomaton import Semiautomaton
from .holonomy import Groups, Holonomy, holonomy
from .picture import parts_svg

Coordinates = tuple[int, ...]
"""One tile label per level, top level first; a level that says nothing keeps whatever it held."""


class Automaton(Protocol):
    """What a cascade needs to know: a :class:`Dfa`, or states that are not told apart by any language."""

    @property
    def semiautomaton(self) -> Semiautomaton:
        """States and transitions."""
        ...

    @property
    def initial(self) -> int:
        """The initial state."""
        ...

    @property
    def alphabet(self) -> tuple[str, ...]:
        """The symbols."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each state."""
        ...


@dataclass(frozen=True)
class Cascade(Pictured):
    """The cascade of a language.

    Levels are numbered by height, H down to 1. Nothing is enumerated: a step is computed from the coordinates above
    and the letter, O(H) look-ups.

    Attributes:
        dfa: the language (or another automaton).
        parts: the holonomy decomposition of its semiautomaton.
    """

    dfa: Automaton
    parts: Holonomy

    @property
    def height(self) -> int:
        """H: the number of levels."""
        return self.parts.top

    @cached_property
    def initial(self) -> Coordinates:
        """The coordinates of the initial state: at each level the first tile that contains it."""
        coordinates, current = [], 0
        for level in range(self.height, 0, -1):
            if self.parts.height[current] == level:
                label = self.reset_label(1 << self.dfa.initial, current)
                coordinates.append(label)
                current = self.parts.tiles[current][label]
            else:
                coordinates.append(0)
        return tuple(coordinates)

    def admissible(self, image: int, target: int) -> tuple[int, ...]:
        """The labels of the tiles of set number ``target`` that contain the states of bitmask ``image``.

        A block of tiles counts if one of its tiles contains them: the levels below must still find that tile.
        """
        sets, leaves = self.parts.sets, self.parts.leaves
        tiles = self.parts.tiles[target]
        return tuple(v for v, t in enumerate(tiles) if any(image & ~sets[leaf] == 0 for leaf in leaves(t)))

    def reset_label(self, image: int, target: int) -> int:
        """The first admissible label: the value that this cascade resets to."""
        return self.admissible(image, target)[0]

    def chain(self, coordinates: Coordinates) -> tuple[int, ...]:
        """The sets P_H, ..., P_0 that the coordinates name, by number."""
        sets = [0]
        for level, label in zip(range(self.height, 0, -1), coordinates, strict=True):
            current = sets[-1]
            sets.append(self.parts.tiles[current][label] if self.parts.height[current] == level else current)
        return tuple(sets)

    def state(self, coordinates: Coordinates) -> int:
        """The DFA state that the coordinates name."""
        return self.parts.members(self.chain(coordinates)[-1])[0]

    def step(self, coordinates: Coordinates, symbol: str) -> Coordinates:
        """The coordinates after one more symbol; each level looks only at the levels above it and the letter."""
        letter = self.dfa.semiautomaton.index_of(symbol)
        parts, after, new = self.parts, 0, []
        before_chain = self.chain(coordinates)
        for i, level in enumerate(range(self.height, 0, -1)):
            label = coordinates[i]
            if parts.height[after] == level:
                before = before_chain[i]
                if parts.successor[before][letter] != after:
                    label = self.reset_label(parts.image(before, letter), after)
                elif (before, letter) in parts.turns:
                    label = parts.turns[before, letter][label]
                new.append(label)
                after = parts.tiles[after][label]
            else:
                new.append(label)
        return tuple(new)

    def run(self, word: Word) -> Iterator[Coordinates]:
        """The coordinates after each prefix of ``word``, the empty one first."""
        coordinates = self.initial
        yield coordinates
        for symbol in word:
            coordinates = self.step(coordinates, symbol)
            yield coordinates

    def accepts(self, word: Word) -> bool:
        """Whether the cascade ends in an accepting state."""
        dfa = self.dfa
        assert isinstance(dfa, Deterministic), "only languages accept words"
        *_, last = self.run(word)
        return self.state(last) in dfa.accepting

    # -- size --------------------------------------------------------------------------------------------------

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Values of each level's memory, top first: the most tiles of any set of that height (labels are shared)."""
        parts = self.parts
        return tuple(
            max(len(parts.tiles[p]) for group in parts.orbits(level).values() for p in group)
            for level in range(self.height, 0, -1)
        )

    @property
    def flip_flops(self) -> int:
        """Flip-flops that hold the coordinates: ceil(log2 width) per level."""
        return sum(ceil(log2(width)) for width in self.widths if width > 1)

    @property
    def flip_flops_unshared(self) -> int:
        """The same for a plain holonomy, where each class of equivalent sets has a memory of its own."""
        parts = self.parts
        groups = (group for level in range(self.height, 0, -1) for group in parts.orbits(level).values())
        return sum(ceil(log2(len(parts.tiles[group[0]]))) for group in groups)

    def __repr__(self) -> str:
        sets = len(self.parts.sets) - len(self.parts.blocks)
        states = self.dfa.semiautomaton.n_states
        return f"<Cascade: {self.height} levels, {sets} image sets of {states} states>"

    def _repr_html_(self) -> str:
        name, tiles = self.parts.set_names, self.parts.tiles
        rows = (
            (level, width, name[p], "; ".join(f"{v}: {name[t]}" for v, t in enumerate(tiles[p])))
            for level, width in zip(range(self.height, 0, -1), self.widths, strict=True)
            for group in self.parts.orbits(level).values()
            for p in group
        )
        shown = table(("level", "values", "in the set", "the memory names the tile"), rows)
        facts = {"swaps": sorted(self.parts.swap_levels) or None}
        return card(f"cascade of {self.height} levels", facts, picture(self.svg()), folded("tiles", shown))

    def svg(self) -> str | None:
        """The image sets and tiles, level by level; None if there are too many."""
        return parts_svg(self.parts, self.dfa.names, self.dfa.alphabet)

    def __str__(self) -> str:
        name = self.parts.set_names
        swaps, stages = self.parts.swap_levels, self.parts.stages
        wide = any(self.widths[self.height - level] > 2 for level in swaps)
        kind = f" ({len(swaps)} of them with {'permutations' if wide else 'swaps'})" if swaps else ""
        sets = len(self.parts.sets) - len(self.parts.blocks)
        lines = [f"cascade of {self.height} identity-or-reset levels{kind}, {sets} image sets"]
        for i, level in enumerate(range(self.height, 0, -1)):
            does = "swap" if self.widths[i] == 2 else "permute"
            swap = f", which letters can {does}" if level in swaps else ""
            why = f": {stages[level].why}" if level in stages else ""
            lines.append(f"level {level}: memory of {self.widths[i]} values{swap}{why}")
            for group in self.parts.orbits(level).values():
                for p in group:
                    tiles = ", ".join(f"{v} -> {name[t]}" for v, t in enumerate(self.parts.tiles[p]))
                    lines.append(f"    in {name[p]}: {tiles}")
        return "\n".join(lines)


def decompose(dfa: Deterministic, budget: Budget = DEFAULT_BUDGET, *, groups: Groups = "none") -> Cascade:
    """The cascade of a language: of resets alone, or also of labels that letters permute.

    Args:
        dfa: the language; star-free, or with ``groups`` = "bits" one whose groups are 2-groups, or with "any" any.
        budget: how far the searches may go.
        groups: what letters may do to the labels of a level.

    Raises:
        NotStarFreeError: the language is not star-free (and ``groups`` is "none"); carries the witness.
        NotTwoGroupError: the language has a group that is not a 2-group (and ``groups`` is "bits").
        BudgetExceededError: undecided within the budget.
    """
    if groups == "none":
        require_star_free(dfa, budget)
    return Cascade(dfa, holonomy(dfa.semiautomaton, budget, groups=groups))
