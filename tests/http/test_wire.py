"""Bytes on a connection that are no request, nearly one, or more than one."""

from __future__ import annotations

import gzip
from urllib.parse import quote

import pytest

from service.http.protocol import MAX_HEAD_BYTES, MAX_HEADERS, MAX_PIPELINED
from service.rpc.call_runner import MAX_MESSAGE_BYTES
from tests.http.wire import Answer, Caller, calling
from tests.inprocess import Service
from tests.waiting import until

TOO_LARGE = MAX_MESSAGE_BYTES + 1024 * 1024
BODY = b'{"content": "x"}'


async def serves(service: Service, key: str) -> None:
    async with calling(service.http, key) as caller:
        assert (await caller.call("POST", "/v1/documents", BODY)).status == 200


NO_REQUESTS = {
    "two lengths": (
        b"POST /v1/documents HTTP/1.1\r\ncontent-length: 16\r\ncontent-length: 5\r\n\r\n"
    ),
    "two equal lengths": (
        b"POST /v1/documents HTTP/1.1\r\ncontent-length: 16\r\ncontent-length: 16\r\n\r\n"
    ),
    "a length and chunks": (
        b"POST /v1/documents HTTP/1.1\r\ncontent-length: 5\r\n"
        b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "chunks and a length": (
        b"POST /v1/documents HTTP/1.1\r\ntransfer-encoding: chunked\r\n"
        b"content-length: 5\r\n\r\n0\r\n\r\n"
    ),
    "an encoding that is not the last": (
        b"POST /v1/documents HTTP/1.1\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n"
    ),
    "a space before the colon": b"GET /v1/containers HTTP/1.1\r\nhost : localhost\r\n\r\n",
    "a folded header": b"GET /v1/containers HTTP/1.1\r\nhost: a\r\n b: c\r\n\r\n",
    "a header without a colon": b"GET /v1/containers HTTP/1.1\r\nhost\r\n\r\n",
    "NUL in a header": b"GET /v1/containers HTTP/1.1\r\nhost: a\0b\r\n\r\n",
    "a negative length": b"POST /v1/documents HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
    "a length in hexadecimal": b"POST /v1/documents HTTP/1.1\r\ncontent-length: 0x10\r\n\r\n",
    "a length beyond all": b"POST /v1/documents HTTP/1.1\r\ncontent-length: %s\r\n\r\n"
    % (b"9" * 40),
    "no version": b"GET /v1/containers\r\n\r\n",
    "another version": b"GET /v1/containers HTTP/3.0\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 100,
    "another protocol": b"EHLO localhost\r\n",
    "noise": bytes(range(256)),
    "a verb of none": b"FROBNICATE /v1/containers HTTP/1.1\r\n\r\n",
    "a path of raw bytes": b"GET /v1/documents/\xff\xfe HTTP/1.1\r\n\r\n",
    "no path": b"GET  HTTP/1.1\r\n\r\n",
    "a tunnel": b"CONNECT localhost:443 HTTP/1.1\r\nhost: localhost:443\r\n\r\n",
}


async def test_what_is_no_request_is_refused_and_ends_the_connection(
    service: Service, key: str
) -> None:
    for name, data in NO_REQUESTS.items():
        async with calling(service.http) as caller:
            await caller.send(data)
            answer = await caller.answer()
            assert 400 <= answer.status < 500, name
            assert answer.headers.get("connection") == "close", (name, answer)
            assert answer.headers["x-request-id"], name
            assert answer.json["error"]["code"] == answer.status, name
            # Nothing that follows is taken for another request.
            assert await caller.ended() == b"", name
    await serves(service, key)


async def test_what_follows_the_last_request_is_not_looked_at(caller: Caller) -> None:
    first = caller.request("GET", "/v1/containers", connection="close")
    await caller.send(first + caller.request("POST", "/v1/documents", BODY))

    assert (await caller.answer()).status in (200, 400)
    assert b"receipt" not in await caller.ended()


async def test_a_body_with_a_broken_chunk_is_answered_and_not_done(
    caller: Caller, service: Service, key: str
) -> None:
    head = caller.request(
        "POST", "/v1/documents", content_type="application/json", transfer_encoding="chunked"
    )
    for rest in (b"zz\r\n", b"5\r\n12345678\r\n", b"-5\r\n", b"ffffffffffffffffff\r\n"):
        async with calling(service.http, key) as made:
            await made.send(head + b"10\r\n" + BODY + b"\r\n" + rest)
            answer = await made.answer()
            assert (answer.status, answer.headers["connection"]) == (400, "close")
            assert await made.ended() == b""
    listed = await caller.call("POST", "/v1/documents:list", {})
    assert listed.json["documents"] == []


async def test_requests_before_one_that_is_none_are_answered(caller: Caller) -> None:
    post = caller.request("POST", "/v1/documents", BODY)
    await caller.send(post + post + b"POST\0")

    assert [(await caller.answer()).status for _ in range(3)] == [200, 200, 400]
    assert await caller.ended() == b""


async def test_requests_before_one_with_a_broken_body_are_answered(caller: Caller) -> None:
    post = caller.request("POST", "/v1/documents", BODY)
    broken = caller.request(
        "POST", "/v1/documents", content_type="application/json", transfer_encoding="chunked"
    )
    await caller.send(post + broken + b"zz\r\n")

    assert [(await caller.answer()).status for _ in range(2)] == [200, 400]
    assert await caller.ended() == b""


async def test_requests_sent_ahead_are_answered_in_order(caller: Caller) -> None:
    bad = caller.request("POST", "/v1/documents", b"[")
    good = caller.request("POST", "/v1/documents", BODY)
    lost = caller.request("GET", "/v1/documents/lost")
    await caller.send((bad + good + lost) * 10)

    statuses = [(await caller.answer()).status for _ in range(30)]
    assert statuses == [400, 200, 404] * 10
    assert (await caller.call("GET", "/v1/containers")).status == 200


async def test_too_many_requests_sent_ahead_end_the_connection(caller: Caller) -> None:
    await caller.send(caller.request("GET", "/v1/documents/lost") * (MAX_PIPELINED * 3))

    answers = [await caller.answer() for _ in range(MAX_PIPELINED + 2)]
    assert [answer.status for answer in answers] == [404] * (MAX_PIPELINED + 1) + [429]
    assert await caller.ended() == b""


async def test_another_protocol_that_is_offered_is_not_taken(caller: Caller) -> None:
    offered = caller.request(
        "GET",
        "/v1/containers",
        connection="Upgrade, HTTP2-Settings",
        upgrade="h2c",
        http2_settings="AAMAAABkAAQAAP__",
    )
    posted = caller.request(
        "POST",
        "/v1/documents",
        BODY,
        connection="Upgrade",
        upgrade="websocket",
        sec_websocket_key="x" * 24,
        sec_websocket_version="13",
    )
    for data in (offered, posted, offered + posted + offered):
        await caller.send(data)
    assert [(await caller.answer()).status for _ in range(5)] == [200] * 5


async def test_heads_have_a_limit(service: Service, key: str) -> None:
    lines = b"".join(b"x-%d: %s\r\n" % (n, b"y" * 1000) for n in range(17))
    many = b"a:\r\n" * (MAX_HEADERS + 1)
    for data in (
        b"GET /v1/containers HTTP/1.1\r\n" + lines + b"\r\n",
        b"GET /v1/containers HTTP/1.1\r\n" + many + b"\r\n",
        b"GET /v1/containers HTTP/1.1\r\nx: " + b"y" * (MAX_HEAD_BYTES * 20),
        b"GET /" + b"y" * (MAX_HEAD_BYTES + 1) + b" HTTP/1.1\r\n\r\n",
    ):
        async with calling(service.http) as caller:
            await caller.send(data)
            answer = await caller.answer()
            assert (answer.status, answer.headers["connection"]) == (431, "close")
    async with calling(service.http, key) as caller:
        padded = {f"x_{n}": "y" * 1000 for n in range(15)}
        assert (await caller.call("GET", "/v1/containers", **padded)).status == 200


async def test_a_head_in_pieces_and_a_large_body_are_one_request(caller: Caller) -> None:
    body = b'{"content": "' + b"x" * 500_000 + b'"}'
    data = caller.request("POST", "/v1/documents", body)
    await caller.send(data[:20])
    await until(lambda: caller.writer.transport.get_write_buffer_size() == 0)
    await caller.send(data[20:])
    assert (await caller.answer()).status == 200
    for byte in caller.request("POST", "/v1/documents", BODY):
        await caller.send(bytes((byte,)))
    assert (await caller.answer()).status == 200


async def test_what_stands_after_a_body_is_no_header(service: Service, caller: Caller) -> None:
    head = caller.request(
        "POST", "/v1/documents", content_type="application/json", transfer_encoding="chunked"
    )
    chunk = b"10;name=value\r\n" + BODY + b"\r\n"
    await caller.send(head + chunk + b"0\r\nidempotency-key: x\r\nif-match: y\r\n\r\n")
    assert (await caller.answer()).status == 200

    for endless in (b"0\r\nx: " + b"y" * 300_000, b"1;" + b"x" * 300_000):
        async with calling(service.http, caller.key) as made:
            await made.send(head + chunk + endless)
            answer = await made.answer()
            assert (answer.status, answer.headers["connection"]) == (431, "close")


async def large(caller: Caller, *, chunked: bool) -> Answer:
    """The answer to a body that is too large, of which as much is sent as is taken."""
    how = {"transfer_encoding": "chunked"} if chunked else {"content_length": str(TOO_LARGE)}
    await caller.send(
        caller.request("POST", "/v1/documents", None, content_type="application/json", **how)
    )
    part = b"x" * 65_536
    for _ in range(TOO_LARGE // len(part)):
        await caller.send(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
    return await caller.answer()


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_large_is_told_to_who_sends_it_all_first(
    caller: Caller, service: Service, chunked: bool
) -> None:
    answer = await large(caller, chunked=chunked)
    assert (answer.status, answer.reason) == (413, "MESSAGE_TOO_LARGE")
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-should-retry"] == "false"
    assert await caller.ended() == b""
    await serves(service, caller.key or "")


async def test_a_body_without_a_key_is_refused_before_it_is_sent(
    stranger: Caller, service: Service, key: str
) -> None:
    answer = await large(stranger, chunked=True)
    assert (answer.status, answer.reason) == (401, "KEY_MISSING")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["connection"] == "close"
    await serves(service, key)


async def test_a_caller_is_told_to_send_its_body_once_it_is_known(
    caller: Caller, stranger: Caller
) -> None:
    for made, status in ((stranger, 401), (caller, 100)):
        await made.send(
            made.request(
                "POST",
                "/v1/documents",
                content_type="application/json",
                content_length=str(len(BODY)),
                expect="100-continue",
            )
        )
        assert (await made.head())[0] == status
    await caller.send(BODY)
    assert (await caller.answer()).status == 200
    assert (await caller.call("GET", "/v1/containers")).status == 200


async def test_a_body_that_is_too_large_is_not_asked_for(caller: Caller) -> None:
    await caller.send(
        caller.request(
            "POST",
            "/v1/documents",
            content_type="application/json",
            content_length=str(TOO_LARGE),
            expect="100-continue",
        )
    )
    assert (await caller.answer()).status == 413


async def test_other_encodings_and_types_are_refused(caller: Caller, service: Service) -> None:
    packed = gzip.compress(BODY)
    for body, headers in (
        (packed, {"content_encoding": "gzip"}),
        (packed, {"content_encoding": "br"}),
        (BODY, {"content_type": "text/plain"}),
        (BODY, {"content_type": "application/x-www-form-urlencoded"}),
        (BODY, {"content_type": ""}),
        (BODY, {"content_type": "application/jsonx"}),
        (packed, {"transfer_encoding": "gzip, chunked", "content_length": ""}),
    ):
        async with calling(service.http, caller.key) as made:
            await made.send(made.request("POST", "/v1/documents", body, **headers))
            assert (await made.answer()).status in (400, 415), headers
    for content_type in ("application/json; charset=utf-8", "Application/JSON"):
        answer = await caller.call("POST", "/v1/documents", BODY, content_type=content_type)
        assert answer.status == 200


async def test_any_id_can_be_named(caller: Caller) -> None:
    names = (
        "a/b",
        "file:x|y",
        "100%",
        "a:b",
        "x:watch",
        "x:append",
        "..",
        ".",
        "a b",
        "ä/ö?#",
        "%2F",
        "*",
        "a+b",
        "a&b=c",
        "x/../y",
        "{id}",
        "documents:list",
        ":",
        "a%00b",
    )
    for name in names:
        made = await caller.call("POST", "/v1/documents", {"content": name, "customId": name})
        assert made.status == 200, name
        target = f"/v1/documents/{quote(name, safe='')}"
        read = await caller.call("GET", target)
        assert (read.status, read.json["document"]["content"]) == (200, name), name
        changed = await caller.call("PATCH", target, {"title": name})
        assert changed.status == 200, name
        assert (await caller.call("DELETE", target)).status == 200, name


async def test_paths_that_are_malformed(caller: Caller) -> None:
    for path, status in (
        ("/v1/documents/%ff", 400),
        ("/v1/documents/%", 404),
        ("/v1/documents/%zz", 404),
        ("/v1/documents/%00", 400),
        ("/v1/documents/a/b", 404),
        ("/v1/documents//", 404),
        ("/v1//documents", 404),
        ("//v1/documents/x", 404),
        ("/v1/documents/../containers", 404),
        ("/", 404),
        ("/v1/documents/x?container=%ff", 400),
        ("/v1/documents/x?nothing=1", 400),
        ("/v1/documents/x?id=y", 400),
        ("/v1/containers?pageSize=x", 400),
        ("/v1/containers?pageSize=1&pageSize=2", 400),
        ("/v1/containers?" + "&".join(f"a{n}=1" for n in range(300)), 400),
        ("http://localhost/v1/containers", 200),
        ("http://other.example/v1/documents/x", 404),
    ):
        answer = await caller.call("GET", path)
        assert answer.status == status, (path, answer.body)
        assert answer.json.get("error", {}).get("code", 200) == status
    assert (await caller.call("POST", "/v1/containers", {})).headers["allow"] == "GET"


async def test_other_verbs(caller: Caller) -> None:
    shown = await caller.call("GET", "/v1/containers")
    head = await caller.call("HEAD", "/v1/containers")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(shown.body))
    for verb in ("OPTIONS", "PUT", "TRACE", "DELETE", "PROPFIND"):
        answer = await caller.call(verb, "/v1/containers")
        assert (answer.status, answer.headers["allow"]) == (405, "GET"), verb
    assert (await caller.call("HEAD", "/v1/documents/x:watch")).status == 405
    assert (await caller.call("OPTIONS", "*")).status == 404


async def test_a_body_where_none_belongs_is_not_left_out(caller: Caller) -> None:
    await caller.call("POST", "/v1/documents", {"content": "x", "customId": "kept"})
    refused = await caller.call("DELETE", "/v1/documents/kept", {"etag": "another"})
    assert refused.status == 400
    assert (await caller.call("GET", "/v1/documents/kept", {})).status == 200


async def test_an_older_http_is_answered_and_closed(service: Service, key: str) -> None:
    async with calling(service.http, key) as caller:
        await caller.send(
            caller.request("POST", "/v1/documents", BODY).replace(b"HTTP/1.1", b"HTTP/1.0")
        )
        answer = await caller.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await caller.ended() == b""


@pytest.mark.slow
async def test_a_caller_that_hangs_up_ends_its_calls_without_a_word(
    service: Service, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with calling(service.http, key) as caller:
        await caller.call("POST", "/v1/documents", {"content": "x", "customId": "watched"})
        watch = caller.request("GET", "/v1/documents/watched:watch")
        await caller.send(watch + watch)
        assert (await caller.head())[0] == 200
        assert service.server.calls_in_progress == 1
    await until(lambda: service.server.calls_in_progress == 0)
    await serves(service, key)
    assert "Exception" not in "".join(capsys.readouterr())
