"""The limits that the contract states, for the schemas of the tools."""

from __future__ import annotations

from google.protobuf.message import Message

from buf.validate import validate_pb2


def rules_of(message: type[Message], field: str) -> validate_pb2.FieldRules:
    """The annotations of a field."""
    options = message.DESCRIPTOR.fields_by_name[field].GetOptions()
    rules: validate_pb2.FieldRules = options.Extensions[validate_pb2.field]
    return rules
