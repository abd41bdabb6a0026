"""A span for each call, with a child for each of its stages.

They are made when the call has ended, of the same stages as the log of slow calls. The event
loop hands each call to the SDK's batch processor as one span; its thread adds the children and
sends them. So no call waits for that, and what does not fit into its queue is lost.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from threading import Thread
from time import perf_counter, time_ns
from typing import Final

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from service.core.errors import PalimpsestError
from service.rpc.active_call import ActiveCall
from service.rpc.failures import is_callers_mistake
from service.rpc.origin import TraceParent
from service.tracing.exporting import NANOSECONDS, CallExporter, CallSpan

END_SECONDS: Final = 5.0
"""How long sending what is left may hold up the end of the server."""

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_FAILED: Final = Status(StatusCode.ERROR)
_UNSET: Final = Status(StatusCode.UNSET)


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
        self._scope = InstrumentationScope("palimpsest", service.get("service.version"))
        self._exporter = CallExporter(url, resource, self._scope)
        self._processor = BatchSpanProcessor(self._exporter)
        self._provider.add_span_processor(self._processor)
        self._end_seconds = end_seconds

    def ended(
        self, call: ActiveCall, code: str, failure: PalimpsestError | None, seconds: float
    ) -> None:
        above = call.origin().trace
        parent = None if above is None else _context(above)
        system, method = _named(call.method)
        context = self._sampled(parent, method)
        if context is None:
            return
        attributes = {
            "rpc.system": system,
            "rpc.method": method,
            "palimpsest.code": code,
            "palimpsest.call_id": call.call_id,
        }
        if failure is not None:
            attributes["palimpsest.reason"] = failure.reason.name
        # What is read of the wall clock once makes wall clock times of all the others.
        epoch = time_ns() - int(perf_counter() * NANOSECONDS)
        began = epoch + int(call.started * NANOSECONDS)
        self._processor.on_end(
            CallSpan(
                name=method,
                context=context,
                parent=parent,
                resource=self._provider.resource,
                attributes=attributes,
                kind=SpanKind.SERVER,
                status=_UNSET if failure is None or is_callers_mistake(failure) else _FAILED,
                start_time=began,
                end_time=began + int(seconds * NANOSECONDS),
                instrumentation_scope=self._scope,
            ).with_stages(() if call.stages is None else call.stages.noted, epoch)
        )

    def _sampled(self, parent: SpanContext | None, name: str) -> SpanContext | None:
        """The context of a call's span; None: it is not sampled."""
        ids, sampler = self._provider.id_generator, self._provider.sampler
        trace_id = ids.generate_trace_id() if parent is None else parent.trace_id
        if sampler is DEFAULT_ON:
            # What it decides, without what it takes to ask it.
            if parent is not None and not parent.trace_flags.sampled:
                return None
        else:
            above = None if parent is None else set_span_in_context(NonRecordingSpan(parent))
            sampling = sampler.should_sample(above, trace_id, name, SpanKind.SERVER)
            if sampling.decision is not Decision.RECORD_AND_SAMPLE:
                return None
        return SpanContext(trace_id, ids.generate_span_id(), False, _SAMPLED)

    def close(self) -> None:
        """Send what is left, as far as that can be done in `end_seconds`. Blocks meanwhile."""
        sending = Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(self._end_seconds)
        if sending.is_alive():
            self._exporter.shutdown()


def _named(method: str) -> tuple[str, str]:
    """Transport, and method or path pattern."""
    return ("grpc", method.removeprefix("/")) if method.startswith("/") else ("http", method)


def _context(parent: TraceParent) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), True, flags)


def _version() -> dict[str, str]:
    try:
        return {"service.version": version("palimpsest-memory")}
    except PackageNotFoundError:
        return {}
