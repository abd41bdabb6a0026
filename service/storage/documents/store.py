"""Documents, as the transport sees them: batches behind single calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Final

from service.core import model as m
from service.core.errors import PalimpsestError, document_not_found
from service.ports.processing import ChunkRow
from service.ports.store import NumberedPage, Page
from service.runtime.coalescing import SHARED_BATCH, Coalescer
from service.storage.deletions import run_steps
from service.storage.documents import bulk_deletes
from service.storage.documents import chunks as document_chunks
from service.storage.documents import lists as document_lists
from service.storage.documents import operations as documents
from service.storage.documents import rows as document_rows
from service.storage.documents.names import Name, name_of
from service.storage.engine import MutationEngine, StoreOptions
from service.storage.transactions import Mutation

DOCUMENTS_AT_ONCE: Final = 64
"""Single documents read in one statement: each may be a mebibyte, several times over."""

BATCH_STEP: Final = SHARED_BATCH
"""Documents of one batch that are written at once while other tenants write, too."""


class DocumentStore:
    def __init__(self, engine: MutationEngine, options: StoreOptions) -> None:
        self._engine = engine
        self._gets: Coalescer[tuple[m.Principal, Name], m.Document] = Coalescer(
            self._read, options.max_waiting, DOCUMENTS_AT_ONCE
        )

    @property
    def idle(self) -> bool:
        """Whether no single read waits or runs."""
        return self._gets.idle

    async def _read(
        self, wanted: Sequence[tuple[m.Principal, Name]]
    ) -> list[m.Document | PalimpsestError]:
        return await self._engine.database.read(
            lambda conn: document_rows.read(conn, wanted), snapshot=False
        )

    async def upsert(
        self, principal: m.Principal, write: m.DocumentWrite, request: m.IdempotencyKey | None
    ) -> m.DocumentReceipt:
        return await self._engine.mutate(documents.upsert, Mutation(principal, write, request))

    async def batch_upsert(
        self,
        principal: m.Principal,
        writes: Sequence[m.DocumentWrite],
        request: m.IdempotencyKey | None,
    ) -> m.BatchReceipt:
        step = documents.BatchStep(writes, len(writes))
        while True:
            # At once, unless other tenants would have to wait for it.
            left = len(writes) - len(step.before)
            count = min(BATCH_STEP, left) if self._engine.shared else left
            step = replace(step, at_most=count)
            outcome: documents.BatchStep | m.BatchReceipt = await self._engine.mutate(
                documents.batch_upsert, Mutation(principal, step, request), count
            )
            if isinstance(outcome, m.BatchReceipt):
                return outcome
            step = outcome

    async def update(
        self, principal: m.Principal, patch: m.DocumentPatch, request: m.IdempotencyKey | None
    ) -> m.DocumentReceipt:
        return await self._engine.mutate(
            documents.update_documents, Mutation(principal, patch, request)
        )

    async def append(
        self, principal: m.Principal, append: m.MessagesAppend, request: m.IdempotencyKey | None
    ) -> m.AppendReceipt:
        return await self._engine.mutate(
            documents.append_messages, Mutation(principal, append, request)
        )

    async def delete(
        self, principal: m.Principal, delete: m.DocumentDelete, request: m.IdempotencyKey | None
    ) -> m.DeleteReceipt:
        return await self._engine.mutate(
            documents.delete_documents, Mutation(principal, delete, request), frees=True
        )

    async def delete_ids(
        self,
        principal: m.Principal,
        ids: Sequence[str],
        request: m.IdempotencyKey | None,
        *,
        validate_only: bool,
    ) -> m.BulkDeleteReceipt:
        if validate_only:
            return await self._engine.database.read(
                lambda conn: bulk_deletes.preview_ids(conn, principal, ids), tenant=principal.tenant
            )
        deletion = bulk_deletes.IdsDelete(ids, len(ids))
        return await run_steps(
            self._engine, bulk_deletes.delete_ids, principal, deletion, request, weight=len(ids)
        )

    async def get(self, principal: m.Principal, name: str, home: str = "") -> m.Document:
        return await self._gets.submit(
            (principal, name_of(principal, name, home)), group=principal.tenant
        )

    async def list(
        self, principal: m.Principal, query: m.DocumentQuery, page: m.PageRequest
    ) -> Page[m.Document]:
        return await self._engine.database.read(
            lambda conn: document_lists.list_documents(conn, principal, query, page),
            tenant=principal.tenant,
        )

    async def numbered(
        self, principal: m.Principal, query: m.DocumentQuery, page: m.PageNumber
    ) -> NumberedPage[m.Document]:
        return await self._engine.database.read(
            lambda conn: document_lists.numbered_documents(conn, principal, query, page),
            tenant=principal.tenant,
        )

    async def chunks(
        self, principal: m.Principal, name: str, page: m.PageRequest, home: str = ""
    ) -> tuple[str, Page[ChunkRow]]:
        return await self._engine.database.read(
            lambda conn: document_chunks.list_chunks(
                conn, principal, name_of(principal, name, home), page
            ),
            tenant=principal.tenant,
        )

    async def watch(
        self, principal: m.Principal, name: str, home: str = ""
    ) -> AsyncIterator[m.Document | str]:
        document = await self.get(principal, name, home)
        with self._engine.watchers.watching(principal.tenant, document.id) as watcher:
            seen: m.Document | None = None
            while True:
                try:
                    document = replace(await self.get(principal, document.id), content=None)
                except PalimpsestError as error:
                    if error.reason is not document_not_found().reason:
                        raise
                    yield document.id
                    return
                if document != seen:
                    for passed in _passed(seen, document):
                        yield passed
                    yield document
                    if document.status in (m.Status.DONE, m.Status.FAILED):
                        return
                seen = document
                await watcher.changed()


def _passed(seen: m.Document | None, now: m.Document) -> Iterator[m.Document]:
    """The stages a document passed between two reads: many are shorter than that."""
    if seen is None or now.status is m.Status.FAILED:
        return
    first = seen.status + 1 if seen.revision == now.revision else m.Status.QUEUED
    for status in range(first, now.status):
        yield replace(now, status=m.Status(status))
