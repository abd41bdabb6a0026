"""The Containers service."""

from __future__ import annotations

from collections.abc import Awaitable

from palimpsest.v1 import containers_pb2 as pb
from service.core import model as m
from service.ports.store import Store
from service.rpc.calls import CallInfo, RpcCall
from service.rpc.convert import times
from service.rpc.convert.common import completion
from service.rpc.idempotency import IdempotencyGuard
from service.rpc.pages import open_listing
from service.rpc.validation import check, raise_for_violations


class Containers:
    """Each method is the RPC of its name, after authorization."""

    def __init__(self, store: Store, idempotency: IdempotencyGuard) -> None:
        self._store = store
        self._idempotency = idempotency

    async def list_containers(
        self, call: CallInfo, request: pb.ListContainersRequest
    ) -> pb.ListContainersResponse:
        raise_for_violations(check(request))
        listing = open_listing(self._store.digester, call, request)
        page = await self._store.containers.list(call.principal, request.prefix, listing.page)
        response = pb.ListContainersResponse()
        for container in page.items:
            message = response.containers.add(
                container_tag=container.tag,
                document_count=container.documents,
                memory_count=container.memories,
            )
            times.to_proto(container.create_time, message.create_time)
        listing.set_page_fields(response, page)
        return response

    async def delete_container(
        self, call: RpcCall, request: pb.DeleteContainerRequest
    ) -> pb.DeleteContainerResponse:
        raise_for_violations(check(request))

        def work(key: m.IdempotencyKey | None) -> Awaitable[m.ContainerDeleteReceipt]:
            return self._store.containers.delete(
                call.principal,
                request.container_tag,
                key,
                validate_only=request.validate_only,
                allow_missing=request.allow_missing,
                budget=call.budget(),
            )

        if request.validate_only:
            # A preview leaves nothing behind that a request_id could name.
            receipt = await work(None)
        else:
            receipt = await self._idempotency.run(call, request, work)
        return pb.DeleteContainerResponse(
            deleted_document_count=receipt.documents,
            detached_count=receipt.detached,
            deleted_memory_count=receipt.memories,
            container_deleted=receipt.container_deleted,
            revision=receipt.revision,
            completion=completion(receipt.complete),
            sample_ids=receipt.sample_ids,
            detached_ids=receipt.detached_ids,
        )
