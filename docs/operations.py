"""Every operation of a forward pass, in order: what it computes, in which dtype, and which obligation makes it exact.

The tables are of ``transformers``' modules (and of ``models/signed_mamba.py``), a token at a time from a cache and
many at once; ``tests/certify/test_operations.py`` watches the real modules at work and fails at an operation that is
not here, at one that is missing, and at another dtype. ``docs/operations.md`` shows them: ``python docs/operations.py``
writes it.

Operations that only move numbers (views, copies, concatenations, look-ups, conversions to a dtype that holds the
number, which the obligation of the operation before demands) are not listed: see ``MOVES``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Stored = Literal["weights", "float32", "bool"]
"""In which dtype a result is stored: the weights' own (bfloat16 in a bfloat16 model), or always float32."""

OBLIGATIONS = {
    "sums": "the sum's terms are multiples of one q, and their absolute values add up to at most 2^24 q",
    "products": "the product is stored without rounding (checked under the obligation sums)",
    "functions": "evaluated only where every faithful implementation returns the same number",
    "gates": "exactly 0, 1 or -1, and one of 1 or -1 comes with a write of 0 (or counts)",
    "rmsnorm": "the large constant absorbs all else; the mean is a power of four; no vector overflows",
    "exact": "a sign, a mask or a bound that never binds: nothing to round",
}
"""What each word of the tables demands of the numbers that go in; docs/certificates.md has them in full."""

MOVES = frozenset(
    (
        "_reshape_alias _to_copy _unsafe_view alias cat clone constant_pad_nd copy_ detach embedding expand "
        "permute promote_types select slice split split_with_sizes squeeze stack t transpose unbind unsqueeze "
        "view zeros zeros_like ones"
    ).split()
)
"""Operations of ATen that compute nothing."""


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        module: the module that it happens in, relative to the block ("" is the block itself).
        name: ATen's name for it.
        stored: the result's dtype.
        obligation: a key of ``OBLIGATIONS``.
        formula: what it is in the formulas of docs/walkthroughs/mamba_block.md.
        each: whether it is repeated for each token of a prefill.
    """

    module: str
    name: str
    stored: Stored
    obligation: str
    formula: str
    each: bool = False


Table = tuple[Operation, ...]


def _norm(module: str, stored: Stored, x: str, *, weight: bool = True) -> Table:
    """RMSNorm. The product with the weight is stored as the input was; Falcon-Mamba's inner norms have no weight."""
    rows = (
        Operation(module, "pow", "float32", "rmsnorm", f"{x}^2"),
        Operation(module, "mean", "float32", "rmsnorm", f"mean({x}^2)"),
        Operation(module, "add", "float32", "rmsnorm", "+ epsilon"),
        Operation(module, "rsqrt", "float32", "rmsnorm", "1 / sqrt(.)"),
        Operation(module, "mul", "float32", "rmsnorm", f"{x} / rms({x})"),
    )
    return (*rows, Operation(module, "mul", stored, "products", "times the weight")) if weight else rows


def _linear(module: str, formula: str) -> Operation:
    return Operation(module, "mm", "weights", "sums", formula)


def _in(name: str, stored: Stored, obligation: str, formula: str, *, each: bool = False) -> Operation:
    """An operation of the mixer itself."""
    return Operation("mixer", name, stored, obligation, formula, each)


_ENTER = (*_norm("norm", "weights", "r"), _linear("mixer.in_proj", "u, z = W_in r^"))
_LEAVE = (_linear("mixer.out_proj", "W_out (y silu(z))"), Operation("", "add", "float32", "sums", "r + out"))
_A = (_in("exp", "float32", "gates", "exp(A_log)"), _in("neg", "float32", "exact", "A = -exp(A_log)"))
_CONV = _in("convolution", "weights", "sums", "taps . u + b_conv")
_DELTA = (
    _in("mm", "weights", "sums", "W_dt dt"),
    _in("add", "weights", "sums", "+ b_dt"),
    _in("softplus", "weights", "functions", "Delta = softplus(.)"),
)
_GATES = (
    _in("mul", "float32", "functions", "Delta A"),
    _in("exp", "float32", "gates", "gate = exp(Delta A)"),
    _in("mul", "float32", "products", "Delta B"),
    _in("mul", "float32", "products", "write = Delta B x"),
)


