"""What only a process of its own shows: what is imported before it is needed, and what depends on the hash seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import scancraft

HEAVY = {"torch", "transformers", "sympy", "numba", "matplotlib"}
LIGHT = """
import sys
from scancraft.automata.languages import as_dfa
as_dfa({"alphabet": [], "initial": "p", "accepting": [], "transitions": {}})
assert not {"networkx", "pyformlang"} & set(sys.modules)
import scancraft
assert scancraft.star_free_witness(scancraft.parse_regex("(ab)*")) is None
assert scancraft.classify(scancraft.parse_regex("(aaa)*")).gates.value == "complex"
import scancraft.compiler.targets
from scancraft.cli.app import app
for args in (["--help"], ["--version"], ["decide", "--regex", "a*"], ["run", "--help"]):
    try:
        app(args, prog_name="scancraft")
    except SystemExit as leave:
        assert not leave.code, args
print("loaded:", sorted(set(sys.argv[2:]) & set(sys.modules)))
for args in (["targets"], ["compile", "--regex", "(ab)*", "-o", sys.argv[1]]):
    try:
        app(args, prog_name="scancraft")
    except SystemExit as leave:
        assert not leave.code, args
assert "torch" in sys.modules and "transformers" not in sys.modules  # to compile takes the one and not the other
import scancraft.certify.checker.certificate, scancraft.refute.refute
assert callable(scancraft.certify) and callable(scancraft.refute)  # not the packages of these names
"""

SEEDED = """
import json, random, sys
from pathlib import Path
import numpy as np
import scancraft
from scancraft.automata.formats.formats import from_dict, to_json_dict
from scancraft.automata.words.mixtures import live_word_of, mixture_of
from scancraft.suite.languages import LANGUAGES

parts = [frozenset({f"s{i}", "x"}) for i in range(5)]
rows = {p: {"a": parts[(i + 1) % 5]} for i, p in enumerate(parts)}
print(json.dumps(to_json_dict(from_dict(rows, parts[0], set(parts[:2])))))
if "pyformlang" in sys.argv:
    from pyformlang.finite_automaton import DeterministicFiniteAutomaton
    automaton = DeterministicFiniteAutomaton()
    automaton.add_transitions([(f"q{i}", s, f"q{(i * m + 1) % 7}") for i in range(7) for s, m in (("x", 2), ("y", 3))])
    automaton.add_start_state("q3")
    automaton.add_final_state("q5")
    print(json.dumps(to_json_dict(scancraft.as_dfa(automaton))))
for make in (random.Random, np.random.default_rng):
    rng = make(11)
    for suite in LANGUAGES:
        print(mixture_of(suite.language, 8, 10, 30, rng), live_word_of(suite.language, 30, rng))
table = {"alphabet": ["b", "a"], "initial": "p", "accepting": ["q", "p"],
         "transitions": {"q": {"a": "q"}, "p": {"a": "q", "b": "p"}}}
texts = ["(a(ab)*b)*", "~(~∅ 'x1' y)", "[a-e]{2}|~∅", "~(~∅ab~∅)&~(~∅ca~∅)&~(b~∅)", "∅&a", "(aa)*"]
for number, language in enumerate([*texts, table]):
    scancraft.compile(language, Path(sys.argv[1]) / str(number))
scancraft.compile("(ab)*", Path(sys.argv[1]) / "falcon", target="falcon_mamba")
"""


def started(code: str, *args: object, seed: str = "0") -> subprocess.Popen[str]:
    path = os.pathsep.join(filter(None, [str(Path(scancraft.__file__).parent.parent), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": seed}
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_nothing_heavy_is_imported_before_it_is_needed(tmp_path: Path) -> None:
    process = started(LIGHT, tmp_path / "out", *HEAVY)
    shown, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert "loaded: []" in shown
    assert f"scancraft {scancraft.__version__}" in shown
    assert all(command in shown for command in ("compile", "certify", "refute", "generate"))


def test_nothing_depends_on_the_hash_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names of states, words that are drawn, and every byte of checkpoints."""
    try:
        import pyformlang  # noqa: F401
    except ImportError:
        libraries: tuple[str, ...] = ()
    else:
        libraries = ("pyformlang",)
    process = started(SEEDED, tmp_path / "there", *libraries, seed="2025")
    monkeypatch.setattr(sys, "argv", ["seeded", str(tmp_path / "here"), *libraries])
    exec(SEEDED, {})  # with the seed of the tests, which is random unless somebody has chosen it
    here = capsys.readouterr().out
    there, errors = process.communicate()
    assert process.returncode == 0, errors
    assert here == there
    assert "{s0, x}" in here
    assert len(here) > 2000
    one, other = (
        {f.relative_to(tmp_path / side).as_posix(): f.read_bytes() for f in (tmp_path / side).rglob("*") if f.is_file()}
        for side in ("here", "there")
    )
    assert [name for name in one if one[name] != other.get(name)] == []
    assert one.keys() == other.keys()
    for name in ("model.safetensors", "config.json", "tokenizer.json", "scancraft.json", "mamba_ssm/pytorch_model.bin"):
        assert f"0/{name}" in one
    assert len({one[f"{i}/model.safetensors"] for i in range(5)}) == 5
    assert not any(name.startswith("falcon/mamba_ssm") for name in one)
