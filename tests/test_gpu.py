"""The same bits on a GPU. Skipped where there is none."""

from __future__ import annotations

import pytest
import torch

import scancraft
from scancraft.automata.counter_families import dyck_1, equal_blocks
from scancraft.automata.families import d_n
from scancraft.automata.families import flip_flop as flip_flop_language
from scancraft.automata.suite_words import members_of, mixture_of
from scancraft.constructions import dyck, flip_flop

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU, and torch sees none"),
]


LANGUAGES = {
    "D-4": scancraft.compile(d_n(4)),
    "flip-flop": scancraft.compile(flip_flop_language()),
    "flip-flop, theorem 1": flip_flop(),
    "Dyck_{8,10}": dyck(8, 10),
    "Dyck-1": scancraft.compile(dyck_1()),
    "a^n b^n c^n": scancraft.compile(equal_blocks("abc")),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", LANGUAGES)
def test_logits_on_the_gpu_equal_those_on_the_cpu(name: str, dtype: torch.dtype) -> None:
    import random

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    compiled = LANGUAGES[name]
    # On dead prefixes a model for live prefixes promises nothing.
    sample = members_of if compiled.readout.contract == "live-prefixes" else mixture_of
    words = sample(compiled.language, 50, 0, 80, random.Random(0))
    longest = max(map(len, words))
    rows = [compiled.readout.encode(word) for word in words]
    ids = torch.tensor([row + [compiled.readout.pad] * (1 + longest - len(row)) for row in rows])
    with torch.no_grad():
        here = compiled.model(dtype)(ids).logits
        there = compiled.model(dtype).cuda()(ids.cuda()).logits.cpu()
    assert torch.equal(here, there)
