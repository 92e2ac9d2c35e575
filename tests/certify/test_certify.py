"""Certificates: what is proved, what is refuted, what is left open, and the obligations behind each scope."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from forgery import accepted
from hypothesis import given, settings
from oracle import all_words, last_scores, right, said

import scancraft
from scancraft import Budget, Certificate, Compiled, Dfa, Readout
from scancraft.automata import families
from scancraft.certify.certify import Open, Refuted
from scancraft.certify.check import compare
from scancraft.compiler.circuits.levels import letter_feature, slot_feature
from scancraft.compiler.targets.layout import narrowest_stream
from scancraft.models.errors import ReadoutError, WeightsError
from scancraft.testing import star_free_dfas

AB = ("a", "b")
D2 = "(a(ab)*b)*"
SMALL = {"D-2": families.d_n(2), "tomita-4": families.tomita(4), "flip-flop": families.flip_flop()}
DTYPES = (torch.float32, torch.bfloat16)


@pytest.fixture(scope="module")
def d2() -> Compiled:
    return scancraft.compile(D2, construction="cascade")


def certified(verdict: object) -> Certificate:
    assert isinstance(verdict, Certificate), verdict
    return verdict


def refuted(verdict: object) -> Refuted:
    assert isinstance(verdict, Refuted), verdict
    return verdict


def broken(verdict: Certificate) -> set[str]:
    """The obligations that do not hold."""
    return {o["name"] for o in verdict.content["obligations"] if not o["holds"]}


# -- compiled models are certified ---------------------------------------------------------------------------------


def test_a_deep_language_is_certified_at_the_cost_of_a_sum_over_blocks() -> None:
    verdict = certified(scancraft.certify(scancraft.compile(families.d_n(12), construction="cascade")))
    assert (verdict.scope, verdict.content["method"]) == ("every-implementation", "block by block")
    assert verdict.content["counts"]["stages"] == 13
    assert verdict.content["counts"]["transitions"] < 10_000  # the whole model reaches 2^14 - 1 memory vectors


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", SMALL)
def test_block_by_block_and_the_whole_model_agree(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    """The checker, which recomputes every step that is listed, accepts both."""
    compiled = scancraft.compile(SMALL[name])
    place = compiled.save(tmp_path / "m")
    whole = certified(scancraft.certify(compiled.model(dtype), compiled.dfa, readout=compiled.readout))
    assert (whole.content["method"], whole.content["counts"]["stages"]) == ("whole model", 1)
    blocks = certified(scancraft.certify(place, dtype=dtype))
    assert (blocks.content["method"], blocks.content["counts"]["stages"]) == (
        "block by block",
        len(compiled.circuit.blocks),
    )
    assert (whole.scope, whole.margin) == (blocks.scope, blocks.margin) == ("every-implementation", 16.0)
    assert (blocks.content["dtype"], blocks.content["word"]) == (str(dtype).removeprefix("torch."), None)
    assert [o["name"] for o in blocks.content["obligations"]] == ["gates", "sums", "functions", "rmsnorm"]
    assert all(o["holds"] and o["checked"] > 0 for o in blocks.content["obligations"])
    assert whole.content["sha256"]["weights"] == blocks.content["sha256"]["weights"]
    for certificate in (whole, blocks):
        certificate.save(place)
        accepted(place)

    def read_outs(certificate: Certificate) -> set[tuple[int, int, bytes]]:
        tensors = certificate.evidence
        last = tensors[f"stage{certificate.content['counts']['stages'] - 1}.vectors"].numpy()
        return {(letter, truth, last[v].tobytes()) for letter, truth, v in tensors["final.nodes"].tolist()}

    assert read_outs(whole) <= read_outs(blocks)  # forgetting own states only adds paths
    assert {(letter, truth) for letter, truth, _ in read_outs(whole)} == {
        (letter, compiled.dfa.semiautomaton.table[q][letter])
        for q in range(compiled.dfa.n_states)
        for letter in range(len(compiled.dfa.alphabet))
    } | {(len(compiled.dfa.alphabet), 0)}


@settings(max_examples=15, derandomize=True, deadline=None)
@given(star_free_dfas(max_states=6))
def test_whatever_is_compiled_is_certified(dfa: Dfa) -> None:
    verdict = certified(scancraft.certify(scancraft.compile(dfa)))
    assert (verdict.scope, verdict.margin) == ("every-implementation", 16.0)


# -- foreign and edited models -------------------------------------------------------------------------------------


def foreign_model(seed: int) -> Any:
    """A random model, initialised as transformers does."""
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(seed)
    config = MambaConfig(
        vocab_size=8,
        hidden_size=8,
        state_size=2,
        num_hidden_layers=1 + seed % 2,
        expand=1 + seed % 3,
        conv_kernel=2 + seed % 3,
        time_step_rank=1,
    )
    return MambaForCausalLM(config).eval()


@pytest.mark.parametrize("seed", range(6))
def test_a_random_model_gets_a_shortest_counterexample(seed: int) -> None:
    """The language is what the model says of words up to length 3, and no longer ones: it errs later, if at all."""
    model = foreign_model(seed)
    ask = Readout(tokens={"a": 3, "b": 4}, bos=1, accept=2, next_symbol={})
    scores = {word: float(last_scores(model, ask, word)[2]) for word in all_words(AB, 5)}
    ordered = sorted(scores.values())
    # Between the two middle scores that lie furthest apart, well away from rounding.
    middle = max(range(len(ordered) // 3, 2 * len(ordered) // 3), key=lambda i: ordered[i + 1] - ordered[i])
    ask = replace(ask, threshold=(ordered[middle] + ordered[middle + 1]) / 2)
    assert min(abs(s - ask.threshold) for s in ordered) > 1e-6
    dfa = Dfa.from_words(AB, [w for w, s in scores.items() if len(w) <= 3 and s > ask.threshold])
    wrong = [w for w, s in scores.items() if (s > ask.threshold) != dfa.accepts(w)]
    assert len(wrong[0]) >= 4
    verdict = refuted(scancraft.certify(model, dfa, readout=ask))
    assert verdict.shortest
    assert len(verdict.word) == len(wrong[0])
    assert verdict.word in wrong
    assert ("<eos>" in verdict.model) == (scores[verdict.word] > ask.threshold)
    assert ("<eos>" in verdict.right) == dfa.accepts(verdict.word)


@pytest.mark.parametrize("seed", range(6, 10))
def test_a_random_model_predicts_no_language(seed: int) -> None:
    model, ask = foreign_model(seed), Readout(tokens={"a": 3, "b": 4}, bos=1, accept=2)
    dfa = families.tomita(4)
    dfa = Dfa.from_table(AB, dfa.semiautomaton.table, 0, dfa.accepting)
    first = next(w for w in all_words(AB, 8) if said(model, ask, w) != right(dfa, ask, w))
    verdict = refuted(scancraft.certify(model, dfa, readout=ask))
    assert verdict.shortest
    assert len(verdict.word) == len(first)
    assert verdict.model == said(model, ask, verdict.word) != right(dfa, ask, verdict.word) == verdict.right


def test_edited_models_are_certified_and_right_or_refuted_and_wrong(d2: Compiled) -> None:
    """One sign flipped: the verdict is true, whichever it is."""
    generator = torch.Generator().manual_seed(0)
    kinds = {"certified": 0, "counterexample": 0}
    for _ in range(25):
        model = d2.model()
        entries = [(n, i) for n, w in model.state_dict().items() for i in w.flatten().nonzero().flatten().tolist()]
        name, i = entries[int(torch.randint(len(entries), (1,), generator=generator))]
        model.state_dict()[name].view(-1)[i].neg_()
        verdict = scancraft.certify(model, d2.dfa, readout=d2.readout)
        kinds[verdict.verdict] += 1  # never undecided: the model is small
        report = compare(model, d2.dfa, d2.readout, exhaustive_to=8)
        if isinstance(verdict, Certificate):
            assert report.agrees, (name, i)
            continue
        found = refuted(verdict)
        assert found.model == said(model, d2.readout, found.word) != found.right
        assert found.right == right(d2.dfa, d2.readout, found.word)
        assert found.shortest
        assert all(
            said(model, d2.readout, w) == right(d2.dfa, d2.readout, w)
            for w in all_words(d2.dfa.alphabet, len(found.word) - 1)
        )
    assert min(kinds.values()) > 0


# -- undecided -----------------------------------------------------------------------------------------------------


def test_a_tiny_budget_leaves_it_undecided(d2: Compiled) -> None:
    """Whatever the budget, a certificate is given only by a closed search: the counts fit the budget."""
    for target in (d2, d2.model()):
        verdict = scancraft.certify(target, d2.dfa, readout=d2.readout, budget=Budget(items=3))
        assert isinstance(verdict, Open)
        assert "block by block: 4 events of block 0, past 3" in verdict.reason
        assert "whole model: 4 events of the whole model, past 3" in verdict.reason
        assert verdict.as_json()["verdict"] == "undecided"
    whole = certified(scancraft.certify(d2))
    most = max(len(t) for n, t in whole.evidence.items() if n.endswith(".events"))
    assert isinstance(scancraft.certify(d2, budget=Budget(items=most - 1)), Open)
    assert certified(scancraft.certify(d2, budget=Budget(items=most))).content == whole.content


def test_sampled_words_can_refute_when_the_searches_end(d2: Compiled) -> None:
    model = d2.model()
    with torch.no_grad():
        model.lm_head.weight[d2.readout.tokens["a"]].neg_()
    found = refuted(scancraft.certify(model, d2.dfa, readout=d2.readout, budget=Budget(items=0)))
    assert found.model == said(model, d2.readout, found.word) != found.right
    assert not found.shortest


# -- the contract --------------------------------------------------------------------------------------------------


def wrong_when_dead(compiled: Compiled) -> Any:
    """The model, made to allow everything once the prefix is dead."""
    stream, model = narrowest_stream(compiled.circuit.features), compiled.model()
    slots = [slot for slot, state in compiled.circuit.states.items() if state == compiled.dfa.dead]
    assert slots
    with torch.no_grad():
        for slot in slots:
            model.lm_head.weight[:, stream.place[slot_feature(slot)]] += 32.0
    return model


@pytest.mark.parametrize("language", [D2, "ab|ba", families.tomita(4)], ids=["D-2", "finite", "tomita-4"])
def test_the_contract_is_honoured(language: object) -> None:
    compiled = scancraft.compile(language, construction="cascade")
    model, every = wrong_when_dead(compiled), compiled.readout
    live = replace(every, contract="live-prefixes")
    found = refuted(scancraft.certify(model, compiled.dfa, readout=every))
    assert compiled.dfa.run(found.word) == compiled.dfa.dead
    assert (found.model, found.right) == ({*compiled.dfa.alphabet, "<eos>"}, frozenset())
    verdict = certified(scancraft.certify(model, compiled.dfa, readout=live))
    assert (verdict.scope, verdict.content["contract"]) == ("every-implementation", "live-prefixes")
    assert "live prefix" in verdict.content["claim"]
    assert compare(model, compiled.dfa, live, exhaustive_to=8).agrees
    assert not compare(model, compiled.dfa, every, exhaustive_to=8).agrees


def test_under_live_prefixes_live_words_still_count(d2: Compiled) -> None:
    model = d2.model()
    with torch.no_grad():
        model.lm_head.weight[d2.readout.accept].neg_()
    live = replace(d2.readout, contract="live-prefixes")
    found = refuted(scancraft.certify(model, d2.dfa, readout=live))
    assert found.word == ()
    assert (found.model, found.right) == ({"a"}, {"a", "<eos>"})


# -- bad input: one clear error each -------------------------------------------------------------------------------


REFUSED: dict[str, tuple[Callable[[Compiled], Any], str]] = {
    "another alphabet": (
        lambda d2: scancraft.certify(d2.model(), Dfa.universal(("a", "c")), readout=d2.readout),
        r"names the symbols \['a', 'b'\], the language has \['a', 'c'\]",
    ),
    "its own, another alphabet": (lambda d2: scancraft.certify(d2, Dfa.universal(("a", "c"))), "the language has"),
    "no bos": (lambda d2: of_model(d2, bos=None), "needs a readout with a bos token"),
    "a head of its own": (lambda d2: of_model(d2, head=lambda output: -output.logits), ""),
    "token 99": (lambda d2: of_model(d2, tokens={"a": 3, "b": 99}), "99"),
    "score 99": (lambda d2: of_model(d2, accept=99), "99"),
    "no Mamba": (
        lambda d2: scancraft.certify(torch.nn.Linear(4, 8), d2.dfa, readout=d2.readout),
        "MambaForCausalLM or SignedMambaForCausalLM.*, not Linear",
    ),
    "nothing but a model": (lambda d2: scancraft.certify(d2.model()), "give the language and a Readout with a model"),
    "no readout": (lambda d2: scancraft.certify(d2.model(), d2.dfa), "give the language and a Readout with a model"),
    "no language": (lambda d2: scancraft.certify(d2.model(), readout=d2.readout), "give the language and a Readout"),
    "float64": (lambda d2: scancraft.certify(d2.model(torch.float64), d2.dfa, readout=d2.readout), "float64"),
}


def of_model(d2: Compiled, **changes: Any) -> Any:
    """Certify the model with another readout."""
    readout = replace(d2.readout, next_symbol=d2.readout.next_index, **changes)
    return scancraft.certify(d2.model(), d2.dfa, readout=readout)


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_looked_at_is_refused(case: str, d2: Compiled) -> None:
    call, message = REFUSED[case]
    with pytest.raises(ReadoutError, match=message or None):
        call(d2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("backbone.embeddings.weight", math.nan),
        ("backbone.layers.1.mixer.D", math.inf),
        ("lm_head.weight", -math.inf),
    ],
)
def test_weights_that_are_no_numbers_are_refused(d2: Compiled, name: str, value: float) -> None:
    model = d2.model()
    model.state_dict()[name].view(-1)[-1] = value  # in a column that nothing reads
    with pytest.raises(WeightsError, match=f"{name} holds a NaN or an infinity"):
        scancraft.certify(model, d2.dfa, readout=d2.readout)


def test_scores_that_are_no_numbers_are_never_certified() -> None:
    """Finite weights, yet norm_f overflows and the head makes NaN of it; a NaN is not "no"."""
    compiled = scancraft.compile(Dfa.empty(AB))
    model = compiled.model()
    with torch.no_grad():
        model.backbone.norm_f.weight[0] = 3e38
        model.lm_head.weight.zero_()
    assert last_scores(model, compiled.readout, ()).isnan().all()
    with pytest.raises(ReadoutError, match="NaN"):
        scancraft.certify(model, compiled.dfa, readout=compiled.readout)


def variant(compiled: Compiled, **settings: Any) -> Any:
    """The same weights in a model of another configuration; new parameters are 0."""
    from transformers import MambaConfig, MambaForCausalLM

    base = compiled.model()
    model = MambaForCausalLM(MambaConfig(**{**base.config.to_dict(), **settings}))
    weights = base.state_dict()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights.get(name, torch.zeros_like(parameter)))
    return model.eval()


def test_a_bias_is_a_term_of_its_sum(d2: Compiled) -> None:
    """A bias of 2^15 beside the constant 2^40 is absorbed, so the numbers agree; but no longer in any order."""
    model = variant(d2, use_bias=True)
    with torch.no_grad():
        for layer in model.backbone.layers:
            layer.mixer.out_proj.bias[0] = 2.0**15
    try:
        verdict = scancraft.certify(model, d2.dfa, readout=d2.readout)
    except ReadoutError:
        return  # a clear refusal of such models would do as well
    assert getattr(verdict, "scope", None) != "every-implementation"


def test_models_without_a_convolution_bias_can_be_certified() -> None:
    compiled = scancraft.compile(Dfa.universal(AB))
    model = variant(compiled, use_conv_bias=False)
    assert compare(model, compiled.dfa, compiled.readout, exhaustive_to=6).agrees
    certified(scancraft.certify(model, compiled.dfa, readout=compiled.readout))


def test_a_residual_stream_in_low_precision_is_taken_as_it_is(d2: Compiled) -> None:
    model = variant(d2, residual_in_fp32=False).to(torch.bfloat16)
    agrees = compare(model, d2.dfa, d2.readout, exhaustive_to=8).agrees
    verdict = scancraft.certify(model, d2.dfa, readout=d2.readout)
    assert verdict.verdict == ("certified" if agrees else "counterexample")


def test_of_the_empty_language_no_prefix_is_live() -> None:
    """So under "live-prefixes" nothing is promised, not even after <bos>; ``check`` says so too."""
    compiled = scancraft.compile(Dfa.empty(AB))
    model, live = compiled.model(), replace(compiled.readout, contract="live-prefixes")
    with torch.no_grad():
        model.lm_head.weight.neg_()
    assert compare(model, compiled.dfa, live, exhaustive_to=3).agrees
    with pytest.raises(ReadoutError, match="nothing is promised"):
        scancraft.certify(model, compiled.dfa, readout=live)


# -- the scope drops to "step" -------------------------------------------------------------------------------------


def inexact_head(compiled: Compiled, model: Any) -> None:
    """2^-20 more for a letter: 16 + 2^-20 has 25 bits."""
    model.lm_head.weight[
        :, narrowest_stream(compiled.circuit.features).place[letter_feature(compiled.dfa.alphabet[0])]
    ] += 2.0**-20


def inexact_skip(compiled: Compiled, model: Any) -> None:
    """Skips 1 + 2^-20 times too large: reads of 1 - (1 + 2^-20), which move by far less than a score decides."""
    for layer in model.backbone.layers:
        layer.mixer.D.mul_(1 + 2.0**-20)


def wide_epsilon(compiled: Compiled, model: Any) -> None:
    """Absorbed by the mean of squares, but not by every partial sum of them."""
    for norm in [layer.norm for layer in model.backbone.layers]:
        norm.variance_epsilon = 2.0**53


def exp_out_of_range(compiled: Compiled, model: Any) -> None:
    """A gate of exp(-V e^-3) = 0.04: not 0, but the reads stay on the right side."""
    model.backbone.layers[-1].mixer.A_log.neg_()


@pytest.mark.parametrize(
    ("edit", "names"),
    [
        (inexact_head, {"sums"}),
        (inexact_skip, {"functions"}),
        (wide_epsilon, {"rmsnorm"}),
        (exp_out_of_range, {"functions"}),
    ],
)
def test_a_harmless_change_costs_the_scope(
    d2: Compiled, edit: Callable[[Compiled, Any], None], names: set[str]
) -> None:
    model = d2.model()
    with torch.no_grad():
        edit(d2, model)
    verdict = certified(scancraft.certify(model, d2.dfa, readout=d2.readout))
    assert verdict.scope == "step"
    assert names <= broken(verdict)
    assert compare(model, d2.dfa, d2.readout, exhaustive_to=8).agrees


def balanced_head(compiled: Compiled, exponent: int) -> Any:
    """Scores times 2^exponent, with three more terms that are 1.25, -1.5 and 0.25 times 2^(exponent + 5): 0 in all."""
    model, stream = compiled.model(), narrowest_stream(compiled.circuit.features)
    letter = stream.place[letter_feature(compiled.dfa.alphabet[0])]
    free = list(range(stream.used, stream.d_model))
    assert len(free) >= 3
    with torch.no_grad():
        model.lm_head.weight.mul_(2.0**exponent)
        for place, share in zip(free, (1.25, -1.5, 0.25), strict=False):
            model.backbone.embeddings.weight[:, place] = model.backbone.embeddings.weight[:, letter].max()
            model.backbone.norm_f.weight[place] = model.backbone.norm_f.weight[letter]
            model.lm_head.weight[:, place] = share * 2.0 ** (exponent + 5)
    return model


def test_sums_that_another_order_overflows_are_not_for_every_implementation(d2: Compiled) -> None:
    small = certified(scancraft.certify(balanced_head(d2, 0), d2.dfa, readout=d2.readout))
    assert (small.scope, small.margin) == ("every-implementation", 16.0)  # the construction itself is exact
    verdict = scancraft.certify(balanced_head(d2, 122), d2.dfa, readout=d2.readout)
    assert getattr(verdict, "scope", None) != "every-implementation"
    if isinstance(verdict, Certificate):
        assert "sums" in broken(verdict)


@pytest.mark.parametrize(("exponent", "scope"), [(-100, "every-implementation"), (-131, "step"), (-140, "step")])
def test_scores_that_a_flush_to_zero_loses_are_not_for_every_implementation(
    d2: Compiled, exponent: int, scope: str
) -> None:
    model = d2.model()
    with torch.no_grad():
        model.lm_head.weight.mul_(2.0**exponent)
    verdict = certified(scancraft.certify(model, d2.dfa, readout=d2.readout))
    assert verdict.margin == 2.0 ** (4 + exponent)
    assert verdict.scope == scope
    assert broken(verdict) == (set() if scope == "every-implementation" else {"sums"})
