"""The service as a whole: its parts are wired together, started and stopped here."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import structlog

from service.core.model import Principal
from service.core.times import WallClock
from service.core.windows import DailyWindow
from service.embedding.registry import open_embedder
from service.http import metrics
from service.http.endpoints import Endpoint
from service.http.server import HttpServer
from service.indexing_runtime import IndexingOptions, IndexingResources, IndexingRuntime
from service.metrics.service_metrics import ServiceMetrics
from service.rpc.call_monitor import CallMonitor, CallTraces
from service.rpc.call_runner import READ_SECONDS
from service.rpc.call_statistics import CallStatistics
from service.rpc.connections import MAX_CONNECTIONS, RESERVED_FILES
from service.rpc.server import Server
from service.rpc.tls import ServerTls, TlsFiles
from service.runtime import interpreter, logs
from service.runtime.syncing import sync
from service.settings import Settings
from service.storage.engine import StoreOptions
from service.storage.opening import open_prepared, prepare_database
from service.storage.schema import DEFAULT_TENANT
from service.storage.store import SqlStore
from service.tracing.opening import open_traces
from service.webhooks.delivery import WebhookDelivery

DAY_SECONDS = 86_400

_log = structlog.get_logger("palimpsest.app")


@dataclass(frozen=True, slots=True)
class Service:
    """A service that is SERVING.

    Args:
        address: Where it listens; with the port that was chosen if 0 was asked for.
        store: The storage.
        server: The gRPC server.
        first_key: The key that was created, if there was none.
        tls: None if it serves plaintext.
        http: Where it listens for HTTP; None: nowhere.
    """

    address: str
    store: SqlStore
    server: Server
    first_key: str | None
    tls: ServerTls | None
    http: str | None = None


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """What no setting says: sizes and intervals that are good wherever the service runs.

    Args:
        store: How the storage runs; what settings say of it counts instead.
        indexing: How texts are indexed and searched.
        read_seconds: How long a caller may leave unread what was sent to it.
    """

    store: StoreOptions = field(default_factory=StoreOptions)
    indexing: IndexingOptions = field(default_factory=IndexingOptions)
    read_seconds: float = READ_SECONDS


DEFAULT_OPTIONS = ServiceOptions()


@asynccontextmanager
async def running(
    settings: Settings,
    hurry: asyncio.Event | None = None,
    clock: WallClock | None = None,
    options: ServiceOptions = DEFAULT_OPTIONS,
) -> AsyncIterator[Service]:
    """The whole service in the running event loop; leaving drains and closes it.

    Args:
        settings: How it runs.
        hurry: Set it to end the grace period of calls in progress.
        clock: The wall clock; None: the one by which all processes on the database go.
        options: What no setting says.

    Raises:
        service.tracing.opening.TracingError: Calls cannot be traced.
        OSError: The data folder cannot be used.
        service.tls_files.TlsFileError: A TLS file cannot be used.
        service.rpc.server.BindError: The address cannot be listened on.
        service.storage.schema.SchemaTooNewError: A newer release wrote the database.
    """
    async with (
        _tracing(settings.traces) as traces,
        _running(settings, hurry or asyncio.Event(), clock, traces, options) as service,
    ):
        yield service


@asynccontextmanager
async def _running(
    settings: Settings,
    hurry: asyncio.Event,
    clock: WallClock | None,
    traces: CallTraces | None,
    options: ServiceOptions,
) -> AsyncIterator[Service]:
    tls = _tls(settings)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    window, days = settings.scrub_window, settings.change_retention
    store_options = replace(
        options.store,
        sweep_interval=settings.sweep_interval,
        checkpoint_interval=settings.checkpoint_interval,
        scrub_interval=settings.scrub_interval,
        scrub_window=DailyWindow.parse(window) if window else None,
        max_waiting=settings.max_waiting,
        readers=settings.readers,
        change_retention=None if days is None else days * DAY_SECONDS,
        disk_reserve=settings.disk_reserve,
    )
    embedder = await asyncio.to_thread(open_embedder, settings.embedder, settings.embedder_key_file)
    database = await prepare_database(
        settings.database_location, (embedder.name, embedder.dimension)
    )
    clock = clock or database.clock()
    resources = IndexingResources(database, embedder, settings, clock.now, options.indexing)
    try:
        store = await open_prepared(
            database, store_options, clock, indexer=resources.indexing, gates=resources.gates
        )
    except BaseException:
        await resources.close()
        raise
    runtime = IndexingRuntime(store, resources, settings, options.indexing)
    runtime.start()
    try:
        principal = await _default_principal(store) if settings.no_auth else None
        statistics = None if settings.metrics == "off" else CallStatistics()
        server = Server(
            store,
            runtime.searcher,
            offloader=runtime.offloader,
            default_principal=principal,
            call_monitor=CallMonitor(statistics, settings.slow_call_seconds, traces),
            demand=resources.priority.calls,
            read_seconds=options.read_seconds,
        )
        port = server.bind(settings.listen, tls)
        try:
            endpoint = _metrics(settings, store, runtime, server, statistics)
            http = await _http(settings, server, tls, endpoint)
            await server.start()
        except BaseException:
            await server.abandon()
            raise
        try:
            # Only once the address is bound: a start that fails before that creates no key.
            first_key = None if settings.no_auth else await _first_key(store, settings)
            await server.serving()
            async with _watched(tls), _delivering(store, clock, settings.lease):
                address = _address(settings.listen, port)
                yield Service(address, store, server, first_key, tls, http)
        finally:
            await _drain(server, settings.drain_grace, hurry)
    finally:
        await runtime.close()
        await resources.close()
        await store.close()


async def serve(settings: Settings, announce: Callable[[Service], None]) -> None:
    """Run until SIGTERM or SIGINT, then drain; a second signal ends the grace period.

    With TLS, SIGHUP reads its files again.

    Args:
        settings: How.
        announce: Called once, when the service is SERVING.
    """
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(logs.loop_failure)
    stop = asyncio.Event()
    hurry = asyncio.Event()

    def on_signal() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    async with running(settings, hurry) as service:
        if service.tls is not None:
            loop.add_signal_handler(signal.SIGHUP, service.tls.request_reload)
        _log.info("serving", address=service.address, pid=os.getpid())
        announce(service)
        interpreter.freeze_gc()
        await stop.wait()
        _log.info("stopping", grace_seconds=settings.drain_grace)
    _log.info("stopped")


def run(settings: Settings, announce: Callable[[Service], None]) -> None:
    """`serve` in an event loop of its own."""
    files = interpreter.raise_file_limit()
    if files is not None and files < 2 * MAX_CONNECTIONS + RESERVED_FILES:
        _log.warning(
            "the limit of open files is too low for as many connections as there may be",
            limit=files,
            connections=MAX_CONNECTIONS,
        )
    interpreter.run(serve(settings, announce))


async def _drain(server: Server, grace: float, hurry: asyncio.Event) -> None:
    hurried = asyncio.create_task(hurry.wait())
    drained = asyncio.create_task(server.drain(grace))
    await asyncio.wait({hurried, drained}, return_when=asyncio.FIRST_COMPLETED)
    hurried.cancel()
    if not drained.done():
        drained.cancel()
        await asyncio.gather(drained, return_exceptions=True)
        await server.drain(0)
    else:
        await drained


async def _default_principal(store: SqlStore) -> Principal:
    tenant = await store.ensure_tenant(DEFAULT_TENANT)
    return Principal(tenant=tenant, key_id="", tenant_name=DEFAULT_TENANT)


async def _first_key(store: SqlStore, settings: Settings) -> str | None:
    """Create the first key, if there is none, and keep it in its file once it is valid.

    It is written before that, under another name: if the process ends in between, the only
    copy is not lost, and the next start renames it.
    """
    file = settings.first_key_file
    if file.exists() and not await store.has_keys():
        raise FileExistsError(
            f"the database has no key, and {file} holds that of another one; "
            "put its database back, or move the file out of the folder"
        )
    new = file.with_name(file.name + ".new")
    key = await store.ensure_first_key(partial(_write_key, new))
    if new.exists():
        new.replace(file)
        sync(file.parent)
    return key


def _write_key(path: Path, key: str) -> None:
    """Write a key for the owner alone; it is on the disk when this returns."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key + "\n")
        file.flush()
        os.fsync(descriptor)
    sync(path.parent)


