"""The services of the contract, and the files that describe them."""

from __future__ import annotations

from typing import Final

from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor

from palimpsest.v1 import changes_pb2, containers_pb2, documents_pb2, memories_pb2

SERVICES: Final[tuple[ServiceDescriptor, ...]] = (
    documents_pb2.DESCRIPTOR.services_by_name["Documents"],
    memories_pb2.DESCRIPTOR.services_by_name["Memories"],
    containers_pb2.DESCRIPTOR.services_by_name["Containers"],
    changes_pb2.DESCRIPTOR.services_by_name["Changes"],
)

SERVICE_NAMES: Final = tuple(service.full_name for service in SERVICES)


def files() -> list[FileDescriptor]:
    """The files of the services, and those of the same package that they import."""
    found: dict[str, FileDescriptor] = {}
    waiting = [service.file for service in SERVICES]
    while waiting:
        file = waiting.pop()
        if file.name not in found:
            found[file.name] = file
            waiting += [other for other in file.dependencies if other.package == file.package]
    return list(found.values())
