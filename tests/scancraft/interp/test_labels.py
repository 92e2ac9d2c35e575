"""Labels say what is true: memories against the language, patches of memories against runs of the stages."""

from __future__ import annotations

from functools import cache as remembered

import pytest
import torch
from examples import dfa
from hypothesis import given, settings
from hypothesis import strategies as st

import scancraft
from scancraft import interp
from scancraft.automata.alphabet import BOS
from scancraft.compiler.compiled import Compiled, CompiledModel

CASES = [
    ("D-2", "cascade"),
    ("D-2", "plan"),
    ("Tomita-7", "cascade"),
    ("Tomita-7", "plan"),
    ("aa*bb*cc*dd*ee*", "plan"),
]


@remembered
def compiled_as(name: str, construction: str, target: str = "mamba") -> Compiled:
    found = scancraft.compile(dfa(name), construction=construction, target=target)  # type: ignore[arg-type]
    assert isinstance(found, Compiled)
    return found


def some_words(compiled: CompiledModel) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(compiled.language.alphabet), max_size=12).map(tuple)


@settings(deadline=None, max_examples=40)
@given(data=st.data(), case=st.sampled_from(CASES))
def test_memories_hold_what_the_language_says(data: st.DataObject, case: tuple[str, str]) -> None:
    compiled = compiled_as(*case)
    word = data.draw(some_words(compiled))
    cache = interp.run_with_cache(compiled, [word])
    memories = interp.labels_of(compiled).memories
    assert memories
    for memory in memories:
        (held,) = memory.decode(cache)
        assert held == interp.expected(compiled, memory, word)
        for position, label in enumerate(by_the_stages(compiled, memory, word)):
            assert label in (None, held[position])


def by_the_stages(compiled: Compiled, memory: interp.Memory, word: tuple[str, ...]) -> list[int | None]:
    """What the plan says, or the cascade where the level has a say."""
    if compiled.plan is not None:
        moments = [compiled.plan.start()]
        for symbol in word:
            moments.append(compiled.plan.step(moments[-1], symbol))
        name = memory.name.removesuffix(" before")
        return [m.labels[name] if name == memory.name else m.before.get(name) for m in moments]
    cascade, level = compiled.cascade, memory.level
    assert level is not None
    number = cascade.height - level
    return [
        coordinates[number] if cascade.parts.height[cascade.chain(coordinates)[number]] == level else None
        for coordinates in cascade.run(word)
    ]


@pytest.mark.parametrize("target", ["signed_mamba", "falcon_mamba", "mamba2"])
def test_so_they_do_in_other_targets(target: str) -> None:
    compiled = compiled_as("D-2", "cascade", target)
    words = ["aababb", "abbbab", "aaabab"]
    cache = interp.run_with_cache(compiled, words)
    for memory in interp.labels_of(compiled).memories:
        assert memory.decode(cache) == tuple(interp.expected(compiled, memory, word) for word in words)


