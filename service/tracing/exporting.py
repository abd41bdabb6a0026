"""Sending the spans of calls, with those of their stages added.

The library's encoder takes 17 microseconds for a span, and a call has ten of them: a third of
what the call itself costs. A stage has nothing but a name and two times, and its message is
filled here in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span, SpanFlags
from opentelemetry.proto.trace.v1.trace_pb2 import Status as SpanStatus
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, StatusCode

from service.runtime.call_stages import Stage

NANOSECONDS: Final = 1_000_000_000

_LOCAL: Final = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_REMOTE: Final = _LOCAL | SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
"""Whether the parent of a span is of another process."""

_IDS: Final = 2**64


class CallSpan(ReadableSpan):
    """The span of a call, and its stages."""

    _stages: Sequence[Stage] = ()
    _epoch = 0

    def with_stages(self, stages: Sequence[Stage], epoch: int) -> Self:
        """Itself with these stages; `epoch` is Unix time at the zero of theirs, in nanoseconds."""
        self._stages, self._epoch = stages, epoch
        return self

    def add_to(self, spans: ScopeSpans) -> None:
        """Add the spans of the call and of its stages."""
        context, above = self.get_span_context(), self.parent
        assert context is not None  # noqa: S101  (it has one from the beginning)
        trace, flags = context.trace_id.to_bytes(16, "big"), int(context.trace_flags) | _LOCAL
        made = spans.spans.add(
            trace_id=trace,
            span_id=context.span_id.to_bytes(8, "big"),
            parent_span_id=b"" if above is None else above.span_id.to_bytes(8, "big"),
            name=self.name,
            kind=Span.SPAN_KIND_SERVER,
            start_time_unix_nano=self.start_time,
            end_time_unix_nano=self.end_time,
            flags=flags if above is None else flags | _REMOTE,
        )
        for key, value in (self.attributes or {}).items():
            made.attributes.add(key=key).value.string_value = str(value)
        if self.status.status_code is StatusCode.ERROR:
            made.status.code = SpanStatus.STATUS_CODE_ERROR
        self._add_stages(spans, trace, context.span_id, flags)

    def _add_stages(self, spans: ScopeSpans, trace: bytes, number: int, flags: int) -> None:
        """Add the spans of the stages.

        Args:
            spans: Where to.
            trace: The id of the trace.
            number: That of the call's span. Those of its stages count on from it: a random id
                for each would take as long as all the rest of it.
            flags: Of the spans.
        """
        add, epoch, root = spans.spans.add, self._epoch, number.to_bytes(8, "big")
        wholes: list[tuple[str, float, bytes]] = []
        # A part ends before the whole.
        for name, began, ended in reversed(self._stages):
            number = (number + 1) % _IDS or 1
            span, parent = number.to_bytes(8, "big"), root
            if "." in name:
                whole = name.partition(".")[0]
                around = (id_ for each, since, id_ in wholes if each == whole and since <= began)
                parent = next(around, root)
            else:
                wholes.append((name, began, span))
            add(
                trace_id=trace,
                span_id=span,
                parent_span_id=parent,
                name=name,
                kind=Span.SPAN_KIND_INTERNAL,
                start_time_unix_nano=epoch + int(began * NANOSECONDS),
                end_time_unix_nano=epoch + int(ended * NANOSECONDS),
                flags=flags,
            )


class CallExporter(OTLPSpanExporter):
    """Sends calls with their stages.

    Args:
        url: Where to; None: as the environment of OpenTelemetry has it.
        resource: What sends.
        scope: What made the spans.
    """

    def __init__(self, url: str | None, resource: Resource, scope: InstrumentationScope) -> None:
        super().__init__(endpoint=url)
        self._frame = _frame(resource, scope)
        self._ended = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._ended:
            return SpanExportResult.FAILURE
        request = ExportTraceServiceRequest()
        request.CopyFrom(self._frame)
        (sender,) = request.resource_spans
        (made,) = sender.scope_spans
        for span in spans:
            if isinstance(span, CallSpan):
                span.add_to(made)
        sent = self._client.export(request.SerializeToString())
        return SpanExportResult.SUCCESS if sent.success else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Send nothing more, and do not try again what is being sent."""
        if not self._ended:
            self._ended = True
            self._client.shutdown()


def _frame(resource: Resource, scope: InstrumentationScope) -> ExportTraceServiceRequest:
    """A request without spans, by the library's encoder: attributes may be of any type."""
    context = SpanContext(1, 1, is_remote=False)
    sample = ReadableSpan("", context, resource=resource, instrumentation_scope=scope)
    frame = encode_spans([sample])
    for sender in frame.resource_spans:
        for made in sender.scope_spans:
            made.ClearField("spans")
    return frame
