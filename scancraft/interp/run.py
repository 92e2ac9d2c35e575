"""Running a model with eyes and hands inside: a cache of all activations, patches, gradients.

It is the model's own forward pass, with hooks on its modules. Between the modules of a mixer nothing can be hooked, so
the recurrence is computed beside it (``interp.mixers``); where a patch changes it, the model goes on with that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from .errors import PatchError
from .labels import Direction
from .mixers import reader, scanned
from .points import INSIDE, path_of, short_names, unknown
from .subject import Subject, Target, Words, subject_of


@dataclass(frozen=True, eq=False, repr=False)
class Cache(Mapping[str, Tensor]):
    """The activations of one run, by name (``interp.points``). Position 0 is ``<bos>``, n the n-th symbol.

    Attributes:
        activations: by path, shape (batch, time, ...).
        ids: the tokens, shape (batch, time).
        lengths: how many positions of each row are not padding.
        exact: whether the recurrence, computed beside the model, gave what its modules then read, bit for bit. So it is
            in compiled models, and in trained ones of Mamba where ``transformers`` goes step by step.
    """

    activations: Mapping[str, Float[Tensor, "batch time ..."]]
    ids: Int64[Tensor, "batch time"]
    lengths: tuple[int, ...]
    exact: bool

    @property
    def logits(self) -> Float[Tensor, "batch time vocabulary"]:
        """What the model put out."""
        return self.activations["lm_head"]

    def __getitem__(self, name: str) -> Tensor:
        path = path_of(name)
        if path not in self.activations:
            raise unknown(name, (*self.activations, *short_names(_blocks(self.activations))))
        return self.activations[path]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and path_of(name) in self.activations

    def __iter__(self) -> Iterator[str]:
        return iter(self.activations)

    def __len__(self) -> int:
        return len(self.activations)

    def __repr__(self) -> str:
        rows, time = self.ids.shape
        return f"Cache({len(self)} activations of {rows} words, {time} positions, exact={self.exact})"


def _blocks(paths: Mapping[str, Any]) -> int:
    return sum(path.endswith(".mixer.in_proj") for path in paths)


Index = int | tuple[int | slice | list[int], ...] | None
"""A place in the axes after the time."""


@dataclass(frozen=True, eq=False)
class Patch:
    """What is put in the place of an activation.

    Attributes:
        point: a hook point (``interp.points``).
        value: another run's cache, of which the same place is taken; or a number; or a tensor that can be broadcast to
            (batch, positions, ...).
        position: where in time; None: everywhere. Negative ones count from the end.
        index: a channel, or a channel and an entry of its state: a place in the axes after the time; None: all of them.
        direction: instead of an index: the value is that of this direction of the residual stream, and the rest stays.

    Raises:
        PatchError: an index and a direction.
    """

    point: str
    value: Cache | Tensor | float
    position: int | slice | None = None
    index: Index = None
    direction: Direction | None = None

    def __post_init__(self) -> None:
        if self.index is not None and self.direction is not None:
            raise PatchError("a patch has an index or a direction, not both")

    def at(self, time: int) -> list[int]:
        """The positions that are patched in a run of so many.

        Raises:
            PatchError: there is no such position.
        """
        if self.position is None:
            return list(range(time))
        if isinstance(self.position, slice):
            return list(range(time))[self.position]
        if not -time <= self.position < time:
            raise PatchError(f"there is no position {self.position} among {time}; <bos> is 0")
        return [self.position % time]

    def apply(self, whole: Tensor, start: int, time: int) -> Tensor:
        """The activation at some times from ``start`` on, out of ``time``, with the patch.

        Raises:
            PatchError: the value or the index does not fit.
        """
        positions = self.at(time)
        rows = [n for n, p in enumerate(positions) if start <= p < start + whole.shape[1]]
        if not rows:
            return whole
        there = torch.tensor([positions[n] - start for n in rows])
        try:
            kept = self._looked(whole, there)
            new = self._given(positions, kept.ndim)[:, rows].to(kept.dtype).expand_as(kept)
            changed = whole.clone()
            now = whole[:, there]
            if self.direction is None:
                now[self._place] = new
            else:
                now += (new - kept)[..., None] * torch.tensor(self.direction.write, dtype=whole.dtype)
            changed[:, there] = now
        except (IndexError, RuntimeError) as error:
            raise PatchError(f"the patch does not fit {self.point}, shape {[*whole.shape]}: {error}") from None
        return changed

    @property
    def _place(self) -> tuple[Any, ...]:
        return _place(self.index)

    def _looked(self, whole: Tensor, positions: Tensor) -> Tensor:
        """What is replaced, shape (batch, positions, ...)."""
        if self.direction is not None:
            return whole[:, positions] @ torch.tensor(self.direction.read, dtype=whole.dtype)
        return whole[:, positions][self._place]

    def _given(self, positions: Sequence[int], dimensions: int) -> Tensor:
        """The value at each position that is patched, shape (batch or 1, positions, ...)."""
        if isinstance(self.value, Cache):
            return self._looked(self.value[self.point], torch.tensor(positions))
        value = torch.as_tensor(self.value)
        if value.ndim == 0:
            value = value.reshape([1] * dimensions)
        value = value.reshape([1] * (2 - value.ndim) + [*value.shape])
        return value.expand(-1, len(positions), *value.shape[2:]) if value.shape[1] == 1 else value


def _place(index: Index) -> tuple[Any, ...]:
    """An index behind the batch and the time."""
    rest = () if index is None else index if isinstance(index, tuple) else (index,)
    return slice(None), slice(None), *rest


NOT_HOOKED = ("act", "conv1d")
"""Modules of a mixer that are called with channels before time, or not at all."""


@dataclass
class _Hooks:
    """The hooks of one forward pass: they change what patches name, and record.

    Attributes:
        subject: what runs.
        time: positions.
        patches: by path.
        through: go on with the recurrence that is computed here, in every block, so that gradients flow through it.
        seen: by path, what was seen, one stretch of time after another.
        exact: whether the recurrence gave what the model read.
    """

    subject: Subject
    time: int
    patches: Mapping[str, Sequence[Patch]]
    through: bool = False
    seen: dict[str, list[Tensor]] = field(default_factory=lambda: defaultdict(list))
    exact: bool = True

    def edit(self, path: str, value: Tensor, start: int = 0) -> Tensor:
        """The value with the patches for this path; it is remembered."""
        for patch in self.patches.get(path, ()):
            value = patch.apply(value, start, self.time)
        self.seen[path].append(value)
        return value

    @contextmanager
    def on(self) -> Iterator[None]:
        """While hooked."""
        with ExitStack() as stack:
            for name, module in self.subject.model.named_modules():
                if name.rpartition(".")[2] not in ("", *NOT_HOOKED):
                    stack.callback(module.register_forward_pre_hook(self._before(name)).remove)
                    stack.callback(module.register_forward_hook(self._after(name)).remove)
            yield

    def _before(self, name: str) -> Callable[[Any, Any], Any]:
        place, _, last = name.rpartition(".")
        is_reader = place.endswith(".mixer") and last == reader(self.subject.kind)

        def hook(_: Any, args: Any) -> Any:
            if not args or not isinstance(args[0], Tensor) or not args[0].is_floating_point():
                return None
            value = self._scanned(place, args[0]) if is_reader else args[0]
            if last == "x_proj":
                value = self.edit(f"{place}.conv", value)
            return (self.edit(f"{name}.input", value), *args[1:])

        return hook

    def _scanned(self, mixer: str, own: Tensor) -> Tensor:
        """What is read of the recurrence: the model's own numbers, unless a patch is inside."""
        got = {n: self.seen[f"{mixer}.{n}"][0] for n in ("in_proj", "x_proj", "conv") if f"{mixer}.{n}" in self.seen}
        module = self.subject.model.get_submodule(mixer)
        value = scanned(self.subject.kind, module, got, lambda n, v, t: self.edit(f"{mixer}.{n}", v, t))
        if self.through or any(f"{mixer}.{n}" in self.patches for n in INSIDE):
            return value
        self.exact &= torch.equal(value, own)
        return own

    def _after(self, name: str) -> Callable[[Any, Any, Any], Any]:
        def hook(_: Any, __: Any, out: Any) -> Any:
            return self.edit(name, out) if isinstance(out, Tensor) else None

        return hook


