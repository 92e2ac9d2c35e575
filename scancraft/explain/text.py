"""What the parts of a checkpoint stand for, from its manifest alone: facts, and tables of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..automata.bounded_dyck import BoundedDyck
from ..automata.dfa import Dfa
from ..automata.languages import Language
from ..compiler.checkpoints import Checkpoint
from ..models.checkpoints.checkpoint import MANIFEST
from ..models.errors import CheckpointError
from .page_data import level_title

MOST_SYMBOLS = 16
"""Symbols of an alphabet that are shown."""


def explanation(checkpoint: Checkpoint) -> dict[str, Any]:
    """The facts that :func:`tables` shows.

    Raises:
        CheckpointError: the manifest's labels are not what scancraft writes.
    """
    manifest = checkpoint.manifest
    try:
        if "verdicts" in manifest["labels"]:
            return _circuit(checkpoint, manifest)
        levels = {int(level["height"]): level["sets"] for level in manifest["levels"]}
        labels = manifest["labels"]
        return {
            "directory": str(checkpoint.directory),
            "contract": checkpoint.readout.contract,
            "construction": str(manifest["construction"]),
            "states": checkpoint.dfa.n_states,
            "alphabet": list(checkpoint.dfa.alphabet),
            "tokens": dict(manifest["tokens"]),
            "shape": dict(manifest["shape"]),
            "residual": [str(name) for name in labels["residual"]],
            "blocks": [
                _block(block, channels, levels)
                for block, channels in zip(manifest["blocks"], labels["blocks"], strict=True)
            ],
            "readout": {str(slot): str(state) for slot, state in labels["readout"].items()},
        }
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{checkpoint.directory / MANIFEST} is not the manifest that scancraft writes "
            f"({type(error).__name__}: {error}); compile the language again"
        ) from None


def _circuit(checkpoint: Checkpoint, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of one of the paper's own constructions."""
    labels, entries = manifest["labels"], manifest["state_entries"]
    return {
        "directory": str(checkpoint.directory),
        "contract": checkpoint.readout.contract,
        "construction": str(manifest["construction"]),
        "language": _kind(checkpoint.language),
        "alphabet": list(checkpoint.language.alphabet),
        "tokens": dict(manifest["tokens"]),
        "shape": {
            **manifest["shape"],
            "memories": int(manifest["memories"]),
            "state_entries": int(entries["used"]),
            "state_entries_allocated": int(entries["allocated"]),
        },
        "counters": [{"name": str(c["name"]), "limits": dict(c["limits"])} for c in manifest["counters"]],
        "residual": [str(name) for name in labels["residual"]],
        "blocks": [
            {"index": int(b["index"]), "title": str(b["title"]), "channels": _channel_facts(channels)}
            for b, channels in zip(manifest["blocks"], labels["blocks"], strict=True)
        ],
        "verdicts": {str(token): str(form) for token, form in labels["verdicts"].items()},
    }


def _kind(language: Language) -> str:
    if isinstance(language, Dfa):
        return f"{language.n_states} states" if language.n_states > 1 else "1 state"
    if isinstance(language, BoundedDyck):
        return language.name
    return f"{len(language.counters)} counters" if len(language.counters) > 1 else "1 counter"


def _channel_facts(labels: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"index": int(c["index"]), "role": str(c["role"]), "meaning": str(c["meaning"])} for c in labels["channels"]
    ]


def _block(block: Mapping[str, Any], labels: Mapping[str, Any], levels: Mapping[int, Any]) -> dict[str, Any]:
    level = int(block["level"])
    values = [0, 1] if block.get("swaps") else sorted({int(condition["label"]) for condition in block["conditions"]})
    if block.get("part") == "conditions":
        values = []  # the memory is in the next block
    sets = [
        {
            "set": _braces(entry["states"]),
            "tiles": {str(v): _braces(tile) for v, tile in enumerate(entry["tiles"]) if v in values},
        }
        for entry in levels[level]
    ]
    return {
        "index": int(block["index"]),
        "level": level,
        "memory": {"values": values, "sets": sets if values else []},
        "channels": _channel_facts(labels),
        "slots_before": {str(slot): str(name) for slot, name in labels["slots_before"].items()},
        "slots_after": {str(slot): str(name) for slot, name in labels["slots_after"].items()},
        **({"part": str(block["part"])} if "part" in block else {}),
        **{
            when: {str(number): str(text) for number, text in labels[when].items()}
            for when in ("indicators_before", "indicators_after")
            if when in labels
        },
    }


