"""Calls as spans of distributed traces, sent by OpenTelemetry, which is an extra (`otel`)."""
