"""Embedding servers: a real one on a local port, that answers as each test wants."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import numpy as np
import pytest

from service.embedding.base import EmbedderRefusedError, EmbedderUnavailableError, Purpose
from service.embedding.openai import Model, OpenAIEmbedder, RetryPolicy
from tests.embedding_server import Answer, Server, embeddings
from tests.waiting import HANG_SECONDS

KEY = "sk-secret"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


QUICK = RetryPolicy(timeout=HANG_SECONDS, attempts=3, pause=0.001, longest_pause=1)


@asynccontextmanager
async def embedder(
    server: Server | str, retry_policy: RetryPolicy = QUICK, key: str | None = KEY, **changes: Any
) -> AsyncIterator[OpenAIEmbedder]:
    url = server if isinstance(server, str) else server.url
    made = OpenAIEmbedder(
        Model(**{"url": url, "model": "m", "dimension": 3, **changes}), key, retry_policy
    )
    yield made
    await made.close()


async def failure(
    server: Server | str,
    kind: type[Exception],
    retry_policy: RetryPolicy = QUICK,
) -> str:
    async with embedder(server, retry_policy) as made:
        with pytest.raises(kind) as caught:
            await made.embed(["private text"], Purpose.DOCUMENT)
    message = str(caught.value)
    assert KEY not in message
    assert "private" not in message
    return message


async def test_texts_are_sent_in_batches_and_come_back_in_order(server: Server) -> None:
    texts = ["x" * length for length in range(1, 101)]
    async with embedder(server, batch=8) as made:
        found = await made.embed(texts, Purpose.DOCUMENT)
    np.testing.assert_allclose(found[:, 0] / found[:, 1], range(1, 101), rtol=1e-5)
    assert {len(request["input"]) for request in server.asked} == {8, 4}
    assert len(server.asked) == 13
    assert server.busiest <= 4
    assert set(server.paths) == {"/v1/embeddings"}
    assert server.asked[0]["model"] == "m"
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"


async def test_without_a_key_none_is_sent(server: Server) -> None:
    async with embedder(server, key=None) as made:
        await made.embed(["a"], Purpose.QUERY)
    assert "authorization" not in server.headers[0]


async def test_prefixes_tell_queries_from_documents(server: Server) -> None:
    async with (
        embedder(server, query_prefix="find: ", document_prefix="text: ") as made,
        embedder(server) as plain,
    ):
        await made.embed(["a"], Purpose.QUERY)
        await made.embed(["a"], Purpose.DOCUMENT)
        assert made.name != plain.name
    assert [request["input"] for request in server.asked] == [["find: a"], ["text: a"]]


async def test_the_index_gives_the_order(server: Server) -> None:
    def shuffled(texts: list[str]) -> Answer:
        body = embeddings(texts)
        body["data"].reverse()
        return Answer(body=body)

    server.script = [shuffled]
    async with embedder(server) as made:
        found = await made.embed(["a", "bb", "ccc"], Purpose.DOCUMENT)
    np.testing.assert_allclose(found[:, 0] / found[:, 1], [1, 2, 3], rtol=1e-6)


async def test_without_an_index_the_order_is_kept(server: Server) -> None:
    def bare(texts: list[str]) -> Answer:
        rows = embeddings(texts)["data"]
        return Answer(body={"data": [{"embedding": item["embedding"]} for item in rows]})

    server.script = [bare]
    async with embedder(server) as made:
        found = await made.embed(["a", "bb"], Purpose.DOCUMENT)
    np.testing.assert_allclose(found[:, 0] / found[:, 1], [1, 2], rtol=1e-6)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_a_passing_failure_is_tried_again(server: Server, status: int) -> None:
    server.script = [Answer(status, {}), Answer(status, b"<html>")]
    async with embedder(server) as made:
        assert (await made.embed(["a"], Purpose.QUERY)).any()
    assert len(server.asked) == 3


async def test_a_lasting_failure_is_given_up(server: Server) -> None:
    server.script = [Answer(503, {"error": {"code": "overloaded", "message": "private text"}})] * 4
    said = await failure(server, EmbedderUnavailableError)
    assert f"{server.url} answered 503 (overloaded)" in said
    assert len(server.asked) == 3


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_a_pause_the_server_asks_for_is_made(server: Server, form: str) -> None:
    began = asyncio.get_running_loop().time()
    # A date has whole seconds: this one lies between 1 and 2 of them ahead.
    ahead = datetime.now(UTC) + timedelta(seconds=2)
    value = "1" if form == "seconds" else format_datetime(ahead, usegmt=True)
    server.script = [Answer(429, {}, {"Retry-After": value})]
    async with embedder(server, RetryPolicy(pause=0.001, longest_pause=5)) as made:
        await made.embed(["a"], Purpose.QUERY)
    assert asyncio.get_running_loop().time() - began > 0.9


async def test_too_long_a_pause_is_left_to_the_caller(server: Server) -> None:
    server.script = [Answer(429, {}, {"Retry-After": "3600"})]
    assert "answered 429" in await failure(server, EmbedderUnavailableError)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (400, "does not take these texts"),
        (401, "key file"),
        (403, "key file"),
        (404, "the model's name"),
        (413, "smaller batch"),
        (422, "does not take these texts"),
        (501, "answered 501"),
    ],
)
async def test_what_cannot_succeed_is_not_tried_again(
    server: Server, status: int, hint: str
) -> None:
    body = {"error": {"message": f"Incorrect key {KEY} for private text", "code": f"bad {KEY}"}}
    server.script = [Answer(status, body)] * 3
    assert hint in await failure(server, EmbedderRefusedError)
    assert len(server.asked) == 1


async def test_a_redirect_is_not_followed_with_the_key(server: Server) -> None:
    server.script = [Answer(307, {}, {"Location": "http://127.0.0.1:1/v1/embeddings"})]
    assert "redirected" in await failure(server, EmbedderRefusedError)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (embeddings(["a", "b"]), "2 vectors for 1 texts"),
        ({"data": []}, "0 vectors for 1 texts"),
        (
            {"data": [{"index": 0, "embedding": [1, 2]}]},
            "of 2 numbers, and the dimension is set to 3",
        ),
        ({"data": [{"index": 0, "embedding": ["a", "b", "c"]}]}, "not numbers"),
        ({"data": [{"index": 0, "embedding": [1, None, [2]]}]}, "not numbers"),
        ({"data": [{"index": 0, "embedding": [1, 2, 1e300]}]}, "not finite"),
        ({"data": [{"index": 5, "embedding": [1, 2, 3]}]}, "something else"),
        ({"data": [{"index": [], "embedding": [1, 2, 3]}]}, "something else"),
        ({"data": {"a": 1}}, "something else"),
        ({"data": [1]}, "something else"),
        ([], "something else"),
        (b"<html>", "something else"),
    ],
)
async def test_an_answer_that_is_no_embeddings_is_refused(
    server: Server, body: Any, fault: str
) -> None:
    server.script = [Answer(body=body)]
    assert fault in await failure(server, EmbedderRefusedError)
    assert len(server.asked) == 1


async def test_a_server_that_is_down_is_unavailable() -> None:
    with socket.socket() as taken:
        # Bound and not listening: nobody else can answer on this port.
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        assert "cannot be reached" in await failure(url, EmbedderUnavailableError)


async def test_a_slow_server_is_unavailable(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine a request may be given up before the server has read it.
    requests = 0
    ask = OpenAIEmbedder._ask

    async def counted(self: OpenAIEmbedder, texts: list[str]) -> Any:
        nonlocal requests
        requests += 1
        return await ask(self, texts)

    monkeypatch.setattr(OpenAIEmbedder, "_ask", counted)
    server.script = [Answer(never=True)] * 2
    retry_policy = RetryPolicy(timeout=0.5, attempts=2, pause=0.001)
    said = await failure(server, EmbedderUnavailableError, retry_policy)
    assert "did not answer within 0.5 seconds" in said
    assert requests == 2


async def test_a_call_can_be_cancelled_while_the_server_thinks(server: Server) -> None:
    server.go_on.clear()
    async with embedder(server) as made:
        call = asyncio.create_task(made.embed(["a"], Purpose.QUERY))
        assert await asyncio.to_thread(server.asked_once.wait, HANG_SECONDS)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        server.go_on.set()
        assert (await made.embed(["a"], Purpose.QUERY)).any()


async def test_an_address_names_the_model_and_its_space() -> None:
    model = Model.parse(
        "https://host:8443/v1/?model=nomic-embed-text:latest&dimension=768&batch=8"
        "&query_prefix=search_query:%20"
    )
    assert model == Model(
        "https://host:8443/v1", "nomic-embed-text:latest", 768, 8, "", "search_query: "
    )
    made = OpenAIEmbedder(model)
    assert made.dimension == 768
    assert made.name.startswith("openai:https://host:8443/v1#nomic-embed-text:latest-768:")
    await made.load()
    await made.close()


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("host/v1?model=m&dimension=3", "malformed"),
        ("ftp://host/v1?model=m&dimension=3", "malformed"),
        ("https:///v1?model=m&dimension=3", "malformed"),
        ("https://[::1/v1?model=m&dimension=3", "malformed"),
        ("https://host:port/v1?model=m&dimension=3", "malformed"),
        ("https://host/v1#m", "malformed"),
        ("https://host/v1?model=m", "lacks dimension"),
        ("https://host/v1?dimension=3", "lacks model"),
        ("https://host/v1?model=m&dimension=3&key=s", "unknown key"),
        ("https://host/v1?model=m&dimension=0", "dimension must be a whole number"),
        ("https://host/v1?model=m&dimension=1e3", "dimension must be a whole number"),
        ("https://host/v1?model=m&dimension=3&batch=-1", "batch must be a whole number"),
        ("https://user:secret@host/v1?model=m&dimension=3", "in a file"),
    ],
)
def test_a_malformed_address_is_refused(address: str, fault: str) -> None:
    with pytest.raises(EmbedderRefusedError, match=fault) as caught:
        Model.parse(address)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "two\nlines", "schlüssel", "\x00"])
def test_a_key_that_no_header_can_hold_is_not_quoted(key: str) -> None:
    with pytest.raises(EmbedderRefusedError) as caught:
        OpenAIEmbedder(Model("http://h/v1", "m", 3), key)
    assert not key or key not in str(caught.value)
