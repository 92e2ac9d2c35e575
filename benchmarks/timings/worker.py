"""One scancraft of any commit, asked line by line: ``before_after`` and ``experiments.sizes`` start it.

Only public names are used, so that it runs on commits whose modules stand elsewhere. A request is a line of JSON:

    {"language": {"suite": "D-4"} or {"construction": "flip_flop"} or {"dfa": [letters, table, initial, accepting]},
     "work": "compile", "certify" or "sizes", "target": "mamba2" or null}

The answer is a line of JSON: seconds of the processor; or blocks, d_model, d_inner and parameters; null for a refusal.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import torch

import scancraft


def language_of(told: dict[str, Any]) -> Any:
    """What to compile."""
    if "suite" in told:
        return scancraft.suite_language(told["suite"]).language
    letters, table, initial, accepting = told["dfa"]
    return scancraft.Dfa.from_table(letters, table, initial, accepting)


def answer(request: dict[str, Any]) -> Any:
    """Do what was asked; compiling is no part of the time of certifying, building the model is."""
    told, target = request["language"], request.get("target")
    if "construction" in told:
        construction = getattr(scancraft, told["construction"])
    else:
        language = language_of(told)

        def construction(target: str | None) -> Any:
            return scancraft.compile(language, target=target)

    if request["work"] == "sizes":
        try:
            weights = construction(target=target).weights
        except scancraft.ScancraftError:
            return None
        return [weights.shape.n_layers, weights.shape.d_model, weights.shape.d_inner, weights.n_parameters]
    started = time.process_time()
    compiled = construction(target=target)
    if request["work"] == "certify":
        started = time.process_time()
        verdict = scancraft.certify(compiled)
        assert isinstance(verdict, scancraft.Certificate), str(verdict)
    return time.process_time() - started


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps(scancraft.__file__), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
