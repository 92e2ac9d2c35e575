"""Operations alone: a function with the signature of a known kernel is called with numbers whose results are known.

The probes are those of whole blocks. Their integers become the arguments at once, with no model around (``scans``,
``convolutions``), and what the function gives takes the place of logits: a column for each channel. So an operation is
driven in the same modes, as far as its parameters allow them, and a difference names the channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .convolutions import CONVOLUTION, CONVOLUTION_UPDATE
from .operation import Operation, OperationCase
from .scans import CHUNK_SCAN, SCAN, STATE_UPDATE, STATE_UPDATE_OF_HEADS

__all__ = ["OPERATIONS", "Operation", "OperationCase"]

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "selective_scan": SCAN,
        "selective_state_update": STATE_UPDATE,
        "selective_state_update_of_heads": STATE_UPDATE_OF_HEADS,
        "mamba_chunk_scan_combined": CHUNK_SCAN,
        "causal_conv1d": CONVOLUTION,
        "causal_conv1d_update": CONVOLUTION_UPDATE,
    }
)
"""By the names that ``scancraft conformance --op`` takes."""
