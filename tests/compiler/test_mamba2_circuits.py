"""The paper's own constructions in the target mamba2: against independent acceptors, and against themselves."""

from __future__ import annotations

import itertools
import json
import logging
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from random_machines import random_machines
from stepwise import stepped
from torch import Tensor

import scancraft
from scancraft.automata.bounded_dyck import BoundedDyck
from scancraft.automata.counters.families import boolean, dyck_1, equal_blocks, shuffle
from scancraft.automata.counters.machine import Counter, CounterMachine, Step
from scancraft.automata.languages import truth_of
from scancraft.certify.certify import Certificate
from scancraft.certify.checker.certificate import check_certificate
from scancraft.certify.checker.parts import content_digest, tensors_digest
from scancraft.compiler.compiled import Constructed
from scancraft.compiler.constructions import counters, dyck, flip_flop
from scancraft.compiler.manifest import CounterLabel
from scancraft.compiler.targets import TargetError
from scancraft.models.errors import CheckpointError, CounterRangeError, ReadoutError
from scancraft.models.run.model_runner import ModelRunner
from scancraft.models.run.runner import Runner, Watch

TARGET = "mamba2"
PAD, BOS, EOS, FIRST = 0, 1, 2, 3
CONTRACTS = ("live-prefixes", "all-words")
BEGINS = CounterMachine(  # begins with 3, adds 2 and -1
    ("a", "b"),
    (Counter("n", initial=3, signed=True), Counter("m")),
    "q",
    {"q": {"a": Step("q", {"n": 2, "m": 1}), "b": Step("q", {"n": -1})}},
    {"q": {"n": "zero"}},
)
logging.getLogger("transformers").setLevel(logging.ERROR)

Allowed = Callable[[Sequence[str]], "set[str] | None"]
"""What may follow a prefix; None if it is dead."""


def flip_flop_says(prefix: Sequence[str]) -> set[str] | None:
    bit = "0"
    for t, symbol in enumerate(prefix):
        if t % 2 == 0:
            if symbol not in ("w", "r", "i") or (t == 0 and symbol != "w"):
                return None
        elif symbol not in ("0", "1") or (prefix[t - 1] == "r" and symbol != bit):
            return None
        elif prefix[t - 1] == "w":
            bit = symbol
    if not prefix:
        return {"w", "<eos>"}
    if len(prefix) % 2 == 0:
        return {"w", "r", "i", "<eos>"}
    return {bit} if prefix[-1] == "r" else {"0", "1"}


def dyck_says(pairs: Sequence[Sequence[str]], depth: int) -> Allowed:
    closing = dict(pairs)

    def says(prefix: Sequence[str]) -> set[str] | None:
        stack: list[str] = []
        for symbol in prefix:
            if symbol in closing:
                stack.append(closing[symbol])
                if len(stack) > depth:
                    return None
            elif not stack or stack.pop() != symbol:
                return None
        allowed = set(closing) if len(stack) < depth else set()
        return allowed | ({stack[-1]} if stack else {"<eos>"})

    return says


def blocks_say(prefix: Sequence[str]) -> set[str] | None:
    """a^n b^n, n > 0."""
    a, b = prefix.count("a"), prefix.count("b")
    if list(prefix) != ["a"] * a + ["b"] * b or b > a:
        return None
    if b == 0:
        return {"a", "b"} if a else {"a"}
    return {"b"} if b < a else {"<eos>"}


def shuffle_says(prefix: Sequence[str]) -> set[str] | None:
    """The shuffle of two Dyck languages, ( ) and [ ]."""
    open_ = [0, 0]
    for symbol in prefix:
        kind = "([)]".index(symbol) % 2
        open_[kind] += 1 if symbol in "([" else -1
        if min(open_) < 0:
            return None
    return (
        {"(", "["}
        | ({")"} if open_[0] else set())
        | ({"]"} if open_[1] else set())
        | (set() if any(open_) else {"<eos>"})
    )


def begins_says(prefix: Sequence[str]) -> set[str] | None:
    left = 3 + 2 * prefix.count("a") - prefix.count("b")
    return {"a", "b"} | ({"<eos>"} if left == 0 else set())


