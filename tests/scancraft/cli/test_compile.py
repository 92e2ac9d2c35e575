"""``scancraft compile`` and ``scancraft decide``: what they make and say, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import answer, copied, invoke, refused, written
from kinds import ALL, CASCADE, EXACT, KINDS, LIVE, SWAPPING, TWO_FOR_ONE, Built
from safetensors.torch import load_file

import scancraft
from scancraft.automata.bounded_dyck import BoundedDyck
from scancraft.automata.errors import BudgetExceededError
from scancraft.automata.families import dyck
from scancraft.compiler.checkpoints import load
from scancraft.compiler.manifest import Source


@pytest.mark.parametrize("name", KINDS)
def test_compile_says_what_it_made(name: str, built: Built) -> None:
    kind, (place, facts) = KINDS[name], built(name)
    config = json.loads((place / "config.json").read_text())
    manifest = json.loads((place / "scancraft.json").read_text())
    tensors = load_file(place / "model.safetensors")
    assert facts["directory"] == str(place)
    assert 0 <= facts["seconds"] < 60
    assert facts["blocks"] == config["num_hidden_layers"] == kind.blocks
    assert (facts["d_model"], facts["d_inner"]) == (config["hidden_size"], config["intermediate_size"])
    assert (facts["d_state"], facts["d_conv"]) == (config["state_size"], config["conv_kernel"])
    assert facts["parameters"] == sum(t.numel() for t in tensors.values())
    assert facts["nonzero"] == sum(int(t.count_nonzero()) for t in tensors.values())
    assert manifest["contract"] == kind.contract
    assert facts == facts | kind.facts
    own = {"construction", "contract", "memories", "state_entries", "state_entries_allocated"}
    general = {"states", "image_sets", "height"}
    assert set(facts) & (own | general) == (general if kind.general else own)
    if not kind.general:
        assert kind.theorem in facts["construction"]
        assert facts["contract"] == kind.contract
        assert facts["memories"] <= facts["state_entries"] <= facts["state_entries_allocated"]
        assert facts["state_entries_allocated"] == facts["blocks"] * facts["d_inner"] * facts["d_state"]
    assert sorted(p.name for p in place.iterdir()) == sorted(p.name for p in built("dyck")[0].iterdir())


def test_the_checkpoint_keeps_how_the_language_was_named(built: Built) -> None:
    for name, kind, text in (("D-2", "regex", "(a(ab)*b)*"), ("a^n b^n", "suite", "a^n b^n")):
        source = load(built(name)[0]).manifest.source
        assert source is not None
        assert (source.kind, source.text) == (kind, text)
    source = load(built("file")[0]).manifest.source
    assert source is not None
    assert (source.kind, source.text.rpartition(".")[2]) == ("file", "json")
    assert load(built("dyck")[0]).manifest.source is None


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (("d-2",), lambda: scancraft.named("D-2")),
        (("--named", "a^n b^n"), lambda: scancraft.named("a^n b^n")),
        (("--regex", "(a(ab)*b)*"), lambda: scancraft.regex("(a(ab)*b)*")),
        (("--regex", "a*b & ~(ab)"), lambda: scancraft.regex("a*b & ~(ab)")),
        (("--regex", r"^[ab]+?\d$", "--dialect", "python"), lambda: scancraft.regex(r"^[ab]+?\d$", dialect="python")),
    ],
)
def test_python_writes_the_same_checkpoint(
    arguments: tuple[str, ...], value: Callable[[], Any], tmp_path: Path
) -> None:
    assert invoke("compile", *arguments, "-o", tmp_path / "shell").exit_code == 0
    scancraft.compile(value(), tmp_path / "python")
    shell, python = ({p.name: p.read_bytes() for p in (tmp_path / d).rglob("*.*")} for d in ("shell", "python"))
    assert shell == python


def test_general_and_larger_alphabets_keep_the_name(tmp_path: Path, language: Path) -> None:
    assert invoke("compile", "--named", "Flip-flop", "--general", "-o", tmp_path / "a").exit_code == 0
    assert load(tmp_path / "a").manifest.source == Source("suite", "Flip-flop")
    assert invoke("compile", language, "--alphabet", "a b c", "-o", tmp_path / "b").exit_code == 0
    assert load(tmp_path / "b").manifest.source == Source("file", language.name)


def test_compile_prints_a_table(tmp_path: Path, language: Path) -> None:
    result = invoke("compile", "--dyck", "8,10", "-o", tmp_path / "x")
    assert (result.exit_code, result.stderr) == (0, "")
    rows = [line.rstrip() for line in result.stdout.splitlines()]
    assert any("theorem 6" in row for row in rows)
    for start, end in (("contract", LIVE), ("memories", "41"), ("lower bound bits", "30.0"), ("blocks", "2")):
        assert any(row.startswith(start) and row.endswith(f" {end}") for row in rows), start
    assert rows[-1] == f"written to {tmp_path / 'x'}"
    shown = invoke("compile", language, "-o", tmp_path / "x").stdout
    assert [line.split()[0] for line in shown.splitlines()] == (
        "gates states image height target blocks d d d d parameters nonzero seconds written".split()
    )


@pytest.mark.parametrize("extra", [("--alphabet", "a b c"), ()])
def test_the_alphabet_can_be_named(extra: tuple[str, ...], tmp_path: Path, language: Path) -> None:
    for source in ((language,), ("--regex", "(a|[]b)*")):
        place = tmp_path / f"{len(extra)}{len(source)}"
        assert invoke("compile", *source, *extra, "-o", place).exit_code == 0
        tokens = json.loads((place / "scancraft.json").read_text())["tokens"]
        assert list(tokens)[3:] == (["a", "b", "c"] if extra else ["a", "b"])


def test_a_dfa_always_goes_to_the_general_compiler(built: Built, tmp_path: Path) -> None:
    """Even if it happens to be the flip-flop language."""
    dfa = json.loads((built("flip-flop")[0] / "scancraft.json").read_text())["language"]["dfa"]
    file = written(tmp_path / "dfa.json", dfa)
    facts = answer(invoke("compile", file, "-o", tmp_path / "x", "--json"))
    assert (facts["blocks"], facts["states"], facts["height"]) == (2, 9, 4)  # a plan
    facts = answer(invoke("compile", file, *CASCADE, "-o", tmp_path / "x", "--json"))
    assert (facts["blocks"], facts["states"], facts["height"]) == (4, 9, 4)


def test_general_compiles_the_same_language(built: Built) -> None:
    assert load(built("dyck, general")[0]).language == dyck(2, 3)
    assert load(built("dyck")[0]).language == BoundedDyck(2, 3)
    assert load(built("flip-flop")[0]).language == load(built("flip-flop, general")[0]).language


def test_a_bounded_dyck_language_as_a_file(tmp_path: Path) -> None:
    file = written(tmp_path / "d.json", {"brackets": [["begin", "end"], ["do", "od"]], "depth": 2})
    assert answer(invoke("compile", file, "-o", tmp_path / "x", "--json"))["memories"] == 5
    verdict = answer(invoke("run", tmp_path / "x", "begin do od end", "begin od", "--json"))
    assert [v["accepted"] for v in verdict] == [True, False]
    assert verdict[0]["prefixes"][2]["next"] == ["od"]
    facts = answer(invoke("compile", file, "--general", "-o", tmp_path / "y", "--json"))
    assert (facts["states"], facts["blocks"]) == (8, 3)


def test_more_taps_and_the_general_compilers_states(tmp_path: Path) -> None:
    for number, args in enumerate((("--dyck", "2,2"), ("--named", "a^n b^n"), ("--named", "flip-flop"))):
        facts = answer(invoke("compile", *args, "--d-conv", 4, "-o", tmp_path / str(number), "--json"))
        assert facts["d_conv"] == 4
        assert invoke("check", tmp_path / str(number), "--words", 5, "--short", 50).exit_code == 0
    args = ("compile", "--dyck", "2,2", "--general", "--d-state", 2, "--d-conv", 3, "-o", tmp_path / "g", "--json")
    assert (answer(invoke(*args))["d_state"], answer(invoke(*args))["d_conv"]) == (2, 3)


def test_compile_certify(tmp_path: Path) -> None:
    command = ("compile", "-o", tmp_path / "x", "--certify")
    facts = answer(invoke(*command, "--named", "a^n b^n", "--json"))
    assert (facts["verdict"], facts["scope"], facts["word"]) == ("certified", "every-implementation", None)
    assert facts["certificate"]["method"] == "counters"
    assert facts["certificate"]["limits"] == {"b due": EXACT}
    result = invoke(*command, "--dyck", "2,2")
    assert (result.exit_code, "certified, scope every-implementation" in result.stdout) == (0, True)
    assert invoke("certify", "--check", tmp_path / "x").exit_code == 0
    undecided = answer(invoke(*command, "--dyck", "2,2", "--contract", ALL, "--json"), 3)
    assert (undecided["verdict"], undecided["scope"]) == ("undecided", None)
    assert not (tmp_path / "x" / "certificate.json").exists()  # of the model that was there before


def test_many_kinds_of_brackets(tmp_path: Path) -> None:
    """Symbols of several characters, in words separated by spaces."""
    assert invoke("compile", "--dyck", "5,2", "-o", tmp_path / "x").exit_code == 0
    found = answer(invoke("run", tmp_path / "x", "(1 (5 )5 )1", "(1 )2", "--json"))
    assert [f["accepted"] for f in found] == [True, False]
    assert "not in the alphabet" in refused(invoke("run", tmp_path / "x", "(1)1"))
    for sample in answer(invoke("generate", tmp_path / "x", "-n", 8, "--max-length", 8, "--json")):
        stack: list[str] = []
        for symbol in sample["word"]:
            if symbol[0] == "(":
                stack.append(symbol[1:])
            else:
                assert stack.pop() == symbol[1:]
        assert not (stack and sample["complete"])


# -- what is refused --------------------------------------------------------------------------------------------------


def machine(**changes: Any) -> dict[str, Any]:
    return {**TWO_FOR_ONE, **changes}


BAD: dict[str, tuple[tuple[Any, ...], str]] = {
    "no kinds": (("--dyck", "0,3"), "the number of kinds cannot be 0"),
    "no depth": (("--dyck", "3,0"), "the depth cannot be 0"),
    "negative kinds": (("--dyck", "-1,2"), "at least 1"),
    "negative depth": (("--dyck", "2,-3"), "at least 1"),
    "one number": (("--dyck", "8"), "'8' is not K,h"),
    "three numbers": (("--dyck", "1,2,3"), "is not K,h"),
    "no numbers": (("--dyck", "a,b"), "as in 8,10"),
    "nothing": (("--dyck", ""), "is not K,h"),
    "fraction": (("--dyck", "2.0,3"), "is not K,h"),
    "unknown name": (("--named", "D-5"), "no language of the suite is called 'D-5'; there are Parity"),
    "empty name": (("--named", ""), "no language of the suite"),
    "two names": (("--named", "D-2;D-3"), "no language of the suite"),
    "name and dyck": (("--named", "D-2", "--dyck", "2,2"), "exactly one"),
    "file and dyck": ((TWO_FOR_ONE, "--dyck", "2,2"), "exactly one"),
    "regex and name": (("--regex", "a", "--named", "D-2"), "exactly one"),
    "none": ((), "exactly one"),
    "alphabet of a name": (("--named", "D-2", "--alphabet", "a b c"), "bring their own"),
    "alphabet of dyck": (("--dyck", "2,2", "--alphabet", "( )"), "give one pair per kind"),
    "alphabet of counters": ((TWO_FOR_ONE, "--alphabet", "a b x"), "--alphabet goes with a DFA"),
    "general counters": ((TWO_FOR_ONE, "--general"), "counters have one construction only"),
    "general Dyck-1": (("--named", "Dyck-1", "--general"), "counters have one construction only"),
    "d_state of dyck": (("--dyck", "2,2", "--d-state", 2), "--d-state goes with the general compiler"),
    "d_state of counters": ((TWO_FOR_ONE, "--d-state", 4), "--d-state goes with the general compiler"),
    "d_state of flip-flop": (("--named", "flip-flop", "--d-state", 2), "--d-state goes with the general compiler"),
    "not star-free": (("--named", "Parity", "--gates", "nonnegative"), '"1" permutes the states'),
    "missing file": ((Path("missing.json"),), "cannot be read"),
    "stuck": ((machine(accepting={"p": {"owed": "nonzero"}}),), "machine.json: "),
    "control": ((SWAPPING,), "the control is not star-free: the word 'a' permutes its states p -> q -> p"),
    "brackets": (({"brackets": ["()"], "depth": 2},), "machine.json: a bounded Dyck language is"),
    "no brackets": (({"brackets": [], "depth": 2},), "at least 1"),
    "bracket twice": (({"brackets": [["(", "("]], "depth": 2},), "twice"),
    "depth": (({"brackets": [["(", ")"]], "depth": True},), "the depth cannot be True"),
    "depth as text": (({"brackets": [["(", ")"]], "depth": "2"},), "the depth cannot be '2'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_leaves_nothing_behind(case: str, tmp_path: Path) -> None:
    args, message = BAD[case]
    given = [written(tmp_path / "machine.json", a) if isinstance(a, dict) else a for a in args]
    before = sorted(tmp_path.rglob("*"))
    command = ("compile", *given, "-o", tmp_path / "deep" / "out")
    assert message in refused(invoke(*command))
    error = answer(invoke(*command, "--json"), 2)
    assert message in error["message"] if error["error"] != "not star-free" else error["word"] == ["1"]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("command", [("compile", "-o", "nowhere"), ("decide",)])
def test_bad_languages(command: tuple[str, ...], tmp_path: Path, language: Path) -> None:
    half = '{"alphabet": ["\\ud800"], "initial": "q", "accepting": [], "transitions": {}}'
    for args, message in (
        ((), "exactly one"),
        ((language, "--regex", "a"), "exactly one"),
        ((written(tmp_path / "broken.json", '{"alphabet": '),), "line 1"),
        ((tmp_path / "missing.json",), "cannot be read"),
        (("--regex", "a", "--alphabet", "x"), "{x}"),
        ((written(tmp_path / "half.json", half),), "surrogate"),
    ):
        assert message in refused(invoke(*command, *args))
    result = invoke(*command, "--regex", "(ab")
    assert (result.exit_code, result.stdout) == (2, "")
    message, expression, caret = result.stderr.splitlines()
    assert message.startswith("scancraft: ")
    assert (expression.strip(), caret.strip()) == ("(ab", "^")
    assert answer(invoke(*command, "--regex", "(ab", "--json"), 2)["error"] == "RegexSyntax"


def test_undecided_within_the_budget(tmp_path: Path) -> None:
    tower = ("--regex", "(a|b)*a(a|b){12}")
    shuffle = ("--named", "Shuffle-6", "--seconds", 0)
    for args in (tower, ("--dyck", "8,10", "--general"), shuffle):
        assert "undecided" in refused(invoke("compile", *args, "--budget", 100, "-o", tmp_path / "x"), 3)
        assert not list(tmp_path.iterdir())
    assert answer(invoke("decide", *tower, "--seconds", 0, "--json"), 3)["error"] == "budget exceeded"


def test_a_directory_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").write_text("y")
    assert "not a directory" in refused(invoke("compile", "--regex", "a", "-o", tmp_path / "file"))
    assert "precious" in refused(invoke("compile", "--regex", "a", "-o", tmp_path / "full"))
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["precious"]
    assert (tmp_path / "file").read_text() == "x"


def test_an_error_leaves_the_checkpoint_that_was_there(built: Built, tmp_path: Path) -> None:
    place = copied(built("dyck")[0], tmp_path)
    before = {p: p.read_bytes() for p in place.rglob("*") if p.is_file()}
    for args in (
        ("--dyck", "2,0"),
        ("--named", "Tomita-6", "--gates", "signed"),
        (written(tmp_path / "machine.json", SWAPPING),),
    ):
        refused(invoke("compile", *args, "-o", place))
    assert {p: p.read_bytes() for p in place.rglob("*") if p.is_file()} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted({place.name, "machine.json"})
    assert invoke("compile", "--named", "Dyck-1", "-o", place).exit_code == 0
    assert answer(invoke("run", place, "((", "--json"))[0]["prefixes"][2]["next"] == ["(", ")"]


# -- decide ----------------------------------------------------------------------------------------------------------


def test_decide(language: Path) -> None:
    result = invoke("decide", language)
    assert (result.exit_code, result.stdout.startswith("star-free")) == (0, True)
    assert "gates: nonnegative" in result.stdout
    decision = json.loads(invoke("decide", "--regex", "(a(ab)*b)*", "--json").stdout)
    assert decision.pop("reason").startswith("no word permutes states of the minimal DFA, so")
    assert [decision.pop(key) for key in ("architecture", "blocks", "layers")] == ["mamba", 3, 3]
    assert decision == {"star_free": True, "states": 4, "gates": "nonnegative", "group": None}
    result = invoke("decide", "--regex", "(aaa)*")
    assert (result.exit_code, result.stderr) == (1, "")
    assert "not star-free" in result.stdout
    assert result.stdout.endswith("architecture: olmo_hybrid, 3 layers, for 2 blocks (a cascade)\n")
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
    assert (result.exit_code, result.stdout.count("\n")) == (1, 6)
    assert "gates: signed" in result.stdout


def test_gates_may_stay_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdict on star-freeness stands where only the gates are undecided."""

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


def test_decide_is_for_regular_languages(tmp_path: Path) -> None:
    counters = written(tmp_path / "counters.json", TWO_FOR_ONE)
    brackets = written(tmp_path / "brackets.json", {"brackets": [["(", ")"]], "depth": 3})
    assert "give a regular language" in refused(invoke("decide", counters))
    assert answer(invoke("decide", brackets, "--json"))["states"] == 5
    assert answer(invoke("decide", counters, "--json"), 2)["error"] == "NotRegular"
