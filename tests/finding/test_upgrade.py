"""Another analysis: every entry is made again, and all is found meanwhile."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from palimpsest.v1 import documents_pb2 as d
from palimpsest.v1 import memories_pb2 as m
from service import reindexing
from service.core.database_location import DatabaseLocation
from service.pipeline import encoder
from service.pipeline.encoder import Passage
from service.pipeline.reindexing import ReindexOptions
from service.search import entry
from service.search.analysis import analyse
from service.search.probes import QUESTIONS, STATEMENTS
from service.settings import Settings
from service.storage.index.reindexing import ReindexStore
from tests.embedding_server import Answer, Server
from tests.finding.service_harness import ServiceHarness, indexing, running_harness, without_room
from tests.inprocess import ManualClock
from tests.waiting import HANG_SECONDS, until

pytestmark = pytest.mark.slow

DATA = Path(__file__).parent
"""`first_analysis.sql` is a database as the release before the second analysis wrote it, and
`first_analysis.json` has words that it was asked for and the texts that it found by them."""

NEXT = entry.VERSION + 1
VERSIONS = (
    "SELECT hex(substr(entry, 1, 1)) AS version, count(*) AS many"
    " FROM (SELECT entry FROM memories UNION ALL SELECT entry FROM chunks) GROUP BY 1"
)


class Steps:
    """Lets reindexing store one step after another, as often as it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stored = 0
        self._allowed = asyncio.Semaphore(0)
        refresh = ReindexStore.refresh

        async def held(store: ReindexStore, *arguments: Any) -> None:
            await self._allowed.acquire()
            await refresh(store, *arguments)
            self.stored += 1

        monkeypatch.setattr(ReindexStore, "refresh", held)

    async def allow(self, count: int) -> None:
        """Let so many more steps be stored, and wait for that."""
        wanted = self.stored + count
        for _ in range(count):
            self._allowed.release()
        await until(lambda: self.stored >= wanted)

    def allow_all(self) -> None:
        for _ in range(1000):
            self._allowed.release()


RENEWING = ReindexOptions(pause=0.05)


def renewing(
    directory: Path, clock: ManualClock, step: int = RENEWING.step, **options: Any
) -> AbstractAsyncContextManager[ServiceHarness]:
    """A service that looks for outdated entries all the time, and renews so many at once."""
    made = indexing(reindexing=replace(RENEWING, step=step))
    return running_harness(directory, clock, **{"options": made, **options})


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    return Steps(monkeypatch)


