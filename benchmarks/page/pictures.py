"""The pictures of the docs that show measured figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from page.table import Json

from scancraft.automata.languages import language_to_json
from scancraft.explain.picture_file import drawing, write_picture
from scancraft.suite.languages import suite_language
from scancraft.suite.plot import draw as draw_suite

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")


def draw(folder: Path, name: str, known: Json, raw: Json) -> None:
    """The pictures that a section has after it was run.

    Args:
        folder: to write to.
        name: of the section.
        known: all sections: the suite's picture has the trained baselines in it.
        raw: the section's rows.
    """
    if name in ("suite", "trained") and "suite" in known:
        trained = known["trained"]["result"]["rows"] if "trained" in known else []
        trainings = [row | {"language": language_to_json(suite_language(row["name"]).language)} for row in trained]
        draw_suite(known["suite"]["result"]["rows"], folder / "suite.svg", trainings)
    if name == "bounded_dyck":
        draw_dyck(raw["rows"], folder / "bounded_dyck.svg")
    if name == "refute" and raw["curve"]["N"] is not None:
        draw_curve(raw["curve"], folder / "refutation.svg")


def draw_dyck(rows: list[Json], path: Path) -> None:
    """Parameters, and state beside the lower bound, over h for some K and over K for some h."""
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(9.5, 6.4), layout="constrained")
    axes = figure.subplots(2, 2)
    greatest = {key: max(row[key] for row in rows) for key in ("kinds", "depth")}
    panels = (("depth", "kinds", "K", (1, 8, 64)), ("kinds", "depth", "h", (2, 10, 32)))
    names = {"depth": "depth h", "kinds": "kinds of brackets K"}
    styles = {"state_entries": "-", "memories": "--", "lower_bound": ":"}
    for column, (over, fixed, symbol, chosen) in enumerate(panels):
        top, bottom = axes[0][column], axes[1][column]
        for colour, value in zip(COLOURS, [v for v in chosen if v <= greatest[fixed]], strict=False):
            line = sorted((row for row in rows if row[fixed] == value), key=lambda row: row[over])
            x = [row[over] for row in line]
            top.plot(x, [row["parameters"] for row in line], color=colour, label=f"{symbol} = {value}")
            for key, style in styles.items():
                bottom.plot(x, [row[key] for row in line], color=colour, ls=style)
        for axis in (top, bottom):
            axis.set_xlabel(names[over])
            axis.grid(alpha=0.25)
        top.set_ylabel("parameters")
        bottom.set_ylabel("state")
        top.legend(frameon=False)
        labels = ("state entries, gate copies counted", "memories", "h log2 K bits")
        for style, label in zip(styles.values(), labels, strict=True):
            bottom.plot([], [], color="black", ls=style, label=label)
        bottom.legend(frameon=False, fontsize=8)
    _save(figure, path)


def draw_curve(curve: Json, path: Path) -> None:
    """The state of a trained Mamba on 1^n settles, and its answer freezes while PARITY goes on alternating."""
    from matplotlib.figure import Figure

    start = curve["N"]
    figure: Any = Figure(figsize=(9.5, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1.15))
    n = curve["n"]
    some = [(a, b) for a, b in zip(n, curve["change"], strict=True) if b > 0]
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
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    with drawing():
        write_picture(figure, path)
