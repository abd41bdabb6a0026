"""How many files of the service a request enters: `python -m tests.entered_files`.

A measure of how far apart the code of one operation lies. The service runs in this process, in
threads of its own; a profiler notes each file of `service/` in which a function is called.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Any

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from tests.client import Client, connected
from tests.inprocess import ManualClock, running_service
from tests.waiting import until

SERVICE = str(Path(__file__).parents[1] / "service")


class Profiler:
    """The files in which functions were called while it was switched on."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.on = False

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if self.on and event == "call":
            name = frame.f_code.co_filename
            if name.startswith(SERVICE):
                self.files.add(name.removeprefix(SERVICE + "/"))


async def measure(profiler: Profiler, directory: Path) -> dict[str, set[str]]:
    """The files that each kind of request enters, when it comes a second time."""
    entered: dict[str, set[str]] = {}
    async with (
        running_service(directory, ManualClock(), workers=1) as service,
        connected(service.address, service.create_key()) as client,
    ):
        document = await client.put("The harbour closes at noon.", custom_id="one")
        (memory,) = await client.remember("The harbour closes at noon.")
        latest = [memory.id]

        async def noted(name: str, request: Callable[[], Awaitable[Any]]) -> None:
            await request()
            await asyncio.sleep(1.5)  # what goes on behind a request ends meanwhile
            profiler.files.clear()
            profiler.on = True
            await request()
            profiler.on = False
            entered[name] = set(profiler.files)

        await noted("GetDocument", lambda: client.get(document.id))
        await noted("UpsertDocument, to the answer", lambda: upsert(client))
        await noted("UpdateMemory", lambda: update(client, latest))
        await noted("SearchMemories", lambda: search(client))
        await noted("UpsertDocument, to DONE", lambda: processed(client))
    return entered


numbers = iter(range(1_000))


async def upsert(client: Client) -> str:
    request = d.UpsertDocumentRequest(content=f"Gate {next(numbers)} is open.", custom_id="two")
    return (await client.documents.UpsertDocument(request)).receipt.id


async def processed(client: Client) -> None:
    name = await upsert(client)

    async def done() -> bool:
        return (await client.get(name)).status == d.DOCUMENT_STATUS_DONE

    await until(done)


async def update(client: Client, latest: list[str]) -> None:
    text = f"The harbour closes at {next(numbers)}."
    request = m.UpdateMemoryRequest(id=latest[-1], new_content=text)
    latest.append((await client.memories.UpdateMemory(request)).receipt.id)


async def search(client: Client) -> None:
    await client.memories.SearchMemories(m.SearchMemoriesRequest(query="when does it close"))


def main() -> None:
    profiler = Profiler()
    threading.setprofile(profiler)
    sys.setprofile(profiler)
    with tempfile.TemporaryDirectory() as directory:
        entered = asyncio.run(measure(profiler, Path(directory)))
    for name, files in entered.items():
        sys.stdout.write(f"{name}: {len(files)} files\n")
        if "--names" in sys.argv:
            sys.stdout.writelines(f"    {file}\n" for file in sorted(files))


if __name__ == "__main__":
    main()
