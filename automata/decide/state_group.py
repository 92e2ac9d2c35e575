"""The group by which words permute a set of states, in the terms of a language: names and words."""

from __future__ import annotations

from dataclasses import dataclass

from ..alphabet import shown_states
from ..deterministic import Deterministic
from ..groups.names import factor_names, group_name
from ..groups.permutation_group import PermutationGroup
from .permutators import Permutator


@dataclass(frozen=True)
class Generator:
    """A word that permutes a set of states: ``images[i]`` is where the i-th state of the set goes."""

    word: tuple[str, ...]
    images: tuple[int, ...]


@dataclass(frozen=True)
class StateGroup:
    """All permutations of a set of states of the minimal DFA that words induce.

    Args:
        states: numbers of the states, ascending.
        names: their names.
        order: how many permutations there are.
        generators: words that generate them.
        name: what the group is called up to isomorphism, where that is known: Z3, S4, A5, 2-group of order 32.
        factors: of a solvable group its composition factors with multiplicity. Of another one a factor that is not
            solvable, A5 or "a perfect group of order 1,344", then the abelian composition factors above it.
    """

    states: tuple[int, ...]
    names: tuple[str, ...]
    order: int
    generators: tuple[Generator, ...]
    name: str | None
    factors: tuple[str, ...]

    @property
    def degree(self) -> int:
        """How many states are permuted."""
        return len(self.states)

    @property
    def simple(self) -> tuple[str, ...]:
        """The factor that is not solvable; none iff the group is solvable."""
        return tuple(name for name in self.factors if not name.startswith("Z"))

    def check(self, dfa: Deterministic) -> bool:
        """Replay: each word does to the states what its generator says, and the permutations have this order.

        That there are no further permutations is not checked. O(total length of the words * degree), and one
        stabiliser chain.
        """
        place = {q: i for i, q in enumerate(self.states)}
        n = dfa.n_states
        if len(place) != self.degree or not all(0 <= q < n for q in self.states):
            return False
        perms = []
        for generator in self.generators:
            if not set(generator.word) <= set(dfa.alphabet) or place.keys() != set(generator.images):
                return False
            if tuple(dfa.semiautomaton.run(q, generator.word) for q in self.states) != generator.images:
                return False
            perms.append(tuple(place[q] for q in generator.images))
        named = self.names == tuple(dfa.names[q] for q in self.states)
        return named and PermutationGroup(self.degree, tuple(perms)).order == self.order

    def as_json(self) -> dict[str, object]:
        """All facts; states by their names."""
        name = dict(zip(self.states, self.names, strict=True))
        return {
            "name": self.name,
            "order": self.order,
            "degree": self.degree,
            "states": list(self.names),
            "generators": [{"word": list(g.word), "images": [name[q] for q in g.images]} for g in self.generators],
            "composition_factors": {factor: self.factors.count(factor) for factor in self.factors},
        }

    @property
    def title(self) -> str:
        """The name, the order and the degree."""
        kind = self.name or ("a group" if self.simple else "a solvable group")
        order = f"{self.order:,}" if self.order < 10**15 else f"about 10^{len(str(self.order)) - 1}"
        return f"{kind} (order {order}, on {self.degree:,} states)"

    def __str__(self) -> str:
        counts = {factor: self.factors.count(factor) for factor in self.factors}
        factors = ", ".join(factor if times == 1 else f"{factor} ({times} times)" for factor, times in counts.items())
        return f"{self.title}; composition factors {factors}; the states {shown_states(self.names)}"


def state_group(dfa: Deterministic, found: Permutator) -> StateGroup:
    """The group that was found in a language, with all its names, replayed.

    Raises:
        BudgetExceededError: the group's clock has run out.

    Cost: that of :func:`~..groups.names.factor_names`.
    """
    generators = [
        Generator(tuple(dfa.alphabet[a] for a in word), tuple(found.states[i] for i in perm))
        for word, perm in zip(found.words, found.group.generators, strict=True)
    ]
    group = StateGroup(
        found.states,
        tuple(dfa.names[q] for q in found.states),
        found.group.order,
        tuple(generators),
        group_name(found.group),
        factor_names(found.group),
    )
    if not group.check(dfa):
        raise AssertionError(f"the words of the group {group} do not generate it; please report this")
    return group
