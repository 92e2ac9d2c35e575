"""The probes for Mamba-2: their integers against meanings written by hand, planted faults, and transformers."""

from __future__ import annotations

import itertools
import logging
import math
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path

import mutants_mamba2 as mutants
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from scancraft.conformance import conformance
from scancraft.conformance import locate as _conformance_locate
from scancraft.conformance.case import Case, Expected
from scancraft.conformance.cases import cases as all_cases
from scancraft.conformance.cases_mamba2 import cases
from scancraft.conformance.probes import mamba2 as probes
from scancraft.conformance.probes import mamba2_compared as compared
from scancraft.conformance.probes.probe_mamba2 import Mamba2Probe, evaluate, shape_of, weights_of
from scancraft.models.checkpoints.checkpoint import load_model

logging.getLogger("transformers").setLevel(logging.ERROR)
pytestmark = pytest.mark.usefixtures("probes_alone")

LARGE = {
    "only sixteen entries of the state": "state-64",
    "only the first 64 entries of the state": "state-128",
}
"""Mutants that only the full set can find, and the case that does."""
INEXACT = ("epsilon", "decay")
CHUNKS = (1, 3, 8, 64, 256)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], tuple[Case, ...]]:
    """The probes, each written once and what it owes computed once, for many runs."""
    folder = tmp_path_factory.mktemp("probes")

    @cache
    def found(quick: bool) -> tuple[Case, ...]:
        return tuple(kept(case, folder / f"{case.name}-{quick}") for case in cases(quick))

    return found


def kept(case: Case, place: Path) -> Case:
    def write(directory: Path) -> None:
        if not place.exists():
            case.write(place)
        directory.symlink_to(place, target_is_directory=True)

    @lru_cache(maxsize=256)
    def owed(shape: tuple[int, int], ids: bytes) -> Expected:
        return case.expect(np.frombuffer(ids, dtype=np.int64).reshape(shape))

    return replace(case, write=write, expect=lambda ids: owed(ids.shape, ids.tobytes()))


@pytest.fixture
def probes_alone(monkeypatch: pytest.MonkeyPatch, once: Callable[[bool], tuple[Case, ...]]) -> None:
    """Without the compiled languages, which ``tests/compiler/test_mamba2.py`` is about."""
    monkeypatch.setattr(conformance, "cases", lambda kind, *, quick=False: once(quick))


def features(probe: Mamba2Probe, word: list[str]) -> dict[str, list[int]]:
    """Every feature at the end of the last block, after each token."""
    stream = evaluate(probe, np.array([[probe.ids[t] for t in word]])).streams[-1][0]
    return {name: [int(v) for v in stream[:, i]] for i, name in enumerate(probe.features)}


def words_of(probe: Mamba2Probe, longest: int = 40) -> st.SearchStrategy[list[str]]:
    tokens = [t for t in probe.ids if t not in ("<pad>", "<eos>")]
    return st.lists(st.sampled_from(tokens), min_size=1, max_size=longest)


# -- the integers mean what they say (an independent definition of each, in plain Python) ------------------------------


@given(words_of(probes.registers()))
@settings(max_examples=60, deadline=None)
def test_registers(word: list[str]) -> None:
    right: dict[str, list[int]] = {}
    now = {f"{kind} {r}": 0 for kind in ("register", "before") for r in range(5)}
    now |= dict.fromkeys(("kept", "sum", "count", "clock", "fine", "never"), 0)
    added, last = 0, 0
    for token in word:
        value = 0
        if match := re.fullmatch(r"(\d):=(\d)", token):
            r, value = int(match[1]), int(match[2])
            now[f"register {r}"], now[f"before {r}"] = value * (1 + r % 3), last * (1 + r % 3)
        if token == "add":
            value = added = 3
            now["sum"] += 3
            now["count"] += 1
            now["fine"] += 3
        if token != "hold":
            now["kept"] = value
        now["clock"] += 1
        last = value
        for name, number in (now | {"both": added + 2 * value}).items():
            right.setdefault(name, []).append(number)
    found = features(probes.registers(), word)
    for name, numbers in right.items():
        assert found[name] == numbers, name


