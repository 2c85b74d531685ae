"""HTML and SVG elements that escape whatever they are given, so that no sample can write into the page."""

from __future__ import annotations

import html
import re
from typing import Any

# Control characters other than tab and newline, and lone surrogates (keys in broken encodings carry them):
# the first are invalid in HTML, the second cannot be encoded.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_VOID = frozenset({"img", "br", "meta", "hr", "wbr"})


class Html(str):
    """Text that is already HTML; everything else is escaped when it becomes part of an element."""

    __slots__ = ()


def escape(text: Any) -> Html:
    """Any value as HTML text, safe between tags and inside quoted attributes; Html passes unchanged."""
    if isinstance(text, Html):
        return text
    return Html(html.escape(_UNPRINTABLE.sub("\ufffd", str(text)), quote=True))


def join(*parts: Any) -> Html:
    """The parts one after the other, each escaped unless it is Html; None is left out."""
    return Html("".join(escape(part) for part in parts if part is not None))


def element(tag: str, *children: Any, **attributes: Any) -> Html:
    """One element.

    `cls` stands for `class`; underscores in attribute names become hyphens; an attribute that is None or
    False is left out and one that is True stands without a value. Floats are written with two decimals.
    """
    shown = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _VOID:
        return Html(f"<{tag}{shown}>")
    return Html(f"<{tag}{shown}>{join(*children)}</{tag}>")


def _attribute(name: str, value: Any) -> str:
    if value is None or value is False:
        return ""
    name = "class" if name == "cls" else name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    if isinstance(value, float):
        value = f"{value:.2f}".rstrip("0").rstrip(".")
    return f' {name}="{escape(value)}"'


def isolated(text: Any) -> Html:
    """Text of unknown direction, kept from reordering what stands around it."""
    return element("bdi", text)
