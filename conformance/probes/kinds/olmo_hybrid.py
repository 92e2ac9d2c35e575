"""Probes as weights of OLMo Hybrid, whose beta goes to 2: what all Gated DeltaNets are tried on, and reflections."""

from __future__ import annotations

from functools import partial

from ...case import Case
from .. import delta_library as library
from . import delta_net
from .delta_cases import common, permuted, random_posed
from .delta_levels import levels
from .kind import Kind

LIMIT = 2
lower = partial(delta_net.lower, limit=LIMIT)


def cases(quick: bool) -> tuple[Case, ...]:
    """All that OLMo Hybrid is tried on."""
    posed = [
        *common(quick),
        random_posed("reflections", "beta = 2: memories turned over", library.reflections(), 4, 40),
    ]
    posed += permuted(quick)
    return (*(one.case(lower) for one in posed), *levels(LIMIT, lambda lowered: lowered))


KIND = Kind(lower, own=cases, shared=False)
