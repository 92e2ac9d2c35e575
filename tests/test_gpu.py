"""The same bits on a GPU. Skipped where there is none."""

from __future__ import annotations

import pytest
import torch

import scancraft
from scancraft.automata.families import d_n, flip_flop
from scancraft.automata.sampling import mixture

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU, and torch sees none"),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("dfa", [d_n(4), flip_flop()], ids=["D-4", "flip-flop"])
def test_logits_on_the_gpu_equal_those_on_the_cpu(dfa: scancraft.Dfa, dtype: torch.dtype) -> None:
    import random

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    compiled = scancraft.compile(dfa)
    words = mixture(dfa, 50, 80, random.Random(0))
    longest = max(map(len, words))
    rows = [compiled.readout.encode(word) for word in words]
    ids = torch.tensor([row + [compiled.readout.pad] * (1 + longest - len(row)) for row in rows])
    with torch.no_grad():
        here = compiled.model(dtype)(ids).logits
        there = compiled.model(dtype).cuda()(ids.cuda()).logits.cpu()
    assert torch.equal(here, there)
