"""The probes for Mamba-2: one for each part of a block that an implementation can get wrong.

As in ``_conformance_probes``, every channel writes a feature of its own, so that a wrong logit names a channel, and the
order goes from the simple to the composed. What is not exact: ``_conformance_compared_mamba2``; the words on which the
probes are tried: ``_conformance_cases_mamba2``.
"""

from __future__ import annotations

from dataclasses import replace

from . import mamba as mamba
from .mamba import LETTERS
from .probe import BOS, ONE, Channel, Form
from .probe_mamba2 import Head, Layer, Line, Mamba2Probe, probe_of

ONES = (Line(bias=1),)
"""The constant 1 for the first entry of d_state."""


# -- one step ----------------------------------------------------------------------------------------------------------


def embedding() -> Mamba2Probe:
    """Nothing but embedding, norms and head (and one silent block)."""
    return probe_of(mamba.embedding().tokens, [Layer((Head(()),))], d_conv=2)


def paths() -> Mamba2Probe:
    """Constants on the way through a block that every number takes."""
    ways = "the parts of in_proj in order, conv1d.bias, D, the gate, the norm after the scan, out_proj: on constants"
    other = "one weight per channel of the norm after the scan, of out_proj and of conv1d"
    way = "a feature on the way through a block: norm.weight, in_proj"
    heads = (
        Head((Channel("five", "the constant 5", ways, reads={}, bias=5, writes={"five": 1}),), skip=1),
        Head(
            (
                Channel("six", "the constant 6", other, reads={}, bias=6, writes={"six": 1}),
                Channel("x", "the letter a", f"{way}, x, conv1d.weight", reads={"a": 1}, writes={"x": 1}),
                Channel("z", "the letter b", f"{way}, z", reads={}, bias=1, gate={"b": 1}, writes={"z": 1}),
            ),
            skip=1,
        ),
    )
    return probe_of(LETTERS, [Layer(heads)], d_conv=2)


def taps(d_conv: int) -> Mamba2Probe:
    """Each tap of the convolution of x alone, all together, its bias, and silu: as for Mamba."""
    (block,) = mamba.taps(d_conv).blocks
    alone, others = (
        tuple(replace(c, exercises=f"{c.exercises}; of x") for c in channels)
        for channels in (block.channels[:d_conv], block.channels[d_conv:])
    )
    return probe_of(LETTERS, [Layer((Head(alone, skip=1), Head(others, skip=1)))], d_conv=d_conv)


def entries(d_conv: int) -> Mamba2Probe:
    """The convolution of B and of C: each tap, bias, and silu.

    The head is overwritten at every step with 1, so that it says sum of B_n C_n of the present.
    """
    back = range(1, d_conv)
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "a": {"a": 1}}
    tokens |= {f"{part}{j}": {f"{part}{j}": 1} for part in "BC" for j in back}
    tokens |= {"B bias": {"B bias": 1}, "C bias": {"C bias": 1}, "not": {"not": 1}}
    products = Channel(
        "products",
        "the entries of B and C that the token asks for",
        "conv1d, the channels of B and C: taps, bias, silu",
        reads={},
        bias=1,
        writes={"products": 1},
    )
    pairs = [(Line({"a": 1}), Line({"a": 1})), (Line({"a": 2}), Line({"a": 1}))]
    for j in back:
        then = Line({"a": 1}, (1, *([0] * j)))
        pairs += [(then, Line({f"B{j}": 1})), (Line({f"C{j}": 1}), then)]
    pairs += [(Line(bias=3), Line({"B bias": 1})), (Line({"C bias": 1}), Line(bias=7))]
    unless = Line({"a": 5}, (-1,), 1)
    pairs += [(unless, Line({"a": 4, "not": 1})), (Line({"a": 8, "not": 2}), unless)]
    meanings = {f"{part}{j}": f"reads what the tap {j} steps back of {part} sees" for part in "BC" for j in back}
    layer = Layer((Head((products,), {ONE: 1}),), tuple(b for b, _ in pairs), tuple(c for _, c in pairs))
    return probe_of(tokens, [layer], d_conv=d_conv, meanings=meanings)


def gates() -> Mamba2Probe:
    """z and x of in_proj, silu of the gate, and out_proj."""
    first = (
        Channel(
            "x gated",
            "size where the letter is c",
            "in_proj, x and z",
            reads={"size": 1},
            gate={"c": 3},
            writes={"size of c": 1},
        ),
        Channel(
            "negative",
            "nothing: its gate is never positive",
            "silu of the gate",
            reads={"size": 1},
            gate={"b": -4},
            writes={"silenced": 1},
        ),
        Channel("out", "the size in two places", "out_proj", reads={"size": 1}, writes={"plus": 2, "minus": -1}),
        Channel(
            "c gated",
            "the letter c, in place of what the gate says",
            "in_proj, x and z",
            reads={"c": 1},
            gate={"c": 1, ONE: 1},
            writes={"c twice": 1},
        ),
    )
    return probe_of(LETTERS, [Layer((Head(first, skip=1),))], d_conv=2)


