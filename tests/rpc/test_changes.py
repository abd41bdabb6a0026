"""ListChanges: every change once, in commit order, as far as the key may see it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from grpc import StatusCode

from palimpsest.v1 import changes_pb2 as pb
from palimpsest.v1.containers_pb2 import DeleteContainerRequest
from palimpsest.v1.documents_pb2 import (
    BatchUpsertDocumentsRequest,
    BulkDeleteDocumentsRequest,
    DeleteDocumentRequest,
    UpdateDocumentRequest,
    UpsertDocumentRequest,
)
from palimpsest.v1.memories_pb2 import (
    DeleteMemoryRequest,
    ForgetMemoryRequest,
    NewMemory,
    RestoreMemoryRequest,
    UpdateMemoryRequest,
)
from service.rpc.access import CHANGE_BYTES
from service.storage.changes import lists
from tests.client import Client, refused
from tests.inprocess import ManualClock, Service
from tests.rpc.conftest import Connect


async def feed(client: Client, **fields: Any) -> list[pb.Change]:
    """All changes, page by page."""
    request, found = pb.ListChangesRequest(**fields), list[pb.Change]()
    while True:
        page = await client.changes.ListChanges(request)
        revisions = [change.revision for change in page.changes]
        assert revisions == sorted(set(revisions))
        bounds = [request.after_revision + 1, *revisions, page.revision]
        assert bounds == sorted(bounds) or (not revisions and page.revision >= bounds[0] - 1)
        found.extend(page.changes)
        if page.revision == page.latest_revision:
            return found
        assert page.revision > request.after_revision
        request.after_revision = page.revision


def kinds(changes: list[pb.Change]) -> list[str]:
    return [pb.ChangeKind.Name(change.kind).removeprefix("CHANGE_KIND_") for change in changes]


@pytest.mark.parametrize("page_size", [0, 1, 3])
async def test_what_is_done_is_listed_in_order(
    client: Client, clock: ManualClock, service: Service, page_size: int
) -> None:
    request_id = str(uuid.uuid4())
    document = await client.put(container_tags=["b", "a"], request_id=request_id)
    await client.documents.UpdateDocument(UpdateDocumentRequest(id=document.id, title="t"))
    soon = NewMemory(content="two", forget_after=clock.stamp(60))
    one, two = await client.remember("one", soon)
    updated = await client.memories.UpdateMemory(UpdateMemoryRequest(id=one.id, new_content="uno"))
    new = updated.receipt.id
    await client.memories.ForgetMemory(ForgetMemoryRequest(id=new))
    await client.memories.RestoreMemory(RestoreMemoryRequest(id=new))
    clock.advance(120)
    await service.store.sweep()
    await client.memories.DeleteMemory(DeleteMemoryRequest(id=new))
    await client.documents.DeleteDocument(DeleteDocumentRequest(id=document.id))
    await client.containers.DeleteContainer(DeleteContainerRequest(container_tag="a"))

    found = await feed(client, page_size=page_size)

    assert kinds(found) == [
        "DOCUMENT_CREATED",
        "DOCUMENT_UPDATED",
        "MEMORY_CREATED",
        "MEMORY_CREATED",
        "MEMORY_UPDATED",
        "MEMORY_FORGOTTEN",
        "MEMORY_RESTORED",
        "MEMORY_EXPIRED",
        "MEMORY_DELETED",
        "DOCUMENT_DELETED",
        "CONTAINER_DELETED",
    ]
    assert [change.revision for change in found] == list(range(1, 12))
    ids = [document.id, document.id, one.id, two.id, new, new, new, two.id]
    assert [change.id for change in found[:8]] == ids
    assert found[9].id == document.id
    first = found[0]
    # A deleted container's tag is soon replaced by a digest.
    gone = found[10].id
    assert gone == "a" or gone.startswith("~")
    assert set(first.container_tags) in ({"a", "b"}, {"b", gone})
    assert first.request_id == request_id
    assert first.revision == document.revision
    assert first.time.ToMicroseconds() > 0
    assert [change.time.ToMicroseconds() for change in found] == sorted(
        change.time.ToMicroseconds() for change in found
    )
    # The sweep is the service's own.
    assert [bool(change.key_id) for change in found] == [i != 7 for i in range(11)]


async def test_an_empty_tenant_has_no_changes(client: Client) -> None:
    page = await client.changes.ListChanges(pb.ListChangesRequest())
    assert page == pb.ListChangesResponse(oldest_revision=1)


async def test_containers_and_kinds_are_chosen(client: Client) -> None:
    for tag in ("a", "b", "c"):
        await client.put(container_tags=[tag])
        await client.remember("x", container=tag)
    shared = await client.put(container_tags=["a", "b", "c"])

    chosen = await feed(client, container_tags=["c", "a"], page_size=2)
    assert [list(change.container_tags) for change in chosen] == [
        ["a"],
        ["a"],
        ["c"],
        ["c"],
        ["a", "c"],
    ]
    memories = [pb.CHANGE_KIND_MEMORY_CREATED]
    assert [list(c.container_tags) for c in await feed(client, kinds=memories)] == [
        ["a"],
        ["b"],
        ["c"],
    ]
    of_b = await feed(client, kinds=[pb.CHANGE_KIND_DOCUMENT_CREATED], container_tags=["b"])
    assert [change.id for change in of_b][1:] == [shared.id]
    assert await feed(client, container_tags=["none"]) == []


async def test_a_limited_key_sees_its_own_containers(client: Client, connect: Connect) -> None:
    await client.put(container_tags=["a", "b"])
    await client.put(container_tags=["b"])
    await client.remember("x", container="a")

    async with connect(containers=["a"]) as limited:
        found = await feed(limited)
        assert [(c.revision, list(c.container_tags)) for c in found] == [(1, ["a"]), (3, ["a"])]
        assert await feed(limited, container_tags=["a"]) == found
        with refused(StatusCode.PERMISSION_DENIED, "CONTAINER_NOT_ALLOWED"):
            await limited.changes.ListChanges(pb.ListChangesRequest(container_tags=["a", "b"]))
    # So many that they are found among all changes.
    async with connect(containers=[*map(str, range(lists.MOST_BRANCHES)), "a"]) as limited:
        assert await feed(limited, page_size=1) == found


async def test_what_has_left_a_container_says_so(client: Client) -> None:
    await client.put(custom_id="c", container_tags=["a", "b"])
    await client.documents.BulkDeleteDocuments(BulkDeleteDocumentsRequest(container_tags=["a"]))

    of_a, of_b = [await feed(client, container_tags=[tag]) for tag in ("a", "b")]

    assert kinds(of_a) == kinds(of_b) == ["DOCUMENT_CREATED", "DOCUMENT_UPDATED"]
    await client.documents.DeleteDocument(DeleteDocumentRequest(id="c"))
    assert await feed(client, container_tags=["a"]) == of_a
    assert kinds(await feed(client, container_tags=["b"]))[2:] == ["DOCUMENT_DELETED"]


@pytest.mark.parametrize("redacted", [False, True])
async def test_a_deleted_containers_changes_are_found_by_its_tag(
    client: Client, connect: Connect, service: Service, redacted: bool
) -> None:
    await client.put(container_tags=["a"])
    await client.containers.DeleteContainer(DeleteContainerRequest(container_tag="a"))
    await client.put(container_tags=["a"])
    if redacted:
        await service.store.redact()

    named = await feed(client, container_tags=["a"])
    async with connect(containers=["a"]) as limited:
        assert await feed(limited) == named
    assert kinds(named)[:3] == ["DOCUMENT_CREATED", "DOCUMENT_DELETED", "CONTAINER_DELETED"]
    assert {tag for change in named for tag in change.container_tags} == {"a"}
    assert [c.id for c in named if c.kind == pb.CHANGE_KIND_CONTAINER_DELETED] == ["a"]
    tags = [change.container_tags[0] for change in await feed(client)]
    assert [tag.startswith("~") for tag in tags] == [redacted] * 3 + [False]


async def test_a_page_of_many_rows_ends_between_revisions(client: Client) -> None:
    tags = [f"t{i}" for i in range(20)]
    items = [UpsertDocumentRequest(content="x", container_tags=tags) for _ in range(300)]
    await client.documents.BatchUpsertDocuments(BatchUpsertDocumentsRequest(items=items))

    for size in (1, 7, 1000):
        found = await feed(client, page_size=size)
        assert [change.revision for change in found] == list(range(1, 301))
        assert all(sorted(change.container_tags) == sorted(tags) for change in found)


async def test_a_page_of_changes_in_many_containers_has_fewer(client: Client) -> None:
    tags = [f"{number:0100}" for number in range(20)]
    items = [UpsertDocumentRequest(content="x", container_tags=tags) for _ in range(60)]
    await client.documents.BatchUpsertDocuments(BatchUpsertDocumentsRequest(items=items))

    page = await client.changes.ListChanges(pb.ListChangesRequest(page_size=50))

    assert 1 < len(page.changes) < 50
    assert page.revision == page.changes[-1].revision
    assert page.ByteSize() < 2 * 50 * CHANGE_BYTES
    for size in (1, 50):
        found = await feed(client, page_size=size)
        assert [change.revision for change in found] == list(range(1, 61))
        assert all(sorted(change.container_tags) == tags for change in found)


async def test_a_filtered_page_ends_after_so_many_rows(client: Client) -> None:
    tags = [f"t{i}" for i in range(20)]
    items = [UpsertDocumentRequest(content="x", container_tags=tags) for _ in range(600)]
    for _ in range(2):
        await client.documents.BatchUpsertDocuments(BatchUpsertDocumentsRequest(items=items))
    await client.remember("x")
    memories = [pb.CHANGE_KIND_MEMORY_CREATED]

    page = await client.changes.ListChanges(pb.ListChangesRequest(kinds=memories))

    assert len(page.changes) == 0
    assert 0 < page.revision < page.latest_revision == 1201
    assert [change.revision for change in await feed(client, kinds=memories)] == [1201]


async def test_a_revision_that_is_yet_to_come_is_out_of_range(client: Client) -> None:
    await client.put()
    page = await client.changes.ListChanges(pb.ListChangesRequest(after_revision=1))
    assert (page.revision, page.latest_revision) == (1, 1)
    with refused(StatusCode.OUT_OF_RANGE, "REVISION_AHEAD") as refusal:
        await client.changes.ListChanges(pb.ListChangesRequest(after_revision=2))
    assert refusal.info.metadata["latest_revision"] == "1"


async def test_tenants_see_their_own(client: Client, connect: Connect) -> None:
    await client.put()
    async with connect(tenant="other") as other:
        assert await feed(other) == []
        theirs = await other.put()
        assert [change.id for change in await feed(other)] == [theirs.id]


async def test_what_the_index_does_is_not_shown(client: Client, service: Service) -> None:
    await client.put()
    page = await client.changes.ListChanges(pb.ListChangesRequest())
    assert kinds(list(page.changes)) == ["DOCUMENT_CREATED"]
    assert lists.SHOWN.isdisjoint({"document.indexed", "memory.indexed"})
    numbers = {value for value in pb.ChangeKind.values() if value}
    assert len(numbers) == len(lists.SHOWN)
