"""Embedders by name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from service.embedding.base import EmbedderRefusedError
from service.embedding.openai import OpenAIEmbedder
from service.embedding.registry import open_embedder
from service.embedding.static import StaticEmbedder
from service.settings import Settings

SERVER = "openai:http://127.0.0.1:1/v1?model=m&dimension=3"


async def test_the_default_setting_names_an_embedder() -> None:
    made = open_embedder(Settings().embedder)
    assert isinstance(made, StaticEmbedder)
    await made.close()


async def test_a_server_gets_the_key_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("secret\n")
    made = open_embedder(SERVER, file)
    assert isinstance(made, OpenAIEmbedder)
    assert made._client.headers["authorization"] == "Bearer secret"
    assert "secret" not in made.name
    await made.close()


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ("", "there are multilingual, onnx, openai, static"),
        ("word2vec", "no embedder 'word2vec'"),
        ("static:x", "without anything behind it"),
        ("onnx", "name the model's folder"),
        ("onnx:/nowhere/at/all", "no model.onnx or onnx/model.onnx in /nowhere/at/all"),
        ("openai", "malformed"),
    ],
)
def test_a_specification_that_names_none_is_refused(spec: str, fault: str) -> None:
    with pytest.raises(EmbedderRefusedError, match=fault):
        open_embedder(spec)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "service.embedding.onnx", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EmbedderRefusedError, match="onnxruntime, which is not installed"):
        open_embedder("onnx:/nowhere")


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_key_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(EmbedderRefusedError, match=f"key file {file} cannot be read"):
        open_embedder(SERVER, file)
