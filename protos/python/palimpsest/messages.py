"""Messages of the contract from plain values, and plain values from metadata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeAlias, TypeVar, cast

from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

Metadata: TypeAlias = Struct | Mapping[str, Any]
"""The caller's data: strings, numbers, booleans, lists of strings, and None to remove a key."""

Time: TypeAlias = Timestamp | datetime
"""A point in time; a datetime needs a time zone."""

Fields: TypeAlias = Mapping[str, Any]
"""A message by the names of its fields."""

Request = TypeVar("Request", bound=Message)

_TEXT: Final = {
    "palimpsest.v1.NewMemory": "content",
    "palimpsest.v1.ConversationMessage": "text",
}
"""Messages that can be given as a text alone, and the field that the text is."""


def build(kind: type[Request], fields: Fields) -> Request:
    """A message of these fields, without those that are None.

    Raises:
        TypeError: A value is not of its field's type.
        ValueError: A value is not one of its field's values, a field does not exist, or a datetime
            has no time zone.
    """
    by_name = kind.DESCRIPTOR.fields_by_name
    made = {}
    for name, value in fields.items():
        if value is not None:
            field = by_name.get(name)
            made[name] = value if field is None else _converted(field, value)
    return kind(**made)


def to_dict(metadata: Struct) -> dict[str, Any]:
    """Metadata of a document or memory as a dict; whole numbers are int."""
    plain = _plain(json_format.MessageToDict(metadata))
    return cast("dict[str, Any]", plain)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _converted(field: Any, value: Any) -> Any:
    if not field.is_repeated:
        return _single(field, value)
    if isinstance(value, str | bytes | int | Mapping | Message) or not isinstance(value, Iterable):
        value = [value]  # the text "user_7" is one container, and not six
    return [_single(field, each) for each in value]


def _single(field: Any, value: Any) -> Any:
    kind = field.message_type
    if kind is None or isinstance(value, Message):
        return value
    if kind is Timestamp.DESCRIPTOR and isinstance(value, datetime):
        return _timestamp(field.name, value)
    if isinstance(value, str) and kind.full_name in _TEXT:
        value = {_TEXT[kind.full_name]: value}
    if not isinstance(value, Mapping):
        raise TypeError(f"{field.name}: {type(value).__name__} is no {kind.name}")
    if kind is Struct.DESCRIPTOR:
        struct = Struct()
        struct.update(value)
        return struct
    return build(GetMessageClass(kind), value)


def _timestamp(name: str, value: datetime) -> Timestamp:
    if value.tzinfo is None:
        raise ValueError(f"{name}: a datetime needs a time zone")
    timestamp = Timestamp()
    timestamp.FromDatetime(value)
    return timestamp
