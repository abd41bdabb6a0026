"""Spans on the wire: OTLP, with those of the stages added.

The exporter's own encoder takes 17 microseconds for a span, and a call has ten of them: a third
of what the call itself costs. A stage has nothing but a name and two times, and so its span is
written directly, in one microsecond.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Self

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span, SpanFlags
from opentelemetry.proto.trace.v1.trace_pb2 import Status as SpanStatus
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, StatusCode

from service.runtime.call_stages import Stage

_SECOND: Final = 1_000_000_000

_LOCAL: Final = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_REMOTE: Final = _LOCAL | SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
"""Whether the parent of a span is of another process."""

_ids: Final = RandomIdGenerator()


def nanoseconds(seconds: float) -> int:
    return round(seconds * _SECOND)


class CallSpan(ReadableSpan):
    """The span of a call, and its stages."""

    _stages: Sequence[Stage] = ()
    _epoch = 0

    def with_stages(self, stages: Sequence[Stage], epoch: int) -> Self:
        """Itself with these stages; `epoch` is the wall clock at the zero of theirs."""
        self._stages, self._epoch = stages, epoch
        return self

    def stages(self, root: bytes) -> Iterator[tuple[Stage, bytes, bytes]]:
        """Each with the id of its span, and that of its parent.

        Args:
            root: The id of the call's span.
        """
        enclosing: dict[str, list[tuple[Stage, bytes]]] = {}
        # A part ends before the whole.
        for stage in reversed(self._stages):
            span = _ids.generate_span_id().to_bytes(8, "big")
            parent = root
            if "." in stage.name:
                whole = enclosing.get(stage.name.rpartition(".")[0], ())
                parent = next((id_ for above, id_ in whole if above.began <= stage.began), root)
            enclosing.setdefault(stage.name, []).append((stage, span))
            yield stage, span, parent

    def add_to(self, spans: ScopeSpans) -> None:
        """Add the spans of the call and of its stages."""
        context, status = self.get_span_context(), self.status
        assert context is not None  # noqa: S101  (it has one from the beginning)
        trace, root = context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big")
        above, flags = self.parent, context.trace_flags | _LOCAL
        made = spans.spans.add(
            trace_id=trace,
            span_id=root,
            parent_span_id=b"" if above is None else above.span_id.to_bytes(8, "big"),
            name=self.name,
            kind=Span.SPAN_KIND_SERVER,
            start_time_unix_nano=self.start_time,
            end_time_unix_nano=self.end_time,
            flags=flags if above is None else flags | _REMOTE,
        )
        for key, value in (self.attributes or {}).items():
            made.attributes.add(key=key).value.string_value = str(value)
        if status.status_code is StatusCode.ERROR:
            made.status.code = SpanStatus.STATUS_CODE_ERROR
        for stage, span, parent in self.stages(root):
            spans.spans.add(
                trace_id=trace,
                span_id=span,
                parent_span_id=parent,
                name=stage.name,
                kind=Span.SPAN_KIND_INTERNAL,
                start_time_unix_nano=self._epoch + nanoseconds(stage.began),
                end_time_unix_nano=self._epoch + nanoseconds(stage.ended),
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
        (resource,) = request.resource_spans
        (scope,) = resource.scope_spans
        for span in spans:
            if isinstance(span, CallSpan):
                span.add_to(scope)
        sent = self._client.export(request.SerializeToString())
        return SpanExportResult.SUCCESS if sent.success else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Send nothing more, and do not try again what is being sent."""
        if not self._ended:
            self._ended = True
            self._client.shutdown()


def _frame(resource: Resource, scope: InstrumentationScope) -> ExportTraceServiceRequest:
    """A request without spans, by the library's encoder: attributes may be of any type."""
    sample = ReadableSpan(
        "sample",
        SpanContext(1, 1, is_remote=False),
        resource=resource,
        instrumentation_scope=scope,
    )
    frame = encode_spans([sample])
    for sender in frame.resource_spans:
        for made in sender.scope_spans:
            made.ClearField("spans")
    return frame
