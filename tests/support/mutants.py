"""Faults planted in the plain implementations, each one edit of their source, and where a report must point."""

# ruff: noqa: E501

from __future__ import annotations

import re
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BASES = {
    "sequential": "mamba",
    "chunked": "mamba",
    "packed": "mamba",
    "cached": "mamba",
    "signed": "signed_mamba",
    "falcon": "falcon_mamba",
}
"""The plain implementations, and the kinds of block that they run."""


@dataclass(frozen=True)
class Mutant:
    """A fault.

    Attributes:
        name: what is wrong.
        base: the implementation that it is planted in.
        old, new: the edit of its source (or of ``plain_parts``); ``old`` stands there exactly once.
        mode: the mode in which it must be found.
        where: a pattern that the case, the parameters tested or the meaning must match.
        after: the fault of a released project that it is modelled on.
    """

    name: str
    base: str
    old: str
    new: str
    mode: str
    where: str
    after: str = ""

    @property
    def kind(self) -> str:
        """The kind of block."""
        return BASES[self.base]


def build(base: str, old: str = "", new: str = "", family: str = "plain") -> Callable[[Path], Any]:
    """``load`` of an implementation, with an edit of its source; its file and that of its parts begin with ``family``."""
    parts = (HERE / f"{family}_parts.py").read_text(encoding="utf-8")
    own = (HERE / f"{family}_{base}.py").read_text(encoding="utf-8")
    own = re.sub(rf"^from (__future__|{family}_parts) import .*$", "", own, flags=re.MULTILINE)
    source = parts + own
    if old:
        assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in {family}_{base}"
        source = source.replace(old, new)
    module = types.ModuleType(f"mutant_of_{family}_{base}")
    exec(compile(source, f"{family}_{base}.py", "exec"), module.__dict__)
    load: Callable[[Path], Any] = module.__dict__["load"]
    return load


