"""Accuracy against length: compiled models, the published figures of trained ones, and one that the reader trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .automata.errors import MissingExtraError
from .models._files import replace_file
from .models.errors import CheckpointError

if TYPE_CHECKING:
    from .suite import Row

COMPILED, PUBLISHED, TRAINED = "#0072b2", "#d55e00", "#009e73"
COLUMNS = 5


def draw_suite(rows: Sequence[Row], path: Path, trained: Sequence[Path] = ()) -> Path:
    """One small panel per language: strings right in %, against length on a logarithmic axis.

    Args:
        rows: what was measured.
        path: where to write (.png, .svg, .pdf).
        trained: directories written by ``scancraft train``, drawn into the panels of their languages.

    Raises:
        MissingExtraError: matplotlib is not installed.
        CheckpointError: a directory holds no ``training.json``.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("plots need matplotlib; pip install 'scancraft[plot]'") from None
    curves = dict(map(_read_training, trained))
    height = -(-len(rows) // COLUMNS)
    figure: Any = Figure(figsize=(2.5 * COLUMNS, 1.7 * height + 0.9), layout="constrained")
    axes = figure.subplots(height, COLUMNS, squeeze=False, sharex=True, sharey=True)
    for axis in axes.flat[len(rows) :]:
        axis.set_axis_off()
    for axis, row in zip(axes.flat, rows, strict=False):
        _panel(axis, row, curves.get(row.language.name))
    for axis in axes[:, 0]:
        axis.set_ylabel("strings right, %", fontsize=8)
    handles = [
        figure.axes[0].plot([], [], color=COMPILED, marker="o", ms=4, label="compiled (measured here)")[0],
        figure.axes[0].fill_between([], [], [], color=PUBLISHED, alpha=0.6, label="trained (published, best layers)"),
    ]
    if curves:
        label = "trained (scancraft train)"
        handles.append(figure.axes[0].plot([], [], color=TRAINED, marker="s", ms=4, ls="--", label=label)[0])
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=9, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as fresh:
        figure.savefig(fresh, format=path.suffix.removeprefix(".") or "png", dpi=130, facecolor="white")
    return path


def _read_training(directory: Path) -> tuple[str, dict[str, Any]]:
    path = directory / "training.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return str(found["name"]), dict(found)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is not what `scancraft train --out DIR` writes ({error})") from None


def _panel(axis: Any, row: Row, training: dict[str, Any] | None) -> None:
    axis.set_title(row.language.name, fontsize=9)
    axis.set_xscale("log")
    axis.set_xlim(1, 2e5)
    axis.set_ylim(-5, 108)
    axis.tick_params(labelsize=7)
    axis.grid(alpha=0.25)
    for part in row.language.bins:
        if part.published is not None:
            low, high = part.published
            left = part.shortest if part.ignore is None else part.longest / 1.5
            axis.fill_between([left, part.longest], low - 1, high + 1, color=PUBLISHED, alpha=0.6, lw=0)
    if training is not None:
        spans = [(b["shortest"], b["longest"], b["strings"]) for b in training["accuracy"]]
        middles = [(low * high) ** 0.5 if low else high for low, high, _ in spans]
        axis.plot(middles, [value for *_, value in spans], color=TRAINED, marker="s", ms=4, ls="--")
    if row.witness is not None:
        axis.text(0.5, 0.5, f"excluded by\n{row.language.theorem}", transform=axis.transAxes, ha="center", fontsize=9)
        return
    longest = [score.longest for score in row.scores.values()]
    axis.plot(longest, [score.strings for score in row.scores.values()], color=COMPILED, marker="o", ms=4)
