"""The command line on the paper's own constructions: flip-flop, bounded Dyck, counters; beside the general compiler."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from command_line import invoke, refused
from safetensors.torch import load_file, save_file
from typer.testing import Result

from scancraft.automata.bounded_dyck import BoundedDyck
from scancraft.automata.families import dyck
from scancraft.compiler.checkpoints import load

EOS = "<eos>"
DEAD: frozenset[str] = frozenset()
TWO_FOR_ONE: dict[str, Any] = {  # a owes two bs; x ends the word once all are paid
    "alphabet": ["a", "b", "x"],
    "counters": ["owed"],
    "initial": "p",
    "transitions": {
        "p": {
            "a": {"to": "p", "add": {"owed": 2}},
            "b": {"to": "p", "add": {"owed": -1}, "when": {"owed": "positive"}},
            "x": {"to": "end", "when": {"owed": "zero"}},
        }
    },
    "accepting": {"end": {}},
}
GIANT: dict[str, Any] = {  # four as are exact in float32, a fifth is not
    "alphabet": ["a", "b"],
    "counters": ["debt"],
    "initial": "q",
    "transitions": {
        "q": {
            "a": {"to": "q", "add": {"debt": 2**22}},
            "b": {"to": "q", "add": {"debt": -1}, "when": {"debt": "positive"}},
        }
    },
    "accepting": {"q": {"debt": "zero"}},
}
SWAPPING: dict[str, Any] = {  # a permutes the control states
    "alphabet": ["a"],
    "counters": ["n"],
    "initial": "p",
    "transitions": {"p": {"a": {"to": "q", "add": {"n": 1}}}, "q": {"a": {"to": "p", "add": {"n": 1}}}},
    "accepting": {"p": {}, "q": {}},
}


# -- the languages, without scancraft ---------------------------------------------------------------------------------


def after_flip_flop(word: Sequence[str]) -> frozenset[str]:
    """What may come after a prefix: an instruction or the end after bits, a bit after an instruction."""
    stored, pending = "", ""
    for symbol in word:
        if pending:
            if symbol not in "01" or (pending == "r" and symbol != stored):
                return DEAD
            stored, pending = symbol if pending == "w" else stored, ""
        elif symbol in ("w", "r", "i") and (stored or symbol == "w"):
            pending = symbol
        else:
            return DEAD
    if pending:
        return frozenset(stored if pending == "r" else "01")
    return frozenset({*("wri" if stored else "w"), EOS})


def after_brackets(word: Sequence[str], pairs: Sequence[str] = ("()", "[]"), deepest: int = 3) -> frozenset[str]:
    stack: list[str] = []
    opened = {pair[0]: pair[1] for pair in pairs}
    for symbol in word:
        if symbol in opened:
            stack.append(opened[symbol])
            if len(stack) > deepest:
                return DEAD
        elif not stack or stack.pop() != symbol:
            return DEAD
    return frozenset({*(opened if len(stack) < deepest else ()), stack[-1] if stack else EOS})


def after_dyck_1(word: Sequence[str]) -> frozenset[str]:
    return after_brackets(word, ("()",), 10**9)


def after_blocks(word: Sequence[str]) -> frozenset[str]:
    """a^n b^n with n >= 1."""
    a, b = word.count("a"), word.count("b")
    if "".join(word) != "a" * a + "b" * b or b > a:
        return DEAD
    if not b:
        return frozenset("ab" if a else "a")
    return frozenset({"b" if b < a else EOS})


def after_two_for_one(word: Sequence[str]) -> frozenset[str]:
    owed = 0
    for place, symbol in enumerate(word):
        if symbol == "x":
            return frozenset({EOS}) if owed == 0 and place == len(word) - 1 else DEAD
        owed += 2 if symbol == "a" else -1
        if owed < 0:
            return DEAD
    return frozenset("ab" if owed else "ax")


# -- one checkpoint of every kind -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """How a checkpoint is compiled, and what must come of it.

    Attributes:
        args: of ``scancraft compile``; a dict stands for a file that holds it.
        after: the language.
        contract: what is promised.
        blocks: Mamba blocks.
        theorem: that the construction names; "" for the general compiler.
        facts: others that ``--json`` must tell.
    """

    args: tuple[Any, ...]
    after: Callable[[Sequence[str]], frozenset[str]]
    contract: str
    blocks: int
    theorem: str
    facts: dict[str, object]

    @property
    def general(self) -> bool:
        return not self.theorem


LIVE, ALL = "live-prefixes", "all-words"
EXACT, SIGNED = 2**24, 2**23
KINDS: dict[str, Kind] = {
    "flip-flop": Kind(("--named", "FLIP-flop"), after_flip_flop, ALL, 2, "theorem 1", {"memories": 5}),
    "flip-flop, live": Kind(
        ("--named", " flip - Flop ", "--contract", LIVE), after_flip_flop, LIVE, 1, "theorem 1", {"memories": 1}
    ),
    "flip-flop, general": Kind(("--named", "Flip-flop", "--general"), after_flip_flop, ALL, 4, "", {"states": 9}),
    "dyck": Kind(
        ("--dyck", "2,3"), after_brackets, LIVE, 2, "theorem 6", {"memories": 3 * 2 + 1, "lower_bound_bits": 3.0}
    ),
    "dyck, all": Kind(
        ("--dyck", " 2 , 3 ", "--contract", ALL),
        after_brackets,
        ALL,
        3,
        "theorem 6",
        {"lower_bound_bits": 3.0, "exact_to": {"depth": 1677718}},
    ),
    "dyck, general": Kind(("--dyck", "2,3", "--general"), after_brackets, ALL, 4, "", {"states": 16}),
    "Dyck-1": Kind(
        ("--named", "dyck-1"), after_dyck_1, ALL, 3, "theorem 5", {"exact_to": {"counter depth": EXACT}, "memories": 3}
    ),
    "a^n b^n": Kind(
        ("--named", "  A^N   b^n"), after_blocks, ALL, 6, "theorem 5", {"exact_to": {"counter b due": EXACT}}
    ),
    "a^n b^n, live": Kind(
        ("--named", "a^nb^n", "--contract", LIVE),
        after_blocks,
        LIVE,
        5,
        "theorem 5",
        {"exact_to": {"counter b due": EXACT}, "memories": 1},
    ),
    "file": Kind((TWO_FOR_ONE,), after_two_for_one, ALL, 6, "theorem 5", {"exact_to": {"counter owed": EXACT}}),
    "file, live": Kind(
        (TWO_FOR_ONE, "--contract", LIVE),
        after_two_for_one,
        LIVE,
        5,
        "theorem 5",
        {"exact_to": {"counter owed": EXACT}, "memories": 1},
    ),
}
OWN = [name for name, kind in KINDS.items() if not kind.general]
Built = Callable[[str], tuple[Path, dict[str, Any]]]


def answer(result: Result, code: int = 0) -> Any:
    """What ``--json`` printed."""
    assert (result.exit_code, result.stderr) == (code, ""), result.output
    return json.loads(result.stdout)


def written(path: Path, data: object) -> Path:
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "PY_COLORS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The checkpoint of a kind, and what ``compile --json`` said; do not change it."""
    root = tmp_path_factory.mktemp("constructions")
    done: dict[str, tuple[Path, dict[str, Any]]] = {}

    def build(name: str) -> tuple[Path, dict[str, Any]]:
        if name not in done:
            place = root / str(len(done))
            args = [written(root / "machine.json", a) if isinstance(a, dict) else a for a in KINDS[name].args]
            done[name] = place, answer(invoke("compile", *args, "-o", place, "--json"))
        return done[name]

    return build


