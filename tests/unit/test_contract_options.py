"""Where generated code goes in other languages is said in each file of the contract."""

from __future__ import annotations

from google.protobuf.descriptor_pb2 import FileOptions

from service.rpc import contract


def test_every_file_says_its_packages() -> None:
    wanted = FileOptions(
        csharp_namespace="Palimpsest.V1",
        go_package="github.com/palimpsest-memory/palimpsest/gen/go/palimpsest/v1;palimpsestv1",
        java_multiple_files=True,
        java_package="com.palimpsest.v1",
    )
    for file in contract.files():
        assert file.GetOptions() == wanted, file.name
