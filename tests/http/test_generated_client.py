"""A client that a generator makes of the OpenAPI document compiles, and works."""

from __future__ import annotations

import compileall
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from service.http import openapi
from tests.harness import Server

pytestmark = pytest.mark.processes

NAME = "generated_palimpsest_client"


class Generated:
    """The modules of a generated client."""

    def __call__(self, name: str) -> ModuleType:
        return importlib.import_module(f"{NAME}.{name}")

    def call(self, tag: str, name: str) -> Any:
        """The function of a call that answers its message, or an Error."""
        return self(f"api.{tag}.{name}").sync

    def model(self, name: str) -> Any:
        return getattr(self("models"), name)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generated]:
    folder = tmp_path_factory.mktemp("client")
    (folder / "openapi.json").write_bytes(openapi.text())
    # Without its hooks, which only format what was made.
    (folder / "config.yaml").write_text("post_hooks: []\n")
    done = subprocess.run(
        [
            Path(sys.executable).with_name("openapi-python-client"),
            "generate",
            "--path=openapi.json",
            "--config=config.yaml",
            "--meta=none",
            f"--output-path={NAME}",
            "--fail-on-warning",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stdout + done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield Generated()
    for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
        del sys.modules[name]


def test_it_compiles_and_has_every_call(generated: Generated) -> None:
    root = Path(str(generated("client").__file__)).parent
    assert compileall.compile_dir(root, quiet=2, force=True)
    calls = {path.stem for path in root.glob("api/*/*.py")} - {"__init__"}
    ids = {
        operation["operationId"]
        for item in openapi.document()["paths"].values()
        for operation in item.values()
    }
    assert {name.replace("_", "") for name in calls} == {name.lower() for name in ids}


@pytest.fixture
def client(generated: Generated, shared_server: Server, shared_key: str) -> Iterator[Any]:
    base_url = f"http://{shared_server.http}"
    with generated("client").AuthenticatedClient(base_url, shared_key) as opened:
        yield opened


def test_a_round_trip(generated: Generated, client: Any) -> None:
    model = generated.model
    metadata = model("Metadata").from_dict({"stage": "draft", "tags": ["a", "b"], "n": 2})
    request = model("UpsertDocumentRequest")(
        content="The kettle whistles.",
        custom_id="kitchen/kettle 1%",
        container_tags=["home"],
        metadata=metadata,
        content_kind=model("ContentKind").CONTENT_KIND_MARKDOWN,
        wait=True,
    )
    upserted = generated.call("documents", "upsert_document")
    receipt = upserted(client=client, body=request, idempotency_key="first").receipt
    assert receipt.created
    # Sent again, it is answered again.
    again = upserted(client=client, body=request, idempotency_key="first").receipt
    assert (again.id, again.created, again.revision) == (receipt.id, True, receipt.revision)

    read = generated.call("documents", "get_document")
    document = read("kitchen/kettle 1%", client=client).document
    assert (document.id, document.content) == (receipt.id, "The kettle whistles.")
    assert document.metadata.to_dict() == {"stage": "draft", "tags": ["a", "b"], "n": 2}
    assert document.status == model("DocumentStatus").DOCUMENT_STATUS_DONE
    assert document.create_time.tzinfo is not None

    condition = model("Condition")(key="stage", equals_string="draft")
    listed = generated.call("documents", "list_documents")(
        client=client,
        body=model("ListDocumentsRequest")(filter_=model("Filter")(condition=condition)),
    )
    assert [one.id for one in listed.documents] == [receipt.id]

    found = generated.call("documents", "search_documents")(
        client=client,
        body=model("SearchDocumentsRequest")(query="kettle", container_tags=["home"]),
    )
    assert [hit.document.id for hit in found.hits] == [receipt.id]

    deleted = generated.call("documents", "delete_document")
    refused = deleted("kitchen/kettle 1%", client=client, if_match='"other"')
    assert (refused.error.code, refused.error.status) == (412, "ABORTED")
    assert refused.error.details[0].reason == "ETAG_MISMATCH"
    assert deleted(receipt.id, client=client, if_match=f'"{receipt.etag}"').id == receipt.id
    missing = read(receipt.id, client=client)
    assert (missing.error.code, missing.error.status) == (404, "NOT_FOUND")


def test_what_is_wrong_with_a_request(generated: Generated, client: Any) -> None:
    wrong = generated.call("memories", "search_memories")(
        client=client, body=generated.model("SearchMemoriesRequest")(query="", min_score=7.0)
    )
    (bad,) = [one for one in wrong.error.details if one.type_.endswith("BadRequest")]
    assert {one.field for one in bad.field_violations} == {"query", "minScore"}
