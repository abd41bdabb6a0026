"""What several entities share."""

from __future__ import annotations

from palimpsest.v1 import common_pb2 as pb


def completion(complete: bool) -> pb.Completion.ValueType:
    return pb.COMPLETION_COMPLETE if complete else pb.COMPLETION_PARTIAL
