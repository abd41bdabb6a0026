"""The contract as reflection tells it.

protoc leaves JSON names out of Python code, and without them clients such as
grpcurl print `deleted_count` where the JSON form is `deletedCount`.
"""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool


def with_json_names(files: Iterable[FileDescriptor]) -> DescriptorPool:
    """A pool of these files, and those they import, with every JSON name."""
    pool = DescriptorPool()
    added: set[str] = set()

    def add(file: FileDescriptor) -> None:
        if file.name in added:
            return
        added.add(file.name)
        for needed in file.dependencies:
            add(needed)
        proto = FileDescriptorProto.FromString(file.serialized_pb)
        for message in proto.message_type:
            _name(message, file.message_types_by_name[message.name])
        pool.AddSerializedFile(proto.SerializeToString())

    for file in files:
        add(file)
    return pool


def _name(message: DescriptorProto, described: Descriptor) -> None:
    for field in message.field:
        field.json_name = described.fields_by_name[field.name].json_name
    for nested in message.nested_type:
        _name(nested, described.nested_types_by_name[nested.name])
