"""How long tests wait."""

from __future__ import annotations

from typing import Final

HANG_SECONDS: Final = 120.0
"""What has not come by then never will.

Far more than anything takes on a slow machine whose processors are all busy: a test that
waits this long has failed, and none passes or fails by how long something took.
"""
