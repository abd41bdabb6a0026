"""Request messages from bodies, paths and queries, and responses as JSON.

Names are accepted in both spellings, `custom_id` and `customId`, and answered in the second.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from service.core.errors import PalimpsestError, Reason, Violation, invalid, with_fields_renamed
from service.http.protojson import reader, writer

MAX_DEPTH: Final = 64
"""Objects and lists inside one another."""

MAX_VALUES: Final = 500_000
"""Values in a body, and names: what the contract allows has some thousands."""

_STEP: Final = re.compile(r"([^.\[\]]+)|\[([^\]]*)\]")


def parse_json(body: bytes) -> Any:
    """The value of a body; an empty one is an empty object.

    Raises:
        PalimpsestError: MALFORMED_MESSAGE: it is no JSON (RFC 8259), has a name twice in one
            object, a number that is none, or is nested too deeply. MESSAGE_TOO_LARGE: it has
            more values than any request needs.
    """
    if not body.strip():
        return {}
    try:
        _check_structure(body)
        made = _checked_object if _SURROGATE.search(body) else _object
        return json.loads(body.decode(), object_pairs_hook=made, parse_constant=_constant)
    except UnicodeDecodeError:
        raise _malformed("is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise _malformed(
            f"is no JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from None
    except (RecursionError, ValueError) as error:
        known = isinstance(error, _BadJsonError)
        raise _malformed(str(error) if known else "has a number of too many digits") from None


class _BadJsonError(ValueError):
    """The text says what is wrong with the body."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _BadJsonError("has a name twice in one object")
    return made


_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def _checked_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For bodies with halves of characters, which no name can have."""
    for name, _ in pairs:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise _BadJsonError("has a name with a lone surrogate") from None
    return _object(pairs)


def _constant(name: str) -> Any:
    raise _BadJsonError(f"has {name}, which is no JSON")


def _check_structure(body: bytes) -> None:
    """Raise for more values, or deeper ones, than are read: each takes much more memory and time
    than its bytes.

    All in steps that take time in proportion to the size, whatever the bytes are.
    """
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH and len(body) <= MAX_VALUES:
        return
    # What remains are the brackets and commas outside of strings.
    body = body.replace(rb"\\", b"").replace(rb"\"", b"").translate(_BRACKETS, _NO_STRUCTURE)
    if body.count(b'"') > 4 * MAX_VALUES:
        raise _too_many_values()
    body = b"".join(body.split(b'"')[::2])
    if body.count(b"[") + body.count(b",") > MAX_VALUES:
        raise _too_many_values()
    body = body.replace(b",", b"")
    for _ in range(MAX_DEPTH):
        body = body.replace(b"[]", b"")
    # Brackets that close nothing are found by the parser.
    if b"[" in body:
        raise _malformed(f"is nested more than {MAX_DEPTH} deep, or has no end")


_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NO_STRUCTURE: Final = bytes(set(range(256)) - set(b'"[]{},'))


def _too_many_values() -> PalimpsestError:
    return PalimpsestError(
        Reason.MESSAGE_TOO_LARGE, f"The body may have {MAX_VALUES} JSON values at most"
    )


def _malformed(what: str) -> PalimpsestError:
    return PalimpsestError(Reason.MALFORMED_MESSAGE, f"The body {what}")


class Written:
    """How a caller wrote a request: to name fields in errors as it did."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def error(self, error: PalimpsestError) -> PalimpsestError:
        """The same error with the paths of fields as in the request."""
        return with_fields_renamed(error, self._path)

    def _path(self, path: str) -> str:
        value, end = self._value, 0
        written = ""
        for step in _STEP.finditer(path):
            if step.start() > end and path[end : step.start()] != ".":
                return path
            end = step.end()
            if step[1] is not None:
                name = step[1]
                if not (isinstance(value, dict) and name in value):
                    name = camel(name)
                written += f".{name}" if written else name
                value = value.get(name) if isinstance(value, dict) else None
            else:
                written += step[0]
                index = step[2]
                if index.isdecimal() and isinstance(value, list) and int(index) < len(value):
                    value = value[int(index)]
                else:
                    value = None
        return written + path[end:]


def camel(name: str) -> str:
    """The JSON name of a field."""
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def fill(message: Message, value: Any) -> None:
    """Set a message from the value of its JSON.

    Raises:
        PalimpsestError: INVALID_REQUEST: a field is unknown, or its value of another type.
    """
    if not isinstance(value, dict):
        raise _malformed("must be a JSON object")
    violations: list[Violation] = []
    # The stubs know two names for one class.
    descriptor: Any = message.DESCRIPTOR
    reader(descriptor)(message, value, "", violations)
    if violations:
        raise invalid(violations)


def set_parameter(value: dict[str, Any], descriptor: Descriptor, name: str, text: str) -> None:
    """Add a field that stands in the path to the JSON of the body."""
    field = descriptor.fields_by_name[name]
    for spelling in {field.name, field.json_name}:
        if value.setdefault(spelling, text) != text:
            raise invalid([Violation(spelling, "is another one than that in the path")])
        del value[spelling]
    value[field.json_name] = text


def query_to_json(descriptor: Descriptor, query: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The JSON of what stands in a query string: `pageSize=5&ids=a&ids=b&inner.field=c`.

    Raises:
        PalimpsestError: INVALID_REQUEST: there is no such field, or it cannot be in a query.
    """
    value: dict[str, Any] = {}
    for name, texts in query.items():
        inside, within = value, descriptor
        *outer, last = name.split(".")
        for step in outer:
            field = _field(within, step)
            if field is None or field.message_type is None or field.is_repeated:
                raise invalid([Violation(name, "there is no such field")])
            inside = inside.setdefault(step, {})
            within = field.message_type
        field = _field(within, last)
        if field is None:
            raise invalid([Violation(name, "there is no such field")])
        kind = field.message_type
        if kind is not None and kind.full_name != "google.protobuf.Timestamp":
            raise invalid([Violation(name, "cannot be given in a query")])
        values = [_from_text(field, text) for text in texts]
        if not field.is_repeated and len(values) > 1:
            raise invalid([Violation(name, "is given more than once")])
        inside[last] = values if field.is_repeated else values[0]
    return value


def _field(descriptor: Descriptor, name: str) -> FieldDescriptor | None:
    found: FieldDescriptor | None = descriptor.fields_by_name.get(name)
    if found is not None:
        return found
    return descriptor.fields_by_camelcase_name.get(name)


def _from_text(field: FieldDescriptor, text: str) -> Any:
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return {"true": True, "false": False}.get(text, text)
    return text


def to_json(message: Message) -> bytes:
    """The JSON of a response. Fields without presence are there also when they are empty."""
    descriptor: Any = message.DESCRIPTOR
    return dumps(writer(descriptor)(message))


def dumps(value: Any) -> bytes:
    return orjson.dumps(value)
