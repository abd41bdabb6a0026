"""Which failed calls are made again, and when."""

from __future__ import annotations

import json
import random
from typing import Final

import grpc

from palimpsest.errors import PalimpsestError

SERVICE_CONFIG: Final = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{}],
                "waitForReady": True,
                "retryPolicy": {
                    "maxAttempts": 5,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "2s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)
"""gRPC's own retries (gRFC A6), within the deadline of the call.

They are safe for writes, too: each has a request_id. They end after five attempts, do not apply to
answers that had begun, and cannot tell the reasons of one code apart; `delay` is for those.
"""

_RETRIED: Final = frozenset(
    {"OVERLOADED", "QUOTA_EXCEEDED", "REQUEST_IN_PROGRESS", "SHUTTING_DOWN", "STORAGE_UNAVAILABLE"}
)
_FIRST_SECONDS: Final = 0.1
_MAX_SECONDS: Final = 5.0


def delay(error: PalimpsestError, attempt: int) -> float | None:
    """Seconds until the next attempt; None if the call must not be made again.

    They grow with the attempts, from what the service asks for on, and are spread at random so that
    many clients do not return at once.

    Args:
        error: Why the last attempt failed.
        attempt: How many failed before it.
    """
    if error.reason:
        if error.reason not in _RETRIED:
            return None
    elif error.code is not grpc.StatusCode.UNAVAILABLE:
        return None
    grown = min(_MAX_SECONDS, _FIRST_SECONDS * 2 ** min(attempt, 10))
    least: float = max(grown, error.retry_after or 0.0)
    return least * random.uniform(1, 1.25)  # noqa: S311 - not a secret
