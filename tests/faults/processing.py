"""kill -9 at random moments with thousands of documents in the queue."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1.documents_pb2_grpc import DocumentsStub
from service.core.model import ContentKind, DocumentWrite, Principal, Status
from service.storage.schema import DEFAULT_TENANT
from tests.backends.base import Backend
from tests.backends.selection import backend_of
from tests.harness import Server, start_server
from tests.tally import Tally
from tests.waiting import HANG_SECONDS

DOCUMENTS = 2_000
BATCH = 500
KILLS = 1
"""In one round, before the queue is let run empty."""

# Processing keeps its own word for what is left, so no server is asked for it.
_LEFT = "SELECT count(*) AS number FROM jobs"
_STATES = "SELECT status, count(*) AS documents FROM documents GROUP BY status"
# For each document: how often its last write was processed, and its chunks.
_RESULTS = """
    SELECT d.custom_id, d.status,
      (SELECT count(DISTINCT h.revision) FROM changes h
       WHERE h.tenant = d.tenant AND h.entity_id = d.id AND h.revision > d.revision
       AND h.kind = 'document.processed') AS processed
    FROM documents d"""
_CHUNKS = """
    SELECT d.custom_id, k.position, k.chunk_id, k.text, k.vector IS NOT NULL AS embedded
    FROM chunks k LEFT JOIN documents d ON d.tenant = k.tenant AND d.id = k.document_id
    ORDER BY d.custom_id, k.position"""


def sections(number: int, version: int) -> list[str]:
    """What a document's chunks are to say; the first stays in every version."""
    return [
        f"Note {number}\n\nThis part of note{number} stays as it is.",
        f"Version {version}\n\nThe word{number}v{version} is of this version alone.",
    ]


async def fill(backend: Backend, version: int) -> None:
    """Write every document anew, so that all of them wait."""
    store = await backend.open()
    try:
        principal = Principal(await store.ensure_tenant(DEFAULT_TENANT), "test")
        for first in range(0, DOCUMENTS, BATCH):
            writes = [
                DocumentWrite(
                    "\n\n".join(f"# {section}" for section in sections(number, version)),
                    f"n{number:04}",
                    (f"box{number % 7}",),
                    kind=ContentKind.MARKDOWN,
                )
                for number in range(first, first + BATCH)
            ]
            await store.documents.batch_upsert(principal, writes, None)
    finally:
        await store.close()


def judge(rows: Sequence[Any], chunks: Sequence[Any], version: int) -> list[str]:
    """What is not as it is to be when the queue is empty."""
    findings = [
        f"{row.custom_id} has status {row.status} and was processed {row.processed} times"
        for row in rows
        if (row.status, row.processed) != (Status.DONE, 1)
    ]
    if len(rows) != DOCUMENTS:
        findings.append(f"there are {len(rows)} documents")
    found: dict[str, list[str]] = {}
    for row in chunks:
        found.setdefault(row.custom_id, []).append(row.text.decode())
        if not row.embedded:
            findings.append(f"chunk {row.position} of {row.custom_id} has no vector")
    findings.extend(
        f"n{number:04} has the chunks {found.get(f'n{number:04}')}"
        for number in range(DOCUMENTS)
        if found.get(f"n{number:04}") != sections(number, version)
    )
    return findings


async def processing_rounds(data_dir: Path, rounds: int, seed: int, tally: Tally) -> None:
    """So many times a full queue, and servers that are killed over it."""
    chance = random.Random(seed)
    kept: dict[str, str] = {}
    backend = backend_of(data_dir)
    data_dir.mkdir(mode=0o700)  # noqa: ASYNC240  (once)
    for number in range(1, rounds + 1):
        await fill(backend, number)
        for _ in range(KILLS):
            server = start_server(data_dir, "--lease", "1")
            await _kill_at(server, chance.randrange(DOCUMENTS), chance.uniform(0, 0.05))
            tally.faults += 1
            found = backend.check()
            tally.findings.extend(f"seed {seed}, round {number}, check: {one}" for one in found)
        server = start_server(data_dir, "--lease", "1")
        try:
            with tally.collecting(f"seed {seed}, round {number}"):
                await _until_left(backend, 0)
                await _search(server, chance.randrange(DOCUMENTS), number)
        finally:
            server.kill()
        chunks = backend.rows(_CHUNKS)
        findings = judge(backend.rows(_RESULTS), chunks, number)
        firsts = {row.custom_id: row.chunk_id for row in chunks if row.position == 0}
        if kept and firsts != kept:
            findings.append("chunks whose text stayed have new ids")
        kept = firsts
        findings += backend.check()
        tally.findings.extend(f"seed {seed}, round {number}: {one}" for one in findings[:20])
        tally.operations += DOCUMENTS
        tally.round_done()
        if tally.findings:
            break


async def _kill_at(server: Server, left: int, later: float) -> None:
    """Kill when no more documents than this are left, and a little later."""
    try:
        await _until_left(server.backend, left)
        await asyncio.sleep(later)
    finally:
        server.kill()


async def _until_left(backend: Backend, left: int) -> None:
    def states() -> str:
        return ", ".join(f"{row.documents} in {row.status}" for row in backend.rows(_STATES))

    least, deadline = DOCUMENTS, time.monotonic() + HANG_SECONDS
    while (now := backend.rows(_LEFT)[0].number) > left:
        if now < least:
            least, deadline = now, time.monotonic() + HANG_SECONDS
        assert time.monotonic() < deadline, f"{now} wait: {states()}"
        await asyncio.sleep(0.005)


async def _search(server: Server, number: int, version: int) -> None:
    """The new text is found, and the old is not."""
    metadata = (("authorization", f"Bearer {server.key}"),)
    async with grpc.aio.insecure_channel(server.address) as channel:
        documents = DocumentsStub(channel)
        request = d.SearchDocumentsRequest(
            query=f"word{number}v{version} word{number}v{version - 1}",
            container_tags=[f"box{number % 7}"],
            limit=1,
        )
        answer = await documents.SearchDocuments(request, metadata=metadata)
        (hit,) = answer.hits
        assert [chunk.chunk.text for chunk in hit.chunks] == [sections(number, version)[1]]
