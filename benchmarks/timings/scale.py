"""Many letters, many states: which pass costs what; from the root of a checkout:

    python benchmarks/run.py scale                         measure all, and show the table
    python benchmarks/run.py scale --only "100 keywords"   measure some

Each case runs in a process of its own; times are processor time, memory is the most that the process held.
"""

from __future__ import annotations

import argparse
import cProfile
import random
import resource
import time
from collections.abc import Callable, Sequence
from itertools import product
from multiprocessing import get_context

from page.table import Column, Json, table

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


CASES: dict[str, Callable[[], Json]] = {
    "3 of 5,000 letters act differently": lambda: three_act(5_000),
    "3 of 50,000 letters act differently": lambda: three_act(50_000),
    "256 letters, 40 distinct": lambda: few_kinds(256, 40, 5),
    "the last letter again, 128 letters": lambda: again(128),
    "the 11th letter from the end": lambda: {"regex": "(a|b)*a" + "(a|b)" * 10},
    "the 12th letter from the end": lambda: {"regex": "(a|b)*a" + "(a|b)" * 11},
    "a word of 100 letters somewhere": lambda: somewhere(100),
    "a word of 300 letters somewhere": lambda: somewhere(300),
    "9 flip-flops, each after those before it": lambda: flip_flops(9, 8),
    "100 keywords": lambda: keywords(100),
    "300 keywords": lambda: keywords(300),
    "1,000 keywords": lambda: keywords(1_000),
}


def measure(name: str) -> Json:
    """A case, compiled and certified."""
    import scancraft
    from scancraft.automata.dfa import Dfa

    given = CASES[name]()
    if "regex" in given:
        dfa = scancraft.regex(given["regex"])
    elif "words" in given:
        dfa = Dfa.from_words(given["alphabet"], given["words"])
    else:
        dfa = Dfa.from_table(given["alphabet"], given["table"], given.get("initial", 0), given["accepting"])
    scancraft.compile("(ab)*").certify()  # what is imported is not measured
    times, profile = [time.process_time()], cProfile.Profile(time.process_time)
    profile.enable()
    compiled = scancraft.compile(dfa)
    times.append(time.process_time())
    verdict = compiled.certify()
    profile.disable()
    times.append(time.process_time())
    spent = {entry.code.co_name: entry.totaltime for entry in profile.getstats() if not isinstance(entry.code, str)}
    shape = compiled.weights.shape
    return {
        "language": name,
        "states": dfa.n_states,
        "letters": len(dfa.alphabet),
        "kinds": len(dfa.letter_classes),
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
    *(Column(name, show=seconds, target=lambda s: s < 60) for name in ("compile", "certify")),
    *(Column(name.replace("_", " "), show=seconds) for name in PASSES),
    Column("GB", "gigabytes", show=lambda gigabytes: f"{gigabytes:.1f}", target=lambda gigabytes: gigabytes < 4.3),
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=CASES, metavar="CASE", help="these")
    options = parser.parse_args(arguments)
    with get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        rows = pool.map(measure, options.only or CASES, chunksize=1)
    print(table(rows, COLUMNS))