_SEQUENTIAL = [
    ("norm weight missing", "return weight * (x * torch", "return (x * torch", "lm_head"),
    ("norm divides by the sum of squares", "x.pow(2).mean(", "x.pow(2).sum(", "lm_head"),
    ("norm subtracts the mean", "mean = x.pow(2)", "x = x - x.mean(-1, keepdim=True); mean = x.pow(2)", "lm_head"),
    ("epsilon of another model", 'p["norm.weight"], config["layer_norm_epsilon"]', 'p["norm.weight"], 1e-6', "epsilon"),
    ("final norm of the first block", 'w["backbone.norm_f.weight"]', 'w["backbone.layers.0.norm.weight"]', "lm_head"),
    ("final norm missing", "return rms_norm(stream, self.norm, self.eps) @ self.w_head.T", "return stream @ self.w_head.T", "lm_head"),
    ("embedding row off by one", "self.w.embedding[ids]", "self.w.embedding[(ids + 1) % len(self.w.embedding)]", "embedding"),
    ("halves of in_proj swapped", "return u, z", "return z, u", "gate"),
    ("gate missing", "(y * silu(z)) @", "(y * 1024.0) @", "gate"),
    ("silu of the gate missing", "(y * silu(z)) @", "(y * z) @", "silu of the gate"),
    ("sigmoid for silu in the gate", "(y * silu(z)) @", "(y * torch.sigmoid(z)) @", "gate"),
    ("silu of the convolution missing", "return silu(total)", "return total", "silu after the convolution"),
    ("bias of the convolution missing", "self.conv_bias.expand_as(u)", "torch.zeros_like(u)", "conv1d.bias"),
    ("taps reversed", "self.taps[:, j] * wide", "self.taps[:, self.k - 1 - j] * wide", "conv1d.weight"),
    ("convolution off by one", "block.k - 1, block.channels))", "block.k, block.channels))", "conv1d.weight"),
    ("first tap ignored", "for j in range(self.k):", "for j in range(1, self.k):", "conv1d.weight, the tap 1 steps back"),
    ("only the last two taps", "for j in range(self.k):", "for j in range(max(0, self.k - 2), self.k):", "conv1d.weight, the tap 2 steps back"),
    ("only three taps", "for j in range(self.k):", "for j in range(max(0, self.k - 3), self.k):", "conv1d.weight, the tap 3 steps back"),
    ("D missing", "        y = y + self.d * x\n", "", "D"),
    ("D of one channel for all", "y + self.d * x", "y + self.d[0] * x", "D"),
    ("D multiplies the gate's half", "y + self.d * x", "y + self.d * z", "D"),
    ("A not negated", "-torch.exp(p[", "torch.exp(p[", "Delta or A"),
    ("A_log used as A", "-torch.exp(p[\"mixer.A_log\"])", "-p[\"mixer.A_log\"]", "Delta or A"),
    ("A of the first entry for all", "delta[..., None] * self.a)", "delta[..., None] * self.a[:, :1])", "an entry of d_state"),
    ("A of the first channel for all", "delta[..., None] * self.a)", "delta[..., None] * self.a[:1])", "never forgotten"),
    ("softplus missing", "softplus(dt @ self.w_dt.T + self.dt_bias)", "(dt @ self.w_dt.T + self.dt_bias)", "softplus"),
    ("softplus without a threshold", "softplus(dt @ self.w_dt.T + self.dt_bias)", "torch.log1p(torch.exp(dt @ self.w_dt.T + self.dt_bias))", "softplus"),
    ("Delta clipped at 0.1", "gate = torch", "delta = delta.clamp(max=0.1); gate = torch", "Delta"),
    ("Delta floored at 0.001", "gate = torch", "delta = delta.clamp(min=0.001); gate = torch", "Delta"),
    ("bias of dt missing", "dt @ self.w_dt.T + self.dt_bias", "dt @ self.w_dt.T", "Delta"),
    ("bias of dt added twice", "dt @ self.w_dt.T + self.dt_bias", "dt @ self.w_dt.T + 2 * self.dt_bias", "Delta"),
    ("only the first row of dt", "dt @ self.w_dt.T", "dt[..., :1] @ self.w_dt[:, :1].T", r"dt row \d"),
    ("rows of dt reversed", "dt @ self.w_dt.T", "dt.flip(-1) @ self.w_dt.T", r"dt row \d"),
    ("Delta missing in the write", "write = delta[..., None] * b", "write = b", "Delta"),
    ("B and C swapped", "return gate, write, c", "write = delta[..., None] * c[:, :, None, :] * x[..., None]\n        return gate, write, b", "an entry of d_state"),
    ("B normalised", "gate = torch", "b = b / b.norm(dim=-1, keepdim=True).clamp(min=1e-9); gate = torch", "Delta|hold and overwrite"),
    ("x missing in the write", "* b[:, :, None, :] * x[..., None]", "* b[:, :, None, :] * 1024.0", "hold and overwrite|written at every step"),
    ("state index of C off by one", "states, c)", "states, c.roll(1, -1))", "an entry of d_state"),
    ("state index of B off by one", "* b[:, :, None, :]", "* b.roll(1, -1)[:, :, None, :]", "an entry of d_state"),
    ("only sixteen entries of the state", '"btcn,btn->btc", states, c)', '"btcn,btn->btc", states[..., :16], c[..., :16])', "reads entry 16"),
    ("only the first 64 entries of the state", '"btcn,btn->btc", states, c)', '"btcn,btn->btc", states[..., :64], c[..., :64])', "reads entry 64"),
    ("state in bfloat16", "write[:, t]\n        states", "write[:, t]\n        h = h.bfloat16().float()\n        states", "precision of the state"),
    ("state in float16", "write[:, t]\n        states", "write[:, t]\n        h = h.half().float()\n        states", "precision of the state"),
    ("residual stream in bfloat16", "streams[-1] + mixed(block, streams[-1])", "(streams[-1] + mixed(block, streams[-1])).bfloat16().float()", "precision"),
    ("state read before it is written", "        h = gate[:, t] * h + write[:, t]\n        states.append(h)", "        states.append(h)\n        h = gate[:, t] * h + write[:, t]", "hold and overwrite"),
    ("gate applied to the write too", "gate[:, t] * h + write[:, t]", "gate[:, t] * (h + write[:, t])", "hold and overwrite"),
    ("residual connection missing", "streams[-1] + mixed(block, streams[-1])", "mixed(block, streams[-1])", "out_proj"),
    ("blocks in the wrong order", "for block in self.w.blocks:", "for block in reversed(self.w.blocks):", "blocks in order"),
    ("batch rows share the state", "        states.append(h)", "        h = h[:1].expand_as(h)\n        states.append(h)", "hold and overwrite"),
    ("state lost after 1,000 steps", "states.append(h)", "h = h * (t != 1_000)\n        states.append(h)", "long-hold"),
]  # fmt: skip
_CHUNKED = [
    ("operands of the scan swapped", "right_a * left_b + right_b", "left_a * right_b + left_b", "full", "hold and overwrite|written at every step|write at every step", "state-spaces/mamba #716"),
    ("gate of the left operand only", "left_a * right_a, right_a", "left_a, right_a", "full", "hold and overwrite|never forgotten"),
    ("state not handed to the next chunk", "h = inside[:, -1]", "h = torch.zeros_like(inside[:, -1])", "full", "conv1d|register|Delta|sum|entry|set|never forgotten", "huggingface/transformers #35154"),
    ("handed on without decay", "return a * h[:, None] + b", "return h[:, None] + b", "full", "hold and overwrite|written at every step"),
    ("state of the chunk before the last", "h = inside[:, -1]", "h = inside[:, -1] if first + CHUNK < u.shape[1] or inside.shape[1] < 2 else inside[:, -2]", "continued", "hold and overwrite|never forgotten"),
    ("last, short chunk dropped from the state", "h = inside[:, -1]", "h = inside[:, -1] if inside.shape[1] == CHUNK else h", "continued", "hold and overwrite"),
    ("initial state ignored at batch size 1", "added, state = mixed(block, stream, past, h)", "added, state = mixed(block, stream, past, h * (len(ids) > 1))", "continued", "hold and overwrite", "vllm-project/vllm #22034"),
    ("initial state ignored in a batch", "added, state = mixed(block, stream, past, h)", "added, state = mixed(block, stream, past, h * (len(ids) == 1))", "continued", "hold and overwrite"),
    ("convolution forgets at a continuation", "x = block.convolve(u, past)", "x = block.convolve(u, torch.zeros_like(past))", "continued", "conv1d.weight, the tap 1"),
    ("state of the first block for all", "after.append(state)", "after.append(after[0] if after else state)", "continued", "first as it was|blocks in order|precision|sum of second"),
    ("past of a short prefill not shifted", "(wide[:, wide.shape[1] - (block.k - 1) :], h)", "(torch.cat([torch.zeros_like(past), u], dim=1)[:, -(block.k - 1) :], h)", "continued", "conv1d"),
    ("scan one doubling short", "while distance < a.shape[1]:", "while distance < a.shape[1] // 2:", "full", "hold and overwrite|never forgotten|sum"),
]  # fmt: skip
_PACKED = [
    ("documents share the state", "h = initial[starts.index(begin)]", "h = initial[starts.index(begin)] if begin == 0 else h", "packed", "hold and overwrite"),
    ("documents share the convolution", "wides = [torch.cat([past, u[0, s : s + n]])", "wides = [torch.cat([torch.cat([past, u[0, :s]])[-(block.k - 1) :], u[0, s : s + n]])", "packed", "conv1d.weight"),
    ("state reset at chunks only", "begins = sorted({first} | {s for s in starts if first <= s < last})", "begins = sorted({first} | {s for s in starts if s == first})", "packed", "hold and overwrite"),
    ("decay since the chunk began, not the document", "decay = torch.ones_like(h)", "decay = torch.ones_like(h) if begin == first else decay", "packed-continued", "written at every step|hold and overwrite|never forgotten|sum", "vllm-project/vllm #23279"),
    ("snapshot at a chunk of the row", "states[start + n - 1] if n else h", "states[max(0, (start + n) // CHUNK * CHUNK - 1)] if n else h", "snapshots", "hold and overwrite", "sgl-project/sglang #31833"),
    ("snapshot as if each document had its chunks", "states[start + n - 1] if n else h", "states[(sum(m // CHUNK for m in lengths[: starts.index(start)]) + n // CHUNK) * CHUNK - 1 if n and start and n % CHUNK == 0 else start + n - 1] if n else h", "snapshots", "hold and overwrite", "sgl-project/sglang #33450"),
    ("snapshot one token early", "states[start + n - 1] if n else h", "states[max(start, start + n - 2)] if n else h", "snapshots", "hold and overwrite"),
    ("snapshot's convolution one token late", "left.append((wide[n : n + block.k - 1]", "left.append((wide[n - 1 : n + block.k - 2] if n else wide[: block.k - 1]", "snapshots", "conv1d.weight"),
    ("initial state of the first document for all", "h = initial[starts.index(begin)]", "h = initial[0]", "packed-continued", "hold and overwrite"),
]  # fmt: skip
_CACHED = [
    ("cache not cleared for the next request", "            states[slots] = 0.0\n", "", "full", "hold and overwrite|written|steps", ""),
    ("convolution's cache not cleared", "            pasts[slots] = 0.0\n", "", "full", "conv1d.weight"),
    ("all requests share slot 0", "slots = torch.arange(self.next, self.next + count)", "slots = torch.arange(count)", "interleaved", "hold and overwrite|conv1d"),
    ("step does not shift the convolution", "torch.cat([past[:, 1:], u], dim=1) if block.k > 1 else past", "past", "step", "conv1d.weight"),
    ("step shifts the convolution twice", "torch.cat([past[:, 1:], u], dim=1) if", "torch.cat([past[:, 2:], u, u], dim=1)[:, : block.k - 1] if", "step", "conv1d.weight"),
    ("convolution's state in the wrong slot after a short prefill", "    pasts[slots] = wide[:, wide.shape[1] - (block.k - 1) :]", "    pasts[slots if u.shape[1] >= block.k - 1 else slots - 1] = wide[:, wide.shape[1] - (block.k - 1) :]", "step", "conv1d.weight", "vllm-project/vllm #56196"),
    ("prefill does not keep the state", "    pool[slots] = h\n", "", "step", "hold and overwrite", "state-spaces/mamba #500"),
    ("prefill keeps the state before its last token", "    pool[slots] = h\n", "    pool[slots] = states[-2] if len(states) > 1 else h\n", "cached", "hold and overwrite", "state-spaces/mamba #641"),
    ("step without D", "block.output(h[:, None], c, x, z)", "block.output(h[:, None], c, x * 0, z)", "step", "D"),
    ("step does not keep the state", "            self.states[layer][slots] = h\n", "", "step", "hold and overwrite"),
    ("step keeps bfloat16", "self.states[layer][slots] = h\n", "self.states[layer][slots] = h.bfloat16().float()\n", "step", "precision of the state"),
    ("padding runs into the convolution", "    u = u * keep\n", "", "padded", "zeros before the first token"),
    ("padding writes memory", "pasts[slots]) * keep\n", "pasts[slots])\n", "padded", "none at padding"),
    ("mask of the first row for all", "keep = self.w.embedding[ids], mask[:, :, None]", "keep = self.w.embedding[ids], mask[:1, :, None]", "padded", "none at padding|zeros before"),
    ("slots of a batch in one order", "pool[slots] = h\n", "pool[slots] = h.flip(0)\n", "step", "hold and overwrite"),
    ("one slot of the pool is corrupt", "    h, states = pool[slots], []", "    h, states = pool[slots] + (slots == 3).float()[:, None, None], []", "full", "hold and overwrite|written|steps"),
    ("one channel of many is lost", "h = gate[:, 0] * self.states[layer][slots] + write[:, 0]", "h = gate[:, 0] * self.states[layer][slots] + write[:, 0]\n            h[:, 12] = 0", "step", "hold and overwrite|written", "state-spaces/mamba #997"),
]  # fmt: skip

