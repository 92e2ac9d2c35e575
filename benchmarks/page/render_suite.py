"""The sections of docs/benchmarks.md about the paper's own constructions, and their pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from page.cells import Json, Targets, code, short, table, whole, yes

from scancraft.suite.plot import draw

SUITE_PICTURE, DYCK_PICTURE = "suite.png", "bounded_dyck.png"
SUITE_SECONDS, FARTHEST_SECONDS, SCAN_RATIO = 60, 120, 20


def percent(value: float) -> str:
    """Never rounded up to 100."""
    return "100" if value == 100 else f"{int(value * 100) / 100:.2f}"


# -- suite -----------------------------------------------------------------------------------------------------------


def suite_targets(section: Json) -> Targets:
    result = section["result"]
    rows = [row for row in result["rows"] if row["accuracy"]]
    worst = min(value for row in rows for key in ("accuracy", "accuracy_positions") for value in row[key].values())
    certified = sum(row["certificate"]["verdict"] == "certified" for row in rows)
    checked = sum(row["certificate"]["checked"] is True for row in rows)
    flip_flop = next(row for row in rows if row["name"] == "Flip-flop")
    dyck = next(row for row in rows if row["name"] == "Dyck_{8,10}")
    seconds, far = result["seconds"], result["seconds_farthest"]
    limit, farthest = SUITE_SECONDS, FARTHEST_SECONDS
    return [
        (f"positions and strings right, {len(rows)} positive languages, every length", "100%", f"{percent(worst)}%",
         yes(worst == 100)),
        ("certificates of the suite", f"{len(rows)} of {len(rows)}", f"{certified}, {checked} accepted by the checker",
         yes(certified == checked == len(rows))),
        ("the whole suite, certificates included, two processes", f"under {limit} s", f"{short(seconds)} s",
         yes(seconds < limit)),
        ("the same with length 100,000", f"under {farthest} s", f"{short(far)} s", yes(far < farthest)),
        ("blocks for the flip-flop language", "at most 2", whole(flip_flop["blocks"]), yes(flip_flop["blocks"] <= 2)),
        ("blocks, memories for Dyck_{8,10}", "2, 41", f"{dyck['blocks']}, {dyck['memories']}",
         yes((dyck["blocks"], dyck["memories"]) == (2, 41))),
    ]  # fmt: skip


def suite_body(section: Json) -> list[str]:
    size, result = section["size"], section["result"]
    rows = result["rows"]
    measured, excluded = [], []
    for row in rows:
        if row["witness"] is not None:
            witness = row["witness"]
            excluded.append(
                [code(row["name"]), row["theorem"], code("".join(witness["word"])), whole(witness["period"]),
                 _published(row)]
            )  # fmt: skip
            continue
        proof = row["certificate"]
        measured.append(
            [
                code(row["name"]),
                row["theorem"],
                *(whole(row[key]) for key in ("blocks", "d_model", "parameters", "state_entries")),
                f"{row['seconds']:.3f}",
                _bins(row),
                *(
                    percent(row["accuracy"][label]) if label in row["accuracy"] else "-"
                    for label in ("10,000", "100,000")
                ),
                f"{proof['method']}, {proof['scope']}",
                _published(row),
            ]
        )
    heads = ["language", "theorem", "blocks", "d_model", "parameters", "state entries", "compiled in, s",
             "published lengths", "10,000", "100,000", "certificate", "trained, published"]  # fmt: skip
    words = sum(sum(row["words"].values()) for row in rows)
    positions = sum(sum(row["positions"].values()) for row in rows)
    many = result["many"]
    flip_flop = next((row for row in rows if row["general_compiler"] is not None), None)
    limits = [
        f"{code(row['name'])} {', '.join(f'{n:,}' for n in sorted(set(row['certificate']['limits'].values())))}"
        for row in rows
        if row["certificate"] is not None and row["certificate"].get("limits")
    ]
    parts = [
        "`scancraft suite --check` prints the same table. Strings right in %: a string counts iff after every prefix "
        f"of it exactly the right tokens are allowed. {size['words']:,} words per published range of lengths, "
        f"{size['far_words']:,} of length 9,980 to 10,000, two (for the flip-flop language two per share of ignore "
        "instructions) of length 99,980 to 100,000: half members (uniform among those of their length; for the "
        "flip-flop language the published distribution), a quarter one-symbol edits of members, a quarter arbitrary; "
        "bounded Dyck languages promise live prefixes only, so there all are members. "
        f"Together {words:,} words, {positions:,} positions.",
        table(heads, measured, "llrrrrrlrrll"),
        f"![Accuracy against length]({SUITE_PICTURE})",
        "Languages that no Mamba models at every length, with the word that permutes states of the minimal DFA:",
        table(["language", "excluded by", "word", "period", "trained, published"], excluded, "lllrl"),
    ]
    if many["words"]:
        parts.append(
            f"One more run with {size['many_far_words']:,} words of length 10,000 per language (seed 1): "
            f"{many['words']:,} words, {many['positions']:,} positions, {many['wrong']:,} wrong."
        )
    if flip_flop is not None:
        general = flip_flop["general_compiler"]
        parts.append(
            f"The flip-flop language by theorem 1: {flip_flop['blocks']} blocks, {flip_flop['parameters']:,} "
            f"parameters; by the general compiler: {general['blocks']} blocks, {general['parameters']:,} parameters."
        )
    if limits:
        parts.append(
            "Counter languages are certified as long as no counter exceeds (float32): " + "; ".join(limits) + "."
        )
    return parts


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


# -- bounded Dyck ----------------------------------------------------------------------------------------------------


def dyck_targets(section: Json) -> Targets:
    proved, size = section["result"]["proved"], section["size"]
    languages, two, wrong, positions = (
        section["result"][key] for key in ("languages", "in_two_blocks", "wrong", "positions")
    )
    certified = sum(row["scope"] == "every-implementation" for row in proved)
    grid, all_of = f"K to {size['kinds']}, h to {size['depths']}", f"{languages} of {languages}"
    return [
        (f"bounded Dyck languages in two blocks, {grid}", all_of, whole(two), yes(two == languages)),
        ("wrong positions beside the stack", "0", f"{wrong} of {positions:,}", yes(wrong == 0)),
        ("certificates of bounded Dyck languages", f"{len(proved)} of {len(proved)}", whole(certified),
         yes(certified == len(proved))),
    ]  # fmt: skip


def dyck_body(section: Json) -> list[str]:
    size, rows, proved = section["size"], section["result"]["rows"], section["result"]["proved"]
    languages = section["result"]["languages"]
    kinds = [k for k in (1, 2, 8, 64) if k <= size["kinds"]]
    depths = [h for h in (1, 3, 10, 32) if h <= size["depths"]]
    shown = [row for row in rows if row["kinds"] in kinds and row["depth"] in depths]
    cells = [
        [
            whole(row["kinds"]),
            whole(row["depth"]),
            whole(row["blocks"]),
            whole(row["d_model"]),
            whole(row["d_inner"]),
            whole(row["parameters"]),
            short(1000 * row["seconds"]),
            whole(row["memories"]),
            whole(row["state_entries"]),
            whole(row["allocated"]),
            f"{row['lower_bound']:.1f}",
        ]
        for row in shown
    ]
    slowest = max(proved, key=lambda row: row["seconds"])
    return [
        f"Every K from 1 to {size['kinds']} with every h from 1 to {size['depths']}: {languages:,} languages, compiled "
        f"and run on {size['words']} live words of length {size['length']} each, beside a stack. *Memories*: h "
        "ceil(log2(K + 1)) + 1. *State entries* hold them, copies for the gates counted; *allocated*: all entries of "
        "the SSM state. *h log2 K*: bits that any recurrent model needs (Hewitt et al. 2020).",
        f"![Parameters and state entries over h and K]({DYCK_PICTURE})",
        table(
            "K,h,blocks,d_model,d_inner,parameters,ms,memories,state entries,allocated,h log2 K".split(","),
            cells,
            "r",
        ),
        f"{len(proved)} of them were certified (K in {', '.join(map(str, size['certified_kinds']))}; h in "
        f"{', '.join(map(str, size['certified_depths']))}), the slowest, K = {slowest['kinds']}, h = "
        f"{slowest['depth']} with {slowest['cases']:,} cases, in {short(slowest['seconds'])} s.",
    ]


def draw_dyck(rows: list[Json], path: Path) -> None:
    """Parameters, and state beside the lower bound, over h for some K and over K for some h."""
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(9.5, 6.4), layout="constrained")
    axes = figure.subplots(2, 2)
    colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"]
    greatest = {key: max(row[key] for row in rows) for key in ("kinds", "depth")}
    for column, (over, fixed, symbol, chosen) in enumerate(
        (("depth", "kinds", "K", (1, 8, 64)), ("kinds", "depth", "h", (2, 10, 32)))
    ):
        top, bottom = axes[0][column], axes[1][column]
        for colour, value in zip(colours, [v for v in chosen if v <= greatest[fixed]], strict=False):
            line = sorted((row for row in rows if row[fixed] == value), key=lambda row: row[over])
            x = [row[over] for row in line]
            top.plot(x, [row["parameters"] for row in line], color=colour, label=f"{symbol} = {value}")
            bottom.plot(x, [row["state_entries"] for row in line], color=colour, ls="-")
            bottom.plot(x, [row["memories"] for row in line], color=colour, ls="--")
            bottom.plot(x, [row["lower_bound"] for row in line], color=colour, ls=":")
        name = "depth h" if over == "depth" else "kinds of brackets K"
        for axis in (top, bottom):
            axis.set_xlabel(name)
            axis.grid(alpha=0.25)
        top.set_ylabel("parameters")
        bottom.set_ylabel("state")
        top.legend(frameon=False)
        for style, label in (("-", "state entries, gate copies counted"), ("--", "memories"), (":", "h log2 K bits")):
            bottom.plot([], [], color="black", ls=style, label=label)
        bottom.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110, facecolor="white")


# -- the scan --------------------------------------------------------------------------------------------------------


def scan_targets(section: Json) -> Targets:
    rows = section["result"]["rows"]
    single = [row["ratio"] for row in rows if row["batch"] == 1]
    length = section["size"]["length"]
    return [
        (f"the runner against transformers' CPU path, length {length:,}", f"{SCAN_RATIO} times as fast",
         f"{short(min(single))} to {short(max(single))} times", yes(min(single) >= SCAN_RATIO)),
        ("logits of the two equal (torch.equal)", f"{len(rows)} of {len(rows)}",
         whole(sum(row["equal"] for row in rows)), yes(all(row["equal"] for row in rows))),
    ]  # fmt: skip


def scan_body(section: Json) -> list[str]:
    result = section["result"]
    rows = [
        [
            code(row["language"]),
            row["dtype"],
            *(whole(row[key]) for key in ("blocks", "batch", "length")),
            *(short(1000 * row[key]) for key in ("transformers", "runner", "construction")),
            short(row["ratio"]),
            yes(row["equal"]),
        ]
        for row in result["rows"]
    ]
    longest = [
        [
            code(row["language"]),
            whole(row["length"]),
            whole(row["tokens_per_second"]),
            whole(row["steps_per_second"]),
            yes(row["equal"]),
        ]
        for row in result["longest"]
    ]
    return [
        "scancraft's runner (`models/run/runner.py`) beside `transformers`' `MambaForCausalLM` on the CPU, the same "
        "words in the same run, in milliseconds; *construction* is that of the runner. *Equal*: all logits, by "
        "`torch.equal`. In a batch of many short words transformers' loop over time is shared by all rows, so less is "
        "gained.",
        table(
            [
                "language",
                "dtype",
                "blocks",
                "batch",
                "length",
                "transformers",
                "runner",
                "construction",
                "ratio",
                "equal",
            ],
            rows,
            "llrrrrrrrc",
        ),
        "One long word, chunk by chunk in bounded memory, and token by token:",
        table(["language", "length", "tokens/s", "tokens/s, one at a time", "equal"], longest, "lrrrc"),
    ]


# -- trained baselines -----------------------------------------------------------------------------------------------


def trained_targets(section: Json) -> Targets:
    return []


def trained_body(section: Json) -> list[str]:
    rows = []
    for row in section["result"]["rows"]:
        cells = [f"{b['label']}: {percent(b['strings'])} ({percent(b['positions'])})" for b in row["accuracy"]]
        parameters = whole(row["sizes"]["parameters"])
        rows.append([code(row["name"]), parameters, whole(row["steps"]), short(row["seconds"]), " / ".join(cells)])
    size = section["size"]
    return [
        f"`scancraft train NAME --budget {size['seconds']:g}s`: two blocks, d_model 32, trained on next-symbol sets of "
        f"members of the first range of lengths; {size['test_words']} fresh members per range. Strings right in %, "
        "positions in parentheses. The number of steps depends on the machine.",
        table(["language", "parameters", "steps", "seconds", "strings (positions) right, by length"], rows, "lrrrl"),
    ]


def pictures(folder: Path, sections: Json) -> None:
    """Draw what there is."""
    if "suite" in sections:
        trainings = sections["trained"]["result"]["rows"] if "trained" in sections else []
        draw(sections["suite"]["result"]["rows"], folder / SUITE_PICTURE, trainings)
    if "bounded_dyck" in sections:
        draw_dyck(sections["bounded_dyck"]["result"]["rows"], folder / DYCK_PICTURE)
