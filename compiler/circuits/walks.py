"""Languages that count within bounds: the live part is a walk in Z^d (``automata.decide.walks``): d counters know it.

Blocks, at most three for all words and two for live prefixes, however many states there are:

1. *Counting.* A letter's embedding holds its step in the very dimensions that the counters are written to; the block
   takes the step away again as it adds the count.
2. *Tents*, only where some token is ruled out at places between those where it is allowed. With r_k = max(0, w . c - k)
   and places p < n that allow it, (n-p-1) r_p - (n-p) r_(p+1) + r_n is 0 at p, at n and beyond, and positive between.
3. *Ramps and the error latch.* Where a token is ruled out only beyond the places that allow it, r_k with k = max w . c
   over those is 0 on them and positive on the others: one channel. A word has died as soon as the counters leave the
   box around all live places; the latch is then overwritten with something positive, and it rules out every token.
   Where a letter kills but leads into the box, a latch of its own sees it come at such a place (as in
   ``compiler.circuits.latching``).

On live prefixes one more block falls away: no latch is needed, and a verdict that is a single ramp need not be cut off
at 0, so that the read-out sees the count itself. D_n: one block on live prefixes, two for all words.

*After death* the counters go on and may leave every bound, also the one where floats round. What rules tokens out are
sums of ramps, never negative, and of the latch: whatever a counter holds, a latch is held (d = -1) or overwritten with
d * 1 for an odd d >= 1, since each ramp is a whole number however it was rounded, and d is twice a sum of such minus 1.
So the latch stays at 1 at least, and every verdict with it. The constant of the stream is 2^60 here, so that the norms
stay exact for counters up to 2^40, which no word shorter than 2^40 / (the largest step) letters reaches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from ...automata.alphabet import BOS
from ...automata.budget import DEFAULT_BUDGET, Budget
from ...automata.decide.tallies import tally_of
from ...automata.decide.walks import NoWalk, Vector, Walk, fewer, walk_of
from ...automata.dfa import Dfa
from .circuit import CONSTANT_EXPONENT, NOW, PAST, Circuit, CircuitBlock, CircuitChannel, Latch
from .counting import FLOAT_BITS, counting_block
from .forms import ALWAYS, ONE, Form, plus, show, value_of
from .places import Map, Ramp, along, cuts, moved, ruled_out, runs, tents
from .tallies import AFTER_DEATH, WIDE_CONSTANT, Contract, tally_circuit

READ = "a token"
"""The feature of ``<bos>`` and every symbol: where it is 0 (padding), nothing may come next."""
LARGEST_PLACE = 1 << 16
MOST_WALKS = 60
"""That are tried."""


def counted(
    dfa: Dfa, contract: Contract = "all-words", budget: Budget = DEFAULT_BUDGET, *, widest: int = 2
) -> Circuit | None:
    """The language by counters alone, or None where its live part is no walk, or needs no counter.

    One counter of windows in one block, where that tells it (:func:`tallied`); else counters of letters.

    Raises:
        BudgetExceededError: it takes more time than there is.

    >>> from scancraft.automata.families import d_n
    >>> [counted(d_n(12), contract).n_blocks for contract in ("all-words", "live-prefixes")]
    [2, 1]
    """
    clock = budget.meter("walks")
    if (circuit := tallied(dfa, contract, budget, widest)) is not None:
        return circuit
    found = walk_of(dfa, budget)
    if isinstance(found, NoWalk) or found.dimension == 0:
        return None
    circuits = []
    for walk in (found, *islice(fewer(found, budget), MOST_WALKS)):
        clock.check_time()
        if _largest(walk) <= LARGEST_PLACE:
            circuits.append(walk_circuit(dfa, walk, contract))
    return min(circuits, key=_size, default=None)


def tallied(dfa: Dfa, contract: Contract, budget: Budget, widest: int) -> Circuit | None:
    """The language by one counter of windows that never decreases, of as few letters as may be; None if there is none.

    Args:
        dfa: the language.
        contract: what is promised.
        budget: how far the search may go.
        widest: the most letters of a window.

    Raises:
        BudgetExceededError: it takes more time than there is.
    """
    for window in range(1, widest + 1):
        tally = tally_of(dfa, window, budget)
        if tally is not None and (circuit := tally_circuit(dfa, tally, contract)) is not None:
            return circuit
    return None


def _largest(walk: Walk) -> int:
    return max(abs(x) for place in walk.places.values() for x in place)


def _size(circuit: Circuit) -> tuple[int, int, int]:
    """What to keep small: blocks, then the width, then counters."""
    widest = max(len(block.channels) for block in circuit.blocks)
    return circuit.n_blocks, widest, sum(len(block.counters) for block in circuit.blocks)


def walk_circuit(dfa: Dfa, walk: Walk, contract: Contract = "all-words") -> Circuit:
    """A language as a circuit, by a walk of its live part in Z^d, d >= 1. O(states * letters * d)."""
    map_ = Map.of(walk)
    groups = ruled_out(dfa, map_)
    read_out = _single_ramps(groups, map_) if contract == "live-prefixes" else None
    if read_out is not None:
        return _circuit(dfa, map_, contract, (), (), read_out, {})
    names = {places: f"ruled out {n}" for n, places in enumerate(groups) if places != map_.places}
    ramps = _Ramps()
    between = ramps if contract == "live-prefixes" else _Ramps()
    for places, name in names.items():
        beyond = cuts(map_.places - places, places, map_.axes)
        if beyond is not None:
            for cut in beyond:
                ramps.add(cut, name, 1)
        else:
            for ramp, weight in tents(map_.places - places, places, map_):
                between.add(ramp, name, weight)
    verdicts: dict[str, Form] = {}
    for places, tokens in groups.items():
        never = places == map_.places
        verdicts |= dict.fromkeys(tokens, ALWAYS if never else {ONE: 1, READ: -1, names[places]: 1})
    if contract == "live-prefixes":
        block = CircuitBlock("what is ruled out", tuple(ramps.channels(map_)))
        return _circuit(dfa, map_, contract, (block,), names.values(), verdicts, {})
    return _with_latches(dfa, map_, ramps, between, names.values(), verdicts)


def _with_latches(
    dfa: Dfa, map_: Map, ramps: _Ramps, between: _Ramps, names: Iterable[str], verdicts: Mapping[str, Form]
) -> Circuit:
    """The circuit for all words: in its last block the ramps, the error latches, and what the tents have found."""
    inside = sorted({name for form in between.weights.values() for name in form})
    found = {name: f"{name}, between" for name in inside}
    channels = ramps.channels(map_)
    for name, tent in found.items():
        channels.append(CircuitChannel(f"{name}: a tent says so", {tent: 1}, skip=1, gate=ALWAYS, writes={name: 1}))
    latches, letters = _latches(dfa, map_, len(channels), dict.fromkeys(names, 1))
    last = CircuitBlock("what is ruled out, and the error latch", (*channels, *latches))
    if not inside:
        return _circuit(dfa, map_, "all-words", (last,), names, verdicts, letters)
    between.weights = {r: {found[name]: w for name, w in form.items()} for r, form in between.weights.items()}
    block = CircuitBlock("tents", tuple(between.channels(map_)))
    return _circuit(dfa, map_, "all-words", (block, last), (*names, *found.values()), verdicts, letters)


# -- ramps -------------------------------------------------------------------------------------------------------------


@dataclass
class _Ramps:
    """Ramps of a block, and what each adds to which features."""

    weights: dict[Ramp, dict[str, int]] = field(default_factory=dict)

    def add(self, ramp: Ramp, name: str, weight: int) -> None:
        """Let it add to one more feature."""
        form = self.weights.setdefault(ramp, {})
        form[name] = form.get(name, 0) + weight

    def channels(self, map_: Map) -> list[CircuitChannel]:
        """A constant, which memories need, and the ramps."""
        found = [CircuitChannel("always 1", bias=1)]
        for ramp, form in self.weights.items():
            w, k = ramp
            writes = {name: weight for name, weight in form.items() if weight}
            found.append(CircuitChannel(_said(map_, ramp), map_.form(w), NOW, -k, skip=1, gate=ALWAYS, writes=writes))
        return found


def _said(map_: Map, ramp: Ramp) -> str:
    """A ramp for people."""
    return f"excess of {show(map_.form(ramp[0]))} over {ramp[1]}"


# -- verdicts on live prefixes in one block ----------------------------------------------------------------------------


def _single_ramps(groups: Mapping[frozenset[Vector], Sequence[str]], map_: Map) -> dict[str, Form] | None:
    """Verdicts that are forms of the counters, if each token needs one ramp at most."""
    verdicts: dict[str, Form] = {}
    for forbidden, tokens in groups.items():
        beyond = cuts(map_.places - forbidden, forbidden, map_.axes)
        if beyond is None or len(beyond) > 1:
            return None
        form: Form = {ONE: 1, READ: -1}
        for w, k in beyond:
            if forbidden == map_.places:  # it never comes
                form = ALWAYS
                continue
            # Without a token to read the verdict must be positive at every count.
            depth = max(1, k + 1 - min(along(w, p) for p in map_.places))
            form = plus(map_.form(w), {ONE: depth - k, READ: -depth})
        verdicts |= dict.fromkeys(tokens, form)
    return verdicts


# -- the error latch ---------------------------------------------------------------------------------------------------


def _latches(dfa: Dfa, map_: Map, first: int, writes: Form) -> tuple[list[CircuitChannel], dict[str, str]]:
    """Channels, from number ``first`` on (0 is the constant), that latch errors, and the letters they must see.

    A word that leaves the box around all live places has died. One that dies inside is seen by the letter and the place
    that it came from.
    """
    deaths = [(q, a) for q in sorted(dfa.live) for a, target in enumerate(dfa.table[q]) if target not in dfa.live]
    after = {(q, a): moved(map_.at[q], map_.steps[a]) for q, a in deaths}
    walls = [(w, max(along(w, p) for p in map_.places)) for w in map_.axes]
    used: list[Ramp] = []
    inside = set(deaths)
    while inside:
        out = {wall: {d for d in inside if along(wall[0], after[d]) > wall[1]} for wall in walls}
        best = max(walls, key=lambda wall: len(out[wall]))
        if not out[best]:
            break
        used.append(best)
        inside -= out[best]
    bos = first
    channels = [CircuitChannel("<bos> comes now", {BOS: 1})]
    if used:
        fires = {bos: 2}
        for w, k in used:
            fires[first + len(channels)] = 2
            channels.append(
                CircuitChannel(_said(map_, (w, k)) + ", which is beyond all live places", map_.form(w), bias=-k)
            )
        channels.append(_latch("the counters left the live places", fires, -1, writes))
    letters: dict[str, str] = {}
    for a, symbol in enumerate(dfa.alphabet):
        places = frozenset(map_.at[q] for q, b in inside if b == a)
        if not places:
            continue
        letters[symbol] = f"letter {symbol}"
        live = frozenset(map_.at[q] for q in dfa.live if dfa.table[q][a] in dfa.live)
        fires = {bos: 4}
        for ramp, weight in runs(live, places, map_):
            fires[first + len(channels)] = 2 * weight
            channels.append(CircuitChannel(f"before {symbol}: {_said(map_, ramp)}", map_.form(ramp[0]), PAST, -ramp[1]))
        fires[first + len(channels)] = 2
        channels.append(CircuitChannel(f"{symbol} comes now", {letters[symbol]: 1}))
        channels.append(_latch(f"{symbol} once came though ruled out", fires, -3, writes))
    return channels, letters


def _latch(name: str, fires: Mapping[int, int], bias: int, writes: Form) -> CircuitChannel:
    """A channel that holds 0, and from an error on something positive."""
    return CircuitChannel(name, {BOS: -1}, bias=1, memory=Latch(name, fires, bias), gate=ALWAYS, writes=writes)


# -- all together ------------------------------------------------------------------------------------------------------


def _circuit(
    dfa: Dfa,
    map_: Map,
    contract: Contract,
    blocks: Sequence[CircuitBlock],
    names: Iterable[str],
    verdicts: Mapping[str, Form],
    letters: Mapping[str, str],
) -> Circuit:
    d = len(map_.counts)
    tokens: dict[str, Form] = {BOS: {BOS: 1, READ: 1}}
    for symbol, step in zip(dfa.alphabet, map_.steps, strict=True):
        shown = {letters[symbol]: 1} if symbol in letters else {}
        tokens[symbol] = {READ: 1, **shown, **{c: x for c, x in zip(map_.counts, step, strict=True) if x}}
    all_words = contract == "all-words"
    states = "Z" if d == 1 else f"Z^{d}"
    return Circuit(
        kind="walk",
        construction=f"a walk in {states}: {d} counter{'s' if d > 1 else ''} and the bounds of the live places",
        alphabet=dfa.alphabet,
        features=(BOS, READ, *letters.values(), *map_.counts, *names),
        tokens=tokens,
        blocks=(_counting(map_), *blocks),
        verdicts=verdicts,
        contract=contract,
        limits=_limits(map_, blocks, verdicts, all_words=all_words),
        reach={} if all_words else dict.fromkeys(map_.counts, max(abs(x) for p in map_.places for x in p)),
        constant=WIDE_CONSTANT if all_words else CONSTANT_EXPONENT,
    )


def _counting(map_: Map) -> CircuitBlock:
    """The counters; the steps, which stand in their features, are taken away."""
    d = len(map_.counts)
    classes: list[CircuitChannel] = []
    changes: list[Vector] = []
    steps = []
    for n, name in enumerate(map_.counts):
        for sign in (1, -1):
            if any(sign * step[n] > 0 for step in map_.steps):
                classes.append(CircuitChannel(f"{name} {'up' if sign > 0 else 'down'}", {name: sign}))
                changes.append(tuple(sign * int(k == n) for k in range(d)))
                steps.append((name, sign))
    counters = {name: (0, [change[n] for change in changes]) for n, name in enumerate(map_.counts)}
    block = counting_block("counters", {READ: 1, BOS: -1}, BOS, classes, counters)
    channels = list(block.channels)
    for number, (name, sign) in enumerate(steps):
        writes = plus(channels[number].writes, {name: -sign})
        channels[number] = replace(channels[number], skip=1, gate=ALWAYS, writes=writes)
    return replace(block, channels=tuple(channels))


def _limits(
    map_: Map, blocks: Sequence[CircuitBlock], verdicts: Mapping[str, Form], *, all_words: bool
) -> dict[str, dict[str, int]]:
    """How far counts may go, by dtype in which every live place is exact, and those to which the last letter leads."""
    places = {moved(place, step) for place in map_.places for step in map_.steps} | map_.places
    largest = max(_largest_at(map_, place, blocks, verdicts) for place in places)
    exact = {dtype: 1 << bits for dtype, bits in FLOAT_BITS.items() if largest <= 1 << bits}
    return {name: dict.fromkeys(exact, AFTER_DEATH) if all_words else exact for name in map_.counts}


def _largest_at(map_: Map, place: Vector, blocks: Sequence[CircuitBlock], verdicts: Mapping[str, Form]) -> int:
    """The largest number that is stored when the counters stand there, in units of 16 for scores (1 - 2 verdict)."""
    features = dict(zip(map_.counts, place, strict=True))
    seen = [abs(x) for x in place]
    for block in blocks:
        forms = [value_of(c.reads, {**dict.fromkeys(c.reads, 0), **features}) for c in block.channels]
        x = [max(0, form + c.bias) for form, c in zip(forms, block.channels, strict=True)]
        seen += [abs(form) for form in forms] + x
        for channel, now in zip(block.channels, x, strict=True):
            latched = 0
            if isinstance(channel.memory, Latch):
                fires = channel.memory.fires
                came = any(block.channels[c].taps == PAST for c in fires)  # such a latch holds 0 or 1
                latched = 1 if came else max(0, channel.memory.bias + sum(w * x[c] for c, w in fires.items()))
            for name, weight in channel.writes.items():
                features[name] = features.get(name, 0) + weight * (latched + channel.skip * now)
    scores = [value_of(form, {**dict.fromkeys(form, 0), **features, READ: 1}) for form in verdicts.values()]
    weights = [1 - 2 * form.get(ONE, 0) for form in verdicts.values()]
    return max(*seen, *(abs(1 - 2 * score) for score in scores), *map(abs, weights), *map(abs, features.values()))
