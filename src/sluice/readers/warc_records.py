"""Walks the records of a WARC or ARC file: bounded memory, exact offsets, and on after damage where it can."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol

LONGEST_HEADER = 64 << 10
"""Bytes of one record's own header, and of the beginning of its content that is looked at."""

_BLOCK = 64 << 10
_UNPACKED = 1 << 20  # bytes unpacked at a time: a few bytes can unpack to a thousand times as many
_GZIP = b"\x1f\x8b\x08"
_WARC = re.compile(rb"WARC/\d\.\d+\s*\r?\n")
_ARC = re.compile(rb"\S+ \S+ \d{8,17} .{0,400} \d+\s*\r?\n")
_LENGTH = re.compile(rb"^content-length:\s*(\d{1,18})\s*$", re.I | re.M)


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its own header and as much of its content as was wanted.

    `place` is where in the file reading can begin with it, None where it cannot (inside a gzip member); `size`
    the bytes of content that it has.
    """

    place: int | None
    header: bytes
    content: bytes
    size: int

    @property
    def is_arc(self) -> bool:
        """Whether its header is one line of ARC, and not WARC's lines."""
        return not self.header.startswith(b"WARC/")


@dataclass(frozen=True, slots=True)
class Damage:
    """A part of the file that is no record: why, and what people may want to know."""

    reason: str
    detail: str


class _Damaged(Exception):  # noqa: N818 - where a walk meets damage, not an error of ours
    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.damage = Damage(reason, detail)


class _Bytes(Protocol):
    """Decompressed bytes in order; `place` as in `Record`, for what is read next."""

    def place(self) -> int | None: ...

    def readline(self, most: int) -> bytes: ...

    def read(self, size: int) -> bytes: ...

    def ends(self) -> bool: ...

    def resume(self) -> bool: ...


def records(
    file: BinaryIO, start: int, stop: int | None, wanted: Callable[[bytes, bytes], int]
) -> Iterator[Record | Damage]:
    """The records that begin in a range of the file, and damage in their places.

    `wanted` is given a record's header and the beginning of its content, and says how many bytes of content are
    wanted, 0 for none: then the record is passed over. After damage the walk goes on with the next record that can be
    found: the next gzip member, or the next line that begins a WARC record.
    """
    file.seek(start)
    packed = file.read(len(_GZIP)) == _GZIP
    file.seek(start)
    opened: _Bytes = _Packed(file) if packed else _Plain(file)
    while True:
        try:
            place, header = _header(opened)
            if not header or (stop is not None and place is not None and place >= stop):
                return
            record = _record(opened, place, header, wanted)
            if record is not None:
                yield record
        except _Damaged as damaged:
            yield damaged.damage
            if not opened.resume():
                return


def _header(opened: _Bytes) -> tuple[int | None, bytes]:
    """Where the next record begins, and its header; no bytes at the end of the file."""
    while True:
        place = opened.place()
        first = opened.readline(LONGEST_HEADER)
        if not first or first.strip():
            break
    if not first or _ARC.fullmatch(first):
        return place, first
    if not _WARC.fullmatch(first):
        raise _Damaged("not a WARC record", f"it begins with {first[:60]!r}")
    lines = [first]
    while lines[-1].strip():
        line = opened.readline(LONGEST_HEADER)
        if not line:
            raise _Damaged("record cut short", "the file ends inside its header")
        lines.append(line)
        if sum(map(len, lines)) > LONGEST_HEADER:
            raise _Damaged("not a WARC record", f"its header has more than {LONGEST_HEADER:,} bytes")
    return place, b"".join(lines)


def _record(
    opened: _Bytes, place: int | None, header: bytes, wanted: Callable[[bytes, bytes], int]
) -> Record | None:
    size = _size(header)
    content = _exactly(opened, min(size, LONGEST_HEADER))
    most = min(wanted(header, content), size)
    if most > len(content):
        content += _exactly(opened, most - len(content))
    _pass_over(opened, size - len(content))
    if header.startswith(b"WARC/") and not opened.ends():
        raise _Damaged("wrong length", f"its content does not end after the {size:,} bytes that it states")
    return Record(place, header, content[:most], size) if most else None


def _size(header: bytes) -> int:
    if not header.startswith(b"WARC/"):
        return int(header.rsplit(None, 1)[1])
    found = _LENGTH.search(header.replace(b"\r", b""))
    if found is None:
        raise _Damaged("wrong length", "its header states no length")
    return int(found[1])


def _exactly(opened: _Bytes, size: int) -> bytes:
    parts, missing = [], size
    while missing and (part := opened.read(min(missing, 1 << 20))):
        parts.append(part)
        missing -= len(part)
    if missing:
        raise _Damaged("record cut short", f"{size - missing:,} of {size:,} bytes are there")
    return b"".join(parts)


