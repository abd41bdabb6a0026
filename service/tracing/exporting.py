"""Choosing, encoding and sending the spans of calls, in the thread of the batch processor."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    set_span_in_context,
)

from service.rpc.origin import TraceParent
from service.tracing.encoding import CallRecord, add_call, empty_request

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)

# The processor takes what is sampled; whether a call is, is decided in its thread.
_QUEUED = SpanContext(1, 1, is_remote=False, trace_flags=_SAMPLED)


class QueuedCall(ReadableSpan):
    """A call in the queue of the batch processor.

    Args:
        provider: Whose resource it is of.
        call: The call.
        trace: The caller's span; None without one.
    """

    def __init__(self, provider: TracerProvider, call: CallRecord, trace: TraceParent | None):
        super().__init__(call.method, _QUEUED, resource=provider.resource)
        self.call = call
        self.trace = trace


class CallExporter(OTLPSpanExporter):
    """Sends calls with their stages.

    Args:
        url: Where to; None: as the environment of OpenTelemetry has it.
        provider: Has the sampler, the generator of ids, and the resource.
        scope: What made the spans.
    """

    def __init__(
        self, url: str | None, provider: TracerProvider, scope: InstrumentationScope
    ) -> None:
        super().__init__(endpoint=url)
        self._provider = provider
        self._empty = empty_request(provider.resource, scope)
        self._ended = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._ended:
            return SpanExportResult.FAILURE
        request = ExportTraceServiceRequest()
        request.CopyFrom(self._empty)
        (sender,) = request.resource_spans
        (made,) = sender.scope_spans
        for queued in spans:
            if isinstance(queued, QueuedCall):
                parent = None if queued.trace is None else _context(queued.trace)
                context = self._sampled(parent, queued.call.name)
                if context is not None:
                    add_call(made, queued.call, context, parent)
        if not made.spans:
            return SpanExportResult.SUCCESS
        sent = self._client.export(request.SerializeToString())
        return SpanExportResult.SUCCESS if sent.success else SpanExportResult.FAILURE

    def _sampled(self, parent: SpanContext | None, name: str) -> SpanContext | None:
        """The context of a call's span; None: it is not sampled."""
        ids = self._provider.id_generator
        trace_id = ids.generate_trace_id() if parent is None else parent.trace_id
        above = None if parent is None else set_span_in_context(NonRecordingSpan(parent))
        sampling = self._provider.sampler.should_sample(above, trace_id, name, SpanKind.SERVER)
        if sampling.decision is not Decision.RECORD_AND_SAMPLE:
            return None
        return SpanContext(trace_id, ids.generate_span_id(), False, _SAMPLED)

    def shutdown(self) -> None:
        """Send nothing more, and do not try again what is being sent."""
        if not self._ended:
            self._ended = True
            self._client.shutdown()


def _context(parent: TraceParent) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), True, flags)
