"""OLMo Hybrid as a target: registers whose labels are written or change places, in heads of Gated DeltaNet layers.

A head keeps a matrix, S <- alpha S (I - beta k k^T) + beta v k^T, with keys k of length one. T = 2^10.

- *Rates.* alpha = exp(-softplus(T (2 w - 1))) is exactly 0 where w = 1 (a label is written) and 1 where w = 0; A_log
  is 0, so that sums of logarithms over a chunk are multiples of T. beta = 2 sigmoid(T (2 s + w - 1)) is 1 where one is
  written, 2 where two change places (s = 1), and else 0.
- *A register that is only written.* k is constant and v says which label, so S is v, and one head shows them all.
- *A register whose labels change places.* Label i has two coordinates, p_i = (1, 1) there, and stands for +-p_i, with
  the sign of ``circuits.memories.signs``. The key of a change of i and j is (p_i + p_j) / 2, four entries of 1/2:
  length one exactly, no entry negative, as silu wants it, and with beta = 2 it exchanges p_i and -p_j. Label i is
  written with the key (p_i + pad) / 2, the pad being two coordinates of its own. v is never negative either, so labels
  of the sign -1 are written into another column, which is read with the other sign. One head tells one label: q = (p_i
  + another pad) / 2.
- *The norm behind a head* divides by a power of two: of its V columns, V a power of two, exactly N = V / 4^j are not
  zero where one is, and these are equal but for their signs: what comes out is 0 or +-2^j, whatever was stored.
- *Channels without memory* are passed on at once: alpha = 0, beta = 1, a constant key, and beside them a constant of
  2^40, which makes the norm a division by a power of two, as in the residual stream.
- *Conditions.* alpha and beta are linear forms of the stream at the present token, as is Delta in Mamba-2. A condition
  on the present letter is such a form, since exactly one letter is 1. What is not is worked out by the SwiGLU of the
  layer before, silu(T form) = T max(0, form), as an indicator; and where it looks back, a layer more passes on what
  was at the steps before.

Lengths are exact as in the norm of the stream: four entries of T have a sum of squares of 2^22, which absorbs epsilon.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf

import numpy as np
from msgspec.structs import replace as changed

from ...models.classes import model_classes
from ...models.olmo_hybrid import OLMO_HYBRID, OlmoHybridShape
from ...models.weights import ModelWeights, Tensor
from ..circuits.circuit import NOW, Channels, Circuit, CircuitBlock, CircuitChannel, Register, Shown
from ..circuits.forms import ALWAYS, ONE, Form, plus, times
from ..circuits.memories import Pair, signs
from ..manifest import BlockLabel, ChannelLabel, Holder, MemoryLabel
from ._olmo_layers import PASSED, STORED, Column, Head, Layer, Unit, layer_block, passing
from .base import Lowered, Options, Target, TargetError, within
from .layout import constants_of, dimensions, level_label, narrowest_stream, remembered
from .lower import BlockTensors, T, embedding, head_weight, norm_weight
from .tokens import vocabulary_size

WIDTHS = tuple(1 << k for k in range(9))
"""How many columns a head may have."""

ATTENTION = "attention, its weights all zero: the configuration demands such a layer, and this one adds nothing"


def lower(circuit: Circuit, options: Options) -> Lowered:
    """Write the circuit, a cascade or a plan, as weights. O(number of weights).

    Args:
        circuit: the language.
        options: ``d_state`` is not looked at: keys have the dimension that the registers need.

    Raises:
        ModelSizeError: it would have too many parameters.
        TargetError: a memory is no register, or its labels change places round a circle of odd length.
    """
    drafts = _drafted(circuit)
    keys = 4 ** max(-(-(n - 1).bit_length() // 2) for n in drafts.coordinates())
    size = min(WIDTHS, key=lambda size: drafts.cost(size, keys))
    layers = [draft.layer(size) for draft in drafts.drafts]
    stream = narrowest_stream((*circuit.features, *drafts.told))
    sizes = OlmoHybridShape(
        d_model=stream.d_model,
        n_layers=len(layers) + 1,
        vocab_size=vocabulary_size(circuit.alphabet, circuit.classes),
        d_state=keys,
        d_conv=max(options.d_conv, circuit.window),
        heads=max(1, *(len(layer.heads) for layer in layers)),
        value_dim=size,
        units=max(1, *(len(layer.units) for layer in layers)),
    )
    shape = within(sizes, options.parameters)
    blocks = [layer_block(layer, stream, shape) for layer in layers]
    tensors = _assembled(shape, blocks, norm_weight(stream, circuit.constant))
    tensors[shape.embedding] = embedding(circuit, stream)
    tensors["lm_head.weight"] = head_weight(circuit, stream)
    indicators = {name: (n, "; ".join(dict.fromkeys(uses))) for n, (name, uses) in enumerate(drafts.told.items())}
    return Lowered(
        weights=ModelWeights(shape, {name: tensors[name] for name in shape.tensors()}),
        residual=dimensions(circuit, stream, indicators),
        blocks=(*_labels(drafts.drafts, layers, shape), BlockLabel(len(layers), ATTENTION, ())),
        counters=(),
    )


def n_layers(circuit: Circuit) -> int:
    """How many layers a model of this circuit has, the one of attention among them."""
    return len(_drafted(circuit).drafts) + 1


def _assembled(shape: OlmoHybridShape, blocks: Sequence[BlockTensors], norm: Tensor) -> dict[str, Tensor]:
    """The parameters of all layers, and of the last norm: every norm of the stream is the same."""
    tensors = {shape.last_norm: norm}
    for layer, block in enumerate(blocks):
        block |= dict.fromkeys(("input_layernorm.weight", "post_attention_layernorm.weight"), norm)
        tensors |= {f"{shape.layers}{layer}.{name}": tensor for name, tensor in block.items()}
    last = len(blocks)
    for name, size in shape.layer_tensors(last).items():
        tensors[f"{shape.layers}{last}.{name}"] = np.full(size, float("norm" in name), dtype=np.float32)
    return {name: tensor.copy() for name, tensor in tensors.items()}


# -- from blocks of the circuit to layers ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Kept:
    """A register, its events as forms of the stream, and the columns that show its labels."""

    register: Register
    writes: Mapping[int, Form]
    swaps: Mapping[Pair, Form]
    columns: Mapping[int, Sequence[Column]]

    @property
    def coordinates(self) -> int:
        """Of its keys."""
        return 2 * len(self.register.labels) + 4 if self.swaps else 1

    def heads(self, size: int) -> list[Head] | None:
        """The heads that hold it; None if a head of so many columns has no room for it."""
        alike = [size >> 2 * j for j in range(size.bit_length()) if size >> 2 * j]
        make = self._reflecting if self.swaps else self._written
        return min((heads for n in alike if (heads := make(size, n)) is not None), key=len, default=None)

    def _shares(self, alike: int) -> Iterator[tuple[int, Sequence[Column]]]:
        """The columns of each label, as many at a time as may be alike."""
        for label, columns in self.columns.items():
            for n in range(0, len(columns), alike):
                yield label, columns[n : n + alike]

    def _written(self, size: int, alike: int) -> list[Head]:
        """Labels are only written: a head shows several, each in so many columns, some of which say nothing."""
        rows: list[dict[int, list[Column]]] = []
        for label, columns in self._shares(alike):
            row = next((row for row in rows if label not in row and len(row) * alike < size), None)
            if row is None:
                rows.append(row := {})
            row[label] = _filled(columns, alike, self.writes.get(label, {}))
        resets = plus(*self.writes.values())
        return [Head(_numbered(row.values()), resets, {}, {0: ALWAYS}, (0,), alike) for row in rows]

    def _reflecting(self, size: int, alike: int) -> list[Head] | None:
        """Labels change places: a head tells one of them, in so many columns for each sign that is written."""
        register, sign = self.register, signs(self.register.labels, self.register.swaps)
        if sign is None:
            raise TargetError(
                f"the labels of {register.name} change places round a circle of odd length, which no keys without "
                "negative entries do; decompose it further"
            )
        found = {
            s: plus(*(form for label, form in self.writes.items() if sign[label] == s))
            for s in (1, -1)
            if any(sign[label] == s for label in self.writes)
        }
        if alike * len(found) > size:
            return None
        place = {label: 2 * n for n, label in enumerate(register.labels)}
        resets, pad = plus(*self.writes.values()), 2 * len(place)
        keys: dict[int, Form] = {pad: resets, pad + 1: resets}
        for label, first in place.items():
            moved = (form for pair, form in self.swaps.items() if label in pair)
            keys[first] = keys[first + 1] = plus(self.writes.get(label, {}), *moved)
        return [
            Head(
                _numbered(
                    _filled([replace(c, writes=times(s * sign[label], c.writes)) for c in columns], alike, form)
                    for s, form in found.items()
                ),
                resets,
                plus(*self.swaps.values()),
                keys,
                (place[label], place[label] + 1, pad + 2, pad + 3),
                alike,
            )
            for label, columns in self._shares(alike)
        ]


def _filled(columns: Sequence[Column], alike: int, value: Form) -> list[Column]:
    """Columns with this value, and more that nobody reads."""
    more = [Column(value, {}, {}, None, "")] * (alike - len(columns))
    return [*(replace(column, value=value) for column in columns), *more]


def _numbered(shares: Iterable[Sequence[Column]]) -> dict[int, Column]:
    return dict(enumerate(column for columns in shares for column in columns))


@dataclass
class _Draft:
    """A layer whose heads are not made yet, since nobody knows how many columns they will have.

    Attributes:
        title: for people.
        block: the block of the circuit that it is for.
        finds_only: whether it only finds out something for the next layer.
        kept: the registers.
        passed: what is put out at once.
        units: of its SwiGLU.
        before, after: what the indicators say before it, and after it.
    """

    title: str
    block: CircuitBlock | None = None
    finds_only: bool = False
    kept: list[_Kept] = field(default_factory=list)
    passed: list[Column] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)
    before: dict[int, str] = field(default_factory=dict)
    after: dict[int, str] = field(default_factory=dict)

    def heads(self, size: int) -> list[Head] | None:
        """Its heads, with so many columns each; None if that is not enough for something."""
        if self.passed and size <= constants_of(size):
            return None
        found = passing(self.passed, size) if self.passed else []
        for kept in self.kept:
            heads = kept.heads(size)
            if heads is None:
                return None
            found += heads
        return found

    def layer(self, size: int) -> Layer:
        """The layer."""
        return Layer(tuple(self.heads(size) or ()), tuple(self.units), self.title, self.finds_only)


class _Drafts:
    """The layers of a circuit, block by block.

    What a block of the circuit needs to know beforehand goes into the units of the layer before it, which see all that
    the block sees; if it looks back, into those of a layer of its own, whose heads pass on what was before.
    """

    def __init__(self, circuit: Circuit) -> None:
        self.letters, self.drafts = frozenset(circuit.letters), list[_Draft]()
        self.told: dict[str, list[str]] = {}
        """Of each indicator what it says, layer by layer."""

    def coordinates(self) -> Iterator[int]:
        """How many entries the keys of each register have."""
        yield 1
        yield from (kept.coordinates for draft in self.drafts for kept in draft.kept)

    def cost(self, size: int, keys: int) -> float:
        """What is to be small: rows and columns of the heads of a layer, with so many columns and coordinates each."""
        found = [draft.heads(size) for draft in self.drafts]
        if None in found:
            return inf
        return max(1, *(len(heads or ()) for heads in found)) * (2 * keys + 3 * size + 2)

    def add(self, block: CircuitBlock) -> None:
        """The layers of a block."""
        registers = [register for register in block.registers if register.labels]
        needed = {c for register in registers for form in register.forms for c in form}
        values = {c: linear(block.channels[c], self.letters) for c in sorted(needed)}
        found = [c for c, value in values.items() if value is None]
        found += [c for c, channel in enumerate(block.channels) if _passed(channel) and not _seen(channel)]
        names = self._found(block, found)
        values |= {c: {name: 1} for c, name in names.items()}
        draft = self.new(block.title, block)
        draft.before = dict(self.drafts[-2].after) if names else {}
        draft.kept = [_kept(block, register, values) for register in registers]
        draft.passed = [
            _column(channel, values.get(c) if c in names else None)
            for c, channel in enumerate(block.channels)
            if _passed(channel)
        ]
        draft.units = [_taken_back(name) for name in names.values()]

    def new(self, title: str, block: CircuitBlock | None = None, *, finds_only: bool = False) -> _Draft:
        """One more layer."""
        self.drafts.append(_Draft(title, block, finds_only))
        return self.drafts[-1]

    def _found(self, block: CircuitBlock, channels: Sequence[int]) -> dict[int, str]:
        """Indicators of these channels' x, worked out by the units of the layer before."""
        if not channels:
            return {}
        chosen = {c: block.channels[c] for c in channels}
        looks_back = sorted(
            {(name, back) for x in chosen.values() for back, w in _back(x) if back and w for name in x.reads}
        )
        if looks_back or not self.drafts:
            self.new(f"{block.title}: when", block, finds_only=True)
        draft, before = self.drafts[-1], dict[tuple[str, int], str]()
        for number, (name, back) in enumerate(looks_back, len(chosen)):
            said = f"{'1' if name == ONE else name}, {back} step{'s' * (back > 1)} before"
            before[name, back] = self._indicator(number, said)
            taps = (1, *[0] * back)
            draft.passed.append(Column({name: 1}, ALWAYS, {before[name, back]: 1}, "condition", said, taps))
        names = {}
        for number, (c, channel) in enumerate(chosen.items()):
            names[c] = self._indicator(number, channel.meaning)
            seen = (
                {(before[name, back] if back else name): tap * weight}
                for back, tap in _back(channel)
                if tap
                for name, weight in channel.reads.items()
            )
            draft.units.append(Unit(plus(*seen, {ONE: channel.bias}), {names[c]: 1}, channel.meaning))
            draft.after[number] = channel.meaning
        draft.units += [_taken_back(name) for name in before.values()]
        return names

    def _indicator(self, number: int, says: str) -> str:
        name = f"indicator {number}"
        self.told.setdefault(name, []).append(says)
        return name


