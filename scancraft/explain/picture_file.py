"""Pictures as files: which kinds there are, and how one is written."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from colorsys import hls_to_rgb, rgb_to_hls
from contextlib import contextmanager
from io import StringIO
from os import PathLike
from pathlib import Path
from typing import Any

from ..automata.errors import MissingExtraError, ScancraftError
from ..models.checkpoints.files import replace_file

SUFFIXES = (".png", ".svg", ".pdf")

LARGEST_SIDE = 6000
"""Pixels of a PNG; 150 to the inch as long as that fits."""

PAPER = "white"
"""Pictures bring their own paper. That of an SVG is dark where the page is (:func:`with_dark`)."""

DARKEST, LIGHTEST = 0.075, 0.925
"""Lightness that white and black get on a dark page."""

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


def with_dark(svg: str) -> str:
    """An SVG that matplotlib wrote, with a style for dark pages: colours keep their hue, light and dark change places.

    A page's own choice counts, where it says ``color-scheme``; else the reader's. An SVG that has such a style already
    is returned as it is.
    """
    if "prefers-color-scheme" in svg:
        return svg
    rules = [f".themed{{fill:{_turned('#000000')}}}"]  # matplotlib leaves black out
    for kind, colour in sorted(set(re.findall(r"(fill|stroke): (#[0-9a-f]{6})", svg))):
        rules.append(f'.themed [style*="{kind}: {colour}"]{{{kind}:{_turned(colour)}!important}}')
    style = "<style>@media(prefers-color-scheme:dark){" + "".join(rules) + "}</style>"
    return re.sub(r"<svg\b([^>]*)>", lambda m: f'<svg class="themed"{m[1]}>{style}', svg, count=1)


def _turned(colour: str) -> str:
    """The colour on a dark page."""
    hue, light, full = rgb_to_hls(*(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)))
    turned = hls_to_rgb(hue, LIGHTEST - (LIGHTEST - DARKEST) * light, full)
    return "#" + "".join(f"{round(255 * part):02x}" for part in turned)


def write_picture(figure: Any, target: Path) -> None:
    """Save a figure under a temporary name beside the target, then rename. Equal figures give equal files.

    Raises:
        PictureError: the file cannot be written.
    """
    kind = target.suffix.lower()[1:]
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": None}
    dpi = min(150.0, LARGEST_SIDE / max(figure.get_size_inches()))
    settings: dict[str, Any] = {"format": kind, "dpi": dpi, "metadata": undated[kind], "facecolor": PAPER}
    try:
        with replace_file(target) as fresh:
            if kind == "svg":
                text = StringIO()
                figure.savefig(text, **settings)
                Path(fresh).write_text(with_dark(text.getvalue()), encoding="utf-8")
            else:
                figure.savefig(fresh, **settings)
    except OSError as error:
        raise PictureError(f"{target} cannot be written ({error.strerror}); check the place") from None