def skips() -> Mamba2Probe:
    """D of every head."""
    heads = [
        Head(
            (
                Channel(f"size {k}", f"{k} times the size", "D of a head", reads={"size": 1}, writes={f"{k} sizes": 1}),
                Channel(f"a {k}", f"{k} times the letter a", "D of a head", reads={"a": 1}, writes={f"{k} a": 1}),
            ),
            skip=k,
        )
        for k in (1, 2, 7, -3)
    ]
    return probe_of(LETTERS, [Layer(tuple(heads))], d_conv=2)


# -- memory ------------------------------------------------------------------------------------------------------------


def memory() -> Mamba2Probe:
    """The simplest memories: one written at every step, one that is held, one that is never forgotten."""
    way = "the way through a memory: dt of in_proj, dt_bias, Delta, A, the constants B and C"

    def head(name: str, meaning: str, exercises: str, delta: Form, *, keeps: bool = False) -> Head:
        return Head((Channel(name, meaning, exercises, {"size": 1}, writes={name: 1}),), delta, keeps)

    heads = (
        head("now", "the size", f"{way}; written at every step", {ONE: 1}),
        head(
            "held", "2 after the last b, 10 after the last c", f"{way}; hold and overwrite", {"b": 2, "c": 3, ONE: -1}
        ),
        head("sum", "the sum of all sizes", f"{way}; never forgets (A_log)", {ONE: 1}, keeps=True),
    )
    return probe_of(LETTERS, [Layer(heads, ONES, ONES)], d_conv=2)


def _tokens(ranks: int) -> dict[str, Form]:
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "hold": {"hold": 1}, "add": {"add": 1, "v": 3}}
    return tokens | {f"{r}:={v}": {f"set {r}": 1, "v": v} for r in range(ranks) for v in (1, 2)}


def _register(r: int) -> Head:
    """Heads differ in when they are written, in Delta of a write and in dt_bias."""
    gain, hold = 1 + r % 3, 1 + r % 2
    exercises = f"Delta of head {r} (its row of in_proj, dt_bias, softplus) and A: hold and overwrite"
    value = Channel(
        f"register {r}",
        f"register {r}: {gain} times the value last written",
        exercises,
        reads={"v": 1},
        writes={f"register {r}": 1},
    )
    other = Channel(
        f"before {r}",
        f"{gain} times the value that stood one step before register {r} was last written",
        exercises,
        reads={"v": 1},
        taps=(1, 0),
        writes={f"before {r}": 1},
    )
    return Head((value, other), {f"set {r}": gain + hold, ONE: -hold})


def _kept() -> Head:
    kept = Channel(
        "kept",
        "the last value, written at every step but hold",
        "dt_bias: hold and overwrite",
        reads={"v": 1},
        writes={"kept": 1},
    )
    return Head((kept,), {"hold": -2, ONE: 1})


def _sum() -> Head:
    channels = (
        Channel(
            "sum",
            "the sum of the values added",
            "A_log of a head that never forgets",
            reads={"v": 1},
            writes={"sum": 1},
        ),
        Channel(
            "count",
            "how many values were added",
            "A_log of a head that never forgets",
            reads={},
            bias=1,
            writes={"count": 1},
        ),
    )
    return Head(channels, {"add": 2, ONE: -1}, keeps=True)


def _clock() -> Head:
    clock = Channel(
        "clock",
        "the number of steps",
        "a head that never forgets: a write at every step, none at padding",
        reads={},
        bias=1,
        writes={"clock": 1},
    )
    return Head((clock,), {ONE: 1}, keeps=True)


def registers(ranks: int = 5) -> Mamba2Probe:
    """Registers in heads of their own, counters, memory beside D, writes of every size."""
    fine = Channel(
        "fine",
        "the sum of the values added, written with Delta = 32",
        "softplus above its threshold",
        reads={"v": 1},
        writes={"fine": 1},
    )
    never = Channel(
        "never", "nothing: Delta is always 0", "softplus far below 0", reads={}, bias=1, writes={"never": 1}
    )
    both = Channel(
        "both",
        "the value last added, and twice the present value",
        "memory and D of one head together",
        reads={"v": 1},
        writes={"both": 1},
    )
    heads = (
        *(_register(r) for r in range(ranks)),
        _kept(),
        _sum(),
        _clock(),
        Head((fine,), {"add": 33, ONE: -32}, keeps=True, fine=5),
        Head((never,), {"hold": -1, ONE: -1}, keeps=True),
        Head((both,), {"add": 2, ONE: -1}, skip=2),
    )
    return probe_of(_tokens(ranks), [Layer(heads, ONES, ONES)], d_conv=2)


