"""Lists by page number, with their totals."""

from __future__ import annotations

from typing import Final

from palimpsest.v1 import documents_pb2, memories_pb2
from service.core import model as m
from service.core.errors import Violation
from service.ports.store import NumberedPage, Store
from service.rpc.access import (
    ACCESS,
    DOCUMENT_BYTES,
    MEMORY_BYTES,
    METADATA_BYTES,
    authorize_containers,
)
from service.rpc.calls import CallInfo
from service.rpc.convert import documents as documents_convert
from service.rpc.convert import memories as memories_convert
from service.rpc.pages import MAX_SIZE
from service.rpc.to_thread import MANY_ITEMS, to_thread_if
from service.rpc.validation import check, raise_for_violations

REACH: Final = 100_000
"""Of a list that is longer, pages of this many items can be read by number."""

PAGE_BYTES: Final = 16 * 1024 * 1024
"""What a page has at most: were it cut short, what it lacks would be on no other."""

_LIST_DOCUMENTS: Final = ACCESS["palimpsest.v1.Documents.ListDocuments"]
_LIST_MEMORIES: Final = ACCESS["palimpsest.v1.Memories.ListMemories"]


class NumberedLists:
    """ListDocuments and ListMemories, page by number instead of page by token.

    A request says what is listed, and in which order; its page_size and page_token are not
    looked at. Each method answers the page `number` (from 1) of `size` items (1 to 1,000), and
    how many items all pages have together: no more than the key may see. A page after the last
    is empty. Unlike pages by token, those by number repeat items and leave some out where others
    write meanwhile.

    The methods raise what the RPCs raise, and INVALID_REQUEST with the fields `page` and `limit`:
    for a page that ends after the first 100,000 items, and for one of more than 16 MiB.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def documents(
        self, call: CallInfo, request: documents_pb2.ListDocumentsRequest, number: int, size: int
    ) -> tuple[documents_pb2.ListDocumentsResponse, int]:
        """The page, without next_page_token, and the total."""
        authorize_containers(call.principal, _LIST_DOCUMENTS, request)
        violations = check(request)
        query = documents_convert.query(request, violations)
        page = _page(number, size, violations)
        raise_for_violations(violations)
        found = await self._store.documents.numbered(call.principal, query, page)
        many = len(found.items) >= MANY_ITEMS
        return await to_thread_if(many, _documents_response, found), found.total

    async def memories(
        self, call: CallInfo, request: memories_pb2.ListMemoriesRequest, number: int, size: int
    ) -> tuple[memories_pb2.ListMemoriesResponse, int]:
        """The page, without next_page_token, and the total."""
        authorize_containers(call.principal, _LIST_MEMORIES, request)
        violations = check(request)
        query = memories_convert.query(request, violations)
        page = _page(number, size, violations)
        raise_for_violations(violations)
        if query.as_of is not None:
            await self._store.memories.close_past(call.principal, query.as_of)
        found = await self._store.memories.numbered(call.principal, query, page)
        many = len(found.items) >= MANY_ITEMS
        return await to_thread_if(many, _memories_response, found), found.total


def page_bytes(
    request: documents_pb2.ListDocumentsRequest | memories_pb2.ListMemoriesRequest, size: int
) -> int:
    """How large a page can be, roughly: what the caller reserves for it."""
    if isinstance(request, memories_pb2.ListMemoriesRequest):
        each = MEMORY_BYTES
    else:
        each = DOCUMENT_BYTES if request.include_content else 2 * METADATA_BYTES
    return min(PAGE_BYTES, each * min(max(size, 0), MAX_SIZE))


def _documents_response(
    found: NumberedPage[m.Document],
) -> documents_pb2.ListDocumentsResponse:
    response = documents_pb2.ListDocumentsResponse(revision=found.revision)
    for document in found.items:
        documents_convert.to_proto(document, response.documents.add())
    return response


def _memories_response(found: NumberedPage[m.Memory]) -> memories_pb2.ListMemoriesResponse:
    response = memories_pb2.ListMemoriesResponse(revision=found.revision)
    for memory in found.items:
        memories_convert.to_proto(memory, response.memories.add())
    return response


def _page(number: int, size: int, violations: list[Violation]) -> m.PageNumber:
    if not 1 <= size <= MAX_SIZE:
        violations.append(Violation("limit", f"must be 1 to {MAX_SIZE}"))
    elif not 1 <= number <= REACH // size:
        rule = f"must be 1 to {REACH // size} where limit is {size}; page_token reaches further"
        violations.append(Violation("page", rule))
    return m.PageNumber(number, size, PAGE_BYTES)
