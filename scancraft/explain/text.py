"""What the parts of a checkpoint stand for, from its manifest alone: facts, and tables of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from io import StringIO
from itertools import groupby
from typing import Any

from msgspec.structs import asdict
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..automata.bounded_dyck import BoundedDyck
from ..automata.combination import Combination
from ..automata.copying.language import Copying
from ..automata.dfa import Dfa
from ..automata.languages import Language
from ..automata.logic.past import PastLtl
from ..automata.moore import Moore
from ..automata.nested.language import NestedLanguage
from ..compiler.checkpoints import Checkpoint
from ..compiler.circuits.forms import show
from ..compiler.language_model import LanguageModel
from ..compiler.manifest import BlockLabel, TiledSet

WIDTH = 120
"""Columns of tables that no terminal shows."""

MOST_SYMBOLS = 16
"""Symbols of an alphabet that are shown."""


@dataclass(frozen=True, repr=False)
class Explanation:
    """The facts about a model, as :func:`explanation` gives them; ``str`` of it is the tables that people read."""

    facts: dict[str, Any]

    def __repr__(self) -> str:
        return f"<Explanation: {len(self.facts['blocks'])} blocks; print it>"

    def __str__(self) -> str:
        out = Console(width=WIDTH, markup=False, highlight=False, emoji=False, file=StringIO(), soft_wrap=True)
        with out.capture() as told:
            out.print(*tables(self.facts), sep="\n")
        return told.get()

    def _repr_html_(self) -> str:
        return f'<pre style="overflow-x:auto">{escape(str(self))}</pre>'


def explanation(source: LanguageModel) -> dict[str, Any]:
    """The facts that :func:`tables` shows."""
    manifest, language = source.manifest, source.language
    states = language.n_states if isinstance(language, (Dfa, Moore)) else 0
    facts: dict[str, Any] = {
        "directory": str(source.directory) if isinstance(source, Checkpoint) else None,
        "contract": manifest.contract,
        "construction": manifest.construction,
        "alphabet": list(language.alphabet),
        "tokens": dict(manifest.tokens),
        "shape": asdict(manifest.shape),
        "residual": [dimension.name for dimension in manifest.residual],
    }
    if manifest.kind == "cascade":
        levels = {level.height: level.sets for level in manifest.levels}
        return facts | {
            "states": states,
            "blocks": [_block(block, levels) for block in manifest.blocks],
            "readout": _by_number(manifest.states),
        }
    facts["shape"] |= {
        "memories": manifest.memories,
        "state_entries": manifest.state_entries.used,
        "state_entries_allocated": manifest.state_entries.allocated,
    }
    if manifest.kind == "plan" and states:
        facts["states"] = states
    return facts | {
        "language": _kind(language),
        "counters": [{"name": counter.name, "limits": dict(counter.limits)} for counter in manifest.counters],
        "blocks": [
            {
                "index": block.index,
                "title": block.title,
                **({"memories": _meanings(block)} if manifest.kind == "plan" else {}),
                "channels": [asdict(channel) for channel in block.channels],
            }
            for block in manifest.blocks
        ],
        "verdicts": {token: show(form) for token, form in manifest.verdicts.items()},
    }


def _kind(language: Language) -> str:
    if isinstance(language, Dfa):
        return f"{language.n_states} states" if language.n_states > 1 else "1 state"
    if isinstance(language, Moore):
        return f"{language.n_states} states, {len(language.classes)} classes"
    if isinstance(language, BoundedDyck):
        return language.name
    if isinstance(language, Copying):
        return language.name
    if isinstance(language, NestedLanguage):
        return f"{len(language.states)} states of a level, {language.depth} deep"
    if isinstance(language, Combination):
        return f"{len(language.leaves)} automata side by side"
    if isinstance(language, PastLtl):
        return f"past formula of {len(language.nodes)} nodes"
    return f"{len(language.counters)} counters" if len(language.counters) > 1 else "1 counter"


def _meanings(block: BlockLabel) -> list[dict[str, Any]]:
    """The memories of a block of a plan, with what each label says."""
    return [
        {"name": memory.name, "values": list(memory.values), "meanings": _by_number(memory.meanings)}
        for memory in block.memories
    ]


def _block(block: BlockLabel, levels: Mapping[int, Sequence[TiledSet]]) -> dict[str, Any]:
    # In a block that only finds conditions there is none: the memory is in the next block.
    values = sorted({value for memory in block.memories for value in memory.values})
    sets = [
        {
            "set": _braces(entry.states),
            "tiles": {str(v): _braces(tile) for v, tile in enumerate(entry.tiles) if v in values},
        }
        for entry in levels.get(block.level or 0, ())
    ]
    said = {"indicators_before": block.indicators_before, "indicators_after": block.indicators_after}
    return {
        "index": block.index,
        **({"title": block.title} if block.level is None else {"level": block.level}),
        "memory": {"values": values, "sets": sets if values else []},
        "channels": [asdict(channel) for channel in block.channels],
        "slots_before": _by_number(block.slots_before),
        "slots_after": _by_number(block.slots_after),
        **({"part": "conditions"} if block.finds_only else {}),
        **{when: _by_number(texts) for when, texts in said.items() if texts is not None},
    }


def _by_number(names: Mapping[int, str] | None) -> dict[str, str]:
    return {str(number): name for number, name in (names or {}).items()}


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
            yield _titled("read-out", _pairs("token", "true iff at most 0", facts["verdicts"].items()))
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
    parts: list[RenderableType] = [Text(f"\nblock {block['index']}: {block['title']}", style="bold")]
    if block.get("memories"):
        memories = _table("memory", "label", "meaning")
        for memory in block["memories"]:
            for value in memory["values"]:
                memories.add_row(Text(memory["name"]), str(value), Text(memory["meanings"].get(str(value), "")))
        parts.append(memories)
    return Group(*parts, _channel_table(block))


def _channel_table(block: Mapping[str, Any]) -> Table:
    channels = _table("channel", "role", "meaning")
    for channel in block["channels"]:
        channels.add_row(str(channel["index"]), channel["role"], Text(channel["meaning"]))
    return channels


def _level_title(block: Mapping[str, Any]) -> str:
    first = "conditions of " if block.get("part") == "conditions" else ""
    return f"{first}level {block['level']} of the cascade"


def _block_tables(block: Mapping[str, Any]) -> Group:
    values = block["memory"]["values"]
    holds = f"a memory of the values {', '.join(map(str, values))}" if values else "no memory"
    parts: list[RenderableType] = [Text(f"\nblock {block['index']}: {_level_title(block)}, {holds}", style="bold")]
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