_SIGN = "sign[..., None] * gate, write, c"
_SIGNED = [
    ("sign dropped", _SIGN, "gate, write, c", "full", "the sign"),
    ("sign applied twice", _SIGN, "sign[..., None] * sign[..., None] * gate, write, c", "full", "the sign"),
    ("sign of the previous token", _SIGN, "torch.cat([torch.ones_like(sign[:, :1]), sign[:, :-1]], dim=1)[..., None] * gate, write, c", "full", "the sign"),
    ("sign applied to the write too", _SIGN, "sign[..., None] * gate, sign[..., None] * write, c", "full", "the sign: sign_proj.bias|not of what is written"),
    ("sign of the first channel for all", _SIGN, "sign[..., :1, None] * gate, write, c", "full", "the sign"),
    ("sign for the first entry of d_state only", _SIGN, "torch.where(torch.arange(self.n) == 0, sign[..., None], 1.0) * gate, write, c", "full", "a sign for all entries of d_state"),
    ("sigmoid for tanh", "torch.tanh(", "torch.sigmoid(", "full", "the sign"),
    ("bias of the sign missing", "self.w_sign.T + self.sign_bias", "self.w_sign.T", "full", "hold and overwrite"),
    ("bias of the sign for the product", "torch.tanh(low[..., : self.rank] @ self.w_sign.T + self.sign_bias)", "torch.tanh(self.sign_bias).expand_as(x)", "full", "the sign"),
    ("only the first row of dt for the sign", "low[..., : self.rank] @ self.w_sign.T", "low[..., :1] @ self.w_sign[:, :1].T", "full", "the sign"),
    ("sign from Delta's projection", "@ self.w_sign.T + self.sign_bias", "@ self.w_dt.T + self.dt_bias", "full", "hold and overwrite"),
    ("sign dropped in single steps", _SIGN, "(sign[..., None] if x.shape[1] > 1 else 1.0) * gate, write, c", "step", "the sign"),
    ("sign of the first token of a continuation lost", _SIGN, "torch.cat([sign[:, :1].abs(), sign[:, 1:]], dim=1)[..., None] * gate, write, c", "continued", "the sign"),
]  # fmt: skip
_FALCON = [
    ("norm of dt missing", "self.rms(dt), self.rms(b), self.rms(c)", "dt, self.rms(b), self.rms(c)", "full", "the norm of dt"),
    ("norm of B missing", "self.rms(dt), self.rms(b), self.rms(c)", "self.rms(dt), b, self.rms(c)", "full", "the norms of B and C"),
    ("norm of C missing", "self.rms(dt), self.rms(b), self.rms(c)", "self.rms(dt), self.rms(b), c", "full", "the norms of B and C"),
    ("norms missing", "self.rms(dt), self.rms(b), self.rms(c)", "dt, b, c", "full", "the norms of B and C"),
    ("norm of B and C together", "self.rms(dt), self.rms(b), self.rms(c)", "self.rms(dt), *self.rms(low[..., self.rank :]).split([self.n, self.n], dim=-1)", "full", "the norms of B and C"),
    ("norm of dt, B and C together", "self.rms(dt), self.rms(b), self.rms(c)", "self.rms(low).split([self.rank, self.n, self.n], dim=-1)", "full", "the norms of B and C"),
    ("norm after dt_proj", "dt, b, c = self.rms(dt), self.rms(b), self.rms(c)\n        delta = softplus(dt @ self.w_dt.T", "b, c = self.rms(b), self.rms(c)\n        delta = softplus(self.rms(dt @ self.w_dt.T)", "full", "the norm of dt"),
    ("norms divide by the sum of squares", "size = v.pow(2).mean(", "size = v.pow(2).sum(", "full", "the norms of B and C"),
    ("norms subtract the mean", "size = v.pow(2)", "v = v - v.mean(-1, keepdim=True); size = v.pow(2)", "full", "the norms of B and C"),
    ("epsilon of the other norms", 'config["mixer_rms_eps"]', "self.eps", "full", "epsilon of the norm of dt"),
    ("epsilon a hundredth", 'config["mixer_rms_eps"]', 'config["mixer_rms_eps"] / 100', "full", "epsilon of the norm of dt"),
    ("epsilon outside the root", "torch.rsqrt(size + self.inner_eps)", "1 / (torch.sqrt(size) + self.inner_eps)", "full", "epsilon of the norm of dt"),
    ("norms missing in single steps", "self.rms(dt), self.rms(b), self.rms(c)", "(dt, b, c) if x.shape[1] == 1 else (self.rms(dt), self.rms(b), self.rms(c))", "step", "the norms of B and C"),
    ("norms of B and dt swapped", "self.rms(dt), self.rms(b), self.rms(c)", "dt * self.scale(b), b * self.scale(dt), self.rms(c)", "full", "the norms of B and C"),
]  # fmt: skip


def _all() -> tuple[Mutant, ...]:
    found = [Mutant(n, "sequential", old, new, "full", where) for n, old, new, where in _SEQUENTIAL]
    for base, rows in (
        ("chunked", _CHUNKED),
        ("packed", _PACKED),
        ("cached", _CACHED),
        ("signed", _SIGNED),
        ("falcon", _FALCON),
    ):
        found += [Mutant(row[0], base, *row[1:5], row[5] if len(row) > 5 else "") for row in rows]  # type: ignore[arg-type]
    return tuple(found)


MUTANTS = _all()
