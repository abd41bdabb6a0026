"""Errors as Supermemory's API has them, with the caller's own names of fields."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from typing import Any, Final, TypeVar

import orjson
from google.protobuf.message import Message

from service.core.errors import PalimpsestError, Reason, with_fields_renamed
from service.http.endpoints import Calls, HttpAnswer
from service.http.errors import HttpError, error_headers, http_status, not_served

T = TypeVar("T")

# Names of the contract, and those of Supermemory's API where it is not the same in camel case.
_NAMES: Final = {
    "content_bytes": "content",
    "event_dates": "eventDate",
    "filter": "filters",
    "limit": "limit",
    "match": "",
    "max_forget": "maxForget",
    "min_score": "threshold",
    "page_size": "limit",
    "query": "q",
    "custom_id": "customId",
}
_KEPT_BELOW: Final = "metadata"
"""What is below it are the caller's own keys."""

_STEP: Final = re.compile(r"([A-Za-z0-9_]+)((?:\[[^\]]*\])*)")


async def call(
    calls: Calls, method: str, request: Message, names: Mapping[str, str] | None = None
) -> Any:
    """The response of a method; its errors name the fields as the caller did.

    Args:
        calls: The methods.
        method: As in `Calls.call`.
        request: As in `Calls.call`.
        names: The caller's names of fields where `renamed` would find others: by the
            contract's path, such as "items" or "conversation.messages[3].text".
    """
    return await named(calls.call(method, request), names or {})


async def named(response: Awaitable[T], names: Mapping[str, str]) -> T:
    """A response; its errors name the fields as the caller did."""
    try:
        return await response
    except PalimpsestError as error:
        raise renamed(error, names) from None


def renamed(error: PalimpsestError, names: Mapping[str, str]) -> PalimpsestError:
    """The error with paths of Supermemory's API in place of those of the contract."""
    return with_fields_renamed(error, lambda path: _renamed(path, names))


def _renamed(path: str, names: Mapping[str, str]) -> str:
    found: list[str] = []
    steps = path.split(".")
    for index, step in enumerate(steps):
        matched = _STEP.fullmatch(step)
        if matched is None:
            return ".".join(found + steps[index:])
        so_far = ".".join(steps[: index + 1])
        name, place = matched.groups()
        if so_far in names:
            found = [names[so_far]]
        elif so_far.removesuffix(place) in names:
            found = [names[so_far.removesuffix(place)] + place]
        else:
            found.append(_NAMES.get(name, _camel(name)) + place)
        if name == _KEPT_BELOW:
            return ".".join(found + steps[index + 1 :])
    return ".".join(filter(None, found))


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def answer_for(error: PalimpsestError, call_id: str = "", if_match: bool = False) -> HttpAnswer:
    """The answer to a request that failed.

    Args:
        error: What went wrong.
        call_id: Names the request in the service's log; told where nothing else says more.
        if_match: Whether the caller gave the etag as the header If-Match.
    """
    body = {"error": error.message, "details": error.reason.value}
    if error.reason is Reason.INTERNAL and call_id:
        body["callId"] = call_id
    return HttpAnswer(
        http_status(error, if_match=if_match),
        orjson.dumps(body),
        headers=error_headers(error),
    )


def not_supported(what: str) -> HttpError:
    """501, which no client tries again."""
    return not_served(f"{what} are not part of this service")
