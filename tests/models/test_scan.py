"""The fast runner gives what transformers gives, in any chunks and token by token, and it watches its counters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_mambas import loud_mamba as random_model
from torch import Tensor

import scancraft
from scancraft.automata.dfa import Dfa
from scancraft.automata.families import d_n, flip_flop
from scancraft.models.build import build_model
from scancraft.models.errors import CounterRangeError, ReadoutError
from scancraft.models.mamba import MambaShape, MambaWeights
from scancraft.models.run.chunked import Layout, scan
from scancraft.models.run.runner import Runner, Watch
from scancraft.models.run.scan_block import NormedProduct, Numbers, exp_
from scancraft.testing import star_free_dfas

LANGUAGES: dict[str, Any] = {"D-2": "(a(ab)*b)*", "D-12": d_n(12), "flip-flop": flip_flop(), "one state": "[ab]*"}
DTYPES = [torch.float32, torch.bfloat16]


@pytest.fixture(scope="module", params=LANGUAGES)
def compiled(request: pytest.FixtureRequest) -> Any:
    return scancraft.compile(LANGUAGES[request.param])


@torch.no_grad()
def reference(model: Any, ids: Tensor) -> Tensor:
    logits: Tensor = model(ids, use_cache=False).logits
    return logits


def packed(compiled: Any, batch: int, time: int, seed: int = 0) -> Tensor:
    """Rows of words one after another, each after ``<bos>``, cut at ``time``; shape (batch, time), int64.

    Nearly all letters are such that the word can be completed.
    """
    rng = np.random.default_rng(seed)
    dfa: Dfa = compiled.dfa
    rows = []
    for _ in range(batch):
        row: list[int] = []
        while len(row) < time:
            state, word = dfa.initial, []
            for _ in range(rng.integers(time + 1)):
                open_ones = dfa.next_symbols(state) if rng.random() < 0.98 else ()
                word.append(rng.choice(sorted(open_ones or dfa.alphabet)))
                state = dfa.semiautomaton.table[state][dfa.alphabet.index(word[-1])]
            row += compiled.readout.encode(word)
        rows.append(row[:time])
    return torch.tensor(rows)


def streamed(runner: Runner, ids: Tensor) -> Tensor:
    stream = runner.stream(len(ids))
    return torch.stack([stream.step(tokens) for tokens in ids.unbind(1)], dim=1)


# -- compiled models: the same bits --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("batch", "time"), [(3, 97), (130, 9)])
def test_the_same_bits_as_transformers(compiled: Any, dtype: torch.dtype, batch: int, time: int) -> None:
    model = compiled.model().to(dtype)
    ids = packed(compiled, batch, time)
    expected = reference(model, ids)
    assert torch.equal(Runner(model)(ids), expected)
    assert torch.equal(Runner(compiled.weights, dtype=dtype)(ids), expected)
    assert torch.equal(streamed(Runner(model), ids[:, :40]), expected[:, :40])


@settings(max_examples=30, derandomize=True, deadline=None, database=None)
@given(dfa=star_free_dfas(max_states=6), dtype=st.sampled_from(DTYPES), data=st.data())
def test_any_star_free_language_in_any_chunks(dfa: Dfa, dtype: torch.dtype, data: st.DataObject) -> None:
    compiled = scancraft.compile(dfa)
    shape = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 70)))
    chunk = data.draw(st.integers(1, 300))
    ids = packed(compiled, *shape, seed=data.draw(st.integers(0, 99)))
    runner = Runner(compiled.weights, chunk=chunk, dtype=dtype)
    assert torch.equal(runner(ids), reference(compiled.model(dtype), ids))
    assert torch.equal(torch.cat(list(runner.chunks(ids)), dim=1), runner(ids))


def test_a_long_text_in_constant_memory() -> None:
    """A text of 100,000 tokens is what its parts are: every <bos> starts again."""
    compiled = scancraft.compile(LANGUAGES["D-2"])
    runner = Runner(compiled.weights)
    word = packed(compiled, 1, 1000)
    expected = runner(word)
    sizes = 0
    for part in runner.chunks(word.repeat(1, 100)):
        at = torch.arange(sizes, sizes + part.shape[1]) % 1000
        assert torch.equal(part[0], expected[0, at])
        assert part.shape[1] <= runner.chunk
        sizes += part.shape[1]
    assert sizes == 100_000


# -- any weights: the same numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("biases", [(False, True), (True, True), (True, False), (False, False)])
@pytest.mark.parametrize(("d_state", "d_conv"), [(1, 2), (2, 3), (5, 20), (16, 4)])
def test_random_weights(d_state: int, d_conv: int, biases: tuple[bool, bool]) -> None:
    sizes = {"state_size": d_state, "conv_kernel": d_conv, "use_bias": biases[0], "use_conv_bias": biases[1]}
    for signed in (False, True):
        other = {"tie_word_embeddings": d_state % 2 == 0, "residual_in_fp32": d_conv % 2 == 0}
        model = random_model(d_state + d_conv, signed=signed, **sizes, **other)
        ids = torch.randint(11, (3, 50))
        expected = reference(model, ids)
        assert expected.std() > 0.05
        for chunk in (4096, 20):
            assert torch.allclose(Runner(model, chunk=chunk)(ids), expected, rtol=1e-4, atol=1e-4)
        assert torch.allclose(streamed(Runner(model), ids), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("wide", "tied", "signed"), [(True, False, False), (False, True, False), (True, True, True)])
@pytest.mark.parametrize(
    ("dtype", "error", "same"),
    [(torch.float64, 1e-5, 0), (torch.float32, 1e-4, 0), (torch.bfloat16, 0.01, 0.95), (torch.float16, 0.001, 0.95)],
)
def test_random_weights_in_other_formats(
    dtype: torch.dtype, error: float, same: float, wide: bool, tied: bool, signed: bool
) -> None:
    """Narrow formats show where numbers are rounded: in the right places most logits are the same bits."""
    model = random_model(3, signed=signed, residual_in_fp32=wide, tie_word_embeddings=tied, state_size=4).to(dtype)
    ids = torch.randint(11, (2, 60))
    expected = reference(model, ids)
    for found in (Runner(model)(ids), streamed(Runner(model), ids)):
        assert (found - expected).abs().max() < error * expected.abs().max()
        assert (found == expected).float().mean() >= same


@torch.no_grad()
def thin_out(model: Any, rng: np.random.Generator) -> None:
    """Make parts of a model zero, constant or equal in many ways."""
    for layer in model.backbone.layers:
        mixer = layer.mixer
        mixer.in_proj.weight[: len(mixer.D)][torch.from_numpy(rng.random(len(mixer.D)) < rng.choice([0, 0.5, 1]))] = 0
        signs = [mixer.sign_proj.weight, mixer.sign_proj.bias] if hasattr(mixer, "sign_proj") else []
        matrices = [mixer.in_proj.weight, mixer.x_proj.weight, mixer.dt_proj.weight, mixer.out_proj.weight]
        for matrix in (*matrices, *signs[:1]):
            matrix[torch.from_numpy(rng.random(matrix.shape) < rng.choice([0, 0.5, 0.9]))] = 0
            matrix[torch.from_numpy(rng.random(len(matrix)) < rng.choice([0, 0.5]))] = 0
            matrix[:, torch.from_numpy(rng.random(matrix.shape[1]) < rng.choice([0, 0.5]))] = 0
        for vector in (mixer.conv1d.bias, mixer.D, layer.norm.weight, *signs[1:]):
            vector[torch.from_numpy(rng.random(len(vector)) < rng.choice([0, 0.3, 1]))] = 0
        mixer.conv1d.weight[torch.from_numpy(rng.random(mixer.conv1d.weight.shape) < 0.3)] = 0
        mixer.dt_proj.bias[torch.from_numpy(rng.random(len(mixer.dt_proj.bias)) < rng.choice([0, 0.5, 1]))] = -1000
        if rng.random() < 0.3:
            layer.norm.weight.copy_(torch.exp2(layer.norm.weight.round()))
        copies = rng.integers(len(mixer.D), size=len(mixer.D)) if rng.random() < 0.7 else np.arange(len(mixer.D))
        some = torch.from_numpy(np.where(rng.random(len(copies)) < 0.6, copies, np.arange(len(copies))))
        for tensor in (mixer.D, mixer.A_log, mixer.dt_proj.weight, mixer.dt_proj.bias, mixer.conv1d.bias, *signs):
            if rng.random() < 0.8:
                tensor.copy_(tensor[some].clone())
    empty = torch.from_numpy(rng.random(model.config.hidden_size) < 0.3)
    model.backbone.embeddings.weight[:, empty] = 0
    if rng.random() < 0.5:
        for layer in model.backbone.layers:
            layer.mixer.out_proj.weight[empty] = 0


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_nothing_that_matters_is_left_out(seed: int, signed: bool) -> None:
    rng = np.random.default_rng(seed)
    model = random_model(
        seed,
        signed=signed,
        state_size=int(rng.integers(1, 4)),
        conv_kernel=int(rng.integers(2, 5)),
        use_bias=seed % 5 == 0,
        tie_word_embeddings=False,
    )
    thin_out(model, rng)
    ids = torch.from_numpy(rng.integers(11, size=(2, 40)))
    watches = [Watch(int(rng.integers(2)), int(rng.integers(24)), 0, 1 << 40, "any")] if seed % 2 else []
    expected = reference(model, ids)
    assert torch.allclose(Runner(model, watches=watches)(ids), expected, rtol=1e-4, atol=1e-4)
    assert torch.allclose(Runner(model, watches=watches, chunk=50)(ids), expected, rtol=1e-4, atol=1e-4)


PER_CHANNEL = ["A_log", "D", "dt_proj.weight", "dt_proj.bias", "sign_proj.weight", "sign_proj.bias", "conv1d.bias"]


@pytest.mark.parametrize("name", [*PER_CHANNEL, "nothing"])
def test_channels_that_differ_in_one_parameter_are_of_different_kinds(name: str) -> None:
    """Channels that read nothing and are otherwise equal: their y may be computed once only if all of it is equal."""
    model = random_model(1, signed=True, state_size=2, num_hidden_layers=1)
    mixer = model.backbone.layers[0].mixer
    with torch.no_grad():
        mixer.in_proj.weight[: len(mixer.D)] = 0
        mixer.conv1d.weight[:] = 1
        mixer.x_proj.weight[:, 1:] = 0  # channel 0 alone tells the others what to do; it is of a kind of its own
        for parameter, tensor in mixer.named_parameters():
            if parameter in PER_CHANNEL:
                varied = tensor[0] + 0.5 * torch.randn_like(tensor)
                tensor.copy_(varied if parameter == name else tensor[0].clone().expand_as(tensor))
    runner = Runner(model)
    ids = torch.randint(11, (2, 40))
    assert torch.allclose(runner(ids), reference(model, ids), rtol=1e-4, atol=1e-4)
    assert len(runner._blocks[0].parts.first) == (2 if name == "nothing" else len(mixer.D))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_exp_of_low_numbers(dtype: torch.dtype) -> None:
    low = torch.tensor([0.0, -1.0, -103.0, -104.0, -745.0, -746.0, -1e30, -torch.inf, torch.nan], dtype=dtype)
    exponents = torch.cat([low, torch.linspace(-800, 0, 100_000, dtype=dtype)])
    assert torch.equal(exp_(exponents.clone()).nan_to_num(nan=7), exponents.exp().nan_to_num(nan=7))


@settings(max_examples=60, derandomize=True, deadline=None, database=None)
@given(
    batch=st.integers(1, 3),
    time=st.integers(1, 90),
    past=st.integers(0, 3),
    rows=st.integers(1, 3),
    seed=st.integers(0),
)
def test_the_scan_is_the_recurrence(batch: int, time: int, past: int, rows: int, seed: int) -> None:
    """On gates -1, 0 and 1 and integer writes, whatever the chunks are."""
    rng = np.random.default_rng(seed)
    layout = Layout.of(batch, time, past)
    gates, writes = rng.integers(-1, 2, size=(rows, batch, time)), rng.integers(-9, 10, size=(rows, batch, time))
    state = start = rng.integers(-9, 10, size=(rows, batch))
    expected = []
    for t in range(time):
        state = gates[..., t] * state + writes[..., t]
        expected.append(state)
    g, w = (torch.stack([layout.pack(torch.from_numpy(row)) for row in a]).float() for a in (gates, writes))
    found = scan(g, w, torch.from_numpy(start).float(), layout)
    assert layout.unpack(found).movedim(-1, 0).tolist() == np.stack(expected, axis=-1).tolist()


@pytest.mark.parametrize("kind", ["any", "threes", "dyadic"])
def test_the_norm_gives_the_same_bits(kind: str) -> None:
    """Whether its weights are multiplied into the matrix or not."""
    from transformers.models.mamba.modeling_mamba import MambaRMSNorm

    torch.manual_seed(0)
    norm = MambaRMSNorm(8, eps=1e-5)
    powers = torch.exp2(torch.randint(-30, 30, (8,)).float())
    norm.weight.data = {"any": torch.randn(8), "threes": 3 * powers, "dyadic": powers}[kind]
    matrix, stream = torch.randn(5, 8), torch.randn(8, 300)
    if kind == "threes":
        matrix = matrix.sign()  # 3 goes into it without rounding, but not into every normed number
    numbers = Numbers(torch.float32, torch.float32, 1e-5, 8)
    ours = NormedProduct(norm.weight.detach(), matrix, numbers, torch.float32)
    assert (ours.weight is None) == (kind == "dyadic")
    assert torch.equal(ours.matrix @ ours.norm(stream), matrix @ norm(stream.t()).detach().t().contiguous())


# -- counters ------------------------------------------------------------------------------------------------------

BOS, LEAP, UP, DOWN = 1, 3, 4, 5
LIMIT = 2**24


def counter(a_log: float) -> MambaWeights:
    """One block with one counter: <bos> makes it 0, three letters add 2**22, 1 and -1. Its value is the logit of 7.

    The stream: a constant F = 2**40, the letters' step, <bos>, the counter. Channel 0 is the counter; 1 and 2 say how
    far it goes up and down; 3 sees <bos> and makes Delta 2**84, at which every gate is 0.
    """
    shape = MambaShape(d_model=16, n_layers=1, vocab_size=8, d_state=2)
    w = {name: np.zeros(size, dtype=np.float32) for name, size in shape.tensors().items()}
    w["backbone.embeddings.weight"][:, 0] = 2.0**40
    for token, step in {LEAP: 2.0**22, UP: 1.0, DOWN: -1.0}.items():
        w["backbone.embeddings.weight"][token, 1] = step
    w["backbone.embeddings.weight"][BOS, 2] = 1.0
    norm = np.array([2.0**-2] + [2.0**38] * 15, dtype=np.float32)
    w["backbone.norm_f.weight"], w["backbone.layers.0.norm.weight"] = norm, norm.copy()
    w["lm_head.weight"][7, 3] = 1.0
    b = {name: w[f"backbone.layers.0.{name}"] for name in shape.block_tensors()}
    b["mixer.conv1d.bias"][0] = 64.0
    for channel, (dimension, sign) in enumerate([(1, 1.0), (1, -1.0), (2, 1.0)], start=1):
        b["mixer.in_proj.weight"][channel, dimension] = sign
        b["mixer.conv1d.weight"][channel, 0, 1] = 1024.0
    b["mixer.x_proj.weight"][0, 3] = 2.0**74
    b["mixer.x_proj.weight"][2, 1:3] = 2.0**-22, -(2.0**-22)  # B of state 1; x and Delta are 64
    b["mixer.x_proj.weight"][4, 0] = 2.0**-6
    b["mixer.dt_proj.weight"][0, 0] = 1.0
    b["mixer.dt_proj.bias"][:] = 64.0
    b["mixer.A_log"][0] = 3.0, a_log
    b["mixer.in_proj.weight"][16, 0] = 1024.0
    b["mixer.out_proj.weight"][3, 0] = 2.0**-10
    return MambaWeights(shape, w)


@pytest.fixture(scope="module")
def counting() -> MambaWeights:
    return counter(-50.0)


WATCH = Watch(block=0, channel=0, state=1, limit=LIMIT, name="counter height")


def sums(rows: Sequence[Sequence[int]]) -> list[list[int]]:
    step = {LEAP: 2**22, UP: 1, DOWN: -1}
    found = []
    for row in rows:
        total, values = 0, []
        for token in row:
            total = 0 if token == BOS else total + step.get(token, 0)
            values.append(total)
        found.append(values)
    return found


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_counter_counts(counting: MambaWeights, dtype: torch.dtype) -> None:
    rows = np.random.default_rng(0).choice([BOS, UP, DOWN, UP], size=(3, 120), p=[0.02, 0.4, 0.38, 0.2]).tolist()
    ids = torch.tensor(rows)
    found = Runner(counting, watches=[WATCH], dtype=dtype)(ids)
    assert torch.equal(found, reference(build_model(counting, pad=0, bos=1, eos=2, dtype=dtype), ids))
    assert torch.equal(found, streamed(Runner(counting, watches=[WATCH], dtype=dtype), ids))
    assert found[..., 7].tolist() == sums(rows)


def test_a_counter_that_nothing_resets_adds_up() -> None:
    """exp(A_log) = 0 makes every gate 1, that of <bos> too."""
    ids = torch.tensor([[BOS, UP, UP, BOS, UP]])
    assert Runner(counter(-1e4), watches=[WATCH])(ids)[0, :, 7].tolist() == [0, 1, 2, 2, 3]


@pytest.mark.parametrize("chunk", [1, 5, 4096])
def test_a_counter_at_its_limit_and_one_past_it(counting: MambaWeights, chunk: int) -> None:
    low = [BOS, *[UP] * 40]
    top = [BOS, UP, DOWN, *[LEAP] * 4, DOWN, UP, *[BOS] * 31, UP]
    over = [BOS, UP, DOWN, *[LEAP] * 4, DOWN, UP, UP, *[DOWN] * 31]
    runner = Runner(counting, watches=[WATCH], chunk=chunk)
    assert runner(torch.tensor([low, top]))[..., 7].tolist() == sums([low, top])
    message = (
        "^counter height reaches 16777217 after 10 tokens of row 1, but is exact only up to 16777216 in absolute "
        "value; use shorter words or a wider dtype$"
    )
    with pytest.raises(CounterRangeError, match=message):
        runner(torch.tensor([top, over]))
    with pytest.raises(CounterRangeError, match=message):
        list(runner.chunks(torch.tensor([top, over])))
    stream = runner.stream(2)
    tokens = torch.tensor([top, over])
    for t in range(9):
        stream.step(tokens[:, t])
    with pytest.raises(CounterRangeError, match=message):
        stream.step(tokens[:, 9])
    # float32 alone stays where it is, without a word.
    assert Runner(counting)(torch.tensor([over]))[0, 9, 7] == LIMIT


def test_a_refused_step_leaves_the_stream_where_it_was(counting: MambaWeights) -> None:
    stream = Runner(counting, watches=[replace(WATCH, limit=1)]).stream()
    stream.step(torch.tensor([BOS]))
    stream.step(torch.tensor([UP]))
    for _ in range(2):
        with pytest.raises(CounterRangeError, match="reaches 2 after 3 tokens of row 0"):
            stream.step(torch.tensor([UP]))
    assert stream.step(torch.tensor([DOWN]))[0, 7] == 0
    assert stream.tokens_read == 3


def test_the_first_violation_is_reported_below_zero_too(counting: MambaWeights) -> None:
    rows = torch.tensor([[BOS, UP, UP, UP, UP], [BOS, DOWN, DOWN, DOWN, UP]])
    watches = [replace(WATCH, limit=3, name="wide one"), replace(WATCH, limit=2, name="narrow one")]
    with pytest.raises(CounterRangeError, match="narrow one reaches 3 after 4 tokens of row 0"):
        Runner(counting, watches=watches)(rows)
    with pytest.raises(CounterRangeError, match="narrow one reaches -3 after 4 tokens of row 0"):
        Runner(counting, watches=watches)(rows[1:])
    with pytest.raises(CounterRangeError, match="narrow one reaches 3 after 4 tokens of row 1"):
        Runner(counting, watches=watches)(torch.tensor([[BOS, DOWN, UP, UP, UP, UP, UP], [BOS, *[UP] * 6]]))
    assert Runner(counting, watches=watches)(rows[:, :3]).shape == (2, 3, 8)


def test_counters_cross_their_range_within_a_chunk(counting: MambaWeights) -> None:
    """From -2**24 + 1 to 2**24: the differences inside a chunk do not fit float32, the counter does."""
    steep = replace_embedding(counting, {LEAP: 2.0**23, UP: 1.0, DOWN: -(2.0**23)})
    row = [BOS, UP, DOWN, DOWN, *[BOS + 1] * 13, LEAP, LEAP, LEAP, DOWN, UP, DOWN, LEAP]
    values = [0, 1, 1 - 2**23, 1 - 2**24, *[1 - 2**24] * 13, 1 - 2**23, 1, 1 + 2**23, 1, 2, 2 - 2**23, 2]
    assert Runner(steep, watches=[WATCH])(torch.tensor([row]))[0, :, 7].tolist() == values


def replace_embedding(weights: MambaWeights, steps: dict[int, float]) -> MambaWeights:
    tensors = {name: tensor.copy() for name, tensor in weights.tensors.items()}
    for token, step in steps.items():
        tensors["backbone.embeddings.weight"][token, 1] = step
    return MambaWeights(weights.shape, tensors)


# -- refusals ------------------------------------------------------------------------------------------------------


def watching(**changes: Any) -> Callable[[MambaWeights], Any]:
    return lambda counting: Runner(counting, watches=[replace(WATCH, **changes)])


def reading(ids: Tensor) -> Callable[[MambaWeights], Any]:
    return lambda counting: Runner(counting)(ids)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (watching(block=1), "no state 1 of channel 0 of block 1 to watch as counter height"),
        (watching(channel=16), "no state 1 of channel 16 of block 0"),
        (watching(state=-1), "no state -1 of channel 0"),
        (watching(limit=1 << 53), r"counter height has the limit 9007199254740992; give one from 0 to 2\*\*53 - 1"),
        (reading(torch.zeros(3, dtype=torch.int64)), r"int64 of shape \(3,\); give int64 of shape \(batch, time\)"),
        (reading(torch.zeros(3, 4)), "token ids are float32"),
        (reading(torch.tensor([[0, 8]])), "no token 8 in a vocabulary of 8; give ids from 0 to 7"),
        (reading(torch.tensor([[-1, 9]])), "no token -1"),
        (lambda c: Runner(c).stream(2).step(torch.tensor([0])), r"tokens of shape \(2,\), not \(1,\)"),
        (lambda c: Runner(c).stream(0), "at least 1 sequence, not 0"),
        (lambda c: Runner(c, chunk=0), "chunk must be at least 1 token, not 0"),
    ],
)
def test_what_cannot_be(counting: MambaWeights, call: Callable[[MambaWeights], Any], message: str) -> None:
    with pytest.raises(ReadoutError, match=message):
        call(counting)
    for shape in ((0, 3), (2, 0)):
        ids = torch.zeros(shape, dtype=torch.int64)
        assert Runner(counting)(ids).shape == (*shape, 8)
        assert list(Runner(counting).chunks(ids)) == []


def test_other_models_are_refused() -> None:
    from transformers import Mamba2Config, Mamba2ForCausalLM

    other = Mamba2Config(
        num_heads=4, head_dim=8, hidden_size=16, expand=2, vocab_size=8, num_hidden_layers=1, state_size=4, n_groups=1
    )
    for model in (torch.nn.Linear(2, 2), Mamba2ForCausalLM(other), random_model(0).backbone):
        with pytest.raises(ReadoutError, match=f"MambaWeights, not {type(model).__name__}; call other models"):
            Runner(model)
    with pytest.raises(ReadoutError, match="knows the activation silu, not gelu; call the model itself"):
        Runner(random_model(0, hidden_act="gelu"))
    model = random_model(0)
    model.backbone.norm_f.to(torch.bfloat16)
    with pytest.raises(ReadoutError, match=r"weights are in bfloat16, float32; .* dtype=torch\.float32"):
        Runner(model)
    assert Runner(model, dtype=torch.float32)(torch.tensor([[1]])).shape == (1, 1, 11)
    with pytest.raises(ReadoutError, match="weights are in int8"):
        Runner(model, dtype=torch.int8)


def test_the_threads_of_the_caller_are_left_as_they_were(counting: MambaWeights) -> None:
    torch.set_num_threads(2)
    Runner(counting)(torch.tensor([[BOS, UP]]))
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
