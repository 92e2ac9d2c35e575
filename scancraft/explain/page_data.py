"""What the page of ``scancraft explain --html`` is told: the weights, the labels, and the language, as JSON."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ..automata.alphabet import is_spaced
from ..automata.bounded_dyck import BoundedDyck
from ..automata.dfa import Dfa
from ..automata.errors import ScancraftError
from ..automata.languages import Language
from ..models.checkpoints.checkpoint import MANIFEST
from ..models.errors import CheckpointError

if TYPE_CHECKING:
    from ..compiler.checkpoints import Checkpoint
    from ..compiler.manifest import BlockLabel, Manifest

MODEL_TYPES = ("mamba", "signed_mamba", "falcon_mamba", "mamba2")
"""Blocks that the page knows how to run."""

MOST_PARAMETERS = 20_000_000
"""More are refused: the browser would take some hundred MB for them."""

MOST_NONZERO = 2_000_000
"""More parameters that are not zero are refused: the page would have over 21 MB."""

MOST_TRANSITIONS = 500_000
"""A DFA with more is refused; so is a counter machine."""


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
    about = _language(language)
    model = checkpoint.model()
    described = {
        "title": _title(language),
        "facts": _facts(checkpoint, model),
        "contract": checkpoint.readout.contract,
        "blocks": [_block(block) for block in manifest.blocks],
        "residual": [dimension.name for dimension in manifest.residual],
        "memories": memories_of(manifest),
    }
    try:
        _check_sizes(described, model)
    except ValueError as error:
        raise CheckpointError(
            f"{checkpoint.directory / MANIFEST} is not the manifest that scancraft writes "
            f"({type(error).__name__}: {error}); compile the language again"
        ) from None
    return {
        **described,
        "alphabet": list(language.alphabet),
        "spaced": is_spaced(language.alphabet),
        "tokens": [[name, number] for name, number in manifest.tokens.items()],
        "language": about,
        "model": _model(model),
    }


# -- the language ----------------------------------------------------------------------------------------------------


def _title(language: Language) -> str:
    symbols = " ".join(language.alphabet[:12]) + (" …" if len(language.alphabet) > 12 else "")
    if isinstance(language, Dfa):
        return f"{language.n_states}-state language over {symbols}"
    if isinstance(language, BoundedDyck):
        return f"{language.name} over {symbols}"
    return f"counter language over {symbols}"


def _language(language: Language) -> dict[str, Any]:
    alphabet = list(language.alphabet)
    if isinstance(language, Dfa):
        transitions = language.n_states * len(alphabet)
        _check_transitions(transitions)
        return {
            "kind": "dfa",
            "alphabet": alphabet,
            "names": [str(name) for name in language.names],
            "initial": language.initial,
            "accepting": sorted(language.accepting),
            "table": [[int(q) for q in row] for row in language.semiautomaton.table],
        }
    if isinstance(language, BoundedDyck):
        return {
            "kind": "bounded_dyck",
            "alphabet": alphabet,
            "brackets": [list(pair) for pair in language.brackets],
            "depth": language.depth,
        }
    _check_transitions(sum(1 for _ in language.steps()))
    return {
        "kind": "counter_machine",
        "alphabet": alphabet,
        "initial": language.initial,
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
    if second and (config.n_groups != 1 or tuple(config.time_step_limit) != (0.0, float("inf"))):
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
        ["contract", checkpoint.readout.contract],
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


# -- labels ----------------------------------------------------------------------------------------------------------


def _block(block: BlockLabel) -> dict[str, Any]:
    def by_number(slots: Mapping[int, str] | None) -> dict[str, str]:
        return {str(number): name for number, name in (slots or {}).items()}

    channels = [asdict(channel) for channel in block.channels]
    before, after = by_number(block.slots_before), by_number(block.slots_after)
    return {"title": block.title, "channels": channels, "before": before, "after": after}


def memories_of(manifest: Manifest) -> list[dict[str, Any]]:
    """The memories of a model, block by block, and the channels that hold them.

    Args:
        manifest: what a checkpoint means.

    Returns:
        One mapping per memory: ``block``; ``name``; ``kind``, which is "level" (of a cascade: the channels tell which
        of the ``values`` is held, each reads the ``label`` beside its ``index``) or "state" (a latch or a counter: the
        number in ``entry`` of the state of any of the channels, which are copies with different gates).
    """
    found: list[dict[str, Any]] = []
    for block in manifest.blocks:
        for memory in block.memories:
            about: dict[str, Any] = {"block": block.index}
            if memory.kind == "level":
                about |= {"name": block.title, "kind": "level", "values": list(memory.values)}
                about["channels"] = [asdict(holder) for holder in memory.channels]
            else:
                about |= {"name": memory.name, "kind": "state", "entry": memory.entry}
                about["channels"] = [{"index": holder.index} for holder in memory.channels]
            found.append(about)
    return found


def _check_sizes(described: Mapping[str, Any], model: Any) -> None:
    """Raise :class:`ValueError` if labels name blocks, channels or dimensions that the model lacks."""
    d_inner, d_state = int(model.backbone.layers[0].mixer.intermediate_size), int(model.config.state_size)
    if len(described["residual"]) != model.config.hidden_size:
        raise ValueError(f"{len(described['residual'])} labels for {model.config.hidden_size} dimensions")
    if len(described["blocks"]) > model.config.num_hidden_layers:
        raise ValueError(f"{len(described['blocks'])} blocks are labelled, the model has fewer")
    channels = [c["index"] for block in described["blocks"] for c in block["channels"]]
    if not all(0 <= c < d_inner for c in channels):
        raise ValueError("a channel is labelled that the model lacks")
    if not all(0 <= m.get("entry", 0) < d_state for m in described["memories"]):
        raise ValueError("a counter is in an entry of the state that the model lacks")
