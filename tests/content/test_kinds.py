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
from service.core.model import ContentKind


def blocks(kind: Extractor, content: str) -> list[str]:
    extract = kind.extract(content)
    return [extract.text[block.start : block.end] for block in extract.blocks]


def headings(kind: Extractor, content: str) -> list[tuple[int, str]]:
    extract = kind.extract(content)
    return [(b.level, extract.text[b.start : b.end]) for b in extract.blocks if b.level]


@pytest.mark.parametrize("kind", [Text(), Markdown(), Html()])
@given(content=st.text("ab<>/&;#*_`[]()!|-=~ \n\t\0😀'\"", max_size=200) | st.text(max_size=100))
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


def test_front_matter_is_no_heading() -> None:
    content = "---\ntitle: X\ntags: [a]\n---\n\n# X\n"
    assert headings(Markdown(), content) == [(1, "X")]
    assert blocks(Markdown(), content)[0] == "title: X\ntags: [a]"


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
        "Café & bar",
        "Open from 8 to 5.\nClosed on Sunday.",
        "- tea",
        "- coffee",
        "Cup | Price\nsmall | 2",
        "one\n    two",
    ]
    assert headings(Html(), content) == [(1, "Café & bar")]


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


def test_html_nested_too_deeply_is_refused_with_advice() -> None:
    with pytest.raises(UnreadableContentError, match="plain text"):
        Html().extract("<div>" * 5_000 + "text")


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
    assert set(registry.EXTRACTORS) == set(ContentKind)


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
