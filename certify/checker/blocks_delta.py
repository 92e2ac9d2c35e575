"""One layer of OLMo Hybrid (Gated DeltaNet, then a SwiGLU) over numbers with obligations, and what chunks add to them.

    S <- alpha S,   S <- S + beta k (v - S^T k)^T,   o = S^T q

One token after another this is arithmetic with dyadic numbers, and ``step`` is like that of the other kinds of block.
Implementations also take chunks of tokens, and solve a triangular system in each; ``check_chunks`` shows that no
partial sum of that rounds, for chunks of up to LARGEST_CHUNK tokens (docs/certificates.md, "Reflections").
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .arithmetic import (
    ACCUMULATOR,
    IDENTITY,
    LARGEST,
    LARGEST_SUM,
    NOTHING,
    VANISHES,
    Obligations,
    Range,
    beside,
    exactly,
    times,
)
from .blocks import settle, tapped
from .parts import Bools, Floats, array, need

LENGTH_EPSILON = 1e-6
"""Added to the square of a key's length, and of a query's; fixed in the class and in the kernels."""
LARGEST_CHUNK = 1 << 12
MOST_VECTORS = 1 << 13
"""That a head's keys or columns can become, before the argument gives up."""
MOST_NUMBERS = 1 << 25
"""In one array."""


class Heads(NamedTuple):
    """What the heads of a layer do at some steps.

    Attributes:
        alpha: 0 or 1, shape (rows, heads).
        beta: 0, 1 or 2, of that shape.
        key: shape (rows, heads, keys).
        value: shape (rows, heads, values).
        query: as key, scaled.
    """

    alpha: Floats
    beta: Floats
    key: Floats
    value: Floats
    query: Floats


