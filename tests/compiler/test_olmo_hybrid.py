"""OLMo Hybrid: exact in every way of running, loaded where scancraft is not installed, and read strictly."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from against_truth import at_chunk
from safetensors.torch import load_file, save_file

import scancraft
from scancraft import interp
from scancraft.automata.alphabet import BOS
from scancraft.compiler.circuits.circuit import Circuit, CircuitBlock, CircuitChannel, Register, Shown
from scancraft.compiler.circuits.forms import ALWAYS
from scancraft.compiler.circuits.memories import Pair
from scancraft.compiler.targets import TARGETS, Options, TargetError
from scancraft.compiler.targets.tokens import token_ids
from scancraft.explain.picture_file import PictureError
from scancraft.explain.tables import weight_table
from scancraft.explain.text import explanation
from scancraft.models import classes, delta_net
from scancraft.models.arithmetic import Floats, Interval, Intervals
from scancraft.models.block import Memory
from scancraft.models.build import build_model
from scancraft.models.errors import CheckpointError, MissingClassError
from scancraft.models.olmo_hybrid import OlmoHybridShape
from scancraft.models.run.caching import continued
from scancraft.models.weights import ModelWeights
from scancraft.refute.results import NotApplicable

LOADED_ELSEWHERE = """
import json, sys, torch
from transformers import AutoModelForCausalLM
found = []
for place, ids in json.loads(sys.argv[1]):
    with torch.no_grad():
        whole = AutoModelForCausalLM.from_pretrained(place)(torch.tensor([ids])).logits[0]
        narrow = AutoModelForCausalLM.from_pretrained(place, dtype=torch.bfloat16)(torch.tensor([ids])).logits[0]
    found.append([whole.tolist(), torch.equal(whole, narrow.float())])
