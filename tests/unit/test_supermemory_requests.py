"""What each path of Supermemory's API takes: every member of the wrong type is named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NoReturn

import pytest

from service.core.errors import PalimpsestError, Reason, Violation, invalid
from service.http.endpoints import Endpoint, HttpAnswer, HttpRequest
from service.http.supermemory import ENDPOINTS, answer_for
from service.http.supermemory.errors import renamed

Json = dict[str, Any]
Wrong = Sequence[Any]


class NoCalls:
    """The contract, which must not be called: the request is wrong."""

    async def call(self, method: str, request: object) -> NoReturn:
        raise AssertionError(f"{method} was called with {request}")

    async def numbered_documents(self, *arguments: object) -> NoReturn:
        raise AssertionError(f"documents were listed with {arguments}")

    async def numbered_memories(self, *arguments: object) -> NoReturn:
        raise AssertionError(f"memories were listed with {arguments}")

    async def stream(self, method: str, request: object) -> NoReturn:
        raise AssertionError(f"{method} was called with {request}")


def endpoint(verb: str, path: str) -> Endpoint:
    return next(one for one in ENDPOINTS if (one.verb, one.path) == (verb, path))


async def refusal(verb: str, path: str, body: bytes, **given: Any) -> PalimpsestError:
    request = HttpRequest({"id": "x", "containerTag": "x"}, given, {}, body)
    with pytest.raises(PalimpsestError) as raised:
        await endpoint(verb, path).handler(NoCalls(), request)
    return raised.value


def named(error: PalimpsestError) -> list[str]:
    assert error.reason is Reason.INVALID_REQUEST, error.message
    return [violation.field for violation in error.violations]


TEXT: Wrong = [None, 1, True, [], {}]
NUMBER: Wrong = [None, "x", True, [], {}]
WHOLE: Wrong = [None, "x", True, [], {}, 1.5, 0, -1, 2**53 + 1]
BOOLEAN: Wrong = [None, "x", 1, [], {}]
TEXTS: Wrong = [None, "x", 1, {}, [1], [None]]
OBJECT: Wrong = [None, "x", 1, True, []]
METADATA: Wrong = [*OBJECT, {"a": {}}, {"a": [1]}, {"a": 2**53}, {"a": "\0"}, {"no spaces": 1}]
INGESTION: dict[str, Wrong] = {
    "dreaming": [*TEXT, "soon"],
    "taskType": [*TEXT, "other"],
    "entityContext": [*TEXT, "x" * 1501],
    "filterByMetadata": METADATA,
    "filepath": TEXT,
}
TAGS: dict[str, Wrong] = {"containerTag": [*TEXT, ""], "containerTags": TEXTS}
PAGE: dict[str, Wrong] = {
    "page": WHOLE,
    "limit": WHOLE,
    "sort": [*TEXT, "title"],
    "order": [*TEXT, "up"],
    "filters": [None, 1, True, [], "x", {}, {"AND": []}],
}
WRITE: dict[str, Wrong] = {
    "metadata": METADATA,
    "documentDate": [*TEXT, "", "yesterday"],
    **INGESTION,
    **TAGS,
}
RANKING: dict[str, Wrong] = {"rerank": BOOLEAN, "rewriteQuery": BOOLEAN}
TARGET: dict[str, Wrong] = {"id": [*TEXT, ""], "content": [*TEXT, ""]}

REQUIRED: dict[tuple[str, str], Json] = {
    ("POST", "/v3/documents"): {"content": "x"},
    ("POST", "/v3/documents/batch"): {"documents": ["x"]},
    ("POST", "/v3/documents/list"): {},
    ("DELETE", "/v3/documents/bulk"): {"ids": ["x"]},
    ("PATCH", "/v3/documents/{id}"): {},
    ("POST", "/v3/search"): {"q": "x"},
    ("POST", "/v4/search"): {"q": "x"},
    ("POST", "/v4/profile"): {"containerTag": "x"},
    ("POST", "/v4/memories"): {"containerTag": "x", "memories": [{"content": "x"}]},
    ("PATCH", "/v4/memories"): {"containerTag": "x", "newContent": "x", "id": "x"},
    ("DELETE", "/v4/memories"): {"containerTag": "x", "id": "x"},
    ("POST", "/v4/memories/list"): {"containerTags": ["x"]},
    ("POST", "/v4/memories/forget-matching"): {"containerTag": "x", "query": "x"},
    ("POST", "/v4/conversations"): {
        "conversationId": "x",
        "messages": [{"role": "user", "content": "x"}],
    },
}
"""What a request must have."""

WRONG: dict[tuple[str, str], dict[str, Wrong]] = {
    ("POST", "/v3/documents"): {
        "content": [*TEXT, ""],
        "customId": [*TEXT, ""],
        **WRITE,
    },
    ("POST", "/v3/documents/batch"): {
        "documents": [None, "x", 1, {}, [], [1], [None], [{}]],
        "content": ["x", 1],
        **WRITE,
    },
    ("POST", "/v3/documents/list"): {
        "containerTags": [*TEXTS, []],
        "includeContent": BOOLEAN,
        "filepath": ["/x"],
        **PAGE,
    },
    ("DELETE", "/v3/documents/bulk"): {"ids": [*TEXTS, []], "filepath": ["/x"]},
    ("PATCH", "/v3/documents/{id}"): {"content": TEXT, "customId": ["x", 1], **WRITE},
    ("POST", "/v3/search"): {
        "q": [*TEXT, ""],
        "limit": [*WHOLE, 101],
        "chunkThreshold": [*NUMBER, -0.1, 1.1],
        "documentThreshold": [*NUMBER, 2],
        "onlyMatchingChunks": BOOLEAN,
        "includeFullDocs": BOOLEAN,
        "includeSummary": BOOLEAN,
        "categoriesFilter": TEXTS,
        "docId": ["x"],
        "filepath": ["x"],
        "filters": PAGE["filters"],
        **TAGS,
        **RANKING,
    },
    ("POST", "/v4/search"): {
        "q": [*TEXT, ""],
        "limit": [*WHOLE, 101],
        "threshold": [*NUMBER, -0.1, 1.1],
        "searchMode": [*TEXT, "best"],
        "include": OBJECT,
        "aggregate": BOOLEAN,
        "filepath": ["x"],
        "filters": PAGE["filters"],
        **TAGS,
        **RANKING,
    },
    ("POST", "/v4/profile"): {
        "containerTag": [*TEXT, ""],
        "q": TEXT,
        "threshold": [*NUMBER, -0.1, 1.1],
        "filters": PAGE["filters"],
        "include": [*TEXTS, ["all"]],
        "buckets": TEXTS,
    },
    ("POST", "/v4/memories"): {
        "containerTag": [*TEXT, ""],
        "memories": [None, "x", 1, {}, [], [1], ["x"], [{}], [{"content": ""}]],
    },
    ("PATCH", "/v4/memories"): {
        "containerTag": [*TEXT, ""],
        "newContent": [*TEXT, ""],
        "forgetAfter": [1, True, [], {}, "", "tomorrow"],
        "forgetReason": [1, True, [], {}],
        "metadata": METADATA,
        "temporalContext": OBJECT,
        **TARGET,
    },
    ("DELETE", "/v4/memories"): {"containerTag": [*TEXT, ""], "reason": TEXT, **TARGET},
    ("POST", "/v4/memories/list"): {"containerTags": [*TEXTS, []], **PAGE},
    ("POST", "/v4/memories/forget-matching"): {
        "containerTag": [*TEXT, ""],
        "query": [*TEXT, ""],
        "dryRun": BOOLEAN,
        "threshold": [*NUMBER, -0.1, 1.1],
        "maxForget": [*WHOLE, 501],
        "reason": TEXT,
    },
    ("POST", "/v4/conversations"): {
        "conversationId": [*TEXT, ""],
        "messages": [None, "x", 1, {}, [], [1], ["x"], [{}], [{"role": "user", "content": ""}]],
        "metadata": METADATA,
        **TAGS,
    },
}
"""By path and member: what it may not be."""

CASES = [
    pytest.param(verb, path, name, value, id=f"{verb} {path} {name}={value!r:.30}")
    for (verb, path), members in WRONG.items()
    for name, values in members.items()
    for value in values
]


@pytest.mark.parametrize(("verb", "path", "name", "value"), CASES)
async def test_a_member_of_the_wrong_type_is_named(
    verb: str, path: str, name: str, value: Any
) -> None:
    body = REQUIRED[verb, path] | {name: value}
    if name == "containerTag" and "containerTags" in body:
        del body["containerTags"]
    error = await refusal(verb, path, json.dumps(body).encode())
    assert all(field.startswith(name) for field in named(error)), error.message


@pytest.mark.parametrize(("verb", "path"), REQUIRED)
async def test_a_member_that_is_not_known_is_named(verb: str, path: str) -> None:
    body = REQUIRED[verb, path] | {"containertag": "x"}
    error = await refusal(verb, path, json.dumps(body).encode())
    assert error.message == "containertag: is not known"


@pytest.mark.parametrize(("verb", "path"), [key for key, body in REQUIRED.items() if body])
async def test_what_must_be_given_is_named(verb: str, path: str) -> None:
    error = await refusal(verb, path, b"")
    assert "must be given" in error.message


@pytest.mark.parametrize(("verb", "path"), REQUIRED)
@pytest.mark.parametrize("body", [b"[]", b"{", b"null", b'{"a": NaN}', b'"x"'])
async def test_what_is_no_object_is_refused(verb: str, path: str, body: bytes) -> None:
    assert (await refusal(verb, path, body)).code.name == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (
            "/v3/documents/batch",
            {"documents": [{"content": "x"}, {"content": "x", "metadata": {"a": {}}}]},
            "documents[1].metadata.a",
        ),
        ("/v3/documents/batch", {"documents": [{"content": 1}]}, "documents[0].content"),
        (
            "/v3/documents/batch",
            {"documents": [{"content": "x", "contents": "x"}]},
            "documents[0].contents",
        ),
        (
            "/v4/memories",
            {
                "containerTag": "x",
                "memories": [{"content": "x", "temporalContext": {"eventDate": "2024"}}],
            },
            "memories[0].temporalContext.eventDate",
        ),
        (
            "/v4/memories",
            {"containerTag": "x", "memories": [{"content": "x", "forgetAfter": "soon"}]},
            "memories[0].forgetAfter",
        ),
        (
            "/v4/conversations",
            {"conversationId": "x", "messages": [{"role": "robot", "content": "x"}]},
            "messages[0].role",
        ),
        (
            "/v4/conversations",
            {"conversationId": "x", "messages": [{"role": "user", "content": [{"type": "x"}]}]},
            "messages[0].content[0].type",
        ),
        ("/v4/search", {"q": "x", "include": {"documents": "x"}}, "include.documents"),
        ("/v4/search", {"q": "x", "include": {"chunk": True}}, "include.chunk"),
        ("/v3/search", {"q": "x", "containerTag": "a", "containerTags": ["b"]}, "containerTag"),
        (
            "/v4/memories/forget-matching",
            {"containerTag": "x", "query": "x", "ids": ["y"]},
            "query",
        ),
        ("/v4/memories/forget-matching", {"containerTag": "x", "ids": []}, "ids"),
        (
            "/v4/memories/forget-matching",
            {"containerTag": "x", "ids": ["a", "b"], "maxForget": 1},
            "ids",
        ),
    ],
)
async def test_members_inside_others_are_named_by_their_path(
    path: str, body: Json, field: str
) -> None:
    assert named(await refusal("POST", path, json.dumps(body).encode())) == [field]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "ids"),
        ({"ids": ["a"], "containerTags": ["b"]}, "ids"),
        ({"containerTags": []}, "containerTags"),
    ],
)
async def test_nothing_is_deleted_without_one_selector(body: Json, field: str) -> None:
    error = await refusal("DELETE", "/v3/documents/bulk", json.dumps(body).encode())
    assert named(error) == [field]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"view": ["some"]}, "view"),
        ({"page": ["0"]}, "page"),
        ({"limit": ["x"]}, "limit"),
        ({"containerTag": ["x"]}, "containerTag"),
        ({"view": ["all", "active"]}, "view"),
    ],
)
async def test_parameters_of_a_query_are_named(query: dict[str, list[str]], field: str) -> None:
    error = await refusal("GET", "/v3/documents/processing", b"", **query)
    assert named(error) == [field]


def test_fields_of_the_contract_are_named_as_the_caller_wrote_them() -> None:
    names = {"items": "documents", "conversation.messages[1].text": "messages[4].content"}
    paths = {
        "query": "q",
        "min_score": "threshold",
        "container_tag": "containerTag",
        "items[3].container_tags[0]": "documents[3].containerTags[0]",
        "metadata.some_key": "metadata.some_key",
        "items[2].metadata.a.b[3]": "documents[2].metadata.a.b[3]",
        "conversation.messages[1].text": "messages[4].content",
        "filter.any_of.filters[0].match.key": "filters.anyOf.filters[0].key",
        "": "",
    }
    error = renamed(invalid([Violation(path, "is wrong") for path in paths]), names)
    assert [violation.field for violation in error.violations] == list(paths.values())
    assert error.message.startswith("q: is wrong; threshold: is wrong; ")


def test_an_error_is_answered_with_its_message_and_reason() -> None:
    def shown(answer: HttpAnswer) -> tuple[int, Json, dict[str, str]]:
        return answer.status, json.loads(answer.body), dict(answer.headers)

    error = PalimpsestError(Reason.ETAG_MISMATCH, "It has changed")
    body = {"error": "It has changed", "details": "ETAG_MISMATCH"}
    assert shown(answer_for(error))[:2] == (409, body)
    assert shown(answer_for(error, "", True))[:2] == (412, body)
    status, body, headers = shown(
        answer_for(PalimpsestError(Reason.OVERLOADED, "Too much", retry_after=0.2))
    )
    assert (status, body["details"]) == (429, "OVERLOADED")
    assert (headers["retry-after"], headers["x-should-retry"]) == ("1", "true")
    assert shown(answer_for(PalimpsestError(Reason.KEY_MISSING, "No key")))[0] == 401
