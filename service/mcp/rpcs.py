"""What the tools need of the service: its RPCs, however they are reached."""

from __future__ import annotations

from typing import Any, Protocol

from google.protobuf.message import Message


class Rpcs(Protocol):
    """The RPCs of the contract, called by one principal."""

    async def call(self, method: str, request: Message) -> Any:
        """The response message of a unary method, such as "Memories.GetMemory".

        `request` is used up. Raises PalimpsestError for what the service refuses, and
        UnreachableError where it could not be asked.
        """
        ...


class UnreachableError(Exception):
    """The service could not be asked; the text says why and what to do."""