def _drafted(circuit: Circuit) -> _Drafts:
    """The layers of a circuit, at least one."""
    drafts = _Drafts(circuit)
    for block in circuit.blocks:
        drafts.add(block)
    if not drafts.drafts:
        drafts.new("nothing to do")
    return drafts


def _back(channel: CircuitChannel) -> Iterator[tuple[int, int]]:
    """How many steps back each tap looks, and its weight."""
    return zip(range(len(channel.taps)), reversed(channel.taps), strict=True)


def linear(channel: CircuitChannel, letters: Collection[str]) -> Form | None:
    """The x of a channel as a form, if it is one: features are never negative, and one letter is 1, or none is."""
    *past, now = channel.taps
    if any(past):
        return None
    reads = times(now, channel.reads)
    if channel.bias <= 0 and all(name in letters for name in reads):
        return {name: n for name, weight in reads.items() if (n := max(0, weight + channel.bias))}
    if channel.bias >= 0 and all(weight >= 0 for weight in reads.values()):
        return plus(reads, {ONE: channel.bias})
    return None


def _passed(channel: CircuitChannel) -> bool:
    """Whether a channel without memory writes something."""
    return channel.memory is None and bool(channel.writes and channel.skip)


def _seen(channel: CircuitChannel) -> bool:
    """Whether the convolution of the layer itself can give its x: it has no bias."""
    return not channel.bias or not any(channel.taps[:-1])


