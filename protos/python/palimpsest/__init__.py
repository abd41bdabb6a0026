"""A client of Palimpsest, a self-hosted memory service.

    with palimpsest.connect("127.0.0.1:50051", key) as client:
        client.memories.create("user_7", "Ada drinks her tea black.")
        for hit in client.memories.search("tea", container_tags=["user_7"]).hits:
            print(hit.score, hit.memory.content)

The messages and stubs of the contract are in `palimpsest.v1`. Importing them imports no more of
this package than this module.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import extend_path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from palimpsest.client import AsyncClient, Client, connect, connect_async
    from palimpsest.errors import (
        AuthenticationError,
        ConflictError,
        DeadlineError,
        InvalidRequestError,
        NotFoundError,
        OutOfRangeError,
        PalimpsestError,
        PermissionDeniedError,
        PreconditionError,
        ResourceExhaustedError,
        UnavailableError,
        Violation,
    )
    from palimpsest.messages import to_dict

__all__ = [
    "AsyncClient",
    "AuthenticationError",
    "Client",
    "ConflictError",
    "DeadlineError",
    "InvalidRequestError",
    "NotFoundError",
    "OutOfRangeError",
    "PalimpsestError",
    "PermissionDeniedError",
    "PreconditionError",
    "ResourceExhaustedError",
    "UnavailableError",
    "Violation",
    "connect",
    "connect_async",
    "to_dict",
]

# In the repository, the generated modules of this package are in another folder of the path.
__path__ = extend_path(__path__, __name__)

_MODULES = {
    "AsyncClient": "client",
    "Client": "client",
    "connect": "client",
    "connect_async": "client",
    "to_dict": "messages",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
