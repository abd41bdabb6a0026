"""The OpenAPI document says what the contract says, and its page shows all of it."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest
from google.api import annotations_pb2
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from openapi_spec_validator import validate

from palimpsest.v1 import documents_pb2
from service.http import docs, openapi
from service.http.markdown import to_html
from service.rpc import validation
from service.rpc.contract import SERVICES

DOCUMENT = openapi.document()
SCHEMAS = DOCUMENT["components"]["schemas"]
METHODS = [method for service in SERVICES for method in service.methods]
OPERATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    operation["operationId"]: (verb, path, operation)
    for path, item in DOCUMENT["paths"].items()
    for verb, operation in item.items()
}

each_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


def operation_of(method: MethodDescriptor) -> tuple[str, str, dict[str, Any]]:
    return OPERATIONS[method.name[0].lower() + method.name[1:]]


def test_a_validator_accepts_the_document() -> None:
    validate(DOCUMENT)


def test_every_call_of_the_contract_is_in_it_and_nothing_else() -> None:
    assert {m.name[0].lower() + m.name[1:] for m in METHODS} == OPERATIONS.keys()


@each_method
def test_verb_and_path_are_those_of_the_annotation(method: MethodDescriptor) -> None:
    verb, path, operation = operation_of(method)
    http: Any = annotations_pb2.http
    rule = method.GetOptions().Extensions[http]
    named = {f.name: f.json_name for f in method.input_type.fields}
    annotated = re.sub(r"\{(\w+)(?:=\*\*)?\}", lambda m: f"{{{named[m[1]]}}}", getattr(rule, verb))
    assert path == annotated
    assert ("requestBody" in operation) == bool(rule.body)
    assert operation["tags"] == [method.containing_service.name]


@each_method
def test_every_field_of_a_request_stands_in_exactly_one_place(method: MethodDescriptor) -> None:
    _, path, operation = operation_of(method)
    places = [p["name"] for p in operation["parameters"] if "name" in p]
    in_path = set(re.findall(r"\{(\w+)\}", path))
    assert in_path == {
        p["name"] for p in operation["parameters"] if p.get("in") == "path" and p["required"]
    }
    if "requestBody" in operation:
        schema = SCHEMAS[method.input_type.name]
        assert operation["requestBody"]["content"]["application/json"]["schema"] == {
            "$ref": f"#/components/schemas/{method.input_type.name}"
        }
        places += schema["properties"]
    assert sorted(places) == sorted(field.json_name for field in method.input_type.fields)


@each_method
def test_headers_that_stand_for_fields_are_named(method: MethodDescriptor) -> None:
    _, _, operation = operation_of(method)
    names = {p["$ref"].rpartition("/")[2] for p in operation["parameters"] if "$ref" in p}
    fields = method.input_type.fields_by_name
    assert ("Idempotency-Key" in names) == ("request_id" in fields)
    assert ("If-Match" in names) == ("etag" in fields)
    resumable = method.server_streaming and "after_revision" in fields
    assert ("Last-Event-ID" in names) == resumable
    assert ("412" in operation["responses"]) == ("etag" in fields)


@each_method
def test_examples_are_requests_that_the_contract_accepts(method: MethodDescriptor) -> None:
    _, _, operation = operation_of(method)
    value = {p["name"]: p["example"] for p in operation["parameters"] if "example" in p}
    if "requestBody" in operation:
        value |= operation["requestBody"]["content"]["application/json"]["example"]
    request = json_format.ParseDict(value, GetMessageClass(method.input_type)())
    assert validation.check(request) == []


@each_method
def test_examples_of_answers_have_every_field_that_answers_have(method: MethodDescriptor) -> None:
    content = operation_of(method)[2]["responses"]["200"]["content"]
    if method.server_streaming:
        lines = content["text/event-stream"]["example"].splitlines()
        examples = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    else:
        examples = [content["application/json"]["example"]]
    assert examples
    for example in examples:
        response = json_format.ParseDict(example, GetMessageClass(method.output_type)())
        assert example == json_format.MessageToDict(
            response, always_print_fields_with_no_presence=True
        )


def test_what_was_written_is_linked_to_what_can_be_done_with_it() -> None:
    linked = set()
    for method in METHODS:
        answer = operation_of(method)[2]["responses"]["200"]
        for link in answer.get("links", {}).values():
            linked.add(link["operationId"])
            _, _, operation = OPERATIONS[link["operationId"]]
            names = {p.get("name") for p in operation["parameters"]}
            for name, expression in link["parameters"].items():
                assert name in names
                value = answer["content"]["application/json"]["example"]
                for step in expression.removeprefix("$response.body#/").split("/"):
                    value = value[int(step)] if isinstance(value, list) else value[step]
                assert value
    assert {"getDocument", "deleteDocument", "getMemory", "deleteMemory"} <= linked


def test_a_schema_has_the_limits_of_the_annotations() -> None:
    search = SCHEMAS["SearchMemoriesRequest"]
    query = search["properties"]["query"]
    assert (query["minLength"], query["maxLength"]) == (1, 10_000)
    assert search["required"] == ["query"]
    assert search["additionalProperties"] is False
    limit = search["properties"]["limit"]
    assert (limit["minimum"], limit["maximum"]) == (0, 100)
    tags = search["properties"]["containerTags"]
    assert (tags["maxItems"], tags["uniqueItems"]) == (100, True)
    assert tags["items"]["pattern"] == "^[A-Za-z0-9_.:@/-]{1,100}$"
    items = SCHEMAS["BatchUpsertDocumentsRequest"]["properties"]["items"]
    assert (items["minItems"], items["maxItems"]) == (1, 600)
    file = SCHEMAS["UpsertDocumentRequest"]["properties"]["contentBytes"]
    assert file["maxLength"] == 4 * (3_145_728 // 3)
    assert file["contentEncoding"] == "base64"


def test_a_schema_has_the_types_of_protojson() -> None:
    document = SCHEMAS["Document"]["properties"]
    assert document["revision"]["type"] == "string"
    assert document["createTime"]["format"] == "date-time"
    assert document["attemptCount"]["type"] == "integer"
    assert document["metadata"]["$ref"].endswith("/Metadata")
    assert SCHEMAS["DocumentStatus"]["type"] == "string"
    assert "DOCUMENT_STATUS_DONE" in SCHEMAS["DocumentStatus"]["enum"]
    assert "UPSERT_MODE_UNSPECIFIED" not in SCHEMAS["UpsertMode"]["enum"]


def test_an_answer_promises_the_fields_that_are_always_there() -> None:
    fields = documents_pb2.Document.DESCRIPTOR.fields
    always = [field.json_name for field in fields if not field.has_presence]
    assert SCHEMAS["Document"]["required"] == always
    assert {"id", "containerTags", "revision"} < set(always)


def test_texts_name_fields_as_json_does() -> None:
    """But for the codes and reasons of errors, no name in it has an underscore."""
    texts = json.dumps({"paths": DOCUMENT["paths"], "schemas": SCHEMAS, "tags": DOCUMENT["tags"]})
    snake = {field.name for m in METHODS for field in m.input_type.fields if "_" in field.name}
    assert snake
    assert not snake & set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", texts))


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_a_page_is_sent_once(path: str) -> None:
    answer = {"/openapi.json": openapi.answer, "/docs": docs.answer}[path]
    first = answer({})
    etag = dict(first.headers)["etag"]
    assert (first.status, bool(first.body)) == (200, True)
    again = answer({"if-none-match": f'"other", W/{etag}'})
    assert (again.status, again.body, dict(again.headers)["etag"]) == (304, b"", etag)
    assert answer({"if-none-match": '"other"'}).status == 200


class Links(HTMLParser):
    """What a page loads and links to, and what its links may name."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.names: list[str] = []
        self.tags: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        self.targets += [str(given[name]) for name in ("href", "src") if name in given]
        self.names += [str(given["id"])] if "id" in given else []
        assert not {name for name in given if name.startswith("on") or name == "style"}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing() -> None:
    answer = docs.answer({})
    page = answer.body.decode()
    links = Links()
    links.feed(page)
    assert links.open == []
    assert not links.tags & {"script", "link", "img", "iframe", "object", "form"}
    assert "url(" not in page
    assert "@import" not in page
    assert set(links.targets) <= {"/openapi.json", *(f"#{name}" for name in links.names)}
    policy = dict(answer.headers)["content-security-policy"]
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")


def test_the_page_shows_every_call_and_every_schema() -> None:
    links = Links()
    links.feed(docs.answer({}).body.decode())
    assert len(links.names) == len(set(links.names))
    assert {*OPERATIONS, *(f"schema-{name}" for name in SCHEMAS)} <= set(links.names)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("One\nline", "<p>One line</p>"),
        ("One\n\nTwo", "<p>One</p><p>Two</p>"),
        ("- a `b`\n- c\n  d", "<ul><li>a <code>b</code></li><li>c d</li></ul>"),
        ("Code:\n\n    {x:\n      1}", "<p>Code:</p><pre>{x:\n  1}</pre>"),
        ('**A.** `<b>` & "q"', "<p><b>A.</b> <code>&lt;b&gt;</code> &amp; &quot;q&quot;</p>"),
        ("", ""),
    ],
)
def test_the_markdown_of_texts(text: str, html: str) -> None:
    assert to_html(text) == html
