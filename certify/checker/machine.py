"""The model itself, stepped from any recurrent state: its own blocks, with states that are put into their cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from . import blocks, blocks_delta, blocks_mamba2
from .configuration import check_configuration, decoded
from .hybrid import Hybrid
from .parts import need, read_json, read_tensors

LARGEST_CHUNK = 64
"""Of Mamba-2, where a claim depends on the bits of a chunk: memory grows with its square."""


class Kind(NamedTuple):
    """A kind of model.

    Attributes:
        name: how certificates name its class.
        step: its block over numbers with obligations.
        layers: what the names of the blocks' parameters begin with.
        together: what is to be shown of all steps of a block together, if anything (``blocks_delta.check_chunks``).
    """

    name: str
    step: Any
    layers: str = "backbone.layers."
    together: Any = None


KINDS = {
    "mamba": Kind("transformers.MambaForCausalLM", blocks.step),
    "signed_mamba": Kind("scancraft.SignedMambaForCausalLM", blocks.step),
    "longhorn": Kind("scancraft.LonghornForCausalLM", blocks.step),
    "falcon_mamba": Kind("transformers.FalconMambaForCausalLM", blocks.step),
    "mamba2": Kind("transformers.Mamba2ForCausalLM", blocks_mamba2.step),
    "olmo_hybrid": Kind(
        "transformers.OlmoHybridForCausalLM", blocks_delta.step, "model.layers.", blocks_delta.check_chunks
    ),
}
"""By the ``model_type`` of ``config.json``."""


def classes_of(kind: str) -> tuple[Any, Any]:
    """The configuration and the model class of a kind."""
    if kind == "signed_mamba":
        from ...models.signed_mamba import SignedMambaConfig, SignedMambaForCausalLM

        return SignedMambaConfig, SignedMambaForCausalLM
    if kind == "longhorn":
        from ...models.longhorn import LonghornConfig, LonghornForCausalLM

        return LonghornConfig, LonghornForCausalLM
    import transformers

    name = KINDS[kind].name.removeprefix("transformers.").removesuffix("ForCausalLM")
    return getattr(transformers, f"{name}Config"), getattr(transformers, f"{name}ForCausalLM")


def rounded_weight(directory: Path, dtype: torch.dtype) -> str:
    """A tensor of ``model.safetensors`` that is not the same in a format; "" if all are, and so in wider ones."""
    state = read_tensors(directory / "model.safetensors")
    same = {name: torch.equal(tensor.to(dtype).double(), tensor.double()) for name, tensor in state.items()}
    return next((name for name, equal in same.items() if not equal), "")


def load_model(directory: Path, dtype: torch.dtype) -> Any:
    """The model of a checkpoint; whatever is wrong with ``config.json`` or ``model.safetensors`` is a rejection."""
    state = read_tensors(directory / "model.safetensors")
    for name, tensor in state.items():
        need(torch.isfinite(tensor.to(dtype)).all(), f"model.safetensors: {name} holds a NaN or an infinity")
    config = decoded(read_json(directory / "config.json"))
    check_configuration(config)
    beginning, depth = KINDS[config["model_type"]].layers, config.get("num_hidden_layers")
    layers = {name.removeprefix(beginning).split(".")[0] for name in state if name.startswith(beginning)}
    need(len(layers) == depth, f"model.safetensors does not fit config.json: {depth} layers")
    config_class, model_class = classes_of(config.pop("model_type"))
    with torch.device("meta"):  # no need to draw random weights first
        model: Any = model_class(config_class(**config))
    needed = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in state.items()}
    differ = sorted(name for name in needed.keys() | given.keys() if needed.get(name) != given.get(name))
    need(not differ, f"model.safetensors does not fit config.json: {', '.join(differ[:3])}")
    model.load_state_dict(state, strict=True, assign=True)
    for module in model.modules():  # buffers are not in the file: Falcon-Mamba has ones, which no step reads
        for name, buffer in module.named_buffers(recurse=False):
            module.register_buffer(name, torch.ones_like(buffer, device="cpu"), persistent=False)
    return model.to(dtype=dtype).eval()


class Machine:
    """Steps a model, in batches of one size; a number that is not finite is a rejection.

    A state of a block is one row: the last inputs of its convolution, then its SSM state, flattened. Its numbers are
    float32, which holds bfloat16 and float16 exactly; of a float64 model they are float64.

    Args:
        model: one of the classes in ``KINDS``.
        batch: rows per call: a matrix product may round differently at another shape.
    """

    def __init__(self, model: Any, batch: int) -> None:
        kind = model.config.model_type
        need(kind in KINDS, f"the model_type {kind!r} is unknown; known: {', '.join(KINDS)}")
        self.model: Any = Hybrid(model) if kind == "olmo_hybrid" else model
        self.batch, self.blocks = batch, list(self.model.backbone.layers)
        self.cache: Any = None
        self.kind, self.steps = KINDS[kind], 0
        mixer = self.blocks[0].mixer
        # Mamba-2's convolution has B and C beside x, and its states are those of heads.
        self.two = kind == "mamba2"
        self.states: tuple[int, ...]
        if kind == "olmo_hybrid":  # queries, keys and values; a matrix for each head
            channels, self.states = mixer.conv_dim, (mixer.num_v_heads, mixer.head_k_dim, mixer.head_v_dim)
        elif self.two:
            channels, self.states = mixer.conv_dim, (mixer.num_heads, mixer.head_dim, mixer.ssm_state_size)
        else:
            channels, self.states = mixer.intermediate_size, (mixer.intermediate_size, mixer.ssm_state_size)
        self.shape = (channels, mixer.conv_kernel_size)
        self.conv = int(np.prod(self.shape))
        self.size = self.conv + int(np.prod(self.states))
        self.dtype = self.model.lm_head.weight.dtype
        self.wide = torch.promote_types(self.dtype, torch.float32)
        self.stream = self.wide if getattr(model.config, "residual_in_fp32", False) else self.dtype
        """The dtype of the residual stream, which the next block and the last norm get as it is."""
        # An input that only taps with weight 0 will meet again is forgotten: it cannot change any later number.
        self.kept = []
        for block in self.blocks:
            taps = block.mixer.conv1d.weight.detach().float().numpy()[:, 0, :] != 0
            kept = np.zeros_like(taps)
            kept[:, 1:] = np.cumsum(taps, axis=1)[:, :-1] > 0
            self.kept.append(kept.reshape(-1))

    @torch.no_grad()
    def embed(self, tokens: list[int]) -> Any:
        """The residual stream before the first block, shape (tokens, d_model)."""
        return np.asarray(self.model.backbone.embeddings(torch.tensor(tokens)).to(self.wide).numpy() + 0.0)

    def _batches(self, *arrays: Any) -> Iterator[tuple[int, list[Tensor]]]:
        for at in range(0, len(arrays[0]), self.batch):
            rows = np.minimum(np.arange(at, at + self.batch), len(arrays[0]) - 1)
            yield min(self.batch, len(arrays[0]) - at), [torch.from_numpy(array[rows]) for array in arrays]

    @torch.no_grad()
    def _scored(self, vectors: Any) -> Iterator[Any]:
        for size, (chunk,) in self._batches(vectors):
            normed = self.model.backbone.norm_f(chunk.to(self.stream))
            yield self.model.lm_head(normed.to(self.model.lm_head.weight.dtype))[:size].float().numpy()

    def logits(self, vectors: Any) -> Any:
        """The scores after the last block, shape (rows, vocabulary), float32."""
        return _finite(np.concatenate(list(self._scored(vectors))), "a score")

    def scores(
        self, vectors: Any, columns: list[int], same: Mapping[int, int], never: list[int], threshold: float
    ) -> Any:
        """Some of them, shape (rows, columns).

        Args:
            vectors: after the last block.
            columns: which ones.
            same: from other scores to those that they must equal.
            never: scores that must not be above the threshold.
        """
        out = []
        for scores in self._scored(vectors):
            need(np.array_equal(scores[:, list(same)], scores[:, list(same.values())]), "read-out: equal rows differ")
            need((scores[:, never] <= threshold).all(), "read-out: a token that the language does not have is allowed")
            out.append(scores[:, columns])
        return _finite(np.concatenate(out), "a score")

    @torch.no_grad()
    def step(self, first: int, last: int, vectors: Any, states: Any) -> tuple[Any, Any]:
        """Vectors and states after blocks ``first`` to ``last``; ``states`` None for the first token of a word.

        Mamba-2 takes the first token in a chunk of one, whatever its ``chunk_size``: memory grows with the square of
        that. The chunk is padded with zeros, so where sums are exact its size changes no bit; see ``check_chunks``.
        """
        self.steps += len(vectors)
        if not self.two or states is not None:
            return self._step(first, last, vectors, states)
        mixers = [block.mixer for block in self.blocks[first:last]]
        sizes = [mixer.chunk_size for mixer in mixers]
        try:
            for mixer in mixers:
                mixer.chunk_size = 1
            return self._step(first, last, vectors, states)
        finally:
            for mixer, size in zip(mixers, sizes, strict=True):
                mixer.chunk_size = size

    @torch.no_grad()
    def check_chunks(self, first: int, last: int, vectors: Any) -> None:
        """Reject unless Mamba-2's own ``chunk_size`` gives the same bits for the first token as chunks of one.

        A product of small matrices may round otherwise at another shape; only a claim about the step function itself
        (scope "step") depends on it.
        """
        sizes = [block.mixer.chunk_size for block in self.blocks] if self.two else [1]
        need(max(sizes) <= LARGEST_CHUNK, f"scope step: chunk_size is {max(sizes)}, past {LARGEST_CHUNK}")
        pairs = zip(self.step(first, last, vectors, None), self._step(first, last, vectors, None), strict=True)
        need(all(np.array_equal(a, b) for a, b in pairs), f"scope step: in block {first} the chunk size changes bits")

    def _step(self, first: int, last: int, vectors: Any, states: Any) -> tuple[Any, Any]:
        streams, owns = self.run(first, last, vectors, states)
        where = f"blocks {first} to {last}: "
        return _finite(streams, where + "a vector"), _finite(owns, where + "a state")

    @torch.no_grad()
    def run(self, first: int, last: int, vectors: Any, states: Any) -> tuple[Any, Any]:
        """The same, whether numbers are finite or not; an infinity that is forgotten makes NaN, as a tap of 0 does."""
        streams, owns = [], []
        for size, (chunk, *before) in self._batches(*([vectors] if states is None else [vectors, states])):
            cache = self._empty_cache(first, last)
            hidden = chunk[:, None, :].to(self.stream)
            after = []
            for number in range(first, last):
                layer: Any = cache.layers[number]
                if before:
                    own = before[0][:, (number - first) * self.size : (number - first + 1) * self.size]
                    conv = own[:, : self.conv].reshape(-1, *self.shape).to(self.dtype)
                    ssm = own[:, self.conv :].reshape(len(own), *self.states)
                    layer.lazy_initialization(conv_states=conv, recurrent_states=ssm)
                    layer.conv_states[0].copy_(conv)
                    layer.recurrent_states[0].copy_(ssm)
                    layer.has_previous_state[0] = True
                hidden = self.blocks[number](hidden, cache)
                window = layer.conv_states[0].to(self.wide).flatten(1)
                after.append(window * torch.from_numpy(self.kept[number]))
                # As float32 it is read again, in float64 models, too.
                after.append(layer.recurrent_states[0].float().to(self.wide).flatten(1))
            streams.append(hidden[:size, 0].to(self.wide).numpy() + 0.0)
            owns.append(torch.cat(after, dim=1)[:size].numpy() + 0.0)
        return np.concatenate(streams), np.concatenate(owns)

    def _empty_cache(self, first: int, last: int) -> Any:
        """A cache in which blocks ``first`` to ``last`` have no state; a new one takes as long as a block."""
        from transformers import DynamicCache

        if self.cache is None:
            self.cache = DynamicCache(config=self.model.config)
        layers = self.cache.layers
        layers[first:last] = [type(layer)(layer.number_of_states) for layer in layers[first:last]]
        return self.cache


def _finite(numbers: Any, what: str) -> Any:
    need(np.isfinite(numbers).all(), f"{what} is not finite")
    return numbers
