"""A fast CPU runner for weights of ``transformers``' ``MambaForCausalLM``, or of signed ones: scans in chunks of time.

``transformers`` runs a Python loop over time on the CPU. Here a loop of sixteen steps serves all chunks of a long text
at once (``models.run.chunked``), and what the weights make zero or equal is left out (``models.run.scan_parts``).
Numbers are rounded to the dtype of the weights where the model rounds them. So a model whose sums are exact, as every
compiled one, gives the same logits bit for bit at every symbol (the scan lemma of ``docs/construction.md``); others
give the same up to the order of summation.

>>> import scancraft
>>> from scancraft.models.run.runner import Runner
>>> compiled = scancraft.compile("(ab)*")
>>> Runner(compiled.weights)(torch.tensor([[1, 3, 4]])).shape
torch.Size([1, 3, 8])
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import CounterRangeError, ReadoutError
from ..mamba import MODEL_TYPES, MambaWeights, model_type_of
from .chunked import Layout
from .scan_block import Block, Carry, NormedProduct, Numbers
from .threads import one_thread

CHUNK = 1 << 14
DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


@dataclass(frozen=True)
class Watch:
    """A state entry that is an exact counter: where it lives and how large it may grow.

    Attributes:
        block: the number of the block.
        channel: the channel inside it.
        state: which of the channel's states.
        limit: the greatest absolute value at which everything that reads the counter is still exact.
        name: for messages, such as "counter depth".
        unit: what the entry holds for each 1 that is counted; always 1 in Mamba, whose runner takes no other.
    """

    block: int
    channel: int
    state: int
    limit: int
    name: str
    unit: int = 1


class Runner:
    """A Mamba language model, its gates signed or not, that reads whole sequences fast, on the CPU.

    Args:
        source: a ``MambaForCausalLM``, a ``SignedMambaForCausalLM``, or weights in memory. Parameters are copied.
        watches: counters. Their blocks compute the states in float64, and an error is raised where a value leaves its
            limit; float32 alone would stay at 2**24 in silence.
        chunk: how many tokens are worked on at once, over all rows. Memory besides the logits is proportional to it,
            or to the rows if they are more; no figure depends on it as long as sums are exact.
        dtype: convert the weights first, as ``model.to(dtype)`` does. By default a model stays as it is and weights
            in memory stay float32.

    Raises:
        ReadoutError: another kind of model, activation or dtype, or a watch on an entry that does not exist.
    """

    def __init__(
        self, source: Any, *, watches: Sequence[Watch] = (), chunk: int = CHUNK, dtype: torch.dtype | None = None
    ) -> None:
        if chunk < 1:
            raise ReadoutError(
                f"chunk must be at least 1 token, not {chunk}; leave it out for the default of {CHUNK:,}"
            )
        w, eps, wide_residual = _parameters(source, dtype)
        embedding = w["backbone.embeddings.weight"]
        self.vocab_size, d_model = embedding.shape
        weights = embedding.dtype
        numbers = Numbers(weights, torch.float32 if wide_residual else weights, eps, d_model)
        prefix = "backbone.layers."
        n_blocks = 1 + max((int(n.removeprefix(prefix).split(".")[0]) for n in w if n.startswith(prefix)), default=-1)
        blocks = [
            {n.removeprefix(f"{prefix}{i}."): t for n, t in w.items() if n.startswith(f"{prefix}{i}.")}
            for i in range(n_blocks)
        ]
        self.watches = tuple(watches)
        for watch in self.watches:
            _check_watch(watch, [block["mixer.A_log"].shape for block in blocks])
        live = (embedding != 0).any(0)
        for block in blocks:
            live |= (block["mixer.out_proj.weight"] != 0).any(1)
            if "mixer.out_proj.bias" in block:
                live |= block["mixer.out_proj.bias"] != 0
        self.chunk = chunk
        self._embedding = embedding[:, live].t().contiguous().to(numbers.residual)
        self._watches_of = [[x for x in self.watches if x.block == i] for i in range(n_blocks)]
        self._blocks = [
            Block(block, live, [(x.channel, x.state) for x in watched], numbers)
            for block, watched in zip(blocks, self._watches_of, strict=True)
        ]
        self._past = max((block.past for block in self._blocks), default=0)
        last_norm, head = w["backbone.norm_f.weight"][live], w["lm_head.weight"][:, live]
        self._head = NormedProduct(last_norm, head, numbers, numbers.residual)

    def __call__(self, ids: Tensor) -> Tensor:
        """Logits at every position.

        Args:
            ids: token ids of shape (batch, time), int64.

        Returns:
            shape (batch, time, vocabulary), float32. O(batch * time) work; memory for the result and one chunk.

        Raises:
            ReadoutError: ids of another shape or type, or outside the vocabulary.
            CounterRangeError: a watched counter leaves its range.
        """
        out = torch.empty(*self._checked(ids).shape, self.vocab_size)
        done = 0
        for part in self.chunks(ids):
            out[:, done : done + part.shape[1]] = part
            done += part.shape[1]
        return out

    def chunks(self, ids: Tensor) -> Iterator[Tensor]:
        """The same logits, one stretch of time after another, each of shape (batch, some time, vocabulary).

        They join to the result of the whole; memory is that of one chunk, at any length.

        Raises:
            ReadoutError: as for a call.
            CounterRangeError: a watched counter leaves its range, in the stretch that was asked for.
        """
        ids = self._checked(ids)
        if not ids.numel():
            return
        batch, time = ids.shape
        stream, steps = self.stream(batch), max(1, self.chunk // batch)
        for start in range(0, time, steps):
            yield stream._read(ids[:, start : start + steps])

    def stream(self, batch: int = 1) -> Stream:
        """A reader of one token at a time, at the start of ``batch`` sequences."""
        return Stream(self, batch)

    def _checked(self, ids: Tensor) -> Tensor:
        if ids.dtype != torch.int64 or ids.dim() != 2:
            raise ReadoutError(
                f"token ids are {str(ids.dtype).removeprefix('torch.')} of shape {tuple(ids.shape)}; "
                "give int64 of shape (batch, time)"
            )
        if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < self.vocab_size:
            wrong = int(ids.min()) if int(ids.min()) < 0 else int(ids.max())
            raise ReadoutError(
                f"there is no token {wrong} in a vocabulary of {self.vocab_size}; give ids from 0 to "
                f"{self.vocab_size - 1}"
            )
        return ids.cpu()


class Stream:
    """Reads sequences token by token: constant memory, the same logits as the full run wherever sums are exact."""

    def __init__(self, runner: Runner, batch: int) -> None:
        self.batch, self.tokens_read = batch, 0
        self._runner = runner
        if batch < 1:
            raise ReadoutError(f"a stream reads at least 1 sequence, not {batch}; give a larger batch")
        self._carries: list[Carry] = [block.start(batch) for block in runner._blocks]

    def step(self, tokens: Tensor) -> Tensor:
        """Read one more token per sequence.

        Args:
            tokens: shape (batch,), int64.

        Returns:
            Logits after it, shape (batch, vocabulary), float32.

        Raises:
            ReadoutError: tokens of another shape or type, or outside the vocabulary.
            CounterRangeError: a watched counter leaves its range; the stream stays where it was.
        """
        if tokens.shape != (self.batch,):
            raise ReadoutError(f"a step takes tokens of shape ({self.batch},), not {tuple(tokens.shape)}; one per row")
        return self._read(self._runner._checked(tokens[:, None]))[:, 0]

    @torch.no_grad()
    @one_thread()
    def _read(self, ids: Tensor) -> Tensor:
        """Logits of some more tokens, at least one; ids of shape (batch, time)."""
        runner = self._runner
        layout = Layout.of(len(ids), ids.shape[1], runner._past)
        residual = runner._embedding.index_select(1, layout.pack(ids))
        carries, values = [], []
        for block, carry in zip(runner._blocks, self._carries, strict=True):
            residual, after, watched = block(residual, carry, layout)
            carries.append(after)
            values.append(watched)
        self._check_counters(values, layout)
        normed = layout.unpack(runner._head.norm(residual))  # before the product, which may be far wider
        self._carries = carries
        self.tokens_read += layout.time
        return (normed @ runner._head.matrix.t()).float()

    def _check_counters(self, values: Sequence[Tensor], layout: Layout) -> None:
        """Raise for the first counter, in time, that is out of its range."""
        worst: tuple[int, int, Watch, float] | None = None
        for watches, rows in zip(self._runner._watches_of, values, strict=True):
            for watch, row in zip(watches, rows, strict=True):
                if row.abs().max() <= watch.limit:
                    continue
                value = layout.unpack(row)
                wrong = (~(value.abs() <= watch.limit)).t().nonzero()  # NaN is wrong, too; by time, then by row
                if len(wrong) and (worst is None or int(wrong[0, 0]) < worst[0]):
                    step, at = wrong[0].tolist()
                    worst = step, at, watch, float(value[at, step])
        if worst is not None:
            step, at, watch, found = worst
            raise CounterRangeError(
                f"{watch.name} reaches {found:.17g} after {self.tokens_read + step + 1} tokens of row {at}, "
                f"but is exact only up to {watch.limit} in absolute value; use shorter words or a wider dtype"
            )


def _parameters(source: Any, dtype: torch.dtype | None) -> tuple[dict[str, Tensor], float, bool]:
    """Parameters by name on the CPU in one dtype, epsilon of the norms, and whether the residual stream is float32."""
    if isinstance(source, MambaWeights):
        config = source.shape.transformers_config(pad=0, bos=0, eos=0)
        tensors = {name: torch.from_numpy(np.array(t)) for name, t in source.tensors.items()}
    elif model_type_of(source) in MODEL_TYPES and hasattr(source, "lm_head"):
        config = source.config.to_dict()
        tensors = {name: t.detach() for name, t in source.state_dict().items()}
    else:
        raise ReadoutError(
            "the scan runner needs a MambaForCausalLM, a SignedMambaForCausalLM or MambaWeights, not "
            f"{type(source).__name__}; call other models themselves"
        )
    if config["hidden_act"] not in ("silu", "swish"):
        raise ReadoutError(
            f"the scan runner knows the activation silu, not {config['hidden_act']}; call the model itself"
        )
    found = {t.dtype for t in tensors.values()} if dtype is None else {dtype}
    if len(found) > 1 or not found <= set(DTYPES):
        names = ", ".join(sorted(str(d).removeprefix("torch.") for d in found))
        raise ReadoutError(
            f"the weights are in {names}; give all of them one of float32, bfloat16, float16 and float64, say with "
            "dtype=torch.float32"
        )
    (weights,) = found
    copies = {name: t.to("cpu", weights, copy=True) for name, t in tensors.items()}
    return copies, float(config["layer_norm_epsilon"]), bool(config["residual_in_fp32"])


def _check_watch(watch: Watch, shapes: Sequence[torch.Size]) -> None:
    """Raise if there is no such entry, or a limit that float64 cannot guard."""
    exists = 0 <= watch.block < len(shapes) and all(
        0 <= at < size for at, size in zip((watch.channel, watch.state), shapes[watch.block], strict=True)
    )
    if not exists:
        raise ReadoutError(
            f"there is no state {watch.state} of channel {watch.channel} of block {watch.block} to watch as "
            f"{watch.name}; give an entry that the model has"
        )
    if watch.unit != 1:
        raise ReadoutError(f"{watch.name} is counted in units of {watch.unit}; this runner watches units of 1")
    if not 0 <= watch.limit < 1 << 53:
        raise ReadoutError(f"{watch.name} has the limit {watch.limit}; give one from 0 to 2**53 - 1")
