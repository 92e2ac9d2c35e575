"""The picture of a counter machine: its control, every step once, what is added and under which test."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

import scancraft
from scancraft import Counter, CounterMachine, Step


def edges(machine: CounterMachine) -> dict[tuple[str, str], str]:
    """What stands at each edge, in full, by the names of its ends."""
    svg = machine.svg()
    assert svg is not None
    found = {}
    for group in ElementTree.fromstring(svg).iter("g"):
        if "edge" in (group.get("class") or "").split():
            (title,) = group.iter("title")
            ends = (machine.states[int(group.get(f"data-{end}") or -1)] for end in ("from", "to"))
            found[next(ends), next(ends)] = title.text or ""
    return found


def test_every_step_is_there_with_what_it_does() -> None:
    assert edges(scancraft.named("a^n b^n")) == {  # type: ignore[arg-type]
        ("start", "a"): "a: +1",
        ("a", "a"): "a: +1",
        ("a", "b"): "b: −1 if > 0",
        ("b", "b"): "b: −1 if > 0",
    }


def test_counters_are_named_where_there_are_several_and_equal_steps_stand_together() -> None:
    step = Step("q", {"n": 2, "m": -1}, {"n": "zero"})
    machine = CounterMachine(
        alphabet=("a", "b", "c", "d"),
        counters=(Counter("n"), Counter("m", signed=True)),
        initial="p",
        transitions={"p": {"a": step, "b": step, "c": Step("q")}, "q": {"d": Step("p", {}, {"m": "negative"})}},
        accepting={"q": {}, "p": {}},
    )
    assert edges(machine) == {("p", "q"): "a,b: n +2, m −1 if n = 0; c", ("q", "p"): "d: if m < 0"}


@pytest.mark.parametrize("name", ["Dyck-1", "Shuffle-6", "Boolean-5", "a^n b^n c^n d^n"])
def test_all_of_the_suite_are_drawn(name: str) -> None:
    machine = scancraft.named(name)
    assert isinstance(machine, CounterMachine)
    wanted = {(state, step.to) for state, _, step in machine.steps()}
    assert set(edges(machine)) == wanted
    assert machine.svg() == machine.svg()
