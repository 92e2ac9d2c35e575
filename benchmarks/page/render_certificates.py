"""The sections on certificates and on the mutation score; see ``render``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from page import references
from page.cells import Json, Targets, code, halves, short, table, whole, yes

# -- certify ---------------------------------------------------------------------------------------------------------


def certify_targets(section: Json) -> Targets:
    total, slowest = section["result"]["total"], section["result"]["slowest"]
    seconds, models = total["seconds"], total["models"]
    everywhere = min(total["certified"], total["everywhere"])
    return [
        (
            f"certified for every implementation, of {models:,} compiled models in float32 and bfloat16",
            "all",
            whole(everywhere),
            yes(everywhere == models),
        ),
        (
            "seconds per certificate, median",
            f"under {short(references.CERTIFY_MEDIAN)} s",
            f"{short(seconds['median'])} s",
            yes(seconds["median"] < references.CERTIFY_MEDIAN),
        ),
        (
            "seconds per certificate, slowest",
            f"under {short(references.CERTIFY_MOST)} s",
            f"{short(seconds['most'])} s ({slowest['language']}, {slowest['dtype']})",
            yes(seconds["most"] < references.CERTIFY_MOST),
        ),
    ]


def certify_body(section: Json) -> list[str]:
    size, result = section["size"], section["result"]
    suite = [
        [
            code(row["language"]),
            row["dtype"],
            *(whole(row[key]) for key in ("states", "letters", "blocks", "parameters")),
            _verdict(row),
            whole(row["transitions"]),
            short(row["seconds"]),
            _mebibytes(row["mebibytes"]),
            _mebibytes(row["rise"]),
        ]
        for row in result["suite"]
    ]
    groups = [
        [
            row["states"],
            row["dtype"],
            whole(row["models"]),
            *(whole(row[key]) for key in ("certified", "everywhere", "by_blocks")),
            _spread(row["parameters"], halves),
            _spread(row["transitions"], halves),
            _spread(row["seconds"], short),
            _spread(row["mebibytes"], _mebibytes),
            _spread(row["rise"], _mebibytes),
        ]
        for row in (*result["random"], result["total"])
    ]
    slowest = result["slowest"]
    suite_head = "language,dtype,states,letters,blocks,parameters,verdict,transitions,seconds,peak MiB,rise"
    head = (
        "states,dtype,models,certified,every implementation,block by block,parameters,transitions,seconds,peak MiB,rise"
    )
    return [
        "`scancraft.certify` of compiled models, once each: the verdict, the transitions that the certificate lists "
        "(over all its stages), and the seconds, with the model built beforehand. *Peak* is the greatest resident "
        "memory of the whole process meanwhile, Python and torch and the model included (VmHWM, reset before each), "
        '*rise* by how much that is above what it held just before. *Every* is the scope "every-implementation".',
        table(suite_head.split(","), suite, "llrrrrlr"),
        f"Random star-free languages: {size['seeds']} seeds of each of the generators *order-preserving* and *reset "
        "cascade* (`benchmarks/timings/random_dfas.py`) for each number of states, over 2 and 3 letters in turn; "
        "median / greatest value, and how many are certified, how many of them for every implementation, and "
        "block by block. "
        f"The slowest of all is {slowest['language']}, over {slowest['letters']} letters, in {slowest['dtype']}: "
        f"{slowest['parameters']:,} parameters, {slowest['blocks']} blocks, {slowest['transitions']:,} transitions.",
        table(head.split(","), groups, "llr"),
    ]


def _verdict(row: Json) -> str:
    if not row["certified"]:
        return "**not certified**"
    return "certified, every" if row["everywhere"] else "certified, **step only**"


def _mebibytes(number: float | None) -> str:
    return "-" if number is None else f"{number:,.1f}"


def _spread(spread: Json | None, cell: Callable[[float], str]) -> str:
    return "-" if spread is None else f"{cell(spread['median'])} / {cell(spread['most'])}"


# -- mutation --------------------------------------------------------------------------------------------------------

FATES = ("everywhere", "step", "refuted", "invalid", "undecided", "wrong", "unconfirmed")


def mutation_targets(section: Json) -> Targets:
    rows = section["result"]["counts"]
    total = _sum(rows)
    mutants = total["mutants"]
    share = total["undecided"] / mutants
    return [
        (
            f"wrong certificates, of {mutants:,} mutants of {len({row['language'] for row in rows})} languages",
            "0",
            whole(total["wrong"]),
            yes(total["wrong"] == 0),
        ),
        (
            "mutants refuted with a word that does not confirm it",
            "0",
            whole(total["unconfirmed"]),
            yes(total["unconfirmed"] == 0),
        ),
        (
            "mutants left undecided",
            f"at most {references.MUTATION_UNDECIDED:.0%}",
            f"{whole(total['undecided'])} ({share:.2%})",
            yes(share <= references.MUTATION_UNDECIDED),
        ),
    ]


def mutation_body(section: Json) -> list[str]:
    size, result = section["size"], section["result"]
    rows = result["counts"]
    total = _sum(rows)
    failures = [f"- {_plain(text)}" for text in result["failures"]]
    trouble = ["What is undecided, wrong or unconfirmed:", "\n".join(failures)] if failures else []
    return [
        f"{total['mutants']:,} compiled models (float32) with something changed, {size['mutants']} for each language, "
        "certified in memory as if they were any model. A *weight* is changed in all of them but the block mutants: "
        "its sign flipped, zeroed, scaled by 1 ± 2^-k for a random k from 1 to 20, one of its 32 bits flipped, or two "
        "numbers of a row swapped. Half of the places are drawn among the non-zero weights, half among all (embedding, "
        "norms, head, A and D included); a draw that changes nothing, like the sign of a zero, is drawn again. For "
        f"each language up to {size['blocks']} mutants leave a block out, and up to {size['blocks']} repeat one. The "
        f"budget is {size['items']:,} events and {short(size['seconds'])} s for each stage of a search.",
        "Each certified mutant is run on all words up to the greatest length, at most "
        f"{size['length']}, with at most {size['few_words']:,} words, and a random one in {size['every']} on all up to "
        f"the greatest length with at most {size['words']:,}: {total['words']:,} words in all; one disagreement with "
        "the acceptor makes it *wrong*. The counterexample of each refuted mutant is given to the model in one go; it "
        "is *unconfirmed* unless the model says what the counterexample says, and the acceptor otherwise. *NaN* "
        "stands for mutants with a NaN or an infinity among the weights, which are rejected for that. *Every* and "
        "*step* are the two scopes of certificates; many weights have no effect, or may be changed a little.",
        table(["kind", *HEAD], _table(rows, "kind"), "lr"),
        table(["language", *HEAD], _table(rows, "language"), "lr"),
        *trouble,
    ]


HEAD = (
    "mutants",
    "certified: every",
    "certified: step",
    "refuted",
    "NaN",
    "undecided",
    "wrong",
    "unconfirmed",
    "s each",
    "s at most",
)


def _table(rows: Sequence[Json], key: str) -> list[list[str]]:
    names = list(dict.fromkeys(row[key] for row in rows))
    lines = [
        _line(code(name) if key == "language" else name, _sum([r for r in rows if r[key] == name])) for name in names
    ]
    return [*lines, _line("all", _sum(rows))]


def _line(name: str, total: Json) -> list[str]:
    counts = (whole(total[key]) for key in ("mutants", *FATES))
    return [name, *counts, short(total["seconds"] / total["mutants"]), short(total["slowest"])]


def _sum(rows: Sequence[Json]) -> Json:
    total: Json = {key: sum(row[key] for row in rows) for key in ("mutants", *FATES, "words", "seconds")}
    return total | {"slowest": max(row["slowest"] for row in rows)}


def _plain(text: str) -> str:
    """Safe from Markdown's stars and underscores."""
    return f"`{text.replace('`', chr(39))}`"


# -- checker ---------------------------------------------------------------------------------------------------------


def checker_targets(section: Json) -> Targets:
    rows = section["result"]["rows"]
    faster = sum(row["check"] < row["search"] for row in rows)
    accepted = sum(row["accepted"] for row in rows)
    return [
        (
            "saved certificates that the checker accepts",
            "all",
            f"{accepted} of {len(rows)}",
            yes(accepted == len(rows)),
        ),
        ("checks that take less time than the search", "all", f"{faster} of {len(rows)}", yes(faster == len(rows))),
    ]


def checker_body(section: Json) -> list[str]:
    repeats = section["size"]["repeats"]
    head = ["language", "dtype", "transitions", "search s", "check s", "ratio", "accepted"]
    rows = [
        [
            code(row["language"]),
            row["dtype"],
            whole(row["transitions"]),
            short(row["search"]),
            short(row["check"]),
            short(row["check"] / row["search"]),
            yes(row["accepted"]),
        ]
        for row in section["result"]["rows"]
    ]
    return [
        "`scancraft.certify` on a checkpoint directory beside `check_certificate` on the certificate saved there, in "
        f"one run; both load the weights; the fastest of {repeats}. Importing torch and transformers is not counted.",
        table(head, rows, "llrrrrc"),
    ]
