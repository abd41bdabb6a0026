"""Deleting containers tells which documents only leave them."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import TypeAlias

import pytest

from palimpsest.v1 import common_pb2 as common
from palimpsest.v1 import containers_pb2 as c
from palimpsest.v1 import documents_pb2 as d
from service.core import model as m
from service.storage.containers import purges
from tests.client import Client
from tests.inprocess import Service
from tests.rpc.conftest import Connect

Receipt: TypeAlias = m.BulkDeleteReceipt | m.ContainerDeleteReceipt
Delete: TypeAlias = Callable[
    [Service, m.Principal, m.IdempotencyKey, float | None], Awaitable[Receipt]
]


def delete_container(
    service: Service, principal: m.Principal, request: m.IdempotencyKey, budget: float | None
) -> Awaitable[Receipt]:
    return service.store.containers.delete(
        principal, "old", request, validate_only=False, allow_missing=False, budget=budget
    )


def delete_documents(
    service: Service, principal: m.Principal, request: m.IdempotencyKey, budget: float | None
) -> Awaitable[Receipt]:
    return service.store.containers.delete_documents(
        principal, ["old"], request, validate_only=False, budget=budget
    )


async def test_a_deletion_and_its_preview_tell_what_is_detached(client: Client) -> None:
    kept = [await client.put(container_tags=[tag, "z"]) for tag in ("a", "b", "a")]
    await client.put(container_tags=["a", "b"])
    await client.put(container_tags=["z"])
    expected = [kept[0].id, kept[2].id, kept[1].id]

    for preview in (True, False):
        answer = await client.documents.BulkDeleteDocuments(
            d.BulkDeleteDocumentsRequest(container_tags=["a", "b"], validate_only=preview)
        )
        assert (answer.deleted_count, answer.detached_count) == (1, 3)
        assert list(answer.detached_ids) == expected
    for preview in (True, False):
        gone = await client.containers.DeleteContainer(
            c.DeleteContainerRequest(container_tag="z", validate_only=preview)
        )
        assert (gone.deleted_document_count, list(gone.detached_ids)) == (4, [])


async def test_a_limited_key_is_told_what_left_its_container(
    client: Client, connect: Connect
) -> None:
    shared = await client.put(container_tags=["a", "secret"])
    await client.put(container_tags=["secret", "more"])
    async with connect(containers=["a"]) as limited:
        for preview in (True, False):
            answer = await limited.containers.DeleteContainer(
                c.DeleteContainerRequest(container_tag="a", validate_only=preview)
            )
            assert list(answer.detached_ids) == [shared.id]


async def test_what_is_left_of_the_containers_keeps_its_order(client: Client) -> None:
    made = await client.put(container_tags=["z", "b", "y", "a"])
    await client.documents.BulkDeleteDocuments(d.BulkDeleteDocumentsRequest(container_tags=["b"]))
    assert (await client.get(made.id)).container_tags == ["z", "y", "a"]


async def test_by_ids_nothing_is_detached(client: Client) -> None:
    made = await client.put(container_tags=["a", "b"])
    answer = await client.documents.BulkDeleteDocuments(d.BulkDeleteDocumentsRequest(ids=[made.id]))
    assert answer.completion == common.COMPLETION_COMPLETE
    assert (answer.deleted_count, list(answer.detached_ids)) == (1, [])


@pytest.mark.parametrize("delete", [delete_container, delete_documents])
async def test_a_continued_deletion_goes_on_with_its_list(service: Service, delete: Delete) -> None:
    store = service.store
    principal = m.Principal(await store.ensure_tenant("detaching"), "test")
    shared = {round(i * purges.STEP / 40) for i in range(60)}  # Over more than one step.
    writes = [
        m.DocumentWrite(f"text {i}", containers=("old", "new") if i in shared else ("old",))
        for i in range(2 * purges.STEP)
    ]
    made = (await store.documents.batch_upsert(principal, writes, None)).outcomes
    expected = tuple(
        one.id for i, one in enumerate(made) if i in shared and isinstance(one, m.DocumentReceipt)
    )
    preview = await store.containers.delete_documents(
        principal, ["old"], None, validate_only=True, budget=None
    )
    assert preview.detached_ids == expected

    request = m.IdempotencyKey(str(uuid.uuid4()), b"the same request")
    told = []
    for budget in (0, 0, None, None):
        receipt = await delete(service, principal, request, budget)
        told.append(receipt.detached_ids)
    assert receipt.complete
    assert receipt.detached == len(shared)
    assert 0 < len(told[0]) < len(expected)
    assert all(later[: len(sooner)] == sooner for sooner, later in pairwise(told))
    assert told[-1] == told[-2] == expected


async def test_only_the_first_hundred_are_told(service: Service) -> None:
    store = service.store
    principal = m.Principal(await store.ensure_tenant("many"), "test")
    writes = [m.DocumentWrite(f"text {i}", containers=("old", "new")) for i in range(150)]
    made = (await store.documents.batch_upsert(principal, writes, None)).outcomes
    expected = tuple(one.id for one in made[:100] if isinstance(one, m.DocumentReceipt))
    for preview in (True, False):
        receipt = await store.containers.delete(
            principal, "old", None, validate_only=preview, allow_missing=False, budget=None
        )
        assert (receipt.detached, receipt.detached_ids) == (150, expected)
