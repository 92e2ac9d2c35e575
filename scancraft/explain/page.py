"""``scancraft explain DIR --html FILE``: a checkpoint as one page that runs it, symbol by symbol.

The page holds the weights (float32), their labels, and the language; a script in it computes the blocks in
float32, and runs the language beside them. It needs no server and no network, and its security policy allows none:
only its own script and style may run, told by their hashes. What comes from the checkpoint is inserted as text, never
as markup.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from ..automata.counters.machine import CounterMachine
from ..automata.languages import Language
from ..models.checkpoints.files import replace_file
from .page_data import MOST_NONZERO, MOST_PARAMETERS, MOST_TRANSITIONS, PageError, automata_of, page_data

if TYPE_CHECKING:
    from ..compiler.checkpoints import Checkpoint

__all__ = ["MOST_NONZERO", "MOST_PARAMETERS", "MOST_TRANSITIONS", "PageError", "page_of", "write_page"]

CORE = ("page_truth.js", "page_core.js", "page_trace.js")
"""Scripts that need no document."""

SCRIPTS = (*CORE, "page_view.js", "page_blocks.js", "page_channel.js", "page.js")

MOST_PICTURES = 6
"""Automata of a combination that are drawn."""


def page_of(checkpoint: Checkpoint) -> str:
    """The page. Equal checkpoints give equal pages.

    Args:
        checkpoint: what ``scancraft.load`` gives.

    Raises:
        CheckpointError: the checkpoint is damaged.
        PageError: more than :data:`MOST_PARAMETERS` parameters, :data:`MOST_NONZERO` that are not zero, or
            :data:`MOST_TRANSITIONS` transitions; or a kind of model that the page does not run.

    Cost: O(parameters + transitions) to make; in the page O(nonzero parameters) per symbol.
    """
    data = page_data(checkpoint)
    style, script = resource("page.css"), "\n".join(map(resource, SCRIPTS))
    parts = {
        "title": html.escape(f"{data['name']} · scancraft"),
        "policy": (
            f"default-src 'none'; script-src '{_hashed(script)}'; style-src '{_hashed(style)}'; "
            "base-uri 'none'; form-action 'none'"
        ),
        "style": style,
        "pictures": pictures_of(checkpoint.language),
        "data": json_in_html(data),
        "script": script,
    }
    page = resource("page.html")
    # One pass, so that nothing that is inserted is looked at again.
    pieces = page.split("%%")
    return "".join(parts[piece] if number % 2 else piece for number, piece in enumerate(pieces))


def pictures_of(language: Language) -> str:
    """The automata of a language that are small enough to be drawn, each in a figure that tells its number."""
    drawn = (language,) if isinstance(language, CounterMachine) else automata_of(language)[:MOST_PICTURES]
    return "".join(
        f'<figure class="automaton scroll" tabindex="0" role="region" data-part="{number}" aria-label="automaton">'
        f"{svg}<figcaption></figcaption></figure>"
        for number, svg in enumerate(automaton.svg() for automaton in drawn)
        if svg is not None
    )


def write_page(checkpoint: Checkpoint, path: str | PathLike[str]) -> Path:
    """Write :func:`page_of` to a file and return its path; the file appears complete or not at all.

    Raises:
        PageError: as :func:`page_of`; or the file cannot be written.
        CheckpointError: as :func:`page_of`.
    """
    target, page = Path(path), page_of(checkpoint)
    try:
        with replace_file(target) as fresh:
            fresh.write_text(page, encoding="utf-8", errors="backslashreplace", newline="\n")
    except OSError as error:
        raise PageError(f"{target} cannot be written ({error.strerror}); check the place") from None
    return target


def resource(name: str) -> str:
    """One of the files that the page is made of."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def json_in_html(data: object) -> str:
    r"""JSON that no HTML parser finds a tag, a comment or an entity in.

    >>> json_in_html(["</script>", "&amp;"])
    '["\\u003c/script\\u003e","\\u0026amp;"]'
    """
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _hashed(text: str) -> str:
    """A source expression of a Content-Security-Policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
