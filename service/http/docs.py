"""The page `/docs`: the OpenAPI document for people, in HTML without scripts."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from hashlib import sha256
from html import escape
from shlex import quote
from typing import Any, Final
from urllib.parse import quote as percent_encode
from urllib.parse import urlencode

from service.http import openapi
from service.http.endpoints import JSON, HttpAnswer
from service.http.markdown import to_html
from service.http.static_page import StaticPage

_LIMITS: Final = {
    "minLength": "length ≥ {}",
    "maxLength": "length ≤ {}",
    "minimum": "≥ {}",
    "maximum": "≤ {}",
    "minItems": "items ≥ {}",
    "maxItems": "items ≤ {}",
    "maxProperties": "keys ≤ {}",
    "pattern": "matches {}",
    "const": "always {}",
}

_STYLE: Final = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--link:#0a62b5}
@media(prefers-color-scheme:dark){:root{--link:#6cb4f5}}
*{box-sizing:border-box}
body{margin:0;font:16px/1.5 system-ui,sans-serif;display:flex}
nav{flex:none;width:19rem;height:100vh;position:sticky;top:0;overflow:auto;padding:1rem;
border-right:1px solid var(--line);font-size:.875rem}
nav ul{list-style:none;margin:0 0 1rem;padding:0}
main{flex:1;min-width:0;max-width:62rem;padding:1rem 2rem 6rem}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
h2{margin-top:3rem}section>h3,article>h3{margin:2.5rem 0 .25rem;padding-top:1rem;
border-top:1px solid var(--line)}
code,pre{font:.875em/1.5 ui-monospace,monospace}
pre{overflow:auto;padding:.75rem;background:var(--soft);border-radius:.375rem}
table{width:100%;border-collapse:collapse;margin:.5rem 0}
td{padding:.375rem .5rem;border-top:1px solid var(--line);vertical-align:top}
td:first-child{white-space:nowrap}td p,td ul{margin:0 0 .25rem}
.verb{display:inline-block;min-width:4.25rem;font-weight:600}
.type{opacity:.75;font-size:.875em}
@media(max-width:50rem){body{display:block}nav{width:auto;height:auto;position:static}
main{padding:1rem}}
"""


def answer(headers: Mapping[str, str]) -> HttpAnswer:
    """What `GET /docs` is answered.

    Args:
        headers: Those of the request, names in lower case.
    """
    return _page().answer(headers)


