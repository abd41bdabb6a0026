"""What is navigation: the words by which pages name it, and its titles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_ROLES: Final = frozenset(
    {"directory", "doc-pagelist", "doc-toc", "menu", "menubar", "navigation", "search"}
)
"""ARIA roles of navigation."""

_NAMES: Final = frozenset(
    (  # noqa: SIM905
        "breadcrumb breadcrumbs headerlink mw-editsection skip-link skip-nav "
        "skip-to-content skiplink"
    ).split()
)
"""Classes and ids that nothing but navigation has."""

_COMMON_NAMES: Final = frozenset(
    (  # noqa: SIM905
        "contents localtoc menu nav navbar navigation pager pagination sidebar sphinxsidebar "
        "table-of-contents tableofcontents toc"
    ).split()
)
"""Classes and ids that other parts of a page may have as well."""

_TITLES: Final = frozenset(
    {
        "contents",
        "table of contents",
        "toc",
        "on this page",
        "in this article",
        "in this section",
        "inhalt",
        "inhaltsverzeichnis",
        "auf dieser seite",
        "sommaire",
        "table des matières",
        "sur cette page",
        "contenido",
        "contenidos",
        "índice",
        "tabla de contenido",
        "tabla de contenidos",
        "conteúdo",
        "sumário",
        "indice",
        "sommario",
        "inhoud",
        "inhoudsopgave",
        "innehåll",
        "indhold",
        "innhold",
        "sisällys",
        "spis treści",
        "obsah",
        "tartalom",
        "tartalomjegyzék",
        "cuprins",
        "içindekiler",
        "содержание",
        "оглавление",
        "зміст",
        "περιεχόμενα",
        "المحتويات",
        "תוכן עניינים",
        "विषय सूची",
        "目录",
        "目錄",
        "目次",
        "목차",
        "차례",
        "mục lục",
        "daftar isi",
    }
)


def is_navigation(attributes: Mapping[str, str]) -> bool:
    """Whether an element says that it is navigation, by its role or name."""
    role = attributes.get("role", "").lower().split()
    return not _ROLES.isdisjoint(role) or _is_called(_NAMES, attributes)


def may_be_navigation(attributes: Mapping[str, str]) -> bool:
    """Whether an element is called what navigation often is."""
    return _is_called(_COMMON_NAMES, attributes)


def _is_called(names: frozenset[str], attributes: Mapping[str, str]) -> bool:
    return any(
        not names.isdisjoint(attributes.get(key, "").lower().split()) for key in ("class", "id")
    )


def is_contents_title(text: str) -> bool:
    """Whether a block of text is the title of a table of contents."""
    return len(text) < 40 and text.strip(" :\n").casefold() in _TITLES
