"""Every regular language in a layer that ships: word problems of groups, all small languages, random automata whatever
their class, each in the weakest architecture that carries it (Mamba, else OLMo Hybrid), certified and checked.

    python benchmarks/run.py --only groups
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from experiments.depth import all_small_languages
from page.table import Column, Json, table
from page.targets import Target, every, none
from timings.measure import Measured, Tick

import scancraft
from scancraft import Budget, Dfa
from scancraft.automata.decide.aperiodic import star_free_witness
from scancraft.automata.languages import truth_of
from scancraft.certify.certify import Certificate, certify
from scancraft.certify.checker.certificate import check_certificate
from scancraft.models.run.batches import prefix_scores

Perm = tuple[int, ...]


def cycles(points: int, *parts: Sequence[int]) -> Perm:
    """A permutation from its cycles."""
    found = list(range(points))
    for part in parts:
        for a, b in zip(part, (*part[1:], part[0]), strict=True):
            found[a] = b
    return tuple(found)


def star(points: int) -> dict[str, Perm]:
    """The transpositions (1 i), which generate the symmetric group."""
    return {"abcdefgh"[i - 1]: cycles(points, (0, i)) for i in range(1, points)}


GROUPS: Mapping[str, Mapping[str, Perm]] = {
    **{f"Z_{n}": {"a": cycles(n, range(n))} for n in range(2, 13)},
    "S_3": star(3),
    "D_4": {"r": cycles(4, range(4)), "s": cycles(4, (0, 2))},
    "Q_8": {"i": cycles(8, (0, 1, 2, 3), (4, 5, 6, 7)), "j": cycles(8, (0, 4, 2, 6), (1, 7, 3, 5))},
    "A_4": {"a": cycles(4, (0, 1, 2)), "b": cycles(4, (0, 1), (2, 3))},
    "S_4": star(4),
    "A_5": {"a": cycles(5, (0, 1, 2)), "b": cycles(5, range(5))},
    "S_5": star(5),
}
"""Groups by generators, which are the letters."""


@dataclass(frozen=True)
class Size:
    """What is compiled and tried."""

    groups: tuple[str, ...] = tuple(GROUPS)
    length: int = 10_000  # of the word that each word problem is tried on
    small: int = 3  # all languages over two letters with at most so many states
    random: int = 300  # minimal automata with 4 to 6 states over two letters
    seed: int = 1
    seconds: float = 60.0  # for each random automaton: compiling, certifying and checking


FULL = Size()
QUICK = Size(groups=("Z_2", "Z_3", "S_3"), length=100, small=1, random=2)


def word_problem(generators: Mapping[str, Perm]) -> Dfa:
    """The words over the generators whose product is the identity."""
    points = len(next(iter(generators.values())))
    elements: list[Perm] = [tuple(range(points))]
    number = {elements[0]: 0}
    rows = []
    for element in elements:
        row = []
        for perm in generators.values():
            after = tuple(perm[i] for i in element)
            if after not in number:
                number[after] = len(elements)
                elements.append(after)
            row.append(number[after])
        rows.append(row)
    return Dfa.from_table(tuple(generators), rows, 0, [0])


def random_languages(count: int, seed: int) -> Iterator[tuple[str, Dfa]]:
    """Random minimal automata with 4 to 6 states over two letters, whatever their class."""
    rng, found = random.Random(seed), 0
    while found < count:
        n = rng.randint(4, 6)
        rows = [[rng.randrange(n) for _ in "ab"] for _ in range(n)]
        dfa = Dfa.from_table("ab", rows, 0, [q for q in range(n) if rng.random() < 0.5])
        if 4 <= dfa.n_states <= 6:
            found += 1
            yield f"random {found}", dfa


def measured(name: str, dfa: Dfa, seconds: float | None = None) -> tuple[Json, Any]:
    """One language: the model, None if there is none, and what is told of it."""
    star_free = star_free_witness(dfa) is None
    budget = Budget() if seconds is None else Budget(seconds=seconds)
    row: Json = {"name": name, "states": dfa.n_states, "star-free": star_free, "error": None}
    started = time.perf_counter()
    try:
        model = scancraft.compile(dfa, target="mamba" if star_free else "olmo_hybrid", budget=budget)
    except scancraft.ScancraftError as error:
        return row | {"error": f"{type(error).__name__}: {error}", "seconds": time.perf_counter() - started}, None
    shape = model.weights.shape
    row |= {"blocks": shape.n_layers, "width": shape.d_model, "parameters": model.weights.n_parameters}
    row["seconds"] = time.perf_counter() - started
    started = time.perf_counter()
    found = certify(model)
    row["scope"] = found.scope if isinstance(found, Certificate) else str(found)
    row["certify"] = time.perf_counter() - started
    row["checked"] = False
    if isinstance(found, Certificate):
        with TemporaryDirectory() as place:
            model.save(place)
            found.save(place)
            row["checked"] = check_certificate(place).accepted
    row["agrees"] = scancraft.check(model, words=20, max_length=60, short=200).agrees
    return row, model


def proved(row: Json) -> bool:
    """Whether the language is compiled, certified for every implementation, and checked."""
    return bool(row["error"] is None and row["scope"] == "every-implementation" and row["checked"])


def wrong_at(model: Any, length: int, seed: int) -> int:
    """Positions of a random word of this length after which the model is wrong."""
    truth, rng = truth_of(model.language), random.Random(seed)
    word = [rng.choice(model.language.alphabet) for _ in range(length)]
    codes, lengths = truth.encode([word])
    scores = prefix_scores(model.model(), model.readout, codes, lengths, truth.alphabet)
    said = (torch.as_tensor(scores[0]) > 0).numpy()
    return int((said != truth.next_masks(codes, lengths)[0]).any(axis=1).sum())


def measure(size: Size, tick: Tick) -> Measured:
    groups: list[Json] = []
    for n, name in enumerate(size.groups):
        tick(n, len(size.groups), f"the word problem of {name}")
        row, model = measured(name, word_problem(GROUPS[name]))
        row["wrong"] = None if model is None else wrong_at(model, size.length, n)
        groups.append(row)
    small = [
        measured(*language)[0]
        for language in _told([(f"small {n}", dfa) for n, dfa in enumerate(all_small_languages(size.small))], tick)
    ]
    others = [
        measured(*language, seconds=size.seconds)[0]
        for language in _told(list(random_languages(size.random, size.seed)), tick)
    ]
    lines = [_line("at most 3 states over 2 letters", small), _line("random, 4 to 6 states over 2 letters", others)]
    failed = [row for row in (*small, *others) if not proved(row)]
    result = {"groups": groups, "lines": lines, "failed": failed[:20]}
    return Measured(result, {"groups": groups, "small": small, "random": others})


def _told(languages: list[tuple[str, Dfa]], tick: Tick) -> Iterator[tuple[str, Dfa]]:
    for n, (name, dfa) in enumerate(languages):
        tick(n, len(languages), name)
        yield name, dfa


def _line(name: str, rows: Sequence[Json]) -> Json:
    hybrid = [row for row in rows if not row["star-free"]]
    return {
        "name": name,
        "languages": len(rows),
        "hybrid": len(hybrid),
        "compiled": sum(row["error"] is None for row in rows),
        "proved": sum(map(proved, rows)),
        "disagree": sum(row["error"] is None and not row["agrees"] for row in rows),
        "blocks": max((row["blocks"] for row in rows if row["error"] is None), default=0),
        "compile": median([row["seconds"] for row in rows]),
        "certify": median([row["certify"] for row in rows if row["error"] is None] or [0.0]),
        "hybrid certify": median([row["certify"] for row in hybrid if row["error"] is None] or [0.0]),
    }


# -- the page --------------------------------------------------------------------------------------------------------


def _seconds(value: float) -> str:
    return f"{value:.2f}"


COLUMNS = (
    Column("group", "name"),
    Column("order", "states"),
    Column("layers", "blocks"),
    Column("width", "width"),
    *("parameters",),
    Column("compiled in s", "seconds", _seconds),
    Column("certified in s", "certify", _seconds),
    Column("scope", "scope"),
    Column("wrong positions", "wrong"),
)
LINES = (
    Column("languages", "name"),
    Column("how many", "languages"),
    Column("of them in OLMo Hybrid", "hybrid"),
    *("compiled",),
    Column("certified and checked", "proved"),
    Column("disagree with the acceptor", "disagree"),
    Column("layers, most", "blocks"),
    Column("compiled in s, median", "compile", _seconds),
    Column("certified in s, median", "certify", _seconds),
    Column("of those in OLMo Hybrid", "hybrid certify", _seconds),
)


def targets(size: Json, result: Json) -> list[Target]:
    groups, (small, others) = result["groups"], result["lines"]
    wrong = sum(row["wrong"] or 0 for row in groups)
    tried = sum(row["wrong"] is not None for row in groups)
    share = others["proved"] / max(1, others["languages"])
    return [
        every("word problems certified and checked, every-implementation", sum(map(proved, groups)), len(groups)),
        none("word problems: wrong positions", wrong, f"of {tried * (size['length'] + 1):,}"),
        every(
            "languages of at most 3 states over 2 letters: certified and checked", small["proved"], small["languages"]
        ),
        Target("random automata certified and checked", "at least 95%", f"{share:.1%}", share >= 0.95),
        none("small and random languages that disagree with the acceptor", small["disagree"] + others["disagree"], ""),
    ]


def parts(size: Json, result: Json) -> Json:
    failed = "; ".join(f"{row['name']}: {row['error'] or row['scope']}" for row in result["failed"]) or "none"
    return {"groups": table(result["groups"], COLUMNS), "lines": table(result["lines"], LINES), "failed": failed}
