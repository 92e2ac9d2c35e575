"""Figures that are not measured here: the targets, and what was measured or published elsewhere.

Everything else in docs/benchmarks.md comes out of a run.
"""

from __future__ import annotations

from dataclasses import dataclass

SOURCE = "measured earlier by the project, not re-run here"


@dataclass(frozen=True)
class Earlier:
    """A figure from before this implementation, and what it says."""

    subject: str
    system: str
    figure: str


EARLIER_SIZES: dict[str, int] = {"D-12": 175_000, "O_5": 65_000, "aa*bb*cc*dd*ee*": 25_500}
"""Parameters of the project's prototype (the "value + slots" column of the theory's table), by language."""

EARLIER_SECONDS: dict[str, float] = {"D-12": 0.07}
"""Seconds that the prototype took to compile."""

EARLIER_COMPILERS = (
    Earlier("Dyck-1, valid up to length 50", "Tracr (a transformer compiler)", "13.6 million parameters, 37 s"),
    Earlier("Dyck-1, valid up to length 100", "Tracr (a transformer compiler)", "not finished in 160 s"),
)

EARLIER_ALGEBRA = (
    Earlier("monoid of O_14, enumerated", "libsemigroups", "not finished in 60 s"),
    Earlier("cascade of D-16", "SgpDec", "not finished in 60 s"),
)

# -- the targets: "Numbers to reach" of the project's plan -----------------------------------------------------------

COMPILE_SECONDS = 1.0
COMPILE_STATES = 20
EXHAUSTIVE_LENGTH = 10
EXHAUSTIVE_WORDS = 100_000
SAMPLED_WORDS = 1_000
SAMPLED_LENGTH = 500
LONG_LENGTH = 100_000
DECIDE_SECONDS = 10.0
DECIDE_MEDIAN_MS = 20.0
CASCADE_SECONDS = 5.0
ACCEPTOR_RATIO = 50.0
CERTIFY_MEDIAN = 1.0
CERTIFY_MOST = 20.0
MUTATION_UNDECIDED = 0.05
