"""Certificates by boxes: found for models whose states are without number, sound on words, and refused when forged."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import invoke
from definite import READOUT, definite, random_model
from forgery import accepted, edit_json, edit_weights, rejected, set_at

import scancraft
from scancraft import Budget, Certificate
from scancraft.automata.languages import as_language, truth_of
from scancraft.automata.words.mixtures import mixture_of
from scancraft.certify.certify import Open
from scancraft.certify.check import compare
from scancraft.certify.checker.judge import judge
from scancraft.certify.checker.parts import RejectedError
from scancraft.certify.scores import score_ranges
from scancraft.certify.search.boxes import fixpoint
from scancraft.certify.search.boxes.graph import BoxGraph, box_graph
from scancraft.certify.search.results import ScoreRange
from scancraft.models.arithmetic import Interval
from scancraft.models.classes import model_classes
from scancraft.models.enclosures import Drive
from scancraft.models.errors import ReadoutError
from scancraft.models.run.batches import prefix_scores
from scancraft.suite.languages import Bin
from scancraft.training.training import Settings, Trained, train

SCOPE = "every-implementation up to rounding E"
TRAINED = [("(a|b)*a", 1), ("(a|b)*a", 2), ("a*b*", 1)]
RANDOM = [("mamba", 4, 1, 4), ("mamba", 0, 2, 4), ("falcon_mamba", 5, 1, 4), ("mamba2", 5, 1, 3)]
"""Kind, seed, blocks, and how many last letters the language looks at."""

Case = tuple[Any, Any, Any, Certificate]


@cache
def made_by_training(regex: str, layers: int) -> Trained:
    settings = Settings(layers=layers, d_model=8, words=500, tokens=256, learning_rate=2e-2)
    return train(regex, seconds=1e6, settings=settings, bins=(Bin(1, 20),), max_steps=80, test_words=1)


@cache
def trained(regex: str, layers: int) -> Case:
    """A model, its language, its readout, and a certificate."""
    made = made_by_training(regex, layers)
    return certified(made.model, made.language, made.readout)


@cache
def random(kind: str, seed: int, layers: int, length: int) -> Case:
    """The same of a random model, and a language that it happens to model."""
    model = random_model(kind, seed, layers)
    return certified(model, as_language(definite(model, length)), READOUT)


def certified(model: Any, language: Any, readout: Any) -> Case:
    verdict = scancraft.certify(model, language, readout=readout)
    assert isinstance(verdict, Certificate), verdict
    return model, language, readout, verdict


CASES: list[Callable[[], Case]] = [
    *(lambda given=given: trained(*given) for given in TRAINED),
    *(lambda given=given: random(*given) for given in RANDOM),
]
NAMES = [*map(str, TRAINED), *map(str, RANDOM)]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_what_is_certified_is_right_on_words(case: Callable[[], Case]) -> None:
    model, language, readout, found = case()
    assert (found.scope, found.content["method"]) == (SCOPE, "box by box")
    assert found.content["counts"]["nodes"] > 1
    rng = np.random.default_rng(0)
    words = mixture_of(language, 120, 0, 40, rng)
    loops = [tuple(rng.choice(language.alphabet, rng.integers(1, 4))) for _ in range(8)]
    words += [(*x, *(w * 200)[:200], *y) for x, w, y in zip(words, loops, reversed(words), strict=False)]
    assert compare(model, language, readout, words).agrees
    # Not only the signs: no score is nearer to 0 than the certificate says.
    truth = truth_of(language)
    codes, lengths = truth.encode(words)
    scores = prefix_scores(model, readout, codes, lengths, truth.alphabet).abs().amin(dim=-1).numpy()
    promised = np.arange(scores.shape[1]) <= lengths[:, None]
    if readout.contract == "live-prefixes":
        promised &= truth.next_masks(codes, lengths).any(axis=-1)
    assert 0 < found.margin <= scores[promised].min()


# -- what the checker refuses --------------------------------------------------------------------------------------


def judged(case: Case, model: Any = None, **tensors: Any) -> None:
    """The checker on evidence that was changed, or on another model."""
    judge(case[3].content, model or case[0], {**case[3].evidence, **tensors})


def changed(case: Case, name: str, value: float, place: Any = ...) -> dict[str, Any]:
    tensor = case[3].evidence[name].clone()
    tensor[place] = value
    return {name: tensor}


def test_the_evidence_is_accepted_as_it_is() -> None:
    judged(trained("(a|b)*a", 2))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e300])
@pytest.mark.parametrize("part", ["inputs.low", "inputs.high", "states.low", "states.high", "size", "error"])
def test_numbers_that_are_none_are_refused(part: str, value: float) -> None:
    case = trained("(a|b)*a", 2)
    with pytest.raises(RejectedError):
        judged(case, **changed(case, f"block1.{part}", value))


@pytest.mark.parametrize("block", [0, 1])
@pytest.mark.parametrize(("part", "end"), [("inputs", "low"), ("states", "high"), ("states", "low")])
def test_no_box_may_be_narrower(block: int, part: str, end: str) -> None:
    case = trained("(a|b)*a", 2)
    low, high = (case[3].evidence[f"block{block}.{part}.{side}"] for side in ("low", "high"))
    middle = {f"block{block}.{part}.{end}": (low + high) / 2}
    with pytest.raises(RejectedError, match="may leave the box"):
        judged(case, **middle)
    for node in range(len(low)):  # at a single node
        one = (high if end == "high" else low).clone()
        one[node] = (low[node] + high[node]) / 2
        with pytest.raises(RejectedError, match="may leave the box"):
            judged(case, **{f"block{block}.{part}.{end}": one})


@pytest.mark.parametrize("bound", ["size", "error"])
def test_bounds_on_rounding_are_verified(bound: str) -> None:
    case = trained("(a|b)*a", 1)
    with pytest.raises(RejectedError, match="rounding may add up"):
        judged(case, **{f"block0.{bound}": case[3].evidence[f"block0.{bound}"] * 0.9})
    with pytest.raises(RejectedError, match="negative"):
        judged(case, **{f"block0.{bound}": -case[3].evidence[f"block0.{bound}"]})


def test_boxes_that_are_too_wide_prove_nothing() -> None:
    case = trained("(a|b)*a", 1)
    wide = {
        f"block0.states.{end}": torch.full_like(case[3].evidence["block0.states.low"], s * 50)
        for end, s in (("low", -1), ("high", 1))
    }
    with pytest.raises(RejectedError, match="the scores lie between"):
        judged(case, **wide)
    with pytest.raises(RejectedError, match="exchanged"):
        judged(case, **{"block0.states.low": wide["block0.states.high"]})


def test_nodes_and_steps_must_be_those_of_the_language() -> None:
    case = trained("a*b*", 1)
    nodes, following = case[3].evidence["nodes"], case[3].evidence["following"]
    for row, letter in np.argwhere(following.numpy() >= 0).tolist():
        with pytest.raises(RejectedError, match="missing"):
            judged(case, **changed(case, "following", -1, (row, letter)))
    for row, letter in np.argwhere(following.numpy() < 0).tolist():
        with pytest.raises(RejectedError, match="missing"):
            judged(case, **changed(case, "following", 0, (row, letter)))
    for node in range(len(nodes)):
        with pytest.raises(RejectedError, match=r"nodes|following"):
            judged(case, **changed(case, "nodes", 1 - int(nodes[node]), node))
    with pytest.raises(RejectedError, match="a node that is not there"):
        judged(case, **changed(case, "following", len(nodes), (0, 0)))
    with pytest.raises(RejectedError, match="another shape"):
        judged(case, nodes=nodes[:-1])
    with pytest.raises(RejectedError, match="float64"):
        judged(case, **{"block0.size": case[3].evidence["block0.size"].float()})
    with pytest.raises(RejectedError, match="unknown tensors"):
        judged(case, more=nodes)


def test_another_node_of_the_same_state_is_another_box() -> None:
    case = trained("(a|b)*a", 1)
    truth, following = case[3].evidence["nodes"], case[3].evidence["following"]
    for row in range(len(truth)):
        for other in range(len(truth)):
            if truth[other] == truth[following[row, 0]] and other != following[row, 0]:
                with pytest.raises(RejectedError, match="may leave the box"):
                    judged(case, **changed(case, "following", other, (row, 0)))


WEIGHTS = [
    ("mixer.A_log", lambda w: w + 0.5),
    ("mixer.A_log", lambda w: w.clamp(max=-3)),
    ("mixer.dt_proj.bias", lambda w: w - 0.01),
    ("mixer.conv1d.weight", lambda w: -w),
    ("mixer.in_proj.weight", lambda w: w * 1.001),
    ("mixer.x_proj.weight", lambda w: w.flip(0)),
    ("norm.weight", lambda w: w * 0.999),
]


@pytest.mark.parametrize(("name", "edit"), WEIGHTS)
@pytest.mark.parametrize("layer", [0, 1])
def test_a_changed_weight_leaves_the_boxes(layer: int, name: str, edit: Any) -> None:
    case = trained("(a|b)*a", 2)
    model = copy.deepcopy(case[0])
    parameter = dict(model.backbone.layers[layer].named_parameters())[name]
    parameter.data = edit(parameter.data)
    with pytest.raises(RejectedError, match=f"block {layer}"):
        judged(case, model)


def an_overflow(model: Any) -> None:
    """The stream is so large that its squares are infinite; for real numbers it is the same model."""
    layers = model.backbone.layers
    for norm in (layers[0].norm, model.backbone.norm_f):
        norm.variance_epsilon *= 2.0**140
    for weight in (model.backbone.embeddings.weight, layers[0].mixer.out_proj.weight):
        weight *= 2.0**70


def an_underflow(model: Any) -> None:
    """What the norm gives is subnormal, and many processors take that for 0."""
    model.backbone.layers[0].norm.weight *= 2.0**-126
    model.backbone.layers[0].mixer.in_proj.weight *= 2.0**126


@pytest.mark.parametrize("edit", [an_overflow, an_underflow])
def test_numbers_that_float32_does_not_hold(edit: Any) -> None:
    """The boxes of real numbers are the same, but the model is wrong."""
    case = random(*RANDOM[0])
    model = copy.deepcopy(case[0])
    with torch.no_grad():
        edit(model)
    if torch.set_flush_denormal(True):
        try:
            assert not compare(model, case[1], case[2], exhaustive_to=5).agrees
        finally:
            torch.set_flush_denormal(False)
    with pytest.raises(RejectedError, match="may be past"):
        judged(case, model)


def test_sizes_of_settings() -> None:
    case = random(*RANDOM[3])
    model = copy.deepcopy(case[0])
    model.backbone.norm_f.variance_epsilon = 2.0**-110
    with pytest.raises(RejectedError, match="epsilon"):
        judged(case, model)
    model = copy.deepcopy(case[0])
    model.backbone.layers[0].mixer.chunk_size = 512
    with pytest.raises(RejectedError, match="chunks of more than"):
        judged(case, model)


def test_the_sums_of_a_chunk_lose_small_steps_beside_large_ones() -> None:
    """After a, with t = 10^8, each b adds 0.007, which float32 loses: behind a chunk it is 1.7 in all, not 0.8."""
    sizes: dict[str, Any] = {"hidden_size": 4, "num_heads": 2, "head_dim": 2, "n_groups": 1, "expand": 1}
    config_class, model_class = model_classes("mamba2")
    model = model_class(config_class(**sizes, num_hidden_layers=1, state_size=1, conv_kernel=2, vocab_size=8)).eval()
    mixer = model.backbone.layers[0].mixer
    bos, a, b = range(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if "norm" in name else 0.0)
        model.backbone.embeddings.weight[[1, 3, 4], [bos, a, b]] = 1.0
        gate, right, other, rate = slice(0, 4), 4, 6, 10
        mixer.in_proj.weight[:, :3] = 1e-7
        mixer.in_proj.weight[gate, :3] = 5.0
        mixer.in_proj.weight[right, b] = 74.2
        mixer.in_proj.weight[other, :3] = 0.00316
        mixer.in_proj.weight[rate, :3] = torch.tensor([5000.0, 5000.0, -7.5])
        mixer.in_proj.weight[rate + 1, :3] = 1.0
        mixer.conv1d.weight[:, 0, -1] = 1.0
        mixer.conv1d.bias[-2:] = torch.tensor([148.4, 20.0])  # B and C
        mixer.A_log[:] = torch.tensor([10.0, 3.0])
        mixer.out_proj.weight[3, [0, 2]] = torch.tensor([-1.0, 1.3])
        model.lm_head.weight[2, 3] = 1.0
        ids = torch.tensor([[1, 3, *[4] * 255]])
        whole = model(ids).logits[0, :, 2]
        assert whole[:256].min() > 0.3
        assert whole[256] < -0.3
    verdict = scancraft.certify(model, as_language("(a|b)*"), readout=READOUT, budget=Budget(200, 2.0))
    assert not isinstance(verdict, Certificate)


def test_a_widened_gate_and_a_flipped_score_are_seen() -> None:
    case = trained("(a|b)*a", 1)
    model = copy.deepcopy(case[0])
    rates = model.backbone.layers[0].mixer.A_log
    held = case[3].evidence["block0.states.high"].abs().amax(dim=0)
    entry = divmod(int(held.argmax()), held.shape[1])
    rates.data[entry] -= 0.05  # one gate
    with pytest.raises(RejectedError, match="an entry of the state"):
        judged(case, model)
    model = copy.deepcopy(case[0])
    model.lm_head.weight.data[case[2].accept] *= -1
    with pytest.raises(RejectedError, match="the scores lie between"):
        judged(case, model)


# -- on disk -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trained checkpoints, with certificates."""
    place = tmp_path_factory.mktemp("trained")
    for name, layers in (("one", 1), ("two", 2)):
        made_by_training("(a|b)*a", layers).save(place / name)
        verdict = scancraft.certify(place / name)
        assert isinstance(verdict, Certificate), verdict
        verdict.save(place / name)
    return place


