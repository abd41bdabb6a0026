"""The contract as protoc reads it, with its comments and its options."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message as AnyMessage
from google.protobuf.message_factory import GetMessageClass

PACKAGE = ".palimpsest.v1."

# Numbers of fields of FileDescriptorProto and its parts, of which paths to comments are made.
_MESSAGES, _ENUMS, _SERVICES = 4, 5, 6
_FIELDS, _ONEOFS, _VALUES, _METHODS = 2, 8, 2, 2


@dataclass(frozen=True)
class Field:
    """A field of a message.

    Args:
        proto: As protoc read it.
        comment: Its comment, as it stands in the source, without slashes.
        rules: Its `buf.validate.field` option.
    """

    proto: FieldDescriptorProto
    comment: str
    rules: Any

    @property
    def name(self) -> str:
        """As JSON has it: "customId"."""
        return self.proto.json_name

    @property
    def repeated(self) -> bool:
        return self.proto.label == FieldDescriptorProto.LABEL_REPEATED

    @property
    def present(self) -> bool:
        """Whether it is in every answer, be it empty."""
        message = self.proto.type == FieldDescriptorProto.TYPE_MESSAGE
        return self.repeated or not (message or self.proto.HasField("oneof_index"))


@dataclass(frozen=True)
class Oneof:
    """Fields of which at most one is given."""

    comment: str
    required: bool
    fields: Sequence[str]


@dataclass(frozen=True)
class Message:
    """A message, its fields in the order of the source."""

    name: str
    comment: str
    fields: Sequence[Field]
    oneofs: Sequence[Oneof]
    rules: Any


@dataclass(frozen=True)
class Enum:
    """An enum, and the comment of each value."""

    name: str
    comment: str
    values: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Method:
    """A method.

    Args:
        name: "UpsertDocument".
        service: "Documents".
        http: Its `google.api.http` option.
    """

    name: str
    service: str
    comment: str
    request: str
    response: str
    streams: bool
    http: Any


@dataclass(frozen=True)
class Service:
    """A service."""

    name: str
    comment: str
    methods: Sequence[Method]


class Contract:
    """The messages, enums and services of the package, by name.

    Attributes:
        modules: The Python module of each message and enum: "documents_pb2".
    """

    def __init__(self, image: FileDescriptorSet) -> None:
        """
        Args:
            image: The contract's files and all that they import, with source information.
        """
        self._pool = DescriptorPool()
        for file in image.file:
            self._pool.Add(file)
        self.messages: dict[str, Message] = {}
        self.enums: dict[str, Enum] = {}
        self.services: list[Service] = []
        self.modules: dict[str, str] = {}
        for file in image.file:
            if f".{file.package}." == PACKAGE:
                self._read(file)
                module = PurePosixPath(file.name).stem + "_pb2"
                self.modules |= dict.fromkeys([m.name for m in file.message_type], module)
                self.modules |= dict.fromkeys([e.name for e in file.enum_type], module)

    def _read(self, file: FileDescriptorProto) -> None:
        comments = {
            tuple(location.path): _without_margin(location.leading_comments)
            for location in file.source_code_info.location
        }

        def said(*path: int) -> str:
            return comments.get(path, "")

        for at, message in enumerate(file.message_type):
            if message.nested_type or message.enum_type:
                raise SystemExit(f"{file.name}: {message.name} has types inside, and none may")
            self.messages[message.name] = Message(
                message.name,
                said(_MESSAGES, at),
                [
                    Field(field, said(_MESSAGES, at, _FIELDS, i), self._rules("field", field))
                    for i, field in enumerate(message.field)
                ],
                list(self._oneofs(message, lambda i, at=at: said(_MESSAGES, at, _ONEOFS, i))),
                self._rules("message", message),
            )
        for at, enum in enumerate(file.enum_type):
            self.enums[enum.name] = Enum(
                enum.name,
                said(_ENUMS, at),
                [(v.name, said(_ENUMS, at, _VALUES, i)) for i, v in enumerate(enum.value)],
            )
        for at, service in enumerate(file.service):
            self.services.append(
                Service(
                    service.name,
                    said(_SERVICES, at),
                    [
                        self._method(service, method, said(_SERVICES, at, _METHODS, i))
                        for i, method in enumerate(service.method)
                    ],
                )
            )

    def _method(
        self, service: ServiceDescriptorProto, method: MethodDescriptorProto, comment: str
    ) -> Method:
        return Method(
            method.name,
            service.name,
            comment,
            method.input_type.removeprefix(PACKAGE),
            method.output_type.removeprefix(PACKAGE),
            method.server_streaming,
            self._option("google.api.http", method),
        )

    def _oneofs(self, message: DescriptorProto, said: Any) -> Iterator[Oneof]:
        for index, oneof in enumerate(message.oneof_decl):
            fields = [
                field
                for field in message.field
                if field.HasField("oneof_index")
                and field.oneof_index == index
                and not field.proto3_optional
            ]
            if fields:
                rules = self._rules("oneof", oneof)
                yield Oneof(said(index), rules.required, [field.json_name for field in fields])
        rules = self._rules("message", message)
        names = {field.name: field.json_name for field in message.field}
        for rule in rules.oneof:
            yield Oneof("", rule.required, [names[name] for name in rule.fields])

    def _rules(self, kind: str, of: AnyMessage) -> Any:
        return self._option(f"buf.validate.{kind}", of)

    def _option(self, name: str, of: Any) -> Any:
        """The value of an option, read by this contract's own types."""
        kind = of.options.DESCRIPTOR.full_name
        options: Any = GetMessageClass(self._pool.FindMessageTypeByName(kind)).FromString(
            of.options.SerializeToString()
        )
        return options.Extensions[self._pool.FindExtensionByName(name)]

    def complete(self, message: str, value: dict[str, Any]) -> dict[str, Any]:
        """The JSON of a message as the service answers it: with fields that are empty, too.

        Raises:
            google.protobuf.json_format.ParseError: It is not the JSON of such a message.
        """
        kind = GetMessageClass(self._pool.FindMessageTypeByName((PACKAGE + message)[1:]))
        answer = json_format.MessageToDict(
            json_format.ParseDict(value, kind()), always_print_fields_with_no_presence=True
        )
        completed: dict[str, Any] = _in_order_of(value, answer)
        return completed

    def type_of(self, field: Field) -> Message | Enum | None:
        """The message or enum of the contract that a field is of."""
        name = field.proto.type_name.removeprefix(PACKAGE)
        return self.messages.get(name) or self.enums.get(name)

    def multiword_fields(self) -> dict[str, str]:
        """The JSON names of all fields whose names have an underscore."""
        return {
            field.proto.name: field.name
            for message in self.messages.values()
            for field in message.fields
            if "_" in field.proto.name
        }


def read(run_protoc: Any, sources: Sequence[str], files: Sequence[str]) -> Contract:
    """
    Args:
        run_protoc: Is given protoc's arguments, and raises where protoc fails.
        sources: Arguments that tell protoc where files come from.
        files: Those of the contract.
    """
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "contract.binpb"
        run_protoc(
            [
                *sources,
                "--include_imports",
                "--include_source_info",
                f"--descriptor_set_out={image}",
                *files,
            ]
        )
        return Contract(FileDescriptorSet.FromString(image.read_bytes()))


def _in_order_of(model: Any, value: Any) -> Any:
    """A value with the keys of its objects in the order of another, and further ones after them.

    A map of protobuf has no order of its own.
    """
    if isinstance(value, dict) and isinstance(model, dict):
        keys = [
            *(key for key in model if key in value),
            *(key for key in value if key not in model),
        ]
        return {key: _in_order_of(model.get(key), value[key]) for key in keys}
    if isinstance(value, list) and isinstance(model, list):
        return [_in_order_of(*pair) for pair in zip(model, value, strict=True)]
    return value


def _without_margin(comment: str) -> str:
    return re.sub(r"^ ", "", comment, flags=re.MULTILINE).strip()
