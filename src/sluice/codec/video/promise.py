"""Whether a file is as long as its own container says: a cut download shows before a frame is decoded."""

from __future__ import annotations

import struct
from typing import Any, Protocol

from sluice.errors import UnreadableError

_HEAD_BYTES = 4096
_MOST_BOXES = 100_000  # a fragmented film has thousands; hostile files have millions of empty ones
_ISO_FIRST = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"pnot"})
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_RIFF_SLACK_BYTES = 16  # muxers disagree on whether padding counts


class _File(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...
    def seek(self, offset: int, whence: int = ..., /) -> int: ...


def check_whole(file: _File) -> None:
    """Raise UnreadableError (`empty file`, `truncated`) where the file ends before its container does.

    ISO files (MP4, MOV: ISO/IEC 14496-12) by their top-level boxes, which must lie in the file and have a `moov`;
    Matroska (RFC 9559) by its segment's size, AVI by its RIFF chunk's. Other containers promise nothing.
    """
    size = file.seek(0, 2)
    file.seek(0)
    if size == 0:
        raise UnreadableError("empty file", "it has no bytes")
    head = file.read(min(_HEAD_BYTES, size))
    if head[4:8] in _ISO_FIRST:
        _check_boxes(file, size)
    elif head.startswith(_EBML):
        _check_end(_segment_end(head), size)
    elif head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        _check_end(8 + int.from_bytes(head[4:8], "little") - _RIFF_SLACK_BYTES, size)


def _check_end(end: int | None, size: int) -> None:
    if end is not None and end > size:
        raise UnreadableError("truncated", f"the file ends at byte {size}, its container at {end}")


def _check_boxes(file: _File, size: int) -> None:
    at, described = 0, False
    for _ in range(_MOST_BOXES):
        if at + 8 > size:
            break
        file.seek(at)
        head = file.read(16)
        length, kind = struct.unpack_from(">I4s", head)
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:16], "big")
        elif length == 0:  # to the end of the file
            length = size - at
        if not kind.strip(b"\0") or length < 8:  # zeros after the last box: some recorders pad their files
            break
        described |= kind == b"moov"
        if kind in (b"moov", b"mdat", b"moof"):
            _check_end(at + length, size)
        at += length
    if not described:
        raise UnreadableError("truncated", "it has no index (`moov`): its recording or copying was cut short")


def _segment_end(head: bytes) -> int | None:
    """Where the Matroska segment ends; None where its size is unknown (live recordings)."""
    at = 4
    length, at = _vint(head, at)
    at += length or 0
    if head[at : at + 4] != _SEGMENT:
        return None
    length, at = _vint(head, at + 4)
    return None if length is None else at + length


def _vint(data: bytes, at: int) -> tuple[int | None, int]:
    """An EBML number (RFC 8794, 4) and where it ends; None where it says that it is not known."""
    if at >= len(data) or not data[at]:
        return None, len(data)
    octets = 9 - data[at].bit_length()
    bits: Any = 7 * octets
    value = int.from_bytes(data[at : at + octets], "big") & ((1 << bits) - 1)
    return (None if value == (1 << bits) - 1 else value), at + octets
