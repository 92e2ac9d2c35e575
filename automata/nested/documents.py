"""Nested languages that people have: JSON over tokens, and XML by the content models of its elements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


DIGITS = "0123456789"
ESCAPED = '"/bfnrt'
"""What may come after a backslash here; RFC 8259 also has the backslash itself and ``u`` with four digits."""


def json_characters(depth: int, letters: str = "abcdefghijklmnopqrstuvwxyz_ ") -> NestedLanguage:
    r"""JSON texts over characters, without blanks between tokens, whose strings hold letters, digits and escapes.

    Strings hold no brackets, braces, colons or commas, and no escaped backslash, and that is no accident: with commas
    in strings the word ``",`` exchanges being inside a string and outside, and with ``\\`` a backslash exchanges
    being escaped or not, so that these languages are not star-free and no Mamba models them (theorem 4).

    Args:
        depth: how deep objects and arrays may lie.
        letters: what strings hold besides :data:`DIGITS` and escapes of :data:`ESCAPED`.

    Raises:
        LanguageFormatError: a letter that JSON's own syntax needs.

    >>> json_characters(2).accepts('{"a":[-1.5e3,null],"b_1":"say \\"yes\\""}')
    True
    """
    if taken := {*letters} & {*'{}[]:,"\\'}:
        raise LanguageFormatError(f"strings cannot hold {min(taken)!r}, which would make the language not star-free")
    steps: dict[str, dict[str, str]] = {}
    after = {"end": {}, "member": {",": "object comma"}, "element": {",": "array comma"}}
    ends = {"end": [], "member": ["}"], "element": ["]"]}
    closes = {"object": ["}"], "array": ["]"]}
    values = {"end": ["start"], "member": ["colon"], "element": ["array", "array comma"]}

    def row(state: str) -> dict[str, str]:
        return steps.setdefault(state, {})

    def string(starts: Sequence[str], name: str, done: str) -> None:
        for start in starts:
            row(start)['"'] = name
        row(name).update({**dict.fromkeys(letters + DIGITS, name), '"': done, "\\": f"{name}, escape"})
        row(f"{name}, escape").update(dict.fromkeys(ESCAPED, name))

    for done, starts in values.items():
        string(starts, f"{done}: string", done)
        number = _number(done)
        for start in starts:
            row(start).update({"{": done, "[": done, **number[""]})
        for state, moves in number.items():
            if state:
                row(state).update(moves)
        for state in (done, *(f"{done}: {part}" for part in ("zero", "integer", "fraction", "exponent"))):
            row(state).update(after[done])
            closes[state] = ends[done]
        for word in ("true", "false", "null"):
            places = [*(f"{done}: {word[:n]}" for n in range(1, len(word))), done]
            for start in starts:
                row(start)[word[0]] = places[0]
            for letter, here, there in zip(word[1:], places, places[1:], strict=False):
                row(here)[letter] = there
    string(["object", "object comma"], "key: string", "key")
    row("key")[":"] = "colon"
    accepting = [state for state in closes if state.startswith("end")]
    return NestedLanguage.of(depth, "start", {"{": "object", "[": "array"}, steps, closes, accepting)


def _number(done: str) -> dict[str, dict[str, str]]:
    """The steps inside a number of RFC 8259, those from its first character under ""."""

    def to(characters: str, part: str) -> dict[str, str]:
        return dict.fromkeys(characters, f"{done}: {part}")

    first = to("0", "zero") | to(DIGITS[1:], "integer")
    point, exponent = to(".", "point"), to("eE", "e")
    steps = {
        "minus": first,
        "zero": point | exponent,
        "integer": to(DIGITS, "integer") | point | exponent,
        "point": to(DIGITS, "fraction"),
        "fraction": to(DIGITS, "fraction") | exponent,
        "e": to("+-", "sign") | to(DIGITS, "exponent"),
        "sign": to(DIGITS, "exponent"),
        "exponent": to(DIGITS, "exponent"),
    }
    return {"": first | to("-", "minus"), **{f"{done}: {part}": moves for part, moves in steps.items()}}


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
