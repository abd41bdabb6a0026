"""Metadata: rules, merging, and the form that filters compare."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring as _quoted
from typing import Any, TypeAlias

from service.core.errors import Violation
from service.core.times import parse_instant

Scalar: TypeAlias = str | float | bool | list[str]
Metadata: TypeAlias = Mapping[str, Scalar]
MetadataPatch: TypeAlias = Mapping[str, Scalar | None]

NONE = "{}"
"""The text of metadata without keys."""

MAX_KEYS = 100
MAX_BYTES = 16 * 1024
_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_UNSAFE_NUMBER = 2.0**53
_LONGEST_ESCAPE = 6
# No database compares it inside JSON as it does every other character.
_NO_NUL = "must not contain NUL (U+0000)"


def violations(raw: Mapping[str, Any], path: str, wire_bytes: int) -> list[Violation]:
    """Every rule of the contract that `raw` breaks; None values are allowed.

    Args:
        raw: What the caller gave.
        path: Where it is in the request.
        wire_bytes: Its size as a Struct: small ones need not be written as JSON to
            know that they are.
    """
    found: list[Violation] = []
    if len(raw) > MAX_KEYS:
        found.append(Violation(path, f"must have at most {MAX_KEYS} keys"))
    for key, value in raw.items():
        for part, rule in (*_broken_by_key(key), *_broken_by_value(value)):
            found.append(Violation(f"{path}.{_printable(key)}{part}", rule))
        if len(found) >= MAX_KEYS:
            break
    large = wire_bytes * _LONGEST_ESCAPE > MAX_BYTES
    if large and not found and len(canonical(without_nulls(raw)).encode()) > MAX_BYTES:
        found.append(Violation(path, f"must be at most {MAX_BYTES} bytes as JSON"))
    return found


def _printable(key: str) -> str:
    short = key if len(key) <= 64 else key[:64] + "…"
    return short if short.isprintable() else ascii(short)[1:-1]


_Broken: TypeAlias = Sequence[tuple[str, str]]
"""Rules, each with the part of the value that breaks it; "": all of it."""


def _broken_by_key(key: str) -> _Broken:
    return () if _KEY.fullmatch(key) else (("", "key must match ^[A-Za-z0-9_.-]{1,64}$"),)


def _broken_by_value(value: object) -> _Broken:
    match value:
        case str():
            return (("", _NO_NUL),) if "\0" in value else ()
        case bool() | None:
            return ()
        case float() | int():
            if not math.isfinite(value):
                return (("", "number must be finite"),)
            if abs(value) >= _UNSAFE_NUMBER:
                return (("", "number must be of magnitude below 2^53; use a string"),)
            return ()
        case list():
            return [
                (
                    f"[{index}]",
                    _NO_NUL if isinstance(item, str) else "list elements must be strings",
                )
                for index, item in enumerate(value)
                if not isinstance(item, str) or "\0" in item
            ][:MAX_KEYS]
        case _:
            return (("", "must be a string, a number, a boolean or a list of strings"),)


def canonical(metadata: Metadata) -> str:
    """Compact JSON, keys sorted: equal metadata have equal text."""
    return _object([f"{_quoted(key)}:{_json(value)}" for key, value in sorted(metadata.items())])


def parse(text: str) -> dict[str, Scalar]:
    """The metadata that `canonical` wrote."""
    parsed: dict[str, Scalar] = json.loads(text)
    return parsed


def without_nulls(patch: MetadataPatch) -> dict[str, Scalar]:
    """On create, null is a key that is absent."""
    return {key: value for key, value in patch.items() if value is not None}


def merge(base: Metadata, patch: MetadataPatch) -> dict[str, Scalar]:
    """JSON Merge Patch (RFC 7396): null removes, a value replaces, the rest stays."""
    merged = dict(base)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = value
    return merged


def merge_violations(merged: Metadata, path: str) -> list[Violation]:
    """Limits that a merge can exceed though neither side does."""
    if len(merged) > MAX_KEYS:
        return [Violation(path, f"must have at most {MAX_KEYS} keys after merging")]
    if len(canonical(merged).encode()) > MAX_BYTES:
        return [Violation(path, f"must be at most {MAX_BYTES} bytes as JSON after merging")]
    return []


def fold(text: str) -> str:
    """Unicode default case folding, the same on every backend."""
    return text.casefold()


def comparable(text: str) -> str:
    """JSON that a database compares without knowing case, kinds or calendars.

    `text` is what `canonical` wrote. Each key maps to an object: `s` string, `f`
    its folded form, `i` its instant in microseconds (when it is one); `n` number;
    `b` 1 or 0; `l` list, `g` its folded elements.
    """
    if text == NONE:
        return NONE
    return _object([f"{_quoted(key)}:{_comparable(value)}" for key, value in parse(text).items()])


def _comparable(value: Scalar) -> str:
    match value:
        case str():
            form = f'{{"s":{_quoted(value)},"f":{_quoted(fold(value))}'
            if value[:1].isdigit() and (instant := parse_instant(value)) is not None:
                form = f'{form},"i":{instant}'
            return form + "}"
        case bool():
            return f'{{"b":{value:d}}}'
        case list():
            return f'{{"l":{_json(value)},"g":{_json([fold(item) for item in value])}}}'
        case _:
            return f'{{"n":{value!r}}}'


def _json(value: Scalar) -> str:
    # A JSONEncoder builds its encoder again for each call, which takes longer than encoding.
    match value:
        case str():
            return _quoted(value)
        case bool():
            return "true" if value else "false"
        case list():
            return f"[{','.join(map(_quoted, value))}]"
        case _:
            return repr(value)


def _object(members: list[str]) -> str:
    return "{" + ",".join(members) + "}"
