"""Tokenizers, set up as every embedder here wants them."""

from __future__ import annotations

import os
from pathlib import Path

from tokenizers import Tokenizer

# Texts are spread over the embedder's own threads. Threads of the tokenizer's
# in addition would not be faster, and it would warn when the process forks.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def load_tokenizer(file: Path, max_tokens: int | None = None) -> Tokenizer:
    """A tokenizer that pads nothing and cuts texts after `max_tokens` only.

    Files may carry padding and truncation to a length that only suited the
    task they were exported for.

    Raises:
        Exception: The file cannot be read (the library has no type of its own).
    """
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if max_tokens is not None:
        tokenizer.enable_truncation(max_tokens)
    return without_cache(tokenizer)


def without_cache(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer, keeping nothing of the texts it reads.

    Its cache of words would keep texts in memory after they are deleted, and a tokenizer
    that does not split words first would hold whole texts in it.
    """
    if hasattr(tokenizer.model, "_resize_cache"):
        tokenizer.model._resize_cache(0)
    return tokenizer
