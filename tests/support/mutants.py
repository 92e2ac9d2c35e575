"""Faults planted in the plain implementations (``plain``), each one edit of their source, and where reports must point.

The faults stand in ``faults/*.txt``, one paragraph each, under a line that says which implementations they are planted
in and of which kinds of block:

    [chunked: mamba, mamba2]

    # handed on without decay @continued (after state-spaces/mamba #716)
    ? hold and overwrite
    -old text
    +new text

``#`` names the fault, the mode in which it must be found (default: full) and what fault of a released project it is
modelled on; ``?`` is a pattern that the case, the parameters tested or the meaning in the report must match,
``?mamba2`` one for that kind alone. The old text (all lines with ``-``) stands exactly once in the source.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from scancraft.conformance.operations import OPERATIONS

HERE = Path(__file__).parent
DRIVERS = {"sequential": "batch", "chunked": "batch", "packed": "packed", "cached": "cached", "engine": "engine"}
"""The plain implementations, and the files with what each does not share with the others."""
ALONE = "operations"
"""The file with plain operations."""
BASES = (
    *((driver, kind) for kind in ("mamba", "mamba2") for driver in DRIVERS),
    ("sequential", "signed_mamba"),
    ("sequential", "falcon_mamba"),
    *((ALONE, operation) for operation in OPERATIONS),
    *((driver, "olmo_hybrid") for driver in DRIVERS),
    ("sequential", "qwen3_next"),
    ("chunked", "qwen3_next"),
    ("sequential", "qwen3_5"),
)
"""Implementations, and the kinds of block that they run."""
DELTA = ("olmo_hybrid", "qwen3_next", "qwen3_5")
"""Kinds whose blocks and scans are those of ``plain/delta.py``."""
NAMED = re.compile(r"# (?P<name>.+?)(?: @(?P<mode>[\w-]+))?(?: \(after (?P<after>.+)\))?$", re.MULTILINE)


@dataclass(frozen=True)
class Mutant:
    """A fault.

    Attributes:
        name: what is wrong.
        base: the implementation that it is planted in.
        kind: the kind of block.
        old, new: the edit of its source.
        mode: the mode in which it must be found.
        where: a pattern that the case, the parameters tested or the meaning must match.
        after: the fault of a released project that it is modelled on.
    """

    name: str
    base: str
    kind: str
    old: str
    new: str
    mode: str
    where: str
    after: str = ""

    def load(self, directory: Path) -> Any:
        """The implementation with the fault, of a checkpoint."""
        return self.target(directory)

    @property
    def target(self) -> Callable[..., Any]:
        """What ``conformance.run`` takes: ``load``, or the operation itself."""
        return build(self.base, self.kind, self.old, self.new)


def build(base: str, kind: str = "mamba", old: str = "", new: str = "") -> Callable[..., Any]:
    """``load`` of an implementation, or an operation, with an edit of its source."""
    module = types.ModuleType(f"plain_{base}")
    exec(compile(edited(base, kind, old, new), f"plain_{base}.py", "exec"), module.__dict__)
    if base == ALONE:
        operation: Callable[..., Any] = module.__dict__[kind]
        return operation
    way = f"{base} mamba2" if kind == "mamba2" and base in ("chunked", "packed") else base
    return partial(module.__dict__["Model"], way=way)


def edited(base: str, kind: str, old: str = "", new: str = "") -> str:
    """Blocks, scans and the driver as one module, with an edit."""
    names = (ALONE,) if base == ALONE else ("blocks", "delta" if kind in DELTA else "scans", DRIVERS[base])
    texts = [(HERE / "plain" / f"{name}.py").read_text(encoding="utf-8") for name in names]
    source = re.sub(r"^from (__future__|plain\.\w+) import .*$", "", "".join(texts), flags=re.MULTILINE)
    if old:
        assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in {base}"
        source = source.replace(old, new)
    return source


def _read(text: str) -> Iterator[Mutant]:
    base, kinds = "", [""]
    for paragraph in re.split(r"\n\n+", text.strip()):
        if heading := re.fullmatch(r"\[(\w+): (.+)\]", paragraph):
            base, kinds = heading[1], heading[2].split(", ")
            continue
        told = NAMED.match(paragraph)
        assert told is not None, paragraph
        old, new = (re.findall(rf"^\{sign}(.*)$", paragraph, re.MULTILINE) for sign in "-+")
        where = dict(re.findall(r"^\?(\w*) (.+)$", paragraph, re.MULTILINE))
        for kind in kinds:
            pattern = where.get(kind, where.get(""))
            assert pattern, paragraph
            mode, after = told["mode"] or "full", told["after"] or ""
            yield Mutant(told["name"], base, kind, "\n".join(old), "\n".join(new), mode, pattern, after)


MUTANTS = tuple(
    mutant for path in sorted((HERE / "faults").glob("*.txt")) for mutant in _read(path.read_text(encoding="utf-8"))
)
