"""Messages and enums of the contract as JSON Schemas of their ProtoJSON form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from descriptors import Contract, Enum, Field, Message, Oneof
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Proto

Json = dict[str, Any]

METADATA: Final = "Metadata"
_STRUCT: Final = ".google.protobuf.Struct"
_TIMESTAMP: Final = ".google.protobuf.Timestamp"
_IGNORE_ZERO, _IGNORE_ALWAYS = 1, 3  # of buf.validate.Ignore
_LARGE: Final = {Proto.TYPE_INT64: r"^-?[0-9]+$", Proto.TYPE_UINT64: r"^[0-9]+$"}

_METADATA: Final[Json] = {
    "type": "object",
    "description": "The caller's data: a key has 1 to 64 of the characters A-Z a-z 0-9 _ . -, and a"
    " value is a string, a number, a boolean or a list of strings. In a request that changes"
    " metadata, null removes a key.",
    "maxProperties": 100,
    "propertyNames": {"pattern": "^[A-Za-z0-9_.-]{1,64}$"},
    "additionalProperties": {
        "anyOf": [
            {"type": "string"},
            {"type": "number"},
            {"type": "boolean"},
            {"type": "array", "items": {"type": "string"}},
            {"type": "null"},
        ]
    },
}


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


class Prose:
    """Comments as Markdown, in which fields have the names that they have in JSON."""

    def __init__(self, names: dict[str, str]) -> None:
        """
        Args:
            names: The JSON name of each name that a comment may use.
        """
        self._names = names
        self._pattern = re.compile(rf"\b({'|'.join(sorted(names, key=len, reverse=True))})\b")

    def __call__(self, comment: str) -> str:
        renamed = self._pattern.sub(lambda found: self._names[found[0]], comment)
        return "\n\n".join(map(_paragraph, re.split(r"\n\s*\n", renamed))).strip()


def _paragraph(text: str) -> str:
    """Its lines joined; those that are indented are code, and stay as they are."""
    prose: list[str] = []
    code: list[str] = []
    for line in text.splitlines():
        (code if line.startswith("  ") else prose).append(line)
    parts = [" ".join(prose), "\n".join(f"  {line}" for line in code)]
    return "\n\n".join(filter(None, parts))


class Schemas:
    """Makes the schemas of messages and enums, and remembers which are needed."""

    def __init__(self, contract: Contract, prose: Prose) -> None:
        self._contract = contract
        self._prose = prose
        self._needed: list[str] = []
        methods = [method for service in contract.services for method in service.methods]
        self._requests = _reachable(contract, [method.request for method in methods])
        answers = _reachable(contract, [method.response for method in methods])
        self._answered_enums = {
            named.name
            for name in answers
            for field in contract.messages[name].fields
            if isinstance(named := contract.type_of(field), Enum)
        }

    def needed(self, without: dict[str, set[str]]) -> Json:
        """The schemas of all that was referred to, by name.

        Args:
            without: Fields of requests that are sent elsewhere than in the body, by request.
        """
        made: Json = {}
        while waiting := [name for name in self._needed if name not in made]:
            for name in waiting:
                made[name] = self._make(name, without.get(name, set()))
        return {name: made[name] for name in sorted(made)}

    def must_be_given(self, name: str, without: set[str]) -> bool:
        """Whether an empty message of this name is refused."""
        message = self._contract.messages[name]
        return any(oneof.required for oneof in message.oneofs) or any(
            is_required(field) for field in message.fields if field.name not in without
        )

    def refer(self, name: str) -> Json:
        self._needed.append(name)
        return ref(name)

    def _make(self, name: str, without: set[str]) -> Json:
        if name == METADATA:
            return _METADATA
        if enum := self._contract.enums.get(name):
            return self._enum(enum)
        return self._message(self._contract.messages[name], without)

    def _enum(self, enum: Enum) -> Json:
        """Requests cannot have the first value, which stands for none."""
        values = enum.values if enum.name in self._answered_enums else enum.values[1:]
        lines = [f"- `{name}`: {self._prose(comment)}" for name, comment in values]
        return {
            "type": "string",
            "description": "\n".join([self._prose(enum.comment), "", *lines]),
            "enum": [name for name, _ in values],
        }

    def _message(self, message: Message, without: set[str]) -> Json:
        fields = [field for field in message.fields if field.name not in without]
        schema: Json = {
            "type": "object",
            "description": self._message_text(message),
            "properties": {field.name: self.field(field) for field in fields},
        }
        asked = message.name in self._requests
        needed = [f.name for f in fields if (is_required(f) if asked else f.present)]
        if needed:
            schema["required"] = needed
        if [oneof.fields for oneof in message.oneofs if oneof.required] == [
            [field.name for field in message.fields]
        ]:
            schema |= {"minProperties": 1, "maxProperties": 1}
        if asked:
            schema["additionalProperties"] = False
        return schema

    def _message_text(self, message: Message) -> str:
        rules = [*map(_oneof_text, message.oneofs), *(rule.message for rule in message.rules.cel)]
        lines = [f"- {self._prose(rule)}" for rule in rules]
        return "\n\n".join(filter(None, [self._prose(message.comment), "\n".join(lines)]))

    def field(self, field: Field) -> Json:
        """The schema of a field, with its comment."""
        schema = self._repeated(field) if field.repeated else self._value(field, field.rules)
        text = self._prose(field.comment)
        extra = [self._prose(rule.message) for rule in field.rules.cel]
        return {"description": "\n\n".join([text, *extra]), **schema}

    def _repeated(self, field: Field) -> Json:
        rules = field.rules.repeated
        schema: Json = {"type": "array", "items": self._value(field, rules.items)}
        if rules.HasField("min_items"):
            schema["minItems"] = rules.min_items
        if rules.HasField("max_items"):
            schema["maxItems"] = rules.max_items
        if rules.unique:
            schema["uniqueItems"] = True
        return schema

    def _value(self, field: Field, rules: Any) -> Json:
        proto = field.proto
        if proto.type_name == _STRUCT:
            return self.refer(METADATA)
        if proto.type_name == _TIMESTAMP:
            return {"type": "string", "format": "date-time"}
        if named := self._contract.type_of(field):
            return self.refer(named.name)
        if proto.type in _LARGE:
            return {"type": "string", "pattern": _LARGE[proto.type]}
        return _SCALARS[proto.type](rules)


def is_required(field: Field) -> bool:
    """Whether a request without the field is refused."""
    rules = field.rules
    if field.proto.HasField("oneof_index") or rules.ignore in (_IGNORE_ZERO, _IGNORE_ALWAYS):
        return False
    if field.repeated:
        return bool(rules.repeated.min_items)
    if field.proto.type != Proto.TYPE_STRING:
        return False
    text = rules.string
    return bool(
        text.min_len
        or text.min_bytes
        or (text.HasField("pattern") and not re.search(_ecma(text.pattern), ""))
    )


def _ecma(pattern: str) -> str:
    """A pattern of RE2 as one that every dialect has.

    Letters and digits have no class there: all that is not ASCII counts as one.
    """
    plain = pattern.replace(r"[\p{L}\p{N}]", r"[^\x00-/:-@\[-`{-\x7f]")
    if r"\p" in plain:
        raise SystemExit(f"{pattern} has a class that JSON Schema does not have")
    return plain


def _reachable(contract: Contract, names: Iterable[str]) -> set[str]:
    """These messages, and those that they are made of."""
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        named = map(contract.type_of, contract.messages[name].fields)
        waiting += [kind.name for kind in named if isinstance(kind, Message)]
    return seen


def _oneof_text(oneof: Oneof) -> str:
    names = ", ".join(f"`{name}`" for name in oneof.fields)
    text = f"{'Exactly' if oneof.required else 'At most'} one of {names}"
    return f"{text}. {oneof.comment}" if oneof.comment else text


def _string(rules: Any) -> Json:
    """Lengths are code points; those in bytes are bounds of them too."""
    text = rules.string
    schema: Json = {"type": "string"}
    if text.uuid:
        schema["format"] = "uuid"
    if text.min_len or text.min_bytes:
        schema["minLength"] = text.min_len or 1
    if text.max_len or text.max_bytes:
        schema["maxLength"] = text.max_len or text.max_bytes
    if text.HasField("pattern"):
        empty = "^$|" if rules.ignore == _IGNORE_ZERO else ""
        schema["pattern"] = empty + _ecma(text.pattern)
    return schema


def _bytes(rules: Any) -> Json:
    schema: Json = {"type": "string", "format": "byte", "contentEncoding": "base64"}
    if rules.bytes.min_len:
        schema["minLength"] = 1
    if rules.bytes.max_len:
        schema["maxLength"] = -(-rules.bytes.max_len // 3) * 4
    return schema


def _bounds(rules: Any) -> Json:
    schema: Json = {}
    if rules.HasField("gte"):
        schema["minimum"] = rules.gte
    if rules.HasField("lte"):
        schema["maximum"] = rules.lte
    return schema


def _int32(rules: Any) -> Json:
    return {"type": "integer", "format": "int32", **_bounds(rules.int32)}


def _double(rules: Any) -> Json:
    return {"type": "number", "format": "double", **_bounds(rules.double)}


def _bool(rules: Any) -> Json:
    return {"type": "boolean", **({"const": True} if rules.bool.const else {})}


_SCALARS: Final[dict[int, Callable[[Any], Json]]] = {
    Proto.TYPE_BOOL: _bool,
    Proto.TYPE_BYTES: _bytes,
    Proto.TYPE_DOUBLE: _double,
    Proto.TYPE_INT32: _int32,
    Proto.TYPE_STRING: _string,
}
