"""The public testing tools: what the strategies draw, and what the assertions accept and reject."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import find, given, settings
from hypothesis import strategies as st
from monoid import is_aperiodic_by_monoid
from oracle import all_words, may_follow, states_along

import scancraft
from scancraft import Dfa, Readout, ScancraftError, parse_regex
from scancraft.automata import families
from scancraft.compiler.cascade.cascade import decompose
from scancraft.models.errors import ReadoutError
from scancraft.testing import (
    any_words,
    assert_models_language,
    assert_same_bits,
    dfas,
    edits,
    members,
    star_free_dfas,
    star_free_expressions,
    words,
)
from scancraft.testing import languages as languages

AB = ("a", "b")
SUITE = [language.build() for language in families.SUITE if language.star_free]

quick = settings(max_examples=80, deadline=None, derandomize=True, database=None)


def drawn(strategy: st.SearchStrategy[Any], condition: Callable[[Any], bool] = lambda value: True) -> Any:
    """The simplest value that hypothesis finds; an error if it finds none in 20,000."""
    return find(strategy, condition, settings=settings(max_examples=20_000, database=None), random=Random(1))


# -- languages -----------------------------------------------------------------------------------------------------


def test_drawn_languages_are_star_free_and_small() -> None:
    seen = set()

    @quick
    @given(star_free_dfas(6))
    def check(dfa: Dfa) -> None:
        assert dfa.n_states <= 6
        assert len(dfa.alphabet) <= 3
        assert is_aperiodic_by_monoid(dfa.semiautomaton)
        seen.add(dfa)

    check()
    # Variety: every number of states occurs, and most draws are new languages or nearly so.
    assert {dfa.n_states for dfa in seen} >= {1, 2, 3, 4, 5}
    assert len(seen) >= 30


@quick
@given(st.integers(1, 5).flatmap(lambda n: st.tuples(st.just(n), dfas(n, max_letters=2))))
def test_arbitrary_languages_are_small(drawn_pair: tuple[int, Dfa]) -> None:
    assert drawn_pair[1].n_states <= drawn_pair[0]


def test_arbitrary_languages_are_star_free_or_not() -> None:
    assert drawn(dfas(3, alphabet="01"), lambda dfa: not is_aperiodic_by_monoid(dfa.semiautomaton)).n_states == 2
    assert drawn(dfas(3, alphabet="01"), lambda dfa: dfa == families.parity()) == families.parity()
    assert drawn(dfas(3, alphabet="01"), lambda dfa: dfa == families.tomita(1)) == families.tomita(1)


@pytest.mark.parametrize("alphabet", [(), ("push",), ("push", "pop", "+", "é")])
def test_alphabets_are_kept(alphabet: tuple[str, ...]) -> None:
    @settings(quick, max_examples=30)
    @given(star_free_dfas(4, alphabet=alphabet), dfas(4, alphabet=alphabet))
    def check(one: Dfa, other: Dfa) -> None:
        assert one.alphabet == other.alphabet == alphabet

    check()
    for empty in (True, False):
        assert drawn(star_free_dfas(alphabet=alphabet), lambda dfa, e=empty: dfa.is_empty() == e).n_states == 1


def test_languages_shrink() -> None:
    for strategy in (star_free_dfas(), dfas()):
        assert drawn(strategy) == Dfa.empty(("a",))
        assert drawn(strategy, lambda dfa: not dfa.is_empty()).n_states == 1
        three = drawn(strategy, lambda dfa: dfa.n_states >= 3)
        assert (three.n_states, three.alphabet) == (3, ("a",))


@pytest.mark.parametrize("dfa", [dfa for dfa in SUITE if dfa.n_states <= 8], ids=lambda dfa: f"{dfa.n_states} states")
def test_every_reset_cascade_is_among_the_drawn_ones(dfa: Dfa) -> None:
    """The holonomy cascade of a language, entered level by level as the strategy would draw it, gives the language."""
    cascade = decompose(dfa)

    def relabel(values: tuple[int, ...]) -> tuple[int, ...]:
        """Swap the initial value of each level with 0, where the strategy starts (and back)."""
        return tuple(
            {start: 0, 0: start}.get(value, value) for value, start in zip(values, cascade.initial, strict=True)
        )

    moves = []
    queue = [cascade.initial]
    for state in queue:
        for number, symbol in enumerate(dfa.alphabet):
            target = cascade.step(state, symbol)
            moves.append((relabel(state), number, relabel(target)))
            if target not in queue:
                queue.append(target)
    table: languages.Table = [[0] * len(dfa.alphabet)]
    coordinates: Sequence[tuple[int, ...]] = [()]
    for level in range(cascade.height):
        seen: dict[tuple[tuple[int, ...], int], set[tuple[int, int]]] = {}
        for source, number, target in moves:
            seen.setdefault((source[:level], number), set()).add((source[level], target[level]))
        actions = []
        for above in coordinates:
            row: list[int | None] = []
            for number in range(len(dfa.alphabet)):
                pairs = seen[above, number]
                resets = {after for _, after in pairs}
                row.append(None if all(before == after for before, after in pairs) else resets.pop())
                assert row[-1] is None or not resets, "neither the identity nor a reset"
            actions.append(row)
        table, coordinates = languages.add_level(table, coordinates, actions)
    accepting = [q for q, values in enumerate(coordinates) if cascade.state(relabel(values)) in dfa.accepting]
    assert Dfa.from_table(dfa.alphabet, table, 0, accepting) == dfa
    assert len(table) <= languages.ROOM * dfa.n_states


@pytest.mark.parametrize("alphabet", [(), ("a",), ("a", "b", "push", "*")])
def test_expressions_are_star_free(alphabet: tuple[str, ...]) -> None:
    seen = set()

    @quick
    @given(star_free_expressions(alphabet))
    def check(text: str) -> None:
        assert is_aperiodic_by_monoid(parse_regex(text, alphabet).semiautomaton)
        bare = re.sub(r"'push'|\\\*|\[[^]]*\]", "", text)  # without quoted symbols and classes
        assert not re.search(r"[*+]|,\}", bare)
        seen.update(operator for operator in "|&~{∅.[" if operator in text)

    check()
    assert seen == set("|&~{∅.[" if alphabet else "|&~{∅")


def test_unusable_sizes_are_refused() -> None:
    for call in (lambda: star_free_dfas(0), lambda: dfas(0), lambda: star_free_dfas(max_letters=0)):
        with pytest.raises(ValueError, match="give"):
            call()
    with pytest.raises(ScancraftError, match="twice"):
        star_free_dfas(alphabet="aa")


# -- words ---------------------------------------------------------------------------------------------------------


def one_symbol_edits(word: tuple[str, ...], alphabet: Sequence[str]) -> set[tuple[str, ...]]:
    places = range(len(word) + 1)
    inserted = {(*word[:i], a, *word[i:]) for i in places for a in alphabet}
    replaced = {(*word[:i], a, *word[i + 1 :]) for i in places[:-1] for a in alphabet if a != word[i]}
    return inserted | replaced | {word[:i] + word[i + 1 :] for i in places[:-1]}


@quick
@given(dfas(5, max_letters=3), st.integers(0, 6), st.data())
def test_words_are_what_they_say(dfa: Dfa, longest: int, data: st.DataObject) -> None:
    inside = {word for word in all_words(dfa.alphabet, longest) if dfa.accepts(word)}
    assert data.draw(words(dfa.alphabet, max_length=longest)) in set(all_words(dfa.alphabet, longest))
    assert members(dfa, max_length=longest).is_empty == (not inside)
    assert edits(dfa, max_length=longest).is_empty == (not inside)
    if inside:
        assert data.draw(members(dfa, max_length=longest)) in inside
        edited = data.draw(edits(dfa, max_length=longest))
        assert any(word in inside for word in one_symbol_edits(edited, dfa.alphabet))
    assert len(data.draw(any_words(dfa, max_length=longest))) <= longest + 1


@pytest.mark.parametrize("dfa", [families.d_n(2), families.tomita(4), Dfa.from_words(AB, ["", "b", "abba", "ab"])])
def test_every_member_can_be_drawn(dfa: Dfa) -> None:
    inside = {word for word in all_words(dfa.alphabet, 4) if dfa.accepts(word)}
    for word in sorted(inside)[:8]:
        assert drawn(members(dfa, max_length=4), lambda found, word=word: found == word) == word
    rest = {edited for word in inside for edited in one_symbol_edits(word, dfa.alphabet)} - inside
    for word in sorted(rest)[:5]:
        assert drawn(edits(dfa, max_length=4), lambda found, word=word: found == word) == word


def test_any_words_mixes_and_words_shrink() -> None:
    dfa = families.ascending_runs("abcde")
    mixed = any_words(dfa, max_length=8)
    assert drawn(mixed, dfa.accepts) == ("a", "b", "c", "d", "e")
    assert drawn(mixed, lambda word: not dfa.accepts(word)) == ()
    inside = [word for word in all_words("abcde", 6) if dfa.accepts(word)]
    near = {edited for word in inside for edited in one_symbol_edits(word, "abcde")} - set(inside)
    assert drawn(mixed, lambda word: len(word) >= 4 and word in near) in near
    assert drawn(members(dfa, max_length=8)) == ("a", "b", "c", "d", "e")
    assert drawn(members(families.d_n(2))) == ()
    assert len(drawn(members(families.d_n(2)), lambda word: len(word) >= 5)) == 6


def test_words_over_no_letters() -> None:
    nothing, only_empty = Dfa.empty(()), Dfa.universal(())
    assert drawn(any_words(only_empty)) == drawn(members(only_empty)) == drawn(any_words(nothing)) == ()
    assert edits(only_empty).is_empty
    assert members(nothing).is_empty


# -- models of one's own -------------------------------------------------------------------------------------------


class Simulator(torch.nn.Module):
    """A recurrent model by hand: a token's embedding is the matrix by which it moves a one-hot state."""

    def __init__(
        self,
        table: Mapping[int, Sequence[int]],
        says: Sequence[Sequence[float]],
        vocabulary: int,
    ) -> None:
        """``table``: from token to where it leads from each state (others do nothing); ``says``: outputs per state."""
        super().__init__()
        n = len(says)
        matrices = torch.eye(n).repeat(vocabulary, 1, 1)
        for token, targets in table.items():
            matrices[token] = torch.eye(n)[list(targets)]
        self.n = n
        self.embedding = torch.nn.Embedding.from_pretrained(matrices.reshape(vocabulary, n * n))
        self.says = torch.nn.Parameter(torch.tensor(says))

    def forward(self, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        state = torch.zeros(len(tokens), 1, self.n)
        state[:, 0, 0] = 1
        states = []
        for t in range(tokens.shape[1]):
            state = state @ self.embedding(tokens[:, t]).reshape(-1, self.n, self.n)
            states.append(state[:, 0])
        return {"judgement": torch.stack(states, dim=1) @ self.says}


def judgement(output: dict[str, torch.Tensor]) -> torch.Tensor:
    return output["judgement"]


# Words over a and b with at most two a's, an even number of b's. State: (a's so far or "too many", parity of the b's).
A, B, BEGIN = 7, 2, 4
STATES = [(count, odd) for count in range(4) for odd in range(2)]
MOVES = {
    A: [STATES.index((min(count + 1, 3), odd)) for count, odd in STATES],
    B: [STATES.index((count, 1 - odd)) for count, odd in STATES],
}
LANGUAGE = Dfa.from_table(AB, list(zip(MOVES[A], MOVES[B], strict=True)), 0, [STATES.index((c, 0)) for c in range(3)])
SAYS = [  # columns: a may come next, the word may end, b may come next
    [float(count < 2), float(count < 3 and not odd), float(count < 3)] for count, odd in STATES
]


def final(word: Sequence[str]) -> int:
    state = 0
    for symbol in word:
        state = MOVES[A if symbol == "a" else B][state]
    return state


def binding(**changes: Any) -> Readout:
    bound = Readout(
        {"a": A, "b": B}, bos=None, accept=1, next_symbol={"a": 0, "b": 2}, pad=5, head=judgement, threshold=0.5
    )
    return replace(bound, **changes)


def shown(message: str) -> tuple[str, set[str], set[str]]:
    """The prefix that a message shows, what the model allows after it, and what the language allows."""
    found = re.search(r"a shortest one is '(.*)': the model allows \[(.*)\], the language \[(.*)\]$", message)
    assert found is not None
    said, right = (set(re.findall(r"'([^']+)'", found[i])) for i in (2, 3))
    return found[1], said, right


def expect_rejected(model: Any, language: Any, readout: Readout | None = None, **more: Any) -> str:
    with pytest.raises(AssertionError, match="does not model") as caught:
        assert_models_language(model, language, readout, **more)
    return str(caught.value)


READOUTS = {
    "everything": binding(),
    "recogniser": binding(next_symbol={}),
    "predictor": binding(accept=None),
    "with a begin token": binding(bos=BEGIN),
}


@pytest.mark.parametrize("readout", READOUTS.values(), ids=READOUTS.keys())
def test_a_model_of_ones_own(readout: Readout) -> None:
    model = Simulator(MOVES, SAYS, 9)
    report = assert_models_language(model, LANGUAGE, readout, words=60, max_length=40, short=1000)
    assert report.agrees
    assert (report.words, report.exhaustive_to) == (60 + 2**9 - 1, 8)
    # Without a begin token nothing is known about the empty prefix, and it is not compared.
    first = 1 if readout.bos is None else 0
    assert report.prefixes >= 2**8 * (9 - first)


@pytest.mark.parametrize("readout", READOUTS.values(), ids=READOUTS.keys())
def test_every_wrong_output_is_found(readout: Readout) -> None:
    """Flip what the model says in one state: rejected with a shortest word to that state, if it can be seen there."""
    columns = {0: "a", 1: "<eos>", 2: "b"}
    visible = readout.columns(AB)
    for state, column in product(range(len(STATES)), columns):
        says = [list(row) for row in SAYS]
        says[state][column] = 1 - says[state][column]
        arrivals = [word for word in all_words(AB, 6) if final(word) == state and (word or readout.bos is not None)]
        model = Simulator(MOVES, says, 9)
        if column not in visible:
            assert assert_models_language(model, LANGUAGE, readout, words=0, short=200).agrees
            continue
        message = expect_rejected(model, LANGUAGE, readout, words=0, short=200)
        shortest = {"".join(word) for word in arrivals if len(word) == len(arrivals[0])}
        prefix, model_says, right = shown(message)
        assert prefix in shortest
        assert model_says ^ right == {columns[column]}
        assert right == {columns[c] for c in visible if SAYS[state][c]}
        assert "every word up to length 6" in message
        assert "127 words" in message


def test_the_contract_is_honoured() -> None:
    careless = [row if count < 3 else [1.0, 1.0, 1.0] for row, (count, _) in zip(SAYS, STATES, strict=True)]
    model = Simulator(MOVES, careless, 9)
    assert "'aaa'" in expect_rejected(model, LANGUAGE, binding(), words=0, short=200)
    live = binding(contract="live-prefixes")
    report = assert_models_language(model, LANGUAGE, live, words=100, max_length=20, short=200)
    everything = assert_models_language(
        Simulator(MOVES, SAYS, 9), LANGUAGE, binding(), words=100, max_length=20, short=200
    )
    assert 0 < report.prefixes < everything.prefixes
    careless[0] = [0.0, 1.0, 1.0]  # a live state: no licence there
    assert "'bb'" in expect_rejected(Simulator(MOVES, careless, 9), LANGUAGE, live, words=0, short=200)


def test_given_words_only() -> None:
    says = [list(row) for row in SAYS]
    says[final("aab")] = [0.0, 0.0, 0.0]
    model = Simulator(MOVES, says, 9)
    report = assert_models_language(model, LANGUAGE, binding(), words=["bbab", ("b", "a")], short=0)
    assert (report.words, report.prefixes, report.exhaustive_to) == (2, 6, -1)
    assert "'aab'" in expect_rejected(model, LANGUAGE, binding(), words=["aabb"], short=0)
    assert "1 wrong prefix (" in expect_rejected(model, LANGUAGE, binding(), words=["aabbaa"], short=0)


def test_what_is_missing_is_said() -> None:
    model = Simulator(MOVES, SAYS, 9)
    for arguments in ((), (LANGUAGE,), (None, binding())):
        for chosen in (10, ["ab"]):
            with pytest.raises(ReadoutError, match="give the language and a Readout"):
                assert_models_language(model, *arguments, words=chosen)
    with pytest.raises(ReadoutError, match="symbols"):
        assert_models_language(model, families.parity(), binding())


def test_missing_hypothesis_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if re.match(r"scancraft\.(_?testing)", name)]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.split(".")[0] == "hypothesis"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ScancraftError, match=r"pip install 'scancraft\[testing\]'") as caught:
        import scancraft.testing  # noqa: F401
    assert isinstance(caught.value, ImportError)


