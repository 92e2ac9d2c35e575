"""Sizes and times of compiled languages: the suite, larger neighbours of it, and random star-free languages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from time import process_time

from page.table import Column, Json, code, table
from page.targets import EARLIER_SECONDS, EARLIER_SIZES, Target, below
from timings.measure import Measured, Tick, best_of, each, o_n, spread, star_free_suite
from timings.random_dfas import star_free_dfas

import scancraft
from scancraft.automata.budget import Budget
from scancraft.automata.dfa import Dfa
from scancraft.automata.errors import BudgetExceededError
from scancraft.automata.families import d_n, dyck
from scancraft.automata.images import letter_columns
from scancraft.automata.search import numbered

SECONDS, STATES = 1.0, 20
"""The target: under so many seconds with up to so many states."""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    most_states: int = 20  # named languages with more states are left out
    repeats: int = 3  # the time of a named language is the best of so many
    monoid_budget: int = 200_000  # elements after which counting a monoid is given up
    states: tuple[int, ...] = (4, 6, 8, 10, 12)  # of the random languages
    seeds: int = 20  # random languages per generator and number of states; each is compiled once
    seconds: float = 30.0  # a random language is given up after so many in any one pass


FULL = Size()
QUICK = Size(most_states=4, repeats=1, monoid_budget=1_000, states=(4,), seeds=2)


def named_languages(most_states: int) -> list[tuple[str, bool, Dfa]]:
    """(Name, whether it is in the suite, the language)."""
    named = [(name, True, dfa) for name, dfa in star_free_suite()]
    named += [(f"D-{n}", False, d_n(n)) for n in (16, 18)]
    named += [(f"O_{n}", False, o_n(n)) for n in (4, 5, 6)]
    named.append(("Dyck_{2,3}", False, dyck(2, 3)))
    return [entry for entry in named if entry[2].n_states <= most_states]


def measure(size: Size, tick: Tick) -> Measured:
    languages = []
    for name, suite, dfa in each(named_languages(size.most_states), tick):
        seconds, compiled = best_of(size.repeats, partial(scancraft.compile, dfa, construction="cascade"), process_time)
        monoid = _monoid(dfa, size.monoid_budget)
        row = {"name": name, "suite": suite, "states": dfa.n_states, "monoid": monoid}
        languages.append(row | _sizes(compiled) | {"seconds": seconds})
    raw = []
    for name, generator, states, dfa in each(list(star_free_dfas(size.states, size.seeds)), tick):
        row = {"name": name, "generator": generator, "states": states}
        try:
            seconds, compiled = best_of(
                1,
                partial(scancraft.compile, dfa, construction="cascade", budget=Budget(seconds=size.seconds)),
                process_time,
            )
        except BudgetExceededError:
            continue
        raw.append(row | _sizes(compiled) | {"seconds": seconds})
    random = []
    for generator, states in dict.fromkeys((row["generator"], row["states"]) for row in raw):
        mine = [row for row in raw if (row["generator"], row["states"]) == (generator, states)]
        facts = {"generator": generator, "states": states, "drawn": size.seeds, "compiled": len(mine)}
        random.append(facts | {key: spread(row[key] for row in mine) for key in SPREADS})
    return Measured({"languages": languages, "random": random}, {"random": raw})


def _sizes(compiled: scancraft.Compiled) -> Json:
    """Flip-flops as in ``compiler.cascade.Cascade``."""
    cascade, weights = compiled.cascade, compiled.weights
    return {
        "image_sets": len(cascade.parts.sets),
        "height": cascade.height,
        "blocks": weights.shape.n_layers,
        "d_model": weights.shape.d_model,
        "d_inner": weights.shape.d_inner,
        "parameters": weights.n_parameters,
        "nonzero": weights.n_nonzero,
        "flip_flops": cascade.flip_flops,
        "flip_flops_unshared": cascade.flip_flops_unshared,
    }


def _monoid(dfa: Dfa, budget: int) -> int | None:
    try:
        letters, identity = letter_columns(dfa.semiautomaton), tuple(range(dfa.n_states))
        meter = Budget(items=budget - 1).meter("monoid elements")
        return len(numbered(identity, lambda s: [tuple(a[q] for q in s) for a in letters], meter)[0])
    except BudgetExceededError:
        return None


# -- the page --------------------------------------------------------------------------------------------------------

CASCADE = (Column("image sets"), Column("H", "height"), Column("blocks"))
FLIP_FLOPS = (Column("flip-flops", "flip_flops"), Column("plain", "flip_flops_unshared"))
LANGUAGES = (
    Column("language", "name", code),
    *("states", "monoid", *CASCADE, "d_model", "d_inner", "parameters"),
    Column("non-zero", "nonzero"),
    *("seconds", *FLIP_FLOPS),
)
RANDOM = (
    *("generator", "states"),
    Column("compiled", lambda row: f"{row['compiled']} of {row['drawn']}"),
    *(*CASCADE, "parameters", *FLIP_FLOPS, "seconds"),
)
SPREADS = ("image_sets", "height", "blocks", "parameters", "flip_flops", "flip_flops_unshared", "seconds")
PROTOTYPE = (
    Column("language", "name", code),
    Column("parameters †", lambda row: EARLIER_SIZES[row["name"]]),
    "parameters",
    Column("seconds †", lambda row: EARLIER_SECONDS.get(row["name"])),
    "seconds",
)


def targets(size: Json, result: Json) -> list[Target]:
    rows = result["languages"]
    timed = [row for row in rows if row["states"] <= STATES]
    slowest = max(timed, key=lambda row: row["seconds"])
    what = f"slowest to compile of {len(timed)} named languages with up to {STATES} states"
    found = [below(what, slowest["seconds"], SECONDS, "s", code(slowest["name"]))]
    for row in rows:
        if limit := EARLIER_SIZES.get(row["name"]):
            measured, what = row["parameters"], f"parameters of {code(row['name'])}"
            found.append(Target(what, f"at most {limit:,} †", f"{measured:,}", measured <= limit))
    return found


def parts(size: Json, result: Json) -> Json:
    rows = result["languages"]
    return {
        "suite": sum(row["suite"] for row in rows),
        "languages": table(rows, LANGUAGES),
        "prototype": table((row for row in rows if row["name"] in EARLIER_SIZES), PROTOTYPE),
        "random": table(result["random"], RANDOM),
    }
