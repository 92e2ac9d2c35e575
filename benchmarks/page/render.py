"""docs/benchmarks.md from docs/benchmarks.json; ``python benchmarks/page/render.py`` makes it and runs nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from page import references, render_certificates, render_conformance, render_refute, render_signed, render_suite
from page.cells import Json, Targets, code, earlier, halves, short, table, whole, yes

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
JSON_NAME = "benchmarks.json"
MARKDOWN_NAME = "benchmarks.md"


def write(folder: Path, sections: Json) -> None:
    """Both files, and the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / JSON_NAME).write_text(json.dumps(sections, indent=1) + "\n", encoding="utf-8")
    (folder / MARKDOWN_NAME).write_text(markdown(sections), encoding="utf-8")
    render_suite.pictures(folder, sections)


def markdown(sections: Json) -> str:
    """The whole page."""
    parts = [
        "# Benchmarks",
        "Written by `python benchmarks/run.py`; do not edit. Times are wall-clock seconds on one core, with torch "
        f"already imported. Figures marked † were {references.SOURCE}.",
    ]
    # The targets speak of full sizes; a smoke run says nothing about them.
    full = {name: section for name, section in sections.items() if "--quick" not in section["command"]}
    targets = [target for name, section in full.items() for target in TARGETS[name](section)]
    if targets:
        parts += ["## Targets", table(["what", "target", "measured", "met"], targets, "lllc")]
    for name, section in sections.items():
        e = section["environment"]
        parts += [
            f"## {TITLES[name]}",
            f"`{section['command']}`: Python {e['python']}, torch {e['torch']} ({e['torch_threads']} thread), "
            f"transformers {e['transformers']}, numpy {e['numpy']}, {e['system']}, {e['cpu']}, {e['cores']} cores.",
            *BODIES[name](section),
        ]
    return "\n\n".join(parts) + "\n"


# -- compile ---------------------------------------------------------------------------------------------------------


def compile_targets(section: Json) -> Targets:
    rows = section["result"]["languages"]
    timed = [row for row in rows if row["states"] <= references.COMPILE_STATES]
    slowest = max(timed, key=lambda row: row["seconds"])
    targets = [
        (
            f"slowest to compile of {len(timed)} named languages with up to {references.COMPILE_STATES} states",
            f"under {short(references.COMPILE_SECONDS)} s",
            f"{short(slowest['seconds'])} s ({code(slowest['name'])})",
            yes(slowest["seconds"] < references.COMPILE_SECONDS),
        )
    ]
    for row in rows:
        if limit := references.EARLIER_SIZES.get(row["name"]):
            measured = row["parameters"]
            targets.append(
                (f"parameters of {code(row['name'])}", f"at most {limit:,} †", whole(measured), yes(measured <= limit))
            )
    return targets


def compile_body(section: Json) -> list[str]:
    size, result = section["size"], section["result"]
    head = "language,states,monoid,image sets,H,blocks,d_model,d_inner,parameters,non-zero,seconds,flip-flops,plain"
    numbers = ("states", "monoid", "image_sets", "height", "blocks", "d_model", "d_inner", "parameters", "nonzero")
    rows = [
        [
            code(row["name"]),
            *(whole(row[key]) for key in numbers),
            short(row["seconds"]),
            whole(row["flip_flops"]),
            whole(row["flip_flops_unshared"]),
        ]
        for row in result["languages"]
    ]
    compared = [
        [
            code(row["name"]),
            whole(references.EARLIER_SIZES[row["name"]]),
            whole(row["parameters"]),
            short(references.EARLIER_SECONDS[row["name"]]) if row["name"] in references.EARLIER_SECONDS else "-",
            short(row["seconds"]),
        ]
        for row in result["languages"]
        if row["name"] in references.EARLIER_SIZES
    ]
    random_head = "generator,states,compiled,image sets,H,blocks,parameters,flip-flops,plain,seconds"
    spread = ("image_sets", "height", "blocks", "parameters", "flip_flops", "flip_flops_unshared")
    random = [
        [
            row["generator"],
            whole(row["states"]),
            f"{row['compiled']} of {row['drawn']}",
            *(f"{halves(row[key]['median'])} / {whole(row[key]['most'])}" for key in spread),
            f"{short(row['seconds']['median'])} / {short(row['seconds']['most'])}",
        ]
        for row in result["random"]
    ]
    return [
        f"`scancraft.compile` from the minimal DFA to weights in memory, best of {size['repeats']}: star-freeness is "
        "decided, and the rules are proved against the DFA. H is the holonomy height; a monoid of more than "
        f"{size['monoid_budget']:,} elements is not counted. *Flip-flops* hold this cascade's coordinates in binary, "
        "with labels shared by all sets of a height; *plain* counts those of a holonomy in which each class of "
        "equivalent sets has a memory of its own: the same number wherever a height has one class only. "
        f"The first {sum(row['suite'] for row in result['languages'])} languages are the suite's; O_n "
        "stands for the words that take point 1 back to point 1.",
        table(head.split(","), rows, "lr"),
        "Beside the project's prototype:",
        table(["language", "parameters †", "parameters", "seconds †", "seconds"], compared, "lr"),
        "These sizes do not depend on the length of words: a model is right at every length. A transformer's do:",
        earlier(references.EARLIER_COMPILERS),
        "### Random star-free languages",
        "Median / greatest value over seeded random minimal DFAs with exactly so many states, over 2 and 3 letters in "
        "turn, each compiled once. *Order-preserving*: every letter is a sorted random map. *Reset cascade*: every "
        "coordinate is kept or reset, depending on the letter and the coordinates above. "
        f"`benchmarks/timings/random_dfas.py` tells all. "
        f"A language is given up after {short(size['seconds'])} s in one pass.",
        table(random_head.split(","), random, "lr"),
    ]