# -- compiled models -----------------------------------------------------------------------------------------------


@settings(quick, max_examples=25)
@given(star_free_dfas(4, alphabet="ab"), star_free_dfas(4, alphabet="ab"))
def test_a_compiled_model_is_judged_by_any_language(one: Dfa, other: Dfa) -> None:
    """Languages of at most 4 states differ on a word of at most 6 letters, if at all."""
    compiled = scancraft.compile(one)
    depth = {"words": 0, "short": 127}
    assert assert_models_language(compiled, **depth).exhaustive_to == 6
    reference = {word: may_follow(one, states_along(one, word)[-1]) for word in all_words("ab", 6)}
    truth = {word: may_follow(other, states_along(other, word)[-1]) for word in reference}
    wrong = [word for word in reference if reference[word] != truth[word]]
    if not wrong:
        assert assert_models_language(compiled, other, **depth).agrees
        return
    message = expect_rejected(compiled, other, **depth)
    prefix, allowed, right = shown(message)
    assert len(prefix) == len(wrong[0])
    assert tuple(prefix) in wrong
    assert (allowed, right) == (reference[tuple(prefix)], truth[tuple(prefix)])


def test_checkpoint_directories(tmp_path: Path) -> None:
    scancraft.compile("(ab)*", tmp_path / "d1")
    for place in (tmp_path / "d1", str(tmp_path / "d1")):
        assert assert_models_language(place, words=20, max_length=30, short=100).agrees
        assert assert_models_language(place, words=["abab"], short=0).prefixes == 5
    message = expect_rejected(tmp_path / "d1", "(ab)*|b", words=0, short=100)
    assert "a shortest one is ''" in message
    model = scancraft.load(tmp_path / "d1").model()
    readout = scancraft.load(tmp_path / "d1").readout
    assert assert_models_language(model, "(ab)*", readout, words=10, short=100).agrees


