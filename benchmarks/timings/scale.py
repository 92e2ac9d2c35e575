"""Many letters, many states, formulas without an automaton: which pass costs what; from the root of a checkout:

    python benchmarks/run.py --only scale                  measure all, into the page
    python benchmarks/run.py scale --only "100 keywords"   measure some, and show the table

Each case runs in a process of its own; times are processor time, memory is the most that the process held. A case that
takes more processor time than it may, or that spends a budget of its own, is a row that says so.
"""

from __future__ import annotations

import argparse
import cProfile
import random
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import product
from multiprocessing import get_context

from page.table import Column, Json, table
from page.targets import Target, below, every
from timings.measure import Measured, Tick, progress

PASSES = {
    "decide": "star_free_witness",
    "cascade": "decomposed",
    "plans": "by_plans",
    "levels": "by_levels",
    "last_letters": "by_last_letters",
    "lower": "lowered",
    "search": "search",
    "checker": "judge",
}
"""The passes, and the functions whose time is theirs, with all that they call."""


def keywords(count: int) -> Json:
    draw, letters = random.Random(0), "abcdefghijklmnopqrstuvwxyz"
    words: set[str] = set()
    while len(words) < count:
        words.add("".join(draw.choices(letters, k=draw.randint(3, 10))))
    return {"alphabet": letters, "words": sorted(words)}


def again(count: int) -> Json:
    """The last two letters are the same one."""
    rows = [[1 + a for a in range(count)]]
    rows += [[1 + a + count * (a == i) for a in range(count)] for _ in range(2) for i in range(count)]
    return {
        "alphabet": [f"w{n}" for n in range(count)],
        "table": rows,
        "accepting": list(range(1 + count, 1 + 2 * count)),
    }


def few_kinds(letters: int, kinds: int, states: int) -> Json:
    """Letters of so many kinds, each a map that keeps the order of the states."""
    draw = random.Random(0)
    maps: set[tuple[int, ...]] = set()
    while len(maps) < kinds:
        maps.add(tuple(sorted(draw.randrange(states) for _ in range(states))))
    known = sorted(maps)
    picked = [*range(kinds), *(draw.randrange(kinds) for _ in range(letters - kinds))]
    rows = [[known[kind][q] for kind in picked] for q in range(states)]
    return {"alphabet": [f"b{n}" for n in range(letters)], "table": rows, "accepting": [2, 4]}


def three_act(letters: int) -> Json:
    rest = letters - 3
    rows = [[1, 0, 0, *[0] * rest], [1, 2, 0, *[1] * rest], [2] * letters]
    return {"alphabet": [f"w{n}" for n in range(letters)], "table": rows, "accepting": [0, 1]}


def somewhere(length: int) -> Json:
    word = "".join(random.Random(0).choices("ab", k=length))
    return {"regex": f"(a|b)*{word}(a|b)*"}


def flip_flops(count: int, letters: int) -> Json:
    """Each is set, reset or kept, depending on the letter and on those before it; the states in any order."""
    draw = random.Random(4)
    actions: dict[tuple[tuple[int, ...], int], int | None] = {}

    def step(state: tuple[int, ...], letter: int) -> tuple[int, ...]:
        found = [actions.setdefault((state[:place], letter), draw.choice((None, None, 0, 1))) for place in range(count)]
        return tuple(value if new is None else new for value, new in zip(state, found, strict=True))

    states = list(product((0, 1), repeat=count))
    draw.shuffle(states)
    number = {state: q for q, state in enumerate(states)}
    rows = [[number[step(state, letter)] for letter in range(letters)] for state in states]
    accepting = [q for q in range(len(states)) if draw.random() < 0.5]
    return {
        "alphabet": [f"b{n}" for n in range(letters)],
        "table": rows,
        "initial": number[(0,) * count],
        "accepting": accepting,
    }


RESPONSE = {
    "globally": "G(p{0} -> F s{0})",
    "between q and r": "G((q{0} & !r{0} & F r{0}) -> (p{0} -> (!r{0} U (s{0} & !r{0}))) U r{0})",
}
"""One of the patterns of Dwyer, Avrunin and Corbett (ICSE 1999), in two scopes."""


def responses(scope: str, count: int) -> Json:
    """So many at once, with letters of their own: no automaton is made, which would have 2^count states and more."""
    return {"ltl": " & ".join(f"({RESPONSE[scope].format(n)})" for n in range(count))}


CASES: dict[str, Callable[[], Json]] = {
    "3 of 5,000 letters act differently": lambda: three_act(5_000),
    "3 of 50,000 letters act differently": lambda: three_act(50_000),
    "256 letters, 40 distinct": lambda: few_kinds(256, 40, 5),
    "50,000 letters, 40 distinct": lambda: few_kinds(50_000, 40, 5),
    "the last letter again, 128 letters": lambda: again(128),
    "the 11th letter from the end": lambda: {"regex": "(a|b)*a" + "(a|b)" * 10},
    "the 12th letter from the end": lambda: {"regex": "(a|b)*a" + "(a|b)" * 11},
    "a word of 100 letters somewhere": lambda: somewhere(100),
    "a word of 300 letters somewhere": lambda: somewhere(300),
    "9 flip-flops, each after those before it": lambda: flip_flops(9, 8),
    "100 keywords": lambda: keywords(100),
    "300 keywords": lambda: keywords(300),
    "1,000 keywords": lambda: keywords(1_000),
    "30 responses": lambda: responses("globally", 30),
    "30 responses between two letters": lambda: responses("between q and r", 30),
}
ASKED = {
    "256 letters, 40 distinct": "a DFA over 256 letters, 40 of them distinct",
    "50,000 letters, 40 distinct": "the same over 50,000 letters",
    "9 flip-flops, each after those before it": "a cascade of 9 flip-flops, 471 states",
    "1,000 keywords": "1,000 keywords over 26 letters",
    "30 responses": "30 independent responses, in past LTL",
}
"""The cases that the page has targets for."""
MOST_SECONDS, MOST_GIGABYTES = 60, 4.3


