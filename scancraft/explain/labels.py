"""What the labels of a checkpoint say, beside its weights: memories one by one, and that labels and weights fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from msgspec.structs import asdict

from ..compiler.checkpoints import Checkpoint
from ..compiler.manifest import Manifest, MemoryLabel
from ..models.checkpoints.closed import MANIFEST
from ..models.errors import CheckpointError
from ..models.olmo_hybrid import OLMO_HYBRID, OlmoHybridShape


@dataclass(frozen=True)
class Memory:
    """A memory of a model.

    Attributes:
        block: the number of its block.
        name: for people; in a block of a cascade the title of the block.
        label: what it is; the channels that hold a level's memory tell which of the values is held, each reads the
            label beside its index; those of a latch or a counter are copies, and hold the number in ``entry``.
    """

    block: int
    name: str
    label: MemoryLabel

    def as_json(self) -> dict[str, Any]:
        """The fields of the label, with the block and the name."""
        holders = [asdict(holder) for holder in self.label.channels]
        return asdict(self.label) | {"channels": holders, "block": self.block, "name": self.name}


def memories_of(manifest: Manifest) -> list[Memory]:
    """The memories of a model, block by block."""
    return [
        Memory(block.index, label.name if block.level is None else block.title, label)
        for block in manifest.blocks
        for label in block.memories
    ]


def labelled_model(checkpoint: Checkpoint) -> Any:
    """The checkpoint's model, which the labels of the manifest fit.

    Raises:
        CheckpointError: the model cannot be loaded, or the manifest labels channels, dimensions or states that it
            lacks.
    """
    model, shape = checkpoint.model(), checkpoint.manifest.shape
    config = model.config
    if config.model_type == OLMO_HYBRID:
        sizes = OlmoHybridShape.of(config.to_dict())
        d_inner, states = sizes.d_inner, sizes.d_state
    else:
        d_inner, states = model.backbone.layers[0].mixer.intermediate_size, config.state_size
    told = (shape.d_model, shape.d_inner, shape.num_hidden_layers)
    found = (config.hidden_size, d_inner, config.num_hidden_layers)
    entries = [memory.label.entry for memory in memories_of(checkpoint.manifest)]
    if told != found or max(entries, default=0) >= states:
        raise CheckpointError(
            f"{checkpoint.directory / MANIFEST} labels a model of d_model, d_inner and blocks {told}, the model has "
            f"{found} and {states} states per channel; compile the language again"
        )
    return model
