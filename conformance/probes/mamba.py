"""The probes: one for each part of a Mamba block that an implementation can get wrong.

Each is named after what it exercises; in each, every channel writes a feature of its own, so that a wrong logit names a
channel. The order goes from the simple to the composed: the first that fails says most.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...models.mamba import Tensor
from .probe import ALWAYS, BOS, ONE, Block, Channel, Form, Probe, T

CONST = Channel("one", "the constant 1, for other channels", "conv1d.bias", reads={}, bias=1)
LETTERS: dict[str, Form] = {BOS: {"bos": 1}, "a": {"a": 1}, "b": {"b": 1, "size": 2}, "c": {"c": 1, "size": 5}, "-": {}}


def embedding() -> Probe:
    """Nothing but embedding, norms and head (and one silent block)."""
    tokens: dict[str, Form] = {BOS: {"bos": 1}}
    tokens |= {f"t{i}": {f"dimension {j}": 1 + (i * j) % 7 for j in range(12)} for i in range(9)}
    return Probe(tokens, (Block((CONST,)),), d_conv=2)


def paths() -> Probe:
    """Constants on the shortest way through a block: the convolution's bias, D, the gate and out_proj."""
    ways = "conv1d.bias, D, the gate and out_proj, on constants"
    channels = (
        Channel("five", "the constant 5", ways, reads={}, bias=5, skip=1, writes={"five": 1}),
        Channel("six", "the constant 6", ways, reads={}, bias=2, skip=3, writes={"six": 1}),
    )
    return Probe(LETTERS, (Block(channels),), d_conv=2)


def taps(d_conv: int) -> Probe:
    """Each tap of the convolution alone, all together, and the bias."""
    channels = [
        Channel(
            f"back {j}",
            f"the letter a, {j} steps ago",
            f"conv1d.weight, the tap {j} steps back",
            reads={"a": 1},
            taps=(1, *([0] * j)),
            skip=1,
            writes={f"a {j} back": 1},
        )
        for j in range(d_conv)
    ]
    channels += [
        Channel(
            "mix",
            "a weighted sum of the last letters",
            "conv1d.weight, all taps together",
            reads={"a": 1},
            taps=tuple(2**j for j in range(d_conv)),
            skip=1,
            writes={"mix": 1},
        ),
        Channel(
            "before",
            f"whether there is a token {d_conv - 1} steps ago",
            f"conv1d.weight, the tap {d_conv - 1} steps back, and zeros before the first token",
            reads={ONE: 1},
            taps=(1, *([0] * (d_conv - 1))),
            skip=1,
            writes={"before": 1},
        ),
        Channel("bias", "the constant 5", "conv1d.bias", reads={}, bias=5, skip=1, writes={"bias": 1}),
        Channel(
            "not",
            "1 unless the letter is a",
            "silu after the convolution",
            reads={"a": 2},
            taps=(-1,),
            bias=1,
            skip=1,
            writes={"not a": 1},
        ),
    ]
    return Probe(LETTERS, (Block(tuple(channels)),), d_conv=d_conv)


def gates() -> Probe:
    """The two halves of in_proj, the gate's silu, and D."""
    channels = [
        Channel(
            "x gated",
            "size where the letter is c",
            "in_proj, x and gate halves",
            reads={"size": 1},
            skip=1,
            gate={"c": 3},
            writes={"size of c": 1},
        ),
        Channel(
            "negative",
            "nothing: its gate is never positive",
            "silu of the gate",
            reads={"size": 1},
            skip=1,
            gate={"b": -1},
            writes={"silenced": 1},
        ),
        *(
            Channel(f"D {k}", f"{k} times the size", "D", reads={"size": 1}, skip=k, writes={f"{k} sizes": 1})
            for k in (1, 2, 7, -3)
        ),
        Channel(
            "out", "the size in two places", "out_proj", reads={"size": 1}, skip=1, writes={"plus": 2, "minus": -1}
        ),
    ]
    return Probe(LETTERS, (Block(tuple(channels)),), d_conv=2)


