"""Where the server listens for HTTP, by TLS or not, and which web pages it answers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from service.rpc.server import BindError
from service.settings import Settings
from tests.http.wire import calling
from tests.inprocess import ManualClock, Service, running_service
from tests.waiting import until

TLS = Path(__file__).parent.parent / "rpc" / "tls"
DOCUMENTS = "/v1/documents"
BODY = b'{"content": "x"}'
MCP = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'


@contextlib.asynccontextmanager
async def serving(directory: Path, **options: Any) -> AsyncIterator[Service]:
    options.setdefault("http", "127.0.0.1:0")
    async with running_service(directory, ManualClock(), **options) as service:
        yield service


# --- addresses ---------------------------------------------------------------------


async def test_nothing_listens_where_no_address_is_given(directory: Path) -> None:
    async with serving(directory, http="") as service:
        assert service.http == ""


async def test_an_address_in_use_is_an_error(directory: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BindError, match=f"127.0.0.1:{port} for HTTP.*--http"):
            async with serving(directory, http=f"127.0.0.1:{port}"):
                pass
    # Of the failed start nothing is left that is in the way of another one.
    async with serving(directory, http=f"127.0.0.1:{port}") as service:
        assert service.http == f"127.0.0.1:{port}"
        with pytest.raises(BindError):
            async with serving(directory / "other", http=service.http):
                pass


async def test_a_socket_is_taken_over_from_a_server_that_is_gone(directory: Path) -> None:
    path = directory / "http"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    async with serving(directory, http=f"unix:{path}") as service:
        # Only its owner may connect, or whom the folder and umask let in, as to gRPC's.
        assert path.stat().st_mode == (directory / "socket").stat().st_mode
        async with calling(service.http, service.create_key()) as caller:
            assert (await caller.call("GET", "/v1/containers")).status == 200
        with pytest.raises(BindError):
            async with serving(directory / "other", http=f"unix:{path}"):
                pass
        async with calling(service.http, service.create_key()) as caller:
            assert (await caller.call("GET", "/v1/containers")).status == 200
    assert not path.exists()


async def test_a_file_that_is_no_socket_is_kept(directory: Path) -> None:
    path = directory / "file"
    path.write_text("precious")
    with pytest.raises(BindError):
        async with serving(directory, http=f"unix:{path}"):
            pass
    assert path.read_text() == "precious"


def test_other_addresses_need_tls_and_keys(tmp_path: Path) -> None:
    everywhere = "0.0.0.0:50080"
    for no_auth, allow_plaintext in ((False, False), (True, True)):
        with pytest.raises(ValueError, match="loopback"):
            Settings(
                data_dir=tmp_path,
                http=everywhere,
                no_auth=no_auth,
                allow_plaintext=allow_plaintext,
            )
    Settings(data_dir=tmp_path, http=everywhere, allow_plaintext=True)


# --- TLS -----------------------------------------------------------------------------


def context(client: str = "") -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(TLS / "ca.pem"))
    made.check_hostname = False
    if client:
        made.load_cert_chain(TLS / f"{client}.pem", TLS / f"{client}.key")
    return made


def files(directory: Path, name: str) -> dict[str, Any]:
    (directory / "cert.pem").write_bytes((TLS / f"{name}.pem").read_bytes())
    (directory / "key.pem").write_bytes((TLS / f"{name}.key").read_bytes())
    return {"tls_cert": directory / "cert.pem", "tls_key": directory / "key.pem"}


async def test_calls_are_answered_over_tls_and_only_over_tls(directory: Path) -> None:
    async with serving(directory, **files(directory, "server")) as service:
        key = service.create_key()
        async with calling(service.http, key, context()) as caller:
            assert (await caller.call("POST", DOCUMENTS, BODY)).status == 200
            large = b'{"content": "' + b"x" * 900_000 + b'"}'
            assert (await caller.call("POST", DOCUMENTS, large)).status == 200
            await caller.send(b"\0" * 100)
            assert (await caller.answer()).status == 400
        async with calling(service.http, None, context()) as stranger:
            await stranger.send(stranger.request("POST", DOCUMENTS, BODY)[:-1])
            answer = await stranger.answer()
            assert (answer.status, answer.headers["connection"]) == (401, "close")
        async with calling(service.http, key) as plain:
            await plain.send(plain.request("GET", "/v1/containers"))
            assert b"HTTP/1.1 200" not in await plain.ended()


async def test_clients_show_a_certificate_where_it_is_asked_for(directory: Path) -> None:
    options = {**files(directory, "server"), "tls_client_ca": TLS / "ca.pem"}
    async with serving(directory, **options) as service:
        key = service.create_key()
        async with calling(service.http, key, context("client")) as caller:
            assert (await caller.call("GET", "/v1/containers")).status == 200
        for other in ("", "stranger"):
            with pytest.raises((OSError, asyncio.IncompleteReadError)):
                async with calling(service.http, key, context(other)) as caller:
                    await caller.call("GET", "/v1/containers")


async def test_a_renewed_certificate_is_shown_to_new_connections(directory: Path) -> None:
    async with serving(directory, **files(directory, "server")) as service:
        key = service.create_key()

        async def shown() -> bytes:
            any_certificate = context()
            any_certificate.verify_mode = ssl.CERT_NONE
            async with calling(service.http, key, any_certificate) as caller:
                assert (await caller.call("GET", "/v1/containers")).status == 200
                found = caller.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
                assert isinstance(found, bytes)
                return found

        async with calling(service.http, key, context()) as kept:
            before = await shown()
            files(directory, "other-name")
            assert service.tls is not None
            service.tls.request_reload()

            async def changed() -> bool:
                return await shown() != before

            await until(changed)
            assert (await kept.call("GET", "/v1/containers")).status == 200


# --- web pages --------------------------------------------------------------------------


async def test_without_keys_no_web_page_is_answered(directory: Path) -> None:
    async with (
        serving(directory, no_auth=True) as service,
        calling(service.http) as caller,
    ):
        port = service.http.rpartition(":")[2]
        for host in ("localhost", "LOCALHOST.", f"localhost:{port}", f"127.0.0.1:{port}",
                     "[::1]", f"[::1]:{port}", "app.localhost"):  # fmt: skip
            answer = await caller.call("GET", "/v1/containers", host=host)
            assert answer.status == 200, host
        for host in ("rebound.example", "localhost.rebound.example", "192.0.2.1", "",
                     "127.0.0.1.rebound.example", "0.0.0.0", "[2001:db8::1]:80"):  # fmt: skip
            for path in ("/v1/containers", "/v3/documents/x", "/health", "/nothing"):
                async with calling(service.http) as page:
                    answer = await page.call("GET", path, host=host)
                    assert answer.status == 403, (host, path)
                    assert "access-control-allow-origin" not in answer.headers
        # What a page may send without being asked: simple types, and none at all.
        await caller.call("POST", "/v1/memories", {"memories": [{"content": "x"}]})
        for path in (DOCUMENTS, "/v3/documents", "/mcp", "/v1/memories/x:restore"):
            for content_type in ("text/plain", "", "application/x-www-form-urlencoded",
                                 "multipart/form-data; boundary=x"):  # fmt: skip
                for body in (BODY, b""):
                    async with calling(service.http) as page:
                        answer = await page.call("POST", path, body, content_type=content_type)
                        assert answer.status == 415, (path, content_type, body)
        for origin in ("https://page.example", "null", "http://localhost:1"):
            async with calling(service.http) as page:
                answer = await page.call("POST", DOCUMENTS, BODY, origin=origin)
                assert answer.status == 403, origin
                answer = await page.call("OPTIONS", DOCUMENTS, origin=origin)
                assert answer.status == 403, origin
        assert (await caller.call("POST", f"{DOCUMENTS}:list", {})).json["documents"] == []
        assert (await caller.call("POST", DOCUMENTS, BODY)).status == 200


async def test_pages_of_origins_that_are_named_may_call(directory: Path) -> None:
    named = "https://app.example"
    for no_auth in (False, True):
        async with (
            serving(
                directory, http_origins=f"{named},http://localhost:3000", no_auth=no_auth
            ) as service,
            calling(service.http, service.create_key()) as caller,
        ):
            asked = await caller.call(
                "OPTIONS", DOCUMENTS, origin=named, authorization="",
                access_control_request_method="POST",
                access_control_request_headers="authorization, content-type",
            )  # fmt: skip
            assert asked.status == 204
            assert asked.headers["access-control-allow-origin"] == named
            assert "authorization" in asked.headers["access-control-allow-headers"]
            assert "PATCH" in asked.headers["access-control-allow-methods"]
            answer = await caller.call("POST", DOCUMENTS, BODY, origin=named)
            assert answer.status == 200
            assert answer.headers["access-control-allow-origin"] == named
            assert answer.headers["vary"] == "origin"
            assert "access-control-allow-credentials" not in answer.headers
            failed = await caller.call("GET", f"{DOCUMENTS}/none", origin=named)
            assert failed.headers["access-control-allow-origin"] == named


async def test_pages_of_other_origins_may_read_nothing(directory: Path) -> None:
    for origins in ("", "https://app.example"):
        async with (
            serving(directory, http_origins=origins) as service,
            calling(service.http, service.create_key()) as caller,
        ):
            for origin in ("https://app.example.evil", "http://app.example", "null", "*",
                           "https://app.example:8443", "HTTPS://APP.EXAMPLE"):  # fmt: skip
                for verb, path in (("GET", "/v1/containers"), ("OPTIONS", DOCUMENTS)):
                    answer = await caller.call(verb, path, origin=origin)
                    assert not [n for n in answer.headers if n.startswith("access-control")]
