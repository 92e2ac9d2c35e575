"""The suite: its languages, what is counted, what a wrong model does to it, the command, and the plot."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command_line import invoke, refused
from examples import example

import scancraft
from scancraft.automata.counters.families import dyck_1
from scancraft.automata.counters.machine import CounterMachine
from scancraft.automata.errors import UnknownLanguageError
from scancraft.automata.families import d_n
from scancraft.automata.languages import language_to_json
from scancraft.automata.named import LANGUAGES as NAMED
from scancraft.certify.certify import Open
from scancraft.compiler.compiled import CompiledModel
from scancraft.models.errors import CheckpointError
from scancraft.suite.languages import LANGUAGES, suite_language
from scancraft.suite.plot import draw_suite
from scancraft.suite.suite import Options, Row, folder_name, run_suite

SMALL = Options(words=20, far_words=2, farthest=False)
QUICK = ("--words", 10, "--far-words", 2, "--no-farthest", "--jobs", 1)
TRIED = ("Parity", "Tomita-2", "{a,b}*d{b,c}*", "Dyck-1", "a^n b^n", "Flip-flop", "Dyck_{8,5}")


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    """Some languages of every kind, in one process."""
    found = run_suite(SMALL, [suite_language(name) for name in TRIED])
    return {row.language.name: row for row in found}


# -- the languages ----------------------------------------------------------------------------------------------------


NO, YES, COUNTER = "not star-free", "star-free", "counter"


def kind_of(name: str) -> str:
    """By the table of examples, whose languages are tried against their definitions."""
    known = example(name)
    return COUNTER if isinstance(known.language, CounterMachine) else YES if known.star_free else NO


def test_the_suite_has_thirty_languages() -> None:
    assert len(LANGUAGES) == 30 == len({language.name for language in LANGUAGES})
    for suite in LANGUAGES:
        assert suite.language == example(suite.name).language
        assert suite.kind == kind_of(suite.name)
    kinds = [language.kind for language in LANGUAGES]
    assert {kind: kinds.count(kind) for kind in (NO, YES, COUNTER)} == {NO: 7, YES: 14, COUNTER: 9}
    assert set(NAMED) == {language.name for language in LANGUAGES}


def test_published_lengths_and_figures() -> None:
    def bins(name: str) -> list[tuple[int, int]]:
        return [(part.shortest, part.longest) for part in suite_language(name).bins]

    for name in ("Parity", "Dyck-1", "Shuffle-2", "Boolean-3", "Boolean-5"):
        assert bins(name) == [(2, 50), (51, 100), (101, 150)]
    for name in ("Shuffle-4", "Shuffle-6"):
        assert bins(name) == [(2, 100), (102, 150), (150, 200)]
    for n in range(1, 8):
        assert bins(f"Tomita-{n}") == [(1, 100), (101, 150)]
    for n in (2, 3, 4, 12):
        assert bins(f"D-{n}") == [(2, 100), (101, 200)]
    for name in ("(aa)*", "(aaaa)*", "(abab)*"):
        assert bins(name) == [(2, 500), (501, 600)]
    assert [b[0][1] for b in map(bins, ("a^n b^n", "a^n b^n c^n", "a^n b^n c^n d^n"))] == [200, 450, 800]
    assert bins("a^n b^n c^n d^n")[-1][1] == 2396
    assert bins("Dyck_{8,10}") == [(2, 700), (701, 1400)]
    assert [(b.longest, b.ignore) for b in suite_language("Flip-flop").bins] == [(512, 0.8), (512, 0.98), (512, 0.1)]
    figures = {language.name: [b.published for b in language.bins] for language in LANGUAGES}
    assert figures["Parity"][:2] == [(91.15, 91.15), (16.7, 16.7)]
    assert figures["Tomita-3"] == [(60.85, 60.85), (29.37, 29.37)]
    assert figures["Tomita-6"] == [(54.56, 54.56), (0.04, 0.04)]
    assert figures["D-12"] == [(93.65, 99.99), (93.35, 99.85)]
    assert figures["Dyck-1"] == [(99.25, 100.0), (49.0, 63.0), (0.0, 15.0)]
    assert figures["Shuffle-6"][1] == (39.0, 66.0)
    assert figures["Boolean-5"][1] == (30.0, 80.0)
    for language in LANGUAGES:
        if language.kind == YES and language.name not in ("D-12", "Flip-flop", "Dyck_{8,5}", "Dyck_{8,10}"):
            assert figures[language.name] == [(100.0, 100.0)] * 2
        for part in language.bins:
            assert 0 <= part.shortest <= part.longest
            assert part.published is None or 0 <= part.published[0] <= part.published[1] <= 100
        labels = [part.label for part in language.bins]
        assert len(set(labels)) == len(labels)


def test_languages_are_found_by_name() -> None:
    for language in LANGUAGES:
        for name in (language.name, language.name.upper(), f"  {language.name.replace(' ', '')} "):
            assert suite_language(name) is language
    for name in ("", "D-5", "Dyck", "D-2;D-3", "a^nb^n,"):
        with pytest.raises(UnknownLanguageError, match=r"there are Parity, .*, Dyck_\{8,10\}"):
            suite_language(name)


def test_folder_names_are_safe_and_different() -> None:
    found = [folder_name(language.name) for language in LANGUAGES]
    assert len({name.lower() for name in found}) == 30
    for name in found:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9^_-]*", name), name


# -- rows -------------------------------------------------------------------------------------------------------------


def test_every_model_is_right_and_certified(rows: dict[str, Row]) -> None:
    assert list(rows) == list(TRIED)
    for name, row in rows.items():
        assert row.perfect
        labels = [part.label for part in row.language.bins]
        assert list(row.scores) == [*labels, "10,000"]
        for label, score in row.scores.items():
            assert score.right_words == score.words == (20 if label != "10,000" else 4 if name == "Flip-flop" else 2)
            assert score.right_positions == score.positions > score.words
        for part in row.language.bins:
            more = part.ignore is not None  # an edit may insert a symbol
            assert part.shortest <= row.scores[part.label].longest <= part.longest + more
        assert 9_980 <= row.scores["10,000"].longest <= 10_001
        assert (row.witness is None, row.size.target) == ((True, "mamba"), (False, "olmo_hybrid"))[name == "Parity"]
        assert row.certificate is not None
        assert (row.certificate["verdict"], row.certificate["scope"]) == ("certified", "every-implementation")
        assert "checked" not in row.certificate
        assert row.contract == ("live-prefixes" if name.startswith("Dyck_") else "all-words")
        assert 0 < row.seconds < row.total


def test_sizes(rows: dict[str, Row]) -> None:
    sizes = {name: row.size for name, row in rows.items()}
    for name, theorem, n_blocks in (
        ("Dyck-1", "theorem 5", 3),
        ("Flip-flop", "theorem 1", 2),
        ("Dyck_{8,5}", "theorem 6", 2),
    ):
        size = sizes[name]
        assert theorem in size.construction
        assert size.blocks == n_blocks
        assert rows[name].language.theorem.lower() == theorem
    tomita = sizes["Tomita-2"]
    assert (tomita.construction, tomita.blocks) == ("plan of 1 block of memories", 1)
    row = rows["Dyck_{8,5}"]
    assert (row.size.memories, row.lower_bound) == (5 * 4 + 1, 15.0)
    assert row.size.memories <= row.size.state_entries <= row.size.allocated
    flip = rows["Flip-flop"]
    assert flip.general is not None
    assert (flip.general.blocks, flip.size.blocks) == (2, 2)
    assert [name for name, row in rows.items() if row.general is not None] == ["Flip-flop"]


def test_rows_as_json(rows: dict[str, Row]) -> None:
    for name, row in rows.items():
        found = json.loads(json.dumps(row.as_json(), allow_nan=False))
        assert (found["name"], found["class"]) == (name, kind_of(name))
        assert set(found["published"]) == {part.label for part in row.language.bins}
        assert set(found["words"]) == set(found["positions"]) == set(row.scores)
        assert (found["witness"] is not None) == (found["target"] == "olmo_hybrid") == (name == "Parity")
        assert found["accuracy"] == dict.fromkeys(row.scores, 100.0) == found["accuracy_positions"]
    assert rows["Dyck-1"].as_json()["certificate"]["limits"] == {"depth": 2**24}  # type: ignore[index]
    assert rows["Dyck-1"].as_json()["published"]["51-100"] == {"least": 49.0, "greatest": 63.0}  # type: ignore[index]
    parity = rows["Parity"]
    assert parity.witness is not None
    assert (parity.witness.witness.word, parity.witness.witness.period) == (("1",), 2)
    assert (parity.size.blocks, parity.contract) == (2, "all-words")
    assert parity.language.theorem == "Theorem 2"


def timeless(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = row.as_json()
    del found["seconds"]
    if found["certificate"] is not None:
        found["certificate"] = {key: value for key, value in found["certificate"].items() if key != "seconds"}
    return found


def test_processes_change_nothing_but_the_seconds(rows: dict[str, Row]) -> None:
    assert run_suite(SMALL, []) == []
    ticks: list[tuple[int, int, str]] = []
    chosen = [suite_language(name) for name in ("Parity", "Dyck-1")]
    alone = run_suite(SMALL, chosen[:1], lambda *tick: ticks.append(tick))
    assert (ticks[0], ticks[-1]) == ((0, 1, "Parity"), (1, 1, "done"))
    assert [timeless(row) for row in alone] == [timeless(rows["Parity"])]
    together = run_suite(SMALL, chosen, lambda *tick: ticks.append(tick), jobs=2)
    assert ticks[-1][:2] == (2, 2)
    assert [timeless(row) for row in together] == [timeless(rows[row.language.name]) for row in together]
    assert [row.language.name for row in together] == ["Parity", "Dyck-1"]


def test_seeds_and_options(rows: dict[str, Row]) -> None:
    dyck = [suite_language("Dyck-1")]
    (again,) = run_suite(SMALL, dyck)
    assert timeless(again) == timeless(rows["Dyck-1"])
    (other,) = run_suite(Options(words=20, far_words=2, farthest=False, seed=1, certificates=False), dyck)
    assert other.certificate is None
    assert other.perfect
    assert other.as_json()["positions"] != again.as_json()["positions"]
    (far,) = run_suite(Options(words=2, far_words=2, certificates=False), [suite_language("Tomita-2")])
    assert list(far.scores) == ["1-100", "101-150", "10,000", "100,000"]
    assert far.scores["100,000"].words == 2
    assert 99_980 <= far.scores["100,000"].longest <= 100_000
    assert far.perfect


# -- models that are wrong --------------------------------------------------------------------------------------------


def wrong(language: Any, *args: Any, **more: Any) -> CompiledModel:
    """The model of D-3 instead of that of D-2."""
    return scancraft.compile(d_n(3) if language == d_n(2) else language, *args, **more)


def test_a_wrong_model_is_not_perfect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scancraft.suite.suite.compile", wrong)
    (row,) = run_suite(SMALL, [suite_language("D-2")])
    assert not row.perfect
    found = row.as_json()
    accuracy, positions = found["accuracy"], found["accuracy_positions"]
    assert isinstance(accuracy, dict)
    assert isinstance(positions, dict)
    assert accuracy["10,000"] <= 50  # the member is wrong; an arbitrary word dies early
    assert all(value < 100 for value in accuracy.values())
    assert all(0 < value < 100 for value in positions.values())


def test_the_command_fails_for_a_wrong_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scancraft.suite.suite.compile", wrong)
    result = invoke("suite", "--only", "D-2", *QUICK)
    assert result.exit_code == 1
    line = next(line for line in result.stdout.splitlines() if line.startswith("D-2"))
    assert " 100 " not in line.split("counterexample")[0]
    assert ", 0 of them wrong" not in result.stdout
    result = invoke("suite", "--only", "D-2;Tomita-2", *QUICK, "--json")
    assert result.exit_code == 1
    least = [min(row["accuracy"].values()) for row in json.loads(result.stdout)]
    assert least[0] < least[1] == 100


def test_a_missing_proof_is_not_perfect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scancraft.suite.suite.certify", lambda *_: Open("no time", 0.0))
    result = invoke("suite", "--only", "Tomita-2", *QUICK)
    assert (result.exit_code, "undecided" in result.stdout) == (1, True)
    assert ", 0 of them wrong" in result.stdout
    assert invoke("suite", "--only", "Tomita-2", *QUICK, "--no-certificates").exit_code == 0


def test_a_rejected_certificate_is_not_perfect(monkeypatch: pytest.MonkeyPatch) -> None:
    def reject(_: Path) -> Any:
        return SimpleNamespace(accepted=False)

    monkeypatch.setattr("scancraft.suite.suite.check_certificate", reject)
    result = invoke("suite", "--only", "Tomita-2", *QUICK, "--check")
    assert (result.exit_code, "certified, REJECTED" in result.stdout) == (1, True)
    assert invoke("suite", "--only", "Tomita-2", *QUICK).exit_code == 0


# -- the command ------------------------------------------------------------------------------------------------------


def test_the_table() -> None:
    result = invoke("suite", "--only", "Dyck-1;Parity; Flip-FLOP;", *QUICK, "--check")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].split()[:5] == ["language", "theorem", "model", "blocks", "d_model"]
    dyck, parity, flip = lines[1:4]
    assert dyck.split()[:7] == ["Dyck-1", "Theorem", "5", "mamba", "3", "16", "3,200"]
    assert "100 / 100 / 100" in dyck
    assert "certified, checked" in dyck
    assert "99.25-100 / 49-63 / 0-15" in dyck
    assert parity.split()[:5] == ["Parity", "Theorem", "2", "olmo_hybrid", "2"]
    assert "100 / 100 / 100" in parity
    assert "certified, checked" in parity
    assert "91.15 / 16.7" in parity
    assert "Parity: no Mamba models it at every length (theorem 2: 1 has period 2)" in lines
    assert "certified, checked" in flip
    assert any("by the general compiler" in line for line in lines[4:])
    assert re.fullmatch(r"98 words, [\d,]+ positions, 0 of them wrong; [\d.]+ s in all", lines[-1])


def test_the_json_and_the_checkpoints(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "kept"
    result = invoke("suite", "--only", "a^nb^n;Parity;Dyck_{8,5}", *QUICK, "--json", "--check", "--out", place)
    assert (result.exit_code, result.stderr) == (0, "")
    found = {row["name"]: row for row in json.loads(result.stdout)}
    assert list(found) == ["a^n b^n", "Parity", "Dyck_{8,5}"]
    assert [row["class"] for row in found.values()] == [COUNTER, NO, YES]
    assert found["a^n b^n"]["accuracy"] == {"2-200": 100.0, "202-1198": 100.0, "10,000": 100.0}
    assert found["a^n b^n"]["words"] == {"2-200": 10, "202-1198": 10, "10,000": 2}
    assert found["a^n b^n"]["certificate"]["checked"] is True
    assert found["Dyck_{8,5}"]["lower_bound_bits"] == 15.0
    assert "0.976" in found["Dyck_{8,5}"]["published_note"]
    assert sorted(p.name for p in place.iterdir()) == ["Dyck_8_5", "Parity", "a^n_b^n"]
    for name in ("Dyck_8_5", "Parity", "a^n_b^n"):
        assert invoke("certify", "--check", place / name).exit_code == 0
        assert invoke("check", place / name, "--words", 5, "--short", 50).exit_code == 0
    again = invoke("suite", "--only", "a^nb^n", *QUICK, "--no-certificates", "--out", place)
    assert again.exit_code == 0
    assert invoke("check", place / "a^n_b^n", "--words", 5, "--short", 50).exit_code == 0
    assert "certificate.json is missing" in invoke("certify", "--check", place / "a^n_b^n").stdout


BAD: dict[str, tuple[tuple[object, ...], str]] = {
    "unknown": (("--only", "Dyck-1;nope"), "no language of the suite is called 'nope'; there are Parity"),
    "commas": (("--only", "D-2,D-3"), "'D-2,D-3'"),
    "none": (("--only", ""), "--only names no language"),
    "only semicolons": (("--only", " ; ;"), "--only names no language"),
    "nothing to check": (("--only", "D-2", "--no-certificates", "--check"), "drop --no-certificates"),
    "trained without a plot": (("--only", "D-2", "--trained", "out"), "give --plot FILE too"),
    "suffix": (("--only", "D-2", "--plot", "suite.xyz"), ".png, .svg, .pdf"),
    "no suffix": (("--only", "D-2", "--plot", "suite"), ".png, .svg, .pdf"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("scancraft.suite.suite.run_suite", lambda *_, **__: pytest.fail("nothing should run"))
    args, message = BAD[case]
    assert message in refused(invoke("suite", *args))
    result = invoke("suite", *args, "--json")
    assert (result.exit_code, result.stderr) == (2, "")
    assert message in json.loads(result.stdout)["message"]
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    quick = ("suite", "--only", "Tomita-2", "--words", 2, "--far-words", 1, "--no-farthest", "--jobs", 1)
    refused(invoke(*quick, "--out", tmp_path / "file"))
    # The table is not lost where only the plot cannot be written.
    result = invoke(*quick, "--plot", tmp_path / "file" / "x.png")
    assert (result.exit_code, "Tomita-2" in result.stdout, str(tmp_path) in result.stderr) == (2, True, True)
    (tmp_path / "full" / "Tomita-2").mkdir(parents=True)
    (tmp_path / "full" / "Tomita-2" / "precious").write_text("y")
    assert "holds 'precious'" in refused(invoke(*quick, "--out", tmp_path / "full"))
    assert [p.name for p in (tmp_path / "full" / "Tomita-2").iterdir()] == ["precious"]
    assert (tmp_path / "file").read_text() == "x"


# -- the plot ---------------------------------------------------------------------------------------------------------


def trained(place: Path, data: object) -> Path:
    place.mkdir(exist_ok=True)
    text = data if isinstance(data, str) else json.dumps(data)
    (place / "training.json").write_text(text)
    return place


def training(**changes: Any) -> dict[str, Any]:
    accuracy = [{"shortest": 0, "longest": 50, "strings": 97.5}, {"shortest": 51, "longest": 100, "strings": 12.0}]
    return {"language": language_to_json(dyck_1()), "accuracy": accuracy, **changes}


PNG = b"\x89PNG\r\n\x1a\n"


def test_the_command_plots(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "suite.png"
    place = trained(tmp_path / "t", training())
    result = invoke("suite", "--only", "Dyck-1;Parity", *QUICK, "--plot", target, "--trained", place)
    assert (result.exit_code, result.stderr) == (0, f"plot written to {target}\n")
    assert target.read_bytes().startswith(PNG)
    assert result.stdout.startswith("language")
    result = invoke("suite", "--only", "Parity", *QUICK, "--plot", tmp_path / "x.SVG", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)[0]["name"] == "Parity"
    assert b"<svg" in (tmp_path / "x.SVG").read_bytes()


def test_equal_rows_give_equal_plots_and_a_training_shows(rows: dict[str, Row], tmp_path: Path) -> None:
    few = [rows["Dyck-1"], rows["Parity"]]
    plain = draw_suite(few, tmp_path / "plain.svg").read_text()
    place = trained(tmp_path / "t", training())
    with_curve = draw_suite(few, tmp_path / "curve.svg", [place]).read_text()
    assert "trained by scancraft train" in with_curve
    assert "trained by scancraft train" not in plain
    assert "an OLMo Hybrid" in plain
    pixels = [draw_suite(few, tmp_path / f"{n}.png").read_bytes() for n in (1, 2)]
    assert pixels[0] == pixels[1]
    assert draw_suite(few, tmp_path / "t.png", [place]).read_bytes() != pixels[0]
    # More than one line of panels, and a last line that is not full.
    assert draw_suite([*rows.values()][:4], tmp_path / "x.pdf", columns=3).read_bytes().startswith(b"%PDF")


MALFORMED: dict[str, object] = {
    "not JSON": "{",
    "a list": [],
    "no language": {"accuracy": []},
    "a language that is none": training(language={"dfa": 5}),
    "no accuracy": {"language": training()["language"]},
    "accuracy as text": training(accuracy="good"),
    "accuracy of nothing": training(accuracy=None),
    "an entry without lengths": training(accuracy=[{"strings": 5.0}]),
    "a length as text": training(accuracy=[{"shortest": "a", "longest": 5, "strings": 5.0}]),
    "a figure as text": training(accuracy=[{"shortest": 1, "longest": 5, "strings": "many"}]),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_trainings(case: str, tmp_path: Path) -> None:
    place = trained(tmp_path / "t", MALFORMED[case])
    with pytest.raises(CheckpointError, match="not what `scancraft train --out DIR` writes"):
        draw_suite([], tmp_path / "x.png", [place])
    assert not (tmp_path / "x.png").exists()
    if case == "not JSON":
        command = ("suite", "--only", "Parity", *QUICK, "--plot", tmp_path / "x.png", "--trained")
        assert "training.json" in refused(invoke(*command, place))
        assert "training.json" in refused(invoke(*command, tmp_path / "none"))
