"""Nothing is executed from the folder that the service is started in."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from service.processes import search_worker
from tests.client import connected
from tests.finding.children import children_of
from tests.system.process import PALIMPSEST, clean_environment, serving
from tests.waiting import until

MODULES = ("click", "numpy", "pydantic", "pickle", "shlex", "structlog", "sitecustomize")


def lay_traps(folder: Path, *, package: bool) -> Path:
    """Modules that leave a mark when they are executed; the mark."""
    mark = folder / "executed"
    trap = f"open({str(mark)!r}, 'a').write(__name__)\n"
    for name in MODULES:
        (folder / f"{name}.py").write_text(trap)
    if package:
        for name in ("service", "palimpsest"):
            (folder / name).mkdir()
            (folder / name / "__init__.py").write_text(trap)
    return mark


async def use(pid: int, address: str, key: str) -> None:
    """Have documents processed and found by child processes."""
    async with connected(address, key) as client:
        items = [d.UpsertDocumentRequest(content=f"The harbour is closed: {n}") for n in range(30)]
        made = await client.documents.BatchUpsertDocuments(
            d.BatchUpsertDocumentsRequest(items=items)
        )
        request = d.WatchDocumentRequest(id=made.outcomes[0].receipt.id)
        states = [event async for event in client.documents.WatchDocument(request)]
        assert states[-1].document.status == d.DOCUMENT_STATUS_DONE, states[-1]

        async def searched_elsewhere() -> bool:
            search = d.SearchDocumentsRequest(query="closed harbour")
            assert (await client.documents.SearchDocuments(search)).hits
            await client.memories.ListMemories(m.ListMemoriesRequest())
            return bool(children_of(pid, search_worker))

        await until(searched_elsewhere)


@pytest.mark.parametrize(
    ("command", "package", "path"),
    [
        ([PALIMPSEST], True, None),
        # Python itself looks for the package to run in the current folder first.
        ([sys.executable, "-m", "service"], False, None),
        # An empty entry is the current folder.
        ([PALIMPSEST], False, os.pathsep),
    ],
)
async def test_the_current_folder_is_no_code(
    tmp_path: Path, command: list[str], package: bool, path: str | None
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    mark = lay_traps(here, package=package)
    if path is not None:
        # Python executes it before the service, which has no say in that.
        (here / "sitecustomize.py").unlink()
    environment = clean_environment() | ({} if path is None else {"PYTHONPATH": path})
    with serving(
        tmp_path / "data", "--workers=1", command=command, environment=environment, cwd=here
    ) as (process, address):
        await use(process.pid, address, (tmp_path / "data" / "first-key").read_text().strip())
        assert process.poll() is None
    assert not mark.exists()
    assert process.returncode == 0
