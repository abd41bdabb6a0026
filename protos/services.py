"""The services of the Python client, from the contract: a typed method for each of its methods.

Their names are those of the contract without the noun that the service is named after:
`DocumentsStub.UpsertDocument` is `client.documents.upsert`.
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from descriptors import Contract, Enum, Field, Message, Method, Service
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Proto

_HEAD: Final = '''\
"""The services of the contract, synchronous and for asyncio: made by protos/generate.py.

A field that is None is not in the request. What each field means is written at its message.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence

from palimpsest.calls import AsyncCalls, Calls, Method
from palimpsest.messages import Fields, Metadata, Time
from palimpsest.resuming import {resumings}
from palimpsest.v1 import {modules}
'''

_POSITIONAL: Final = {
    "UpsertDocument": ("content",),
    "BatchUpsertDocuments": ("items",),
    "AppendMessages": ("id", "messages"),
    "SearchDocuments": ("query",),
    "SearchMemories": ("query",),
    "CreateMemories": ("container_tag", "memories"),
    "GetProfile": ("container_tag", "query"),
    "DeleteContainer": ("container_tag",),
    "GetDocument": ("id",),
    "UpdateDocument": ("id",),
    "DeleteDocument": ("id",),
    "ListChunks": ("id",),
    "WatchDocument": ("id",),
    "GetMemory": ("container_tag", "id"),
    "ListMemoryVersions": ("container_tag", "id"),
    "UpdateMemory": ("container_tag",),
    "ForgetMemory": ("container_tag",),
    "ForgetMemories": ("container_tag",),
    "RestoreMemory": ("container_tag", "id"),
    "RestoreMemories": ("container_tag", "forget_batch_id"),
    "DeleteMemory": ("container_tag", "id"),
}
"""The fields that need no name, in their order."""

_RESUMING: Final = {"WatchDocument": "DocumentResuming", "WatchChanges": "ChangesResuming"}
"""How each stream goes on after a lost connection."""

_PLAIN: Final = {
    Proto.TYPE_STRING: "str",
    Proto.TYPE_BYTES: "bytes",
    Proto.TYPE_BOOL: "bool",
    Proto.TYPE_DOUBLE: "float",
    Proto.TYPE_INT32: "int",
    Proto.TYPE_INT64: "int",
    Proto.TYPE_UINT64: "int",
}
_KNOWN: Final = {".google.protobuf.Struct": "Metadata", ".google.protobuf.Timestamp": "Time"}
_FROM_TEXT: Final = ("NewMemory", "ConversationMessage")


def write(contract: Contract, out: Path) -> None:
    """Writes the module `services` of the package in `out`."""
    writer = _Writer(contract)
    used = [m for s in contract.services for m in s.methods]
    parts = [
        *(writer.constant(m) for m in used),
        *(writer.service(s, way) for s in contract.services for way in (_SYNC, _ASYNC)),
    ]
    text = "\n\n".join(parts)
    modules = sorted(set(re.findall(r"\b\w+_pb2\b", text)))
    names = sorted(_RESUMING[m.name] for m in used if m.streams)
    head = _HEAD.format(modules=", ".join(modules), resumings=", ".join(names))
    out.write_text(f"{head}\n{text}\n")


class _Way:
    """How methods are written: synchronous or for asyncio."""

    def __init__(self, prefix: str, answer: str, iterator: str) -> None:
        self.prefix = prefix
        self.answer = answer
        self.iterator = iterator


_SYNC: Final = _Way("", "{}", "Iterator")
_ASYNC: Final = _Way("Async", "Awaitable[{}]", "AsyncIterator")


class _Writer:
    def __init__(self, contract: Contract) -> None:
        self._contract = contract

    def constant(self, method: Method) -> str:
        return (
            f"{_constant(method)} = Method(\n"
            f'    "/palimpsest.v1.{method.service}/{method.name}",\n'
            f"    {self._named(method.request)},\n    {self._named(method.response)},\n)"
        )

    def service(self, service: Service, way: _Way) -> str:
        lines = [f"class {way.prefix}{service.name}:", _docstring(service.comment, 4), ""]
        lines += [
            f"    def __init__(self, calls: {way.prefix}Calls) -> None:",
            "        self._calls = calls",
        ]
        for method, name in _names(service):
            lines += ["", *self._method(method, name, way)]
            items = self._items(method)
            if items is not None:
                lines += ["", *self._iterate(method, name, items, way)]
        return "\n".join(lines)

    def _method(self, method: Method, name: str, way: _Way) -> Iterator[str]:
        fields = self._fields(method)
        answer = self._named(method.response)
        given = f"{_constant(method)}, {_dict(fields)}"
        if method.streams:
            yield from self._signature(method, name, f"{way.iterator}[{answer}]", [])
            yield _docstring(method.comment, 8)
            yield f"        return self._calls.stream({given}, {_RESUMING[method.name]})"
            return
        mutation = "request_id" in fields
        extra = ["timeout: float | None = None", *["actor: str | None = None"] * mutation]
        yield from self._signature(method, name, way.answer.format(answer), extra)
        yield _docstring(method.comment, 8)
        more = ", actor" if mutation else ""
        yield f"        return self._calls.unary({given}, timeout{more})"

    def _iterate(self, method: Method, name: str, items: Field, way: _Way) -> Iterator[str]:
        fields = [field for field in self._fields(method) if field != "page_token"]
        kind = self._named(items.proto.type_name.rpartition(".")[2])
        yield from self._signature(
            method,
            name.replace("list", "iterate", 1),
            f"{way.iterator}[{kind}]",
            ["timeout: float | None = None"],
            without="page_token",
        )
        yield f'        """As `{name}`: what is on all pages. `timeout` is for each page."""'
        given = f"{_constant(method)}, {_dict(fields)}"
        yield f'        return self._calls.pages({given}, "{items.proto.name}", timeout)'

    def _signature(
        self, method: Method, name: str, answer: str, extra: Sequence[str], without: str = ""
    ) -> Iterator[str]:
        fields = {f.proto.name: f for f in self._contract.messages[method.request].fields}
        fields.pop(without, None)
        positional = _POSITIONAL.get(method.name, ())
        named = [field for field in fields if field not in positional]
        yield f"    def {name}("
        yield "        self,"
        yield from (f"        {self._parameter(fields[field])}," for field in positional)
        yield "        *,"
        yield from (f"        {self._parameter(fields[field])}," for field in named)
        yield from (f"        {each}," for each in extra)
        yield f"    ) -> {answer}:"

    def _parameter(self, field: Field) -> str:
        return f"{field.proto.name}: {self._type(field)} | None = None"

    def _type(self, field: Field) -> str:
        of = self._contract.type_of(field)
        if isinstance(of, Enum):
            single = f"{self._named(of.name)}.ValueType"
        elif isinstance(of, Message):
            single = f"{self._named(of.name)} | Fields"
        else:
            single = _KNOWN.get(field.proto.type_name) or _PLAIN[field.proto.type]
        if isinstance(of, Message) and of.name in _FROM_TEXT:
            single += " | str"
        return f"{single} | Sequence[{single}]" if field.repeated else single

    def _fields(self, method: Method) -> list[str]:
        return [field.proto.name for field in self._contract.messages[method.request].fields]

    def _items(self, method: Method) -> Field | None:
        """The field with the items of a page; None if the answers are no pages."""
        if method.streams:
            return None
        fields = self._contract.messages[method.response].fields
        if not {"next_page_token", "latest_revision"} & {field.proto.name for field in fields}:
            return None
        return next((field for field in fields if field.repeated), None)

    def _named(self, kind: str) -> str:
        return f"{self._contract.modules[kind]}.{kind}"


def _names(service: Service) -> list[tuple[Method, str]]:
    """The methods and their names; of two with one name, that of many things says so."""
    plural = _snake(service.name)
    singular = plural.removesuffix("s").replace("ie", "y")
    words = {method.name: _snake(method.name).split("_") for method in service.methods}
    short = {
        name: "_".join(word for word in each if word not in (singular, plural))
        for name, each in words.items()
    }
    shared = [name for name, count in Counter(short.values()).items() if count > 1]
    return [
        (method, f"{name}_many" if name in shared and plural in words[method.name] else name)
        for method, name in ((method, short[method.name]) for method in service.methods)
    ]


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _constant(method: Method) -> str:
    return f"_{_snake(method.name).upper()}"


def _dict(fields: Sequence[str]) -> str:
    items = "".join(f'            "{field}": {field},\n' for field in fields)
    return f"{{\n{items}        }}"


def _docstring(comment: str, indent: int) -> str:
    """A comment as a docstring, in which a backslash is itself."""
    text = comment.replace("\\", "\\\\")
    closing = "\n" if "\n" in text else ""
    return textwrap.indent(f'"""{text}{closing}"""', " " * indent)
