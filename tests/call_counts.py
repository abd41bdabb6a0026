"""How many calls a server has had, as its metrics say."""

from __future__ import annotations

import urllib.request
from collections import Counter

from prometheus_client.parser import text_string_to_metric_families

from tests.harness import Server

_CALLS = "palimpsest_call_duration_seconds_count"


def calls(server: Server, code: str = "OK") -> Counter[str]:
    """How many calls ended with this code, by method."""
    with urllib.request.urlopen(f"http://{server.http}/metrics") as answer:
        text = answer.read().decode()
    return Counter(
        {
            sample.labels["method"]: int(sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == _CALLS and sample.labels["code"] == code
        }
    )
