"""Models that copy: right in integers and in floats, certified; wrong ones and wrong claims are not."""

from __future__ import annotations

import copy
import random
from pathlib import Path

import pytest
import torch
from forgery import accepted, certified, with_one_weight_changed

import scancraft
from scancraft import copying
from scancraft.accuracy import accuracy
from scancraft.automata.languages import truth_of
from scancraft.certify.checker.judge import judge
from scancraft.certify.checker.parts import RejectedError
from scancraft.compiler.circuits.copying import copying_circuit

SIZES = [(1, 1), (1, 4), (2, 1), (2, 5), (3, 3), (5, 2), (8, 2)]


@pytest.mark.parametrize(("letters", "longest"), SIZES)
def test_the_circuit_in_integers(letters: int, longest: int) -> None:
    language = copying(letters, longest)
    circuit = copying_circuit(language)
    assert circuit.memories == longest * language.code_bits + 2
    for word in scancraft.members_of(language, 30, 1, 2 * longest + 1, random.Random(letters)):
        for place, (_, allowed) in enumerate(circuit.run(word)):
            assert allowed == language.allowed(word[:place])


@pytest.mark.parametrize("target", ["mamba", "falcon_mamba"])
@pytest.mark.parametrize(("letters", "longest"), SIZES)
def test_certified(letters: int, longest: int, target: str, tmp_path: Path) -> None:
    model = scancraft.compile(copying(letters, longest), tmp_path, target=target)
    assert model.weights.shape.n_layers == 2
    for dtype in (torch.float32, torch.bfloat16):
        found = certified(tmp_path, dtype=dtype)
        assert (found.scope, found.content["method"]) == ("every-implementation", "copies")
        accepted(tmp_path)


def test_no_lowering_to_mamba2() -> None:
    with pytest.raises(scancraft.ScancraftError, match="begins anew"):
        scancraft.compile(copying(2, 2), target="mamba2")


def test_mutants_are_rejected_or_right() -> None:
    """One weight changed: whatever the checker still accepts copies all words."""
    compiled = scancraft.compile(copying(2, 3))
    certificate = scancraft.certify(compiled.model(), compiled.language, readout=compiled.readout)
    truth, words = truth_of(compiled.language), scancraft.members_of(compiled.language, 300, 1, 7, random.Random(2))
    kept = 0
    for change, mutant in with_one_weight_changed(compiled.model(), 60, random.Random(5)):
        try:
            judge(certificate.content, mutant, certificate.evidence)
        except RejectedError:
            continue
        kept += 1
        score = accuracy(mutant, truth, compiled.readout, words)
        assert score.right_positions == score.positions, change
    assert kept < 30


@pytest.mark.parametrize(
    "change",
    [{"longest": 4}, {"longest": 2}, {"letters": ["b", "a"]}, {"letters": ["a"]}, {"separator": "a"}, {"more": 1}],
)
def test_certificates_of_other_languages_are_rejected(change: dict[str, object]) -> None:
    compiled = scancraft.compile(copying(2, 3))
    certificate = scancraft.certify(compiled.model(), compiled.language, readout=compiled.readout)
    content = copy.deepcopy(certificate.content)
    content["language"]["copying"].update(change)
    if change == {"letters": ["b", "a"]}:  # the same language, but letters are numbered otherwise
        content["readout"]["tokens"] |= {"a": content["readout"]["tokens"]["b"], "b": content["readout"]["tokens"]["a"]}
    with pytest.raises((RejectedError, KeyError)):
        judge(content, compiled.model(), certificate.evidence)
