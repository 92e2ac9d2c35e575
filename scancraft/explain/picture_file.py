"""Pictures as files: which kinds there are, and how one is written."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from ..automata.errors import MissingExtraError, ScancraftError
from ..models.checkpoints.files import replace_file

SUFFIXES = (".png", ".svg", ".pdf")

LARGEST_SIDE = 6000
"""Pixels of a PNG; 150 to the inch as long as that fits."""

PAPER = "white"
"""Pictures bring their own paper, so that they can be read on a dark page too."""

INK, FAINT = "#1b1f24", "#68727d"
"""FAINT has a contrast of 4.9 to 1 on PAPER, so that it can be read in print."""


class PictureError(ScancraftError):
    """A picture cannot be drawn or written."""


def picture_path(path: str | PathLike[str]) -> Path:
    """The path, if its suffix is one of :data:`SUFFIXES`; else :class:`PictureError`."""
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise PictureError(f"{target}: a picture is written as {', '.join(SUFFIXES)}; choose one of these suffixes")
    return target


@contextmanager
def drawing() -> Iterator[None]:
    """The settings under which equal pictures give equal files.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise MissingExtraError("pictures need matplotlib; run: pip install 'scancraft[plot]'") from None
    # The salt makes the identifiers in an SVG the same every time.
    with (
        matplotlib.rc_context({"svg.hashsalt": "scancraft", "font.family": ["DejaVu Sans"]}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


def blank_page(width: float, height: float) -> tuple[Any, Any]:
    """A figure with one empty page whose coordinates are inches, and the page; y grows upwards."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor=PAPER)
    page = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    page.set_xlim(0, width)
    page.set_ylim(0, height)
    page.set_axis_off()
    return figure, page


def write_text(page: Any, x: float, y: float, text: str, size: float = 7.0, **style: Any) -> None:
    """Text as it is: symbols may hold ``$``, which is no mathematics here."""
    page.text(x, y, text, **{"fontsize": size, "color": INK, "va": "center", "parse_math": False, **style})


def write_picture(figure: Any, target: Path) -> None:
    """Save a figure under a temporary name beside the target, then rename.

    Raises:
        PictureError: the file cannot be written.
    """
    kind = target.suffix.lower()[1:]
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": None}
    try:
        dpi = min(150.0, LARGEST_SIDE / max(figure.get_size_inches()))
        with replace_file(target) as fresh:
            figure.savefig(fresh, format=kind, dpi=dpi, metadata=undated[kind], facecolor=PAPER)
    except OSError as error:
        raise PictureError(f"{target} cannot be written ({error.strerror}); check the place") from None
