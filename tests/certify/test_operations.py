"""The tables of operations are what the real modules do: watched at work, operation by operation."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import scancraft

LANGUAGES = {"mamba": "(ab)*", "falcon_mamba": "(ab)*", "mamba2": "(ab)*", "signed_mamba": "(b*ab*a)*b*"}
DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
PAGE = DOCS / "operations.md"

spec = spec_from_file_location("operations", DOCS / "operations.py")
assert spec is not None
assert spec.loader is not None
operations = sys.modules["operations"] = module_from_spec(spec)
spec.loader.exec_module(operations)

Seen = tuple[str, str, str]
"""Module (without the backbone and the block's number), operation, dtype of the result."""


class Watch(TorchDispatchMode):
    """Writes down every operation that computes something, with the module that it happens in."""

    def __init__(self) -> None:
        super().__init__()
        self.inside: list[str] = []
        self.seen: list[Seen] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name not in operations.MOVES:
            first = out[0] if isinstance(out, (tuple, list)) else out
            dtype = str(first.dtype).removeprefix("torch.") if isinstance(first, torch.Tensor) else ""
            self.seen.append((self.inside[-1] if self.inside else "", name, dtype))
        return out


@contextmanager
def watched(model: Any) -> Iterator[Watch]:
    watch = Watch()
    handles = []
    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda *_, name=name: watch.inside.append(name)))
        handles.append(module.register_forward_hook(lambda *_: watch.inside.pop() and None))
    try:
        with torch.no_grad(), watch:
            yield watch
    finally:
        for handle in handles:
            handle.remove()


def of_block(seen: list[Seen], number: int) -> list[Seen]:
    """What one block did."""
    prefix = f"backbone.layers.{number}"
    return [(m.removeprefix(prefix).lstrip("."), n, d) for m, n, d in seen if f"{m}.".startswith(f"{prefix}.")]


def expected(table: operations.Table, tokens: int, dtype: str, *, padded: bool = False) -> list[Seen]:
    """A table, written out: what is repeated for each token is, in a run, repeated together."""
    rows: list[operations.Operation] = []
    table = with_padding(table) if padded else table
    start = 0
    while start < len(table):
        end = start
        while end < len(table) and table[end].each:
            end += 1
        rows += table[start:end] * tokens if end > start else table[start : start + 1]
        start = max(end, start + 1)
    return [(r.module, r.name, dtype if r.stored == "weights" else r.stored) for r in rows]


def with_padding(table: operations.Table) -> operations.Table:
    names = [(r.module, r.name) for r in table]
    first = names.index(("mixer.in_proj", "mm"))
    second = next(n for n, (_, name) in enumerate(names) if name == "silu") + 1
    return (*table[:first], operations.PADDED, *table[first:second], operations.PADDED, *table[second:])


def head(seen: list[Seen]) -> list[Seen]:
    return [(m.removeprefix("backbone."), n, d) for m, n, d in seen if "layers" not in m]


@pytest.fixture(scope="module", params=LANGUAGES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def model(kind: str, request: pytest.FixtureRequest) -> Any:
    compiled = scancraft.compile(LANGUAGES[kind], target=kind, construction="cascade")
    return compiled.model(getattr(torch, request.param))


def need_the_tables_version(kind: str) -> None:
    if kind == "mamba2" and tuple(map(int, version("transformers").split(".")[:2])) < (5, 20):
        pytest.skip("before 5.20 Mamba-2 takes products and sums where the table has a matrix product")


@pytest.mark.parametrize("tokens", [2, 3, 9])
def test_a_prefill_does_what_the_table_says(model: Any, kind: str, tokens: int) -> None:
    need_the_tables_version(kind)
    dtype = str(model.dtype).removeprefix("torch.")
    ids = torch.tensor([[1, *([4] * (tokens - 1))]])
    with watched(model) as watch:
        model(ids, use_cache=True)
    for number in range(len(model.backbone.layers)):
        assert of_block(watch.seen, number) == expected(operations.PREFILL[kind], tokens, dtype)
    assert head(watch.seen) == expected(operations.HEAD, 1, dtype)


def test_a_padded_batch_multiplies_by_the_mask_and_nothing_else(model: Any, kind: str) -> None:
    need_the_tables_version(kind)
    dtype = str(model.dtype).removeprefix("torch.")
    ids, mask = torch.tensor([[1, 4, 4], [0, 1, 4]]), torch.tensor([[1, 1, 1], [0, 1, 1]])
    with watched(model) as watch:
        model(ids, attention_mask=mask, use_cache=True)
    for number in range(len(model.backbone.layers)):
        assert of_block(watch.seen, number) == expected(operations.PREFILL[kind], 3, dtype, padded=True)


def test_a_step_does_what_the_table_says(model: Any, kind: str) -> None:
    dtype = str(model.dtype).removeprefix("torch.")
    cache = model(torch.tensor([[1, 4]]), use_cache=True).cache_params
    ids = torch.tensor([[4]])
    with watched(model) as watch:
        model(ids, cache_params=cache)
    for number in range(len(model.backbone.layers)):
        assert of_block(watch.seen, number) == expected(operations.STEP[kind], 1, dtype)
    assert head(watch.seen) == expected(operations.HEAD, 1, dtype)


def test_an_operation_that_is_not_in_the_table_is_noticed(kind: str) -> None:
    model = scancraft.compile(LANGUAGES[kind], target=kind, construction="cascade").model()
    mixer = model.backbone.layers[0].mixer
    plain = mixer.forward
    mixer.forward = lambda *args, **kwargs: plain(*args, **kwargs) * 1.0
    ids = torch.tensor([[1, 4]])
    with watched(model) as watch:
        model(ids)
    assert of_block(watch.seen, 0) != expected(operations.PREFILL[kind], 2, "float32")


def test_every_row_names_an_obligation_and_the_page_is_current() -> None:
    for table in (*operations.STEP.values(), *operations.PREFILL.values(), operations.HEAD, (operations.PADDED,)):
        assert {row.obligation for row in table} <= set(operations.OBLIGATIONS)
    assert PAGE.read_text(encoding="utf-8") == operations.page()
