"""The conformance set as files, and the reader in C++."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import mutants
import numpy as np
import pytest
import torch
from command_line import answer, invoke, refused
from safetensors.numpy import load_file

from scancraft.conformance.corpus import write_corpus

READER = Path(__file__).parents[2] / "docs" / "corpus_reader.cpp"
MOST = 5_000_000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of Mamba."""
    place = tmp_path_factory.mktemp("corpus") / "mamba-only"
    write_corpus(place, ("mamba",))
    return place


def test_the_files_say_what_is_owed(corpus: Path) -> None:
    index = json.loads((corpus / "corpus.json").read_text(encoding="utf-8"))
    assert len(index["cases"]) > 20
    for entry in index["cases"]:
        place = corpus / entry["directory"]
        held = load_file(place / "expected.safetensors")
        assert held["words"].shape == (entry["rows"], entry["time"])
        assert held["logits"].dtype == np.float32
        facts = json.loads((place / "expected.json").read_text(encoding="utf-8"))
        assert len(facts["tokens"]) <= held["logits"].shape[2]
        assert facts["columns"]
        told = mutants.build("sequential")(place)(torch.from_numpy(held["words"]))
        assert np.array_equal(told.numpy()[..., : held["logits"].shape[2]], held["logits"])
    size = sum(path.stat().st_size for path in corpus.rglob("*") if path.is_file())
    assert 6 * size < MOST  # of six kinds


def test_equal_versions_write_equal_bytes(corpus: Path, tmp_path: Path) -> None:
    told = answer(invoke("conformance", "--write-corpus", tmp_path / "x", "--kind", "mamba", "--json"))
    assert told["cases"] == len(json.loads((corpus / "corpus.json").read_text(encoding="utf-8"))["cases"])
    for path in corpus.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "x" / path.relative_to(corpus)).read_bytes(), path
    assert "exists; choose another" in refused(invoke("conformance", "--write-corpus", tmp_path / "x"))
    assert "drop one of both" in refused(invoke("conformance", "scancraft", "--write-corpus", tmp_path / "y"))


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++")
def test_a_mamba_in_plain_cpp(corpus: Path, tmp_path: Path) -> None:
    program = tmp_path / "reader"
    subprocess.run(["g++", "-std=c++17", "-O1", "-Wall", "-Werror", "-o", program, READER], check=True)
    places = sorted((corpus / "mamba").iterdir())
    done = subprocess.run([program, *places], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith(f"{len(places)} cases, ")
    assert done.stdout.endswith(" logits, 0 differ\n")
    wrong = Path(shutil.copytree(corpus / "mamba" / "registers", tmp_path / "registers"))
    data = bytearray((wrong / "expected.safetensors").read_bytes())
    at = data.index(b"\x00\x00\x80\x3f", 200)  # a 1
    data[at + 2] ^= 1
    (wrong / "expected.safetensors").write_bytes(data)
    done = subprocess.run([program, wrong], capture_output=True, text=True)
    assert done.returncode == 1
    assert "1 logits differ" in done.stdout
