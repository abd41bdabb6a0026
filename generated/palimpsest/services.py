"""The services of the contract, synchronous and for asyncio: made by protos/generate.py.

A field that is None is not in the request. What each field means is written at its message.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence

from palimpsest.calls import AsyncCalls, Calls, Method
from palimpsest.messages import Fields, Metadata, Time
from palimpsest.resuming import ChangesResuming, DocumentResuming
from palimpsest.v1 import changes_pb2, common_pb2, containers_pb2, documents_pb2, filter_pb2, memories_pb2, search_pb2

_LIST_CHANGES = Method(
    "/palimpsest.v1.Changes/ListChanges",
    changes_pb2.ListChangesRequest,
    changes_pb2.ListChangesResponse,
)

_WATCH_CHANGES = Method(
    "/palimpsest.v1.Changes/WatchChanges",
    changes_pb2.WatchChangesRequest,
    changes_pb2.WatchChangesResponse,
)

_LIST_CONTAINERS = Method(
    "/palimpsest.v1.Containers/ListContainers",
    containers_pb2.ListContainersRequest,
    containers_pb2.ListContainersResponse,
)

_DELETE_CONTAINER = Method(
    "/palimpsest.v1.Containers/DeleteContainer",
    containers_pb2.DeleteContainerRequest,
    containers_pb2.DeleteContainerResponse,
)

_UPSERT_DOCUMENT = Method(
    "/palimpsest.v1.Documents/UpsertDocument",
    documents_pb2.UpsertDocumentRequest,
    documents_pb2.UpsertDocumentResponse,
)

_BATCH_UPSERT_DOCUMENTS = Method(
    "/palimpsest.v1.Documents/BatchUpsertDocuments",
    documents_pb2.BatchUpsertDocumentsRequest,
    documents_pb2.BatchUpsertDocumentsResponse,
)

_GET_DOCUMENT = Method(
    "/palimpsest.v1.Documents/GetDocument",
    documents_pb2.GetDocumentRequest,
    documents_pb2.GetDocumentResponse,
)

_LIST_DOCUMENTS = Method(
    "/palimpsest.v1.Documents/ListDocuments",
    documents_pb2.ListDocumentsRequest,
    documents_pb2.ListDocumentsResponse,
)

_UPDATE_DOCUMENT = Method(
    "/palimpsest.v1.Documents/UpdateDocument",
    documents_pb2.UpdateDocumentRequest,
    documents_pb2.UpdateDocumentResponse,
)

_DELETE_DOCUMENT = Method(
    "/palimpsest.v1.Documents/DeleteDocument",
    documents_pb2.DeleteDocumentRequest,
    documents_pb2.DeleteDocumentResponse,
)

_BULK_DELETE_DOCUMENTS = Method(
    "/palimpsest.v1.Documents/BulkDeleteDocuments",
    documents_pb2.BulkDeleteDocumentsRequest,
    documents_pb2.BulkDeleteDocumentsResponse,
)

_APPEND_MESSAGES = Method(
    "/palimpsest.v1.Documents/AppendMessages",
    documents_pb2.AppendMessagesRequest,
    documents_pb2.AppendMessagesResponse,
)

_SEARCH_DOCUMENTS = Method(
    "/palimpsest.v1.Documents/SearchDocuments",
    documents_pb2.SearchDocumentsRequest,
    documents_pb2.SearchDocumentsResponse,
)

_LIST_CHUNKS = Method(
    "/palimpsest.v1.Documents/ListChunks",
    documents_pb2.ListChunksRequest,
    documents_pb2.ListChunksResponse,
)

_WATCH_DOCUMENT = Method(
    "/palimpsest.v1.Documents/WatchDocument",
    documents_pb2.WatchDocumentRequest,
    documents_pb2.WatchDocumentResponse,
)

_CREATE_MEMORIES = Method(
    "/palimpsest.v1.Memories/CreateMemories",
    memories_pb2.CreateMemoriesRequest,
    memories_pb2.CreateMemoriesResponse,
)

_GET_MEMORY = Method(
    "/palimpsest.v1.Memories/GetMemory",
    memories_pb2.GetMemoryRequest,
    memories_pb2.GetMemoryResponse,
)

_LIST_MEMORIES = Method(
    "/palimpsest.v1.Memories/ListMemories",
    memories_pb2.ListMemoriesRequest,
    memories_pb2.ListMemoriesResponse,
)

_LIST_MEMORY_VERSIONS = Method(
    "/palimpsest.v1.Memories/ListMemoryVersions",
    memories_pb2.ListMemoryVersionsRequest,
    memories_pb2.ListMemoryVersionsResponse,
)

_UPDATE_MEMORY = Method(
    "/palimpsest.v1.Memories/UpdateMemory",
    memories_pb2.UpdateMemoryRequest,
    memories_pb2.UpdateMemoryResponse,
)

_FORGET_MEMORY = Method(
    "/palimpsest.v1.Memories/ForgetMemory",
    memories_pb2.ForgetMemoryRequest,
    memories_pb2.ForgetMemoryResponse,
)

_RESTORE_MEMORY = Method(
    "/palimpsest.v1.Memories/RestoreMemory",
    memories_pb2.RestoreMemoryRequest,
    memories_pb2.RestoreMemoryResponse,
)

_FORGET_MEMORIES = Method(
    "/palimpsest.v1.Memories/ForgetMemories",
    memories_pb2.ForgetMemoriesRequest,
    memories_pb2.ForgetMemoriesResponse,
)

_RESTORE_MEMORIES = Method(
    "/palimpsest.v1.Memories/RestoreMemories",
    memories_pb2.RestoreMemoriesRequest,
    memories_pb2.RestoreMemoriesResponse,
)

_SEARCH_MEMORIES = Method(
    "/palimpsest.v1.Memories/SearchMemories",
    memories_pb2.SearchMemoriesRequest,
    memories_pb2.SearchMemoriesResponse,
)

_GET_PROFILE = Method(
    "/palimpsest.v1.Memories/GetProfile",
    memories_pb2.GetProfileRequest,
    memories_pb2.GetProfileResponse,
)

_DELETE_MEMORY = Method(
    "/palimpsest.v1.Memories/DeleteMemory",
    memories_pb2.DeleteMemoryRequest,
    memories_pb2.DeleteMemoryResponse,
)

class Changes:
    """The change feed: what was done to documents, memories and containers, in
    commit order. It has no content; what has changed is read with the other
    calls. A key that is limited to containers sees the changes in those.

    Every call needs a key: `authorization: Bearer <key>` as metadata, or as a
    header of HTTP. It can fail with UNAUTHENTICATED, PERMISSION_DENIED,
    INVALID_ARGUMENT, RESOURCE_EXHAUSTED and UNAVAILABLE in addition to what it
    lists.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(
        self,
        *,
        after_revision: int | None = None,
        container_tags: str | Sequence[str] | None = None,
        kinds: changes_pb2.ChangeKind.ValueType | Sequence[changes_pb2.ChangeKind.ValueType] | None = None,
        page_size: int | None = None,
        timeout: float | None = None,
    ) -> changes_pb2.ListChangesResponse:
        """Lists the changes after a revision, oldest first. The next call continues
        with the `revision` of this answer as its `after_revision`, and so can
        WatchChanges.

        Errors: OUT_OF_RANGE (REVISION_GONE, REVISION_AHEAD).
        """
        return self._calls.unary(_LIST_CHANGES, {
            "after_revision": after_revision,
            "container_tags": container_tags,
            "kinds": kinds,
            "page_size": page_size,
        }, timeout)

    def iterate(
        self,
        *,
        after_revision: int | None = None,
        container_tags: str | Sequence[str] | None = None,
        kinds: changes_pb2.ChangeKind.ValueType | Sequence[changes_pb2.ChangeKind.ValueType] | None = None,
        page_size: int | None = None,
        timeout: float | None = None,
    ) -> Iterator[changes_pb2.Change]:
        """As `list`: what is on all pages. `timeout` is for each page."""
        return self._calls.pages(_LIST_CHANGES, {
            "after_revision": after_revision,
            "container_tags": container_tags,
            "kinds": kinds,
            "page_size": page_size,
        }, "changes", timeout)

    def watch(
        self,
        *,
        after_revision: int | None = None,
        container_tags: str | Sequence[str] | None = None,
        kinds: changes_pb2.ChangeKind.ValueType | Sequence[changes_pb2.ChangeKind.ValueType] | None = None,
    ) -> Iterator[changes_pb2.WatchChangesResponse]:
        """Sends the changes after a revision, oldest first, and then each soon after
        it was committed. The stream has no end of its own: when its connection is
        lost or the server stops (UNAVAILABLE), the next one continues with the
        `revision` of the last message as its `after_revision`.

        The first message comes at once. Later ones come when there are changes that
        were asked for, and every few seconds while there are only others. Changes
        that follow one another closely come together: a stream has at most ten
        messages a second, and fewer when more than ten follow one tenant, down to
        one in two seconds. Read them as they come: a message that is not read for
        two minutes ends the connection. Over HTTP the id of an event is its revision, and the header
        Last-Event-ID counts before `after_revision`.

        Errors: OUT_OF_RANGE (REVISION_GONE, REVISION_AHEAD). REVISION_GONE also ends
        a stream that was read so slowly that its next changes are no longer kept.
        """
        return self._calls.stream(_WATCH_CHANGES, {
            "after_revision": after_revision,
            "container_tags": container_tags,
            "kinds": kinds,
        }, ChangesResuming)

