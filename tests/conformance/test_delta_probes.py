"""The probes of Gated DeltaNet mean what they say, and their weights are exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scancraft.conformance.cases import cases, probe_cases
from scancraft.conformance.probes import delta_library as library
from scancraft.conformance.probes.kinds import KINDS
from scancraft.conformance.probes.probe import BOS, EOS, PAD, Program, evaluate

FAMILY = ("olmo_hybrid", "qwen3_next", "qwen3_5")


def features(probe: Program, word: list[str]) -> dict[str, list[int]]:
    last = evaluate(probe, probe.encoded([word])).streams[-1][0]
    return {name: [int(v) for v in last[:, i]] for i, name in enumerate(probe.features)}


def words_of(probe: Program, most: int = 24) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from([t for t in probe.ids if t not in (PAD, EOS)]), min_size=1, max_size=most)


@given(words_of(library.registers()))
@settings(max_examples=40, deadline=None)
def test_registers(word: list[str]) -> None:
    now = {f"{what} {r}": 0 for r in range(3) for what in ("register", "before")}
    now |= dict.fromkeys(("kept", "cleared", "fleeting", "stubborn"), 0)
    right: dict[str, list[int]] = {}
    last = 0
    for token in word:
        register, colon, value = token.partition(":=")
        v = int(value) if colon else 3 if token == "add" else 0
        if token == "hold":
            now["cleared"] = 0
        else:
            now["fleeting"], now["kept"] = 0, v
        if colon:
            now |= {f"register {register}": v, f"before {register}": last}
            now |= {"cleared": v, "stubborn": v} if register == "0" else {}
            now |= {"fleeting": v} if register == "1" else {}
        last = v
        for name, number in now.items():
            right.setdefault(name, []).append(number)
    found = features(library.registers(), word)
    assert {name: found[name] for name in right} == right


def test_memories() -> None:
    found = features(library.memory(), ["-", "c", "a", "b", "-", "c", "-", "a", BOS])
    sizes = [0, 5, 0, 2, 0, 5, 0, 0, 0]
    assert found["now"] == found["fresh"] == sizes
    assert found["held"] == [0, 5, 5, 2, 2, 5, 5, 5, 5]
    assert found["lost"] == [0, 5, 0, 2, 2, 5, 5, 0, 0]


@given(words_of(library.recall(4)))
@settings(max_examples=40, deadline=None)
def test_recall(word: list[str]) -> None:
    held, before = dict.fromkeys(range(4), 0), dict.fromkeys(range(4), 0)
    right: dict[str, list[int]] = {"under": [], "before": []}
    last = 0
    for token in word:
        if token == "clear":
            held = dict.fromkeys(range(4), 0)
        key, _, value = token.partition(":=")
        if value:
            held[int(key)], before[int(key)] = int(value), last
        last = int(value or 0)
        asked = int(token[1:]) if token.startswith("?") else None
        right["under"].append(0 if asked is None else held[asked])
        right["before"].append(0 if asked is None else before[asked])
    found = features(library.recall(4), word)
    assert {name: found[name] for name in right} == right


@given(words_of(library.taps(4)))
@settings(max_examples=40, deadline=None)
def test_taps_of_values_keys_and_queries(word: list[str]) -> None:
    sizes = [{"b": 2, "c": 5}.get(token, 0) for token in word]
    found = features(library.taps(4), word)
    for j in range(4):
        back = [t >= j and word[t - j] == "a" for t in range(len(word))]
        assert found[f"a {j} back"] == [int(b) for b in back]
        assert found[f"query {j} after a"] == [size * b for size, b in zip(sizes, back, strict=True)]
        last = [0]
        for size, b in zip(sizes, back, strict=True):
            last.append(size if b else last[-1])
        assert found[f"key {j} after a"] == last[1:]
    assert found["read unless a"] == found["not a"]
    last = [0]
    for token, size in zip(word, sizes, strict=True):
        last.append(last[-1] if token == "a" else size)
    assert found["unless a"] == last[1:]
    assert found["not a"] == [int(token != "a") for token in word]


@given(words_of(library.reflections()))
@settings(max_examples=40, deadline=None)
def test_reflections(word: list[str]) -> None:
    turned = every = total = 0
    right: dict[str, list[int]] = {"turned": [], "every": [], "sum": []}
    for token in word:
        if token in (BOS, "set"):
            turned, every, total = (3, 1, 3) if token == BOS else (2, 1, 2)
        else:
            turned, every = -turned if token == "flip" else turned, -every
            total = 2 * int(token[-1]) - total if token.startswith("to") else total
        for name, number in (("turned", turned), ("every", every), ("sum", total)):
            right[name].append(number)
    if word[0] not in (BOS, "set"):  # before it was set, the memory of the sum may have no carrier of its own
        return
    found = features(library.reflections(), word)
    assert {name: found[name] for name in right} == right


@given(st.lists(st.sampled_from(["-", *(f"(1 {i})" for i in range(2, 6))]), max_size=40))
@settings(max_examples=40, deadline=None)
def test_points_move_as_the_transpositions_say(moves: list[str]) -> None:
    place = {point: point for point in range(1, 6)}
    for move in moves:
        if move != "-":
            one, other = 1, int(move[3])
            place = {point: {one: other, other: one}.get(at, at) for point, at in place.items()}
    found = features(library.permutations(), [BOS, library.BEGIN, *moves])
    assert {p: found[f"point {p}"][-1] for p in place} == {p: at if at == 1 else -at for p, at in place.items()}


def test_any_token_lost_or_repeated_is_noticed_to_the_end() -> None:
    """Of a random word: without any of its transpositions, and with it twice, all later logits differ."""
    probe = library.permutations()
    rng = np.random.default_rng(5)
    word = [BOS, library.BEGIN, *(f"(1 {i})" for i in rng.integers(2, 6, 100))]
    places = range(2, len(word))
    right = evaluate(probe, probe.encoded([word])).logits[0]
    lost = evaluate(probe, probe.encoded([word[:t] + word[t + 1 :] for t in places])).logits
    twice = evaluate(probe, probe.encoded([word[: t + 1] + word[t:] for t in places])).logits
    for t, without, again in zip(places, lost, twice, strict=True):
        assert (without[t:] != right[t + 1 :]).any(axis=1).all()
        assert (again[t + 2 :] != right[t + 1 :]).any(axis=1).all()


def test_quotients_that_are_not_exact_are_not_judged() -> None:
    probe = library.halves()
    assert features(probe, ["=64", "half 0", "half 128"])["middle"] == [64, 32, 80]
    with pytest.raises(ValueError, match="does not judge"):
        features(probe, ["half 0", "=64"])
    with pytest.raises(AssertionError, match="power of two"):
        features(library.interference(), ["0:=2", "1:=2", "2:=2", "?all"])
    with pytest.raises(ValueError, match="does not judge"):
        features(library.permutations(), [BOS, "(1 2)"])


@pytest.mark.parametrize("kind", FAMILY)
def test_the_set_of_the_family(kind: str) -> None:
    names = [case.name for case in probe_cases(kind, True)]
    assert ("S_5" in names) == (kind == "olmo_hybrid")
    assert ("grouped" in names) == (kind != "olmo_hybrid")
    languages = [case.name for case in cases(kind, quick=True) if case.name.startswith("language")]
    assert languages
    assert ("language parity" in languages) == (kind == "olmo_hybrid")
    assert not KINDS[kind].shared
