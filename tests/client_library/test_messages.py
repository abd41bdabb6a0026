"""Requests from plain values, and metadata as dicts."""

from __future__ import annotations

from datetime import UTC, datetime

import grpc
import pytest

import palimpsest
from palimpsest import channels, messages, retries
from palimpsest.errors import PalimpsestError
from palimpsest.v1.documents_pb2 import UPSERT_MODE_CREATE_ONLY, UpsertDocumentRequest
from palimpsest.v1.memories_pb2 import CreateMemoriesRequest, NewMemory


def test_metadata_goes_there_and_back() -> None:
    metadata = {"topic": "tea", "cups": 3, "share": 0.5, "hot": True, "kinds": ["green", "black"]}

    request = messages.build(UpsertDocumentRequest, {"content": "x", "metadata": metadata})
    back = palimpsest.to_dict(request.metadata)

    assert back == metadata
    assert isinstance(back["cups"], int)


def test_fields_that_are_none_are_absent() -> None:
    request = messages.build(UpsertDocumentRequest, {"content": "x", "title": None})

    assert not request.HasField("title")


@pytest.mark.parametrize(
    "memories",
    [
        "tea",
        ["tea"],
        {"content": "tea"},
        NewMemory(content="tea"),
        (NewMemory(content=text) for text in ["tea"]),
    ],
    ids=["text", "texts", "fields", "message", "generator"],
)
def test_memories_are_given_in_any_form(memories: object) -> None:
    request = messages.build(CreateMemoriesRequest, {"memories": memories})

    assert [memory.content for memory in request.memories] == ["tea"]


def test_a_container_alone_is_not_taken_apart() -> None:
    request = messages.build(UpsertDocumentRequest, {"container_tags": "user_7"})

    assert list(request.container_tags) == ["user_7"]


def test_enums_are_numbers_or_names_and_times_are_datetimes() -> None:
    moment = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)

    request = messages.build(
        UpsertDocumentRequest, {"mode": "UPSERT_MODE_CREATE_ONLY", "document_date": moment}
    )

    assert request.mode == UPSERT_MODE_CREATE_ONLY
    assert request.document_date.ToDatetime(UTC) == moment


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"document_date": datetime(2026, 3, 1)}, "document_date: a datetime needs a time zone"),  # noqa: DTZ001
        ({"nothing": 1}, "nothing"),
        ({"metadata": 7}, "metadata: int is no Struct"),
        ({"conversation": {"messages": [7]}}, "messages: int is no ConversationMessage"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_sent(
    fields: dict[str, object], message: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        messages.build(UpsertDocumentRequest, fields)


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("127.0.0.1:50051", True),
        ("127.8.8.8:1", True),
        ("localhost:50051", True),
        ("[::1]:50051", True),
        ("unix:/run/palimpsest", True),
        ("10.0.0.8:50051", False),
        ("memory.example.com:443", False),
        ("localhost.example.com:443", False),
        ("127.0.0.1.example.com:443", False),
        ("[2001:db8::1]:443", False),
        ("dns:///127.0.0.1.example.com:443", False),
        ("0.0.0.0:50051", False),
    ],
)
def test_only_this_machine_is_spoken_to_in_plaintext(address: str, plain: bool) -> None:
    assert (channels.credentials(address, None) is None) == plain


def test_plaintext_and_tls_can_be_chosen() -> None:
    assert channels.credentials("10.0.0.8:50051", False) is None
    assert channels.credentials("127.0.0.1:50051", True) is not None


def test_urls_are_not_addresses() -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        palimpsest.connect("https://memory.example.com", "key")


@pytest.mark.parametrize(
    ("key", "actor", "named"), [("pal_a_b\n", "", "key"), ("pal_a_b", "Zoë", "actor")]
)
def test_what_metadata_cannot_hold_is_refused(key: str, actor: str, named: str) -> None:
    with pytest.raises(ValueError, match=f"{named}: has to be printable ASCII"):
        palimpsest.connect("127.0.0.1:1", key, actor=actor)


@pytest.mark.parametrize(
    ("code", "reason", "retried"),
    [
        (grpc.StatusCode.UNAVAILABLE, "", True),
        (grpc.StatusCode.UNAVAILABLE, "SHUTTING_DOWN", True),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", True),
        (grpc.StatusCode.ABORTED, "REQUEST_IN_PROGRESS", True),
        (grpc.StatusCode.ABORTED, "ETAG_MISMATCH", False),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE", False),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "", False),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "", False),
        (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", False),
    ],
)
def test_what_is_retried(code: grpc.StatusCode, reason: str, retried: bool) -> None:
    delay = retries.delay(PalimpsestError(code, "", reason=reason), 0)

    assert (delay is not None) == retried


def test_retries_wait_as_long_as_the_service_asks_and_longer_each_time() -> None:
    asked = PalimpsestError(
        grpc.StatusCode.RESOURCE_EXHAUSTED, "", reason="OVERLOADED", retry_after=3
    )
    lost = PalimpsestError(grpc.StatusCode.UNAVAILABLE, "")

    assert 3 <= (retries.delay(asked, 0) or 0) <= 3.75
    assert 0.1 <= (retries.delay(lost, 0) or 0) <= 0.125
    assert 5 <= (retries.delay(lost, 2000) or 0) <= 6.25
