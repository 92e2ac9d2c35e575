"""Runs of a torch model in which the pre-activations of its gates are observed, or its recurrent layers are cut out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import sympy
import torch
from sympy import Expr, Symbol
from torch import Tensor, nn

from .numbers import TORCH, compiled
from .properties import PRIME, Counterexample
from .readers import BoundGate

SHOWS = 1e-6
"""Differences of gates below this, in float64, are not taken as evidence."""

MATTERS = 1e-4
"""Relative differences of outputs below this are taken as rounding."""


class Runs:
    """Pre-activations of all layers on random words; the model runs once, when first asked.

    Args:
        model: takes token ids.
        gates: its layers.
        words: how many words.
        length: their length.
        seed: of the words.
    """

    def __init__(self, model: nn.Module, gates: Sequence[BoundGate], words: int, length: int, seed: int) -> None:
        self.model, self.gates, self.length = model, gates, length
        size, draw = _vocabulary(model), torch.Generator().manual_seed(seed)
        # No embedding of tokens, no words.
        self.tokens = torch.randint(0, size or 1, (words if size else 0, length), generator=draw)

    @cached_property
    def captured(self) -> list[dict[Symbol, Tensor]]:
        """Per layer the pre-activations, shape (words, length, channels); empty where they could not be seen."""
        stores: list[dict[Symbol, Tensor]] = [{} for _ in self.gates]
        if len(self.tokens):
            handles = [
                gate.observe.register_forward_hook(
                    lambda _, args, out, gate=gate, store=store: store.update(gate.observed(args[0], out))
                )
                for gate, store in zip(self.gates, stores, strict=True)
                if gate.inputs
            ]
            _forward(self.model, self.tokens, handles)
        return stores

    def find(
        self, number: int, where: str, count: int, shows: Callable[[Tensor, Tensor], Tensor]
    ) -> Counterexample | None:
        """An entry of a layer whose gates seem to refute a property, after words that are as short as can be.

        Args:
            number: the layer.
            where: its name.
            count: 1 for the word of the least gate, 2 for those of the least and the largest.
            shows: from the least and the largest gate of every channel to whether they do.

        Returns:
            It, in exact numbers; None if there is none.
        """
        gate, seen = self.gates[number], self.captured[number]
        if not gate.inputs or not seen:
            return None
        for end in (gate.skip + 1, gate.skip + 2, self.length):
            part = {s: t[:, gate.skip : end] for s, t in seen.items()}
            # One state per channel is enough: the others differ in their constants only.
            at = {s: t.flatten(0, 1) for s, t in part.items()} | {s: t[:, 0] for s, t in gate.constants.items()}
            gates = compiled(gate.formula, TORCH)(at)
            channels = shows(gates.amin(0), gates.amax(0)).nonzero().flatten().tolist()
            if channels:
                rows = [int(extreme[channels[0]]) for extreme in (gates.argmin(0), gates.argmax(0))]
                return self._exactly(gate, part, where, channels[0], rows[:count])
        return None

    def _exactly(
        self, gate: BoundGate, part: dict[Symbol, Tensor], where: str, channel: int, rows: Sequence[int]
    ) -> Counterexample:
        constants = {s: _exact(t[channel, 0]) for s, t in gate.constants.items()}
        values: list[tuple[str, Expr]] = [(str(s), v) for s, v in constants.items()]
        gates, words = [], []
        for n, row in enumerate(rows):
            point = {s: _exact(t.flatten(0, 1)[row, channel]) for s, t in part.items()}
            values += [(f"{s}{PRIME * n}", v) for s, v in point.items()]
            gates.append(gate.formula.xreplace({**constants, **point}).doit())
            word, time = divmod(row, next(iter(part.values())).shape[1])
            words.append(tuple(str(int(i)) for i in self.tokens[word, : time + gate.skip + 1]))
        place = f"layer {where}, channel {channel}, state 0"
        return Counterexample(tuple(values), tuple(gates), place, tuple(words))


def unexplained(model: nn.Module, known: Sequence[str], seed: int) -> list[str]:
    """What else than the known layers lets one position matter to another: sentences, none if nothing was found.

    All known layers' outputs are set to zero. Then the output at the end of a word must not depend on its first
    symbol, nor, on a word of one symbol, on the position. (Windows of a few positions are no matter: on w^n they
    settle at once.)
    """
    size = _vocabulary(model)
    if size is None:
        return ["the model has no embedding of tokens, so it could not be run"]
    length = 2 * len(known) + 16
    draw = torch.Generator().manual_seed(seed)
    words = torch.randint(0, size, (8, length), generator=draw)
    changed = words.clone()
    changed[:, 0] = (changed[:, 0] + torch.randint(1, max(size, 2), (8,), generator=draw)) % size
    same = torch.randint(0, size, (8, 1), generator=draw).expand(-1, length)
    modules = dict(model.named_modules())

    def cut() -> list[Any]:
        return [modules[name].register_forward_hook(lambda _, args, out: _zeroed(out)) for name in known]

    one, other, flat = (_scores(_forward(model, tokens, cut())) for tokens in (words, changed, same))
    found = []
    if _differ(one[:, -1], other[:, -1]):
        found.append("something else mixes positions (a far symbol matters without the recurrent layers)")
    if _differ(flat[:, -1], flat[:, length // 2]):
        found.append("the output depends on the position (without the recurrent layers)")
    return found


def _zeroed(out: Any) -> Any:
    if isinstance(out, Tensor):
        return torch.zeros_like(out)
    return (torch.zeros_like(out[0]), *out[1:]) if isinstance(out, tuple) and isinstance(out[0], Tensor) else out


def _scores(out: Any) -> Tensor:
    scores = getattr(out, "logits", None)
    if scores is None:
        scores = getattr(out, "last_hidden_state", None)
    if scores is None:
        scores = out[0] if isinstance(out, tuple) else out
    return scores.double()


def _differ(a: Tensor, b: Tensor) -> bool:
    scale = float(torch.maximum(a.abs().max(), b.abs().max()))
    return float((a - b).abs().max()) > MATTERS * max(scale, MATTERS)


def _vocabulary(model: nn.Module) -> int | None:
    return next((m.num_embeddings for m in model.modules() if isinstance(m, nn.Embedding)), None)


@torch.no_grad()
def _forward(model: nn.Module, tokens: Tensor, handles: Sequence[Any]) -> Any:
    """One pass in evaluation mode; the hooks are removed afterwards."""
    tokens = tokens.to(next(model.parameters()).device)
    try:
        with _evaluating(model):
            try:
                return model(input_ids=tokens, use_cache=False)
            except TypeError:  # not a model of transformers
                return model(tokens)
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    was = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in was:
            module.training = training


def _exact(value: Tensor) -> Expr:
    """A float as the rational number that it is."""
    return sympy.Rational(*float(value).as_integer_ratio())
