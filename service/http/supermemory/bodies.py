"""JSON that callers sent: parsed within bounds, and read by name and type."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

import orjson

from service.core.errors import PalimpsestError, Reason, Violation, invalid
from service.core.times import parse_instant
from service.http.endpoints import HttpRequest
from service.rpc.to_thread import MANY_BYTES, to_thread_if
from service.runtime.call_stages import stage

T = TypeVar("T")

JsonObject: TypeAlias = Mapping[str, Any]

MAX_VALUES: Final = 250_000
"""Strings in a body, and other values: a small one can stand for many objects in memory."""

MAX_VIOLATIONS: Final = 1_000

_ABSENT: Final = object()


def parse(data: bytes, what: str = "the body") -> Any:
    """The value that JSON text stands for.

    Numbers are floats or ints, and every text can be encoded as UTF-8.

    Args:
        data: The text; nested at most 1,024 deep.
        what: Names it in the error.

    Raises:
        PalimpsestError: MALFORMED_MESSAGE.
    """
    if not _few_values(data):
        raise _malformed(what, f"has more than {MAX_VALUES:,} values")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise _malformed(what, f"is not JSON: {error}") from None


def _malformed(what: str, fault: str) -> PalimpsestError:
    return PalimpsestError(Reason.MALFORMED_MESSAGE, f"{what} {fault}")


def _few_values(data: bytes) -> bool:
    if _separators(data) <= MAX_VALUES:
        return True
    # Texts have separators too. Without escaped ones, every second quote ends a text.
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    if _count(plain, b'"') > 2 * MAX_VALUES:
        return False
    return _separators(b"".join(plain.split(b'"')[::2])) <= MAX_VALUES


def _separators(data: bytes) -> int:
    return _count(data, b",[{")


def _count(data: bytes, characters: bytes) -> int:
    # In a time that depends on the length alone, unlike `bytes.count`.
    return len(data) - len(data.translate(None, characters))


async def read_body(request: HttpRequest) -> Fields:
    """The members of the JSON object that is the body; without a body there are none.

    Raises:
        PalimpsestError: MALFORMED_MESSAGE, or INVALID_REQUEST for JSON of another type.
    """
    if not request.body.strip():
        return Fields({})
    with stage("decode"):
        value = await to_thread_if(len(request.body) >= MANY_BYTES, parse, request.body)
    if not isinstance(value, dict):
        raise invalid([Violation("", "the body must be a JSON object")])
    return Fields(value)


class Fields:
    """The members of an object, each read once, by name and type.

    What is missing is None, and so is what breaks a rule: that is noted under the caller's own
    name for it, and `check` raises it. A member that is null is of the wrong type, except for
    `is_null`.

    Attributes:
        path: Where the object is in the body, with a final dot; "" for the body itself.
        violations: The rules broken so far, in the body as a whole.
    """

    def __init__(
        self, members: JsonObject, path: str = "", violations: list[Violation] | None = None
    ) -> None:
        self._members = members
        self._known: set[str] = set()
        self.path = path
        self.violations = [] if violations is None else violations

    def check(self) -> None:
        """Raises INVALID_REQUEST if a rule was broken, or if a member was not read."""
        self.refuse_unknown()
        if self.violations:
            raise invalid(self.violations)

    def refuse_unknown(self) -> None:
        """Note each member that was not read."""
        for name in self._members:
            if name not in self._known:
                self.refuse(_printable(name), "is not known")

    def refuse(self, name: str, rule: str) -> None:
        """Note that a member breaks a rule; of very many, the first ones are noted."""
        if len(self.violations) < MAX_VIOLATIONS:
            self.violations.append(Violation(f"{self.path}{name}", rule))

    def has(self, name: str) -> bool:
        return name in self._members

    def is_null(self, name: str) -> bool:
        """Whether a member that may be null is null."""
        if self._members.get(name, _ABSENT) is None:
            self._known.add(name)
            return True
        return False

    def anything(self, name: str) -> Any:
        """A member of whatever type; None if it is missing."""
        self._known.add(name)
        return self._members.get(name)

    def text(self, name: str, *, empty: bool = True) -> str | None:
        """A string.

        Args:
            name: Of the member.
            empty: Whether it may be "".
        """
        value = self._typed(name, str, "must be a string")
        if value == "" and not empty:
            self.refuse(name, "must not be empty")
        return value

    def needed(self, name: str) -> str:
        """A string that must be there and have a character; "" if it breaks that rule."""
        if not self.has(name):
            self.refuse(name, "must be given")
        return self.text(name, empty=False) or ""

    def boolean(self, name: str) -> bool | None:
        return self._typed(name, bool, "must be true or false")

    def flag(self, name: str) -> bool:
        """A boolean, or its name as a string; False if it is missing."""
        value = self.anything(name)
        if value in ("true", "false"):
            return bool(value == "true")
        if isinstance(value, bool):
            return value
        if name in self._members:
            self.refuse(name, "must be true or false")
        return False

    def number(self, name: str, low: float, high: float) -> float | None:
        """A number from `low` to `high`."""
        value = self._typed(name, (int, float), "must be a number")
        if value is None or isinstance(value, bool):
            if value is not None:
                self.refuse(name, "must be a number")
            return None
        if not low <= value <= high:
            self.refuse(name, f"must be from {low:g} to {high:g}")
            return None
        return value

    def integer(self, name: str, low: int, high: int) -> int | None:
        """A whole number from `low` to `high`."""
        value = self.number(name, -math.inf, math.inf)
        return None if value is None else self._whole(name, value, low, high)

    def digits(self, name: str, low: int, high: int) -> int | None:
        """A whole number from `low` to `high`, or one written as a string."""
        value = self._members.get(name)
        if not isinstance(value, str):
            return self.integer(name, low, high)
        self._known.add(name)
        if not (value.isascii() and value.isdigit() and len(value) <= 18):
            self.refuse(name, "must be a whole number")
            return None
        return self._whole(name, int(value), low, high)

    def _whole(self, name: str, value: float, low: int, high: int) -> int | None:
        if value != int(value):
            self.refuse(name, "must be a whole number")
            return None
        if not low <= value <= high:
            self.refuse(name, f"must be from {low:,} to {high:,}")
            return None
        return int(value)

    def choice(self, name: str, *options: str, required: bool = False) -> str | None:
        """One of some strings."""
        if required and not self.has(name):
            self.refuse(name, "must be given")
        value = self.text(name)
        if value is None or value in options:
            return value
        self.refuse(name, f"must be one of {', '.join(options)}")
        return None

    def instant(self, name: str) -> int | None:
        """A date or a date-time, in microseconds."""
        text = self.text(name)
        if text is None:
            return None
        moment = parse_instant(text)
        if moment is None:
            self.refuse(name, "must be a date or a date-time with its UTC offset")
            return None
        return moment

    def texts(self, name: str) -> list[str] | None:
        """A list of strings."""
        value = self._typed(name, list, "must be a list of strings")
        if value is None:
            return None
        wrong = [index for index, item in enumerate(value) if not isinstance(item, str)]
        for index in wrong[:10]:
            self.refuse(f"{name}[{index}]", "must be a string")
        return None if wrong else value

    def object(self, name: str) -> Fields | None:
        """The members of an object."""
        value = self._typed(name, dict, "must be an object")
        return None if value is None else self.inside(value, name)

    def elements(self, name: str, most: int) -> list[Any]:
        """The elements of a list that must be there: 1 to `most`."""
        if not self.has(name):
            self.refuse(name, "must be given")
        value = self._typed(name, list, "must be a list")
        if value is None:
            return []
        if not 1 <= len(value) <= most:
            self.refuse(name, f"must have 1 to {most:,} elements")
            return []
        return value

    def objects(self, name: str, most: int) -> list[Fields]:
        """The members of the objects in a list that must be there: 1 to `most`."""
        found = []
        for index, item in enumerate(self.elements(name, most)):
            if isinstance(item, dict):
                found.append(self.inside(item, f"{name}[{index}]"))
            else:
                self.refuse(f"{name}[{index}]", "must be an object")
        return found

    def inside(self, members: JsonObject, name: str) -> Fields:
        """The members of an object inside this one, under the name it has here."""
        return Fields(members, f"{self.path}{name}.", self.violations)

    def _typed(self, name: str, kind: type[T] | tuple[type[T], ...], rule: str) -> T | None:
        self._known.add(name)
        value = self._members.get(name, _ABSENT)
        if isinstance(value, kind):
            return value
        if value is not _ABSENT:
            self.refuse(name, rule)
        return None


def from_query(query: Mapping[str, Sequence[str]]) -> Fields:
    """The parameters of a query string, of which none may be repeated."""
    fields = Fields({name: values[-1] for name, values in query.items()})
    for name, values in query.items():
        if len(values) > 1:
            fields.refuse(_printable(name), "must be given once")
    return fields


def _printable(name: str) -> str:
    short = name if len(name) <= 64 else name[:64] + "…"
    return short if short.isprintable() else ascii(short)[1:-1]