@pytest.fixture(scope="module")
def giant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("giant")
    assert invoke("compile", written(place / "giant.json", GIANT), "-o", place / "out").exit_code == 0
    return place / "out"


def short_words(alphabet: Sequence[str], most: int) -> list[tuple[str, ...]]:
    """All words of the greatest length at which there are at most so many; their prefixes are the shorter ones."""
    length = 1
    while len(alphabet) ** (length + 1) <= most:
        length += 1
    return list(product(alphabet, repeat=length))


# -- compile ----------------------------------------------------------------------------------------------------------


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


def test_the_papers_constructions_are_smaller(built: Built) -> None:
    for own, general in (("flip-flop", "flip-flop, general"), ("dyck", "dyck, general")):
        assert built(own)[1]["parameters"] < built(general)[1]["parameters"]
        assert built(own)[1]["blocks"] < built(general)[1]["blocks"]


def test_compile_prints_a_table(tmp_path: Path) -> None:
    result = invoke("compile", "--dyck", "8,10", "-o", tmp_path / "x")
    assert (result.exit_code, result.stderr) == (0, "")
    rows = [line.rstrip() for line in result.stdout.splitlines()]
    assert any("theorem 6" in row for row in rows)
    for start, end in (("contract", LIVE), ("memories", "41"), ("lower bound bits", "30.0"), ("blocks", "2")):
        assert any(row.startswith(start) and row.endswith(f" {end}") for row in rows), start
    assert rows[-1] == f"written to {tmp_path / 'x'}"


def test_a_dfa_always_goes_to_the_general_compiler(built: Built, tmp_path: Path) -> None:
    """Even if it happens to be the flip-flop language."""
    dfa = json.loads((built("flip-flop")[0] / "scancraft.json").read_text())["language"]["dfa"]
    facts = answer(invoke("compile", written(tmp_path / "dfa.json", dfa), "-o", tmp_path / "x", "--json"))
    assert (facts["blocks"], facts["states"]) == (4, 9)


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
    assert "usual brackets only" in refused(invoke("compile", file, "--general", "-o", tmp_path / "y"))


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


