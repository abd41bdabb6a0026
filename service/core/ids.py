"""Identifiers: a prefix and 22 base-62 characters of a UUIDv7 (RFC 9562).

The twelve bits after the millisecond hold its fraction (RFC 9562, 6.2, method
3) and the next ones a counter, so that the ids made by one writer sort in the
order of (instant, counter): creation order is id order.
"""

from __future__ import annotations

import random

DOCUMENT = "doc_"
MEMORY = "mem_"
FORGET_BATCH = "fgt_"
CHUNK = "chk_"

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGITS = 22
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_COUNTER_BITS = 16
MAX_COUNTER = (1 << _COUNTER_BITS) - 1

# Ids must be unique, not secret. Each call of the operating system would release the
# interpreter lock, and then wait for it behind busy threads.
_random = random.Random()  # noqa: S311


def base62(number: int, digits: int) -> str:
    """`number` in `digits` (even) base-62 characters that sort as it does."""
    parts = []
    for _ in range(digits // 2):
        number, pair = divmod(number, 3844)
        parts.append(_PAIRS[pair])
    return "".join(reversed(parts))


def new_id(prefix: str, instant: int, counter: int) -> str:
    """A fresh id that sorts by `instant` (microseconds), then `counter` (16 bits)."""
    millis, micros = divmod(instant, 1000)
    entropy = _random.getrandbits(62 - _COUNTER_BITS)
    value = (
        (millis & ((1 << 48) - 1)) << 80
        | 0x7 << 76
        | (micros * 4096 // 1000) << 64
        | 0b10 << 62
        | counter << (62 - _COUNTER_BITS)
        | entropy
    )
    return prefix + base62(value, _DIGITS)


def is_document_id(text: str) -> bool:
    return text.startswith(DOCUMENT)


def is_memory_id(text: str) -> bool:
    return text.startswith(MEMORY)
