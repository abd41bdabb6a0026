"""What the tools take: models that are the tools' input schemas as well."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)
from pydantic.fields import FieldInfo

from palimpsest.v1.documents_pb2 import UpsertDocumentRequest
from palimpsest.v1.memories_pb2 import (
    ForgetMemoriesRequest,
    ForgetMemoryRequest,
    GetMemoryRequest,
    GetProfileRequest,
    NewMemory,
    SearchMemoriesRequest,
)
from service.core.errors import Violation, invalid
from service.mcp.bounds import rules_of
from service.mcp.connection import CONTAINER_PATTERN

SCORE: Final = 0.5
"""From which score on a memory fits a query, unless the agent says otherwise for forgetting."""

_VIOLATIONS: Final = 20
_LONGEST_NAME: Final = 100


def _text(message: type[Message], field: str, description: str, *, least: int = 0) -> FieldInfo:
    """A text with the lengths that the contract gives this field, or at least `least`."""
    rules = rules_of(message, field).string
    made: FieldInfo = Field(
        min_length=rules.min_len or least or None,
        max_length=rules.max_len or rules.max_bytes,
        description=description,
    )
    return made


def _in_time(value: datetime) -> datetime:
    try:
        Timestamp().FromDatetime(value)
    except (OverflowError, ValueError):
        raise ValueError("must be in the years 1 to 9999") from None
    return value


def _as_list(value: object) -> object:
    """A list, also where a client has made text of it, or left it out around a single text."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return [value]
    return [value]


Container = Annotated[
    str,
    Field(
        pattern=CONTAINER_PATTERN,
        description="Another container than the one this connection is set to. Leave it out "
        "unless the user names one.",
    ),
]
MemoryId = Annotated[str, _text(GetMemoryRequest, "id", "The memory's id: mem_…")]
Statement = _text(
    NewMemory,
    "content",
    "One fact in one or two sentences that can be understood by themselves: names in place of "
    "“he” or “it”, dates in place of “today”.",
)
Lasting = Annotated[
    bool,
    Field(
        description="Whether this is a lasting trait of the user or project (a name, a "
        "preference, a rule), to be in every profile."
    ),
]
ForgetAfter = Annotated[
    AwareDatetime,
    AfterValidator(_in_time),
    Field(
        description="When to forget it by itself: a time in the future with its offset, such "
        "as 2031-05-08T18:00:00Z. Only for what loses its meaning then."
    ),
]


class Arguments(BaseModel):
    """What all tools have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    container: Container = ""


class Remember(Arguments):
    content: Annotated[str, Statement]
    lasting: Lasting = False
    forget_after: ForgetAfter | None = None


class Recall(Arguments):
    query: Annotated[
        str,
        _text(
            SearchMemoriesRequest,
            "query",
            "A question or words. What stands in double quotes must occur word for word.",
        ),
    ]
    limit: Annotated[int, Field(ge=1, le=50, description="How many results at most.")] = 10
    documents: Annotated[
        bool, Field(description="Whether to find passages of documents as well.")
    ] = True


class Context(Arguments):
    query: Annotated[
        str,
        _text(
            GetProfileRequest,
            "query",
            "What the conversation is about: memories that fit it are added.",
        ),
    ] = ""
    limit: Annotated[int, Field(ge=1, le=100, description="How many memories of each kind.")] = 20


class Update(Arguments):
    id: MemoryId
    content: Annotated[str, Statement]
    lasting: Annotated[
        bool | None, Field(description="Whether it is a lasting trait. Leave it out to keep it.")
    ] = None
    forget_after: ForgetAfter | None = None


class Forget(Arguments):
    ids: Annotated[
        list[MemoryId],
        BeforeValidator(_as_list),
        Field(
            max_length=100,
            description="Ids of the memories to forget (mem_…), from recall or from a preview.",
        ),
    ] = []
    query: Annotated[
        str,
        _text(
            ForgetMemoriesRequest,
            "query",
            "In place of ids: shows which memories fit this, and forgets nothing.",
        ),
    ] = ""
    min_score: Annotated[
        float, Field(gt=0, le=1, description="With a query: leave out what scores less.")
    ] = SCORE
    reason: Annotated[
        str, _text(ForgetMemoryRequest, "reason", "Why; it is kept with the memories.")
    ] = ""


class Undo(Arguments):
    id: Annotated[
        str,
        _text(
            GetMemoryRequest,
            "id",
            "The undo_id that forget answered, to bring back all that it forgot; or the id of "
            "one forgotten memory.",
        ),
    ]


class AddDocument(Arguments):
    content: Annotated[str, _text(UpsertDocumentRequest, "content", "The whole text.", least=1)]
    title: Annotated[str | None, _text(UpsertDocumentRequest, "title", "Its title.")] = None
    name: Annotated[
        str,
        _text(
            UpsertDocumentRequest,
            "custom_id",
            "A name of its own, such as a path or an address: the next text added under the "
            "same name replaces this one. Without it, each call adds another document.",
        ),
    ] = ""
    kind: Annotated[
        Literal["text", "markdown", "html"], Field(description="What the content is.")
    ] = "text"
    wait: Annotated[
        bool, Field(description="Whether to answer only when recall can find the document.")
    ] = False


class History(Arguments):
    id: MemoryId
    limit: Annotated[int, Field(ge=1, le=100, description="How many versions at most.")] = 20


A = TypeVar("A", bound=Arguments)


def read(model: type[A], given: Mapping[str, Any]) -> A:
    """The arguments of a call; null is an argument left out. Raises PalimpsestError."""
    try:
        return model.model_validate({k: v for k, v in given.items() if v is not None})
    except ValidationError as error:
        listed = error.errors(include_url=False, include_context=False, include_input=False)
        raise invalid(
            [
                Violation(
                    ".".join(map(str, one["loc"]))[:_LONGEST_NAME],
                    "there is no such argument"
                    if one["type"] == "extra_forbidden"
                    else one["msg"].removeprefix("Value error, "),
                )
                for one in listed[:_VIOLATIONS]
            ]
        ) from None
