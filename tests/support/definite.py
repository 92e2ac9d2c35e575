"""Languages that a random model happens to model: whether a word may end is what the model says after its last letters.

They need no training, and where the model forgets fast they are often right at every length.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import torch

from scancraft import Readout

LETTERS = "ab"
READOUT = Readout(tokens={"a": 3, "b": 4}, bos=1, accept=2, next_symbol={})


def definite(model: Any, length: int) -> dict[str, Any]:
    """The DFA, in JSON, that says what the model does after the last letters of a word, so many, as if it began there.

    Shorter words are told apart; of longer ones the last letters after two others decide.
    """
    short = ["".join(w) for n in range(length + 1) for w in product(LETTERS, repeat=n)]
    states = {f"={w}": [1, *(READOUT.tokens[a] for a in w)] for w in short[: len(short) - len(LETTERS) ** length]}
    states |= {f"~{w}": [1, 3, 4, *(READOUT.tokens[a] for a in w)] for w in short if len(w) == length}

    def after(state: str, letter: str) -> str:
        word = state[1:] + letter
        return f"={word}" if len(word) < length else f"~{word[-length:]}"

    with torch.no_grad():
        scores = {s: float(model(torch.tensor([ids])).logits[0, -1, 2]) for s, ids in states.items()}
    return {
        "alphabet": list(LETTERS),
        "initial": "=",
        "accepting": [s for s, score in scores.items() if score > 0],
        "transitions": {s: {a: after(s, a) for a in LETTERS} for s in states},
    }


SIZES = {"hidden_size": 8, "state_size": 4, "vocab_size": 8}


def random_model(kind: str, seed: int, layers: int) -> Any:
    """A small model of a kind, which forgets fast and hears its letters well."""
    from scancraft.models.classes import model_classes

    sizes: dict[str, Any] = {**SIZES, "num_hidden_layers": layers}
    if kind == "mamba2":
        sizes |= {"num_heads": 2, "head_dim": 8, "n_groups": 1, "expand": 2, "chunk_size": 32}
    config_class, model_class = model_classes(kind)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = model_class(config_class(**sizes)).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith(("dt_proj.bias", "dt_bias")):
                    parameter.fill_(2.0)
                elif not name.endswith(("A_log", "norm.weight", "norm_f.weight")):
                    parameter.add_(0.3 * torch.randn_like(parameter))
    return model
