"""A database with texts of every kind, written by the service, of which each test has a copy."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from palimpsest.v1.documents_pb2 import AppendMessagesRequest, ContentKind, ConversationMessage
from palimpsest.v1.memories_pb2 import ForgetMemoryRequest, NewMemory, TemporalContext
from service.storage.sqlite.administration import SqliteAdministration
from tests.client import connected, struct
from tests.inprocess import ManualClock, running_service

TEXTS = {
    name: f"zq{name.replace(' ', '')}zq"
    for name in (
        "content of a document",
        "custom id",
        "title",
        "heading",
        "metadata of a document",
        "container",
        "speaker",
        "message",
        "content of a memory",
        "metadata of a memory",
        "schedule reason",
        "forget reason",
        "key label",
        "key container",
        "tenant name",
    )
}
"""What stands in the database, each text for one kind."""

EVENT = "2031-05-06T07:08:09Z"
FILLERS = 60


async def _write(folder: Path) -> None:
    clock = ManualClock()
    async with running_service(folder, clock, workers=1) as service:
        key = service.create_key(tenant=TEXTS["tenant name"])
        async with connected(service.address, key) as client:
            await client.put(
                f"# {TEXTS['heading']}\n\nThe {TEXTS['content of a document']} is here.",
                content_kind=ContentKind.CONTENT_KIND_MARKDOWN,
                custom_id=TEXTS["custom id"],
                title=TEXTS["title"],
                metadata={"key": TEXTS["metadata of a document"]},
                container_tags=[TEXTS["container"]],
                wait=True,
            )
            await client.documents.AppendMessages(
                AppendMessagesRequest(
                    id="talk",
                    create_if_missing=True,
                    messages=[ConversationMessage(speaker=TEXTS["speaker"], text=TEXTS["message"])],
                    wait=True,
                )
            )
            for number in range(FILLERS):
                await client.put(f"{number} " + "filler " * 200, custom_id=f"filler {number}")
            first, _ = await client.remember(
                NewMemory(
                    content=TEXTS["content of a memory"],
                    metadata=struct({"key": TEXTS["metadata of a memory"]}),
                    temporal_context=TemporalContext(event_dates=[EVENT]),
                ),
                NewMemory(
                    content="a short one",
                    forget_after=clock.stamp(86_400),
                    forget_reason=TEXTS["schedule reason"],
                ),
            )
            await client.memories.ForgetMemory(
                ForgetMemoryRequest(id=first.id, reason=TEXTS["forget reason"])
            )
        service.backend.create_key(
            TEXTS["tenant name"],
            label=TEXTS["key label"],
            containers=[TEXTS["key container"]],
            read_only=True,
        )


@pytest.fixture(scope="session")
def written() -> Iterator[Path]:
    """The data folder that the service left; not to be changed."""
    with tempfile.TemporaryDirectory(prefix="palimpsest-") as name:
        folder = Path(name) / "data"
        asyncio.run(_write(folder))
        # Without copies of rows that were moved, in which a flipped byte would harm nothing.
        SqliteAdministration(folder / "palimpsest.db").scrub(lambda _: None)
        (folder / "socket").unlink(missing_ok=True)
        yield folder


@pytest.fixture
def data(written: Path, tmp_path: Path) -> Path:
    """A copy of that folder."""
    return shutil.copytree(written, tmp_path / "data")


@pytest.fixture
def database(data: Path) -> Path:
    return data / "palimpsest.db"
