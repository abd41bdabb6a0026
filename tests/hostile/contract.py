"""The contract as the tests walk it: every method, every field, its limits, and valid requests.

All but `SAID` is read from the descriptors, so that a new method or field is covered
without a word here.
"""

from __future__ import annotations

import itertools
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final
from uuid import UUID

import protovalidate
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

import palimpsest.v1
from buf.validate import validate_pb2
from palimpsest.v1.documents_pb2 import (
    CONTENT_KIND_CONVERSATION,
    CONTENT_KIND_DOCX,
    CONTENT_KIND_PDF,
)

STRUCT: Final = "google.protobuf.Struct"
TIMESTAMP: Final = "google.protobuf.Timestamp"
LEAVES: Final = frozenset({STRUCT, TIMESTAMP})
"""Messages that stand for a value."""

FREE_TEXT: Final = "2026-05-08"
FREE_FILE: Final = b"%PDF-1.7 \0\xff"
"""A text that is right wherever a text is, and where a date is too."""

FUTURE: Final = 1_900_000_000
PAST: Final = 1_000_000_000
"""Instants in seconds that lie ahead, and behind."""

validator: Final = protovalidate.Validator()

Path = tuple[FieldDescriptor, ...]


@cache
def methods() -> tuple[MethodDescriptor, ...]:
    """Every RPC of the package, whoever serves it."""
    found: list[MethodDescriptor] = []
    for module in pkgutil.iter_modules(palimpsest.v1.__path__):
        if module.name.endswith("_pb2"):
            file = import_module(f"palimpsest.v1.{module.name}").DESCRIPTOR
            for service in file.services_by_name.values():
                found.extend(service.methods)
    return tuple(sorted(found, key=lambda method: str(method.full_name)))


def path_of(method: MethodDescriptor) -> str:
    """As HTTP/2 has it: /palimpsest.v1.Documents/GetDocument."""
    return f"/{method.containing_service.full_name}/{method.name}"


def request_class(method: MethodDescriptor) -> type[Message]:
    return GetMessageClass(method.input_type)


def message_of(field: FieldDescriptor) -> Descriptor:
    """The type of a field of messages."""
    assert field.message_type is not None, field.full_name
    return field.message_type


def numbers_of(field: FieldDescriptor) -> list[int]:
    """The values of a field of an enum."""
    assert field.enum_type is not None, field.full_name
    return [value.number for value in field.enum_type.values]


def rules(field: FieldDescriptor) -> Any:
    """The validation annotations of a field; of its items where it is repeated."""
    given = field.GetOptions().Extensions[validate_pb2.field]
    return given.repeated.items if field.is_repeated else given


def list_rules(field: FieldDescriptor) -> Any:
    return field.GetOptions().Extensions[validate_pb2.field].repeated


def paths(descriptor: Descriptor, above: Path = ()) -> Iterator[Path]:
    """Every field of a message and of the messages in it, the recursive ones entered once."""
    for field in descriptor.fields:
        here = (*above, field)
        yield here
        inner = field.message_type
        if inner is None or inner.full_name in LEAVES:
            continue
        if any(inner is step.message_type for step in above):
            continue
        yield from paths(inner, here)


def spelled(path: Path) -> str:
    """The path as violations spell it, first elements of lists."""
    return ".".join(f"{field.name}[0]" if field.is_repeated else field.name for field in path)


