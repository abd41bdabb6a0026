"""Describes the contract over HTTP as an OpenAPI document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from descriptors import Contract, Message, Method
from google.protobuf.json_format import ParseError
from json_schemas import Json, Prose, Schemas, is_required, ref

_VERBS: Final = ("get", "put", "post", "delete", "patch")
_PARAMETER: Final = re.compile(r"\{(\w+)(?:=[^}]*)?\}")
_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream"

_STATUSES: Final = {
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "FAILED_PRECONDITION": 409,
    "ABORTED": 409,
}
"""What a comment's `Errors:` add to the statuses that every call can have."""

_ALWAYS: Final = (400, 401, 403, 429, 500, 503, 504)
_WITH_BODY: Final = (413, 415)

_ERRORS: Final = {
    400: "The request breaks rules of the contract (`INVALID_ARGUMENT`: `details` has a BadRequest"
    " that names each field and its rule), or `asOf` lies in the future (`OUT_OF_RANGE`).",
    401: "No key, or one that is malformed, unknown, revoked or expired (`UNAUTHENTICATED`).",
    403: "The key may only read, or may not use this container (`PERMISSION_DENIED`).",
    404: "There is no such thing, or none that the key may see (`NOT_FOUND`).",
    409: "It exists already (`ALREADY_EXISTS`), is not in a state for this"
    " (`FAILED_PRECONDITION`), or has another etag than the request's (`ABORTED`); or a call with"
    " this request id is still running (`ABORTED`, with Retry-After).",
    412: "It has another etag than the one of `If-Match` (`ABORTED`). Nothing was written.",
    413: "The body is larger than 16 MiB (`RESOURCE_EXHAUSTED`, MESSAGE_TOO_LARGE).",
    415: "The body is not `application/json`, or it is compressed.",
    429: "The key or its tenant has as much in use as it may have, or the server has too much to do"
    " (`RESOURCE_EXHAUSTED`).",
    500: "A fault of the service (`INTERNAL`); X-Request-Id names the call in its log.",
    503: "The server is stopping, or cannot reach its database (`UNAVAILABLE`).",
    504: "The deadline passed (`DEADLINE_EXCEEDED`). A mutation may have been done: repeat it with"
    " the same request id.",
    507: "The disk, or the quota on it, is full (`RESOURCE_EXHAUSTED`, STORAGE_FULL). Deletions"
    " make room.",
}
_RETRIED: Final = (409, 429, 503)

_DESCRIPTION: Final = """\
A self-hosted memory service for agents. This is its own API: each call of the gRPC contract as a
path, with messages in ProtoJSON. Request ids and page tokens given over one transport count over
the other.

**Fields.** Names are camelCase; snake_case is understood too. An unknown field is refused by name.
Answers have all fields, empty ones too, but for times and objects that there are not. Times are
RFC 3339, numbers of 64 bits are strings, bytes are base64.

**Ids in paths** are percent-encoded: the custom id "a/b" is `/v1/documents/a%2Fb`.

**Errors** are `{"error": {"code", "status", "message", "details"}}`: the HTTP status, the name of
the gRPC code, a text for people, and what programs need. One of the details is always a
`google.rpc.ErrorInfo`, whose `reason` says exactly what happened. Besides those of each call:
404 for a path and 405 for a verb that there is not.

**Connect.** Each call with one answer is also at `POST /palimpsest.v1.<service>/<call>`, with the
same JSON, for clients of the Connect protocol.

**Retries.** `Idempotency-Key`, or `requestId`, makes a repeated mutation safe for at least 24
hours. `Retry-After` says when a repetition may help.

**Deadlines.** `Grpc-Timeout` ("10S") or `Connect-Timeout-Ms` bound how long a call may take.
"""

_HEADERS: Final[Json] = {
    "X-Request-Id": {
        "description": "Names this call in the log of the server.",
        "schema": {"type": "string"},
    },
    "ETag": {
        "description": "The etag of what was read or written, in double quotes, for `If-Match`.",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds after which a repetition may succeed; absent where waiting is of"
        " no help.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "X-Should-Retry": {
        "description": "Whether a repetition of the same request may succeed.",
        "schema": {"type": "string", "enum": ["true", "false"]},
    },
    "WWW-Authenticate": {
        "description": "That a bearer token is needed.",
        "schema": {"type": "string"},
    },
}

