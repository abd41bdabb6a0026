"""Finding the endpoint of a path, as it was sent: "a%2Fb" is one segment."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

from service.core.errors import Violation, invalid
from service.http.endpoints import Endpoint
from service.http.errors import path_not_found, verb_not_allowed

_PARAMETER: Final = re.compile(r"\{(\w+)(=\*\*)?\}")

_Pattern: TypeAlias = tuple[re.Pattern[bytes], tuple[str, ...], dict[str, Endpoint]]


class Routes:
    """All endpoints. Literal paths come first, then patterns that are literal for longer.

    A parameter is one segment, or with `{name=**}` the rest of the path.
    """

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        literal: defaultdict[bytes, dict[str, Endpoint]] = defaultdict(dict)
        patterns: defaultdict[str, dict[str, Endpoint]] = defaultdict(dict)
        for endpoint in endpoints:
            where = (
                patterns[endpoint.path] if "{" in endpoint.path else literal[endpoint.path.encode()]
            )
            if endpoint.verb in where:
                raise ValueError(f"{endpoint.verb} {endpoint.path} is served twice")
            where[endpoint.verb] = endpoint
        self._literal = dict(literal)
        compiled: defaultdict[bytes, list[_Pattern]] = defaultdict(list)
        # The longer the literal part, the earlier: "/a/{id}:watch" before "/a/{id}".
        for path in sorted(patterns, key=lambda path: -len(_PARAMETER.sub("", path))):
            head = path[: path.index("{")]
            if not head.endswith("/"):
                raise ValueError(f"{path}: a parameter begins after a slash")
            compiled[head.encode()].append((*_compiled(path), patterns[path]))
        self._patterns: Mapping[bytes, list[_Pattern]] = dict(compiled)

    def find(self, verb: str, raw_path: bytes) -> tuple[Endpoint, Mapping[str, str]]:
        """The endpoint, and the parameters in the path.

        Raises:
            HttpError: There is no such path (404), or not with this verb (405).
        """
        allowed: set[str] = set()
        verbs = self._literal.get(raw_path)
        if verbs is not None:
            if verb in verbs:
                return verbs[verb], {}
            allowed.update(verbs)
        end = len(raw_path)
        while (end := raw_path.rfind(b"/", 0, end)) >= 0:
            for pattern, names, verbs in self._patterns.get(raw_path[: end + 1], ()):
                match = pattern.fullmatch(raw_path)
                if match is None:
                    continue
                if verb in verbs:
                    values = (_decoded(n, v) for n, v in zip(names, match.groups(), strict=True))
                    return verbs[verb], dict(zip(names, values, strict=True))
                allowed.update(verbs)
        if allowed:
            raise verb_not_allowed(", ".join(sorted(allowed)))
        raise path_not_found()


def _compiled(path: str) -> tuple[re.Pattern[bytes], tuple[str, ...]]:
    pattern, end, names = "", 0, []
    for match in _PARAMETER.finditer(path):
        pattern += re.escape(path[end : match.start()]) + ("(.+)" if match[2] else "([^/]+)")
        names.append(match[1])
        end = match.end()
    return re.compile((pattern + re.escape(path[end:])).encode(), re.DOTALL), tuple(names)


def _decoded(name: str, value: bytes) -> str:
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        raise invalid([Violation(name, "must be UTF-8, percent-encoded")]) from None
