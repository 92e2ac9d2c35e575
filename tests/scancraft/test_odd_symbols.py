"""Symbols that are blanks, tabs, line breaks, control characters: a checkpoint, its tokenizer, and what is shown."""

from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import answer, invoke
from transformers import AutoModelForCausalLM, AutoTokenizer

import scancraft
from scancraft.automata.alphabet import format_word, parse_word
from scancraft.automata.dfa import Dfa
from scancraft.compiler.checkpoints import load

CHARACTERS = Dfa.from_table(
    ["a", " ", "\t", "\n", "\x80", "\\"], [[1, 0, 0, 0, 2, 2], [2, 0, 1, 1, 0, 1], [2] * 6], 0, [0]
)
"""After "a" no "a" until a blank or U+0080; dead after U+0080 or a backslash before any "a"."""
NAMES = Dfa.from_table(["New York", " ", "x\n", "\\", "b"], [[1, 2, 2, 0, 0], [2, 0, 1, 1, 2], [2] * 5], 0, [0, 1])


@pytest.fixture(scope="module", params=[CHARACTERS, NAMES], ids=["characters", "names"])
def compiled(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Dfa, Path]:
    place = tmp_path_factory.mktemp("odd") / "out"
    scancraft.compile(request.param, place)
    return request.param, place


def test_the_tokenizer_reads_and_writes_every_word(compiled: tuple[Dfa, Path]) -> None:
    """As loaded by transformers; the model's logits are those of the language after each."""
    dfa, place = compiled
    tokenizer, model = AutoTokenizer.from_pretrained(place), AutoModelForCausalLM.from_pretrained(place)
    readout = load(place).readout
    for word in list(dfa.words(4))[:200]:
        text = format_word(word, dfa.alphabet)
        ids = tokenizer(text)["input_ids"]
        assert ids == readout.encode(word)
        assert parse_word(tokenizer.decode(ids, skip_special_tokens=True), dfa.alphabet) == word
        with torch.no_grad():
            last = model(torch.tensor([ids])).logits[0, -1]
        allowed = {symbol for symbol in dfa.alphabet if last[readout.tokens[symbol]] > 0}
        assert allowed == set(dfa.next_symbols(dfa.run(word)))
    load(place).check_tokenizer()


def test_unknown_symbols_are_refused_and_blanks_mean_nothing(tmp_path: Path, compiled: tuple[Dfa, Path]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(compiled[1])
    with pytest.raises(Exception, match="UNK"):
        tokenizer("?")
    scancraft.compile("(ab)*", tmp_path / "plain")
    plain = AutoTokenizer.from_pretrained(tmp_path / "plain")
    assert plain(" a\u2003b\t\x85a\x1cb\n")["input_ids"] == plain("abab")["input_ids"]


def test_the_command_line_shows_them_escaped(compiled: tuple[Dfa, Path]) -> None:
    dfa, place = compiled
    words = [format_word(word, dfa.alphabet) for word in list(dfa.words(3))[:10]]
    assert all(line["verdict"] for line in [answer(invoke("check", place, "--words", 20, "--json"))])
    shown = invoke("run", place, *words)
    assert shown.exit_code == 0
    assert shown.stdout.isascii()
    assert "\t" not in shown.stdout
    report = invoke("generate", place, "-n", 5)
    assert report.exit_code == 0
    assert len(report.stdout.splitlines()) == 5
    assert invoke("certify", place).exit_code == 0
    for stage in ("dfa", "rules", "program"):
        assert invoke("explain", place, "--stage", stage).exit_code == 0