def _steps(*, each: bool, reads_each: bool) -> Table:
    return (
        _in("mul", "float32", "gates", "gate h", each=each),
        _in("add", "float32", "gates", "h = gate h + write", each=each),
        _in("bmm", "weights", "sums", "C h", each=reads_each),
    )


def _read(stored: Stored, silu: Operation) -> Table:
    """One token's products are stored as the weights are, many tokens' in float32."""
    return (
        _in("mul", stored, "products", "D x"),
        _in("add", stored, "sums", "y = C h + D x"),
        silu,
        _in("mul", stored, "products", "y silu(z)"),
    )


_SILU = (_in("silu", "weights", "functions", "x = silu(.)"), _in("silu", "weights", "functions", "silu(z)"))
_SELECT = _linear("mixer.x_proj", "dt, B, C = W_x x")
_INNER = tuple(
    row
    for part, x in (("dt", "dt"), ("b", "B"), ("c", "C"))
    for row in _norm(f"mixer.{part}_layernorm", "float32", x, weight=False)
)


def _mamba(inner: Table, *, many: bool) -> Table:
    stored: Stored = "float32" if many else "weights"
    begin = (*_ENTER, *_A, _CONV, _SILU[0], _SELECT, *inner, *_DELTA, *_GATES)
    return (*begin, *_steps(each=many, reads_each=many), *_read(stored, _SILU[1]), *_LEAVE)


def _signed() -> Table:
    silu = [Operation("mixer.act", "silu", "weights", "functions", formula) for formula in ("x = silu(.)", "silu(z)")]
    sign = (
        _in("mm", "weights", "sums", "W_sign dt"),
        _in("add", "weights", "sums", "+ b_sign"),
        _in("tanh", "weights", "functions", "sign = tanh(.)"),
    )
    gates = (
        *_A,
        *_GATES[:2],
        _in("mul", "float32", "gates", "gate = sign exp(Delta A)"),
        *_GATES[2:],
    )
    begin = (*_ENTER, _CONV, silu[0], _SELECT, *_DELTA, *sign, *gates)
    return (*begin, *_steps(each=True, reads_each=False), *_read("float32", silu[1]), *_LEAVE)


_MAMBA2_ENTER = (
    *_ENTER,
    *_A,
    _in("convolution", "weights", "sums", "taps . (x, B, C) + b_conv"),
    _in("silu", "weights", "functions", "x, B, C = silu(.)"),
    _in("add", "weights", "sums", "dt + b_dt"),
    _in("softplus", "weights", "functions", "Delta = softplus(.)"),
)


def _mamba2_leave(stored: Stored) -> Table:
    return (
        Operation("mixer.norm", "silu", "float32", "functions", "silu(z)"),
        Operation("mixer.norm", "mul", "float32", "products", "y silu(z)"),
        *_norm("mixer.norm", stored, "y"),
        *_LEAVE,
    )


_MAMBA2_STEP = (
    *_MAMBA2_ENTER,
    _in("mul", "float32", "functions", "Delta A"),
    _in("exp", "float32", "gates", "gate = exp(Delta A)"),
    _in("mul", "weights", "products", "Delta B"),
    _in("mul", "weights", "products", "write = Delta B x"),
    _in("mul", "float32", "gates", "gate h"),
    _in("add", "float32", "gates", "h = gate h + write"),
    _in("bmm", "weights", "sums", "C h"),
    _in("mul", "weights", "products", "D x"),
    _in("add", "weights", "sums", "y = C h + D x"),
    *_mamba2_leave("weights"),
)


def _segment_sums() -> Table:
    """Sums of Delta A over every stretch of a chunk, as transformers' ``segment_sum`` takes them."""
    mask = (_in("tril", "bool", "exact", "mask"), _in("bitwise_not", "bool", "exact", "mask"))
    return (
        *mask,
        _in("masked_fill", "float32", "exact", "0 above the diagonal"),
        _in("cumsum", "float32", "gates", "sums of Delta A"),
        *mask,
        _in("masked_fill", "float32", "exact", "-inf above the diagonal"),
        _in("exp", "float32", "gates", "product of gates"),
    )


