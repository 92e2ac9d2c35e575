"""Lower bounds on blocks: the lemma against random latch models, the decision against enumeration, and witnesses."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product

import pytest
from examples import dfas
from hypothesis import given
from hypothesis import strategies as st

import scancraft
from scancraft import Budget, BudgetExceededError, Dfa
from scancraft.automata.decide.depth import (
    DEEPEST,
    DepthWitness,
    OrderClasses,
    collision,
    lower_bound,
    one_block,
    pumped,
    two_blocks,
)
from scancraft.compiler.cascade.cascade import decompose
from scancraft.compiler.cascade.rules import tabulate
from scancraft.compiler.circuits.levels import cascade_circuit


def bounded(depth: int) -> Dfa:
    """D_n, the brackets of one kind nested at most n deep."""
    expression = "(ab)*"
    for _ in range(depth - 1):
        expression = f"(a{expression}b)*"
    return scancraft.parse_regex(expression)


def knows(tokens: tuple[int, ...], blocks: int, window: int, seed: int) -> int:
    """What a latch model with random parts knows after its last block, as a number.

    Two channels a block; their gates, their writes and what follows are arbitrary functions, drawn by hashing.
    """
    inputs = list(tokens)
    for block in range(blocks):
        held, outputs = [0, 0], []
        for t in range(len(inputs)):
            seen = tuple(inputs[t - back] if t >= back else -1 for back in range(window))
            for channel in (0, 1):
                drawn = hash((seed, block, channel, seen))
                if drawn % 3 == 0:  # the gate is 0: what was held is forgotten, and something written
                    held[channel] = drawn // 3 % 5
            outputs.append(hash((seed, block, seen, *held)))
        inputs = outputs
    return inputs[-1]


@given(
    st.tuples(*[st.lists(st.integers(0, 1), max_size=9).map(tuple)] * 2),
    st.integers(0, 10**6),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_what_a_latch_model_knows_is_a_function_of_the_class(
    words: tuple[tuple[int, ...], ...], seed: int, blocks: int, window: int
) -> None:
    """The lemma, on powers, whose classes often are the same."""
    classes = OrderClasses(window)
    known: dict[int, int] = {}
    for u, x in (words, words[::-1]):
        for power in range(5):
            tokens = (2, *u, *x * power)
            number = classes.of(blocks, tokens)
            assert known.setdefault(number, knows(tokens, blocks, window, seed)) == knows(tokens, blocks, window, seed)


def test_one_block_is_decided_as_enumeration_does() -> None:
    """All languages with at most two states over two letters, and a sample of those with three."""
    decided: Counter[bool] = Counter()
    for n in (1, 2, 3):
        for number, flat in enumerate(product(range(n), repeat=2 * n)):
            if n == 3 and number % 7:
                continue
            for accepting in range(2**n):
                states = [q for q in range(n) if accepting >> q & 1]
                dfa = Dfa.from_table(("a", "b"), [flat[2 * q : 2 * q + 2] for q in range(n)], 0, states)
                found, listed = one_block(dfa, 2), collision(dfa, 1, 2)
                assert (found is None) == (listed is None)
                for witness in (found, listed):
                    assert witness is None or witness.check(dfa)
                assert two_blocks(dfa, 2) == (found is not None)  # for so few states short loops are enough
                assert not two_blocks(dfa, 1) or one_block(dfa, 1) is not None
                decided[found is None] += 1
    assert min(decided.values()) > 50


@pytest.mark.parametrize("window", [2, 3, 4])
@pytest.mark.parametrize(
    ("expression", "enough"),
    [("aa*bb*cc*dd*ee*", True), ("(a|b)*a", True), ("(ab)*", True), ("(a(ab)*b)*", False), ("(a|b)*d(b|c)*", False)],
)
def test_one_block_of_known_languages(expression: str, enough: bool, window: int) -> None:
    dfa = scancraft.parse_regex(expression)
    found = one_block(dfa, window)
    assert (found is None) == enough
    assert found is None or (found.check(dfa) and found.words[0] != found.words[1])


@pytest.mark.parametrize("n", [2, 3, 4, 6])
def test_bounded_brackets_need_a_block_per_level_without_counting(n: int) -> None:
    """D_n is not told by n - 1 blocks that see two letters; words that stay within the bound show n - 2."""
    found = lower_bound(bounded(n), 2)
    assert found is not None
    assert found.check(bounded(n))
    assert found.depth == n - 1
    assert any(
        (w := collision(bounded(n), depth, 2)) is not None and w.live(bounded(n)) for depth in range(max(1, n - 2), n)
    ) == (n > 2)


def test_powers_go_deeper_than_what_can_be_listed() -> None:
    dfa = bounded(4)
    with pytest.raises(BudgetExceededError):
        collision(dfa, 3, 4, Budget(items=1000))
    found = pumped(dfa, 3, 4)
    assert found is not None
    assert found.check(dfa)


def test_no_cascade_is_shallower_than_the_bound() -> None:
    """Cascades are latch models."""
    compared = 0
    for name, dfa in dfas(star_free=True, states=8).items():
        found = lower_bound(dfa, 2, Budget(items=2000))
        if found is not None:
            assert found.check(dfa), name
            assert found.depth < cascade_circuit(tabulate(decompose(dfa)), dfa).n_blocks, name
            compared += 1
    assert compared > 5


def test_a_false_witness_is_refused() -> None:
    dfa = bounded(2)
    found = one_block(dfa, 2)
    assert found is not None
    assert found.check(dfa)
    assert not replace(found, depth=2).check(dfa)
    assert not replace(found, window=3).check(dfa)
    assert not replace(found, words=(found.words[0], found.words[0])).check(dfa)
    assert not replace(found, differ="a" if found.differ != "a" else "b").check(dfa)
    assert not DepthWitness(1, 2, (("a",), ("b",)), "a").check(dfa)


def test_one_letter_at_a_time_may_never_suffice() -> None:
    """Without a look back "a" and "aa" are alike to any number of blocks: the bound ends where it stops asking."""
    dfa = scancraft.parse_regex("a", alphabet="a")
    found = lower_bound(dfa, 1)
    assert found is not None
    assert found.depth == DEEPEST
    assert found.check(dfa)
