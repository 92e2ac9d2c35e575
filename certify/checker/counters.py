"""Counter languages, method "counters": a block that counts, one that tests signs, and one that latches errors."""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np

from .argument import MOST_NUMBERS, Case, Count, Counted, Layer, Readouts, Unknowns, check_counting, normed
from .arithmetic import FORMATS, LARGEST, LARGEST_SUM, VANISHES, Range, choose, exactly, hull, times
from .blocks import written
from .closure import Graph
from .languages import SIGNS, CounterLanguage, Moves, Node
from .parts import Bools, Floats, Ints, array, bias_of, first, need, same

MOST_BREAKPOINTS = 1000


class Setting(NamedTuple):
    """What is given: the language, what live words can lead to, the limits of the counters, and the contract."""

    language: CounterLanguage
    cases: dict[Node, Moves]
    limits: Ints
    all_words: bool


def read_limits(limits: dict[str, Any], language: CounterLanguage) -> Ints:
    """The limit of each counter; sums of any part of a scan must be exact as long as the word is alive."""
    need(set(limits) == set(language.names), "limits: not one for each counter")
    for name, initial, signed in zip(language.names, language.initial, language.signed, strict=True):
        limit = limits[name]
        need(type(limit) is int and limit >= max(1, abs(initial)), f"limits: {limit!r} of counter {name!r} is too low")
        # The sum of the writes of any segment is the difference of two values.
        need((2 if signed else 1) * limit <= LARGEST_SUM, f"limits: {limit} of counter {name!r} is too high")
    return np.array([limits[name] for name in language.names], dtype=np.int64)


def check_counters(
    layers: list[Layer], readouts: Readouts, graph: Graph, vectors: Floats, setting: Setting
) -> list[list[int]]:
    """The whole argument after the control; the entries (channel * d_state + state) that hold each counter."""
    language, all_words = setting.language, setting.all_words
    titles = ["counters", "signs", *(["error latch"] if all_words else [])]
    need(len(layers) == len(titles), f"{len(layers)} blocks follow the control, not {len(titles)}: {', '.join(titles)}")
    counting, testing, *latch = layers
    nodes, bos, o = graph.nodes, len(language.symbols), testing.o
    # Once a word has died a counter is any integer within its limit, of either sign: that is all that is used of it.
    lo = -setting.limits if all_words else np.where(language.signed, -setting.limits, 0)
    count = Count(language.initial, lo, setting.limits, language.adds, language.live)
    counted = check_counting(counting, graph, vectors, bos, count)
    counters = counted.counters
    base, effects = _check_testing(testing, counted)

    possible = [SIGNS if all_words or signed else SIGNS[1:] for signed in language.signed]
    size = len(nodes) * int(np.prod([float(len(signs)) for signs in possible])) * base.shape[1]
    need(size <= MOST_NUMBERS, f"{len(nodes)} nodes and {len(possible)} counters make too many cases")
    patterns = np.array(list(product(*possible)), dtype=np.int64)
    node = np.repeat(np.arange(len(nodes)), len(patterns))
    signs = np.tile(patterns, (len(nodes), 1))
    vectors = base[node]
    for i, effect in enumerate(effects):
        vectors += effect[node, signs[:, i] + 1]
    letters, states = nodes[node, 0], nodes[node, 1]
    alive, allowed = language.alive(setting.cases, states, signs), language.allowed(states, signs)

    unknown = counters
    if all_words:
        errors, least = _check_latch(latch[0], vectors, counters, letters, alive, allowed, bos)
        vectors, unknown = vectors + bias_of(latch[0].mixer.out_proj, vectors.shape[1]), counters.plus(errors)
    inner = normed(o, testing.machine.model.backbone.norm_f, vectors, unknown, "norm_f")
    moving = (counters.slope != 0).any(axis=0)
    need(not readouts.head[:, moving].any(), "lm_head: a score depends on a counter itself")
    scores = readouts.scores(vectors)
    shown = vectors[alive] + signs[alive] @ counters.slope
    readouts.check(
        scores[alive],
        allowed[alive],
        shown,
        lambda n: f"at node {node[alive][n]} with signs {signs[alive][n].tolist()}",
    )
    if all_words:
        o.linear(readouts.head, inner.around, "lm_head")
        highest = scores[:, readouts.columns].max(axis=0)
        growth = inner.slope[len(counters.slope) :] @ readouts.head[readouts.columns].T
        good = (growth <= 0).all() and (highest + growth * least[:, None] < 0).all()
        need(good, "read-out: a score is not negative although the error latch is set")
    return counted.owners