_HEADER_PARAMETERS: Final[Json] = {
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The request id, in place of the field `requestId`: a UUID, or any text,"
        " of which one is made. It makes a retry of this request safe for at least 24 hours.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    },
    "If-Match": {
        "name": "If-Match",
        "in": "header",
        "description": "An etag, in place of the field `etag`, in double quotes as the header ETag"
        " has it: go on only if it is still the current one, else 412.",
        "schema": {"type": "string", "maxLength": 66, "pattern": '^"[!#-~]*"$'},
    },
    "Palimpsest-Actor": {
        "name": "Palimpsest-Actor",
        "in": "header",
        "description": "On whose behalf the call is made: printable ASCII, which the change that"
        " it makes has as its `actor`, and so has each version of a memory that it writes.",
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": 200,
            "pattern": "^[!-~]([ -~]*[!-~])?$",
        },
    },
    "Last-Event-ID": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The id of the last event that came, in place of the field"
        " `afterRevision`: continue after it. Browsers send it when they connect again.",
        "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
    },
}
_RECEIPTS: Final = {"receipt": "receipt", "receipts": "receipts/0"}
"""Where in an answer what was written is named."""

_OFFERED_WITH: Final = {
    "Idempotency-Key": "requestId",
    "If-Match": "etag",
    "Palimpsest-Actor": "requestId",
}
"""The field that a request has which takes the header."""

_OFFERED_BY_STREAMS_WITH: Final = {"Last-Event-ID": "afterRevision"}

_STREAMED: Final = {
    "WatchDocument": "`state` for each state and `deleted` at the end of a document that was"
    " deleted",
    "WatchChanges": "`changes` with some and `checkpoint` without any, each with its revision as"
    " id",
}
"""The events of each stream, by the method's name."""

_ERROR_SCHEMAS: Final[Json] = {
    "Error": {
        "type": "object",
        "description": "Why a call failed.",
        "properties": {
            "error": {
                "type": "object",
                "properties": {
                    "code": {"type": "integer", "description": "The HTTP status."},
                    "status": {
                        "type": "string",
                        "description": 'The name of the gRPC code: "NOT_FOUND".',
                    },
                    "message": {"type": "string", "description": "What is wrong, for a person."},
                    "details": {
                        "type": "array",
                        "description": "Of the types that `@type` names: always a"
                        " `google.rpc.ErrorInfo`, and where it fits a `BadRequest`, `RetryInfo`,"
                        " `ResourceInfo` or `PreconditionFailure`.",
                        "items": ref("ErrorDetail"),
                    },
                },
                "required": ["code", "status", "message", "details"],
            }
        },
        "required": ["error"],
    },
    "ErrorDetail": {
        "type": "object",
        "description": "One of the messages of google/rpc/error_details.proto.",
        "properties": {
            "@type": {
                "type": "string",
                "description": 'Its type: "type.googleapis.com/google.rpc.ErrorInfo".',
            },
            "reason": {
                "type": "string",
                "description": "Of an ErrorInfo: an ErrorReason of the contract, without its"
                ' prefix: "DOCUMENT_NOT_FOUND".',
            },
            "domain": {"type": "string", "description": 'Of an ErrorInfo: "palimpsest".'},
            "metadata": {
                "type": "object",
                "description": "Of an ErrorInfo: what else there is to know.",
                "additionalProperties": {"type": "string"},
            },
            "fieldViolations": {
                "type": "array",
                "description": "Of a BadRequest: each field that breaks a rule.",
                "items": ref("FieldViolation"),
            },
            "retryDelay": {
                "type": "string",
                "description": 'Of a RetryInfo: when to repeat the call: "0.500s".',
            },
        },
        "required": ["@type"],
        "additionalProperties": True,
    },
    "FieldViolation": {
        "type": "object",
        "description": "A field that breaks a rule.",
        "properties": {
            "field": {"type": "string", "description": "Its path, as the request has it."},
            "description": {"type": "string", "description": "The rule."},
        },
        "additionalProperties": True,
    },
}


