"""Metadata: Struct on the wire, a mapping or canonical JSON text on this side."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final

from google.protobuf.struct_pb2 import Struct, Value

from service.core import metadata as rules
from service.core.errors import Violation

_WIRE_LIMIT: Final = 4 * rules.MAX_BYTES
"""No struct of allowed size is as large as this on the wire."""

_DECODER: Final = json.JSONDecoder()

_REFUSED: Final = object()
"""Stands for a value of a kind that the rules refuse."""


def _value(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value
    if kind == "number_value":
        return value.number_value
    if kind == "bool_value":
        return value.bool_value
    if kind == "null_value":
        return None
    if kind == "list_value":
        return [
            item.string_value if item.WhichOneof("kind") == "string_value" else _REFUSED
            for item in value.list_value.values
        ]
    return _REFUSED


def patch(struct: Struct, path: str, violations: list[Violation]) -> dict[str, rules.Scalar | None]:
    """The metadata a caller gave; None is JSON's null."""
    fields = struct.fields
    if not fields:
        return {}
    if len(fields) > rules.MAX_KEYS:
        violations.append(Violation(path, f"must have at most {rules.MAX_KEYS} keys"))
        return {}
    size = struct.ByteSize()
    if size > _WIRE_LIMIT:
        violations.append(Violation(path, f"must be at most {rules.MAX_BYTES} bytes as JSON"))
        return {}
    given = {key: _value(value) for key, value in fields.items()}
    # The order of a map's keys differs from one message to the next.
    violations.extend(sorted(rules.violations(given, path, size), key=lambda each: each.field))
    return given


def to_proto(text: str, struct: Struct) -> None:
    """Writes canonical JSON text into a message; none leaves it absent."""
    if text == rules.NONE:
        return
    if len(text) <= _CACHED_LENGTH:
        struct.MergeFromString(_wire(text))
    else:
        _assign(struct, text)


_CACHED_LENGTH: Final = 512


@lru_cache(maxsize=4096)
def _wire(text: str) -> bytes:
    """Most metadata is small and alike from row to row: a list reads it again and again."""
    struct = Struct()
    _assign(struct, text)
    return struct.SerializeToString()


def _assign(struct: Struct, text: str) -> None:
    fields = struct.fields
    parsed, _ = _DECODER.raw_decode(text)
    for key, value in parsed.items():
        # Asking for the type is the fastest.
        kind = type(value)
        if kind is str:
            fields[key].string_value = value
        elif kind is float or kind is int:
            fields[key].number_value = value
        elif kind is bool:
            fields[key].bool_value = value
        else:
            items = fields[key].list_value
            # A list without elements has to be made present by hand.
            items.SetInParent()
            add = items.values.add
            for item in value:
                add(string_value=item)
