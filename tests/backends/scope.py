"""Which tests are about which backend: the one place that says it.

On SQLite everything runs. On PostgreSQL run the tests that hang on the database, as folders;
what of those runs on SQLite alone is listed with its reason. A test of one backend's own
stands in a folder of that backend's name.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

BACKENDS: Final = ("sqlite", "postgres")

ON_EACH: Final = frozenset(
    {
        "acceptance",
        "cancellation",
        "deletion",
        "faults",
        "finding",
        "hostile",
        "property",
        "races",
        "rpc",
        "storage",
        "webhooks",
    }
)
"""Folders whose tests run on each backend."""

ON_POSTGRES: Final = frozenset({"replicas"})
"""Folders whose tests need a database that more than one machine can reach."""

_CLIENT = "about a client, which sees no database"
_FILE = "about the file of SQLite, its log and its locks"
_INPUT = "about what is computed before anything is stored"
_PROCESS = "about a process and how it is spoken to, whatever it reads"
_TRANSPORT = "about connections and messages, which never reach the database"

ON_SQLITE_ALONE: Final = {
    "acceptance/test_import.py": _CLIENT,
    "acceptance/test_node.py": _CLIENT,
    "faults/test_outages.py": "about full disks and locked files; how PostgreSQL goes away and "
    "comes back is in replicas",
    "faults/test_stops.py": _TRANSPORT,
    "finding/test_compute_pool.py": _INPUT,
    "finding/test_embedder_faults.py": _INPUT,
    "finding/test_files.py": _INPUT,
    "finding/test_index_memory.py": "about the memory of the search worker",
    "finding/test_phrases.py": _INPUT,
    "finding/test_property.py::test_a_seeded_fault_is_noticed": "tests the judgement of a test",
    "finding/test_search_worker.py::"
    "test_deleted_text_leaves_the_log_while_lists_never_pause": _FILE,
    "finding/test_search_worker.py::test_a_worker_that_hangs_is_ended": _PROCESS,
    "finding/test_search_worker.py::test_a_worker_shows_that_it_lives": _PROCESS,
    "finding/test_search_worker.py::test_a_stopped_server_leaves_no_search_worker": _PROCESS,
    "finding/test_search_worker.py::test_a_killed_server_leaves_no_search_worker": _PROCESS,
    "finding/test_search_worker.py::test_what_nobody_expected_is_logged_with_its_place": _PROCESS,
    "finding/test_search_worker.py::test_it_tells_what_the_stages_of_a_search_took": _PROCESS,
    "finding/test_search_worker.py::test_it_tells_what_its_indexes_take_up": _PROCESS,
    "finding/test_traces.py": _FILE,
    "finding/test_upgrade.py": "databases on PostgreSQL begin with the schema of this release",
    "finding/test_upgrade_killed.py": "databases on PostgreSQL begin with the schema of this "
    "release",
    "hostile/test_bounds.py": _TRANSPORT,
    "hostile/test_connections.py": _TRANSPORT,
    "hostile/test_fields.py::test_all_that_is_wrong_is_told_together": _INPUT,
    "hostile/test_fields.py::test_every_field_bears_bytes_of_another_kind": _INPUT,
    "hostile/test_http.py": _TRANSPORT,
    "property/test_model.py::test_a_seeded_fault_is_noticed": "tests the judgement of a test",
    "rpc/test_call_log.py": _TRANSPORT,
    "rpc/test_client_commands.py": _CLIENT,
    "rpc/test_read_only.py": _FILE,
    "rpc/test_sync_consumer.py": _CLIENT,
    "rpc/test_tls.py": _TRANSPORT,
    "rpc/test_tls_reload.py": _TRANSPORT,
    "rpc/test_transport.py": _TRANSPORT,
    "webhooks/test_addresses.py": _INPUT,
    "webhooks/test_commands.py": "about the command line and a file",
    "webhooks/test_hostile_answers.py": _INPUT,
}
"""Files and tests of those folders that do not run on PostgreSQL, and why."""


def runs_on(backend: str, path: PurePath, test: str) -> bool:
    """Whether a test runs on a backend.

    Args:
        backend: One of `BACKENDS`.
        path: Of its file, from the folder `tests` on.
        test: Its name, without parameters; "": any of the file.
    """
    own = [name for name in BACKENDS if name in path.parts[:-1]]
    if own:
        return own == [backend]
    if backend == "sqlite":
        return path.parts[0] not in ON_POSTGRES
    if path.parts[0] in ON_POSTGRES:
        return True
    excepted = {str(path), f"{path}::{test}"} & ON_SQLITE_ALONE.keys()
    return path.parts[0] in ON_EACH and not excepted