def state(d_state: int) -> Probe:
    """Every entry of d_state is written with a value of its own and read alone; every other one is never forgotten."""
    entries = range(d_state)
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "w1": {"w1": 1}, "w2": {"w2": 1}, "-": {}}
    tokens |= {f"r{n}": {f"r{n}": 1} for n in entries}
    conditions = [
        Channel(f"is {t}", f"the token is {t}", "in_proj", reads={t: 1}) for t in tokens if t not in (BOS, "-")
    ]
    odd, even = frozenset(n for n in entries if n % 2), frozenset(n for n in entries if not n % 2)
    # The values written differ between w1 and w2 and between neighbouring entries; x is part of the write.
    memories = [
        Channel(
            name,
            f"the entry of d_state that the token asks for, in a channel whose {kind} entries are kept",
            "an entry of d_state: A, B and C",
            reads={},
            bias=x,
            delta={"is w1": 2, "is w2": 1 + d, ONE: -1},
            keeps=keeps,
            writes={name: 1},
        )
        for name, kind, x, d, keeps in (("h odd", "odd", 1, 1, odd), ("h even", "even", 2, 2, even))
    ]
    b = tuple({"is w1": 1 + n % 7, "is w2": 2 + n % 5} for n in entries)
    c = tuple({f"is r{n}": 1} for n in entries)
    meanings = {f"r{n}": f"reads entry {n} of d_state" for n in entries}
    return Probe(tokens, (Block((*conditions, *memories), b, c),), d_conv=2, meanings=meanings)


def registers(ranks: int = 5) -> Probe:
    """Registers that hold and are overwritten, each by a row of dt of its own; counters; writes of every size."""
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "hold": {"hold": 1}, "add": {"add": 1, "v": 3}}
    tokens |= {f"{r}:={v}": {f"set {r}": 1, "v": v} for r in range(ranks) for v in (1, 2)}
    conditions = [Channel(f"is {r}", f"register {r} is set", "in_proj", reads={f"set {r}": 1}) for r in range(ranks)]
    conditions += [
        Channel("is add", "the token is add", "in_proj", reads={"add": 1}),
        Channel("is hold", "the token is hold", "in_proj", reads={"hold": 1}),
        Channel("any", "the token carries a value", "in_proj", reads={"v": 1}),
        CONST,
    ]
    memories = [
        Channel(
            f"register {r}",
            f"register {r}: the value last written",
            f"Delta (dt row {r}, softplus) and A: hold and overwrite",
            reads={"v": 1},
            delta={f"is {r}": 2, ONE: -1},
            writes={f"register {r}": 1},
        )
        for r in range(ranks)
    ]
    memories += [
        Channel(
            "kept",
            "the last value, written at every step but hold",
            "dt_proj.bias",
            reads={"v": 1},
            delta={"is hold": -2, ONE: 1},
            writes={"kept": 1},
        ),
        Channel(
            "sum",
            "the sum of the values added",
            "A_log of an entry that is never forgotten",
            reads={"v": 1},
            delta={"is add": 2, ONE: -1},
            keeps=frozenset({0}),
            writes={"sum": 1},
        ),
        Channel(
            "clock",
            "the number of steps",
            "an entry that is never forgotten: a write at every step, none at padding",
            reads={},
            bias=1,
            delta={ONE: 1},
            keeps=frozenset({0}),
            writes={"clock": 1},
        ),
        Channel(
            "triple",
            "three times the value last added",
            "Delta as a factor of the write",
            reads={"v": 1},
            delta={"is add": 4, ONE: -1},
            writes={"triple": 1},
        ),
        Channel(
            "fine",
            "the value last added, written with Delta = 32",
            "softplus above its threshold",
            reads={"v": 1},
            delta={"is add": 33, ONE: -32},
            fine=5,
            writes={"fine": 1},
        ),
        Channel(
            "never",
            "nothing: Delta is always 0",
            "softplus far below 0",
            reads={"v": 1},
            bias=1,
            delta={"is hold": -1, ONE: -1},
            keeps=frozenset({0}),
            writes={"never": 1},
        ),
    ]
    return Probe(tokens, (Block((*conditions, *memories), ({"one": 1},), ({"one": 1},)),), d_conv=2)


def sums() -> Probe:
    """Counters that grow past what 8, 10 and 11 bits hold, and past the range of float16."""
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "+": {"p": 1}, "++": {"p": 1, "large": 254}}
    channels = (
        CONST,
        Channel("is +", "something is added", "in_proj", reads={"p": 1}),
        Channel(
            "steps",
            "how many additions there were",
            "precision of the state",
            reads={"p": 1},
            delta={"is +": 2, ONE: -1},
            keeps=frozenset({0}),
            writes={"steps": 1},
        ),
        Channel(
            "total",
            "the sum of what was added, 1 or 255 each time",
            "precision of the state",
            reads={"p": 1, "large": 1},
            delta={"is +": 2, ONE: -1},
            keeps=frozenset({0}),
            writes={"total": 1},
        ),
    )
    return Probe(tokens, (Block(channels, ({"one": 1},), ({"one": 1},)),), d_conv=2)


