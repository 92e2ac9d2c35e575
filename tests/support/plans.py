"""Plans for tests: some written by hand with their languages, and random ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from scancraft.automata.alphabet import BOS, EOS
from scancraft.automata.dfa import Dfa
from scancraft.automata.regex.regex import parse_regex
from scancraft.compiler.plan.plan import Event, Holds, Letter, Memory, Plan, PlanBlock


def letter(symbols: str, back: int = 0, *, bos: bool = False) -> Letter:
    """A literal about a letter; ``symbols`` are single characters."""
    return Letter(frozenset({*symbols, *([BOS] if bos else [])}), back)


def holds(memory: str, *labels: int, back: int = 0) -> Holds:
    """A literal about a memory."""
    return Holds(memory, frozenset(labels), back)


BEGIN: Event = (Letter(frozenset({BOS})),)


def flag(name: str, meaning: str, *events: Event, also: tuple[Event, ...] = ()) -> Memory:
    """A memory that becomes 1 on some events, and 0 at ``<bos>`` and on others."""
    return Memory(name, {0: f"not {meaning}", 1: meaning}, {0: (BEGIN, *also), 1: events})


def _always(alphabet: str, verdicts: Mapping[str, Mapping[Event, int]]) -> Mapping[str, Mapping[Event, int]]:
    """Verdicts, with 0 for the tokens that are not named."""
    return {token: verdicts.get(token, {}) for token in (*alphabet, EOS)}


def last_is_b() -> tuple[Plan, str]:
    """No block at all."""
    plan = Plan(("a", "b"), (), _always("ab", {EOS: {(letter("a", bos=True),): 1}}))
    return plan, "(a|b)*b"


def ascending() -> tuple[Plan, str]:
    """Windows of two letters: dead once a pair comes that may not."""
    bad = ((letter("a"), letter("b", 1)),)
    dead = flag("dead", "ba was read", *bad)
    no: Event = (holds("dead", 1),)
    verdicts = {"a": {no: 1, (letter("b"),): 1}, "b": {no: 1}, EOS: {no: 1}}
    return Plan(("a", "b"), (PlanBlock("pairs", (dead,)),), verdicts), "a*b*"


def subsequence() -> tuple[Plan, str]:
    """Two blocks: the second one's event looks at what the first one holds, after the letter and before it."""
    a, b = flag("a", "an a was read", (letter("a"),)), flag("b", "a b after it", (letter("b"), holds("a", 1)))
    late = flag("late", "an a after that", (letter("a"), holds("b", 1, back=1)))
    blocks = (PlanBlock("a", (a,)), PlanBlock("ab", (b,)), PlanBlock("aba", (late,)))
    return Plan(("a", "b"), blocks, _always("ab", {EOS: {(holds("late", 0),): 1}})), "(a|b)*a(a|b)*b(a|b)*a(a|b)*"


def last_of_three() -> tuple[Plan, str]:
    """A memory of three labels; the read-out multiplies it with the letter."""
    last = Memory(
        "last",
        {0: "neither", 1: "the last of a and b is a", 2: "it is b"},
        {0: (BEGIN,), 1: ((letter("a"),),), 2: ((letter("b"),),)},
    )
    wrong: Event = (letter("c"), holds("last", 0, 2))
    return (
        Plan(("a", "b", "c"), (PlanBlock("last", (last,)),), _always("abc", {EOS: {wrong: 1}})),
        "()|(a|b|c)*(a|b)|(a|b|c)*ac*c",
    )


BY_HAND = {make.__name__: make for make in (last_is_b, ascending, subsequence, last_of_three)}


def language_of(expression: str, alphabet: tuple[str, ...]) -> Dfa:
    """The language of an expression, over an alphabet that may be larger than what it names."""
    return parse_regex(expression, alphabet)


# -- random plans ------------------------------------------------------------------------------------------------------


@st.composite
def plans(draw: DrawFn, alphabet: tuple[str, ...] = ("a", "b", "c"), most_blocks: int = 3) -> Plan:
    """Random plans that are well-formed, and fit circuits; they are plans of no language in particular.

    Each label of a memory has letters of its own now, so no two are written at once.
    """
    known: list[Memory] = []
    blocks = []
    for number in range(draw(st.integers(1, most_blocks))):
        memories = [
            draw(_memory(f"m{number}{i}", alphabet, known, window=number == 0)) for i in range(draw(st.integers(1, 2)))
        ]
        blocks.append(PlanBlock(f"block {number}", tuple(memories)))
        known += memories
    blocks.append(PlanBlock("read-out"))
    events = draw(st.lists(_event(alphabet, known, most=3), min_size=1, max_size=4, unique=True))
    verdicts = {
        token: {event: draw(st.integers(-2, 2)) for event in events if draw(st.booleans())}
        for token in (*alphabet, EOS)
    }
    return Plan(alphabet, tuple(blocks), verdicts)


@st.composite
def _memory(draw: DrawFn, name: str, alphabet: tuple[str, ...], known: list[Memory], *, window: bool) -> Memory:
    labels = range(draw(st.integers(2, 3)))
    owner = {a: draw(st.sampled_from([None, *labels])) for a in alphabet}
    writes: dict[int, tuple[Event, ...]] = {}
    for label in labels:
        own = frozenset(a for a in alphabet if owner[a] == label)
        events: list[Event] = []
        for _ in range(draw(st.integers(1, 2)) if own else 0):
            rest = draw(_event(alphabet, [] if window else known, most=2))
            narrowed = [x for x in rest if (type(x), x.back) != (Letter, 0)]
            events.append((Letter(own), *narrowed))
        writes[label] = tuple(dict.fromkeys(events))
    writes[0] = (BEGIN, *writes[0])
    return Memory(name, {label: f"label {label}" for label in labels}, writes)


@st.composite
def _event(draw: DrawFn, alphabet: tuple[str, ...], known: list[Memory], *, most: int) -> Event:
    literals: list[Letter | Holds] = []
    about: list[tuple[str, int]] = [("", 0), ("", 1), *((m.name, back) for m in known for back in (0, 1))]
    chosen = draw(st.lists(st.sampled_from(about), max_size=most, unique=True))
    if any(back for _, back in chosen) and ("", 0) not in chosen:
        chosen.insert(0, ("", 0))
    labels = {m.name: sorted(m.writes) for m in known}
    for name, back in chosen:
        if name:
            asked = draw(st.sets(st.sampled_from(labels[name]), min_size=1, max_size=len(labels[name]) - 1))
            literals.append(Holds(name, frozenset(asked), back))
        else:
            symbols = (*alphabet, BOS) if back or not any(b for _, b in chosen) else alphabet
            asked_letters = draw(st.sets(st.sampled_from(symbols), min_size=1))
            literals.append(Letter(frozenset(asked_letters), back))
    return tuple(sorted(literals, key=lambda x: (isinstance(x, Holds), x.back)))


def with_memory(plan: Plan, memory: Memory) -> Plan:
    """The plan with the memory of this name exchanged."""
    blocks = (
        replace(block, memories=tuple(memory if m.name == memory.name else m for m in block.memories))
        for block in plan.blocks
    )
    return replace(plan, blocks=tuple(blocks))
