"""The probes: their integers against meanings written by hand, and what lowering them promises."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path

import mutants
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from scancraft.conformance.cases import cases, probe_cases
from scancraft.conformance.probes import library
from scancraft.conformance.probes.kinds import KINDS, falcon_mamba, mamba2, signed_mamba
from scancraft.conformance.probes.probe import Line, Probe, evaluate


def features(probe: Probe, word: list[str]) -> dict[str, list[int]]:
    """Every feature at the end of the last block, after each token."""
    stream = evaluate(probe, probe.encoded([word])).streams[-1][0]
    return {name: [int(v) for v in stream[:, i]] for i, name in enumerate(probe.features)}


def words_of(probe: Probe, longest: int = 40) -> st.SearchStrategy[list[str]]:
    tokens = [t for t in probe.ids if t not in ("<pad>", "<eos>")]
    return st.lists(st.sampled_from(tokens), min_size=1, max_size=longest)


# -- the integers mean what they say (an independent definition of each, in plain Python) ------------------------------


@given(words_of(library.registers()))
@settings(max_examples=40, deadline=None)
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
    found = features(library.registers(), word)
    assert {name: found[name] for name in right} == right


@given(words_of(library.recall()))
@settings(max_examples=40, deadline=None)
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
    found = features(library.recall(), word)
    assert {name: found[name] for name in right} == right


@given(st.data(), st.integers(2, 4))
@settings(max_examples=40, deadline=None)
def test_taps_and_entries_look_back(data: st.DataObject, d_conv: int) -> None:
    word = data.draw(words_of(library.taps(d_conv)))
    found = features(library.taps(d_conv), word)
    for j in range(d_conv):
        assert found[f"a {j} back"] == [int(t >= j and word[t - j] == "a") for t in range(len(word))]
    mix = [sum(2 ** (d_conv - 1 - j) for j in range(d_conv) if t >= j and word[t - j] == "a") for t in range(len(word))]
    assert found["mix"] == mix
    assert found["before"] == [int(t >= d_conv - 1) for t in range(len(word))]
    assert found["not a"] == [int(token != "a") for token in word]
    word = data.draw(words_of(library.entries(d_conv)))
    right = []
    for t, token in enumerate(word):
        back = {j: int(t >= j and word[t - j] == "a") for j in range(d_conv)}
        number = 3 * back[0] + {"B bias": 3, "C bias": 7, "not": 3}.get(token, 0)
        if match := re.fullmatch(r"[BC](\d)", token):
            number += back[int(match[1])]
        right.append(number)
    assert features(library.entries(d_conv), word)["products"] == right


@pytest.mark.parametrize("d_state", [1, 2, 5, 64])
def test_every_state_entry_reaches_the_logits(d_state: int) -> None:
    apart, together, signed = library.state(d_state, True), library.state(d_state, False), signed_mamba.states(d_state)
    for n in range(d_state):
        first, second = 1 + n % 7, 2 + n % 5
        found = features(apart, ["w1", "w2", "-", f"r{n}"])
        h, s = 2 * second + (first if n % 2 else 0), second + (0 if n % 2 else 2 * first)
        assert [found[name][-1] for name in ("h", "3 h", "s", "2 s")] == [h, 3 * h, s, 2 * s]
        found = features(together, ["w1", "w2", "-", f"r{n}"])
        h, s = 2 * second, 2 * first + second
        assert [found[name][-1] for name in ("h", "3 h", "s", "2 s")] == [h, 3 * h, s, 2 * s]
        for flips in range(3):
            found = features(signed, ["w1", *["flip"] * flips, "w2", *["flip"] * flips, f"r{n}"])
            sign = (-1) ** flips
            kept = sign * first if n % 2 else 0
            assert found["h turned"][-1] == sign * (2 * second + kept)
            assert found["h upright"][-1] == 2 * second + abs(kept)


def test_stack_adds_up_what_was_delayed() -> None:
    probe = library.stack()
    words = list(itertools.product(["-", "1", "2", "step"], repeat=5))
    streams = evaluate(probe, probe.encoded(words)).streams
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
    sizes = [0, 2, 0, 5, 0, 2, 0, 5]
    found = features(library.memory(), word)
    assert found["now"] == sizes
    assert found["held"] == [0, 0, 0, 10, 10, 10, 0, 10]
    assert found["sum"] == list(itertools.accumulate(sizes))
    found = features(library.skips(), word)
    assert found["-3 sizes"] == [-3 * s for s in sizes]
    assert found["7 a"] == [7 * (t == "a") for t in word]
    found = features(library.gates(), word)
    assert found["size of c"] == [15 * (t == "c") for t in word]
    assert found["c twice"] == [2 * (t == "c") for t in word]
    assert found["silenced"] == [0] * 8


@given(words_of(signed_mamba.flips(), 30).map(lambda word: [t for t in word if t != "<bos>"] or ["-"]))
@settings(max_examples=40, deadline=None)
def test_flips_turn_memories_over(word: list[str]) -> None:
    """Each as its definition in words: how often the value last set was turned over since."""
    right = features(signed_mamba.flips(), word)
    turned = [
        ("turned", lambda t: "flip" in word[t]),
        ("upright", lambda t: False),
        ("alternating", lambda t: True),
        ("unless flip", lambda t: "flip" not in word[t]),
        ("late", lambda t: "flip" in word[t - 1] if t else False),
        ("unless stay", lambda t: "flip" in word[t] and "stay" not in word[t]),
    ]
    for name, turns in turned:
        found = []
        for t in range(len(word)):
            sets = [s for s in range(t + 1) if "set" in word[s]]
            value = (2 if "flip" in word[sets[-1]] else 3) if sets else 0
            times = sum(turns(u) for u in range(sets[-1] + 1, t + 1)) if sets else 0
            found.append(value * (-1) ** times)
        assert right[name] == found, name
    total, sums = 0, []
    for token in word:
        total = -total if "flip" in token else total
        total += {"add": 2, "add+flip": 1}.get(token, 0)
        sums.append(total)
    assert right["turned sum"] == sums


def test_comparisons_bracket_the_truth() -> None:
    """The thresholds are what they are said to be, and words with more inexact numbers are not judged."""
    probe = mamba2.decay()
    weights = mamba2.lower_decay(probe).weights.tensors
    place = {name: i for i, name in enumerate(("constant", *probe.features[1:]))}  # d_model 16 has one constant
    norm = weights["backbone.layers.1.norm.weight"]
    dt, bias = (weights[f"backbone.layers.1.mixer.{n}"] for n in ("in_proj.weight", "dt_bias"))
    for k, (a_log, pre) in enumerate(mamba2.DECAYS):
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
        features(library.epsilon(), ["set", "tiny", "tiny"])
    found = features(library.epsilon(), ["set", "-", "tiny", "-"])
    assert (found["cleared"], found["not cleared"]) == ([1, 1, 0, 0], [1, 1, 0, 1])  # no constant at tiny


# -- the set and its weights -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_set_fits_float32_and_says_something(kind: str) -> None:
    assert [case.name for case in cases(kind)][: len(probe_cases(kind, False))] == [
        case.name for case in probe_cases(kind, False)
    ]
    for case in cases(kind):
        if case.name.startswith("long-"):
            continue
        logits = case.expect(case.words).logits
        assert np.abs(logits).max() < 2**24
        assert len(np.unique(logits)) > 1


def test_norms_of_falcon_mamba_are_powers_of_two() -> None:
    """In float64, on what a Falcon-Mamba really computes: each norm divides by a power of two, to 2^-25."""
    for probe in (library.memory(), library.registers(), library.state(14, True), library.stack()):
        lowered = falcon_mamba.lower(probe)
        sizes = lowered.weights.shape.tensors()
        for block, channels in enumerate(lowered.channels):
            rank = sizes[f"backbone.layers.{block}.mixer.dt_proj.weight"][1]
            entries = sizes[f"backbone.layers.{block}.mixer.A_log"][1]
            x_proj = lowered.weights.tensors[f"backbone.layers.{block}.mixer.x_proj.weight"].astype(np.float64)
            one = next(i for i, channel in enumerate(channels) if channel.x == Line(bias=1))
            for x in itertools.product((0.0, 1024.0, 5 * 1024.0), repeat=2):
                # Any other channel, up to 5, beside the constant one.
                full = np.full(x_proj.shape[1], x[0])
                full[len(channels) // 2 :] = x[1]
                full[len(channels) :] = 0.0
                full[one] = 1024.0
                for v in np.split(x_proj @ full, [rank, rank + entries]):
                    exponent = np.log2(np.sqrt((v**2).mean() + 1e-6))
                    assert abs(exponent - round(exponent)) < 2.0**-25


def test_sums_of_decays_of_mamba2_are_exact_and_the_norm_is_carried(tmp_path: Path) -> None:
    """Delta A is a multiple of -1024, or tiny; the squares of all but the carriers are below 2^96 together."""
    check = (
        "squares = gated.double().pow(2); small = (squares * (squares < 2.0**119)).sum(-1)\n"
        "        assert small.max() < 2.0**96, small.max()\n"
        "        return rms_norm(gated, self"
    )
    load = mutants.build("sequential", "mamba2", "return rms_norm(gated, self", check)
    for case in probe_cases("mamba2", True):
        case.write(tmp_path / case.name)
        model = load(tmp_path / case.name)
        ids = torch.from_numpy(case.words)
        assert np.array_equal(model(ids).numpy(), case.expect(case.words).logits)
        if case.name in ("epsilon", "decay"):
            continue
        for stream, block in zip(model.hidden(ids), model.w.blocks, strict=False):
            decay = torch.nn.functional.softplus(block.inputs(stream)[2] + block.dt_bias) * block.a
            exact = torch.remainder(decay, 1024) == 0
            assert bool((exact | (decay.abs() * case.words.shape[1] < 2.0**-30)).all()), case.name


SILENT = {"entries-3": 2, "gates": 4, "registers": 5}
"""How many weights of Mamba-2 cannot matter: of a channel whose gate is never positive, of one whose Delta is always
0 (its bias, gate, A, norm and out_proj), and of an entry of B that meets a C that silu makes 0, and the converse."""

CHANGED = ("taps-3", "entries-3", "gates", "skips", "memory", "registers", "recall", "state-4", "sums", "stack")


@pytest.mark.parametrize("name", CHANGED)
def test_every_weight_of_mamba2_matters(name: str, tmp_path: Path) -> None:
    """Turning the sign of any weight of a block that is not 0 changes a logit; A is changed from -1 to 0 or back."""
    (case,) = (c for c in probe_cases("mamba2", True) if c.name == name)
    case.write(tmp_path / "c")
    model = mutants.build("sequential", "mamba2")(tmp_path / "c")
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


def test_every_parameter_of_mamba_matters(tmp_path: Path) -> None:
    """Changing any parameter tensor of some checkpoint, in any entry that carries something, changes a logit."""
    from safetensors.torch import save_file

    changed: set[str] = set()
    for case in probe_cases("mamba", True):
        if case.name not in ("state-2", "registers", "taps-4", "gates"):
            continue
        case.write(tmp_path / case.name)
        path = tmp_path / case.name / "model.safetensors"
        state = load_file(path)
        load = mutants.build("sequential")
        ids = torch.from_numpy(case.words)
        right = load(tmp_path / case.name)(ids)
        for name, tensor in state.items():
            amount = 60.0 if name.endswith("A_log") else 1.0  # what is kept for ever must be forgotten
            save_file({**state, name: tensor + amount}, path)
            if not torch.equal(load(tmp_path / case.name)(ids), right):
                changed.add(name.removeprefix("backbone."))
    assert {n.removeprefix("layers.0.") for n in changed} == {
        *("embeddings.weight", "norm_f.weight", "lm_head.weight", "norm.weight", "mixer.in_proj.weight"),
        *("mixer.conv1d.weight", "mixer.conv1d.bias", "mixer.x_proj.weight", "mixer.dt_proj.weight"),
        *("mixer.dt_proj.bias", "mixer.A_log", "mixer.D", "mixer.out_proj.weight"),
    }
