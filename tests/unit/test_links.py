"""Links in the repository's pages point to files that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = (".github", "protos", "service", "tests")
PAGES = sorted(
    [
        *REPOSITORY.glob("*.md"),
        *(
            page
            for one in FOLDERS
            for page in (REPOSITORY / one).rglob("*.md")
            if "node_modules" not in page.parts  # installed by a test
        ),
    ]
)

_CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(\s*<?([^)>\s]+)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)


def broken_links(page: Path) -> Iterator[str]:
    for match in _LINK.finditer(_CODE_BLOCK.sub("", page.read_text())):
        target = urlsplit(match[1] or match[2])
        if target.scheme or target.netloc or not target.path:
            continue
        path = REPOSITORY if target.path.startswith("/") else page.parent
        if not (path / unquote(target.path).lstrip("/")).exists():
            yield match[1] or match[2]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_relative_links_point_to_existing_files(page: Path) -> None:
    assert list(broken_links(page)) == []


def test_a_link_to_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("[a](page.md) [b](gone.md#part) [c](https://gone.md)\n\n[d]: lost.md\n")
    assert list(broken_links(page)) == ["gone.md#part", "lost.md"]


def test_files_that_the_page_of_the_code_names_exist() -> None:
    page = REPOSITORY / "service" / "README.md"
    named = re.findall(r"`([\w.]+/[\w./]+\.py)`", page.read_text())
    places = (page.parent, REPOSITORY)
    assert named
    assert [one for one in named if not any((place / one).exists() for place in places)] == []
