"""What mlx-lm loads: the checkpoint as it is, with the configuration keys that mlx-lm insists on.

Mamba-2's configuration lacks three: ``intermediate_size``, ``time_step_limit`` and ``time_step_rank``. The limit is the
whole of float32, so that nothing is cut off; mlx-lm does not read the rank.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from ..checkpoints.files import write_json
from ..padding import Source

WIDEST = [0.0, float(np.finfo(np.float32).max)]
NEEDED_OF_MAMBA2 = {"time_step_limit": WIDEST, "time_step_rank": 1}


def write_mlx(source: Source, directory: Path) -> None:
    """Write ``config.json`` and ``model.safetensors`` into a directory that is there."""
    config = dict(source.config)
    if source.kind == "mamba2":
        config = {"intermediate_size": source.d_inner} | NEEDED_OF_MAMBA2 | config
    write_json(directory / "config.json", config)
    tensors = {name: np.ascontiguousarray(t) for name, t in source.tensors.items()}
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "model.safetensors").chmod(0o644)  # safetensors makes it private to the user
