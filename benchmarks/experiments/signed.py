"""The signed target: the suite's languages with 2-groups, and every language with a DFA of at most three states."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from timings.measure import Tick

import scancraft
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import SUITE
from scancraft.automata.words.draw import arbitrary
from scancraft.certify.check import compare
from scancraft.certify.checker.certificate import check_certificate
from scancraft.compiler.compile import Compiled
from scancraft.compiler.targets.gates import GateClassError


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Args:
        long: the length of the long words.
        long_words: how many of them per language, half of them live to the end.
        states: all languages over two letters with a minimal DFA of at most so many states are compiled.
    """

    long: int = 100_000
    long_words: int = 10
    states: int = 3


FULL = Size()
QUICK = Size(long=3_000, long_words=2, states=2)


@dataclass(frozen=True)
class Row:
    """A language of the suite that is not star-free.

    Attributes:
        gates: its class.
        witness: the word that permutes states.
        period: how many of them it moves round.
        group: the group that decides.
        levels: of the cascade, and how many of them swap; 0 if it was not compiled, as everything below.
        scope: of the certificate in float32; "" without one.
        accepted: whether the independent checker accepts it.
        prefixes: compared with the acceptor, on all short words, sampled words and the long ones.
        wrong: how many of them disagreed.
        longest: the length of the longest word.
    """

    name: str
    states: int
    gates: str
    witness: str
    period: int
    group: str
    levels: int = 0
    swaps: int = 0
    blocks: int = 0
    parameters: int = 0
    scope: str = ""
    accepted: bool = False
    prefixes: int = 0
    wrong: int = 0
    longest: int = 0


@dataclass(frozen=True)
class Small:
    """All languages of one class with few states.

    Attributes:
        gates: the class.
        languages: how many there are, by the number of states of the minimal DFA.
        certified: certified with the scope "every-implementation" (in float32), of those compiled.
        accepted: certificates that the independent checker accepts.
        blocks: the most that one of them needs.
        seconds: median time of compiling and certifying one.
    """

    gates: str
    languages: dict[int, int]
    compiled: int
    certified: int
    accepted: int
    blocks: int
    seconds: float


@dataclass(frozen=True)
class Result:
    """Both tables."""

    suite: tuple[Row, ...]
    small: tuple[Small, ...]


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


def measure(size: Size, tick: Tick) -> Result:
    named = [entry for entry in SUITE if not entry.star_free]
    small = list(languages_with(size.states))
    total = len(named) + len(small)
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for done, entry in enumerate(named):
            tick(done, total, entry.name)
            rows.append(_row(entry.name, entry.build(), size, Path(folder)))
        found = []
        for done, dfa in enumerate(small):
            tick(len(named) + done, total, f"language {done + 1:,} of {len(small):,}")
            found.append((dfa.n_states, *_attempt(dfa, Path(folder))))
    return Result(tuple(rows), _by_class(found))


def _row(name: str, dfa: Dfa, size: Size, folder: Path) -> Row:
    kind = scancraft.classify(dfa)
    assert kind.witness is not None
    assert kind.group is not None
    word = "".join(kind.witness.word)
    row = Row(name, dfa.n_states, kind.gates.value, word, kind.witness.period, kind.group.name or kind.group.title)
    try:
        compiled = scancraft.compile(dfa)
    except GateClassError:
        return row
    assert isinstance(compiled, Compiled)
    place = compiled.save(folder / "model")
    scope, accepted = _certified(place)
    report = scancraft.check(place)
    rng = np.random.default_rng(0)
    half = size.long_words // 2
    long = [scancraft.live_word_of(dfa, size.long, rng) for _ in range(half)]
    long += [arbitrary(dfa.alphabet, size.long, rng) for _ in range(size.long_words - half)]
    far = compare(compiled.runner(), dfa, compiled.readout, long)
    parts = compiled.cascade.parts
    return Row(
        *(row.name, row.states, row.gates, row.witness, row.period, row.group),
        levels=compiled.cascade.height,
        swaps=len(parts.swap_levels),
        blocks=compiled.weights.shape.n_layers,
        parameters=compiled.weights.n_parameters,
        scope=scope,
        accepted=accepted,
        prefixes=report.prefixes + far.prefixes,
        wrong=report.wrong + far.wrong,
        longest=far.longest_word,
    )


def _certified(place: Path) -> tuple[str, bool]:
    """The scope of the certificate, and whether the checker accepts it."""
    verdict = scancraft.certify(place)
    if not isinstance(verdict, scancraft.Certificate):
        return "", False
    verdict.save(place)
    return verdict.scope, check_certificate(place).accepted


def _attempt(dfa: Dfa, folder: Path) -> tuple[str, bool, str, bool, int, float]:
    """The class; whether it was compiled; scope; accepted; blocks; seconds of compiling and certifying."""
    started = time.perf_counter()
    try:
        compiled = scancraft.compile(dfa)
    except GateClassError as error:
        return error.gates, False, "", False, 0, 0.0
    assert isinstance(compiled, Compiled)
    verdict = scancraft.certify(compiled)
    seconds = time.perf_counter() - started
    place = compiled.save(folder / "model")
    scope, accepted = "", False
    if isinstance(verdict, scancraft.Certificate):
        verdict.save(place)
        scope, accepted = verdict.scope, check_certificate(place).accepted
    blocks = compiled.weights.shape.n_layers
    return compiled.classification.gates.value, True, scope, accepted, blocks, seconds


def _by_class(found: list[tuple[int, str, bool, str, bool, int, float]]) -> tuple[Small, ...]:
    rows = []
    for gates in scancraft.GateClass:
        mine = [row for row in found if row[1] == gates.value]
        times = [row[6] for row in mine if row[2]]
        rows.append(
            Small(
                gates.value,
                dict(sorted(Counter(row[0] for row in mine).items())),
                sum(row[2] for row in mine),
                sum(row[3] == "every-implementation" for row in mine),
                sum(row[4] for row in mine),
                max((row[5] for row in mine), default=0),
                median(times) if times else 0.0,
            )
        )
    return tuple(rows)