class OpenApi:
    """Makes the document of a contract."""

    def __init__(self, contract: Contract, examples: Mapping[str, Json]) -> None:
        """
        Args:
            examples: A "request" and a "response" for each method, in ProtoJSON.
        """
        self._contract = contract
        self._examples = examples
        self._prose = Prose(contract.multiword_fields())
        self._schemas = Schemas(contract, self._prose)
        self._methods = {
            method.name: method for service in contract.services for method in service.methods
        }
        self._elsewhere: dict[str, set[str]] = {}
        self._statuses: set[int] = set()

    def document(self) -> Json:
        paths: Json = {}
        for method in self._methods.values():
            verb, path = _route(method)
            paths.setdefault(self._path(method, path), {})[verb] = self._operation(method)
        return {
            "openapi": "3.1.0",
            "info": {
                "title": "Palimpsest",
                "version": "v1",
                "description": _DESCRIPTION,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/", "description": "The server that this comes from."}],
            "security": [{"key": []}],
            "tags": [
                {"name": service.name, "description": self._prose(service.comment)}
                for service in self._contract.services
            ],
            "paths": paths,
            "components": {
                "schemas": self._schemas.needed(self._elsewhere) | _ERROR_SCHEMAS,
                "responses": {
                    _name(status): self._error(status) for status in sorted(self._statuses)
                },
                "parameters": _HEADER_PARAMETERS,
                "headers": _HEADERS,
                "securitySchemes": {
                    "key": {
                        "type": "http",
                        "scheme": "bearer",
                        "description": "A key, as `palimpsest keys create` makes it.",
                    }
                },
            },
        }

    def _path(self, method: Method, template: str) -> str:
        """The path with the JSON names of its parameters."""
        names = {f.proto.name: f.name for f in self._request(method).fields}
        return _PARAMETER.sub(lambda found: f"{{{names[found[1]]}}}", template)

    def _request(self, method: Method) -> Message:
        return self._contract.messages[method.request]

    def _operation(self, method: Method) -> Json:
        summary, _, rest = self._prose(method.comment).partition("\n\n")
        in_path = set(_PARAMETER.findall(_route(method)[1]))
        operation: Json = {
            "operationId": _operation_id(method),
            "tags": [method.service],
            "summary": re.split(r"(?<=[.:;]) ", summary)[0].rstrip(":;."),
            "description": "\n\n".join(filter(None, [summary, rest])),
            "parameters": list(self._parameters(method, in_path)),
        }
        if method.http.body:
            elsewhere = {f.name for f in self._request(method).fields if f.proto.name in in_path}
            self._elsewhere[method.request] = elsewhere
            operation["requestBody"] = {
                "required": self._schemas.must_be_given(method.request, elsewhere),
                "content": {
                    _JSON: {
                        "schema": self._schemas.refer(method.request),
                        "example": self._body_example(method, elsewhere),
                    }
                },
            }
        operation["responses"] = {"200": self._answer(method)} | {
            str(status): {"$ref": f"#/components/responses/{_name(status)}"}
            for status in self._failures(method)
        }
        return operation

    def _parameters(self, method: Method, in_path: set[str]) -> Iterator[Json]:
        example = self._examples[method.name]["request"]
        fields = {field.name: field for field in self._request(method).fields}
        for name, field in fields.items():
            if field.proto.name not in in_path and method.http.body:
                continue
            schema = self._schemas.field(field)
            parameter: Json = {
                "name": name,
                "in": "path" if field.proto.name in in_path else "query",
                "description": schema.pop("description"),
                "required": field.proto.name in in_path or is_required(field),
                "schema": schema,
            }
            if name in example:
                parameter["example"] = example[name]
            yield parameter
        headers = _OFFERED_WITH | (_OFFERED_BY_STREAMS_WITH if method.streams else {})
        for header, name in headers.items():
            if name in fields:
                yield {"$ref": f"#/components/parameters/{header}"}

    def _answer(self, method: Method) -> Json:
        message = self._contract.messages[method.response]
        answer: Json = {
            "description": self._prose(message.comment),
            "headers": {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}},
        }
        if method.streams:
            answer["description"] = (
                f"Server-sent events: {_STREAMED[method.name]}, with a {method.response} as data;"
                " `error` when the stream fails, with an Error as data. A comment comes every 15"
                " seconds."
            )
            self._schemas.refer(method.response)
            events = "".join(
                f"{_event_id(data)}event: {event}\n"
                f"data: {json.dumps(self._complete(method.response, data))}\n\n"
                for event, data in self._examples[method.name]["response"].items()
            )
            answer["content"] = {
                _EVENTS: {"schema": {"description": "The events, as text."}, "example": events}
            }
            return answer
        if links := dict(self._links(method)):
            answer["links"] = links
        if any(self._has_etag(field) for field in message.fields):
            answer["headers"]["ETag"] = {"$ref": "#/components/headers/ETag"}
        answer["content"] = {
            _JSON: {
                "schema": self._schemas.refer(method.response),
                "example": self._complete(method.response, self._examples[method.name]["response"]),
            }
        }
        return answer

    def _links(self, method: Method) -> Iterator[tuple[str, Json]]:
        """What can be done next with what was written, as far as it needs no body."""
        fields = {field.name: field for field in self._contract.messages[method.response].fields}
        found = next((each for each in _RECEIPTS.items() if each[0] in fields), None)
        if found is None:
            return
        name_of_receipt, at = found
        receipt = self._contract.type_of(fields[name_of_receipt])
        assert isinstance(receipt, Message)  # noqa: S101  (for the type checker)
        told = {field.name for field in receipt.fields}
        for other in self._methods.values():
            asked = {field.name for field in self._request(other).fields}
            if other.service != method.service or other.http.body or "id" not in asked:
                continue
            operation = _operation_id(other)
            yield (
                operation,
                {
                    "operationId": operation,
                    "parameters": {
                        name: f"$response.body#/{at}/{name}"
                        for name in ("id", "containerTag")
                        if name in asked & told
                    },
                },
            )

    def _has_etag(self, field: Any) -> bool:
        named = self._contract.type_of(field)
        return (
            not field.repeated
            and isinstance(named, Message)
            and any(inner.name == "etag" for inner in named.fields)
        )

    def _body_example(self, method: Method, elsewhere: set[str]) -> Json:
        example = self._examples[method.name]["request"]
        self._complete(method.request, example)
        return {name: value for name, value in example.items() if name not in elsewhere}

    def _complete(self, message: str, example: Json) -> Json:
        try:
            return self._contract.complete(message, example)
        except ParseError as error:
            raise SystemExit(f"The example of {message} is none: {error}") from None

    def _failures(self, method: Method) -> list[int]:
        names = {field.name for field in self._request(method).fields}
        found = {*_ALWAYS, *(_STATUSES[code] for code in self._codes(method) if code in _STATUSES)}
        if method.http.body:
            found |= {*_WITH_BODY}
        if "requestId" in names:
            found |= {409, 507}
        if "etag" in names:
            found.add(412)
        self._statuses |= found
        return sorted(found)

    def _codes(self, method: Method) -> set[str]:
        """The gRPC codes that the comment of a method names, those of others included."""
        errors = method.comment.partition("Errors:")[2]
        codes = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)*\b", errors))
        for other in re.findall(r"those of (\w+)\.", errors):
            codes |= self._codes(self._methods[other])
        return codes

    def _error(self, status: int) -> Json:
        headers = ["X-Request-Id", "X-Should-Retry"]
        if status in _RETRIED:
            headers.append("Retry-After")
        if status == HTTPStatus.UNAUTHORIZED:
            headers.append("WWW-Authenticate")
        return {
            "description": _ERRORS[status],
            "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
            "content": {_JSON: {"schema": ref("Error")}},
        }


def _operation_id(method: Method) -> str:
    return method.name[0].lower() + method.name[1:]


def _route(method: Method) -> tuple[str, str]:
    for verb in _VERBS:
        if path := getattr(method.http, verb):
            return verb, path
    raise SystemExit(f"{method.name} has no path")


def _event_id(data: Json) -> str:
    """The line with the id of an event, of those that have one."""
    return f"id: {data['revision']}\n" if "revision" in data else ""


def _name(status: int) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "").replace("-", "")


def write(contract: Contract, examples: Path, out: Path) -> None:
    """Writes the document of a contract.

    Args:
        examples: A JSON file: a "request" and a "response" for each method.
        out: The file to write.
    """
    document = OpenApi(contract, json.loads(examples.read_text(encoding="utf-8"))).document()
    out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
