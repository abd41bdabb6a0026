"""The pages that need no key, from a running server."""

from __future__ import annotations

import httpx
import pytest

from service.http import openapi
from tests.harness import Server

pytestmark = pytest.mark.processes

PAGES = {"/openapi.json": "application/json", "/docs": "text/html; charset=utf-8"}

each_page = pytest.mark.parametrize("path", PAGES)


@each_page
def test_a_page_needs_no_key(shared_server: Server, path: str) -> None:
    answer = httpx.get(f"http://{shared_server.http}{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, PAGES[path])
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-request-id"]


def test_the_document_is_served_as_it_was_made(shared_server: Server) -> None:
    assert httpx.get(f"http://{shared_server.http}/openapi.json").content == openapi.text()


@each_page
def test_a_page_that_is_known_is_not_sent_again(shared_server: Server, path: str) -> None:
    with httpx.Client(base_url=f"http://{shared_server.http}") as client:
        etag = client.get(path).headers["etag"]
        again = client.get(path, headers={"If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")
        assert "content-length" not in again.headers
        assert client.get(path).status_code == 200


@each_page
def test_a_page_is_only_read(shared_server: Server, path: str) -> None:
    answer = httpx.post(f"http://{shared_server.http}{path}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.json()["error"]["code"] == 405
