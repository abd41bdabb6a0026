"""An embedding server on a local port, that answers as a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.waiting import HANG_SECONDS


@dataclass
class Answer:
    """What is answered; with `never`, nothing until the server ends."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    never: bool = False


@dataclass
class RetryPolicy:
    """As the embedder's own; a test may change it while the embedder is in use."""

    timeout: float = HANG_SECONDS
    attempts: int = 1
    pause: float = 0.0
    longest_pause: float = 0.0


def embeddings(texts: list[str]) -> Any:
    """For each text a vector that tells its length."""
    rows = [[len(text), 1.0, 0.0] for text in texts]
    data = [
        {"object": "embedding", "index": place, "embedding": row} for place, row in enumerate(rows)
    ]
    return {"object": "list", "data": data, "model": "m"}


class Server:
    """Answers in turn with `script`, and then with embeddings; notes what it was asked."""

    def __init__(self) -> None:
        self.script: list[Answer | Callable[[list[str]], Answer]] = []
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.lock = threading.Lock()
        self.busy = self.busiest = 0
        self.asked_once = threading.Event()
        self.closed = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer.serve(self)

            def log_message(self, *_: object) -> None:
                """Silent."""

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Callers that hung up are what the tests are about."""

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/v1"

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        request = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
        with self.lock:
            self.busy += 1
            self.busiest = max(self.busiest, self.busy)
            self.asked.append(request)
            self.headers.append({name.lower(): value for name, value in handler.headers.items()})
            self.paths.append(handler.path)
            planned = self.script.pop(0) if self.script else Answer()
        self.asked_once.set()
        self.go_on.wait(HANG_SECONDS)
        answer = planned if isinstance(planned, Answer) else planned(request["input"])
        if answer.never:
            self.closed.wait(HANG_SECONDS)
        body = embeddings(request["input"]) if answer.body is None else answer.body
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        with self.lock:
            self.busy -= 1
        handler.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(len(content))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    def close(self) -> None:
        self.go_on.set()
        self.closed.set()
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()
