"""Finds the elements of a JSON array of any length, one after the other, without holding or parsing the whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

LONGEST_ELEMENT = 64 << 20
"""Bytes of one element that are held in memory; at a longer one reading ends with a failure."""

_WINDOW = 1 << 20
_BOM = b"\xef\xbb\xbf"
_GAP = re.compile(rb"[\s,]*+")
_TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_PLAIN = rb'[^"\[\]{}]++'
_STRING = re.compile(_TEXT, re.DOTALL)
# What holds no open bracket: strings, what stands between them, and objects without others inside, whole.
_FLAT = re.compile(rb"(?:%b|%b|\{(?:%b|%b)*+\})*+" % (_PLAIN, _TEXT, _PLAIN, _TEXT), re.DOTALL)
_SCALAR = re.compile(rb"[^\s,\]]++")


@dataclass(frozen=True, slots=True)
class Element:
    """The bytes of one element and where they begin; without bytes, why nothing can be read from there on."""

    begin: int
    data: bytes = b""
    trouble: str = ""


def elements(
    opened: BinaryIO, start: int = 0, stop: int | None = None, longest: int = LONGEST_ELEMENT
) -> Iterator[Element]:
    """The elements that begin in [start, stop), `start` being 0 or where one begins.

    Elements are told apart by their brackets, so that a malformed one does not touch those behind it. What ends
    the array before its time is a last element with a trouble: "not a JSON array", "truncated JSON", "object too
    long", "data after the array".
    """
    window = _Window(opened, start)
    if start == 0 and window.next(_BOM) != b"[":
        yield Element(0, trouble="not a JSON array")
        return
    if start == 0:
        window.at += 1
    while True:
        head = window.next()
        if stop is not None and window.position >= stop:
            return
        begin = window.position
        if head == b"]":
            window.at += 1
            if window.next():
                yield Element(begin, trouble="data after the array")
            return
        data = window.element(longest) if head else None
        if data is None:
            trouble = "object too long" if window.held > longest else "truncated JSON"
            yield Element(begin, trouble=trouble)
            return
        yield Element(begin, data)


class _Window:
    """The part of a file under way: it grows to hold one element, and moves on."""

    def __init__(self, opened: BinaryIO, start: int) -> None:
        opened.seek(start)
        self._opened, self._start = opened, start
        self._bytes = b""
        self.at = 0

    @property
    def position(self) -> int:
        """Offset in the file."""
        return self._start + self.at

    @property
    def held(self) -> int:
        """Bytes in hand that are not passed yet."""
        return len(self._bytes) - self.at

    def next(self, mark: bytes = b"") -> bytes:
        """The next byte that is neither blank nor a comma, "" at the end; `mark` is passed over before it."""
        while True:
            gap = _GAP.match(self._bytes, self.at)
            self.at = gap.end() if gap else self.at
            if mark and self._bytes.startswith(mark, self.at):
                self.at += len(mark)
                mark = b""
                continue
            if self.held or not self._grow():
                return self._bytes[self.at : self.at + 1]

    def element(self, longest: int) -> bytes | None:
        """The element that begins here; None where it does not end within the file, or `longest` bytes."""
        while (end := _end(self._bytes, self.at)) < 0:
            if self.held > longest or not self._grow():
                return None
        if end - self.at > longest:
            return None
        begin, self.at = self.at, end
        return self._bytes[begin:end]

    def _grow(self) -> bool:
        left = self._bytes[self.at :]
        more = self._opened.read(max(_WINDOW, len(left)))
        self._start += self.at
        self._bytes, self.at = left + more, 0
        return bool(more)


def _end(data: bytes, at: int) -> int:
    """Where the element at `at` ends, −1 where not within these bytes."""
    if data[at] in b"{[":
        return _closing(data, at)
    found = (_STRING if data[at] == ord('"') else _SCALAR).match(data, at)
    return -1 if found is None or found.end() == len(data) else found.end()


def _closing(data: bytes, at: int) -> int:
    depth = 0
    while True:
        flat = _FLAT.match(data, at)
        at = flat.end() if flat and depth else at
        head = data[at : at + 1]
        if not head or head == b'"':  # a quote here has no end within these bytes
            return -1
        depth += 1 if head in b"{[" else -1
        at += 1
        if depth == 0:
            return at
