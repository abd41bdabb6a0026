"""The contract's validation annotations, applied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import protovalidate
from google.protobuf.message import Message

from buf.validate import validate_pb2
from service.core.errors import Violation, invalid
from service.rpc import contract
from service.runtime.call_stages import stage

_MAX_PARTS: Final = 5_000
"""More messages inside one another than any valid request needs."""

_validator: Final = protovalidate.Validator()


def _field_rules() -> Iterator[str]:
    """Rules of whole messages that are about the field their id ends with."""
    for file in contract.files():
        for message in file.message_types_by_name.values():
            for rule in message.GetOptions().Extensions[validate_pb2.message].cel:
                if rule.id.rpartition(".")[2] in message.fields_by_name:
                    yield rule.id


_FIELD_RULES: Final = frozenset(_field_rules())


def check(request: Message) -> list[Violation]:
    """Every annotation that `request` breaks; the caller adds to the list.

    Raises INVALID_REQUEST at once for a request so large that listing all that
    is wrong with it would keep other callers waiting.
    """
    with stage("validation"):
        return _violations(request)


def _violations(request: Message) -> list[Violation]:
    try:
        first = _validator.collect_violations(request, fail_fast=True)
    except protovalidate.EvaluationError:
        raise invalid([Violation("", "has too many elements")]) from None
    if not first:
        return []
    if first[0].proto.rule_id == "repeated.max_items" or _crowded(request):
        raise invalid([_translate(first[0], request)])
    return [_translate(violation, request) for violation in _validator.collect_violations(request)]


def raise_for_violations(violations: list[Violation]) -> None:
    """Raises INVALID_REQUEST if there are any."""
    if violations:
        raise invalid(violations)


def _crowded(request: Message) -> bool:
    parts = 0
    waiting = [request]
    while waiting:
        for field, value in waiting.pop().ListFields():
            if field.message_type is None or field.message_type.file.package == "google.protobuf":
                continue
            inner = value if field.is_repeated else (value,)
            parts += len(inner)
            if parts > _MAX_PARTS:
                return True
            waiting.extend(inner)
    return False


def _translate(violation: protovalidate.Violation, request: Message) -> Violation:
    proto = violation.proto
    path = ""
    for element in proto.field.elements if proto.field is not None else ():
        path += f".{element.field_name}" if path else element.field_name
        if element.subscript is not None:
            key = element.subscript.value
            path += f"[{key}]" if isinstance(key, int) else f'["{key}"]'
    field = ""
    if proto.rule_id == "message.oneof":
        field = _first_of_oneof(violation, request)
    elif proto.rule_id in _FIELD_RULES:
        field = proto.rule_id.rpartition(".")[2]
    if field:
        path = f"{path}.{field}" if path else field
    return Violation(path, proto.message or proto.rule_id)


def _first_of_oneof(violation: protovalidate.Violation, request: Message) -> str:
    """The first of the fields that exclude one another in the message it is about."""
    steps = violation.proto.field.elements if violation.proto.field is not None else ()
    inside: Any = request.DESCRIPTOR
    for element in steps:
        inside = inside.fields_by_name[element.field_name].message_type
    return str(inside.GetOptions().Extensions[validate_pb2.message].oneof[0].fields[0])
