"""The classes of MLRegTest in one campaign: decided, compiled, certified and checked, the seconds and sizes of each.

    python benchmarks/run.py mlregtest --jobs 2 --write docs          languages of our own, into the page
    python benchmarks/run.py mlregtest --folder MLRegTest/languages   the real ones, if you have them
    python benchmarks/run.py mlregtest --numbers 1 --alphabets 4 16 --rows

The repository ships no language of MLRegTest: ``experiments.subregular_classes`` has the definitions, and draws its
own. They are written to DIR/languages as OpenFST files with symbol tables, under names in MLRegTest's scheme, and
``scancraft.batch`` does the rest; with ``--out`` an interrupted run goes on. What a file's name says of the class is
what the decision is compared with.
"""

from __future__ import annotations

import argparse
import hashlib
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from experiments.subregular_checks import in_class
from experiments.subregular_classes import ALPHABETS, CLASSES, STAR_FREE, Testable, drawn, names, parse_name
from page.table import Column, Json, percent, short, table
from page.targets import Target, below, every, none
from run import write_section
from timings.measure import Measured, Tick, progress, spread

import scancraft
from scancraft.automata.formats.registry import written
from scancraft.campaigns.task import Row

LANGUAGES, RESULTS = "languages", "results"


@dataclass(frozen=True)
class Size:
    """What is compiled.

    Args:
        numbers: languages of each class, alphabet and k (with a threshold: half as many for each).
        alphabets: numbers of letters.
        classes: which; all if there are none.
        seconds: for each file.
        jobs: processes; the campaign is run with one before, for comparison.
        compared: whether it is.
        folder: of languages of somebody else's; "" for our own.
    """

    numbers: int = 2
    alphabets: tuple[int, ...] = ALPHABETS
    classes: tuple[str, ...] = ()
    seconds: float = 60.0
    jobs: int = 2
    compared: bool = True
    folder: str = ""


FULL = Size()
QUICK = Size(numbers=1, alphabets=(4,), classes=("SL", "PT", "Zp"), jobs=1, compared=False)