# -- check, run, generate ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_check_agrees(name: str, built: Built) -> None:
    place, _ = built(name)
    report = answer(invoke("check", place, "--words", 40, "--max-length", 60, "--short", 500, "--json"))
    assert (report["verdict"], report["disagreement"], report["wrong"]) == ("agrees", None, 0)
    assert report["exhaustive_to"] >= 3
    assert report["words"] > 100
    shown = invoke("check", place, "--words", 5, "--short", 30)
    assert (shown.exit_code, "on the words tried" in shown.stdout) == (0, True)


@pytest.mark.parametrize("name", KINDS)
def test_run_says_what_is_right_for_every_prefix_of_every_short_word(name: str, built: Built) -> None:
    """On dead prefixes too: under "live-prefixes" nothing follows a symbol that was ruled out."""
    place, _ = built(name)
    alphabet = load(place).language.alphabet
    words = short_words(alphabet, 700)
    answers = answer(invoke("run", place, "--json", stdin="".join("".join(w) + "\n" for w in words)))
    assert len(answers) == len(words)
    for word, found in zip(words, answers, strict=True):
        assert found["word"] == list(word)
        for t, prefix in enumerate(found["prefixes"]):
            allowed = KINDS[name].after(word[:t])
            assert set(prefix["next"]) == allowed, word[:t]
            assert prefix["accepted"] == (EOS in allowed)
        assert found["accepted"] == (EOS in KINDS[name].after(word))


def test_run_prints_tables(built: Built) -> None:
    lines = invoke("run", built("a^n b^n")[0], "aab", "ab").stdout.splitlines()
    assert [line.split() for line in lines[1:5]] == [
        ["0", "<bos>", "rejected", "a"],
        ["1", "a", "rejected", "a", "b"],
        ["2", "a", "rejected", "a", "b"],
        ["3", "b", "rejected", "b"],
    ]
    assert [line for line in lines if ": " in line] == ["aab: rejected", "ab: accepted"]


@pytest.mark.parametrize("name", KINDS)
def test_generate_gives_words_of_the_language(name: str, built: Built) -> None:
    place, after = built(name)[0], KINDS[name].after
    command = ("generate", place, "-n", 30, "--max-length", 10)
    samples = answer(invoke(*command, "--json"))
    assert len(samples) == 30
    assert len({tuple(s["word"]) for s in samples}) > 3
    assert any(s["complete"] for s in samples)
    for s in samples:
        allowed = after(tuple(s["word"]))
        assert EOS in allowed if s["complete"] else allowed, s
        assert len(s["word"]) == 10 or s["complete"]
    lines = invoke(*command).stdout.splitlines()
    shown = [("".join(s["word"]) or "(the empty word)") + ("" if s["complete"] else " …") for s in samples]
    assert lines == shown


def test_generate_depends_on_the_seed_alone(built: Built) -> None:
    command = ("generate", built("dyck")[0], "-n", 5, "--max-length", 8, "--json")
    assert answer(invoke(*command)) == answer(invoke(*command)) != answer(invoke(*command, "--seed", 1))


def test_generate_goes_on_from_a_prompt(built: Built) -> None:
    for name, prompt in (("dyck", "(([]"), ("dyck, all", "(([]"), ("a^n b^n", "aaab"), ("file", "aab")):
        samples = answer(invoke("generate", built(name)[0], "-n", 8, "--prompt", prompt, "--max-length", 10, "--json"))
        for s in samples:
            allowed = KINDS[name].after(tuple(s["word"]))
            assert "".join(s["word"]).startswith(prompt)
            assert EOS in allowed if s["complete"] else allowed


@pytest.mark.parametrize("name", [name for name in KINDS if KINDS[name].contract == ALL])
def test_generate_refuses_dead_prompts(name: str, built: Built) -> None:
    place, after = built(name)[0], KINDS[name].after
    alphabet = load(place).language.alphabet
    dead = next(w for w in short_words(alphabet, 3000) if not after(w))
    assert "nothing can follow" in refused(invoke("generate", place, "--prompt", "".join(dead)))


def test_run_and_generate_refuse_other_symbols(built: Built) -> None:
    for name in OWN:
        place = built(name)[0]
        assert "'%' at position 0" in refused(invoke("run", place, "%"))
        assert "not in the alphabet" in refused(invoke("generate", place, "--prompt", "%"))
        assert "line 2" in refused(invoke("run", place, stdin="\n%\n"))
    assert answer(invoke("run", built("dyck")[0], "(x", "--json"), 2)["error"] == "UnknownSymbol"


