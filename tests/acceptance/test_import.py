"""`palimpsest import` against a real server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner, Result

from palimpsest.v1.documents_pb2 import (
    CONTENT_KIND_DOCX,
    CONTENT_KIND_HTML,
    CONTENT_KIND_MARKDOWN,
    CONTENT_KIND_PDF,
    CONTENT_KIND_TEXT,
    DOCUMENT_STATUS_DONE,
    Document,
    GetDocumentRequest,
    ListDocumentsRequest,
    UpdateDocumentRequest,
    UpsertDocumentRequest,
)
from palimpsest.v1.documents_pb2_grpc import DocumentsStub
from service.cli import main
from tests.files import docx, paragraph, pdf
from tests.harness import REPOSITORY, Server, environment, tenant_of
from tests.waiting import HANG_SECONDS

Import = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `docs`, with files of every kind in it; the working folder."""
    tmp_path = tmp_path / "docs"
    tmp_path.mkdir()
    files = {
        "readme.md": "Intro.\n\n# A *great* thing\n\nIt whistles.\n",
        "notes/plain.txt": "Nothing but text.",
        "notes/Page.HTML": "<title>Page &amp; more</title><h2>t</h2><p>Shown.</p>",
        "notes/.hidden.md": "# hidden",
        ".git/config.txt": "hidden",
        "photo.jpg": "no text",
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    (tmp_path / "binary.txt").write_bytes(b"a\0b")
    (tmp_path / "latin.txt").write_bytes("é".encode("latin-1"))
    (tmp_path / "large.md").write_text("a" * 1_048_577)
    (tmp_path / "empty.md").write_text(" \n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(shared_server: Server, key: str) -> Import:
    """Runs the command in this process, with a key of the test's own tenant."""

    def run(*paths: str, container: str = "docs", key: str = key, address: str = "") -> Result:
        options = ["--container", container, "--address", address or shared_server.address]
        options += ["--wait", f"{HANG_SECONDS:.0f}"]  # however busy the machine is
        arguments = ["import", *paths, *options]
        return CliRunner().invoke(main, arguments, env={"PALIMPSEST_KEY": key})

    return run


@pytest.fixture
def listed(channel: grpc.Channel, key: str) -> Callable[[], dict[str, Document]]:
    """The tenant's documents, by their paths in the folder."""

    def listed() -> dict[str, Document]:
        request = ListDocumentsRequest(include_content=True, page_size=1000)
        metadata = (("authorization", f"Bearer {key}"),)
        page = DocumentsStub(channel).ListDocuments(
            request, metadata=metadata, timeout=HANG_SECONDS
        )
        return {
            str(document.metadata["path"]).partition("/")[2]: document
            for document in page.documents
        }

    return listed


def test_files_become_documents(
    folder: Path, run: Import, listed: Callable[[], dict[str, Document]]
) -> None:
    done = run(".")
    assert done.exit_code == 0, done.output
    assert "3 new, 0 changed, 0 unchanged, 0 failed" in done.stdout
    _, _, left_out = done.stdout.partition("\n")
    assert left_out == (
        "Left out: 1 binary, 1 empty, 2 hidden, 1 larger than 1 MiB, 1 not UTF-8, "
        "1 of a kind that is not read\n"
        "  docs/binary.txt: binary\n"
        "  docs/empty.md: empty\n"
        "  docs/large.md: larger than 1 MiB\n"
        "  docs/latin.txt: not UTF-8\n"
        "  docs/photo.jpg: of a kind that is not read\n"
    )

    found = listed()
    assert found.keys() == {"readme.md", "notes/plain.txt", "notes/Page.HTML"}
    readme = found["readme.md"]
    assert readme.custom_id == "file:docs|docs/readme.md"
    assert readme.content == (folder / "readme.md").read_text()
    assert readme.title == "A great thing"
    assert list(readme.container_tags) == ["docs"]
    assert readme.metadata["suffix"] == ".md"
    assert found["notes/Page.HTML"].title == "Page & more"
    assert found["notes/plain.txt"].title == "plain.txt"
    kinds = {path: document.content_kind for path, document in found.items()}
    assert kinds == {
        "readme.md": CONTENT_KIND_MARKDOWN,
        "notes/plain.txt": CONTENT_KIND_TEXT,
        "notes/Page.HTML": CONTENT_KIND_HTML,
    }


def test_what_was_imported_can_be_found_when_the_command_ends(
    folder: Path, run: Import, listed: Callable[[], dict[str, Document]]
) -> None:
    assert "3 new" in run(".").stdout
    assert {document.status for document in listed().values()} == {DOCUMENT_STATUS_DONE}


def test_a_second_run_uploads_only_what_changed(
    folder: Path, run: Import, listed: Callable[[], dict[str, Document]]
) -> None:
    run(".")
    before = listed()
    (folder / "readme.md").write_text("# Another title\n")
    (folder / "new.txt").write_text("New.")
    done = run(".")
    assert done.exit_code == 0, done.output
    assert "1 new, 1 changed, 2 unchanged, 0 failed" in done.stdout
    after = listed()
    changed = {path for path in before if before[path].revision != after[path].revision}
    assert changed == {"readme.md"}
    assert after["readme.md"].id == before["readme.md"].id
    assert after["readme.md"].title == "Another title"
    assert "0 new, 0 changed, 4 unchanged, 0 failed" in run(".").stdout


def test_the_way_to_a_file_does_not_change_its_id(folder: Path, run: Import) -> None:
    run(".")
    assert "0 new, 0 changed, 2 unchanged" in run("notes").stdout
    assert "0 new, 0 changed, 1 unchanged" in run("notes/plain.txt", "notes/plain.txt").stdout
    assert "0 new, 0 changed, 1 unchanged" in run(str(folder / "readme.md")).stdout


def test_the_same_files_go_to_a_second_container(
    folder: Path, run: Import, listed: Callable[[], dict[str, Document]]
) -> None:
    run("notes", container="one")
    assert "2 new" in run("notes", container="two").stdout
    assert "0 new, 0 changed, 2 unchanged" in run("notes", container="one").stdout


def test_long_and_strange_names_have_ids_of_their_own(
    folder: Path, run: Import, listed: Callable[[], dict[str, Document]]
) -> None:
    names = ["x" * 120 + end for end in ("1.txt", "2.txt")]
    names += ["a\tb.txt", "ü 漢.md"]
    for name in names:
        (folder / name).write_text(f"This is {name!r}.")
    (folder / os.fsdecode(b"\xff.txt")).write_text("Undecodable.")
    done = run(".", container="c" * 90)
    assert done.exit_code == 0, done.output
    assert "8 new" in done.stdout
    found = listed().values()
    assert len({document.custom_id for document in found}) == 8
    assert all(len(document.custom_id) <= 100 for document in found)
    assert "8 unchanged" in run(".", container="c" * 90).stdout


def test_more_files_than_one_batch_takes(folder: Path, run: Import) -> None:
    many = folder / "many"
    many.mkdir()
    for number in range(450):
        (many / f"{number}.txt").write_text(f"Note {number}.")
    for number in range(20):
        # Large to send, and short to process: blanks are one.
        (many / f"big{number}.txt").write_text(f"{number} " + " " * 1_000_000 + "words")
    assert "470 new, 0 changed, 0 unchanged" in run("many").stdout
    assert "0 new, 0 changed, 470 unchanged" in run("many").stdout


def test_what_fails_is_named_and_the_rest_goes_on(folder: Path, run: Import) -> None:
    (folder / "lost.html").symlink_to(folder / "nowhere.html")
    (folder / "locked.txt").symlink_to(folder / "nowhere.txt")
    done = run(".")
    assert done.exit_code == 1
    assert "3 new, 0 changed, 0 unchanged, 2 failed" in done.stdout
    assert "lost.html: No such file" in done.stderr
    assert "locked.txt: No such file" in done.stderr
    assert "run the command again" in done.stderr


def test_what_is_left_out_is_named(folder: Path, run: Import) -> None:
    (folder / "loop").symlink_to(folder)
    for number in range(30):
        (folder / f"photo{number:02}.jpg").write_text("")
    done = run(".")
    assert "loop: a link to a folder" in done.stdout
    assert "photo00.jpg: of a kind" in done.stdout
    assert "photo29.jpg" not in done.stdout
    assert done.stdout.endswith("  … and 16 more; -v names all\n")
    done = run(".", "-v")
    assert all(f"photo{number:02}.jpg: of a kind" in done.stdout for number in range(30))
    assert ".hidden.md: hidden" in done.stdout
    assert "more" not in done.stdout


def test_what_is_no_file_is_left_out_without_a_wait(folder: Path, run: Import) -> None:
    os.mkfifo(folder / "pipe.txt")
    (folder / "null.txt").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.txt")  # in the working folder: an address is short
        done = run(".")
    assert done.exit_code == 0, done.output
    for reason in ("pipe.txt: a pipe", "null.txt: a device", "socket.txt: a socket"):
        assert reason in done.stdout
    done = run("pipe.txt")
    assert done.exit_code == 1
    assert "pipe.txt: a pipe" in done.stderr


@pytest.mark.parametrize("name", ["binary.txt", "large.md", "latin.txt", "empty.md"])
def test_a_file_that_was_named_and_is_left_out_is_a_failure(
    folder: Path, run: Import, name: str
) -> None:
    done = run(name, "readme.md")
    assert done.exit_code == 1
    assert "1 new, 0 changed, 0 unchanged, 1 failed" in done.stdout
    assert f"{name}: " in done.stderr


def test_encodings_that_files_tell_are_read(
    folder: Path, run: Import, listed: Callable[[], dict[str, Document]]
) -> None:
    page = '<html><head><meta charset="iso-8859-1"></head><h1>Café “Zürich”</h1>'
    (folder / "latin.html").write_bytes(page.encode("cp1252"))
    (folder / "utf16.txt").write_bytes("Löwe im Käfig".encode("utf-16"))
    (folder / "mark.md").write_bytes("# Löwe".encode("utf-8-sig"))
    wide = "Löwe\n" * 200_000
    (folder / "wide.txt").write_bytes(wide.encode("utf-16"))
    done = run("latin.html", "utf16.txt", "mark.md")
    assert done.exit_code == 0, done.output
    found = listed()
    assert found["latin.html"].content == page
    assert found["latin.html"].title == "Café “Zürich”"
    assert found["utf16.txt"].content == "Löwe im Käfig"
    assert found["mark.md"].content == "# Löwe"
    assert "wide.txt: larger than 1 MiB" in run("wide.txt").stderr


def test_pages_without_any_text_are_named(folder: Path, run: Import) -> None:
    (folder / "blank.html").write_text("<html><body><img src=a.png></body></html>")
    done = run("blank.html", "readme.md")
    assert done.exit_code == 0, done.output
    assert done.stdout == (
        "2 new, 0 changed, 0 unchanged, 0 failed\n"
        "Without any text, so not to be found: 1\n"
        "  docs/blank.html\n"
    )


def test_pdf_and_word_files(
    folder: Path,
    run: Import,
    listed: Callable[[], dict[str, Document]],
    shared_server: Server,
    key: str,
) -> None:
    papers = folder / "papers"
    papers.mkdir()
    (papers / "ferry.pdf").write_bytes(pdf(["The ferry leaves at seven."]))
    (papers / "Harbour.DOCX").write_bytes(docx(paragraph("The harbour has a blue crane.")))
    done = run("papers")
    assert done.exit_code == 0, done.output
    assert "2 new, 0 changed, 0 unchanged, 0 failed" in done.stdout
    found = listed()
    assert found["ferry.pdf"].content_kind == CONTENT_KIND_PDF
    assert found["ferry.pdf"].title == "ferry.pdf"
    assert found["Harbour.DOCX"].content_kind == CONTENT_KIND_DOCX
    for words in ("ferry leaves at seven", "blue crane"):
        arguments = ["search", words, "--container", "docs", "--address", shared_server.address]
        shown = CliRunner().invoke(main, arguments, env={"PALIMPSEST_KEY": key})
        assert words in shown.stdout, shown.output
    assert "0 new, 0 changed, 2 unchanged" in run("papers").stdout
    (papers / "ferry.pdf").write_bytes(pdf(["The ferry leaves at eight."]))
    assert "0 new, 1 changed, 1 unchanged" in run("papers").stdout


def test_files_that_cannot_be_processed_fail_alone(folder: Path, run: Import) -> None:
    papers = folder / "papers"
    papers.mkdir()
    (papers / "broken.pdf").write_bytes(b"no PDF at all")
    (papers / "good.pdf").write_bytes(pdf(["The ferry leaves at seven."]))
    (papers / "blank.pdf").write_bytes(pdf([]))
    (papers / "empty.docx").write_bytes(b"")
    (papers / "large.pdf").write_bytes(bytes(3_145_729))
    done = run("papers")
    assert done.exit_code == 1
    assert "2 new, 0 changed, 0 unchanged, 1 failed" in done.stdout
    assert "papers/broken.pdf: " in done.stderr
    assert "Without any text, so not to be found: 1\n  papers/blank.pdf" in done.stdout
    assert "papers/empty.docx: empty" in done.stdout
    assert "papers/large.pdf: larger than 3 MiB" in done.stdout


def test_text_of_other_kinds_is_imported(
    folder: Path, run: Import, listed: Callable[[], dict[str, Document]]
) -> None:
    names = ["a.rst", "b.csv", "c.py", "README", "d.log"]
    for name in names:
        (folder / "notes" / name).write_text(f"A text in {name}.")
    assert "7 new" in run("notes").stdout
    found = listed()
    assert {found[name].content_kind for name in names} == {CONTENT_KIND_TEXT}
    assert found["README"].title == "README"
    (folder / "data.mine").write_text("Of a kind of its own.")
    assert "1 new" in run("data.mine").stdout


def test_what_is_no_longer_there_is_said_and_pruned(
    folder: Path, run: Import, listed: Callable[[], dict[str, Document]]
) -> None:
    run(".")
    run("readme.md", container="other")
    (folder / "readme.md").rename(folder / "renamed.md")
    (folder / "notes" / "plain.txt").unlink()
    done = run(".")
    assert done.exit_code == 0, done.output
    assert "1 new, 0 changed, 1 unchanged, 0 failed" in done.stdout
    assert done.stdout.endswith(
        "No longer there, but still found: 2; --prune takes them away\n"
        "  docs/notes/plain.txt\n"
        "  docs/readme.md\n"
    )
    assert listed().keys() == {"notes/plain.txt", "notes/Page.HTML", "readme.md", "renamed.md"}
    done = run(".", "--prune")
    assert done.exit_code == 0, done.output
    assert "0 new, 0 changed, 2 unchanged, 0 failed" in done.stdout
    assert "Taken away: 2 whose files are no longer there\n  docs/notes/plain.txt\n" in done.stdout
    # The one of the other container is still there.
    assert listed().keys() == {"notes/Page.HTML", "readme.md", "renamed.md"}
    assert "Taken away" not in run(".", "--prune").stdout


def test_only_documents_of_the_folder_are_pruned(
    folder: Path,
    run: Import,
    listed: Callable[[], dict[str, Document]],
    channel: grpc.Channel,
    key: str,
) -> None:
    stub, metadata = DocumentsStub(channel), (("authorization", f"Bearer {key}"),)
    run(".", container="c")
    shared = listed()["notes/plain.txt"]
    (folder / "notes" / "plain.txt").unlink()
    change = UpdateDocumentRequest(id=shared.id, container_tags=["c", "d"])
    stub.UpdateDocument(change, metadata=metadata, timeout=HANG_SECONDS)
    copy = UpsertDocumentRequest(
        content="by hand", custom_id="mine", container_tags=["c"], metadata=shared.metadata
    )
    stub.UpsertDocument(copy, metadata=metadata, timeout=HANG_SECONDS)
    other = folder.parent / "other"
    other.mkdir()
    (other / "a.txt").write_text("Of another folder.")
    (other / "b.txt").write_text("Of another folder, too.")
    run("../other", container="c")
    (other / "a.txt").unlink()
    before = listed()
    done = run(".", "--prune", container="c")
    assert done.exit_code == 0, done.output
    assert (
        "No longer there, but still found: 1; not taken away: in other containers, too"
        in done.stdout
    )
    assert "Taken away" not in done.stdout
    assert listed().keys() == before.keys()


def test_nothing_is_pruned_when_something_fails_or_the_folder_is_empty(
    folder: Path, run: Import, listed: Callable[[], dict[str, Document]]
) -> None:
    notes = folder / "notes"
    run("notes")
    (notes / "plain.txt").unlink()
    (notes / "locked.txt").symlink_to("nowhere")
    done = run("notes", "--prune")
    assert done.exit_code == 1
    assert "still found: 1; not taken away: something failed" in done.stdout
    for path in notes.iterdir():
        path.unlink()
    done = run("notes", "--prune")
    assert done.exit_code == 0, done.output
    assert "not taken away: there is no file at all in notes" in done.stdout
    assert listed().keys() == {"plain.txt", "Page.HTML"}


def test_a_read_only_key_prunes_nothing(folder: Path, run: Import, shared_server: Server) -> None:
    run("notes", key=shared_server.create_key("--tenant", "pruners"))
    (folder / "notes" / "plain.txt").unlink()
    reader = shared_server.create_key("--tenant", "pruners", "--read-only")
    done = run("notes", key=reader)
    assert done.exit_code == 0, done.output
    assert "still found: 1" in done.stdout
    done = run("notes", "--prune", key=reader)
    assert done.exit_code == 1
    assert "take a key that may" in done.stderr


def test_a_folder_that_was_moved(
    folder: Path, run: Import, listed: Callable[[], dict[str, Document]]
) -> None:
    run("notes")
    before = listed()
    (folder / "notes").rename(folder / "diary")
    done = run("diary")
    assert done.exit_code == 1
    assert "add `--as notes`" in done.stderr
    assert done.stderr.rstrip().endswith("Nothing was uploaded.")
    assert "0 new, 2 changed, 0 unchanged" in run("diary", "--as", "notes").stdout
    after = listed()
    assert {document.id for document in after.values()} == {
        document.id for document in before.values()
    }
    (folder / "diary" / "plain.txt").unlink()
    assert "Taken away: 1 " in run("diary", "--as", "notes", "--prune").stdout
    assert listed().keys() == {"Page.HTML"}


def test_what_an_earlier_release_imported_is_not_doubled(
    folder: Path,
    run: Import,
    listed: Callable[[], dict[str, Document]],
    channel: grpc.Channel,
    key: str,
) -> None:
    stub, metadata = DocumentsStub(channel), (("authorization", f"Bearer {key}"),)
    for name in ("readme.md", "notes/plain.txt", "gone.md"):
        text = (folder / name).read_text() if name != "gone.md" else "Gone."
        earlier = UpsertDocumentRequest(
            content=text, custom_id=f"file:docs|{name}", container_tags=["docs"]
        )
        earlier.metadata.update({"path": name, "import_digest": sha256(text.encode()).hexdigest()})
        stub.UpsertDocument(earlier, metadata=metadata, timeout=HANG_SECONDS)
    (folder / "readme.md").write_text("# Changed since\n")
    done = run(".")
    assert "1 new, 2 changed, 0 unchanged" in done.stdout
    assert "Imported by an earlier release and not recognised: 1" in done.stdout
    ids = {path: document.custom_id for path, document in listed().items()}
    assert ids["readme.md"] == "file:docs|readme.md"
    assert ids["notes/plain.txt"] == "file:docs|notes/plain.txt"
    assert ids["notes/Page.HTML"] == "file:docs|docs/notes/Page.HTML"
    assert "0 new, 0 changed, 3 unchanged" in run("../docs", "--prune").stdout
    assert len(listed()) == 4


@pytest.mark.parametrize(
    ("path", "options"),
    [
        (".", ("a/b",)),
        (".", ("",)),
        (".", ("a\x07",)),
        (".", ("x", "notes")),
        ("readme.md", ("x",)),
    ],
)
def test_wrong_names_for_folders(
    folder: Path, run: Import, path: str, options: tuple[str, ...]
) -> None:
    done = run(path, "--as", *options)
    assert done.exit_code == 2
    assert "--as" in done.stderr


def test_documents_of_others_are_reported_not_overwritten(
    folder: Path,
    run: Import,
    shared_server: Server,
    channel: grpc.Channel,
    key: str,
    request: pytest.FixtureRequest,
) -> None:
    """A document that is also where the key may not write is one failure among successes, and
    one of the same custom id in another container is nothing to the import."""
    stub, metadata = DocumentsStub(channel), (("authorization", f"Bearer {key}"),)
    for tags in (["docs", "elsewhere"], ["elsewhere"]):
        taken = UpsertDocumentRequest(
            content="kept", custom_id="file:docs|docs/readme.md", container_tags=tags
        )
        stub.UpsertDocument(taken, metadata=metadata, timeout=HANG_SECONDS)
    limited = shared_server.add_key(tenant_of(request.node.name), containers=["docs"])
    done = run(".", key=limited)
    assert done.exit_code == 1
    assert "2 new, 0 changed, 0 unchanged, 1 failed" in done.stdout
    assert "readme.md: " in done.stderr
    for home in ("docs", "elsewhere"):
        named = GetDocumentRequest(id="file:docs|docs/readme.md", container_tag=home)
        found = stub.GetDocument(named, metadata=metadata, timeout=HANG_SECONDS).document
        assert found.content == "kept"


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"key": "pal_wrong_key"}, "--key-file"),
        ({"address": "127.0.0.1:1"}, "palimpsest serve"),
        ({"container": "no spaces"}, "container_tags"),
    ],
)
def test_a_call_that_fails_says_what_to_do(
    folder: Path, run: Import, options: dict[str, str], advice: str
) -> None:
    done = run(".", **options)
    assert done.exit_code == 1
    assert advice in done.stderr
    assert "Traceback" not in done.stderr


def test_a_read_only_key_may_not_import(folder: Path, run: Import, shared_server: Server) -> None:
    done = run(".", key=shared_server.create_key("--read-only"))
    assert done.exit_code == 1
    assert "take a key that may" in done.stderr


def test_a_path_that_is_not_there_is_wrong_usage(run: Import) -> None:
    assert run("nowhere").exit_code == 2


def test_the_first_key_of_a_server_started_here_is_found(
    folder: Path, shared_server: Server
) -> None:
    """As the README shows it: a process of its own, in the folder with `data` in it."""
    (folder / "data").symlink_to(shared_server.data_dir)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "service", "import", "readme.md"),
            *("--container", "first-key", "--address", shared_server.address),
        ],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1 new, 0 changed, 0 unchanged, 0 failed\n"
    assert str(REPOSITORY) not in done.stderr
