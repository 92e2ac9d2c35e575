"""Pictures of a checkpoint: the weights of a block as an annotated heat map, and memories over time as a raster.

The DFA and its cascade are drawn by ``explain.cascade_picture``, accuracy against length by ``suite.plot``.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .picture_file import FAINT, PAPER, PictureError, blank_page, drawing, picture_path, write_picture, write_text
from .tables import MemoryTable, WeightGroup, WeightTable, memory_table, number_text, weight_table

if TYPE_CHECKING:
    from ..compiler.checkpoints import Checkpoint

__all__ = ["MOST_CELLS", "PictureError", "draw_memories", "draw_weights"]

MOST_CELLS = 20_000
"""Pictures with more cells are refused: nobody could read them."""

POSITIVE, NEGATIVE = ("#e8f1fa", "#7fb3e0"), ("#fdeedd", "#f0a860")
"""From small to large absolute values; ink is legible on all of them, and blue and orange differ to all eyes."""

VALUES = ("#eef1f4", "#a9cfee", "#f6c98b", "#a8dcb4", "#efb0b0", "#cfbbe8", "#dcc7a8", "#aadeda")
"""One colour per value of a memory, in turn."""

CELL_WIDTH, CELL_HEIGHT, GAP, MARGIN = 0.46, 0.24, 0.28, 0.25
LETTER = 0.066
"""Inches that a character of size 7 takes on average."""

LONGEST_NAME = 70
"""Longer names of rows are broken into two lines; what does not fit there ends in an ellipsis."""


def draw_weights(checkpoint: Checkpoint, block: int, path: str | PathLike[str]) -> Path:
    """Draw the weights of a block as a heat map, a row per channel and a column per input, and return the path.

    Every row and column is named by what it means, every weight that is not zero is written into its cell; blue is
    positive and orange negative, darker is larger. Channels without a meaning and columns of zeros are left out.

    Args:
        checkpoint: a checkpoint that scancraft wrote.
        block: the number of the block.
        path: a file name ending in .png, .svg or .pdf.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PictureError: no such block, more than :data:`MOST_CELLS` cells, another suffix, or the file cannot be written.
        CheckpointError: the checkpoint is damaged.

    Cost: O(weights of the block).
    """
    target = picture_path(path)
    table = weight_table(checkpoint, block)
    _check_size(len(table.rows) * table.n_columns)
    with drawing():
        write_picture(_weights_figure(table), target)
    return target


def draw_memories(checkpoint: Checkpoint, word: Sequence[str], path: str | PathLike[str]) -> Path:
    """Draw what every memory holds after every symbol of a word, and what may come next; return the path.

    Args:
        checkpoint: a checkpoint that scancraft wrote.
        word: the word, a sequence of symbols.
        path: a file name ending in .png, .svg or .pdf.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PictureError: more than :data:`MOST_CELLS` cells, another suffix, or the file cannot be written.
        ReadoutError: a symbol has no token.
        CheckpointError: the checkpoint is damaged.

    Cost: O(|word| * parameters).
    """
    target = picture_path(path)
    _check_size((len(word) + 1) * (len(checkpoint.language.alphabet) + 1))
    table = memory_table(checkpoint, word)
    _check_size(len(table.symbols) * (len(table.memories) + len(table.tokens)))
    with drawing():
        write_picture(_memories_figure(table), target)
    return target


def _check_size(cells: int) -> None:
    if cells > MOST_CELLS:
        raise PictureError(
            f"{cells:,} cells are too many for a picture (at most {MOST_CELLS:,}); "
            "give a smaller block or a shorter word, or use `scancraft explain --html`"
        )


def _cells(page: Any, boxes: Sequence[tuple[float, float, float, float]], colours: Sequence[Any]) -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    patches = [Rectangle((x, y), w, h) for x, y, w, h in boxes]
    page.add_collection(PatchCollection(patches, facecolors=list(colours), edgecolors=FAINT, linewidths=0.3))


def _name(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 2]} …"


def _lines(text: str) -> str:
    if len(text) <= LONGEST_NAME:
        return text
    width = LONGEST_NAME if len(text) > 1.8 * LONGEST_NAME else -(-len(text) // 2) + 8
    return "\n".join(textwrap.wrap(text, width, max_lines=2, placeholder=" …", break_on_hyphens=False))


# -- weights ---------------------------------------------------------------------------------------------------------


def _weights_figure(table: WeightTable) -> Any:
    rows = [_lines(name) for name in table.rows]
    columns = [[_name(name) for name in group.columns] for group in table.groups]
    left = MARGIN + LETTER * max(len(line) for name in rows for line in name.split("\n")) + 0.1
    top = MARGIN + 0.75 + LETTER * max((len(name) for names in columns for name in names), default=0)
    # A group is at least as wide as its title.
    widths = [
        max(CELL_WIDTH * len(names), 0.075 * len(g.title)) for names, g in zip(columns, table.groups, strict=True)
    ]
    width = max(left + sum(widths) + GAP * max(len(widths) - 1, 0) + MARGIN, 5.0)
    figure, page = blank_page(width, top + CELL_HEIGHT * len(rows) + 0.45)
    page.invert_yaxis()
    write_text(page, MARGIN, MARGIN + 0.05, table.title, 10, fontweight="bold")
    note = "rows: channels; columns: what each parameter refers to; blue: positive, orange: negative, darker: larger"
    write_text(page, MARGIN, top + CELL_HEIGHT * len(rows) + 0.22, note, 6.5, color=FAINT)
    for i, name in enumerate(rows):
        write_text(page, left - 0.08, top + CELL_HEIGHT * (i + 0.5), name, 5.6 if "\n" in name else 7, ha="right")
    scale = _scale(table.groups)
    x = left
    for group, names, wide in zip(table.groups, columns, widths, strict=True):
        write_text(page, x, MARGIN + 0.42, group.title, 7.5, fontweight="bold")
        for j, name in enumerate(names):
            write_text(page, x + CELL_WIDTH * (j + 0.5), top - 0.06, name, rotation=90, ha="center", va="bottom")
        boxes, colours = [], []
        for (i, j), value in np.ndenumerate(group.values):
            if np.isnan(value):
                continue
            at = (x + CELL_WIDTH * j, top + CELL_HEIGHT * i)
            boxes.append((*at, CELL_WIDTH, CELL_HEIGHT))
            colours.append(_colour(float(value), scale))
            if value:
                size = 6.5 if len(number_text(float(value))) < 7 else 5.2
                middle = (at[0] + CELL_WIDTH / 2, at[1] + CELL_HEIGHT / 2)
                write_text(page, *middle, number_text(float(value)), size, ha="center")
        _cells(page, boxes, colours)
        x += wide + GAP
    return figure


def _scale(groups: Sequence[WeightGroup]) -> tuple[float, float]:
    """The least and the greatest binary logarithm of an absolute value."""
    sizes = np.abs(np.concatenate([np.nan_to_num(group.values).ravel() for group in groups])) if groups else np.ones(1)
    logs = np.log2(sizes[sizes > 0].astype(np.float64))
    return (float(logs.min()), float(logs.max())) if logs.size else (0.0, 0.0)


def _colour(value: float, scale: tuple[float, float]) -> Any:
    from matplotlib.colors import to_rgb

    if value == 0:
        return to_rgb(PAPER)
    low, high = scale
    share = (np.log2(abs(value)) - low) / (high - low) if high > low else 1.0
    light, dark = (np.array(to_rgb(c)) for c in (POSITIVE if value > 0 else NEGATIVE))
    return tuple(light + share * (dark - light))


# -- memories --------------------------------------------------------------------------------------------------------


def _memories_figure(table: MemoryTable) -> Any:
    memories, tokens = [_name(name) for name in table.memories], [_name(token) for token in table.tokens]
    written = len(table.symbols) <= 80
    longest = max((len(v) for values in table.held for v in values), default=1)
    side = max(0.24, 0.07 * max(longest, *(len(s) for s in table.symbols))) if written else 0.08
    height = 0.24 if written else 0.16
    left = MARGIN + LETTER * max(len(name) for name in (*memories, *tokens, "may come next")) + 0.1
    top = MARGIN + 0.75
    second = top + height * len(memories) + 0.35
    bottom = second + height * len(tokens)
    figure, page = blank_page(max(left + side * len(table.symbols) + MARGIN, 4.0), bottom + 0.3)
    page.invert_yaxis()
    write_text(page, MARGIN, MARGIN, "memories over time", 10, fontweight="bold")
    write_text(
        page,
        MARGIN,
        MARGIN + 0.22,
        "what each holds after the symbol above; below, the tokens allowed next",
        6.5,
        color=FAINT,
    )
    if written:
        for t, symbol in enumerate(table.symbols):
            write_text(page, left + side * (t + 0.5), top - 0.12, "▸" if t == 0 else symbol, 8, ha="center")
    else:
        for t in range(0, len(table.symbols), 50):
            write_text(page, left + side * (t + 0.5), top - 0.12, str(t), ha="center")
    boxes, colours = [], []
    for i, (name, values) in enumerate(zip(memories, table.held, strict=True)):
        y = top + height * i
        write_text(page, left - 0.08, y + height / 2, name, ha="right")
        for t, value in enumerate(values):
            boxes.append((left + side * t, y, side, height))
            colours.append(_value_colour(value))
            if written:
                write_text(page, left + side * (t + 0.5), y + height / 2, value, ha="center")
    write_text(page, left - 0.08, second - 0.12, "may come next", 7, ha="right", fontweight="bold")
    for i, (token, marks) in enumerate(zip(tokens, table.allowed, strict=True)):
        y = second + height * i
        write_text(page, left - 0.08, y + height / 2, token, ha="right")
        for t, may in enumerate(marks):
            boxes.append((left + side * t, y, side, height))
            colours.append(POSITIVE[1] if may else PAPER)
            if may and written:
                write_text(page, left + side * (t + 0.5), y + height / 2, "✓", ha="center")
    _cells(page, boxes, colours)
    return figure


def _value_colour(value: str) -> str:
    """Small numbers have colours of their own, others share them; what cannot be told is left white."""
    try:
        number = int(value.replace("−", "-"))
    except ValueError:
        return PAPER
    return VALUES[0] if number == 0 else VALUES[1 + (abs(number) - 1) % (len(VALUES) - 1)]
