"""/v3/container-tags: the containers and what is in them."""

from __future__ import annotations

from typing import Any, Final

from palimpsest.v1 import containers_pb2 as pb
from palimpsest.v1.common_pb2 import COMPLETION_COMPLETE
from service.core.errors import PalimpsestError, Reason, Violation, invalid
from service.http.endpoints import Calls, Endpoint, HttpAnswer, HttpRequest
from service.http.supermemory import values
from service.http.supermemory.answers import answer
from service.http.supermemory.errors import call, not_supported

_MAX_LISTED: Final = 10_000
_PAGE: Final = 1_000
_NAMES: Final = {"prefix": "containerTag", "container_tag": "containerTag"}


async def _list(calls: Calls, _request: HttpRequest) -> HttpAnswer:
    shown: list[dict[str, Any]] = []
    token = ""
    while True:
        message = pb.ListContainersRequest(page_size=_PAGE, page_token=token)
        response = await call(calls, "Containers.ListContainers", message, _NAMES)
        shown.extend(map(_shown, response.containers))
        token = response.next_page_token
        if not token:
            return answer(shown)
        if len(shown) >= _MAX_LISTED:
            raise invalid(
                [Violation("", f"there are more than {_MAX_LISTED:,}: list them by /v1/containers")]
            )


def _shown(container: pb.Container) -> dict[str, Any]:
    created = values.moment(container.create_time)
    return {
        "id": container.container_tag,
        "name": container.container_tag,
        "containerTag": container.container_tag,
        "createdAt": created,
        "updatedAt": created,
        "documentCount": container.document_count,
        "memoryCount": container.memory_count,
    }


async def _get(calls: Calls, request: HttpRequest) -> HttpAnswer:
    tag = request.parameters["containerTag"]
    # By tag, one comes before all that begin with it.
    message = pb.ListContainersRequest(prefix=tag, page_size=1)
    response = await call(calls, "Containers.ListContainers", message, _NAMES)
    for container in response.containers:
        if container.container_tag == tag:
            return answer(_shown(container) | {"entityContext": None})
    raise PalimpsestError(
        Reason.CONTAINER_NOT_FOUND,
        "Container not found",
        resource=("palimpsest.v1.Container", ""),
    )


async def _delete(calls: Calls, request: HttpRequest) -> HttpAnswer:
    tag = request.parameters["containerTag"]
    message = pb.DeleteContainerRequest(container_tag=tag, request_id=request.request_id)
    response = await call(calls, "Containers.DeleteContainer", message, _NAMES)
    return answer(
        {
            "success": response.completion == COMPLETION_COMPLETE,
            "containerTag": tag,
            "deletedDocumentsCount": response.deleted_document_count,
            "deletedMemoriesCount": response.deleted_memory_count,
        }
    )


async def _refuse(_calls: Calls, _request: HttpRequest) -> HttpAnswer:
    raise not_supported("Settings of container tags")


async def _refuse_merge(_calls: Calls, _request: HttpRequest) -> HttpAnswer:
    raise not_supported("Merges of container tags")


ENDPOINTS: Final = (
    Endpoint("GET", "/v3/container-tags/list", _list, writes=False),
    Endpoint("POST", "/v3/container-tags/merge", _refuse_merge, writes=True),
    Endpoint("GET", "/v3/container-tags/{containerTag}", _get, writes=False),
    Endpoint("PATCH", "/v3/container-tags/{containerTag}", _refuse, writes=True),
    Endpoint("DELETE", "/v3/container-tags/{containerTag}", _delete, writes=True),
)
