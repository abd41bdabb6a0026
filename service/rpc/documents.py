"""The Documents service."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Sequence
from typing import Final

from palimpsest.v1 import documents_pb2 as pb
from service.core import model as m
from service.core.errors import PalimpsestError
from service.ports.search import Searcher
from service.ports.store import Store
from service.rpc.calls import CallInfo, RpcCall
from service.rpc.convert import documents as convert
from service.rpc.convert import ids, search
from service.rpc.convert.common import completion
from service.rpc.idempotency import IdempotencyGuard
from service.rpc.pages import open_listing
from service.rpc.to_thread import MANY_ITEMS, to_thread_if
from service.rpc.validation import check, raise_for_violations
from service.runtime.call_stages import stage

_WAIT_SECONDS: Final = 60.0
"""How long `wait` waits in a call without a deadline."""


class Documents:
    """Each method is the RPC of its name, after authorization."""

    def __init__(self, store: Store, searcher: Searcher, idempotency: IdempotencyGuard) -> None:
        self._store = store
        self._searcher = searcher
        self._idempotency = idempotency

    async def upsert_document(
        self, call: RpcCall, request: pb.UpsertDocumentRequest
    ) -> pb.UpsertDocumentResponse:
        violations = check(request)
        write = convert.write(request, violations)
        raise_for_violations(violations)
        receipt = await self._idempotency.run(
            call, request, lambda key: self._store.documents.upsert(call.principal, write, key)
        )
        response = pb.UpsertDocumentResponse()
        convert.receipt_to_proto(receipt, response.receipt, request.custom_id)
        if request.wait:
            await self._settle(call, [response.receipt])
        return response

    async def batch_upsert_documents(
        self, call: RpcCall, request: pb.BatchUpsertDocumentsRequest
    ) -> pb.BatchUpsertDocumentsResponse:
        writes = await to_thread_if(len(request.items) >= MANY_ITEMS, _writes, request)
        receipt = await self._idempotency.run(
            call,
            request,
            lambda key: self._store.documents.batch_upsert(call.principal, writes, key),
        )
        many = len(receipt.outcomes) >= MANY_ITEMS
        response = await to_thread_if(many, _batch_response, request, receipt)
        if request.wait:
            done = [o.receipt for o in response.outcomes if o.HasField("receipt")]
            await self._settle(call, done)
        return response

    async def get_document(
        self, call: RpcCall, request: pb.GetDocumentRequest
    ) -> pb.GetDocumentResponse:
        violations = check(request)
        ids.check_document(request.id, "id", "Memories.GetMemory", violations)
        raise_for_violations(violations)
        document = await self._store.documents.get(
            call.principal, request.id, request.container_tag
        )
        response = pb.GetDocumentResponse()
        convert.to_proto(document, response.document)
        return response

    async def list_documents(
        self, call: CallInfo, request: pb.ListDocumentsRequest
    ) -> pb.ListDocumentsResponse:
        violations = check(request)
        query = convert.query(request, violations)
        raise_for_violations(violations)
        listing = open_listing(self._store.digester, call, request)
        page = await self._store.documents.list(call.principal, query, listing.page)
        response = pb.ListDocumentsResponse()
        for document in page.items:
            convert.to_proto(document, response.documents.add())
        listing.set_page_fields(response, page)
        return response

    async def update_document(
        self, call: RpcCall, request: pb.UpdateDocumentRequest
    ) -> pb.UpdateDocumentResponse:
        violations = check(request)
        patch = convert.patch(request, violations)
        raise_for_violations(violations)
        receipt = await self._idempotency.run(
            call, request, lambda key: self._store.documents.update(call.principal, patch, key)
        )
        response = pb.UpdateDocumentResponse()
        convert.receipt_to_proto(receipt, response.receipt, request.id)
        if request.wait:
            await self._settle(call, [response.receipt])
        return response

    async def append_messages(
        self, call: RpcCall, request: pb.AppendMessagesRequest
    ) -> pb.AppendMessagesResponse:
        violations = check(request)
        append = convert.append(request, violations)
        raise_for_violations(violations)
        done = await self._idempotency.run(
            call, request, lambda key: self._store.documents.append(call.principal, append, key)
        )
        response = pb.AppendMessagesResponse(message_count=done.messages)
        convert.receipt_to_proto(done.receipt, response.receipt, request.id)
        if request.wait:
            await self._settle(call, [response.receipt])
        return response

    async def search_documents(
        self, call: CallInfo, request: pb.SearchDocumentsRequest
    ) -> pb.SearchDocumentsResponse:
        violations = check(request)
        query = search.documents(request, violations)
        raise_for_violations(violations)
        found = await self._searcher.documents(call.principal, query)
        return search.documents_response(found, parts=request.include_score_parts)

    async def list_chunks(
        self, call: CallInfo, request: pb.ListChunksRequest
    ) -> pb.ListChunksResponse:
        violations = check(request)
        ids.check_document(request.id, "id", "Memories.GetMemory", violations)
        raise_for_violations(violations)
        listing = open_listing(self._store.digester, call, request)
        document_id, page = await self._store.documents.chunks(
            call.principal, request.id, listing.page, request.container_tag
        )
        response = pb.ListChunksResponse()
        for chunk in page.items:
            search.chunk_to_proto(chunk, response.chunks.add(), document_id)
        listing.set_page_fields(response, page)
        return response

    async def _settle(self, call: RpcCall, receipts: Sequence[pb.DocumentReceipt]) -> None:
        """Wait for DONE or FAILED until the deadline at most, and update the statuses."""
        with stage("wait"):
            await self._follow_all(call, receipts)

    async def _follow_all(self, call: RpcCall, receipts: Sequence[pb.DocumentReceipt]) -> None:
        async def follow(receipt: pb.DocumentReceipt) -> None:
            with contextlib.suppress(PalimpsestError):  # The write is done nevertheless.
                async for state in self._store.documents.watch(call.principal, receipt.id):
                    if isinstance(state, m.Document):
                        receipt.status = convert.status_number(state.status)

        settling = asyncio.gather(*(follow(receipt) for receipt in receipts))
        stopping = asyncio.ensure_future(call.stopping.wait())
        try:
            await asyncio.wait(
                (settling, stopping),
                timeout=_WAIT_SECONDS if call.budget() is None else call.budget(),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            for task in (settling, stopping):
                task.cancel()
            await asyncio.gather(settling, stopping, return_exceptions=True)

    async def delete_document(
        self, call: RpcCall, request: pb.DeleteDocumentRequest
    ) -> pb.DeleteDocumentResponse:
        violations = check(request)
        ids.check_document(request.id, "id", "Memories.DeleteMemory", violations)
        raise_for_violations(violations)
        delete = m.DocumentDelete(
            request.id, request.allow_missing, request.etag or None, request.container_tag
        )
        receipt = await self._idempotency.run(
            call, request, lambda key: self._store.documents.delete(call.principal, delete, key)
        )
        return pb.DeleteDocumentResponse(id=receipt.id, revision=receipt.revision)

    async def bulk_delete_documents(
        self, call: RpcCall, request: pb.BulkDeleteDocumentsRequest
    ) -> pb.BulkDeleteDocumentsResponse:
        violations = check(request)
        names = tuple(request.ids)
        tags = tuple(request.container_tags)
        for index, name in enumerate(names):
            ids.check_document(name, f"ids[{index}]", "Memories.DeleteMemory", violations)
        raise_for_violations(violations)

        def work(key: m.IdempotencyKey | None) -> Awaitable[m.BulkDeleteReceipt]:
            documents = self._store.documents
            if names:
                return documents.delete_ids(
                    call.principal, names, key, validate_only=request.validate_only
                )
            return self._store.containers.delete_documents(
                call.principal,
                tags,
                key,
                validate_only=request.validate_only,
                budget=call.budget(),
            )

        if request.validate_only:
            # A preview leaves nothing behind that a request_id could name.
            receipt = await work(None)
        else:
            receipt = await self._idempotency.run(call, request, work)
        response = pb.BulkDeleteDocumentsResponse(
            success=receipt.complete,
            deleted_count=receipt.deleted,
            container_tags=tags,
            detached_count=receipt.detached,
            revision=receipt.revision,
            completion=completion(receipt.complete),
            sample_ids=receipt.sample_ids,
            detached_ids=receipt.detached_ids,
        )
        for index, failure in receipt.errors:
            message = response.errors.add(index=index, id=names[index])
            convert.failure_to_proto(failure, message.error)
        return response

    async def watch_document(self, call: RpcCall, request: pb.WatchDocumentRequest) -> None:
        violations = check(request)
        ids.check_document(request.id, "id", "Memories.GetMemory", violations)
        raise_for_violations(violations)
        states = self._store.documents.watch(call.principal, request.id, request.container_tag)
        try:
            async for state in states:
                await call.exchange.write(convert.watch_response(state))
                if isinstance(state, str) or state.status in convert.FINAL:
                    return
        finally:
            if isinstance(states, AsyncGenerator):
                await states.aclose()


def _writes(request: pb.BatchUpsertDocumentsRequest) -> list[m.DocumentWrite]:
    violations = check(request)
    writes = convert.writes(request, violations)
    raise_for_violations(violations)
    return writes


def _batch_response(
    request: pb.BatchUpsertDocumentsRequest, receipt: m.BatchReceipt
) -> pb.BatchUpsertDocumentsResponse:
    response = pb.BatchUpsertDocumentsResponse(revision=receipt.revision)
    for item, outcome in zip(request.items, receipt.outcomes, strict=True):
        message = response.outcomes.add()
        if isinstance(outcome, m.ItemFailure):
            convert.failure_to_proto(outcome, message.error)
        else:
            convert.receipt_to_proto(outcome, message.receipt, item.custom_id)
    return response
