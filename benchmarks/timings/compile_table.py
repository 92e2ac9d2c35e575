"""Sizes and times of compiled languages: the suite, larger neighbours of it, and random star-free languages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from statistics import median

from timings.measure import Tick, best_of, o_n
from timings.random_dfas import STAR_FREE, random_dfa

import scancraft
from scancraft.automata.budget import Budget
from scancraft.automata.decide.monoid import monoid_size
from scancraft.automata.dfa import Dfa
from scancraft.automata.errors import BudgetExceededError
from scancraft.automata.families import SUITE, d_n, dyck


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Args:
        most_states: named languages with more states are left out.
        repeats: the time of a named language is the best of so many.
        monoid_budget: elements after which counting a monoid is given up.
        states: of the random languages.
        seeds: random languages per generator and number of states; each is compiled once.
        seconds: a random language is given up after so many in any one pass.
    """

    most_states: int = 20
    repeats: int = 3
    monoid_budget: int = 200_000
    states: tuple[int, ...] = (4, 6, 8, 10, 12)
    seeds: int = 20
    seconds: float = 30.0


FULL = Size()
QUICK = Size(most_states=6, repeats=1, monoid_budget=1_000, states=(4,), seeds=4)


@dataclass(frozen=True)
class Language:
    """One compiled language; ``monoid`` is None past the budget. Flip-flops as in ``compiler.cascade.Cascade``."""

    name: str
    suite: bool
    states: int
    letters: int
    monoid: int | None
    image_sets: int
    height: int
    blocks: int
    d_model: int
    d_inner: int
    parameters: int
    nonzero: int
    seconds: float
    flip_flops: int
    flip_flops_unshared: int


@dataclass(frozen=True)
class Spread:
    """Median and greatest value."""

    median: float
    most: float


@dataclass(frozen=True)
class RandomLanguages:
    """Random languages of one generator and one number of states."""

    generator: str
    states: int
    drawn: int
    compiled: int
    image_sets: Spread
    height: Spread
    blocks: Spread
    parameters: Spread
    flip_flops: Spread
    flip_flops_unshared: Spread
    seconds: Spread


@dataclass(frozen=True)
class Result:
    languages: tuple[Language, ...]
    random: tuple[RandomLanguages, ...]


def named_languages(most_states: int) -> list[tuple[str, bool, Dfa]]:
    """(Name, whether it is in the suite, the language)."""
    named = [(language.name, True, language.build()) for language in SUITE if language.star_free]
    named += [(f"D-{n}", False, d_n(n)) for n in (16, 18)]
    named += [(f"O_{n}", False, o_n(n)) for n in (4, 5, 6)]
    named.append(("Dyck_{2,3}", False, dyck(2, 3)))
    return [entry for entry in named if entry[2].n_states <= most_states]


def measure(size: Size, tick: Tick) -> Result:
    named = named_languages(size.most_states)
    groups = [(generator, states) for generator in STAR_FREE for states in size.states]
    steps = len(named) + len(groups)
    languages = []
    for done, (name, suite, dfa) in enumerate(named):
        tick(done, steps, name)
        languages.append(_language(name, suite, dfa, size))
    random = []
    for done, (generator, states) in enumerate(groups):
        tick(len(named) + done, steps, f"{generator}, {states} states")
        random.append(_random_languages(generator, states, size))
    return Result(tuple(languages), tuple(random))


def _language(name: str, suite: bool, dfa: Dfa, size: Size) -> Language:
    seconds, compiled = best_of(size.repeats, lambda: scancraft.compile(dfa))
    cascade, weights = compiled.cascade, compiled.weights
    return Language(
        name,
        suite,
        dfa.n_states,
        len(dfa.alphabet),
        _monoid(dfa, size.monoid_budget),
        len(cascade.parts.sets),
        cascade.height,
        weights.shape.n_layers,
        weights.shape.d_model,
        weights.shape.d_inner,
        weights.n_parameters,
        weights.n_nonzero,
        seconds,
        cascade.flip_flops,
        cascade.flip_flops_unshared,
    )


def _monoid(dfa: Dfa, budget: int) -> int | None:
    try:
        return monoid_size(dfa.semiautomaton, Budget(items=budget))
    except BudgetExceededError:
        return None


def _random_languages(generator: str, states: int, size: Size) -> RandomLanguages:
    rows: list[tuple[float, ...]] = []
    for seed in range(size.seeds):
        dfa = random_dfa(generator, states, 2 + seed % 2, seed)
        try:
            seconds, compiled = best_of(1, partial(scancraft.compile, dfa, budget=Budget(seconds=size.seconds)))
        except BudgetExceededError:
            continue
        cascade, weights = compiled.cascade, compiled.weights
        sizes = (len(cascade.parts.sets), cascade.height, weights.shape.n_layers, weights.n_parameters)
        rows.append((*sizes, cascade.flip_flops, cascade.flip_flops_unshared, seconds))
    spreads = (Spread(median(column), max(column)) for column in zip(*rows, strict=True))
    return RandomLanguages(generator, states, size.seeds, len(rows), *spreads)