def _ran(subject: Subject, ids: Tensor, patches: Sequence[Patch], through: bool = False) -> _Hooks:
    by_path: dict[str, list[Patch]] = defaultdict(list)
    for one in patches:
        by_path[path_of(one.point)].append(one)
    hooks = _Hooks(subject, ids.shape[1], dict(by_path), through)
    with torch.set_grad_enabled(through), hooks.on():
        subject.model(ids, use_cache=False)
    if missing := [one.point for one in patches if path_of(one.point) not in hooks.seen]:
        raise unknown(missing[0], (*hooks.seen, *short_names(_blocks(hooks.seen))))
    return hooks


def _cache(hooks: _Hooks, ids: Tensor, lengths: tuple[int, ...], found: Mapping[str, Sequence[Tensor]]) -> Cache:
    whole = {
        path: (parts[0] if len(parts) == 1 else torch.cat([*parts], dim=1)).detach() for path, parts in found.items()
    }
    return Cache(whole, ids, lengths, hooks.exact)


def run_with_cache(target: Target, words: Words, *patches: Patch) -> Cache:
    """Run a model, and keep every activation.

    Args:
        target: a model, a checkpoint directory, or what ``scancraft.compile`` returned.
        words: words, or token ids of shape (batch, time), int64.
        patches: what to change on the way.

    Raises:
        NotLookedIntoError: a model of another kind or dtype, or words for one without a manifest.
        HookPointError, PatchError: a patch for what is not there.
    """
    subject = subject_of(target)
    ids, lengths = subject.encoded(words)
    hooks = _ran(subject, ids, patches)
    return _cache(hooks, ids, lengths, hooks.seen)


