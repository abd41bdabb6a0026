"""The Memories service."""

from __future__ import annotations

from palimpsest.v1 import memories_pb2 as pb
from service.core import model as m
from service.ports.search import Searcher
from service.ports.store import Store
from service.rpc.calls import CallInfo, RpcCall
from service.rpc.convert import ids, search
from service.rpc.convert import memories as convert
from service.rpc.idempotency import IdempotencyGuard
from service.rpc.pages import open_listing
from service.rpc.profiles import read_profile
from service.rpc.to_thread import MANY_ITEMS, to_thread_if
from service.rpc.validation import check, raise_for_violations


class Memories:
    """Each method is the RPC of its name, after authorization."""

    def __init__(self, store: Store, searcher: Searcher, idempotency: IdempotencyGuard) -> None:
        self._store = store
        self._searcher = searcher
        self._idempotency = idempotency

    async def create_memories(
        self, call: RpcCall, request: pb.CreateMemoriesRequest
    ) -> pb.CreateMemoriesResponse:
        create = await to_thread_if(len(request.memories) >= MANY_ITEMS, _create, request)
        done = await self._idempotency.run(
            call, request, lambda key: self._store.memories.create(call.principal, create, key)
        )
        many = len(done.receipts) >= MANY_ITEMS
        return await to_thread_if(many, _create_response, done)

    async def get_memory(self, call: RpcCall, request: pb.GetMemoryRequest) -> pb.GetMemoryResponse:
        violations = check(request)
        ids.check_memory(request.id, "id", "Documents.GetDocument", violations)
        as_of = convert.as_of(request, violations)
        raise_for_violations(violations)
        await self._close_past(call, as_of)
        memory = await self._store.memories.get(
            call.principal, convert.container(request.container_tag), request.id, as_of
        )
        response = pb.GetMemoryResponse()
        convert.to_proto(memory, response.memory)
        return response

    async def list_memories(
        self, call: CallInfo, request: pb.ListMemoriesRequest
    ) -> pb.ListMemoriesResponse:
        violations = check(request)
        query = convert.query(request, violations)
        raise_for_violations(violations)
        await self._close_past(call, query.as_of)
        listing = open_listing(self._store.digester, call, request)
        page = await self._store.memories.list(call.principal, query, listing.page)
        response = pb.ListMemoriesResponse()
        for memory in page.items:
            convert.to_proto(memory, response.memories.add())
        listing.set_page_fields(response, page)
        return response

    async def list_memory_versions(
        self, call: CallInfo, request: pb.ListMemoryVersionsRequest
    ) -> pb.ListMemoryVersionsResponse:
        violations = check(request)
        ids.check_memory(request.id, "id", "Documents.GetDocument", violations)
        raise_for_violations(violations)
        listing = open_listing(self._store.digester, call, request)
        page = await self._store.memories.versions(
            call.principal, convert.container(request.container_tag), request.id, listing.page
        )
        response = pb.ListMemoryVersionsResponse()
        for memory in page.items:
            convert.to_proto(memory, response.memories.add())
        listing.set_page_fields(response, page)
        return response

    async def update_memory(
        self, call: RpcCall, request: pb.UpdateMemoryRequest
    ) -> pb.UpdateMemoryResponse:
        violations = check(request)
        update = convert.update(request, violations)
        raise_for_violations(violations)
        updated = await self._idempotency.run(
            call, request, lambda key: self._store.memories.update(call.principal, update, key)
        )
        response = pb.UpdateMemoryResponse()
        convert.receipt_to_proto(updated.receipt, response.receipt)
        if updated.version is not None:
            response.memory = updated.version.content
            convert.to_proto(updated.version, response.version)
        return response

    async def forget_memory(
        self, call: RpcCall, request: pb.ForgetMemoryRequest
    ) -> pb.ForgetMemoryResponse:
        violations = check(request)
        target = convert.target(request, "Documents.DeleteDocument", violations)
        raise_for_violations(violations)
        forget = m.MemoryForget(target, request.reason, request.etag or None)
        receipt = await self._idempotency.run(
            call, request, lambda key: self._store.memories.forget(call.principal, forget, key)
        )
        response = pb.ForgetMemoryResponse()
        convert.receipt_to_proto(receipt, response.receipt)
        return response

    async def restore_memory(
        self, call: RpcCall, request: pb.RestoreMemoryRequest
    ) -> pb.RestoreMemoryResponse:
        violations = check(request)
        restore = convert.restore(request, violations)
        raise_for_violations(violations)
        receipt = await self._idempotency.run(
            call, request, lambda key: self._store.memories.restore(call.principal, restore, key)
        )
        response = pb.RestoreMemoryResponse()
        convert.receipt_to_proto(receipt, response.receipt)
        return response

    async def forget_memories(
        self, call: RpcCall, request: pb.ForgetMemoriesRequest
    ) -> pb.ForgetMemoriesResponse:
        violations = check(request)
        forget = convert.forget_many(request, violations)
        query = search.to_forget(request, forget, violations)
        raise_for_violations(violations)
        terms: dict[str, tuple[str, ...]] = {}

        async def work(key: m.IdempotencyKey | None) -> m.ForgetManyReceipt:
            found = forget
            if query is not None:
                hits = (await self._searcher.memories(call.principal, query)).hits
                found = search.with_hits(forget, hits)
                if request.validate_only:
                    terms.update(search.found_terms(hits))
            return await self._store.memories.forget_many(
                call.principal, found, key, validate_only=request.validate_only
            )

        if request.validate_only:
            # A preview leaves nothing behind that a request_id could name.
            done = await work(None)
        else:
            done = await self._idempotency.run(call, request, work)
        scores = done.scores or (0.0,) * len(done.ids)
        return pb.ForgetMemoriesResponse(
            forget_batch_id=done.forget_batch_id,
            forgotten_count=len(done.ids),
            matches=[
                pb.ForgetMatch(id=memory_id, score=score, found_terms=terms.get(memory_id, ()))
                for memory_id, score in zip(done.ids, scores, strict=True)
            ],
            revision=done.revision,
        )

    async def restore_memories(
        self, call: RpcCall, request: pb.RestoreMemoriesRequest
    ) -> pb.RestoreMemoriesResponse:
        violations = check(request)
        ids.check_batch(request.forget_batch_id, "forget_batch_id", violations)
        raise_for_violations(violations)
        restore = m.MemoryRestoreMany(
            convert.container(request.container_tag), request.forget_batch_id
        )
        done = await self._idempotency.run(
            call,
            request,
            lambda key: self._store.memories.restore_many(call.principal, restore, key),
        )
        response = pb.RestoreMemoriesResponse(skipped_ids=done.skipped_ids, revision=done.revision)
        for receipt in done.receipts:
            convert.receipt_to_proto(receipt, response.receipts.add())
        return response

    async def delete_memory(
        self, call: RpcCall, request: pb.DeleteMemoryRequest
    ) -> pb.DeleteMemoryResponse:
        violations = check(request)
        ids.check_memory(request.id, "id", "Documents.DeleteDocument", violations)
        raise_for_violations(violations)
        delete = m.MemoryDelete(
            convert.container(request.container_tag),
            request.id,
            request.allow_missing,
            request.etag or None,
        )
        done = await self._idempotency.run(
            call, request, lambda key: self._store.memories.delete(call.principal, delete, key)
        )
        return pb.DeleteMemoryResponse(
            root_memory_id=done.root_id,
            deleted_version_count=done.deleted_versions,
            revision=done.revision,
        )

    async def search_memories(
        self, call: CallInfo, request: pb.SearchMemoriesRequest
    ) -> pb.SearchMemoriesResponse:
        violations = check(request)
        query = search.memories(request, violations)
        raise_for_violations(violations)
        await self._close_past(call, query.as_of)
        found = await self._searcher.memories(call.principal, query)
        return search.memories_response(
            found, parts=request.include_score_parts, documents=request.include_documents
        )

    async def get_profile(
        self, call: CallInfo, request: pb.GetProfileRequest
    ) -> pb.GetProfileResponse:
        violations = check(request)
        query = search.profile(request, violations)
        raise_for_violations(violations)
        profile = await read_profile(self._store.memories, self._searcher, call.principal, query)
        return search.profile_response(profile)

    async def _close_past(self, call: CallInfo, as_of: int | None) -> None:
        if as_of is not None:
            await self._store.memories.close_past(call.principal, as_of)


def _create(request: pb.CreateMemoriesRequest) -> m.MemoryCreate:
    violations = check(request)
    create = m.MemoryCreate(
        convert.container(request.container_tag),
        tuple(
            convert.new(memory, f"memories[{index}].", violations)
            for index, memory in enumerate(request.memories)
        ),
    )
    raise_for_violations(violations)
    return create


def _create_response(done: m.MemoriesReceipt) -> pb.CreateMemoriesResponse:
    response = pb.CreateMemoriesResponse(revision=done.revision)
    for receipt in done.receipts:
        convert.receipt_to_proto(receipt, response.receipts.add())
    return response
