"""Accuracy against length: compiled models, the published figures of trained ones, and those that a reader trained."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..automata.errors import MissingExtraError, ScancraftError
from ..automata.languages import Language, language_from_json
from ..explain.picture_file import drawing, picture_path, write_picture
from ..models.errors import CheckpointError
from .languages import SuiteLanguage, suite_language

if TYPE_CHECKING:
    from .suite import Row

COMPILED, PUBLISHED, TRAINED = "#0072b2", "#d55e00", "#009e73"
COLUMNS = 5


def draw_suite(rows: Sequence[Row], path: Path, trained: Sequence[Path] = (), columns: int = COLUMNS) -> Path:
    """One small panel per language: strings right in %, against length on a logarithmic axis.

    Args:
        rows: what was measured.
        path: where to write (.png, .svg, .pdf).
        trained: directories written by ``scancraft train``, drawn into the panels of their languages.
        columns: panels side by side.

    Raises:
        MissingExtraError: matplotlib is not installed.
        CheckpointError: a directory holds no ``training.json``.
    """
    return draw([row.as_json() for row in rows], path, [read_training(directory) for directory in trained], columns)


def draw(
    rows: Sequence[Mapping[str, Any]],
    path: Path,
    trainings: Sequence[Mapping[str, Any]] = (),
    columns: int = COLUMNS,
) -> Path:
    """:func:`draw_suite` from the JSON of both: ``scancraft suite --json``, and ``training.json``.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ScancraftError: a training's language cannot be read.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("plots need matplotlib; pip install 'scancraft[plot]'") from None
    curves = [(language_from_json(t["language"]), t) for t in trainings]
    height = -(-len(rows) // columns)
    figure: Any = Figure(figsize=(2.5 * columns, 1.7 * height + 0.9), layout="constrained")
    axes = figure.subplots(height, columns, squeeze=False, sharex=True, sharey=True)
    for axis in axes.flat[len(rows) :]:
        axis.set_axis_off()
    for axis, row in zip(axes.flat, rows, strict=False):
        _panel(axis, row, suite_language(row["name"]), curves)
    for axis in axes[:, 0]:
        axis.set_ylabel("strings right, %", fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("length", fontsize=8)
    handles = [
        figure.axes[0].plot([], [], color=COMPILED, marker="o", ms=4, label="compiled, measured")[0],
        figure.axes[0].fill_between([], [], [], color=PUBLISHED, alpha=0.6, label="trained, published"),
    ]
    if curves:
        label = "trained by scancraft train, measured"
        handles.append(figure.axes[0].plot([], [], color=TRAINED, marker="s", ms=4, ls="--", label=label)[0])
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=9, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with drawing():
        write_picture(figure, picture_path(path))
    return path


def read_training(directory: Path) -> Mapping[str, Any]:
    """The content of ``training.json``; :class:`CheckpointError` if it is not what ``scancraft train`` writes."""
    path = directory / "training.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        language_from_json(found["language"])
        for key in ("shortest", "longest", "strings"):
            assert all(isinstance(entry[key], int | float) for entry in found["accuracy"]), f"{key} is no number"
        return dict(found)
    except (OSError, ValueError, KeyError, TypeError, AssertionError, ScancraftError) as error:
        raise CheckpointError(f"{path} is not what `scancraft train --out DIR` writes ({error})") from None


def _panel(
    axis: Any, row: Mapping[str, Any], suite: SuiteLanguage, curves: Sequence[tuple[Language, Mapping[str, Any]]]
) -> None:
    axis.set_title(suite.name, fontsize=9)
    axis.set_xscale("log")
    axis.minorticks_off()
    axis.set_xlim(1, 2e5)
    axis.set_ylim(-5, 108)
    axis.tick_params(labelsize=7)
    axis.grid(alpha=0.25)
    for part in suite.bins:
        if part.published is not None:
            low, high = part.published
            left = part.shortest if part.ignore is None else part.longest / 1.5
            axis.fill_between([left, part.longest], low - 1.5, high + 1.5, color=PUBLISHED, alpha=0.6, lw=0)
    language = suite.language
    for trained, training in curves:
        if trained == language:
            spans = [(max(1, b["shortest"]), b["longest"], b["strings"]) for b in training["accuracy"]]
            middles = [(low * high) ** 0.5 for low, high, _ in spans]
            axis.plot(middles, [value for *_, value in spans], color=TRAINED, marker="s", ms=4, ls="--")
    if row["witness"] is not None:
        text = f"no Mamba: {row['theorem']};\nan OLMo Hybrid"
        axis.text(0.66, 0.5, text, transform=axis.transAxes, ha="center", va="center", fontsize=7)
    longest = {part.label: part.longest for part in suite.bins}
    points = [(longest.get(label) or int(label.replace(",", "")), value) for label, value in row["accuracy"].items()]
    axis.plot(*zip(*sorted(points), strict=True), color=COMPILED, marker="o", ms=4)
