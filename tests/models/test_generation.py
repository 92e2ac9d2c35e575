"""The logits processor on scores that no sound model gives."""

from __future__ import annotations

import pytest
import torch

import scancraft
from scancraft.models.errors import ReadoutError


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_end_generation(score: float) -> None:
    """Weights may be finite and what is computed of them not; torch would stop at the draw."""
    processor = scancraft.LanguageLogitsProcessor(eos=2, pad=0, bos=1)
    with pytest.raises(ReadoutError, match="NaN or infinity"):
        processor(torch.tensor([[1]]), torch.tensor([[-1.0, -1.0, 1.0, score]]))
    kept = processor(torch.tensor([[1]]), torch.tensor([[-1.0, -torch.inf, 1.0, 2.0]]))
    assert kept.isfinite().tolist() == [[False, False, True, True]]