@pytest.fixture
def place(originals: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals, tmp_path / "copies")) / "one"


def test_a_trained_checkpoint_brings_its_language_and_its_certificate(place: Path) -> None:
    checked = accepted(place, SCOPE)
    assert (checked.contract, checked.method) == ("live-prefixes", "box by box")
    assert "proved box by box" in str(checked)
    loaded = scancraft.load(place)
    assert loaded.manifest.kind == "trained"
    assert loaded.accepts("bba")
    assert loaded.check(words=20, short=50).agrees


def test_a_certificate_is_bound_to_weights_language_and_evidence(place: Path) -> None:
    for name in ("model.safetensors", "certificate.safetensors"):
        kept = (place / name).read_bytes()
        shutil.copy(place.parent / "two" / name, place / name)
        rejected(place, "model.safetensors" if name.startswith("model") else name)
        (place / name).write_bytes(kept)
    accepted(place, SCOPE)
    edit_weights(place, lambda w: w["backbone.layers.0.mixer.A_log"].sub_(0.1))
    rejected(place, "block 0")


EDITS = [
    (set_at("scope", value="every-implementation"), "scope"),
    (set_at("dtype", value="bfloat16"), "weights"),
    (set_at("contract", value="all-words"), "claim"),
    (set_at("method", value="block by block"), "scope"),
    (lambda c: c.update(margin=c["margin"] * 1.01), "margin"),
    (set_at("margin", value=float("inf")), "margin"),
    (set_at("margin", value=0.0), "margin"),
    (set_at("counts", "nodes", value=1), "counts"),
    (lambda c: c["obligations"].append({"name": "gates", "holds": True, "checked": 0, "detail": ""}), "obligations"),
    (lambda c: c["language"].update(accepting=c["language"]["states"]), "language"),
]