def cases() -> dict[str, tuple[Callable[[str], Constructed], Allowed]]:
    """Name: build under a contract, and an acceptor that shares no code with scancraft."""
    found: dict[str, tuple[Callable[[str], Constructed], Allowed]] = {
        "flip-flop": (lambda c: flip_flop(contract=c, target=TARGET), flip_flop_says)  # type: ignore[arg-type]
    }
    for kinds, depth in ((1, 1), (1, 3), (2, 2), (3, 2), (5, 2)):
        pairs = BoundedDyck(kinds, depth).brackets
        found[f"Dyck {kinds},{depth}"] = (
            lambda c, k=kinds, h=depth: dyck(k, h, contract=c, target=TARGET),  # type: ignore[misc]
            dyck_says(pairs, depth),
        )
    for name, machine, says in (
        ("a^n b^n", equal_blocks("ab"), blocks_say),
        ("Dyck-1", dyck_1(), dyck_says([tuple(dyck_1().alphabet)], 10**9)),
        ("Shuffle-2", shuffle(2), shuffle_says),
        ("begins", BEGINS, begins_says),
    ):
        found[name] = (lambda c, m=machine: counters(m, contract=c, target=TARGET), says)  # type: ignore[misc]
    return found


CASES = cases()
MACHINES = list(random_machines(12, 3))


def short_words(alphabet: Sequence[str], most: int) -> list[tuple[str, ...]]:
    """All words of the greatest length at which there are at most so many; their prefixes are all the shorter ones."""
    length = 1
    while len(alphabet) ** (length + 1) <= most and length < 8:
        length += 1
    return list(itertools.product(alphabet, repeat=length))


def tokens(constructed: Constructed, words: Sequence[Sequence[str]]) -> Tensor:
    return torch.tensor([constructed.readout.encode(word) for word in words])


@torch.no_grad()
def logits(model: Any, ids: Tensor, chunk: int, **options: Any) -> Tensor:
    for block in model.backbone.layers:
        block.mixer.chunk_size = chunk
    found: Tensor = model(ids, **options).logits
    return found


def assert_right(constructed: Constructed, says: Allowed, words: Sequence[Sequence[str]], found: Tensor) -> int:
    """Compare with an acceptor at every prefix that the contract speaks of; how many."""
    everything, numbers = constructed.circuit.contract == "all-words", constructed.manifest.tokens
    names, compared = (*constructed.language.alphabet, "<eos>"), 0
    for word, scores in zip(words, found, strict=True):
        for t in range(len(word) + 1):
            right = says(list(word[:t]))
            if right is None and not everything:
                break
            assert {n for n in names if scores[t, numbers[n]] > 0} == (right or set()), word[:t]
            compared += 1
    return compared


@pytest.mark.parametrize("contract", CONTRACTS)
@pytest.mark.parametrize("name", CASES)
def test_right_on_all_short_words_and_bit_identical(name: str, contract: str) -> None:
    build, says = CASES[name]
    constructed = build(contract)
    words = short_words(constructed.language.alphabet, 130)
    ids, model = tokens(constructed, words), constructed.model()
    reference = logits(model, ids, 3)
    assert assert_right(constructed, says, words, reference) > 20
    for chunk in (1, 8):
        assert torch.equal(logits(model, ids, chunk), reference)
    assert torch.equal(stepped(model, ids[-40:], []), reference[-40:])
    assert torch.equal(stepped(model, ids[-5:], [2]), reference[-5:])
    assert torch.equal(logits(model, ids[-1:], 256), reference[-1:])


