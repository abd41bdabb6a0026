"""Which kind of content a file is taken to have."""

from __future__ import annotations

import pytest

from service.content.file_names import KINDS, kind_of
from service.core.model import ContentKind


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ("a.md A.MARKDOWN", ContentKind.MARKDOWN),
        ("a.html A.HTM a.b.xhtml", ContentKind.HTML),
        ("a.pdf A.PDF", ContentKind.PDF),
        ("a.docx", ContentKind.DOCX),
        (
            (
                "a.txt a.rst a.adoc a.json a.csv a.log a.tex a.yaml a.yml a.toml a.ini a.xml a.py "
                "a.js a.ts a.go a.rs a.c a.h a.cpp a.java a.kt a.rb a.php a.sh a.sql a.css a.proto "
                "A.R README LICENSE Makefile Dockerfile a.min.js"
            ),
            ContentKind.TEXT,
        ),
        ("a.png a.zip a.exe a.so a.mp3 a.xlsx a.doc a.tar.gz a.pyc", None),
    ],
)
def test_kinds_by_name(names: str, kind: ContentKind | None) -> None:
    assert {name: kind_of(name) for name in names.split()} == dict.fromkeys(names.split(), kind)


def test_suffixes_are_in_lower_case() -> None:
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in KINDS)
