"""The published distribution of words of the flip-flop language (Liu et al. 2023)."""

from __future__ import annotations

import numpy as np

from ..automata.words.draw import Rng, Symbols, generator_of, spell


def flip_flop_word(rng: Rng, ignore: float = 0.8, length: int = 512) -> Symbols:
    """The flip-flop language FFL(ignore) of Liu et al. (2023), over w, r, i, 0, 1.

    The first instruction is w and the last one r; each between is i with probability ``ignore``, w and r with half of
    the rest each. Bits are uniform, but that after r is the bit after the last w. Published: length 512 with ``ignore``
    0.8 (training), 0.98 (sparse) and 0.1 (dense); see arXiv 2306.00946, definition of FFL, and the card of the data set
    huggingface.co/datasets/synthseq/flipflop. O(length).

    Raises:
        ValueError: a length that is odd or below 4, or no probability.
    """
    if length < 4 or length % 2 or not 0 <= ignore <= 1:
        raise ValueError(f"no such words of length {length} with ignore={ignore}; give an even length of at least 4")
    generator = generator_of(rng)
    n = length // 2
    law = np.cumsum([(1 - ignore) / 2, (1 - ignore) / 2])
    instructions = np.searchsorted(law, generator.random(n), side="right")  # 0, 1, 2 for w, r, i
    instructions[0], instructions[-1] = 0, 1
    bits = generator.integers(2, size=n)
    written = np.maximum.accumulate(np.where(instructions == 0, np.arange(n), 0))
    bits = np.where(instructions == 1, bits[written], bits)
    return spell("wri01", np.stack([instructions, 3 + bits], axis=1).ravel())
