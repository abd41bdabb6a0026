"""Whether what was written is what is read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from palimpsest.v1.documents_pb2 import DocumentReceipt
from palimpsest.v1.memories_pb2 import MemoryReceipt
from tests.client import Client

RENAMED: Final = {"new_content": "content", "reason": "forget_reason"}
"""Fields of requests that resources have under another name."""

_NESTED: Final = frozenset({"items", "memories"})
"""Lists of things to write, with one receipt each."""


async def differences(client: Client, request: Any, response: Any) -> list[str]:
    """Fields of a mutation's request that its receipts' resources show otherwise."""
    found: list[str] = []
    written = [part for name in _NESTED for part in getattr(request, name, ())] or [request]
    for part, receipt in zip(written, receipts(response), strict=False):
        if isinstance(receipt, DocumentReceipt):
            stored: Any = await client.get(receipt.id)
        else:
            stored = await client.memory(receipt.id, container_tag=receipt.container_tag)
        found.extend(_differences(part, stored))
    return found


def receipts(response: Message) -> Iterator[DocumentReceipt | MemoryReceipt]:
    """Every receipt in a response, in order."""
    for field, value in response.ListFields():
        if field.message_type is None:
            continue
        for inner in value if field.is_repeated else (value,):
            if isinstance(inner, (DocumentReceipt, MemoryReceipt)):
                yield inner
            else:
                yield from receipts(inner)


def _differences(part: Any, stored: Any) -> Iterator[str]:
    # A message that holds both a target's text and a new one writes the new one.
    skipped = {"content"} if "new_content" in part.DESCRIPTOR.fields_by_name else set()
    for field, value in part.ListFields():
        name = RENAMED.get(field.name, field.name)
        if field.name in skipped or name in ("id", "etag", "container_tag", "source_document_id"):
            continue
        if name in stored.DESCRIPTOR.fields_by_name and not _same(value, getattr(stored, name)):
            yield field.name


def _same(written: Any, read: Any) -> bool:
    match written:
        case Struct():
            return all(_same_value(v, k, read) for k, v in written.fields.items())
        case Timestamp():
            return bool(
                (written.seconds, written.nanos // 1000) == (read.seconds, read.nanos // 1000)
            )
        case Message():
            return not any(_differences(written, read))
        case str() | bool() | int():
            return bool(written == read)
        case _:
            if written and isinstance(written[0], Message):
                return len(written) == len(read) and all(map(_same, written, read))
            return sorted(written) == sorted(read)


def _same_value(value: Any, key: str, read: Struct) -> bool:
    if value.WhichOneof("kind") == "null_value":
        return key not in read.fields
    if value.WhichOneof("kind") == "number_value":
        found = read.fields[key].number_value
        return found == value.number_value and math.copysign(1, found) == math.copysign(
            1, value.number_value
        )
    return bool(read.fields[key] == value)
