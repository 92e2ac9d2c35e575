"""The signed target: the suite's languages with 2-groups, and every language with a DFA of at most three states."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from page.table import Column, Json, code, table
from page.targets import Target, every, none
from timings.measure import Measured, Tick

import scancraft
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import SUITE
from scancraft.automata.words.draw import arbitrary
from scancraft.certify.check import compare
from scancraft.certify.checker.certificate import check_certificate
from scancraft.compiler.compiled import Compiled
from scancraft.compiler.targets.gates import GateClassError

SIGNED = 6
"""Languages of the suite whose groups are 2-groups."""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    long: int = 100_000  # the length of the long words
    long_words: int = 10  # how many of them per language, half of them live to the end
    states: int = 3  # all languages over two letters with a minimal DFA of at most so many states are compiled


FULL = Size()
QUICK = Size(long=3_000, long_words=2, states=2)


def languages_with(states: int) -> Iterator[Dfa]:
    """Every language over {a, b} whose minimal complete DFA has at most so many states, each once."""
    seen = set()
    for n in range(1, states + 1):
        for flat in itertools.product(range(n), repeat=2 * n):
            table = [flat[2 * q : 2 * q + 2] for q in range(n)]
            for accepting in itertools.product((False, True), repeat=n):
                dfa = Dfa.from_table(("a", "b"), table, 0, [q for q in range(n) if accepting[q]])
                if dfa.n_states == n and dfa not in seen:
                    seen.add(dfa)
                    yield dfa


def measure(size: Size, tick: Tick) -> Measured:
    named = [entry for entry in SUITE if not entry.star_free]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for done, entry in enumerate(named):
            tick(done, len(named), entry.name)
            rows.append(_row(entry.name, entry.build(), size, Path(folder)))
    found = small(size.states, tick)
    return Measured({"suite": rows, "small": by_class(found)}, {"small": found})


def small(states: int, tick: Tick) -> list[Json]:
    """What comes of every language with at most so many states."""
    chosen, found = list(languages_with(states)), []
    with tempfile.TemporaryDirectory() as folder:
        for done, dfa in enumerate(chosen):
            tick(done, len(chosen), f"language {done + 1:,} of {len(chosen):,}")
            found.append(attempt(dfa, Path(folder)))
    return found


def _row(name: str, dfa: Dfa, size: Size, folder: Path) -> Json:
    """A language of the suite that is not star-free; ``blocks`` is 0 if it was not compiled."""
    kind = scancraft.classify(dfa)
    assert kind.witness is not None
    assert kind.group is not None
    row = {"name": name, "states": dfa.n_states, "gates": kind.gates.value}
    row |= {"witness": "".join(kind.witness.word), "period": kind.witness.period}
    row |= {"group": kind.group.name or kind.group.title}
    try:
        compiled = scancraft.compile(dfa, gates="signed")
    except GateClassError:
        return row | {"blocks": 0}
    assert isinstance(compiled, Compiled)
    place = compiled.save(folder / "model")
    scope, accepted = _certified(scancraft.certify(place), place)
    report = scancraft.check(place)
    rng = np.random.default_rng(0)
    half = size.long_words // 2
    long = [scancraft.live_word_of(dfa, size.long, rng) for _ in range(half)]
    long += [arbitrary(dfa.alphabet, size.long, rng) for _ in range(size.long_words - half)]
    far = compare(compiled.runner(), dfa, compiled.readout, long)
    row |= {"levels": compiled.cascade.height, "swaps": len(compiled.cascade.parts.swap_levels)}
    row |= {"blocks": compiled.weights.shape.n_layers, "parameters": compiled.weights.n_parameters}
    row |= {"scope": scope, "accepted": accepted, "longest": far.longest_word}
    return row | {"prefixes": report.prefixes + far.prefixes, "wrong": report.wrong + far.wrong}


def _certified(verdict: Any, place: Path) -> tuple[str, bool]:
    """The scope of the certificate, "" without one, and whether the separate checker accepts it."""
    if not isinstance(verdict, scancraft.Certificate):
        return "", False
    verdict.save(place)
    return verdict.scope, check_certificate(place).accepted


def attempt(dfa: Dfa, folder: Path) -> Json:
    """One small language: its class, and, if it is compiled, what came of that; ``seconds`` to compile and certify."""
    row = {"states": dfa.n_states, "compiled": False, "scope": "", "accepted": False, "blocks": 0, "seconds": 0.0}
    started = time.perf_counter()
    try:
        compiled = scancraft.compile(dfa, gates="signed")
    except GateClassError as error:
        return row | {"gates": error.gates}
    assert isinstance(compiled, Compiled)
    verdict = scancraft.certify(compiled)
    row |= {"seconds": time.perf_counter() - started, "gates": compiled.classification.gates.value}
    scope, accepted = _certified(verdict, compiled.save(folder / "model"))
    blocks = compiled.weights.shape.n_layers
    return row | {"compiled": True, "scope": scope, "accepted": accepted, "blocks": blocks}


def by_class(found: list[Json]) -> list[Json]:
    """Small languages by class: how many by states, and how many certified with the scope "every-implementation"."""
    rows = []
    for gates in scancraft.GateClass:
        mine = [row for row in found if row["gates"] == gates.value]
        times = [row["seconds"] for row in mine if row["compiled"]]
        counts = {str(n): count for n, count in sorted(Counter(row["states"] for row in mine).items())}
        line = {"gates": gates.value, "languages": counts}
        line |= {key: sum(row[key] for row in mine) for key in ("compiled", "accepted")}
        line |= {"certified": sum(row["scope"] == "every-implementation" for row in mine)}
        line |= {"blocks": max((row["blocks"] for row in mine), default=0)}
        rows.append(line | {"seconds": median(times) if times else None})
    return rows


# -- the page --------------------------------------------------------------------------------------------------------


def _compiled(head: str, show: Callable[[Json], Any]) -> Column:
    return Column(head, lambda row: show(row) if row["blocks"] else None)


SUITE_COLUMNS = (
    Column("language", "name", code),
    *("states", "gates", "group"),
    Column("word and period", lambda row: f"{code(row['witness'])}, {row['period']}"),
    _compiled("levels (swaps)", lambda row: f"{row['levels']} ({row['swaps']})"),
    *(_compiled(key, lambda row, key=key: row[key]) for key in ("blocks", "parameters")),
    _compiled("certified", lambda row: row["scope"] or "no"),
    _compiled("checked", lambda row: row["accepted"]),
    _compiled("wrong", lambda row: f"{row['wrong']:,} of {row['prefixes']:,}"),
    _compiled("longest", lambda row: row["longest"]),
)


def _of_states(n: int) -> Column:
    return Column(f"{n} state{'s' if n > 1 else ''}", lambda row: row["languages"].get(str(n), 0))


def targets(size: Json, result: Json) -> list[Target]:
    compiled = [row for row in result["suite"] if row["blocks"]]
    certified = sum(row["scope"] == "every-implementation" and row["accepted"] for row in compiled)
    small = result["small"]
    proved = sum(min(row["certified"], row["accepted"]) for row in small)
    wrong, longest = sum(row["wrong"] for row in compiled), min(row["longest"] for row in compiled)
    note = f"of {sum(row['prefixes'] for row in compiled):,} in {len(compiled)} models"
    what = f"languages with at most {size['states']} states over 2 letters that are nonnegative or signed: "
    return [
        none(f"signed models of the suite, wrong prefixes up to length {longest:,}", wrong, note),
        every("of these certified for every implementation, and checked", certified, SIGNED),
        every(f"{what}compiled, certified and checked", proved, sum(row["compiled"] for row in small)),
    ]


def parts(size: Json, result: Json) -> Json:
    small = (
        *("gates", *map(_of_states, range(1, size["states"] + 1))),
        Column("all", lambda row: sum(row["languages"].values())),
        *("compiled", "certified", Column("checked", "accepted"), "blocks", "seconds"),
    )
    return {"suite": table(result["suite"], SUITE_COLUMNS), "small": table(result["small"], small)}