# -- agree -----------------------------------------------------------------------------------------------------------

PARTS = ("short", "sampled", "long")
BITS = ("bfloat16", "step", "batch", "right_padding", "left_padding")


def agree_targets(section: Json) -> Targets:
    rows = section["result"]["languages"]
    parts = [row[part] for row in rows for part in PARTS if row[part]]
    wrong = sum(part["wrong"] for part in parts)
    equal = sum(row["bits"][name] for row in rows for name in BITS)
    compared = len(rows) * len(BITS)
    return [
        (
            f"disagreements on {sum(part['prefixes'] for part in parts):,} prefixes of words of {len(rows)} languages",
            "0",
            whole(wrong),
            yes(wrong == 0),
        ),
        ("comparisons of logits by `torch.equal`", "all equal", f"{equal} of {compared}", yes(equal == compared)),
    ]


def agree_body(section: Json) -> list[str]:
    size, rows = section["size"], section["result"]["languages"]
    words = []
    for row in rows:
        cells = [code(row["name"]), whole(row["blocks"])]
        for part in PARTS:
            found = row[part]
            keys = ("words", "longest", "prefixes", "wrong")
            cells += [*(whole(found[key]) for key in keys), short(found["seconds"])] if found else ["-"] * 5
        words.append(cells)
    head = ["language", "blocks"]
    for part in ("all short", "sampled", "long"):
        head += [f"{part}: words", "longest", "prefixes", "wrong", "s"]
    bits = [[code(row["name"]), *(yes(row["bits"][b]) for b in BITS), short(row["bits"]["seconds"])] for row in rows]
    return [
        "The compiled model, as a `transformers` `MambaForCausalLM` in float32 on the CPU, against the NumPy acceptor; "
        "after every prefix, the right set of next symbols and the right verdict. *All short*: all words up to length "
        f"{size['short_length']}, or up to the greatest length with at most {size['short_words']:,} words (run as "
        "prefixes of the longest ones; a prefix is counted once for each word that it is compared in). *Sampled*: "
        f"{size['words']:,} words of length up to {size['length']:,}: half members, drawn uniformly among those of "
        "their length, a quarter one-symbol edits of members, a quarter arbitrary. *Long*: one word of length "
        f"{size['long_length']:,} whose prefixes are all live, in one go. The seconds are mostly transformers' loop "
        "over time steps.",
        table(head, words, "lr"),
        "Logits equal by `torch.equal` to those of float32, one word at a time, in one scan, without padding; on "
        f"{size['bit_words']} of the sampled words, in float32 and bfloat16. *bfloat16* also compares the two dtypes "
        "on all sampled words in padded batches, at padding positions too. *Step* is token by token with the cache; "
        "*batch* is padded on the right without a mask; the last two have an attention mask.",
        table(["language", "bfloat16", "step", "batch", "right padding", "left padding", "s"], bits, "lcccccr"),
    ]


# -- decide ----------------------------------------------------------------------------------------------------------