_MAMBA2_PREFILL = (
    *_MAMBA2_ENTER,
    _in("clamp", "weights", "exact", "Delta within time_step_limit"),
    _in("mul", "float32", "products", "D x"),
    _in("mul", "float32", "products", "Delta x"),
    _in("mul", "float32", "functions", "Delta A"),
    _in("cumsum", "float32", "gates", "sums of Delta A in a chunk"),
    *_segment_sums(),
    _in("bmm", "float32", "sums", "C B"),
    _in("mul", "float32", "gates", "C B times gates"),
    _in("bmm", "float32", "sums", "within chunks"),
    _in("sub", "float32", "gates", "sum to the end of the chunk"),
    _in("exp", "float32", "gates", "product of gates"),
    _in("mul", "float32", "gates", "B times gates"),
    _in("bmm", "float32", "sums", "states at the ends of chunks"),
    *_segment_sums(),
    _in("bmm", "float32", "sums", "states carried from chunk to chunk"),
    _in("exp", "float32", "gates", "product of gates from the beginning of the chunk"),
    _in("bmm", "float32", "sums", "C times carried states"),
    _in("mul", "float32", "gates", "times gates"),
    _in("add", "float32", "sums", "within and between chunks"),
    _in("add", "float32", "sums", "y = C h + D x"),
    *_mamba2_leave("float32"),
)

HEAD = (*_norm("norm_f", "float32", "r"), _linear("lm_head", "logits"))
"""After the last block, in every kind; the residual stream is float32, and so is what the last norm gives."""

STEP: dict[str, Table] = {
    "mamba": _mamba((), many=False),
    "falcon_mamba": _mamba(_INNER, many=False),
    "signed_mamba": _signed(),
    "mamba2": _MAMBA2_STEP,
}
"""A block on one token, from a cache."""

PREFILL: dict[str, Table] = {
    "mamba": _mamba((), many=True),
    "falcon_mamba": _mamba(_INNER, many=True),
    "signed_mamba": _signed(),
    "mamba2": _MAMBA2_PREFILL,
}
"""A block on several tokens at once."""

PADDED = _in("mul", "weights", "exact", "the padding mask, 0 or 1")
"""What a batch with padding adds: before ``in_proj`` and after the convolution."""


def page() -> str:
    """``docs/operations.md``."""
    lines = [PREFACE, *(f"- **{name}**: {meaning}." for name, meaning in OBLIGATIONS.items())]
    for kind in STEP:
        for title, table in (("one token, from a cache", STEP[kind]), ("several tokens at once", PREFILL[kind])):
            lines += ["", f"## `{kind}`: {title}", "", "| module | operation | computes | stored in | obligation |"]
            lines.append("|---|---|---|---|---|")
            for row in table:
                again = ", for each token" if row.each else ""
                place = f"`{row.module}`" if row.module else "block"
                lines.append(f"| {place} | `{row.name}` | {row.formula}{again} | {row.stored} | {row.obligation} |")
    lines += ["", "## After the last block", "", "| module | operation | computes | stored in | obligation |"]
    lines.append("|---|---|---|---|---|")
    lines += [f"| `{r.module}` | `{r.name}` | {r.formula} | {r.stored} | {r.obligation} |" for r in HEAD]
    return "\n".join(lines) + "\n"


PREFACE = """# Operations and obligations

Every operation of a forward pass in the order in which `transformers` (5.23.0) and `models/signed_mamba.py` carry it
out, with the dtype in which its result is stored and the obligation that makes it exact. A scope of "every-
implementation" says that each row was covered, for every input that can occur. `tests/certify/test_operations.py`
watches the real modules while they run and fails if an operation appears that the tables lack; this page is written
by `docs/operations.py`. 5.24.0 carries out the same; 5.17.0, too, but for the prefill of Mamba-2, where it takes
products and sums in place of a matrix product (`bmm`) of the same terms.

"weights" is the dtype of the weights: bfloat16 in a bfloat16 model, and then a result that is stored there must fit
it. Operations that only move numbers are left out. A batch with padding multiplies by the mask as well, which is 0 or
1; what it hides is finite, whatever the token's embedding (rmsnorm).

`mamba_ssm`'s kernels compute the same formulas in float32 inside and store in the dtype of their inputs:
`selective_scan_fwd_kernel.cuh` takes softplus as log1p(exp(.)) up to 20 and the identity above, the gate as
exp2(Delta (A log2 e)), which at Delta = 0 is 1 and at exponents of -1024 and below 0, as the obligation on functions
demands; the products and sums of its scan are those of the scan lemma ([proofs](proofs.md)); its fused RMSNorm is
that of the table.

What each obligation demands of the numbers that go in ([certificates](certificates.md) has them in full):
"""

if __name__ == "__main__":
    Path(__file__).with_suffix(".md").write_text(page(), encoding="utf-8")
