"""Filters: each kind of condition, on what is there and on what is missing."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format
from grpc import StatusCode

from palimpsest.v1.common_pb2 import LIST_ORDER_CREATED_ASC
from palimpsest.v1.documents_pb2 import ListDocumentsRequest
from palimpsest.v1.filter_pb2 import Filter
from palimpsest.v1.memories_pb2 import ListMemoriesRequest, NewMemory, TemporalContext
from tests.client import Client, refused, struct

Json = dict[str, Any]

ROWS: dict[str, dict[str, object]] = {
    "string": {"v": "Straße"},
    "upper": {"v": "STRASSE"},
    "two": {"v": "2"},
    "number": {"v": 2},
    "fraction": {"v": 2.5},
    "negative": {"v": -1},
    "true": {"v": True},
    "text-true": {"v": "true"},
    "false": {"v": False},
    "list": {"v": ["Red", "green"]},
    "date": {"v": "2026-05-08"},
    "instant": {"v": "2026-05-08T14:00:00+02:00"},
    "empty": {"v": ""},
    "missing": {"other": "x"},
    "nothing": {},
}
ALL = set(ROWS)


def built(tree: Json) -> Filter:
    return json_format.ParseDict(tree, Filter())


def condition(**test: Any) -> Json:
    return {"condition": {"key": "v", **test}}


def match(value: str, **more: Any) -> Json:
    return {"match": {"key": "v", "value": value, **more}}


MATCHES: list[tuple[Json, set[str]]] = [
    (condition(equalsString="Straße"), {"string"}),
    (condition(equalsString="strasse"), set()),
    (condition(equalsString="strasse", ignoreCase=True), {"string", "upper"}),
    (condition(equalsString=""), {"empty"}),
    (condition(equalsString="2"), {"two"}),
    (condition(equalsString="true"), {"text-true"}),
    (condition(equalsNumber=2), {"number"}),
    (condition(equalsNumber=2.5), {"fraction"}),
    (condition(equalsNumber=1), set()),
    (condition(equalsBool=True), {"true"}),
    (condition(equalsBool=False), {"false"}),
    (condition(greaterThan=2), {"fraction"}),
    (condition(greaterOrEqual=2), {"number", "fraction"}),
    (condition(lessThan=2), {"negative"}),
    (condition(lessOrEqual=2), {"negative", "number"}),
    (condition(after="2026-05-08"), {"instant"}),
    (condition(atOrAfter="2026-05-08"), {"date", "instant"}),
    (condition(before="2026-05-08T12:00:00Z"), {"date"}),
    (condition(atOrBefore="2026-05-08T12:00:00Z"), {"date", "instant"}),
    (condition(contains="tra"), {"string"}),
    (condition(contains="SS", ignoreCase=True), {"string", "upper"}),
    (condition(contains="%"), set()),
    (condition(contains="_"), set()),
    (condition(listContains="Red"), {"list"}),
    (condition(listContains="red"), set()),
    (condition(listContains="RED", ignoreCase=True), {"list"}),
    (condition(listContains="Re"), set()),
    (condition(exists=True), ALL - {"missing", "nothing"}),
    (match("2"), {"two", "number"}),
    (match("2.0"), {"number"}),
    (match("true"), {"true", "text-true"}),
    (match("false"), {"false"}),
    (match("True"), set()),
    (match("Straße"), {"string"}),
    (match("1"), set()),
    (match("true", negate=True), ALL - {"true", "text-true"}),
]


async def matching(client: Client, tree: Json, **fields: Any) -> set[str]:
    pages = client.pages(filter=built(tree), page_size=3, **fields)
    found = [item.custom_id async for page in pages for item in page]
    assert len(found) == len(set(found))
    return set(found)


@pytest.fixture
async def rows(client: Client) -> Client:
    for name, metadata in ROWS.items():
        await client.put(name, custom_id=name, metadata=metadata, container_tags=["x", "y"])
    return client


async def test_each_condition_matches_what_it_says_and_its_negation_all_the_rest(
    rows: Client,
) -> None:
    for tree, expected in MATCHES:
        assert await matching(rows, tree) == expected, tree
        assert await matching(rows, {"negated": tree}) == ALL - expected, tree
        assert await matching(rows, tree, container_tags=["x", "y"]) == expected, tree


async def test_conditions_combine(rows: Client) -> None:
    two_or_red = {"anyOf": {"filters": [match("2"), condition(listContains="Red")]}}
    not_number = {"negated": condition(equalsNumber=2)}
    both = {"allOf": {"filters": [two_or_red, not_number]}}

    assert await matching(rows, two_or_red) == {"two", "number", "list"}
    assert await matching(rows, both) == {"two", "list"}
    assert await matching(rows, {"negated": both}) == ALL - {"two", "list"}


async def test_keys_that_look_like_paths_are_plain_keys(client: Client) -> None:
    await client.put(custom_id="dotted", metadata={"a.b": "x"})
    await client.put(custom_id="plain", metadata={"a": "x", "b": "x"})

    tree = {"condition": {"key": "a.b", "equalsString": "x"}}
    assert await matching(client, tree) == {"dotted"}
    assert await matching(client, {"negated": tree}) == {"plain"}


async def test_hostile_values_are_only_values(client: Client) -> None:
    hostile = "'); DROP TABLE documents; -- \" \\ \x01 $.v"
    await client.put(custom_id="c", metadata={"v": hostile})

    assert await matching(client, condition(equalsString=hostile)) == {"c"}
    assert await matching(client, condition(contains="\x01 $")) == {"c"}
    for other in (hostile + "x", hostile.partition("\x01")[0]):
        assert await matching(client, condition(equalsString=other)) == set()


async def test_system_fields_of_documents_can_be_tested(client: Client) -> None:
    await client.put(custom_id="old", document_date={"seconds": 0})
    await client.put(custom_id="young", document_date={"seconds": 1_700_000_000})
    await client.put(custom_id="undated")
    second = await client.get("young")

    def on(field: str, **test: Any) -> Json:
        return {"condition": {"field": f"FILTER_FIELD_{field}", **test}}

    everything = {"old", "young", "undated"}
    assert await matching(client, on("DOCUMENT_DATE", exists=True)) == {"old", "young"}
    assert await matching(client, on("DOCUMENT_DATE", before="2000-01-01")) == {"old"}
    assert await matching(client, {"negated": on("DOCUMENT_DATE", before="2000-01-01")}) == {
        "young",
        "undated",
    }
    assert await matching(client, on("STATUS", equalsString="QUEUED")) == everything
    assert await matching(client, on("STATUS", equalsString="DONE")) == set()
    created = second.create_time.ToJsonString()
    assert await matching(client, on("CREATED", atOrBefore=created)) == {"old", "young"}
    assert await matching(client, on("CREATED", after=created)) == {"undated"}
    await client.put("changed", custom_id="old")
    assert await matching(client, on("UPDATED", after=created)) == {"old", "undated"}


async def test_memories_are_filtered_by_metadata_and_by_their_own_fields(client: Client) -> None:
    await client.remember(
        NewMemory(content="trait", is_static=True, metadata=struct({"topic": "tea"})),
        NewMemory(
            content="event",
            temporal_context=TemporalContext(
                document_date="2026-05-01", event_dates=["2026-05-08", "2026-06-01T10:00:00Z"]
            ),
        ),
        NewMemory(content="plain", metadata=struct({"topic": "Tea time"})),
    )

    async def found(tree: Json) -> list[str]:
        listed = await client.remembered(filter=built(tree), order=LIST_ORDER_CREATED_ASC)
        return [memory.content for memory in listed]

    def on(field: str, **test: Any) -> Json:
        return {"condition": {"field": f"FILTER_FIELD_{field}", **test}}

    assert await found(on("STATIC", equalsBool=True)) == ["trait"]
    assert await found(on("STATIC", equalsBool=False)) == ["event", "plain"]
    assert await found(on("EVENT_DATES", exists=True)) == ["event"]
    assert await found(on("EVENT_DATES", after="2026-06-01")) == ["event"]
    assert await found(on("EVENT_DATES", after="2026-06-02")) == []
    assert await found(on("DOCUMENT_DATE", before="2026-05-02")) == ["event"]
    topic = {"condition": {"key": "topic", "contains": "tea", "ignoreCase": True}}
    assert await found(topic) == ["trait", "plain"]
    assert await found({"negated": topic}) == ["event"]


def nested(levels: int) -> Json:
    tree: Json = condition(exists=True)
    for _ in range(levels - 1):
        tree = {"negated": tree}
    return tree


def wide(conditions: int) -> Json:
    return {"allOf": {"filters": [condition(exists=True)] * conditions}}


async def test_five_levels_and_two_hundred_conditions_are_allowed(rows: Client) -> None:
    having = ALL - {"missing", "nothing"}
    assert await matching(rows, nested(5)) == having
    assert await matching(rows, wide(200)) == having
    deep = {"anyOf": {"filters": [wide(100), {"negated": {"negated": wide(2)}}]}}
    assert await matching(rows, deep) == having


BAD: list[tuple[str, Json]] = [
    ("no expression", {}),
    ("six levels", nested(6)),
    ("201 conditions", {"anyOf": {"filters": [wide(100), wide(101)]}}),
    ("empty list", {"allOf": {"filters": []}}),
    ("no subject", {"condition": {"equalsString": "x"}}),
    ("no test", {"condition": {"key": "v"}}),
    ("bad key", {"condition": {"key": "a b", "exists": True}}),
    ("field unspecified", {"condition": {"field": "FILTER_FIELD_UNSPECIFIED", "exists": True}}),
    ("exists false", condition(exists=False)),
    ("no instant", condition(after="yesterday")),
    ("nan", condition(greaterThan="NaN")),
    ("ignore case of a number", condition(equalsNumber=1, ignoreCase=True)),
    ("number test of a date", {"condition": {"field": "FILTER_FIELD_CREATED", "lessThan": 1}}),
    ("memory field", {"condition": {"field": "FILTER_FIELD_STATIC", "equalsBool": True}}),
    ("unknown status", {"condition": {"field": "FILTER_FIELD_STATUS", "equalsString": "GONE"}}),
]


@pytest.mark.parametrize("tree", [tree for _, tree in BAD], ids=[name for name, _ in BAD])
async def test_a_malformed_filter_is_refused_with_its_place(client: Client, tree: Json) -> None:
    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST") as refusal:
        await client.documents.ListDocuments(ListDocumentsRequest(filter=built(tree)))

    assert refusal.fields
    assert all(field.startswith("filter") for field in refusal.fields)


async def test_a_field_of_documents_is_refused_in_a_filter_of_memories(client: Client) -> None:
    tree = {"condition": {"field": "FILTER_FIELD_STATUS", "equalsString": "DONE"}}

    with refused(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"):
        await client.memories.ListMemories(ListMemoriesRequest(filter=built(tree)))
