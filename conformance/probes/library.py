"""The probes: one for each part of a block that an implementation can get wrong, whatever the kind of block.

Each is named after what it exercises; in each, every channel writes a feature of its own, so that a wrong logit names a
channel. The order goes from the simple to the composed: the first that fails says most. What only one kind of block has
is in that kind's file.
"""

from __future__ import annotations

from dataclasses import replace

from .probe import BOS, EVERY, ONE, Block, Channel, Form, Line, Probe

LETTERS: dict[str, Form] = {BOS: {"bos": 1}, "a": {"a": 1}, "b": {"b": 1, "size": 2}, "c": {"c": 1, "size": 5}, "-": {}}
SIZE = Line({"size": 1})
VALUE = Line({"v": 1})
NOW: Form = {ONE: 1}


def back(name: str, steps: int) -> Line:
    """A feature as it was so many steps ago."""
    return Line({name: 1}, (1, *([0] * steps)))


# -- one step ----------------------------------------------------------------------------------------------------------


def embedding() -> Probe:
    """Nothing but embedding, norms and head (and one silent block)."""
    tokens: dict[str, Form] = {BOS: {"bos": 1}}
    tokens |= {f"t{i}": {f"dimension {j}": 1 + (i * j) % 7 for j in range(12)} for i in range(9)}
    return Probe(tokens, (Block((Channel("one", "nothing", "a silent block", Line(bias=1), writes={}),)),))


def paths() -> Probe:
    """Constants, then features, on the way through a block that every number takes."""
    ways = (
        "the parts of in_proj in order, conv1d.bias, D, the gate, out_proj, and the norm after the scan if there is one"
    )
    other = (
        "one D, one row of out_proj and of conv1d per channel, and one weight per channel of the norm after the scan"
    )
    way = "a feature on the way through a block: norm.weight, in_proj"
    channels = (
        Channel("five", "the constant 5", f"{ways}: on constants", Line(bias=5), skip=1),
        Channel("six", "the constant 6", other, Line(bias=2), skip=3),
        Channel("x", "three times the letter a", f"{way}, x, conv1d.weight", Line({"a": 1}), skip=3),
        Channel("z", "three times the letter b", f"{way}, z", Line(bias=1), skip=3, gate={"b": 1}),
    )
    return Probe(LETTERS, (Block(channels),))


def taps(d_conv: int) -> Probe:
    """Each tap of the convolution of x alone, all together, its bias, and silu."""
    channels = [
        Channel(f"a {j} back", f"the letter a, {j} steps ago", f"conv1d.weight, the tap {j} steps back", back("a", j))
        for j in range(d_conv)
    ]
    every = Line({"a": 1}, tuple(2**j for j in range(d_conv)))
    oldest = f"conv1d.weight, the tap {d_conv - 1} steps back, and zeros before the first token"
    unless = Line({"a": 2}, (-1,), 1)
    channels += [
        Channel("mix", "a weighted sum of the last letters", "conv1d.weight, all taps together", every),
        Channel("before", f"whether there is a token {d_conv - 1} steps ago", oldest, back(ONE, d_conv - 1)),
        Channel("bias", "the constant 5", "conv1d.bias", Line(bias=5)),
        Channel("not a", "1 unless the letter is a", "silu after the convolution", unless),
    ]
    return Probe(LETTERS, (Block(tuple(replace(channel, skip=1) for channel in channels)),), d_conv)


def gates() -> Probe:
    """The two halves of in_proj that are x and the gate, the gate's silu, and out_proj."""
    halves = "in_proj, x and gate halves"
    channels = (
        Channel("size of c", "three times the size where the letter is c", halves, SIZE, gate={"c": 3}),
        Channel("silenced", "nothing: its gate is never positive", "silu of the gate", SIZE, gate={"b": -4}),
        Channel("out", "the size in two places", "out_proj", SIZE, writes={"plus": 2, "minus": -1}),
        Channel("c twice", "the letter c, twice", halves, Line({"c": 1}), gate={"c": 1, ONE: 1}),
    )
    return Probe(LETTERS, (Block(tuple(replace(channel, skip=1) for channel in channels)),))


