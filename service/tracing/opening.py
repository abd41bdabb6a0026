"""Tracing as the setting `traces` names it; nothing is imported for it while it is off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from service.tracing.spans import SpanTraces

PATH: Final = "/v1/traces"
"""Where a receiver of OTLP takes traces, below its endpoint."""


class TracingError(Exception):
    """Calls cannot be traced; the text says why."""


def open_traces(setting: str) -> SpanTraces | None:
    """What takes the calls that have ended; None: tracing is off.

    Args:
        setting: `off`, the endpoint of a receiver of OTLP over HTTP, or `otlp`: the one that
            the environment of OpenTelemetry names.

    Raises:
        TracingError: The extra is not installed, or its environment has malformed values.
    """
    if setting == "off":
        return None
    try:
        from service.tracing.spans import SpanTraces
    except ImportError as error:
        raise TracingError(
            f"traces need the package {error.name}, which is not installed: "
            "install palimpsest-memory[otel]"
        ) from error
    try:
        return SpanTraces(None if setting == "otlp" else _traces_url(setting))
    except ValueError as error:
        raise TracingError(f"the environment of OpenTelemetry cannot be used: {error}") from error


def _traces_url(endpoint: str) -> str:
    endpoint = endpoint.rstrip("/")
    return endpoint if endpoint.endswith(PATH) else endpoint + PATH