# -- the same bits -------------------------------------------------------------------------------------------------

SOME = ["ab", "", "aabb", "abba", "aabababb"]


def test_same_bits(tmp_path: Path) -> None:
    compiled = scancraft.compile("(a(ab)*b)*", tmp_path / "d2")
    prefixes = sum(len(word) + 1 for word in SOME)
    assert assert_same_bits(compiled, SOME) == 8 * prefixes
    assert assert_same_bits(tmp_path / "d2", SOME, dtypes=[torch.bfloat16]) == 4 * prefixes
    assert assert_same_bits(scancraft.load(tmp_path / "d2"), [("a", "b")]) == 8 * 3
    assert assert_same_bits(compiled, []) == 0


def padded(side: int) -> Callable[[torch.Tensor, dict[str, Any]], bool]:
    return lambda ids, options: "attention_mask" in options and not options["attention_mask"][:, side].all()


WAYS: dict[str, Callable[[torch.Tensor, dict[str, Any]], bool]] = {
    "token by token": lambda ids, options: "use_cache" in options,
    "in a right-padded batch": padded(-1),
    "in a left-padded batch": padded(0),
    "one word at a time": lambda ids, options: not options,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_each_comparison_can_fail(way: str, dtype: torch.dtype) -> None:
    """A model that is off by one bit, in one way of running only, after each a that is not the first letter."""
    compiled = scancraft.compile("(a(ab)*b)*")
    a = compiled.readout.tokens["a"]

    def crooked(wanted: torch.dtype) -> Any:
        model = compiled.model(wanted)
        step = {"count": 0}

        def forward(ids: torch.Tensor, **options: Any) -> Any:
            output = model(ids, **options)
            step["count"] = step["count"] + 1 if options.get("cache_params") is not None else 0
            if wanted == dtype and WAYS[way](ids, options):
                late = ids == a
                if options.get("attention_mask") is not None:
                    late &= options["attention_mask"].cumsum(dim=1) > 2
                elif "use_cache" in options:
                    late &= step["count"] >= 2
                else:
                    late[:, :2] = False
                output.logits[..., a] += late * 2.0**-4
            return output

        return forward

    target = SimpleNamespace(language=compiled.dfa, readout=compiled.readout, model=crooked)
    if way == "one word at a time" and dtype == torch.float32:
        # This is the reference itself: everything else differs from it.
        expected = "float32 one word at a time and float32 token by token"
    else:
        expected = f"float32 one word at a time and {str(dtype).removeprefix('torch.')} {way}"
    with pytest.raises(AssertionError) as caught:
        assert_same_bits(target, SOME)
    message = str(caught.value)
    assert expected in message
    assert "word 'aabb', position 2 (after 'aa'), token a (id 3)" in message


def test_nan_is_not_the_same() -> None:
    compiled = scancraft.compile("(ab)*")

    def broken(dtype: torch.dtype) -> Any:
        model = compiled.model(dtype)

        def forward(ids: torch.Tensor, **options: Any) -> Any:
            output = model(ids, **options)
            output.logits[..., 7] = torch.nan
            return output

        return forward

    with pytest.raises(
        AssertionError, match=r"position 0 \(after ''\), token a padding row of the vocabulary \(id 7\)"
    ):
        assert_same_bits(SimpleNamespace(language=compiled.dfa, readout=compiled.readout, model=broken), ["ab"])
