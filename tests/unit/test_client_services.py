"""The services of the Python client, as they are made from a contract."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
from grpc_tools import protoc

PROTOS: Final = Path(__file__).resolve().parents[2] / "protos"
FILE: Final = "palimpsest/v1/counts.proto"
CONTRACT: Final = """
syntax = "proto3";
package palimpsest.v1;
// Of the options that are looked for.
import "buf/validate/validate.proto";
import "google/api/annotations.proto";
// Counts.
service Documents {
  // Counts documents.
  rpc CountDocuments(CountDocumentsRequest) returns (CountDocumentsResponse);
  // Lists documents.
  rpc ListDocuments(ListDocumentsRequest) returns (ListDocumentsResponse);
}
message CountDocumentsRequest {}
message CountDocumentsResponse {
  int64 count = 1;
  int64 latest_revision = 2;
}
message ListDocumentsRequest {
  string page_token = 1;
}
message ListDocumentsResponse {
  repeated Document documents = 1;
  int64 latest_revision = 2;
}
message Document {}
"""


def _run_protoc(arguments: Sequence[str]) -> None:
    assert protoc.main(["protoc", *arguments]) == 0


def test_what_has_a_revision_and_no_items_is_no_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(PROTOS)
    descriptors = importlib.import_module("descriptors")
    services = importlib.import_module("services")
    source = tmp_path / FILE
    source.parent.mkdir(parents=True)
    source.write_text(CONTRACT)
    well_known = Path(protoc.__file__).parent / "_proto"
    folders = [f"-I{folder}" for folder in (tmp_path, PROTOS, well_known)]

    services.write(descriptors.read(_run_protoc, folders, [FILE]), tmp_path / "made.py")

    made = (tmp_path / "made.py").read_text()
    assert made.count("def count(") == made.count("def list(") == 2
    assert made.count("def iterate(") == 2