@dataclass(frozen=True)
class Samples:
    """Ordinary values. `names` maps names of fields to texts that exist on the server."""

    names: Mapping[str, str]

    def value(self, field: FieldDescriptor) -> Any:
        """One value; for a repeated field, of one element."""
        kind = field.cpp_type
        if kind == FieldDescriptor.CPPTYPE_MESSAGE:
            return self._message(field)
        if field.type == FieldDescriptor.TYPE_BYTES:
            return FREE_FILE
        if kind == FieldDescriptor.CPPTYPE_STRING:
            return self._text(field)
        if kind == FieldDescriptor.CPPTYPE_ENUM:
            return next(number for number in numbers_of(field) if number)
        if kind == FieldDescriptor.CPPTYPE_BOOL:
            return True
        return 1

    def _text(self, field: FieldDescriptor) -> str:
        if field.name in self.names:
            return self.names[field.name]
        text = rules(field).string
        if text.uuid:
            return str(UUID(int=1))
        return FREE_TEXT

    def _message(self, field: FieldDescriptor) -> Message:
        kind = message_of(field)
        if kind.full_name == STRUCT:
            return GetMessageClass(kind)(fields={"k": {"string_value": "v"}})
        if kind.full_name == TIMESTAMP:
            seconds = PAST if field.name == "as_of" else FUTURE
            return GetMessageClass(kind)(seconds=seconds)
        return self.valid(kind)

    def valid(self, descriptor: Descriptor, given: Mapping[str, Any] | None = None) -> Message:
        """The smallest message that has what is given and breaks no annotation.

        What is given may itself break some: then only the rest keeps them.
        """
        given = dict(given or {})
        made = GetMessageClass(descriptor)
        taken = {descriptor.fields_by_name[name].containing_oneof for name in given} - {None}
        others = [
            field
            for field in descriptor.fields
            if field.name not in given and field.containing_oneof not in taken
        ]
        best: tuple[int, Message] | None = None
        for count in range(4):
            for chosen in itertools.combinations(others, count):
                if _same_oneof(chosen):
                    continue
                values = {field.name: self._one(field) for field in chosen}
                message: Message = assign(made(), {**given, **values})
                broken = sum(first not in given for first in _broken(message))
                if best is None or broken < best[0]:
                    best = (broken, message)
                if not broken:
                    return message
        assert best is not None
        return best[1]

    def _one(self, field: FieldDescriptor) -> Any:
        # A filter in a filter is a choice never needed to make a smallest message.
        if field.message_type is field.containing_type or field.name in ("all_of", "any_of"):
            return [] if field.is_repeated else GetMessageClass(message_of(field))()
        value = self.value(field)
        return [value] if field.is_repeated else value

    def request(self, descriptor: Descriptor, path: Path, value: Any) -> Message:
        """A message with `value` at `path` and the least that is needed around it.

        For a repeated last field `value` is the whole list.
        """
        field, *rest = path
        if rest:
            inner = self.request(message_of(field), tuple(rest), value)
            value = [inner] if field.is_repeated else inner
        return self.valid(descriptor, {field.name: value})


def _untargeted(request: Any) -> bool:
    return not request.HasField("id") and not request.HasField("content")


def _of_no_kind(request: Any) -> bool:
    kind, data = request.content_kind, request.content_bytes
    if data and not kind:
        return not (b"%PDF-" in data[:1024] or (data.startswith(b"PK\3\4") and b"word/" in data))
    talks = request.HasField("conversation")
    agrees = talks == (kind == CONTENT_KIND_CONVERSATION)
    if data or request.content:
        agrees = agrees and bool(data) == (kind in {CONTENT_KIND_PDF, CONTENT_KIND_DOCX})
    return bool(kind) and not agrees


def _reason_alone(memory: Any) -> bool:
    return bool(memory.forget_reason) and not memory.HasField("forget_after")


SAID: Final[Mapping[str, Callable[[Any], bool]]] = {
    "UpsertDocumentRequest": _of_no_kind,
    "UpdateDocumentRequest": _of_no_kind,
    "NewMemory": _reason_alone,
    "UpdateMemoryRequest": _untargeted,
    "ForgetMemoryRequest": _untargeted,
}
"""What breaks the rules between fields that comments state, and no annotation."""


def _broken(message: Message) -> Iterator[str]:
    """The message's own field that each violation lies in; "" for one of the whole message."""
    if SAID.get(message.DESCRIPTOR.name, lambda _: False)(message):
        yield ""
    for violation in validator.collect_violations(message):
        where = violation.proto.field
        yield where.elements[0].field_name if where is not None and where.elements else ""


def _same_oneof(fields: Sequence[FieldDescriptor]) -> bool:
    oneofs = [field.containing_oneof for field in fields if field.containing_oneof is not None]
    return len(oneofs) != len({oneof.full_name for oneof in oneofs})


def assign(message: Any, values: Mapping[str, Any]) -> Any:
    for name, value in values.items():
        if isinstance(value, list):
            getattr(message, name).extend(value)
        elif isinstance(value, Message):
            getattr(message, name).SetInParent()
            getattr(message, name).CopyFrom(value)
        else:
            setattr(message, name, value)
    return message


def placed(message: Any, path: Path, value: Any) -> Any:
    """A copy of a message with another value at `path`; None takes the field away."""
    copy = type(message)()
    copy.CopyFrom(message)
    inner = copy
    *above, last = path
    for field in above:
        inner = getattr(inner, field.name)
        if field.is_repeated:
            inner = inner[0] if len(inner) else inner.add()
    inner.ClearField(last.name)
    if value is not None:
        assign(inner, {last.name: value})
    return copy
