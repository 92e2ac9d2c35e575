"""Input that is made to break the command line: one line and an exit code, and no escape bytes on the terminal."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import invoke, refused

import scancraft
from scancraft.cli.io import console, printable

ESCAPE = "\x1b[2J"
EVEN = {
    "alphabet": ["a", "b"],
    "initial": "e",
    "accepting": ["e"],
    "transitions": {"e": {"a": "o", "b": "e"}, "o": {"a": "e", "b": "o"}},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("hostile")
    scancraft.compile("(a(ab)*b)*", found / "m")
    (found / "even.json").write_text(json.dumps(EVEN))
    result = invoke("refute", found / "m", "--language", found / "even.json", "-o", found / "ref.json")
    assert result.exit_code == 0
    return found


def changed(place: Path, **changes: object) -> Path:
    path = place / "changed.json"
    path.write_text(json.dumps(json.loads((place / "ref.json").read_text()) | changes))
    return path


def test_a_refutation_says_what_it_is_about(place: Path) -> None:
    """r1: for another language than the checkpoint's own."""
    result = invoke("refute", place / "m", "--check", place / "ref.json")
    assert result.exit_code == 0
    language, readout = result.stdout.splitlines()[1:3]
    assert language.startswith("language: a DFA over 'a' 'b', sha256 ")
    assert language.endswith("; not the checkpoint's own")
    assert "threshold 0" in readout
    assert readout.endswith("; the checkpoint's own")
    found = json.loads((place / "ref.json").read_text())
    far = changed(place, readout=found["readout"] | {"threshold": 1e9})
    result = invoke("refute", place / "m", "--check", far)
    assert result.exit_code == 1
    assert "the threshold is" in result.output


def test_every_check_of_a_refutation_ends(place: Path) -> None:
    """r3: N is 10^12."""
    for path in (changed(place, N=10**12), place / "ref.json"):
        result = invoke("refute", place / "m", "--check", path, "--budget", 5)
        assert result.exit_code == 3
        assert result.stdout.startswith("undecided: ")
    result = invoke("refute", place / "m", "--check", place / "ref.json", "--seconds", 0)
    assert result.exit_code == 3
    assert json.loads(invoke("refute", place / "m", "--check", changed(place, N=10**12), "--json").stdout)["undecided"]
    result = invoke("refute", place / "m", "--check", changed(place, period=10**12))
    assert result.exit_code == 1
    assert "cannot have period" in result.output


@pytest.mark.parametrize("about", [{}, None, 3, [], {"depth": 2}, {"brackets": 1, "depth": 2}, {"brackets": [["a"]]}])
@pytest.mark.parametrize("kind", ["bounded_dyck", "dfa", "counter_machine"])
def test_a_manifest_with_a_malformed_language(kind: str, about: object, place: Path, tmp_path: Path) -> None:
    """Found by fuzzing: brackets that are not there."""
    copy = Path(shutil.copytree(place / "m", tmp_path / "m"))
    manifest = json.loads((copy / "scancraft.json").read_text())
    manifest["language"] = {kind: about, "class": "x"}
    (copy / "scancraft.json").write_text(json.dumps(manifest))
    refused(invoke("generate", copy, "-n", 2))


def test_a_large_automaton_has_a_budget_too(place: Path) -> None:
    """Refining a chain takes as many rounds as it has states."""
    chain = {f"q{n}": {"a": f"q{n + 1}", "b": "q0"} for n in range(3_000)}
    last = {"q3000": {"a": "q3000", "b": "q3000"}}
    dfa = {"alphabet": ["a", "b"], "initial": "q0", "accepting": ["q3000"], "transitions": chain | last}
    large = changed(place, language={"dfa": dfa})
    result = invoke("refute", place / "m", "--check", large, "--budget", 100_000)
    assert result.exit_code == 3
    assert "transitions of the DFA are to be looked at; the budget is 100,000" in result.stdout
    result = invoke("refute", place / "m", "--check", large, "--seconds", 0)
    assert result.exit_code == 3
    assert result.stdout.startswith("undecided: the time ended after ")


@pytest.mark.parametrize(
    "changes", [{"language": None}, {"language": {"dfa": []}}, {"language": {"dfa": {"alphabet": 3}}}, {"readout": []}]
)
def test_malformed_refutations(changes: dict[str, object], place: Path) -> None:
    result = invoke("refute", place / "m", "--check", changed(place, **changes))
    assert result.exit_code in (1, 2)
    assert result.output.count("\n") == 1


@pytest.mark.parametrize("text", ["[" * 100_000, '{"verdict": ' + "9" * 6000 + "}", "{}", "\x00"])
def test_files_that_are_no_refutations(text: str, place: Path) -> None:
    path = place / "deep.json"
    path.write_text(text)
    refused(invoke("refute", place / "m", "--check", path))


@pytest.mark.parametrize(
    "arguments",
    [
        ("refute", "m", "--tokens", "a=" + "9" * 5000),
        ("refute", "m", "--bos", "9" * 5000),
        ("compile", "--regex", "(ab)*", "-o", "x", "--d-state", "1000000000"),
        ("train", "D-12", "--d-model", "1000000"),
        ("train", "D-12", "--layers", "100000", "--budget", "1s"),
        ("generate", "m", "-n", "1000000000"),
        ("check", "m", "--max-length", "1000000000"),
    ],
)
def test_numbers_that_are_too_large(arguments: tuple[str, ...], place: Path) -> None:
    result = invoke(*(str(place / a) if a in ("m", "x") else a for a in arguments))
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "error", [MemoryError(), RecursionError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")]
)
def test_memory_that_does_not_suffice(error: Exception, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr("scancraft.compiler.checkpoints.read_manifest", fails)
    assert "smaller" in refused(invoke("run", place / "m", "ab"), 3)


def test_a_full_disk(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors import SafetensorError

    def full(*_: object, **__: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("scancraft.models.checkpoints.checkpoint.save_file", full)
    before = sorted(p.name for p in place.iterdir())
    assert "No space left" in refused(invoke("certify", place / "m"))
    assert "No space left" in refused(invoke("compile", "--regex", "(ab)*", "-o", place / "new"))
    assert sorted(p.name for p in place.iterdir()) == before


@pytest.mark.parametrize("name", ["scancraft", "scancraft.cli", "scancraft.cli.app", "typer"])
def test_interrupted_while_it_starts(name: str) -> None:
    entry = Path(__file__).resolve().parents[3] / "scancraft_entry.py"
    code = (
        "import runpy, sys\n"
        f"entry = runpy.run_path({str(entry)!r})\n"
        "assert 'scancraft' not in sys.modules\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {name!r}: raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "entry['main']()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "scancraft: interrupted\n")


def test_what_is_printed_cannot_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    symbol = f"a{ESCAPE}\u202e"
    dfa = {"alphabet": [symbol], "initial": "p", "accepting": ["p"], "transitions": {"p": {symbol: "p"}}}
    scancraft.compile(dfa, tmp_path / "m")
    for command in (("run", tmp_path / "m", symbol), ("explain", tmp_path / "m"), ("generate", tmp_path / "m")):
        result = invoke(*command)
        assert result.exit_code == 0
        assert "\x1b" not in result.output
        assert "\u202e" not in result.output
    assert "x1b[2J" in invoke("run", tmp_path / "m", symbol).output
    console().print(f"[{symbol}]")
    assert "\x1b" not in capsys.readouterr().out
    assert printable("plain é\ttext\n") == "plain é\ttext\n"
    assert printable("half \ud800") == "half \\ud800"
