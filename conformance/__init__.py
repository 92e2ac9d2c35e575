"""Conformance of an implementation: compiled checkpoints whose outputs are known exactly, tried in every way.

>>> from scancraft import conformance
>>> report = conformance.run(load)          # doctest: +SKIP
>>> assert report.passed, report            # doctest: +SKIP

``load`` takes a checkpoint directory and gives a callable from token ids (batch, time) to logits (batch, time,
vocabulary); further methods of what it gives open further modes (``Model``). Expected logits come from the language's
acceptor or from a program run in integers, never from another implementation, and are compared bit for bit (-0.0 counts
as 0).
"""

from .case import Case, ConformanceError
from .cases import cases
from .driver import ModeResult, Report, run
from .implementations import KNOWN
from .implementations.base import Implementation
from .locate import Difference
from .sessions import Model, Session
from .trials import MODES, Trial

__all__ = [
    "KNOWN",
    "MODES",
    "Case",
    "ConformanceError",
    "Difference",
    "Implementation",
    "ModeResult",
    "Model",
    "Report",
    "Session",
    "Trial",
    "cases",
    "run",
]
