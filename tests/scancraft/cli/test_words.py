"""``scancraft check``, ``run`` and ``generate``: what a model says of words, and words from it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from command_line import answer, invoke, refused, written
from kinds import ALL, EOS, KINDS, OWN, TWO_FOR_ONE, Built, short_words

import scancraft
from scancraft.cli.run import HEAD, TAIL
from scancraft.compiler.answers import verdicts
from scancraft.compiler.checkpoints import load
from scancraft.models.readout import Readout


@pytest.mark.parametrize("name", KINDS)
def test_check_agrees(name: str, built: Built) -> None:
    place, _ = built(name)
    report = answer(invoke("check", place, "--words", 40, "--max-length", 60, "--short", 500, "--json"))
    assert (report["verdict"], report["disagreement"], report["wrong"]) == ("agrees", None, 0)
    assert report["exhaustive_to"] >= 3
    assert report["words"] > 100
    shown = invoke("check", place, "--words", 5, "--short", 30)
    assert (shown.exit_code, "on the words tried" in shown.stdout) == (0, True)


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
    assert "exactly one" in refused(invoke("check", d2, "--regex", "a", "--language", language))
    assert "not in the alphabet" in refused(invoke("check", d2, "--regex", "x*"))
    assert "cannot be read" in refused(invoke("check", d2, "--language", tmp_path / "none.json"))


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
    command = ("certify", place, "--regex", r"(\(\))*", "--budget", 500, "--json")
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


# -- run -------------------------------------------------------------------------------------------------------------


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


def test_run_on_symbols_of_several_characters(tmp_path: Path) -> None:
    """Some of which mean something to rich."""
    stack = tmp_path / "stack"
    assert invoke("compile", "--regex", "('push' '[red]pop')*", "-o", stack).exit_code == 0
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
    assert lines == ["".join(s["word"]) for s in samples]


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


def test_generate_refuses_dead_prompts_and_empty_languages(d2: Path, tmp_path: Path) -> None:
    assert "nothing can follow" in refused(invoke("generate", d2, "--prompt", "b"))
    assert "more than --max-length" in refused(invoke("generate", d2, "--prompt", "ab", "--max-length", 1))
    assert "not in the alphabet" in refused(invoke("generate", d2, "--prompt", "x"))
    assert invoke("compile", "--regex", "[]&a", "-o", tmp_path / "empty").exit_code == 0
    assert "the language is empty" in refused(invoke("generate", tmp_path / "empty"))


@pytest.mark.parametrize(("name", "prompt"), [("dyck", "(((("), ("flip-flop, live", "r1"), ("file, live", "b")])
def test_generate_refuses_dead_prompts_under_live_prefixes(name: str, prompt: str, built: Built) -> None:
    assert "nothing can follow" in refused(invoke("generate", built(name)[0], "--prompt", prompt, "--max-length", 8))


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


@pytest.mark.parametrize("args", [(), ("--prompt", "aaaaaaaaa")])
def test_generate_stays_within_what_the_counters_hold(args: tuple[str, ...], giant: Path) -> None:
    result = invoke("generate", giant, "-n", 5, "--max-length", 40, *args, "--json")
    if result.exit_code != 2:
        for s in answer(result):
            assert not s["complete"] or 2**22 * s["word"].count("a") == s["word"].count("b"), s


def test_unknown_symbols_never_become_known_ones(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    scancraft.compile(scancraft.Dfa.universal(("<unk>", "[UNK]", "x")), tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer("[UNK] x").input_ids == [1, 4, 5]
    with pytest.raises(Exception, match="UNK"):
        tokenizer("zzz")


def test_beam_search_and_padding_on_the_right_are_explained(tmp_path: Path) -> None:
    compiled = scancraft.compile("(ab)*")
    processor = scancraft.LanguageLogitsProcessor(eos=2, pad=0)
    scores = compiled.model()(torch.tensor([[1, 3]])).logits[:, -1]
    with pytest.raises(scancraft.ScancraftError, match="beam search"):
        processor(torch.tensor([[1, 3]]), torch.log_softmax(scores, dim=-1))
    with pytest.raises(scancraft.ScancraftError, match="pad prompts on the left"):
        processor(torch.tensor([[1, 0]]), torch.full_like(scores, -16.0))
