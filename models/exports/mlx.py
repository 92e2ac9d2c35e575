"""What mlx-lm loads: the checkpoint as it is.

Three keys that mlx-lm insists on are added to the configuration of a Mamba-2 that an older version wrote.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from ..checkpoints.files import write_json
from ..mamba2 import UNLIMITED
from ..padding import Source

NEEDED_OF_MAMBA2 = {"time_step_limit": list(UNLIMITED), "time_step_rank": 1}


def write_mlx(source: Source, directory: Path) -> None:
    """Write ``config.json`` and ``model.safetensors`` into a directory that is there."""
    config = dict(source.config)
    if source.kind == "mamba2":
        config = {"intermediate_size": source.d_inner} | NEEDED_OF_MAMBA2 | config
    write_json(directory / "config.json", config)
    tensors = {name: np.ascontiguousarray(t) for name, t in source.tensors.items()}
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "model.safetensors").chmod(0o644)  # safetensors makes it private to the user