# -- past what the counters hold --------------------------------------------------------------------------------------


def test_a_word_past_the_limit_is_an_error_and_not_a_verdict(giant: Path) -> None:
    at_most = answer(invoke("run", giant, "aaaa", "aaaab", "--json"))
    assert [p["next"] for p in at_most[1]["prefixes"]] == [["a", EOS], *[["a", "b"]] * 5]
    message = refused(invoke("run", giant, "aaaaa"))
    assert "counter debt reaches 20971520" in message
    assert "exact only up to 16777216" in message
    error = answer(invoke("run", giant, "ab", "aaaaa", "--json"), 2)
    assert error["error"] == "CounterRange"
    assert "row 1" in error["message"]


def test_check_stops_at_the_limit_too(giant: Path) -> None:
    assert "exact only up to" in refused(invoke("check", giant, "--words", 5, "--short", 20))
    assert invoke("check", giant, "--words", 5, "--max-length", 4).exit_code == 0
    assert invoke("certify", giant).exit_code == 0
    assert invoke("certify", "--check", giant).exit_code == 0


# -- explain ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OWN)
def test_explain_shows_every_part(name: str, built: Built) -> None:
    place, compiled = built(name)
    manifest = json.loads((place / "scancraft.json").read_text())
    facts = answer(invoke("explain", place, "--json"))
    assert (facts["contract"], facts["construction"]) == (KINDS[name].contract, compiled["construction"])
    assert facts["alphabet"] == list(load(place).language.alphabet)
    assert facts["tokens"] == manifest["tokens"]
    assert facts["residual"] == [dimension["name"] for dimension in manifest["residual"]]
    assert len(facts["residual"]) == compiled["d_model"]
    assert [b["channels"] for b in facts["blocks"]] == [b["channels"] for b in manifest["blocks"]]
    assert [b["index"] for b in facts["blocks"]] == list(range(compiled["blocks"]))
    assert set(facts["verdicts"]) == {*facts["alphabet"], EOS}
    assert facts["shape"]["memories"] == compiled["memories"]
    assert {c["name"]: c["limits"]["float32"] for c in facts["counters"]} == compiled.get("exact_to", {})
    shown = invoke("explain", place)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert "read-out" in shown.stdout
    for block in facts["blocks"]:
        assert f"block {block['index']}: {block['title']}" in shown.stdout
        for channel in block["channels"]:
            assert channel["meaning"] in shown.stdout
    for form in facts["verdicts"].values():
        assert form in shown.stdout
    for counter in facts["counters"]:
        assert f"{counter['name']} is exact up to" in shown.stdout


@pytest.mark.parametrize("name", OWN)
def test_explain_one_block(name: str, built: Built) -> None:
    place, compiled = built(name)
    last = compiled["blocks"] - 1
    facts = answer(invoke("explain", place, "--json"))
    assert answer(invoke("explain", place, "--block", last, "--json"))["blocks"] == [facts["blocks"][last]]
    shown = invoke("explain", place, "--block", last)
    assert shown.exit_code == 0
    assert f"block {last}: " in shown.stdout
    assert "residual" not in shown.stdout
    assert "read-out" not in shown.stdout
    assert f"from 0 to {last}" in refused(invoke("explain", place, "--block", last + 1))
    assert "--block" in refused(invoke("explain", place, "--block", 0, "--stage", "circuit"))


@pytest.mark.parametrize("name", OWN)
def test_explain_prints_the_stages_that_there_are(name: str, built: Built, tmp_path: Path) -> None:
    place, compiled = built(name)
    texts = {}
    for stage in ("language", "circuit", "weights"):
        result = invoke("explain", place, "--stage", stage)
        assert (result.exit_code, result.stderr) == (0, "")  # in particular, the model is the one compiled again
        texts[stage] = result.stdout.removesuffix("\n")
        found = answer(invoke("explain", place, "--stage", stage, "--json"))
        assert found == {"stage": stage, "text": texts[stage]}
    assert compiled["construction"] in texts["circuit"]
    assert f"{compiled['parameters']:,} parameters" in texts["weights"]
    for stage in ("dfa", "cascade", "rules", "program"):
        message = refused(invoke("explain", place, "--stage", stage))
        assert f"no stage {stage}; it has language, circuit, weights" in message
    target = tmp_path / "x.png"
    assert "no stage cascade" in refused(invoke("explain", place, "--picture", target))
    assert not target.exists()


def test_the_general_compiler_has_no_circuit(built: Built) -> None:
    place = built("dyck, general")[0]
    assert "no stage circuit; it has language, dfa, cascade" in refused(invoke("explain", place, "--stage", "circuit"))
    assert invoke("explain", place, "--stage", "language").stdout == invoke("explain", place, "--stage", "dfa").stdout