def _column(channel: CircuitChannel, x: Form | None) -> Column:
    """A channel without memory, from its x if the layer before has found it."""
    value, taps = channel.reads, channel.taps
    if x is not None:
        value, taps = x, NOW
    elif channel.bias:
        *_, now = taps
        value, taps = plus(times(now, value), {ONE: channel.bias}), NOW
    return Column(value, channel.gate, times(channel.skip, channel.writes), "feature", channel.meaning, taps)


def _taken_back(name: str) -> Unit:
    """An indicator is 0 again after the layer that used it."""
    return Unit({name: 1}, {name: -1})


def _kept(block: CircuitBlock, register: Register, values: Mapping[int, Form | None]) -> _Kept:
    """A register whose channels' x are forms of the stream."""

    def form(channels: Channels) -> Form:
        return plus(*(times(weight, values[c] or {}) for c, weight in channels.items()))

    columns: dict[int, list[Column]] = {}
    for channel in block.channels:
        if isinstance(shown := channel.memory, Shown) and shown.register.name == register.name:
            about = Column(
                {}, channel.gate, channel.writes, "memory", channel.meaning, NOW, remembered(shown), shown.label
            )
            columns.setdefault(shown.label, []).append(about)
    writes = {label: form(channels) for label, channels in register.writes.items()}
    swaps = {pair: form(channels) for pair, channels in register.swaps.items()}
    return _Kept(register, writes, swaps, columns)


