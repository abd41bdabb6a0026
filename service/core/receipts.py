"""Receipts as JSON, stored under the request_id of their call.

A receipt holds ids, counts, times and flags: nothing that deletion would have
to reach. The tag of a container, which calls on memories name, is left out.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from service.core import model as m

_TYPES: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        m.DocumentReceipt,
        m.ItemFailure,
        m.BatchReceipt,
        m.AppendReceipt,
        m.DeleteReceipt,
        m.BulkDeleteReceipt,
        m.MemoryReceipt,
        m.MemoriesReceipt,
        m.ForgetManyReceipt,
        m.RestoreManyReceipt,
        m.MemoryDeleteReceipt,
        m.ContainerDeleteReceipt,
    )
}


def encode(receipt: object) -> str:
    """JSON that `decode` turns into an equal receipt."""
    return json.dumps(_plain(receipt), separators=(",", ":"))


def decode(text: str, container: str) -> Any:
    """The receipt of a call that named this container, if it named one."""
    return _revive(json.loads(text), container)


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    name = type(value).__name__
    if name not in _TYPES:
        return value
    if isinstance(value, m.MemoryReceipt):
        value = dataclasses.replace(value, container="")
    return {name: [_plain(getattr(value, f.name)) for f in dataclasses.fields(_TYPES[name])]}


def _revive(value: Any, container: str) -> Any:
    if isinstance(value, list):
        return tuple(_revive(item, container) for item in value)
    if not isinstance(value, dict):
        return value
    [(name, fields)] = value.items()
    receipt = _TYPES[name](*(_revive(item, container) for item in fields))
    if isinstance(receipt, m.MemoryReceipt):
        receipt = dataclasses.replace(receipt, container=container)
    if isinstance(receipt, m.DocumentReceipt):
        receipt = dataclasses.replace(receipt, status=m.Status(receipt.status))
    return receipt