def test_stages_that_nothing_has_are_usage_errors(built: Built) -> None:
    result = invoke("explain", built("dyck")[0], "--stage", "tensors")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "circuit" in result.stderr


# -- certify ----------------------------------------------------------------------------------------------------------

METHODS = {"theorem 1": "block by block", "theorem 5": "counters", "theorem 6": "slots", "": "block by block"}


@pytest.mark.parametrize("name", [name for name in KINDS if name != "dyck, all"])
def test_certify_and_the_separate_checker(name: str, built: Built, tmp_path: Path) -> None:
    kind, place = KINDS[name], copied(built(name)[0], tmp_path)
    result = invoke("certify", "--check", place)
    assert (result.exit_code, "certificate.json is missing" in result.stdout) == (1, True)
    found = answer(invoke("certify", place, "--json"))
    assert (found["verdict"], found["scope"], found["word"]) == ("certified", "every-implementation", None)
    assert (found["contract"], found["method"]) == (kind.contract, METHODS[kind.theorem])
    assert found["margin"] > 0
    assert all(o["holds"] for o in found["obligations"])
    if kind.theorem == "theorem 5":
        assert list(found["limits"].values()) == [EXACT]
        assert "as long as no counter exceeds its limit" in found["claim"]
    else:
        assert not found.get("limits")
        assert "of any length" in found["claim"]
    checked = answer(invoke("certify", "--check", place, "--json"))
    assert (checked["verdict"], checked["accepted"]) == ("certified", True)
    shown = invoke("certify", "--check", place)
    assert (shown.exit_code, shown.stdout) == (0, "the certificate is valid\n")
    told = invoke("certify", place)
    assert told.exit_code == 0
    assert told.stdout.startswith("certified, scope every-implementation: ")
    assert ("limits: " in told.stdout) == (kind.theorem == "theorem 5")


def test_bounded_dyck_on_all_words_is_undecided(built: Built, tmp_path: Path) -> None:
    place = copied(built("dyck, all")[0], tmp_path)
    found = answer(invoke("certify", place, "--json"), 3)
    assert found["verdict"] == "undecided"
    assert "live prefixes only" in found["reason"]
    result = invoke("certify", place)
    assert (result.exit_code, result.stdout.startswith("undecided: ")) == (3, True)
    assert not (place / "certificate.json").exists()
    assert invoke("certify", "--check", place).exit_code == 1


def test_certify_in_bfloat16(built: Built, tmp_path: Path) -> None:
    for name, limit in (("a^n b^n", {"b due": 256}), ("dyck", None), ("flip-flop", None)):
        place = copied(built(name)[0], tmp_path / name.replace(" ", ""))
        found = answer(invoke("certify", place, "--dtype", "bfloat16", "--json"))
        assert (found["verdict"], found["dtype"], found.get("limits") or None) == ("certified", "bfloat16", limit)
        assert invoke("certify", "--check", place).exit_code == 0


@pytest.mark.parametrize("name", ["flip-flop", "dyck", "a^n b^n", "file"])
def test_a_certificate_does_not_outlive_its_weights(name: str, built: Built, tmp_path: Path) -> None:
    place = copied(built(name)[0], tmp_path)
    assert invoke("certify", place).exit_code == 0
    tensors = load_file(place / "model.safetensors")
    tensors["lm_head.weight"] *= -1
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
    rejected = answer(invoke("certify", "--check", place, "--json"), 1)
    assert (rejected["verdict"], rejected["accepted"]) == ("rejected", False)
    result = invoke("certify", "--check", place)
    assert (result.exit_code, result.stdout.startswith("the certificate is not valid: ")) == (1, True)
    assert answer(invoke("certify", place, "--seconds", 2, "--json"), 1)["verdict"] == "counterexample"
    assert invoke("check", place, "--words", 4, "--short", 30).exit_code == 1


# -- against other languages ------------------------------------------------------------------------------------------


def test_dyck_1_is_not_bounded(built: Built, tmp_path: Path) -> None:
    place = built("Dyck-1")[0]
    other = written(tmp_path / "other.json", {"brackets": [["(", ")"]], "depth": 3})
    command = ("check", place, "--language", other, "--words", 20, "--short", 300)
    found = answer(invoke(*command, "--json"), 1)
    assert found["verdict"] == "disagreement"
    assert found["disagreement"] == {"word": list("((("), "model": ["(", ")"], "right": [")"]}
    assert "'((('" in invoke(*command).stdout
    command = ("check", place, "--regex", r"(\(\))*", "--words", 20, "--short", 300, "--json")
    assert answer(invoke(*command), 1)["disagreement"]["word"] == ["("]
    command = ("certify", place, "--regex", r"(\(\))*", "--seconds", 1, "--json")
    assert answer(invoke(*command), 1)["word"] == ["("]
    assert not (place / "certificate.json").exists()


