"""The probes of Gated DeltaNet: one for each part of a block that an implementation can get wrong.

As in ``library``, every column and every unit writes a feature of its own, so that a wrong logit names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from . import library
from .delta import CARRIED, Column, DeltaBlock, Head, Unit
from .library import LETTERS, SIZE, VALUE, back
from .probe import ALWAYS, BOS, ONE, Form, Line, Program

COMMANDS = library.registers(3).tokens
"""hold, add, and r:=v for three registers."""


def _passing(*columns: Column) -> Head:
    """A head that puts out at once what it is given."""
    return Head(columns, forgets=ALWAYS)


def _of(name: str, reads: Form, meaning: str, exercises: str, gate: Form = ALWAYS) -> Column:
    return Column(name, meaning, exercises, Line(reads), gate)


# -- one step ----------------------------------------------------------------------------------------------------------


def embedding() -> Program:
    """Nothing but embedding, norms and head (and one silent block)."""
    silent = Column("one", "nothing", "a silent block", CARRIED, writes={})
    return Program(library.embedding().tokens, (DeltaBlock((_passing(silent),)),))


def paths() -> Program:
    """Constants, then features, on the way through a head that every number takes; for words of one token."""
    way = "the way through a head: projections of q, k, v and gate, conv1d, lengths, o_norm, o_proj"
    first = (
        _of("five", {ONE: 5}, "the constant 5", f"{way}: on constants"),
        _of("six", {ONE: 2}, "the constant 6", f"{way}: on constants", {ONE: 3}),
        _of("x", {"a": 3}, "three times the letter a", f"{way}: norm.weight, the projection of v"),
    )
    second = (
        _of("z", {ONE: 3}, "three times the letter b", f"{way}: the projection of the gate", {"b": 1}),
        _of("y", {"c": 7}, "seven times the letter c", f"{way}: the second head"),
    )
    told = _of("only a", {ONE: 4}, "four where the letter is a", f"{way}: a key that may be 0")
    heads = (Head(first), Head(second), Head((told,), (Line({"a": 1}),)))
    return Program(LETTERS, (DeltaBlock(heads),))


def units() -> Program:
    """The SwiGLU behind the heads, which sees what they add."""
    exercises = "the SwiGLU: gate_proj, up_proj, down_proj, and the norm before it"
    head = _passing(_of("before", {"size": 1}, "the size, from the head", "the way through a head"))
    found = (
        Unit("product", "the size times the letter c and 1", exercises, {"c": 1, ONE: 1}, {"size": 1}),
        Unit("silenced", "nothing: its gate is never positive", exercises, {"b": -1}, {"size": 1}),
        Unit("after", "twice what the head added", f"{exercises}, after the heads", {"before": 1}, {ONE: 2}),
        Unit("unless a", "-3 unless the letter is a", f"{exercises}: silu", {ONE: 1, "a": -2}, {ONE: -3}),
    )
    return Program(LETTERS, (DeltaBlock((head,), found),))


def memory() -> Program:
    """The simplest memories: replaced at every step, held, and forgotten at every step."""
    way = "the way through a memory"
    now = Column("now", "the size", f"{way}: the delta rule takes back what stood there", SIZE)
    held = Column("held", "the size of the last letter b or c", f"{way}: held where beta is 0 and alpha 1", SIZE)
    fresh = Column("fresh", "the size, where it is not 0", f"{way}: forgotten where alpha is 0, before a write", SIZE)
    lost = Column("lost", "the size of the last letter b or c, until a", f"{way}: forgotten where alpha is 0", SIZE)
    replaced: Form = {"b": 1, "c": 1}
    heads = (
        Head((now,)),
        Head((held,), replaces=replaced),
        Head((fresh,), replaces=replaced, forgets=ALWAYS),
        Head((lost,), replaces=replaced, forgets={"a": 1}),
    )
    return Program(LETTERS, (DeltaBlock(heads),))


def taps(d_conv: int) -> Program:
    """Each tap of the convolutions of v, of the key and of the query alone, and all together; and silu."""
    every = Line({"a": 1}, tuple(2**j for j in range(d_conv)))
    oldest = f"conv1d.weight, v: the tap {d_conv - 1} steps back, and zeros before the first token"
    columns = [
        Column(f"a {j} back", f"the letter a, {j} steps ago", f"conv1d.weight, v: the tap {j} steps back", back("a", j))
        for j in range(d_conv)
    ]
    columns += [
        Column("mix", "a weighted sum of the last letters", "conv1d.weight, v: all taps together", every),
        Column("early", f"whether there is a token {d_conv - 1} steps ago", oldest, back(ONE, d_conv - 1)),
        Column("not a", "1 unless the letter is a", "silu after the convolution of v", Line({ONE: 1, "a": -2})),
    ]
    heads = [_passing(*columns[n : n + 3]) for n in range(0, len(columns), 3)]
    for j in range(d_conv):
        name, when = f"{j} after a", f"the size of the letter that last came {j} steps after an a"
        told = Column(f"key {name}", when, f"conv1d.weight, key: the tap {j} steps back", SIZE)
        heads.append(Head((told,), keys=(back("a", j),)))
        when = f"the size, {j} steps after an a"
        told = Column(f"query {name}", when, f"conv1d.weight, query: the tap {j} steps back", SIZE)
        heads.append(Head((told,), query=(back("a", j),)))
    unless = Line({ONE: 1, "a": -2})
    told = Column(
        "unless a", "the size of the last letter that was not a", "silu after the convolution of the key", SIZE
    )
    heads.append(Head((told,), keys=(unless,)))
    told = Column("read unless a", "1 unless the letter is a", "silu after the convolution of the query", CARRIED)
    heads.append(Head((told,), query=(unless,)))
    return Program(LETTERS, (DeltaBlock(tuple(heads)),), d_conv)


def gates() -> Program:
    """The gate, its silu, the norm before it, the weight of that norm and o_proj."""
    order = "the norm behind a head, before the gate"
    first = _passing(
        _of("size of c", {"size": 1}, "three times the size where the letter is c", f"{order}: a gate", {"c": 3}),
        _of("silenced", {"size": 1}, "nothing: its gate is never positive", "silu of the gate", {"b": -1}),
        Column("out", "the size in two places", "o_proj", SIZE, writes={"plus": 2, "minus": -1}),
    )
    second = _passing(
        _of("a times 4", {"a": 2}, "four times the letter a", "o_norm.weight, by column", {ONE: 2}),
        _of("9 if b", {"b": 3}, "nine where the letter is b", "o_norm.weight, by column", {"b": 3}),
        _of("6 unless b", {ONE: 2}, "six unless the letter is b", f"{order}: a gate", {ONE: 3, "b": -4}),
    )
    return Program(LETTERS, (DeltaBlock((first, second)),))


# -- memory ------------------------------------------------------------------------------------------------------------


def registers() -> Program:
    """Memories that are replaced, held and forgotten, each by conditions of its own."""
    replaced, forgotten = "beta, by head: replaced or held", "alpha, by head: forgotten or held"
    at_once = "alpha before the delta rule: forgotten and written at once"
    last = "the value last written into register {}"

    def kept(r: int, exercises: str, forgets: Form, hold: int) -> Head:
        columns = (
            Column(f"register {r}", last.format(r), exercises, VALUE),
            Column(f"before {r}", "the value one step before that", f"{exercises}; conv1d", back("v", 1)),
        )
        return Head(columns, replaces={f"set {r}": 1}, forgets=forgets, hold=hold)

    def single(name: str, meaning: str, exercises: str, replaces: Form, forgets: Form, keeps: bool = False) -> Head:
        told = Column(name, meaning, exercises, VALUE)
        return Head((told,), replaces=replaces, forgets=forgets, keeps=keeps, hold=2 if keeps else 1)

    unless: Form = {ONE: 1, "hold": -1}
    until = "the value last written into register {}, until hold"
    heads = (
        kept(0, replaced, {}, 1),
        kept(1, at_once, {"set 1": 1}, 2),
        kept(2, replaced, {}, 3),
        single("kept", "the value at the last step that was not hold", replaced, unless, {}),
        single("cleared", until.format(0), forgotten, {"set 0": 1}, {"hold": 1}),
        single(
            "fleeting",
            "the value last written into register 1, if only hold came since",
            f"{forgotten}: dt_bias",
            {"set 1": 1},
            unless,
        ),
        single("stubborn", last.format(0), f"{forgotten}: A_log", {"set 0": 1}, {"hold": 1}, True),
    )
    return Program(COMMANDS, (DeltaBlock(heads),))


def edges() -> Program:
    """A memory replaced seldom, one replaced at almost every step, and one that is forgotten: for long words."""
    chosen = {"register 0", "kept", "cleared"}
    (block,) = registers().blocks
    assert isinstance(block, DeltaBlock)
    heads = tuple(head for head in block.heads if head.columns[0].name in chosen)
    tokens = {token: form for token, form in COMMANDS.items() if token[0] not in "12"}
    return Program(tokens, (DeltaBlock(heads),))


def recall(keys: int) -> Program:
    """An associative memory: values replaced under keys and asked for by queries.

    Args:
        keys: a power of four, as many coordinates.
    """
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "clear": {"clear": 1}}
    tokens |= {f"{k}:={v}": {f"key {k}": 1, "write": 1, "v": v} for k in range(keys) for v in (1 + k % 3, 5)}
    tokens |= {f"?{k}": {f"ask {k}": 1} for k in range(keys)}
    exercises = "the delta rule: what stood under a key is replaced, what stands under others is not"
    under = "the value last written under the key asked for"

    def memory(name: str, meaning: str, value: Line, forgets: Form) -> Head:
        ask = tuple(Line({f"ask {k}": 1}) for k in range(keys))
        given = tuple(Line({f"key {k}": 1}) for k in range(keys))
        return Head((Column(name, meaning, exercises, value),), given, ask, {"write": 1}, forgets=forgets)

    heads = (
        memory("under", under, VALUE, {"clear": 1}),
        memory("before", "the value one step before that", back("v", 1), {}),
    )
    return Program(tokens, (DeltaBlock(heads),), meanings={f"?{k}": f"asks for key {k}" for k in range(keys)})


def interference() -> Program:
    """Keys that are not at right angles: one of four coordinates beside four of one; for words with exact quotients."""
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}}
    tokens |= {f"{k}:={v}": {f"key {k}": 1, "write": 1, "v": v} for k in range(4) for v in (2, 6)}
    tokens |= {f"all:={v}": {"all": 1, "write": 1, "v": v} for v in (4, 8)}
    tokens |= {f"?{k}": {f"ask {k}": 1} for k in range(4)} | {"?all": {"ask all": 1}}
    exercises = "the delta rule under keys that are not at right angles: beta k (v - S k)"
    keys = tuple(Line({f"key {k}": 1, "all": 1}) for k in range(4))
    query = tuple(Line({f"ask {k}": 1, "ask all": 1}) for k in range(4))
    columns = (
        Column("read", "what stands under the key asked for", exercises, VALUE),
        Column("other", "the same, of other values", f"{exercises}, by column", Line({"v": 1, "all": 4})),
    )
    return Program(tokens, (DeltaBlock((Head(columns, keys, query, {"write": 1}),)),))


def digits() -> Program:
    """Numbers of 17 binary digits, held."""
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}}
    tokens |= {f"={v}": {"write": 1, "v": v} for v in (1, 65_537, 87_381, 131_071)}
    told = Column("held", "the number last written", "precision of the state (17 bits)", VALUE)
    return Program(tokens, (DeltaBlock((Head((told,), replaces={"write": 1}),)),))


def stack() -> Program:
    """Three blocks: two registers, what one of them held a step before, and what that was when it last stepped."""
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "step": {"step": 1}}
    tokens |= {"1": {"set": 1, "v": 1}, "2": {"set": 1, "two": 1, "v": 2}}
    exercises = "blocks in order, each with its own state"
    first = Head((Column("first", "the value last set", exercises, VALUE),), replaces={"set": 1})
    other = Head((Column("other", "2, if it was ever set", exercises, VALUE),), replaces={"two": 1})
    meaning = "first as it was one step before the last step"
    second = Head((Column("second", meaning, exercises, back("first", 1)),), replaces={"step": 1})
    meaning = "second as it was one step before it last stepped"
    third = Head((Column("third", meaning, exercises, back("second", 1)),), replaces={"step": 1}, forgets={"step": 1})
    units = (Unit("sum", "the sum of second and third", "the SwiGLU of a later block", {"second": 1}, {ONE: 1}),)
    return Program(tokens, (DeltaBlock((first, other)), DeltaBlock((second,)), DeltaBlock((third,), units)), 4)


def epsilon() -> Program:
    """A token so small that the norm's epsilon decides how large it becomes; see ``library.epsilon``.

    Its one feature is 2^-10 and d_model is 16: the norm makes it 0.949 with the configured 1e-6, 0.308 with 1e-5, 1.00
    without. One memory is forgotten from 0.5 on, another from 0.98 on.
    """
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "set": {"set": 1}, "tiny": {ONE: 0, "tiny": 1}}

    def latch(name: str, meaning: str, threshold: float) -> Head:
        told = Column(name, meaning, "epsilon of RMSNorm", Line({"set": 1}))
        is_set = Line({"set": 1})
        return Head((told,), (is_set,), forgets={"tiny": 1}, above={"tiny": threshold}, carries=is_set)

    heads = (latch("cleared", "set, and no tiny token since", 0.5), latch("not cleared", "set, ever", 0.98))
    return Program(
        tokens,
        (DeltaBlock(heads),),
        tiny={"tiny": 2.0**-10},
        judges=lambda word: word.count("set") <= 1 and word.count("tiny") <= 1,
    )


# -- beta to 1 ---------------------------------------------------------------------------------------------------------


def halves() -> Program:
    """A memory that moves half of the way, where beta cannot be more than 1: sigmoid at 0. Judged while it is exact."""
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}}
    tokens |= {f"={v}": {"set": 1, "v": v} for v in (64, 192)} | {f"half {v}": {"half": 1, "v": v} for v in (0, 128)}
    told = Column("middle", "the value set, moved by half towards the others", "beta = 1/2: sigmoid at 0", VALUE)
    block = DeltaBlock((Head((told,), replaces={"set": 1}, halves={"half": 1}),))
    exact = re.compile(r"((<bos>|-) )*(=\d+ ((<bos>|-) )*(half \d+ ((<bos>|-) )*){0,6})*")
    return Program(tokens, (block,), judges=lambda word: bool(exact.fullmatch("".join(f"{t} " for t in word))))


def grouped() -> Program:
    """Pairs of heads that share key and query, as grouped heads do, with conditions and values of their own."""
    tokens: dict[str, Form] = {BOS: {"bos": 1}, "-": {}, "clear": {"clear": 1}}
    tokens |= {f"{k}:={v}": {f"key {k}": 1, "write": 1, "v": v} for k in range(4) for v in (1, 6)}
    tokens |= {f"?{k}": {f"ask {k}": 1} for k in range(4)}

    def pair(number: int, turned: int) -> Iterator[Head]:
        keys = tuple(Line({f"key {(k + turned) % 4}": 1}) for k in range(4))
        query = tuple(Line({f"ask {k}": 1}) for k in range(4))
        for which, forgets in enumerate(({}, {"clear": 1})):
            exercises = f"grouped heads: the key head of value head {2 * number + which}; alpha and beta by value head"
            meaning = f"the value under the key asked for{', since clear' if which else ''}"
            told = Column(f"{number}.{which}", meaning, exercises, Line({"v": 1 + which}))
            yield Head((told,), keys, query, {"write": 1}, forgets=forgets, hold=1 + number)

    return Program(tokens, (DeltaBlock((*pair(0, 0), *pair(1, 1))),))


# -- beta to 2 ---------------------------------------------------------------------------------------------------------


def reflections() -> Program:
    """Memories that are turned over (beta = 2): by a token, at every step, and towards a value."""
    tokens: dict[str, Form] = {BOS: {"set": 1, "v": 3}, "-": {}, "set": {"set": 1, "v": 2}, "flip": {"flip": 1}}
    tokens |= {"to 1": {"to": 1, "v": 1}, "to 4": {"to": 1, "v": 4}}
    is_set = Line({"set": 1})
    turned = Column("turned", "the value last set, turned over by every flip", "beta = 2: a reflection", VALUE)
    every = Column("every", "the value last set, turned over at every step", "beta = 2 at every step", is_set)
    sums = Column("sum", "2 v less what it was, for every v since it was set", "beta = 2: 2 v k - S k", VALUE)
    heads = (
        Head((turned,), (Line({"set": 1, "flip": 1}),), replaces={"set": 1}, turns={"flip": 1}, carries=is_set),
        Head((every,), replaces={"set": 1}, turns={ONE: 1, "set": -1}, carries=is_set),
        Head((sums,), replaces={"set": 1}, turns={"to": 1}),
    )
    return Program(tokens, (DeltaBlock(heads),), meanings={"flip": "turns over"})


WEIGHTS = (1, 2, 3, 4, 5)
"""By which a query tells the place of a point: with the squares of 8, 9 and 1, twice their squares sum to 256."""
PLACES = len(WEIGHTS)
BEGIN = "begin"


def permutations() -> Program:
    """The word problem of S_5: where each of five points is after so many transpositions (1 i).

    A head follows a point. Place i has two coordinates, p_i = (1, 1) there; the point is at place 1 as p_1 and at
    place i as -p_i, and the transposition is the reflection in (p_1 + p_i) / 2, which exchanges p_1 and -p_i. What is
    put out is the number of the place, with a minus but for place 1. ``<bos>`` sets all points to their places, and
    ``begin``, which must follow, gives their memories carriers, which no transposition moves.
    """
    tokens: dict[str, Form] = {BOS: {"bos": 1}, BEGIN: {"begin": 1}, "-": {}}
    tokens |= {f"(1 {i})": {f"1 {i}": 1} for i in range(2, PLACES + 1)}
    moves = {f"1 {i}": 1 for i in range(2, PLACES + 1)}
    coordinates = [Line(moves)] * 2
    coordinates += [Line({f"1 {i}": 1}) for i in range(2, PLACES + 1) for _ in range(2)]
    query = [Line({ONE: w}) for w in WEIGHTS for _ in range(2)]
    query += [Line({ONE: w}) for w in (8, 9, 1)]

    def follow(point: int) -> Head:
        """Its first coordinates are written with two of no meaning beside them, its carrier alone."""
        places = [
            Line({**line.reads, **({"bos": 1} if number // 2 == point else {})})
            for number, line in enumerate(coordinates)
        ]
        keys = (*places, Line({"begin": 1}), Line(), Line(), Line({"bos": 1}), Line({"bos": 1}))
        told = Column(
            f"point {point + 1}",
            f"where point {point + 1} is: 1, or minus the number of its place",
            "products of reflections (beta = 2): the word problem of S_5",
            Line({"bos": 8}),
            gate={ONE: 1, "bos": -1},
            writes={f"point {point + 1}": -1 if point else 1},
        )
        return Head(
            (told,),
            keys,
            tuple(query),
            replaces={"bos": 1, "begin": 1},
            turns=moves,
            forgets={"bos": 1},
            carries=Line({"begin": 1}),
        )

    heads = tuple(follow(point) for point in range(PLACES))
    meanings = {f"(1 {i})": f"exchanges the points at places 1 and {i}" for i in range(2, PLACES + 1)}
    return Program(tokens, (DeltaBlock(heads),), meanings=meanings, judges=_begun)


def _begun(word: tuple[str, ...]) -> bool:
    """The first two tokens stand there and nowhere else."""
    return word[:2] in ((BOS,), (BOS, BEGIN)) and not {BOS, BEGIN} & set(word[2:])
