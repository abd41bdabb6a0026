"""Daily windows: reading them, and the instants that lie in them."""

from __future__ import annotations

import pytest

from service.core.times import parse_instant
from service.core.windows import DailyWindow


def _opened(window: str, instant: str) -> int | None:
    moment = parse_instant(instant)
    assert moment is not None
    return DailyWindow.parse(window).opened(moment)


@pytest.mark.parametrize(
    ("window", "instant", "opened"),
    [
        ("03:00-05:00", "2026-05-04T03:00:00Z", "2026-05-04T03:00:00Z"),
        ("03:00-05:00", "2026-05-04T04:59:59.999999Z", "2026-05-04T03:00:00Z"),
        ("23:30-01:00", "2026-05-04T23:59:00Z", "2026-05-04T23:30:00Z"),
        ("23:30-01:00", "2026-05-05T00:59:00Z", "2026-05-04T23:30:00Z"),
        ("06:00-06:00", "2026-05-05T05:00:00Z", "2026-05-04T06:00:00Z"),
        ("03:00-05:00", "1969-12-31T03:30:00Z", "1969-12-31T03:00:00Z"),
    ],
)
def test_an_instant_inside_tells_when_the_window_opened(
    window: str, instant: str, opened: str
) -> None:
    assert _opened(window, instant) == parse_instant(opened)


@pytest.mark.parametrize(
    ("window", "instant"),
    [
        ("03:00-05:00", "2026-05-04T02:59:59.999999Z"),
        ("03:00-05:00", "2026-05-04T05:00:00Z"),
        ("23:30-01:00", "2026-05-04T01:00:00Z"),
        ("23:30-01:00", "2026-05-04T23:29:59Z"),
    ],
)
def test_an_instant_outside_is_in_no_window(window: str, instant: str) -> None:
    assert _opened(window, instant) is None


@pytest.mark.parametrize(
    "text", ["", "3:00-5:00", "03:00", "24:00-25:00", "03:60-04:00", "03:00-05:00\n", "٠٣:00-05:00"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="HH:MM-HH:MM"):
        DailyWindow.parse(text)
