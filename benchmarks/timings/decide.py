"""Times of the algebra: star-free or not, with a witness, and cascades."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from statistics import quantiles

from page.table import Column, Json, code, table
from page.targets import Target, below
from timings.measure import Measured, Tick, best_of, o_n
from timings.random_dfas import GENERATORS, STAR_FREE, random_dfa

from scancraft.automata.decide.aperiodic import star_free_witness
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import d_n, dyck
from scancraft.automata.images import image_sets
from scancraft.compiler.cascade.cascade import decompose

DECIDE_SECONDS, DECIDE_MEDIAN_MS, CASCADE_SECONDS = 10.0, 20.0, 5.0


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    points: int = 14  # of O_n, decided
    depth: int = 128  # of D-n, decided
    states: int = 20  # of the random DFAs
    dfas: int = 1_000  # how many random DFAs, over all generators; each is decided once
    cascades: tuple[int, int, int] = (32, 7, 9)  # n of D-n, h of Dyck_{2,h}, n of O_n
    repeats: int = 3  # other times are the best of so many


FULL = Size()
QUICK = Size(points=5, depth=10, states=5, dfas=20, cascades=(5, 2, 4), repeats=1)


def measure(size: Size, tick: Tick) -> Measured:
    large = [(f"O_{size.points}", o_n(size.points)), (f"D-{size.depth}", d_n(size.depth))]
    n, h, points = size.cascades
    cascaded = [(f"D-{n}", d_n(n)), (f"Dyck_{{2,{h}}}", dyck(2, h)), (f"O_{points}", o_n(points))]
    steps = len(large) + len(GENERATORS) + len(cascaded)
    decisions, samples, cascades = [], [], []
    for done, (name, dfa) in enumerate(large):
        tick(done, steps, f"deciding {name}")
        decisions.append(_decision(name, dfa, size.repeats))
    for done, generator in enumerate(GENERATORS, len(large)):
        tick(done, steps, f"deciding random DFAs, {generator}")
        samples += [_sample(generator, size.states, seed) for seed in range(size.dfas // len(GENERATORS))]
    for done, (name, dfa) in enumerate(cascaded, len(large) + len(GENERATORS)):
        tick(done, steps, f"cascade of {name}")
        cascades.append(_cascade(name, dfa, size.repeats))
    random = [_summary(generator, samples) for generator in (*GENERATORS, "all")]
    return Measured({"decisions": decisions, "random": random, "cascades": cascades}, {"random": samples})


def _facts(name: str, dfa: Dfa) -> Json:
    return {"name": name, "states": dfa.n_states, "letters": len(dfa.alphabet)}


def _decision(name: str, dfa: Dfa, repeats: int) -> Json:
    seconds, witness = best_of(repeats, lambda: star_free_witness(dfa))
    sets = len(image_sets(dfa.semiautomaton))
    return _facts(name, dfa) | {"image_sets": sets, "star_free": witness is None, "seconds": seconds}


def _sample(generator: str, states: int, seed: int) -> Json:
    """Decide once; every witness is replayed, and a witness against a star-free language stops the benchmark."""
    dfa = random_dfa(generator, states, 2 + seed % 2, seed)
    seconds, witness = best_of(1, partial(star_free_witness, dfa))
    row = {"generator": generator, "seed": seed, "ms": 1000 * seconds}
    if witness is None:
        return row | {"witness": 0, "period": 0}
    if generator in STAR_FREE or not witness.check(dfa):
        raise RuntimeError(f"{witness} is wrong for\n{dfa}")
    return row | {"witness": len(witness.word), "period": witness.period}


def _summary(generator: str, samples: list[Json]) -> Json:
    mine = [sample for sample in samples if generator in (sample["generator"], "all")]
    times = [sample["ms"] for sample in mine]
    twentieths = quantiles(times, n=20, method="inclusive")
    return {
        "generator": generator,
        "dfas": len(mine),
        "star_free": sum(sample["period"] == 0 for sample in mine),
        "longest_witness": max(sample["witness"] for sample in mine),
        "largest_period": max(sample["period"] for sample in mine),
        "median_ms": twentieths[9],
        "p95_ms": twentieths[18],
        "most_ms": max(times),
    }


def _cascade(name: str, dfa: Dfa, repeats: int) -> Json:
    """Decided and decomposed in ``seconds``, printed as so many characters in ``print_seconds``."""
    seconds, cascade = best_of(repeats, lambda: decompose(dfa))
    print_seconds, text = best_of(repeats, lambda: str(cascade))
    return _facts(name, dfa) | {
        "height": cascade.height,
        "image_sets": len(cascade.parts.sets),
        "flip_flops": cascade.flip_flops,
        "flip_flops_unshared": cascade.flip_flops_unshared,
        "seconds": seconds,
        "print_seconds": print_seconds,
        "characters": len(text),
    }


# -- the page --------------------------------------------------------------------------------------------------------

LANGUAGE = (Column("language", "name", code), Column("states"), Column("letters"))
VERDICT = Column("verdict", lambda row: "star-free" if row["star_free"] else "not star-free")
DECISIONS = (*LANGUAGE, "image sets", VERDICT, "seconds")
RANDOM = (
    "generator",
    Column("DFAs", "dfas"),
    Column("star-free", "star_free"),
    Column("not", lambda row: row["dfas"] - row["star_free"]),
    *("longest witness", "largest period", "median ms"),
    Column("95% ms", "p95_ms"),
    "most ms",
)
CASCADES = (
    *LANGUAGE,
    Column("H", "height"),
    "image sets",
    Column("flip-flops", "flip_flops"),
    Column("plain", "flip_flops_unshared"),
    *("seconds", Column("printing", "print_seconds"), "characters"),
)


def targets(size: Json, result: Json) -> list[Target]:
    every = next(row for row in result["random"] if row["generator"] == "all")
    decisions = [
        below(f"deciding star-freeness of {code(row['name'])}", row["seconds"], DECIDE_SECONDS, "s")
        for row in result["decisions"]
    ]
    median = below(f"median over {every['dfas']:,} random minimal DFAs", every["median_ms"], DECIDE_MEDIAN_MS, "ms")
    cascades = [
        below(f"cascade of {code(row['name'])}", row["seconds"] + row["print_seconds"], CASCADE_SECONDS, "s")
        for row in result["cascades"]
    ]
    return [*decisions, median, *cascades]


def parts(size: Json, result: Json) -> Json:
    columns = {"decisions": DECISIONS, "random": RANDOM, "cascades": CASCADES}
    return {name: table(result[name], chosen) for name, chosen in columns.items()}