def skips() -> Probe:
    """D of every channel, or of every head."""
    channels = [
        channel
        for k in (1, 2, 7, -3)
        for channel in (
            Channel(f"{k} sizes", f"{k} times the size", "D of a channel or of a head", SIZE, skip=k),
            Channel(f"{k} a", f"{k} times the letter a", "D of a channel or of a head", Line({"a": 1}), skip=k),
        )
    ]
    return Probe(LETTERS, (Block(tuple(channels)),))


# -- memory ------------------------------------------------------------------------------------------------------------


def memory() -> Probe:
    """The simplest memories: one written at every step, one that is never forgotten, one that is held."""
    way = "the way through a memory: Delta and its bias, A, B and C (the norms of B and C, where there are any)"
    held = "the way through a memory: a Delta of its own (the norm of dt, where there is one); hold and overwrite"
    channels = (
        Channel("now", "the size", f"{way}; written at every step", SIZE, delta=NOW),
        Channel("held", "10 from a c to the next <bos>", held, SIZE, delta={"c": 3, "bos": 2, ONE: -1}),
        Channel("sum", "the sum of all sizes", f"{way}; never forgotten (A_log)", SIZE, delta=NOW, keeps=EVERY),
    )
    return Probe(LETTERS, (Block(channels),))


def entries(d_conv: int) -> Probe:
    """B and C that look back: each tap, bias, and silu, in what the convolution gives.

    The memory is overwritten at every step with 1, so that it says sum of B_n C_n of the present.
    """
    steps = range(1, d_conv)
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "a": {"a": 1}}
    tokens |= {f"{part}{j}": {f"{part}{j}": 1} for part in "BC" for j in steps}
    tokens |= {"B bias": {"B bias": 1}, "C bias": {"C bias": 1}, "not": {"not": 1}}
    pairs = [(Line({"a": 1}), Line({"a": 1})), (Line({"a": 2}), Line({"a": 1}))]
    for j in steps:
        pairs += [(back("a", j), Line({f"B{j}": 1})), (Line({f"C{j}": 1}), back("a", j))]
    pairs += [(Line(bias=3), Line({"B bias": 1})), (Line({"C bias": 1}), Line(bias=7))]
    unless = Line({"a": 5}, (-1,), 1)
    pairs += [(unless, Line({"a": 4, "not": 1})), (Line({"a": 8, "not": 2}), unless)]
    exercises = "the channels of B and C: taps, bias, silu"
    meaning = "the entries of B and C that the token asks for"
    products = Channel("products", meaning, exercises, Line(bias=1), delta=NOW)
    meanings = {f"{part}{j}": f"reads what the tap {j} steps back of {part} sees" for part in "BC" for j in steps}
    block = Block((products,), tuple(b for b, _ in pairs), tuple(c for _, c in pairs))
    return Probe(tokens, (block,), d_conv, meanings)


def _commands(ranks: int) -> dict[str, Form]:
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "hold": {"hold": 1}, "add": {"add": 1, "v": 3}}
    return tokens | {f"{r}:={v}": {f"set {r}": 1, "v": v} for r in range(ranks) for v in (1, 2)}


def _register(r: int) -> tuple[Channel, ...]:
    """Registers differ in when they are written, in Delta of a write and in its bias."""
    gain, hold = 1 + r % 3, 1 + r % 2
    delta = {f"set {r}": gain + hold, ONE: -hold}
    exercises = f"Delta (dt row {r} or head {r}: weight, bias, softplus) and A: hold and overwrite"
    last = f"register {r}: {gain} times the value last written"
    before = f"{gain} times the value that stood one step before register {r} was last written"
    return (
        Channel(f"register {r}", last, exercises, VALUE, delta=delta),
        Channel(f"before {r}", before, exercises, back("v", 1), delta=delta),
    )


ADD: Form = {"add": 2, ONE: -1}
FOREVER = "A_log of what is never forgotten"
ADDED = (
    Channel("sum", "the sum of the values added", FOREVER, VALUE, delta=ADD, keeps=EVERY),
    Channel("count", "how many were added", FOREVER, Line(bias=1), delta=ADD, keeps=EVERY),
)