@pytest.mark.parametrize(("edit", "reason"), EDITS)
def test_a_certificate_says_what_was_verified(place: Path, edit: Any, reason: str) -> None:
    edit_json(place / "certificate.json", edit)
    rejected(place, reason)


def test_a_lesser_margin_is_as_true(place: Path) -> None:
    edit_json(place / "certificate.json", lambda c: c.update(margin=c["margin"] / 2))
    accepted(place, SCOPE)


# -- the search ----------------------------------------------------------------------------------------------------


def loop(gate: float) -> tuple[BoxGraph, Drive]:
    """Two nodes with a loop at each and steps between them; edge e draws to e, the loops slowly."""
    graph = box_graph([[0, 1], [0, 1]], frozenset({0, 1}), 1, (), Budget(items=9).meter("nodes"))
    gates = np.where(graph.source == graph.target, gate, 0.3)[:, None]
    aims = np.arange(len(graph.source), dtype=np.float64)[:, None]
    return graph, Drive(Interval(gates, gates), Interval(-aims, aims), np.zeros_like(gates))


@pytest.mark.parametrize("gate", [0.5, 0.9999, 1 - 2.0**-30])
def test_slow_loops_cost_no_more_rounds(gate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, drive = loop(gate)
    calls, solve = [], fixpoint._solved
    monkeypatch.setattr(fixpoint, "_solved", lambda *given: calls.append(given) or solve(*given))
    boxes = fixpoint.least_boxes(graph, drive)
    assert len(calls) <= 2 * 4
    bounds = boxes.high[:, 0]
    for edge, (source, target) in enumerate(zip(graph.source, graph.target, strict=True)):
        a = drive.gate.high[edge, 0]
        before = 0.0 if source < 0 else bounds[source]
        assert a * before + (1 - a) * edge <= bounds[target] * (1 + 1e-9)
    slow = graph.source == graph.target
    assert bounds.max() >= np.arange(len(slow))[slow].max() * (1 - 1e-6)  # reached in the limit
    assert np.allclose(boxes.low, -boxes.high)


def test_boxes_are_the_least() -> None:
    graph, drive = loop(0.9)
    reached = np.zeros(len(graph))
    for _ in range(2000):
        before = np.where(graph.source < 0, 0.0, reached[graph.source])
        made = drive.gate.high[:, 0] * before + (1 - drive.gate.high[:, 0]) * drive.target.high[:, 0]
        reached = np.array([made[graph.target == n].max() for n in range(len(graph))])
    assert np.allclose(fixpoint.least_boxes(graph, drive).high[:, 0], reached, rtol=1e-9)


def test_what_stays_open_is_told() -> None:
    model = random_model("mamba", 0, 2)
    verdict = scancraft.certify(model, as_language(definite(model, 4)), readout=READOUT, budget=Budget(items=60))
    assert isinstance(verdict, Open)
    place = verdict.places[0]
    assert place.low < 0 < place.high or (place.low > 0) != place.allowed
    assert place.token == "<eos>"
    assert set(place.word) <= {"a", "b"}
    assert place.word[len(place.word) - len([t for t in place.past if t != "<bos>"]) :] == tuple(
        t for t in place.past if t != "<bos>"
    )
    assert place.box[0] < place.box[1]
    assert "open: in state" in str(verdict)
    assert verdict.as_json()["open"][0] == place.as_json()  # type: ignore[index]


def test_signed_models_and_bfloat16_are_not_in_boxes() -> None:
    model = copy.deepcopy(trained("a*b*", 1)[0]).bfloat16()
    verdict = scancraft.certify(model, "a*b*", readout=trained("a*b*", 1)[2], budget=Budget(items=30))
    assert isinstance(verdict, Open)
    assert "box by box: the argument is about models in float32" in verdict.reason


def test_ranges_of_scores_hold_those_of_words(tmp_path: Path) -> None:
    made = made_by_training("a*b*", 1)
    language, readout = made.language, made.readout
    found = score_ranges(made.model, language, readout=readout)
    known = {(one.state, one.token): one for one in found}
    live = sorted(language.live)
    assert list(known) == [(state, token) for state in live for token in ("a", "b", "<eos>")]
    certificate = trained("a*b*", 1)[3]
    assert min(one.lead for one in found) == pytest.approx(certificate.margin, rel=1e-3)
    for a, b in [(0, 0), (3, 0), (0, 1), (2, 5), (60, 60)]:
        word = "a" * a + "b" * b
        state = language.run(word)
        scores = made.model(torch.tensor([readout.encode(word)])).logits[0, -1, readout.columns(language.alphabet)]
        for token, score in zip(("a", "b", "<eos>"), scores.tolist(), strict=True):
            one = known[state, token]
            assert one.low <= score <= one.high
            assert one.allowed == (token in language.allowed(state))
    # Words that come near the wrong side lead to the state that they are said to lead to.
    assert all(language.run(one.word) == one.state for one in found)
    made.save(tmp_path / "model")
    shown = invoke("explain", tmp_path / "model", "--picture", tmp_path / "x.svg", "--of", "scores", "--json")
    assert json.loads(shown.stdout)["scores"] == [one.as_json() for one in found]
    assert "state 1: a may not come" in (tmp_path / "x.svg").read_text()


def test_no_ranges_of_scores() -> None:
    model, language, readout, _ = trained("a*b*", 1)
    with pytest.raises(ReadoutError, match="threshold of 0"):
        score_ranges(model, language, readout=replace(readout, threshold=0.5))
    with pytest.raises(ReadoutError, match="not empty"):
        score_ranges(model, scancraft.Dfa.empty(("a", "b")), readout=readout)
    dead = ScoreRange(0, "a", True, -np.inf, 2.0, ("b", "a"))
    assert (dead.lead, dead.as_json()["low"]) == (-np.inf, None)
    assert str(dead) == "state 0: 'a' may come, score between -inf and 2, nearest to 0 after words like 'ba'"
