"""The suite: every language that Sarrof, Veitsman and Hahn (2024) measure, with what is published about each.

27 languages of Bhattamishra, Ahuja and Goyal (2020), the flip-flop language of Liu et al. (2023), bounded Dyck
languages of Hewitt et al. (2020). Figures are the paper's, of trained Mamba models: whole strings right in %, the best
of one to three layers unless a note says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..automata.families import SUITE, NamedLanguage
from ..automata.named import Named, known_name, language_of_suite

Kind = Literal["star-free", "not star-free", "counter"]


@dataclass(frozen=True)
class Bin:
    """A range of lengths.

    Args:
        shortest: the least length.
        longest: the greatest length.
        published: what trained models reach there, as (least, greatest) over what is reported; None if unknown.
        ignore: for the flip-flop language, the share of ignore instructions; words then have the longest length.
    """

    shortest: int
    longest: int
    published: tuple[float, float] | None = None
    ignore: float | None = None

    @property
    def label(self) -> str:
        """For tables, and the key in JSON."""
        if self.ignore is not None:
            return f"{self.longest}, ignore {self.ignore:g}"
        return f"{self.shortest}-{self.longest}"

    def as_json(self) -> dict[str, object]:
        """For machines."""
        facts: dict[str, object] = {"label": self.label, "shortest": self.shortest, "longest": self.longest}
        return facts if self.ignore is None else facts | {"ignore": self.ignore}


@dataclass(frozen=True)
class SuiteLanguage:
    """A language of the suite.

    Attributes:
        name: as in the literature.
        kind: what it is, hence which theorem applies.
        theorem: of the paper: what makes it possible, or excludes it.
        bins: the lengths published with the suite, the training bin first.
        note: what else there is to say about the published figures.
    """

    name: str
    kind: Kind
    theorem: str
    bins: tuple[Bin, ...]
    note: str = ""

    @property
    def language(self) -> Named:
        """The language."""
        return language_of_suite(self.name)


PERFECT = (100.0, 100.0)
AT_MOST = "at most"
"""The note of languages of which the greatest published figures of several are known."""
POSITIVE, NEGATIVE, COUNTING, FLIP_FLOP, DYCK = (f"Theorem {n}" for n in (4, 4, 5, 1, 6))
DYCK_NOTE = (
    "published for depth 10: probability mass on the right closing bracket, 0.976 to 0.993 with two layers, "
    "0.71 to 0.78 with one"
)


def _bins(*bounds: int, published: tuple[tuple[float, float] | None, ...] = ()) -> tuple[Bin, ...]:
    figures = (*published, *[None] * (len(bounds) // 2 - len(published)))
    return tuple(Bin(bounds[2 * i], bounds[2 * i + 1], figures[i]) for i in range(len(bounds) // 2))


_TOMITA, _D_N, _MOD, _OTHER = (1, 100, 101, 150), (2, 100, 101, 200), (2, 500, 501, 600), (1, 100, 101, 200)
_SHORT, _SHUFFLE = (2, 50, 51, 100, 101, 150), (2, 100, 102, 150, 150, 200)
_NOT_LEARNT: dict[str, tuple[float, float]] = {
    "Parity": (91.15, 16.7),
    "Tomita-3": (60.85, 29.37),
    "Tomita-5": (38.4, 0.0),
    "Tomita-6": (54.56, 0.04),
}


def _regular(entry: NamedLanguage) -> SuiteLanguage:
    name = entry.name
    if name == "Flip-flop":
        bins = tuple(Bin(512, 512, PERFECT if ignore != 0.8 else None, ignore) for ignore in (0.8, 0.98, 0.1))
        return SuiteLanguage(name, "star-free", FLIP_FLOP, bins)
    bounds: tuple[int, ...] = _TOMITA if name.startswith("Tomita") else _D_N if name.startswith("D-") else _OTHER
    if name.endswith(")*"):
        bounds = _MOD
    elif name == "Parity":
        bounds = _SHORT
    if entry.star_free:
        figures: tuple[tuple[float, float] | None, ...] = (PERFECT, PERFECT)
        if name == "D-12":
            figures = ((93.65, 99.99), (93.35, 99.85))
        return SuiteLanguage(name, "star-free", POSITIVE, _bins(*bounds, published=figures))
    first, later = _NOT_LEARNT.get(name, (4.2, 0.0))
    figures = ((first, first), (later, later))
    note = "" if name in _NOT_LEARNT else AT_MOST
    theorem = "Theorem 2" if name == "Parity" else NEGATIVE
    return SuiteLanguage(name, "not star-free", theorem, _bins(*bounds, published=figures), note)


def _counter(name: str, bounds: tuple[int, ...], later: tuple[float, float]) -> SuiteLanguage:
    figures = ((99.25, 100.0), later, (0.0, 15.0))
    return SuiteLanguage(name, "counter", COUNTING, _bins(*bounds, published=figures[: len(bounds) // 2]))


def _blocks(alphabet: str, first: int) -> SuiteLanguage:
    """a^n b^n and its kin, whose published bins are by n."""
    name = "".join(f"{s}^n " for s in alphabet).strip()
    k = len(alphabet)
    bounds = (k, k * first, k * (first + 1), k * 599)
    return _counter(name, bounds, (0.0, 21.0))


LANGUAGES: tuple[SuiteLanguage, ...] = (
    *(_regular(entry) for entry in SUITE if entry.name != "Flip-flop"),
    _counter("Dyck-1", _SHORT, (49.0, 63.0)),
    *(_counter(f"Shuffle-{k}", _SHORT if k == 2 else _SHUFFLE, (39.0, 66.0)) for k in (2, 4, 6)),
    *(_counter(f"Boolean-{n}", _SHORT, (30.0, 80.0)) for n in (3, 5)),
    *(_blocks(alphabet, first) for alphabet, first in (("ab", 100), ("abc", 150), ("abcd", 200))),
    *(_regular(entry) for entry in SUITE if entry.name == "Flip-flop"),
    *(SuiteLanguage(f"Dyck_{{8,{h}}}", "star-free", DYCK, _bins(2, 700, 701, 1400), DYCK_NOTE) for h in (5, 10)),
)
"""All of them, in the order of the tables."""


def suite_language(name: str) -> SuiteLanguage:
    """A language of the suite by its name (spaces and case do not matter).

    Raises:
        UnknownLanguageError: there is none of this name; the message lists the names.

    >>> suite_language("d-12").language.n_states
    14
    """
    wanted = known_name(name)
    return next(language for language in LANGUAGES if language.name == wanted)