def _check_testing(layer: Layer, counted: Counted) -> tuple[Floats, list[Floats]]:
    """What the block adds depends on the node and the signs: the vectors without, and per counter (node, sign, row)."""
    base, counters = counted.base, counted.counters
    view, gate = layer.look(base)  # all counters at 0: only what no counter changes is used of it
    d, k = layer.channels, len(counters.slope)
    inside = normed(layer.o, layer.block.norm, base, counters, layer.where)
    reads = (layer.in_proj != 0) @ (counters.slope != 0).T.astype(np.int64) > 0
    layer.need(not reads[d:].any(), "the gate branch reads a counter")
    reads = reads[:d]
    layer.need((reads.sum(axis=1) <= 1).all(), "a channel reads several counters")
    used = array(layer.mixer.x_proj.weight)[:, reads.any(axis=1)]
    layer.need(not used.any(), "x_proj reads a channel that reads a counter")

    x = _convolved(layer, inside.around)
    # Delta, B and C do not depend on a counter (x_proj), but x does: nothing is written at any value of it.
    write = written(layer.o, view.delta, view.b, x, layer.where)
    layer.need(not (write.lo.any() or write.hi.any()), "a state is written")
    nothing = exactly(np.zeros(view.held.shape))
    layer.added(view._replace(x=x), gate, nothing)

    constant = choose(~reads.any(axis=1), view.x)
    plain = base + layer.added(view._replace(x=constant), gate, nothing).lo
    tap, in_bias, bias = layer.taps[:, -1], bias_of(layer.mixer.in_proj, 2 * d), bias_of(layer.mixer.conv1d, d)
    start = tap * (inside.base @ layer.in_proj[:d].T + in_bias[:d]) + bias
    growth = tap * (inside.slope @ layer.in_proj[:d].T)
    bounds = list(zip(counters.lo, counters.hi, strict=True))
    effects = [_effect(layer, gate.lo, start, growth[i], reads[:, i], bounds[i]) for i in range(k)]

    lo, hi, unit = exactly(plain - base)
    for effect in effects:
        unit = np.minimum(unit, exactly(effect).unit.min(axis=1))
        lo, hi = lo + effect.min(axis=1), hi + effect.max(axis=1)
    layer.settles(Range(lo, hi, unit), counters.around(base))
    cases = []
    for sign in SIGNS:
        if (counters.lo <= sign).all():
            moved = sign * counters.slope.sum(axis=0)
            out = plain + sum((effect[:, sign + 1] for effect in effects), np.zeros_like(plain)) + moved
            cases.append(Case(base + moved, layer.nothing_past(base), nothing.lo, nothing.lo, out))
    layer.agree(*cases)
    return plain, effects


def _convolved(layer: Layer, vectors: Range) -> Range:
    """x of a block that sees the present only, where counters are in the normed vectors."""
    o, d, where = layer.o, layer.channels, layer.where
    u = o.linear(layer.in_proj, vectors, f"{where} in_proj", layer.mixer.in_proj.bias)
    tapped = times(u.map(lambda a: a[:, :d]), exactly(layer.taps[:, -1]))
    bias = np.broadcast_to(bias_of(layer.mixer.conv1d, d), tapped.lo.shape)
    # Where the bias is not positive and the other term at most -1024, their sum is as well, however it is rounded: x
    # is 0 there, and the sum need not be exact. But it is finite: silu of an infinity is none of 0.
    clip = bias <= 0
    finite = np.maximum(np.maximum(np.abs(tapped.lo), np.abs(tapped.hi)), np.abs(bias)) <= LARGEST
    o.need("sums", finite, f"{where} conv1d: size")
    tapped = tapped._replace(
        lo=np.where(clip, np.maximum(tapped.lo, VANISHES), tapped.lo),
        hi=np.where(clip, np.maximum(tapped.hi, VANISHES), tapped.hi),
    )
    pairs = (np.stack(pair, axis=2).reshape(len(bias), -1) for pair in zip(tapped, exactly(bias), strict=True))
    convolved = o.add(Range(*pairs), np.arange(d) * 2, f"{where} conv1d")
    o.fits(convolved, f"{where} conv1d: rounding")
    return convolved._replace(lo=np.maximum(convolved.lo, 0.0), hi=np.maximum(convolved.hi, 0.0))