@given(words_of(probes.recall()))
@settings(max_examples=60, deadline=None)
def test_recall(word: list[str]) -> None:
    totals, befores = [0] * 6, [0] * 6
    key, value, last = 0, 0, 0
    right: dict[str, list[int]] = {"sums": [], "before": [], "last": []}
    for token in word:
        read = [0] * 6
        carried = 0
        if match := re.fullmatch(r"(\d):=(\d)", token):
            key, carried = int(match[1]), int(match[2])
            value = 2 * carried
            totals[key] += carried
            befores[key] += last
        elif token == "?all":
            read = [1, 2, 3, 4, 5, 6]
        elif match := re.fullmatch(r"\?(\d)", token):
            read[int(match[1])] = 1
        last = carried
        right["sums"].append(sum(a * b for a, b in zip(read, totals, strict=True)))
        right["before"].append(sum(a * b for a, b in zip(read, befores, strict=True)))
        right["last"].append(read[key] * value)
    found = features(probes.recall(), word)
    assert {name: found[name] for name in right} == right


@given(st.data(), st.integers(2, 4))
@settings(max_examples=60, deadline=None)
def test_entries(data: st.DataObject, d_conv: int) -> None:
    probe = probes.entries(d_conv)
    word = data.draw(words_of(probe))
    right = []
    for t, token in enumerate(word):
        back = {j: int(t >= j and word[t - j] == "a") for j in range(d_conv)}
        number = 3 * back[0]
        if match := re.fullmatch(r"[BC](\d)", token):
            number += back[int(match[1])]
        number += {"B bias": 3, "C bias": 7, "not": 3}.get(token, 0)
        right.append(number)
    assert features(probe, word)["products"] == right


@given(st.data(), st.integers(2, 4))
@settings(max_examples=40, deadline=None)
def test_taps(data: st.DataObject, d_conv: int) -> None:
    probe = probes.taps(d_conv)
    word = data.draw(words_of(probe))
    found = features(probe, word)
    for j in range(d_conv):
        assert found[f"a {j} back"] == [int(t >= j and word[t - j] == "a") for t in range(len(word))]
    assert found["before"] == [int(t >= d_conv - 1) for t in range(len(word))]
    assert found["not a"] == [int(token != "a") for token in word]


