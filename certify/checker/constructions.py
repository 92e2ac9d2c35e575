"""The checker of certificates for counter languages ("counters") and bounded Dyck languages ("slots").

The proofs are those of ``docs/certificates.md``, section "Counters and bounded Dyck languages", made again from the
weights with no code of the search: which entry of which state holds what, what each block adds to the residual vectors
as a function of the letter, the control state, and the signs of the counters (or the depth and the bracket on top), and
what scores follow. The control is checked like any star-free language, by ``certificate_checker``.

Where a number depends on a counter, obligations are verified on the whole range of its values at once. What is derived
is compared with the model's own steps at some values, so that a mistake in a formula here does not go unnoticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .certificate import (
    ROWS,
    Bools,
    Floats,
    Ints,
    _array,
    _check_readout,
    _check_stages,
    _Done,
    _exact,
    _first,
    _first_graph,
    _Graph,
    _Language,
    _need,
    _Obligations,
    _open,
)
from .languages import (
    SIGNS,
    CounterLanguage,
    Moves,
    Node,
    completable,
    reachable,
    read_bounded_dyck,
    read_counter_machine,
)
from .ranges import LARGEST_SUM, Block, Range, Symbols, add, exactly, fits, hull, linear, normed, sample, times

MOST_NUMBERS = 1 << 25
"""In one array; what needs more is rejected."""
MOST_BREAKPOINTS = 1000
OPENING, CLOSING = 0, 1


def check_construction(directory: Path, content: dict[str, Any], manifest: dict[str, Any], done: _Done) -> str:
    """Check a certificate whose words and own digest are in order already; the scope that was verified."""
    about, slots = content["language"], content["method"] == "slots"
    kind = "bounded_dyck" if slots else "counter_machine"
    _need(content["scope"] == "every-implementation", f"scope {content['scope']!r} is not that of this method")
    _need(content["dtype"] in ("float32", "bfloat16"), f"dtype {content['dtype']} is not that of this method")
    _need(set(about) == {kind}, f"language: not exactly {kind}")
    text = json.dumps(about, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    _need(content["sha256"]["language"] == digest, "certificate.json: the sha256 of the language is another")
    named = {key: value for key, value in manifest["language"].items() if key != "class"}
    same = text == json.dumps(named, sort_keys=True, separators=(",", ":"))
    _need(same, "language: scancraft.json names another")
    for entry in content["obligations"]:
        good = type(entry["checked"]) is int and entry["checked"] >= 0 and type(entry["detail"]) is str
        _need(good, f"obligation {entry['name']}: malformed")
    proof: _Proof
    if slots:
        symbols, depth = read_bounded_dyck(about[kind])
        _need(content["contract"] == "live-prefixes", 'method "slots" proves live prefixes only')
        _need(content["limits"] == {}, "limits: this method has none")
        _need(content["counts"]["stages"] == 0, "counts: this method has no control blocks")
        alive = np.ones(1, dtype=bool)
        control = _Language(symbols, np.zeros((1, len(symbols)), dtype=np.int64), alive, alive)
        proof = _Proof(directory, content, manifest, control, done)
        _check_slots(proof, len(symbols) // 2, depth)
    else:
        language = read_counter_machine(about[kind])
        cases = reachable(language)
        _need(cases is not None, "language: too many counters and control states")
        assert cases is not None
        _need(completable(language, cases), "language: not every live word is known to lead to an accepted one")
        proof = _Proof(directory, content, manifest, language.control, done)
        _check_counters(proof, language, cases, _limits(content["limits"], language))
    counts = {**proof.counts, "readouts": proof.readouts}
    _need(content["counts"] == counts, f"counts: the evidence has {counts}, the certificate says {content['counts']}")
    _need(content["margin"] == proof.margin, f"margin: it is {proof.margin!r}, not {content['margin']!r}")
    return str(content["scope"])


def _limits(limits: dict[str, Any], language: CounterLanguage) -> Ints:
    """The limit of each counter; sums of any part of a scan must be exact as long as the word is alive."""
    _need(set(limits) == set(language.names), "limits: not one for each counter")
    for name, initial, signed in zip(language.names, language.initial, language.signed, strict=True):
        limit = limits[name]
        _need(type(limit) is int and limit >= max(1, abs(initial)), f"limits: {limit!r} of counter {name!r} is too low")
        # The sum of the writes of any segment is the difference of two values.
        _need((2 if signed else 1) * limit <= LARGEST_SUM, f"limits: {limit} of counter {name!r} is too high")
    return np.array([limits[name] for name in language.names], dtype=np.int64)


class _Proof:
    """The model, what the control blocks make of it, and the read-outs that were verified."""

    def __init__(
        self, directory: Path, content: dict[str, Any], manifest: dict[str, Any], control: _Language, done: _Done
    ) -> None:
        readout = content["readout"]
        _check_readout(readout, content["contract"], control, manifest)
        self.all_words = content["contract"] == "all-words"
        self.content, self.manifest = content, manifest
        machine, embedded, arrays = _open(directory, content, control.symbols)
        _need(not machine.two, "implementation: there is no argument yet for counters or slots in blocks of Mamba-2")
        self.machine, self.done, self.control = machine, done, control
        self.ob = _Obligations(content["dtype"], machine.model)
        stages = content["counts"]["stages"]
        name = "stage0.nodes" if stages else "final.nodes"
        graph = _first_graph(arrays, control, not self.all_words, embedded, name)
        graph, self.counts, end = _check_stages(
            content["method"], stages, arrays, graph, control, machine, done, self.ob
        )
        _need(end == stages, f"the control ends at block {end}, which are not {stages} blocks")
        self.graph: _Graph = graph
        self.vectors: Floats = graph.vectors[graph.nodes[:, 2]].astype(np.float64)
        self.columns = [*(readout["next_symbol"][s] for s in control.symbols), readout["accept"]]
        self.head = _array(machine.model.lm_head.weight)
        self.readouts, self.margin = 0, float("inf")
        self.blocks = [Block(self.ob, machine, n, done) for n in range(stages, len(machine.blocks))]

    def need_blocks(self, titles: list[str]) -> list[Block]:
        """The blocks after the control, which must be these."""
        found = len(self.blocks)
        _need(found == len(titles), f"{found} blocks follow the control, not {len(titles)}: {', '.join(titles)}")
        return self.blocks

    def scores(self, base: Floats) -> Floats:
        """All logits for known vectors."""
        parts = []
        for at in range(0, len(base), ROWS):
            unit = self.ob.norm(self.machine.model.backbone.norm_f, _exact(base[at : at + ROWS]), "norm_f")
            parts.append(self.ob.linear([(self.machine.model.lm_head.weight, unit)], "lm_head").floats())
        return np.concatenate(parts)

    def check_scores(self, scores: Floats, truth: Bools, vectors: Floats, where: Any) -> None:
        """Compare signs with the truth, and the scores with those that the model gives for the vectors."""
        chosen = scores[:, self.columns]
        wrong = ((chosen > 0) != truth).any(axis=1)
        if wrong.any():
            n = _first(wrong)
            _need(False, f"read-out {where(n)}: the model's scores are {chosen[n].tolist()}")
        some = sample(len(vectors))
        own = self.machine.logits(vectors[some].astype(np.float32))
        _need((own == scores[some]).all(), "read-out: exact arithmetic gives other scores than the model")
        self.readouts += len(scores)
        self.margin = min(self.margin, float(np.abs(chosen).min(initial=np.inf)))


# -- a block that counts -------------------------------------------------------------------------------------------


class _Count(NamedTuple):
    """What the counters are: their initial values, bounds, and per control state and letter what is added."""

    initial: Ints
    lo: Ints
    hi: Ints
    adds: Ints
    live: int


def _check_counting(
    block: Block, graph: _Graph, vectors: Floats, bos: int, count: _Count
) -> tuple[Floats, Symbols, list[list[int]]]:
    """Every entry of the state holds nothing, what is written now, or a counter; what comes out, affine in them.

    Also the entries (channel * d_state + state) of each counter.
    """
    letters, states = graph.nodes[:, 0], graph.nodes[:, 1]
    block.need((letters[1:] != bos).all(), "<bos> occurs in two nodes")
    view = block.look(vectors)
    rows, k = len(vectors), len(count.initial)
    held, write = view.held.reshape(rows, -1), view.write.reshape(rows, -1)
    silent, fresh = (write == 0).all(axis=0), ~held.any(axis=0)
    counting = ~silent & ~fresh
    bad = counting & (held[0] | ~held[1:].all(axis=0))
    block.need(not bad.any(), f"entry {_first(bad)} is neither overwritten nor counts at every letter")
    bad = counting & (write != np.rint(write)).any(axis=0)
    block.need(not bad.any(), f"entry {_first(bad)} adds up what is no integer")

    source, target = np.divmod(graph.pairs, rows)
    alive = states[target] < count.live
    source, target = source[alive], target[alive]
    added = count.adds[:, states[source], letters[target]]
    owners: list[list[int]] = [[] for _ in range(k)]
    like: dict[bytes, int] = {}
    for entry in np.flatnonzero(counting).tolist():
        found = [
            i for i in range(k) if write[0, entry] == count.initial[i] and (write[target, entry] == added[i]).all()
        ]
        block.need(found, f"entry {entry} adds up what no counter of the language does")
        # Counters that are always equal can have an entry each.
        key = write[:, entry].tobytes()
        i = found[like.get(key, 0) % len(found)]
        like[key] = like.get(key, 0) + 1
        block.need(
            not owners[i] or (write[:, entry] == write[:, owners[i][0]]).all(),
            f"entries {owners[i][:1]} and {entry} hold one counter, but differ once the word has died",
        )
        owners[i].append(entry)

    lo = np.where(fresh, write, 0.0)
    hi, unit = lo.copy(), exactly(lo).unit
    slope = np.zeros((k, vectors.shape[1]))
    for i, entries in enumerate(owners):
        if entries:
            lo[:, entries], hi[:, entries], unit[:, entries] = count.lo[i], count.hi[i], 0
            shares = block.share(view, np.array(entries))
            block.need((shares == shares[0]).all(), f"counter {i} is read differently at some nodes")
            slope[i] = shares[0]
    shape = view.write.shape
    state = Range(lo, hi, unit).map(lambda a: a.reshape(shape))
    block.keeps(state)
    skip = times(exactly(view.x), exactly(block.skip))
    block.reads(state, exactly(view.c[:, None, :]), skip, exactly(view.gate))
    base = block.output(vectors, view, np.where(fresh, write, 0.0).reshape(shape))
    counters = Symbols(slope, count.lo.astype(float), count.hi.astype(float), np.zeros(k, dtype=np.int64))
    block.settles(counters.around(base - vectors), exactly(vectors))

    before = np.where(counting, 1.0, 0.0) + np.zeros_like(write)
    after = np.where(held, before, 0.0) + write
    values = np.array([after[:, e[0]] if e else np.zeros(rows) for e in owners])
    block.agree(vectors, None, before, after, base + values.T @ slope)
    return base, counters, owners


def _check_watched(
    listed: Any, owners: list[list[int]], names: list[str], limits: dict[str, Any], where: tuple[Any, ...]
) -> None:
    """What scancraft's runner watches, by the manifest, are the counters, with the certificate's limits."""
    number, states, dtype = where
    found = {entry["name"]: entry for entry in listed}
    _need(len(found) == len(listed) == len(names), "scancraft.json: it does not list each counter once")
    taken = {place for entries in owners for place in entries}
    for name, entries in zip(names, owners, strict=True):
        entry = found.get(f"counter {name}", {"block": None})
        _need(entry["block"] == number, f"scancraft.json: counter {name!r} is not in its block")
        place = entry["channel"] * states + entry["state"]
        # A counter that never moves need not have an entry of its own.
        good = place in entries if entries else place not in taken
        _need(0 <= entry["state"] < states and good, f"scancraft.json: counter {name!r} lies elsewhere")
        _need(entry["limits"][dtype] == limits[name], f"scancraft.json: another limit of counter {name!r}")


# -- counter languages ---------------------------------------------------------------------------------------------


def _check_counters(proof: _Proof, language: CounterLanguage, cases: dict[Node, Moves], limits: Ints) -> None:
    titles = ["counters", "signs", *(["error latch"] if proof.all_words else [])]
    counting, testing, *latch = proof.need_blocks(titles)
    nodes, bos = proof.graph.nodes, len(language.symbols)
    # Once a word has died a counter is any integer within its limit, of either sign: that is all that is used of it.
    lo = -limits if proof.all_words else np.where(language.signed, -limits, 0)
    count = _Count(language.initial, lo, limits, language.adds, language.live)
    base, counters, owners = _check_counting(counting, proof.graph, proof.vectors, bos, count)
    place = (len(proof.machine.blocks) - len(titles), proof.machine.model.config.state_size, proof.content["dtype"])
    _check_watched(proof.manifest["counters"], owners, list(language.names), proof.content["limits"], place)
    base, effects = _check_testing(testing, base, counters)

    possible = [SIGNS if proof.all_words or signed else SIGNS[1:] for signed in language.signed]
    size = len(nodes) * int(np.prod([float(len(signs)) for signs in possible])) * base.shape[1]
    _need(size <= MOST_NUMBERS, f"{len(nodes)} nodes and {len(possible)} counters make too many cases")
    patterns = np.array(list(product(*possible)), dtype=np.int64)
    node = np.repeat(np.arange(len(nodes)), len(patterns))
    signs = np.tile(patterns, (len(nodes), 1))
    vectors = base[node]
    for i, effect in enumerate(effects):
        vectors += effect[node, signs[:, i] + 1]
    letters, states = nodes[node, 0], nodes[node, 1]
    alive, allowed = language.alive(cases, states, signs), language.allowed(states, signs)

    unknown = counters
    if proof.all_words:
        errors, least = _check_latch(latch[0], vectors, counters, letters, alive, allowed, bos)
        vectors, unknown = vectors + latch[0].out_bias, counters.plus(errors)
    model = proof.machine.model
    inner = normed(proof.ob, model.backbone.norm_f, vectors, unknown, "norm_f")
    moving = (counters.slope != 0).any(axis=0)
    _need(not proof.head[:, moving].any(), "lm_head: a score depends on a counter itself")
    scores = proof.scores(vectors)
    shown = vectors[alive] + signs[alive] @ counters.slope
    proof.check_scores(
        scores[alive],
        allowed[alive],
        shown,
        lambda n: f"at node {node[alive][n]} with signs {signs[alive][n].tolist()}",
    )
    if proof.all_words:
        logits = linear(proof.ob, proof.head, inner.around, "lm_head")
        proof.ob.need("sums", fits(proof.ob, logits), "lm_head: rounding")
        highest = scores[:, proof.columns].max(axis=0)
        growth = inner.slope[len(counters.slope) :] @ proof.head[proof.columns].T
        good = (growth <= 0).all() and (highest + growth * least[:, None] < 0).all()
        _need(good, "read-out: a score is not negative although the error latch is set")


def _check_testing(block: Block, base: Floats, counters: Symbols) -> tuple[Floats, list[Floats]]:
    """What the block adds depends on the node and the signs: the vectors without, and per counter (node, sign, row)."""
    view = block.look(base)  # all counters at 0
    block.no_gate_of_one_with_a_write(view)
    block.need(not view.write.any(), "a state is written")
    d, k, rows = block.channels, len(counters.slope), len(base)
    inside = normed(block.ob, block.block.norm, base, counters, block.where)
    reads = (block.in_proj != 0) @ (counters.slope != 0).T.astype(np.int64) > 0
    block.need(not reads[d:].any(), "the gate branch reads a counter")
    reads = reads[:d]
    block.need((reads.sum(axis=1) <= 1).all(), "a channel reads several counters")
    block.need(not block.x_proj[:, reads.any(axis=1)].any(), "x_proj reads a channel that reads a counter")

    u = linear(block.ob, block.in_proj, inside.around, f"{block.where} in_proj", block.in_bias)
    block.ob.need("sums", fits(block.ob, u), f"{block.where} in_proj: rounding")
    tap, bias = block.taps[:, -1], np.broadcast_to(block.conv_bias, (rows, d))
    tapped = times(u.map(lambda a: a[:, :d]), exactly(tap))
    # Where the bias is not positive and the other term at most -1024, their sum is as well, however it is rounded: x
    # is 0 there, and the sum need not be exact.
    clip = bias <= 0
    tapped = tapped._replace(
        lo=np.where(clip, np.maximum(tapped.lo, -1024.0), tapped.lo),
        hi=np.where(clip, np.maximum(tapped.hi, -1024.0), tapped.hi),
    )
    pairs = (np.stack(pair, axis=2).reshape(rows, -1) for pair in zip(tapped, exactly(bias), strict=True))
    convolved = add(block.ob, Range(*pairs), np.arange(d) * 2, f"{block.where} conv1d")
    block.ob.need("sums", fits(block.ob, convolved), f"{block.where} conv1d: rounding")
    x = convolved._replace(lo=np.maximum(convolved.lo, 0.0), hi=np.maximum(convolved.hi, 0.0))
    gate, nothing = exactly(view.gate), exactly(np.zeros_like(view.write))
    block.reads(nothing, exactly(view.c[:, None, :]), times(x, exactly(block.skip)), gate)

    constant = view._replace(x=np.where(reads.any(axis=1), 0.0, view.x))
    plain = block.output(base, constant, np.zeros_like(view.write))
    start = tap * (inside.base @ block.in_proj[:d].T + block.in_bias[:d]) + block.conv_bias
    growth = tap * (inside.slope @ block.in_proj[:d].T)
    effects = [_effect(block, view, start, growth[i], reads[:, i], counters.lo[i], counters.hi[i]) for i in range(k)]

    lo, hi, unit = exactly(plain - base)
    for effect in effects:
        unit = np.minimum(unit, exactly(effect).unit.min(axis=1))
        lo, hi = lo + effect.min(axis=1), hi + effect.max(axis=1)
    block.settles(Range(lo, hi, unit), counters.around(base))
    for sign in SIGNS:
        if (counters.lo <= sign).all():
            moved = sign * counters.slope.sum(axis=0)
            out = plain + sum((effect[:, sign + 1] for effect in effects), np.zeros_like(plain)) + moved
            block.agree(base + moved, None, nothing.lo, nothing.lo, out)
    return plain, effects


def _effect(
    block: Block, view: Any, start: Floats, growth: Floats, reads: Bools, lowest: float, highest: float
) -> Floats:
    """What the channels that read one counter add, per node and sign of the counter; on no more may it depend.

    A channel's x is max(0, start + growth * c) at integers c. Between the integers next to the roots all of them are
    affine in c, so it is enough to look there, at 0, 1, -1 and at the ends.
    """
    channels = np.flatnonzero(reads)
    a, b = start[:, channels], growth[channels]
    moving = b != 0
    roots = np.unique(np.floor(-a[:, moving] / b[moving]))
    near = np.concatenate([roots[:, None] + np.arange(-2, 4)], axis=None)
    points = np.unique(np.clip([*near, lowest, highest, -1.0, 0.0, 1.0], lowest, highest))
    block.need(len(points) <= MOST_BREAKPOINTS, "a counter has too many breakpoints")
    convolved = a[:, :, None] + b[:, None] * points
    good = (convolved <= -1024) | (convolved == 0) | (convolved >= 64)
    block.ob.need("functions", good, f"{block.where} conv1d: silu of a counter")
    x = np.maximum(convolved, 0.0) * (block.skip[channels] * view.gate[:, channels])[:, :, None]
    added = np.einsum("rj,njp->npr", block.out_proj[:, channels], x)
    found = np.zeros((len(a), 3, len(block.out_proj)))
    for sign in SIGNS:
        same = added[:, np.sign(points) == sign]
        if same.shape[1]:
            block.need((same == same[:, :1]).all(), "what is added depends on more than the sign of a counter")
            found[:, sign + 1] = same[:, 0]
    return found


def _check_latch(
    block: Block, vectors: Floats, counters: Symbols, letters: Ints, alive: Bools, allowed: Bools, bos: int
) -> tuple[Symbols, Floats]:
    """The entries of the error latch as unknowns, and the least number but 0 that each can hold.

    All are 0 while the word lives; from its first dead prefix on one is positive.
    """
    normed(block.ob, block.block.norm, vectors, counters, block.where)
    moving = (counters.slope != 0).any(axis=0)
    block.need(not block.in_proj[:, moving].any(), "a channel reads a counter itself")
    u, gate = block.project(vectors)
    used = block.taps != 0
    block.need(used.shape[1] >= 2 and not used[:, :-2].any(), "the convolution sees more than the step before")
    past, now = used[:, -2], used[:, -1]
    block.need(not (past & now).any(), "a channel reads both taps")
    shown = np.array([_first(letters == letter) for letter in range(bos + 1)])  # a case for each letter
    same = u[:, now] == u[shown[letters]][:, now]
    block.need(same.all(), "what is read of the present depends on more than the letter")
    before, which = np.unique(u[:, past], axis=0, return_inverse=True)
    which = which.reshape(-1)
    _need(len(before) * bos * block.taps.size <= MOST_NUMBERS, "the error latch sees too many cases")
    # Rows (what is read of the step before, letter now), then <bos> after nothing.
    windows = np.zeros((len(before) * bos + 1, *block.taps.shape))
    windows[:-1, past, -2] = np.repeat(before, bos, axis=0)
    present = np.append(np.tile(np.arange(bos), len(before)), bos)
    windows[:, now, -1] = u[shown[present]][:, now]
    view = block.look_at(windows)
    block.no_gate_of_one_with_a_write(view)
    block.keeps(exactly(view.write))
    held, write = view.held.reshape(len(windows), -1), view.write.reshape(len(windows), -1)
    block.need(not write[-1].any(), "<bos> does not clear the error latch")
    entries = np.flatnonzero((write != 0).any(axis=0))  # all others are 0 for ever
    bad = (~held & (write <= 0))[:-1, entries]
    block.need(not bad.any(), "the error latch is overwritten with something that is not positive")
    quiet = held[:-1, entries].all(axis=1).reshape(len(before), bos)[which]
    bad = alive[:, None] & (quiet != allowed[:, :-1])
    block.need(not bad.any(), f"the error latch takes a step wrongly in case {_first(bad.any(axis=1))}")

    channel, state = np.divmod(entries, block.states)
    fixed = (gate[:, channel] == gate[0, channel]).all() and (view.c[:, state] == view.c[0, state]).all()
    block.need(fixed, "how the error latch is read depends on the step")
    skip = view.x * block.skip
    block.need(not (skip != 0).any(axis=0)[(block.out_proj != 0).any(axis=0)].any(), "x itself is read")
    one = view._replace(gate=gate[:1], c=view.c[:1])
    shares = [block.share(one, entries[i : i + 1]) for i in range(len(entries))]
    slope = np.concatenate([np.zeros((0, vectors.shape[1])), *shares])
    written = hull(view.write)
    state_range, c, skipped = (part.map(lambda a: a[None]) for part in (written, hull(view.c), hull(skip)))
    block.reads(state_range, c.map(lambda a: a[None]), skipped, hull(gate))
    least = np.where(write[:, entries] > 0, write[:, entries], np.inf).min(axis=0)
    errors = Symbols(slope, np.zeros(len(entries)), write[:, entries].max(axis=0), written.unit.reshape(-1)[entries])
    block.settles(errors.around(block.out_bias[None]), counters.around(vectors))

    full = np.where((write != 0).any(axis=0), write.max(axis=0), 0.0)
    for start in (np.zeros_like(full), full):
        before_step = np.broadcast_to(start, write.shape)
        after = np.where(held, before_step, write)
        out = vectors[shown[present]] + block.out_bias + after[:, entries] @ slope
        block.agree(vectors[shown[present]], windows[:, :, -2], before_step, after, out)
    return errors, least


# -- bounded Dyck languages ----------------------------------------------------------------------------------------


def _check_slots(proof: _Proof, kinds: int, depth: int) -> None:
    counting, block = proof.need_blocks(["depth", "slots"])
    letters, bos = proof.graph.nodes[:, 0], 2 * kinds
    adds = np.where(np.arange(bos) % 2 == OPENING, 1, -1)[None, None]
    count = _Count(np.zeros(1, np.int64), np.zeros(1, np.int64), np.array([depth]), adds, 1)
    _need(depth <= LARGEST_SUM, "language: too deep")
    by_node, counters, _ = _check_counting(counting, proof.graph, proof.vectors, bos, count)
    base = by_node[np.array([_first(letters == letter) for letter in range(bos + 1)])]

    # Inputs: (opening kind k, d = 1..h), then (closing kind k, d = 0..h-1), then <bos>; kinds vary fastest.
    rows = 2 * kinds * depth + 1
    _need(rows * block.channels * block.states <= MOST_NUMBERS, "language: too many inputs")
    kind, level = np.tile(np.arange(kinds), 2 * depth), np.repeat(np.arange(2 * depth), kinds)
    closes = level >= depth
    letter = np.append(2 * kind + closes, bos)
    depths = np.append(np.where(closes, level - depth, level + 1), 0)
    vectors = base[letter] + depths[:, None] * counters.slope[0]
    view = block.look(vectors)
    block.no_gate_of_one_with_a_write(view)
    block.keeps(exactly(view.write))
    held, write = view.held.reshape(rows, -1), view.write.reshape(rows, -1)
    used = np.flatnonzero((write != 0).any(axis=0))
    # A slot belongs to the greatest depth at which it is ever overwritten.
    owner = np.where(held[:, used], -1, depths[:, None]).max(axis=0, initial=-1)
    block.need((owner >= 1).all(), "an entry is written, but at no depth")
    there = depths[:, None] == owner
    opens = letter % 2 == OPENING
    opens[-1] = False
    bad = (there & (held[:, used] == opens[:, None])).any(axis=0)
    block.need(not bad.any(), "an entry is not overwritten at just the opening brackets of its depth")
    values = write[((owner - 1) * kinds)[None] + np.arange(kinds)[:, None], used]
    block.need((values >= 0).all(), "an entry is overwritten with something negative")

    state, skip = hull(view.write).map(lambda a: a[None]), view.x * block.skip
    for at in range(0, rows, ROWS):
        part = slice(at, at + ROWS)
        block.reads(state, exactly(view.c[part, None]), exactly(skip[part]), exactly(view.gate[part]))
    plain = block.output(vectors, view, np.zeros_like(view.write))
    groups: dict[bytes, list[int]] = {}
    for n, entry in enumerate(used.tolist()):
        groups.setdefault(held[:, entry].tobytes() + write[:, entry].tobytes(), []).append(n)
    shown: list[list[tuple[Floats, Floats]]] = [[] for _ in range(depth + 1)]
    for group in groups.values():
        at_depth = int(owner[group[0]])
        share = block.share(view, used[group])
        block.need(not share[depths != at_depth].any(), f"a slot of depth {at_depth} is read at other depths")
        shown[at_depth].append((share[depths == at_depth], values[:, group[0]]))

    expected = np.empty_like(plain)
    top = np.arange(rows) % kinds
    for row, out, stream, tops, truth in _slot_cases(plain, vectors, shown, depths, letter, kinds, depth):
        block.settles(exactly(out - stream), exactly(stream))
        proof.check_scores(proof.scores(out), truth, out, lambda i, row=row: f"input {row[i]}")
        mine = (tops < 0) | (tops == top[row]) | opens[row]
        expected[row[mine]] = out[mine]

    before, after = np.zeros((rows, held.shape[1])), write.copy()
    before[:, used] = values[top]
    after[held] = before[held]
    block.agree(vectors, None, before, after, expected)


def _slot_cases(
    plain: Floats,
    vectors: Floats,
    shown: list[list[tuple[Floats, Floats]]],
    depths: Ints,
    letter: Ints,
    kinds: int,
    depth: int,
) -> Iterator[tuple[Ints, Floats, Floats, Ints, Bools]]:
    """Case by case: input, vector that comes out and that went in, kind on top (-1: none), tokens that are allowed."""
    for d in range(depth + 1):
        inputs = np.flatnonzero(depths == d)  # opening brackets first (if any), kind by kind, then closing ones
        closing = letter[inputs] % 2 == CLOSING
        if d == 0:
            place, tops = np.arange(len(inputs)), np.full(len(inputs), -1)
        else:
            n = int(closing.sum())
            place = np.concatenate([np.flatnonzero(~closing), np.repeat(np.flatnonzero(closing), kinds)])
            tops = np.concatenate([np.arange(kinds), np.tile(np.arange(kinds), n)])
        out = plain[inputs][place]
        for share, values in shown[d]:
            out = out + share[place] * values[tops][:, None]
        truth = np.zeros((len(place), 2 * kinds + 1), dtype=bool)
        truth[:, 0:-1:2] = d < depth
        truth[:, 1:-1:2] = tops[:, None] == np.arange(kinds)
        truth[:, -1] = d == 0
        yield inputs[place], out, vectors[inputs][place], tops, truth