def test_a_swapped_memory_and_counters() -> None:
    parity = scancraft.compile(dfa("Parity"), target="signed_mamba")
    word = parity.language.alphabet[0] * 3 + parity.language.alphabet[1] * 3
    for compiled, text in ((parity, word), (scancraft.compile(scancraft.suite_language("Dyck-1").language), "(()()")):
        cache = interp.run_with_cache(compiled, [text])
        for memory in interp.labels_of(compiled).memories:
            assert memory.decode(cache) == (interp.expected(compiled, memory, text),)
    (counter,) = [m for m in interp.labels_of(compiled).memories if m.kind == "counter"]
    assert counter.decode(cache) == ((0, 1, 2, 1, 2, 1),)


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_a_patched_memory_changes_what_the_plan_says_and_no_more(data: st.DataObject) -> None:
    """A register is overwritten at one position with what it is after another word; the plan is told the same."""
    compiled = compiled_as("D-2", "plan")
    plan = compiled.plan
    assert plan is not None
    word, other = (data.draw(some_words(compiled)) for _ in range(2))
    memory = data.draw(
        st.sampled_from([m for m in interp.labels_of(compiled).memories if not m.name.endswith("before")])
    )
    at = data.draw(st.integers(0, len(word)))
    labels = {m.name: m for m in interp.labels_of(compiled).memories}
    donor = interp.run_with_cache(compiled, [(*other, compiled.dfa.alphabet[0])])
    label = memory.decode(donor)[0][len(other)]
    patches = []
    # A copy that is one letter late is a register of its own: it is overwritten one letter later.
    for late, name in enumerate((memory.name, f"{memory.name} before")):
        if name in labels and at + late <= len(word):
            channels = [n for n, _ in labels[name].channels]
            there = len(other) + late
            value = donor[labels[name].point][:, there : there + 1, channels]
            patches.append(interp.Patch(labels[name].point, value, at + late, (channels,)))
    run = interp.run_with_cache(compiled, [word], *patches)
    ids, moment = compiled.manifest.tokens, None
    for position, token in enumerate((BOS, *word)):
        moment = plan.start() if token == BOS else plan.step(moment, token)
        if position == at:
            forced = dict(moment.labels) | {memory.name: label}
            # Later blocks see the new label at once; what they hold follows by the plan's own rules.
            moment = _again(plan, moment, forced, memory.name, memory.block)
        allowed = {t for t in (*compiled.dfa.alphabet, "<eos>") if run.logits[0, position, ids[t]] > 0}
        assert allowed == plan.allowed(moment), (position, token)
    assert memory.decode(run)[0][at] == label


def _again(plan: object, moment: object, forced: dict[str, int], name: str, block: int) -> object:
    """The same moment, with one memory forced, and those of later blocks worked out again."""
    labels: dict[str, int] = {}
    for number, part in enumerate(plan.blocks):  # type: ignore[attr-defined]
        seen = type(moment)(moment.letters, dict(labels), moment.before)  # type: ignore[attr-defined]
        for memory in part.memories:
            if memory.name == name:
                labels[name] = forced[name]
            elif number <= block:
                labels[memory.name] = moment.labels[memory.name]  # type: ignore[attr-defined]
            else:
                written = [v for v, events in memory.writes.items() if any(map(seen.holds, events))]
                labels[memory.name] = written[0] if written else moment.before[memory.name]  # type: ignore[attr-defined]
    return type(moment)(moment.letters, labels, moment.before)  # type: ignore[attr-defined]


def test_directions_and_channels_are_values() -> None:
    compiled = compiled_as("D-2", "cascade")
    labels = interp.labels_of(compiled)
    assert labels == interp.labels_of(compiled.manifest)
    assert len({*labels.channels, *labels.memories, *labels.directions}) == sum(
        map(len, (labels.channels, labels.memories, labels.directions))
    )
    cache = interp.run_with_cache(compiled, ["ab"])
    letter = labels.direction("letter a")
    assert letter.decode(cache, "hook_embed").tolist() == [[0.0, 1.0, 0.0]]
    assert labels.memory("level 3").block == 0
    assert labels.channel(0, labels.channels[0].index) == labels.channels[0]
    with pytest.raises(interp.NotLookedIntoError, match="no direction"):
        labels.direction("letter z")
    with pytest.raises(interp.NotLookedIntoError, match="0 memories"):
        labels.memory("level 9")
    with pytest.raises(interp.NotLookedIntoError, match="only compiled models"):
        interp.labels_of(compiled.model())


def test_a_direction_is_patched_and_the_rest_stays() -> None:
    compiled = compiled_as("D-2", "cascade")
    labels = interp.labels_of(compiled)
    a, b = labels.direction("letter a"), labels.direction("letter b")
    patches = [interp.Patch("hook_embed", value, 1, direction=d) for d, value in ((a, 0.0), (b, 1.0))]
    assert torch.equal(interp.patch(compiled, ["ab"], *patches), interp.run_with_cache(compiled, ["bb"]).logits)