def _braces(states: Sequence[str]) -> str:
    return "{" + ",".join(map(str, states)) + "}"


# -- tables ----------------------------------------------------------------------------------------------------------


def tables(facts: Mapping[str, Any], *, blocks_only: bool = False) -> Iterator[RenderableType]:
    """The facts for people."""
    if not blocks_only:
        kind = f"{facts['states']} states" if "states" in facts else facts["language"]
        symbols = ", ".join(facts["alphabet"][:MOST_SYMBOLS]) + (
            ", ..." if len(facts["alphabet"]) > MOST_SYMBOLS else ""
        )
        yield facts_table(
            {
                "language": f"{kind} over {{{symbols}}}",
                "contract": facts["contract"],
                "construction": facts["construction"],
                **facts["shape"],
            }
        )
        yield _titled("residual stream", _stream_table(facts))
        for counter in facts.get("counters", ()):
            limits = ", ".join(f"{limit:,} in {dtype}" for dtype, limit in counter["limits"].items())
            yield Text(f"\n{counter['name']} is exact up to {limits}")
    for block in facts["blocks"]:
        yield _circuit_block(block) if "title" in block else _block_tables(block)
    if "verdicts" in facts:
        if not blocks_only:
            yield _titled("read-out", _pairs("token", "allowed iff at most 0", facts["verdicts"].items()))
        return
    if not blocks_only:
        if not facts["blocks"]:
            yield Text("\nno levels: the one Mamba block adds nothing to the residual stream")
        yield _titled("read-out", _pairs("slot", "DFA state", facts["readout"].items()))


def facts_table(facts: Mapping[str, object]) -> Table:
    """Two columns: what, and how much."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), Text(f"{value:,}" if isinstance(value, int | float) else str(value)))
    return table


def _titled(title: str, table: RenderableType) -> Group:
    return Group(Text(f"\n{title}", style="bold"), table)


def _table(*headers: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def _pairs(left: str, right: str, pairs: Any) -> Table:
    table = _table(left, right)
    for name, value in pairs:
        table.add_row(Text(str(name)), Text(str(value)))
    return table


def _stream_table(facts: Mapping[str, Any]) -> Table:
    """Equal neighbours share a row."""
    token_of = {f"letter {symbol}": f"token {number}" for symbol, number in facts["tokens"].items()}
    table = _table("dimensions", "meaning", "")
    for name, group in groupby(enumerate(facts["residual"]), key=lambda pair: pair[1]):
        numbers = [i for i, _ in group]
        span = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}"
        table.add_row(span, Text(name), token_of.get(name, ""))
    return table


def _circuit_block(block: Mapping[str, Any]) -> Group:
    return _titled(f"block {block['index']}: {block['title']}", _channel_table(block))


def _channel_table(block: Mapping[str, Any]) -> Table:
    channels = _table("channel", "role", "meaning")
    for channel in block["channels"]:
        channels.add_row(str(channel["index"]), channel["role"], Text(channel["meaning"]))
    return channels


def _block_tables(block: Mapping[str, Any]) -> Group:
    values = block["memory"]["values"]
    holds = f"a memory of the values {', '.join(map(str, values))}" if values else "no memory"
    parts: list[RenderableType] = [Text(f"\nblock {block['index']}: {level_title(block)}, {holds}", style="bold")]
    if values:
        memory = _table("the memory's value, in the set", *(str(v) for v in values))
        for entry in block["memory"]["sets"]:
            memory.add_row(Text(entry["set"]), *(Text(entry["tiles"].get(str(v), "-")) for v in values))
        parts.append(memory)
    slots = _table("slot", "before the block", "after it")
    before, after = block["slots_before"], block["slots_after"]
    for slot in sorted({*before, *after}, key=int):
        slots.add_row(slot, Text(before.get(slot, "-")), Text(after.get(slot, "-")))
    parts += [Text(), _channel_table(block), Text(), slots]
    for when, said in (("reads", "indicators_before"), ("writes", "indicators_after")):
        if said in block:
            parts += [Text(), _pairs("indicator", f"that the block {when}", block[said].items())]
    return Group(*parts)
