"""Linear forms over features, with integer weights."""

from __future__ import annotations

from collections.abc import Mapping

Form = Mapping[str, int]
"""A linear form over features; the key ``ONE`` is the constant term."""

ONE = "1"
ALWAYS: Form = {ONE: 1}


def value_of(form: Form, features: Mapping[str, int]) -> int:
    """A form's value."""
    return sum(w * (1 if f == ONE else features[f]) for f, w in form.items())


def show(form: Form) -> str:
    """A form for people.

    >>> show({"depth": 2, "1": -1})
    '2 [depth] - 1'
    """
    terms = []
    for name, weight in form.items():
        sign, size = "-" if weight < 0 else "+", abs(weight)
        terms.append(f"{sign} {size}" if name == ONE else f"{sign} {f'{size} ' if size > 1 else ''}[{name}]")
    return " ".join(terms).removeprefix("+ ") or "0"


def plus(*forms: Form) -> dict[str, int]:
    """The sum of forms, zeros left out."""
    total: dict[str, int] = {}
    for form in forms:
        for name, weight in form.items():
            total[name] = total.get(name, 0) + weight
    return {name: weight for name, weight in total.items() if weight}


def times(factor: int, form: Form) -> dict[str, int]:
    """A form, multiplied."""
    return {name: factor * weight for name, weight in form.items()}
