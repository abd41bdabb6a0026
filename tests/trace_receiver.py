"""A receiver of OpenTelemetry's spans on a local port, by OTLP over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.waiting import HANG_SECONDS


class TraceReceiver:
    """Keeps what it is sent.

    Attributes:
        url: Its endpoint.
        requests: What was sent, and the bytes of each.
        answered: How many of them were answered.
        reached: Set when something has arrived.
        go_on: While it is not set, nothing is answered.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[ExportTraceServiceRequest, bytes]] = []
        self.answered = 0
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                assert self.path == "/v1/traces"
                outer.requests.append((ExportTraceServiceRequest.FromString(raw), raw))
                outer.reached.set()
                outer.go_on.wait(HANG_SECONDS)
                outer.answered += 1
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def spans(self) -> list[Span]:
        """All that were sent."""
        return [
            span
            for request, _ in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def resource(self) -> dict[str, str]:
        """What the first request says of its sender."""
        (resource,) = self.requests[0][0].resource_spans
        return {each.key: each.value.string_value for each in resource.resource.attributes}

    def root(self, name: str) -> Span:
        """The one span of a call."""
        (found,) = [
            span for span in self.spans if span.name == name and span.kind == Span.SPAN_KIND_SERVER
        ]
        return found

    def children(self, span: Span) -> list[Span]:
        """In the order in which they began."""
        found = [each for each in self.spans if each.parent_span_id == span.span_id]
        return sorted(found, key=lambda each: each.start_time_unix_nano)

    @contextmanager
    def running(self) -> Iterator[TraceReceiver]:
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self.go_on.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()