def generate(size: Size, folder: Path, tick: Tick = lambda *_: None) -> Json:
    """Write the languages; what the tests of the classes say of them: in it, not in it, not looked at."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = list(names(size.numbers, size.alphabets, size.classes))
    found = {"in": 0, "out": 0, "not tested": 0}
    for done, name in enumerate(wanted):
        tick(done, len(wanted), str(name))
        made = drawn(name)
        tier = made.definition.tier if isinstance(made.definition, Testable) else made.dfa.alphabet
        within = in_class(name.kind, made.dfa, "".join(tier), name.k)
        found["not tested" if within is None else "in" if within else "out"] += 1
        for path, text in written(made.dfa, folder / f"{name}.att").items():
            path.write_text(text, encoding="utf-8")
    return found


def measure(size: Size, tick: Tick, place: Path | None = None) -> Measured:
    """Draw, and run the campaign; in ``place``, where a run before may have left results, or nowhere to be found."""
    with _folder(place) as here:
        classes = None if size.folder else generate(size, here / LANGUAGES, tick)
        languages = Path(size.folder) if size.folder else here / LANGUAGES
        files = sorted(path for path in languages.rglob("*.att") if parse_name(path.name.removesuffix(".att")))
        walls: dict[str, float] = {}
        made: list[dict[str, str]] = []
        for jobs in [1, size.jobs] if size.compared and size.jobs > 1 else [size.jobs]:
            out = here / f"{RESULTS}-{jobs}"
            started = time.perf_counter()
            report = scancraft.batch(files, out, jobs=jobs, seconds=size.seconds, progress=tick)
            if report.fresh == len(files):  # a run that went on tells nothing of how long it takes
                walls[str(jobs)] = time.perf_counter() - started
            made.append({row.file: _digest(out / str(row.model)) for row in report.rows if row.outcome == "certified"})
        rows = [_row(row) for row in report.rows]
    summary: Json = {"lines": summaries(rows), "all": line("all", rows), "walls": walls, "classes": classes}
    both = made[0].keys() & made[-1].keys()
    summary |= {"compared": len(both), "equal": sum(made[0][file] == made[-1][file] for file in both)}
    slow = sorted(rows, key=lambda row: -row["seconds"])[:8]
    summary["slowest"] = slow
    return Measured(summary, {"rows": rows})


@contextmanager
def _folder(place: Path | None) -> Iterator[Path]:
    if place is not None:
        yield place
        return
    with TemporaryDirectory() as scratch:
        yield Path(scratch)


def _digest(model: Path) -> str:
    """Of the bytes of a checkpoint and its certificate."""
    files = sorted(path for path in model.rglob("*") if path.is_file())
    parts = (f"{path.relative_to(model)} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _row(row: Row) -> Json:
    """What the tables need of a file."""
    name = parse_name(Path(row.file).name.removesuffix(".att"))
    assert name is not None, "only such files were listed"
    return {
        "name": str(name),
        "class": name.kind,
        "letters": name.letters,
        "k": name.k,
        "outcome": row.outcome,
        "right": row.star_free is (name.kind in STAR_FREE),
        "star_free": row.star_free,
        "gates": row.gates,
        "states": row.states,
        "blocks": row.blocks,
        "parameters": row.parameters,
        "wrong": row.wrong,
        "prefixes": row.prefixes,
        "seconds": sum(row.seconds.values()),
        "stages": row.seconds,
    }


def line(told: str, rows: Sequence[Json]) -> Json:
    """One line of the table."""
    made = [row for row in rows if row["blocks"] is not None]
    within = [row for row in rows if row["outcome"] != "excluded"]
    return {
        "class": told,
        "count": len(rows),
        "right": sum(row["right"] for row in rows),
        "star_free": sum(row["star_free"] is True for row in rows),
        "states": spread(row["states"] or 0 for row in rows),
        "blocks": spread(row["blocks"] for row in made) if made else None,
        "parameters": spread(row["parameters"] for row in made) if made else None,
        "seconds": spread(row["seconds"] for row in rows),
        "within": len(within),
        "certified": sum(row["outcome"] == "certified" for row in rows),
        "prefixes": sum(row["prefixes"] or 0 for row in rows),
        "wrong": sum(row["wrong"] or 0 for row in rows),
    }


def summaries(rows: Sequence[Json]) -> list[Json]:
    """A line for each class, number of letters and k."""
    order = list(CLASSES)
    keys = sorted({(order.index(row["class"]), row["letters"], row["k"]) for row in rows})
    return [
        {"letters": letters, "k": k}
        | line(order[kind], [r for r in rows if (r["class"], r["letters"], r["k"]) == (order[kind], letters, k)])
        for kind, letters, k in keys
    ]


# -- the page --------------------------------------------------------------------------------------------------------

LINES = (
    *("class", Column("letters", lambda row: row.get("letters")), Column("k", lambda row: row.get("k"))),
    Column("languages", "count"),
    Column("decided right", lambda row: f"{row['right']:,} of {row['count']:,}"),
    Column("star-free", "star_free"),
    *("states", "blocks", "parameters"),
    "seconds",
    Column("certified", lambda row: f"{row['certified']:,} of {row['within']:,}"),
)
SLOWEST = (
    *("name", "outcome", "states", "blocks", "parameters", "seconds"),
    Column("of these", lambda row: ", ".join(f"{key} {short(value)}" for key, value in row["stages"].items())),
)


def targets(size: Json, result: Json) -> list[Target]:
    found = result["all"]
    rows = [
        every("languages of MLRegTest's classes decided right", found["right"], found["count"]),
        every(
            "of them that a Mamba, signed or not, can model, certified and checked", found["certified"], found["within"]
        ),
        none("positions at which these are wrong", found["wrong"], f"of {found['prefixes']:,}"),
        below("seconds for each of them, median", found["seconds"]["median"], 1, "s"),
        below("seconds for each of them, at most", found["seconds"]["most"], 60, "s"),
    ]
    if len(result["walls"]) == 2:
        one, more = result["walls"].values()
        rows.append(below(f"time with {size['jobs']} jobs, that with one being 100", 100 * more / one, 60, "%"))
        rows.append(every("checkpoints of equal bytes with one job and with more", result["equal"], result["compared"]))
    return rows


def parts(size: Json, result: Json) -> Json:
    classes, walls = result["classes"], result["walls"]
    tested = ""
    if classes is not None:
        tested = (
            f"Independent tests of the classes (`benchmarks/experiments/subregular_checks.py`) find {classes['in']:,} "
            f"in the class that they were drawn for and {classes['out']:,} not; {classes['not tested']:,} were not "
            "tested, where that would take long."
        )
    jobs = "; ".join(f"{short(wall)} s with {n} job{'s' * (n != '1')}" for n, wall in walls.items()) or "several runs"
    if len(walls) == 2:
        one, more = walls.values()
        jobs += (
            f" ({percent(100 * more / one)}%), with equal bytes in {result['equal']:,} of {result['compared']:,} models"
        )
    return {
        "definitions": table(({"class": k, "words": v} for k, v in CLASSES.items()), ("class", "words")),
        "lines": table([*result["lines"], result["all"]], LINES),
        "slowest": table(result["slowest"], SLOWEST),
        "tested": tested,
        "jobs": jobs,
        "origin": f"the files in `{size['folder']}`" if size["folder"] else "drawn here, the name being the seed",
    }


# -- the command -----------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", default="", metavar="DIR", help="the .att files of MLRegTest, instead of our own")
    parser.add_argument("--numbers", type=int, default=FULL.numbers, help="languages of each class, alphabet and k")
    parser.add_argument("--alphabets", type=int, nargs="*", default=ALPHABETS, choices=ALPHABETS)
    parser.add_argument("--classes", nargs="*", default=(), choices=list(CLASSES))
    parser.add_argument("--seconds", type=float, default=FULL.seconds, help="for each file")
    parser.add_argument("--jobs", type=int, default=FULL.jobs, help="processes")
    parser.add_argument("--compare", action="store_true", help="with one job first, and compare time and bytes")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep languages and results; a run there goes on")
    parser.add_argument("--only-generate", action="store_true", help="write the languages to DIR/languages, no more")
    parser.add_argument("--rows", action="store_true", help="print every language, too")
    parser.add_argument("--write", type=Path, metavar="DOCS", help="put the figures into benchmarks.json there")
    given = sys.argv[2:] if arguments is None else list(arguments)
    options = parser.parse_args(given)
    size = replace(
        FULL,
        folder=options.folder,
        numbers=options.numbers,
        alphabets=tuple(options.alphabets),
        classes=tuple(options.classes),
        seconds=options.seconds,
        jobs=options.jobs,
        compared=options.compare,
    )
    with progress("mlregtest") as tick:
        if options.only_generate:
            if options.out is None:
                parser.error("--only-generate goes with --out")
            print(generate(size, options.out / LANGUAGES, tick))
            return 0
        found = measure(size, tick, options.out)
    if options.write is not None:
        told = shlex.join(word for word in given if word not in ("--write", str(options.write)))
        write_section(options.write, "mlregtest", f"mlregtest {told}".strip(), size, found.summary)
    if options.rows:
        flat = ("name", "outcome", "gates", "states", "blocks", "parameters", "seconds")
        print(table(found.raw["rows"], [Column(key, key) for key in flat]), end="\n\n")
    print(table([*found.summary["lines"], found.summary["all"]], LINES), end="\n\n")
    print(table(found.summary["slowest"], SLOWEST), end="\n\n")
    print(*(f"{key}: {found.summary[key]}" for key in ("classes", "walls", "compared", "equal")), sep="\n")
    return 0 if found.summary["all"]["right"] == found.summary["all"]["count"] else 1


if __name__ == "__main__":
    sys.exit(main())
