"""What the tools answer: models that are the tools' output schemas, and a few lines of text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel, ConfigDict, Field

from palimpsest.v1.documents_pb2 import Document
from palimpsest.v1.memories_pb2 import Memory, SearchHit

_SHOWN: Final = 2000
"""Code points of one text that are shown; what is longer ends with an ellipsis."""


class Structured(BaseModel):
    """What all answers have in common."""

    model_config = ConfigDict(frozen=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool answers: text for a model, and the same as data."""

    text: str
    structured: Structured | None = None


class Remembered(Structured):
    id: str
    container: str


class Result(Structured):
    kind: Literal["memory", "document"]
    id: Annotated[str, Field(description="Of the memory, or of the document it is a passage of.")]
    text: str
    score: float
    date: Annotated[str, Field(description="When it was written or said; may be empty.")] = ""
    source: Annotated[
        str, Field(description="Of a passage: its document, then its headings or speaker.")
    ] = ""


class Recalled(Structured):
    results: list[Result]


class Updated(Structured):
    id: str
    version: int
    replaced_id: str


class ForgetMatch(Structured):
    id: str
    text: str
    score: float


class Forgotten(Structured):
    forgotten_ids: list[str] = []
    undo_id: Annotated[str, Field(description="For undo; empty if nothing was forgotten.")] = ""
    preview: Annotated[
        list[ForgetMatch], Field(description="What fits the query; it is not forgotten.")
    ] = []


class Undone(Structured):
    restored_ids: list[str]
    skipped_ids: Annotated[
        list[str], Field(description="Those that were brought back before.")
    ] = []


class Added(Structured):
    id: str
    status: str
    created: bool


class Version(Structured):
    id: str
    version: int
    text: str
    date: str
    state: Literal["current", "replaced", "forgotten"]


class Versions(Structured):
    versions: list[Version]
    more: Annotated[bool, Field(description="Whether there are older ones.")] = False


def result_of(hit: SearchHit, documents: Mapping[str, Document]) -> Result:
    """One result.

    Args:
        hit: What was found.
        documents: Those that passages are of, by id; one that is gone meanwhile is not there.
    """
    if hit.WhichOneof("found") == "memory":
        memory = hit.memory
        return Result(
            kind="memory",
            id=memory.id,
            text=shown(memory.content),
            score=round(hit.score, 2),
            date=instant(memory.create_time),
        )
    chunk = hit.chunk
    document = documents.get(chunk.document_id, Document())
    parts = (document.title or document.custom_id, chunk.speaker or chunk.heading)
    return Result(
        kind="document",
        id=chunk.document_id,
        text=shown(chunk.text),
        score=round(hit.score, 2),
        date=instant(chunk.time) if chunk.HasField("time") else "",
        source=" > ".join(part for part in parts if part),
    )


def version_of(memory: Memory) -> Version:
    return Version(
        id=memory.id,
        version=memory.version,
        text=shown(memory.content),
        date=instant(memory.create_time),
        state="forgotten" if memory.forgotten else "current" if memory.is_latest else "replaced",
    )


def shown(text: str) -> str:
    """As much of a text as an answer has room for."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def line(text: str) -> str:
    """A text as one line: one of several lines must not look like several texts."""
    return " ".join(text.split())


def instant(time: Timestamp) -> str:
    """RFC 3339, to the second."""
    return Timestamp(seconds=time.seconds).ToJsonString()


def day(time: str) -> str:
    return time.partition("T")[0]
