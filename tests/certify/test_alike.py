"""Letters that act alike cost an embedding row and a row of the head, and are proved one for all: if they are alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import scancraft
from scancraft.automata.dfa import Dfa
from scancraft.certify.certify import certify
from scancraft.certify.checker.certificate import check_certificate
from scancraft.certify.checker.judge import judge
from scancraft.certify.checker.parts import RejectedError

FEW, MANY = 3, 5_000


def language(letters: int) -> Dfa:
    """Three letters act differently, all others alike: after an odd one, "off" must not come."""
    symbols = ("on", "off", "end", *(f"x{n}" for n in range(letters - FEW)))
    rest = letters - FEW
    return Dfa.from_table(symbols, [[1, 0, 0, *[0] * rest], [1, 2, 0, *[1] * rest], [2] * letters], 0, [0, 1])


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("many") / "model"
    compiled = scancraft.compile(language(MANY), place)
    found = compiled.certify()
    assert found.verdict == "certified"
    found.save(place)
    return place


def test_the_size_is_that_of_the_distinct_letters_and_the_rows(many: Path) -> None:
    small, large = scancraft.compile(language(FEW + 1)), scancraft.load(many)
    shape = large.manifest.shape
    rows = [-(-(n + 3) // 8) * 8 for n in (FEW + 1, MANY)]
    model = large.model()
    assert sum(p.numel() for p in model.parameters()) == small.weights.n_parameters + 2 * shape.d_model * (
        rows[1] - rows[0]
    )
    embedding = model.get_input_embeddings().weight
    assert len({row.numpy().tobytes() for row in embedding.detach()}) == FEW + 3  # with <bos>, and <pad> as <eos>


def test_the_certificate_explores_one_letter_of_each_kind(many: Path) -> None:
    checked = check_certificate(many)
    assert checked.accepted, checked.reason
    assert checked.scope == "every-implementation"
    assert checked.transitions < 200  # of each of 5,000 letters it would be more than 10,000


def test_all_letters_are_told_apart_where_it_matters(many: Path) -> None:
    model = scancraft.load(many)
    assert model.allowed("") == {*language(MANY).alphabet, "<eos>"}
    assert model.allowed(("on", "x17")) == {*language(MANY).alphabet, "<eos>"} - {"off"}
    assert not model.allowed(("on", "x4000", "off", "x3"))


def changed(place: Path, to: Path, name: str, row: int, edit: Any) -> Path:
    """The checkpoint with one row of a matrix edited."""
    model = scancraft.load(place)
    model.save(to)
    tensors = load_file(to / "model.safetensors")
    edit(tensors[name], row)
    save_file(tensors, to / "model.safetensors", metadata={"format": "pt"})
    return to


@pytest.mark.parametrize("name", ["backbone.embeddings.weight", "lm_head.weight"])
def test_a_letter_that_is_not_like_the_others_of_its_class_is_found(many: Path, tmp_path: Path, name: str) -> None:
    on = scancraft.load(many).readout.tokens["on"]
    last = scancraft.load(many).readout.tokens[f"x{MANY - FEW - 1}"]

    def copy(matrix: torch.Tensor, row: int) -> None:
        matrix[row] = matrix[on] if name.startswith("backbone") else -matrix[on]

    found = certify(changed(many, tmp_path / "model", name, last, copy))
    assert found.verdict == "counterexample"
    assert f"x{MANY - FEW - 1}" in {*found.word, *(found.model ^ found.right)}


@pytest.mark.parametrize("name", ["backbone.embeddings.weight", "lm_head.weight"])
def test_a_certificate_of_equal_rows_is_none_of_others(many: Path, tmp_path: Path, name: str) -> None:
    """The checker compares the rows itself: evidence for one kind does not do for a letter with other bits."""
    place = changed(many, tmp_path / "model", name, MANY, lambda matrix, row: matrix[row].mul_(1 + 2**-20))
    certificate = scancraft.load(many).certify()
    model = scancraft.load(many).model()
    judge(certificate.content, model, certificate.evidence)
    with pytest.raises(RejectedError):
        judge(certificate.content, scancraft.load(place).model(), certificate.evidence)


def test_counterexamples_name_every_letter(many: Path) -> None:
    wrong = scancraft.load(many)
    other = language(MANY)
    other = Dfa(other.semiautomaton, 0, frozenset({0}))
    found = certify(wrong, other)
    assert found.verdict == "counterexample"
    assert found.shortest
    assert found.model - found.right == {"<eos>"}
    assert len(found.right) >= MANY - 1
