"""Makes a tree of a page's bytes: in whatever encoding, however broken, but never beyond its limits."""

from __future__ import annotations

import codecs
import re
from typing import Any

from sluice.errors import ReadError
from sluice.operator.extra import imported

LONGEST_PAGE = 16 << 20
"""Bytes of one page that are parsed; a longer one fails. Common Crawl cuts its pages at 5 MiB."""

DEEPEST = 512
"""Elements inside each other; Chrome builds no deeper tree, and what follows takes ever longer with depth."""

MOST_ATTRIBUTES = 500
"""Attributes of one element; libxml2's time grows with their square."""

Element = Any
"""An element of lxml, which brings no types."""

EXTRA = "text"
"""The extra that brings what reads pages."""

_LONG_TAG = re.compile(r"<[A-Za-z][^<>]{8000,}")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_LOOKED_AT = 4096  # bytes in which a page must say its encoding; the standard asks for 1,024
_SAID = re.compile(
    rb"""<meta[^>]{0,400}?charset\s*=\s*["']?\s*([\w.:-]+)|<\?xml[^>]{0,100}encoding=["']([\w.:-]+)""", re.I
)
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_UNKNOWN_TO_PYTHON = {
    "windows-31j": "cp932",
    "windows-874": "cp874",
    "x-gbk": "gbk",
    "x-mac-cyrillic": "mac-cyrillic",
    "x-sjis": "cp932",
}
# What the labels of https://encoding.spec.whatwg.org/ come to in Python; anything else a page says is no encoding.
_WIDER = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
}
_ENCODING_NAMES = (
    "utf-8 utf-16-le utf-16-be gb18030 big5hkscs cp932 cp949 euc_jp iso2022_jp koi8-r koi8-u cp866 cp874 mac-roman"
    " mac-cyrillic cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 iso8859-2 iso8859-3 iso8859-4"
    " iso8859-5 iso8859-6 iso8859-7 iso8859-8 iso8859-10 iso8859-13 iso8859-14 iso8859-15 iso8859-16"
)
_ENCODINGS = frozenset(_ENCODING_NAMES.split())


def parse(data: bytes, charset: str = "") -> Element:
    """The root element of a page; `charset` is what its server said of it, "" where nothing.

    No entity is looked up and nothing fetched. ReadError for a page that is empty, too large or nested too deeply.
    """
    if len(data) > LONGEST_PAGE:
        raise ReadError("page too large", f"more than {LONGEST_PAGE:,} bytes")
    text = decode(data, charset)
    if not text.strip():
        raise ReadError("no content", "the page is empty")
    _refuse_long_tags(text)
    html = imported("lxml.html", EXTRA)
    parser = html.HTMLParser(
        encoding="utf-8", huge_tree=True, no_network=True, remove_pis=True, remove_comments=True
    )
    try:
        # As UTF-8 whatever the page says: lxml refuses text that declares an encoding, and takes bytes at their word.
        root = html.document_fromstring(text.encode(), parser=parser)
    except (ValueError, html.etree.LxmlError) as error:
        raise ReadError("no content", f"the page holds no elements: {error}") from error
    _refuse_depths(html.etree, root)
    return root


def _refuse_long_tags(text: str) -> None:
    for tag in _LONG_TAG.finditer(text):
        if len(_QUOTED.sub("", tag[0]).split()) > MOST_ATTRIBUTES:
            raise ReadError("page too large", f"an element with more than {MOST_ATTRIBUTES} attributes")


def _refuse_depths(etree: Any, root: Element) -> None:
    """Refuse a tree that is too deep; libxml2 itself stops reading at 2,048, and says nothing."""
    depth = 0
    for event, _ in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        if depth > DEEPEST:
            raise ReadError("nested too deeply", f"more than {DEEPEST} elements inside each other")


def decode(data: bytes, charset: str = "") -> str:
    """A page's text: by its byte order mark, its server's word, its own, as UTF-8, else as windows-1252.

    What is no character of that encoding becomes U+FFFD, and so does NUL.
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _clean(data[len(mark) :].decode(encoding, "replace"))
    for label in (charset, _said(data[:_LOOKED_AT])):
        known = encoding_of(label)
        if known:
            return _clean(data.decode(known, "replace"))
    try:
        return _clean(data.decode())
    except UnicodeDecodeError:
        return _clean(data.decode("cp1252", "replace"))


def encoding_of(label: str) -> str:
    """Python's name of the encoding that a label means on the web, "" where it means none."""
    plain = label.strip().lower()
    try:
        name = codecs.lookup(_UNKNOWN_TO_PYTHON.get(plain, plain)).name if plain else ""
    except (LookupError, ValueError):
        return ""
    name = _WIDER.get(name, name)
    return name if name in _ENCODINGS else ""


def _said(head: bytes) -> str:
    found = _SAID.search(head)
    if found is None:
        return ""
    label = (found[1] or found[2]).decode("ascii", "replace")
    # A page whose ASCII could be read is not in UTF-16, whatever it says.
    return "utf-8" if label.lower().startswith("utf-16") else label


def _clean(text: str) -> str:
    return text.replace("\0", "\ufffd") if "\0" in text else text