def test_other_machines(built: Built, tmp_path: Path) -> None:
    machine = json.loads((built("Dyck-1")[0] / "scancraft.json").read_text())["language"]["counter_machine"]
    (state,) = machine["accepting"]
    prefixes = written(tmp_path / "prefixes.json", {**machine, "accepting": {state: {}}})
    place = built("Dyck-1")[0]
    found = answer(invoke("check", place, "--language", prefixes, "--words", 0, "--short", 60, "--json"), 1)
    assert found["disagreement"] == {"word": ["("], "model": ["(", ")"], "right": ["(", ")", EOS]}
    found = answer(invoke("certify", place, "--language", prefixes, "--json"), 1)
    assert (found["verdict"], found["word"]) == ("counterexample", ["("])
    assert invoke("certify", place, "--language", written(tmp_path / "same.json", machine)).exit_code == 0


def test_bounded_dyck_of_another_depth(built: Built, tmp_path: Path) -> None:
    place = built("dyck")[0]
    for depth, code in ((2, 1), (3, 0), (4, 1)):
        for pairs in ([["(", ")"], ["[", "]"]], [["[", "]"], ["(", ")"]]):
            other = written(tmp_path / "other.json", {"brackets": pairs, "depth": depth})
            assert invoke("check", place, "--language", other, "--words", 10, "--short", 800).exit_code == code
            assert invoke("certify", place, "--language", other).exit_code == code


def test_languages_over_other_symbols_are_refused(built: Built, tmp_path: Path) -> None:
    machine = written(tmp_path / "machine.json", TWO_FOR_ONE)
    brackets = written(tmp_path / "brackets.json", {"brackets": [["(", ")"]], "depth": 3})
    for place, other in ((built("Dyck-1")[0], machine), (built("dyck")[0], brackets), (built("file")[0], brackets)):
        assert "the language has" in refused(invoke("check", place, "--language", other))
        assert "the language has" in refused(invoke("certify", place, "--language", other))


# -- bad input --------------------------------------------------------------------------------------------------------


def machine(**changes: Any) -> dict[str, Any]:
    return {**TWO_FOR_ONE, **changes}


def on_b(**changes: Any) -> dict[str, Any]:
    """The machine with another transition on b."""
    row = TWO_FOR_ONE["transitions"]["p"]
    return machine(transitions={"p": {**row, "b": {**row["b"], **changes}}})


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
    "alphabet of dyck": (("--dyck", "2,2", "--alphabet", "( )"), "bring their own"),
    "alphabet of counters": ((TWO_FOR_ONE, "--alphabet", "a b x"), "regular language is needed"),
    "general counters": ((TWO_FOR_ONE, "--general"), "counters have one construction only"),
    "general Dyck-1": (("--named", "Dyck-1", "--general"), "counters have one construction only"),
    "d_state of dyck": (("--dyck", "2,2", "--d-state", 2), "--d-state goes with the general compiler"),
    "d_state of counters": ((TWO_FOR_ONE, "--d-state", 4), "--d-state goes with the general compiler"),
    "d_state of flip-flop": (("--named", "flip-flop", "--d-state", 2), "--d-state goes with the general compiler"),
    "not star-free": (("--named", "Parity", "--gates", "nonnegative"), '"1" permutes the states'),
    "missing file": ((Path("missing.json"),), "cannot be read"),
    "test": ((on_b(when={"owed": "=3"}),), "the test '=3' of counter 'owed' is not allowed"),
    "test of a number": ((on_b(when={"owed": 3}),), '"when" is no object'),
    "no guard": ((on_b(when={}),), "without the test that it is positive"),
    "two at once": ((on_b(add={"owed": -2}),), "take 1 at a time"),
    "unknown counter": ((on_b(add={"other": 1}),), "no counter 'other'"),
    "a truth is no amount": ((on_b(add={"owed": True}),), "whole numbers"),
    "giant amount": ((machine(counters={"owed": {"initial": 10**30}}),), "more at once than float32 counts exactly"),
    "stuck": ((machine(accepting={"p": {"owed": "nonzero"}}),), "machine.json: "),
    "two transitions": ((machine(transitions={"p": {"a": [{"to": "p"}]}}),), "tests cannot choose"),
    "unknown key": ((machine(states=["p"]),), "unknown keys ['states']"),
    "missing key": (({k: v for k, v in TWO_FOR_ONE.items() if k != "initial"},), "missing keys ['initial']"),
    "no counters": ((machine(counters=[]),), "at least one counter"),
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


def test_contracts_that_there_are(tmp_path: Path) -> None:
    result = invoke("compile", "--dyck", "2,2", "--contract", "most-words", "-o", tmp_path / "x")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "live-prefixes" in result.stderr
    assert not list(tmp_path.iterdir())


