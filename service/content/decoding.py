"""The text of a file from its bytes, by the marks that tell its encoding."""

from __future__ import annotations

import codecs
import re
from typing import Final

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS: Final = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

_HEAD_BYTES: Final = 4_096
"""How far into a page its encoding is looked for; browsers look through 1,024 bytes."""
_COMMENT: Final = re.compile(rb"<!--.*?-->", re.DOTALL)
_XML: Final = re.compile(rb"""\s*<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9_.:-]+)["']""")
_META: Final = re.compile(rb"<meta[\s/][^>]*>", re.IGNORECASE)
_CHARSET: Final = re.compile(
    rb"""[\s/"';]charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]+)""", re.IGNORECASE
)

# As browsers read them: the name that a page declares stands for the larger set of characters
# that its author's system had. A page cannot declare UTF-16 in letters of one byte.
_LARGER: Final = {
    "ascii": "cp1252",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "shift_jis": "cp932",
    "tis-620": "cp874",
    "utf-16": "utf-8",
    "utf-16-be": "utf-8",
    "utf-16-le": "utf-8",
}
_OTHER_NAMES: Final = {"windows-31j": "cp932", "windows-874": "cp874", "windows-949": "cp949"}
_DECLARABLE: Final = frozenset(_LARGER.values()) | frozenset(
    (  # noqa: SIM905
        "cp866 cp932 cp1250 cp1251 cp1253 cp1255 cp1256 cp1257 cp1258 euc_jp iso2022_jp iso8859-2 "
        "iso8859-3 iso8859-4 iso8859-5 iso8859-6 iso8859-7 iso8859-8 iso8859-10 iso8859-13 "
        "iso8859-14 iso8859-15 iso8859-16 koi8-r koi8-u mac-cyrillic mac-roman"
    ).split()
)


def decode(data: bytes, *, page: bool = False) -> str:
    """The text: by its byte order mark, by what a page declares, or UTF-8.

    Args:
        data: All bytes of a file.
        page: It is HTML, and may declare its encoding. What does not fit into it becomes
            a replacement character, as in browsers.

    Raises:
        UnicodeDecodeError: It is in another encoding.
    """
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return data.decode(encoding)
    declared = _declared(data[:_HEAD_BYTES]) if page else None
    return data.decode("utf-8") if declared is None else data.decode(declared, errors="replace")


def _declared(head: bytes) -> str | None:
    """The codec for the encoding that a page declares; None: it declares none that is known."""
    head = _COMMENT.sub(b"", head)
    labels = [match[1] for match in [_XML.match(head)] if match]
    labels += [match[1] for tag in _META.findall(head) for match in _CHARSET.finditer(tag)]
    return next(filter(None, map(_codec, labels)), None)


def _codec(label: bytes) -> str | None:
    text = label.decode("ascii").lower().removeprefix("x-")
    try:
        name = codecs.lookup(_OTHER_NAMES.get(text, text)).name
    except LookupError:
        return None
    name = _LARGER.get(name, name)
    return name if name in _DECLARABLE else None