@pytest.fixture
def upgraded(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """What is started inside is the next release."""
    with monkeypatch.context() as inside:
        inside.setattr(entry, "VERSION", NEXT)
        yield inside


async def stock(harness: ServiceHarness) -> None:
    """Fifteen texts: memories with a past, a document and a conversation."""
    await harness.client.remember(*(f"Ann likes quinces {number}" for number in range(8)))
    await harness.client.memories.UpdateMemory(
        m.UpdateMemoryRequest(content="Ann likes quinces 0", new_content="Ann likes medlars 0")
    )
    await harness.client.memories.ForgetMemory(m.ForgetMemoryRequest(content="Ann likes quinces 1"))
    await harness.client.put(
        "# One\n\nquinces and more\n\n# Two\n\nmedlars and more",
        custom_id="text",
        title="Fruit",
        content_kind=d.CONTENT_KIND_MARKDOWN,
        wait=True,
    )
    talk = [
        d.ConversationMessage(speaker="Ann", text=f"Who has {what}?") for what in ("figs", "plums")
    ]
    await harness.client.documents.UpsertDocument(
        d.UpsertDocumentRequest(
            custom_id="talk",
            conversation=d.Conversation(messages=talk),
            container_tags=["default", "other"],
            wait=True,
        )
    )
    await harness.idle()


TEXTS = 13


def versions(harness: ServiceHarness) -> dict[int, int]:
    """How many entries there are of each version."""
    return {int(row.version, 16): row.many for row in harness.rows(VERSIONS)}


async def renewed(harness: ServiceHarness) -> None:
    await until(lambda: set(versions(harness)) == {NEXT})


def load(directory: Path) -> None:
    """The database of the release before."""
    with sqlite3.connect(directory / "palimpsest.db") as conn:
        conn.executescript((DATA / "first_analysis.sql").read_text("utf-8"))
    conn.close()


async def found_by(harness: ServiceHarness, word: str) -> set[str]:
    """The texts, of every state, that are found by a word and not for their meaning alone."""
    hits = await harness.memories(
        word,
        include_chunks=True,
        include_history=True,
        include_forgotten=True,
        include_score_parts=True,
        limit=100,
    )
    return {hit.memory.content or hit.chunk.text for hit in hits if hit.score_parts.lexical > 0}


async def missed(harness: ServiceHarness) -> dict[str, Sequence[str]]:
    """What the release before found, and is not found."""
    expected: dict[str, list[str]] = json.loads((DATA / "first_analysis.json").read_text("utf-8"))
    assert len(expected) > 150
    found = {word: await found_by(harness, word) for word in expected}
    return {
        word: left for word, texts in expected.items() if (left := sorted({*texts} - found[word]))
    }


@pytest.mark.parametrize("in_memory", [True, False])
async def test_what_the_first_analysis_indexed_is_found_at_every_step(
    directory: Path,
    clock: ManualClock,
    upgraded: pytest.MonkeyPatch,
    steps: Steps,
    in_memory: bool,
) -> None:
    load(directory)
    small = replace(RENEWING, step=5)
    options = {} if in_memory else without_room(10_000, reindexing=small)
    async with renewing(directory, clock, 5, embedder="static", **options) as harness:
        assert set(versions(harness)) == {1}
        assert await missed(harness) == {}
        await steps.allow(3)
        assert set(versions(harness)) == {1, NEXT}
        assert await missed(harness) == {}
        steps.allow_all()
        await renewed(harness)
        assert await missed(harness) == {}
        assert harness.check() == []


async def test_cached_indexes_follow_while_entries_are_made_again(
    directory: Path, clock: ManualClock, upgraded: pytest.MonkeyPatch, steps: Steps
) -> None:
    with upgraded.context() as before:
        before.setattr(entry, "VERSION", NEXT - 1)
        before.setattr(
            encoder, "analyse", lambda text, *more: analyse(text.replace("quince", "x"), *more)
        )
        async with renewing(directory, clock, embedder="words:a") as harness:
            await stock(harness)
            assert await found_by(harness, "quinces") == set()
    async with renewing(directory, clock, 5, embedder="words:a") as harness:
        sizes = [len(await found_by(harness, "quinces"))]
        while sum(sizes[-1:]) < 9:
            assert await found_by(harness, "medlars") >= {"Ann likes medlars 0"}
            await steps.allow(1)
            sizes.append(len(await found_by(harness, "quinces")))
        assert sizes[0] == 0
        assert sizes == sorted(sizes)
        assert len(set(sizes)) > 2
        steps.allow_all()
        await renewed(harness)


async def test_no_vector_that_is_right_is_made_again(
    directory: Path,
    clock: ManualClock,
    server: Server,
    embedder: str,
    upgraded: pytest.MonkeyPatch,
) -> None:
    with upgraded.context() as before:
        before.setattr(entry, "VERSION", NEXT - 1)
        async with renewing(directory, clock, embedder=embedder) as harness:
            await stock(harness)
    server.asked.clear()
    async with renewing(directory, clock, embedder=embedder) as harness:
        await renewed(harness)
        assert await found_by(harness, "quinces") >= {"Ann likes quinces 2"}
        assert set(embedded(server)) == {"quinces"}
        kinds = [
            row.many
            for row in harness.rows(
                "SELECT count(*) AS many FROM changes WHERE kind LIKE '%.indexed'"
                " GROUP BY entity_id, container"
            )
        ]
        assert set(kinds) == {1}


async def test_a_new_title_that_is_not_embedded_yet_is_embedded(
    directory: Path,
    clock: ManualClock,
    server: Server,
    embedder: str,
    upgraded: pytest.MonkeyPatch,
) -> None:
    with upgraded.context() as before:
        before.setattr(entry, "VERSION", NEXT - 1)
        async with renewing(directory, clock, embedder=embedder) as harness:
            await stock(harness)
        async with renewing(directory, clock, embedder=embedder, workers=0) as harness:
            await harness.client.documents.UpdateDocument(
                d.UpdateDocumentRequest(id="text", title="Trees")
            )
    server.asked.clear()
    async with renewing(directory, clock, embedder=embedder, workers=0) as harness:
        await renewed(harness)
        assert sorted(embedded(server)) == [
            "Trees > One\nOne\n\nquinces and more",
            "Trees > Two\nTwo\n\nmedlars and more",
        ]


def embedded(server: Server) -> list[str]:
    texts = [text for request in server.asked for text in request["input"]]
    return [text for text in texts if text not in (*QUESTIONS, *STATEMENTS)]


@pytest.mark.usefixtures("impatient")
async def test_words_need_no_embedder(
    directory: Path,
    clock: ManualClock,
    server: Server,
    embedder: str,
    upgraded: pytest.MonkeyPatch,
) -> None:
    with upgraded.context() as before:
        before.setattr(entry, "VERSION", NEXT - 1)
        async with renewing(directory, clock, embedder="words:a") as harness:
            await stock(harness)
    server.script = [Answer(500, {"error": {"message": "out of order"}})] * 10_000
    async with renewing(directory, clock, embedder=embedder) as harness:
        await renewed(harness)
        assert await found_by(harness, "medlars") >= {"Ann likes medlars 0"}
        spaces = "SELECT name FROM embedders WHERE id IN (SELECT embedder FROM memories)"
        assert [row.name for row in harness.rows(spaces)] == ["words:a"]
        server.script = []
        name = f"openai:{server.url}#m-3"
        await until(lambda: [row.name for row in harness.rows(spaces)] == [name])
        assert harness.check() == []


async def test_what_was_written_or_deleted_meanwhile_stays_so(
    directory: Path, clock: ManualClock, upgraded: pytest.MonkeyPatch
) -> None:
    with upgraded.context() as before:
        before.setattr(entry, "VERSION", NEXT - 1)
        never = indexing(reindexing=ReindexOptions(pause=HANG_SECONDS))
        async with running_harness(
            directory, clock, embedder="words:a", workers=0, options=never
        ) as harness:
            first, *_ = await harness.client.remember(
                "Ann likes quinces", "Ann likes medlars", "Ann likes figs"
            )
            store = harness.service.store.reindexing
            stale = await store.outdated(1, NEXT, 10)
            assert [one.version for one in stale] == [NEXT - 1] * 3
            await harness.client.memories.DeleteMemory(m.DeleteMemoryRequest(id=first.id))
            before.setattr(entry, "VERSION", NEXT)
            hasher = encoder.term_hasher(harness.service.store.engine.context.digester)
            made = entry.encode_entries([analyse(*Passage(one.text)) for one in stale], hasher)
            await store.refresh(stale, made, None, 1)
            assert versions(harness) == {NEXT: 2}
            # Another server does the same once more: nothing is changed any more.
            changes = harness.rows("SELECT * FROM changes")
            await store.refresh(stale, made, None, 1)
            assert harness.rows("SELECT * FROM changes") == changes
            assert len([row for row in changes if row.kind == "memory.indexed"]) == 2
            assert await store.outdated(1, NEXT, 10) == []
            # And what a newer release has made is left to it.
            assert await store.stale(1, NEXT - 1, 10) == []


async def test_the_command_shows_how_much_is_left_and_goes_on(
    directory: Path, clock: ManualClock, upgraded: pytest.MonkeyPatch
) -> None:
    with upgraded.context() as before:
        before.setattr(entry, "VERSION", NEXT - 1)
        async with renewing(directory, clock, embedder="words:a") as harness:
            await stock(harness)
    steps = ReindexOptions(step=4)
    location = DatabaseLocation(directory / "palimpsest.db")
    settings = Settings(data_dir=directory, embedder="words:a")

    class StoppedError(Exception):
        pass

    def stop(_: int) -> None:
        raise StoppedError

    assert await asyncio.to_thread(reindexing.remaining, location, settings) == TEXTS
    with pytest.raises(StoppedError):
        await asyncio.to_thread(reindexing.run, location, settings, stop, steps)
    left: list[int] = []
    done = await asyncio.to_thread(reindexing.run, location, settings, left.append, steps)
    assert done == sum(left) == TEXTS - 4
    assert await asyncio.to_thread(reindexing.remaining, location, settings) == 0
    assert await asyncio.to_thread(reindexing.run, location, settings, left.append) == 0


async def test_two_servers_renew_everything_once(
    directory: Path, clock: ManualClock, upgraded: pytest.MonkeyPatch
) -> None:
    with upgraded.context() as before:
        before.setattr(entry, "VERSION", NEXT - 1)
        async with renewing(directory, clock, embedder="words:a") as harness:
            await stock(harness)
    listen = f"unix:{directory / 'two'}"
    async with (
        renewing(directory, clock, 2, embedder="words:a") as one,
        renewing(directory, clock, 2, embedder="words:a", listen=listen) as two,
    ):
        await renewed(one)
        assert await found_by(one, "quinces") == await found_by(two, "quinces")
        once = "SELECT entity_id FROM changes WHERE kind = 'memory.indexed'"
        names = [row.entity_id for row in one.rows(once)]
        assert len(names) == len(set(names)) == 9
