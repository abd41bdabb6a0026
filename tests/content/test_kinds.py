"""What each kind reads out of its content."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.content import registry
from service.content.base import Block, Extract, Extractor, UnreadableContentError
from service.content.chunking import chunk
from service.content.conversation import Conversation
from service.content.html import Html
from service.content.markdown import MAX_MARKS, Markdown
from service.content.text import Text
from service.core.conversations import Message, encode
from service.core.model import FILE_KINDS, ContentKind


def blocks(kind: Extractor, content: str) -> list[str]:
    extract = kind.extract(content)
    return [extract.text[block.start : block.end] for block in extract.blocks]


def headings(kind: Extractor, content: str) -> list[tuple[int, str]]:
    extract = kind.extract(content)
    return [(b.level, extract.text[b.start : b.end]) for b in extract.blocks if b.level]


NAMES = ["nav", "p", "div", "ul", "li", "h2", "td", "tr", "table", "svg", "title", "b", "a"]
MARKUP = [
    *(f"<{name}>" for name in NAMES),
    *(f"</{name}>" for name in NAMES),
    "<a href=#a>",
    "<div class=menu>",
    "<footer>",
    "</footer>",
    "Contents",
    "word",
    "¶",
    " ",
]
"""Pieces of pages."""


@pytest.mark.parametrize("kind", [Text(), Markdown(), Html()])
@given(
    content=st.text("ab<>/&;#*_`[]()!|-=~ \n\t\0😀'\"", max_size=200)
    | st.text(max_size=100)
    | st.lists(st.sampled_from(MARKUP), max_size=40).map("".join)
)
def test_every_text_is_read_into_blocks_in_order(kind: Extractor, content: str) -> None:
    extract = kind.extract(content)
    end = 0
    for block in extract.blocks:
        assert end <= block.start < block.end <= len(extract.text)
        assert extract.text[end : block.start].strip() == ""
        body = extract.text[block.start : block.end]
        assert body == body.strip()
        end = block.end
    assert extract.text[end:].strip() == ""
    assert kind.extract(content) == extract


# --- text ----------------------------------------------------------------


def test_text_is_kept_as_it_is() -> None:
    content = "  One\nline.\r\n \r\nTwo.\n\n\n"
    assert Text().extract(content).text == content
    assert blocks(Text(), content) == ["One\nline.", "Two."]


# --- Markdown ------------------------------------------------------------


def test_markdown_reads_as_rendered() -> None:
    content = (
        "# A *fine* `title`\n\nSome **bold** [link](http://example.com/x) and\na break.\n"
        "![a lake](lake.png) &amp; \\*stars\\*\n\n- one\n- two\n\n  more of two\n\n> quoted\n"
    )
    assert blocks(Markdown(), content) == [
        "A fine title",
        "Some bold link and a break. a lake & *stars*",
        "- one",
        "- two",
        "more of two",
        "quoted",
    ]
    assert headings(Markdown(), content) == [(1, "A fine title")]


def test_markdown_keeps_code_and_tables_together() -> None:
    content = "```python\ndef f():\n\n    return 1\n```\n\n| a | b |\n|---|---|\n| 1 | *2* |\n"
    extract = Markdown().extract(content)
    assert blocks(Markdown(), content) == ["def f():\n\n    return 1", "a | b\n1 | 2"]
    assert all(block.lines for block in extract.blocks)


def test_markdown_has_underlined_headings_and_references() -> None:
    content = "Title\n=====\n\nSub\n---\n\nSee [there].\n\n[there]: http://example.com\n"
    assert headings(Markdown(), content) == [(1, "Title"), (2, "Sub")]
    assert blocks(Markdown(), content)[-1] == "See there."


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("before", ["", "\ufeff"])
@pytest.mark.parametrize(
    ("opening", "closing", "front"),
    [
        ("---", "---", ["title: X", "tags: [a]"]),
        ("--- ", "...", ["title: X", "", "tags: [a]"]),
        ("+++", "+++\t", ['title = "X"', "[params]", "draft = true"]),
    ],
)
def test_front_matter_is_no_heading(
    before: str, end: str, opening: str, closing: str, front: list[str]
) -> None:
    content = before + end.join([opening, *front, closing, "", "# Y", "", "Text.", ""])
    assert headings(Markdown(), content) == [(1, "Y")]
    assert blocks(Markdown(), content) == ["\n".join(front), "Y", "Text."]


@pytest.mark.parametrize("content", ["---\n---\n# Y", "+++\n+++\n# Y", "---\n\nY\n=\n\n---\n"])
def test_what_holds_nothing_is_no_front_matter(content: str) -> None:
    assert blocks(Markdown(), content) == ["Y"]
    assert headings(Markdown(), content) == [(1, "Y")]


@pytest.mark.parametrize("kind", [Text(), Markdown(), Html()])
def test_a_byte_order_mark_is_no_text(kind: Extractor) -> None:
    assert blocks(kind, "\ufeffplain words") == ["plain words"]


def test_markdown_tables_of_contents_are_not_read() -> None:
    content = (
        "# Tariff\n\n[TOC]\n\n## Table of contents\n\n- [Adults](#adults)\n  - [Dogs](#dogs)\n\n"
        "## Adults\n\n- [four](#coins) coins\n- [a list](https://example.com/#x)\n"
    )
    assert blocks(Markdown(), content) == ["Tariff", "Adults", "- four coins", "- a list"]


def test_html_in_markdown_is_read_as_html() -> None:
    content = '<div align="center">\n<h1>Name</h1>\n<!-- not this --></div>\n\nText<br>here.\n'
    assert headings(Markdown(), content) == [(1, "Name")]
    assert blocks(Markdown(), content) == ["Name", "Text\nhere."]


def test_markdown_of_too_many_marks_is_read_as_text() -> None:
    content = "*a* " * (MAX_MARKS // 2 + 1)
    assert Markdown().extract(content) == Text().extract(content)


# --- HTML ----------------------------------------------------------------


def test_html_reads_as_shown() -> None:
    content = """<!DOCTYPE html><html><head><title>T</title><style>p {}</style></head>
    <body><nav><a href="/">Home</a></nav>
    <h1>Caf&eacute; <i>&amp;</i> bar</h1>
    <p>Open   from
    8 to&nbsp;5.<br>Closed on <b>Sun</b>day.</p><script>if (a < b) {}</script>
    <ul><li>tea<li><p>coffee</p></ul>
    <table><tr><th>Cup</th><th>Price</th></tr><tr><td>small</td><td>2</td></tr></table>
    <pre>
  one
    two
