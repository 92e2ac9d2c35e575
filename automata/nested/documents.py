"""Nested languages that people have: JSON over tokens, and XML by the content models of its elements."""

from __future__ import annotations

from .language import NestedLanguage

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
