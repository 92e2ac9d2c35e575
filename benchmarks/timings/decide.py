"""Times of the algebra: star-free or not, with a witness, and cascades."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import quantiles

from timings.measure import Tick, best_of, o_n
from timings.random_dfas import GENERATORS, STAR_FREE, random_dfa

from scancraft.automata.decide.aperiodic import star_free_witness
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import d_n, dyck
from scancraft.automata.images import image_sets
from scancraft.compiler.cascade.cascade import decompose


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Args:
        points: of O_n, decided.
        depth: of D-n, decided.
        states: of the random DFAs.
        dfas: how many random DFAs, over all generators; each is decided once.
        cascades: n of D-n, h of Dyck_{2,h}, n of O_n.
        repeats: other times are the best of so many.
    """

    points: int = 14
    depth: int = 128
    states: int = 20
    dfas: int = 1_000
    cascades: tuple[int, int, int] = (32, 7, 9)
    repeats: int = 3


FULL = Size()
QUICK = Size(points=5, depth=10, states=5, dfas=20, cascades=(5, 2, 4), repeats=1)


@dataclass(frozen=True)
class Decision:
    """One large automaton, decided."""

    name: str
    states: int
    letters: int
    image_sets: int
    star_free: bool
    seconds: float


@dataclass(frozen=True)
class RandomDecisions:
    """Random automata of one generator (or of all), decided; times in milliseconds per automaton."""

    generator: str
    dfas: int
    star_free: int
    longest_witness: int
    largest_period: int
    median_ms: float
    p95_ms: float
    most_ms: float


@dataclass(frozen=True)
class CascadeTime:
    """One cascade: decided and decomposed in ``seconds``, printed as so many characters in ``print_seconds``."""

    name: str
    states: int
    letters: int
    height: int
    image_sets: int
    flip_flops: int
    flip_flops_unshared: int
    seconds: float
    print_seconds: float
    characters: int


@dataclass(frozen=True)
class Result:
    decisions: tuple[Decision, ...]
    random: tuple[RandomDecisions, ...]
    cascades: tuple[CascadeTime, ...]


def measure(size: Size, tick: Tick) -> Result:
    large = [(f"O_{size.points}", o_n(size.points)), (f"D-{size.depth}", d_n(size.depth))]
    n, h, points = size.cascades
    cascaded = [(f"D-{n}", d_n(n)), (f"Dyck_{{2,{h}}}", dyck(2, h)), (f"O_{points}", o_n(points))]
    steps, done = len(large) + len(GENERATORS) + len(cascaded), 0

    def next_step(what: str) -> None:
        nonlocal done
        tick(done, steps, what)
        done += 1

    decisions = []
    for name, dfa in large:
        next_step(f"deciding {name}")
        decisions.append(_decision(name, dfa, size.repeats))
    samples: dict[str, list[_Sample]] = {}
    for generator in GENERATORS:
        next_step(f"deciding random DFAs, {generator}")
        share = size.dfas // len(GENERATORS)
        samples[generator] = [
            _sample(random_dfa(generator, size.states, 2 + seed % 2, seed), generator in STAR_FREE)
            for seed in range(share)
        ]
    samples["all"] = [sample for group in samples.values() for sample in group]
    cascades = []
    for name, dfa in cascaded:
        next_step(f"cascade of {name}")
        cascades.append(_cascade(name, dfa, size.repeats))
    summaries = tuple(_summary(generator, group) for generator, group in samples.items())
    return Result(tuple(decisions), summaries, tuple(cascades))


def _decision(name: str, dfa: Dfa, repeats: int) -> Decision:
    seconds, witness = best_of(repeats, lambda: star_free_witness(dfa))
    sets = len(image_sets(dfa.semiautomaton))
    return Decision(name, dfa.n_states, len(dfa.alphabet), sets, witness is None, seconds)


@dataclass(frozen=True)
class _Sample:
    milliseconds: float
    witness_length: int
    period: int


def _sample(dfa: Dfa, known_star_free: bool) -> _Sample:
    """Decide once; every witness is replayed, and a witness against a star-free language stops the benchmark."""
    seconds, witness = best_of(1, lambda: star_free_witness(dfa))
    if witness is None:
        return _Sample(1000 * seconds, 0, 0)
    if known_star_free or not witness.check(dfa):
        raise RuntimeError(f"{witness} is wrong for\n{dfa}")
    return _Sample(1000 * seconds, len(witness.word), witness.period)


def _summary(generator: str, samples: list[_Sample]) -> RandomDecisions:
    times = [sample.milliseconds for sample in samples]
    twentieths = quantiles(times, n=20, method="inclusive")
    return RandomDecisions(
        generator,
        len(samples),
        sum(sample.period == 0 for sample in samples),
        max(sample.witness_length for sample in samples),
        max(sample.period for sample in samples),
        twentieths[9],
        twentieths[18],
        max(times),
    )


def _cascade(name: str, dfa: Dfa, repeats: int) -> CascadeTime:
    seconds, cascade = best_of(repeats, lambda: decompose(dfa))
    print_seconds, text = best_of(repeats, lambda: str(cascade))
    return CascadeTime(
        name,
        dfa.n_states,
        len(dfa.alphabet),
        cascade.height,
        len(cascade.parts.sets),
        cascade.flip_flops,
        cascade.flip_flops_unshared,
        seconds,
        print_seconds,
        len(text),
    )