def _metrics(
    settings: Settings,
    store: SqlStore,
    runtime: IndexingRuntime,
    server: Server,
    statistics: CallStatistics | None,
) -> Endpoint | None:
    if statistics is None:
        return None
    others = ServiceMetrics(store, runtime, lambda: server.calls_in_progress)
    return metrics.endpoint(statistics, others, everywhere=settings.metrics == "all")


async def _http(
    settings: Settings, server: Server, tls: ServerTls | None, endpoint: Endpoint | None
) -> str | None:
    """Serve over HTTP as well; returns the address."""
    if not settings.http:
        return None
    origins = settings.http_origins.split(",") if settings.http_origins else ()
    http = HttpServer(server, origins, no_auth=settings.no_auth, metrics=endpoint)
    bound = http.bind(settings.http, tls)
    server.before_end(http.close)
    await http.start()
    return _address(settings.http, bound if isinstance(bound, int) else 0)


def _tls(settings: Settings) -> ServerTls | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return ServerTls(TlsFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca))


@asynccontextmanager
async def _tracing(setting: str) -> AsyncIterator[CallTraces | None]:
    traces = await asyncio.to_thread(open_traces, setting)
    try:
        yield traces
    finally:
        if traces is not None:
            await asyncio.to_thread(traces.close)


@asynccontextmanager
async def _watched(tls: ServerTls | None) -> AsyncIterator[None]:
    if tls is None:
        yield
        return
    watching = asyncio.create_task(tls.watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


@asynccontextmanager
async def _delivering(store: SqlStore, clock: WallClock, lease: float) -> AsyncIterator[None]:
    delivery = WebhookDelivery(store.webhooks, store.changes, clock, lease)
    delivery.start()
    try:
        yield
    finally:
        await delivery.close()


def _address(listen: str, port: int) -> str:
    return listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"
