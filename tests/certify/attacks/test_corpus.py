"""Attacks that came far in the search of ``benchmarks/experiments/attack.py``, each with the right answer.

``corpus.json`` holds small certified checkpoints (their files, compressed), and chains of edits of them: of the
accepted ones the models are right, and those with the least margins and the longest chains were kept; of the refused
ones most were refused by an obligation, or by an argument about weights.
"""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
import torch
from against_truth import at_chunk
from attacks import CERTIFICATE, Files, Step, bound, loaded, replayed, write

from scancraft.certify.check import compare
from scancraft.certify.checker.certificate import check_certificate
from scancraft.certify.checker.parts import RejectedError

CORPUS: dict[str, Any] = json.loads((Path(__file__).parent / "corpus.json").read_text(encoding="utf-8"))
BASES = sorted(CORPUS["bases"])


def files_of(name: str) -> Files:
    return {name: zlib.decompress(base64.b64decode(text)) for name, text in CORPUS["bases"][name].items()}


@pytest.mark.parametrize("name", BASES)
def test_attacks_get_the_right_answer(name: str, tmp_path: Path) -> None:
    place = tmp_path / "m"
    write(files_of(name), place)
    assert check_certificate(place).accepted
    chosen = [attack for attack in CORPUS["attacks"] if attack["base"] == name]
    assert chosen
    for attack in chosen:
        try:
            files = replayed(files_of(name), [Step.of(step) for step in attack["steps"]], place)
        except RejectedError:
            assert not attack["accepted"], attack
            continue
        write(files, place)
        checked = check_certificate(place)
        assert checked.accepted == attack["accepted"], (attack, checked.reason)
        if checked.accepted:
            content = json.loads(files[CERTIFICATE])
            language, readout = bound(content)
            with torch.no_grad():
                report = compare(at_chunk(loaded(place), 8), language, readout, exhaustive_to=4)
            assert report.agrees, (attack, report.shortest)


def test_the_corpus_has_both_answers_for_every_kind_of_model() -> None:
    answers = {(attack["base"].split()[0], attack["accepted"]) for attack in CORPUS["attacks"]}
    kinds = ("mamba", "mamba2", "falcon_mamba", "signed_mamba")
    assert answers == {(kind, answer) for kind in kinds for answer in (True, False)}
