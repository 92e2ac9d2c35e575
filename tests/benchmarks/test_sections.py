"""Every section runs in its small size, finds what is known of it, and is rendered from JSON alone."""

from __future__ import annotations

import copy
import json
import re
from importlib import import_module
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def module(run: Any, name: str) -> Any:
    return import_module(run.SECTIONS[name])


def rendered(run: Any, name: str, section: dict[str, Any]) -> str:
    return str(import_module("page.render").section(name, section, module(run, name)))


def targets(run: Any, name: str, section: dict[str, Any]) -> list[bool]:
    return [target.met for target in module(run, name).targets(section["size"], section["result"])]


def test_compile(sections: dict[str, Any]) -> None:
    section, raw = sections["compile"]
    for row in section["result"]["languages"]:
        assert row["blocks"] == max(row["height"], 1)
        assert 0 < row["nonzero"] < row["parameters"]
        assert row["flip_flops"] <= row["flip_flops_unshared"]
    # O_4: all binom(7, 3) monotone maps of a chain of 4 points, and all its non-empty sets are image sets.
    o_4 = next(row for row in section["result"]["languages"] if row["name"] == "O_4")
    assert (o_4["states"], o_4["monoid"], o_4["image_sets"]) == (4, 35, 15)
    assert all(row["compiled"] == row["drawn"] for row in section["result"]["random"])
    assert len(raw["random"]) == sum(row["drawn"] for row in section["result"]["random"])


def test_agreement(run: Any, sections: dict[str, Any]) -> None:
    section, _ = sections["agree"]
    size, rows = section["size"], section["result"]["languages"]
    for row in rows:
        assert row["sampled"]["words"] == size["words"]
        assert row["long"]["prefixes"] == size["long_length"] + 1
        letters, depth = row["letters"], row["short"]["longest"]
        assert row["short"]["words"] == sum(letters**n for n in range(depth + 1)) <= size["short_words"]
        assert row["bits"]["compared"] > 0
    assert targets(run, "agree", section) == [True, True]
    broken = copy.deepcopy(section)
    broken["result"]["languages"][0]["sampled"]["wrong"] = 2
    broken["result"]["languages"][0]["bits"]["difference"] = "two logits differ"
    assert targets(run, "agree", broken) == [False, False]
    page = rendered(run, "agree", broken)
    assert "| **2** |" in page
    assert "two logits differ" in page


def test_unequal_bits_are_told(run: Any) -> None:
    agreement, scancraft = module(run, "agree"), import_module("scancraft")
    compiled = scancraft.compile("(ab)*")

    class Broken:
        readout, language = compiled.readout, compiled.language

        def model(self, dtype: Any) -> Any:
            model = compiled.model(dtype)
            if "bfloat16" in str(dtype):
                model.lm_head.weight.data.mul_(-1)
            return model

    assert "the logits differ" in agreement.bits(Broken(), [("a", "b")])["difference"]


def test_decide(run: Any, sections: dict[str, Any]) -> None:
    section, raw = sections["decide"]
    every = next(row for row in section["result"]["random"] if row["generator"] == "all")
    assert every["dfas"] == section["size"]["dfas"] == len(raw["random"])
    assert 0 < every["star_free"] < every["dfas"]
    assert every["median_ms"] <= every["p95_ms"] <= every["most_ms"]
    assert [row["name"] for row in section["result"]["cascades"]] == ["D-5", "Dyck_{2,2}", "O_4"]
    slow = copy.deepcopy(section)
    slow["result"]["decisions"][0]["seconds"] = 10.0
    assert targets(run, "decide", slow)[0] is False


def test_the_acceptor_is_compared_like_with_like(run: Any, sections: dict[str, Any]) -> None:
    section = copy.deepcopy(sections["acceptor"][0])
    assert len({(row["language"], row["task"]) for row in section["result"]["rates"]}) == 12
    for row in section["result"]["rates"]:
        row.update(numbers_loop=1.0, strings_loop=0.5, dfa=0.25, acceptor=20.0)
    section["result"]["rates"][0]["acceptor"] = 60.0
    found = module(run, "acceptor").targets(section["size"], section["result"])
    assert [target.measured.partition(" times")[0] for target in found] == ["20.0", "40.0", "80.0", "20.0"]
    assert [target.met for target in found] == [False, False, True, False]
    assert "to 60.0 times" in found[0].measured