def step(
    o: Obligations,
    block: Any,
    stream: Range,
    past: Range,
    ssm: Range,
    where: str,
    sums: Bools | None = None,
    seen: list[Heads] | None = None,
) -> tuple[Range, Range, Range]:
    """One step of one layer.

    Args:
        o: verifies.
        block: the ``transformers`` layer.
        stream: residual vectors, shape (rows, d_model).
        past: the convolution's window before, shape (rows, channels, taps).
        ssm: the states before, shape (rows, heads, keys, values).
        where: for messages.
        sums: not looked at: nothing adds up.
        seen: what the heads do is added to it.

    Returns:
        The stream, the window and the states afterwards.
    """
    mixer = block.mixer
    heads, keys, values = mixer.num_v_heads, mixer.head_k_dim, mixer.head_v_dim
    need(mixer.num_k_heads == heads, f"{where}: heads of keys are shared")
    need(keys.bit_length() % 2 and not keys & (keys - 1), f"{where}: keys of {keys} entries, not a power of four")
    _masked(o, block, where)
    u = o.norm(block.input_layernorm, stream, f"{where} input_layernorm")
    mixed = beside([o.linear(p.weight, u, f"{where} qkv") for p in (mixer.q_proj, mixer.k_proj, mixer.v_proj)], 1)
    window = beside([past.map(lambda a: a[:, :, 1:]), mixed.map(lambda a: a[:, :, None])], 2)
    x = o.silu(tapped(o, mixer, window, where), f"{where} conv1d")
    parts = (
        x.map(lambda a, at=at: a[:, at]) for at in np.split(np.arange(x.lo.shape[1]), [heads * keys, 2 * heads * keys])
    )
    q, k, v = (part.map(lambda a: a.reshape(len(a), heads, -1)) for part in parts)
    alpha, beta = _rates(o, mixer, u, where)
    query, key = unit(o, q, f"{where} query"), unit(o, k, f"{where} key", beta != 0)
    query = times(query, exactly(np.array(2.0 ** -((keys.bit_length() - 1) // 2))))
    if seen is not None:
        seen.append(Heads(alpha, beta, key.lo, v.lo, query.lo))

    rows = len(alpha)
    old = exactly(ssm.lo * alpha[:, :, None, None])
    along = times(old, key.map(lambda a: a[..., None]))
    flat = along.map(lambda a: a.swapaxes(2, 3).reshape(rows, -1))
    read = o.add(flat, np.arange(heads * values) * keys, f"{where} S k").map(lambda a: a.reshape(v.lo.shape))
    change = times(_less(o, v, read, f"{where} v - S k"), exactly(beta[..., None]))
    added = times(key.map(lambda a: a[..., None]), change.map(lambda a: a[:, :, None]))
    new = _plus(o, old, added, f"{where} state")
    for part, name in ((read, "S k"), (change, "beta (v - S k)"), (new, "state")):
        o.fits(part, f"{where} {name}: rounding", ACCUMULATOR)
    seen_of = times(new, query.map(lambda a: a[..., None])).map(lambda a: a.swapaxes(2, 3).reshape(rows, -1))
    out = o.add(seen_of, np.arange(heads * values) * keys, f"{where} S q")
    o.fits(out, f"{where} S q: rounding")

    normed = o.plain_norm(mixer.o_norm, out.map(lambda a: a.reshape(-1, values)), f"{where} o_norm")
    weighted = times(normed, exactly(array(mixer.o_norm.weight)))
    gate = o.silu(o.linear(mixer.g_proj.weight, u, f"{where} g_proj"), f"{where} gate branch")
    gated = times(weighted.map(lambda a: a.reshape(rows, -1)), gate)
    for part in (weighted, gated):
        o.fits(part, f"{where} gate: rounding")
    stream = settle(o, block, o.linear(mixer.o_proj.weight, gated, f"{where} o_proj"), stream, where)
    return _swiglu(o, block, stream, where), window, new


def _swiglu(o: Obligations, block: Any, stream: Range, where: str) -> Range:
    """The units behind the heads."""
    u = o.norm(block.post_attention_layernorm, stream, f"{where} post_attention_layernorm")
    gate = o.silu(o.linear(block.mlp.gate_proj.weight, u, f"{where} gate_proj"), f"{where} units")
    product = times(gate, o.linear(block.mlp.up_proj.weight, u, f"{where} up_proj"))
    o.fits(product, f"{where} units: rounding")
    return settle(o, block, o.linear(block.mlp.down_proj.weight, product, f"{where} down_proj"), stream, where)


def _rates(o: Obligations, mixer: Any, u: Range, where: str) -> tuple[Floats, Floats]:
    """alpha and beta, shape (rows, heads): the logarithm of alpha is 0, or so low that alpha is 0."""
    b = o.linear(mixer.b_proj.weight, u, f"{where} b_proj")
    half = (b.lo == 0) & (b.hi == 0)
    o.need("functions", (b.hi <= VANISHES) | half | (b.lo >= IDENTITY), f"{where} b_proj: sigmoid")
    beta = np.where(half, 0.5, (b.lo >= IDENTITY).astype(float)) * (2.0 if mixer.allow_neg_eigval else 1.0)
    a = o.linear(mixer.a_proj.weight, u, f"{where} a_proj")
    rows, a = len(a.lo), beside([a, exactly(np.zeros((1, a.lo.shape[1])))], 0)  # where a mask hides the token
    pair = beside(
        [a.map(lambda v: v[:, :, None]), exactly(np.broadcast_to(array(mixer.dt_bias)[:, None], (*a.lo.shape, 1)))], 2
    )
    summed = o.add(pair.map(lambda v: v.reshape(len(v), -1)), np.arange(a.lo.shape[1]) * 2, f"{where} dt_bias")
    o.fits(summed, f"{where} dt_bias: rounding", ACCUMULATOR)
    delta = o.softplus(summed, f"{where} a_proj")
    forgets = delta.lo != 0
    o.need("functions", array(mixer.A_log) <= 64, f"{where} A_log: exp")
    o.need("functions", ~forgets | (array(mixer.A_log) == 0), f"{where} A_log: exp of what is not 0")
    o.need("functions", ~forgets | (delta.lo >= -VANISHES), f"{where} alpha: exp")
    # A chunk adds up logarithms: multiples of one number, and few of them.
    unit = np.where(forgets, delta.unit, NOTHING).min(axis=0, initial=NOTHING)
    most = np.where(forgets, delta.lo, 0.0).max(axis=0, initial=0.0)
    o.need(
        "sums",
        most * LARGEST_CHUNK <= np.ldexp(LARGEST_SUM, np.minimum(unit, 100)),
        f"{where} alpha: logarithms of a chunk",
    )
    return np.where(forgets[:rows], 0.0, 1.0), beta


def _masked(o: Obligations, block: Any, where: str) -> None:
    """Nothing becomes infinite where a mask hides a token: 0 times an infinity, in a mask or in attention, is none.

    The stream may be any vector there. The heads see zeros, and after a word with padding behind it the last letters
    in windows that no word has. The numbers here are bounds of absolute values.
    """
    mixer, mlp, most = block.mixer, block.mlp, 2.0 ** (o.stored[2] - 1)

    def reach(projection: Any, norm: Any) -> Floats:
        weight = array(projection.weight) * array(norm.weight)
        return np.asarray(np.sqrt(weight.shape[1]) * np.sqrt((weight**2).sum(axis=1)))

    taps = np.abs(array(mixer.conv1d.weight)[:, 0]).sum(axis=1)
    read = [reach(projection, block.input_layernorm) for projection in (mixer.q_proj, mixer.k_proj, mixer.v_proj)]
    mixed = np.concatenate(read)
    heard = mixed * taps
    keys = 2 * mixer.num_v_heads * mixer.head_k_dim
    gate, up = (reach(projection, block.post_attention_layernorm) for projection in (mlp.gate_proj, mlp.up_proj))
    told = np.abs(array(mlp.down_proj.weight)) @ (gate * up)
    for numbers, limit in (
        (mixed, most),
        (heard, most * 2.0**-20),
        (np.array([(heard[:keys] ** 2).sum()]), 2.0**126),
        (np.abs(array(mixer.o_norm.weight)) * mixer.head_v_dim, most),
        (np.concatenate([gate, up, gate * up]), most),
        (told, most * 2.0**-15),  # what all layers add up does not overflow either
    ):
        o.need("sums", numbers <= limit, f"{where}: where a mask hides the token")


def unit(o: Obligations, x: Range, where: str, used: Any = True) -> Range:
    """Vectors over the last axis, divided by their lengths, which are powers of two; 0 stays 0.

    A key that is not used, since beta is 0, may be rounded: all that depends on it is multiplied by 0. It is 0 here.
    """
    size = np.abs(x.lo)
    top = size.max(axis=-1, keepdims=True)
    big = (size == top) & (top > 0)
    count = big.sum(axis=-1)
    exponent = np.frexp(np.maximum(top[..., 0], 1.0))[1] - 1
    rest = np.where(big, 0.0, size**2).sum(axis=-1) + LENGTH_EPSILON
    twos = np.frexp(np.maximum(count, 1))[1] - 1
    good = (x.lo == x.hi).all(axis=-1) & (top[..., 0] == np.ldexp(1.0, exponent)) & (count == 1 << twos)
    good &= (twos % 2 == 0) & (rest <= np.ldexp(1.0, 2 * exponent - 25))
    live = (count > 0) & used
    o.need("rmsnorm", ~live | good, f"{where}: length")
    o.need("rmsnorm", size.sum(axis=-1) ** 2 <= LARGEST, f"{where}: size")
    found = times(x, exactly(np.where(live, np.ldexp(1.0, -exponent - twos // 2), 0.0)[..., None]))
    o.fits(found, f"{where}: rounding", ACCUMULATOR)
    return found


def _plus(o: Obligations, a: Range, b: Range, where: str) -> Range:
    pair = beside([a.map(lambda v: v[..., None]), b.map(lambda v: v[..., None])], a.lo.ndim)
    count = a.lo[0].size
    total = o.add(pair.map(lambda v: v.reshape(len(v), -1)), np.arange(count) * 2, where)
    return total.map(lambda v: v.reshape(a.lo.shape))


def _less(o: Obligations, a: Range, b: Range, where: str) -> Range:
    return _plus(o, a, times(b, exactly(np.array(-1.0))), where)


# -- chunks ------------------------------------------------------------------------------------------------------------


class _Size(NamedTuple):
    """Of some numbers the largest absolute value, and the exponent of a power of two that divides them all."""

    most: float
    unit: int

    @staticmethod
    def of(numbers: Floats) -> _Size:
        known = exactly(numbers)
        return _Size(float(np.abs(known.lo).max(initial=0.0)), int(known.unit.min(initial=NOTHING)))

    def times(self, other: _Size) -> _Size:
        return _Size(self.most * other.most, min(self.unit + other.unit, NOTHING))


def check_chunks(o: Obligations, seen: list[Heads], where: str) -> None:
    """No partial sum of a chunk rounds, in whatever order, for any sequence of the steps that were seen.

    For each head: the vectors that its keys become under the transitions after them, and what a column of its state can
    be when it begins with 0 anywhere, are closed lists; all that the triangular system and the products after it add up
    is of a few sizes, which are known from them. O(vectors * steps) for each column of each head.
    """
    alpha, beta, key, value, query = (np.concatenate([getattr(part, name) for part in seen]) for name in Heads._fields)
    for head in range(alpha.shape[1]):
        _check_head(
            o, Heads(*(part[:, head] for part in (alpha, beta, key, value, query))), f"{where} head {head}: a chunk"
        )


def _check_head(o: Obligations, steps: Heads, where: str) -> None:
    """The same for one head; arrays have no axis of heads."""
    moves = np.unique(np.column_stack([steps.alpha, steps.beta, steps.key]), axis=0)
    a, b, k = moves[:, 0], moves[:, 1], moves[:, 2:]
    does = b != 0
    b, k, keeps = b[does], k[does], a[does] == 1
    b_kept, k_kept = b[keeps], k[keeps]
    need(len(k) ** 2 <= MOST_NUMBERS, f"{where}: a head with {len(k):,} keys")

    def turned(w: Floats) -> Floats:
        return np.asarray(w[:, None] - (b_kept * (w @ k_kept.T))[:, :, None] * k_kept[None]).reshape(-1, k.shape[1])

    become = _closed(k, turned, len(k_kept), where)
    key, row = _Size.of(k), _Size.of(become)
    row = _Size(2 * row.most, row.unit)  # with beta, at most 2
    system = _Size.of(b[:, None] * (k @ k.T))
    inverse = _Size.of(2 * (become @ k.T))
    width = k.shape[1]
    _exact(o, key.times(key), 2 * width, where)
    twice = _Size(2 * key.most, key.unit)
    _exact(o, system.times(row), LARGEST_CHUNK, where, twice)
    _exact(o, inverse.times(system), LARGEST_CHUNK, where)
    _exact(o, inverse.times(twice), LARGEST_CHUNK, where)
    q = np.unique(steps.query, axis=0)
    need(len(q) * len(k) <= MOST_NUMBERS, f"{where}: a head with {len(q):,} queries")
    looks = _Size.of(q @ k.T)
    _exact(o, _Size.of(q).times(key), width, where)
    done: set[bytes] = set()
    for column in range(steps.value.shape[1]):
        writes = np.unique(np.column_stack([steps.alpha, steps.beta, steps.value[:, column], steps.key]), axis=0)
        if writes.tobytes() in done:
            continue
        done.add(writes.tobytes())
        keep, rate, v, at = writes[:, 0], writes[:, 1], writes[:, 2], writes[:, 3:]

        def change(s: Floats, keep: Floats = keep, rate: Floats = rate, v: Floats = v, at: Floats = at) -> Floats:
            return np.asarray(rate * (v - keep * (s @ at.T)))

        def after(s: Floats, keep: Floats = keep, at: Floats = at, change: Any = change) -> Floats:
            return np.asarray(keep[None, :, None] * s[:, None, :] + change(s)[:, :, None] * at[None]).reshape(-1, width)

        states = _closed(np.zeros((1, width)), after, len(writes), where)
        need(len(states) * len(writes) <= MOST_NUMBERS, f"{where}: a head with {len(writes):,} steps")
        state, new, written = _Size.of(states), _Size.of(change(states)), _Size.of(rate * v)
        _exact(o, system.times(new), LARGEST_CHUNK, where, written)
        _exact(o, inverse.times(written), LARGEST_CHUNK, where)
        _exact(o, row.times(state), width, where, new)
        seen = _Size.of(q).times(state)
        _exact(o, seen, width, where)
        _exact(o, looks.times(new), LARGEST_CHUNK, where, _Size(width * seen.most, seen.unit))
        _exact(o, key.times(new), LARGEST_CHUNK, where, state)


def _closed(start: Floats, moves: Any, ways: int, where: str) -> Floats:
    """All that vectors become by so many ways, shape (vectors, width)."""
    need(ways * start.shape[1] <= MOST_NUMBERS, f"{where}: a head that moves in {ways:,} ways")
    some = max(1, MOST_NUMBERS // max(1, ways * start.shape[1]))
    found = {row.tobytes(): row for row in start + 0.0}
    todo = list(found.values())
    while todo:
        new = {row.tobytes(): row for row in np.unique(moves(np.array(todo[:some])) + 0.0, axis=0)}
        todo = todo[some:] + [row for name, row in new.items() if name not in found]
        found |= new
        need(len(found) <= MOST_VECTORS, f"{where}: a head's vectors become more than {MOST_VECTORS:,} others")
    return np.array(list(found.values())).reshape(-1, start.shape[1])


def _exact(o: Obligations, term: _Size, count: int, where: str, other: _Size | None = None) -> None:
    """So many terms, and perhaps another number, can be added up in any order."""
    more = other or _Size(0.0, NOTHING)
    unit = min(term.unit, more.unit)
    most = term.most * count + more.most
    good = most == 0 or (most <= np.ldexp(LARGEST_SUM, min(unit, 100)) and unit >= -126 and most <= LARGEST)
    o.need("sums", good, where)