@dataclass(frozen=True)
class Size:
    """What is measured.

    Args:
        cases: which.
        seconds: of processor time that the process of a case may take; 0: there are no such processes.
    """

    cases: tuple[str, ...] = tuple(CASES)
    seconds: int = 300


FULL = Size()
QUICK = Size(("30 responses",), 0)


def measure(size: Size, tick: Tick) -> Measured:
    """Each case in a process of its own."""
    rows = []
    for done, name in enumerate(size.cases):
        tick(done, len(size.cases), name)
        rows.append(apart(name, size.seconds) if size.seconds else case(name))
    return Measured({"rows": rows})


def apart(name: str, seconds: int) -> Json:
    """A case in a process that is ended once it has taken so much processor time."""
    with ProcessPoolExecutor(1, get_context("spawn"), _limited, (seconds,)) as pool:
        try:
            return pool.submit(case, name).result()
        except BrokenProcessPool:
            return unfinished(name, f"not within {seconds} s")


def _limited(seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


def unfinished(name: str, why: str) -> Json:
    """The row of a case that did not end."""
    nothing = dict.fromkeys(("states", "letters", "kinds", "blocks", "parameters", "compile", "certify", "gigabytes"))
    return {"language": name, "verdict": why, **nothing, **dict.fromkeys(PASSES)}


def case(name: str) -> Json:
    """A case, compiled and certified."""
    import scancraft
    from scancraft.automata.budget import DEFAULT_BUDGET
    from scancraft.automata.dfa import Dfa
    from scancraft.automata.errors import BudgetExceededError
    from scancraft.certify.certify import CERTIFY_BUDGET

    given = CASES[name]()
    if "regex" in given:
        language = scancraft.regex(given["regex"])
    elif "ltl" in given:
        language = scancraft.ltl(given["ltl"])
    elif "words" in given:
        language = Dfa.from_words(given["alphabet"], given["words"])
    else:
        language = Dfa.from_table(given["alphabet"], given["table"], given.get("initial", 0), given["accepting"])
    dfa = language if isinstance(language, Dfa) else None
    scancraft.compile("(ab)*").certify()  # what is imported is not measured
    times, profile = [time.process_time()], cProfile.Profile(time.process_time)
    profile.enable()
    free, given_to_certify = (replace(b, seconds=None) for b in (DEFAULT_BUDGET, CERTIFY_BUDGET))  # none of the wall's
    try:
        compiled = scancraft.compile(language, budget=free, **({} if dfa else {"contract": "recognise"}))
        times.append(time.process_time())
        verdict = scancraft.certify(compiled, budget=given_to_certify)
    except BudgetExceededError as error:
        return unfinished(name, str(error))
    finally:
        profile.disable()
    times.append(time.process_time())
    spent = {entry.code.co_name: entry.totaltime for entry in profile.getstats() if not isinstance(entry.code, str)}
    shape = compiled.weights.shape
    return {
        "language": name,
        "states": dfa and dfa.n_states,
        "letters": len(language.alphabet),
        "kinds": dfa and len(dfa.letter_classes),
        "blocks": shape.n_layers,
        "parameters": compiled.weights.n_parameters,
        "verdict": verdict.verdict,
        "compile": times[1] - times[0],
        "certify": times[2] - times[1],
        "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        **{step: spent.get(function, 0.0) for step, function in PASSES.items()},
    }


def seconds(value: float) -> str:
    return f"{value:.1f}" if value >= 0.05 else ""


COLUMNS = (
    *("language", "states", "letters", "kinds", "blocks", "parameters", "verdict"),
    *(Column(name, show=seconds, target=lambda s: s < MOST_SECONDS) for name in ("compile", "certify")),
    *(Column(name.replace("_", " "), show=seconds) for name in PASSES),
    Column("GB", "gigabytes", show=lambda gb: f"{gb:.1f}", target=lambda gb: gb < MOST_GIGABYTES),
)


# -- the page --------------------------------------------------------------------------------------------------------


def targets(size: Json, result: Json) -> list[Target]:
    found = {row["language"]: row for row in result["rows"]}
    asked = [(told, found[name]) for name, told in ASKED.items() if name in found]
    certified = [(told, row) for told, row in asked if row["verdict"] == "certified"]
    return [
        every("large languages certified: " + "; ".join(told for told, _ in asked), len(certified), len(asked)),
        *(below(f"processor time to compile {told}", row["compile"], MOST_SECONDS, "s") for told, row in certified),
        *(below(f"memory to compile and certify {told}", row["gigabytes"], 4.3, "GB") for told, row in certified),
    ]


def parts(size: Json, result: Json) -> Json:
    return {"rows": table(result["rows"], COLUMNS)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=CASES, metavar="CASE", help="these")
    parser.add_argument("--seconds", type=int, default=FULL.seconds, help="processor time that each case may take")
    options = parser.parse_args(arguments)
    with progress("scale") as tick:
        found = measure(Size(tuple(options.only or CASES), options.seconds), tick)
    print(table(found.summary["rows"], COLUMNS))
