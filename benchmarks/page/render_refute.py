"""The section of docs/benchmarks.md about refutations, and the picture of docs/refutation.md."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from page.cells import Json, Targets, code, short, table, whole, yes

from scancraft.models.checkpoints.files import replace_file

PICTURE = "refutation.png"
SHARE = 0.99
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")


def refute_targets(section: Json) -> Targets:
    rows = section["result"]["rows"]
    refuted = [row for row in rows if row["verdict"] == "refuted"]
    false = sum(not row["plain"] or row["own"] is False for row in refuted)
    again = [row for row in refuted if row["own"] is not None]
    return [
        (
            f"checked refutations, {len(section['result']['models'])} foreign models, {len(_names(rows))} languages",
            f"at least {SHARE:.0%}",
            f"{len(refuted) - false:,} of {len(rows):,}",
            yes(len(refuted) - false >= SHARE * len(rows)),
        ),
        (
            "refutations that the checker rejects",
            "0",
            f"{false} ({len(again)} replayed with transformers' own step)",
            yes(not false),
        ),
    ]


def _names(rows: list[Json]) -> list[str]:
    return list(dict.fromkeys(row["language"] for row in rows))


def refute_body(section: Json) -> list[str]:
    size, result = section["size"], section["result"]
    rows, models = result["rows"], result["models"]
    cells = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        for name in _names(rows):
            some = [row for row in rows if (row["kind"], row["language"]) == (kind, name)]
            cells.append([kind, code(name), *_cells(some)])
        cells.append([f"**{kind}**", "all", *_cells([row for row in rows if row["kind"] == kind])])
    heads = ["models", "language", "refuted", "undecided", "false", "N", "tokens", "longest w", "wrong word", "seconds"]
    refuted = [row for row in rows if row["verdict"] == "refuted"]
    read = [row for row in refuted if row["tokens_read"] >= row["tokens"]]
    slowest = max(rows, key=lambda row: row["seconds"])
    again = [row for row in refuted if row["own"] is not None]
    trained = [model for model in models if model["kind"] == "trained"]
    learnt = f"{min(m['strings'] for m in trained):.0f} to {max(m['strings'] for m in trained):.0f}" if trained else "-"
    done = sorted(model["model"] for model in models if model["kind"] == "random")
    partly = (
        f"**Only {len(done)} of the {size['random']} random models were run** (seeds {done[0]} to {done[-1]}): "
        "there was no time for the rest. "
        if len(done) < size["random"]
        else ""
    )
    parts = [
        f"{partly}`scancraft.refute` on {size['random']} `MambaForCausalLM` with the weights that `transformers` draws "
        "(seeds 0, 1, ...; 1 to 4 blocks, d_model 16 to 64) and on "
        f"{size['trained']} that `scancraft.training.training` has trained for {size['train_steps']} steps on one of "
        f"these languages each (1 to 3 blocks; they get {learnt}% of strings of the training lengths right). All are "
        "read against all languages, with the tokens of a language's symbols from 3 on, so that languages share "
        f"trajectories. Budget: {short(size['seconds'])} s each. *False*: rejected by the checker. *N*, *tokens* (of "
        "x w^(N + 1)), the length of the shortest wrong word seen: medians; *seconds*: the median of those that shared "
        "nothing.",
        table(heads, cells, "llrrrrrrrr"),
        f"The slowest took {short(slowest['seconds'])} s ({slowest['kind']} model {slowest['model']}, "
        f"{code(slowest['language'])}). {len(read)} of the {len(refuted)} read all their tokens themselves. The "
        f"checker replayed all {len(refuted)} with its plain step, in "
        f"{whole(sum(row['plain_seconds'] for row in refuted))} s, "
        f"and {len(again)}, drawn at random, with `transformers`' own, in "
        f"{whole(sum(row['own_seconds'] for row in again))} s."
        + (f" Everything together, in {size['jobs']} processes: {whole(result['seconds'])} s." if not partly else ""),
    ]
    steps = [
        [row["dtype"], whole(row["d_model"]), *(f"{row[name]:.0f}" for name in ("fast", "plain", "own"))]
        for row in result["steps"]
    ]
    parts += [
        "Microseconds per token and block, best of 5, two blocks, 16 states per channel. *fast*: every token read "
        "anew; on a periodic word the search leaves out what cannot have changed. *plain*: the checker's. *own*: "
        "`model(token, cache_params=cache)` of `transformers`.",
        table(["dtype", "d_model", "fast", "plain", "own"], steps, "lr"),
    ]
    undecided = [row for row in rows if row["verdict"] == "undecided"]
    if undecided:
        parts.append("Undecided:")
        cells = [[row["kind"], whole(row["model"]), code(row["language"]), row["reason"]] for row in undecided]
        parts.append(table(["models", "model", "language", "reason"], cells, "lrll"))
    if result["curve"]["N"] is not None:
        parts.append(f"![A trained Mamba settles on 1^n]({PICTURE})")
    return parts


def _cells(rows: list[Json]) -> list[str]:
    refuted = [row for row in rows if row["verdict"] == "refuted"]
    false = sum(not row["plain"] or row["own"] is False for row in refuted)
    alone = [row["seconds"] for row in refuted if row["tokens_read"] >= row["tokens"]]
    counts = [whole(len(refuted) - false), whole(len(rows) - len(refuted)), whole(false)]
    if not refuted:
        return [*counts, "-", "-", "-", "-", "-"]
    return [
        *counts,
        whole(median(row["N"] for row in refuted)),
        whole(median(row["tokens"] for row in refuted)),
        whole(max(len(row["w"]) for row in refuted)),
        whole(median(row["word"] for row in refuted)),
        short(median(alone)) if alone else "-",
    ]


def picture(folder: Path, section: Json) -> None:
    """The picture of docs/refutation.md, if there is one to draw."""
    if section["result"]["curve"]["N"] is not None:
        draw(section["result"]["curve"], folder / PICTURE)


def draw(curve: Json, path: Path) -> None:
    """The state of a trained Mamba on 1^n settles, and its answer freezes while PARITY goes on alternating."""
    from matplotlib.figure import Figure

    start = curve["N"]
    figure: Any = Figure(figsize=(9.5, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.15))
    n, change = curve["n"], curve["change"]
    some = [(a, b) for a, b in zip(n, change, strict=True) if b > 0]
    left.plot(*zip(*some, strict=True), color=COLOURS[0])
    left.set_yscale("log")
    left.set_title("largest change of the state, then 0", fontsize=9)
    left.set_ylabel("max |h(n) - h(n-1)|", fontsize=8)
    for colour, entry in zip(COLOURS, curve["entries"], strict=False):
        last = entry["values"][-1]
        label = f"block {entry['block']}, channel {entry['channel']}"
        middle.plot(n, [value / last if last else value for value in entry["values"]], color=colour, label=label)
    middle.set_title("entries, divided by their last value", fontsize=9)
    middle.legend(frameon=False, fontsize=7)
    for axis in (left, middle):
        axis.set_xscale("log")
        axis.axvline(start, color="black", lw=0.8, ls="--")
    left.text(start, 0.03, f" N = {start:,} ", transform=left.get_xaxis_transform(), ha="right", fontsize=8)
    near = curve["near"]
    top = max(abs(score) for score in curve["score"]) or 1.0
    right.plot(near, curve["score"], color=COLOURS[0], marker="o", ms=4, label="the model's score of <eos>")
    truth = [top if k % 2 == 0 else -top for k in near]
    right.plot(near, truth, color=COLOURS[1], marker="s", ms=3, ls=":", label="PARITY accepts (up) or not")
    right.axvline(start, color="black", lw=0.8, ls="--")
    right.axhline(0, color="black", lw=0.8)
    right.set_ylim(-1.2 * top, 1.9 * top)
    right.set_title("the answer around N", fontsize=9)
    right.legend(frameon=False, fontsize=7, loc="upper left")
    right.ticklabel_format(useOffset=False, style="plain")
    right.set_xticks([start - 8, start, start + 8])
    for axis in (left, middle, right):
        axis.set_xlabel("n, the number of 1s read", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.25)
    with replace_file(path) as fresh:
        figure.savefig(fresh, format="png", dpi=110, facecolor="white")
