"""Clients that speak HTTP/2 by hand, or something else, or not at all."""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import struct
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import h2.config
import h2.connection
import h2.events
import h2.exceptions

Headers = list[tuple[bytes, bytes]]

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS: Final = b"\0\0\0\x04\0\0\0\0\0"


def raise_descriptor_limit(wanted: int) -> None:
    """Lets this process, and those it starts, open so many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


class Memory:
    """What a process holds in memory, in MiB."""

    def __init__(self, pid: int) -> None:
        self._proc = Path(f"/proc/{pid}")

    def _read(self, name: str) -> float:
        status = (self._proc / "status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(f"{name}:"))
        return int(line.split()[1]) / 1024

    def start(self) -> None:
        """Forgets the peak so far."""
        (self._proc / "clear_refs").write_text("5")

    def now(self) -> float:
        return self._read("VmRSS")

    def peak(self) -> float:
        return self._read("VmHWM")


def frame(message: bytes, *, compressed: bool = False, size: int | None = None) -> bytes:
    """A message as gRPC frames it; `size` is what its head says instead of the truth."""
    return struct.pack(">?I", compressed, len(message) if size is None else size) + message


def call_headers(path: str, key: str | None = None, *more: tuple[bytes, bytes]) -> Headers:
    """The headers of a proper call; `more` come instead of those of the same name."""
    headers = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": path.encode(),
        b":authority": b"localhost",
        b"content-type": b"application/grpc",
        b"te": b"trailers",
    }
    if key is not None:
        headers[b"authorization"] = f"Bearer {key}".encode()
    headers.update(more)
    return list(headers.items())


class Peer:
    """One HTTP/2 connection. Without `acknowledge` it lets nothing more in once its window is full.

    `headers` and `ended` tell what the server answered, by stream.
    """

    def __init__(self, address: str, *, acknowledge: bool = True) -> None:
        self.socket = dial(address)
        # Not `select`: that takes no descriptor from 1,024 on.
        self._readable = select.poll()
        self._readable.register(self.socket, select.POLLIN)
        self._acknowledge = acknowledge
        self._http = h2.connection.H2Connection(
            h2.config.H2Configuration(
                header_encoding=None,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                validate_inbound_headers=False,
            )
        )
        self._http.initiate_connection()
        self._flush()
        self.headers: defaultdict[int, dict[bytes, bytes]] = defaultdict(dict)
        self.ended: set[int] = set()
        self.received: defaultdict[int, int] = defaultdict(int)
        self.closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.close()

    def call(self, headers: Headers, body: bytes = b"", *, end: bool = True) -> int:
        """Opens a stream and sends what of the body the server takes at once."""
        stream = self._http.get_next_available_stream_id()
        self._http.send_headers(stream, headers)
        self._flush()
        left = self.send(stream, body)
        if end and not left:
            with contextlib.suppress(h2.exceptions.ProtocolError):
                self._http.end_stream(stream)
            self._flush()
        return stream

    def reset(self, stream: int) -> None:
        """Gives a call up."""
        with contextlib.suppress(h2.exceptions.ProtocolError):
            self._http.reset_stream(stream)
        self._flush()

    def send(self, stream: int, body: bytes, seconds: float = 2.0) -> bytes:
        """Sends what the server's window allows within a time; the rest is answered."""
        deadline = time.monotonic() + seconds
        while body and not self.closed and stream not in self.ended:
            try:
                room = min(
                    self._http.local_flow_control_window(stream),
                    self._http.max_outbound_frame_size,
                )
                if room > 0:
                    self._http.send_data(stream, body[:room])
                    body = body[room:]
                    self._flush()
                    self.pump(0)
                    continue
            except h2.exceptions.ProtocolError:
                return body
            if time.monotonic() > deadline:
                return body
            self.pump(0.05)
        return body

    def pump(self, seconds: float) -> None:
        """Reads what has come, waiting at most so long for the first of it."""
        while not self.closed and self._readable.poll(seconds * 1000):
            seconds = 0
            try:
                data = self.socket.recv(1 << 20)
            except OSError:
                data = b""
            if not data:
                self.closed = True
                return
            try:
                events = self._http.receive_data(data)
            except h2.exceptions.ProtocolError:
                self.closed = True
                return
            self._take(events)
            self._flush()

    def wait(self, streams: Iterable[int], seconds: float) -> bool:
        """Whether the server has ended all these streams, or the connection, in time."""
        deadline = time.monotonic() + seconds
        wanted = set(streams)
        while not (self.closed or wanted <= self.ended) and time.monotonic() < deadline:
            self.pump(0.05)
        return self.closed or wanted <= self.ended

    def status(self, stream: int) -> str:
        """grpc-status, or the HTTP status where there is none."""
        headers = self.headers[stream]
        return headers.get(b"grpc-status", b"HTTP " + headers.get(b":status", b"none")).decode()

    def _take(self, events: Sequence[h2.events.Event]) -> None:
        for event in events:
            match event:
                case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                    self.headers[event.stream_id or 0].update(dict(event.headers or ()))
                case h2.events.StreamEnded() | h2.events.StreamReset():
                    self.ended.add(event.stream_id or 0)
                case h2.events.DataReceived():
                    self.received[event.stream_id or 0] += len(event.data or b"")
                    if self._acknowledge:
                        self._http.acknowledge_received_data(
                            event.flow_controlled_length or 0, event.stream_id or 0
                        )
                case h2.events.ConnectionTerminated():
                    self.closed = True

    def _flush(self) -> None:
        try:
            self.socket.sendall(self._http.data_to_send())
        except OSError:
            self.closed = True


def dial(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    opened = socket.create_connection((host, int(port)), timeout=10)
    # An attack does not wait until what it sent before has been acknowledged.
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened


@contextlib.contextmanager
def dialled(address: str, opening: bytes, count: int) -> Iterator[list[socket.socket]]:
    """So many connections that have said this and nothing more."""
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(count):
            opened.append(stack.enter_context(dial(address)))
            opened[-1].sendall(opening)
        yield opened
