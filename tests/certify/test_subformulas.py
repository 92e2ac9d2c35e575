"""Certificates of past formulas: what is proved, planted faults, and the parts of the argument by themselves."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forgery import (
    Edit,
    accepted,
    certified,
    checked_with_its_margin,
    claim_language,
    edit_json,
    edit_weights,
    rejected,
    right,
    set_at,
    switch_off,
)
from patterns import CASES
from safetensors.torch import load_file

import scancraft
from scancraft.automata.languages import language_to_json
from scancraft.automata.logic.ltl import ltl
from scancraft.automata.logic.parser import parse_formula
from scancraft.automata.logic.past import PastLtl
from scancraft.automata.logic.truth import accepts
from scancraft.certify.certify import Open
from scancraft.certify.checker import diagrams
from scancraft.certify.checker.certificate import check_certificate
from scancraft.certify.checker.diagrams import Diagrams
from scancraft.certify.checker.formulas import read_formula
from scancraft.certify.checker.judge import judge
from scancraft.certify.checker.parts import RejectedError
from scancraft.certify.checker.variables import FARTHEST, Past

Forge = Callable[[str], Path]
Content = dict[str, Any]

METHOD = "subformula by subformula"
FORMULAS = [
    "a S b",
    "H (a -> Y b)",
    "Y Y a & b",
    "(a S b) S (c S b)",
    "(Y (a S b)) S c",
    "c S Y Y Y (a S b)",
    "(O a & Y O b) | (H !c & Y Y (a S c))",
    "O (H (!c S Y a))",  # false after every word
    "O ((c S b -> O a) | ((Y c) S O b))",  # one S holds always, another whenever a third does
    "a T (b | O c)",
    "(b | !b) S (c S c)",
    "true",
]
RESPONSES = 30
BETWEEN = 5


def compiled(text: str, place: Path | None = None, **more: Any) -> Any:
    language = ltl(text, "abc", at="last")
    assert isinstance(language, PastLtl)
    return scancraft.compile(language, place, contract="recognise", **more)


# -- what is proved ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_are_certified(text: str, tmp_path: Path) -> None:
    compiled(text, tmp_path)
    for dtype in (torch.float32, torch.bfloat16):
        found = certified(tmp_path, dtype=dtype)
        content = found.content
        assert (content["method"], found.scope, found.margin) == (METHOD, "every-implementation", 16)
        assert content["counts"]["memories"] == len(content["memories"])
        assert METHOD in str(found)
        checked = accepted(tmp_path)
        assert (checked.method, checked.memories) == (METHOD, len(content["memories"]))
        assert METHOD in str(checked)


def test_falcon_mamba(tmp_path: Path) -> None:
    compiled("(O a & Y O b) | (H !c & Y Y (a S c))", tmp_path, target="falcon_mamba")
    assert certified(tmp_path).content["method"] == METHOD
    accepted(tmp_path)


def test_other_blocks_are_certified_by_the_automaton(tmp_path: Path) -> None:
    compiled("(Y (a S b)) S c", tmp_path, target="mamba2")
    assert certified(tmp_path).content["method"] == "block by block"
    accepted(tmp_path)
    wrong = ltl("(Y (a S b)) S b", "abc", at="last")
    assert isinstance(wrong, PastLtl)
    about = {"past_ltl": json.loads((tmp_path / "scancraft.json").read_text())["language"]["past_ltl"]}
    nodes = about["past_ltl"]["nodes"]
    nodes[nodes.index(["letters", ["c"]])] = ["letters", ["b"]]
    edit_json(tmp_path / "scancraft.json", lambda m: m["language"].update(about))
    rejected(tmp_path, "language: scancraft.json differs")


def test_thirty_responses_at_once(tmp_path: Path) -> None:
    """A DFA would have 2^30 states: the formula is never multiplied out."""
    text = " & ".join(f"G (p{i} -> F q{i})" for i in range(RESPONSES))
    model = scancraft.compile(ltl(text), tmp_path, contract="recognise")
    assert len(model.model().backbone.layers) <= 4
    content = certified(tmp_path).content
    assert (content["method"], content["margin"]) == (METHOD, 16)
    assert content["counts"]["memories"] == RESPONSES
    assert len({m["node"] for m in content["memories"]}) == RESPONSES
    assert accepted(tmp_path).memories == RESPONSES
    compare_with_truth(tmp_path, text, "first", 12, 40)


def test_independent_patterns_between_two_letters(tmp_path: Path) -> None:
    """Which S a memory holds is found among many that are alike but for their letters."""
    between = {kind: text for kind, scope, text in CASES if scope == "between q and r"}
    text = " & ".join(
        "(" + re.sub(r"\b[pqrs]\b", rf"\g<0>{i}", between["s responds to p"]) + ")" for i in range(BETWEEN)
    )
    scancraft.compile(ltl(text), tmp_path, contract="recognise")
    content = certified(tmp_path).content
    assert (content["method"], content["counts"]["memories"]) == (METHOD, 7 * BETWEEN)
    assert len({m["node"] for m in content["memories"]}) == 6 * BETWEEN


@pytest.mark.parametrize("text", [FORMULAS[6], FORMULAS[5], FORMULAS[9]])
def test_certified_models_agree_with_the_textbook(text: str, tmp_path: Path) -> None:
    compiled(text, tmp_path)
    certified(tmp_path)
    compare_with_truth(tmp_path, text, "last", 12, 30)


def compare_with_truth(place: Path, text: str, at: str, words: int, length: int) -> None:
    """The logits that transformers computes of whole words, against the definition of the formula."""
    from transformers import AutoModelForCausalLM

    readout, formula = scancraft.load(place).readout, parse_formula(text)
    model = AutoModelForCausalLM.from_pretrained(place).eval()
    symbols, rng = sorted(readout.tokens), np.random.default_rng(3)
    for _ in range(words):
        word = [symbols[i] for i in rng.integers(0, len(symbols), length)]
        tokens = torch.tensor([[readout.bos, *(readout.tokens[s] for s in word)]])
        with torch.no_grad():
            says = (model(tokens).logits[0, :, readout.accept] > 0).tolist()
        assert says == [accepts(formula, [{s} for s in word[:n]], at) for n in range(length + 1)]


def test_what_takes_too_much_is_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagrams, "MOST_STEPS", 1000)
    found = scancraft.certify(compiled(FORMULAS[6]), budget=scancraft.Budget(items=3, seconds=60.0))
    assert isinstance(found, Open)
    assert "too much at once" in found.reason
    assert "its DFA" in found.reason


# -- planted faults ----------------------------------------------------------------------------------------------------


def weights(place: Path, number: int) -> Iterator[dict[str, torch.Tensor]]:
    """Each with one number changed: what is not 0 is taken away, turned over, or scaled; a 0 becomes a number."""
    original, rng = load_file(place / "model.safetensors"), np.random.default_rng(number)
    for n in range(number):
        name = sorted(original)[n % len(original)]
        spots = original[name].nonzero().tolist()
        spot = tuple(spots[int(rng.integers(len(spots)))]) if spots and n % 4 else None
        spot = spot or tuple(int(rng.integers(size)) for size in original[name].shape)
        changed = {key: tensor.clone() for key, tensor in original.items()}
        old = float(changed[name][spot])
        changed[name][spot] = old * (0.0, -1.0, 2.0, 1.5, 0.5)[n % 5] if old else (1.0, -1024.0, 2.0**-10)[n % 3]
        yield changed


@pytest.mark.parametrize("part", range(2))
def test_changed_weights_are_rejected_or_harmless(part: int, forge: Forge) -> None:
    place, refused = forge("formula"), 0
    words = (place / "certificate.json").read_bytes()
    for number, changed in enumerate(weights(place, 36)):
        if number // 18 != part:
            continue
        (place / "certificate.json").write_bytes(words)
        edit_weights(place, lambda w, c=changed: w.update(c))  # type: ignore[misc]
        checked = checked_with_its_margin(place)
        if checked.accepted:
            assert right(place), number
        refused += not checked.accepted
    assert refused > 8


def memory(key: str, value: Any) -> Edit:
    return lambda c: c["memories"][0].update({key: value})


FIELDS: list[tuple[Edit, str]] = [
    (memory("node", 0), "memories"),
    (memory("late", 1), "memories"),
    (memory("late", False), "memories"),
    (memory("holds", "true"), "memories"),
    (memory("block", 1), "memories"),
    (memory("channel", 0), "memories"),
    (memory("state", 1), "memories"),
    (memory("state", 0.0), "memories"),
    (memory("proved", True), "memories"),
    (lambda c: c["memories"].pop(), "memories"),
    (lambda c: c["memories"].reverse(), "memories"),
    (lambda c: c["memories"].append(c["memories"][0]), "memories"),
    (lambda c: c.update(memories={}), "memories"),
    (lambda c: c.pop("memories"), "keys ['memories']"),
    (lambda c: c.update(limits={}), "keys ['limits']"),
    (set_at("counts", "memories", value=0), "counts"),
    (set_at("counts", "readouts", value=1), "counts"),
    (set_at("counts", "transitions", value=7), "counts"),
    (set_at("margin", value=32.0), "margin"),
    (set_at("scope", value="step"), "scope"),
    (set_at("contract", value="live-prefixes"), "claim"),
    (set_at("claim", value="it is right"), "claim"),
    (set_at("method", value="block by block"), "keys ['memories']"),
    (set_at("method", value="slots"), "keys"),
    (set_at("dtype", value="float16"), "model.safetensors"),
    (set_at("obligations", 0, "holds", value=False), "gates does not hold"),
    (set_at("obligations", 0, "checked", value=10**9), "instances claimed"),
    (set_at("readout", "threshold", value=-17.0), "readout: threshold"),
    (set_at("readout", "next_symbol", value={"a": 3, "b": 4, "c": 5}), "claim"),
    (set_at("sha256", "weights", value="0" * 64), "not the weights"),
]


@pytest.mark.parametrize("number", range(len(FIELDS)))
def test_rejects_other_fields(number: int, forge: Forge) -> None:
    edit, reason = FIELDS[number]
    place = forge("formula")
    edit_json(place / "certificate.json", edit)
    rejected(place, reason)


def exchanged(nodes: list[Any]) -> Iterator[list[Any]]:
    """The formula with one node changed."""
    for n, (operator, *parts) in enumerate(nodes):
        others: list[list[Any]] = []
        match operator:
            case "letters":
                others = [["letters", [*parts[0], "<bos>"]], ["letters", parts[0][1:]], ["letters", ["b"]]]
            case "S":
                others = [["S", parts[1], parts[0]], ["and", parts], ["Y", parts[1]]]
            case "and" | "or":
                others = [["or" if operator == "and" else "and", *parts], [operator, parts[0][1:] or [0]]]
            case "Y" | "not":
                others = [["and", [parts[0]]], ["not" if operator == "Y" else "Y", parts[0]]]
        for other in others:
            if other != [operator, *parts]:
                yield [*nodes[:n], other, *nodes[n + 1 :]]


def test_another_formula_is_rejected_or_means_the_same(forge: Forge) -> None:
    place, refused, same = forge("formula"), 0, 0
    about = json.loads((place / "certificate.json").read_text())["language"]
    for nodes in list(exchanged(about["past_ltl"]["nodes"]))[::2]:
        changed = copy.deepcopy(about)
        changed["past_ltl"]["nodes"] = nodes
        claim_language(place, changed)
        follow(place)
        if check_certificate(place).accepted:
            assert right(place), nodes
            same += 1
        else:
            refused += 1
    assert refused > 10
    assert same < refused


def follow(place: Path) -> None:
    """Take over what the checker itself says that the memories and counts of a forged certificate are."""
    content = json.loads((place / "certificate.json").read_text())
    try:
        found = judge(content, scancraft.load(place).model(), {})
    except RejectedError:
        return
    says = {key: getattr(found, key) for key in ("memories", "counts", "margin", "obligations")}
    edit_json(place / "certificate.json", lambda c: c.update(says))


def test_labels_in_the_manifest_are_not_believed(forge: Forge) -> None:
    """They are for people: whatever they say, the certificate says what the weights hold."""
    place = forge("formula")

    def lie(manifest: Content) -> None:
        for block in manifest["blocks"]:
            for label in block["memories"]:
                label["name"] = "node 0"
                label["meanings"] = {}
            for channel in block["channels"]:
                channel["meaning"] = "nothing"

    edit_json(place / "scancraft.json", lie)
    accepted(place)
    edit_json(place / "scancraft.json", lambda m: m.update(contract="all-words"))
    rejected(place)


MALFORMED: list[Callable[[Content], object]] = [
    lambda f: f.update(nodes=[]),
    lambda f: f.update(nodes=[["and", [0]]]),
    lambda f: f.update(nodes=[["letters", ["z"]]]),
    lambda f: f.update(nodes=[["letters", ["a"]], ["X", 0]]),
    lambda f: f.update(nodes=[["letters", ["a"]], ["S", 0]]),
    lambda f: f.update(nodes=[["letters", ["a"]], ["and", []]]),
    lambda f: f.update(nodes=[["letters", ["a"]], ["not", True]]),
    lambda f: f.update(nodes=[["letters", ["a"]], ["not", -1]]),
    lambda f: f.update(nodes=[["letters", ["a"]], ["not", 0.0]]),
    lambda f: f.update(nodes=[["letters", "a"]]),
    lambda f: f.update(nodes=[3]),
    lambda f: f.update(alphabet=["a", "a"]),
    lambda f: f.update(alphabet=["a", "<bos>"]),
    lambda f: f.update(alphabet="a"),
    lambda f: f.update(more=1),
]


@pytest.mark.parametrize("number", range(len(MALFORMED)))
def test_malformed_formulas_are_rejected(number: int) -> None:
    formula = {"alphabet": ["a", "b"], "nodes": [["letters", ["a"]]]}
    MALFORMED[number](formula)
    with pytest.raises(RejectedError, match="language: "):
        read_formula(formula)


# -- obligations, one at a time ----------------------------------------------------------------------------------------


def entry(part: str, *place: Any, value: float, block: int = 0) -> Edit:
    """One entry of one parameter of a block."""
    return lambda model: model.backbone.layers[block].mixer.get_parameter(part).__setitem__(place or ..., value)


SMALL = 1.5 * 2.0**-126
ATTACKS: list[tuple[str, Edit]] = [
    ("functions: conv1d: silu", entry("conv1d.bias", value=1.0)),
    ("functions: dt_proj: softplus", entry("dt_proj.bias", value=-700.0)),
    ("functions: gate branch: silu", lambda m: m.backbone.layers[0].mixer.in_proj.weight[16:].mul_(2.0**-10)),
    ("functions: A_log: exp", entry("A_log", value=70.0)),
    ("functions: gate: exp", entry("A_log", value=-20.0)),
    ("gates: a gate of 1 with a write", entry("A_log", value=-700.0)),
    ("sums: conv1d", entry("conv1d.weight", 2, 0, 0, value=SMALL)),
    ("sums: read", entry("D", value=1e30)),
    ("sums: in_proj", entry("in_proj.weight", 3, 0, value=SMALL)),
    ("sums: residual", entry("out_proj.weight", 0, value=2.0**-10)),
    ("rmsnorm: norm: epsilon", lambda m: setattr(m.backbone.layers[0].norm, "variance_epsilon", -1e-5)),
    ("rmsnorm: norm", lambda m: setattr(m.backbone.layers[1].norm, "variance_epsilon", 2.0**80)),
    ("rmsnorm: norm_f", lambda m: setattr(m.backbone.norm_f, "variance_epsilon", 2.0**80)),
    ("sums: lm_head", lambda m: m.lm_head.weight[:, 0].fill_(1e30)),
]


def failure(forge: Forge, edit: Edit) -> str:
    """What is said of an edited model; "" if all is proved."""
    place = forge("formula")
    content = json.loads((place / "certificate.json").read_text())
    model = scancraft.load(place).model()
    with torch.no_grad():
        edit(model)
    try:
        return judge(content, model, {}).failure
    except RejectedError as error:
        return str(error)


@pytest.mark.parametrize("number", range(len(ATTACKS)))
def test_each_obligation_is_missed(number: int, forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    what, edit = ATTACKS[number]
    name, _, where = what.partition(": ")
    said = failure(forge, edit)
    assert said.startswith(f"obligation {name}: "), said
    assert where in said
    switch_off(monkeypatch, name, where)
    assert failure(forge, edit) != said


def test_memories_and_scores_are_compared(forge: Forge) -> None:
    """What no obligation forbids, and is wrong all the same."""
    cases: list[tuple[Edit, str]] = [
        (lambda m: m.backbone.layers[0].mixer.dt_proj.bias.neg_(), "holds no subformula"),
        (lambda m: m.lm_head.weight.neg_(), "read-out"),
        (lambda m: m.backbone.layers[-1].mixer.out_proj.weight.zero_(), "read-out"),
        (lambda m: m.backbone.embeddings.weight.__setitem__(3, m.backbone.embeddings.weight[4]), ""),
    ]
    for edit, reason in cases:
        said = failure(forge, edit)
        assert said
        assert reason in said, said


# -- the parts ---------------------------------------------------------------------------------------------------------


def test_diagrams_are_functions() -> None:
    """Random expressions over three variables against all their values, and one node for equal functions."""
    sizes, rng = (3, 2, 4), np.random.default_rng(7)
    d = Diagrams()
    known: dict[bytes, int] = {}
    made: list[tuple[int, Any]] = []
    for level, size in enumerate(sizes):
        values = rng.integers(-2, 3, size).astype(float)
        shape = [size if n == level else 1 for n in range(3)]
        made.append((d.numbers(level, values), np.broadcast_to(values.reshape(shape), sizes)))
    for _ in range(300):
        (f, a), (g, b) = (made[int(i)] for i in rng.integers(0, len(made), 2))
        step = int(rng.integers(6))
        truth, flags = d.map(f, lambda v: float(v > 0)), (a > 0).astype(float)
        new, table = [
            (d.plus(f, g), a + b),
            (d.times(f, g), a * b),
            (d.minus(f, g), a - b),
            (d.choose(truth, g, f), np.where(flags > 0, b, a)),
            (d.total(np.array([2.0, 0.0, -1.0]), [f, f, g]), 2 * a - b),
            (d.differs(f, g), (a != b).astype(float)),
        ][step]
        if np.abs(table).max() > 2**40:
            continue
        made.append((new, table))
        assert known.setdefault((table + 0.0).tobytes(), new) == new
        assert d.values(new).tolist() == sorted(set(table.reshape(-1).tolist()))
        for place in product(*map(range, sizes)):
            assert d.at(new, lambda level, p=place: p[level]) == table[place]  # type: ignore[misc]
    assert len(known) > 30


@pytest.mark.parametrize("text", FORMULAS)
def test_what_is_said_of_subformulas_is_true(text: str) -> None:
    """On all short words: each truth value, and nothing that happens is called impossible."""
    language = ltl(text, "abc", at="last")
    assert isinstance(language, PastLtl)
    formula = read_formula(language_to_json(language)["past_ltl"])
    past = Past(formula, np.arange(3))
    words = np.array(list(product(range(3), repeat=5)))
    held = formula.after(words)
    right_values = np.array([[m.values for m in language.run(["abc"[i] for i in w])] for w in words])
    assert (held == right_values).all()
    happened: list[set[bool]] = [set() for _ in past.truth]
    for word, values in zip(words[::7], held[::7], strict=True):
        for t in range(6):

            def value_of(level: int, t: int = t, word: Any = word, values: Any = values) -> int:
                k, ago = divmod(level, FARTHEST)
                if ago > t:
                    return 0 if k else past.none
                if k:
                    return int(values[t - ago, past.remembered[k - 1].node])
                return past.bos if ago == t else int(word[t - ago - 1])

            for n, f in enumerate(past.truth):
                assert past.d.at(f, value_of) == values[t, n]
                happened[n].add(bool(values[t, n]))
    for f, seen in zip(past.truth, happened, strict=True):
        assert not (past.impossible(f) and True in seen)
        assert not (past.impossible(past.d.negation(f)) and False in seen)
