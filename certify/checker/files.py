"""Which files a checkpoint may hold: whatever else there is could change which model transformers loads from it.

Other weights, other configurations, shards, adapters and code are all found by their names. So a name that is not known
here is a rejection, and what the generation and the tokenizer files say is looked at as well.
"""

from __future__ import annotations

import re
from pathlib import Path

from .parts import need, read_json

LOADED = {
    *("config.json", "model.safetensors", "generation_config.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
}
"""What transformers looks at."""

OURS = {"scancraft.json", "certificate.json", "certificate.safetensors", "training.json"}
"""What scancraft alone looks at."""

IDLE = {"README.md", "LICENSE", ".gitattributes", ".gitignore", ".git", ".cache"}
"""What changes no model."""

COPY, OF_COPY = "mamba_ssm", {"config.json", "pytorch_model.bin"}
"""The same weights for another package, which no certificate speaks of."""

UNFINISHED = r"\.certificate\.(json|safetensors)\.[^.]*"
"""What another process is just writing."""

OF_GENERATION = {
    *("pad_token_id", "bos_token_id", "eos_token_id", "transformers_version", "_from_model_config"),
    *("use_cache", "do_sample", "output_attentions", "output_hidden_states"),
}


def check_files(directory: Path) -> None:
    """Reject a directory with a file that is not known, or one that asks for more than a checkpoint needs."""
    need(directory.is_dir(), f"{directory} is no directory")
    for path in sorted(directory.iterdir()):
        if path.name in LOADED | OURS:
            need(path.is_file(), f"{path.name} is not a regular file")
        elif path.name == COPY and path.is_dir():
            stray = sorted({inner.name for inner in path.iterdir()} - OF_COPY)
            need(not stray, f"{COPY} holds {stray[:1]}, which is no part of a checkpoint")
            need(all(inner.is_file() for inner in path.iterdir()), f"{COPY} holds what is no regular file")
        else:
            known = path.name in IDLE or re.fullmatch(UNFINISHED, path.name)
            need(known, f"the directory holds {path.name!r}, which is no part of a checkpoint")
    generation = directory / "generation_config.json"
    if generation.exists():
        stray = sorted(set(read_json(generation)) - OF_GENERATION)
        need(not stray, f"generation_config.json: unknown key {stray[:1]}")
    tokenizer = directory / "tokenizer_config.json"
    if tokenizer.exists():
        need("auto_map" not in read_json(tokenizer), "tokenizer_config.json: auto_map asks for code")
