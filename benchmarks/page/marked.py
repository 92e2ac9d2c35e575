"""A table of a page of the docs that a command computes; it stands between two markers."""

from __future__ import annotations

from pathlib import Path

from scancraft.models.checkpoints.files import replace_file


def between(page: Path, begin: str, end: str) -> str:
    """What stands between the markers.

    Raises:
        SystemExit: the page lacks one of them.
    """
    return _split(page, begin, end)[1].strip("\n")


def rewrite(page: Path, begin: str, end: str, text: str) -> None:
    """Put a text between the markers; the errors are those of :func:`between`."""
    before, _, after = _split(page, begin, end)
    with replace_file(page) as fresh:
        fresh.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def _split(page: Path, begin: str, end: str) -> tuple[str, str, str]:
    before, begun, rest = page.read_text(encoding="utf-8").partition(begin)
    middle, ended, after = rest.partition(end)
    if not begun or not ended:
        raise SystemExit(f"{page} has no {begin} ... {end}; put the two lines where the table belongs")
    return before, middle, after
