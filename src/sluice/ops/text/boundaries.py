"""Where a text may be cut: after a paragraph, a line, a sentence or a word."""

from __future__ import annotations

import re
from collections.abc import Iterator

_BOUNDARIES = (
    re.compile(r"\n[ \t]*\n\s*"),  # a paragraph's end
    re.compile(r"\n\s*"),  # a line's
    re.compile(r"[.!?…][\"')\]”’»]*\s+|[。！？｡]+[”’」』）]*"),  # a sentence's
    re.compile(r"\s+"),  # a word's
)
_LONGEST = 16
"""Code points before a window in which a boundary that ends in it may begin."""


def spans(text: str, size: int) -> Iterator[tuple[int, int]]:
    """Where the chunks of at most `size` code points start and end: without gaps, from the text's start to its end."""
    start = 0
    while len(text) - start > size:
        end = last_end(text, start, start + size)
        yield start, end
        start = end
    if start < len(text):
        yield start, len(text)


def last_end(text: str, start: int, most: int) -> int:
    """Where a chunk that begins at `start` and may reach to `most` best ends.

    At the last end of a paragraph in its second half, else of a line, a sentence or a word; else at `most`.
    """
    low = start + (most - start + 1) // 2
    for boundary in _BOUNDARIES:
        ends = [found.end() for found in boundary.finditer(text, max(0, low - _LONGEST), most)]
        if ends and ends[-1] >= low:
            return ends[-1]
    return most
