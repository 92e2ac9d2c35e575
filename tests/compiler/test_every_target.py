"""Every target on the table of examples: right after every prefix, and the same bits in whatever way it is run."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache, partial

import numpy as np
import pytest
import torch
from against_truth import assert_right, at_chunk, logits, promised, short_chunks, short_words, tokens
from examples import EXAMPLES, bounded, dfas, example, machines
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_machines import random_machines

import scancraft
from scancraft.automata.alphabet import EOS
from scancraft.automata.decide.classification import GateClass
from scancraft.compiler.compiled import CompiledModel
from scancraft.compiler.targets import TARGETS
from scancraft.testing import assert_same_bits, star_free_dfas

DTYPES = {name: getattr(torch, name) for name in ("float32", "bfloat16", "float64")}
"""float64 for the target mamba only."""
PLAIN = [name for name, target in TARGETS.items() if target.circuits]
"""The targets that have the paper's own constructions."""
STAR_FREE = dfas(star_free=True, random=False)
WAYS: dict[str, Callable[..., CompiledModel]] = {
    name: partial(scancraft.compile, dfa, construction="cascade") for name, dfa in STAR_FREE.items()
}
TURNING = [e for e in EXAMPLES if e.gates is GateClass.SIGNED and not e.random]
"""Those that need gates of -1."""
PLANS = {
    f"{name}, a plan": partial(scancraft.compile, STAR_FREE[name], construction="plan")
    for name in ("D-2", "Tomita-7", "aa*bb*cc*", "{a,b}*d{b,c}*")
}
"""Which plan is the smallest may depend on the target."""
WAYS |= PLANS
WAYS |= {e.name: partial(scancraft.compile, e.language) for e in TURNING}
COUNTING = {name: m for name, m in machines().items() if name not in ("Shuffle-6", "Boolean-5", "a^n b^n c^n d^n")}
COUNTING |= {f"random machine {i}": m for i, m in enumerate(random_machines(4, 3))}
COUNTING |= {name: bounded(name) for name in ("Dyck_{1,1}", "Dyck_{1,4}", "Dyck_{2,3}", "Dyck_{5,2}")}  # type: ignore[dict-item, misc]
CIRCUITS: dict[str, Callable[..., CompiledModel]] = {"flip-flop": scancraft.flip_flop} | {
    name: partial(scancraft.compile, language) for name, language in COUNTING.items()
}
CASES = [
    (name, target, "all-words")
    for name in (*STAR_FREE, *PLANS)
    for target in TARGETS
    if target != "signed_mamba" or name in ("D-2", "O_4", "aa*bb*cc*", "empty", "Tomita-7, a plan")  # as Mamba, there
]
CASES += [(e.name, target, "all-words") for e in TURNING for target in ("signed_mamba", "olmo_hybrid")]
CASES += [(name, t, "all-words") for name in CIRCUITS for t in PLAIN]
CASES += [(name, t, "live-prefixes") for name in CIRCUITS for t in PLAIN if t == "mamba2" or "random" not in name]


@cache
def made(name: str, target: str, contract: str) -> CompiledModel:
    return short_chunks((WAYS | CIRCUITS)[name](target=target, contract=contract))


