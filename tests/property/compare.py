"""Holding two messages against each other, where names are known by sight alone."""

from __future__ import annotations

import re
from typing import Any

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.rpc import code_pb2

from palimpsest.v1.errors_pb2 import ItemError
from tests.property.tenant import CODES, LEARN

ENTITY = re.compile(r"(?:doc_|mem_)[0-9A-Za-z]{22}")
"""What an id made by the service looks like; the contract promises no more."""

UNORDERED = {"sample_ids", "skipped_ids", "detached_ids"}
"""Lists of which the contract names no order."""
RANKED = {"matches"}
"""Lists whose order is that of their scores, if they have any."""
CLOSE = 1e-5
"""Scores are of float32, and what is alike may differ by its rounding."""
COUNTED = {"next_page_token"}
"""Fields that whoever asked judges."""


class FindingError(AssertionError):
    """The service did something else than the contract says."""


class Names:
    """The model's ids and etags beside the service's, learnt as they appear.

    The model names things `doc_#3`, `mem_#4`, `batch#5` and etags `etag#mem_#4#2`,
    where only etags of one thing must differ from each other.
    """

    def __init__(self, etags: list[str]) -> None:
        """`etags`: where to note each that is met."""
        self._etags = etags
        self._theirs: dict[str, str] = {}
        self._ours: dict[tuple[str, str], str] = {}

    def theirs(self, ours: str) -> str:
        """What the service calls it; other texts stay as they are."""
        return self._theirs.get(ours, ours)

    def ours(self, theirs: str) -> str:
        """What the model calls the thing of that id; empty for one that it has not met."""
        return self._ours.get(("", theirs), "")

    def same(self, ours: str, theirs: str) -> bool:
        """Whether both name one thing; a first meeting makes them do so."""
        if "#" not in ours:
            return ours == theirs
        scope = ours.rpartition("#")[0] if ours.startswith("etag#") else ""
        if ours not in self._theirs:
            if not theirs or (scope, theirs) in self._ours:
                return False
            if ours.startswith(("doc_", "mem_")) and not ENTITY.fullmatch(theirs):
                return False
            self._theirs[ours] = theirs
            self._ours[scope, theirs] = ours
            if scope:
                self._etags.append(ours)
        return self._theirs[ours] == theirs


def spoken(message: Any, names: Names) -> Any:
    """A copy of a request in the service's own names."""
    copied = type(message)()
    copied.CopyFrom(message)
    _rename(copied, names)
    return copied


def _rename(message: Message, names: Names) -> None:
    for field, value in message.ListFields():
        if isinstance(value, str):
            setattr(message, field.name, names.theirs(value))
        elif isinstance(value, Message):
            if not isinstance(value, Struct):
                _rename(value, names)
        elif field.is_repeated and field.type == field.TYPE_STRING:
            value[:] = [names.theirs(text) for text in value]
        elif field.is_repeated and field.type == field.TYPE_MESSAGE:
            for item in value:
                _rename(item, names)


def check_same(ours: Message, theirs: Message, names: Names, path: str = "") -> None:
    """Raises FindingError at the first field in which the service's message differs."""
    if isinstance(ours, ItemError):
        _check_item_error(ours, theirs, path)
        return
    for field in ours.DESCRIPTOR.fields:
        name, here = field.name, f"{path}.{field.name}" if path else field.name
        one, other = getattr(ours, name), getattr(theirs, name)
        if name in COUNTED or (name == "revision" and one == LEARN):
            continue
        if field.is_repeated:
            _check_repeated(field, one, other, names, here)
        elif isinstance(one, Struct):
            _require(one == other, here, one, other)
        elif field.type == field.TYPE_MESSAGE:
            if _matters(field) or field.containing_oneof:
                _require(ours.HasField(name) == theirs.HasField(name), here, one, other)
            if ours.HasField(name) or theirs.HasField(name):
                check_same(one, other, names, here)
        elif isinstance(one, str):
            _require(names.same(one, other), here, names.theirs(one), other)
        elif name == "score":
            _require(abs(one - other) < CLOSE, here, one, other)
        else:
            _require(one == other, here, one, other)


def _check_item_error(ours: ItemError, theirs: Any, path: str) -> None:
    reasons = ours.reason.split("|")
    _require(theirs.reason in reasons, f"{path}.reason", reasons, theirs.reason)
    code = code_pb2.Code.Value(CODES[theirs.reason])
    _require(theirs.code == code, f"{path}.code", code, theirs.code)
    _require(bool(theirs.message), f"{path}.message", "a text", theirs.message)


def _matters(field: Any) -> bool:
    """Whether an absent message differs from an empty one."""
    return bool(field.message_type.full_name == "google.protobuf.Timestamp")


def _check_repeated(field: Any, ours: Any, theirs: Any, names: Names, path: str) -> None:
    if field.name in UNORDERED:
        known = sorted(names.theirs(text) for text in ours)
        _require(known == sorted(theirs), path, known, sorted(theirs))
        return
    _require(len(ours) == len(theirs), f"{path} (length)", list(ours), list(theirs))
    if field.name in RANKED and any(one.score for one in ours):
        scores = [one.score for one in theirs]
        _require(scores == sorted(scores, reverse=True), path, "best first", scores)
        places = {one.id: place for place, one in enumerate(theirs)}
        ours = sorted(ours, key=lambda one: places.get(names.theirs(one.id), len(places)))
    for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        here = f"{path}[{index}]"
        if isinstance(one, Message):
            check_same(one, other, names, here)
        elif isinstance(one, str):
            _require(names.same(one, other), here, names.theirs(one), other)
        else:
            _require(one == other, here, one, other)


def _require(holds: bool, path: str, expected: object, got: object) -> None:
    if not holds:
        raise FindingError(f"{path}: the contract says {expected!r}, the service {got!r}")
