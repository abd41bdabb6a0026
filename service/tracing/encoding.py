"""Spans of calls and of their stages as messages of OTLP.

The library's encoder takes 17 microseconds for a span, and a call has ten of them: a third of
what the call itself costs. A stage has nothing but a name and two times, and its message is
filled here in two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans, Span, SpanFlags, Status
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags

from service.core.errors import PalimpsestError
from service.rpc.failures import is_callers_mistake
from service.runtime.call_stages import Stage

NANOSECONDS: Final = 1_000_000_000

_LOCAL: Final = TraceFlags.SAMPLED | SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_REMOTE: Final = _LOCAL | SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK
"""Flags of sampled spans, by whether their parent is of another process."""

_IDS: Final = 2**64


@dataclass(slots=True)
class CallRecord:
    """A call that has ended. Times are seconds of `time.perf_counter`.

    Not frozen: that would take as long as all the rest of what is done as the call ends.

    Args:
        method: Its path over gRPC, or verb and path pattern over HTTP.
        code: The name of its status, or a word for an end without one.
        call_id: What it is called in logs.
        failure: The error that its caller got.
        epoch: Unix time at the zero of that clock, in nanoseconds.
        began: When it began.
        ended: When it ended.
        stages: In the order in which they ended.
    """

    method: str
    code: str
    call_id: str
    failure: PalimpsestError | None
    epoch: int
    began: float
    ended: float
    stages: Sequence[Stage]

    @property
    def name(self) -> str:
        return self.method.removeprefix("/")

    def attributes(self) -> Iterator[tuple[str, str]]:
        """What its span says of it: no content, container or key."""
        yield "rpc.system", "grpc" if self.method.startswith("/") else "http"
        yield "rpc.method", self.name
        yield "palimpsest.code", self.code
        yield "palimpsest.call_id", self.call_id
        if self.failure is not None:
            yield "palimpsest.reason", self.failure.reason.name


def add_call(
    spans: ScopeSpans, call: CallRecord, context: SpanContext, parent: SpanContext | None
) -> None:
    """Add the spans of a call and of its stages.

    Args:
        spans: Where to.
        call: The call.
        context: Its span.
        parent: The caller's span; None: the call begins the trace.
    """
    trace = context.trace_id.to_bytes(16, "big")
    made = spans.spans.add(
        trace_id=trace,
        span_id=context.span_id.to_bytes(8, "big"),
        parent_span_id=b"" if parent is None else parent.span_id.to_bytes(8, "big"),
        name=call.name,
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=call.epoch + int(call.began * NANOSECONDS),
        end_time_unix_nano=call.epoch + int(call.ended * NANOSECONDS),
        flags=_LOCAL if parent is None else _REMOTE,
    )
    for key, value in call.attributes():
        made.attributes.add(key=key).value.string_value = value
    if call.failure is not None and not is_callers_mistake(call.failure):
        made.status.code = Status.STATUS_CODE_ERROR
    _add_stages(spans, trace, context.span_id, call)


def _add_stages(spans: ScopeSpans, trace: bytes, number: int, call: CallRecord) -> None:
    """Add the spans of the stages.

    Args:
        spans: Where to.
        trace: The id of the trace.
        number: That of the call's span. Those of its stages count on from it: a random id for
            each would take as long as all the rest of it.
        call: The call.
    """
    add, epoch, root = spans.spans.add, call.epoch, number.to_bytes(8, "big")
    wholes: list[tuple[str, float, bytes]] = []
    # A part ends before the whole.
    for name, began, ended in reversed(call.stages):
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
            flags=_LOCAL,
        )


def empty_request(resource: Resource, scope: InstrumentationScope) -> ExportTraceServiceRequest:
    """A request without spans, by the library's encoder: attributes may be of any type."""
    context = SpanContext(1, 1, is_remote=False)
    sample = ReadableSpan("", context, resource=resource, instrumentation_scope=scope)
    request = encode_spans([sample])
    for sender in request.resource_spans:
        for made in sender.scope_spans:
            made.ClearField("spans")
    return request
