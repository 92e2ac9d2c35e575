"""Registers side by side: automata that are several small ones at once, and what is read of them."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

import scancraft
from scancraft import Budget, Dfa
from scancraft.automata.deterministic import Deterministic
from scancraft.certify.checker.certificate import check_certificate
from scancraft.compiler.circuits.beside import beside_circuit, registers
from scancraft.compiler.circuits.circuit import Circuit


def word_problem(n: int, pairs: list[tuple[int, int]], accepting: set[int] | None = None) -> Dfa:
    """Words of exchanges whose product is one of some elements, which are numbered in order; else the identity."""
    elements = list(itertools.permutations(range(n)))
    number = {element: i for i, element in enumerate(elements)}
    table = [[number[tuple({i: j, j: i}.get(x, x) for x in element)] for i, j in pairs] for element in elements]
    return Dfa.from_table("abcdefgh"[: len(pairs)], table, 0, {0} if accepting is None else accepting)


def star(n: int) -> list[tuple[int, int]]:
    return [(0, i) for i in range(1, n)]


def path(n: int) -> list[tuple[int, int]]:
    return [(i, i + 1) for i in range(n - 1)]


def found(dfa: Deterministic) -> Circuit:
    circuit = beside_circuit(dfa, Budget())
    assert circuit is not None
    return circuit


def right_on(circuit: Circuit, dfa: Deterministic, longest: int, length: int) -> None:
    """On all short words and on a long one."""
    rng = random.Random(longest)
    for word in (*itertools.product(dfa.alphabet, repeat=longest), tuple(rng.choices(dfa.alphabet, k=length))):
        state = 0
        for symbol, (_, allowed) in zip((None, *word), circuit.run(word), strict=True):
            state = state if symbol is None else dfa.table[state][dfa.alphabet.index(symbol)]
            assert allowed == dfa.allowed(state)


@pytest.mark.parametrize("pairs", [star(4), path(4), [(0, 1), (1, 2), (2, 3), (0, 3)]], ids=["star", "path", "square"])
def test_exchanges_without_a_circle_of_odd_length_take_one_block(pairs: list[tuple[int, int]]) -> None:
    dfa = word_problem(4, pairs)
    circuit = found(dfa)
    assert (circuit.n_blocks, dfa.n_states) == (1, 24)
    assert [len(register.labels) for register in circuit.blocks[0].registers] == [4, 4, 4]
    right_on(circuit, dfa, 4, 300)


def test_the_word_problem_of_s5_is_one_layer_that_ships(tmp_path: Path) -> None:
    dfa = word_problem(5, star(5))
    model = scancraft.compile(dfa, tmp_path / "m")
    assert (dfa.n_states, model.manifest.target, model.weights.shape.n_layers) == (120, "olmo_hybrid", 2)
    assert model.weights.n_parameters < 5_000
    certificate = model.certify()
    assert isinstance(certificate, scancraft.Certificate)
    assert certificate.scope == "every-implementation"
    certificate.save(tmp_path / "m")
    assert check_certificate(tmp_path / "m").accepted
    assert model.check(words=20, short=400).agrees


def test_any_elements_can_be_told() -> None:
    """All sets of three elements of S_3 that a register alone does not tell; a block more where they are no box."""
    blocks = set()
    for accepting in itertools.combinations(range(6), 3):
        dfa = word_problem(3, star(3), set(accepting))
        if dfa.n_states == 6:
            circuit = found(dfa)
            right_on(circuit, dfa, 4, 60)
            blocks.add(circuit.n_blocks)
    assert blocks == {1, 2}
    for accepting in itertools.combinations(range(6), 5):
        assert found(word_problem(3, star(3), set(accepting))).n_blocks == 1


def test_registers_that_letters_write() -> None:
    """An even number of a's iff the last letter is b; two parities at once."""
    last = Dfa.from_table("ab", [[2 - q // 2 * 2, q // 2 * 2 + 1] for q in range(4)], 0, [1, 2])
    for dfa in (last, scancraft.parse_regex("((aa|bb)|(ab|ba)(aa|bb)*(ab|ba))*", alphabet="ab")):
        circuit = found(dfa)
        assert [len(register.labels) for register in circuit.blocks[0].registers] == [2, 2]
        right_on(circuit, dfa, 6, 50)


def test_random_automata_are_right_where_there_are_registers() -> None:
    rng, found = random.Random(0), 0
    for _ in range(1_500):
        n = rng.randint(3, 6)
        table = [[rng.randrange(n) for _ in "ab"] for _ in range(n)]
        dfa = Dfa.from_table("ab", table, 0, [q for q in range(n) if rng.random() < 0.5])
        if (circuit := beside_circuit(dfa, Budget())) is not None:
            found += 1
            right_on(circuit, dfa, 5, 30)
    assert found > 10


def test_what_no_register_holds() -> None:
    ending = Dfa.from_table("ab", [[1, 1], [2, 2], [3, 3], [2, 2]], 0, [1, 2])  # 0 to 1 and 1 to 2 is no exchange
    assert beside_circuit(ending, Budget()) is None
    rotation = Dfa.from_table("a", [[(q + 1) % 5] for q in range(5)], 0, [0])
    assert registers(rotation, Budget()) == ()
    assert beside_circuit(word_problem(3, [(0, 1), (0, 2), (1, 2)]), Budget()) is None
    assert beside_circuit(word_problem(5, star(5)), Budget(items=10)) is None
