"""What memories must hold along a word, worked out without the model."""

from __future__ import annotations

from collections.abc import Sequence

from ..compiler.compiled import CompiledModel
from .errors import NotLookedIntoError
from .labels import Held, Memory


def expected(compiled: CompiledModel, memory: Memory, word: Sequence[str]) -> tuple[Held, ...]:
    """What a memory must hold after ``<bos>`` and after each symbol: the circuit is run on the word, in integers.

    No weight is looked at. That circuits hold what cascades and plans say is what the tests of this package compare.

    Args:
        compiled: what ``scancraft.compile`` returned.
        memory: one of its labels.
        word: the symbols.

    Raises:
        UnknownSymbolError: a symbol that the language lacks.
        NotLookedIntoError: the memory is none of the model's.
    """
    if not any(memory.name in block.memories for block in compiled.circuit.blocks):
        raise NotLookedIntoError(f"the model has no memory {memory.name!r}")
    return tuple(held.get(memory.name) for held in compiled.circuit.held(tuple(word)))
