"""Any server that speaks OpenAI's `/v1/embeddings`, by its address.

The specification: https://platform.openai.com/docs/api-reference/embeddings.
Ollama, llama.cpp, vLLM, LM Studio and Text Embeddings Inference speak it too.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import httpx
import numpy as np

from service.embedding import openai_answers
from service.embedding.base import (
    Embedder,
    EmbedderRefusedError,
    EmbedderUnavailableError,
    Purpose,
    Vectors,
)
from service.embedding.digests import digest
from service.embedding.limiter import FairLimiter, sliced

_FORM = "openai:https://host/v1?model=NAME&dimension=NUMBER"
_OPTIONAL = {"batch", "document_prefix", "query_prefix"}
_AT_ONCE = 4
"""Requests in flight: enough to keep a server busy while answers travel."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model behind an address.

    Args:
        url: Up to the version, such as `https://api.openai.com/v1`.
        model: The server's name of the model.
        dimension: How long its vectors are; every answer is held to it.
        batch: Texts in one request, at most.
        document_prefix: Put before every document.
        query_prefix: Put before every query.
    """

    url: str
    model: str
    dimension: int
    batch: int = 32
    document_prefix: str = ""
    query_prefix: str = ""

    @classmethod
    def parse(cls, text: str) -> Model:
        """`https://host/v1?model=NAME&dimension=NUMBER`; further fields likewise.

        Raises:
            EmbedderRefusedError: The text is malformed; the message says how.
        """
        try:
            parts = urlsplit(text)
            given = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True))
            url = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
            httpx.URL(url)
        except (ValueError, httpx.InvalidURL) as error:
            raise EmbedderRefusedError(f"the embedder's address is malformed: {_FORM}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
            raise EmbedderRefusedError(f"the embedder's address is malformed: {_FORM}")
        if "@" in parts.netloc:
            raise EmbedderRefusedError("give the server's key in a file, not in its address")
        missing = {"model", "dimension"} - given.keys()
        unknown = given.keys() - {"model", "dimension"} - _OPTIONAL
        if missing or unknown:
            fault = f"lacks {min(missing)}" if missing else f"has the unknown {min(unknown)}"
            raise EmbedderRefusedError(f"the embedder's address {fault}: {_FORM}")
        return cls(
            url=url,
            model=given["model"],
            dimension=_positive("dimension", given["dimension"]),
            batch=_positive("batch", given.get("batch", "32")),
            document_prefix=given.get("document_prefix", ""),
            query_prefix=given.get("query_prefix", ""),
        )


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a request is given up, and when it is repeated; times are in seconds.

    Args:
        timeout: Of one request.
        attempts: Requests for the same texts before the server counts as unavailable.
        pause: Before the second request; it doubles with each further one.
        longest_pause: A server that asks for a longer one is unavailable.
    """

    timeout: float = 30.0
    attempts: int = 3
    pause: float = 0.5
    longest_pause: float = 15.0


class OpenAIEmbedder(Embedder):
    """A server's model, called over HTTP.

    Args:
        model: Which, and where.
        key: Sent as a bearer token; None if the server requires none.
        retry_policy: Timeouts and retries.

    Raises:
        EmbedderRefusedError: The key cannot be sent in a header.
    """

    def __init__(
        self, model: Model, key: str | None = None, retry_policy: RetryPolicy | None = None
    ) -> None:
        headers = {}
        if key is not None:
            # The HTTP library would quote a malformed one in its exception.
            if not (key.isascii() and key.isprintable() and key):
                raise EmbedderRefusedError("the embedder's key holds characters that keys do not")
            headers["authorization"] = f"Bearer {key}"
        self._model = model
        self._retry_policy = retry_policy or RetryPolicy()
        self._name = f"openai:{model.url}#{model.model}-{model.dimension}"
        if model.document_prefix or model.query_prefix:
            self._name += ":" + digest((), model.document_prefix, model.query_prefix)
        self._limiter = FairLimiter(_AT_ONCE)
        self._client = httpx.AsyncClient(
            headers=headers,
            timeout=self._retry_policy.timeout,
            limits=httpx.Limits(max_connections=_AT_ONCE),
        )

    @property
    def name(self) -> str:
        return self._name

    @property
    def dimension(self) -> int:
        return self._model.dimension

    async def load(self) -> None:
        """Nothing: a server may be down now and up when it is needed."""

    async def close(self) -> None:
        await self._client.aclose()

    async def _embed(self, texts: list[str], purpose: Purpose) -> Vectors:
        prefixes = {
            Purpose.DOCUMENT: self._model.document_prefix,
            Purpose.QUERY: self._model.query_prefix,
        }
        prefixed = [prefixes[purpose] + text for text in texts]
        return np.concatenate(
            await self._limiter.map(self._with_retries, sliced(prefixed, self._model.batch))
        )

    async def _with_retries(self, texts: list[str]) -> Vectors:
        policy = self._retry_policy
        for attempt in range(1, policy.attempts + 1):
            try:
                return await self._ask(texts)
            except openai_answers.RetryAfterError as error:
                if attempt == policy.attempts or error.seconds > policy.longest_pause:
                    raise
                pause = error.seconds
            except EmbedderUnavailableError:
                if attempt == policy.attempts:
                    raise
                pause = 0.0
            usual = policy.pause * 2 ** (attempt - 1) * random.uniform(0.5, 1)  # noqa: S311
            await asyncio.sleep(max(pause, usual))
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _ask(self, texts: list[str]) -> Vectors:
        try:
            # httpx bounds each step; this bounds them together.
            async with asyncio.timeout(self._retry_policy.timeout):
                response = await self._client.post(
                    f"{self._model.url}/embeddings",
                    json={"model": self._model.model, "input": texts, "encoding_format": "float"},
                )
        except (TimeoutError, httpx.TimeoutException) as error:
            raise EmbedderUnavailableError(
                f"the embedding server {self._model.url} did not answer "
                f"within {self._retry_policy.timeout:g} seconds"
            ) from error
        except httpx.RequestError as error:
            reason = str(error) or type(error).__name__
            raise EmbedderUnavailableError(
                f"the embedding server {self._model.url} cannot be reached ({reason})"
            ) from error
        return openai_answers.read(response, self._model.url, len(texts), self._model.dimension)


def open_embedder(argument: str, key: str | None) -> OpenAIEmbedder:
    """`openai:https://host/v1?model=NAME&dimension=NUMBER`.

    Raises:
        EmbedderRefusedError: The address or the key is malformed.
    """
    return OpenAIEmbedder(Model.parse(argument), key)


def _positive(field: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) < 100_000):
        raise EmbedderRefusedError(f"the embedder's {field} must be a whole number above 0")
    return int(text)