@pytest.mark.parametrize("d_state", [1, 4, 5, 128])
def test_every_state_entry_reaches_the_logits(d_state: int) -> None:
    probe = probes.state(d_state)
    assert shape_of(probe).d_state == -(-d_state // 4) * 4
    for n in range(d_state):
        first, second = 1 + n % 7, 2 + n % 5
        found = features(probe, ["w1", "w2", "-", f"r{n}"])
        assert found["h"][-1] == 2 * second
        assert found["3 h"][-1] == 6 * second
        assert found["s"][-1] == 2 * first + second
        assert found["2 s"][-1] == 4 * first + 2 * second


def test_stack_adds_up_what_was_delayed() -> None:
    probe = probes.stack()
    words = list(itertools.product(["-", "1", "2", "step"], repeat=5))
    streams = evaluate(probe, np.array([[probe.ids[t] for t in word] for word in words])).streams
    third, other = (streams[-1][:, :, probe.features.index(name)].tolist() for name in ("third", "other"))
    for number, word in enumerate(words):
        first, before, second, total = 0, 0, 0, 0
        sums: list[int] = []
        twos: list[int] = []
        for token in word:
            before, first = first, int(token) if token in "12" else first
            if token == "step":
                second = before
                total += second
            sums.append(total + second)
            twos.append(2 * int("2" in word[: len(twos) + 1]))
        assert (third[number], other[number]) == (sums, twos)


def test_memory_gates_and_skips() -> None:
    word = ["a", "b", "a", "c", "-", "b", "<bos>", "c"]
    found = features(probes.memory(), word)
    assert found["now"] == [0, 2, 0, 5, 0, 2, 0, 5]
    assert found["held"] == [0, 2, 2, 10, 10, 2, 2, 10]
    assert found["sum"] == [0, 2, 2, 7, 7, 9, 9, 14]
    found = features(probes.skips(), word)
    assert found["-3 sizes"] == [-3 * s for s in (0, 2, 0, 5, 0, 2, 0, 5)]
    assert found["7 a"] == [7, 0, 7, 0, 0, 0, 0, 0]
    found = features(probes.gates(), word)
    assert found["size of c"] == [0, 0, 0, 15, 0, 0, 0, 15]
    assert found["silenced"] == [0] * 8


def test_comparisons_bracket_the_truth() -> None:
    """The thresholds are what they are said to be, and words with more inexact numbers are not judged."""
    probe = compared.decay()
    weights = weights_of(probe).tensors
    place = {name: i for i, name in enumerate(("constant", *probe.features[1:]))}  # d_model 16 has one constant
    norm = weights["backbone.layers.1.norm.weight"]
    dt, bias = (weights[f"backbone.layers.1.mixer.{n}"] for n in ("in_proj.weight", "dt_bias"))
    for k, (a_log, pre) in enumerate(compared.DECAYS):
        left = math.exp(-math.exp(a_log) * math.log1p(math.exp(pre)))
        for latch, factors in ((2 * k, (0.9, 0.97)), (2 * k + 1, (1.03, 1.1))):
            # Delta of the latch after the token test, as it depends on what is left.
            row = {n: dt[-8 + latch, place[n]] * norm[place[n]] * 2.0**-38 for n in (f"level {k}", "test")}
            threshold = -(row["test"] + bias[latch]) / row[f"level {k}"]
            assert factors[0] < threshold / left < factors[1]
    for word in (["set", "step", "step"], ["set", "set"], ["step"], ["set", "test"], ["set", "step", "test", "test"]):
        with pytest.raises(ValueError, match="does not judge"):
            features(probe, word)
    with pytest.raises(ValueError, match="does not judge"):
        features(compared.epsilon(), ["set", "tiny", "tiny"])


# -- what the lowering promises ----------------------------------------------------------------------------------------


def test_sums_of_decays_are_exact_and_the_norm_is_carried(tmp_path: Path) -> None:
    """Delta A is a multiple of -1024, or tiny; the squares of all but the carriers are below 2^96 together."""
    for case in cases(True):
        check = (
            "squares = gated.double().pow(2); small = (squares * (squares < 2.0**119)).sum(-1)\n"
            "        assert small.max() < 2.0**96, small.max()\n"
            "        return rms_norm(gated, self"
        )
        load = mutants.build("sequential", "return rms_norm(gated, self", check)
        case.write(tmp_path / case.name)
        model = load(tmp_path / case.name)
        ids = torch.from_numpy(case.words)
        assert np.array_equal(model(ids).numpy(), case.expect(case.words).logits)
        if case.name in INEXACT:
            continue
        for stream, block in zip(model.hidden(ids), model.w.blocks, strict=False):
            decay = block.parts(stream)[2] * block.a
            exact = torch.remainder(decay, 1024) == 0
            assert bool((exact | (decay.abs() * case.words.shape[1] < 2.0**-30)).all()), case.name


def test_the_set_of_mamba2_begins_with_the_probes() -> None:
    for quick in (True, False):
        names, found = ([c.name for c in some] for some in (cases(quick), all_cases("mamba2", quick=quick)))
        assert found[: len(names)] == names
        assert len(found) > len(names)


def test_every_case_fits_float32_and_says_something() -> None:
    for case in cases(False):
        logits = case.expect(case.words).logits
        assert np.abs(logits).max() < 2**24
        assert len(np.unique(logits)) > 1


SILENT = {"entries-3": 2, "gates": 4, "registers": 5}
"""How many weights cannot matter: of a channel whose gate is never positive, of one whose Delta is always 0 (its bias,
gate, A, norm and out_proj), and of an entry of B that meets a C that silu makes 0, and the other way round."""

CHANGED = ("taps-3", "entries-3", "gates", "skips", "memory", "registers", "recall", "state-4", "sums", "stack")


@pytest.mark.parametrize("name", CHANGED)
def test_every_weight_matters(name: str, tmp_path: Path) -> None:
    """Turning the sign of any weight of a block that is not 0 changes a logit; A is changed from -1 to 0 or back."""
    (case,) = (c for c in cases(True) if c.name == name)
    case.write(tmp_path / "c")
    model = mutants.build("sequential")(tmp_path / "c")
    ids = torch.from_numpy(case.words[:, :40])
    right = model(ids)
    assert np.array_equal(right.numpy(), case.expect(case.words[:, :40]).logits)
    state = load_file(tmp_path / "c" / "model.safetensors")
    count, silent = 0, []
    for layer, block in enumerate(model.w.blocks):
        live = block.w_out.abs().sum(0) > 0  # channels that are written
        heads = live.view(block.heads, block.head_dim).any(1)
        remembers = heads & (block.w_in[-block.heads :].abs().sum(1) + (block.dt_bias != -1024.0) > 0)
        carriers = state[f"backbone.layers.{layer}.mixer.conv1d.bias"][: block.channels] == 2.0**20
        tensors = {
            "w_in": (block.w_in, block.w_in != 0),
            "taps": (block.taps, block.taps != 0),
            "conv_bias": (block.conv_bias, block.conv_bias != 0),
            "w_out": (block.w_out, block.w_out != 0),
            "gated_norm": (block.gated_norm, live & ~carriers),
            "dt_bias": (block.dt_bias, remembers),
            "d": (block.d, heads & (block.d != 0)),
            "a": (block.a, remembers),
        }
        for which, (tensor, used) in tensors.items():
            for index in torch.nonzero(used).tolist():
                place = tuple(index)
                old = tensor[place].item()
                tensor[place] = -old if which != "a" else (0.0 if old < -0.5 else -1.0)
                if torch.equal(model(ids), right):
                    silent.append((which, *place))
                tensor[place] = old
                count += 1
    assert len(silent) == SILENT.get(name, 0), silent
    assert count >= 20
    assert torch.equal(model(ids), right)


# -- faults ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", mutants.BASES)
def test_plain_implementations_pass(base: str) -> None:
    report = conformance.run(mutants.build(base), kind="mamba2", quick=True)
    assert report.passed, report


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda m: f"{m.base}: {m.name}")
def test_faults_are_found_and_located(mutant: mutants.Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "smallest", lambda case, found, model: found)  # it keeps the place
    load = mutants.build(mutant.base, mutant.old, mutant.new)
    large = LARGE.get(mutant.name)
    only = None if large is None else [large]
    report = conformance.run(load, kind="mamba2", modes=[mutant.mode], quick=large is None, only=only)
    found = report.first
    assert found is not None, "survived"
    told = " | ".join((found.case, found.symbol, found.source.exercises, found.source.meaning))
    assert re.search(mutant.where, told), told
    assert found.error is None