def test_certificates_and_their_check(run: Any, sections: dict[str, Any]) -> None:
    section, raw = sections["certify"]
    assert targets(run, "certify", section)[0] is True
    assert section["result"]["total"]["models"] == len(section["result"]["suite"]) + len(raw["random"])
    assert all(row["accepted"] for row in sections["checker"][0]["result"]["rows"])


def test_a_large_language_that_is_not_finished(run: Any, sections: dict[str, Any]) -> None:
    section = copy.deepcopy(sections["scale"][0])
    (row,) = section["result"]["rows"]
    assert (row["letters"], row["verdict"], targets(run, "scale", section)) == (60, "certified", [True] * 3)
    section["result"]["rows"] = [module(run, "scale").unfinished(row["language"], "too many image sets")]
    assert targets(run, "scale", section) == [False]
    assert "too many image sets" in rendered(run, "scale", section)


def test_mutants(run: Any, sections: dict[str, Any]) -> None:
    section, raw = sections["mutation"]
    total = section["result"]["total"]
    assert total["mutants"] == len(raw["mutants"]) == 2 * section["size"]["mutants"]
    assert total["wrong"] == total["unconfirmed"] == 0
    assert total["refuted"] > 0 < total["everywhere"]
    broken = copy.deepcopy(section)
    broken["result"]["total"] |= {"wrong": 1, "undecided": total["mutants"]}
    assert targets(run, "mutation", broken) == [False, True, False]


def test_suite_and_training(sections: dict[str, Any]) -> None:
    section, raw = sections["suite"]
    assert len(raw["rows"]) == len(section["result"]["rows"]) == section["size"]["languages"]
    positive = [row for row in section["result"]["rows"] if row["witness"] is None]
    assert all(row["certificate"]["checked"] is True for row in positive)
    (trained,) = sections["trained"][0]["result"]["rows"]
    assert trained["steps"] == sections["trained"][0]["size"]["max_steps"]
    (learned,) = sections["until"][0]["result"]["rows"]
    assert (learned["verdict"], learned["checked"]) == ("counterexample", True)
    assert [one["steps"] for one in learned["rounds"]] == [3]


def test_verdicts_on_trained_models(run: Any, sections: dict[str, Any], tmp_path: Path) -> None:
    section, raw = sections["verdicts"]
    (row,), (line,) = raw["rows"], section["result"]["lines"]
    assert (row["verdict"], row["length"], row["accepted"]) == ("counterexample", 1, True)
    assert (line["wrong"], line["lengths"], line["certified"]) == (1, [1], 0)
    assert targets(run, "verdicts", section) == [True] * 3
    broken = copy.deepcopy(section)
    broken["result"]["all"] |= {"undecided": 1, "accepted": 1, "seconds": 21}
    assert targets(run, "verdicts", broken) == [False] * 3
    # A line that is known is not made again.
    known = tmp_path / "known.jsonl"
    known.write_text(json.dumps(row | {"verdict": "undecided"}) + "\n", encoding="utf-8")
    experiment = module(run, "verdicts")
    keep = tmp_path / "models"
    (keep / f"Tomita-1, 1 blocks, seed 0, {experiment.QUICK.steps} steps").mkdir(parents=True)
    found = experiment.measure(experiment.QUICK, lambda *_: None, keep, known)
    assert found.summary["all"]["undecided"] == 1


def test_bounded_dyck_walks_scan_and_signed(run: Any, sections: dict[str, Any]) -> None:
    assert targets(run, "bounded_dyck", sections["bounded_dyck"][0]) == [True] * 3
    assert targets(run, "walks", sections["walks"][0]) == [True] * 3
    assert targets(run, "scan", sections["scan"][0])[1] is True
    signed = sections["signed"][0]
    assert targets(run, "signed", signed) == [True] * 3
    counts = {row["gates"]: sum(row["languages"].values()) for row in signed["result"]["small"]}
    assert counts == {"nonnegative": 12, "signed": 14, "complex": 0, "unsolvable": 0}


