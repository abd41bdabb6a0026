"""Says at the end of a run what the model was tried on."""

from __future__ import annotations

import pytest

from tests.property.summary import LINES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in LINES:
        terminalreporter.write_line(line)
