"""Servers in processes of their own, and channels to them."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import hypothesis
import pytest
import pytest_asyncio

from tests import statements
from tests.backends import scope, selection
from tests.harness import Server, running_server, tenant_of
from tests.tally import Report, Tally

statements.install()

# The default port would be that of all servers in this process.
os.environ["PALIMPSEST_HTTP"] = ""
# Somebody's own database is not for tests.
os.environ.pop("DATABASE_URL", None)

# Both judge by elapsed time, which a busy machine stretches.
hypothesis.settings.register_profile(
    "any load", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any load")

FOLDER = Path(__file__).parent

_tallies = pytest.StashKey[list[Tally]]()


@pytest.fixture(scope="session")
def report(pytestconfig: pytest.Config) -> Report:
    """Prints a tally at the end of the run, whether its test passed or not."""
    return pytestconfig.stash.setdefault(_tallies, []).append


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    tallies = config.stash.get(_tallies, [])
    if tallies:
        terminalreporter.section("what was done", sep="-")
    for tally in tallies:
        terminalreporter.write_line(tally.line())


FOLDERS = {
    "processes": ("acceptance", "cancellation", "damage", "faults", "hostile", "races", "system"),
    "slow": ("cancellation", "deletion", "property"),
}
"""Folders whose tests are all of a kind; elsewhere modules and tests have their own marks."""

_commands = list[str]()


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "subprocess.Popen":
        _commands.append(str(arguments[1]))
    elif event in ("os.fork", "os.posix_spawn", "os.system"):
        _commands.append(event)


sys.addaudithook(_note)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    _commands.clear()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """`make check` leaves out what starts processes, so every such test has to say so."""
    result = yield
    if _commands and item.get_closest_marker("processes") is None:
        pytest.fail(f"a test without the mark `processes` started {_commands}")
    return result


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        choices=scope.BACKENDS,
        default=selection.selected(),
        help="the database that the tests run on; which of them do is in tests/backends/scope.py",
    )

    parser.addoption(
        "--collation",
        default="",
        metavar="LOCALE",
        help="an order of texts, known to ICU, that databases on PostgreSQL have by themselves",
    )


def pytest_configure(config: pytest.Config) -> None:
    # The programs that tests start read them, too.
    os.environ[selection.VARIABLE] = config.getoption("--backend")
    os.environ[selection.COLLATION_VARIABLE] = config.getoption("--collation")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Modules none of whose tests run on this backend are not even imported."""
    if not collection_path.name.startswith("test_") or FOLDER not in collection_path.parents:
        return None
    return None if _runs(collection_path, "") else True


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop() -> Iterator[None]:
    """The database server is started by the run, not by its first test."""
    if selection.selected() == "postgres":
        selection.postgres_server()
    return (yield)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks the tests of whole folders; statements are judged last: all that were issued."""
    _select(config, items)
    for item in items:
        for mark, folders in FOLDERS.items():
            if item.path.parent.name in folders:
                item.add_marker(mark)
    items.sort(key=lambda item: item.path.name in ("test_plans.py", "test_tenants.py"))


def _runs(path: Path, test: str) -> bool:
    return scope.runs_on(selection.selected(), path.relative_to(FOLDER), test)


def _select(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests that run on this backend."""
    kept, others = list[pytest.Item](), list[pytest.Item]()
    for item in items:
        name = getattr(item, "originalname", item.name)
        (kept if _runs(item.path, name) else others).append(item)
    config.hook.pytest_deselected(items=others)
    items[:] = kept


@pytest.fixture(autouse=True)
def _databases() -> Iterator[None]:
    with selection.closed_after():
        yield


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests; they keep apart by tenant."""
    with running_server(tmp_path_factory.mktemp("shared") / "data") as server:
        yield server


@pytest.fixture
def key(shared_server: Server, request: pytest.FixtureRequest) -> str:
    """A key of a tenant that is this test's own; made without the start of a process."""
    return shared_server.add_key(tenant_of(request.node.name))


@pytest.fixture
def channel(shared_server: Server) -> Iterator[grpc.Channel]:
    """A synchronous channel."""
    with grpc.insecure_channel(shared_server.address) as opened:
        yield opened


@pytest_asyncio.fixture
async def async_channel(shared_server: Server) -> AsyncIterator[grpc.aio.Channel]:
    """An asynchronous channel."""
    async with grpc.aio.insecure_channel(shared_server.address) as opened:
        yield opened
