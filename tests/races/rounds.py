"""All races by name, and rounds of them on one server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tests.harness import Server, running_server
from tests.races import changes, conversations, deletions, forgetting, retries, searches, single
from tests.races.callers import Callers, client_processes
from tests.races.race_tenant import RaceTenant, race_tenant
from tests.tally import Tally

RACES: Final[Mapping[str, Callable[[RaceTenant], None]]] = (
    {
        race.__name__: race
        for race in (
            single.first_upserts,
            single.first_upserts_of_homes,
            single.insert_only,
            single.updates,
            single.updates_by_content,
            single.document_etags,
            single.memory_etags,
            single.restore_against_update,
            single.forget_against_expiry,
            single.batch_restore_against_single,
            deletions.bulk_delete,
            deletions.delete_container,
            conversations.appends,
            conversations.appends_in_turn,
            conversations.appends_against_replacements,
            conversations.appends_against_deletions,
            conversations.appends_against_a_bulk_deletion,
            forgetting.found_against_updates,
            retries.one_request_id_for_all,
            changes.followed,
        )
    }
    | {
        f"one_request_id{prepare.__name__}": partial(retries.one_request_id, prepare=prepare)
        for prepare in retries.PREPARATIONS
    }
    | {
        "searches_of_memories": searches.memories,
        "searches_of_documents": searches.documents,
    }
)
PROCESSING: Final = ("searches_of_documents",)
"""Those that need workers; in the others, documents that are DONE would take revisions."""


@dataclass(frozen=True)
class RaceServer:
    """A server, and the client processes that race on it."""

    server: Server
    callers: Callers

    def run(self, names: Sequence[str], rounds: int, tally: Tally) -> None:
        """Each race so many times, every time in a tenant of its own."""
        for number in range(1, rounds + 1):
            for name in names:
                before = self.callers.sent
                with (
                    tally.collecting(f"{name}, round {number}"),
                    race_tenant(self.server, self.callers) as fresh,
                ):
                    RACES[name](fresh)
                tally.operations += self.callers.sent - before
                tally.round_done()

    def check(self, tally: Tally) -> None:
        """What `palimpsest check` finds in the database is a finding."""
        found = self.server.backend.check()
        tally.findings.extend(f"check: {finding}" for finding in found)


@contextmanager
def race_server(data_dir: Path, *, workers: int = 0) -> Iterator[RaceServer]:
    """A new server with its client processes."""
    with (
        running_server(data_dir, "--workers", str(workers)) as server,
        client_processes(server.address) as callers,
    ):
        yield RaceServer(server, callers)
