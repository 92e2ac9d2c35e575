"""The blocks as formulas: what transformers computes, in floats; real numbers, in intervals; and any order of sums."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from random_mambas import random_mamba

import scancraft
from scancraft.models import block as blocks
from scancraft.models.arithmetic import Floats, Interval, Intervals
from scancraft.models.block import Memory
from scancraft.models.enclosures import FUNCTION, TINY, Drive, Enclosures, Form, plain


def falcon(**changes: Any) -> Any:
    from transformers import FalconMambaConfig, FalconMambaForCausalLM

    config = FalconMambaConfig(vocab_size=8, hidden_size=16, num_hidden_layers=2, state_size=4, **changes)
    return FalconMambaForCausalLM(config).eval()


def mamba2() -> Any:
    from transformers import Mamba2Config, Mamba2ForCausalLM

    config = Mamba2Config(
        vocab_size=8, hidden_size=16, num_heads=4, head_dim=8, n_groups=1, num_hidden_layers=2, state_size=4, expand=2
    )
    return Mamba2ForCausalLM(config).eval()


def signed() -> Any:
    from scancraft.models.signed_mamba import SignedMambaConfig, SignedMambaForCausalLM

    model = SignedMambaForCausalLM(SignedMambaConfig(vocab_size=8, hidden_size=16, num_hidden_layers=2)).eval()
    for block in model.backbone.layers:  # signs of both kinds, and some between
        torch.nn.init.normal_(block.mixer.sign_proj.bias)
    return model


MODELS = {"mamba": lambda: random_mamba(0), "falcon": falcon, "mamba2": mamba2, "signed": signed}


def logits(model: Any, tokens: list[int], arithmetic: Any, convert: Any) -> Any:
    """The whole model over an arithmetic; ``convert`` makes arrays of tensors. The word is read in two pieces."""
    config, a = model.config, arithmetic
    w = {name: convert(tensor.detach()) for name, tensor in model.state_dict().items()}
    kind = blocks.mamba2 if config.model_type == "mamba2" else blocks.mamba
    pieces = []
    memories: dict[int, Memory[Any]] = {}
    for piece in (tokens[:3], tokens[3:]):
        r = w["backbone.embeddings.weight"][piece]
        for i, block in enumerate(model.backbone.layers):
            mixer, prefix = block.mixer, f"backbone.layers.{i}."
            own: dict[str, Any] = {n.removeprefix(prefix): t for n, t in w.items() if n.startswith(prefix)}
            if config.model_type == "falcon_mamba":
                own["rms_epsilon"] = config.mixer_rms_eps
            channels = mixer.conv1d.weight.shape[0]
            state = (4, 8, 4) if config.model_type == "mamba2" else tuple(mixer.A_log.shape)
            empty = torch.zeros(config.conv_kernel - 1, channels), torch.zeros(state)
            memory = memories.get(i, Memory(*map(convert, empty)))
            r, memories[i] = kind(a, own, r, memory, config.layer_norm_epsilon)
        normed = a.rms(r, config.layer_norm_epsilon) * w["backbone.norm_f.weight"]
        pieces.append(a.linear(w["lm_head.weight"], normed))
    return a.join(*pieces)


def interval(tensor: torch.Tensor) -> Interval:
    return Interval.of(tensor.double().numpy())


@pytest.mark.parametrize("name", MODELS)
def test_in_floats_and_in_intervals(name: str) -> None:
    torch.manual_seed(0)
    model, tokens = MODELS[name](), [1, 3, 4, 5, 3, 3, 7]
    with torch.no_grad():
        expected = model(torch.tensor([tokens])).logits[0]
    assert torch.allclose(logits(model, tokens, Floats(), lambda t: t), expected, atol=1e-5)
    wide = logits(model, tokens, Floats(), lambda t: t.double()).numpy()
    found = logits(model, tokens, Intervals(), interval)
    assert (found.low <= wide).all()
    assert (wide <= found.high).all()
    assert (found.high - found.low).max() < 1e-8


@pytest.mark.parametrize("target", ["mamba", "falcon_mamba"])
def test_a_compiled_model_has_the_bits_of_its_formulas(target: str) -> None:
    compiled = scancraft.compile("(ab)*", target=target)
    model, tokens = compiled.model(), compiled.readout.encode("abab")
    with torch.no_grad():
        assert torch.equal(logits(model, tokens, Floats(), lambda t: t), model(torch.tensor([tokens])).logits[0])


EXACT = {
    "silu": lambda v: v / (1 + np.exp(-v)),
    "softplus": lambda v: np.logaddexp(np.longdouble(0), v),
    "exp": np.exp,
    "tanh": np.tanh,
}


def test_intervals_enclose() -> None:
    a, rng = Intervals(), np.random.default_rng(0)
    ends = np.sort(rng.normal(size=(2, 500)) * 10.0 ** rng.integers(-3, 3, 500), axis=0)
    box = Interval(*ends)
    for share in np.linspace(0, 1, 21):
        point = np.clip(ends[0] + share * (ends[1] - ends[0]), *ends).astype(np.longdouble)  # 11 bits more
        images = [(getattr(a, name)(box), function(point)) for name, function in EXACT.items()]
        for found, value in (*images, (box * box, point * point), (box + box, point + point)):
            assert ((found.low <= value) & (value <= found.high)).all()
    assert (a.exp(box).low >= 0).all()
    zero = Interval.of(0.0)
    assert (zero * box[0] + zero).high == 0.0


# -- enclosures of what float32 computes ------------------------------------------------------------------------------

TOKENS = [1, 3, 4, 5, 3, 3, 7, 4, 4, 6]


@pytest.mark.parametrize("name", ["mamba", "falcon", "mamba2"])
def test_what_implementations_compute_is_enclosed(name: str) -> None:
    torch.manual_seed(0)
    model = MODELS[name]()
    found = plain(logits(model, TOKENS, Enclosures(), interval))
    with torch.no_grad():
        theirs = model(torch.tensor([TOKENS])).logits[0].double().numpy()
    ours = logits(model, TOKENS, Floats(), lambda t: t).detach().double().numpy()
    wide = logits(model, TOKENS, Floats(), lambda t: t.double()).detach().numpy()
    for computed in (theirs, ours, wide):
        assert ((found.low <= computed) & (computed <= found.high)).all()
    assert (found.high - found.low).max() < 0.2


def test_what_is_linear_is_added_up_before_it_is_enclosed() -> None:
    a, box = Enclosures(), Interval(np.array([-1.0, 2.0]), np.array([1.0, 3.0]))
    once = a.linear(Interval.of([[1.0, 1.0], [1.0, 2.0]]), box)
    twice = a.linear(Interval.of([[1.0, -1.0]]), once)  # -x_1, whatever x_0 is
    assert isinstance(twice, Form)
    assert -3.001 < twice.low < -3 < -2 < twice.high < -1.999
    eager = a.linear(Interval.of([[1.0, -1.0]]), plain(once))
    assert eager.high - eager.low > 5


def _drawn(gate: tuple[float, float], target: tuple[float, float], state: Any) -> Interval:
    drive = Drive(*(Interval(*(np.array([v]) for v in ends)) for ends in (gate, target)), np.zeros(1))
    return drive.drawn(Interval(*(np.array([v]) for v in state)))


def test_a_state_is_drawn_between_what_it_was_and_its_target() -> None:
    after = _drawn((0.1, 0.9999), (1.0, 2.0), (-1.0, 0.5))
    assert -0.9999 < after.low < -0.9997
    assert 1.8 < after.high < 1.9
    held = _drawn((0.5, 0.999999), (-1.0, 1.0), (-1.0, 1.0))
    assert abs(held.low + 1) < 1e-12 > abs(held.high - 1)


@pytest.mark.parametrize("name", ["exp", "silu", "softplus"])
def test_library_functions_keep_well_within_what_is_assumed(name: str) -> None:
    x = torch.cat([torch.linspace(-86, 86, 400_001), torch.logspace(-30, 1, 40_000), -torch.logspace(-30, 1, 40_000)])
    theirs, exact = (getattr(Floats(), name)(v).double() for v in (x, x.double()))
    allowed = FUNCTION * (1 + x.double().abs()) * exact.abs() + TINY
    assert ((theirs - exact).abs() / allowed).max() < 0.5
