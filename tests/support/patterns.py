"""The patterns of Dwyer, Avrunin and Corbett (ICSE 1999) in LTL: for each kind of pattern its formula in each scope."""

from __future__ import annotations

SCOPES = ("globally", "before r", "after q", "between q and r", "after q until r")
PATTERNS = {
    "absence of p": (
        "G !p",
        "F r -> (!p U r)",
        "G(q -> G !p)",
        "G((q & !r & F r) -> (!p U r))",
        "G(q & !r -> (!p W r))",
    ),
    "existence of p": (
        "F p",
        "!r W (p & !r)",
        "G !q | F(q & F p)",
        "G(q & !r -> (!r W (p & !r)))",
        "G(q & !r -> (!r U (p & !r)))",
    ),
    "universality of p": (
        "G p",
        "F r -> (p U r)",
        "G(q -> G p)",
        "G((q & !r & F r) -> (p U r))",
        "G(q & !r -> (p W r))",
    ),
    "s precedes p": (
        "!p W s",
        "F r -> (!p U (s | r))",
        "G !q | F(q & (!p W s))",
        "G((q & !r & F r) -> (!p U (s | r)))",
        "G(q & !r -> (!p W (s | r)))",
    ),
    "s responds to p": (
        "G(p -> F s)",
        "F r -> (p -> (!r U (s & !r))) U r",
        "G(q -> G(p -> F s))",
        "G((q & !r & F r) -> (p -> (!r U (s & !r))) U r)",
        "G(q & !r -> ((p -> (!r U (s & !r))) W r))",
    ),
}
CASES = [(kind, scope, text) for kind, texts in PATTERNS.items() for scope, text in zip(SCOPES, texts, strict=True)]