def _effect(
    layer: Layer, gate: Floats, start: Floats, growth: Floats, reads: Bools, bounds: tuple[float, float]
) -> Floats:
    """What the channels that read one counter add, per node and sign of the counter; on no more may it depend.

    A channel's x is max(0, start + growth * c) at integers c. Between the integers next to the roots all of them are
    affine in c, so it is enough to look there, at 0, 1, -1 and at the ends.
    """
    channels, (lowest, highest) = np.flatnonzero(reads), bounds
    a, b = start[:, channels], growth[channels]
    moving = b != 0
    roots = np.unique(np.floor(-a[:, moving] / b[moving]))
    near = np.concatenate([roots[:, None] + np.arange(-2, 4)], axis=None)
    points = np.unique(np.clip([*near, lowest, highest, -1.0, 0.0, 1.0], lowest, highest))
    layer.need(len(points) <= MOST_BREAKPOINTS, "a counter has too many breakpoints")
    convolved = a[:, :, None] + b[:, None] * points
    good = (convolved <= VANISHES) | (convolved == 0) | (convolved >= 64)
    layer.o.need("functions", good, f"{layer.where} conv1d: silu of a counter")
    x = np.maximum(convolved, 0.0) * (layer.skip.lo[channels] * gate[:, channels])[:, :, None]
    added = np.einsum("rj,njp->npr", layer.out_proj[:, channels], x)
    found = np.zeros((len(a), 3, len(layer.out_proj)))
    for sign in SIGNS:
        same = added[:, np.sign(points) == sign]
        if same.shape[1]:
            layer.need((same == same[:, :1]).all(), "what is added depends on more than the sign of a counter")
            found[:, sign + 1] = same[:, 0]
    return found