</pre>"""
    assert blocks(Html(), content) == [
        "T",
        "Café & bar",
        "Open from 8 to 5.\nClosed on Sunday.",
        "- tea",
        "- coffee",
        "Cup | Price\nsmall | 2",
        "one\n    two",
    ]
    assert headings(Html(), content) == [(1, "T"), (1, "Café & bar")]


@pytest.mark.parametrize(
    "content",
    [
        "plain words",
        "<p>plain <b>words",
        "</div></p>plain words",
        "<p>plain</i> words</p></body></html>",
        "<table>plain words",
        "<?xml version='1.0' encoding='latin-1'?><p>plain words",
        "<meta charset='latin-1'>plain words",
    ],
)
def test_broken_html_keeps_its_text(content: str) -> None:
    assert blocks(Html(), content) == ["plain words"]


@pytest.mark.parametrize("content", ["", " ", "<p>", "<!-- only this -->", "<script>x()</script>"])
def test_html_without_text_has_no_blocks(content: str) -> None:
    assert blocks(Html(), content) == []


def test_html_is_unicode_whatever_it_says() -> None:
    assert blocks(Html(), "<meta charset='latin-1'><p>漢字 😀 é") == ["漢字 😀 é"]


def test_html_may_be_nested_deeply() -> None:
    assert blocks(Html(), "<div>" * 5_000 + "plain words") == ["plain words"]


@pytest.mark.parametrize(
    "content",
    [
        "<nav><p>plain words",
        "<div><nav><p>plain words</div>",
        "<body><nav><p>plain words</body></html>",
        "<nav><ul><li>plain words</ul>",
        "<div role=navigation><p>plain words",
        "<div class=toc><p>plain words",
        "<svg><path d='M0 0'><p>plain words",
        "<svg><g><text></text><div>plain words</div>",
        "<math><mi></mi><p>plain words",
        "<select><option></option><p>plain words",
        "<object><p>plain words",
        "<canvas><p>plain words",
        "<p hidden>secret<p>plain words",
        "<li hidden>secret<li><p>plain words",
        "<nav>menu</nav><p>plain words",
        "<nav><nav>menu</nav><p>plain words",
        "<nav><b>menu</nav><p>plain words",
        "<nav><p>menu</p></p></nav>plain words",
        "<p>plain <span class=menu>words",
        "plain words<script>secret",
        "plain words<style>secret",
        "plain words<iframe>secret<p>",
        "plain words<!-- secret",
        "plain words<a title='secret",
        "plain words<template>secret",
        "plain words<div hidden><p>secret",
        "<script/><p>plain words",
        "<!--><p>plain words",
        "<!-- a <nav> -- b --!><p>plain words",
        "<script>'<nav>' </scripted> '</nav>'</script><p>plain words",
        "<a title='<nav>'><p>plain words",
        "<TABLE><TR><TD>plain words",
    ],
)
def test_what_is_not_closed_is_read_as_browsers_show_it(content: str) -> None:
    assert [text.removeprefix("- ") for text in blocks(Html(), content)] == ["plain words"]


@pytest.mark.parametrize(
    "content",
    [
        "<p hidden>secret</p>",
        "<div hidden=hidden><p>secret</div>",
        "<p style='color: red; display : none'>secret</p>",
        "<span style='visibility:hidden'>secret</span>",
        "<dialog>secret</dialog>",
        "<template><p>secret</template>",
        "<svg><metadata>secret</metadata>secret</svg>",
        "<ruby><rp>secret</rp></ruby>",
        "<img hidden alt=secret>",
        "<noscript>secret</noscript>",
        "<select><option>secret</select>",
    ],
)
def test_what_browsers_hide_is_not_read(content: str) -> None:
    assert blocks(Html(), f"<p>plain {content}<p>words") == ["plain", "words"]


@pytest.mark.parametrize(
    "content",
    ["<p hidden=until-found>plain words", "<dialog open>plain words", "<details>plain words"],
)
def test_what_browsers_can_show_is_read(content: str) -> None:
    assert blocks(Html(), content) == ["plain words"]


@pytest.mark.parametrize(
    "content",
    [
        "<title>Ferry tariff</title><p>Four coins.",
        "<title>Ferry\n tariff<p>Four coins.",
        "<head><meta charset=utf-8><TITLE lang=en>Ferry &#116;ariff</title></head>Four coins.",
        "<p>Four coins.<title>Ferry tariff</title>",
        "<title>Ferry tariff</title><h1>Ferry  tariff</h1><p>Four coins.",
        "<title>Ferry tariff</title><title>Another</title><p>Four coins.",
    ],
)
def test_the_title_of_a_page_is_its_first_heading(content: str) -> None:
    assert headings(Html(), content) == [(1, "Ferry tariff")]
    assert blocks(Html(), content) == ["Ferry tariff", "Four coins."]
    assert [part.heading for part in chunk(Html().extract(content))] == ["Ferry tariff"]


def test_a_paragraph_in_a_cell_is_in_the_line_of_its_row() -> None:
    content = """<table><tr><th><p>Cup</p></th>
    <th> <div>Price</div> </th></tr><tr><td>small<td><p>2</table><p>Tax<p>included."""
    assert blocks(Html(), content) == ["Cup | Price\nsmall | 2", "Tax", "included."]
    content = "<table><tr><td><h1>Menu</h1><p>Soup.</p><p>Bread.</p></td></tr></table>"
    assert blocks(Html(), content) == ["Menu", "Soup.", "Bread."]


def test_a_heading_that_is_not_closed_is_one_block() -> None:
    assert headings(Html(), "<h1>Tariff<p>Four coins.<h2>Dogs<p>One.") == [
        (1, "Tariff"),
        (2, "Dogs"),
    ]
    assert headings(Html(), "<h1><span>Tariff</span></h2><p>Four coins.") == [(1, "Tariff")]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('<p>At <img src="a.png" alt="the\n old  pier"> now.', "At the old pier now."),
        ("<p><IMG ALT='the pier &amp; a dog'>", "the pier & a dog"),
        ("<img alt=pier>", "pier"),
        ('<p><input type="image" alt="Buy a ticket">', "Buy a ticket"),
        ("<map><area alt='The pier'></map>", "The pier"),
        ('<a href="/x"><img alt="The pier"></a>', "The pier"),
        ("<p>A <svg><title>pier</title><path d='M'></svg> here", "A pier here"),
        ("<p>A <svg aria-label='pier'><path></svg> here", "A pier here"),
        ("<svg><text>pier</text><text>dog</text></svg>", "pier dog"),
    ],
)
def test_descriptions_of_pictures_are_read(content: str, text: str) -> None:
    assert blocks(Html(), content) == [text]


@pytest.mark.parametrize(
    "navigation",
    [
        "<nav><p>Home</p><ul><li>Prices</ul></nav>",
        '<div role="navigation"><h3>Menu</h3><div>Prices</div></div>',
        '<ul role="menu"><li>Prices</ul>',
        '<form role="search"><label>Search <input></label></form>',
        '<div class="sphinxsidebar"><h3><a href="/c">Menu</a></h3><a href="/x">Prices</a></div>',
        '<div id="toc"><h2>Contents</h2><ul><li><a href="#a">Prices list</a></ul></div>',
        """<h2>Table of Contents</h2><ul><li><a href="#a">Prices</a>
        <ul><li><a href="#b">Dogs</a></ul><li><a href="#c">Boats</a></ul>""",
        """<h2>Contents</h2><div class="menu"><nav><ul><li><a href="#a">Prices</a>
        <li><a href="#b">Dogs</a></ul><p>Boats</p></nav></div>""",
        '<p>Contents:<ol><li>1. <a href="#a">Prices</a><li>2. <a href="#b">Dogs</a></ol>',
        '<ol class="breadcrumb"><li><a href="/">Home</a><li>Prices</ol>',
        '<footer>Meet us: <a href="/map">Map of the harbour</a></footer>',
        '<header><a href="/">Harbour</a> <a href="/boats">Boats</a></header>',
        '<a class="skip-link" href="#main">Skip to content</a>',
    ],
)
def test_navigation_is_not_read(navigation: str) -> None:
    content = f"<h1>Tariff</h1>{navigation}<p>Four coins.</p>"
    assert blocks(Html(), content) == ["Tariff", "Four coins."]
    assert headings(Html(), content) == [(1, "Tariff")]


@pytest.mark.parametrize(
    "link",
    [
        '<a class="headerlink" href="#tariff" title="Link to this heading">¶</a>',
        '<a href="#tariff">#</a>',
        '<a href="page.html#tariff">\N{LINK SYMBOL}</a>',
        '<a href="#tariff" aria-hidden="true"><svg><path d=""></path></svg></a>',
        '<span class="mw-editsection">[<a href="/edit">edit</a>]</span>',
    ],
)
def test_links_to_the_place_where_they_stand_are_not_read(link: str) -> None:
    content = f"<h2 id=tariff>Tariff{link}</h2><p>Four coins{link}.</p>"
    assert blocks(Html(), content) == ["Tariff", "Four coins."]


@pytest.mark.parametrize(
    "content",
    [
        '<div class="menu"><p>Soup of the day</p><p>costs four coins.</p></div>',
        '<aside class="contents"><p>Soup of the day</p><p>costs four coins.</p></aside>',
        "<header><p>Soup of the day</header><footer>costs four coins.</footer>",
        '<header><h1><a href="/s">Soup of the day</a></h1></header><p>costs four coins.',
        '<main class="nav"><p>Soup of the day<p>costs four coins.</main>',
        '<ul><li><a href="/s">Soup of the day</a><li><a href="/c">costs four coins.</a></ul>',
        '<p><a href="#note">Soup of the day</a><p>costs four <a href="#coins">coins</a>.',
        '<div id="menu"><a href="/soup">Soup</a> of the day<p>costs four coins.</div>',
    ],
)
def test_what_is_only_called_navigation_is_read(content: str) -> None:
    text = "\n".join(blocks(Html(), content)).replace("- ", "")
    assert text == "Soup of the day\ncosts four coins."


def test_what_stands_next_to_a_table_of_contents_is_read() -> None:
    content = (
        '<h1>Tariff</h1><p>Contents<div class="menu"><ul><li><a href="#a">A</a><li>'
        '<a href="#b">B</a></ul><p>Soup of the day.</p><a href="/x">More</a></div><p>Four coins.'
    )
    assert blocks(Html(), content) == ["Tariff", "Soup of the day.", "More", "Four coins."]
    content = content.replace("Soup of the day.", "Soup")
    assert blocks(Html(), content) == ["Tariff", "Four coins."]


def test_long_numbers_of_characters_are_no_error() -> None:
    content = f"plain &#{'0' * 9_000}119;ords&#{'9' * 9_000};"
    assert blocks(Html(), content) == ["plain words\ufffd"]


# --- conversations -------------------------------------------------------


def test_each_message_is_a_chunk() -> None:
    content = encode(
        [
            Message("Ann", "Look at this!", 1_700_000_000_000_000, "a lake at dawn"),
            Message("Ben", "", None, ""),
            Message("", "A voice.\nOn two lines.", None, ""),
            Message("Ben", "", 5, "a dog"),
        ]
    )
    extract = Conversation().extract(content)
    assert extract.text == (
        "Ann: Look at this! [image: a lake at dawn]\nBen: \nA voice.\nOn two lines.\n"
        "Ben: [image: a dog]\n"
    )
    found = chunk(extract, 10)
    assert [(p.message, p.speaker, p.instant, p.text) for p in found] == [
        (0, "Ann", 1_700_000_000_000_000, "Look at this! [image: a lake at dawn]"),
        (2, "", None, "A voice.\nOn two lines."),
        (3, "Ben", 5, "[image: a dog]"),
    ]
    assert all(p.text == extract.text[p.start : p.end] for p in found)


@pytest.mark.parametrize("content", ["", "text", "{}x", "3", "[1]", '[["a"]]', "[" * 100_000])
def test_what_is_no_conversation_is_refused_with_advice(content: str) -> None:
    with pytest.raises(UnreadableContentError, match="send its messages as messages"):
        Conversation().extract(content)


# --- the registry --------------------------------------------------------


def test_every_kind_of_the_contract_is_registered() -> None:
    assert set(registry.FILE_EXTRACTORS) == FILE_KINDS
    assert set(registry.EXTRACTORS) == set(ContentKind) - FILE_KINDS


class Shouted:
    def extract(self, content: str) -> Extract:
        text = content.strip().upper()
        return Extract(text, (Block(0, len(text)),))


def test_a_further_kind_is_a_class_and_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    number = max(ContentKind) + 1
    with pytest.raises(UnreadableContentError, match="update"):
        registry.extractor_for(number)
    monkeypatch.setitem(registry.EXTRACTORS, number, f"{__name__}:Shouted")
    assert [p.text for p in chunk(registry.extractor_for(number).extract(" hello "))] == ["HELLO"]
