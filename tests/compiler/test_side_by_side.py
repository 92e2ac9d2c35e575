"""Circuits side by side: what they compute, how large they are, and the models they become."""

from __future__ import annotations

from itertools import pairwise, product
from pathlib import Path

import pytest
from command_line import answer, invoke, refused

import scancraft
from scancraft.automata.alphabet import BOS, EOS
from scancraft.automata.combination import Combination
from scancraft.automata.languages import all_of, any_of, none_of
from scancraft.certify.checker.certificate import check_certificate
from scancraft.compiler.cascade.cascade import decompose
from scancraft.compiler.cascade.rules import tabulate
from scancraft.compiler.circuits.circuit import Circuit, CircuitBlock, CircuitChannel, Latch
from scancraft.compiler.circuits.forms import ALWAYS, ONE
from scancraft.compiler.circuits.levels import cascade_circuit
from scancraft.compiler.circuits.side_by_side import decided, side_by_side
from scancraft.compiler.combining import ForesightError

STARS = ["(ab)*", "(a|b)*aa(a|b)*", "(a|b)*a", "b*(ab*ab*)?"]
NESTED = Combination("all", (any_of(STARS[:2]), none_of([all_of(STARS[1:3]), STARS[3]])))


def parts(language: Combination, *, decide: bool = False) -> list[Circuit]:
    circuits = [cascade_circuit(tabulate(decompose(leaf)), leaf) for leaf in language.leaves]
    return [decided(circuit) for circuit in circuits] if decide else circuits


def says(circuit: Circuit, word: tuple[str, ...]) -> frozenset[str]:
    *_, (_, allowed) = circuit.run(word)
    return allowed


@pytest.mark.parametrize("decide", [False, True])
@pytest.mark.parametrize("language", [all_of(STARS), any_of(STARS), none_of(STARS), NESTED], ids=str)
def test_the_whole_says_what_the_expression_of_the_parts_does(language: Combination, decide: bool) -> None:
    circuits = parts(language, decide=decide)
    whole = side_by_side(language, circuits, predict=False)
    assert len(whole.blocks) <= max(len(circuit.blocks) for circuit in circuits) + language.depth - 1
    for length in range(7):
        for word in product("ab", repeat=length):
            assert says(whole, word) == ({EOS} if language.accepts(word) else set())


def test_unions_say_what_may_come_next() -> None:
    language = any_of(STARS[:3])
    dfa, whole = language.dfa(), side_by_side(language, parts(language), predict=True)
    for length in range(7):
        for word in product("ab", repeat=length):
            assert says(whole, word) == dfa.allowed(dfa.run(word))


def test_what_parts_only_look_at_is_computed_once() -> None:
    """Two copies of a latch that letters write: twice the memory, and the letters' channels once."""
    letters = {"a": "letter a", BOS: f"letter {BOS}"}
    channels = (
        CircuitChannel("a or <bos>", dict.fromkeys(letters.values(), 1)),
        CircuitChannel("a came", {letters["a"]: 1}, memory=Latch("seen", {0: 2}, -1), gate=ALWAYS, writes={"seen": 1}),
    )
    part = Circuit(
        kind="plan",
        construction="a latch",
        alphabet=("a",),
        features=(*letters.values(), "seen"),
        tokens={token: {name: 1} for token, name in letters.items()},
        blocks=(CircuitBlock("latch", channels),),
        verdicts={"a": {}, EOS: {ONE: 1, "seen": -1}},
        contract="all-words",
        letters={name: token for token, name in letters.items()},
    )
    language = any_of(["a+", "aa*"])
    twice = side_by_side(language, [part, part], predict=True)
    assert [channel.role for channel in twice.blocks[0].channels] == ["condition", "latch", "latch"]
    for length in range(4):
        assert (EOS in says(twice, ("a",) * length)) == language.accepts(("a",) * length)


@pytest.mark.parametrize(
    ("language", "contract"), [(all_of(STARS[1:3]), "all-words"), (NESTED, "recognise"), (none_of(STARS), "recognise")]
)
def test_models_are_certified_and_checked(language: Combination, contract: str, tmp_path: Path) -> None:
    compiled = scancraft.compile(language, tmp_path / "m", construction="side-by-side")
    assert compiled.manifest.contract == contract
    report = scancraft.check(tmp_path / "m")
    assert report.agrees
    verdict = scancraft.certify(tmp_path / "m")
    assert verdict.verdict == "certified", str(verdict)
    assert verdict.scope == "every-implementation"
    verdict.save(tmp_path / "m")
    checked = check_certificate(tmp_path / "m")
    assert checked.accepted, checked.reason
    loaded = scancraft.load(tmp_path / "m")
    assert loaded.language == (language if contract == "recognise" else language.dfa())


def test_the_command_line_says_what_a_recogniser_says(tmp_path: Path) -> None:
    place, text = tmp_path / "m", "(a|b)*aa(a|b)* & ~((a|b)*bb(a|b)*)"
    facts = answer(invoke("compile", "--regex", text, "--contract", "recognise", "-o", place, "--json"))
    assert (facts["contract"], facts["blocks"]) == ("recognise", 2)
    (said,) = answer(invoke("run", place, "baab", "--json"))
    assert [prefix["next"] for prefix in said["prefixes"]] == [[], [], [], [EOS], [EOS]]
    assert "only says whether a word may end" in refused(invoke("generate", place), 2)
    assert invoke("explain", place, "--html", tmp_path / "page.html").exit_code == 0
    assert "contract" in refused(invoke("compile", "--regex", "a", "--contract", "recognise", "-o", tmp_path / "n"), 2)
    assert answer(invoke("depth", "--regex", text, "--json"))["at_most"] >= 1


def test_the_promise_does_not_shrink_for_the_sake_of_size() -> None:
    """The product is taken where it has few states and promises more."""
    compiled = scancraft.compile(all_of(["(a|b)*a", "(a|b)*b(a|b)"]))
    assert compiled.manifest.contract == "all-words"
    assert scancraft.compile(all_of(["(a|b)*a", "(a|b)*b(a|b)"]), contract="recognise").manifest.contract == "recognise"
    with pytest.raises(ForesightError):
        scancraft.compile(all_of(["(a|b)*a", "(a|b)*b"]), contract="all-words", construction="side-by-side")


def test_many_parts_whose_product_is_out_of_reach() -> None:
    """Whether each of twelve letters came after its own opening letter: a product of 3^12 states."""
    letters = [chr(ord("a") + n) for n in range(13)]
    patterns = [f".*{x}.*{y}.*" for x, y in pairwise(letters)]
    language = all_of(patterns)
    compiled = scancraft.compile(language)
    assert compiled.manifest.contract == "recognise"
    assert compiled.weights.shape.n_layers <= 3
    word = tuple(letters)
    model = compiled.model()
    from scancraft.certify.check import compare

    report = compare(model, language, compiled.readout, [word, word[::-1], word[1:], word * 2, word[:-1]])
    assert report.agrees