class AsyncChanges:
    """The change feed: what was done to documents, memories and containers, in
    commit order. It has no content; what has changed is read with the other
    calls. A key that is limited to containers sees the changes in those.

    Every call needs a key: `authorization: Bearer <key>` as metadata, or as a
    header of HTTP. It can fail with UNAUTHENTICATED, PERMISSION_DENIED,
    INVALID_ARGUMENT, RESOURCE_EXHAUSTED and UNAVAILABLE in addition to what it
    lists.
    """

    def __init__(self, calls: AsyncCalls) -> None:
        self._calls = calls

    def list(
        self,
        *,
        after_revision: int | None = None,
        container_tags: str | Sequence[str] | None = None,
        kinds: changes_pb2.ChangeKind.ValueType | Sequence[changes_pb2.ChangeKind.ValueType] | None = None,
        page_size: int | None = None,
        timeout: float | None = None,
    ) -> Awaitable[changes_pb2.ListChangesResponse]:
        """Lists the changes after a revision, oldest first. The next call continues
        with the `revision` of this answer as its `after_revision`, and so can
        WatchChanges.

        Errors: OUT_OF_RANGE (REVISION_GONE, REVISION_AHEAD).
        """
        return self._calls.unary(_LIST_CHANGES, {
            "after_revision": after_revision,
            "container_tags": container_tags,
            "kinds": kinds,
            "page_size": page_size,
        }, timeout)

    def iterate(
        self,
        *,
        after_revision: int | None = None,
        container_tags: str | Sequence[str] | None = None,
        kinds: changes_pb2.ChangeKind.ValueType | Sequence[changes_pb2.ChangeKind.ValueType] | None = None,
        page_size: int | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[changes_pb2.Change]:
        """As `list`: what is on all pages. `timeout` is for each page."""
        return self._calls.pages(_LIST_CHANGES, {
            "after_revision": after_revision,
            "container_tags": container_tags,
            "kinds": kinds,
            "page_size": page_size,
        }, "changes", timeout)

    def watch(
        self,
        *,
        after_revision: int | None = None,
        container_tags: str | Sequence[str] | None = None,
        kinds: changes_pb2.ChangeKind.ValueType | Sequence[changes_pb2.ChangeKind.ValueType] | None = None,
    ) -> AsyncIterator[changes_pb2.WatchChangesResponse]:
        """Sends the changes after a revision, oldest first, and then each soon after
        it was committed. The stream has no end of its own: when its connection is
        lost or the server stops (UNAVAILABLE), the next one continues with the
        `revision` of the last message as its `after_revision`.

        The first message comes at once. Later ones come when there are changes that
        were asked for, and every few seconds while there are only others. Changes
        that follow one another closely come together: a stream has at most ten
        messages a second, and fewer when more than ten follow one tenant, down to
        one in two seconds. Read them as they come: a message that is not read for
        two minutes ends the connection. Over HTTP the id of an event is its revision, and the header
        Last-Event-ID counts before `after_revision`.

        Errors: OUT_OF_RANGE (REVISION_GONE, REVISION_AHEAD). REVISION_GONE also ends
        a stream that was read so slowly that its next changes are no longer kept.
        """
        return self._calls.stream(_WATCH_CHANGES, {
            "after_revision": after_revision,
            "container_tags": container_tags,
            "kinds": kinds,
        }, ChangesResuming)

class Containers:
    """Containers are the caller's name spaces: a user, a project. The first write
    to one makes it; it stays, empty, until it is deleted.

    Every call needs a key: `authorization: Bearer <key>` as metadata, or as a
    header of HTTP. It can fail with UNAUTHENTICATED, PERMISSION_DENIED,
    INVALID_ARGUMENT, RESOURCE_EXHAUSTED and UNAVAILABLE in addition to what it
    lists. A mutation may say on whose behalf it is made: see `actor` in Change.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(
        self,
        *,
        prefix: str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        timeout: float | None = None,
    ) -> containers_pb2.ListContainersResponse:
        """Lists the containers the key may see, by tag, a page at a time.

        Errors: INVALID_ARGUMENT (INVALID_PAGE_TOKEN).
        """
        return self._calls.unary(_LIST_CONTAINERS, {
            "prefix": prefix,
            "page_size": page_size,
            "page_token": page_token,
        }, timeout)

    def iterate(
        self,
        *,
        prefix: str | None = None,
        page_size: int | None = None,
        timeout: float | None = None,
    ) -> Iterator[containers_pb2.Container]:
        """As `list`: what is on all pages. `timeout` is for each page."""
        return self._calls.pages(_LIST_CONTAINERS, {
            "prefix": prefix,
            "page_size": page_size,
        }, "containers", timeout)

    def delete(
        self,
        container_tag: str | None = None,
        *,
        validate_only: bool | None = None,
        allow_missing: bool | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> containers_pb2.DeleteContainerResponse:
        """Deletes a container for good, with its memories and documents whose last
        write is not newer than the start of the call. A document that is also in
        another container only leaves this one.

        Errors: NOT_FOUND (CONTAINER_NOT_FOUND) unless allow_missing, ABORTED
        (REQUEST_IN_PROGRESS).
        """
        return self._calls.unary(_DELETE_CONTAINER, {
            "container_tag": container_tag,
            "validate_only": validate_only,
            "allow_missing": allow_missing,
            "request_id": request_id,
        }, timeout, actor)

class AsyncContainers:
    """Containers are the caller's name spaces: a user, a project. The first write
    to one makes it; it stays, empty, until it is deleted.

    Every call needs a key: `authorization: Bearer <key>` as metadata, or as a
    header of HTTP. It can fail with UNAUTHENTICATED, PERMISSION_DENIED,
    INVALID_ARGUMENT, RESOURCE_EXHAUSTED and UNAVAILABLE in addition to what it
    lists. A mutation may say on whose behalf it is made: see `actor` in Change.
    """

    def __init__(self, calls: AsyncCalls) -> None:
        self._calls = calls

    def list(
        self,
        *,
        prefix: str | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        timeout: float | None = None,
    ) -> Awaitable[containers_pb2.ListContainersResponse]:
        """Lists the containers the key may see, by tag, a page at a time.

        Errors: INVALID_ARGUMENT (INVALID_PAGE_TOKEN).
        """
        return self._calls.unary(_LIST_CONTAINERS, {
            "prefix": prefix,
            "page_size": page_size,
            "page_token": page_token,
        }, timeout)

    def iterate(
        self,
        *,
        prefix: str | None = None,
        page_size: int | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[containers_pb2.Container]:
        """As `list`: what is on all pages. `timeout` is for each page."""
        return self._calls.pages(_LIST_CONTAINERS, {
            "prefix": prefix,
            "page_size": page_size,
        }, "containers", timeout)

    def delete(
        self,
        container_tag: str | None = None,
        *,
        validate_only: bool | None = None,
        allow_missing: bool | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> Awaitable[containers_pb2.DeleteContainerResponse]:
        """Deletes a container for good, with its memories and documents whose last
        write is not newer than the start of the call. A document that is also in
        another container only leaves this one.

        Errors: NOT_FOUND (CONTAINER_NOT_FOUND) unless allow_missing, ABORTED
        (REQUEST_IN_PROGRESS).
        """
        return self._calls.unary(_DELETE_CONTAINER, {
            "container_tag": container_tag,
            "validate_only": validate_only,
            "allow_missing": allow_missing,
            "request_id": request_id,
        }, timeout, actor)

class Documents:
    """Documents are what callers hand in: content, metadata, containers and an
    optional id of the caller's own.

    Every call needs a key: `authorization: Bearer <key>` as metadata, or as a
    header of HTTP. It can fail with UNAUTHENTICATED, PERMISSION_DENIED,
    INVALID_ARGUMENT, RESOURCE_EXHAUSTED and UNAVAILABLE in addition to what it
    lists. An OK to a mutation is sent after its commit has reached the disk. A
    mutation may say on whose behalf it is made: see `actor` in Change.

    Metadata is a JSON object: at most 100 keys of the form
    ^[A-Za-z0-9_.-]{1,64}$ and 16 KiB as compact JSON; a value is a string, a
    finite number of magnitude below 2^53, a boolean, or a list of strings.

    NUL (U+0000) is refused in every string of a request, metadata included, but
    for the content: that is kept byte for byte.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def upsert(
        self,
        content: str | None = None,
        *,
        custom_id: str | None = None,
        container_tags: str | Sequence[str] | None = None,
        metadata: Metadata | None = None,
        title: str | None = None,
        document_date: Time | None = None,
        clear_document_date: bool | None = None,
        mode: documents_pb2.UpsertMode.ValueType | None = None,
        etag: str | None = None,
        request_id: str | None = None,
        conversation: documents_pb2.Conversation | Fields | None = None,
        content_kind: documents_pb2.ContentKind.ValueType | None = None,
        wait: bool | None = None,
        content_bytes: bytes | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> documents_pb2.UpsertDocumentResponse:
        """Creates a document or, where its home already has its custom_id, replaces
        the content, title and date given and merges the metadata given. The home
        is the first of the document's containers: what is called "profile" in one
        container is another document than "profile" in the next.
        A request that changes nothing queues nothing, unless the document is
        FAILED: then it is queued again.

        Errors: ALREADY_EXISTS (CUSTOM_ID_EXISTS), NOT_FOUND (DOCUMENT_NOT_FOUND),
        FAILED_PRECONDITION (CUSTOM_ID_IN_OTHER_CONTAINER, AMBIGUOUS_CUSTOM_ID),
        ABORTED.
        """
        return self._calls.unary(_UPSERT_DOCUMENT, {
            "content": content,
            "custom_id": custom_id,
            "container_tags": container_tags,
            "metadata": metadata,
            "title": title,
            "document_date": document_date,
            "clear_document_date": clear_document_date,
            "mode": mode,
            "etag": etag,
            "request_id": request_id,
            "conversation": conversation,
            "content_kind": content_kind,
            "wait": wait,
            "content_bytes": content_bytes,
        }, timeout, actor)

    def batch_upsert(
        self,
        items: documents_pb2.UpsertDocumentRequest | Fields | Sequence[documents_pb2.UpsertDocumentRequest | Fields] | None = None,
        *,
        request_id: str | None = None,
        wait: bool | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> documents_pb2.BatchUpsertDocumentsResponse:
        """Upserts up to 600 documents, each with its own outcome in request order.
        Items are applied oldest document_date first, those without one last; the
        items that succeed commit together.

        Errors: ABORTED; those of UpsertDocument stand in the outcomes.
        """
        return self._calls.unary(_BATCH_UPSERT_DOCUMENTS, {
            "items": items,
            "request_id": request_id,
            "wait": wait,
        }, timeout, actor)

    def get(
        self,
        id: str | None = None,
        *,
        container_tag: str | None = None,
        timeout: float | None = None,
    ) -> documents_pb2.GetDocumentResponse:
        """Reads one document, content included. A key limited to containers sees
        only those among the document's.

        Errors: NOT_FOUND (DOCUMENT_NOT_FOUND), FAILED_PRECONDITION
        (AMBIGUOUS_CUSTOM_ID).
        """
        return self._calls.unary(_GET_DOCUMENT, {
            "id": id,
            "container_tag": container_tag,
        }, timeout)

    def list(
        self,
        *,
        container_tags: str | Sequence[str] | None = None,
        match_all_containers: bool | None = None,
        filter: filter_pb2.Filter | Fields | None = None,
        statuses: documents_pb2.DocumentStatus.ValueType | Sequence[documents_pb2.DocumentStatus.ValueType] | None = None,
        custom_id_prefix: str | None = None,
        order: common_pb2.ListOrder.ValueType | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        include_content: bool | None = None,
        timeout: float | None = None,
    ) -> documents_pb2.ListDocumentsResponse:
        """Lists documents, a page at a time.

        Errors: INVALID_ARGUMENT (INVALID_PAGE_TOKEN).
        """
        return self._calls.unary(_LIST_DOCUMENTS, {
            "container_tags": container_tags,
            "match_all_containers": match_all_containers,
            "filter": filter,
            "statuses": statuses,
            "custom_id_prefix": custom_id_prefix,
            "order": order,
            "page_size": page_size,
            "page_token": page_token,
            "include_content": include_content,
        }, timeout)

    def iterate(
        self,
        *,
        container_tags: str | Sequence[str] | None = None,
        match_all_containers: bool | None = None,
        filter: filter_pb2.Filter | Fields | None = None,
        statuses: documents_pb2.DocumentStatus.ValueType | Sequence[documents_pb2.DocumentStatus.ValueType] | None = None,
        custom_id_prefix: str | None = None,
        order: common_pb2.ListOrder.ValueType | None = None,
        page_size: int | None = None,
        include_content: bool | None = None,
        timeout: float | None = None,
    ) -> Iterator[documents_pb2.Document]:
        """As `list`: what is on all pages. `timeout` is for each page."""
        return self._calls.pages(_LIST_DOCUMENTS, {
            "container_tags": container_tags,
            "match_all_containers": match_all_containers,
            "filter": filter,
            "statuses": statuses,
            "custom_id_prefix": custom_id_prefix,
            "order": order,
            "page_size": page_size,
            "include_content": include_content,
        }, "documents", timeout)

    def update(
        self,
        id: str | None = None,
        *,
        content: str | None = None,
        metadata: Metadata | None = None,
        container_tags: str | Sequence[str] | None = None,
        title: str | None = None,
        document_date: Time | None = None,
        clear_document_date: bool | None = None,
        etag: str | None = None,
        request_id: str | None = None,
        conversation: documents_pb2.Conversation | Fields | None = None,
        content_kind: documents_pb2.ContentKind.ValueType | None = None,
        wait: bool | None = None,
        content_bytes: bytes | None = None,
        container_tag: str | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> documents_pb2.UpdateDocumentResponse:
        """Changes what is given and leaves the rest. Metadata merges by key (RFC
        7396): null removes a key. Any real change queues the document for
        processing; what was searchable stays so until the new index replaces it.
        Another first container is a new home: the custom id moves there.

        Errors: NOT_FOUND (DOCUMENT_NOT_FOUND), ALREADY_EXISTS (CUSTOM_ID_EXISTS)
        where the new home has the custom id, FAILED_PRECONDITION
        (AMBIGUOUS_CUSTOM_ID), ABORTED.
        """
        return self._calls.unary(_UPDATE_DOCUMENT, {
            "id": id,
            "content": content,
            "metadata": metadata,
            "container_tags": container_tags,
            "title": title,
            "document_date": document_date,
            "clear_document_date": clear_document_date,
            "etag": etag,
            "request_id": request_id,
            "conversation": conversation,
            "content_kind": content_kind,
            "wait": wait,
            "content_bytes": content_bytes,
            "container_tag": container_tag,
        }, timeout, actor)

    def delete(
        self,
        id: str | None = None,
        *,
        allow_missing: bool | None = None,
        etag: str | None = None,
        request_id: str | None = None,
        container_tag: str | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> documents_pb2.DeleteDocumentResponse:
        """Deletes a document for good, in whatever status. Its custom_id is free
        again; the next upsert of it makes a document with a new id.

        Errors: NOT_FOUND (DOCUMENT_NOT_FOUND) unless allow_missing,
        FAILED_PRECONDITION (AMBIGUOUS_CUSTOM_ID), ABORTED.
        """
        return self._calls.unary(_DELETE_DOCUMENT, {
            "id": id,
            "allow_missing": allow_missing,
            "etag": etag,
            "request_id": request_id,
            "container_tag": container_tag,
        }, timeout, actor)

    def bulk_delete(
        self,
        *,
        ids: str | Sequence[str] | None = None,
        container_tags: str | Sequence[str] | None = None,
        validate_only: bool | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> documents_pb2.BulkDeleteDocumentsResponse:
        """Deletes many documents for good: those named, or those of containers whose
        last write is not newer than the start of the call. A document that is also
        in a container not named only leaves the named ones: if its home is among
        them, the next of its containers becomes its home, and where another
        document has its custom id there, it loses it.

        Errors: ABORTED (REQUEST_IN_PROGRESS). Documents that cannot be deleted
        stand in `errors`.
        """
        return self._calls.unary(_BULK_DELETE_DOCUMENTS, {
            "ids": ids,
            "container_tags": container_tags,
            "validate_only": validate_only,
            "request_id": request_id,
        }, timeout, actor)

    def append_messages(
        self,
        id: str | None = None,
        messages: documents_pb2.ConversationMessage | Fields | str | Sequence[documents_pb2.ConversationMessage | Fields | str] | None = None,
        *,
        create_if_missing: bool | None = None,
        container_tags: str | Sequence[str] | None = None,
        metadata: Metadata | None = None,
        title: str | None = None,
        etag: str | None = None,
        request_id: str | None = None,
        wait: bool | None = None,
        container_tag: str | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> documents_pb2.AppendMessagesResponse:
        """Appends messages to a conversation, and sets its title and metadata in the
        same step if given. Concurrent calls lose nothing and keep each caller's
        order; only the new messages are processed.

        Errors: NOT_FOUND (DOCUMENT_NOT_FOUND) unless create_if_missing,
        FAILED_PRECONDITION (NOT_A_CONVERSATION, CONTENT_TOO_LARGE,
        CUSTOM_ID_IN_OTHER_CONTAINER, AMBIGUOUS_CUSTOM_ID), ABORTED.
        """
        return self._calls.unary(_APPEND_MESSAGES, {
            "id": id,
            "messages": messages,
            "create_if_missing": create_if_missing,
            "container_tags": container_tags,
            "metadata": metadata,
            "title": title,
            "etag": etag,
            "request_id": request_id,
            "wait": wait,
            "container_tag": container_tag,
        }, timeout, actor)

    def search(
        self,
        query: str | None = None,
        *,
        container_tags: str | Sequence[str] | None = None,
        filter: filter_pb2.Filter | Fields | None = None,
        min_score: float | None = None,
        limit: int | None = None,
        neighbors: int | None = None,
        include_content: bool | None = None,
        include_score_parts: bool | None = None,
        must_contain: str | Sequence[str] | None = None,
        must_not_contain: str | Sequence[str] | None = None,
        timeout: float | None = None,
    ) -> documents_pb2.SearchDocumentsResponse:
        """Finds chunks of documents by words and meaning, grouped by document. Finds
        what was DONE: a document that is being processed again is found as it was
        last DONE.

        Errors: none of its own.
        """
        return self._calls.unary(_SEARCH_DOCUMENTS, {
            "query": query,
            "container_tags": container_tags,
            "filter": filter,
            "min_score": min_score,
            "limit": limit,
            "neighbors": neighbors,
            "include_content": include_content,
            "include_score_parts": include_score_parts,
            "must_contain": must_contain,
            "must_not_contain": must_not_contain,
        }, timeout)

    def list_chunks(
        self,
        id: str | None = None,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        container_tag: str | None = None,
        timeout: float | None = None,
    ) -> documents_pb2.ListChunksResponse:
        """Lists the chunks of a document's index in order, a page at a time. They are
        what searches find: a document that was not DONE yet has none, and one that
        is being processed again has those of when it was last DONE. Where a new
        index replaces them between two pages, the next page is of the new one.

        Errors: NOT_FOUND (DOCUMENT_NOT_FOUND), FAILED_PRECONDITION
        (AMBIGUOUS_CUSTOM_ID), INVALID_ARGUMENT (INVALID_PAGE_TOKEN).
        """
        return self._calls.unary(_LIST_CHUNKS, {
            "id": id,
            "page_size": page_size,
            "page_token": page_token,
            "container_tag": container_tag,
        }, timeout)

    def iterate_chunks(
        self,
        id: str | None = None,
        *,
        page_size: int | None = None,
        container_tag: str | None = None,
        timeout: float | None = None,
    ) -> Iterator[search_pb2.Chunk]:
        """As `list_chunks`: what is on all pages. `timeout` is for each page."""
        return self._calls.pages(_LIST_CHUNKS, {
            "id": id,
            "page_size": page_size,
            "container_tag": container_tag,
        }, "chunks", timeout)

    def watch(
        self,
        id: str | None = None,
        *,
        container_tag: str | None = None,
    ) -> Iterator[documents_pb2.WatchDocumentResponse]:
        """Streams the state of a document: the current one first, then every status
        until DONE, FAILED or deleted, which ends the stream.

        Errors: NOT_FOUND (DOCUMENT_NOT_FOUND), FAILED_PRECONDITION
        (AMBIGUOUS_CUSTOM_ID).
        """
        return self._calls.stream(_WATCH_DOCUMENT, {
            "id": id,
            "container_tag": container_tag,
        }, DocumentResuming)

class AsyncDocuments:
    """Documents are what callers hand in: content, metadata, containers and an
    optional id of the caller's own.

    Every call needs a key: `authorization: Bearer <key>` as metadata, or as a
    header of HTTP. It can fail with UNAUTHENTICATED, PERMISSION_DENIED,
    INVALID_ARGUMENT, RESOURCE_EXHAUSTED and UNAVAILABLE in addition to what it
    lists. An OK to a mutation is sent after its commit has reached the disk. A
    mutation may say on whose behalf it is made: see `actor` in Change.

    Metadata is a JSON object: at most 100 keys of the form
    ^[A-Za-z0-9_.-]{1,64}$ and 16 KiB as compact JSON; a value is a string, a
    finite number of magnitude below 2^53, a boolean, or a list of strings.

    NUL (U+0000) is refused in every string of a request, metadata included, but
    for the content: that is kept byte for byte.
    """

    def __init__(self, calls: AsyncCalls) -> None:
        self._calls = calls

    def upsert(
        self,
        content: str | None = None,
        *,
        custom_id: str | None = None,
        container_tags: str | Sequence[str] | None = None,
        metadata: Metadata | None = None,
        title: str | None = None,
        document_date: Time | None = None,
        clear_document_date: bool | None = None,
        mode: documents_pb2.UpsertMode.ValueType | None = None,
        etag: str | None = None,
        request_id: str | None = None,
        conversation: documents_pb2.Conversation | Fields | None = None,
        content_kind: documents_pb2.ContentKind.ValueType | None = None,
        wait: bool | None = None,
        content_bytes: bytes | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> Awaitable[documents_pb2.UpsertDocumentResponse]:
        """Creates a document or, where its home already has its custom_id, replaces
        the content, title and date given and merges the metadata given. The home
        is the first of the document's containers: what is called "profile" in one
        container is another document than "profile" in the next.
        A request that changes nothing queues nothing, unless the document is
        FAILED: then it is queued again.

        Errors: ALREADY_EXISTS (CUSTOM_ID_EXISTS), NOT_FOUND (DOCUMENT_NOT_FOUND),
        FAILED_PRECONDITION (CUSTOM_ID_IN_OTHER_CONTAINER, AMBIGUOUS_CUSTOM_ID),
        ABORTED.
        """
        return self._calls.unary(_UPSERT_DOCUMENT, {
            "content": content,
            "custom_id": custom_id,
            "container_tags": container_tags,
            "metadata": metadata,
            "title": title,
            "document_date": document_date,
            "clear_document_date": clear_document_date,
            "mode": mode,
            "etag": etag,
            "request_id": request_id,
            "conversation": conversation,
            "content_kind": content_kind,
            "wait": wait,
            "content_bytes": content_bytes,
        }, timeout, actor)

    def batch_upsert(
        self,
        items: documents_pb2.UpsertDocumentRequest | Fields | Sequence[documents_pb2.UpsertDocumentRequest | Fields] | None = None,
        *,
        request_id: str | None = None,
        wait: bool | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> Awaitable[documents_pb2.BatchUpsertDocumentsResponse]:
        """Upserts up to 600 documents, each with its own outcome in request order.
        Items are applied oldest document_date first, those without one last; the
        items that succeed commit together.

        Errors: ABORTED; those of UpsertDocument stand in the outcomes.
        """
        return self._calls.unary(_BATCH_UPSERT_DOCUMENTS, {
            "items": items,
            "request_id": request_id,
            "wait": wait,
        }, timeout, actor)

    def get(
        self,
        id: str | None = None,
        *,
        container_tag: str | None = None,
        timeout: float | None = None,
    ) -> Awaitable[documents_pb2.GetDocumentResponse]:
        """Reads one document, content included. A key limited to containers sees
        only those among the document's.

        Errors: NOT_FOUND (DOCUMENT_NOT_FOUND), FAILED_PRECONDITION
        (AMBIGUOUS_CUSTOM_ID).
        """
        return self._calls.unary(_GET_DOCUMENT, {
            "id": id,
            "container_tag": container_tag,
        }, timeout)

    def list(
        self,
        *,
        container_tags: str | Sequence[str] | None = None,
        match_all_containers: bool | None = None,
        filter: filter_pb2.Filter | Fields | None = None,
        statuses: documents_pb2.DocumentStatus.ValueType | Sequence[documents_pb2.DocumentStatus.ValueType] | None = None,
        custom_id_prefix: str | None = None,
        order: common_pb2.ListOrder.ValueType | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        include_content: bool | None = None,
        timeout: float | None = None,
    ) -> Awaitable[documents_pb2.ListDocumentsResponse]:
        """Lists documents, a page at a time.

        Errors: INVALID_ARGUMENT (INVALID_PAGE_TOKEN).
        """
        return self._calls.unary(_LIST_DOCUMENTS, {
            "container_tags": container_tags,
            "match_all_containers": match_all_containers,
            "filter": filter,
            "statuses": statuses,
            "custom_id_prefix": custom_id_prefix,
            "order": order,
            "page_size": page_size,
            "page_token": page_token,
            "include_content": include_content,
        }, timeout)

    def iterate(
        self,
        *,
        container_tags: str | Sequence[str] | None = None,
        match_all_containers: bool | None = None,
        filter: filter_pb2.Filter | Fields | None = None,
        statuses: documents_pb2.DocumentStatus.ValueType | Sequence[documents_pb2.DocumentStatus.ValueType] | None = None,
        custom_id_prefix: str | None = None,
        order: common_pb2.ListOrder.ValueType | None = None,
        page_size: int | None = None,
        include_content: bool | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[documents_pb2.Document]:
        """As `list`: what is on all pages. `timeout` is for each page."""
        return self._calls.pages(_LIST_DOCUMENTS, {
            "container_tags": container_tags,
            "match_all_containers": match_all_containers,
            "filter": filter,
            "statuses": statuses,
            "custom_id_prefix": custom_id_prefix,
            "order": order,
            "page_size": page_size,
            "include_content": include_content,
        }, "documents", timeout)

    def update(
        self,
        id: str | None = None,
        *,
        content: str | None = None,
        metadata: Metadata | None = None,
        container_tags: str | Sequence[str] | None = None,
        title: str | None = None,
        document_date: Time | None = None,
        clear_document_date: bool | None = None,
        etag: str | None = None,
        request_id: str | None = None,
        conversation: documents_pb2.Conversation | Fields | None = None,
        content_kind: documents_pb2.ContentKind.ValueType | None = None,
        wait: bool | None = None,
        content_bytes: bytes | None = None,
        container_tag: str | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> Awaitable[documents_pb2.UpdateDocumentResponse]:
        """Changes what is given and leaves the rest. Metadata merges by key (RFC
        7396): null removes a key. Any real change queues the document for
        processing; what was searchable stays so until the new index replaces it.
        Another first container is a new home: the custom id moves there.

        Errors: NOT_FOUND (DOCUMENT_NOT_FOUND), ALREADY_EXISTS (CUSTOM_ID_EXISTS)
        where the new home has the custom id, FAILED_PRECONDITION
        (AMBIGUOUS_CUSTOM_ID), ABORTED.
        """
        return self._calls.unary(_UPDATE_DOCUMENT, {
            "id": id,
            "content": content,
            "metadata": metadata,
            "container_tags": container_tags,
            "title": title,
            "document_date": document_date,
            "clear_document_date": clear_document_date,
            "etag": etag,
            "request_id": request_id,
            "conversation": conversation,
            "content_kind": content_kind,
            "wait": wait,
            "content_bytes": content_bytes,
            "container_tag": container_tag,
        }, timeout, actor)

    def delete(
        self,
        id: str | None = None,
        *,
        allow_missing: bool | None = None,
        etag: str | None = None,
        request_id: str | None = None,
        container_tag: str | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> Awaitable[documents_pb2.DeleteDocumentResponse]:
        """Deletes a document for good, in whatever status. Its custom_id is free
        again; the next upsert of it makes a document with a new id.

        Errors: NOT_FOUND (DOCUMENT_NOT_FOUND) unless allow_missing,
        FAILED_PRECONDITION (AMBIGUOUS_CUSTOM_ID), ABORTED.
        """
        return self._calls.unary(_DELETE_DOCUMENT, {
            "id": id,
            "allow_missing": allow_missing,
            "etag": etag,
            "request_id": request_id,
            "container_tag": container_tag,
        }, timeout, actor)

    def bulk_delete(
        self,
        *,
        ids: str | Sequence[str] | None = None,
        container_tags: str | Sequence[str] | None = None,
        validate_only: bool | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> Awaitable[documents_pb2.BulkDeleteDocumentsResponse]:
        """Deletes many documents for good: those named, or those of containers whose
        last write is not newer than the start of the call. A document that is also
        in a container not named only leaves the named ones: if its home is among
        them, the next of its containers becomes its home, and where another
        document has its custom id there, it loses it.

        Errors: ABORTED (REQUEST_IN_PROGRESS). Documents that cannot be deleted
        stand in `errors`.
        """
        return self._calls.unary(_BULK_DELETE_DOCUMENTS, {
            "ids": ids,
            "container_tags": container_tags,
            "validate_only": validate_only,
            "request_id": request_id,
        }, timeout, actor)

    def append_messages(
        self,
        id: str | None = None,
        messages: documents_pb2.ConversationMessage | Fields | str | Sequence[documents_pb2.ConversationMessage | Fields | str] | None = None,
        *,
        create_if_missing: bool | None = None,
        container_tags: str | Sequence[str] | None = None,
        metadata: Metadata | None = None,
        title: str | None = None,
        etag: str | None = None,
        request_id: str | None = None,
        wait: bool | None = None,
        container_tag: str | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> Awaitable[documents_pb2.AppendMessagesResponse]:
        """Appends messages to a conversation, and sets its title and metadata in the
        same step if given. Concurrent calls lose nothing and keep each caller's
        order; only the new messages are processed.

        Errors: NOT_FOUND (DOCUMENT_NOT_FOUND) unless create_if_missing,
        FAILED_PRECONDITION (NOT_A_CONVERSATION, CONTENT_TOO_LARGE,
        CUSTOM_ID_IN_OTHER_CONTAINER, AMBIGUOUS_CUSTOM_ID), ABORTED.
        """
        return self._calls.unary(_APPEND_MESSAGES, {
            "id": id,
            "messages": messages,
            "create_if_missing": create_if_missing,
            "container_tags": container_tags,
            "metadata": metadata,
            "title": title,
            "etag": etag,
            "request_id": request_id,
            "wait": wait,
            "container_tag": container_tag,
        }, timeout, actor)

    def search(
        self,
        query: str | None = None,
        *,
        container_tags: str | Sequence[str] | None = None,
        filter: filter_pb2.Filter | Fields | None = None,
        min_score: float | None = None,
        limit: int | None = None,
        neighbors: int | None = None,
        include_content: bool | None = None,
        include_score_parts: bool | None = None,
        must_contain: str | Sequence[str] | None = None,
        must_not_contain: str | Sequence[str] | None = None,
        timeout: float | None = None,
    ) -> Awaitable[documents_pb2.SearchDocumentsResponse]:
        """Finds chunks of documents by words and meaning, grouped by document. Finds
        what was DONE: a document that is being processed again is found as it was
        last DONE.

        Errors: none of its own.
        """
        return self._calls.unary(_SEARCH_DOCUMENTS, {
            "query": query,
            "container_tags": container_tags,
            "filter": filter,
            "min_score": min_score,
            "limit": limit,
            "neighbors": neighbors,
            "include_content": include_content,
            "include_score_parts": include_score_parts,
            "must_contain": must_contain,
            "must_not_contain": must_not_contain,
        }, timeout)

    def list_chunks(
        self,
        id: str | None = None,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        container_tag: str | None = None,
        timeout: float | None = None,
    ) -> Awaitable[documents_pb2.ListChunksResponse]:
        """Lists the chunks of a document's index in order, a page at a time. They are
        what searches find: a document that was not DONE yet has none, and one that
        is being processed again has those of when it was last DONE. Where a new
        index replaces them between two pages, the next page is of the new one.

        Errors: NOT_FOUND (DOCUMENT_NOT_FOUND), FAILED_PRECONDITION
        (AMBIGUOUS_CUSTOM_ID), INVALID_ARGUMENT (INVALID_PAGE_TOKEN).
        """
        return self._calls.unary(_LIST_CHUNKS, {
            "id": id,
            "page_size": page_size,
            "page_token": page_token,
            "container_tag": container_tag,
        }, timeout)

    def iterate_chunks(
        self,
        id: str | None = None,
        *,
        page_size: int | None = None,
        container_tag: str | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[search_pb2.Chunk]:
        """As `list_chunks`: what is on all pages. `timeout` is for each page."""
        return self._calls.pages(_LIST_CHUNKS, {
            "id": id,
            "page_size": page_size,
            "container_tag": container_tag,
        }, "chunks", timeout)

    def watch(
        self,
        id: str | None = None,
        *,
        container_tag: str | None = None,
    ) -> AsyncIterator[documents_pb2.WatchDocumentResponse]:
        """Streams the state of a document: the current one first, then every status
        until DONE, FAILED or deleted, which ends the stream.

        Errors: NOT_FOUND (DOCUMENT_NOT_FOUND), FAILED_PRECONDITION
        (AMBIGUOUS_CUSTOM_ID).
        """
        return self._calls.stream(_WATCH_DOCUMENT, {
            "id": id,
            "container_tag": container_tag,
        }, DocumentResuming)

class Memories:
    """Memories are short statements, each in exactly one container. Every change
    makes a new version with an id of its own; forgetting hides a memory and can
    be undone; deleting is final.

    Every call needs a key: `authorization: Bearer <key>` as metadata, or as a
    header of HTTP. It can fail with UNAUTHENTICATED, PERMISSION_DENIED,
    INVALID_ARGUMENT, RESOURCE_EXHAUSTED and UNAVAILABLE in addition to what it
    lists. An OK to a mutation is sent after its commit has reached the disk. A
    mutation may say on whose behalf it is made: see `actor` in Change.
    Metadata and NUL follow the rules stated at Documents. A memory of another
    container is NOT_FOUND.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def create(
        self,
        container_tag: str | None = None,
        memories: memories_pb2.NewMemory | Fields | str | Sequence[memories_pb2.NewMemory | Fields | str] | None = None,
        *,
        request_id: str | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> memories_pb2.CreateMemoriesResponse:
        """Creates 1 to 100 memories, all or none. The same text twice is two
        memories; request_id guards retries.

        Errors: NOT_FOUND (DOCUMENT_NOT_FOUND) and FAILED_PRECONDITION
        (AMBIGUOUS_CUSTOM_ID) for a source document, ABORTED.
        """
        return self._calls.unary(_CREATE_MEMORIES, {
            "container_tag": container_tag,
            "memories": memories,
            "request_id": request_id,
        }, timeout, actor)

    def get(
        self,
        container_tag: str | None = None,
        id: str | None = None,
        *,
        as_of: Time | None = None,
        timeout: float | None = None,
    ) -> memories_pb2.GetMemoryResponse:
        """Reads one version of a memory, forgotten and superseded ones too.

        Errors: NOT_FOUND (MEMORY_NOT_FOUND), OUT_OF_RANGE (TIME_IN_FUTURE).
        """
        return self._calls.unary(_GET_MEMORY, {
            "container_tag": container_tag,
            "id": id,
            "as_of": as_of,
        }, timeout)

    def list(
        self,
        *,
        container_tags: str | Sequence[str] | None = None,
        filter: filter_pb2.Filter | Fields | None = None,
        include_forgotten: bool | None = None,
        include_history: bool | None = None,
        order: common_pb2.ListOrder.ValueType | None = None,
        as_of: Time | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        source_document_id: str | None = None,
        timeout: float | None = None,
    ) -> memories_pb2.ListMemoriesResponse:
        """Lists memories, a page at a time: latest and remembered versions unless
        asked for more.

        Errors: INVALID_ARGUMENT (INVALID_PAGE_TOKEN), OUT_OF_RANGE
        (TIME_IN_FUTURE).
        """
        return self._calls.unary(_LIST_MEMORIES, {
            "container_tags": container_tags,
            "filter": filter,
            "include_forgotten": include_forgotten,
            "include_history": include_history,
            "order": order,
            "as_of": as_of,
            "page_size": page_size,
            "page_token": page_token,
            "source_document_id": source_document_id,
        }, timeout)

    def iterate(
        self,
        *,
        container_tags: str | Sequence[str] | None = None,
        filter: filter_pb2.Filter | Fields | None = None,
        include_forgotten: bool | None = None,
        include_history: bool | None = None,
        order: common_pb2.ListOrder.ValueType | None = None,
        as_of: Time | None = None,
        page_size: int | None = None,
        source_document_id: str | None = None,
        timeout: float | None = None,
    ) -> Iterator[memories_pb2.Memory]:
        """As `list`: what is on all pages. `timeout` is for each page."""
        return self._calls.pages(_LIST_MEMORIES, {
            "container_tags": container_tags,
            "filter": filter,
            "include_forgotten": include_forgotten,
            "include_history": include_history,
            "order": order,
            "as_of": as_of,
            "page_size": page_size,
            "source_document_id": source_document_id,
        }, "memories", timeout)

    def list_versions(
        self,
        container_tag: str | None = None,
        id: str | None = None,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        timeout: float | None = None,
    ) -> memories_pb2.ListMemoryVersionsResponse:
        """Lists the chain that a version belongs to, newest first.

        Errors: NOT_FOUND (MEMORY_NOT_FOUND), INVALID_ARGUMENT
        (INVALID_PAGE_TOKEN).
        """
        return self._calls.unary(_LIST_MEMORY_VERSIONS, {
            "container_tag": container_tag,
            "id": id,
            "page_size": page_size,
            "page_token": page_token,
        }, timeout)

    def iterate_versions(
        self,
        container_tag: str | None = None,
        id: str | None = None,
        *,
        page_size: int | None = None,
        timeout: float | None = None,
    ) -> Iterator[memories_pb2.Memory]:
        """As `list_versions`: what is on all pages. `timeout` is for each page."""
        return self._calls.pages(_LIST_MEMORY_VERSIONS, {
            "container_tag": container_tag,
            "id": id,
            "page_size": page_size,
        }, "memories", timeout)

    def update(
        self,
        container_tag: str | None = None,
        *,
        id: str | None = None,
        content: str | None = None,
        new_content: str | None = None,
        forget_after: Time | None = None,
        clear_forget_after: bool | None = None,
        forget_reason: str | None = None,
        metadata: Metadata | None = None,
        etag: str | None = None,
        request_id: str | None = None,
        temporal_context: memories_pb2.TemporalContextUpdate | Fields | None = None,
        is_static: bool | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> memories_pb2.UpdateMemoryResponse:
        """Writes a new version. What is absent is inherited from the version it
        replaces, of which nothing changes but that it is no longer the latest.

        Errors: NOT_FOUND (MEMORY_NOT_FOUND), FAILED_PRECONDITION
        (MEMORY_NOT_LATEST, MEMORY_FORGOTTEN, CONTENT_MISMATCH,
        AMBIGUOUS_CONTENT), ABORTED.
        """
        return self._calls.unary(_UPDATE_MEMORY, {
            "container_tag": container_tag,
            "id": id,
            "content": content,
            "new_content": new_content,
            "forget_after": forget_after,
            "clear_forget_after": clear_forget_after,
            "forget_reason": forget_reason,
            "metadata": metadata,
            "etag": etag,
            "request_id": request_id,
            "temporal_context": temporal_context,
            "is_static": is_static,
        }, timeout, actor)

    def forget(
        self,
        container_tag: str | None = None,
        *,
        id: str | None = None,
        content: str | None = None,
        reason: str | None = None,
        etag: str | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> memories_pb2.ForgetMemoryResponse:
        """Forgets a memory: it and its history stay, and nothing finds it any more.

        Errors: those of UpdateMemory.
        """
        return self._calls.unary(_FORGET_MEMORY, {
            "container_tag": container_tag,
            "id": id,
            "content": content,
            "reason": reason,
            "etag": etag,
            "request_id": request_id,
        }, timeout, actor)

    def restore(
        self,
        container_tag: str | None = None,
        id: str | None = None,
        *,
        forget_after: Time | None = None,
        clear_forget_after: bool | None = None,
        etag: str | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> memories_pb2.RestoreMemoryResponse:
        """Undoes forgetting, by hand or by schedule. A forget_after that has passed
        is cleared with its reason; one still ahead stays.

        Errors: NOT_FOUND (MEMORY_NOT_FOUND), FAILED_PRECONDITION
        (MEMORY_NOT_LATEST, MEMORY_NOT_FORGOTTEN), ABORTED.
        """
        return self._calls.unary(_RESTORE_MEMORY, {
            "container_tag": container_tag,
            "id": id,
            "forget_after": forget_after,
            "clear_forget_after": clear_forget_after,
            "etag": etag,
            "request_id": request_id,
        }, timeout, actor)

    def forget_many(
        self,
        container_tag: str | None = None,
        *,
        ids: str | Sequence[str] | None = None,
        filter: filter_pb2.Filter | Fields | None = None,
        max_forget: int | None = None,
        reason: str | None = None,
        validate_only: bool | None = None,
        query: str | None = None,
        min_score: float | None = None,
        request_id: str | None = None,
        must_contain: str | Sequence[str] | None = None,
        must_not_contain: str | Sequence[str] | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> memories_pb2.ForgetMemoriesResponse:
        """Forgets many memories of one container at once, all or none, and answers a
        batch id with which RestoreMemories undoes it.

        By filter or query, what matches is found on one state of the container and
        forgotten shortly after: what was updated, forgotten or deleted in between
        is left as it is, and what began to match in between is not included.

        Errors: NOT_FOUND, FAILED_PRECONDITION (MEMORY_NOT_LATEST,
        MEMORY_FORGOTTEN; the error names every bad id in BadRequest),
        FAILED_PRECONDITION (TOO_MANY_MATCHES), ABORTED (REQUEST_IN_PROGRESS).
        """
        return self._calls.unary(_FORGET_MEMORIES, {
            "container_tag": container_tag,
            "ids": ids,
            "filter": filter,
            "max_forget": max_forget,
            "reason": reason,
            "validate_only": validate_only,
            "query": query,
            "min_score": min_score,
            "request_id": request_id,
            "must_contain": must_contain,
            "must_not_contain": must_not_contain,
        }, timeout, actor)

    def restore_many(
        self,
        container_tag: str | None = None,
        forget_batch_id: str | None = None,
        *,
        request_id: str | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> memories_pb2.RestoreMemoriesResponse:
        """Restores those memories of a forget batch that are still forgotten by it.

        Errors: NOT_FOUND (FORGET_BATCH_NOT_FOUND), ABORTED (REQUEST_IN_PROGRESS).
        """
        return self._calls.unary(_RESTORE_MEMORIES, {
            "container_tag": container_tag,
            "forget_batch_id": forget_batch_id,
            "request_id": request_id,
        }, timeout, actor)

    def search(
        self,
        query: str | None = None,
        *,
        container_tags: str | Sequence[str] | None = None,
        filter: filter_pb2.Filter | Fields | None = None,
        min_score: float | None = None,
        limit: int | None = None,
        as_of: Time | None = None,
        include_forgotten: bool | None = None,
        include_history: bool | None = None,
        include_chunks: bool | None = None,
        include_score_parts: bool | None = None,
        exclude_speakers: str | Sequence[str] | None = None,
        must_contain: str | Sequence[str] | None = None,
        must_not_contain: str | Sequence[str] | None = None,
        include_documents: bool | None = None,
        timeout: float | None = None,
    ) -> memories_pb2.SearchMemoriesResponse:
        """Finds memories by words and meaning; with include_chunks, chunks of
        documents with them. A memory is found from the moment the call that wrote
        it returns.

        Errors: OUT_OF_RANGE (TIME_IN_FUTURE).
        """
        return self._calls.unary(_SEARCH_MEMORIES, {
            "query": query,
            "container_tags": container_tags,
            "filter": filter,
            "min_score": min_score,
            "limit": limit,
            "as_of": as_of,
            "include_forgotten": include_forgotten,
            "include_history": include_history,
            "include_chunks": include_chunks,
            "include_score_parts": include_score_parts,
            "exclude_speakers": exclude_speakers,
            "must_contain": must_contain,
            "must_not_contain": must_not_contain,
            "include_documents": include_documents,
        }, timeout)

    def get_profile(
        self,
        container_tag: str | None = None,
        query: str | None = None,
        *,
        filter: filter_pb2.Filter | Fields | None = None,
        limit: int | None = None,
        min_score: float | None = None,
        timeout: float | None = None,
    ) -> memories_pb2.GetProfileResponse:
        """Reads what a prompt should know of a container: its lasting traits, its
        recent memories and, for a query, what fits it. No memory stands in it
        twice.

        Errors: none of its own.
        """
        return self._calls.unary(_GET_PROFILE, {
            "container_tag": container_tag,
            "query": query,
            "filter": filter,
            "limit": limit,
            "min_score": min_score,
        }, timeout)

    def delete(
        self,
        container_tag: str | None = None,
        id: str | None = None,
        *,
        allow_missing: bool | None = None,
        etag: str | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> memories_pb2.DeleteMemoryResponse:
        """Deletes a memory for good, its whole chain, in whatever state.

        Errors: NOT_FOUND (MEMORY_NOT_FOUND) unless allow_missing, ABORTED.
        """
        return self._calls.unary(_DELETE_MEMORY, {
            "container_tag": container_tag,
            "id": id,
            "allow_missing": allow_missing,
            "etag": etag,
            "request_id": request_id,
        }, timeout, actor)

class AsyncMemories:
    """Memories are short statements, each in exactly one container. Every change
    makes a new version with an id of its own; forgetting hides a memory and can
    be undone; deleting is final.

    Every call needs a key: `authorization: Bearer <key>` as metadata, or as a
    header of HTTP. It can fail with UNAUTHENTICATED, PERMISSION_DENIED,
    INVALID_ARGUMENT, RESOURCE_EXHAUSTED and UNAVAILABLE in addition to what it
    lists. An OK to a mutation is sent after its commit has reached the disk. A
    mutation may say on whose behalf it is made: see `actor` in Change.
    Metadata and NUL follow the rules stated at Documents. A memory of another
    container is NOT_FOUND.
    """

    def __init__(self, calls: AsyncCalls) -> None:
        self._calls = calls

    def create(
        self,
        container_tag: str | None = None,
        memories: memories_pb2.NewMemory | Fields | str | Sequence[memories_pb2.NewMemory | Fields | str] | None = None,
        *,
        request_id: str | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> Awaitable[memories_pb2.CreateMemoriesResponse]:
        """Creates 1 to 100 memories, all or none. The same text twice is two
        memories; request_id guards retries.

        Errors: NOT_FOUND (DOCUMENT_NOT_FOUND) and FAILED_PRECONDITION
        (AMBIGUOUS_CUSTOM_ID) for a source document, ABORTED.
        """
        return self._calls.unary(_CREATE_MEMORIES, {
            "container_tag": container_tag,
            "memories": memories,
            "request_id": request_id,
        }, timeout, actor)

    def get(
        self,
        container_tag: str | None = None,
        id: str | None = None,
        *,
        as_of: Time | None = None,
        timeout: float | None = None,
    ) -> Awaitable[memories_pb2.GetMemoryResponse]:
        """Reads one version of a memory, forgotten and superseded ones too.

        Errors: NOT_FOUND (MEMORY_NOT_FOUND), OUT_OF_RANGE (TIME_IN_FUTURE).
        """
        return self._calls.unary(_GET_MEMORY, {
            "container_tag": container_tag,
            "id": id,
            "as_of": as_of,
        }, timeout)

    def list(
        self,
        *,
        container_tags: str | Sequence[str] | None = None,
        filter: filter_pb2.Filter | Fields | None = None,
        include_forgotten: bool | None = None,
        include_history: bool | None = None,
        order: common_pb2.ListOrder.ValueType | None = None,
        as_of: Time | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        source_document_id: str | None = None,
        timeout: float | None = None,
    ) -> Awaitable[memories_pb2.ListMemoriesResponse]:
        """Lists memories, a page at a time: latest and remembered versions unless
        asked for more.

        Errors: INVALID_ARGUMENT (INVALID_PAGE_TOKEN), OUT_OF_RANGE
        (TIME_IN_FUTURE).
        """
        return self._calls.unary(_LIST_MEMORIES, {
            "container_tags": container_tags,
            "filter": filter,
            "include_forgotten": include_forgotten,
            "include_history": include_history,
            "order": order,
            "as_of": as_of,
            "page_size": page_size,
            "page_token": page_token,
            "source_document_id": source_document_id,
        }, timeout)

    def iterate(
        self,
        *,
        container_tags: str | Sequence[str] | None = None,
        filter: filter_pb2.Filter | Fields | None = None,
        include_forgotten: bool | None = None,
        include_history: bool | None = None,
        order: common_pb2.ListOrder.ValueType | None = None,
        as_of: Time | None = None,
        page_size: int | None = None,
        source_document_id: str | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[memories_pb2.Memory]:
        """As `list`: what is on all pages. `timeout` is for each page."""
        return self._calls.pages(_LIST_MEMORIES, {
            "container_tags": container_tags,
            "filter": filter,
            "include_forgotten": include_forgotten,
            "include_history": include_history,
            "order": order,
            "as_of": as_of,
            "page_size": page_size,
            "source_document_id": source_document_id,
        }, "memories", timeout)

    def list_versions(
        self,
        container_tag: str | None = None,
        id: str | None = None,
        *,
        page_size: int | None = None,
        page_token: str | None = None,
        timeout: float | None = None,
    ) -> Awaitable[memories_pb2.ListMemoryVersionsResponse]:
        """Lists the chain that a version belongs to, newest first.

        Errors: NOT_FOUND (MEMORY_NOT_FOUND), INVALID_ARGUMENT
        (INVALID_PAGE_TOKEN).
        """
        return self._calls.unary(_LIST_MEMORY_VERSIONS, {
            "container_tag": container_tag,
            "id": id,
            "page_size": page_size,
            "page_token": page_token,
        }, timeout)

    def iterate_versions(
        self,
        container_tag: str | None = None,
        id: str | None = None,
        *,
        page_size: int | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[memories_pb2.Memory]:
        """As `list_versions`: what is on all pages. `timeout` is for each page."""
        return self._calls.pages(_LIST_MEMORY_VERSIONS, {
            "container_tag": container_tag,
            "id": id,
            "page_size": page_size,
        }, "memories", timeout)

    def update(
        self,
        container_tag: str | None = None,
        *,
        id: str | None = None,
        content: str | None = None,
        new_content: str | None = None,
        forget_after: Time | None = None,
        clear_forget_after: bool | None = None,
        forget_reason: str | None = None,
        metadata: Metadata | None = None,
        etag: str | None = None,
        request_id: str | None = None,
        temporal_context: memories_pb2.TemporalContextUpdate | Fields | None = None,
        is_static: bool | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> Awaitable[memories_pb2.UpdateMemoryResponse]:
        """Writes a new version. What is absent is inherited from the version it
        replaces, of which nothing changes but that it is no longer the latest.

        Errors: NOT_FOUND (MEMORY_NOT_FOUND), FAILED_PRECONDITION
        (MEMORY_NOT_LATEST, MEMORY_FORGOTTEN, CONTENT_MISMATCH,
        AMBIGUOUS_CONTENT), ABORTED.
        """
        return self._calls.unary(_UPDATE_MEMORY, {
            "container_tag": container_tag,
            "id": id,
            "content": content,
            "new_content": new_content,
            "forget_after": forget_after,
            "clear_forget_after": clear_forget_after,
            "forget_reason": forget_reason,
            "metadata": metadata,
            "etag": etag,
            "request_id": request_id,
            "temporal_context": temporal_context,
            "is_static": is_static,
        }, timeout, actor)

    def forget(
        self,
        container_tag: str | None = None,
        *,
        id: str | None = None,
        content: str | None = None,
        reason: str | None = None,
        etag: str | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> Awaitable[memories_pb2.ForgetMemoryResponse]:
        """Forgets a memory: it and its history stay, and nothing finds it any more.

        Errors: those of UpdateMemory.
        """
        return self._calls.unary(_FORGET_MEMORY, {
            "container_tag": container_tag,
            "id": id,
            "content": content,
            "reason": reason,
            "etag": etag,
            "request_id": request_id,
        }, timeout, actor)

    def restore(
        self,
        container_tag: str | None = None,
        id: str | None = None,
        *,
        forget_after: Time | None = None,
        clear_forget_after: bool | None = None,
        etag: str | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> Awaitable[memories_pb2.RestoreMemoryResponse]:
        """Undoes forgetting, by hand or by schedule. A forget_after that has passed
        is cleared with its reason; one still ahead stays.

        Errors: NOT_FOUND (MEMORY_NOT_FOUND), FAILED_PRECONDITION
        (MEMORY_NOT_LATEST, MEMORY_NOT_FORGOTTEN), ABORTED.
        """
        return self._calls.unary(_RESTORE_MEMORY, {
            "container_tag": container_tag,
            "id": id,
            "forget_after": forget_after,
            "clear_forget_after": clear_forget_after,
            "etag": etag,
            "request_id": request_id,
        }, timeout, actor)

    def forget_many(
        self,
        container_tag: str | None = None,
        *,
        ids: str | Sequence[str] | None = None,
        filter: filter_pb2.Filter | Fields | None = None,
        max_forget: int | None = None,
        reason: str | None = None,
        validate_only: bool | None = None,
        query: str | None = None,
        min_score: float | None = None,
        request_id: str | None = None,
        must_contain: str | Sequence[str] | None = None,
        must_not_contain: str | Sequence[str] | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> Awaitable[memories_pb2.ForgetMemoriesResponse]:
        """Forgets many memories of one container at once, all or none, and answers a
        batch id with which RestoreMemories undoes it.

        By filter or query, what matches is found on one state of the container and
        forgotten shortly after: what was updated, forgotten or deleted in between
        is left as it is, and what began to match in between is not included.

        Errors: NOT_FOUND, FAILED_PRECONDITION (MEMORY_NOT_LATEST,
        MEMORY_FORGOTTEN; the error names every bad id in BadRequest),
        FAILED_PRECONDITION (TOO_MANY_MATCHES), ABORTED (REQUEST_IN_PROGRESS).
        """
        return self._calls.unary(_FORGET_MEMORIES, {
            "container_tag": container_tag,
            "ids": ids,
            "filter": filter,
            "max_forget": max_forget,
            "reason": reason,
            "validate_only": validate_only,
            "query": query,
            "min_score": min_score,
            "request_id": request_id,
            "must_contain": must_contain,
            "must_not_contain": must_not_contain,
        }, timeout, actor)

    def restore_many(
        self,
        container_tag: str | None = None,
        forget_batch_id: str | None = None,
        *,
        request_id: str | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> Awaitable[memories_pb2.RestoreMemoriesResponse]:
        """Restores those memories of a forget batch that are still forgotten by it.

        Errors: NOT_FOUND (FORGET_BATCH_NOT_FOUND), ABORTED (REQUEST_IN_PROGRESS).
        """
        return self._calls.unary(_RESTORE_MEMORIES, {
            "container_tag": container_tag,
            "forget_batch_id": forget_batch_id,
            "request_id": request_id,
        }, timeout, actor)

    def search(
        self,
        query: str | None = None,
        *,
        container_tags: str | Sequence[str] | None = None,
        filter: filter_pb2.Filter | Fields | None = None,
        min_score: float | None = None,
        limit: int | None = None,
        as_of: Time | None = None,
        include_forgotten: bool | None = None,
        include_history: bool | None = None,
        include_chunks: bool | None = None,
        include_score_parts: bool | None = None,
        exclude_speakers: str | Sequence[str] | None = None,
        must_contain: str | Sequence[str] | None = None,
        must_not_contain: str | Sequence[str] | None = None,
        include_documents: bool | None = None,
        timeout: float | None = None,
    ) -> Awaitable[memories_pb2.SearchMemoriesResponse]:
        """Finds memories by words and meaning; with include_chunks, chunks of
        documents with them. A memory is found from the moment the call that wrote
        it returns.

        Errors: OUT_OF_RANGE (TIME_IN_FUTURE).
        """
        return self._calls.unary(_SEARCH_MEMORIES, {
            "query": query,
            "container_tags": container_tags,
            "filter": filter,
            "min_score": min_score,
            "limit": limit,
            "as_of": as_of,
            "include_forgotten": include_forgotten,
            "include_history": include_history,
            "include_chunks": include_chunks,
            "include_score_parts": include_score_parts,
            "exclude_speakers": exclude_speakers,
            "must_contain": must_contain,
            "must_not_contain": must_not_contain,
            "include_documents": include_documents,
        }, timeout)

    def get_profile(
        self,
        container_tag: str | None = None,
        query: str | None = None,
        *,
        filter: filter_pb2.Filter | Fields | None = None,
        limit: int | None = None,
        min_score: float | None = None,
        timeout: float | None = None,
    ) -> Awaitable[memories_pb2.GetProfileResponse]:
        """Reads what a prompt should know of a container: its lasting traits, its
        recent memories and, for a query, what fits it. No memory stands in it
        twice.

        Errors: none of its own.
        """
        return self._calls.unary(_GET_PROFILE, {
            "container_tag": container_tag,
            "query": query,
            "filter": filter,
            "limit": limit,
            "min_score": min_score,
        }, timeout)

    def delete(
        self,
        container_tag: str | None = None,
        id: str | None = None,
        *,
        allow_missing: bool | None = None,
        etag: str | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
        actor: str | None = None,
    ) -> Awaitable[memories_pb2.DeleteMemoryResponse]:
        """Deletes a memory for good, its whole chain, in whatever state.

        Errors: NOT_FOUND (MEMORY_NOT_FOUND) unless allow_missing, ABORTED.
        """
        return self._calls.unary(_DELETE_MEMORY, {
            "container_tag": container_tag,
            "id": id,
            "allow_missing": allow_missing,
            "etag": etag,
            "request_id": request_id,
        }, timeout, actor)
