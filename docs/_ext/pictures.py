"""Pictures that cells draw get the style for dark pages that those of scancraft have already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from scancraft.explain.picture_file import with_dark


def finish(app: Sphinx, problem: Exception | None) -> None:
    """Rewrite the SVGs of matplotlib that the build has copied."""
    if problem is None:
        for path in (Path(app.outdir) / "_images").glob("*.svg"):
            path.write_text(with_dark(path.read_text(encoding="utf-8")), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