def decide_targets(section: Json) -> Targets:
    result = section["result"]
    targets = [
        (
            f"deciding star-freeness of {code(row['name'])}",
            f"under {short(references.DECIDE_SECONDS)} s",
            f"{short(row['seconds'])} s",
            yes(row["seconds"] < references.DECIDE_SECONDS),
        )
        for row in result["decisions"]
    ]
    every = next(row for row in result["random"] if row["generator"] == "all")
    targets.append(
        (
            f"median over {every['dfas']:,} random minimal DFAs",
            f"under {short(references.DECIDE_MEDIAN_MS)} ms",
            f"{short(every['median_ms'])} ms",
            yes(every["median_ms"] < references.DECIDE_MEDIAN_MS),
        )
    )
    targets += [
        (
            f"cascade of {code(row['name'])}",
            f"under {short(references.CASCADE_SECONDS)} s",
            f"{short(row['seconds'] + row['print_seconds'])} s",
            yes(row["seconds"] + row["print_seconds"] < references.CASCADE_SECONDS),
        )
        for row in result["cascades"]
    ]
    return targets


def decide_body(section: Json) -> list[str]:
    size, result = section["size"], section["result"]
    decisions = [
        [
            code(row["name"]),
            *(whole(row[key]) for key in ("states", "letters", "image_sets")),
            "star-free" if row["star_free"] else "not star-free",
            short(row["seconds"]),
        ]
        for row in result["decisions"]
    ]
    random = [
        [
            row["generator"],
            whole(row["dfas"]),
            whole(row["star_free"]),
            whole(row["dfas"] - row["star_free"]),
            whole(row["longest_witness"]),
            whole(row["largest_period"]),
            *(short(row[key]) for key in ("median_ms", "p95_ms", "most_ms")),
        ]
        for row in result["random"]
    ]
    sizes = ("states", "letters", "height", "image_sets", "flip_flops", "flip_flops_unshared")
    cascades = [
        [
            code(row["name"]),
            *(whole(row[key]) for key in sizes),
            short(row["seconds"]),
            short(row["print_seconds"]),
            whole(row["characters"]),
        ]
        for row in result["cascades"]
    ]
    decision_head = ["language", "states", "letters", "image sets", "verdict", "seconds"]
    random_head = "generator,DFAs,star-free,not,longest witness,largest period,median ms,95% ms,most ms".split(",")
    cascade_head = "language,states,letters,H,image sets,flip-flops,plain,seconds,printing,characters".split(",")
    return [
        f"Star-free or not, with a witness if not (`star_free_witness`), best of {size['repeats']}:",
        table(decision_head, decisions, "lrrrlr"),
        f"Seeded random minimal DFAs with {size['states']} states over 2 and 3 letters in turn, each decided once. The "
        "generators are those of `benchmarks/timings/random_dfas.py`: a *turning cascade* is a reset cascade one in "
        "twenty of whose actions is a rotation; *uniform* has random table entries. Every witness was replayed, and "
        "the generators that are star-free by construction gave none.",
        table(random_head, random, "lr"),
        f"Cascades (`decompose`: decided and decomposed), best of {size['repeats']}, and printing them as text. "
        "Flip-flops are counted as above.",
        table(cascade_head, cascades, "lr"),
        earlier(references.EARLIER_ALGEBRA),
    ]


# -- acceptor --------------------------------------------------------------------------------------------------------


PLAIN_WAYS = {"numbers_loop": "(a)", "strings_loop": "(b)", "dfa": "(c)"}
PAIRINGS = (
    ("accepts, encoded words", "numbers_loop", "(a), the loop over numbers"),
    ("accepts, plain strings", "strings_loop", "(b), the loop over strings"),
    ("accepts, plain strings", "dfa", "(c), `Dfa.accepts`"),
    ("states, encoded words", "numbers_loop", "(a), the loop over numbers, keeping states"),
)
"""Task of the acceptor, plain way with the same input, and its description."""


def acceptor_targets(section: Json) -> Targets:
    targets = []
    for task, way, description in PAIRINGS:
        ratios = {
            row["language"]: row["acceptor"] / row[way] for row in section["result"]["rates"] if row["task"] == task
        }
        ordered = sorted(ratios, key=ratios.__getitem__)
        targets.append(
            (
                f"acceptor ({task}) against {description}",
                f"at least {whole(references.ACCEPTOR_RATIO)} times",
                " to ".join(f"{short(ratios[name])} times ({code(name)})" for name in (ordered[0], ordered[-1])),
                yes(ratios[ordered[0]] >= references.ACCEPTOR_RATIO),
            )
        )
    return targets