assert not any(name.split(".")[0] == "scancraft" for name in sys.modules)
print(json.dumps(found))
"""


def points(n: int, pairs: dict[str, Pair]) -> Circuit:
    """The word problem of the group that transpositions generate: each point has a register that says where it is.

    A word may end iff every point is where it began. All registers stand in one block, with the same swaps.
    """
    swaps: dict[Pair, dict[int, int]] = {}
    for number, pair in enumerate(pairs.values(), 1):
        swaps.setdefault(pair, {})[number] = 1
    registers = [Register(f"point {i}", {i: {0: 1}}, swaps) for i in range(n)]
    return Circuit(
        kind="plan",
        construction="points of a permutation",
        alphabet=tuple(pairs),
        features=(BOS, *pairs, *(f"{i} at home" for i in range(n))),
        tokens={token: {token: 1} for token in (BOS, *pairs)},
        blocks=(
            CircuitBlock(
                "where the points are",
                (
                    *(CircuitChannel(token, {token: 1}) for token in (BOS, *pairs)),
                    *(
                        CircuitChannel(
                            f"[{r.name} = {i}]",
                            bias=1,
                            memory=Shown(r, i),
                            gate=ALWAYS,
                            writes={f"{i} at home": 1},
                        )
                        for i, r in enumerate(registers)
                    ),
                ),
            ),
        ),
        verdicts={"<eos>": {"1": n, **{f"{i} at home": -1 for i in range(n)}}, **{token: {} for token in pairs}},
        contract="all-words",
        letters={token: token for token in (BOS, *pairs)},
    )


def test_the_word_problem_of_s5_takes_one_layer_of_reflections() -> None:
    """Against permutations; whole, in other chunks, step by step, from a cache on, in bfloat16: bit for bit."""
    pairs = {"b": (0, 1), "c": (0, 2), "d": (0, 3), "e": (0, 4)}
    circuit = points(5, pairs)
    weights = TARGETS["olmo_hybrid"].lowered(circuit, Options()).weights
    assert weights.shape.n_layers == 2
    model = build_model(weights, pad=0, bos=1, eos=2)
    rng, ids = random.Random(5), token_ids(circuit.alphabet)
    back = "bccbdeedcb" * 3
    word = [*back, *rng.choices(tuple(pairs), k=600), *back]
    tokens = torch.tensor([[1, *(ids[symbol] for symbol in word)]])
    where, at_home = list(range(5)), [True]
    for symbol in word:
        i, j = pairs[symbol]
        where = [{i: j, j: i}.get(p, p) for p in where]
        at_home.append(where == list(range(5)))
    assert 5 < sum(at_home) < 600
    with torch.no_grad():
        whole = model(tokens).logits
        assert (whole[0, :, 2] > 0).tolist() == at_home
        for chunk in (1, 7, 128):
            assert torch.equal(at_chunk(model, chunk)(tokens).logits, whole)
        cache = None
        for piece in (slice(0, 100), slice(100, 300), *(slice(t, t + 1) for t in range(300, 340))):
            out, cache = continued(model, tokens[:, piece], cache)
            assert torch.equal(out.logits, whole[:, piece])
        narrow = build_model(weights, pad=0, bos=1, eos=2, dtype=torch.bfloat16)
        assert torch.equal(narrow(tokens).logits.float(), whole)


def test_a_circle_of_three_transpositions_is_refused() -> None:
    with pytest.raises(TargetError, match="circle of odd length"):
        TARGETS["olmo_hybrid"].lowered(points(3, {"a": (0, 1), "b": (1, 2), "c": (0, 2)}), Options())


def test_a_circle_of_four_is_not() -> None:
    pairs = {"a": (0, 1), "b": (1, 2), "c": (2, 3), "d": (0, 3)}
    circuit = points(4, pairs)
    weights = TARGETS["olmo_hybrid"].lowered(circuit, Options()).weights
    model, ids = build_model(weights, pad=0, bos=1, eos=2), token_ids(circuit.alphabet)
    words = list(itertools.product(pairs, repeat=4))
    with torch.no_grad():
        found = model(torch.tensor([[1, *(ids[a] for a in word)] for word in words])).logits[..., 2] > 0
    assert found.tolist() == [["<eos>" in allowed for _, allowed in circuit.run(word)] for word in words]


def test_loaded_where_scancraft_is_not(tmp_path: Path) -> None:
    asked, own, rng = [], [], random.Random(1)
    for number, language in enumerate(["(0*10*1)*0*", "(aaa)*", "(a(ab)*b)*"]):
        compiled = scancraft.compile(language, tmp_path / str(number), target="olmo_hybrid")
        ids = compiled.readout.encode(rng.choices(compiled.language.alphabet, k=150))
        asked.append([str(tmp_path / str(number)), ids])
        with torch.no_grad():
            own.append(compiled.model()(torch.tensor([ids])).logits[0])
    command = [sys.executable, "-I", "-c", LOADED_ELSEWHERE, json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for wanted, (logits, narrow) in zip(own, json.loads(done.stdout), strict=True):
        assert torch.equal(torch.tensor(logits), wanted)
        assert narrow


def test_many_short_words_are_read_as_a_tree_of_their_prefixes() -> None:
    """The logits are those of one pass, bit for bit; few rows, and long ones, are read in one."""
    compiled = scancraft.compile("(abab)*")
    model, runner, seen = compiled.model(), compiled.runner(), list[torch.Size]()
    runner.model.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape))  # type: ignore[union-attr]
    rows = torch.tensor([[1, *rest] for rest in itertools.product((0, 3, 4), repeat=4)][::-1])
    with torch.no_grad():
        assert torch.equal(runner(rows), model(rows).logits)
        assert seen == [(1, 1), (3, 1), (9, 1), (27, 1), (81, 1)]
        for whole in (rows[:2], rows[:3].repeat(1, 14)):
            seen.clear()
            assert torch.equal(runner(whole), model(whole).logits)
            assert seen == [whole.shape]


# -- formulas ----------------------------------------------------------------------------------------------------------


def empty(shape: OlmoHybridShape) -> Memory[torch.Tensor]:
    keys, values = shape.heads * shape.d_state, shape.heads * shape.value_dim
    past = tuple(torch.zeros(shape.d_conv - 1, size) for size in (keys, keys, values))
    return Memory(past, torch.zeros(shape.heads, shape.value_dim, shape.d_state))  # type: ignore[arg-type]


def test_the_formulas_are_those_of_transformers() -> None:
    """Weights that nobody compiled: close to transformers in one go, and the same cut into pieces."""
    shape = OlmoHybridShape(d_model=128, n_layers=2, vocab_size=8, d_state=4, heads=3, value_dim=2, units=5)
    rng = np.random.default_rng(0)
    tensors = {n: (rng.standard_normal(size) * 0.3).astype(np.float32) for n, size in shape.tensors().items()}
    weights = ModelWeights(shape, tensors)
    model = build_model(weights, pad=0, bos=1, eos=2)
    ids = torch.from_numpy(rng.integers(0, 8, (1, 150)))
    block = {name: torch.from_numpy(np.array(t)) for name, t in weights.block(0).items()}
    with torch.no_grad():
        stream = model.model.embed_tokens(ids)
        wanted = model.model.layers[0](stream, attention_mask=None)[0]
    found, _ = delta_net.olmo_hybrid(Floats(), block, stream[0], empty(shape), 1e-6)
    assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-4)
    memory, parts = empty(shape), []
    for piece in stream[0].split(40):
        part, memory = delta_net.olmo_hybrid(Floats(), block, piece, memory, 1e-6)
        parts.append(part)
    assert torch.allclose(torch.cat(parts), found, rtol=1e-5, atol=1e-5)


def test_intervals_hold_what_floats_give() -> None:
    shape = OlmoHybridShape(d_model=16, n_layers=2, vocab_size=8, d_state=4, heads=2, value_dim=2, units=3)
    rng = np.random.default_rng(1)
    block = {n: rng.standard_normal(size) * 0.5 for n, size in shape.block_tensors().items()}
    stream = rng.standard_normal((5, 16))
    start = empty(shape)
    floats = delta_net.olmo_hybrid(
        Floats(),
        {n: torch.from_numpy(w) for n, w in block.items()},
        torch.from_numpy(stream),
        Memory(tuple(x.double() for x in start.inputs), start.state.double()),  # type: ignore[arg-type]
        1e-6,
    )[0].numpy()
    past = tuple(Interval.of(x.numpy()) for x in start.inputs)
    enclosed = delta_net.olmo_hybrid(
        Intervals(),
        {n: Interval.of(w) for n, w in block.items()},
        Interval.of(stream),
        Memory(past, Interval.of(start.state.numpy())),  # type: ignore[arg-type]
        1e-6,
    )[0]
    assert ((enclosed.low <= floats) & (floats <= enclosed.high)).all()
    assert (enclosed.high - enclosed.low).max() < 1e-5


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_a_transformers_without_the_model_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = scancraft.compile("(ab)*", target="olmo_hybrid")
    monkeypatch.setattr(classes, "import_module", lambda *_: SimpleNamespace(__version__="5.0.0"))
    with pytest.raises(MissingClassError, match=r"transformers 5\.0\.0 has no OlmoHybridForCausalLM, .* 5\.17 has"):
        compiled.model()


CHANGED = {
    "linear_allow_neg_eigval": (False, "in a compiled model it is True"),
    "layer_types": (["full_attention", "linear_attention"], "in a compiled model it is"),
    "num_hidden_layers": (3, "layer_types, not num_hidden_layers"),
    "hidden_act": ("relu", "must be 'silu'"),
    "head_dim": (8, "not known"),
    "attention_bias": (True, "in a compiled model it is False"),
    "linear_num_key_heads": (2, "in a compiled model it is"),
    "rms_norm_eps": (0, "must be a number from"),
    "rope_parameters": ({"rope_type": "yarn", "rope_theta": 1.0}, "must be None or"),
    "intermediate_size": (7, "has shape"),
    "linear_value_head_dim": (4, "has shape"),
}


@pytest.mark.parametrize("key", CHANGED)
def test_a_configuration_that_was_changed_is_refused(key: str, tmp_path: Path) -> None:
    scancraft.compile("(aa)*", tmp_path / "m", target="olmo_hybrid")
    value, message = CHANGED[key]
    path = tmp_path / "m" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(CheckpointError, match=message):
        scancraft.load(tmp_path / "m").model()


def test_tensors_that_do_not_belong_are_refused(tmp_path: Path) -> None:
    """Also under the names of the Hub, which transformers would put into the place of others."""
    scancraft.compile("(aa)*", tmp_path / "m", target="olmo_hybrid")
    path = tmp_path / "m" / "model.safetensors"
    tensors = load_file(path)
    taps = tensors["model.layers.0.linear_attn.conv1d.weight"]
    more = {f"model.layers.0.linear_attn.{x}_conv1d.weight": taps[:3].clone() for x in "qkv"}
    save_file(tensors | more, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"conv1d.weight' is not known"):
        scancraft.load(tmp_path / "m")


# -- what is said of a model -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["(aaa)*", "(0*10*1)*0*", "(a(ab)*b)*"])
def test_memories_hold_what_the_circuit_says(language: str) -> None:
    compiled = scancraft.compile(language, target="olmo_hybrid")
    rng = random.Random(3)
    words = ["".join(rng.choices(compiled.language.alphabet, k=n)) for n in (12, 7)]
    cache = interp.run_with_cache(compiled, words)
    memories = interp.labels_of(compiled).memories
    assert memories
    for memory in memories:
        for row, word in zip(memory.decode(cache), words, strict=True):
            wanted = [held[memory.name] for held in compiled.circuit.held(tuple(word))]
            assert list(row[: len(wanted)]) == wanted


def test_explain_shows_heads_units_and_the_layer_that_does_nothing(tmp_path: Path) -> None:
    place = scancraft.compile("(aaa)*", tmp_path / "m", target="olmo_hybrid").save(tmp_path / "m")
    checkpoint = scancraft.load(place)
    facts = explanation(checkpoint)
    assert facts["blocks"][-1]["title"].startswith("attention, its weights all zero")
    table = weight_table(checkpoint, 1)
    titles = [group.title for group in table.groups]
    assert any(title.startswith("key of the head") for title in titles)
    assert len(table.rows) == len(checkpoint.manifest.blocks[1].channels)
    with pytest.raises(PictureError, match="does nothing"):
        weight_table(checkpoint, 2)


def test_refute_leaves_reflections_to_certify() -> None:
    found = scancraft.refute(scancraft.compile("(aa)*", target="olmo_hybrid"), "(aaa)*")
    assert isinstance(found, NotApplicable)
    assert "multiply their states with matrices" in str(found)
    assert "counterexample" in str(found)