def test_undecided_within_the_budget(tmp_path: Path) -> None:
    for args in (("--dyck", "8,10", "--general"), ("--named", "Shuffle-6", "--seconds", 0)):
        assert "undecided" in refused(invoke("compile", *args, "--budget", 1000, "-o", tmp_path / "x"), 3)
        assert not list(tmp_path.iterdir())


def test_an_error_leaves_the_checkpoint_that_was_there(built: Built, tmp_path: Path) -> None:
    place = copied(built("dyck")[0], tmp_path)
    before = {p: p.read_bytes() for p in place.rglob("*") if p.is_file()}
    for args in (("--dyck", "2,0"), ("--named", "Tomita-6"), (written(tmp_path / "machine.json", SWAPPING),)):
        refused(invoke("compile", *args, "-o", place))
    assert {p: p.read_bytes() for p in place.rglob("*") if p.is_file()} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted({place.name, "machine.json"})
    assert invoke("compile", "--named", "Dyck-1", "-o", place).exit_code == 0
    assert answer(invoke("run", place, "((", "--json"))[0]["prefixes"][2]["next"] == ["(", ")"]


def test_decide_is_for_regular_languages(tmp_path: Path) -> None:
    counters = written(tmp_path / "counters.json", TWO_FOR_ONE)
    brackets = written(tmp_path / "brackets.json", {"brackets": [["(", ")"]], "depth": 3})
    for file in (counters, brackets):
        assert "regular language is needed" in refused(invoke("decide", file))
    assert answer(invoke("decide", counters, "--json"), 2)["error"] == "Argument"


# -- checkpoints that were changed ------------------------------------------------------------------------------------


def copied(place: Path, tmp_path: Path) -> Path:
    target = tmp_path / "copy"
    shutil.copytree(place, target)
    return target


