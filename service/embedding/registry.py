"""Embedders by name. A new one is a module here with `open_embedder`, and a line below."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from service.embedding.base import Embedder, EmbedderRefusedError, InlineEmbedder, Purpose

# Modules, so that only the libraries of the embedder in use are loaded.
_MODULES = {
    "static": "service.embedding.static",
    "multilingual": "service.embedding.multilingual",
    "onnx": "service.embedding.onnx",
    "openai": "service.embedding.openai",
}


def open_embedder(spec: str, key_file: Path | None = None) -> Embedder:
    """The embedder that a specification names.

    Reads files, and blocks for up to a second per gigabyte of model; uses no network.

    Args:
        spec: `KIND` or `KIND:ARGUMENT`; the kind's module says what its argument is.
        key_file: Holds a key for the embedder's server.

    Raises:
        EmbedderRefusedError: There is none of that name, or it cannot be used;
            the message says why.
    """
    kind, _, argument = spec.partition(":")
    if kind not in _MODULES:
        raise EmbedderRefusedError(
            f"there is no embedder {kind!r}; there are {', '.join(sorted(_MODULES))}"
        )
    try:
        opener: Callable[[str, str | None], Embedder] = import_module(_MODULES[kind]).open_embedder
    except ImportError as error:
        raise EmbedderRefusedError(
            f"the embedder {kind!r} needs the package {error.name}, which is not installed"
        ) from error
    return opener(argument, _key(key_file))


def open_inline(spec: str) -> InlineEmbedder:
    """An embedder that computes in the calling thread, with its model already loaded."""
    embedder = open_embedder(spec)
    assert isinstance(embedder, InlineEmbedder)  # noqa: S101  (callers have checked)
    embedder.embed_now(["ready"], Purpose.DOCUMENT)
    return embedder


def _key(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise EmbedderRefusedError(f"the embedder's key file {file} cannot be read") from error