def acceptor_body(section: Json) -> list[str]:
    size, result = section["size"], section["result"]
    rows = [
        [
            code(row["language"]),
            whole(row["states"]),
            whole(row["letters"]),
            row["task"],
            *(short(row[key] / 1e6) for key in (*PLAIN_WAYS, "first", "acceptor")),
            *(short(row["acceptor"] / row[way]) for way in PLAIN_WAYS),
        ]
        for row in result["rates"]
    ]
    head = ["language", "states", "letters", "task", *PLAIN_WAYS.values(), "first call", "acceptor"]
    dead = ", ".join(f"{code(name)} {share:.0%}" for name, share in result["dead"].items())
    return [
        f"Millions of symbols per second on {size['words']:,} random words of length {size['length']:,}, best of "
        f"{size['repeats']} (plain ways: {size['loop_repeats']}), all in one run, answers compared. The words are "
        f"uniform; so many of them end in the dead state: {dead}.",
        "The plain ways, which give one verdict per word: **(a)** the tightest loop, over lists of letter numbers, "
        "`state = table[state][letter]` in lists; beside the task *states* it keeps the state after every prefix. "
        "**(b)** the loop over the symbols of strings, `state = transitions[state][symbol]` in dicts: what one would "
        "write by hand. **(c)** `Dfa.accepts` on strings. The acceptor's *encoded words* are a NumPy array of letter "
        "numbers; on *plain strings* the encoding is part of the time. *States* keeps the state after every prefix. "
        "*First call* is that of a new acceptor, its construction and tables included. The last three columns say how "
        f"many times as fast as each plain way the acceptor is. Like with like, the target of "
        f"{whole(references.ACCEPTOR_RATIO)} times holds as follows (each language in turn):",
        table(["pairing", *map(code, result["dead"])], _verdicts(result), "lr"),
        table([*head, *(f"/ {way}" for way in PLAIN_WAYS.values())], rows, "lrrlr"),
    ]


def _verdicts(result: Json) -> list[list[str]]:
    """For each pairing of like with like: the ratio for each language, and whether it reaches the target."""
    rows = []
    for task, way, description in PAIRINGS:
        ratios = [row["acceptor"] / row[way] for row in result["rates"] if row["task"] == task]
        cells = [f"{short(ratio)}: {yes(ratio >= references.ACCEPTOR_RATIO)}" for ratio in ratios]
        rows.append([f"{task}, against {description}", *cells])
    return rows


TITLES = {
    "compile": "Compiling",
    "agree": "Agreement",
    "decide": "Deciding and decomposing",
    "acceptor": "The ground-truth acceptor",
    "certify": "Certificates",
    "checker": "Checking saved certificates",
    "mutation": "Mutation score of certify",
    "suite": "The suite of the paper",
    "trained": "Trained baselines",
    "bounded_dyck": "Bounded Dyck languages",
    "scan": "The fast runner",
    "signed": "The signed target",
    "refute": "Refutations",
    "conformance": "Conformance",
}
TARGETS: dict[str, Callable[[Json], Targets]] = {
    "compile": compile_targets,
    "agree": agree_targets,
    "decide": decide_targets,
    "acceptor": acceptor_targets,
    "certify": render_certificates.certify_targets,
    "checker": render_certificates.checker_targets,
    "mutation": render_certificates.mutation_targets,
    "suite": render_suite.suite_targets,
    "trained": render_suite.trained_targets,
    "bounded_dyck": render_suite.dyck_targets,
    "scan": render_suite.scan_targets,
    "signed": render_signed.signed_targets,
    "refute": render_refute.refute_targets,
    "conformance": render_conformance.conformance_targets,
}
BODIES: dict[str, Callable[[Json], list[str]]] = {
    "compile": compile_body,
    "agree": agree_body,
    "decide": decide_body,
    "acceptor": acceptor_body,
    "certify": render_certificates.certify_body,
    "checker": render_certificates.checker_body,
    "mutation": render_certificates.mutation_body,
    "suite": render_suite.suite_body,
    "trained": render_suite.trained_body,
    "bounded_dyck": render_suite.dyck_body,
    "scan": render_suite.scan_body,
    "signed": render_signed.signed_body,
    "refute": render_refute.refute_body,
    "conformance": render_conformance.conformance_body,
}


if __name__ == "__main__":
    write(DOCS, json.loads((DOCS / JSON_NAME).read_text(encoding="utf-8")))