def patch(target: Target, words: Words, *patches: Patch) -> Float[Tensor, "batch time vocabulary"]:
    """The logits of a run in which activations are replaced; arguments and errors as :func:`run_with_cache`."""
    return run_with_cache(target, words, *patches).logits


def ablate(
    target: Target,
    words: Words,
    point: str,
    *,
    index: Index = None,
    position: int | slice | None = None,
    by: Cache | float = 0.0,
) -> Float[Tensor, "batch time vocabulary"]:
    """The logits without an activation: it is set to a number, or to its mean over the words of a cache.

    Raises:
        HookPointError, PatchError: there is no such place.
    """
    if isinstance(by, Cache):
        whole = by[point]
        kept = torch.cat([row[:length] for row, length in zip(whole, by.lengths, strict=True)])
        mean = kept.mean(dim=0)[None, None]
        return patch(target, words, Patch(point, mean[_place(index)], position, index))
    return patch(target, words, Patch(point, by, position, index))


def gradients(target: Target, words: Words, metric: Callable[[Tensor], Tensor]) -> Cache:
    """The gradient of a number by every activation, in a cache of the same names and shapes.

    Args:
        target: as in :func:`run_with_cache`.
        words: likewise.
        metric: from the logits, shape (batch, time, vocabulary), to one number.
    """
    subject = subject_of(target)
    ids, lengths = subject.encoded(words)
    hooks = _ran(subject, ids, (), through=True)
    parts = [part for parts in hooks.seen.values() for part in parts]
    found = iter(torch.autograd.grad(metric(hooks.seen["lm_head"][0]), parts, allow_unused=True))
    slopes = {
        path: [torch.zeros_like(part) if (slope := next(found)) is None else slope for part in parts]
        for path, parts in hooks.seen.items()
    }
    return _cache(hooks, ids, lengths, slopes)