# -- labels ------------------------------------------------------------------------------------------------------------


def _labels(drafts: Sequence[_Draft], layers: Sequence[Layer], shape: OlmoHybridShape) -> Iterator[BlockLabel]:
    """What the layers mean: the channels are the columns of the heads, and then the units."""
    for number, (draft, layer) in enumerate(zip(drafts, layers, strict=True)):
        columns = {
            n * shape.value_dim + c: column
            for n, head in enumerate(layer.heads)
            for c, column in head.columns.items()
            if column.role is not None
        }
        first = shape.heads * shape.value_dim
        units = [
            ChannelLabel(first + n, "condition", unit.meaning) for n, unit in enumerate(layer.units) if unit.meaning
        ]
        held: dict[str, tuple[MemoryLabel, list[Holder]]] = {}
        for c, column in columns.items():
            if (about := column.holds) is not None:
                held.setdefault(about.name, (about, []))[1].append(Holder(c, column.label))
        label = BlockLabel(
            index=number,
            title=layer.title,
            channels=(*(ChannelLabel(c, x.role, x.meaning) for c, x in columns.items() if x.role), *units),
            finds_only=layer.finds_only,
            memories=tuple(changed(about, channels=tuple(holders)) for about, holders in held.values()),
            indicators_before=draft.before or None,
            indicators_after=draft.after or None,
        )
        yield label if draft.block is None else level_label(draft.block, label)


TARGET = Target(
    name="olmo_hybrid",
    model_type=OLMO_HYBRID,
    title="OLMo Hybrid: transformers' OlmoHybridForCausalLM, Gated DeltaNet layers with reflections",
    gates="reflections",
    dtypes=("float32", "bfloat16", "float64"),
    lower=lower,
    classes=partial(model_classes, OLMO_HYBRID),
    circuits=False,
    blocks_per_level=2,
    constants={"T": T, "A_log": 0.0, "stored": STORED, "passed": PASSED},
)
