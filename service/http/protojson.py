"""Messages from ProtoJSON and back, by functions that are made once for each type of message.

They read and write what `google.protobuf.json_format` does, in a tenth of its time, and tell
every field at fault. Source: https://protobuf.dev/programming-guides/json/ .
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, TypeAlias

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from service.core.errors import Violation

MAX_VIOLATIONS: Final = 100

_SHOWN: Final = 100
"""Characters of an unknown name that are told."""

_PARSE_ERRORS: Final = (
    json_format.ParseError, ValueError, TypeError, AttributeError, OverflowError, SystemError,
)  # fmt: skip
"""The last one is what protobuf makes of halves of characters."""

Reader: TypeAlias = Callable[[Any, Any, str, list[Violation]], None]
"""Sets a message from a value at a path, and adds what is wrong."""

Writer: TypeAlias = Callable[[Any], Any]
"""The JSON value of a message or of a field's value."""

_WRAPPED: Final = "google.protobuf"

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  (written with the zone's letter)


# --- reading ---------------------------------------------------------------------


@cache
def reader(descriptor: Descriptor) -> Reader:
    """What reads messages of a type; names of fields are taken in both spellings."""
    fields: dict[str | None, tuple[str, Reader]] = {}
    for field in descriptor.fields:
        fields[field.name] = fields[field.json_name] = (field.name, _field_reader(field))
    oneofs = {
        field.name: field.containing_oneof
        for field in descriptor.fields
        if field.containing_oneof is not None and len(field.containing_oneof.fields) > 1
    }

    def read(message: Any, value: Any, path: str, violations: list[Violation]) -> None:
        if type(value) is not dict:
            violations.append(Violation(path, "must be an object"))
            return
        given: set[str] = set()
        for name, inner in value.items():
            where = f"{path}.{name}" if path else name
            found = fields.get(name)
            if len(violations) >= MAX_VIOLATIONS:
                return
            if found is None:
                shown = f"{path}.{name[:_SHOWN]}" if path else name[:_SHOWN]
                violations.append(Violation(shown, "there is no such field"))
                continue
            proper, read_field = found
            if proper in given:
                violations.append(Violation(where, "is given twice, in both spellings"))
                continue
            given.add(proper)
            if inner is None:
                continue
            oneof = oneofs.get(proper)
            if oneof is not None:
                if oneof.full_name in given:
                    rule = f"excludes the other fields of {oneof.name}"
                    violations.append(Violation(where, rule))
                    continue
                given.add(oneof.full_name)
            read_field(message, inner, where, violations)

    return read


def _field_reader(field: FieldDescriptor) -> Reader:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        return _other(field)
    if not field.is_repeated:
        return _single_reader(field)
    return _list_reader(field)


def _single_reader(field: FieldDescriptor) -> Reader:
    name, kind = field.name, field.message_type
    if kind is not None:
        if kind.full_name == "google.protobuf.Struct":
            return _struct_reader(field)
        if kind.full_name == "google.protobuf.Timestamp":
            return _timestamp_reader(field)
        if kind.file.package == _WRAPPED:
            return _other(field)

        def read_message(message: Any, value: Any, path: str, violations: list[Violation]) -> None:
            inner = getattr(message, name)
            # An empty object is a message that is there.
            inner.SetInParent()
            reader(kind)(inner, value, path, violations)

        return read_message
    plain, other = _PLAIN.get(field.cpp_type), _other(field)

    def read(message: Any, value: Any, path: str, violations: list[Violation]) -> None:
        if type(value) is plain:
            try:
                setattr(message, name, value)
            except ValueError:
                violations.append(Violation(path, _expected(field)))
        else:
            other(message, value, path, violations)

    return other if field.type == FieldDescriptor.TYPE_BYTES else read


_PLAIN: Final[Mapping[int, type]] = {
    FieldDescriptor.CPPTYPE_STRING: str,
    FieldDescriptor.CPPTYPE_BOOL: bool,
    FieldDescriptor.CPPTYPE_INT32: int,
    FieldDescriptor.CPPTYPE_INT64: int,
    FieldDescriptor.CPPTYPE_UINT32: int,
    FieldDescriptor.CPPTYPE_UINT64: int,
    FieldDescriptor.CPPTYPE_DOUBLE: float,
    FieldDescriptor.CPPTYPE_FLOAT: float,
}
"""Types of values that are set as they are."""


def _list_reader(field: FieldDescriptor) -> Reader:
    name, kind = field.name, field.message_type
    messages = kind is not None and kind.file.package != _WRAPPED
    strings = field.type == FieldDescriptor.TYPE_STRING
    other = _other(field)

    def read(message: Any, value: Any, path: str, violations: list[Violation]) -> None:
        if type(value) is not list:
            violations.append(Violation(path, "must be a list"))
            return
        items = getattr(message, name)
        for index, item in enumerate(value):
            where = f"{path}[{index}]"
            if len(violations) >= MAX_VIOLATIONS:
                return
            if messages and kind is not None:
                reader(kind)(items.add(), item, where, violations)
            elif strings and type(item) is str:
                try:
                    items.append(item)
                except ValueError:
                    violations.append(Violation(where, _expected(field)))
            else:
                other(message, [item], where, violations)

    return read


def _struct_reader(field: FieldDescriptor) -> Reader:
    name = field.name

    def read(message: Any, value: Any, path: str, violations: list[Violation]) -> None:
        if type(value) is not dict:
            violations.append(Violation(path, "must be an object"))
            return
        struct = getattr(message, name)
        struct.SetInParent()
        try:
            struct.update(value)
        except (*_PARSE_ERRORS, RecursionError):
            violations.append(Violation(path, _expected(field)))

    return read


def _timestamp_reader(field: FieldDescriptor) -> Reader:
    name = field.name

    def read(message: Any, value: Any, path: str, violations: list[Violation]) -> None:
        try:
            getattr(message, name).FromJsonString(value)
        except _PARSE_ERRORS:
            violations.append(Violation(path, _expected(field)))

    return read


def _other(field: FieldDescriptor) -> Reader:
    """Reads, by the library, what is rare: numbers as text, enums, bytes, and errors."""
    # The stubs know two names for one class.
    containing: Any = field.containing_type
    well_formed = _form(field)

    def read(message: Any, value: Any, path: str, violations: list[Violation]) -> None:
        alone = GetMessageClass(containing)()
        try:
            if not all(map(well_formed, value if field.is_repeated else (value,))):
                raise TypeError
            json_format.ParseDict({field.json_name: value}, alone)
        except _PARSE_ERRORS:
            violations.append(Violation(path, _expected(field)))
        else:
            message.MergeFrom(alone)

    return read


_INTEGER: Final = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_NUMBER: Final = re.compile(rf"{_INTEGER.pattern}|-?Infinity|NaN", re.ASCII)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")


def _form(field: FieldDescriptor) -> Callable[[Any], bool]:
    """Whether a value is ProtoJSON of the field's type, as far as json_format takes more: true
    as a number or enum, digits of other scripts or with underscores, any text as base64."""
    if field.message_type is not None:
        return lambda _: True
    if field.enum_type is not None:
        names = frozenset(field.enum_type.values_by_name)
        return lambda value: value in names if isinstance(value, str) else type(value) is int
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda value: isinstance(value, str) and _BASE64.fullmatch(value) is not None
    if field.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return lambda value: (
            _NUMBER.fullmatch(value) is not None
            if isinstance(value, str)
            else type(value) is not bool
        )
    if field.cpp_type in (FieldDescriptor.CPPTYPE_STRING, FieldDescriptor.CPPTYPE_BOOL):
        return lambda _: True
    return lambda value: not isinstance(value, str) or _INTEGER.fullmatch(value) is not None


_TYPES: Final[Mapping[int, str]] = {
    FieldDescriptor.CPPTYPE_BOOL: "must be true or false",
    FieldDescriptor.CPPTYPE_STRING: "must be a string of valid characters",
    FieldDescriptor.CPPTYPE_DOUBLE: "must be a number",
    FieldDescriptor.CPPTYPE_FLOAT: "must be a number",
}
_MESSAGES: Final[Mapping[str, str]] = {
    "google.protobuf.Timestamp": "must be an RFC 3339 time, such as 2026-01-31T12:00:00Z",
    "google.protobuf.Struct": "must be an object of valid values",
    "google.protobuf.Value": "must be a valid value",
}


def _expected(field: FieldDescriptor) -> str:
    """What a value must be."""
    if field.message_type is not None:
        return _MESSAGES.get(field.message_type.full_name, "is of another type")
    if field.enum_type is not None:
        names = ", ".join(value.name for value in field.enum_type.values[1:])
        return f"must be one of {names}"
    if field.type == FieldDescriptor.TYPE_BYTES:
        return "must be base64"
    return _TYPES.get(field.cpp_type, "must be a whole number within its range")


# --- writing ---------------------------------------------------------------------


@cache
def writer(descriptor: Descriptor) -> Writer:
    """What writes messages of a type. Fields without presence are there also when empty."""
    present: list[tuple[str, str, Writer | None]] = []
    always: list[tuple[str, str, Writer | None]] = []
    for field in descriptor.fields:
        entry = (field.json_name, field.name, _field_writer(field))
        (present if field.has_presence else always).append(entry)

    def write(message: Any) -> dict[str, Any]:
        made = {}
        for json_name, name, write_field in always:
            value = getattr(message, name)
            made[json_name] = value if write_field is None else write_field(value)
        for json_name, name, write_field in present:
            if message.HasField(name):
                value = getattr(message, name)
                made[json_name] = value if write_field is None else write_field(value)
        return made

    return write


def _field_writer(field: FieldDescriptor) -> Writer | None:
    """None: its value is JSON as it is."""
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        raise TypeError("the contract has no maps")
    single = _value_writer(field)
    if not field.is_repeated:
        return single
    if single is None:
        return list
    return lambda values: [single(value) for value in values]


def _value_writer(field: FieldDescriptor) -> Writer | None:
    kind = field.message_type
    if kind is not None:
        if kind.full_name == "google.protobuf.Struct":
            return _write_struct
        if kind.full_name == "google.protobuf.Timestamp":
            return _write_timestamp
        if kind.file.package == _WRAPPED:
            return json_format.MessageToDict
        return _late_writer(kind)
    if field.enum_type is not None:
        names = {value.number: value.name for value in field.enum_type.values}
        return lambda number: names.get(number, number)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return lambda value: base64.b64encode(value).decode()
    if field.cpp_type in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64):
        return str
    return None


def _late_writer(kind: Descriptor) -> Writer:
    # Made when it is needed: a message may have others of its own type.
    def write(message: Any) -> Any:
        return writer(kind)(message)

    return write


def _write_timestamp(value: Any) -> str:
    text = (_EPOCH + timedelta(seconds=value.seconds)).isoformat()
    nanos: int = value.nanos
    if not nanos:
        return text + "Z"
    if nanos % 1000:
        return f"{text}.{nanos:09}Z"
    return (
        f"{text}.{nanos // 1000:06}Z" if nanos % 1_000_000 else f"{text}.{nanos // 1_000_000:03}Z"
    )


def _write_struct(struct: Any) -> dict[str, Any]:
    return {key: _write_value(value) for key, value in struct.fields.items()}


def _write_value(value: Any) -> Any:
    which = value.WhichOneof("kind")
    if which == "string_value":
        return value.string_value
    if which == "number_value":
        number: float = value.number_value
        return int(number) if number.is_integer() else number
    if which == "bool_value":
        return value.bool_value
    if which == "list_value":
        return [_write_value(item) for item in value.list_value.values]
    if which == "struct_value":
        return _write_struct(value.struct_value)
    return None