@cache
def _page() -> StaticPage:
    style = b64encode(sha256(_STYLE.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    )
    return StaticPage(
        render(openapi.document()).encode(),
        "text/html; charset=utf-8",
        [("content-security-policy", policy), ("referrer-policy", "no-referrer")],
    )


def render(document: Mapping[str, Any]) -> str:
    """An OpenAPI document as a page of HTML."""
    return "".join(_Renderer(document).page())


class _Renderer:
    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._operations = [
            (verb.upper(), path, operation)
            for path, item in document["paths"].items()
            for verb, operation in item.items()
        ]

    def page(self) -> Iterator[str]:
        info = self._document["info"]
        title = escape(f"{info['title']} {info['version']}")
        yield (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<style>{_STYLE}</style></head><body>"
        )
        yield from self._navigation()
        yield f"<main><h1>{title}</h1>{to_html(info['description'])}"
        yield (
            '<p>The same for programs: <a href="/openapi.json">openapi.json</a>. The examples'
            " need address and key:</p><pre>URL=http://127.0.0.1:50080\nKEY=…</pre>"
        )
        for tag in self._document["tags"]:
            yield f"<section><h2>{escape(tag['name'])}</h2>{to_html(tag['description'])}"
            for verb, path, operation in self._tagged(tag["name"]):
                yield from self._operation(verb, path, operation)
            yield "</section>"
        yield '<section id="errors"><h2>Errors</h2><table>'
        for status, response in self._errors():
            yield self._response(status, response)
        yield "</table></section><section><h2>Schemas</h2>"
        for name, schema in self._document["components"]["schemas"].items():
            yield from self._schema(name, schema)
        yield "</section></main></body></html>"

    def _tagged(self, tag: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        return (one for one in self._operations if tag in one[2]["tags"])

    def _navigation(self) -> Iterator[str]:
        yield "<nav>"
        for tag in self._document["tags"]:
            yield f"<b>{escape(tag['name'])}</b><ul>"
            for _, _, operation in self._tagged(tag["name"]):
                name = escape(operation["operationId"])
                yield f'<li><a href="#{name}">{name}</a></li>'
            yield "</ul>"
        yield '<a href="#errors">Errors</a></nav>'

    def _operation(self, verb: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
        name = escape(operation["operationId"])
        yield f'<article id="{name}"><h3>{name}</h3>'
        yield f'<p><code><span class="verb">{verb}</span>{escape(path)}</code></p>'
        yield to_html(operation["description"])
        if parameters := [self._resolved(one) for one in operation["parameters"]]:
            yield "<h4>Parameters</h4><table>"
            for parameter in parameters:
                yield from self._row(
                    parameter["name"],
                    parameter["schema"] | {"description": parameter["description"]},
                    f"in the {parameter['in']}",
                    required=parameter.get("required", False),
                )
            yield "</table>"
        if body := operation.get("requestBody"):
            schema = body["content"][JSON]["schema"]
            yield f"<h4>Body</h4><p>{self._type(schema)}</p>"
        yield f"<pre>{escape(_curl(verb, path, operation))}</pre>"
        yield "<h4>Answers</h4><table>"
        failures = []
        for status, response in operation["responses"].items():
            if "$ref" in response:
                failures.append(status)
            else:
                yield self._response(status, response)
        yield f'<tr><td><a href="#errors">Errors</a></td><td>{", ".join(failures)}</td></tr>'
        yield "</table></article>"

    def _errors(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """All that operations refer to, each once, by status."""
        found = {
            status: self._resolved(response)
            for _, _, operation in self._operations
            for status, response in operation["responses"].items()
            if "$ref" in response
        }
        yield from sorted(found.items())

    def _response(self, status: str, response: Mapping[str, Any]) -> str:
        content = ""
        for media in response["content"].values():
            content += f"<p>{self._type(media['schema'])}</p>"
            if "example" in media:
                content += _example(media["example"])
        return f"<tr><td>{status}</td><td>{to_html(response['description'])}{content}</td></tr>"

    def _schema(self, name: str, schema: Mapping[str, Any]) -> Iterator[str]:
        yield f'<article id="schema-{escape(name)}"><h3>{escape(name)}</h3>'
        yield to_html(schema["description"])
        if properties := schema.get("properties"):
            yield "<table>"
            for field, inner in properties.items():
                yield from self._row(field, inner, required=field in schema.get("required", ()))
            yield "</table>"
        yield "</article>"

    def _row(
        self, name: str, schema: Mapping[str, Any], *notes: str, required: bool
    ) -> Iterator[str]:
        said = [*notes, *(["required"] if required else []), *_limits(schema)]
        yield f"<tr><td><code>{escape(name)}</code></td><td>{self._type(schema)} "
        yield f'<span class="type">{escape("; ".join(said))}</span>'
        yield f"{to_html(schema.get('description', ''))}</td></tr>"

    def _type(self, schema: Mapping[str, Any]) -> str:
        """Its name, with a link to the schema that it refers to."""
        if target := schema.get("$ref"):
            name = escape(target.rpartition("/")[2])
            return f'<a href="#schema-{name}">{name}</a>'
        if schema.get("type") == "array":
            return f"list of {self._type(schema['items'])}"
        name = schema.get("format") or schema.get("type") or schema["description"]
        return f'<span class="type">{escape(name)}</span>'

    def _resolved(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        found: Any = self._document
        if "$ref" not in value:
            return value
        for step in value["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        resolved: Mapping[str, Any] = found
        return resolved


def _limits(schema: Mapping[str, Any]) -> Iterable[str]:
    inner = schema.get("items", {})
    own = [text.format(schema[key]) for key, text in _LIMITS.items() if key in schema]
    each = [text.format(inner[key]) for key, text in _LIMITS.items() if key in inner]
    return [*own, *(f"each {text}" for text in each)]


def _example(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return f"<details><summary>Example</summary><pre>{escape(text.rstrip())}</pre></details>"


def _curl(verb: str, path: str, operation: Mapping[str, Any]) -> str:
    query: list[tuple[str, str]] = []
    for parameter in operation["parameters"]:
        if "example" not in parameter:
            continue
        value = parameter["example"]
        text = value if isinstance(value, str) else json.dumps(value)
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", percent_encode(text, safe=""))
        else:
            query.append((parameter["name"], text))
    target = path + (f"?{urlencode(query)}" if query else "")
    lines = [f'curl -X {verb} "$URL"{quote(target)}', '  -H "Authorization: Bearer $KEY"']
    if body := operation.get("requestBody"):
        example = json.dumps(body["content"][JSON]["example"], ensure_ascii=False)
        lines += ["  -H 'Content-Type: application/json'", f"  -d {quote(example)}"]
    return " \\\n".join(lines)