def tampered(place: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    target = copied(place, tmp_path)
    manifest = json.loads((target / "scancraft.json").read_text())
    change(manifest)
    written(target / "scancraft.json", manifest)
    return target


def first(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda m: m["counters"][0].update(changes)


COUNTERS: dict[str, Callable[[dict[str, Any]], object]] = {
    "none": lambda m: m.update(counters=None),
    "a number": lambda m: m.update(counters=5),
    "text": lambda m: m.update(counters="xy"),
    "numbers": lambda m: m.update(counters=[5]),
    "no name": lambda m: m["counters"][0].pop("name"),
    "channel": first(channel=999),
    "negative channel": first(channel=-1),
    "block": first(block=99),
    "negative block": first(block=-1),
    "state": first(state=1),
    "channel as text": first(channel="x"),
    "no limits": first(limits=None),
    "limits as a list": first(limits=["float32"]),
    "limit as text": first(limits={"float32": "many"}),
    "negative limit": first(limits={"float32": -1}),
    "limit of another dtype": first(limits={"bfloat16": 256}),
}


@pytest.mark.parametrize("case", COUNTERS)
def test_tampered_counters(case: str, built: Built, tmp_path: Path) -> None:
    place = tampered(built("file")[0], tmp_path, COUNTERS[case])
    for args in (("run", place, "ab"), ("check", place, "--words", 2, "--short", 10)):
        refused(invoke(*args))


LANGUAGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "none": lambda m: m.update(language=None),
    "no kind": lambda m: m["language"].pop("counter_machine"),
    "not an object": lambda m: m["language"].update(counter_machine=5),
    "a test": lambda m: m["language"]["counter_machine"]["transitions"]["p"]["b"].update(when={"owed": "=3"}),
    "a symbol more": lambda m: m["language"]["counter_machine"]["alphabet"].append("z"),
    "another alphabet": lambda m: m.update(language={"bounded_dyck": {"brackets": [["(", ")"]], "depth": 2}}),
    "a malformed Dyck": lambda m: m.update(language={"bounded_dyck": {"brackets": [["a", "b"]]}}),
    "Dyck as a list": lambda m: m.update(language={"dfa": ["a", "b"]}),
}


@pytest.mark.parametrize("case", LANGUAGES)
def test_tampered_languages(case: str, built: Built, tmp_path: Path) -> None:
    place = tampered(built("file")[0], tmp_path, LANGUAGES[case])
    for args in (("run", place, "ab"), ("check", place), ("generate", place), ("explain", place), ("certify", place)):
        refused(invoke(*args))
    assert invoke("certify", "--check", place).exit_code == 1


def test_a_manifest_that_names_another_language_is_a_disagreement(built: Built, tmp_path: Path) -> None:
    place = copied(built("file")[0], tmp_path)
    assert invoke("certify", place).exit_code == 0
    manifest = json.loads((place / "scancraft.json").read_text())
    manifest["language"]["counter_machine"]["accepting"]["p"] = {}
    written(place / "scancraft.json", manifest)
    found = answer(invoke("check", place, "--words", 4, "--short", 60, "--json"), 1)
    assert found["disagreement"] == {"word": [], "model": ["a", "x"], "right": [EOS, "a", "x"]}
    assert invoke("certify", "--check", place).exit_code == 1
    assert answer(invoke("certify", place, "--json"), 1)["word"] == []
    result = invoke("explain", place, "--stage", "circuit")
    assert (result.exit_code, "otherwise than the checkpoint" in result.stderr) == (0, True)


@pytest.mark.parametrize("key", ["residual", "blocks", "shape", "memories", "state_entries", "counters"])
def test_explain_needs_the_labels(key: str, built: Built, tmp_path: Path) -> None:
    place = tampered(built("a^n b^n")[0], tmp_path, lambda m: m.update({key: ["verdicts"]}))
    assert f"scancraft.json: {key}" in refused(invoke("explain", place))


def test_many_kinds_of_brackets(tmp_path: Path) -> None:
    """Symbols of several characters, in words separated by spaces."""
    assert invoke("compile", "--dyck", "5,2", "-o", tmp_path / "x").exit_code == 0
    found = answer(invoke("run", tmp_path / "x", "(1 (5 )5 )1", "(1 )2", "--json"))
    assert [f["accepted"] for f in found] == [True, False]
    assert "not in the alphabet" in refused(invoke("run", tmp_path / "x", "(1)1"))
    for line in invoke("generate", tmp_path / "x", "-n", 8, "--max-length", 8).stdout.splitlines():
        word = line.removesuffix(" …").split() if line != "(the empty word)" else []
        stack: list[str] = []
        for symbol in word:
            if symbol[0] == "(":
                stack.append(symbol[1:])
            else:
                assert stack.pop() == symbol[1:]
        assert not stack or line.endswith(" …")


# -- faults of earlier versions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "prompt"), [("dyck", "(((("), ("flip-flop, live", "r1"), ("file, live", "b")])
def test_generate_refuses_dead_prompts_under_live_prefixes(name: str, prompt: str, built: Built) -> None:
    assert "nothing can follow" in refused(invoke("generate", built(name)[0], "--prompt", prompt, "--max-length", 8))


@pytest.mark.parametrize("args", [(), ("--prompt", "aaaaaaaaa")])
def test_generate_stays_within_what_the_counters_hold(args: tuple[str, ...], giant: Path) -> None:
    result = invoke("generate", giant, "-n", 5, "--max-length", 40, *args, "--json")
    if result.exit_code != 2:
        for s in answer(result):
            assert not s["complete"] or 2**22 * s["word"].count("a") == s["word"].count("b"), s


def test_certify_and_its_checker_agree_on_giant_steps_in_bfloat16(giant: Path, tmp_path: Path) -> None:
    place = copied(giant, tmp_path)
    certified = invoke("certify", place, "--dtype", "bfloat16").exit_code == 0
    assert not certified or invoke("certify", "--check", place).exit_code == 0


@pytest.mark.parametrize("case", [*COUNTERS, "limit", "none listed"])
def test_certify_refuses_tampered_counters(case: str, built: Built, tmp_path: Path) -> None:
    more = {"limit": first(limits={"float32": 1, "bfloat16": 1}), "none listed": lambda m: m.update(counters=[])}
    place = tampered(built("file")[0], tmp_path, (COUNTERS | more)[case])
    certified = invoke("certify", place).exit_code == 0
    assert not certified or invoke("certify", "--check", place).exit_code == 0


def test_an_infinite_limit_is_malformed(built: Built, tmp_path: Path) -> None:
    place = tampered(built("file")[0], tmp_path, first(limits={"float32": float("inf")}))
    refused(invoke("run", place, "ab"))


def test_checking_a_certificate_needs_a_checkpoint(tmp_path: Path) -> None:
    assert "not a directory" in refused(invoke("certify", "--check", tmp_path / "none"))


def test_another_machine_for_the_same_language_is_not_called_wrong(built: Built, tmp_path: Path) -> None:
    up, down = {"add": {"n": 1}}, {"to": "t", "add": {"n": -1}, "when": {"n": "positive"}}
    rows = {"s": {"(": {"to": "t", **up}}, "t": {"(": {"to": "t", **up}, ")": down}}
    accepting = {"s": {}, "t": {"n": "zero"}}
    same = {"alphabet": ["(", ")"], "counters": ["n"], "initial": "s", "transitions": rows, "accepting": accepting}
    place = written(tmp_path / "same.json", same)
    found = answer(invoke("certify", built("Dyck-1")[0], "--language", place, "--json"))
    assert found["verdict"] == "certified"