def _check_latch(
    layer: Layer, vectors: Floats, counters: Unknowns, letters: Ints, alive: Bools, allowed: Bools, bos: int
) -> tuple[Unknowns, Floats]:
    """The entries of the error latch as unknowns, and the least number but 0 that each can hold.

    All are 0 while the word lives; from its first dead prefix on one is positive.
    """
    normed(layer.o, layer.block.norm, vectors, counters, layer.where)
    moving = (counters.slope != 0).any(axis=0)
    layer.need(not layer.in_proj[:, moving].any(), "a channel reads a counter itself")
    u, gate = layer.inputs(vectors)
    used = layer.taps != 0
    layer.need(used.shape[1] >= 2 and not used[:, :-2].any(), "the convolution sees more than the step before")
    past, now = used[:, -2], used[:, -1]
    layer.need(not (past & now).any(), "a channel reads both taps")
    shown = np.array([first(letters == letter) for letter in range(bos + 1)])  # a case for each letter
    same = u[:, now] == u[shown[letters]][:, now]
    layer.need(same.all(), "what is read of the present depends on more than the letter")
    before, which = np.unique(u[:, past], axis=0, return_inverse=True)
    which = which.reshape(-1)
    need(len(before) * bos * layer.taps.size <= MOST_NUMBERS, "the error latch sees too many cases")
    # Rows (what is read of the step before, letter now), then <bos> after nothing.
    windows = np.zeros((len(before) * bos + 1, *layer.taps.shape))
    windows[:-1, past, -2] = np.repeat(before, bos, axis=0)
    present = np.append(np.tile(np.arange(bos), len(before)), bos)
    windows[:, now, -1] = u[shown[present]][:, now]
    view = layer.look_at(windows)
    layer.no_gate_of_one_with_a_write(view)
    held, write = view.held.reshape(len(windows), -1), view.write.lo.reshape(len(windows), -1)
    layer.need(not write[-1].any(), "<bos> does not clear the error latch")
    entries = np.flatnonzero((write != 0).any(axis=0))  # all others are 0 for ever
    bad = (~held & (write <= 0))[:-1, entries]
    layer.need(not bad.any(), "the error latch is overwritten with something that is not positive")
    quiet = held[:-1, entries].all(axis=1).reshape(len(before), bos)[which]
    bad = alive[:, None] & (quiet != allowed[:, :-1])
    layer.need(not bad.any(), f"the error latch takes a step wrongly in case {first(bad.any(axis=1))}")

    channel, state = np.divmod(entries, layer.states)
    fixed = (gate.lo[:, channel] == gate.lo[0, channel]).all() and (view.c.lo[:, state] == view.c.lo[0, state]).all()
    layer.need(fixed, "how the error latch is read depends on the step")
    skip = times(view.x, layer.skip).lo
    layer.need(not (skip != 0).any(axis=0)[(layer.out_proj != 0).any(axis=0)].any(), "x itself is read")
    one, first_gate = view._replace(c=view.c.map(lambda a: a[:1])), gate.map(lambda a: a[:1])
    slope = np.concatenate(
        [
            np.zeros((0, vectors.shape[1])),
            *(layer.share(one, first_gate, entries[i : i + 1]) for i in range(len(entries))),
        ]
    )
    values = hull(view.write.lo)
    x, c, branch, state_range = (hull(part.lo).map(lambda a: a[None]) for part in (view.x, view.c, gate, view.write))
    layer.added(view._replace(x=x, c=c), branch, state_range)
    least = np.where(write[:, entries] > 0, write[:, entries], np.inf).min(axis=0)
    errors = Unknowns(slope, np.zeros(len(entries)), write[:, entries].max(axis=0), values.unit.reshape(-1)[entries])
    bias = bias_of(layer.mixer.out_proj, vectors.shape[1])
    layer.settles(errors.around(np.broadcast_to(bias, vectors.shape)), counters.around(vectors))

    full = np.where((write != 0).any(axis=0), write.max(axis=0), 0.0)
    cases = []
    for start in (np.zeros_like(full), full):
        before_step = np.broadcast_to(start, write.shape)
        after = np.where(held, before_step, write)
        came = vectors[shown[present]] + bias + after[:, entries] @ slope
        cases.append(Case(vectors[shown[present]], windows[:, :, -2], before_step, after, came))
    layer.agree(*cases)
    return errors, least


def check_watched(
    listed: Any, owners: dict[str, list[tuple[int, int, int]]], limits: dict[str, Any], dtype: str
) -> None:
    """What scancraft's runner watches, by the manifest, are the counters, with the certificate's limits.

    Args:
        listed: the manifest's counters.
        owners: per counter the entries (block, channel, state) that hold it.
        limits: per counter the limit.
        dtype: the format that the certificate is about.
    """
    found = {entry["name"]: entry for entry in listed}
    need(len(found) == len(listed) == len(owners), "scancraft.json: it does not list each counter once")
    taken = {place for places in owners.values() for place in places}
    for name, places in owners.items():
        entry = found.get(f"counter {name}", {})
        place = tuple(entry.get(key) for key in ("block", "channel", "state"))
        whole = all(type(part) is int for part in place)
        # A counter that never moves need not have an entry of its own.
        good = whole and (place in places if places else place not in taken)
        need(good, f"scancraft.json: it says that counter {name!r} is at (block, channel, state) {place}, not {places}")
        need(same(entry.get("unit", 1), 1), f"scancraft.json: counter {name!r} is not counted in units of 1")
        limit = entry["limits"].get(dtype)
        need(
            type(limit) is int and limit == limits[name],
            f"scancraft.json: another limit of counter {name!r}: {limit!r}, not {limits[name]:,} in {dtype}",
        )
        for other, most in entry["limits"].items():  # of another format nothing is certified, but the runner reads it
            good = type(most) is int and other in FORMATS and 1 <= most <= 1 << FORMATS[other][0]
            need(good, f"scancraft.json: no counter is exact up to {most!r} in {other}")
