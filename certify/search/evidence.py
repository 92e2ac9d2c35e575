"""The evidence of a certificate on disk: ``certificate.safetensors``, for the checker.

The tensors list, per stage ``i`` of the proof, all that a checker needs to recompute each transition once and to see
that the list is closed:

- ``stage{i}.blocks`` (2,): the first block of the stage, and the end of it (exclusive);
- ``stage{i}.nodes`` (nodes, 3): the input word graph: letter (``<bos>`` is the number after the last letter), DFA
  state, and vector: a row of ``inputs`` for stage 0, of the previous stage's ``vectors`` else; node 0 begins words;
- ``stage{i}.events`` (events, 3): node, own state afterwards, output vector; event 0 is ``<bos>``;
- ``stage{i}.transitions`` (transitions, 2): event, next event;
- ``stage{i}.states`` (states, size), ``stage{i}.vectors`` (vectors, d_model): the rows that the numbers name;
- ``inputs`` (vectors, d_model): the embedding of each letter, then of ``<bos>``;
- ``final.nodes`` (nodes, 3): like ``stage{i}.nodes``, for the read-out.

Certificates of the methods "counters" and "slots" list only the blocks of the control so (perhaps none), with the
number of the control state in the place of the DFA state; what follows them is checked from the weights alone. Those of
the method "subformula by subformula" list nothing.

A row of ``states`` is, for each block of the stage, the last inputs of its convolution (channels * taps; those that no
tap will ever see are 0) and then its SSM state (channels * d_state).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .explore import Stage, WordGraph


def evidence(stages: Sequence[Stage], inputs: WordGraph | None) -> dict[str, Tensor]:
    """The tensors of ``certificate.safetensors``.

    Args:
        stages: what was found.
        inputs: the word graph that the first stage read; None where the weights are all the evidence.
    """
    if inputs is None:
        return {}
    letters = max(inputs.letters) + 1
    first = {letter: n for n, letter in reversed(list(enumerate(inputs.letters)))}
    rows = [inputs.vectors[first[a]] if a in first else torch.zeros_like(inputs.vectors[0]) for a in range(letters)]
    nodes = torch.tensor(list(zip(inputs.letters, inputs.truth, inputs.letters, strict=True)), dtype=torch.int64)
    tensors = {"inputs": torch.stack(rows)}
    for i, stage in enumerate(stages):
        tensors[f"stage{i}.blocks"] = torch.tensor([stage.first, stage.last])
        tensors[f"stage{i}.nodes"] = nodes
        tensors[f"stage{i}.events"] = torch.tensor(stage.events, dtype=torch.int64).reshape(-1, 3)
        tensors[f"stage{i}.transitions"] = torch.tensor(stage.transitions, dtype=torch.int64).reshape(-1, 2)
        tensors[f"stage{i}.states"] = stage.states
        tensors[f"stage{i}.vectors"] = stage.vectors
        nodes = _output_nodes(stage, nodes)
    tensors["final.nodes"] = nodes
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def _output_nodes(stage: Stage, nodes: Tensor) -> Tensor:
    """The nodes of a stage's output graph: (letter, DFA state, vector)."""
    found: dict[int, list[int]] = {}
    before = nodes.tolist()
    for (node, _, vector), output in zip(stage.events, stage.outputs, strict=True):
        found[output] = [*before[node][:2], vector]
    return torch.tensor([found[n] for n in range(len(found))], dtype=torch.int64)
