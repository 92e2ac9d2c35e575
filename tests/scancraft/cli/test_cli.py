"""The command line: what each command prints, its exit codes, and clear errors for bad input."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from command_line import invoke, refused
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

import scancraft
from scancraft.cli.app import app
from scancraft.cli.io import one_line
from scancraft.cli.run import HEAD, TAIL, verdicts
from scancraft.models.readout import Readout

REGEX = "(a(ab)*b)*"  # D-2: balanced, at most two deep
NOT_STAR_FREE = "(aa)*"
COMMANDS = ("compile", "check", "run", "generate", "explain", "decide")


def shell(*args: object, cwd: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(Path(scancraft.__file__).parent.parent)}
    command = [sys.executable, "-m", "scancraft.cli.app", *map(str, args)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, **more)


def right(word: tuple[str, ...]) -> tuple[bool, set[str]]:
    """D-2 by counting: whether the word is in it, and what may come next."""
    depth = 0
    for symbol in word:
        depth += 1 if symbol == "a" else -1
        if not 0 <= depth <= 2:
            return False, set()
    following = ({"a"} if depth < 2 else set()) | ({"b"} if depth > 0 else {"<eos>"})
    return depth == 0, following


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Continuous integration may ask for colours, which would stand between the words looked for."""
    for name in ("FORCE_COLOR", "PY_COLORS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def d2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("cli") / "d2"
    assert invoke("compile", "--regex", REGEX, "-o", place).exit_code == 0
    return place


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Symbols of more than one character, some of which mean something to rich."""
    place = tmp_path_factory.mktemp("cli") / "stack"
    assert invoke("compile", "--regex", "('push' '[red]pop')*", "-o", place).exit_code == 0
    return place


@pytest.fixture
def language(tmp_path: Path) -> Path:
    """a* as a file."""
    path = tmp_path / "language.json"
    rows = {"p": {"a": "p"}}
    path.write_text(json.dumps({"alphabet": ["a", "b"], "initial": "p", "accepting": ["p"], "transitions": rows}))
    return path


# -- the program as a whole ------------------------------------------------------------------------------------------


def test_help_and_decide_do_not_import_torch(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from scancraft.cli.app import app\n"
        "for args in (['--help'], ['--version'], ['decide', '--regex', 'a*'], ['run', '--help']):\n"
        "    try:\n"
        "        app(args, prog_name='scancraft')\n"
        "    except SystemExit as leave:\n"
        "        assert not leave.code, args\n"
        "assert not {'torch', 'transformers', 'numba', 'matplotlib'} & set(sys.modules)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(scancraft.__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"scancraft {scancraft.__version__}" in done.stdout
    assert all(command in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0
    shown = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout)
    assert f"Example: scancraft {command} " in shown
    assert "--json" in shown


def test_usage_errors_exit_with_2() -> None:
    assert invoke("no-such-command").exit_code == 2
    assert invoke("compile", "--regex", "a").exit_code == 2  # no -o
    assert invoke("decide", "--regex", "a", "--budget", "0").exit_code == 2
    assert invoke("check", "x", "--words", "many").exit_code == 2


def test_outside_of_the_tests_standard_output_is_pure_json_and_standard_error_silent(d2: Path, tmp_path: Path) -> None:
    done = shell("check", d2, "--words", 20, "--short", 100, "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["verdict"] == "agrees"


def test_a_closed_pipe_ends_the_program_quietly(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(scancraft.__file__).parent.parent)}
    command = [sys.executable, "-m", "scancraft.cli.app", "decide", "--regex", "a*", "--json"]
    with subprocess.Popen(command, env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_interrupt_and_refused_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def raising(error: BaseException) -> Callable[..., Any]:
        def compile(*_: object, **__: object) -> Any:
            raise error

        return compile

    monkeypatch.setattr("scancraft.compiler.compile.compile", raising(KeyboardInterrupt()))
    result = invoke("compile", "--regex", "a", "-o", tmp_path / "x")
    assert (result.exit_code, result.stderr) == (130, "scancraft: interrupted\n")
    monkeypatch.setattr("scancraft.compiler.compile.compile", raising(OSError(28, "No space left on device")))
    assert "No space left" in refused(invoke("compile", "--regex", "a", "-o", tmp_path / "x"))
    result = invoke("compile", "--regex", "a", "-o", tmp_path / "x", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"] == "FileAccess"


def test_messages_are_folded_except_below_a_caret() -> None:
    assert one_line("one\n    two\n\n three ") == "one two three"
    assert one_line("bad\n    (a\n     ^") == "bad\n    (a\n     ^"


# -- compile ---------------------------------------------------------------------------------------------------------


def test_compile_writes_a_checkpoint_and_says_what_it_is(tmp_path: Path) -> None:
    place = tmp_path / "out" / "d2"
    result = invoke("compile", "--regex", REGEX, "-o", place, "--d-state", 2, "--d-conv", 4, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    facts = json.loads(result.stdout)
    config = json.loads((place / "config.json").read_text())
    tensors = load_file(place / "model.safetensors")
    assert facts.pop("seconds") >= 0
    assert "star-free" in facts.pop("reason")
    assert facts == {
        "directory": str(place),
        "gates": "nonnegative",
        "states": 4,
        "image_sets": 10,
        "height": 3,
        "target": "mamba",
        "blocks": config["num_hidden_layers"],
        "d_model": config["hidden_size"],
        "d_inner": config["intermediate_size"],
        "d_state": 2,
        "d_conv": 4,
        "parameters": sum(t.numel() for t in tensors.values()),
        "nonzero": sum(int(t.count_nonzero()) for t in tensors.values()),
    }
    assert (config["state_size"], config["conv_kernel"]) == (2, 4)


def test_compile_prints_a_table(tmp_path: Path, language: Path) -> None:
    result = invoke("compile", language, "-o", tmp_path / "x")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == (
        "gates states image height target blocks d d d d parameters nonzero seconds written".split()
    )
    assert str(tmp_path / "x") in result.stdout.splitlines()[-1]


@pytest.mark.parametrize("extra", [("--alphabet", "a b c"), ()])
def test_the_alphabet_can_be_named(extra: tuple[str, ...], tmp_path: Path, language: Path) -> None:
    for source in ((language,), ("--regex", "(a|[]b)*")):
        place = tmp_path / f"{len(extra)}{len(source)}"
        assert invoke("compile", *source, *extra, "-o", place).exit_code == 0
        tokens = json.loads((place / "scancraft.json").read_text())["tokens"]
        assert list(tokens)[3:] == (["a", "b", "c"] if extra else ["a", "b"])


def test_not_star_free(tmp_path: Path) -> None:
    place = tmp_path / "x"
    assert '"a" permutes the states' in refused(
        invoke("compile", "--regex", NOT_STAR_FREE, "-o", place, "--gates", "nonnegative")
    )
    result = invoke("compile", "--regex", NOT_STAR_FREE, "-o", place, "--gates", "nonnegative", "--json")
    assert (result.exit_code, result.stderr) == (2, "")
    witness = json.loads(result.stdout)
    del witness["message"]
    assert witness == {"error": "not star-free", "word": ["a"], "states": ["0", "1"], "period": 2, "access": []}
    assert not place.exists()


def test_undecided(tmp_path: Path) -> None:
    tower = "(a|b)*a(a|b){12}"
    assert "undecided" in refused(invoke("compile", "--regex", tower, "--budget", 100, "-o", tmp_path / "x"), 3)
    result = invoke("decide", "--regex", tower, "--seconds", 0, "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["error"] == "budget exceeded"


@pytest.mark.parametrize("command", [("compile", "-o", "nowhere"), ("decide",)])
def test_bad_languages(command: tuple[str, ...], tmp_path: Path, language: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"alphabet": ')
    assert "exactly one" in refused(invoke(*command))
    assert "exactly one" in refused(invoke(*command, language, "--regex", "a"))
    assert "line 1" in refused(invoke(*command, broken))
    assert "cannot be read" in refused(invoke(*command, tmp_path / "missing.json"))
    assert "{x}" in refused(invoke(*command, "--regex", "a", "--alphabet", "x"))
    result = invoke(*command, "--regex", "(ab")
    assert (result.exit_code, result.stdout) == (2, "")
    message, expression, caret = result.stderr.splitlines()
    assert message.startswith("scancraft: ")
    assert (expression.strip(), caret.strip()) == ("(ab", "^")
    result = invoke(*command, "--regex", "(ab", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"] == "RegexSyntax"


def test_a_directory_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").write_text("y")
    assert "not a directory" in refused(invoke("compile", "--regex", "a", "-o", tmp_path / "file"))
    assert "not empty" in refused(invoke("compile", "--regex", "a", "-o", tmp_path / "full"))
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["precious"]
    assert (tmp_path / "file").read_text() == "x"


# -- decide ----------------------------------------------------------------------------------------------------------


def test_decide(language: Path) -> None:
    result = invoke("decide", language)
    assert (result.exit_code, result.stdout.startswith("star-free")) == (0, True)
    assert "gates: nonnegative" in result.stdout
    decision = json.loads(invoke("decide", "--regex", REGEX, "--json").stdout)
    assert decision.pop("reason").startswith("no word permutes states of the minimal DFA, so")
    assert decision == {"star_free": True, "states": 4, "gates": "nonnegative", "group": None}
    result = invoke("decide", "--regex", "(aaa)*")
    assert (result.exit_code, result.stderr) == (1, "")
    assert "not star-free" in result.stdout
    result = invoke("decide", "--regex", "b(aaa)*", "--json")
    assert result.exit_code == 1
    witness = json.loads(result.stdout)
    assert (witness["star_free"], witness["word"], witness["period"]) == (False, ["a"], 3)
    assert witness["access"] == ["b"]
    assert witness["error"] == "not star-free"
    assert "not star-free" in witness["message"]
    assert (witness["gates"], witness["group"]["name"]) == ("complex", "Z3")
    assert set(witness["group"]["states"]) == set(witness["states"])
    assert 'the word "a" permutes the states' in witness["reason"]


def test_decide_says_which_gates(tmp_path: Path) -> None:
    letters = {"r": [1, 2, 3, 4, 0], "s": [1, 0, 2, 3, 4]}  # they generate S5
    rows = {str(q): {a: str(images[q]) for a, images in letters.items()} for q in range(5)}
    path = tmp_path / "s5.json"
    path.write_text(json.dumps({"alphabet": ["r", "s"], "initial": "0", "accepting": ["0"], "transitions": rows}))
    result = invoke("decide", path)
    assert result.exit_code == 1
    assert "gates: unsolvable" in result.stdout
    assert "S5 (order 120, on 5 states); composition factors A5, Z2" in result.stdout
    group = json.loads(invoke("decide", path, "--json").stdout)["group"]
    assert group["composition_factors"] == {"A5": 1, "Z2": 1}
    assert {"word": ["s"], "images": ["1", "0", "2", "3", "4"]} in group["generators"]
    result = invoke("decide", "--regex", "(0*10*1)*0*")
    assert (result.exit_code, result.stdout.count("\n")) == (1, 5)
    assert "gates: signed" in result.stdout


def test_gates_may_stay_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdict on star-freeness stands where only the gates are undecided."""
    from scancraft.automata.errors import BudgetExceededError

    def out_of_time(*_: object) -> None:
        raise BudgetExceededError("image sets", 11, 10)

    monkeypatch.setattr("scancraft.cli.decide.classify_by_groups", out_of_time)
    result = invoke("decide", "--regex", "(aa)*", "--json")
    assert result.exit_code == 1
    decision = json.loads(result.stdout)
    assert (decision["star_free"], decision["word"], decision["gates"], decision["group"]) == (False, ["a"], None, None)
    assert "undecided" in decision["reason"]
    result = invoke("decide", "--regex", "(aa)*")
    assert result.exit_code == 1
    assert "\ngates: undecided: the search reached 11 image sets" in result.stdout


# -- check -----------------------------------------------------------------------------------------------------------


def test_check_agrees_on_the_words_tried(d2: Path) -> None:
    result = invoke("check", d2, "--words", 30, "--max-length", 40, "--short", 300)
    assert result.exit_code == 0
    assert "on the words tried" in result.stdout
    result = invoke("check", d2, "--words", 30, "--max-length", 40, "--short", 300, "--json")
    report = json.loads(result.stdout)
    assert (report["verdict"], report["disagreement"], report["wrong"]) == ("agrees", None, 0)
    assert (report["exhaustive_to"], report["words"]) == (7, 30 + 255)


def test_check_finds_a_disagreement(d2: Path, language: Path) -> None:
    result = invoke("check", d2, "--regex", "(ab)*", "--words", 10, "--short", 100)
    assert result.exit_code == 1
    assert "'a'" in result.stdout
    result = invoke("check", d2, "--language", language, "--words", 0, "--short", 100, "--json")
    assert (result.exit_code, result.stderr) == (1, "")
    found = json.loads(result.stdout)
    assert found["verdict"] == "disagreement"
    assert found["disagreement"] == {"word": ["a"], "model": ["a", "b"], "right": ["<eos>", "a"]}


def test_check_of_nothing_or_against_two_languages_is_refused(d2: Path, language: Path, tmp_path: Path) -> None:
    assert "nothing to try" in refused(invoke("check", d2, "--words", 0, "--short", 0))
    assert "at most one" in refused(invoke("check", d2, "--regex", "a", "--language", language))
    assert "not in the alphabet" in refused(invoke("check", d2, "--regex", "x*"))
    assert "cannot be read" in refused(invoke("check", d2, "--language", tmp_path / "none.json"))


# -- run -------------------------------------------------------------------------------------------------------------


def test_run_says_what_is_right_for_every_prefix_of_every_short_word(d2: Path) -> None:
    words = ["".join(w) for n in range(7) for w in product("ab", repeat=n)]
    result = invoke("run", d2, "--json", stdin="".join(f"{w}\n" for w in words))
    assert (result.exit_code, result.stderr) == (0, "")
    answers = json.loads(result.stdout)
    assert ["".join(answer["word"]) for answer in answers] == words
    for answer in answers:
        word = tuple(answer["word"])
        assert [p["symbol"] for p in answer["prefixes"]] == [None, *word]
        for t, prefix in enumerate(answer["prefixes"]):
            assert (prefix["accepted"], set(prefix["next"])) == right(word[:t])
        assert answer["accepted"] == right(word)[0]


def test_run_takes_words_from_arguments_a_file_or_standard_input(d2: Path, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(b"\xef\xbb\xbfab\r\n\r\naab")
    from_file = invoke("run", d2, "--file", path)
    assert from_file.exit_code == 0
    assert invoke("run", d2, "ab", "", "aab").stdout == from_file.stdout
    assert invoke("run", d2, stdin="ab\n\naab\n").stdout == from_file.stdout
    assert [line for line in from_file.stdout.splitlines() if ": " in line] == (
        ["ab: accepted", "(the empty word): accepted", "aab: rejected"]
    )
    assert json.loads(invoke("run", d2, "--json", stdin="").stdout) == []
    assert json.loads(invoke("run", d2, "--json", stdin="\n").stdout) == (
        [
            {
                "word": [],
                "accepted": True,
                "prefixes": [{"symbol": None, "accepted": True, "next": ["a", "<eos>"]}],
            }
        ]
    )


def test_run_table(d2: Path) -> None:
    lines = invoke("run", d2, "aba").stdout.splitlines()
    assert [line.split() for line in lines[1:5]] == [
        ["0", "<bos>", "accepted", "a", "<eos>"],
        ["1", "a", "rejected", "a", "b"],
        ["2", "b", "accepted", "a", "<eos>"],
        ["3", "a", "rejected", "a", "b"],
    ]
    assert "-" in invoke("run", d2, "b").stdout.splitlines()[2].split()  # nothing may follow a dead prefix


def test_run_on_symbols_of_several_characters(stack: Path) -> None:
    result = invoke("run", stack, "push [red]pop", "push push", "")
    assert result.exit_code == 0
    assert [line for line in result.stdout.splitlines() if ": " in line] == (
        ["push [red]pop: accepted", "push push: rejected", "(the empty word): accepted"]
    )
    assert "1  push" in result.stdout
    assert "2  [red]pop" in result.stdout
    answer = json.loads(invoke("run", stack, "  push   [red]pop ", "--json").stdout)[0]
    assert answer["word"] == ["push", "[red]pop"]
    assert [p["next"] for p in answer["prefixes"]] == [["push", "<eos>"], ["[red]pop"], ["push", "<eos>"]]


def test_run_on_a_long_word(d2: Path) -> None:
    word = "aabb" * 2500
    shown = invoke("run", d2, word)
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert len(lines) == 1 + HEAD + 1 + TAIL + 2
    assert lines[-2].endswith("(10,000 symbols): accepted")
    assert f"({10_001 - HEAD - TAIL:,} rows;" in lines[1 + HEAD]
    assert lines[HEAD + TAIL + 1].split() == ["10000", "b", "accepted", "a", "<eos>"]
    assert len(invoke("run", d2, word[:100], "--full").stdout.splitlines()) == 1 + 101 + 2


def test_run_refuses_what_it_cannot_read(d2: Path, tmp_path: Path) -> None:
    assert "'c' at position 2" in refused(invoke("run", d2, "abc"))
    assert "line 2" in refused(invoke("run", d2, stdin="ab\nax\n"))
    assert "not both" in refused(invoke("run", d2, "ab", "--file", tmp_path / "f"))
    assert "cannot be read" in refused(invoke("run", d2, "--file", tmp_path / "f"))
    assert "not UTF-8" in refused(invoke("run", d2, stdin=b"a\xff\n"))
    result = invoke("run", d2, "abc", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"] == "UnknownSymbol"


def test_under_live_prefixes_nothing_follows_a_symbol_that_was_ruled_out() -> None:
    def model(ids: Any) -> Any:
        """Always allows a (3) and the end (2), never b (4)."""
        scores = -torch.ones(*ids.shape, 8)
        scores[..., [2, 3]] = 1.0
        return scores

    dfa = scancraft.parse_regex("a*", "ab")
    for contract, last in (("all-words", [True, True, False]), ("live-prefixes", [False, False, False])):
        readout = Readout(tokens={"a": 3, "b": 4}, bos=1, accept=2, contract=contract)
        checkpoint: Any = SimpleNamespace(language=dfa, readout=readout, runner=lambda: model)
        short, long = verdicts(checkpoint, [("a",), ("a", "b", "a")])
        assert short.accepted.tolist() == [True, True]
        assert long.accepted.tolist()[:2] == [True, True]
        assert [bool(long.accepted[3]), *long.following[3].tolist()] == last


# -- generate --------------------------------------------------------------------------------------------------------


def test_generate(d2: Path) -> None:
    args = ("generate", d2, "-n", 30, "--prompt", "aab", "--max-length", 20)
    first = invoke(*args, "--json")
    assert (first.exit_code, first.stderr) == (0, "")
    samples = json.loads(first.stdout)
    assert len(samples) == 30
    for sample in samples:
        word = tuple(sample["word"])
        accepted, following = right(word)
        assert word[:3] == ("a", "a", "b")
        assert accepted if sample["complete"] else following
    assert invoke(*args, "--json").stdout == first.stdout
    assert invoke(*args, "--json", "--seed", 1).stdout != first.stdout
    lines = invoke(*args).stdout.splitlines()
    assert lines == ["".join(s["word"]) + ("" if s["complete"] else " …") for s in samples]


def test_generate_refuses_dead_prompts_and_empty_languages(d2: Path, tmp_path: Path) -> None:
    assert "nothing can follow" in refused(invoke("generate", d2, "--prompt", "b"))
    assert "more than --max-length" in refused(invoke("generate", d2, "--prompt", "ab", "--max-length", 1))
    assert "not in the alphabet" in refused(invoke("generate", d2, "--prompt", "x"))
    assert invoke("compile", "--regex", "[]&a", "-o", tmp_path / "empty").exit_code == 0
    assert "the language is empty" in refused(invoke("generate", tmp_path / "empty"))


# -- explain ---------------------------------------------------------------------------------------------------------


def test_explain_shows_every_part(d2: Path) -> None:
    manifest = json.loads((d2 / "scancraft.json").read_text())
    facts = json.loads(invoke("explain", d2, "--json").stdout)
    assert facts["residual"] == [dimension["name"] for dimension in manifest["residual"]]
    assert facts["readout"] == manifest["states"]
    assert facts["tokens"] == manifest["tokens"]
    assert [b["channels"] for b in facts["blocks"]] == [b["channels"] for b in manifest["blocks"]]
    assert [b["slots_after"] for b in facts["blocks"]] == [b["slots_after"] for b in manifest["blocks"]]
    assert [b["level"] for b in facts["blocks"]] == [3, 2, 1]
    assert facts["blocks"][0]["memory"] == {
        "values": [0, 1],
        "sets": [{"set": "{0,1,2,3}", "tiles": {"0": "{0,1,2}", "1": "{1,2,3}"}}],
    }
    shown = invoke("explain", d2)
    assert shown.exit_code == 0
    for block in facts["blocks"]:
        for channel in block["channels"]:
            assert channel["meaning"] in shown.stdout


def test_explain_one_block(d2: Path) -> None:
    facts = json.loads(invoke("explain", d2, "--json").stdout)
    assert json.loads(invoke("explain", d2, "--block", 1, "--json").stdout)["blocks"] == [facts["blocks"][1]]
    shown = invoke("explain", d2, "--block", 1).stdout
    assert "block 1: level 2" in shown
    assert "block 0" not in shown
    assert "residual" not in shown
    assert "from 0 to 2" in refused(invoke("explain", d2, "--block", 3))
    assert "--block" in refused(invoke("explain", d2, "--block", 0, "--stage", "dfa"))


@pytest.mark.parametrize("stage", ["dfa", "cascade", "rules", "program", "weights"])
def test_explain_prints_a_stage(stage: str, d2: Path) -> None:
    text = str(getattr(scancraft.compile(REGEX), stage))
    result = invoke("explain", d2, "--stage", stage)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{text}\n", "")
    assert json.loads(invoke("explain", d2, "--stage", stage, "--json").stdout) == {"stage": stage, "text": text}


def test_explain_says_when_the_stages_are_not_the_checkpoints(d2: Path, tmp_path: Path) -> None:
    place = tampered(d2, tmp_path, lambda m: m.update(construction="by hand"))
    result = invoke("explain", place, "--stage", "dfa")
    assert result.exit_code == 0
    assert "otherwise than the checkpoint" in result.stderr


def test_explain_draws(d2: Path, tmp_path: Path) -> None:
    target = tmp_path / "d2.svg"
    result = invoke("explain", d2, "--picture", target, "--json")
    assert json.loads(result.stdout) == {"picture": str(target)}
    assert target.read_text().startswith("<?xml")
    assert ".png, .svg, .pdf" in refused(invoke("explain", d2, "--picture", tmp_path / "d2.gif"))


def test_a_language_without_levels_is_explained(tmp_path: Path) -> None:
    place = tmp_path / "all"
    assert invoke("compile", "--regex", "a*", "-o", place).exit_code == 0
    shown = invoke("explain", place)
    assert shown.exit_code == 0
    assert "read-out" in shown.stdout
    assert "no block 0" in refused(invoke("explain", place, "--block", 0))


# -- checkpoints that are none ---------------------------------------------------------------------------------------


def copied(place: Path, tmp_path: Path) -> Path:
    target = tmp_path / "copy"
    shutil.copytree(place, target)
    return target


def tampered(place: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    target = copied(place, tmp_path)
    manifest = json.loads((target / "scancraft.json").read_text())
    change(manifest)
    (target / "scancraft.json").write_text(json.dumps(manifest))
    return target


def commands(place: Path) -> Iterator[Result]:
    for args in (("run", place, "ab"), ("check", place, "--words", 2, "--short", 10), ("generate", place)):
        yield invoke(*args)


MANIFESTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "schema": lambda m: m.update(schema_version=99),
    "no schema": lambda m: m.pop("schema_version"),
    "no tokens": lambda m: m.pop("tokens"),
    "token list": lambda m: m.update(tokens=["a"]),
    "token name": lambda m: m["tokens"].update(a="three"),
    "token fraction": lambda m: m["tokens"].update(a=3.5),
    "token twice": lambda m: m["tokens"].update(a=4),
    "token beyond the model": lambda m: m["tokens"].update(a=99),
    "symbol gone": lambda m: m["tokens"].pop("a"),
    "no bos": lambda m: m["tokens"].pop("<bos>"),
    "special tokens": lambda m: m.update(special_tokens=5),
    "special token": lambda m: m.update(special_tokens={"bos": []}),
    "contract": lambda m: m.update(contract="some-words"),
    "language": lambda m: m.update(language=5),
    "dfa": lambda m: m["language"].update(dfa={"alphabet": ["a", "b"]}),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_tampered_manifests(case: str, d2: Path, tmp_path: Path) -> None:
    for result in commands(tampered(d2, tmp_path, MANIFESTS[case])):
        refused(result)


@pytest.mark.parametrize("key", ["residual", "blocks", "levels", "shape"])
def test_explain_needs_the_labels(key: str, d2: Path, tmp_path: Path) -> None:
    refused(invoke("explain", tampered(d2, tmp_path, lambda m: m.update({key: 5}))))


def test_a_wrong_token_map_is_a_disagreement(d2: Path, tmp_path: Path) -> None:
    place = tampered(d2, tmp_path, lambda m: m["tokens"].update(a=4, b=3))
    result = invoke("check", place, "--words", 2, "--short", 10)
    assert (result.exit_code, "tokenizer.json" in result.stderr) == (2, True)
    words = json.loads((place / "tokenizer.json").read_text())
    words["model"]["vocab"] |= {"a": 4, "b": 3}
    (place / "tokenizer.json").write_text(json.dumps(words))
    assert invoke("check", place, "--words", 2, "--short", 10).exit_code == 1


def _not_a_number(place: Path) -> None:
    tensors = load_file(place / "model.safetensors")
    tensors["lm_head.weight"][0, 0] = float("nan")
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})


def _truncate(place: Path) -> None:
    path = place / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _config(key: str, value: object) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        config = json.loads((place / "config.json").read_text())
        (place / "config.json").write_text(json.dumps({**config, key: value}))

    return change


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "NaN": (_not_a_number, "NaN"),
    "truncated": (_truncate, "model.safetensors"),
    "empty weights": (lambda p: (p / "model.safetensors").write_bytes(b""), "model.safetensors"),
    "no weights": (lambda p: (p / "model.safetensors").unlink(), "missing"),
    "no config": (lambda p: (p / "config.json").unlink(), "missing"),
    "no manifest": (lambda p: (p / "scancraft.json").unlink(), "holds no scancraft.json"),
    "manifest not JSON": (lambda p: (p / "scancraft.json").write_text("{"), "not readable JSON"),
    "config not JSON": (lambda p: (p / "config.json").write_text("{"), "config.json"),
    "config of another shape": (_config("hidden_size", 32), "does not fit"),
    "config of nothing": (_config("hidden_size", "wide"), "config.json"),
    "config with no such function": (_config("hidden_act", "magic"), "config.json"),
}


@pytest.mark.parametrize("case", FILES)
def test_damaged_files(case: str, d2: Path, tmp_path: Path) -> None:
    place = copied(d2, tmp_path)
    damage, message = FILES[case]
    damage(place)
    for result in commands(place):
        assert message in refused(result)


def test_directories_that_are_no_checkpoints(tmp_path: Path) -> None:
    for command in ("run", "check", "generate", "explain"):
        assert "not a directory" in refused(invoke(command, tmp_path / "none"))
        assert "holds no scancraft.json" in refused(invoke(command, tmp_path))
    result = invoke("run", tmp_path, "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"] == "Checkpoint"


# -- what a stranger found -------------------------------------------------------------------------------------------


def test_half_a_surrogate_is_no_symbol(tmp_path: Path) -> None:
    path = tmp_path / "language.json"
    path.write_text('{"alphabet": ["\\ud800"], "initial": "q", "accepting": ["q"], "transitions": {}}')
    result = CliRunner().invoke(app, ["compile", str(path), "-o", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "surrogate" in result.stderr


def test_a_swapped_tokenizer_and_a_changed_configuration_are_noticed(tmp_path: Path) -> None:
    for file, change in (
        ("tokenizer.json", lambda t: t.replace('"a": 3', '"a": 4', 1).replace('"b": 4', '"b": 3', 1)),
        ("config.json", lambda t: t.replace('"dtype": "float32"', '"dtype": "float16"')),
        ("config.json", lambda t: t.replace('"tie_word_embeddings": false', '"tie_word_embeddings": true')),
        ("config.json", lambda t: t.replace('"pad_token_id": 0', '"pad_token_id": 3')),
    ):
        place = tmp_path / "out"
        assert CliRunner().invoke(app, ["compile", "--regex", "(ab)*", "-o", str(place)]).exit_code == 0
        before = (place / file).read_text()
        (place / file).write_text(change(before))
        assert (place / file).read_text() != before
        result = CliRunner().invoke(app, ["check", str(place)])
        assert result.exit_code == 2, (file, result.output)
        assert file in result.stderr


def test_compile_certify_has_the_verdict_on_top(tmp_path: Path) -> None:
    command = ["compile", "--regex", "(ab)*", "-o", str(tmp_path / "out"), "--certify", "--json"]
    facts = json.loads(CliRunner().invoke(app, command).stdout)
    assert (facts["verdict"], facts["scope"], facts["word"]) == ("certified", "every-implementation", None)
    assert facts["margin"] > 0
    result = CliRunner().invoke(app, ["certify", "--check", str(tmp_path / "out"), "--json"])
    assert json.loads(result.stdout)["verdict"] == "certified"


def test_a_bug_is_not_a_disagreement(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("scancraft.cli.decide.read_language", broken)
    assert CliRunner().invoke(app, ["decide", "--regex", "a"]).exit_code == 70


def test_unknown_symbols_never_become_known_ones(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    scancraft.compile(scancraft.Dfa.universal(("<unk>", "[UNK]", "x")), tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer("[UNK] x").input_ids == [1, 4, 5]
    with pytest.raises(Exception, match="UNK"):
        tokenizer("zzz")


def test_beam_search_and_padding_on_the_right_are_explained(tmp_path: Path) -> None:
    import torch

    compiled = scancraft.compile("(ab)*")
    processor = scancraft.LanguageLogitsProcessor(eos=2, pad=0)
    scores = compiled.model()(torch.tensor([[1, 3]])).logits[:, -1]
    with pytest.raises(scancraft.ScancraftError, match="beam search"):
        processor(torch.tensor([[1, 3]]), torch.log_softmax(scores, dim=-1))
    with pytest.raises(scancraft.ScancraftError, match="pad prompts on the left"):
        processor(torch.tensor([[1, 0]]), torch.full_like(scores, -16.0))
