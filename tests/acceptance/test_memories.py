"""The memory examples of Supermemory's documentation."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from tests.acceptance.callers import Caller, CallError, Json

FAR = "2199-06-01T00:00:00Z"
FARTHER = "2199-07-01T00:00:00Z"
USER = "user_123"


def remember(call: Caller, content: str, **fields: Any) -> Json:
    answer = call(
        "Memories.CreateMemories", containerTag=USER, memories=[{"content": content, **fields}]
    )
    receipt: Json = answer["receipts"][0]
    return receipt


def read(call: Caller, memory_id: str) -> Json:
    memory: Json = call("Memories.GetMemory", containerTag=USER, id=memory_id)["memory"]
    return memory


def listed(call: Caller) -> list[str]:
    answer = call("Memories.ListMemories", containerTags=[USER])
    return [memory["content"] for memory in answer["memories"]]


def test_forget_by_id_hides_the_memory_and_keeps_it(call: Caller) -> None:
    made = remember(call, "John prefers dark mode")

    receipt = call(
        "Memories.ForgetMemory", containerTag=USER, id=made["id"], reason="He asked us to"
    )["receipt"]

    assert receipt["id"] == made["id"]
    assert receipt["forgotten"] is True
    assert listed(call) == []
    kept = read(call, made["id"])
    assert kept["forgotten"] is True
    assert kept["content"] == "John prefers dark mode"
    assert kept["forgetReason"] == "He asked us to"


def test_forget_by_exact_content_hits_that_memory_alone(call: Caller) -> None:
    made = remember(call, "John prefers dark mode")
    remember(call, "John prefers dark mode.")

    receipt = call("Memories.ForgetMemory", containerTag=USER, content="John prefers dark mode")[
        "receipt"
    ]

    assert receipt["id"] == made["id"]
    assert listed(call) == ["John prefers dark mode."]
    with pytest.raises(CallError) as failed:
        call("Memories.ForgetMemory", containerTag=USER, content="john prefers dark mode.")
    assert failed.value.code is grpc.StatusCode.NOT_FOUND


def test_the_documented_update_writes_version_two(call: Caller) -> None:
    made = remember(call, "John prefers dark mode")

    answer = call(
        "Memories.UpdateMemory",
        containerTag=USER,
        newContent="John now prefers light mode",
        id=made["id"],
        content="John prefers dark mode",
        forgetAfter=FAR,
        forgetReason="temporary project deadline",
    )

    receipt = answer["receipt"]
    assert answer["memory"] == "John now prefers light mode"
    assert receipt["id"] not in ("", made["id"])
    assert receipt["createTime"]
    assert receipt["version"] == 2
    assert receipt["parentMemoryId"] == receipt["rootMemoryId"] == made["id"]
    assert receipt["forgetAfter"] == FAR
    assert read(call, receipt["id"])["forgetReason"] == "temporary project deadline"
    old = read(call, made["id"])
    assert old["isLatest"] is False
    assert old["content"] == "John prefers dark mode"
    assert old.get("forgetAfter") is None
    assert listed(call) == ["John now prefers light mode"]


def test_an_update_sets_every_parameter(call: Caller) -> None:
    made = remember(call, "First")

    receipt = call(
        "Memories.UpdateMemory",
        containerTag=USER,
        id=made["id"],
        newContent="Second",
        forgetAfter=FAR,
        forgetReason="trial",
        metadata={"text": "x", "number": 2.5, "flag": True, "list": ["a", "b"]},
        temporalContext={"documentDate": "2026-05-08", "eventDates": ["2026-05-09T10:00:00Z"]},
        isStatic=True,
    )["receipt"]

    memory = read(call, receipt["id"])
    assert memory["forgetAfter"] == FAR
    assert memory["forgetReason"] == "trial"
    assert memory["metadata"] == {"text": "x", "number": 2.5, "flag": True, "list": ["a", "b"]}
    assert memory["temporalContext"] == {
        "documentDate": "2026-05-08",
        "eventDates": ["2026-05-09T10:00:00Z"],
    }
    assert memory["isStatic"] is True


FULL: Json = {
    "forgetAfter": FAR,
    "forgetReason": "trial",
    "metadata": {"topic": "theme"},
    "temporalContext": {"documentDate": "2026-05-08", "eventDates": ["2026-05-09"]},
    "isStatic": True,
}


def test_an_update_inherits_what_it_does_not_name(call: Caller) -> None:
    made = remember(call, "First", **FULL)

    receipt = call("Memories.UpdateMemory", containerTag=USER, id=made["id"], newContent="Second")[
        "receipt"
    ]

    memory = read(call, receipt["id"])
    assert {name: memory[name] for name in FULL} == FULL


def test_an_update_clears_what_it_says_to_clear(call: Caller) -> None:
    made = remember(call, "First", **FULL)

    receipt = call(
        "Memories.UpdateMemory",
        containerTag=USER,
        id=made["id"],
        newContent="Second",
        clearForgetAfter=True,
        metadata={},
        temporalContext={"clearDocumentDate": True, "clearEventDates": True},
        isStatic=False,
    )["receipt"]

    memory = read(call, receipt["id"])
    assert memory.get("forgetAfter") is None
    assert memory["forgetReason"] == ""
    assert not memory.get("metadata")
    assert not any((memory.get("temporalContext") or {}).values())
    assert memory["isStatic"] is False
    assert read(call, made["id"])["forgetReason"] == "trial"


def test_an_update_changes_one_part_of_each_and_keeps_the_others(call: Caller) -> None:
    made = remember(call, "First", **FULL)

    receipt = call(
        "Memories.UpdateMemory",
        containerTag=USER,
        id=made["id"],
        newContent="Second",
        forgetAfter=FARTHER,
        temporalContext={"eventDates": ["2027-01-01", "2027-01-02"]},
    )["receipt"]

    memory = read(call, receipt["id"])
    assert memory["forgetAfter"] == FARTHER
    assert memory["forgetReason"] == "trial"
    assert memory["temporalContext"] == {
        "documentDate": "2026-05-08",
        "eventDates": ["2027-01-01", "2027-01-02"],
    }
