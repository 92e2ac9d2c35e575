"""Nested languages that people have: JSON over tokens, and XML by the content models of its elements."""

from __future__ import annotations

from collections.abc import Mapping

from ..budget import DEFAULT_BUDGET, Budget
from ..dfa import Dfa
from ..errors import LanguageFormatError
from ..regex.regex import parse_regex
from .language import NestedLanguage

TEXT = "text"
"""The symbol for character data between two tags."""

JSON_TOKENS = ("{", "}", "[", "]", ":", ",", "string", "number", "true", "false", "null")
"""The tokens of RFC 8259; blanks are none."""


def json_documents(depth: int) -> NestedLanguage:
    """JSON texts (RFC 8259) over :data:`JSON_TOKENS`, objects and arrays at most ``depth`` deep.

    >>> json_documents(2).accepts(["{", "string", ":", "[", "number", ",", "null", "]", "}"])
    True
    >>> json_documents(2).accepts(["{", "string", ":", "string", ",", "}"])
    False
    """
    values = ("[", "{", "string", "number", "true", "false", "null")
    return NestedLanguage.of(
        depth,
        "start",
        {"{": "object", "[": "array"},
        {
            "start": dict.fromkeys(values, "end"),
            "object": {"string": "key"},
            "key": {":": "colon"},
            "colon": dict.fromkeys(values, "member"),
            "member": {",": "object comma"},
            "object comma": {"string": "key"},
            "array": dict.fromkeys(values, "element"),
            "element": {",": "array comma"},
            "array comma": dict.fromkeys(values, "element"),
        },
        {"object": "}", "member": "}", "array": "]", "element": "]"},
        ["end"],
        JSON_TOKENS,
    )


def xml_documents(
    root: str, content: Mapping[str, str | Dfa], depth: int, budget: Budget = DEFAULT_BUDGET
) -> NestedLanguage:
    """XML over tags, valid for a content model of each element, elements at most ``depth`` deep, the root's being 1.

    Args:
        root: the element that a document is.
        content: for each element what it holds: an expression, or a DFA, over names of elements and :data:`TEXT`.
        depth: how deep elements may lie.
        budget: for the automata of expressions.

    Raises:
        LanguageFormatError: an element without a content model; or one that cannot be closed within the depth.
        ScancraftError: an expression cannot be read, or its automaton is too large.

    >>> letter = xml_documents("letter", {"letter": "'to' 'line'*", "to": "'text'", "line": "'text'?"}, 2)
    >>> letter.accepts(["<letter>", "<to>", "text", "</to>", "<line>", "</line>", "</letter>"])
    True
    """
    names = [*content, TEXT]
    models = {
        name: model if isinstance(model, Dfa) else parse_regex(model, names, budget) for name, model in content.items()
    }
    if unknown := ({root} | {a for model in models.values() for a in model.alphabet}) - {*names}:
        raise LanguageFormatError(f"the element {min(unknown)!r} has no content model")
    steps: dict[str, dict[str, str]] = {"document": {f"<{root}>": "end"}}
    closes: dict[str, list[str]] = {}
    for name, model in models.items():
        for state in sorted(model.live):
            moves = ((symbol, model.table[state][a]) for a, symbol in enumerate(model.alphabet))
            live = {symbol: f"{name} {target}" for symbol, target in moves if target in model.live}
            steps[f"{name} {state}"] = {a if a == TEXT else f"<{a}>": target for a, target in live.items()}
            closes[f"{name} {state}"] = [f"</{name}>"] if state in model.accepting else []
    opens = {f"<{name}>": f"{name} {model.initial}" for name, model in models.items()}
    tags = [tag for name in models for tag in (f"<{name}>", f"</{name}>")]
    return NestedLanguage.of(depth, "document", opens, steps, closes, ["end"], [*tags, TEXT])
