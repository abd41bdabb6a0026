"""The whole service for one trial, watched until it has stopped."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import grpc

from service import app
from service.logs import is_client_gone
from service.settings import Settings
from tests.cancellation.trial import Findings, Trial

STOP_SECONDS = 5.0


async def trial(directory: Path, calls: int, seed: int) -> Findings:
    """So many cancelled calls on a service of their own; what the event loop met counts."""
    unhandled: list[str] = []

    def note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not is_client_gone(context.get("exception")):
            unhandled.append(f"{context.get('message')}: {context.get('exception')!r}")

    asyncio.get_running_loop().set_exception_handler(note)
    settings = Settings(
        data_dir=directory / "data",
        listen=f"unix:{directory / 'socket'}",
        checkpoint_interval=0.2,
        scrub_interval=1,
        log_level="error",
    )
    async with app.running(settings) as service:
        async with grpc.aio.insecure_channel(
            service.address, options=[("grpc.max_receive_message_length", -1)]
        ) as channel:
            findings = await Trial(service, channel, seed).run(calls)
        stopping = time.monotonic()
    if time.monotonic() - stopping > STOP_SECONDS:
        findings.faults.append("stopping took long: something was still held")
    findings.faults.extend(unhandled)
    return findings
