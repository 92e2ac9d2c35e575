"""The conformance set: checkpoints with exact expected outputs, and the words on which they are tried.

There are two kinds. Probes (``probes.library``) exercise every part of a block and name a channel for every wrong
logit; they are the same for all kinds of block that have them (``probes.sets``), which add some of their own. Compiled
languages (``languages``) exist for every target of the compiler.
"""

from __future__ import annotations

from functools import cache

from .case import Case, ConformanceError
from .languages import language_cases
from .operations import OPERATIONS
from .probes.kinds import KINDS
from .probes.sets import longer_probes, simple_probes


def cases(kind: str = "mamba", *, quick: bool = False) -> tuple[Case, ...]:
    """The set for one kind of block or operation, from the simple to the composed.

    Args:
        kind: a target of ``scancraft.compile``; those that nobody wrote probes for have compiled languages only. Or an
            operation (``operations.OPERATIONS``).
        quick: a subset that takes seconds.

    Raises:
        ConformanceError: this scancraft has no such target.
    """
    if kind in OPERATIONS:
        return OPERATIONS[kind].cases(quick)
    found = language_cases(kind, quick)
    if not found:
        raise ConformanceError(f"this scancraft cannot compile to {kind!r}; use a target that it has")
    return (*probe_cases(kind, quick), *found)


@cache
def probe_cases(kind: str, quick: bool) -> tuple[Case, ...]:
    """The probes of a kind of block; none if it has no file in ``probes.kinds``."""
    if kind not in KINDS:
        return ()
    of = KINDS[kind]
    if not of.shared:
        return of.own(quick)
    simple = tuple(p.case(of.lower) for p in simple_probes())
    return (*simple, *of.own(quick), *(p.case(of.lower) for p in longer_probes(of, quick)))
