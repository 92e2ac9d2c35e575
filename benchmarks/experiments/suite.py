"""The suite of the paper, as ``scancraft suite --check`` runs it, and again with many more words of length 10,000."""

from __future__ import annotations

import time
from dataclasses import dataclass

from page.table import Column, Json, code, percent, table
from page.targets import Target, below, every
from timings.measure import Measured, Tick

from scancraft.suite.languages import LANGUAGES
from scancraft.suite.suite import Options, Row, run_suite

SECONDS, FARTHEST_SECONDS = 60, 120


@dataclass(frozen=True)
class Size:
    """How much is tried."""

    languages: int | None = None  # how many of the suite, from the end of the list; all if None
    words: int = 1000  # per published range of lengths
    far_words: int = 100  # of length 10,000, in the timed run
    many_far_words: int = 1000  # of length 10,000, in the second run; 0 for no second run
    jobs: int = 2  # processes


FULL = Size()
QUICK = Size(languages=3, words=4, far_words=2, many_far_words=0, jobs=1)


def measure(size: Size, tick: Tick) -> Measured:
    chosen = LANGUAGES if size.languages is None else LANGUAGES[-size.languages :]

    def timed(options: Options, what: str) -> tuple[list[Row], float]:
        started = time.perf_counter()
        rows = run_suite(
            options, chosen, lambda done, total, name: tick(done, total, f"{what}: {name}"), jobs=size.jobs
        )
        return rows, time.perf_counter() - started

    full = size.many_far_words > 0
    _, seconds = timed(Options(size.words, size.far_words, farthest=False), "timed")
    _, seconds_farthest = timed(Options(size.words, size.far_words, farthest=full), "with length 100,000")
    rows, _ = timed(Options(size.words, size.far_words, farthest=full, check=True), "checked")
    many = {"words": 0, "positions": 0, "wrong": 0}
    if full:
        options = Options(1, size.many_far_words, farthest=False, certificates=False, seed=1)
        chosen = tuple(language for language in chosen if language.kind != "not star-free")
        far, _ = timed(options, "length 10,000")
        for score in (row.scores["10,000"] for row in far):
            many["words"] += score.words
            many["positions"] += score.positions
            many["wrong"] += score.positions - score.right_positions
    everything = [row.as_json() for row in rows]
    found = {"rows": [summary(row) for row in everything], "seconds": seconds}
    return Measured(found | {"seconds_farthest": seconds_farthest, "many": many}, {"rows": everything})


KEPT = (
    *("name", "theorem", "target", "blocks", "d_model", "parameters", "memories", "state_entries", "general_compiler"),
    *("seconds", "accuracy", "accuracy_positions", "words", "positions", "published", "published_note"),
)


def summary(row: Json) -> Json:
    """What the page says of a row of ``scancraft suite --json``."""
    kept = {key: row[key] for key in KEPT}
    proof, witness = row["certificate"], row["witness"]
    parts = ("verdict", "checked", "method", "scope", "limits")
    kept["certificate"] = proof and {key: proof[key] for key in parts if key in proof}
    kept["witness"] = witness and {key: witness[key] for key in ("word", "period")}
    return kept


# -- the page --------------------------------------------------------------------------------------------------------


def _bins(row: Json) -> str:
    ours = [label for label in row["accuracy"] if label in row["published"]]
    return " / ".join(f"{label}: {percent(row['accuracy'][label])}" for label in ours)


def _published(row: Json) -> str:
    shown = []
    for value in row["published"].values():
        if value is None:
            shown.append("-")
        else:
            low, high = value["least"], value["greatest"]
            shown.append(f"{low:g}" if low == high else f"{low:g} to {high:g}")
    bound = "at most " if row["published_note"] == "at most" else ""
    return bound + " / ".join(shown) if set(shown) != {"-"} else "-"


def _far(label: str) -> Column:
    return Column(label, lambda row: row["accuracy"].get(label), percent)


MEASURED = (
    Column("language", "name", code),
    "theorem",
    Column("model", lambda row: row.get("target", "mamba")),
    *("blocks", "d_model", "parameters", "state entries"),
    Column("compiled in, s", "seconds", lambda seconds: f"{seconds:.3f}"),
    Column("published lengths", _bins),
    *(_far("10,000"), _far("100,000")),
    Column("certificate", lambda row: f"{row['certificate']['method']}, {row['certificate']['scope']}"),
    Column("trained, published", _published),
)
EXCLUDED = (
    Column("language", "name", code),
    Column("excluded by", "theorem"),
    Column("word", lambda row: code("".join(row["witness"]["word"]))),
    Column("period", lambda row: row["witness"]["period"]),
    Column("trained, published", _published),
)


def targets(size: Json, result: Json) -> list[Target]:
    rows = [row for row in result["rows"] if row["accuracy"]]
    worst = min(value for row in rows for key in ("accuracy", "accuracy_positions") for value in row[key].values())
    certified = sum(row["certificate"]["verdict"] == "certified" for row in rows)
    checked = sum(row["certificate"].get("checked") is True for row in rows)
    by_name = {row["name"]: row for row in rows}
    dyck = by_name["Dyck_{8,10}"]
    dyck_sizes = dyck["blocks"], dyck["memories"]
    whole = "the whole suite, certificates included, two processes"
    right = f"positions and strings right, {len(rows)} languages, every length"
    found = [
        Target(right, "100%", f"{percent(worst)}%", worst == 100),
        every("certificates of the suite, accepted by the checker", min(certified, checked), len(rows)),
        below(whole, result["seconds"], SECONDS, "s"),
        below("the same with length 100,000", result["seconds_farthest"], FARTHEST_SECONDS, "s"),
        Target("blocks, memories for Dyck_{8,10}", "2, 41", f"{dyck_sizes[0]}, {dyck_sizes[1]}", dyck_sizes == (2, 41)),
    ]
    if "Flip-flop" in by_name:
        blocks = by_name["Flip-flop"]["blocks"]
        found.append(Target("blocks for the flip-flop language", "at most 2", f"{blocks}", blocks <= 2))
    return found


def parts(size: Json, result: Json) -> Json:
    rows, many = result["rows"], result["many"]
    excluded, rows = [row for row in rows if row["witness"]], [row for row in rows if row["accuracy"]]
    return {
        "words": sum(sum(row["words"].values()) for row in rows),
        "positions": sum(sum(row["positions"].values()) for row in rows),
        "measured": table(rows, MEASURED),
        "excluded": table(excluded, EXCLUDED),
        "many": f"One more run with {size['many_far_words']:,} words of length 10,000 per language that a Mamba models "
        f"(seed 1): {many['words']:,} words, {many['positions']:,} positions, {many['wrong']:,} wrong.",
        "general": "\n\n".join(_general(row) for row in rows if row["general_compiler"] is not None),
        "limits": "; ".join(_limits(row) for row in rows if row["certificate"].get("limits")),
    }


def _general(row: Json) -> str:
    own, general = (
        f"{size['blocks']} blocks, {size['parameters']:,} parameters" for size in (row, row["general_compiler"])
    )
    return f"{row['name']} by {row['theorem'].lower()}: {own}; by the general compiler: {general}."


def _limits(row: Json) -> str:
    return f"{code(row['name'])} {', '.join(f'{n:,}' for n in sorted(set(row['certificate']['limits'].values())))}"
