"""Whether a plan can be run at all: every name known, nothing looked at that a block cannot see.

A plan may come from a file that somebody else wrote, so nothing is taken for granted but its types.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...automata.alphabet import BOS, EOS, class_token
from ...automata.errors import ScancraftError
from .plan import Event, Letter, Memory, Plan, show_event

FARTHEST = 3
"""How many letters back a plan may look: convolutions have four taps at most."""


class PlanError(ScancraftError):
    """A plan that cannot be run, or that is not one of this language; the message says where it is wrong."""


def check_plan(plan: Plan) -> None:
    """Check the form of a plan. O(size of the plan).

    Raises:
        PlanError: a name that is used twice or unknown, a label that is never written or has no meaning, a memory that
            looks at one of its own block or a later one, an event with two literals about the same, or one that looks
            back past ``<bos>``.
    """
    known: dict[str, Memory] = {}
    for block in plan.blocks:
        for memory in block.memories:
            need(memory.name not in known, f"two memories are called {memory.name}")
            need(memory.name, "a memory has no name")
            need(memory.writes, f"{memory.name} is never written")
            need(set(memory.writes) == set(memory.meaning), f"{memory.name} has meanings for other labels than its own")
            for events in memory.writes.values():
                for event in events:
                    _check_event(event, plan, known, f"{memory.name} looks at")
        known |= {memory.name: memory for memory in block.memories}
    following, classes = (
        {EOS} if plan.contract == "recognise" else {*plan.alphabet, EOS},
        set(map(class_token, plan.classes)),
    )
    known_tokens = (following | classes, classes) if classes else (following,)
    need(set(plan.verdicts) in known_tokens, f"the verdicts are not those of the alphabet and {EOS}")
    for token, form in plan.verdicts.items():
        for event in form:
            _check_event(event, plan, known, f"the verdict of {token} looks at")


def _check_event(event: Event, plan: Plan, known: Mapping[str, Memory], where: str) -> None:
    try:
        _check_literals(event, plan, known)
    except PlanError as error:
        raise PlanError(f"{where} [{show_event(event)}]{error}") from None


def _check_literals(event: Event, plan: Plan, known: Mapping[str, Memory]) -> None:
    letters = {literal.back: literal.symbols for literal in event if isinstance(literal, Letter)}
    about = [(getattr(literal, "memory", ""), literal.back) for literal in event]
    need(len(set(about)) == len(about), ": two literals are about the same")
    for literal in event:
        if isinstance(literal, Letter):
            need(0 <= literal.back <= FARTHEST, f": a letter {literal.back} steps ago")
            need(literal.symbols <= {*plan.alphabet, BOS}, ": an unknown symbol")
            continue
        need(literal.memory in known, f": no earlier block has a memory {literal.memory}")
        need(literal.labels <= known[literal.memory].writes.keys(), ": a label that is never written")
        need(literal.back in (0, 1), f": what was held {literal.back} steps ago")
    farthest = max((literal.back for literal in event), default=0)
    for back in range(farthest):
        need(BOS not in letters.get(back, {BOS}), f", and may see what came before {BOS}")


def need(holds: object, reason: str) -> None:
    """Raise :class:`PlanError` unless it holds."""
    if not holds:
        raise PlanError(reason)
