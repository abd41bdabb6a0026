"""A span for each call, with a child for each of its stages.

They are of the same stages as the log of slow calls. When a call has ended, what is known of it
goes into the queue of the SDK's batch processor, whose thread makes the spans and sends them.
So no call waits for that, and what does not fit into the queue is lost.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from threading import Thread
from time import perf_counter, time_ns
from typing import Final

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from service.core.errors import PalimpsestError
from service.rpc.active_call import ActiveCall
from service.tracing.encoding import NANOSECONDS, CallRecord
from service.tracing.exporting import CallExporter, QueuedCall

END_SECONDS: Final = 5.0
"""How long sending what is left may hold up the end of the server."""


class SpanTraces:
    """Sends spans of calls; see `call_monitor.CallTraces`.

    Sampling, attributes of the resource, headers and the size of batches are as the environment
    of OpenTelemetry has them.

    Args:
        url: Where to; None: as the environment has it.
        end_seconds: How long what is left may take to be sent at the end.
    """

    def __init__(self, url: str | None, end_seconds: float = END_SECONDS) -> None:
        service = {"service.name": "palimpsest", **_version()}
        # The environment's attributes go before these.
        resource = Resource.create(service).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        scope = InstrumentationScope("palimpsest", service.get("service.version"))
        self._exporter = CallExporter(url, self._provider, scope)
        self._processor = BatchSpanProcessor(self._exporter)
        self._provider.add_span_processor(self._processor)
        self._end_seconds = end_seconds

    def ended(
        self, call: ActiveCall, code: str, failure: PalimpsestError | None, seconds: float
    ) -> None:
        record = CallRecord(
            call.method,
            code,
            call.call_id,
            failure,
            # What is read of the wall clock once makes wall clock times of all the others.
            time_ns() - int(perf_counter() * NANOSECONDS),
            call.started,
            call.started + seconds,
            () if call.stages is None else call.stages.noted,
        )
        self._processor.on_end(QueuedCall(self._provider, record, call.origin().trace))

    def close(self) -> None:
        """Send what is left, as far as that can be done in `end_seconds`. Blocks meanwhile."""
        sending = Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(self._end_seconds)
        if sending.is_alive():
            self._exporter.shutdown()


def _version() -> dict[str, str]:
    try:
        return {"service.version": version("palimpsest-memory")}
    except PackageNotFoundError:
        return {}