def stack() -> Probe:
    """Three blocks: a register, the register delayed by the convolution, and the sum of what was delayed."""
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "1": {"set": 1, "v": 1}, "2": {"set": 1, "v": 2}}
    tokens["step"] = {"step": 1}
    is_set = Channel("is set", "the register is set", "in_proj", reads={"set": 1})
    step = Channel("is step", "the token is step", "in_proj", reads={"step": 1})

    def memory(
        name: str, meaning: str, reads: str, when: str, taps: tuple[int, ...], keeps: bool, skip: int
    ) -> Channel:
        return Channel(
            name,
            meaning,
            "blocks in order, each with its own state",
            reads={reads: 1},
            taps=taps,
            delta={when: 2, ONE: -1},
            keeps=frozenset({0} if keeps else ()),
            skip=skip,
            writes={name: 1},
        )

    blocks = (
        (CONST, is_set, memory("first", "the value last set", "v", "is set", (1,), False, 0)),
        (
            step,
            CONST,
            memory("second", "first as it was at the last step, before it", "first", "is step", (1, 0), False, 0),
        ),
        (CONST, step, memory("third", "the sum of second over all steps", "second", "is step", (1,), True, 1)),
    )
    return Probe(tokens, tuple(Block(channels, ({"one": 1},), ({"one": 1},)) for channels in blocks), d_conv=4)


def epsilon() -> Probe:
    """A token so small that the norm's epsilon decides how large it becomes; only comparisons with it are seen.

    Its one feature is v = 2^-10 and d_model is 16, so RMSNorm makes it v / sqrt(v^2 / 16 + eps): 0.308 with the
    configured 1e-5, 0.949 with 1e-6, 0.098 with 1e-4. One latch is cleared from 0.2 on, another from 0.5 on.
    """
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "set": {"set": 1}, "tiny": {ONE: 0, "tiny": 1}}
    is_set = Channel("is set", "the latches are set", "in_proj", reads={"set": 1})

    def clears(name: str, bias: int) -> Channel:
        return Channel(
            name, "whether the tiny token is large enough after the norm", "epsilon", reads={"tiny": 1}, bias=bias
        )

    def latch(name: str, meaning: str, by: str) -> Channel:
        return Channel(
            name,
            meaning,
            "epsilon of RMSNorm",
            reads={"set": 1},
            delta={"is set": 2, by: 2, ONE: -1},
            writes={name: 1},
        )

    channels = (
        CONST,
        is_set,
        clears("low", 0),
        clears("high", -1),
        latch("cleared", "set, and no tiny token since", "low"),
        latch("not cleared", "set, ever", "high"),
    )

    def patch(tensors: dict[str, Tensor], place: Mapping[str, int]) -> None:
        d = place["tiny"]
        prefix = "backbone.layers.0."
        for c, threshold in ((2, 0.2), (3, 0.5)):
            # in_proj undoes the norm's weight, so the form is the normalised feature; scaled up and compared.
            tensors[prefix + "mixer.in_proj.weight"][c, d] = 1 / tensors[prefix + "norm.weight"][d]
            tensors[prefix + "mixer.conv1d.weight"][c, 0, -1] = 16 * T
            tensors[prefix + "mixer.conv1d.bias"][c] = -16 * T * threshold

    block = Block(channels, ({"one": 1},), ({"one": 1},))
    return Probe(tokens, (block,), d_conv=2, tiny={"tiny": 2.0**-10}, patch=patch)


def random_words(
    probe: Probe, rows: int, length: int, seed: int, weights: Mapping[str, int] | None = None
) -> np.ndarray:
    """Token ids of shape (rows, length): every token of the probe, some more often, but no ``<pad>`` or ``<eos>``."""
    rng = np.random.default_rng(seed)
    tokens = [t for t in probe.ids if t not in ("<pad>", "<eos>")]
    p = np.array([float((weights or {}).get(t, 1)) for t in tokens])
    chosen = rng.choice(len(tokens), size=(rows, length), p=p / p.sum())
    return np.array([probe.ids[t] for t in tokens], dtype=np.int64)[chosen]


__all__ = [
    "ALWAYS",
    "embedding",
    "epsilon",
    "gates",
    "paths",
    "random_words",
    "registers",
    "stack",
    "state",
    "sums",
    "taps",
]