def _kept() -> Channel:
    meaning = "the last value, written at every step but hold"
    return Channel("kept", meaning, "the bias of Delta: hold and overwrite", VALUE, delta={"hold": -2, ONE: 1})


def _clock() -> Channel:
    exercises = "an entry that is never forgotten: a write at every step, none at padding"
    return Channel("clock", "the number of steps", exercises, Line(bias=1), delta=NOW, keeps=EVERY)


def _fine() -> Channel:
    meaning = "the sum of the values added, written with Delta = 32"
    delta: Form = {"add": 33, ONE: -32}
    return Channel("fine", meaning, "softplus above its threshold", VALUE, delta=delta, keeps=EVERY, fine=5)


def _never() -> Channel:
    delta: Form = {"hold": -1, ONE: -1}
    meaning = "nothing: Delta is always 0"
    return Channel("never", meaning, "softplus far below 0", Line(bias=1), delta=delta, keeps=EVERY)


def _both() -> Channel:
    meaning = "the value last added, and twice the present value"
    return Channel("both", meaning, "memory and D of one channel together", VALUE, delta=ADD, skip=2)


def registers(ranks: int = 5) -> Probe:
    """Registers that hold and are overwritten, each by a Delta of its own; counters; writes of every size."""
    written = (channel for r in range(ranks) for channel in _register(r))
    return Probe(_commands(ranks), (Block((*written, _kept(), *ADDED, _clock(), _fine(), _never(), _both())),))


def edges() -> Probe:
    """A register, a memory overwritten at almost every step, sums and a clock: for long words."""
    return Probe(_commands(1), (Block((*_register(0), _kept(), *ADDED, _clock())),))


def epsilon() -> Probe:
    """A token so small that the norm's epsilon decides how large it becomes; only comparisons with it are seen.

    Its one feature is v = 2^-10 and d_model is 16, so RMSNorm makes it v / sqrt(v^2 / 16 + eps): 0.308 with the
    configured 1e-5, 0.949 with 1e-6, 0.098 with 1e-4. One latch is cleared from 0.2 on, another from 0.5 on. Such a
    Delta is not exact, so it may occur once beside one that is: a sum of two numbers is the same in any order.
    """
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "set": {"set": 1}, "tiny": {ONE: 0, "tiny": 1}}
    delta = {"set": 2, "tiny": 2, ONE: -1}
    latches = tuple(
        Channel(name, meaning, "epsilon of RMSNorm", Line({"set": 1}), delta=delta, above={"tiny": threshold})
        for name, meaning, threshold in (
            ("cleared", "set, and no tiny token since", 0.2),
            ("not cleared", "set, ever", 0.5),
        )
    )
    return Probe(
        tokens,
        (Block(latches),),
        tiny={"tiny": 2.0**-10},
        judges=lambda word: word.count("set") <= 1 and word.count("tiny") <= 1,
    )


