"""Two servers on one database: each finds at once what the other wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from palimpsest.v1 import containers_pb2 as c
from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from tests.client import struct
from tests.finding.lab import Lab, laboratory, where
from tests.inprocess import ManualClock


@pytest_asyncio.fixture
async def other(lab: Lab, directory: Path, clock: ManualClock) -> AsyncIterator[Lab]:
    listen = f"unix:{directory / 'two'}"
    async with laboratory(directory, clock, embedder="words:a", listen=listen) as made:
        yield made


async def test_memories_of_another_server(lab: Lab, other: Lab, clock: ManualClock) -> None:
    memories = other.client.memories
    assert await lab.contents("quinces") == []
    (made,) = await other.client.remember("Ann likes quinces")
    assert await lab.contents("quinces") == ["Ann likes quinces"]
    updated = await memories.UpdateMemory(
        m.UpdateMemoryRequest(
            id=made.id, new_content="Ann likes medlars", metadata=struct({"k": "v"})
        )
    )
    marked = where("k", "v")
    assert await lab.contents("quinces", filter=marked) == ["Ann likes medlars"]
    await memories.ForgetMemory(m.ForgetMemoryRequest(id=updated.receipt.id))
    assert await lab.contents("quinces", filter=marked) == []
    await memories.RestoreMemory(
        m.RestoreMemoryRequest(id=updated.receipt.id, forget_after=clock.stamp(60))
    )
    assert await lab.contents("quinces", filter=marked) == ["Ann likes medlars"]
    clock.advance(61)
    assert await lab.contents("quinces", filter=marked) == []
    await other.service.store.sweep()
    assert await lab.contents("quinces") == []
    await memories.DeleteMemory(m.DeleteMemoryRequest(id=made.id))
    assert await lab.contents("quinces", include_forgotten=True, include_history=True) == []


async def test_documents_of_another_server(lab: Lab, other: Lab) -> None:
    documents, marked = other.client.documents, where("k", "v")
    assert await lab.texts("quinces", container_tags=["x"]) == []
    assert await lab.texts("quinces", container_tags=["x"], filter=marked) == []
    await other.client.put("quinces", custom_id="a", container_tags=["x", "y"], wait=True)
    assert await lab.texts("quinces", container_tags=["x"]) == ["quinces"]
    await documents.UpdateDocument(d.UpdateDocumentRequest(id="a", metadata=struct({"k": "v"})))
    assert await lab.texts("quinces", container_tags=["x"], filter=marked) == ["quinces"]
    await documents.UpdateDocument(d.UpdateDocumentRequest(id="a", container_tags=["y", "z"]))
    found = [await lab.texts("quinces", container_tags=[tag]) for tag in "xyz"]
    assert found == [[], ["quinces"], ["quinces"]]
    await other.client.put("more quinces", custom_id="a", wait=True)
    assert await lab.texts("quinces", container_tags=["z"]) == ["more quinces"]
    await other.client.put("quinces too", custom_id="b", container_tags=["z"], wait=True)
    await other.client.containers.DeleteContainer(c.DeleteContainerRequest(container_tag="z"))
    found = [await lab.texts("quinces", container_tags=[tag]) for tag in "xyz"]
    assert found == [[], ["more quinces"], []]
    await documents.DeleteDocument(d.DeleteDocumentRequest(id="a"))
    assert await lab.texts("quinces", container_tags=["y"]) == []
    assert lab.check() == []


async def test_waiting_and_watching_see_what_another_server_does(
    lab: Lab, directory: Path, clock: ManualClock
) -> None:
    listen = f"unix:{directory / 'three'}"
    async with laboratory(directory, clock, embedder="words:a", listen=listen, workers=0) as idle:
        receipt = await idle.client.put("quinces", custom_id="a", wait=True)
        assert receipt.status == d.DOCUMENT_STATUS_DONE
        assert await idle.texts("quinces") == ["quinces"]
