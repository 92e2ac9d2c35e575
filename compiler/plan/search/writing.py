"""Drafts as a plan: names, meanings, and events in terms of letters and memories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ....automata.alphabet import BOS, EOS, shown_states
from ..plan import Event, Holds, Letter, Memory, Plan, PlanBlock
from .knowledge import Draft, Drafts, Knowledge, Sides


def memory_name(number: int) -> str:
    """The name of memory number ``number``, in the order of the blocks."""
    return f"m{number + 1}"


def event_of(sides: Sides, symbols: Sequence[str], window: int) -> Event:
    """A conjunction over a vector as one of literals.

    One that looks back gets a literal for each letter since, none of which is ``<bos>``: that is implied anyway, and
    says that nothing from before the word is seen.

    Args:
        sides: the conjunction.
        symbols: the symbols and ``<bos>``.
        window: how many entries of a vector are letters.
    """
    memories = (len(sides) - window) // 2
    letters = dict(enumerate(side for side in sides[:window]))
    held = [(side, number % memories, number // memories) for number, side in enumerate(sides[window:]) if side]
    deepest = max([b for b, side in letters.items() if side is not None] + [back for _, _, back in held], default=0)
    proper = frozenset(range(len(symbols) - 1))
    found: list[Letter | Holds] = []
    for back in range(window):
        side = letters[back]
        if back < deepest:
            side = proper if side is None else side & proper
        if side is not None:
            found.append(Letter(frozenset(symbols[a] for a in side), back))
    found += [Holds(memory_name(number), side, back) for side, number, back in held]
    return tuple(found)


def memory_of(draft: Draft, number: int, meaning: Mapping[int, str], symbols: Sequence[str], window: int) -> Memory:
    """A draft as a memory."""
    writes: dict[int, list[Event]] = {label: [] for label in range(draft.labels)}
    for sides, label in draft.rules:
        writes[label].append(event_of(sides, symbols, window))
    return Memory(memory_name(number), meaning, {label: tuple(events) for label, events in writes.items()})


def plan_of(knowledge: Knowledge, verdicts: Mapping[str, Mapping[Event, int]], *, last: bool = False) -> Plan:
    """The plan that these drafts are.

    Args:
        knowledge: the drafts, and what they know.
        verdicts: the read-out.
        last: whether a block without memories follows, for the conjunctions of the read-out.
    """
    symbols = (*knowledge.dfa.alphabet, BOS)
    meanings = _meanings(knowledge)
    blocks, number = [], 0
    for place, block in enumerate(knowledge.blocks, start=1):
        memories = []
        for draft in block:
            memories.append(memory_of(draft, number, meanings[number], symbols, knowledge.window))
            number += 1
        blocks.append(PlanBlock(_title(place, block), tuple(memories)))
    if last:
        blocks.append(PlanBlock("what may come next" if EOS in verdicts else "which class it is"))
    return Plan(knowledge.dfa.alphabet, tuple(blocks), verdicts, classes=knowledge.dfa.classes)


def _title(place: int, block: Sequence[Draft]) -> str:
    sees = "the last letters" if place == 1 else "the last letters and the blocks before"
    return f"memories that see {sees}" if block else "the last letters"


def _meanings(knowledge: Knowledge) -> list[dict[int, str]]:
    """For each memory and label the live states in which it can be held, by name."""
    dfa, drafts = knowledge.dfa, _flat(knowledge.blocks)
    held: list[dict[int, set[int]]] = [{label: set() for label in range(draft.labels)} for draft in drafts]
    for context, state in knowledge.nodes:
        for number, label in enumerate(knowledge.contexts[context].labels):
            held[number][label].add(state)
    found = []
    for labels in held:
        meaning = {}
        for label, states in labels.items():
            names = [dfa.names[q] for q in sorted(states & dfa.live)]
            meaning[label] = "in " + shown_states(names) if names else "dead"
        found.append(meaning)
    return found


def _flat(blocks: Drafts) -> list[Draft]:
    return [draft for block in blocks for draft in block]