@pytest.mark.parametrize("contract", CONTRACTS)
@pytest.mark.parametrize("name", ["flip-flop", "Dyck 2,2", "a^n b^n", "Shuffle-2", "begins"])
def test_packed_and_padded(name: str, contract: str) -> None:
    """``<bos>`` begins anew, whatever came before: dead words and unfinished ones too."""
    build, _ = CASES[name]
    constructed = build(contract)
    words = random.Random(1).sample(short_words(constructed.language.alphabet, 70), 12)
    ids, model = tokens(constructed, words), constructed.model()
    alone = logits(model, ids, 3)
    if contract == "live-prefixes":
        alive = torch.tensor([[CASES[name][1](list(w[:t])) is not None for t in range(len(w) + 1)] for w in words])
    else:
        alive = torch.ones(ids.shape, dtype=torch.bool)
    assert alive.sum() > 15
    for chunk in (1, 5, 64):
        packed = logits(model, ids.reshape(1, -1), chunk).reshape(alone.shape)
        assert torch.equal(packed[alive], alone[alive])
    for side in ("left", "right"):
        pad = torch.full((len(ids), 3), PAD)
        whole = torch.cat([pad, ids] if side == "left" else [ids, pad], dim=1)
        own = slice(3, None) if side == "left" else slice(0, ids.shape[1])
        for mask in (None, (whole != PAD).long()):
            found = logits(model, whole, 4, attention_mask=mask)[:, own]
            assert torch.equal(found[alive], alone[alive])


def long_word(says: Allowed, alphabet: Sequence[str], length: int, seed: int) -> list[str]:
    """A word all of whose prefixes are live."""
    rng, word = random.Random(seed), []
    while len(word) < length:
        may = sorted((says(word) or set()) - {"<eos>"})
        if not may:
            break
        word.append(rng.choice(may))
    return word


@pytest.mark.parametrize("name", ["flip-flop", "Dyck 3,2", "Shuffle-2", "begins"])
def test_long_words(name: str) -> None:
    build, says = CASES[name]
    constructed = build("all-words")
    word = long_word(says, constructed.language.alphabet, 300, 5)
    dead = [*word[:150], *random.Random(2).choices(constructed.language.alphabet, k=150)]
    assert len(word) == 300
    model = constructed.model()
    ids = tokens(constructed, [word, dead])
    reference = logits(model, ids, 64)
    assert assert_right(constructed, says, [word, dead], reference) == 602
    for chunk in (7, 256):
        assert torch.equal(logits(model, ids, chunk), reference)


def test_a_deep_one() -> None:
    """Eight kinds of brackets to depth ten: the DFA would have more than 10^9 states."""
    constructed = dyck(8, 10, target=TARGET)
    assert isinstance(constructed.language, BoundedDyck)
    says = dyck_says(constructed.language.brackets, 10)
    words = [long_word(says, constructed.language.alphabet, 120, seed) for seed in range(4)]
    model, ids = constructed.model(), tokens(constructed, words)
    found = logits(model, ids, 16)
    assert assert_right(constructed, says, words, found) == 4 * 121
    packed = logits(model, ids.reshape(1, -1), 32).reshape(found.shape)
    assert torch.equal(packed, found)


@pytest.mark.parametrize("number", range(12))
def test_random_machines(number: int) -> None:
    machine = MACHINES[number]
    constructed = counters(machine, target=TARGET, contract="all-words")
    words = random.Random(number).sample(short_words(machine.alphabet, 300), 40)
    truth = truth_of(machine)
    codes, lengths = truth.encode(words)
    masks = truth.next_masks(codes, lengths)
    ids, model = tokens(constructed, words), constructed.model()
    found = logits(model, ids, 4)
    columns = [constructed.manifest.tokens[s] for s in (*machine.alphabet, "<eos>")]
    assert np.array_equal(found[:, :, columns].numpy() > 0, masks)
    assert torch.equal(stepped(model, ids[:8], []), found[:8])


@pytest.mark.parametrize("language", [equal_blocks("abc"), boolean(3), shuffle(3)], ids=["abc", "boolean", "shuffle"])
def test_streams_hold_what_the_circuit_computes(language: CounterMachine) -> None:
    """Every feature of the circuit, counters included, is the integer that ``Circuit.run`` has, at the end."""
    constructed = counters(language, target=TARGET)
    words = random.Random(0).sample(short_words(language.alphabet, 300), 15)
    model, seen = constructed.model(), []
    hook = model.backbone.layers[-1].register_forward_hook(lambda _m, _i, out: seen.append(out))
    logits(model, tokens(constructed, words), 3)
    hook.remove()
    names = [dimension.name for dimension in constructed.manifest.residual]
    for row, word in zip(seen[0], words, strict=True):
        for t, (features, _) in enumerate(constructed.circuit.run(word)):
            for name, value in features.items():
                assert row[t, names.index(name)] == value, (word[:t], name)


