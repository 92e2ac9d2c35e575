"""Frozen dataclasses as JSON and back, strictly, and their JSON schema: one walk over the type annotations for each.

A dataclass is an object with the fields' names as keys; a field that has its default value is left out. Besides, there
are ``str``, ``int``, ``float``, ``bool``, ``Literal``, ``X | None``, ``tuple[X, ...]`` (an array), ``Mapping[str, X]``,
``Mapping[int, X]`` (an object whose keys are decimal numbers), ``Mapping[str, Any]`` (any object) and integers with a
least value, ``Annotated[int, Least(0)]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from math import isfinite
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Least:
    """The least value of an integer."""

    value: int


Natural = Annotated[int, Least(0)]
Positive = Annotated[int, Least(1)]


class JsonError(ValueError):
    """JSON that is not what a type says.

    Attributes:
        path: where, as in ``blocks[2].channels``; empty for the whole.
        problem: what is wrong there.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(path, problem)
        self.path, self.problem = path, problem

    def __str__(self) -> str:
        return f"{self.path or 'it'} {self.problem}"


def encode(value: Any) -> Any:
    """A value as JSON. O(size)."""
    if is_dataclass(value):
        named = {field: getattr(value, field.name) for field in fields(value)}
        return {f.name: encode(v) for f, v in named.items() if f.default is MISSING or v != f.default}
    if isinstance(value, Mapping):
        return {str(key): encode(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [encode(entry) for entry in value]
    return value


def decode(kind: Any, value: Any, path: str = "") -> Any:
    """JSON as a value of a type. O(size).

    Raises:
        JsonError: an unknown or a missing key, another type than the annotated one, or a number out of range.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin is Annotated:
        number, (base, least) = decode(arguments[0], value, path), arguments
        assert base is int
        return number if number >= least.value else _wrong(path, value, f"an integer of at least {least.value}")
    if origin in (Union, UnionType):
        (inner,) = (argument for argument in arguments if argument is not NoneType)
        return None if value is None else decode(inner, value, path)
    if origin is Literal:
        return value if value in arguments else _wrong(path, value, f"one of {', '.join(map(repr, arguments))}")
    if origin is tuple:
        array = value if isinstance(value, list) else _wrong(path, value, "an array")
        return tuple(decode(arguments[0], entry, f"{path}[{i}]") for i, entry in enumerate(array))
    if origin is Mapping:
        named = value if isinstance(value, dict) else _wrong(path, value, "an object")
        key = _number if arguments[0] is int else _unchanged
        return {key(name, path): decode(arguments[1], entry, _below(path, name)) for name, entry in named.items()}
    if isinstance(kind, type) and is_dataclass(kind):
        return _decode_dataclass(kind, value, path)
    if kind is float:
        good = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
        return float(value) if good else _wrong(path, value, "a finite number")
    names = {str: "a string", int: "an integer", bool: "true or false"}
    return value if type(value) is kind else _wrong(path, value, names[kind])


def _decode_dataclass(kind: Any, value: Any, path: str) -> Any:
    entries = value if isinstance(value, dict) else _wrong(path, value, "an object")
    types = _types(kind)
    if unknown := sorted(set(entries) - set(types)):
        raise JsonError(_below(path, unknown[0]), f"is unknown; known are {', '.join(types)}")
    for field in fields(kind):
        if field.name not in entries and field.default is MISSING:
            raise JsonError(_below(path, field.name), "is missing")
    return kind(**{name: decode(types[name], entry, _below(path, name)) for name, entry in entries.items()})


def _wrong(path: str, value: Any, wanted: str) -> NoReturn:
    shown = repr(value)
    raise JsonError(path, f"is {shown if len(shown) <= 60 else type(value).__name__}, not {wanted}")


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _unchanged(name: str, path: str) -> str:
    return name


def _number(name: str, path: str) -> int:
    if not (name.isascii() and name.isdigit()):
        _wrong(path, name, "a number as a key")
    return int(name)


@cache
def _types(kind: Any) -> dict[str, Any]:
    """The annotated type of each field."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in fields(kind)}


# -- the schema ------------------------------------------------------------------------------------------------------

SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema(kind: Any) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a dataclass; those inside it stand under ``$defs``."""
    found: dict[str, Any] = {}
    top = _schema(kind, found)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **top, "$defs": dict(sorted(found.items()))}


def _schema(kind: Any, found: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return {}
    if origin is Annotated:
        return {"type": "integer", "minimum": arguments[1].value}
    if origin in (Union, UnionType):
        return {"anyOf": [_schema(inner, found) for inner in arguments if inner is not NoneType] + [{"type": "null"}]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0], found)}
    if origin is Mapping:
        keys = {"propertyNames": {"pattern": "^[0-9]+$"}} if arguments[0] is int else {}
        return {"type": "object", "additionalProperties": _schema(arguments[1], found), **keys}
    if isinstance(kind, type) and is_dataclass(kind):
        if kind.__name__ not in found:
            found[kind.__name__] = {}  # its place, in case it holds one of itself
            found[kind.__name__] = {
                "description": (kind.__doc__ or "").partition("\n")[0],
                "type": "object",
                "properties": {name: _schema(inner, found) for name, inner in _types(kind).items()},
                "required": [field.name for field in fields(kind) if field.default is MISSING],
                "additionalProperties": False,
            }
        return {"$ref": f"#/$defs/{kind.__name__}"}
    return {"type": SCALARS[kind]}
