"""What pictures of a checkpoint show: the weights of a block by meaning, and memories while a word is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import frexp, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..automata.alphabet import read_tokens
from ..compiler.checkpoints import Checkpoint
from ..compiler.manifest import Manifest
from ..interp.labels import labels_of
from ..interp.run import run_with_cache
from ..interp.subject import Subject
from ..models.olmo_hybrid import OLMO_HYBRID
from .labels import labelled_model
from .picture_file import PictureError

Numbers = NDArray[np.float32]
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class WeightGroup:
    """Columns of one parameter.

    Attributes:
        title: which parameter.
        columns: what each column means.
        values: shape (rows, columns); NaN where a row has no such weight.
    """

    title: str
    columns: tuple[str, ...]
    values: Numbers


@dataclass(frozen=True)
class WeightTable:
    """The weights of a block that say something, a row per channel.

    Attributes:
        title: which block.
        rows: what each channel means.
        groups: the parameters; columns of zeros are left out.
    """

    title: str
    rows: tuple[str, ...]
    groups: tuple[WeightGroup, ...]

    @property
    def n_columns(self) -> int:
        """Columns of all groups."""
        return sum(len(group.columns) for group in self.groups)


@dataclass(frozen=True)
class MemoryTable:
    """Memories while a word is read.

    Attributes:
        symbols: ``<bos>`` and the symbols of the word.
        memories: a name for each memory.
        held: what each holds after each symbol: the label of a level, else the number in the state.
        tokens: the alphabet, unless the model only says whether the word may end, and ``<eos>``; the classes, as
            tokens, of a machine with outputs.
        allowed: for each token, whether the model allows it after each symbol, or says that it is the class.
    """

    symbols: tuple[str, ...]
    memories: tuple[str, ...]
    held: tuple[tuple[str, ...], ...]
    tokens: tuple[str, ...]
    allowed: tuple[tuple[bool, ...], ...]


def number_text(value: float) -> str:
    """A weight in few characters; dyadic numbers exactly.

    >>> [number_text(v) for v in (0.0, -3.0, 1024.0, 1.0625, -(2.0**-10), 3 * 2.0**20, 1e-3)]
    ['0', '−3', '2¹⁰', '1.0625', '−2⁻¹⁰', '3·2²⁰', '0.001']
    """
    sign, size = "−" if value < 0 else "", abs(value)
    short = f"{size:.9g}"
    if size == 0 or (len(short) <= 6 and (size < 512 or not log2(size).is_integer())):
        return sign + short
    mantissa, exponent = frexp(size)
    whole = mantissa
    while not whole.is_integer():
        whole, exponent = whole * 2, exponent - 1
    power = f"2{str(exponent).translate(SUPERSCRIPTS)}"
    if whole == 1:
        return sign + power
    return f"{sign}{int(whole)}·{power}" if whole < 1000 else f"{sign}{size:.3g}"


# -- weights ---------------------------------------------------------------------------------------------------------


def weight_table(checkpoint: Checkpoint, block: int) -> WeightTable:
    """The weights of one block by meaning. O(weights of the block).

    Args:
        checkpoint: a checkpoint that scancraft wrote.
        block: the number of the block.

    Raises:
        PictureError: there is no such block, or it has no channel with a meaning.
        CheckpointError: the manifest's labels do not fit the weights.
    """
    manifest, model = checkpoint.manifest, labelled_model(checkpoint)
    if not 0 <= block < len(manifest.blocks):
        there = len(manifest.blocks)
        raise PictureError(f"there is no block {block} with a meaning; the checkpoint has {there}, from 0 on")
    label = manifest.blocks[block]
    rows = [f"{channel.index} {channel.role}: {channel.meaning}" for channel in label.channels]
    if not rows:
        raise PictureError(f"block {block} has no channel with a meaning: it does nothing")
    kind = model.config.model_type
    prefix = f"model.layers.{block}." if kind == OLMO_HYBRID else f"backbone.layers.{block}.mixer."
    weights = {name.removeprefix(prefix): t for name, t in _tensors(model).items() if name.startswith(prefix)}
    make = {"mamba2": _mamba2_groups, OLMO_HYBRID: _olmo_groups}.get(kind, _mamba_groups)
    more, groups = make(
        weights,
        [channel.index for channel in label.channels],
        _features(manifest, label.slots_before, label.indicators_before),
        _features(manifest, label.slots_after, label.indicators_after),
    )
    kept = (_without_zeros(group) for group in groups)
    return WeightTable(f"block {block}: {label.title}", (*rows, *more), tuple(group for group in kept if group.columns))


def _tensors(model: Any) -> dict[str, Numbers]:
    return {name: tensor.detach().float().numpy() for name, tensor in model.state_dict().items()}


def _features(manifest: Manifest, slots: Mapping[int, str] | None, said: Mapping[int, str] | None) -> list[str]:
    """What each dimension of the residual stream means before or after a block.

    Args:
        manifest: what the checkpoint means.
        slots: the sets that slots stand for there.
        said: what indicators say there.
    """
    found = []
    for dimension in manifest.residual:
        name, number = dimension.name, -1 if dimension.number is None else dimension.number
        if dimension.kind == "slot" and slots is not None and number in slots:
            name = f"{name} = {slots[number]}"
        if dimension.kind == "indicator" and said is not None and number in said:
            name = said[number]
        found.append(name)
    return found


def _without_zeros(group: WeightGroup) -> WeightGroup:
    kept = [i for i in range(len(group.columns)) if np.nan_to_num(group.values[:, i]).any()]
    return WeightGroup(group.title, tuple(group.columns[i] for i in kept), group.values[:, kept])


def _taps(weight: Numbers, bias: Numbers) -> tuple[list[str], Numbers]:
    """Columns of a convolution: the taps, the oldest first, and the bias."""
    n = weight.shape[-1]
    names = [f"t−{n - 1 - k}" if k < n - 1 else "t" for k in range(n)]
    return [*names, "bias"], np.concatenate([weight[:, 0, :], bias[:, None]], axis=1)


Groups = tuple[list[str], list[WeightGroup]]
"""Rows beside those of the channels, and the groups of columns."""


def _mamba_groups(
    w: Mapping[str, Numbers], channels: Sequence[int], before: Sequence[str], after: Sequence[str]
) -> Groups:
    """Mamba, Falcon-Mamba and the signed Mamba."""
    inner, states = w["A_log"].shape
    rank = w["dt_proj.weight"].shape[1]
    dt = [f"dt {i}" for i in range(rank)]
    taps, conv = _taps(w["conv1d.weight"], w["conv1d.bias"])
    of_states = [[f"{name} {n}" if states > 1 else name for n in range(states)] for name in ("B", "C", "A_log")]
    groups = [
        ("reads: in_proj, x", before, w["in_proj.weight"][:inner]),
        ("convolution", taps, conv),
        ("into dt, B, C: x_proj", [*dt, *of_states[0], *of_states[1]], w["x_proj.weight"].T),
        ("Δ: dt_proj", [*dt, "bias"], np.column_stack([w["dt_proj.weight"], w["dt_proj.bias"]])),
    ]
    if "sign_proj.weight" in w:
        sign = np.column_stack([w["sign_proj.weight"], w["sign_proj.bias"]])
        groups.append(("sign: sign_proj", [*dt, "bias"], sign))
    groups += [
        ("state", [*of_states[2], "D"], np.column_stack([w["A_log"], w["D"]])),
        ("gated by: in_proj, z", before, w["in_proj.weight"][inner:]),
        ("writes: out_proj", after, w["out_proj.weight"].T),
    ]
    return [], [WeightGroup(title, tuple(names), values[channels]) for title, names, values in groups]


def _mamba2_groups(
    w: Mapping[str, Numbers], channels: Sequence[int], before: Sequence[str], after: Sequence[str]
) -> Groups:
    """Mamba-2: Δ, A and D of a channel are those of its head; B and C have rows of their own."""
    inner, heads = w["norm.weight"].shape[0], w["D"].shape[0]
    states = (w["conv1d.weight"].shape[0] - inner) // 2
    head = np.asarray(channels, dtype=np.intp) // (inner // heads)
    reads = w["in_proj.weight"][inner : 2 * inner + 2 * states]
    deltas = np.column_stack([w["in_proj.weight"][2 * inner + 2 * states :], w["dt_bias"]])
    taps, conv = _taps(w["conv1d.weight"], w["conv1d.bias"])
    used = [r for r in range(inner, inner + 2 * states) if reads[r].any() or conv[r].any()]
    names = [f"B {r - inner}" if r < inner + states else f"C {r - inner - states}" for r in used]
    rows = [*channels, *used]

    def only_channels(values: Numbers) -> Numbers:
        blank = np.full((len(used), values.shape[1]), np.nan, dtype=np.float32)
        return np.concatenate([values, blank])

    groups = [
        ("reads: in_proj", before, reads[rows]),
        ("convolution", taps, conv[rows]),
        ("Δ of the head: in_proj", [*before, "bias"], only_channels(deltas[head])),
        ("of the head", ["A_log", "D"], only_channels(np.column_stack([w["A_log"], w["D"]])[head])),
        ("gated by: in_proj, z", before, only_channels(w["in_proj.weight"][:inner][channels])),
        ("norm", ["weight"], only_channels(w["norm.weight"][channels][:, None])),
        ("writes: out_proj", after, only_channels(w["out_proj.weight"].T[channels])),
    ]
    return names, [WeightGroup(title, tuple(columns), values) for title, columns, values in groups]


def _olmo_groups(
    w: Mapping[str, Numbers], channels: Sequence[int], before: Sequence[str], after: Sequence[str]
) -> Groups:
    """OLMo Hybrid: channels are columns of heads, and then units; rates, keys and queries are those of a head."""
    w = {name.removeprefix("linear_attn.").removeprefix("mlp.").removesuffix(".weight"): t for name, t in w.items()}
    heads, columns = w["A_log"].shape[0], w["v_proj"].shape[0]
    size, keys = columns // heads, w["k_proj"].shape[0] // heads
    at = np.asarray(channels, dtype=np.intp)
    head = np.where(at < columns, at // size, 0)
    n_taps = w["conv1d"].shape[-1]

    def both(of_columns: Numbers, of_units: Numbers | None = None) -> Numbers:
        """Rows of columns, and rows of units; blank where units have none."""
        blank = np.full((w["up_proj"].shape[0], of_columns.shape[1]), np.nan, dtype=np.float32)
        return np.concatenate([of_columns, blank if of_units is None else of_units])[at]

    def of_head(values: Numbers) -> Numbers:
        return np.where((at < columns)[:, None], values[head], np.nan).astype(np.float32)

    groups = [
        ("value, or the unit's gate: v_proj, gate_proj", before, both(w["v_proj"], w["gate_proj"])),
        ("convolution", [f"t−{n}" if n else "t" for n in reversed(range(n_taps))], both(w["conv1d"][-columns:, 0])),
        ("α of the head: a_proj", [*before, "bias"], of_head(np.column_stack([w["a_proj"], w["dt_bias"]]))),
        ("β of the head: b_proj", before, of_head(w["b_proj"])),
        *(
            (f"{title} of the head, coordinate {n}: {name}", before, of_head(w[name][n::keys]))
            for name, title in (("k_proj", "key"), ("q_proj", "query"))
            for n in range(keys)
        ),
        ("gated by, or the unit's factor: g_proj, up_proj", before, both(w["g_proj"], w["up_proj"])),
        ("writes: o_proj, down_proj", after, both(w["o_proj"].T, w["down_proj"].T)),
    ]
    return [], [WeightGroup(title, tuple(names), values) for title, names, values in groups]


# -- memories --------------------------------------------------------------------------------------------------------


def memory_table(checkpoint: Checkpoint, word: Sequence[str]) -> MemoryTable:
    """What the memories hold, in ``transformers``' own forward pass. O(|word| * parameters).

    Args:
        checkpoint: a checkpoint that scancraft wrote.
        word: what it reads after ``<bos>``.

    Raises:
        ReadoutError: a symbol has no token.
        CheckpointError: the manifest's labels do not fit the weights.
    """
    readout, alphabet = checkpoint.readout, checkpoint.language.alphabet
    cache = run_with_cache(Subject(labelled_model(checkpoint), checkpoint.manifest), [tuple(word)])
    memories = labels_of(checkpoint).memories
    held = (["?" if v is None else number_text(v) for v in memory.decode(cache)[0]] for memory in memories)
    allowed = readout.says(cache.logits[0][:, readout.columns(alphabet)])
    return MemoryTable(
        ("<bos>", *word),
        tuple(f"block {memory.block}: {memory.name}" for memory in memories),
        tuple(map(tuple, held)),
        read_tokens(alphabet, follow=bool(readout.next_index), end=readout.accept is not None, classes=readout.classes),
        tuple(map(tuple, allowed.T.tolist())),
    )