@pytest.mark.parametrize(("name", "target", "contract"), CASES, ids=lambda value: value)
def test_right_and_the_same_bits_in_every_way_of_running(name: str, target: str, contract: str) -> None:
    compiled = made(name, target, contract)
    alphabet, model = compiled.language.alphabet, compiled.model()
    words = short_words(alphabet, 100)
    ids = tokens(compiled, words)
    reference = logits(at_chunk(model, 3), ids)
    assert assert_right(compiled, words, reference) >= 1
    masks, spoken = promised(compiled, words)
    names = np.array([*alphabet, EOS])
    for row in range(0, len(words), 7):  # the circuit says it in integers
        said = [answer for _, answer in compiled.circuit.run(words[row])]
        for t in spoken[row].nonzero().flatten().tolist():
            assert said[t] == set(names[masks[row, t].numpy()].tolist())
    if target in PLAIN and name not in PLANS:
        plain = made(name, "mamba", contract)
        assert torch.equal(reference[spoken], logits(plain.model(), ids)[spoken])
    for chunk in (1, 64) if target in ("mamba2", "olmo_hybrid") else ():
        assert torch.equal(logits(at_chunk(model, chunk), ids)[spoken], reference[spoken])
    assert torch.equal(compiled.runner()(ids)[spoken], reference[spoken])
    rng = random.Random(0)
    kept = [w[: rng.randint(0, len(w))] for w, yes in zip(words, spoken.all(dim=1).tolist(), strict=True) if yes]
    some = [(), max(rng.sample(kept, min(3, len(kept))), key=len, default=())]
    exact = [c.limits for c in compiled.manifest.counters]
    wanted = [n for n in DTYPES if n != "float64" or target == "mamba"]
    dtypes = [DTYPES[n] for n in wanted if all(n in limits or n == "float64" for limits in exact)]
    assert assert_same_bits(compiled, some, dtypes=dtypes) > 0
    # <bos> forgets everything, and <pad> changes nothing, masked or not.
    pads = [compiled.readout.pad] * 2
    packed = [token for word in some for token in [*compiled.readout.encode(word), *pads]]
    together, start = logits(at_chunk(model, 5), torch.tensor([[*pads, *packed]]))[0], len(pads)
    for word in some:
        alone = logits(model, tokens(compiled, [word]))[0]
        assert torch.equal(together[start : start + len(alone)], alone)
        start += len(alone) + len(pads)


@pytest.mark.parametrize("target", PLAIN)
@pytest.mark.parametrize("name", ["flip-flop", "Dyck_{2,3}", "Shuffle-2", "busy"])
def test_long_words(name: str, target: str) -> None:
    compiled = made(name, target, "all-words")
    word = tuple(scancraft.live_word_of(compiled.language, 300, np.random.default_rng(5)))
    dead = (*word[:150], *random.Random(2).choices(compiled.language.alphabet, k=len(word) - 150))
    found = logits(compiled.model(), tokens(compiled, [word, dead]))
    assert assert_right(compiled, [word, dead], found) == 2 * (len(word) + 1) > 300


@pytest.mark.parametrize(("d_state", "d_conv"), [(2, 3), (4, 4), (16, 2)])
@pytest.mark.parametrize("target", TARGETS)
def test_other_sizes_change_nothing(target: str, d_state: int, d_conv: int) -> None:
    compiled = scancraft.compile(dfas()["D-2"], target=target, d_state=d_state, d_conv=d_conv, construction="cascade")
    config = compiled.model().config
    if target == "olmo_hybrid":  # whose keys have the dimension that they need
        assert (config.linear_key_head_dim, config.linear_conv_kernel_dim) == (1, d_conv)
    else:
        assert (config.state_size, config.conv_kernel) == (max(d_state, 4 if target == "mamba2" else 1), d_conv)
    ids = tokens(compiled, short_words("ab", 130))
    plain = scancraft.compile(dfas()["D-2"], target=target, construction="cascade")
    assert torch.equal(logits(compiled.model(), ids), logits(plain.model(), ids))


@pytest.mark.parametrize("target", sorted(set(TARGETS) - {"mamba"}))
def test_languages_that_nobody_chose(target: str) -> None:
    @settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(star_free_dfas(max_states=6), st.sampled_from([1, 2, 8]), st.integers(1, 12))
    def check(dfa: scancraft.Dfa, d_state: int, chunk: int) -> None:
        compiled = short_chunks(scancraft.compile(dfa, target=target, d_state=d_state, construction="cascade"))
        words = short_words(dfa.alphabet, 40)
        found = logits(at_chunk(compiled.model(), chunk), tokens(compiled, words))
        assert_right(compiled, words, found)
        assert torch.equal(
            found, logits(scancraft.compile(dfa, construction="cascade").model(), tokens(compiled, words))
        )
        assert_same_bits(compiled, words[-3:])

    check()


@pytest.mark.parametrize("name", [name for name, t in TARGETS.items() if t.gates == "nonnegative"])
def test_a_target_without_signs_refuses_what_is_not_star_free(name: str) -> None:
    for language in ("Parity", "Tomita-6", "(abab)*", "S3"):
        assert not example(language).star_free
        with pytest.raises(scancraft.NotStarFreeError):
            scancraft.compile(example(language).language, target=name)
