"""The manifest: a frozen type, read strictly, whose schema stands in the documentation."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import scancraft
from scancraft.automata.formats.formats import to_json_dict
from scancraft.compiler.constructions import counters, dyck, flip_flop
from scancraft.compiler.manifest import Manifest, ManifestError, Source, write_schema
from scancraft.compiler.targets import TARGETS
from scancraft.suite.languages import suite_language

Json = dict[str, Any]
A_N_B_N = suite_language("a^n b^n").language
BUILD: dict[str, Callable[[], Any]] = {
    **{
        f"D-2 on {name}{', a plan' * (way == 'plan')}": partial(
            scancraft.compile, "(a(ab)*b)*", target=name, construction=way
        )
        for name in TARGETS
        for way in ("cascade", "plan")
    },
    "flip-flop": flip_flop,
    "Dyck": partial(dyck, 2, 2, contract="all-words"),
    "counters": partial(counters, A_N_B_N),
    "counters on mamba2": partial(counters, A_N_B_N, target="mamba2"),
    "nothing to do": partial(scancraft.compile, "[ab]*"),
    "swaps": partial(scancraft.compile, "(aa)*"),
}


@cache
def manifest_of(name: str) -> Manifest:
    found: Manifest = BUILD[name]().manifest
    return found


def d2() -> Json:
    content: Json = json.loads(json.dumps(manifest_of("D-2 on mamba").to_json()))
    return content


@pytest.mark.parametrize("name", BUILD)
def test_what_is_written_is_read_back(name: str) -> None:
    manifest = manifest_of(name)
    text = json.dumps(manifest.to_json())
    assert Manifest.from_json(json.loads(text)) == manifest
    assert manifest.kind in ("cascade", "plan", "flip-flop", "bounded Dyck", "counters")
    held = [holder.index for block in manifest.blocks for memory in block.memories for holder in memory.channels]
    assert manifest.state_entries.used == len(held)
    roles = [channel.role for block in manifest.blocks for channel in block.channels]
    assert sum(role in ("memory", "latch", "counter") for role in roles) == len(held)


def test_a_memory_says_which_channel_shows_which_label() -> None:
    (memory,) = manifest_of("D-2 on mamba").blocks[2].memories
    assert (memory.kind, memory.values, memory.swaps) == ("level", (0, 1), False)
    assert [(holder.index, holder.label) for holder in memory.channels] == [(3, 0), (4, 0), (5, 1)]
    (bit,) = manifest_of("swaps").blocks[0].memories
    assert bit.swaps
    assert any(change.label is None for change in manifest_of("swaps").blocks[0].conditions)
    copies = [memory for memory in manifest_of("Dyck").blocks[1].memories if len(memory.channels) > 1]
    assert copies, "one memory, shown through several gates"


CHANGES: dict[str, tuple[Callable[[Json], object], str]] = {
    "another version": (lambda m: m.update(schema_version=1), "has schema_version 1, this scancraft reads 3"),
    "no version": (lambda m: m.pop("schema_version"), "has schema_version None"),
    "a version that is true": (lambda m: m.update(schema_version=True), "has schema_version True"),
    "an unknown key": (lambda m: m.update(more=1), "unknown field `more`"),
    "an unknown key below": (lambda m: m["blocks"][1].update(part="x"), r"unknown field `part` - at `\$.blocks\[1\]`"),
    "a missing key": (lambda m: m.pop("tokens"), "missing required field `tokens`"),
    "a string for a number": (lambda m: m["shape"].update(d_model="16"), r"got `str` - at `\$.shape.d_model`"),
    "a fraction": (lambda m: m["shape"].update(d_model=16.0), r"got `float` - at `\$.shape.d_model`"),
    "true for a number": (lambda m: m["tokens"].update(a=True), r"Expected `int`, got `bool` - at `\$.tokens"),
    "a negative number": (lambda m: m["tokens"].update(a=-1), r"Expected `int` >= 0 - at `\$.tokens"),
    "an object for an array": (lambda m: m.update(blocks={}), r"Expected `array`, got `object` - at `\$.blocks`"),
    "an array for an object": (lambda m: m.update(shape=[]), r"Expected `object`, got `array` - at `\$.shape`"),
    "an unknown contract": (lambda m: m.update(contract="some-words"), r"'some-words' - at `\$.contract`"),
    "half a character": (lambda m: m.update(contract="\ud800"), "surrogates not allowed"),
    "half a character for a key": (lambda m: m.update({"\ud800": 1}), "surrogates not allowed"),
    "no number": (lambda m: m["constants"].update(T=float("nan")), r"Expected `float` .* - at `\$.constants"),
    "no finite number": (lambda m: m["constants"].update(T=float("inf")), r"Expected `float` .* - at `\$.constants"),
    "true for a constant": (lambda m: m["constants"].update(T=True), r"Expected `float`, got `bool`"),
    "a source of no kind": (lambda m: m.update(source={"kind": "url", "text": "x"}), r"'url' - at `\$.source.kind`"),
    "a source too long": (lambda m: m["source"].update(text="x" * 1001), r"length <= 1000 - at `\$.source.text`"),
    "an empty source": (lambda m: m["source"].update(text=""), r"length >= 1 - at `\$.source.text`"),
    "a slot without a number": (lambda m: m.update(states={"x": "0"}), r"got `str` - at `key` in `\$.states`"),
    "a slot below 0": (lambda m: m.update(states={"-1": "0"}), r"at `key` in `\$.states`"),
    "two tokens of one id": (lambda m: m["tokens"].update(a=4), "tokens gives two tokens one id"),
    "no token for <bos>": (lambda m: m["tokens"].pop("<bos>"), "tokens has no '<bos>'"),
    "too few dimensions": (lambda m: m["residual"].pop(), "residual has 15 entries for 16 dimensions"),
    "too many blocks": (lambda m: m["shape"].update(num_hidden_layers=2), "blocks has 3 entries"),
    "a block out of order": (lambda m: m["blocks"][1].update(index=2), r"blocks\[1\].index is 2, not 1"),
    "a channel too far": (lambda m: m["blocks"][0]["channels"][0].update(index=16), "that is not there"),
    "a memory nowhere": (lambda m: m["blocks"][0]["memories"][0]["channels"][0].update(index=9), "is not listed"),
    "a counter too far": (
        lambda m: m.update(counters=[{"name": "c", "block": 3, "channel": 0, "state": 0, "limits": {}}]),
        r"counters\[0\] is in a block or a channel that is not there",
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_whatever_is_wrong_is_named(case: str, tmp_path: Path) -> None:
    change, message = CHANGES[case]
    content = d2()
    change(content)
    with pytest.raises(ManifestError, match=message) as told:
        Manifest.from_json(content)
    assert str(told.value).startswith("scancraft.json")
    assert str(told.value).endswith("compile the language again")


def test_the_manifest_keeps_how_the_language_was_named(tmp_path: Path) -> None:
    d_2 = scancraft.parse_regex("(a(ab)*b)*")
    (tmp_path / "x.json").write_text(json.dumps(to_json_dict(d_2)))
    assert manifest_of("D-2 on mamba").source == Source("regex", "(a(ab)*b)*")
    assert scancraft.compile(tmp_path / "x.json").manifest.source == Source("file", "x.json")
    assert scancraft.compile(d_2).manifest.source is None
    assert scancraft.compile("a" + "|a" * 500).manifest.source is None, "too long to be kept"
    assert scancraft.compile("a" + "|a" * 499).manifest.source is not None


@pytest.mark.parametrize(
    ("language", "kind", "text"),
    [
        (lambda: scancraft.named("d-2"), "suite", "D-2"),
        (lambda: scancraft.named("Shuffle-2"), "suite", "Shuffle-2"),
        (lambda: scancraft.named("Dyck_{8,5}"), "suite", "Dyck_{8,5}"),
        (lambda: scancraft.regex("(ab)*"), "regex", "(ab)*"),
        (lambda: scancraft.regex("a* & ~(aaa)"), "regex", "a* & ~(aaa)"),
        (lambda: scancraft.regex("[ab]", dialect="python"), "regex", "[ab] (dialect python)"),
    ],
)
def test_values_know_how_they_were_named(language: Callable[[], Any], kind: Any, text: str) -> None:
    value = language()
    assert scancraft.compile(value).manifest.source == Source(kind, text)
    assert value == value.told("file", "x")


def test_what_is_made_of_a_named_language_has_no_name() -> None:
    d_2 = scancraft.as_dfa(scancraft.named("D-2"))
    for made in (~d_2, d_2 | "ab", d_2.over("abc"), scancraft.all_of([d_2, "a*"])):
        assert scancraft.compile(made).manifest.source is None


def test_a_manifest_without_a_source_is_read() -> None:
    content = d2()
    del content["source"]
    assert replace(Manifest.from_json(content), source=manifest_of("D-2 on mamba").source) == Manifest.from_json(d2())


def test_what_is_no_object_is_refused() -> None:
    for content in (None, [], 5, "x"):
        with pytest.raises(ManifestError, match="schema_version None"):
            Manifest.from_json(content)


def test_the_schema_in_the_documentation_is_that_of_the_type(tmp_path: Path) -> None:
    written = tmp_path / "schema.json"
    write_schema(written)
    shown = Path(__file__).parents[2] / "docs" / "reference" / "manifest.schema.json"
    assert written.read_text() == shown.read_text(), (
        "python -c 'from scancraft.compiler.manifest import write_schema; ...'"
    )
    told = json.loads(written.read_text())
    assert told["$defs"]["Manifest"]["additionalProperties"] is False
    assert set(told["$defs"]["Manifest"]["required"]) <= set(d2())
