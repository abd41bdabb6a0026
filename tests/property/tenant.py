"""What every part of the model shares: callers, refusals, time, revisions, names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from tests.property.filters import Value

CODES: Mapping[str, str] = {
    "KEY_READ_ONLY": "PERMISSION_DENIED",
    "CONTAINER_NOT_ALLOWED": "PERMISSION_DENIED",
    "INVALID_REQUEST": "INVALID_ARGUMENT",
    "INVALID_PAGE_TOKEN": "INVALID_ARGUMENT",
    "REQUEST_ID_REUSED": "INVALID_ARGUMENT",
    "DOCUMENT_NOT_FOUND": "NOT_FOUND",
    "MEMORY_NOT_FOUND": "NOT_FOUND",
    "CONTAINER_NOT_FOUND": "NOT_FOUND",
    "FORGET_BATCH_NOT_FOUND": "NOT_FOUND",
    "CUSTOM_ID_EXISTS": "ALREADY_EXISTS",
    "CUSTOM_ID_IN_OTHER_CONTAINER": "FAILED_PRECONDITION",
    "NOT_A_CONVERSATION": "FAILED_PRECONDITION",
    "MEMORY_NOT_LATEST": "FAILED_PRECONDITION",
    "MEMORY_FORGOTTEN": "FAILED_PRECONDITION",
    "MEMORY_NOT_FORGOTTEN": "FAILED_PRECONDITION",
    "CONTENT_MISMATCH": "FAILED_PRECONDITION",
    "AMBIGUOUS_CONTENT": "FAILED_PRECONDITION",
    "AMBIGUOUS_CUSTOM_ID": "FAILED_PRECONDITION",
    "TOO_MANY_MATCHES": "FAILED_PRECONDITION",
    "ETAG_MISMATCH": "ABORTED",
    "TIME_IN_FUTURE": "OUT_OF_RANGE",
}
"""The code that goes with each reason."""

LEARN = 0
"""Stands for a revision that the contract does not foretell."""


class RefusedError(Exception):
    """The call is to fail, with any one of the reasons: the contract ranks few.

    Args:
        reasons: Names of ErrorReason.
        details: What ErrorInfo's metadata is to say, in the model's names.
    """

    def __init__(self, reasons: Iterable[str], details: Mapping[str, Collection[str]]) -> None:
        self.reasons = tuple(dict.fromkeys(reasons))
        self.details = details
        super().__init__(", ".join(self.reasons))


def refuse(*reasons: str, **details: Collection[str]) -> None:
    """Raises RefusedError, if there is any reason to."""
    if reasons:
        raise RefusedError(reasons, details)


@dataclass(frozen=True)
class Caller:
    """A key. `containers` None: not limited."""

    key: str
    containers: frozenset[str] | None = None
    read_only: bool = False

    def sees(self, tags: Iterable[str]) -> bool:
        return self.containers is None or not self.containers.isdisjoint(tags)

    def owns(self, tags: Iterable[str]) -> bool:
        return self.containers is None or self.containers.issuperset(tags)


@dataclass(frozen=True)
class Row:
    """One thing of a list. Rows of equal keys may come in any order.

    `writes`: how often its state has changed, as far as the message does not tell.
    """

    key: tuple[Any, ...]
    name: str
    message: Message
    writes: int = 0


class Tenant:
    """Time, revisions and containers of one tenant."""

    def __init__(self) -> None:
        self.now = 0
        self.revision = 0
        self.unsettled = False
        """A purge took revisions, which the contract does not count."""
        self.containers: dict[str, int] = {}
        self.seen_etags: list[str] = []
        """Those that callers were told, oldest first."""
        self._made: Counter[str] = Counter()
        self._etags: dict[tuple[str, Hashable], str] = {}

    def name(self, prefix: str) -> str:
        """A new name; see `compare.Names`."""
        self._made[prefix] += 1
        return f"{prefix}#{self._made[prefix]}"

    def etag(self, entity: str, state: Hashable) -> str:
        """One for each state that a thing was ever in."""
        return self._etags.setdefault((entity, state), f"etag#{entity}#{len(self._etags)}")

    def change(self) -> int:
        """The revision of one more change."""
        self.revision += 1
        return self.revision

    def fill(self, tags: Iterable[str]) -> None:
        """A write to containers; the first one makes them."""
        for tag in tags:
            self.containers.setdefault(tag, self.now)


def stamp(instant: int | None) -> Timestamp | None:
    if instant is None:
        return None
    made = Timestamp()
    made.FromMicroseconds(instant)
    return made


def plain(metadata: Struct) -> dict[str, Value | None]:
    """The metadata of a request."""
    return MessageToDict(metadata)


def without_nulls(metadata: Mapping[str, Value | None]) -> dict[str, Value]:
    return {key: value for key, value in metadata.items() if value is not None}


def struct(metadata: Mapping[str, Value | None]) -> Struct:
    made = Struct()
    made.update(metadata)
    return made


def frozen(metadata: Mapping[str, Value]) -> Hashable:
    """Metadata as a value that tells 2.0 from "2" and from true."""
    return tuple(sorted((key, repr(value)) for key, value in metadata.items()))
