"""Between what numbers the scores of a model lie, as a picture: a bar for each state of the language and token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from ..automata.alphabet import format_word
from ..certify.search.results import ScoreRange
from .picture_file import FAINT, INK, PAPER, PictureError, drawing, picture_path, write_picture

MOST_BARS = 400
"""More would not be read by anybody."""
DECIDED, OPEN = "#7fb3e0", "#f0a860"
ROW, LABELS, PLOT, WORDS, MARGIN = 0.24, 1.9, 4.6, 2.2, 0.6
"""Inches."""
LONGEST_WORD = 24


def draw_scores(ranges: Sequence[ScoreRange], path: str | PathLike[str]) -> Path:
    """Draw ranges of scores, and return the path.

    A bar that is blue has the sign that the language demands, an orange one may have the other. The axis is linear near
    0 and logarithmic beyond; bars whose ends are infinite go on past its edges. At the right is a word after which the
    score may be nearest to the wrong side.

    Args:
        ranges: at least one, from ``certify.scores.score_ranges``.
        path: a file name ending in .png, .svg or .pdf.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PictureError: too many bars, another suffix, or the file cannot be written.
    """
    target = picture_path(path)
    if len(ranges) > MOST_BARS:
        raise PictureError(f"{len(ranges):,} scores are too many for a picture (at most {MOST_BARS:,}); use --json")
    with drawing():
        write_picture(_figure(ranges), target)
    return target


def _figure(ranges: Sequence[ScoreRange]) -> Any:
    from matplotlib.figure import Figure

    height, width = ROW * len(ranges), LABELS + PLOT + WORDS
    figure = Figure(figsize=(width, height + 2 * MARGIN), facecolor=PAPER)
    share = height / (height + 2 * MARGIN)
    page: Any = figure.add_axes((LABELS / width, (1 - share) / 2, PLOT / width, share))
    sizes = [abs(end) for r in ranges for end in (r.low, r.high) if math.isfinite(end) and end]
    near = min((abs(r.lead) for r in ranges if math.isfinite(r.lead) and r.lead), default=1.0)
    edge = 2 * max(sizes, default=1.0)
    page.set_xscale("symlog", linthresh=max(near, edge * 1e-6))
    page.set_xlim(-edge, edge)
    page.set_ylim(len(ranges) - 0.5, -0.5)
    page.axvline(0.0, color=INK, linewidth=0.8)
    for row, known in enumerate(ranges):
        low, high = max(known.low, -edge), min(known.high, edge)
        page.barh(row, high - low, left=low, height=0.7, color=DECIDED if known.lead > 0 else OPEN)
        page.plot([low, high], [row, row], "|", color=INK, markersize=6)
        if row and ranges[row - 1].state != known.state:
            page.axhline(row - 0.5, color=FAINT, linewidth=0.5)
    style = {"fontsize": 7, "va": "center", "parse_math": False, "transform": page.get_yaxis_transform()}
    for row, known in enumerate(ranges):
        name = f"state {known.state}: {known.token} {'may' if known.allowed else 'may not'} come"
        page.text(-0.02, row, name, ha="right", color=INK, **style)
        page.text(1.02, row, f"after {_short(known.word)}", ha="left", color=FAINT, **style)
    page.set_yticks([])
    page.tick_params(labelsize=6.5, colors=FAINT)
    for side in ("left", "right", "top"):
        page.spines[side].set_visible(False)
    page.set_title("scores after all words, by state of the language", fontsize=10, fontweight="bold", color=INK)
    return figure


def _short(word: tuple[str, ...]) -> str:
    text = format_word(word, word) or "<bos>"
    return text if len(text) <= LONGEST_WORD else f"…{text[-LONGEST_WORD:]}"