def state(d_state: int, apart: bool, signs: tuple[tuple[str, Form | None], ...] = (("", None),)) -> Probe:
    """Every entry of d_state is written with a value of its own and read alone, beside entries that are kept.

    Args:
        d_state: how many.
        apart: whether each memory keeps every other entry and forgets the rest; or all, or none.
        signs: for each of them memories, with this in their names.
    """
    entries = range(d_state)
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "w1": {"w1": 1}, "w2": {"w2": 1}, "-": {}, "flip": {"flip": 1}}
    tokens |= {f"r{n}": {f"r{n}": 1} for n in entries}
    odd, even = frozenset(range(1, 256, 2)), frozenset(range(0, 256, 2))
    first, second = (odd, even) if apart else (frozenset[int](), EVERY)

    def stored(name: str, x: int, keeps: frozenset[int], delta: Form, sign: Form | None) -> Channel:
        kept = {odd: "keeps odd entries", even: "keeps even entries", EVERY: "keeps"}.get(keeps, "forgets")
        meaning = f"the entry of d_state that the token asks for, in a channel that {kept}"
        exercises = (
            "an entry of d_state: A, B and C" if len(signs) == 1 else "a sign for all entries of d_state, or none"
        )
        return Channel(name, meaning, exercises, Line(bias=x), delta=delta, keeps=keeps, sign=sign)

    channels = [
        stored(f"{name}{word}", x, keeps, {"w1": w1, "w2": w2, ONE: -1}, sign)
        for word, sign in signs
        for name, x, keeps, w1, w2 in (
            ("h", 1, first, 2, 3),
            ("3 h", 3, first, 2, 3),
            ("2 s", 2, second, 3, 2),
            ("s", 1, second, 3, 2),
        )
    ]
    # The values written differ between w1 and w2 and between neighbouring entries; x is part of the write.
    b = tuple(Line({"w1": 1 + n % 7, "w2": 2 + n % 5}) for n in entries)
    c = tuple(Line({f"r{n}": 1}) for n in entries)
    meanings = {f"r{n}": f"reads entry {n} of d_state" for n in entries}
    return Probe(tokens, (Block(tuple(channels), b, c),), meanings=meanings, head_dim=8)


def recall(keys: int = 6) -> Probe:
    """Values written under keys (B) and asked for by keys (C): B, C, x and Delta all depend on the token."""
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "?all": {"ask all": 1}}
    tokens |= {f"{k}:={v}": {f"key {k}": 1, "write": 1, "v": v} for k in range(keys) for v in (1, 3)}
    tokens |= {f"?{k}": {f"ask {k}": 1} for k in range(keys)}
    exercises = "B and C that depend on the token"
    sums = "the sum of the values under the key asked for"
    before = "the sum of the values one step before writes under the key asked for"
    last = "twice the value last written, if it was under the key asked for"
    kept: Form = {"write": 2, ONE: -1}
    channels = (
        Channel("sums", sums, exercises, VALUE, delta=kept, keeps=EVERY),
        Channel("before", before, exercises, back("v", 1), delta=kept, keeps=EVERY),
        Channel("last", last, exercises, VALUE, delta={"write": 3, ONE: -1}),
    )
    b = tuple(Line({f"key {k}": 1}) for k in range(keys))
    c = tuple(Line({f"ask {k}": 1, "ask all": 1 + k}) for k in range(keys))
    meanings = {f"?{k}": f"asks for key {k}" for k in range(keys)}
    return Probe(tokens, (Block(channels, b, c),), meanings=meanings, head_dim=2)


def sums() -> Probe:
    """Counters that grow past what 8, 10 and 11 bits hold, and past the range of float16."""
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "+": {"p": 1}, "++": {"p": 1, "large": 1022}}
    exercises = "precision of the state"
    delta: Form = {"p": 33, ONE: -32}
    total, both = "the sum of what was added, 1 or 1023 each time", Line({"p": 1, "large": 1})
    channels = (
        Channel("steps", "how many additions there were", exercises, Line({"p": 1}), delta=delta, keeps=EVERY, fine=5),
        Channel("total", total, exercises, both, delta=delta, keeps=EVERY, fine=5),
    )
    return Probe(tokens, (Block(channels),))


def stack() -> Probe:
    """Three blocks: two registers, one of them delayed by the convolution, and the sum of what was delayed."""
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "step": {"step": 1}}
    tokens |= {"1": {"set": 1, "v": 1}, "2": {"set": 1, "two": 1, "v": 2}}
    exercises, step = "blocks in order, each with its own state", {"step": 2, ONE: -1}
    first = Channel("first", "the value last set", exercises, VALUE, delta={"set": 2, ONE: -1})
    other = Channel("other", "2, if it was ever set", exercises, VALUE, delta={"two": 2, ONE: -1})
    second = Channel("second", "first as it was one step before the last step", exercises, back("first", 1), delta=step)
    third = Channel("third", "the sum of second", exercises, Line({"second": 1}), delta=step, keeps=EVERY, skip=1)
    return Probe(tokens, (Block((first, other)), Block((second,)), Block((third,))), 4)
