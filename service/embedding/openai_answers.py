"""What an answer of an embedding server means: vectors, or which kind of failure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import numpy as np

from service.embedding.base import (
    EmbedderError,
    EmbedderRefusedError,
    EmbedderUnavailableError,
    Vectors,
)

_BUSY = {408, 425, 429, 500, 502, 503, 504, 529}
_HINTS = {
    401: "check the embedder's key file",
    403: "check the embedder's key file",
    404: "check the address and the model's name",
    413: "set a smaller batch",
}
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


class RetryAfterError(EmbedderUnavailableError):
    """The server is busy, and said for how many seconds."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


def read(response: httpx.Response, url: str, count: int, dimension: int) -> Vectors:
    """The vectors of an answer, in the order of the request's texts.

    Args:
        response: The answer, read to its end.
        url: Of the server, for messages.
        count: How many texts were sent.
        dimension: How long every vector must be.

    Raises:
        EmbedderUnavailableError: A status that says: later.
        EmbedderRefusedError: Any other status than success, or an answer that
            is not `count` vectors of `dimension` numbers.
    """
    if response.status_code != httpx.codes.OK:
        raise _failure(response, url)
    try:
        data = response.json()["data"]
        # Servers may answer in any order; some leave the index out and keep it.
        placed = {item.get("index", place): item["embedding"] for place, item in enumerate(data)}
        rows = [placed[place] for place in range(len(data))]
        lengths = {len(row) for row in rows}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise EmbedderRefusedError(
            f"the embedding server {url} gave something else than embeddings: check its address"
        ) from error
    if len(rows) != count:
        raise EmbedderRefusedError(
            f"the embedding server {url} gave {len(rows)} vectors for {count} texts"
        )
    if lengths != {dimension}:
        raise EmbedderRefusedError(
            f"the embedding server {url} gave vectors of {_listed(lengths)} numbers, "
            f"and the dimension is set to {dimension}: name the model and dimension "
            "that belong together"
        )
    try:
        with np.errstate(over="ignore"):
            return np.array(rows, np.float32)
    except (ValueError, TypeError) as error:
        raise EmbedderRefusedError(
            f"the embedding server {url} gave vectors that are not numbers"
        ) from error


def _failure(response: httpx.Response, url: str) -> EmbedderError:
    status = response.status_code
    code = _code(response)
    said = f"the embedding server {url} answered {status}" + (f" ({code})" if code else "")
    if status in _BUSY:
        seconds = _retry_after(response.headers.get("retry-after", ""))
        return EmbedderUnavailableError(said) if seconds is None else RetryAfterError(said, seconds)
    if response.has_redirect_location:
        return EmbedderRefusedError(f"{said}: give the address it is redirected to")
    hint = _HINTS.get(status, "it does not take these texts")
    return EmbedderRefusedError(f"{said}: {hint}")


def _code(response: httpx.Response) -> str:
    """The error's code. Its message stays out: it may quote the key or the texts."""
    try:
        error: Any = response.json()["error"]
        code = error.get("code") or error.get("type")
    except (ValueError, TypeError, KeyError, AttributeError):
        return ""
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ""


def _retry_after(header: str) -> float | None:
    """Seconds, of either form that RFC 9110 (10.2.3) allows; None if it says neither."""
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        wanted = parsedate_to_datetime(header)
    except ValueError:
        return None
    if wanted.tzinfo is None:
        wanted = wanted.replace(tzinfo=UTC)
    return max(0.0, (wanted - datetime.now(UTC)).total_seconds())


def _listed(lengths: set[int]) -> str:
    return " and ".join(str(length) for length in sorted(lengths))
