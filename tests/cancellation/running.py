"""The whole service for one trial, watched until it has stopped."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc

from service import app
from service.runtime.logs import is_client_gone
from service.settings import Settings
from tests.backends.selection import backend_of
from tests.cancellation.trial import ROUND, Findings, Trial
from tests.waiting import HANG_SECONDS


async def trial(
    directory: Path, calls: int, seed: int, *, size: int = ROUND, kind: type[Trial] = Trial
) -> Findings:
    """So many cancelled calls on a service of their own; what the event loop met counts."""
    unhandled: list[str] = []

    def note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not is_client_gone(context.get("exception")):
            unhandled.append(f"{context.get('message')}: {context.get('exception')!r}")

    asyncio.get_running_loop().set_exception_handler(note)
    backend = backend_of(directory / "data")
    settings = Settings(
        **backend.settings,
        listen=f"unix:{directory / 'socket'}",
        checkpoint_interval=0.2,
        scrub_interval=1,
        log_level="error",
    )
    stack = AsyncExitStack()
    service = await stack.enter_async_context(app.running(settings))
    try:
        options = [("grpc.max_receive_message_length", -1)]
        async with grpc.aio.insecure_channel(service.address, options=options) as channel:
            findings = await kind(service, backend, channel, seed, size).run(calls)
    finally:
        async with asyncio.timeout(HANG_SECONDS):
            await stack.aclose()
    findings.faults.extend(unhandled)
    return findings