def test_there_are_enough_faults_and_the_real_ones_are_among_them() -> None:
    assert len(mutants.MUTANTS) >= 100
    assert len({m.name for m in mutants.MUTANTS if m.base == "sequential"}) == len(mutants._SEQUENTIAL)
    assert {m.after.rpartition("#")[2] for m in mutants.MUTANTS} >= set(
        "22034 23279 56196 31833 33450 500 641 997 35154".split()
    )


@pytest.mark.parametrize(
    "name", ["initial state ignored at batch size 1", "decay from the start of the chunk off by one"]
)
def test_reproductions_are_short(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_conformance_locate, "SHRINKING_SECONDS", 3.0)
    fault = next(m for m in mutants.MUTANTS if m.name == name)
    load = mutants.build(fault.base, fault.old, fault.new)
    found = conformance.run(load, kind="mamba2", modes=[fault.mode], quick=True).first
    assert found is not None
    assert len(found.trial.words) == 1
    assert found.trial.tokens <= 6
    assert found.source.channel is not None


# -- transformers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", CHUNKS)
def test_transformers_at_every_chunk_size(chunk: int, tmp_path: Path) -> None:
    for case in cases(True):
        if (case.name, chunk) in (("boundaries", 256), ("boundaries", 1), ("long-hold", 1)):
            continue  # takes gigabytes, or seconds; the full set tries it
        directory = tmp_path / case.name
        case.write(directory)
        model = load_model(directory)
        for block in model.backbone.layers:
            block.mixer.chunk_size = chunk
        ids = torch.from_numpy(case.words)
        with torch.inference_mode():
            logits = model(ids, use_cache=False).logits
        assert np.array_equal(logits.numpy(), case.expect(case.words).logits), case.name


@pytest.mark.parametrize("mode", ["step", "cached", "continued", "padded", "interleaved"])
def test_transformers_in_every_mode(mode: str) -> None:
    only = None if mode == "padded" else ["taps-4", "entries-4", "registers", "recall", "decay", "stack"]
    report = conformance.run("transformers-mamba2-chunk-3", modes=[mode], quick=True, only=only)
    assert report.passed, report


def test_an_unused_tensor_is_not_a_probe(tmp_path: Path) -> None:
    """The checkpoint is read back: a change on disk is seen, so that what is tested is what was written."""
    case = next(c for c in cases(True) if c.name == "memory")
    case.write(tmp_path / "c")
    path = tmp_path / "c" / "model.safetensors"
    state = load_file(path)
    state["backbone.layers.0.mixer.A_log"] = state["backbone.layers.0.mixer.A_log"].flip(0)
    save_file(state, path, metadata={"format": "pt"})
    with torch.inference_mode():
        logits = load_model(tmp_path / "c")(torch.from_numpy(case.words)).logits
    assert not np.array_equal(logits.numpy(), case.expect(case.words).logits)