def _pass_over(opened: _Bytes, size: int) -> None:
    left = size
    while left:
        part = opened.read(min(left, 1 << 20))
        if not part:
            raise _Damaged("record cut short", f"{left:,} bytes are missing")
        left -= len(part)


class _Plain:
    """A file that is not compressed: a record can begin anywhere."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._begun = file.tell()

    def place(self) -> int | None:
        """Where the file is."""
        self._begun = self._file.tell()
        return self._begun

    def readline(self, most: int) -> bytes:
        """A line, or `most` bytes of it."""
        return self._file.readline(most)

    def read(self, size: int) -> bytes:
        """At most `size` bytes."""
        return self._file.read(size)

    def ends(self) -> bool:
        """Whether a blank line or nothing follows."""
        return not self.readline(_BLOCK).strip()

    def resume(self) -> bool:
        """Go to the next line that begins a WARC record, from behind the one that the damaged record began with."""
        self._file.seek(self._begun)
        self._file.readline(LONGEST_HEADER)
        at = self._file.tell()
        before = b"\n"
        while block := self._file.read(_BLOCK):
            window = before + block
            found = re.search(rb"\nWARC/\d\.\d+\s*\r?\n", window)
            if found is not None:
                self._file.seek(at - len(before) + found.start() + 1)
                return True
            at += len(block)
            before = window[-32:]
        return False


class _Packed:
    """A file of gzip members: a record can begin where a member does."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._begin(file.tell(), b"")

    def _begin(self, member: int, raw: bytes) -> None:
        self._member, self._raw = member, raw
        self._unpack = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._out, self._at, self._given = b"", 0, False

    def place(self) -> int | None:
        """Where the member begins that is read next; None inside of one."""
        self._fill(across=True)
        return None if self._given else self._member

    def readline(self, most: int) -> bytes:
        """A line, or `most` bytes of it; a member's end is a line's."""
        parts: list[bytes] = []
        size = 0
        while size < most and self._fill(across=not parts):
            end = self._out.find(b"\n", self._at, self._at + most - size) + 1
            parts.append(self._take(end - self._at if end else most - size))
            size += len(parts[-1])
            if end:
                break
        return b"".join(parts)

    def read(self, size: int) -> bytes:
        """At most `size` bytes, of one member."""
        return self._take(size) if self._fill(across=False) else b""

    def ends(self) -> bool:
        """Whether the member ends here, or a blank line follows."""
        return not self._fill(across=False) or not self.readline(_BLOCK).strip()

    def resume(self) -> bool:
        """Go to the next place behind the damaged member's beginning where a record can be unpacked."""
        at, before = self._member + 1, b""
        while True:
            self._file.seek(at)
            block = self._file.read(_BLOCK)
            if not block:
                return False
            window, first = before + block, at - len(before)
            for found in re.finditer(re.escape(_GZIP), window):
                if self._starts(first + found.start()):
                    return True
            at += len(block)
            before = window[1 - len(_GZIP) :]

    def _starts(self, place: int) -> bool:
        self._file.seek(place)
        try:
            head = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(self._file.read(_BLOCK), 4096)
        except zlib.error:
            return False
        line = head.partition(b"\n")[0] + b"\n"
        if not (_WARC.fullmatch(line) or _ARC.fullmatch(line)):
            return False
        self._file.seek(place)
        self._begin(place, b"")
        return True

    def _take(self, size: int) -> bytes:
        taken = self._out[self._at : self._at + size]
        self._at += len(taken)
        self._given = True
        return taken

    def _fill(self, *, across: bool) -> bool:
        """Have bytes to give; False at the end of the file, or of the member where that is not to be left."""
        while self._at >= len(self._out):
            if self._unpack.eof:
                if not across or not self._next_member():
                    return False
                continue
            self._raw = self._raw or self._file.read(_BLOCK)
            missing = not self._raw  # what it holds back may still come
            try:
                self._out, self._at = self._unpack.decompress(self._raw, _UNPACKED), 0
            except zlib.error as error:
                raise _Damaged("gzip damaged", f"the member at byte {self._member:,}: {error}") from error
            self._raw = self._unpack.unconsumed_tail
            if missing and not self._out and not self._unpack.eof:
                raise _Damaged("gzip cut short", f"the member at byte {self._member:,} does not end")
        return True

    def _next_member(self) -> bool:
        rest = self._unpack.unused_data or self._file.read(_BLOCK)
        if not rest.strip(b"\0"):
            return False  # zeros fill up what was on tapes
        self._begin(self._file.tell() - len(rest), rest)
        return True
