"""The Changes service."""

from __future__ import annotations

from palimpsest.v1 import changes_pb2 as pb
from service.ports.store import Store
from service.rpc.calls import CallInfo
from service.rpc.convert import changes as convert
from service.rpc.validation import check, raise_for_violations


class Changes:
    """Each method is the RPC of its name, after authorization."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def list_changes(
        self, call: CallInfo, request: pb.ListChangesRequest
    ) -> pb.ListChangesResponse:
        raise_for_violations(check(request))
        page = await self._store.changes.list(call.principal, convert.query(request))
        response = pb.ListChangesResponse(
            revision=page.revision, latest_revision=page.latest, oldest_revision=page.oldest
        )
        convert.to_proto(page.changes, response.changes)
        return response
