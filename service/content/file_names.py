"""Which kind of content a file has, by its name."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

from service.core.model import ContentKind

_SUFFIXES: Final = {
    ContentKind.PDF: ".pdf",
    ContentKind.DOCX: ".docx",
    ContentKind.MARKDOWN: ".markdown .md .mdown .mdx .mkd",
    ContentKind.HTML: ".htm .html .xhtml",
    ContentKind.TEXT: (
        # Documents.
        ".adoc .asc .asciidoc .bib .creole .mediawiki .org .pod .rest .rst .rtxt .tex .texi "
        ".text .textile .txt .wiki "
        # Subtitles, messages and notes of changes.
        ".diff .eml .ics .patch .srt .vcf .vtt "
        # Data and settings.
        ".cfg .conf .csv .env .geojson .graphql .hcl .ini .json .json5 .jsonc .jsonl .log .ndjson "
        ".plist .properties .proto .sql .tf .toml .tsv .xml .xsd .xsl .yaml .yml "
        # Source code.
        ".asm .awk .bash .bat .bzl .c .cc .clj .cmake .cmd .coffee .cpp .cs .css .cxx .d .dart .el "
        ".elm .erl .ex .exs .f .f90 .fish .fs .go .gradle .groovy .h .hh .hpp .hrl .hs .hxx .java "
        ".jl .js .jsx .kt .kts .less .lisp .lua .m .mjs .mk .ml .mli .mm .nim .nix .pas .php .pl "
        ".pm .ps1 .py .pyi .r .rb .rs .s .sass .scala .scm .scss .sh .sv .svelte .swift .tcl .ts "
        ".tsx .v .vb .vhd .vhdl .vim .vue .zig .zsh"
    ),
}
KINDS: Final = {suffix: kind for kind, listed in _SUFFIXES.items() for suffix in listed.split()}
"""What can be imported or uploaded, by suffix in lower case."""


def kind_of(name: str) -> ContentKind | None:
    """The kind of a file; None if it is not known. One without a suffix (README) is text."""
    suffix = PurePath(name).suffix.lower()
    return KINDS.get(suffix) if suffix else ContentKind.TEXT
