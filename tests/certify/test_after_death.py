"""Method "until death": what is proved of models that count, and forgeries that only show after death."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from forgery import Edit, Tensors, accepted, edit_evidence, edit_json, edit_weights, rejected, right, set_at
from safetensors.torch import load_file
from walking import between, shuffled

import scancraft
from scancraft.automata.budget import Budget
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import d_n, tomita
from scancraft.certify.certify import FARTHEST, Certificate, Refuted, certify
from scancraft.certify.checker.certificate import claim
from scancraft.compiler.constructions import walk

Forge = Callable[[str], Path]

# -- what is certified -----------------------------------------------------------------------------------------------


LANGUAGES = {
    "D-1": d_n(1),
    "D-12": d_n(12),
    "accepts at both ends": between(4, (0, 4)),
    "dies inside": Dfa.from_words("abc", ["ab", "bc"]),
    "two counters": shuffled(2, 1),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "language",
    [d_n(1), d_n(12), between(4, (0, 4)), Dfa.from_words("abc", ["ab", "bc"]), tomita(7)],
    ids=["D-1", "D-12", "ends", "inside", "Tomita-7"],
)
def test_walks_are_certified_for_all_words(language: Dfa, dtype: torch.dtype) -> None:
    found = certify(walk(language), dtype=dtype)
    assert isinstance(found, Certificate), found
    assert (found.content["method"], found.scope, found.margin) == ("until death", "every-implementation", 16.0)
    assert found.content["limits"] == {"after death": FARTHEST}
    assert "once it has died, as long as no state that adds up exceeds the limit" in found.content["claim"]


@pytest.mark.parametrize("language", [d_n(2), d_n(126), between(4, (0, 4))], ids=["D-2", "D-126", "ends"])
def test_walks_are_certified_on_live_prefixes_without_a_limit(language: Dfa) -> None:
    found = certify(walk(language, contract="live-prefixes"))
    assert isinstance(found, Certificate), found
    assert (found.content["method"], found.scope) == ("block by block", "every-implementation")
    assert "limits" not in found.content
    assert found.content["claim"] == claim("live-prefixes", "block by block")


def test_saved_ones_are_accepted(forge: Forge) -> None:
    assert accepted(forge("walk")).limits == {"after death": FARTHEST}
    assert accepted(forge("live walk")).limits == {}


def test_another_language_is_not(forge: Forge) -> None:
    checkpoint = scancraft.load(forge("walk"))
    found = certify(checkpoint.model(), d_n(4), readout=checkpoint.readout, budget=Budget(items=500))
    assert isinstance(found, Refuted)


# -- the words of a certificate --------------------------------------------------------------------------------------

WORDS: list[tuple[str, Edit, str]] = [
    ("walk", set_at("limits", "after death", value=1 << 61), "out of range"),
    ("walk", set_at("limits", "after death", value=1 << 48), "rmsnorm"),
    ("walk", set_at("limits", "after death", value=2), "past its limit"),
    ("walk", set_at("limits", "after death", value=0), "out of range"),
    ("walk", set_at("limits", "after death", value=2.0**20), "limits"),
    ("walk", set_at("limits", value={"after death": 1 << 40, "count": 3}), "limits"),
    ("walk", lambda c: c.pop("limits"), "keys ['limits']"),
    ("walk", set_at("method", value="block by block"), "keys ['limits']"),
    ("walk", set_at("scope", value="step"), "scope"),
    ("walk", set_at("contract", value="live-prefixes"), "claim"),
    ("walk", set_at("claim", value=claim("all-words", "block by block")), "claim"),
    ("walk", set_at("margin", value=32.0), "margin"),
    ("live walk", lambda c: c.update(limits={"after death": 8}), "keys ['limits']"),
    ("regular", lambda c: c.update(limits={"after death": 8}, method="until death"), "claim"),
]


@pytest.mark.parametrize("number", range(len(WORDS)))
def test_words(number: int, forge: Forge) -> None:
    which, edit, reason = WORDS[number]
    place = forge(which)
    edit_json(place / "certificate.json", edit)
    rejected(place, reason)


def test_a_method_that_claims_less_is_not_enough(forge: Forge) -> None:
    """The evidence of "until death", offered as that of "block by block", whose lists are closed after death."""
    place = forge("walk")

    def edit(content: dict[str, object]) -> None:
        content["method"] = "block by block"
        content["claim"] = claim("all-words", "block by block")
        del content["limits"]

    edit_json(place / "certificate.json", edit)
    rejected(place, "not closed")


def test_a_language_whose_words_never_die(forge: Forge) -> None:
    place = forge("regular")

    def edit(content: dict[str, object]) -> None:
        content["method"], content["limits"] = "until death", {"after death": 8}
        content["claim"] = claim("all-words", "until death")

    edit_json(place / "certificate.json", edit)
    rejected(place)


# -- evidence and weights --------------------------------------------------------------------------------------------


def test_first_dead_prefixes_cannot_be_left_out(forge: Forge) -> None:
    place = forge("walk")
    dead = d_n(3).dead

    def edit(tensors: Tensors) -> None:
        nodes = tensors["stage0.nodes"]
        tensors["stage0.nodes"] = nodes[nodes[:, 1] != dead]

    edit_evidence(place, edit)
    rejected(place)


def parameter(place: Path, name: str) -> torch.Tensor:
    """A parameter of the second block."""
    return load_file(place / "model.safetensors")[f"backbone.layers.1.mixer.{name}"]


def latch_channel(place: Path) -> int:
    """The channel of the second block that holds the error."""
    block = scancraft.load(place).manifest.blocks[1]
    return next(memory.channels[0].index for memory in block.memories if memory.kind == "latch")


def count_dimension(place: Path) -> int:
    """Where the count lies in the stream."""
    return next(n for n, d in enumerate(scancraft.load(place).manifest.residual) if d.name == "count")


def test_a_latch_that_is_cleared_later(forge: Forge) -> None:
    """With half the count added to what the latch is overwritten with, b is latched as 1/2, and bb clears it."""
    place = forge("walk")
    channel, count = latch_channel(place), count_dimension(place)
    name = "backbone.layers.1.mixer.in_proj.weight"

    def edit(weights: Tensors) -> None:
        weights[name][channel, count] = 0.5

    edit_weights(place, edit)
    assert not right(place)
    rejected(place)


def test_a_latch_that_does_not_see_one_side(forge: Forge) -> None:
    place = forge("walk")
    name = "backbone.layers.1.mixer.x_proj.weight"

    def edit(weights: Tensors) -> None:
        row = weights[name][0]
        row[row.nonzero()[-1]] = 0.0

    edit_weights(place, edit)
    rejected(place)


def test_a_latch_that_is_shown_too_weakly_for_later(forge: Forge) -> None:
    """The verdict of a alone loses the latch and sees the count directly: right at once, wrong after many b."""
    place = forge("walk")
    channel = latch_channel(place)
    name = "backbone.layers.1.mixer.out_proj.weight"

    def edit(weights: Tensors) -> None:
        weights[name][:, channel] = 0.0

    edit_weights(place, edit)
    assert not right(place)
    rejected(place)


def test_a_count_that_is_read_out_itself(forge: Forge) -> None:
    """The score of a falls by the count, which is below 0 after many b: so it allows a again."""
    place = forge("walk")
    count = count_dimension(place)
    a = scancraft.load(place).readout.tokens["a"]

    def edit(weights: Tensors) -> None:
        weights["lm_head.weight"][a, count] = -1.0

    edit_weights(place, edit)
    rejected(place)


def test_a_gate_that_forgets_slowly(forge: Forge) -> None:
    place = forge("walk")
    name = "backbone.layers.0.mixer.A_log"

    def edit(weights: Tensors) -> None:
        weights[name][weights[name] == -50.0] = -15.0

    edit_weights(place, edit)
    rejected(place)


def test_models_that_only_seem_to_count_are_still_proved() -> None:
    model = scancraft.compile("(ab)*")
    built = model.model()
    with torch.no_grad():
        built.backbone.layers[0].mixer.A_log[-1] = -60.0  # of a channel that nothing reads
    found = certify(built, model.language, readout=model.readout)
    assert isinstance(found, Certificate)
    assert found.content["method"] != "until death"
    assert found.scope == "every-implementation"