def test_at_most_two_blocks_for_each() -> None:
    for build, _ in CASES.values():
        for contract in CONTRACTS:
            circuit = build(contract).circuit
            labels = build(contract).manifest.blocks
            of = [title for title in (block.title for block in circuit.blocks) for _ in range(2)]
            assert len(circuit.blocks) <= len(labels) <= len(of)
            left = iter(of)  # in order, each block of the circuit has one label or two
            assert all(any(title in label.title for title in left) for label in labels)


def test_flip_flop_in_bfloat16_and_counters_only_in_float32(tmp_path: Path) -> None:
    constructed = flip_flop(target=TARGET)
    words = short_words(constructed.language.alphabet, 130)
    ids = tokens(constructed, words)
    full = logits(constructed.model(), ids, 3)
    for dtype in (torch.bfloat16, torch.float64):
        assert torch.equal(logits(constructed.model(dtype), ids, 3).float(), full)
    place = dyck(2, 3, target=TARGET).save(tmp_path / "m")
    with pytest.raises(CheckpointError, match="not counted exactly in bfloat16, only in float32"):
        scancraft.load(place).runner(torch.bfloat16)


# -- how far it counts -------------------------------------------------------------------------------------------------


def in_state(model: Any, cache: Any, entry: CounterLabel, count: int) -> None:
    """Put a count into the cache, as if so many letters had been read."""
    layer = cache.layers[entry.block]
    channel, size = entry.channel, model.backbone.layers[0].mixer.head_dim
    layer.recurrent_states[0][:, channel // size, channel % size, entry.state] = float(count * entry.unit)


@pytest.mark.parametrize("name", ["Dyck 2,2", "a^n b^n", "Shuffle-2"])
def test_exact_to_the_very_limit(name: str) -> None:
    """As if a long sequence had come before: the state is set to what it would be, and a new word begins."""
    build, says = CASES[name]
    for contract in CONTRACTS:
        constructed = build(contract)
        entries = constructed.manifest.counters
        limit = entries[0].limits["float32"]
        alphabet = constructed.language.alphabet
        words = [w for w in short_words(alphabet, 70) if contract == "all-words" or says(list(w)) is not None]
        model, ids = constructed.model(), tokens(constructed, words)
        fresh = logits(model, ids, 3)
        with torch.no_grad():
            cache = model(torch.full((len(ids), 1), PAD), use_cache=True).cache_params
            for entry in entries:
                in_state(model, cache, entry, limit - ids.shape[1])
            late = []
            for t in range(ids.shape[1]):
                late.append(model(ids[:, t : t + 1], cache_params=cache, use_cache=True).logits)
        assert torch.equal(torch.cat(late, 1), fresh), contract
        assert assert_right(constructed, says, words, fresh) > 0


@pytest.mark.parametrize(("kinds", "depth"), [(1, 3), (2, 2), (8, 10)])
def test_dead_words_may_be_deep_to_the_very_limit(kinds: int, depth: int) -> None:
    """As if so many brackets had been opened in this word: the same bits as the target mamba, which counts further."""
    here = dyck(kinds, depth, contract="all-words", target=TARGET)
    there = dyck(kinds, depth, contract="all-words")
    (opening, _), (counter,) = here.manifest.counters, there.manifest.counters
    limit = opening.limits["float32"]
    assert 3 * limit < counter.limits["float32"] * 4
    words = [random.Random(n).choices(here.language.alphabet, k=12) for n in range(6)]
    words += [[symbol] * 12 for symbol in here.language.alphabet[:2]]
    found = []
    for constructed in (here, there):
        model, ids = constructed.model(), tokens(constructed, words)
        with torch.no_grad():
            out = model(ids[:, :1], use_cache=True)
            cache, parts = out.cache_params, []
            if constructed is here:
                in_state(model, cache, opening, limit - 12)
            else:
                layer = cache.layers[counter.block]
                layer.recurrent_states[0][:, counter.channel, counter.state] = float(limit - 12)
            for t in range(1, ids.shape[1]):
                parts.append(model(ids[:, t : t + 1], cache_params=cache, use_cache=True).logits)
        found.append(torch.cat(parts, 1))
    assert torch.equal(found[0], found[1])
    assert not bool((found[0][..., EOS:] > 0).any())


def test_past_the_limit_the_runner_says_so() -> None:
    constructed = dyck(1, 3, target=TARGET)
    (opening, closing) = constructed.manifest.counters
    assert opening.unit == 2**15
    assert opening.limits == closing.limits == {"float32": 2**23 - 1}
    watch = Watch(opening.block, opening.channel, opening.state, 3, "openings", opening.unit)
    runner = ModelRunner(constructed.model(), watches=[watch])
    ids = tokens(constructed, [tuple("()()()"), tuple("()(())")])
    assert torch.equal(runner(ids), logits(constructed.model(), ids, 3))
    twice = torch.cat([ids, ids], dim=1)  # a new word does not make the count smaller
    with pytest.raises(
        CounterRangeError, match="openings reaches 4 after 9 tokens of row 0, but is exact only up to 3"
    ):
        runner(twice)
    with pytest.raises(ReadoutError, match="in units of 32768"):
        Runner(dyck(1, 3).weights, watches=[watch])


def adding(amount: int) -> CounterMachine:
    """a adds so much, b takes 1 away."""
    steps = {"a": Step("q", {"n": amount}), "b": Step("q", {"n": -1}, {"n": "positive"})}
    return CounterMachine(("a", "b"), (Counter("n"),), "q", {"q": steps}, {"q": {"n": "zero"}})


def test_amounts_that_cannot_be_counted() -> None:
    for amount in (1, 5, 2**20, 2**22):
        limit = counters(adding(amount), target=TARGET).manifest.counters[0].limits["float32"]
        assert 1 <= limit <= 2**24 // amount
    with pytest.raises(TargetError, match="amounts are too large to be counted exactly in the target mamba2"):
        counters(adding(2**24), target=TARGET)
    assert counters(adding(2**24)).manifest.counters


def test_a_head_that_forgets_nothing() -> None:
    """A is exactly 0 there, in both formats, so that exp of any sum of Delta A is 1; and only there."""
    constructed = dyck(2, 3, target=TARGET)
    tensors = constructed.weights.tensors
    rates = {float(v) for n, t in tensors.items() if n.endswith("A_log") for v in t}
    assert rates == {0.0, -(2.0**13)}
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        assert torch.exp(torch.tensor(-(2.0**13), dtype=dtype)) == 0


# -- certificates and the command line ---------------------------------------------------------------------------------


@pytest.mark.parametrize("contract", CONTRACTS)
def test_the_flip_flop_is_certified(contract: str, tmp_path: Path) -> None:
    place = flip_flop(tmp_path / "m", contract=contract, target=TARGET).save(tmp_path / "m")  # type: ignore[arg-type]
    found = scancraft.certify(place)
    assert found.as_json()["verdict"] == "certified"
    assert found.as_json()["scope"] == "every-implementation"


@pytest.mark.parametrize("what", ["dyck", "counters"])
def test_counters_are_undecided_and_say_why(what: str, tmp_path: Path) -> None:
    place = tmp_path / "m"
    dyck(2, 2, place, target=TARGET) if what == "dyck" else counters(equal_blocks("ab"), place, target=TARGET)
    found = scancraft.certify(place).as_json()
    assert found["verdict"] == "undecided"
    assert "none yet for Mamba-2" in str(found["reason"])


@pytest.mark.parametrize("what", ["dyck", "counters"])
def test_the_checker_rejects_a_certificate_made_for_it(what: str, tmp_path: Path) -> None:
    """One of the target mamba, with the digests of these weights: no argument covers them, whatever it says."""
    build = (lambda t: dyck(2, 2, target=t)) if what == "dyck" else (lambda t: counters(dyck_1(), target=t))
    source, place = build("mamba").save(tmp_path / "a"), build(TARGET).save(tmp_path / "b")
    found = scancraft.certify(source)
    assert isinstance(found, Certificate)
    found.save(source)
    assert check_certificate(source).accepted
    content = json.loads((source / "certificate.json").read_text())
    content["implementation"]["model"] = "transformers.Mamba2ForCausalLM"
    content["sha256"]["weights"] = tensors_digest(scancraft.load(place).model().state_dict())
    content["sha256"]["content"] = content_digest(content)
    (place / "certificate.json").write_text(json.dumps(content))
    (place / "certificate.safetensors").write_bytes((source / "certificate.safetensors").read_bytes())
    checked = check_certificate(place)
    assert not checked.accepted
    assert "no argument yet" in checked.reason


def test_a_wrong_one_is_still_refuted(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    place = counters(dyck_1(), target=TARGET).save(tmp_path / "m")
    tensors = load_file(place / "model.safetensors")
    tensors["backbone.layers.1.mixer.out_proj.weight"] = 0 * tensors["backbone.layers.1.mixer.out_proj.weight"]
    save_file(tensors, place / "model.safetensors", metadata={"format": "pt"})
    assert scancraft.certify(place).as_json()["verdict"] == "counterexample"


def test_the_other_format_has_the_same_numbers(tmp_path: Path) -> None:
    place = dyck(2, 3, target=TARGET).save(tmp_path / "m")
    config = json.loads((place / "mamba_ssm" / "config.json").read_text())
    assert config["ssm_cfg"]["layer"] == "Mamba2"
    state = torch.load(place / "mamba_ssm" / "pytorch_model.bin", weights_only=True)
    own = scancraft.load(place).model().state_dict()
    for name, tensor in own.items():
        assert torch.equal(state[name.replace("backbone.embeddings.", "backbone.embedding.")], tensor)


def test_a_checkpoint_must_list_what_is_counted(tmp_path: Path) -> None:
    place = counters(equal_blocks("ab"), target=TARGET).save(tmp_path / "m")
    path = place / "scancraft.json"
    manifest = json.loads(path.read_text())
    assert [entry["of"] for entry in manifest["counters"]] == [["counter b due"]] * 2
    for change in ({"of": []}, {"of": ["counter x"]}):
        broken = manifest | {"counters": [{**entry, **change} for entry in manifest["counters"]]}
        path.write_text(json.dumps(broken))
        with pytest.raises(CheckpointError, match="does not list each counter"):
            scancraft.load(place)
    path.write_text(json.dumps(manifest | {"counters": [{**e, "unit": 0} for e in manifest["counters"]]}))
    with pytest.raises(CheckpointError, match=r"counters\[0\].unit is 0, not an integer of at least 1"):
        scancraft.load(place)


@pytest.mark.parametrize(
    ("args", "code"),
    [(("--named", "Flip-flop"), 0), (("--dyck", "2,3"), 3), (("--named", "a^n b^n"), 3)],
    ids=["flip-flop", "dyck", "counters"],
)
def test_every_command(args: tuple[str, ...], code: int, tmp_path: Path) -> None:
    from command_line import invoke

    place = tmp_path / "m"
    told = invoke("compile", *args, "--target", TARGET, "-o", place, "--json")
    assert told.exit_code == 0, told.stderr
    assert json.loads(told.stdout)["target"] == TARGET
    assert invoke("check", place, "--words", 10, "--short", 30, "--max-length", 12).exit_code == 0
    assert invoke("certify", place).exit_code == code
    assert invoke("run", place, "", "--json").exit_code == 0
    shown = invoke("explain", place)
    assert shown.exit_code == 0
    assert "memory of the bit: when" in shown.stdout or "since the sequence began" in shown.stdout
    weights = invoke("explain", place, "--stage", "weights")
    assert weights.stdout.startswith("Mamba-2: ")
    assert "otherwise" not in weights.stderr
    assert invoke("explain", place, "--html", tmp_path / "page.html").exit_code == 0