def edges() -> Mamba2Probe:
    """A register, a memory overwritten at almost every step, a sum and a clock: for long words."""
    return probe_of(_tokens(1), [Layer((_register(0), _kept(), _sum(), _clock()), ONES, ONES)], d_conv=2)


def state(d_state: int) -> Mamba2Probe:
    """Every entry of d_state is written with a value of its own and read alone, in heads that forget and that keep."""
    entries = range(d_state)
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "w1": {"w1": 1}, "w2": {"w2": 1}, "-": {}}
    tokens |= {f"r{n}": {f"r{n}": 1} for n in entries}

    def stored(name: str, kind: str, x: int) -> Channel:
        meaning = f"the entry of d_state that the token asks for, in a head that {kind}"
        return Channel(name, meaning, "an entry of d_state: B and C", reads={}, bias=x, writes={name: 1})

    heads = (
        Head((stored("h", "forgets", 1), stored("3 h", "forgets", 3)), {"w1": 2, "w2": 3, ONE: -1}),
        Head((stored("2 s", "keeps", 2), stored("s", "keeps", 1)), {"w1": 3, "w2": 2, ONE: -1}, keeps=True),
    )
    b = tuple(Line({"w1": 1 + n % 7, "w2": 2 + n % 5}) for n in entries)
    c = tuple(Line({f"r{n}": 1}) for n in entries)
    meanings = {f"r{n}": f"reads entry {n} of d_state" for n in entries}
    return probe_of(tokens, [Layer(heads, b, c)], d_conv=2, head_dim=8, meanings=meanings)


def recall(keys: int = 6) -> Mamba2Probe:
    """Values written under keys (B) and asked for by keys (C): B, C, x and Delta all depend on the token."""
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "?all": {"ask all": 1}}
    tokens |= {f"{k}:={v}": {f"key {k}": 1, "write": 1, "v": v} for k in range(keys) for v in (1, 3)}
    tokens |= {f"?{k}": {f"ask {k}": 1} for k in range(keys)}
    exercises = "B and C that depend on the token"
    kept = (
        Channel("sums", "the sum of the values under the key asked for", exercises, reads={"v": 1}, writes={"sums": 1}),
        Channel(
            "before",
            "the sum of the values one step before writes under the key asked for",
            exercises,
            reads={"v": 1},
            taps=(1, 0),
            writes={"before": 1},
        ),
    )
    last = Channel(
        "last", "the value last written, if it was under the key asked for", exercises, reads={"v": 1},
        writes={"last": 1},
    )  # fmt: skip
    heads = (Head(kept, {"write": 2, ONE: -1}, keeps=True), Head((last,), {"write": 3, ONE: -1}))
    b = tuple(Line({f"key {k}": 1}) for k in range(keys))
    c = tuple(Line({f"ask {k}": 1, "ask all": 1 + k}) for k in range(keys))
    meanings = {f"?{k}": f"asks for key {k}" for k in range(keys)}
    return probe_of(tokens, [Layer(heads, b, c)], d_conv=2, head_dim=2, meanings=meanings)


def sums() -> Mamba2Probe:
    """Counters that grow past what 8, 10 and 11 bits hold, and past the range of float16."""
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "+": {"p": 1}, "++": {"p": 1, "large": 1022}}
    channels = (
        Channel("steps", "how many additions there were", "precision of the state", {"p": 1}, writes={"steps": 1}),
        Channel(
            "total",
            "the sum of what was added, 1 or 1023 each time",
            "precision of the state",
            reads={"p": 1, "large": 1},
            writes={"total": 1},
        ),
    )
    return probe_of(tokens, [Layer((Head(channels, {"p": 33, ONE: -32}, keeps=True, fine=5),), ONES, ONES)], d_conv=2)


def stack() -> Mamba2Probe:
    """Three blocks: two registers, one of them delayed by the convolution, and the sum of what was delayed."""
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "step": {"step": 1}}
    tokens |= {"1": {"set": 1, "v": 1}, "2": {"set": 1, "two": 1, "v": 2}}

    def stored(name: str, meaning: str, reads: str, taps: tuple[int, ...] = (1,)) -> Channel:
        exercises = "blocks in order, each with its own state"
        return Channel(name, meaning, exercises, reads={reads: 1}, taps=taps, writes={name: 1})

    layers = (
        Layer(
            (
                Head((stored("first", "the value last set", "v"),), {"set": 2, ONE: -1}),
                Head((stored("other", "2, if it was ever set", "v"),), {"two": 2, ONE: -1}),
            ),
            ONES,
            ONES,
        ),
        Layer(
            (Head((stored("second", "first, one step before it", "first", (1, 0)),), {"step": 2, ONE: -1}),),
            ONES,
            ONES,
        ),
        Layer(
            (Head((stored("third", "the sum of second", "second"),), {"step": 2, ONE: -1}, keeps=True, skip=1),),
            ONES,
            ONES,
        ),
    )
    return probe_of(tokens, layers)
