"""Faults planted in the four plain implementations of Mamba-2, each one edit, and where a report must point."""

# ruff: noqa: E501

from __future__ import annotations

from functools import partial

import mutants
from mutants import Mutant

__all__ = ["BASES", "MUTANTS", "Mutant", "build"]

BASES = ("sequential", "chunked", "packed", "cached")


build = partial(mutants.build, family="plain_mamba2")
"""``load`` of an implementation of Mamba-2, with an edit of its source."""

_GATE = "gate = torch.exp(delta[:, t] * block.a)"
_SPLIT = "z, xbc, dt = torch.split(projected, [self.channels, self.width, self.heads], dim=-1)"
_XBC = "x, b, c = torch.split(silu(total), [self.channels, self.n, self.n], dim=-1)"
_DELTA = "softplus(dt + self.dt_bias)"
_GATED = "rms_norm(gated, self.gated_norm, self.eps) @ self.w_out.T"
_TAP = "self.taps[:, j] * wide[:, j : j + xbc.shape[1]]"
_WRITE = "write = (delta[:, t, :, None] * x[:, t])[..., None] * b[:, t, None, None, :]"
_READ = 'read.append(torch.einsum("bhpn,bn->bhp", h, c[:, t]))'
_SEQUENTIAL = [
    ("norm weight missing", "return weight * (x * torch", "return (x * torch", "lm_head"),
    ("norm divides by the sum of squares", "x.pow(2).mean(", "x.pow(2).sum(", "lm_head"),
    ("epsilon of another model", 'p["norm.weight"], config["layer_norm_epsilon"]', 'p["norm.weight"], 1e-6', "epsilon"),
    ("norm of a block without its weight", "rms_norm(stream, self.norm, self.eps) @ self.w_in", "rms_norm(stream, torch.ones_like(self.norm), self.eps) @ self.w_in", "norm.weight, in_proj"),
    ("final norm of the first block", 'w["backbone.norm_f.weight"]', 'w["backbone.layers.0.norm.weight"]', "lm_head"),
    ("final norm missing", "return rms_norm(stream, self.norm, self.eps) @ self.w_head.T", "return stream @ self.w_head.T", "lm_head"),
    ("embedding row off by one", "self.w.embedding[ids]", "self.w.embedding[(ids + 1) % len(self.w.embedding)]", "embedding"),
    ("in_proj: x before z", _SPLIT, "xbc, z, dt = torch.split(projected, [self.width, self.channels, self.heads], dim=-1)", "parts of in_proj"),
    ("in_proj: dt first", _SPLIT, "dt, z, xbc = torch.split(projected, [self.heads, self.channels, self.width], dim=-1)", "parts of in_proj"),
    ("in_proj: dt before x", _SPLIT, "z, dt, xbc = torch.split(projected, [self.channels, self.heads, self.width], dim=-1)", "norm.weight, in_proj, x"),
    ("B and C swapped", _XBC, "x, c, b = torch.split(silu(total), [self.channels, self.n, self.n], dim=-1)", "an entry of d_state: B and C"),
    ("B and C before x", _XBC, "b, c, x = torch.split(silu(total), [self.n, self.n, self.channels], dim=-1)", "parts of in_proj"),
    ("gate missing", "y.flatten(-2) * silu(z)", "y.flatten(-2) * 2.0**30", "D, the gate, the norm"),
    ("silu of the gate missing", "y.flatten(-2) * silu(z)", "y.flatten(-2) * z", "silu of the gate"),
    ("sigmoid for silu in the gate", "y.flatten(-2) * silu(z)", "y.flatten(-2) * torch.sigmoid(z)", "D, the gate, the norm"),
    ("norm before the gate", _GATED, "(rms_norm(y.flatten(-2), self.gated_norm, self.eps) * silu(z)) @ self.w_out.T", "norm after the scan"),
    ("norm after the scan missing", _GATED, "gated @ self.w_out.T", "norm after the scan"),
    ("norm after the scan without its weight", _GATED, "rms_norm(gated, torch.ones_like(self.gated_norm), self.eps) @ self.w_out.T", "norm after the scan"),
    ("one weight of the norm after the scan for all", _GATED, "rms_norm(gated, self.gated_norm[:1], self.eps) @ self.w_out.T", "per channel of the norm after the scan"),
    ("norm after the scan over each head", _GATED, "rms_norm(gated.unflatten(-1, (self.heads, -1)), self.gated_norm.view(self.heads, -1), self.eps).flatten(-2) @ self.w_out.T", "norm after the scan"),
    ("silu of the convolution missing", "torch.split(silu(total),", "torch.split(total,", "silu after the convolution"),
    ("silu of x alone", "torch.split(silu(total),", "torch.split(torch.cat([silu(total[..., : self.channels]), total[..., self.channels :]], -1),", "the channels of B and C: taps, bias, silu"),
    ("bias of the convolution missing", "self.conv_bias.expand_as(xbc)", "torch.zeros_like(xbc)", "conv1d.bias"),
    ("bias of B and C missing", "self.conv_bias.expand_as(xbc)", "(self.conv_bias * (torch.arange(self.width) < self.channels)).expand_as(xbc)", "constants B and C"),
    ("taps reversed", _TAP, _TAP.replace("j]", "self.k - 1 - j]", 1), "conv1d.weight"),
    ("taps of B and C reversed", _TAP, "torch.where(torch.arange(self.width) < self.channels, self.taps[:, j], self.taps[:, self.k - 1 - j]) * wide[:, j : j + xbc.shape[1]]", "the channels of B and C: taps, bias, silu"),
    ("B and C not convolved", _TAP, "torch.where(torch.arange(self.width) < self.channels, self.taps[:, j], self.taps[:, j] * (j == self.k - 1)) * wide[:, j : j + xbc.shape[1]]", "the channels of B and C: taps, bias, silu"),
    ("convolution off by one", "block.k - 1, block.width))", "block.k, block.width))", "conv1d.weight"),
    ("first tap ignored", "for j in range(self.k):", "for j in range(1, self.k):", "conv1d.weight, the tap 1 steps back"),
    ("only the last two taps", "for j in range(self.k):", "for j in range(max(0, self.k - 2), self.k):", "conv1d.weight, the tap 2 steps back"),
    ("only three taps", "for j in range(self.k):", "for j in range(max(0, self.k - 3), self.k):", "conv1d.weight, the tap 3 steps back"),
    ("D missing", "        y = y + self.d[:, None] * x\n", "", "conv1d.bias, D, the gate|D of a head"),
    ("D of one head for all", "self.d[:, None] * x", "self.d[-1] * x", "conv1d.bias, D, the gate|D of a head"),
    ("D per channel, not per head", "self.d[:, None] * x", "self.d.repeat(self.head_dim).view(self.heads, self.head_dim) * x", "conv1d.bias, D, the gate|D of a head"),
    ("heads of D reversed, but for the last", "self.d[:, None] * x", "torch.cat([self.d[:-1].flip(0), self.d[-1:]])[:, None] * x", "conv1d.bias, D, the gate|D of a head"),
    ("D multiplies Delta x", "return block.output(torch.stack(read, dim=1), x, z)", "return block.output(torch.stack(read, dim=1), x + delta[..., None] * x, z)", "memory and D of one head"),
    ("A not negated", "-torch.exp(p[", "torch.exp(p[", "Delta or A"),
    ("A_log used as A", "-torch.exp(p[\"mixer.A_log\"])", "-p[\"mixer.A_log\"]", "Delta or A"),
    ("A is -1 in all heads", "-torch.exp(p[\"mixer.A_log\"])", "-torch.ones_like(p[\"mixer.A_log\"])", "never forgets"),
    ("A of the first head for all", "delta[:, t] * block.a)", "delta[:, t] * block.a[:1])", "never forgets"),
    ("heads of A reversed", "delta[:, t] * block.a)", "delta[:, t] * block.a.flip(0))", "never forgets"),
    ("A a power of 2", "-torch.exp(p[\"mixer.A_log\"])", "-torch.exp2(p[\"mixer.A_log\"])", "the values of A_log"),
    ("gate a power of 2", _GATE, _GATE.replace("exp(", "exp2("), "the values of A_log, softplus and exp"),
    ("gate linear in Delta", _GATE, "gate = (1 + delta[:, t] * block.a).clamp(min=0)", "the values of A_log, softplus and exp"),
    ("relu for softplus", _DELTA, "torch.relu(dt + self.dt_bias)", "the values of A_log, softplus and exp"),
    ("softplus missing", _DELTA, "(dt + self.dt_bias)", "in softplus"),
    ("softplus without a threshold", _DELTA, "torch.log1p(torch.exp(dt + self.dt_bias))", "in softplus"),
    ("dt_bias missing", _DELTA, "softplus(dt)", "dt_bias, Delta"),
    ("dt_bias added after softplus", _DELTA, "(softplus(dt) + self.dt_bias)", "softplus, Delta"),
    ("dt_bias of one head for all", _DELTA, "softplus(dt + self.dt_bias[-1])", "dt_bias, Delta"),
    ("heads of Delta reversed", _DELTA, "softplus(dt + self.dt_bias).flip(-1)", "dt_bias, Delta"),
    ("heads of Delta rolled", _DELTA, "softplus(dt + self.dt_bias).roll(1, -1)", "dt_bias, Delta"),
    ("Delta clipped at 0.1", _DELTA, "softplus(dt + self.dt_bias).clamp(max=0.1)", "dt_bias, Delta"),
    ("Delta floored at 0.001", _DELTA, "softplus(dt + self.dt_bias).clamp(min=0.001)", "dt_bias, Delta"),
    ("Delta missing in the write", _WRITE, "write = x[:, t, ..., None] * b[:, t, None, None, :]", "dt_bias, Delta"),
    ("Delta twice in the write", _WRITE, "write = (delta[:, t, :, None] ** 2 * x[:, t])[..., None] * b[:, t, None, None, :]", "dt_bias, Delta"),
    ("x missing in the write", _WRITE, "write = (delta[:, t, :, None] * (x[:, t] * 0 + 1024))[..., None] * b[:, t, None, None, :]", "through a memory"),
    ("B missing in the write", _WRITE, "write = (delta[:, t, :, None] * x[:, t])[..., None] * 32.0", "the channels of B and C"),
    ("B of the first entry for all", "* b[:, t, None, None, :]", "* b[:, t, None, None, :1]", "the channels of B and C"),
    ("state index of C off by one", 'h, c[:, t]))', 'h, c[:, t].roll(1, -1)))', "constants B and C"),
    ("state index of B off by one", "* b[:, t, None, None, :]", "* b[:, t].roll(1, -1)[:, None, None, :]", "constants B and C"),
    ("only sixteen entries of the state", _READ, 'read.append(torch.einsum("bhpn,bn->bhp", h[..., :16], c[:, t, :16]))', "reads entry 16"),
    ("only the first 64 entries of the state", _READ, 'read.append(torch.einsum("bhpn,bn->bhp", h[..., :64], c[:, t, :64]))', "reads entry 64"),
    ("head_dim before heads in x", "x.reshape(*x.shape[:-1], self.heads, self.head_dim)", "x.reshape(*x.shape[:-1], self.head_dim, self.heads).transpose(-1, -2)", "parts of in_proj"),
    ("head_dim before heads in y", "y.flatten(-2)", "y.transpose(-1, -2).flatten(-2)", "norm after the scan"),
    ("channels of a head reversed in the state", _READ, 'read.append(torch.einsum("bhpn,bn->bhp", h, c[:, t]).flip(-1))', "through a memory"),
    ("state in bfloat16", "h = gate * h + write", "h = (gate * h + write).bfloat16().float()", "precision of the state"),
    ("state in float16", "h = gate * h + write", "h = ((gate * h + write) * 2.0**-30).half().float() * 2.0**30", "precision of the state"),
    ("residual stream in bfloat16", "streams[-1] + mixed(block, streams[-1])", "(streams[-1] + mixed(block, streams[-1])).bfloat16().float()", "precision"),
    ("state read before it is written", "h = gate * h + write\n        " + _READ, _READ + "\n        h = gate * h + write", "through a memory.*written at every step"),
    ("gate applied to the write too", "h = gate * h + write", "h = gate * (h + write)", "through a memory.*written at every step"),
    ("residual connection missing", "streams[-1] + mixed(block, streams[-1])", "mixed(block, streams[-1])", "out_proj"),
    ("blocks in the wrong order", "for block in self.w.blocks:", "for block in reversed(self.w.blocks):", "by comparison"),
    ("batch rows share the state", _READ, "h = h[:1].expand_as(h)\n        " + _READ, "through a memory.*written at every step"),
    ("state lost after 500 steps", _READ, "h = h * (t != 500)\n        " + _READ, "long-hold"),
]  # fmt: skip
_STATE = "h = torch.exp(total[:, -1])[:, :, None, None] * h + own"
_BETWEEN = "between = total[:, :, None] - total[:, None, :]"
_CHUNKED: list[tuple[str, ...]] = [
    ("state not handed to the next chunk", _STATE, "h = own", "full", "never forgets", "huggingface/transformers #35154"),
    ("handed on without decay", _STATE, "h = h + own", "full", "through a memory.*hold and overwrite"),
    ("handed on with the decay of the last token only", _STATE, "h = torch.exp(decay[:, part][:, -1])[:, :, None, None] * h + own", "full", "hold and overwrite"),
    ("what a chunk leaves is not decayed to its end", '"bsh,bshp,bsn->bhpn", until_end,', '"bsh,bshp,bsn->bhpn", torch.ones_like(until_end),', "full", "through a memory.*hold and overwrite"),
    ("what was before the chunk is not decayed in it", "from_start = torch.exp(total)", "from_start = torch.ones_like(total)", "full", "through a memory.*hold and overwrite"),
    ("decay from the start of the chunk off by one", "from_start = torch.exp(total)", "from_start = torch.exp(total - decay[:, part])", "full", "through a memory.*hold and overwrite"),
    ("decay to the end of the chunk off by one", "until_end = torch.exp(total[:, -1:] - total)", "until_end = torch.exp(total[:, -1:] - total + decay[:, part])", "full", "through a memory.*hold and overwrite"),
    ("segment sum with the writer's own decay", _BETWEEN, "between = total[:, :, None] - (total - decay[:, part])[:, None, :]", "full", "through a memory.*written at every step"),
    ("segment sum without the reader's own decay", _BETWEEN, "between = ((total - decay[:, part])[:, :, None] - total[:, None, :]).clamp(max=0)", "full", "through a memory.*written at every step"),
    ("a token does not see itself", ".tril().bool()", ".tril(-1).bool()", "full", "through a memory.*written at every step"),
    ("a token sees the next one", ".tril().bool()", ".tril(1).bool()", "full", "overflow in softplus"),
    ("B and C swapped inside chunks", "scores = torch.einsum(\"btn,bsn->bts\", c[:, part], b[:, part])", "scores = torch.einsum(\"btn,bsn->bts\", b[:, part], c[:, part])", "full", "an entry of d_state: B and C"),
    ("C of the chunk's first token for what was before it", 'from_start, h, c[:, part]))', 'from_start, h, c[:, part][:, :1].expand_as(c[:, part])))', "full", "an entry of d_state: B and C"),
    ("what a chunk leaves without B", "x[:, part], b[:, part]))\n", "x[:, part], torch.full_like(b[:, part], 32.0)))\n", "full", "an entry of d_state: B and C"),
    ("chunk states in bfloat16", "* h + own", "* h + own.bfloat16().float()", "full", "precision of the state"),
    ("a chunk's decay is that of head 0", _STATE, _STATE.replace("total[:, -1])", "total[:, -1, :1])"), "full", "never forgets"),
    ("sums of decay over the row of chunks, not reset", "sums = [decay[:, part].cumsum(dim=1) for part in parts]", "sums = [decay.cumsum(dim=1)[:, part] for part in parts]", "full", "hold and overwrite"),
    ("D multiplies Delta x", "return block.output(y, x, z)", "return block.output(y, x + delta[..., None] * x, z)", "full", "memory and D of one head"),
    ("Delta missing in chunks", "delta[..., None] * x, b, c, h)", "x, b, c, h)", "full", "dt_bias, Delta"),
    ("last, short chunk dropped from the state", _STATE, f"{_STATE}.mul(1.0) if total.shape[1] == CHUNK else h", "continued", "hold and overwrite"),
    ("state one chunk old", "    return torch.cat(inside", "    h = h - left[-1] if len(parts) > 1 else h\n    return torch.cat(inside", "continued", "hold and overwrite"),
    ("initial state ignored at batch size 1", "added, state = mixed(block, stream, past, h)", "added, state = mixed(block, stream, past, h * (len(ids) > 1))", "continued", "hold and overwrite", "vllm-project/vllm #22034"),
    ("initial state ignored in a batch", "added, state = mixed(block, stream, past, h)", "added, state = mixed(block, stream, past, h * (len(ids) == 1))", "continued", "hold and overwrite"),
    ("initial state ignored if there are several chunks", "y, h = scan(", "h = h * (x.shape[1] <= CHUNK)\n    y, h = scan(", "continued", "hold and overwrite"),
    ("convolution forgets at a continuation", "x, b, c = block.convolve(xbc, past)", "x, b, c = block.convolve(xbc, torch.zeros_like(past))", "continued", "conv1d.weight, the tap 1"),
    ("convolution keeps x alone", "x, b, c = block.convolve(xbc, past)", "x, b, c = block.convolve(xbc, past * (torch.arange(block.width) < block.channels))", "continued", "the channels of B and C: taps, bias, silu"),
    ("state of the first block for all", "after.append(state)", "after.append(after[0] if after else state)", "continued", "comparison"),
    ("past of a short prefill not shifted", "(wide[:, wide.shape[1] - (block.k - 1) :], h)", "(torch.cat([torch.zeros_like(past), xbc], dim=1)[:, -(block.k - 1) :], h)", "continued", "conv1d"),
    ("past of a short prefill misplaced", "(wide[:, wide.shape[1] - (block.k - 1) :], h)", "(wide[:, : block.k - 1] if xbc.shape[1] < block.k - 1 else wide[:, wide.shape[1] - (block.k - 1) :], h)", "continued", "conv1d"),
]  # fmt: skip
_SUMS = "sums = decay[begin:end].cumsum(dim=0)"
_PACKED: list[tuple[str, ...]] = [
    ("documents share the state", "h = initial[starts.index(begin)]", "h = initial[starts.index(begin)] if begin == 0 else h", "packed", "through a memory.*never forgets"),
    ("documents share the convolution", "wides = [torch.cat([past, xbc[0, s : s + n]])", "wides = [torch.cat([torch.cat([past, xbc[0, :s]])[-(block.k - 1) :], xbc[0, s : s + n]])", "packed", "conv1d"),
    ("state reset at chunks only", "begins = sorted({first} | {s for s in starts if first <= s < last})", "begins = sorted({first} | {s for s in starts if s == first})", "packed", "through a memory.*never forgets"),
    ("decay since the chunk began, not the document", _SUMS, "sums = decay[first:end].cumsum(dim=0)[begin - first :]", "packed-continued", "hold and overwrite", "vllm-project/vllm #23279"),
    ("initial state of the first document for all", "h = initial[starts.index(begin)]", "h = initial[0]", "packed-continued", "through a memory.*never forgets"),
    ("initial states ignored for one document", "h = initial[starts.index(begin)]", "h = initial[starts.index(begin)] * (len(initial) > 1)", "packed-continued", "hold and overwrite", "vllm-project/vllm #22034"),
    ("snapshot at a chunk of the row", "states[s + n] if n else h", "states[max(k for k in states if k <= max(min(states), (s + n) // CHUNK * CHUNK))] if n else h", "snapshots", "through a memory", "sgl-project/sglang #31833"),
    ("snapshot of the document before", "states[s + n] if n else h", "states[sorted(states)[max(0, sorted(states).index(s + n) - 1)]] if n else h", "snapshots", "through a memory", "sgl-project/sglang #33450"),
    ("snapshot one token early", "sums[: stop - begin], x[begin:stop], b[begin:stop], h)", "sums[: max(1, stop - 1 - begin)], x[begin : max(begin + 1, stop - 1)], b[begin : max(begin + 1, stop - 1)], h)", "snapshots", "through a memory"),
    ("snapshot's convolution one token late", "(wide[n : n + block.k - 1], states", "(wide[n - 1 : n + block.k - 2] if n else wide[: block.k - 1], states", "snapshots", "conv1d"),
]  # fmt: skip
_CACHED: list[tuple[str, ...]] = [
    ("cache not cleared for the next request", "            states[slots] = 0.0\n", "", "full", "through a memory"),
    ("convolution's cache not cleared", "            pasts[slots] = 0.0\n", "", "full", "conv1d"),
    ("all requests share slot 0", "slots = torch.arange(self.next, self.next + count)", "slots = torch.arange(count)", "interleaved", "hold and overwrite|conv1d"),
    ("step does not shift the convolution", "torch.cat([past[:, 1:], xbc], dim=1)", "past", "step", "conv1d"),
    ("step shifts the convolution twice", "torch.cat([past[:, 1:], xbc], dim=1)", "torch.cat([past[:, 2:], xbc, xbc], dim=1)[:, : block.k - 1]", "step", "conv1d"),
    ("convolution's state in the wrong slot after a short prefill", "    pasts[slots] = wide[:, wide.shape[1] - (block.k - 1) :]", "    pasts[slots if xbc.shape[1] >= block.k - 1 else slots - 1] = wide[:, wide.shape[1] - (block.k - 1) :]", "step", "conv1d", "vllm-project/vllm #56196"),
    ("prefill does not keep the state", "    pool[slots] = h\n", "", "step", "through a memory", "state-spaces/mamba #500"),
    ("prefill keeps the state before its last token", "        h, y = moved(block, h, delta[:, t], x[:, t], b[:, t], c[:, t])\n        read.append(y)\n    pool[slots] = h\n", "        before = h\n        h, y = moved(block, h, delta[:, t], x[:, t], b[:, t], c[:, t])\n        read.append(y)\n    pool[slots] = before\n", "cached", "hold and overwrite", "state-spaces/mamba #641"),
    ("step without D", "block.output(y[:, None], x, z)", "block.output(y[:, None], x * 0, z)", "step", "conv1d.bias, D, the gate"),
    ("step does not keep the state", "            self.states[layer][slots] = h\n", "", "step", "through a memory.*never forgets"),
    ("step keeps bfloat16", "self.states[layer][slots] = h\n", "self.states[layer][slots] = h.bfloat16().float()\n", "step", "precision of the state"),
    ("padding runs into the convolution", "    xbc = xbc * keep\n", "", "padded", "zeros before the first token"),
    ("padding writes memory", "    x = x * keep[..., None]\n", "", "padded", "none at padding"),
    ("mask of the first row for all", "keep = self.w.embedding[ids], mask[:, :, None]", "keep = self.w.embedding[ids], mask[:1, :, None]", "padded", "none at padding|zeros before"),
    ("slots of a batch in one order", "pool[slots] = h\n", "pool[slots] = h.flip(0)\n", "step", "hold and overwrite"),
    ("one slot of the pool is corrupt", "    h, read = pool[slots], []", "    h, read = pool[slots] + (slots == 3).float()[:, None, None, None] * 2.0**30, []", "full", "through a memory"),
    ("one head of many is lost", "self.states[layer][slots] = h\n", "self.states[layer][slots] = h * (torch.arange(block.heads) != 3)[:, None, None]\n", "step", "Delta of head 3", "state-spaces/mamba #997"),
]  # fmt: skip


def _all() -> tuple[Mutant, ...]:
    found = [Mutant(n, "sequential", old, new, "full", where) for n, old, new, where in _SEQUENTIAL]
    for base, rows in (("chunked", _CHUNKED), ("packed", _PACKED), ("cached", _CACHED)):
        found += [Mutant(r[0], base, r[1], r[2], r[3], r[4], r[5] if len(r) > 5 else "") for r in rows]
    return tuple(found)


MUTANTS = _all()
