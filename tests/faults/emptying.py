"""A disk that is full stays so, and is emptied through the service."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

from palimpsest.v1 import common_pb2
from palimpsest.v1 import containers_pb2 as c
from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from service.settings import database_path
from tests.faults.disks import TinyDisk, tiny_disk
from tests.faults.load import Line, line
from tests.tally import Tally

FLOOD = 500_000
"""Bytes of each document that fills the disk: several of them are more than the reserve."""

SMALL = 200
REFUSALS = 20
RECOVERY_SECONDS = 20.0
STORAGE_FULL = "STORAGE_FULL"


async def full_disk_emptied(folder: Path, rounds: int, seed: int, tally: Tally) -> None:
    """Disks that run full and are emptied by deletions alone, and one by scrubbing."""
    with tiny_disk(folder) as disk:
        for number in range(1, rounds + 1):
            with tally.collecting(f"emptying, seed {seed}, round {number}"):
                await _round(disk, tally, number)
            tally.faults += 1
            tally.round_done()
            if tally.findings:
                break
        tally.findings.extend(f"emptying, seed {seed}, check: {fault}" for fault in disk.check())


async def _round(disk: TinyDisk, tally: Tally, number: int) -> None:
    async with line(disk.server) as connection:
        memories = await _fill(connection, number)
        disk.fill()
        try:
            await _refused(connection)
            await _read(disk, connection)
            await _delete(connection, memories)
            await _written_again(connection, number)
            await _scrubbed(disk, connection)
        finally:
            disk.free()
        tally.operations += SMALL


async def _fill(connection: Line, number: int) -> list[str]:
    """Much in the container `flood` and little in others, until there is no room."""
    items = [
        d.UpsertDocumentRequest(
            content=f"small {number} {i}", custom_id=f"small {i}", container_tags=["small"]
        )
        for i in range(SMALL)
    ]
    await connection.ask(d.BatchUpsertDocumentsRequest(items=items))
    new = [m.NewMemory(content=f"memory {number} {i}") for i in range(3)]
    made = await connection.ask(m.CreateMemoriesRequest(container_tag="notes", memories=new))
    for count in range(200):
        words = f"w{count} " * (FLOOD // 5)
        write = d.UpsertDocumentRequest(
            content=words, custom_id=f"flood {count}", container_tags=["flood"]
        )
        answer = await connection.send(write)
        if not answer.ok:
            assert answer.reason == STORAGE_FULL, answer
            return [receipt.id for receipt in made.receipts]
    raise AssertionError("the disk does not fill up")


async def _refused(connection: Line) -> None:
    """What adds is refused for good, and does not use the room that deletions have."""
    refused = count = 0
    while refused < REFUSALS:
        count += 1
        assert count < 200, "the disk does not stay full"
        write = d.UpsertDocumentRequest(
            content="w " * (FLOOD // 2), custom_id=f"more {count}", container_tags=["flood"]
        )
        answer = await connection.send(write)
        # The log gave back some room until then.
        refused = 0 if answer.ok else refused + 1
        if not answer.ok:
            assert answer.reason == STORAGE_FULL, answer
            read = await connection.send(d.GetDocumentRequest(id=f"more {count}"))
            assert read.code == "NOT_FOUND", read


async def _read(disk: TinyDisk, connection: Line) -> None:
    """Reads of every kind go on, and keys are revoked."""
    read = await connection.ask(d.GetDocumentRequest(id="flood 1"))
    assert read.document.content.startswith("w1 ")
    listed = await connection.ask(d.ListDocumentsRequest(container_tags=["flood"]))
    assert len(listed.documents) > 10
    found = await connection.ask(
        m.SearchMemoriesRequest(container_tags=["notes"], query="memory 1")
    )
    assert found.hits
    other = Line(connection.channel, "pal_" + "0" * 12 + "_" + "0" * 44)
    assert (await other.send(d.GetDocumentRequest(id="small 1"))).code == "UNAUTHENTICATED"
    revoked = disk.run("keys", "revoke", "nobodys")
    assert "no key nobodys is in force" in revoked.stderr, revoked


async def _delete(connection: Line, memories: list[str]) -> None:
    """Every kind of deletion goes through, and more is deleted than the reserve holds."""
    await connection.ask(d.DeleteDocumentRequest(id="flood 0"))
    names = [f"flood {i}" for i in range(1, 31)]
    request = d.BulkDeleteDocumentsRequest(ids=[*names, "not there"], request_id=str(uuid.uuid4()))
    done = await connection.ask(request)
    assert (done.deleted_count, done.completion) == (30, common_pb2.COMPLETION_COMPLETE), done
    assert [error.index for error in done.errors] == [30], done
    assert await connection.ask(request) == done
    await connection.ask(m.DeleteMemoryRequest(container_tag="notes", id=memories[0]))
    done = await connection.ask(d.BulkDeleteDocumentsRequest(container_tags=["small"]))
    assert done.deleted_count == SMALL
    for tag in ("flood", "notes"):
        gone = await connection.ask(c.DeleteContainerRequest(container_tag=tag))
        assert gone.container_deleted


async def _written_again(connection: Line, number: int) -> None:
    """Pages that deletions freed are written again, though the disk is full as before."""
    deadline = asyncio.get_running_loop().time() + RECOVERY_SECONDS
    for count in range(5):
        write = d.UpsertDocumentRequest(
            content=f"again {number} {count} " + "a" * 20_000, custom_id=f"again {count}"
        )
        while not (answer := await connection.send(write)).ok:
            assert answer.reason == STORAGE_FULL, answer
            assert asyncio.get_running_loop().time() < deadline, "nothing is written again"
            await asyncio.sleep(0.05)


async def _scrubbed(disk: TinyDisk, connection: Line) -> None:
    """The file is rewritten while the disk is full, and gives back what it does not need."""
    done = disk.run("scrub")
    assert done.returncode == 0, done.stderr
    database = database_path(disk.server.data_dir)
    assert database.stat().st_size < 2_000_000
    read = await connection.ask(d.GetDocumentRequest(id="again 1"))
    assert read.document.content.startswith("again ")
