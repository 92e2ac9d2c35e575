"""What the page of ``scancraft explain --html`` is told: the weights, the labels, and the language, as JSON."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import numpy as np

from ..automata.alphabet import class_token, is_spaced, shown_text, spellings
from ..automata.bounded_dyck import BoundedDyck
from ..automata.combination import Combination
from ..automata.copying.language import Copying, copying_to_json
from ..automata.dfa import Dfa
from ..automata.errors import EmptyLanguageError, ScancraftError
from ..automata.languages import Language, truth_of
from ..automata.logic.past import PastLtl, past_to_json
from ..automata.moore import Moore
from ..automata.nested.json import nested_to_json
from ..automata.nested.language import NestedLanguage
from ..automata.words.draw import Symbols
from ..automata.words.mixtures import live_word_of, members_of
from ..compiler.checkpoints import Checkpoint
from ..models.mamba2 import UNLIMITED
from .labels import labelled_model, memories_of
from .text import explanation

MODEL_TYPES = ("mamba", "signed_mamba", "falcon_mamba", "mamba2")
"""Blocks that the page knows how to run."""

MOST_PARAMETERS = 20_000_000
"""More are refused: the browser would take some hundred MB for them."""

MOST_NONZERO = 2_000_000
"""More parameters that are not zero are refused: the page would have over 21 MB."""

MOST_TRANSITIONS = 500_000
"""A DFA with more is refused; so is a counter machine."""


DRAWN: Final = 60
LONGEST_EXAMPLE: Final = 12

NAMED: Final = {"regex": "regular expression", "ltl": "formula", "suite": "language of the suite", "file": "file"}
"""What kind of name a language was given."""


class PageError(ScancraftError):
    """A checkpoint is too large for a page, or of a kind that the page does not run."""


def page_data(checkpoint: Checkpoint) -> dict[str, Any]:
    """All that the page needs. O(parameters + transitions).

    Args:
        checkpoint: a checkpoint that scancraft wrote.

    Raises:
        CheckpointError: the weights or the labels are not what scancraft writes.
        PageError: too many parameters or transitions, or blocks that the page does not run.
    """
    manifest, language = checkpoint.manifest, checkpoint.language
    about, model = _language(language), labelled_model(checkpoint)
    source, rows = manifest.source, {class_token(name): row for name, row in manifest.outputs.items()}
    return {
        "name": shown_text(source.text) if source else _title(language),
        "named": NAMED[source.kind] if source else "",
        "title": _title(language),
        "facts": _facts(checkpoint, model),
        "contract": manifest.contract,
        "kind": manifest.kind,
        "blocks": manifest.to_json()["blocks"],
        "sets": _sets(checkpoint),
        "residual": manifest.to_json()["residual"],
        "directions": manifest.to_json().get("directions", []),
        "memories": [memory.as_json() for memory in memories_of(manifest)],
        "alphabet": list(language.alphabet),
        "spaced": is_spaced(language.alphabet),
        "spellings": [[symbol, spelt] for symbol, spelt in spellings(language.alphabet).items() if symbol != spelt],
        "tokens": [[name, number] for name, number in (dict(manifest.tokens) | rows).items()],
        "classes": [*rows],
        "example": list(example_of(language)),
        "language": about,
        "model": _model(model),
    }


def example_of(language: Language) -> Symbols:
    """A word to begin with: of a few dozen members the one after whose prefixes most different things may come next.

    Where no member but the empty word is short enough, a word that can be completed, and else the empty word.
    """
    truth, rng = truth_of(language), np.random.default_rng(0)
    words: list[Symbols] = []
    with suppress(EmptyLanguageError):
        words = sorted(set(members_of(language, DRAWN, 0, LONGEST_EXAMPLE, rng)))
    if not any(words):
        with suppress(EmptyLanguageError):
            words = [live_word_of(language, LONGEST_EXAMPLE, rng)]
    if not words:
        return ()
    masks = truth.next_masks(*truth.encode(words))

    def worth(number: int) -> tuple[int, int, bool, int]:
        word = words[number]
        rows = {row.tobytes() for row in masks[number, : len(word) + 1]}
        states = {language.run(word[:t]) for t in range(len(word) + 1)} if isinstance(language, (Dfa, Moore)) else rows
        return len(rows), len(states), bool(word), -len(word)

    return words[max(range(len(words)), key=worth)]


def _sets(checkpoint: Checkpoint) -> dict[str, dict[str, Any]]:
    """Of a cascade: for each block the image sets of its level, and their tiles by label, all by their names."""
    if checkpoint.manifest.kind != "cascade":
        return {}
    blocks = explanation(checkpoint)["blocks"]
    return {
        str(block["index"]): {entry["set"]: entry["tiles"] for entry in block["memory"]["sets"]}
        for block in blocks
        if block["memory"]["sets"]
    }


# -- the language ----------------------------------------------------------------------------------------------------


def _title(language: Language) -> str:
    symbols = " ".join(map(shown_text, language.alphabet[:12])) + (" …" if len(language.alphabet) > 12 else "")
    if isinstance(language, Dfa):
        return f"{language.n_states}-state language over {symbols}"
    if isinstance(language, BoundedDyck):
        return f"{language.name} over {symbols}"
    if isinstance(language, Copying):
        return language.name
    if isinstance(language, Moore):
        return f"{language.n_states}-state machine with {len(language.classes)} outputs over {symbols}"
    if isinstance(language, NestedLanguage):
        return f"nested words over {symbols}, at most {language.depth} deep"
    if isinstance(language, Combination):
        return f"combination of {len(language.leaves)} languages over {symbols}"
    if isinstance(language, PastLtl):
        return f"past formula of {len(language.nodes)} nodes over {symbols}"
    return f"counter language over {symbols}"


def automata_of(language: Language) -> tuple[Dfa | Moore, ...]:
    """The automata that the page lights up, in the order of its data; none where the language has no DFA."""
    if isinstance(language, Combination):
        return language.leaves
    return (language,) if isinstance(language, (Dfa, Moore)) else ()


def _automaton(dfa: Dfa | Moore) -> dict[str, Any]:
    return {
        "kind": "dfa",
        "alphabet": list(dfa.alphabet),
        "names": [str(name) for name in dfa.names],
        "initial": dfa.initial,
        "accepting": sorted(dfa.accepting),
        "table": [[int(q) for q in row] for row in dfa.table],
    }


def _expression(language: Combination | Dfa, numbers: Iterator[int]) -> Any:
    """Operators over the numbers of the leaves, from left to right."""
    if isinstance(language, Dfa):
        return next(numbers)
    return {"operator": language.operator, "parts": [_expression(part, numbers) for part in language.parts]}


def _language(language: Language) -> dict[str, Any]:
    alphabet = list(language.alphabet)
    if isinstance(language, Dfa | Combination):
        found = automata_of(language)
        _check_transitions(sum(dfa.n_states for dfa in found) * len(alphabet))
        if isinstance(language, Dfa):
            return _automaton(language)
        leaves = [_automaton(dfa) for dfa in found]
        return {
            "kind": "combination",
            "alphabet": alphabet,
            "leaves": leaves,
            "expression": _expression(language, iter(range(len(leaves)))),
        }
    if isinstance(language, Moore):
        _check_transitions(language.n_states * len(alphabet))
        outputs = {"outputs": [class_token(name) for name in language.outputs], "predicts": language.predicts}
        return _automaton(language) | {"kind": "moore"} | outputs
    if isinstance(language, BoundedDyck):
        return {
            "kind": "bounded_dyck",
            "alphabet": alphabet,
            "brackets": [list(pair) for pair in language.brackets],
            "depth": language.depth,
        }
    if isinstance(language, PastLtl):
        return {"kind": "past_ltl", **past_to_json(language), "texts": list(language.texts)}
    if isinstance(language, NestedLanguage):
        return {"kind": "nested", **nested_to_json(language), "deepest": dict(language.deepest)}
    if isinstance(language, Copying):
        return {"kind": "copying", **copying_to_json(language)}
    _check_transitions(sum(1 for _ in language.steps()))
    return {
        "kind": "counter_machine",
        "alphabet": alphabet,
        "initial": language.initial,
        "states": list(language.states),
        "counters": [{"name": c.name, "initial": c.initial} for c in language.counters],
        "transitions": {
            state: {symbol: {"to": s.to, "add": dict(s.add), "when": dict(s.when)} for symbol, s in row.items()}
            for state, row in language.transitions.items()
        },
        "accepting": {state: dict(tests) for state, tests in language.accepting.items()},
    }


def _check_transitions(number: int) -> None:
    if number > MOST_TRANSITIONS:
        raise PageError(
            f"the language has {number:,} transitions, and a page takes {MOST_TRANSITIONS:,} at most; "
            "use `scancraft run` and `scancraft explain --block N` for this one"
        )


# -- the model -------------------------------------------------------------------------------------------------------


def _model(model: Any) -> dict[str, Any]:
    """The weights by name, and the numbers of the configuration that blocks use."""
    config, kind = model.config, model.config.model_type
    if kind not in MODEL_TYPES:
        raise PageError(
            f"the page runs blocks of the kinds {', '.join(MODEL_TYPES)}, not {kind}; use `scancraft explain` without "
            "--html"
        )
    state = {name: tensor.detach().float().numpy().astype("<f4") for name, tensor in model.state_dict().items()}
    total = sum(tensor.size for tensor in state.values())
    nonzero = sum(int(np.count_nonzero(tensor)) for tensor in state.values())
    if total > MOST_PARAMETERS or nonzero > MOST_NONZERO:
        raise PageError(
            f"the model has {total:,} parameters, {nonzero:,} of them not zero, and a page takes {MOST_PARAMETERS:,} "
            f"and {MOST_NONZERO:,} at most; use `scancraft run` and `scancraft explain --block N` for this one"
        )
    block = model.backbone.layers[0].mixer
    d_inner, d_state = int(block.intermediate_size), int(config.state_size)
    second = kind == "mamba2"
    if second and (config.n_groups != 1 or tuple(config.time_step_limit) not in (UNLIMITED, (0.0, float("inf")))):
        raise PageError("the page runs Mamba-2 blocks with one group and no limits on Delta; this model has others")
    return {
        "type": kind,
        "d_model": int(config.hidden_size),
        "n_layers": int(config.num_hidden_layers),
        "vocab_size": int(config.vocab_size),
        "d_inner": d_inner,
        "d_state": d_state,
        "d_conv": int(config.conv_kernel),
        "conv_dim": d_inner + 2 * d_state if second else d_inner,
        "n_heads": int(config.num_heads) if second else None,
        "dt_rank": None if second else int(config.time_step_rank),
        "epsilon": float(config.layer_norm_epsilon),
        "mixer_epsilon": float(config.mixer_rms_eps) if kind == "falcon_mamba" else None,
        "tensors": {name: _sparse(tensor) for name, tensor in state.items()},
    }


def _sparse(tensor: Any) -> dict[str, Any]:
    """The size of a tensor, and of its entries that are not zero the places (uint32) and the values (float32)."""
    flat = tensor.ravel()
    places = np.flatnonzero(flat)
    return {"size": flat.size, "places": _base64(places.astype("<u4")), "values": _base64(flat[places])}


def _base64(numbers: Any) -> str:
    return base64.b64encode(numbers.tobytes()).decode("ascii")


def _facts(checkpoint: Checkpoint, model: Any) -> list[list[str]]:
    """What is said about the model at the top of the page."""
    manifest, shape = checkpoint.manifest, checkpoint.manifest.shape
    count = shape.num_hidden_layers
    facts = [
        ["construction", manifest.construction],
        ["contract", manifest.contract],
        [
            "model",
            f"{type(model).__name__}, {count} block{'' if count == 1 else 's'}, d_model {shape.d_model}, "
            f"{shape.parameters:,} parameters",
        ],
    ]
    if manifest.gates is not None:
        facts.insert(1, ["gates", f"{manifest.gates.kind}: {manifest.gates.reason}"])
    for counter in manifest.counters:
        limits = ", ".join(f"{limit:,} in {dtype}" for dtype, limit in counter.limits.items())
        facts.append([counter.name, f"exact up to {limits}; this page runs in float32"])
    return facts