def test_refutations(run: Any, sections: dict[str, Any]) -> None:
    section, raw = sections["refute"]
    (row,) = raw["rows"]
    assert (row["verdict"], row["checked"]) == ("refuted", True)
    assert targets(run, "refute", section) == [True, True]
    refute = module(run, "refute")
    false = refute.summary([row | {"checked": False}], raw["models"])
    assert [target.met for target in refute.targets(section["size"], false)] == [False, False]
    assert refute.summary([row | {"verdict": "undecided", "reason": "time"}], raw["models"])["undecided"]


def test_the_picture_of_a_model_that_settles(run: Any, tmp_path: Path) -> None:
    refute, mambas = module(run, "refute"), import_module("random_mambas")
    curve = refute.settling(mambas.quick_mamba(0), 2_000)
    assert curve["n"][-1] == curve["N"] + 8
    assert curve["change"][0] > 0 == curve["change"][-1]
    assert len(set(curve["score"][8:])) == 1
    assert refute.settling(mambas.quick_mamba(0), 5) == {"N": None}
    import_module("page.pictures").draw_curve(curve, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_conformance(run: Any, sections: dict[str, Any]) -> None:
    section, raw = sections["conformance"]
    runs = {row["implementation"]: row for row in section["result"]["runs"]}
    assert runs["transformers"]["modes"]["full"]["verdict"] == "pass"
    assert runs["scancraft"]["modes"]["continued"]["verdict"] == "not tried"
    assert "no_such_module" in runs["not there"]["missing"]
    assert {fault["kind"] for fault in raw["faults"]} == {kind for _, kind in module(run, "conformance").mutants.BASES}
    assert targets(run, "conformance", section) == [True] * 3
    raw["faults"][0] |= {"found": False, "located": False, "told": "survived"}
    broken = copy.deepcopy(section)
    broken["result"] |= module(run, "conformance").summary(raw["faults"], [])
    assert targets(run, "conformance", broken)[0] is False
    assert "survived" in rendered(run, "conformance", broken)


def test_the_page_is_rendered_from_json_alone(run: Any, sections: dict[str, Any], tmp_path: Path) -> None:
    render, modules = import_module("page.render"), run.sections()
    known = {name: section for name, (section, _) in sections.items()}
    assert "## Targets" not in render.markdown(known, modules)
    for name in ("compile", "agree", "refute"):
        known[name] = known[name] | {"command": known[name]["command"].removesuffix(" --quick")}
    render.write(tmp_path, known, modules)
    page = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert render.markdown(render.read(tmp_path), modules) == page
    assert "## Targets" in page
    assert all(f"`{section['command']}` at commit {section['commit']}" in page for section in known.values())
    assert "{" not in re.sub(r"`[^`]*`|Dyck_\{.*?\}|\{a, b\}", "", page)
    for above, line in pairwise(page.splitlines()):
        if above.startswith("|") and line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", above)) == len(re.findall(r"(?<!\\)\|", line))


def test_the_page_of_the_docs_is_up_to_date(run: Any) -> None:
    render = import_module("page.render")
    known = render.read(ROOT / "docs")
    text = (ROOT / "docs" / "benchmarks.json").read_text(encoding="utf-8")
    assert text == render.dumps(known) + "\n"
    assert len(text.splitlines()) < 3_000
    assert (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8") == render.markdown(known, run.sections())


def test_peers(run: Any, sections: dict[str, Any]) -> None:
    """In the small size the other compilers are not asked for; a row of theirs is shown as it was found."""
    section, _ = sections["peers"]
    assert [row["by"] for row in section["result"]["rows"]] == ["scancraft"]
    assert targets(run, "peers", section) == [True]
    more = copy.deepcopy(section)
    (ours,) = section["result"]["rows"]
    more["result"]["rows"].append(ours | {"by": "another", "short": 0.5, "at the limit": 0.0, "past it": "refused"})
    (line,) = re.findall(r"^\|.*`another`.*$", rendered(run, "peers", more), re.MULTILINE)
    assert "| 50% | 0% | refused |" in line
    assert targets(run, "peers", more) == [True]
    more["result"]["rows"][0] = ours | {"past it": 0.5}
    assert targets(run, "peers", more) == [False]


# -- random languages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("letters", [2, 3])
def test_random_dfas_have_the_states_asked_for_and_repeat(run: Any, letters: int) -> None:
    random_dfas = import_module("timings.random_dfas")
    for generator, states in product(random_dfas.GENERATORS, (3, 6)):
        dfa = random_dfas.random_dfa(generator, states, letters, 7)
        assert (dfa.n_states, len(dfa.alphabet)) == (states, letters)
        assert dfa.semiautomaton == random_dfas.random_dfa(generator, states, letters, 7).semiautomaton
        assert dfa != random_dfas.random_dfa(generator, states, letters, 8)


def test_star_free_generators_permute_nothing(run: Any) -> None:
    """By definition: in the monoid, enumerated here, the powers of every element end in a fixed one."""
    random_dfas = import_module("timings.random_dfas")
    for generator, seed in product(random_dfas.STAR_FREE, range(5)):
        columns = list(zip(*random_dfas.random_dfa(generator, 5, 2, seed).semiautomaton.table, strict=True))
        monoid = {tuple(range(5))}
        queue = list(monoid)
        for s in queue:
            for fresh in {tuple(column[q] for q in s) for column in columns} - monoid:
                monoid.add(fresh)
                queue.append(fresh)
        for s in monoid:
            power = s
            for _ in range(5):
                power = tuple(s[q] for q in power)
            assert tuple(s[q] for q in power) == power


# -- cells -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (0.09996, "0.100"), (0.00123456, "0.00123"), (9.996, "10.0"), (123.4, "123"), (12345.6, "12,346")],
)
def test_three_digits(run: Any, number: float, text: str) -> None:
    assert import_module("page.table").short(number) == text


def test_a_table_aligns_formats_and_marks(run: Any) -> None:
    page = import_module("page.table")
    rows = [
        {"name": "a|b", "count": 1_234, "seconds": 0.5, "fine": True, "sizes": {"median": 1.5, "most": 2}},
        {"name": "c", "count": 0, "seconds": None, "fine": False, "sizes": {"median": 2.0, "most": 4}},
    ]
    columns = (page.Column("name", show=page.code), page.Column("count", target=lambda n: n > 0), "seconds", "fine")
    assert page.table(rows, (*columns, page.Column("both", "sizes"))).splitlines() == [
        "| name | count | seconds | fine | both |",
        "| :-- | --: | --: | :-: | --: |",
        "| `a\\|b` | 1,234 | 0.500 | yes | 1.5 / 2 |",
        "| `c` | **0** | - | **no** | 2 / 4 |",
    ]
    assert page.table([], columns) == page.NOTHING


def test_json_has_a_row_per_line(run: Any) -> None:
    render = import_module("page.render")
    value = {"rows": [{"name": "x" * 100, "share": 1 / 3} for _ in range(5)], "none": None}
    text = render.dumps(value)
    assert len(text.splitlines()) == 10
    assert json.loads(text)["rows"][0]["share"] == 0.333333333


def test_groups(run: Any, sections: dict[str, Any]) -> None:
    section, raw = sections["groups"]
    assert [row["states"] for row in section["result"]["groups"]] == [2, 3, 6]
    assert (
        [line["languages"] for line in section["result"]["lines"]] == [2, 2] == [len(raw["small"]), len(raw["random"])]
    )
    assert all(targets(run, "groups", section))
    broken = copy.deepcopy(section)
    broken["result"]["groups"][0]["wrong"] = 3
    assert not all(targets(run, "groups", broken))


def test_groups_are_those_that_they_are_called(run: Any) -> None:
    """By their orders, and by how many elements have which order."""
    found = import_module("experiments.groups")
    orders = {name: found.word_problem(perms).n_states for name, perms in found.GROUPS.items()}
    assert orders == {
        **{f"Z_{n}": n for n in range(2, 13)},
        **{"S_3": 6, "D_4": 8, "Q_8": 8, "A_4": 12, "S_4": 24, "A_5": 60, "S_5": 120},
    }
    assert len(list(found.all_small_languages(2))) == 26
