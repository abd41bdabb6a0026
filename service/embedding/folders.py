"""What a sentence-transformers folder says about its model.

The files are those that sentence-transformers writes and its ONNX export adds to:
`model.onnx` or `onnx/model.onnx`, `tokenizer.json`, `config.json`, and if the
model needs them `modules.json`, `1_Pooling/config.json`,
`sentence_bert_config.json`, `config_sentence_transformers.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from service.embedding.base import EmbedderRefusedError, Purpose
from service.embedding.digests import digest

_LONGEST = 512
"""Tokens a model takes when its folder does not say."""


class Pooling(Enum):
    """How the tokens' vectors become one vector; values are sentence-transformers' keys."""

    CLS = "pooling_mode_cls_token"
    MEAN = "pooling_mode_mean_tokens"
    MAX = "pooling_mode_max_tokens"
    LAST = "pooling_mode_lasttoken"


@dataclass(frozen=True, slots=True)
class Folder:
    """A model, as its folder describes it.

    Args:
        model: The ONNX file.
        tokenizer: The tokenizer's file.
        name: Of the vector space; the same wherever the folder lies.
        dimension: Length of a vector.
        max_tokens: Longer texts are cut to it, special tokens included.
        pooling: How the tokens' vectors become the text's vector.
        prompts: What is put before a text of each purpose.
    """

    model: Path
    tokenizer: Path
    name: str
    dimension: int
    max_tokens: int
    pooling: Pooling
    prompts: Mapping[Purpose, str]


def read_folder(path: Path) -> Folder:
    """Reads everything but the model itself, of which it takes a digest.

    Raises:
        EmbedderRefusedError: Something is missing or not supported; the
            message says what.
    """
    model = _first(path, "model.onnx", "onnx/model.onnx")
    tokenizer = _first(path, "tokenizer.json")
    config = _json(path / "config.json")
    _refuse_other_modules(path)
    pooling_config = _json(path / "1_Pooling" / "config.json")
    pooling = _pooling(path, pooling_config)
    dimension = pooling_config.get("word_embedding_dimension", config.get("hidden_size"))
    if not isinstance(dimension, int) or dimension < 1:
        raise EmbedderRefusedError(
            f"{path} does not say how long its vectors are: "
            "give it config.json with hidden_size, or 1_Pooling/config.json"
        )
    max_tokens = _max_tokens(path, config)
    prompts = _prompts(path)
    try:
        # Weights beyond ONNX's limit of 2 GB are next to it, as model.onnx_data.
        weights = sorted(file for file in model.parent.glob("model.onnx*") if file.is_file())
        fingerprint = digest(
            (*weights, tokenizer),
            pooling.value,
            max_tokens,
            prompts[Purpose.DOCUMENT],
            prompts[Purpose.QUERY],
        )
    except OSError as error:
        raise EmbedderRefusedError(f"the model in {path} cannot be read: {error}") from error
    title = str(config.get("_name_or_path") or config.get("model_type") or "model")
    return Folder(
        model=model,
        tokenizer=tokenizer,
        name=f"onnx:{title.rstrip('/').rpartition('/')[2]}-{dimension}:{fingerprint}",
        dimension=dimension,
        max_tokens=max_tokens,
        pooling=pooling,
        prompts=prompts,
    )


def _first(folder: Path, *names: str) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise EmbedderRefusedError(f"there is no {' or '.join(names)} in {folder}")


def _json(file: Path) -> dict[str, Any]:
    """The object in a file; empty if there is no file."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EmbedderRefusedError(f"{file} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise EmbedderRefusedError(f"{file} does not hold a JSON object")
    return found


def _refuse_other_modules(folder: Path) -> None:
    """Vectors would be silently wrong if a module were left out."""
    file = folder / "modules.json"
    if not file.is_file():
        return
    try:
        kinds = {str(module["type"]).rpartition(".")[2] for module in json.loads(file.read_text())}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise EmbedderRefusedError(f"{file} cannot be read") from error
    others = kinds - {"Transformer", "Pooling", "Normalize"}
    if others:
        raise EmbedderRefusedError(
            f"the model in {folder} has the module {', '.join(sorted(others))}, "
            "and only Transformer, Pooling and Normalize are supported"
        )


def _pooling(folder: Path, config: Mapping[str, Any]) -> Pooling:
    chosen = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    if not chosen:
        return Pooling.MEAN
    try:
        (key,) = chosen
        return Pooling(key)
    except ValueError as error:
        raise EmbedderRefusedError(
            f"the model in {folder} is pooled by {', '.join(sorted(chosen))}, and only one of "
            f"{', '.join(mode.value for mode in Pooling)} is supported"
        ) from error


def _max_tokens(folder: Path, config: Mapping[str, Any]) -> int:
    """The least of the limits given; a tokenizer without one says 10^30."""
    given = (
        _json(folder / "sentence_bert_config.json").get("max_seq_length"),
        _json(folder / "tokenizer_config.json").get("model_max_length"),
        config.get("max_position_embeddings"),
    )
    limits = [int(limit) for limit in given if isinstance(limit, int | float) and limit > 0]
    return min(limits, default=_LONGEST)


def _prompts(folder: Path) -> dict[Purpose, str]:
    config = _json(folder / "config_sentence_transformers.json")
    prompts = config.get("prompts") or {}
    usual = prompts.get(config.get("default_prompt_name"), "")
    document = prompts.get("document", prompts.get("passage", usual))
    return {Purpose.QUERY: prompts.get("query", usual), Purpose.DOCUMENT: document}
